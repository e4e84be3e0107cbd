// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/route_control.hpp"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <memory>

#include "io/address.hpp"

namespace mcipsec::app {

namespace {

// The device that carries a local address; "" if none does.
std::string device_of(const IpAddress &address)
{
    ifaddrs *list = nullptr;
    if (::getifaddrs(&list) != 0)
        return {};
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs *)> guard(list, ::freeifaddrs);
    for (const ifaddrs *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        sockaddr_storage storage{};
        std::memcpy(&storage, i->ifa_addr, i->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
        if (io::from_sockaddr(storage) == address)
            return i->ifa_name;
    }
    return {};
}

}  // namespace

std::uint8_t route_protocol(Mastership state, bool private_static)
{
    const std::uint8_t base = private_static ? io::kRouteStaticMasterWithPeer : io::kRouteMasterWithPeer;
    switch (state) {
    case Mastership::Master: return base;
    case Mastership::Eligible: return base + 1;
    case Mastership::Discovery:
    case Mastership::NotEligible:
    case Mastership::Standby: break;
    }
    return base + 2;
}

RouteControl::RouteControl(io::Routes routes, io::Links links, io::Log &log)
    : routes_(std::move(routes)), links_(std::move(links)), log_(log)
{
}

void RouteControl::configure(const Config &config, bool prune_now)
{
    config_ = config;
    resolve();
    if (prune_now)
        prune();
}

void RouteControl::prune()
{
    auto have = routes_.dump_own();
    if (!have) {
        ++errors_;
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kRoute), .text = have.error().text});
        return;
    }
    std::set<std::pair<std::uint32_t, Prefix>> wanted;
    for (const auto &p : planned())
        wanted.emplace(p.route.table, p.route.destination);
    for (const auto &r : *have)
        if (!wanted.contains({r.table, r.destination}))
            if (auto done = routes_.remove(r); !done)
                ++errors_;
}

std::vector<RouteControl::Planned> RouteControl::planned() const
{
    auto out = planned_;
    for (const auto &[key, r] : reverse_)
        out.push_back(planned_of(key, r.group));
    return out;
}

RouteControl::Planned RouteControl::planned_of(const ReverseKey &key, GroupId group) const
{
    Planned p{group, {}, {}, false};
    if (const auto t = config_.tunnel.find(key.first); t != config_.tunnel.end())
        p.device = t->second.interface;
    if (const auto table = tables_.find(key.first); table != tables_.end())
        p.route.table = table->second;
    p.route.destination = key.second;
    p.route.metric = key.second.address.family == 6 ? 1024 : 0;
    return p;
}

void RouteControl::set_reverse(GroupId group, const std::string &tunnel, const Bytes &child, const std::vector<Prefix> &remote)
{
    const auto before = of_child_.contains(child) ? of_child_[child] : std::pair{tunnel, std::vector<Prefix>{}};
    if (remote.empty())
        of_child_.erase(child);
    else
        of_child_[child] = {tunnel, remote};
    for (const auto &prefix : remote) {
        auto &r = reverse_[{tunnel, prefix}];
        r.group = group;
        if (r.children.insert(child).second && r.children.size() == 1)
            write(planned_of({tunnel, prefix}, group));
    }
    for (const auto &prefix : before.second) {
        if (std::find(remote.begin(), remote.end(), prefix) != remote.end())
            continue;
        const auto it = reverse_.find({before.first, prefix});
        if (it == reverse_.end() || !it->second.children.erase(child) || !it->second.children.empty())
            continue;
        if (auto done = routes_.remove(planned_of(it->first, it->second.group).route); !done)
            ++errors_;
        reverse_.erase(it);
    }
}

void RouteControl::resolve()
{
    planned_.clear();
    tables_.clear();
    for (const auto &[name, pub] : config_.publics) {
        const auto table = links_.vrf_table(pub.vrf);
        for (const auto &address : pub.local_gateway_address) {
            Planned p{pub.tunnel_group, {}, pub.interface.empty() ? device_of(address) : pub.interface, false};
            p.route.destination = {address, static_cast<std::uint8_t>(address.size() * 8)};
            p.route.table = table.value_or(0);
            // The kernel's local route of it, metric 0, is in a VRF's table as well: that one stays.
            p.route.metric = address.family == 6 || !pub.vrf.empty() ? 1024 : 0;
            planned_.push_back(std::move(p));
        }
    }
    for (const auto &[name, tunnel] : config_.tunnel) {
        const auto priv = config_.privates.find(tunnel.private_name);
        const auto table = links_.vrf_table(priv == config_.privates.end() ? "" : priv->second.vrf);
        tables_[name] = table.value_or(0);
        for (const auto &prefix : tunnel.static_route) {
            Planned p{tunnel.tunnel_group, {}, tunnel.interface, true};
            p.route.destination = {prefix.address, prefix.length};
            p.route.table = table.value_or(0);
            p.route.metric = prefix.address.family == 6 ? 1024 : 0;
            planned_.push_back(std::move(p));
        }
    }
}

void RouteControl::write(const Planned &p)
{
    auto complain = [&](const std::string &why) {
        ++errors_;
        auto &last = complained_[p.route.destination.str()];
        if (last == why)
            return;
        last = why;
        log_.write({.level = io::Level::Warning,
                    .event = std::string(io::event::kRoute),
                    .text = fmt::format("route {} of tunnel-group {}: {}", p.route.destination.str(), p.group, why),
                    .group = p.group});
    };
    io::Route route = p.route;
    const auto state = state_.find(p.group);
    route.protocol = route_protocol(state == state_.end() ? Mastership::Discovery : state->second, p.private_static);
    route.ifindex = p.device.empty() ? 0 : ::if_nametoindex(p.device.c_str());
    if (route.table == 0)
        return complain("its VRF device is not there");
    if (route.ifindex == 0)
        return complain(p.device.empty() ? "no interface carries this gateway address" : "interface " + p.device + " is not there");
    if (auto done = routes_.replace(route); !done)
        return complain(done.error().text);
    complained_.erase(p.route.destination.str());
}

void RouteControl::set_state(GroupId group, Mastership state, bool force)
{
    const auto it = state_.find(group);
    // Of another state that has the same number, too: mcipsec-trackd may have taken a
    // gateway that was starting for one without an agent.
    if (!force && it != state_.end() && it->second == state)
        return;
    state_[group] = state;
    for (const auto &p : planned())
        if (p.group == group)
            write(p);
}

void RouteControl::mend()
{
    if (complained_.empty())
        return;
    if (std::any_of(planned_.begin(), planned_.end(), [](const Planned &p) { return p.device.empty() || p.route.table == 0; }))
        resolve();
    for (const auto &p : planned())
        if (state_.contains(p.group) && complained_.contains(p.route.destination.str()))
            write(p);
}

void RouteControl::link_changed(const io::Link &link, bool removed)
{
    resolve();
    const auto all = planned();
    const bool ours = std::any_of(all.begin(), all.end(), [&](const Planned &p) {
        return p.device == link.name || p.device.empty() || p.route.table == 0;
    });
    if (removed || !ours)
        return;
    for (const auto &p : all)
        if (state_.contains(p.group) && (p.device == link.name || link.kind == "vrf"))
            write(p);
}

}  // namespace mcipsec::app
