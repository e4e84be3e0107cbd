// SPDX-License-Identifier: GPL-2.0-or-later
// The routes of each tunnel-group, their protocol number telling BIRD the
// group's state (seed "Routing in Public Service", "Routing in Private
// Services"): a host route for every local gateway address in the table of its
// public VRF (201..203), and in the table of the private VRF the static routes of
// the tunnels (211..213) and the reverse routes of dynamic ones (201..203), which
// come and go with the remote selectors of their CHILD_SAs, on both chassis.
//
// Invariant: a route of the group exists in every state; a change of state
// swaps its protocol in place, so that nothing is withdrawn in between.
// Threading: the loop's thread.
#pragma once

#include <map>
#include <set>
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

    // What the configuration wants now. prune: removes own routes that nobody wants
    // (not while charon has yet to name the CHILD_SAs of a planned restart).
    void configure(const Config &config, bool prune = true);
    void prune();
    // Reverse routes of one CHILD_SA of a dynamic tunnel; none: it is gone. One that
    // two CHILD_SAs ask for (a rekey) goes with the last of them.
    void set_reverse(GroupId group, const std::string &tunnel, const Bytes &child, const std::vector<Prefix> &remote);
    // Writes all routes of the group with the protocol of its state.
    // `force`: also those believed to be right (somebody else may have changed them).
    void set_state(GroupId group, Mastership state, bool force = false);
    // A link came, went or changed: routes over it that are missing are written again.
    void link_changed(const io::Link &link, bool removed);
    // Tries again what could not be written; costs nothing when there is nothing.
    void mend();

    struct Planned {
        GroupId group;
        io::Route route;            // without protocol
        std::string device;
        bool private_static;
    };
    std::vector<Planned> planned() const;
    std::uint64_t errors() const { return errors_; }

private:
    struct Reverse {
        GroupId group = 0;
        std::set<Bytes> children;
    };
    using ReverseKey = std::pair<std::string, Prefix>;      // tunnel, destination
    void write(const Planned &p);
    void resolve();
    Planned planned_of(const ReverseKey &key, GroupId group) const;

    io::Routes routes_;
    io::Links links_;
    io::Log &log_;
    Config config_;
    std::vector<Planned> planned_;                          // what the configuration names
    std::map<std::string, std::uint32_t> tables_;           // of each tunnel's private VRF, 0: not there
    std::map<ReverseKey, Reverse> reverse_;
    std::map<Bytes, std::pair<std::string, std::vector<Prefix>>> of_child_;
    std::map<GroupId, Mastership> state_;
    std::map<std::string, std::string> complained_;     // destination -> last error, told once
    std::uint64_t errors_ = 0;
};

}  // namespace mcipsec::app
