// SPDX-License-Identifier: GPL-2.0-or-later
// Counters of tunnels between the chassis: the table when the channel is new, then what
// changed, behind the sample that showed it. They decide nothing, so they are taken from
// a peer in any role; what is lost with a channel the next table tells again.
#include "core/mcs/session_impl.hpp"

namespace mcipsec::mcs {

namespace {

constexpr std::uint16_t kTrafficVersion = 2;    // of MCS, that began with it

}  // namespace

void Session::Impl::want_traffic()
{
    if (std::min(peer.protocol, config.protocol) < kTrafficVersion)
        return;
    for (const auto &[tag, g] : groups)
        out.push_back(act::TrafficWanted{tag});
}

void Session::Impl::on(ev::Traffic &e)
{
    auto *g = find(e.tag);
    if (!g || !ready() || std::min(peer.protocol, config.protocol) < kTrafficVersion)
        return;
    for (auto &t : e.tunnels)
        g->traffic_out.insert_or_assign(t.tunnel, t);
}

void Session::Impl::send_traffic(Group &g)
{
    while (!g.traffic_out.empty() && tx.size() < config.write_chunk) {
        frame::Traffic f{g.tag, {}};
        while (!g.traffic_out.empty() && f.tunnels.size() < frame::kMaxTrafficPerFrame)
            f.tunnels.push_back(std::move(g.traffic_out.extract(g.traffic_out.begin()).mapped()));
        frame::encode(tx, f);
        n.frames_out++;
        n.traffic_sent += f.tunnels.size();
    }
}

void Session::Impl::on(frame::Traffic &f)
{
    auto *g = find(f.tag);
    if (!g)
        return;
    n.traffic_received += f.tunnels.size();
    out.push_back(act::TrafficReceived{g->tag, std::move(f.tunnels)});
}

}  // namespace mcipsec::mcs
