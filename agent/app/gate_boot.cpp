// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/gate_boot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace mcipsec::app {

std::uint32_t lease_of(const Config &config, GroupId group)
{
    const auto *peer = config.peer_of(group);
    if (!peer)
        return 0;
    std::uint32_t id = 1;
    for (const auto &[address, p] : config.multi_chassis.peer) {
        if (address == peer->address)
            return id;
        ++id;
    }
    return 0;
}

namespace {

Expected<std::uint32_t> vrf_ifindex(io::Links &links, const std::string &vrf)
{
    if (vrf.empty())
        return 0u;
    auto link = links.by_name(vrf);
    if (!link)
        return fail(link.error().code, fmt::format("VRF '{}': {}", vrf, link.error().text));
    return link->ifindex;
}

void add_unique(std::vector<io::GateAddress> &to, const io::GateAddress &a)
{
    if (std::find(to.begin(), to.end(), a) == to.end())
        to.push_back(a);
}

}  // namespace

Expected<io::GroupConfig> gate_config(const Config &config, GroupId group, io::Links &links)
{
    io::GroupConfig g;
    g.id = group;
    g.lease_id = lease_of(config, group);
    for (const auto &[name, pub] : config.publics) {
        if (pub.tunnel_group != group)
            continue;
        // Before its VRF exists an address is closed in the main table, which is
        // closed, too; the agent says it again when the VRF comes.
        const auto vrf = vrf_ifindex(links, pub.vrf);
        for (const auto &a : pub.local_gateway_address)
            add_unique(g.addresses, {a, vrf.value_or(0)});
        for (const auto *list : {&pub.static_redundant_next_hop, &pub.dynamic_redundant_next_hop})
            for (const auto &a : *list)
                if (vrf)
                    add_unique(g.public_nexthops, {a, *vrf});
    }
    for (const auto &[name, priv] : config.privates) {
        if (priv.tunnel_group != group)
            continue;
        const auto vrf = vrf_ifindex(links, priv.vrf);
        if (!vrf)
            continue;   // no shunting until the VRF is there: closed, not wrong
        for (const auto *list : {&priv.static_redundant_next_hop, &priv.dynamic_redundant_next_hop})
            for (const auto &a : *list)
                add_unique(g.private_nexthops, {a, *vrf});
    }
    return g;
}

Expected<void> boot_gates(io::McipsecNl &kernel, io::Links &links, const Config &config, bool prune)
{
    if (prune) {        // first: what it had may belong to another group now
        auto have = kernel.group_dump();
        if (!have)
            return tl::unexpected(have.error());
        for (const auto &g : *have)
            if (!config.tunnel_group.contains(g.id))
                if (auto gone = kernel.group_del(g.id); !gone)
                    return gone;
    }
    auto apply = [&](GroupId id) -> Expected<void> {
        auto g = gate_config(config, id, links);
        if (!g)
            return tl::unexpected(g.error());
        auto made = kernel.group_new(*g);
        if (!made && made.error().code == -EEXIST)
            made = kernel.group_replace(*g);
        return made;
    };
    // An address that moves is taken only once its old group has let go of it.
    std::vector<GroupId> left;
    for (const auto &[id, tg] : config.tunnel_group)
        left.push_back(id);
    for (std::size_t before = left.size() + 1; !left.empty() && left.size() < before;) {
        before = left.size();
        std::vector<GroupId> again;
        for (const auto id : left) {
            const auto made = apply(id);
            if (!made && made.error().code != -EADDRINUSE)
                return fail(made.error().code, fmt::format("tunnel-group {}: {}", id, made.error().text));
            if (!made)
                again.push_back(id);
        }
        left = std::move(again);
    }
    if (!left.empty())
        return fail(-EADDRINUSE, fmt::format("tunnel-group {}: a local-gateway-address belongs to another tunnel-group in the kernel", left.front()));
    return {};
}

}  // namespace mcipsec::app
