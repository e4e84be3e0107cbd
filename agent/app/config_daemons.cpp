// SPDX-License-Identifier: GPL-2.0-or-later
// The rules that the configurations of charon and keepalived must keep for
// mc-ipsec: seed "Other Details" (no dpd, auto-establish blocked), "Configuration
// Guidelines" (lifetimes), CONTRACT "Refused".
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <glob.h>
#include <set>
#include <strings.h>

#include "app/config_check.hpp"
#include "app/config_keys.hpp"
#include "io/files.hpp"

namespace mcipsec::app {

namespace {

// The seed's floors for the side with the smaller lifetime, which is the IPsec
// peer; the chassis should have two to three times as much.
constexpr Duration kIkeFloor = 2 * 86400s;
constexpr Duration kChildFloor = 2 * 3600s;

std::string seconds(Duration d) { return fmt::format("{} s", std::chrono::duration<double>(d).count()); }

// A position behind a message's object, or nothing when the source has none (VICI).
std::string at(const Where &w, const Where &fallback)
{
    const auto text = (w.line ? w : fallback).str();
    return text.empty() ? text : text + ": ";
}

// A host by address or name: no wildcard, no network, no range, no second one.
bool one_peer(const std::vector<std::string> &addrs)
{
    return addrs.size() == 1 && !addrs[0].empty() && addrs[0].find_first_of("%/") == std::string::npos && addrs[0] != "0.0.0.0" && addrs[0] != "::" &&
           (addrs[0].find('-') == std::string::npos || addrs[0].find_first_not_of("0123456789abcdefABCDEF:.-") != std::string::npos);
}

bool inert(const std::string &action) { return action.empty() || action == "none"; }

void check_child(const ConnectionInfo &c, const ChildInfo &child, Findings &f)
{
    const std::string name = fmt::format("connection {} child {}", c.name, child.name);
    if (!inert(child.start_action))
        f.errors.push_back(fmt::format("{}{} has start_action = {}, allowed is none: the gateway only responds", at(child.where_start, child.where), name, child.start_action));
    if (!inert(child.close_action))
        f.errors.push_back(fmt::format("{}{} has close_action = {}, allowed is none: the gateway only responds", at(child.where_close, child.where), name, child.close_action));
    if (child.inactivity && child.inactivity->count())
        f.errors.push_back(fmt::format("{}{} has inactivity = {}, allowed is 0: the gateway only responds", at(child.where_inactivity, child.where), name, seconds(*child.inactivity)));
    if (!child.hw_offload.empty() && ::strcasecmp(child.hw_offload.c_str(), "no") != 0)
        f.errors.push_back(fmt::format("{}{} has hw_offload = {}, allowed is no: the sequence numbers of a device cannot be synchronized", at(child.where_offload, child.where), name, child.hw_offload));
    if (child.ah)
        f.errors.push_back(fmt::format("{}{} has ah_proposals, allowed is ESP: AH is not gated", at({}, child.where), name));
    if (child.rekey_time && child.rekey_time->count()) {
        if (*child.rekey_time < kChildFloor)
            f.warnings.push_back(fmt::format("{}{} has a CHILD_SA lifetime of {}, recommended is {} or more (two to three times the peer's)", at({}, child.where), name, seconds(*child.rekey_time), seconds(kChildFloor)));
        if (c.rekey_time && c.rekey_time->count() && *c.rekey_time < 3 * *child.rekey_time)
            f.warnings.push_back(fmt::format("{}{}: IKE_SA lifetime {} is less than three times the CHILD_SA's {}", at({}, child.where), name, seconds(*c.rekey_time), seconds(*child.rekey_time)));
    }
}

std::vector<ConfigText> read_glob(const std::string &pattern)
{
    std::vector<ConfigText> out;
    glob_t found{};
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
        for (std::size_t i = 0; i < found.gl_pathc; i++)
            if (auto text = io::read_file(found.gl_pathv[i]))
                out.push_back({found.gl_pathv[i], std::move(*text)});
    globfree(&found);
    return out;
}

// Line of the first statement `word` inside vrrp_instance NAME; of the instance itself without `word`.
unsigned keepalived_line(std::string_view text, const std::string &instance, std::string_view word)
{
    unsigned line = 0, found = 0;
    bool inside = false;
    for (std::size_t from = 0; from <= text.size();) {
        const auto end = std::min(text.find('\n', from), text.size());
        auto l = text.substr(from, end - from);
        from = end + 1;
        line++;
        l.remove_prefix(std::min(l.find_first_not_of(" \t"), l.size()));
        if (l.starts_with("vrrp_")) {
            const auto name = l.substr(std::min(l.find_first_of(" \t"), l.size()));
            const auto begin = std::min(name.find_first_not_of(" \t"), name.size());
            inside = l.starts_with("vrrp_instance") && name.substr(begin, name.find_first_of(" \t{\r", begin) - begin) == instance;
            if (inside && !found)
                found = line;
        } else if (inside && !word.empty() && l.starts_with(word) && l.substr(word.size()).find_first_not_of(" \t\r") == std::string_view::npos) {
            return line;
        }
    }
    return found;
}

}  // namespace

Findings check_connection(const Config &config, const ConnectionInfo &c)
{
    Findings f;
    bool is_static = false;
    std::vector<IpAddress> gateways;
    for (const auto &[name, t] : config.tunnel)
        if (t.connection == c.name && config.peer_of(t.tunnel_group)) {
            is_static = is_static || t.type == TunnelType::Static;
            if (const auto p = config.publics.find(t.public_name); p != config.publics.end())
                gateways.insert(gateways.end(), p->second.local_gateway_address.begin(), p->second.local_gateway_address.end());
        }
    if (gateways.empty())       // no tunnel of a group that is synchronized
        return f;
    const std::string name = "connection " + c.name;
    for (const auto &[where, text] : c.no_time)
        f.errors.push_back(fmt::format("{}{} has {}, allowed is a number with s, m, h or d", at(where, c.where), name, text));
    for (const auto &local : c.local_addrs)
        if (const auto a = IpAddress::parse(local); a && std::find(gateways.begin(), gateways.end(), *a) == gateways.end())
            f.warnings.push_back(fmt::format("{}{} has local_addrs = {}, expected is the local-gateway-address of its public: {}", at({}, c.where), name, local, gateways.front().str()));
    // Seed "Tunnel ISAs": of a point-to-point tunnel only that end point is listened to.
    if (is_static && !one_peer(c.remote_addrs))
        f.warnings.push_back(fmt::format("{}{} is that of a static tunnel and has remote_addrs = {}, recommended is the one address of its peer", at(c.where_remote, c.where), name,
                                         c.remote_addrs.empty() ? "%any" : fmt::format("{}", fmt::join(c.remote_addrs, ", "))));
    if (c.version == "1" || c.version == "IKEv1")
        f.errors.push_back(fmt::format("{}{} is IKEv1, allowed is version = 2", at(c.where_version, c.where), name));
    else if (c.version == "0" || c.version == "IKEv1/2")
        f.warnings.push_back(fmt::format("{}{} accepts IKEv1, too, whose tunnels are not synchronized; recommended is version = 2", at(c.where_version, c.where), name));
    if (c.dpd_delay && c.dpd_delay->count() > 0)
        f.errors.push_back(fmt::format("{}{} has dpd_delay = {}, allowed is 0: dead peers are detected by the IPsec peer", at(c.where_dpd, c.where), name, seconds(*c.dpd_delay)));
    if (c.mobike)
        f.warnings.push_back(fmt::format("{}{} has mobike, recommended is mobike = no", at(c.where_mobike, c.where), name));
    if (c.rekey_time && c.rekey_time->count() && *c.rekey_time < kIkeFloor)
        f.warnings.push_back(fmt::format("{}{} has an IKE_SA lifetime of {}, recommended is {} or more (two to three times the peer's)", at({}, c.where), name, seconds(*c.rekey_time), seconds(kIkeFloor)));
    if (c.reauth_time && c.reauth_time->count() > 0)
        f.warnings.push_back(fmt::format("{}{} has reauth_time = {}, recommended is 0 with rekey_time: the gateway would end a tunnel to set it up anew", at({}, c.where), name, seconds(*c.reauth_time)));
    for (const auto &child : c.children)
        check_child(c, child, f);
    return f;
}

Findings check_connections(const Config &config, std::span<const ConnectionInfo> connections)
{
    Findings all;
    for (const auto &c : connections) {
        auto f = check_connection(config, c);
        all.errors.insert(all.errors.end(), f.errors.begin(), f.errors.end());
        all.warnings.insert(all.warnings.end(), f.warnings.begin(), f.warnings.end());
    }
    return all;
}

Duration master_down_time(const KeepalivedInstance &i)
{
    // VRRPv3's skew scales with the interval; keepalived uses v3 timers below one second.
    const double skew = (256.0 - i.priority) / 256.0 * (i.advert_int < 1 ? i.advert_int : 1.0);
    return Duration(std::llround((3 * i.advert_int + skew) * 1e9));
}

Findings check_keepalived(const Config &config, const ConfigText &conf)
{
    Findings f;
    const auto instances = parse_keepalived_conf(conf.text);
    for (const auto &[name, v] : config.vrrp.instance) {
        const auto it = instances.find(name);
        if (it == instances.end()) {
            if (conf.text.find("include") == std::string::npos)     // which is not followed here
                f.warnings.push_back(fmt::format("{}: no vrrp_instance {}, expected for [vrrp.instance.{}]", conf.file, name, path_element(name)));
            continue;
        }
        const auto &k = it->second;
        const auto where = [&, &name = name](std::string_view word) { return Where{conf.file, keepalived_line(conf.text, name, word)}.str(); };
        if (k.nopreempt)
            f.errors.push_back(fmt::format("{}: vrrp_instance {} has nopreempt, allowed is preemption: VRRP must follow mc-ipsec", where("nopreempt"), name));
        if (!v.policy)
            continue;
        if (k.priority != static_cast<int>(v.base_priority))
            f.warnings.push_back(fmt::format("{}: vrrp_instance {} has priority {}, expected is {}, the base-priority of [vrrp.instance.{}]", where(""), name, k.priority, v.base_priority, path_element(name)));
        const auto tracked = std::find_if(k.tracked.begin(), k.tracked.end(), [&file = v.track_file](const auto &t) { return t.file == file; });
        if (tracked == k.tracked.end()) {
            if (conf.text.find("include") == std::string::npos)
                f.warnings.push_back(fmt::format("{}: vrrp_instance {} does not follow its group: its track_file block names no track_file with file {}", where(""), name, v.track_file));
        } else if (tracked->weight != 1) {
            f.warnings.push_back(fmt::format("{}: vrrp_instance {} follows {} with weight {}, expected is weight 1", where(""), name, v.track_file, tracked->weight));
        }
        Duration detection = Duration::max();
        for (const auto &e : config.vrrp.policy.at(v.policy).priority_event)
            if (const auto *peer = config.peer_of(e.tunnel_group))
                detection = std::min(detection, detection_time(peer->mc_ipsec));
        if (const Duration down = master_down_time(k); detection != Duration::max() && down > detection)
            f.warnings.push_back(fmt::format("{}: vrrp_instance {}: VRRP master-down time {} is longer than the detection time {}", where(""), name, seconds(down), seconds(detection)));
    }
    return f;
}

namespace {

// A file that does not parse lacks them, too.
Findings connections_there(const Config &config, std::span<const ConnectionInfo> connections)
{
    Findings f;
    for (const auto &[name, t] : config.tunnel)
        if (config.peer_of(t.tunnel_group) && std::none_of(connections.begin(), connections.end(), [&t = t](const auto &c) { return c.name == t.connection; }))
            f.warnings.push_back(fmt::format("{}: no connection {} is read there, expected for tunnel {}", config.system.swanctl_conf, t.connection, name));
    return f;
}

}  // namespace

Findings check_daemon_files(const Config &config)
{
    Findings all;
    const auto add = [&](Findings f) {
        all.errors.insert(all.errors.end(), f.errors.begin(), f.errors.end());
        all.warnings.insert(all.warnings.end(), f.warnings.begin(), f.warnings.end());
    };
    if (!config.system.swanctl_conf.empty())
        if (auto text = io::read_file(config.system.swanctl_conf)) {
            const auto connections = parse_swanctl({config.system.swanctl_conf, std::move(*text)}, read_glob);
            add(check_connections(config, connections));
            add(connections_there(config, connections));
        }
    if (!config.vrrp.keepalived_conf.empty())
        if (auto text = io::read_file(config.vrrp.keepalived_conf))
            add(check_keepalived(config, {config.vrrp.keepalived_conf, std::move(*text)}));
    return all;
}

}  // namespace mcipsec::app
