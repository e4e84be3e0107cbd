// SPDX-License-Identifier: GPL-2.0-or-later
// charon on this node: keeps the VICI connection, tells the plugin which
// tunnel-groups exist and in which state each is, and brings both back after a
// restart of charon.
//
// Invariants: what the plugin was told last is what this object holds; after a
// reconnect every group is told again before anything else, closed or passive
// unless this node is acting master by then (I1, I5).
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "io/log.hpp"
#include "io/plugin_client.hpp"

namespace mcipsec::app {

class CharonControl {
public:
    CharonControl(io::EventLoop &loop, io::Log &log, std::string socket);

    // The plugin answers and knows the groups; again after each restart of charon.
    std::function<void(const io::PluginVersion &)> on_up;
    std::function<void(const std::string &why)> on_down;
    io::PluginClient &plugin() { return plugin_; }
    const io::PluginVersion &version() const { return version_; }
    bool up() const { return up_; }
    const std::string &why_down() const { return why_; }
    // Counts whatever charon said: it is alive while this goes on when it is asked.
    std::uint64_t heard() const { return vici_.stats().replies + vici_.stats().events; }

    Expected<void> start();

    // The groups of the configuration; known ones keep their state and commit mode.
    // What charon has of others is purged before it is up, their addresses stay blocked.
    void configure(const std::map<GroupId, io::PluginGroup> &groups);
    // done: the plugin's answer, an error while charon is down.
    void set_state(GroupId group, io::CharonState state, std::function<void(Expected<void>)> done = {});
    void set_commit(GroupId group, bool on);
    // Virtual addresses that charon may hand out for the group.
    void set_share(GroupId group, io::PoolShare share);
    io::CharonState state(GroupId group) const;

    // What charon counts of a group, as it said when it was asked last.
    struct Status {
        std::uint64_t held = 0, held_total = 0;             // output commit: packets that wait, that have waited since charon began
        std::uint64_t held_expired = 0;                     // ... sent at the limit
        std::uint64_t held_median_us = 0, held_p99_us = 0;  // ... for so long, of the last 1024
        std::uint64_t not_begun = 0;                        // responder only: IKE_SAs and CHILD_SAs that were not begun
        std::uint64_t resent = 0;                           // responses repeated for a peer, after a takeover
        std::uint64_t synced = 0, sync_failed = 0, followed = 0;    // RFC 6311: peers that said their message ids, did not, were followed
    };
    Status status(GroupId group) const;
    void ask_status();

private:
    void attempt();
    void registered(Expected<void> outcome);
    void tell(GroupId group, std::function<void(Expected<void>)> done, bool more = false);
    void tell_all();
    void remove_unknown(const io::vici::Message &status);
    void down(const std::string &why);

    io::EventLoop &loop_;
    io::Log &log_;
    io::ViciClient vici_;
    io::PluginClient plugin_;
    std::map<GroupId, io::PluginGroup> groups_;
    io::PluginVersion version_;
    std::map<GroupId, Status> status_;
    bool asking_ = false;
    bool up_ = false;
    bool attempted_ = false;            // a connection is being tried or there: its end has one reason
    std::string why_ = "not connected yet";
    std::string told_;                  // reason that the log has already
    io::EventSource retry_;
};

}  // namespace mcipsec::app
