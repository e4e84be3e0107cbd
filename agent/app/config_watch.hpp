// SPDX-License-Identifier: GPL-2.0-or-later
// Reads what charon has loaded of the tunnel-groups' connections, again and
// again (charon announces no reload), and knows two things of it: the items
// that both chassis compare, and what breaks the rules of mc-ipsec (IKEv1, dpd,
// start_action, a connection that is not there), which stand as alarms.
//
// Invariants: one request at a time, so that imports never wait behind it, and
// pauses that keep it below a few percent of charon's time. While charon is
// away what was read last stays valid: a restart is no difference.
// Threading: the loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>

#include "app/alarms.hpp"
#include "app/config_digest.hpp"
#include "io/event_loop.hpp"
#include "io/mcipsec_nl.hpp"

namespace mcipsec::app {

class ConfigWatch {
public:
    using Answer = std::function<void(Expected<io::vici::Message>)>;

    ConfigWatch(io::EventLoop &loop, io::Log &log, Alarms &alarms, Duration pause = 5s);
    std::function<void(const std::string &connection, Answer)> ask;     // mcipsec-conn
    std::function<void(GroupId)> on_change;         // digest() of the group is another one
    std::function<void(GroupId)> on_loaded;         // a connection that was missing is there
    std::function<void()> on_round;                 // each was read once more

    Expected<void> start();
    // Every group's digest may have changed; connections are read anew.
    void configure(const Config &config);
    void charon_up();
    void charon_down();

    // Nothing before every connection of the group was read once.
    std::optional<std::vector<mcs::ConfigItem>> digest(GroupId group) const;
    // The ends of its static tunnels whose far end charon has as one address; likewise.
    std::optional<std::vector<io::StaticPeer>> static_peers(GroupId group) const;

private:
    bool has_read(GroupId group) const;
    void begin_round();
    void next();
    void answered(const std::string &connection, Expected<io::vici::Message> reply);
    void end_round();
    void raise_alarms();

    io::EventLoop &loop_;
    io::Log &log_;
    Alarms &alarms_;
    const Duration pause_;
    Config config_;
    ConnectionsFacts facts_;
    bool up_ = false;
    std::uint64_t round_ = 0;               // counts up: answers of an older one are late
    std::deque<std::string> open_;          // of this round, not asked yet
    std::set<std::string> changed_, loaded_;
    Time round_began_{};
    std::string told_;                      // error that the log has already
    io::EventSource timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

public:
    ~ConfigWatch() { *alive_ = false; }
};

}  // namespace mcipsec::app
