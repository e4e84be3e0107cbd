// SPDX-License-Identifier: GPL-2.0-or-later
// Strict reverse-path filtering (RFC 3704, 2.2) where the peer's shunt arrives: what it
// shunts here has its source elsewhere, so a strict filter drops it and nothing else
// tells. Found for `mcipsec config check`, and by the agent as an alarm.
//
// The interface is that whose IPv4 network holds a redundant next-hop, in the VRF of
// the public or private interface. There is no such filter for IPv6.
// Threading: none of its own; read_interfaces() reads files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "app/config.hpp"

namespace mcipsec::app {

struct FilteredInterface {
    std::string name, vrf;          // vrf: "" is the main table
    IpAddress address;
    unsigned prefix_length = 32;
    int rp_filter = 0;              // in effect: 0 off, 1 strict, 2 loose
};

struct StrictFilter {
    GroupId group = 0;
    std::string where;              // path of the key that names the next-hop
    std::string text;
    bool operator==(const StrictFilter &) const = default;
};

std::vector<StrictFilter> strict_rp_filters(const Config &config, std::span<const FilteredInterface> interfaces);
// The IPv4 addresses of this network namespace. What cannot be read is left out.
std::vector<FilteredInterface> read_interfaces();

}  // namespace mcipsec::app
