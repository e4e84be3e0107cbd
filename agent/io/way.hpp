// SPDX-License-Identifier: GPL-2.0-or-later
// Where packets to an IPv4 address leave, and how that interface filters by reverse
// path: two questions to the kernel for one address, however many interfaces there are.
// The kernel answers by index, so neither the label of an address (eth0:1) nor a
// point-to-point address confuses it.
// Threading: one thread at a time per object. Synchronous.
#pragma once

#include <string>

#include "io/netlink.hpp"

namespace mcipsec::io {

struct Way {
    std::string interface;
    int rp_filter = 0;              // in effect: 0 off, 1 strict, 2 loose
};

class WayFinder {
public:
    static Expected<WayFinder> open();
    // vrf: "" is the main table. No value: not on a link of ours (or ours itself), or no
    // such VRF.
    std::optional<Way> find(const std::string &vrf, const IpAddress &to);

private:
    explicit WayFinder(NlSocket s) : socket_(std::move(s)), message_(256) {}
    std::optional<int> rp_filter(int ifindex);
    NlSocket socket_;
    NlMessage message_;
};

}  // namespace mcipsec::io
