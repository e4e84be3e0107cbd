// SPDX-License-Identifier: GPL-2.0-or-later
// Strict reverse-path filtering (RFC 3704, 2.2) where the peer's shunt arrives: what it
// shunts here has its source elsewhere, so a strict filter drops it and nothing else
// tells. Found for `mcipsec config check`, and by the agent as an alarm.
//
// The interface is the one that leads to a redundant next-hop, in the VRF of the public
// or private interface; one question for each next-hop, none for other interfaces. There
// is no such filter for IPv6.
// Threading: none of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "io/way.hpp"

namespace mcipsec::app {

struct StrictFilter {
    GroupId group = 0;
    std::string where;              // path of the key that names the next-hop
    std::string text;
    bool operator==(const StrictFilter &) const = default;
};

// As io::WayFinder::find(): by which interface an address is reached in a VRF ("": none).
using AskWay = std::function<std::optional<io::Way>(const std::string &vrf, const IpAddress &hop)>;
std::vector<StrictFilter> strict_rp_filters(const Config &config, const AskWay &ask);
// Asks the kernel, in this network namespace. None if it cannot be asked.
std::vector<StrictFilter> strict_rp_filters(const Config &config);

}  // namespace mcipsec::app
