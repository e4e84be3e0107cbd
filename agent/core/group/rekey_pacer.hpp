// SPDX-License-Identifier: GPL-2.0-or-later
// Paces the CHILD_SA rekeys of a takeover (seed "Automatic CHILD_SA Rekey"):
// one for every CHILD_SA that the new master inherited, at a rate, with
// jitter, never more than a number in flight, so that neither charon nor the
// peers' half-open limits are hit. Pure: entropy is a seed, time is handed in.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::group {

struct RekeyPace {
    double rate = 50.0;                    // rekeys started per second
    Duration jitter = std::chrono::seconds(1);     // random start delay of each, 0..jitter
    unsigned in_flight = 20;
    Duration retry = std::chrono::seconds(5);
    Duration timeout = std::chrono::seconds(60);   // of one rekey, then again
    unsigned attempts = 5;                         // of rekeys that began and did not end
};

struct RekeyProgress {
    std::size_t total = 0, done = 0, in_flight = 0, pending = 0, failed = 0;
    bool running() const { return in_flight + pending > 0; }
};

class RekeyPacer {
public:
    RekeyPacer(RekeyPace pace, std::uint64_t seed) : pace_(pace), random_(seed | 1) {}

    void set_pace(const RekeyPace &pace) { pace_ = pace; }      // for what starts from now on
    void start(std::vector<Bytes> children, Time now);   // replaces what ran
    // As start(), but all wait until they are released.
    void start_held(std::vector<Bytes> children);
    void release(Time now);
    bool add(const Bytes &child, Time now);       // came late: waits with those that are held, if any; false: it is there
    const std::set<Bytes> &held() const { return held_; }
    void cancel();
    // Which rekeys to start now; each counts as in flight until reported.
    std::vector<Bytes> due(Time now);
    Time deadline() const;

    void finished(const Bytes &child);            // the old CHILD_SA is gone
    // Another exchange is under way, for as long as the peer is silent: later, and never given
    // up for that, since an SA that only receives (I3) stays so until it is rekeyed.
    void busy(const Bytes &child, Time now);
    void missing(const Bytes &child);             // nothing to rekey any more
    RekeyProgress progress() const;

private:
    struct Item {
        Bytes key;
        unsigned tries = 0;
    };
    struct Flight {
        unsigned tries;
        Time expires;
    };
    Duration gap() const { return Duration(static_cast<std::int64_t>(1e9 / pace_.rate)); }
    Duration delay();
    void again(Item item, Time at);

    RekeyPace pace_;
    std::uint64_t random_;
    std::multimap<Time, Item> waiting_;     // by due time
    std::map<Bytes, Flight> flying_;
    std::set<Bytes> held_;
    Time next_start_{};
    std::size_t total_ = 0, done_ = 0, failed_ = 0;
};

}  // namespace mcipsec::group
