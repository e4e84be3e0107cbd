// SPDX-License-Identifier: GPL-2.0-or-later
// The database of one tunnel-group: the same for the acting master, whose
// entries come from its own plugin, and for the standby, whose entries come from
// the peer. A change of role changes who writes, never what is in here.
//
// Four views of the entries are kept in step:
//  - a hash map by key;
//  - the change log: every entry, tombstones too, by the number of its last
//    change. A snapshot, a missing delta and live updates are one walk over it,
//    begun at different places, so nothing is queued and memory stays bounded;
//  - the CHILD_SAs of every IKE_SA;
//  - 256 audit buckets: XOR of the fingerprints of the live entries in them.
// Tombstones live until acknowledged and their generation has passed (I6), or
// until more than a bound exist; then the oldest goes, counted, and whoever is
// behind `horizon` gets a snapshot by buckets, which deletes by difference.
// Cost: about 500 bytes an entry beside name, info and data. No IO, no threads.
#pragma once

#include <array>
#include <map>
#include <set>
#include <unordered_map>

#include "core/mcs/events.hpp"

namespace mcipsec::mcs {

constexpr std::size_t kBuckets = 256;
using Buckets = std::array<std::uint64_t, kBuckets>;
using BucketMask = std::array<std::uint8_t, kBuckets / 8>;
inline std::size_t bucket_of(const Key &key) { return hash(key) >> 56; }
inline bool test(const BucketMask &m, std::size_t i) { return m[i / 8] >> (i % 8) & 1; }
inline void set(BucketMask &m, std::size_t i) { m[i / 8] = static_cast<std::uint8_t>(m[i / 8] | 1u << (i % 8)); }
BucketMask all_buckets();
// The buckets in which a and b differ.
BucketMask difference(const Buckets &a, const Buckets &b);
bool any(const BucketMask &m);

class Db {
public:
    using Map = std::unordered_map<Key, Entry, KeyHash>;

    Entry *find(const Key &key);
    const Entry *find(const Key &key) const { return const_cast<Db *>(this)->find(key); }
    const Entry *find_live(const Key &key) const;

    // Puts the content of e (parent, version, name, info, data, extra, inbound age)
    // under e.key, live; bookkeeping of a held entry stays. append: the change moves to
    // the end of the log; otherwise it keeps its place, if it has one.
    Entry &store(Entry &&e, bool append);
    // Makes a tombstone of the key (creates one if need be) at the end of the log.
    Entry &bury(const Key &key, const Version &version);
    // The live CHILD_SAs of an IKE_SA.
    std::vector<Key> children(const Key &ike) const;
    // Moves an entry to the end of the log, so that it is sent again.
    void touch(Entry &e) { log(e); }
    // Forgets the entry altogether.
    void erase(const Key &key);
    void clear();

    void set_status(Entry &e, LocalStatus status);
    const Gauges &gauges() const { return gauges_; }
    std::uint64_t size() const { return gauges_.entries; }
    std::size_t tombstones() const { return graves_.size(); }
    const Buckets &buckets() const { return buckets_; }

    std::uint64_t last_change() const { return last_change_; }
    // A peer that knows the log up to here or further can get a delta.
    std::uint64_t horizon() const { return horizon_; }
    // The first entry of the log behind `after`, or nullptr.
    Entry *next(std::uint64_t after);
    // Drops tombstones: those of the peer and own ones up to `acked`, if their generation is
    // before `generation`; then the oldest above `max`. Those with work under way stay.
    // Returns how many unacknowledged or current ones were dropped.
    std::size_t trim(std::uint64_t acked, Generation generation, std::size_t max);

    Map &entries() { return map_; }
    const Map &entries() const { return map_; }

private:
    void count(const Entry &e, std::int64_t by);
    void log(Entry &e);
    void adopt(const Entry &e);
    void disown(const Entry &e);

    Map map_;
    std::map<std::uint64_t, Entry *> log_;
    std::unordered_map<Key, std::vector<Key>, KeyHash> children_;
    std::set<std::uint64_t> graves_;  // log positions of tombstones
    Buckets buckets_{};
    Gauges gauges_;
    std::uint64_t last_change_ = 0, horizon_ = 0;
};

}  // namespace mcipsec::mcs
