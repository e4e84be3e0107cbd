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

constexpr std::uint16_t kBothKinds = MCIPSEC_ADDR_F_STATIC | MCIPSEC_ADDR_F_DYNAMIC;

std::uint16_t flag(TunnelType t) { return t == TunnelType::Static ? MCIPSEC_ADDR_F_STATIC : MCIPSEC_ADDR_F_DYNAMIC; }

// The kinds of tunnels that a group has in a VRF of one side.
template <typename Services>
std::uint16_t kinds_in(const Config &config, GroupId group, const Services &services, std::string TunnelConfig::*service, const std::string &vrf)
{
    std::uint16_t kinds = 0;
    for (const auto &[name, t] : config.tunnel)
        if (const auto s = services.find(t.*service); t.tunnel_group == group && s != services.end() && s->second.vrf == vrf)
            kinds |= flag(t.type);
    return kinds;
}

// Next-hops as the module takes them: told apart only where there are tunnels of both kinds.
template <typename Service>
void add_next_hops(std::vector<io::GateAddress> &to, const Service &s, std::uint32_t vrf, std::uint16_t kinds)
{
    for (const auto &kind : redundant_next_hops(s)) {
        if (kinds && !(kinds & flag(kind.type)))
            continue;
        const std::uint16_t flags = kinds == kBothKinds ? flag(kind.type) : 0;
        for (const auto &a : kind.hops) {
            const auto it = std::find_if(to.begin(), to.end(), [&](const io::GateAddress &g) { return g.address == a && g.vrf_ifindex == vrf; });
            if (it == to.end())
                to.push_back({a, vrf, flags});
            else if ((it->flags | flags) == kBothKinds)
                it->flags = 0;
        }
    }
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
        if (vrf)
            add_next_hops(g.public_nexthops, pub, *vrf, kinds_in(config, group, config.publics, &TunnelConfig::public_name, pub.vrf));
    }
    for (const auto &[name, priv] : config.privates) {
        if (priv.tunnel_group != group)
            continue;
        const auto vrf = vrf_ifindex(links, priv.vrf);
        if (!vrf)
            continue;   // no shunting until the VRF is there: closed, not wrong
        add_next_hops(g.private_nexthops, priv, *vrf, kinds_in(config, group, config.privates, &TunnelConfig::private_name, priv.vrf));
    }
    return g;
}

io::GroupConfig for_older_module(io::GroupConfig g)
{
    for (auto *list : {&g.public_nexthops, &g.private_nexthops}) {
        std::vector<io::GateAddress> one;
        for (auto a : *list) {
            a.flags = 0;
            if (std::none_of(one.begin(), one.end(), [&](const auto &o) { return o.vrf_ifindex == a.vrf_ifindex && o.address.family == a.address.family; }))
                one.push_back(a);
        }
        *list = std::move(one);
    }
    return g;
}

Expected<std::vector<GroupId>> shut_unknown_gates(io::McipsecNl &kernel, io::Links &links, const io::Cookie &cookie, const Config &config)
{
    auto have = kernel.group_dump();
    if (!have)
        return tl::unexpected(have.error());
    std::vector<io::GateAddress> taken;
    for (const auto &[id, tg] : config.tunnel_group) {
        const auto configured = gate_config(config, id, links);
        if (!configured)
            return tl::unexpected(configured.error());
        taken.insert(taken.end(), configured->addresses.begin(), configured->addresses.end());
    }
    std::vector<GroupId> left;
    std::vector<io::StateChange> shut;
    for (const auto &g : *have) {
        if (config.tunnel_group.contains(g.id))
            continue;
        io::GroupConfig rest{g.id, g.addresses, {}, {}, 0};
        std::erase_if(rest.addresses, [&](const io::GateAddress &a) { return std::find(taken.begin(), taken.end(), a) != taken.end(); });
        if (rest.addresses.empty()) {
            if (auto gone = kernel.group_del(g.id); !gone)
                return tl::unexpected(gone.error());
            continue;
        }
        if (auto done = kernel.group_replace(rest); !done)
            return tl::unexpected(done.error());
        shut.push_back({g.id, Mastership::NotEligible, 0, g.generation});
        left.push_back(g.id);
    }
    if (!shut.empty())
        if (auto done = kernel.state_set(cookie, shut); !done)
            return tl::unexpected(done.error());
    return left;
}

Expected<void> boot_gates(io::McipsecNl &kernel, io::Links &links, const Config &config)
{
    auto apply = [&](GroupId id) -> Expected<void> {
        auto g = gate_config(config, id, links);
        if (!g)
            return tl::unexpected(g.error());
        const auto write = [&](const io::GroupConfig &config) {
            auto made = kernel.group_new(config);
            return !made && made.error().code == -EEXIST ? kernel.group_replace(config) : made;
        };
        auto made = write(*g);
        return !made && made.error().code == -EINVAL ? write(for_older_module(*g)) : made;
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
