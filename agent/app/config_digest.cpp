// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/config_digest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "core/crypto.hpp"

namespace mcipsec::app {

namespace {

using io::vici::Message;
using io::vici::Section;

constexpr std::string_view kOf = " of connection ";
constexpr std::string_view kLoaded = "loaded";
constexpr std::size_t kItemsMax = 900;          // of mcs::frame's 1024
constexpr std::size_t kBytesMax = 64 * 1024;    // of a frame's 128 KiB
constexpr std::size_t kItemOverhead = 32;       // headers and digest
constexpr std::size_t kDigestSize = 8;

Bytes digest(std::string_view text)
{
    const auto d = sha256({reinterpret_cast<const std::uint8_t *>(text.data()), text.size()});
    return {d.begin(), d.begin() + kDigestSize};
}

Error protocol_error(const std::string &what) { return {-EPROTO, "mcipsec-conn: field " + what + " is missing or malformed"}; }

// Reads one section of the answer; the first missing field is remembered.
struct Reader {
    const Section &s;
    std::string &missing;

    std::string text(const char *name) const
    {
        const auto v = s.get(name);
        if (!v && missing.empty())
            missing = name;
        return std::string(v.value_or(""));
    }
    Duration seconds(const char *name) const
    {
        const auto v = s.u64(name);
        if (!v && missing.empty())
            missing = name;
        return std::chrono::seconds(std::min<std::uint64_t>(v.value_or(0), 1000000000));
    }
    std::string list(const char *name) const
    {
        const auto *v = s.list(name);
        if (!v) {
            if (missing.empty())
                missing = name;
            return {};
        }
        return fmt::format("{}", fmt::join(*v, " "));
    }
};

bool ends_with(std::string_view text, std::string_view end) { return text.size() >= end.size() && text.substr(text.size() - end.size()) == end; }

std::string hops_text(const std::vector<IpAddress> &hops)
{
    bool v4 = false, v6 = false;
    for (const auto &h : hops)
        (h.family == 4 ? v4 : v6) = true;
    return fmt::format("{}{}", v4 ? "4" : "", v6 ? "6" : "");
}

// Items of the agent's own configuration.
std::map<std::string, std::string> own_items(const Config &config, GroupId group)
{
    std::map<std::string, std::string> out;
    const auto tg = config.tunnel_group.find(group);
    if (tg == config.tunnel_group.end())
        return out;
    out["active-mda-number"] = std::to_string(tg->second.active_mda_number);
    out["ipsec-responder-only"] = tg->second.ipsec_responder_only ? "true" : "false";
    auto addresses = config.gateway_addresses(group);
    std::sort(addresses.begin(), addresses.end());
    for (const auto &a : addresses)
        out["local-gateway-address"] += a.str() + "\n";
    for (const auto &[name, t] : config.tunnel) {
        if (t.tunnel_group != group)
            continue;
        out["tunnels"] += fmt::format("{} {} {}\n", name, t.connection, static_cast<int>(t.type));
        auto routes = t.static_route;
        std::sort(routes.begin(), routes.end());
        for (const auto &r : routes)
            out["static-route"] += fmt::format("{} {}\n", name, r.str());
    }
    // Each chassis shunts to the other: the addresses differ, what is shunted must not.
    for (const auto &[name, p] : config.publics)
        if (p.tunnel_group == group)
            out["next-hops"] += fmt::format("public {} {} {}\n", name, hops_text(p.static_redundant_next_hop), hops_text(p.dynamic_redundant_next_hop));
    for (const auto &[name, p] : config.privates)
        if (p.tunnel_group == group)
            out["next-hops"] += fmt::format("private {} {} {}\n", name, hops_text(p.static_redundant_next_hop), hops_text(p.dynamic_redundant_next_hop));
    if (const auto *peer = config.peer_of(group)) {
        // The chassis with the lower address first: the sync-tag pairs the groups that peer-group pairs.
        const auto peer_group = config.mc_ipsec_of(group)->peer_group;
        const bool lower = peer->source_address < peer->address;
        out["peer-group"] = fmt::format("{} {}", lower ? group : peer_group, lower ? peer_group : group);
        out["bfd-enable"] = peer->mc_ipsec.bfd_enable ? "true" : "false";
        out["bfd-authentication"] = peer->mc_ipsec.bfd.authentication ? "true" : "false";
        // Without BFD each chassis counts its lease on the other's detecting as it does itself (I2).
        out["keep-alive-interval"] = std::to_string(peer->mc_ipsec.keep_alive_interval.count());
        out["hold-on-neighbor-failure"] = std::to_string(peer->mc_ipsec.hold_on_neighbor_failure);
    }
    return out;
}

void add(std::vector<mcs::ConfigItem> &to, const std::string &name, std::string_view text) { to.push_back({name, digest(text)}); }

}  // namespace

Expected<ConnectionFacts> parse_connection(const std::string &name, const Message &m)
{
    ConnectionFacts f;
    std::string missing;
    const Reader r{m, missing};
    const auto found = r.text("found");
    if (found != "yes" && found != "no")
        return tl::unexpected(protocol_error("found"));
    f.info.name = name;
    f.loaded = found == "yes";
    if (!f.loaded)
        return f;
    f.info.version = r.text("version");
    f.info.mobike = r.text("mobike") == "yes";
    f.info.dpd_delay = r.seconds("dpd-delay");
    f.info.rekey_time = r.seconds("rekey-time");
    f.info.reauth_time = r.seconds("reauth-time");
    if (const auto *l = m.list("local-addrs"))
        f.info.local_addrs = *l;
    if (const auto *l = m.list("remote-addrs"))
        f.info.remote_addrs = *l;
    f.items["ike-version"] = f.info.version;
    f.items["mobike"] = r.text("mobike");
    f.items["dpd"] = r.text("dpd-delay");
    f.items["addresses"] = r.list("local-addrs") + " - " + r.list("remote-addrs");
    f.items["proposals"] = r.list("proposals");
    f.items["lifetimes"] = r.text("rekey-time") + " " + r.text("reauth-time") + "\n";
    f.items["authentication"] = f.items["identities"] = "";
    for (const auto &e : m.elements()) {
        const auto *list = std::get_if<io::vici::List>(&e.value);
        if (!list || (!e.name.starts_with("local-") && !e.name.starts_with("remote-")))
            continue;
        const auto line = fmt::format("{}: {}\n", e.name, fmt::join(*list, ", "));
        if (ends_with(e.name, "-auth"))
            f.items["authentication"] += line;
        else if (ends_with(e.name, "-ids"))
            f.items["identities"] += line;
    }
    const auto *children = m.section("children");
    if (!children)
        return tl::unexpected(protocol_error("children"));
    for (const char *kind : {"actions", "esp-proposals", "local-ts", "remote-ts", "mode"})
        f.items[kind] = "";
    std::map<std::string, const Section *> sorted;
    for (const auto &e : children->elements())
        if (const auto *s = std::get_if<io::vici::SectionPtr>(&e.value))
            sorted[e.name] = s->get();
    for (const auto &[child_name, s] : sorted) {
        const Reader c{*s, missing};
        ChildInfo child;
        child.name = child_name;
        child.start_action = c.text("start-action");
        child.close_action = c.text("close-action");
        child.dpd_action = c.text("dpd-action");
        child.rekey_time = c.seconds("rekey-time");
        if (s->get("inactivity"))       // a charon that was started before an upgrade does not tell it
            child.inactivity = c.seconds("inactivity");
        const auto line = [&, &child_name = child_name](const char *kind, const std::string &text) { f.items[kind] += child_name + ": " + text + "\n"; };
        line("actions", child.start_action + " " + child.close_action + " " + child.dpd_action + (child.inactivity && child.inactivity->count() ? " inactive " + c.text("inactivity") : ""));
        line("mode", c.text("mode"));
        line("esp-proposals", c.list("proposals"));
        line("local-ts", c.list("local-ts"));
        line("remote-ts", c.list("remote-ts"));
        line("lifetimes", fmt::format("{} {} {} {}", c.text("rekey-time"), c.text("life-time"), c.text("rekey-bytes"), c.text("rekey-packets")));
        f.info.children.push_back(std::move(child));
    }
    if (!missing.empty())
        return tl::unexpected(protocol_error(missing));
    return f;
}

std::vector<std::string> connections_of(const Config &config, GroupId group)
{
    std::vector<std::string> out;
    for (const auto &[name, t] : config.tunnel)
        if (t.tunnel_group == group)
            out.push_back(t.connection);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

std::vector<mcs::ConfigItem> config_digest(const Config &config, GroupId group, const ConnectionsFacts &connections)
{
    std::vector<mcs::ConfigItem> out;
    for (const auto &[name, text] : own_items(config, group))
        add(out, name, text);

    const auto names = connections_of(config, group);
    std::vector<mcs::ConfigItem> fine, by_connection;
    std::map<std::string, std::string> by_kind;
    std::size_t fine_bytes = 0, connection_bytes = 0;
    for (const auto &name : names) {
        const auto it = connections.find(name);
        const bool loaded = it != connections.end() && it->second.loaded;
        std::string whole = loaded ? "yes" : "no";
        add(fine, fmt::format("{}{}{}", kLoaded, kOf, name), whole);
        by_kind[std::string(kLoaded)] += name + " " + whole + "\n";
        if (loaded)
            for (const auto &[kind, text] : it->second.items) {
                add(fine, fmt::format("{}{}{}", kind, kOf, name), text);
                fine_bytes += kind.size() + kOf.size() + name.size() + kItemOverhead;
                whole += kind + " " + text + "\n";
                by_kind[kind] += name + " " + text + "\n";
            }
        add(by_connection, fmt::format("settings{}{}", kOf, name), whole);
        connection_bytes += kOf.size() + name.size() + kItemOverhead;
    }
    if (fine.size() <= kItemsMax && fine_bytes <= kBytesMax)
        out.insert(out.end(), fine.begin(), fine.end());
    else if (by_connection.size() <= kItemsMax && connection_bytes <= kBytesMax)
        out.insert(out.end(), by_connection.begin(), by_connection.end());
    else
        for (const auto &[kind, text] : by_kind)
            add(out, kind + " of connections", text);
    return out;
}

std::string describe_differences(const std::vector<std::string> &names)
{
    std::string out;
    std::map<std::string, std::vector<std::string>> by_connection;
    for (const auto &n : names) {
        if (const auto at = n.find(kOf); at != std::string::npos)
            by_connection[n.substr(at + kOf.size())].push_back(n.substr(0, at));
        else
            out += (out.empty() ? "" : ", ") + n;
    }
    for (const auto &[name, kinds] : by_connection) {
        out += fmt::format("{}connection {}: ", out.empty() ? "" : "; ", name);
        if (std::find(kinds.begin(), kinds.end(), kLoaded) != kinds.end())
            out += "only one chassis has it";
        else
            out += fmt::format("{}", fmt::join(kinds, ", "));
    }
    return out;
}

}  // namespace mcipsec::app
