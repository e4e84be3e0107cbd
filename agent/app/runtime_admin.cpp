// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/runtime_admin.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "app/config_keys.hpp"

namespace mcipsec::app {

namespace {

std::string group_path(GroupId g) { return fmt::format("isa.tunnel-group.{}.shutdown", g); }
std::string mda_path(const std::string &name) { return fmt::format("isa.mda.{}.shutdown", path_element(name)); }
std::string peer_path(const IpAddress &a) { return "redundancy.multi-chassis.peer." + path_element(a.str()); }

// The admin state at a path, nullptr when there is no such object.
bool *find(Config &c, const std::string &path)
{
    for (auto &[id, g] : c.tunnel_group)
        if (path == group_path(id))
            return &g.shutdown;
    for (auto &[name, m] : c.mda)
        if (path == mda_path(name))
            return &m.shutdown;
    for (auto &[address, p] : c.multi_chassis.peer) {
        const auto base = peer_path(address);
        if (path == base + ".shutdown")
            return &p.shutdown;
        if (path == base + ".sync.ipsec.shutdown")
            return p.sync.configured ? &p.sync.shutdown : nullptr;
        for (auto &[id, g] : p.mc_ipsec.tunnel_group)
            if (path == fmt::format("{}.mc-ipsec.tunnel-group.{}.shutdown", base, id))
                return &g.shutdown;
    }
    return nullptr;
}

tl::unexpected<Error> no_peer(const IpAddress &a) { return fail(-ENOENT, fmt::format("no multi-chassis peer {}", a.str())); }

}  // namespace

Expected<void> RuntimeAdmin::set(const Config &file, const std::string &path, bool shutdown)
{
    Config copy = file;
    const bool *now = find(copy, path);
    if (!now)
        return fail(-ENOENT, path + " is not configured");
    if (*now == shutdown)
        shutdown_.erase(path);
    else
        shutdown_[path] = shutdown;
    return {};
}

Expected<void> RuntimeAdmin::tunnel_group(const Config &file, GroupId group, bool shutdown)
{
    if (!file.tunnel_group.contains(group))
        return fail(-ENOENT, fmt::format("no tunnel-group {}", group));
    return set(file, group_path(group), shutdown);
}

Expected<void> RuntimeAdmin::mda(const Config &file, GroupId group, const std::string &name, bool shutdown)
{
    const auto g = file.tunnel_group.find(group);
    if (g == file.tunnel_group.end())
        return fail(-ENOENT, fmt::format("no tunnel-group {}", group));
    if (std::find(g->second.mda.begin(), g->second.mda.end(), name) == g->second.mda.end())
        return fail(-ENOENT, fmt::format("no mda {} in tunnel-group {}", name, group));
    return set(file, mda_path(name), shutdown);
}

Expected<void> RuntimeAdmin::peer(const Config &file, const IpAddress &peer, bool shutdown)
{
    if (!file.multi_chassis.peer.contains(peer))
        return no_peer(peer);
    return set(file, peer_path(peer) + ".shutdown", shutdown);
}

Expected<void> RuntimeAdmin::sync(const Config &file, const IpAddress &peer, bool shutdown)
{
    const auto p = file.multi_chassis.peer.find(peer);
    if (p == file.multi_chassis.peer.end())
        return no_peer(peer);
    if (!p->second.sync.configured)
        return fail(-ENOENT, fmt::format("peer {} has no sync", peer.str()));
    return set(file, peer_path(peer) + ".sync.ipsec.shutdown", shutdown);
}

Expected<void> RuntimeAdmin::mc_ipsec(const Config &file, const IpAddress &peer, GroupId group, bool shutdown)
{
    const auto p = file.multi_chassis.peer.find(peer);
    if (p == file.multi_chassis.peer.end())
        return no_peer(peer);
    if (!p->second.mc_ipsec.tunnel_group.contains(group))
        return fail(-ENOENT, fmt::format("no tunnel-group {} under the mc-ipsec of peer {}", group, peer.str()));
    return set(file, fmt::format("{}.mc-ipsec.tunnel-group.{}.shutdown", peer_path(peer), group), shutdown);
}

Config RuntimeAdmin::apply(const Config &file) const
{
    Config out = file;
    for (const auto &[path, shutdown] : shutdown_)
        if (bool *state = find(out, path))
            *state = shutdown;
    return out;
}

bool RuntimeAdmin::forget(const Config &file)
{
    Config copy = file;
    return std::erase_if(shutdown_, [&](const auto &e) {
               const bool *state = find(copy, e.first);
               return !state || *state == e.second;
           }) > 0;
}

std::map<std::string, std::string> RuntimeAdmin::notes() const
{
    std::map<std::string, std::string> out;
    for (const auto &[path, down] : shutdown_)
        out[path] = "(runtime)";
    return out;
}

std::string RuntimeAdmin::json() const { return nlohmann::json(shutdown_).dump(); }

Expected<RuntimeAdmin> RuntimeAdmin::from_json(std::string_view text)
{
    const auto j = nlohmann::json::parse(text, nullptr, false);
    if (!j.is_object())
        return fail(-EINVAL, "admin states: a JSON object is expected");
    RuntimeAdmin out;
    for (const auto &[path, down] : j.items()) {
        if (!down.is_boolean())
            return fail(-EINVAL, "admin states: true or false is expected for each path");
        out.shutdown_[path] = down.get<bool>();
    }
    return out;
}

}  // namespace mcipsec::app
