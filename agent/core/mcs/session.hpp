// SPDX-License-Identifier: GPL-2.0-or-later
// MCS with one peer: keeps the databases of all groups shared with it, tells
// the peer what changed here while we are acting master, takes from it what
// changed there while it is.
//
// Invariants:
//  - I5: entries, deletes and sequence state are taken only from the acting
//    master of the current generation; anything else is counted.
//  - I6: a version is applied at most once; older ones are counted and dropped.
//  - I4: PluginAck never passes a record that the peer has not acknowledged
//    while CommitMode is on; with no peer in sync nothing is held.
//  - bounded: at most `window_*` unacknowledged, one SendBytes under way.
//  - I8: key material lives in SecretBytes only.
// Threading: none; one caller. Sans-IO: time, bytes and randomness are handed in.
// Wire: Documentation/wire-mcs.rst.
//
// Deviations the engine should know:
//  - ack and commit are per session; see act::PluginAck for several peers.
//  - the data of an Import is read by entry() when the message is built, so a
//    newer state overtakes an older one and is imported once.
#pragma once

#include <memory>

#include "core/mcs/events.hpp"
#include "core/protocol.hpp"

namespace mcipsec::mcs {

struct Config {
    std::uint64_t db_epoch = 0;              // random, not 0: of this process
    std::uint16_t protocol = kProtocol.mcs, protocol_oldest = kProtocol.mcs_oldest;
    std::string app_version = "1";           // shown; "major.minor", major must match the peer's
    std::size_t window_entries = 512;        // unacknowledged entries in flight
    std::size_t window_bytes = 1024 * 1024;  // ... and their bytes
    std::size_t import_window = 64;          // Import and Delete actions under way
    std::size_t write_chunk = 64 * 1024;     // target size of one SendBytes
    std::size_t max_tombstones = 262144;     // per group; see db.hpp
    Duration keepalive_interval = 1s;
    Duration dead_interval = 5s;             // nothing received: close
    Duration hello_timeout = 5s;
    Duration audit_interval = 60s;
    Duration retry_interval = 5s;            // await-conf
    Duration failed_retry_interval = 60s;
    Duration lost_retry_interval = 10s;      // what the own charon lost
    Duration status_interval = 200ms;        // at most one STATUS per group in this time
    Duration pending_grace = 1s;
};

class Session {
public:
    explicit Session(Config config);
    ~Session();
    Session(Session &&) noexcept;
    Session &operator=(Session &&) noexcept;

    // Handles one event; the actions are to be carried out in order. Never throws
    // but for lack of memory.
    Actions step(Event event, Time now);

    // When ev::Timer is wanted at the latest; kNever if not at all.
    Time deadline() const;

    SessionStatus status() const;
    // Gauges of one group without building the whole status; nullopt: no such tag.
    std::optional<GroupStatus> group_status(const std::string &tag) const;

    // A live entry (never a tombstone) or nullptr. Valid until the next step(). When an
    // Import's message is built and there is none (any more), nothing is sent to charon
    // and the answer is ImportResult with Version{} and Stale.
    const Entry *entry(const std::string &tag, const Key &key) const;
    // Calls f for every live entry of the group, in no order. f must not call step().
    template <typename F>
    void for_each(const std::string &tag, F &&f) const
    {
        for_each_entry(tag, [](void *context, const Entry &e) { (*static_cast<std::remove_reference_t<F> *>(context))(e); }, &f);
    }

    // Test aid: forgets one entry without telling anybody, as a bug would. The
    // next audit must find and mend it.
    bool lose_entry_for_test(const std::string &tag, const Key &key);

private:
    void for_each_entry(const std::string &tag, void (*f)(void *, const Entry &), void *context) const;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mcipsec::mcs
