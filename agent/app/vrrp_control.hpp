// SPDX-License-Identifier: GPL-2.0-or-later
// MC-IPsec aware VRRP (seed "MC-IPSec Aware VRRP"): one track file for each
// instance that has a policy, and what keepalived answers on its FIFO.
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "app/restart_state.hpp"
#include "app/view.hpp"
#include "core/group/vrrp_policy.hpp"
#include "io/log.hpp"
#include "io/vrrp_file.hpp"

namespace mcipsec::app {

class VrrpControl {
public:
    static constexpr Duration kRetry = std::chrono::seconds(1);

    VrrpControl(io::EventLoop &loop, io::Log &log) : loop_(loop), log_(log) {}

    Expected<void> configure(const VrrpConfig &config);
    // Also keeps the time at which the priority was written, for the log.
    // `force`: write the files again (mcipsec-trackd may have changed them).
    void set_forwarding(GroupId group, bool forwarding, bool force = false);
    std::vector<VrrpView> views() const;
    // Whether keepalived holds an instance whose policy names the group as master; if no
    // policy does, whether it holds all instances without one. nullopt: there is none, or
    // keepalived has not told yet.
    // It must have said so for kSteady: two that cannot see each other for a moment both do.
    static constexpr Duration kSteady = std::chrono::seconds(1);
    std::optional<bool> master_for(GroupId group) const;
    std::function<void()> on_state;             // keepalived told another state, or has for kSteady
    std::function<void()> on_daemon;            // keepalived is gone, or back
    // Nobody has the FIFO open for writing: what keepalived told last counts no more.
    bool gone() const { return fifo_ && !fifo_->writer(); }
    // What keepalived told last, by instance: over a planned restart it tells nothing anew.
    std::map<std::string, RestartState::Vrrp> told() const;
    void restore(const std::map<std::string, RestartState::Vrrp> &told);

    struct TrackLine {
        GroupId group;
        std::string path;
        int value;
    };
    std::vector<TrackLine> fence_lines() const;

private:
    struct Instance {
        VrrpInstanceConfig config;
        std::optional<group::VrrpPolicy> policy;
        std::unique_ptr<io::VrrpTrackFile> file;
        std::vector<PriorityEventConfig> events;
        std::optional<int> in_use;              // explicit priority that is written
        bool written = false;                   // else it is tried again after kRetry
        std::string complaint;                  // why not, told once
        std::string state = "unknown";
        Time since{};                           // when it told so; long ago: before a restart
        int told_priority = -1;                 // what keepalived said last
    };
    static void leave(Instance &i);
    void evaluate(bool force);
    void failed(Instance &i, const std::string &name, const Error &why);
    void notice(const io::VrrpNotice &n);
    void daemon(bool there);
    bool steady(const Instance &i, Time now) const { return i.state == "Master" && now >= i.since + kSteady; }

    io::EventLoop &loop_;
    io::Log &log_;
    VrrpConfig config_;
    std::map<GroupId, bool> forwarding_;        // also for a policy that comes later
    std::map<std::string, Instance> instances_;
    std::unique_ptr<io::VrrpFifo> fifo_;
    io::EventSource timer_, steady_timer_;
};

}  // namespace mcipsec::app
