// SPDX-License-Identifier: GPL-2.0-or-later
// Octets and packets of a tunnel, as the seed's "Statistics Collection" wants them
// kept. Plain values: told by MCS, added up by TunnelCounters.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

namespace mcipsec {

// Of what went through ESP: octets of the clear packets, in: from the customer.
struct Traffic {
    std::uint64_t octets_in = 0, packets_in = 0, octets_out = 0, packets_out = 0;
    bool operator==(const Traffic &) const = default;

    // f(member of this, member of other) for each of the four.
    template <typename F>
    void each(const Traffic &other, F &&f)
    {
        f(octets_in, other.octets_in);
        f(packets_in, other.packets_in);
        f(octets_out, other.octets_out);
        f(packets_out, other.packets_out);
    }
    void add(const Traffic &other)
    {
        each(other, [](std::uint64_t &a, std::uint64_t b) { a += b; });
    }
    void raise(const Traffic &other)
    {
        each(other, [](std::uint64_t &a, std::uint64_t b) { a = std::max(a, b); });
    }
};

// What each chassis has carried of one tunnel, as one of them knows it.
struct TunnelTraffic {
    std::string tunnel;     // its connection
    Traffic own, peer;
    bool operator==(const TunnelTraffic &) const = default;
};

}  // namespace mcipsec
