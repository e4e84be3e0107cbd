// SPDX-License-Identifier: GPL-2.0-or-later
// One synchronized record: the whole present state of one IKE_SA or CHILD_SA
// of a tunnel-group, as charon's plugin wrote it.
//
// Invariants: a record is a state, never a difference, so a newer one replaces
// an older one (I6). `data` holds keys: it is opaque here, lives in SecretBytes
// only and nothing prints it (I8). `info` holds no keys and may be shown.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "core/secret.hpp"
#include "core/types.hpp"

namespace mcipsec::mcs {

// Bounds of one record; what exceeds them is refused, on the wire and locally.
constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxInfo = 8192;
constexpr std::size_t kMaxData = 64 * 1024;
constexpr std::size_t kMaxReason = 255;
constexpr std::size_t kMaxTag = 64;

// The two databases of the application "ipsec".
enum class Kind : std::uint8_t { IkeSa = 1, ChildSa = 2 };
std::string_view to_string(Kind kind);  // "ike", "child"

// IKE_SA: SPIi SPIr, 16 bytes. CHILD_SA: inbound SPI and protocol, 5 bytes.
// Unused bytes are zero, so that keys compare as a whole.
struct Key {
    Kind kind = Kind::IkeSa;
    std::array<std::uint8_t, 16> bytes{};

    auto operator<=>(const Key &) const = default;
    std::size_t size() const { return kind == Kind::IkeSa ? 16 : 5; }
    ByteView view() const { return {bytes.data(), size()}; }
    std::string str() const;  // "ike 0011..ff", "child c0ffee0132"
    // -EINVAL unless bytes has the length of its kind.
    static Expected<Key> make(Kind kind, ByteView bytes);
};
std::uint64_t hash(const Key &key);
struct KeyHash {
    std::size_t operator()(const Key &key) const { return hash(key); }
};

// generation: of the election in which the acting master wrote the record.
// lineage: random when the IKE_SA is established, inherited over IKE rekeys.
// version: counts up per entry and goes on after an import.
struct Version {
    Generation generation = 0;
    std::uint64_t lineage = 0;
    std::uint64_t version = 0;
    bool operator==(const Version &) const = default;
};

// What a candidate is to the version that is held. Other: same generation but
// another lineage (the key was used again); the acting master's word then counts.
enum class Relation { Older, Same, Newer, Other };
Relation relation(const Version &candidate, const Version &held);

// Where an entry stands in this node's charon and kernel.
enum class LocalStatus : std::uint8_t {
    Pending,       // waits for its turn or for its IKE_SA
    Installing,    // handed to charon, no answer yet
    Installed,     // charon and kernel have it (also: it came from them)
    AwaitConf,     // its connection is not loaded, or its IKE_SA waits; retried
    Failed,        // charon refused it; alarmed; retried
    LocalDeleted,  // removed on this node only (local-delete)
};
std::string_view to_string(LocalStatus status);  // "pending", "await-conf", ...

struct Entry {
    Key key;
    std::optional<Key> parent;  // IKE_SA of a CHILD_SA
    Version version;
    std::string name;  // connection or child name
    std::string info;  // small text for show and log
    SecretBytes data;  // versioned TLV of the plugin
    // Age of the last authenticated inbound packet when the record was
    // written; decides between concurrent versions after a dual master.
    std::optional<std::uint32_t> inbound_age_ms;

    SecretBytes extra;  // fields of a newer peer, handed on as they came

    LocalStatus status = LocalStatus::Pending;
    bool tombstone = false;  // deleted; data, name and info are gone

    // Bookkeeping of database and session; of no meaning to anybody else.
    enum class Op : std::uint8_t { None, Importing, Deleting } op = Op::None;
    bool queued = false;             // in the import queue
    bool in_charon = false;          // some state of it was there when we last heard
    bool waiting = false;            // for its IKE_SA
    bool delete_due = false;         // purge it in charon as soon as op is None
    bool seen = false;               // named by the local snapshot that runs
    bool own = false;                // written here while acting master, and no master since has said that it knows
    bool gives_way = false;          // merged: what charon has of it is the life that lost
    bool leaves = false;             // tombstone: ended with the other chassis, charon has it still
    std::uint32_t snapshot = 0;      // number of the last peer snapshot that named it
    std::uint64_t change = 0;        // position in the own change log
    std::uint64_t plugin_first = 0;  // first plugin sequence number not yet sent, 0: none
    std::uint64_t rx_txn = 0;        // last transaction of the peer not yet answered, 0: none
    std::uint64_t op_txn = 0;        // rx_txn when the work under way began
    std::uint64_t op_change = 0;     // change when the work under way began
    Time ended{};                    // own tombstone: when
    Version base;                    // own: the one, of the peer, that it was written over
};

// A digest of what identifies and versions an entry; XORed into audit buckets.
std::uint64_t fingerprint(const Entry &entry);

}  // namespace mcipsec::mcs
