// SPDX-License-Identifier: GPL-2.0-or-later
// The routes of each tunnel-group, their protocol number telling BIRD the
// group's state (seed "Routing in Public Service", "Routing in Private
// Services"): a host route for every local gateway address in the table of its
// public VRF (201..203), and the static routes of the tunnels in the table of
// their private VRF (211..213).
//
// Invariant: a route of the group exists in every state; a change of state
// swaps its protocol in place, so that nothing is withdrawn in between.
// Threading: the loop's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "io/log.hpp"
#include "io/routes.hpp"

namespace mcipsec::app {

// Protocol number of a route for a state; `private_static` selects 211..213.
std::uint8_t route_protocol(Mastership state, bool private_static);

class RouteControl {
public:
    RouteControl(io::Routes routes, io::Links links, io::Log &log);

    // What the configuration wants now. Removes own routes that it does not want.
    void configure(const Config &config);
    // Writes all routes of the group with the protocol of its state.
    // `force`: also those believed to be right (somebody else may have changed them).
    void set_state(GroupId group, Mastership state, bool force = false);
    // A link came, went or changed: routes over it that are missing are written again.
    void link_changed(const io::Link &link, bool removed);

    struct Planned {
        GroupId group;
        io::Route route;            // without protocol
        std::string device;
        bool private_static;
    };
    const std::vector<Planned> &planned() const { return planned_; }
    std::uint64_t errors() const { return errors_; }

private:
    void write(const Planned &p);
    void resolve();

    io::Routes routes_;
    io::Links links_;
    io::Log &log_;
    Config config_;
    std::vector<Planned> planned_;
    std::map<GroupId, Mastership> state_;
    std::map<std::string, std::string> complained_;     // destination -> last error, told once
    std::uint64_t errors_ = 0;
};

}  // namespace mcipsec::app
