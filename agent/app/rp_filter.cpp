// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/rp_filter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "app/config_keys.hpp"

namespace mcipsec::app {

namespace {

constexpr int kStrict = 1;

}  // namespace

std::vector<StrictFilter> strict_rp_filters(const Config &config, const AskWay &ask)
{
    std::vector<StrictFilter> out;
    std::map<std::pair<std::string, IpAddress>, std::optional<io::Way>> asked;
    const auto look = [&](GroupId group, const std::string &vrf, const std::vector<IpAddress> &hops, const std::string &where) {
        for (const auto &hop : hops) {
            if (hop.family != 4)
                continue;
            auto it = asked.find({vrf, hop});
            if (it == asked.end())
                it = asked.emplace(std::pair(vrf, hop), ask(vrf, hop)).first;
            if (!it->second || it->second->rp_filter != kStrict)
                continue;
            auto text = fmt::format("tunnel-group {}: net.ipv4.conf.{}.rp_filter is strict, so what the peer shunts to this chassis is dropped; allowed are 2, and 0 if all.rp_filter is 0, too", group, it->second->interface);
            if (std::none_of(out.begin(), out.end(), [&](const StrictFilter &f) { return f.text == text; }))
                out.push_back({group, where, std::move(text)});
        }
    };
    const auto both = [&](const auto &p, const std::string &path) {
        for (const auto &kind : redundant_next_hops(p))
            look(p.tunnel_group, p.vrf, kind.hops, path + "." + kind.key);
    };
    for (const auto &[name, p] : config.publics)
        both(p, "ipsec.public." + path_element(name));
    for (const auto &[name, p] : config.privates)
        both(p, "ipsec.private." + path_element(name));
    return out;
}

std::vector<StrictFilter> strict_rp_filters(const Config &config)
{
    auto finder = io::WayFinder::open();
    if (!finder)
        return {};
    return strict_rp_filters(config, [&](const std::string &vrf, const IpAddress &hop) { return finder->find(vrf, hop); });
}

}  // namespace mcipsec::app
