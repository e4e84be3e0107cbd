// SPDX-License-Identifier: GPL-2.0-or-later
// The thread that vouches for this node toward its peers (I2): for each slot
// (one peer) it renews the kernel lease and then sends the slot's packet, every
// interval with RFC 5880 6.8.7 jitter (75..100 %).
//
// Invariants: a packet leaves only after the lease was set to a time that ends
// before the peer's detection of that packet's successors missing:
//   expiry = time before the send + hold,  hold = detection - guard.
// Neither is done while the last beat() is older than max_heartbeat_age (half
// the detection time): a hung main loop stops both, a merely busy one stops nothing.
// A slot without a lease (id 0) only sends.
//
// Use: with BFD, one slot a peer carries the BFD packet of the session's present
// state; the main loop calls set() when it changes, and beat() from a timer of
// at most hold / 8. Without BFD, MIMP packets are made in the main loop (they
// carry a sequence number): call renew_then() around the send instead.
// Threading: start/stop/set/clear/beat/renew_then from the main thread; the
// thread runs SCHED_FIFO if it may.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "io/mcipsec_nl.hpp"
#include "io/udp.hpp"

namespace mcipsec::io {

// Seam for tests: how a lease is renewed and the clock read.
struct LeasePort {
    std::function<Expected<void>(std::uint32_t lease_id, Time expiry)> renew;   // empty: no lease at all
    std::function<Time()> now = boot_now;
};
// The real one. The client is owned by the port.
LeasePort make_lease_port(LeaseClient client);

struct LeaseSlot {
    std::uint32_t lease_id = 0;
    Duration hold{};                        // lease lasts this long after a send; > 0 with a lease
    Duration max_heartbeat_age{};           // half the detection time
    Duration interval{};                    // > 0
    // Sends one packet; runs in the thread, must be safe there (UdpSocket::send is).
    std::function<Expected<void>(ByteView)> send;
    Bytes packet;
};

class LeaseSender {
public:
    using SlotId = std::uint32_t;
    explicit LeaseSender(LeasePort port);
    ~LeaseSender();                         // stops the thread

    Expected<void> start();
    void stop();

    void beat(Time now) { heartbeat_.store(now.time_since_epoch().count(), std::memory_order_release); }
    // New slot or all of it replaced; sends at once, then every interval.
    void set(SlotId id, LeaseSlot slot);
    // Another packet; `at_once`: do not wait for the interval (state change, Final bit).
    void set_packet(SlotId id, Bytes packet, bool at_once);
    void set_interval(SlotId id, Duration interval, Duration hold, Duration max_heartbeat_age);
    void clear(SlotId id);

    // In the main thread: renew lease_id until now + hold, then run send.
    // Not renewed: send does not run and the error is given.
    Expected<void> renew_then(std::uint32_t lease_id, Duration hold, const std::function<Expected<void>()> &send);

    struct Stats {
        std::atomic<std::uint64_t> sent{0}, send_errors{0}, renewed{0}, renew_errors{0};
        std::atomic<std::uint64_t> withheld{0};     // the main loop did not beat
        std::atomic<std::int64_t> latest_ns{0};     // the largest delay behind a slot's due time
    };
    const Stats &stats() const { return stats_; }

private:
    struct Entry {
        LeaseSlot slot;
        Time due{};
    };
    void run();
    void fire(Entry &e, Time now);
    Duration jittered(Duration interval);

    LeasePort port_;
    std::mutex renew_mutex_;                // the port is used by both threads
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<SlotId, Entry> slots_;
    bool running_ = false;
    std::atomic<Duration::rep> heartbeat_{0};
    std::uint64_t random_ = 0;
    Stats stats_;
    std::thread thread_;
};

}  // namespace mcipsec::io
