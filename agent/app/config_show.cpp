// SPDX-License-Identifier: GPL-2.0-or-later
// The configuration as a flat list of sections and keys, and what is made of
// that list: `config show`, the differences between two configurations and the
// check of a reload (CONTRACT "Configuration", seed "Operational Conditions").
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "app/config_keys.hpp"

namespace mcipsec::app {

namespace {

struct Context {
    GroupId group = 0;
    IpAddress peer;
    Apply removal = Apply::AtOnce, addition = Apply::AtOnce;
};

class Flattener {
public:
    std::vector<Leaf> out;

    void head(const std::string &path, const Context &c)
    {
        Leaf l;
        l.section = path;
        l.removal = c.removal;
        l.addition = c.addition;
        l.group = c.group;
        l.peer = c.peer;
        out.push_back(std::move(l));
    }

    template <class S>
    void section(const std::string &path, const S &object, const Context &c = {})
    {
        head(path, c);
        for (const auto &k : keys<S>()) {
            Leaf l;
            l.section = path;
            l.key = k.name;
            l.value = value_text(object, k);
            l.apply = k.apply;
            l.group = c.group;
            l.peer = c.peer;
            l.required = k.required;
            out.push_back(std::move(l));
        }
    }
};

std::string events_text(const std::vector<PriorityEventConfig> &events)
{
    std::string out = "[";
    for (const auto &e : events) {
        out += out.size() > 1 ? ", { " : "{ ";
        std::string inner;
        for (const auto &k : keys<PriorityEventConfig>())
            inner += (inner.empty() ? "" : ", ") + std::string(k.name) + " = " + value_text(e, k);
        out += inner + " }";
    }
    return out + "]";
}

// Peers, tunnel-groups and what joins the two are built when the agent starts. Those that
// come start it anew, and so does a whole group that goes; the others that go were in use.
void flatten_peer(Flattener &f, const std::string &base, const PeerConfig &p)
{
    const auto part = [&](GroupId group) { return Context{group, p.address, Apply::Restart, Apply::PlannedRestart}; };
    f.section(base, p, part(0));
    if (p.sync.configured) {
        f.section(base + ".sync.ipsec", p.sync, part(0));
        for (const auto &[id, g] : p.sync.tunnel_group)
            f.section(base + ".sync.ipsec.tunnel-group." + std::to_string(id), g, part(id));
    }
    f.section(base + ".mc-ipsec", p.mc_ipsec, part(0));
    f.section(base + ".mc-ipsec.bfd", p.mc_ipsec.bfd, part(0));
    for (const auto &[id, g] : p.mc_ipsec.tunnel_group)
        f.section(base + ".mc-ipsec.tunnel-group." + std::to_string(id), g, part(id));
}

// The group is, or will be, administratively down: for what belongs to mc-ipsec its
// shutdown there will do; with that alone the group may still forward, without a peer.
bool group_down(const Config &c, GroupId id, bool mc_ipsec)
{
    const auto it = c.tunnel_group.find(id);
    if (it == c.tunnel_group.end() || it->second.shutdown)
        return true;
    const auto *mc = mc_ipsec ? c.mc_ipsec_of(id) : nullptr;
    return mc && mc->shutdown;
}

}  // namespace

std::vector<Leaf> flatten(const Config &c)
{
    Flattener f;
    f.section("system", c.system);
    for (const auto &[id, g] : c.tunnel_group) {
        const std::string p = "isa.tunnel-group." + std::to_string(id);
        const Context part{id, {}, Apply::Restart, Apply::PlannedRestart};
        f.section(p, g, part);
        f.section(p + ".rekey", g.rekey, part);
        f.section(p + ".sequence", g.sequence, part);
    }
    for (const auto &[name, m] : c.mda)
        f.section("isa.mda." + path_element(name), m);
    for (const auto &[name, o] : c.publics)
        f.section("ipsec.public." + path_element(name), o, {o.tunnel_group, {}, Apply::GroupShutdown});
    for (const auto &[name, o] : c.privates)
        f.section("ipsec.private." + path_element(name), o, {o.tunnel_group, {}, Apply::GroupShutdown});
    for (const auto &[name, o] : c.tunnel)
        f.section("ipsec.tunnel." + path_element(name), o, {o.tunnel_group, {}, Apply::AtOnce});
    f.section("redundancy.multi-chassis", c.multi_chassis);
    for (const auto &[address, p] : c.multi_chassis.peer)
        flatten_peer(f, "redundancy.multi-chassis.peer." + path_element(address.str()), p);
    f.section("vrrp", c.vrrp);
    for (const auto &[id, p] : c.vrrp.policy) {
        const std::string path = "vrrp.policy." + std::to_string(id);
        f.head(path, {});
        Leaf l;
        l.section = path;
        l.key = "priority-event";
        l.value = events_text(p.priority_event);
        f.out.push_back(std::move(l));
    }
    for (const auto &[name, i] : c.vrrp.instance)
        f.section("vrrp.instance." + path_element(name), i);
    return f.out;
}

std::string show_config(const Config &config, const std::map<std::string, std::string> &notes)
{
    std::string out;
    for (const auto &l : flatten(config)) {
        if (l.key.empty()) {
            out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", l.section);
            continue;
        }
        const auto path = l.path();
        out += fmt::format("{} = {}", l.key, l.value);
        if (const auto note = notes.find(path); note != notes.end())
            out += "  # " + note->second;
        else if (!config.where.contains(path))
            out += "  # default";
        out += "\n";
    }
    return out;
}

std::vector<Change> diff(const Config &before, const Config &after)
{
    const auto old_leaves = flatten(before), new_leaves = flatten(after);
    std::map<std::string, const Leaf *> old_by_path, new_by_path;
    for (const auto &l : old_leaves)
        old_by_path[l.path()] = &l;
    for (const auto &l : new_leaves)
        new_by_path[l.path()] = &l;

    std::vector<Change> out;
    for (const auto &l : old_leaves) {
        if (new_by_path.contains(l.path()) || (!l.key.empty() && !new_by_path.contains(l.section)))
            continue;
        Change c{l.path(), l.key.empty() ? "there" : l.value, "", l.removal, l.group, l.peer, before.where_of(l.path())};
        // Seed "Operational Conditions": to remove a tunnel-group, it must be shut down.
        if (const auto g = before.tunnel_group.find(l.group); l.removal == Apply::Restart && g != before.tunnel_group.end() && !after.tunnel_group.contains(l.group))
            c.apply = g->second.shutdown ? Apply::PlannedRestart : Apply::GroupShutdown;
        out.push_back(std::move(c));
    }
    for (const auto &l : new_leaves) {
        const auto path = l.path();
        const auto it = old_by_path.find(path);
        if (it == old_by_path.end()) {
            if (l.key.empty())
                out.push_back({path, "", "there", l.addition, l.group, l.peer, after.where_of(path)});
            continue;
        }
        if (it->second->value == l.value)
            continue;
        Change c{path, it->second->value, l.value, l.apply, l.group, l.peer, after.where_of(path)};
        // A public or private interface that moves leaves the group it had.
        if (l.apply == Apply::GroupShutdown && it->second->group)
            c.group = it->second->group;
        // Adding a member is harmless; one that is gone may have been active.
        if (l.key == "mda" && l.section.starts_with("isa.tunnel-group.")) {
            const auto &was = before.tunnel_group.at(l.group).mda, &is = after.tunnel_group.at(l.group).mda;
            for (const auto &m : was)
                if (std::find(is.begin(), is.end(), m) == is.end())
                    c.apply = Apply::GroupShutdown;
        }
        out.push_back(std::move(c));
    }
    return out;
}

Expected<std::vector<Change>> check_reload(const Config &running, const Config &next)
{
    auto changes = diff(running, next);
    std::vector<std::string> errors;
    std::string object;         // refused already: its parts need no lines of their own
    for (const auto &c : changes) {
        if (!object.empty() && c.path.starts_with(object))
            continue;
        std::string needs;
        const bool mc_ipsec = c.path.starts_with("redundancy.");
        if (c.apply == Apply::GroupShutdown && !group_down(running, c.group, mc_ipsec) && (!next.tunnel_group.contains(c.group) || !group_down(next, c.group, mc_ipsec)))
            needs = fmt::format("needs tunnel-group {} shutdown", c.group);
        else if (c.apply == Apply::Restart)
            needs = "needs a restart of mcipsecd";
        if (!needs.empty()) {
            const bool removed = c.before == "there" && c.after.empty();    // the place is where it was
            errors.push_back(fmt::format("{}: {} ({}{})", c.where.str(), needs, c.path, removed ? " is no longer there" : ""));
            object = c.path + ".";
        }
    }
    if (!errors.empty())
        return fail(-EBUSY, fmt::format("{}", fmt::join(errors, "\n")));
    return changes;
}

}  // namespace mcipsec::app
