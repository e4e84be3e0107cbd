// SPDX-License-Identifier: GPL-2.0-or-later
// The frames of MCS as structures, to and from bytes.
//
// decode() knows these answers: a frame; -EOPNOTSUPP, a type of a newer peer, skip
// it; -EBADMSG, fields that make no sense, count and skip it; -EPROTO, the stream
// is broken and the channel must go. A record that breaks its bounds is neither:
// it is BadRecord, so that it can be refused by name and the stream goes on.
// Format and meaning: Documentation/wire-mcs.rst.
#pragma once

#include "core/mcs/db.hpp"
#include "core/mcs/wire.hpp"

namespace mcipsec::mcs::frame {

constexpr std::size_t kMaxSeqPerFrame = 1024;
constexpr std::size_t kSeqSize = 64;       // one SaSeq on the wire
constexpr std::size_t kMaxReasons = 32;
constexpr std::size_t kMaxTrafficPerFrame = 256;

enum class Type : std::uint8_t {
    Hello = 1, Config = 2, Offer = 3, Resync = 4, Digest = 5, SnapshotBegin = 6, SnapshotEnd = 7, Entry = 8, Delete = 9, Ack = 10,
    Nack = 11, Seq = 12, Frozen = 13, FrozenAck = 14, Status = 15, Keepalive = 16, Bye = 17, Propose = 18, Traffic = 19, Ended = 20,
};

// First frame each way.
struct Hello {
    std::uint16_t protocol = 0;
    std::uint16_t protocol_oldest = 0;          // 0: not said
    std::string app_version;
    std::uint64_t db_epoch = 0;
    std::uint64_t mimp_own = 0, mimp_peer = 0;  // session ids as the sender knows them
};
// Digests of a group's configuration.
struct Config { std::string tag; std::vector<ConfigItem> items; };
// The acting master has its records together and can serve the group. inherits: the last
// generation of the receiver that it has heard whole. Not said: every one.
struct Offer { std::string tag; Generation generation = 0; std::uint64_t serial = 0, last_change = 0, entries = 0; Generation inherits = UINT64_MAX; };
// Answer to an offer (or to an audit digest): what the standby needs.
struct Resync {
    enum class Mode : std::uint8_t { Delta = 1, Digest = 2, Buckets = 3 };
    std::string tag;
    Generation generation = 0;
    std::uint64_t serial = 0;  // of the offer
    Mode mode = Mode::Digest;
    std::uint64_t from = 0;    // Delta: last change known; Buckets: change number of the digest
    BucketMask mask{};         // Buckets
    bool repair = false;       // an audit found it
};
// The master's audit buckets as of its change `change`, before any later entry.
struct Digest { std::string tag; Generation generation = 0; std::uint64_t serial = 0, change = 0, entries = 0; bool audit = false; Buckets buckets{}; };
struct SnapshotBegin { std::string tag; Generation generation = 0; std::uint64_t serial = 0, from = 0, target = 0; BucketMask mask{}; bool repair = false; };
struct SnapshotEnd { std::string tag; Generation generation = 0; std::uint64_t txn = 0, target = 0; };
struct EntryFrame { std::string tag; Generation generation = 0; std::uint64_t txn = 0, change = 0; Entry entry; };
struct Delete { std::string tag; Generation generation = 0; std::uint64_t txn = 0, change = 0; Key key; Version version; };
struct BadRecord { std::string tag; Generation generation = 0; std::uint64_t txn = 0, change = 0; std::string reason; };
// From a standby to the acting master: a record that it wrote while it was acting
// itself and that the master lacks or holds in an older version. The master decides.
// children: of an IKE_SA, all that live under it; what else the master has under it ended.
struct Propose { std::string tag; Generation generation = 0; Entry entry; std::vector<Key> children; };
// From a standby, likewise: an IKE_SA that ended while it was acting itself, and that the
// master holds. age_ms: how long ago; not said: its peer has rekeyed it. children: the
// CHILD_SAs that live on under what took its place; those come by proposals, and later.
struct Ended { std::string tag; Generation generation = 0; Key key; Version version; std::optional<std::uint32_t> age_ms; std::vector<Key> children; };
// Everything up to txn is done with: installed, or refused by NACK before.
struct Ack { std::uint64_t txn = 0; };
struct Nack {
    enum class Why : std::uint8_t { AwaitConf = 1, Failed = 2, Bad = 3, Role = 4 };
    std::string tag;
    std::uint64_t txn = 0;
    Why why = Why::Failed;
    std::optional<Key> key;
    std::string reason;
};
// taken: sender's clock. last: the sample is complete with this frame.
struct Seq { std::string tag; Generation generation = 0; std::uint64_t taken = 0; bool last = true; std::vector<SaSeq> sas; };
struct Frozen { std::string tag; Generation generation = 0; std::uint64_t handover = 0; bool first = true, last = true; std::vector<SaSeq> sas; };
struct FrozenAck { std::string tag; std::uint64_t handover = 0; };
// Of tunnels, in the sender's eyes. Since version 2.
struct Traffic { std::string tag; std::vector<TunnelTraffic> tunnels; };
struct Status {
    std::string tag;
    Gauges gauges;
    SyncState state = SyncState::OutOfSync;
    Generation generation = 0;
    bool acting = false;
    Mastership mastership = Mastership::Discovery;
    std::uint64_t pending = 0;  // of act::ProtectionInputs
    std::vector<std::string> reasons;
};
// clock: sender's at sending; echo: the newest clock heard. want_reply: answer at once.
struct Keepalive { std::uint64_t clock = 0, echo = 0; bool want_reply = false; };
struct Bye { std::uint32_t flags = 0; std::string reason; };  // OperFlag bits of the sender

using Frame = std::variant<Hello, Config, Offer, Resync, Digest, SnapshotBegin, SnapshotEnd, EntryFrame, Delete, BadRecord, Ack, Nack, Seq, Frozen,
                           FrozenAck, Status, Keepalive, Bye, Propose, Traffic, Ended>;

void encode(SecretBuffer &out, const Hello &f);
void encode(SecretBuffer &out, const Config &f);
void encode(SecretBuffer &out, const Offer &f);
void encode(SecretBuffer &out, const Resync &f);
void encode(SecretBuffer &out, const Digest &f);
void encode(SecretBuffer &out, const SnapshotBegin &f);
void encode(SecretBuffer &out, const SnapshotEnd &f);
// The entry is written from where it lives, without a copy.
void encode_entry(SecretBuffer &out, const std::string &tag, Generation generation, std::uint64_t txn, const Entry &entry);
void encode_propose(SecretBuffer &out, const std::string &tag, Generation generation, const Entry &entry, std::span<const Key> children = {});
void encode(SecretBuffer &out, const Delete &f);
void encode(SecretBuffer &out, const Ack &f);
void encode(SecretBuffer &out, const Nack &f);
void encode(SecretBuffer &out, const Seq &f);
void encode(SecretBuffer &out, const Frozen &f);
void encode(SecretBuffer &out, const FrozenAck &f);
void encode(SecretBuffer &out, const Traffic &f);
void encode(SecretBuffer &out, const Ended &f);
void encode(SecretBuffer &out, const Status &f);
void encode(SecretBuffer &out, const Keepalive &f);
void encode(SecretBuffer &out, const Bye &f);

Expected<Frame> decode(const RawFrame &raw);

}  // namespace mcipsec::mcs::frame
