// SPDX-License-Identifier: GPL-2.0-or-later
// The lease: how long the kernel may go on forwarding for an agent that falls
// silent. The agent renews it just before each send of what the peer's
// detection listens to (BFD, or MIMP without BFD); the kernel compares its
// expiry with CLOCK_BOOTTIME for every packet. So a node that stops vouching
// for itself is closed before its peer has noticed (I2).
//
//   |--- send interval ---|
//   send ................ detection of the peer elapses: it takes over
//   |--------- lease -------->|<------ guard ------>|
//
// guard = one send interval where that leaves a lease as long as the largest
// gap between two renewals, else what is left: it pays for the loss of the last
// packet before a death, for clock drift and for the time between reading the
// clock and the packet being out. Below kMinGuard the configuration is refused.
//
// BFD:  interval = its transmit interval; gap = 1.25 * interval (it is jittered
//       down to 0.75, so a renewal may slip by half an interval).
// MIMP: interval = keep-alive; gap = 1.75 * keep-alive: while the peer answers,
//       the lease counts from the peer packet that our packet echoes, for that
//       is where the peer's detection counts from; after 1.25 intervals of silence
//       from our own sends (a dead peer takes nothing over).
#pragma once

#include "core/types.hpp"

namespace mcipsec {

constexpr Duration kMinGuard = 5ms;

struct LeasePlan {
    Duration detection{};       // the peer counts us as dead this long after our last packet
    Duration guard{};
    Duration heartbeat_max{};   // renew only while the main loop beat less than this ago: detection / 2
    Duration length() const { return detection - guard; }
};

// interval: between two sends that we vouch with; gap: longest time between two
// renewals; detection: the peer's detection time for our sends. guard 0: choose.
// The error says what is allowed.
Expected<LeasePlan> plan_lease(Duration interval, Duration gap, Duration detection, Duration guard = Duration::zero());
Expected<LeasePlan> plan_lease_bfd(Duration transmit_interval, Duration remote_detection, Duration guard = Duration::zero());
Expected<LeasePlan> plan_lease_mimp(Duration keep_alive_interval, unsigned hold, Duration guard = Duration::zero());

// Grants renewals. Once a lease has run out unrenewed the node was asleep and
// the peer may have taken over: nothing is granted until rearm(), which the
// main loop calls after it has told the sessions (mimp::Stalled), so that a
// waking thread cannot reopen the gate. Not thread-safe: the engine guards it
// with its own lock when BFD has a thread.
class LeaseKeeper {
public:
    explicit LeaseKeeper(LeasePlan plan) : plan_(plan) {}

    // Before a send at `now`. heartbeat: the main loop's last beat. bound: Session::lease_bound(),
    // the end of what MIMP vouches for, kNever if none. Returns the expiry to give to the kernel;
    // nothing if it must not be renewed.
    struct Renewal {
        bool granted = false;
        Time expiry{};
    };
    Renewal renew(Time now, Time heartbeat, Time bound = kNever);
    // The bound has moved on with a MIMP packet, while BFD vouches: the lease follows, no further
    // than the last renewal allows. Without this it would end where MIMP stood at the last BFD packet.
    Renewal follow(Time now, Time bound);

    bool lapsed(Time now) const { return lapsed_ || (armed_ && now >= expiry_); }
    void rearm() { lapsed_ = armed_ = false; }
    // Other timers from now on. The next renewal may end earlier than the last; that a lease had
    // run out is not forgotten.
    void replan(LeasePlan plan, Time now);
    // A planned restart was granted: one long lease, e.g. until the restart hold ends.
    void extend(Time expiry);
    Time expiry() const { return expiry_; }
    const LeasePlan &plan() const { return plan_; }

private:
    LeasePlan plan_;
    Time expiry_{};
    Time word_{};               // how far the last renewal would have gone without its bound
    bool armed_ = false;
    bool lapsed_ = false;
};

}  // namespace mcipsec
