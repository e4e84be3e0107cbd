// SPDX-License-Identifier: GPL-2.0-or-later
// Admin states set by `mcipsec admin ...`: they lie over the configuration,
// survive an agent restart (the engine keeps json() in its run directory) and
// show as (runtime) in `config show`. Setting what the file says anyway, or a
// path whose object is gone, removes the override. Pure values, no IO.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "app/config.hpp"

namespace mcipsec::app {

class RuntimeAdmin {
public:
    // Each returns -ENOENT when the configuration has no such object.
    Expected<void> tunnel_group(const Config &file, GroupId group, bool shutdown);
    Expected<void> mda(const Config &file, GroupId group, const std::string &name, bool shutdown);
    Expected<void> peer(const Config &file, const IpAddress &peer, bool shutdown);
    Expected<void> sync(const Config &file, const IpAddress &peer, bool shutdown);
    Expected<void> mc_ipsec(const Config &file, const IpAddress &peer, GroupId group, bool shutdown);

    // The running configuration: file with the overrides on top, those whose object it has.
    Config apply(const Config &file) const;
    // Drops what file does not have, or says itself. Returns whether there was such a thing.
    bool forget(const Config &file);
    // path -> "(runtime)", for show_config().
    std::map<std::string, std::string> notes() const;

    std::string json() const;                                   // {"path": true, ...}
    static Expected<RuntimeAdmin> from_json(std::string_view text);
    bool operator==(const RuntimeAdmin &) const = default;

private:
    Expected<void> set(const Config &file, const std::string &path, bool shutdown);
    std::map<std::string, bool> shutdown_;
};

}  // namespace mcipsec::app
