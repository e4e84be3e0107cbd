// SPDX-License-Identifier: GPL-2.0-or-later
// Checks of the configuration as a whole: references, uniqueness, timers. The
// rules are CONTRACT "Configuration" and the seed's notes ("must be in
// multi-active mode", "required for static LAN-to-LAN").
#include "app/config_check.hpp"

#include <fmt/format.h>
#include <linux/mcipsec.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "app/config_keys.hpp"
#include "core/lease.hpp"
#include "io/vici_codec.hpp"

namespace mcipsec::app {

namespace {

std::string ms(Duration d) { return fmt::format("{} ms", std::chrono::duration<double, std::milli>(d).count()); }

std::string peer_path(const PeerConfig &p) { return "redundancy.multi-chassis.peer." + path_element(p.address.str()); }
std::string group_path(GroupId id) { return "isa.tunnel-group." + std::to_string(id); }

class Checker {
public:
    Checker(const Config &c, std::vector<std::string> &errors, std::vector<std::string> &warnings) : c_(c), errors_(errors), warnings_(warnings) {}

    void run()
    {
        required();
        if (!errors_.empty())
            return;     // what follows would only repeat them
        groups();
        interfaces();
        addresses();
        tunnels();
        for (const auto &[address, peer] : c_.multi_chassis.peer)
            check_peer(peer);
        one_peer_a_group();
        vrrp();
    }

private:
    const Config &c_;
    std::vector<std::string> &errors_, &warnings_;

    void error(const std::string &path, const std::string &text) { errors_.push_back(c_.where_of(path).str() + ": " + text); }
    void warn(const std::string &path, const std::string &text) { warnings_.push_back(c_.where_of(path).str() + ": " + text); }

    void required()
    {
        for (const auto &l : flatten(c_))
            if (l.required && !c_.where.contains(l.path()))
                error(l.section, fmt::format("[{}] has no {}, which it needs", l.section, l.key));
        for (const auto &[id, p] : c_.vrrp.policy)
            for (std::size_t i = 0; i < p.priority_event.size(); i++)
                if (!p.priority_event[i].tunnel_group)
                    error(fmt::format("vrrp.policy.{}.priority-event.{}", id, i), "a priority-event has no mc-ipsec-non-forwarding, which it needs: the number of a tunnel-group");
    }

    void known_group(GroupId id, const std::string &path, const std::string &what)
    {
        if (!c_.tunnel_group.contains(id))
            error(path, fmt::format("{} names tunnel-group {}, allowed are those under [isa.tunnel-group]", what, id));
    }

    void groups()
    {
        if (c_.tunnel_group.empty())
            warn("isa", "there is no tunnel-group: nothing is gated and nothing synchronised");
        std::set<std::string> used;
        for (const auto &[id, g] : c_.tunnel_group) {
            if (g.active_mda_number > g.mda.size())
                error(group_path(id) + ".active-mda-number", fmt::format("active-mda-number is {}, allowed is 1..{}: mda names {} member(s)", g.active_mda_number, g.mda.size(), g.mda.size()));
            if (!g.multi_active && g.active_mda_number > 1)
                error(group_path(id) + ".active-mda-number", fmt::format("active-mda-number is {} without multi-active, allowed is 1", g.active_mda_number));
            used.insert(g.mda.begin(), g.mda.end());
        }
        for (const auto &[id, g] : c_.tunnel_group)
            room_of(id);
        for (const auto &[name, m] : c_.mda)
            if (!used.contains(name))
                warn("isa.mda." + path_element(name), fmt::format("mda {} is a member of no tunnel-group", quoted(name)));
    }

    // What the module can hold of a group, and cannot do without.
    void room_of(GroupId id)
    {
        std::set<IpAddress> gateways;
        std::set<std::pair<std::string, IpAddress>> hops[2];
        for (const auto &[name, p] : c_.publics)
            if (p.tunnel_group == id) {
                gateways.insert(p.local_gateway_address.begin(), p.local_gateway_address.end());
                for (const auto &kind : redundant_next_hops(p))
                    for (const auto &a : kind.hops)
                        hops[0].emplace(p.vrf, a);
            }
        for (const auto &[name, p] : c_.privates)
            if (p.tunnel_group == id)
                for (const auto &kind : redundant_next_hops(p))
                    for (const auto &a : kind.hops)
                        hops[1].emplace(p.vrf, a);
        if (gateways.empty())
            error(group_path(id), fmt::format("tunnel-group {} has no local-gateway-address, it needs one: allowed is at least one [ipsec.public] with tunnel-group = {}", id, id));
        if (gateways.size() > MCIPSEC_ADDR_MAX)
            error(group_path(id), fmt::format("tunnel-group {} has {} addresses under local-gateway-address, allowed are {}", id, gateways.size(), MCIPSEC_ADDR_MAX));
        for (const auto &side : hops)
            if (side.size() > MCIPSEC_NEXTHOP_MAX)
                error(group_path(id), fmt::format("tunnel-group {} has {} redundant-next-hops on one side, allowed are {}", id, side.size(), MCIPSEC_NEXTHOP_MAX));
    }

    // A shunted packet goes to the peer's chassis: an address of a host, and none of ours.
    void next_hops(const std::vector<IpAddress> &hops, const std::string &vrf, const std::string &path, const std::string &key)
    {
        one_per_family(hops, path, key);
        for (const auto &a : hops) {
            if (!routed(a))
                error(path + "." + key, fmt::format("{} {} is no address of a host, allowed is a unicast address of the peer's chassis", key, a.str()));
            else if (vrf.empty() && a == c_.system.address)
                error(path + "." + key, fmt::format("{} {} is this chassis' own address, allowed is one of the peer's chassis", key, a.str()));
        }
    }

    void one_per_family(const std::vector<IpAddress> &hops, const std::string &path, const std::string &key)
    {
        for (const std::uint8_t family : {4, 6})
            if (std::count_if(hops.begin(), hops.end(), [&](const IpAddress &a) { return a.family == family; }) > 1)
                error(path + "." + key, fmt::format("{} has two IPv{} addresses, allowed is one of each family", key, family));
    }

    // The module knows a packet's group, VRF and family, and whether its tunnel is static,
    // not which of a group's services in one VRF it belongs to.
    using Side = std::tuple<GroupId, std::string, std::uint8_t, TunnelType>;        // group, VRF, family
    template <typename Service>
    void one_next_hop(std::map<Side, std::pair<IpAddress, std::string>> &first, const Service &s, const std::string &path)
    {
        for (const auto &kind : redundant_next_hops(s)) {
            const auto key = path + "." + kind.key;
            for (const auto &a : kind.hops)
                if (const auto [it, fresh] = first.try_emplace({s.tunnel_group, s.vrf, a.family, kind.type}, a, key); !fresh && it->second.first != a && it->second.second != key)
                    error(key, fmt::format("{} is not {} of {}, allowed is one redundant-next-hop of a family and kind of tunnel in a VRF of tunnel-group {}",
                                           a.str(), it->second.first.str(), it->second.second, s.tunnel_group));
        }
    }

    // In one VRF a kind of tunnels was forgotten: the other's next-hop is not for it.
    template <typename Services>
    void next_hop_of_each_kind(const Services &services, std::string TunnelConfig::*service, const std::string &section)
    {
        std::map<std::tuple<GroupId, std::string, TunnelType>, IpAddress> has;
        for (const auto &[name, s] : services)
            for (const auto &kind : redundant_next_hops(s))
                if (!kind.hops.empty())
                    has.emplace(std::tuple(s.tunnel_group, s.vrf, kind.type), kind.hops.front());
        std::set<std::pair<std::string, TunnelType>> told;
        for (const auto &[tunnel, t] : c_.tunnel) {
            const auto s = services.find(t.*service);
            if (s == services.end() || has.contains({s->second.tunnel_group, s->second.vrf, t.type}))
                continue;
            const auto other = has.find({s->second.tunnel_group, s->second.vrf, t.type == TunnelType::Static ? TunnelType::Dynamic : TunnelType::Static});
            if (other == has.end() || !told.emplace(s->first, t.type).second)
                continue;
            const auto path = section + path_element(s->first);
            const auto kinds = redundant_next_hops(s->second);
            const auto &lacks = *std::find_if(kinds.begin(), kinds.end(), [&t = t](const NextHopsOfKind &kind) { return kind.type == t.type; });
            warn(path, fmt::format("{} has {} tunnels but no {}, so that a standby drops their packets; for the others there is {}", path, to_string(t.type), lacks.key, other->second.str()));
        }
    }

    void interfaces()
    {
        std::map<Side, std::pair<IpAddress, std::string>> public_hop, private_hop;
        std::map<IpAddress, std::string> owner;     // address -> public, within one VRF of all groups
        for (const auto &[name, p] : c_.publics) {
            const std::string path = "ipsec.public." + path_element(name);
            known_group(p.tunnel_group, path + ".tunnel-group", "public " + quoted(name));
            for (const auto &kind : redundant_next_hops(p))
                next_hops(kind.hops, p.vrf, path, kind.key);
            one_next_hop(public_hop, p, path);
            for (const auto &a : p.local_gateway_address) {
                const auto [it, fresh] = owner.emplace(a, name);
                if (!fresh)
                    error(path + ".local-gateway-address", fmt::format("local-gateway-address {} is that of public {}, too, allowed is one owner", a.str(), quoted(it->second)));
            }
        }
        for (const auto &[name, p] : c_.privates) {
            const std::string path = "ipsec.private." + path_element(name);
            known_group(p.tunnel_group, path + ".tunnel-group", "private " + quoted(name));
            for (const auto &kind : redundant_next_hops(p))
                next_hops(kind.hops, p.vrf, path, kind.key);
            one_next_hop(private_hop, p, path);
        }
        next_hop_of_each_kind(c_.publics, &TunnelConfig::public_name, "ipsec.public.");
        next_hop_of_each_kind(c_.privates, &TunnelConfig::private_name, "ipsec.private.");
    }

    void tunnels()
    {
        std::map<std::string, const TunnelConfig *> connection;
        std::map<std::string, std::string> device;
        std::map<std::pair<std::string, Prefix>, std::string> route;    // (private VRF, prefix) -> tunnel
        for (const auto &[name, t] : c_.tunnel) {
            const std::string path = "ipsec.tunnel." + path_element(name);
            const auto pub = c_.publics.find(t.public_name);
            const auto priv = c_.privates.find(t.private_name);
            if (pub == c_.publics.end())
                error(path + ".public", fmt::format("tunnel {} names public {}, allowed are those under [ipsec.public]", quoted(name), quoted(t.public_name)));
            if (priv == c_.privates.end())
                error(path + ".private", fmt::format("tunnel {} names private {}, allowed are those under [ipsec.private]", quoted(name), quoted(t.private_name)));
            if (pub == c_.publics.end() || priv == c_.privates.end())
                continue;
            if (pub->second.tunnel_group != priv->second.tunnel_group)
                error(path + ".private", fmt::format("tunnel {}: public belongs to tunnel-group {} and private to {}, allowed is one tunnel-group", quoted(name), pub->second.tunnel_group, priv->second.tunnel_group));
            if (const auto [it, fresh] = connection.emplace(t.connection, &t); !fresh)
                error(path + ".connection", fmt::format("connection {} is that of tunnel {}, too, allowed is one tunnel", quoted(t.connection), quoted(it->second->name)));
            if (!t.interface.empty())
                if (const auto [it, fresh] = device.emplace(t.interface, name); !fresh)
                    error(path + ".interface", fmt::format("interface {} is that of tunnel {}, too, allowed is one tunnel", t.interface, quoted(it->second)));
            if (!t.static_route.empty() && t.interface.empty())
                error(path + ".static-route", fmt::format("tunnel {} has static-route but no interface, which it needs", quoted(name)));
            if (!t.static_route.empty() && t.type == TunnelType::Dynamic)
                error(path + ".static-route", fmt::format("tunnel {} is dynamic and has static-route, allowed for static tunnels", quoted(name)));
            for (const auto &r : t.static_route)
                if (const auto [it, fresh] = route.emplace(std::pair(priv->second.vrf, r), name); !fresh)
                    error(path + ".static-route", fmt::format("static-route {} is that of tunnel {}, too, allowed is one tunnel", r.str(), quoted(it->second)));
            const auto g = c_.tunnel_group.find(t.tunnel_group);
            if (t.type == TunnelType::Static && g != c_.tunnel_group.end() && !g->second.ipsec_responder_only && c_.peer_of(t.tunnel_group))
                error(path, fmt::format("static tunnel {} in tunnel-group {}, which takes part in mc-ipsec: allowed with ipsec-responder-only = true under [isa.tunnel-group.{}]", quoted(name), t.tunnel_group, t.tunnel_group));
        }
        connections_of_a_message(connection);
    }

    // charon learns the connections of a group in one VICI message.
    void connections_of_a_message(const std::map<std::string, const TunnelConfig *> &connections)
    {
        constexpr std::size_t room = io::vici::kMaxPacket - 16384;      // the rest: addresses, what else is said
        std::map<GroupId, std::pair<std::size_t, std::size_t>> sum;     // number, bytes
        for (const auto &[connection, tunnel] : connections) {
            auto &[number, bytes] = sum[tunnel->tunnel_group];
            ++number;
            bytes += connection.size() + 3;                             // item, length
        }
        for (const auto &[group, s] : sum)
            if (s.second > room)
                error(group_path(group), fmt::format("tunnel-group {}: the names of its {} connections take {} bytes in a message to charon, allowed are {}: shorter names, or another tunnel-group",
                                                     group, s.first, s.second, room));
    }

    // Of one chassis and usable as a source or destination.
    static bool host(const IpAddress &a)
    {
        const auto b = a.bytes;
        if (a.family == 4)
            return b[0] != 0 && b[0] < 224;
        return b[0] != 0xff && std::any_of(b.begin(), b.end(), [](std::uint8_t x) { return x != 0; });
    }

    // That, and not one that every host has.
    static bool routed(const IpAddress &a)
    {
        const auto b = a.bytes;
        const bool loopback = a.family == 4 ? b[0] == 127 : b[15] == 1 && std::all_of(b.begin(), b.end() - 1, [](std::uint8_t x) { return x == 0; });
        return host(a) && !loopback;
    }

    void addresses()
    {
        if (!c_.system.address.empty() && !host(c_.system.address))
            error("system.address", fmt::format("address {} is no address of a host, allowed is a unicast address", c_.system.address.str()));
        for (const auto &[name, p] : c_.publics)
            for (const auto &a : p.local_gateway_address) {
                const std::string path = "ipsec.public." + path_element(name) + ".local-gateway-address";
                if (!routed(a))
                    error(path, fmt::format("local-gateway-address {} is no address of a host, allowed is a unicast address", a.str()));
                for (const auto &[address, peer] : c_.multi_chassis.peer)
                    if (a == address || a == peer.source_address)
                        error(path, fmt::format("local-gateway-address {} is an address of one chassis alone, allowed is one that both share", a.str()));
                for (const auto &kind : redundant_next_hops(p))
                    if (std::find(kind.hops.begin(), kind.hops.end(), a) != kind.hops.end())
                        error(path, fmt::format("local-gateway-address {} is a redundant-next-hop, too, allowed is an address of the peer's", a.str()));
            }
        const auto &mc = c_.multi_chassis;
        if (mc.mimp_port == mc.bfd_port)
            error("redundancy.multi-chassis.mimp-port", fmt::format("mimp-port and bfd-port are both {}, allowed are two ports", mc.mimp_port));
    }

    void check_peer(const PeerConfig &p)
    {
        const std::string path = peer_path(p);
        if (!host(p.address))
            error(path, fmt::format("peer {} is no address of a host, allowed is a unicast address", p.address.str()));
        if (p.source_address.empty())
            error(path, fmt::format("peer {} has no source-address and [system] has no address, one is needed", p.address.str()));
        else if (p.source_address == p.address)
            error(path + ".source-address", fmt::format("source-address {} is the peer's own address, allowed is an address of this chassis", p.address.str()));
        else if (p.source_address.family != p.address.family)
            error(path + ".source-address", fmt::format("source-address {} and peer {} are of different families, allowed is one family", p.source_address.str(), p.address.str()));
        mc_ipsec(p, path + ".mc-ipsec");
        sync(p, path + ".sync.ipsec");
    }

    void mc_ipsec(const PeerConfig &p, const std::string &path)
    {
        const auto &mc = p.mc_ipsec;
        const Duration detection = detection_time(mc), guard = effective_guard(mc, detection);
        const bool fits = guard >= 5ms && guard <= detection / 2;
        if (!fits)
            error(path + ".lease-guard", fmt::format("lease-guard is {} with a detection time of {}, allowed is 5..{}", ms(guard), ms(detection), ms(detection / 2)));
        else if (guard < default_guard(detection))
            warn(path + ".lease-guard", fmt::format("lease-guard {} is small for a detection time of {}, recommended is {} or more", ms(guard), ms(detection), ms(default_guard(detection))));
        if (const auto plan = mc.bfd_enable ? plan_lease_bfd(std::max(mc.bfd.transmit, mc.bfd.receive), detection, mc.lease_guard)
                                            : plan_lease_mimp(mc.keep_alive_interval, mc.hold_on_neighbor_failure, mc.lease_guard);
            fits && !plan)
            error(path + ".lease-guard", plan.error().text);
        std::map<GroupId, GroupId> by_peer_group;
        for (const auto &[id, g] : mc.tunnel_group) {
            const std::string gp = path + ".tunnel-group." + std::to_string(id);
            const auto own = c_.tunnel_group.find(id);
            if (own == c_.tunnel_group.end()) {
                known_group(id, gp, "mc-ipsec");
                continue;
            }
            if (!own->second.multi_active)
                error(gp, fmt::format("tunnel-group {} is not multi-active, allowed in mc-ipsec with multi-active = true under [isa.tunnel-group.{}]", id, id));
            if (const auto [it, fresh] = by_peer_group.emplace(g.peer_group, id); !fresh)
                error(gp + ".peer-group", fmt::format("peer-group {} is that of tunnel-group {}, too, allowed is one tunnel-group", g.peer_group, it->second));
            if (!p.sync.tunnel_group.contains(id))
                warn(gp, fmt::format("tunnel-group {} has no sync-tag: its tunnels are lost at a switchover", id));
        }
    }

    void sync(const PeerConfig &p, const std::string &path)
    {
        std::map<std::string, GroupId> by_tag;
        for (const auto &[id, g] : p.sync.tunnel_group) {
            const std::string gp = path + ".tunnel-group." + std::to_string(id);
            known_group(id, gp, "sync");
            if (const auto [it, fresh] = by_tag.emplace(g.sync_tag, id); !fresh)
                error(gp + ".sync-tag", fmt::format("sync-tag {} is that of tunnel-group {}, too, allowed is one tunnel-group: it must pair the same groups as peer-group", quoted(g.sync_tag), it->second));
            if (c_.tunnel_group.contains(id) && !p.mc_ipsec.tunnel_group.contains(id))
                error(gp, fmt::format("tunnel-group {} is synchronized with peer {} but not under its mc-ipsec, allowed is the peer that its peer-group names", id, p.address.str()));
        }
    }

    void one_peer_a_group()
    {
        std::map<GroupId, const PeerConfig *> owner;
        for (const auto &[address, p] : c_.multi_chassis.peer)
            for (const auto &[id, g] : p.mc_ipsec.tunnel_group)
                if (const auto [it, fresh] = owner.emplace(id, &p); !fresh)
                    error(fmt::format("{}.mc-ipsec.tunnel-group.{}", peer_path(p), id), fmt::format("tunnel-group {} is under peer {}, too, allowed is one peer", id, it->second->address.str()));
    }

    void vrrp()
    {
        for (const auto &[id, p] : c_.vrrp.policy)
            for (std::size_t i = 0; i < p.priority_event.size(); i++)
                known_group(p.priority_event[i].tunnel_group, fmt::format("vrrp.policy.{}.priority-event.{}", id, i), "mc-ipsec-non-forwarding");
        std::map<std::string, std::string> file;
        for (const auto &[name, v] : c_.vrrp.instance) {
            const std::string path = "vrrp.instance." + path_element(name);
            if (const auto [it, fresh] = file.emplace(v.track_file, name); !fresh)
                error(path + ".track-file", fmt::format("track-file {} is that of instance {}, too, allowed is one instance", v.track_file, quoted(it->second)));
            if (!v.policy)
                continue;
            const auto p = c_.vrrp.policy.find(v.policy);
            if (p == c_.vrrp.policy.end()) {
                error(path + ".policy", fmt::format("policy is {}, allowed are 0 and those under [vrrp.policy]", v.policy));
                continue;
            }
            for (const auto &e : p->second.priority_event)
                if (e.priority >= v.base_priority)
                    warn(path + ".base-priority", fmt::format("base-priority {} is not above the explicit priority {} of policy {}", v.base_priority, e.priority, v.policy));
        }
    }
};

}  // namespace

void fill_defaults(Config &c)
{
    for (auto &[id, g] : c.tunnel_group)
        for (const auto &name : g.mda)
            c.mda.try_emplace(name).first->second.name = name;
    for (auto &[name, t] : c.tunnel) {
        if (t.connection.empty())
            t.connection = name;
        if (const auto p = c.publics.find(t.public_name); p != c.publics.end())
            t.tunnel_group = p->second.tunnel_group;
    }
    for (auto &[address, p] : c.multi_chassis.peer) {
        if (p.source_address.empty())
            p.source_address = c.system.address;
        if (!p.mc_ipsec.discovery_interval_boot.count())
            p.mc_ipsec.discovery_interval_boot = p.mc_ipsec.discovery_interval;
        for (auto &[id, g] : p.mc_ipsec.tunnel_group)
            if (!g.peer_group)
                g.peer_group = id;
    }
    if (c.vrrp.notify_fifo.empty())
        c.vrrp.notify_fifo = c.system.run_dir + "/vrrp/notify.fifo";
    for (auto &[name, v] : c.vrrp.instance)
        if (v.track_file.empty())
            v.track_file = c.system.run_dir + "/vrrp/" + name + ".track";
}

void check_config(const Config &config, std::vector<std::string> &errors, std::vector<std::string> &warnings)
{
    Checker(config, errors, warnings).run();
}

}  // namespace mcipsec::app
