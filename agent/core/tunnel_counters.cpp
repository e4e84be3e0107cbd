// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/tunnel_counters.hpp"

#include <utility>

namespace mcipsec {

namespace {

constexpr std::size_t kMaxTunnels = 1u << 16;   // that a peer can make us remember
constexpr Duration kInstalledWithin = 120s;     // an SA that has a name; the outbound one of a rekey comes later

}  // namespace

Traffic TunnelCounters::Tunnel::own() const
{
    Traffic t = base;
    t.raise(before);
    t.add(since);
    return t;
}

void TunnelCounters::book(const Sa &sa, std::uint64_t octets, std::uint64_t packets)
{
    Tunnel &t = tunnels_[*sa.tunnel];
    Traffic &to = sa.before ? t.before : t.since;
    (sa.out ? to.octets_out : to.octets_in) += octets;
    (sa.out ? to.packets_out : to.packets_in) += packets;
    t.changed = t.changed || octets || packets;
}

void TunnelCounters::name(const SaId &id, const std::string &tunnel, Time now)
{
    Sa &sa = sas_[id];
    if (sa.tunnel)
        return;
    sa.tunnel = tunnel;
    sa.named_at = now;
    book(sa, sa.octets, sa.packets);
    sa.before = false;
}

void TunnelCounters::count(std::span<const mcipsec_seq> sas, Time now)
{
    ++round_;
    for (const auto &k : sas) {
        Sa &sa = sas_[SaId::of(k)];
        if (!sa.round) {
            sa.out = k.flags & MCIPSEC_SEQ_F_OUT;
            sa.before = round_ == 1;
        }
        // An SA that charon installed anew counts from 0 again.
        const bool fell = k.bytes < sa.octets || k.packets < sa.packets;
        if (sa.tunnel) {
            book(sa, k.bytes - (fell ? 0 : sa.octets), k.packets - (fell ? 0 : sa.packets));
            sa.before = false;
        }
        // Without a name: of one that was there before, what the first export said.
        if (sa.tunnel || !sa.before || !sa.round) {
            sa.octets = k.bytes;
            sa.packets = k.packets;
        }
        sa.round = round_;
    }
    if (sas_.size() > sas.size())
        std::erase_if(sas_, [&](const auto &item) {
            const Sa &sa = item.second;
            return sa.round ? sa.round != round_ : now - sa.named_at >= kInstalledWithin;
        });
}

void TunnelCounters::learn(std::span<const TunnelTraffic> told)
{
    for (const auto &say : told) {
        if (tunnels_.size() >= kMaxTunnels && !tunnels_.contains(say.tunnel))
            continue;
        Tunnel &t = tunnels_[say.tunnel];
        t.peer.raise(say.own);
        // More than we know of ourselves: an earlier process counted it, before ours began.
        const Traffic own = t.own(), &said = say.peer;
        const auto restore = [&](std::uint64_t &base, std::uint64_t known, std::uint64_t told_own) {
            if (told_own <= known)
                return;
            base = told_own;
            t.changed = true;
        };
        restore(t.base.octets_in, own.octets_in, said.octets_in);
        restore(t.base.packets_in, own.packets_in, said.packets_in);
        restore(t.base.octets_out, own.octets_out, said.octets_out);
        restore(t.base.packets_out, own.packets_out, said.packets_out);
    }
}

std::vector<TunnelTraffic> TunnelCounters::changed()
{
    std::vector<TunnelTraffic> out;
    for (auto &[name, t] : tunnels_)
        if (std::exchange(t.changed, false))
            out.push_back({name, t.own(), t.peer});
    return out;
}

std::vector<TunnelTraffic> TunnelCounters::all() const
{
    std::vector<TunnelTraffic> out;
    for (const auto &[name, t] : tunnels_)
        out.push_back({name, t.own(), t.peer});
    return out;
}

Traffic TunnelCounters::of(const std::string &tunnel) const
{
    const auto it = tunnels_.find(tunnel);
    if (it == tunnels_.end())
        return {};
    Traffic t = it->second.own();
    t.add(it->second.peer);
    return t;
}

}  // namespace mcipsec
