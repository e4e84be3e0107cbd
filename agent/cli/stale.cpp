// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/stale.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace mcipsec::cli {

namespace {

constexpr const char *kNoAgent = "the agent is not reachable";

const io::GroupInfo *find(std::span<const io::GroupInfo> groups, GroupId id)
{
    const auto it = std::find_if(groups.begin(), groups.end(), [&](const io::GroupInfo &g) { return g.id == id; });
    return it == groups.end() ? nullptr : &*it;
}

app::PeerGroupView row(GroupId id, const io::GroupInfo *g)
{
    app::PeerGroupView v;
    v.id = v.peer_group = id;
    v.oper_state = "unknown";
    v.reasons = {kNoAgent};
    v.mastership = g ? std::string(to_string(g->state)) : "unknown";
    v.generation = g ? g->generation : 0;
    v.switchover = "unknown";
    return v;
}

std::uint32_t secs(Duration d) { return static_cast<std::uint32_t>(d / 1s); }

}  // namespace

void overlay(app::TunnelGroupView &v, const io::GroupInfo &g, Time now)
{
    v.mastership = to_string(g.state);
    v.gate = io::to_string(g.action);
    v.generation = g.generation;
    v.lease_ms = !g.lease_id || !g.lease_expiry ? -1 : std::max<std::int64_t>(0, (*g.lease_expiry - now) / 1ms);
    v.nominal = (g.flags & MCIPSEC_F_NOMINAL) && v.lease_ms != 0;   // whoever said so is gone when it has run out
    v.addresses.clear();
    for (const auto &a : g.addresses)
        v.addresses.push_back(a.address.str());
    v.next_hops.clear();
    for (const auto &a : g.public_nexthops)
        v.next_hops.push_back(a.address.str() + " (public)");
    for (const auto &a : g.private_nexthops)
        v.next_hops.push_back(a.address.str() + " (private)");
    v.gate_counters.clear();
    for (unsigned i = 0; i <= MCIPSEC_STAT_MAX; i++)
        if (const auto name = io::stat_name(i); !name.empty())
            v.gate_counters[std::string(name)] = g.stats[i];
}

Expected<app::PeerView> stale_peer(const app::Config *config, std::span<const io::GroupInfo> groups, const std::string &address)
{
    app::PeerView v;
    v.peer_addr = address;
    v.last_update = "unknown";
    v.reachable = v.bfd_state = "unknown";
    if (!config) {
        for (const auto &g : groups) {
            v.tunnel_groups.push_back(row(g.id, &g));
            v.tunnel_groups.back().admin_state = "unknown";
        }
        return v;
    }
    const auto parsed = IpAddress::parse(address);
    const auto it = parsed ? config->multi_chassis.peer.find(*parsed) : config->multi_chassis.peer.end();
    if (it == config->multi_chassis.peer.end())
        return fail(-ENOENT, "no multi-chassis peer " + address);
    const auto &p = it->second;
    v.peer_name = p.name;
    v.peer_addr = p.address.str();
    v.peer_admin_state = p.shutdown ? "Down" : "Up";
    v.keep_alive_intvl = std::chrono::duration<double>(p.mc_ipsec.keep_alive_interval).count();
    v.hold_on_nbr_fail = p.mc_ipsec.hold_on_neighbor_failure;
    v.discovery_intvl = secs(p.mc_ipsec.discovery_interval);
    v.discovery_boot_intvl = secs(p.mc_ipsec.discovery_interval_boot);
    v.bfd = p.mc_ipsec.bfd_enable ? "Enable" : "Disable";
    v.source_addr = p.source_address.str();
    for (const auto &[id, g] : p.mc_ipsec.tunnel_group) {
        auto r = row(id, find(groups, id));
        r.peer_group = g.peer_group;
        r.priority = g.priority;
        r.admin_state = g.shutdown ? "Down" : "Up";
        v.tunnel_groups.push_back(std::move(r));
    }
    return v;
}

std::vector<app::TunnelGroupView> stale_groups(const app::Config *config, std::span<const io::GroupInfo> groups, Time now)
{
    std::vector<app::TunnelGroupView> out;
    for (const auto &g : groups) {
        app::TunnelGroupView v;
        v.id = g.id;
        v.oper_state = "unknown";
        v.admin_state = "unknown";
        if (config)
            if (const auto it = config->tunnel_group.find(g.id); it != config->tunnel_group.end()) {
                v.primary = it->second.mda;
                v.admin_state = it->second.shutdown ? "Down" : "Up";
                v.active_mda_number = it->second.active_mda_number;
                v.ipsec_responder_only = it->second.ipsec_responder_only;
            }
        overlay(v, g, now);
        out.push_back(std::move(v));
    }
    return out;
}

}  // namespace mcipsec::cli
