// SPDX-License-Identifier: GPL-2.0-or-later
// Routes whose rtm_protocol tells BIRD the tunnel-group's state, and the links
// they hang on.
//
// The protocol is not part of a route's key, so that replace() swaps state and
// next-hop at once, without a withdrawal in between (FACTS-network, BIRD).
// A route of another protocol is never removed or listed. (A foreign one with
// the same prefix, table and metric is replaced: give ours a metric of their own.)
// Threading: one thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "io/event_loop.hpp"
#include "io/netlink.hpp"

namespace mcipsec::io {

// Public /32s and reverse routes: 201..203; private static routes: 211..213. The
// fourth of each is written by mcipsec-trackd alone, when the lease ran out.
enum RouteProtocol : std::uint8_t {
    kRouteMasterWithPeer = 201, kRouteMasterWithoutPeer = 202, kRouteNonMaster = 203, kRouteFenced = 204,
    kRouteStaticMasterWithPeer = 211, kRouteStaticMasterWithoutPeer = 212, kRouteStaticNonMaster = 213, kRouteStaticFenced = 214,
};
constexpr bool is_own_protocol(std::uint8_t p) { return (p >= 201 && p <= 204) || (p >= 211 && p <= 214); }

struct Route {
    Prefix destination;
    std::uint32_t table = 254;          // main
    std::uint32_t metric = 0;           // 0: the family's default (also when read back)
    std::uint8_t protocol = 0;
    std::uint32_t ifindex = 0;          // 0: by the gateway
    IpAddress gateway;                  // none: on link
    bool unreachable = false;           // RTN_UNREACHABLE instead of a next-hop
    bool operator==(const Route &) const = default;
};

class Routes {
public:
    static Expected<Routes> open();
    Expected<void> replace(const Route &r);         // create or swap
    // Whatever of our protocols it has if r.protocol is 0. One that is not there is no error.
    Expected<void> remove(const Route &r);
    // Routes of our protocols, in every table of both families.
    Expected<std::vector<Route>> dump_own();
    std::uint64_t errors() const { return errors_; }

private:
    explicit Routes(NlSocket s) : socket_(std::move(s)), message_(1024) {}
    NlSocket socket_;
    NlMessage message_;
    std::uint64_t errors_ = 0;
};

struct Link {
    std::uint32_t ifindex = 0;
    std::string name;
    std::string kind;                   // xfrm, vrf, gre, dummy, ...
    bool up = false;                    // administratively up, and carrier (or no notion of it)
    std::uint32_t master = 0;           // ifindex of VRF or bridge
    std::uint32_t vrf_table = 0;        // of a VRF device
    std::optional<std::uint32_t> xfrm_if_id;
    bool operator==(const Link &) const = default;
};

// Synchronous questions about links.
class Links {
public:
    static Expected<Links> open();
    Expected<std::vector<Link>> dump();
    Expected<Link> by_name(const std::string &name);            // ENODEV
    // Table of a VRF by its device's name; "" is the main table (254). ENODEV, or EINVAL if it is no VRF.
    Expected<std::uint32_t> vrf_table(const std::string &name);

private:
    explicit Links(NlSocket s) : socket_(std::move(s)), message_(1024) {}
    NlSocket socket_;
    NlMessage message_;
};

// Tells every change; after on_overrun dump the links again.
class LinkWatch {
public:
    static Expected<std::unique_ptr<LinkWatch>> open(EventLoop &loop, std::function<void(const Link &, bool removed)> on_link,
                                                     std::function<void()> on_overrun);
    std::uint64_t overruns() const { return overruns_; }

private:
    LinkWatch() = default;
    void readable();
    NlSocket socket_;
    std::function<void(const Link &, bool)> on_link_;
    std::function<void()> on_overrun_;
    std::uint64_t overruns_ = 0;
    EventSource source_;
};

// Is the address assigned to an interface of this namespace?
Expected<bool> has_local_address(const IpAddress &address);

// For the fuzzer: payloads without the netlink header.
std::optional<Route> parse_route(ByteView payload);
Expected<Link> parse_link(ByteView payload);

}  // namespace mcipsec::io
