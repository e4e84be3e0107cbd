// SPDX-License-Identifier: GPL-2.0-or-later
// What goes into and comes out of an MCS session: events, actions, status.
//
// The engine hands one Event at a time to Session::step() and carries out the
// returned actions in order. A sync-tag names a tunnel-group on both chassis.
// Design: "MCS", "Sequence state" (I3, I4, I5, I6, I8, I9); seed: "Synchronization".
#pragma once

#include <linux/mcipsec.h>

#include <map>
#include <variant>

#include "core/mcs/record.hpp"
#include "core/role.hpp"
#include "core/traffic.hpp"

namespace mcipsec::mcs {

// ---------------------------------------------------------------- status ---

enum class SyncState : std::uint8_t { OutOfSync, InProgress, InSync };
std::string_view to_string(SyncState state);  // "outOfSync", "syncInProgress", "inSync"

// Sync Oper Flags; bits, shown by name.
enum OperFlag : std::uint32_t {
    kSyncAdminDown = 1u << 0,
    kPeerAdminDown = 1u << 1,
    kConnectionDown = 1u << 2,
    kMcsVersionMismatch = 1u << 3,
    kAppVersionMismatch = 1u << 4,
    kDecryptionError = 1u << 5,
    kInternalError = 1u << 6,
};
std::vector<std::string_view> oper_flag_names(std::uint32_t flags);  // "sync-admin-down", ...

// Entries of one node: of a group or, summed up, of a session.
struct Gauges {
    std::uint64_t entries = 0;        // Num Entries: IKE_SAs and CHILD_SAs, no tombstones
    std::uint64_t local_deleted = 0;  // Lcl Deleted Entries
    std::uint64_t alarmed = 0;        // Alarm Entries: failed now, and records refused for their form
    std::uint64_t installed = 0;
    std::uint64_t installing = 0;     // pending included
    std::uint64_t await_conf = 0;
    std::uint64_t failed = 0;
    bool operator==(const Gauges &) const = default;
    Gauges &operator+=(const Gauges &o);
};

// Counted since start, per session.
struct Counters {
    std::uint64_t connects = 0, disconnects = 0;
    std::uint64_t bytes_in = 0, bytes_out = 0;
    std::uint64_t frames_in = 0, frames_out = 0;
    std::uint64_t frames_bad = 0;          // garbled: the channel was closed
    std::uint64_t frames_unknown = 0;      // of a type we do not know: skipped
    std::uint64_t frames_unexpected = 0;   // known, but not now: skipped
    std::uint64_t records_sent = 0, deletes_sent = 0;
    std::uint64_t records_received = 0, deletes_received = 0;
    std::uint64_t records_bad = 0;         // a record broke its bounds: refused, channel kept
    std::uint64_t rejected_generation = 0; // frames of another generation (I5)
    std::uint64_t rejected_not_acting = 0; // frames of a peer that is not acting master (I5)
    std::uint64_t local_rejected = 0;      // local records while not acting master (I5), or too large
    std::uint64_t stale = 0;               // older than what is held (I6)
    std::uint64_t duplicate = 0;           // same version as held
    std::uint64_t imports = 0, import_failures = 0, import_await_conf = 0;
    std::uint64_t nacks_received = 0;
    std::uint64_t snapshots_sent = 0, snapshots_received = 0;  // whole or by buckets
    std::uint64_t deltas_sent = 0, deltas_received = 0;
    std::uint64_t proposed = 0, merged = 0;  // own records of a lost mastership; those the master took
    std::uint64_t audits = 0, audit_mismatches = 0, audit_repaired = 0;
    std::uint64_t tombstones_dropped = 0;  // over the bound: a later resync needs a snapshot
    std::uint64_t seq_sent = 0, seq_received = 0, seq_merged = 0;  // SAs, not frames
    std::uint64_t seq_ignored = 0;         // sequence state from a non-acting peer
    std::uint64_t traffic_sent = 0, traffic_received = 0;          // counters of tunnels
    std::uint64_t keepalive_timeouts = 0;
    std::uint64_t unknown_events = 0;      // for a tag or key that we do not have
};

struct GroupStatus {
    std::string tag;
    GroupId group = 0;
    bool acting = false, peer_acting = false;
    Generation generation = 0;
    SyncState state = SyncState::OutOfSync;
    Gauges local, remote;
    std::uint64_t unacked = 0;      // own changes the peer has not acknowledged
    std::uint64_t tombstones = 0;
    bool commit = false;            // output commit in force
    std::vector<std::string> config_differs;
    std::vector<std::string> peer_reasons;  // why the peer is notReady
};

// Everything for `show redundancy multi-chassis sync`; OMCR does not exist for IPsec: always 0.
struct SessionStatus {
    bool admin_up = true;           // Sync Admin State
    bool oper_up = false;           // Sync Oper State
    std::uint32_t oper_flags = 0;   // OperFlag bits
    SyncState db_sync_state = SyncState::OutOfSync;
    Gauges local, remote;
    std::uint64_t omcr_standby_entries = 0, omcr_alarm_entries = 0;
    std::uint64_t rem_omcr_standby_entries = 0, rem_omcr_alarm_entries = 0;
    std::string peer_app_version;   // text, "" until HELLO
    std::uint32_t peer_protocol = 0;
    std::optional<Duration> rtt;
    Counters counters;
    std::vector<GroupStatus> groups;
};

// One named piece of a group's configuration and its digest (any length up to 64).
struct ConfigItem {
    std::string name;  // "proposals", "selectors", "identities", "next-hops", ...
    Bytes digest;
    bool operator==(const ConfigItem &) const = default;
};

// Sequence state of one SA with the jump that was added for it since its peer
// last authenticated a packet (I3; see seqstate.hpp). The kernel knows no jump.
struct SaSeq {
    mcipsec_seq sa{};
    std::uint32_t jump = 0;
    std::uint64_t sent = 0;     // where the sender was made receive-only: it sent nothing above; 0: not known
};

// ---------------------------------------------------------------- events ---
namespace ev {

// The group exists on this node under this tag. Must come before other events of the tag.
struct GroupAdd { std::string tag; GroupId group = 0; };
// The group left the configuration: its database goes, nothing is sent or purged.
struct GroupRemove { std::string tag; };
// Digests of the group's configuration; sent at connect and whenever they change.
struct ConfigDigest { std::string tag; std::vector<ConfigItem> items; };
// MIMP's word: who is acting master, in which generation. At a hand-over the new
// master gives acting = true only after FrozenReceived (or its time-out).
struct GroupRole {
    std::string tag;
    Role role;
    Mastership state = Mastership::Discovery;  // rides in STATUS as information
};
// Reasons why this group is notReady here; told to the peer for its display.
struct ProtectionReasons { std::string tag; std::vector<std::string> reasons; };

struct AdminUp {};
struct AdminDown {};

// TLS is up in both directions. mimp_*: the session ids that both ends bound the
// channel to; ours must be what the peer says in HELLO, else the channel is closed.
struct ChannelUp { bool initiator = false; std::uint64_t mimp_local = 0, mimp_remote = 0; };
// The channel is gone; flags: OperFlag bits that say why (kDecryptionError,
// kMcsVersionMismatch, kInternalError, ...); kConnectionDown is added anyway.
struct ChannelDown { std::uint32_t flags = 0; std::string why; };
// Decrypted bytes; read during the call only. The caller wipes its buffer.
struct BytesIn { ByteView bytes; };
// All bytes of the last SendBytes were taken by TLS; the next may come.
struct WriteReady {};

// charon and its plugin answer (epoch of `mcipsec-version`) or are gone.
// After CharonUp the engine asks for mcipsec-snapshot of every group and frames
// what comes by LocalSnapshotBegin and LocalSnapshotEnd.
struct CharonUp { std::uint64_t epoch = 0; };
struct CharonDown {};
// Connections were (re)loaded: await-conf entries are tried again at once.
struct ConfLoaded {};

// `mcipsec-record` op = upsert. The version's generation is set here.
struct LocalUpsert {
    std::string tag;
    Key key;
    std::optional<Key> parent;
    std::uint64_t lineage = 0, version = 0;
    std::string name, info;
    SecretBytes data;
    std::uint64_t epoch = 0, seq = 0;  // of the plugin
    std::optional<std::uint32_t> inbound_age_ms;
    std::string unfit;                 // why data is empty: no record can hold it
};
enum class DeleteScope : std::uint8_t { Global = 1, Local = 2 };
// op = delete (Global: the SA ended), or purged on this node only (Local).
struct LocalDelete {
    std::string tag;
    Key key;
    DeleteScope scope = DeleteScope::Global;
    std::uint64_t epoch = 0, seq = 0;
};
struct LocalSnapshotBegin { std::string tag; };
// What the plugin did not name: on the acting master with an unchanged plugin
// epoch it ended (global delete); otherwise it is imported again.
struct LocalSnapshotEnd { std::string tag; };
// Everything of this tag is to be imported again (charon was purged: standby-restart).
struct Refill { std::string tag; };

// Changed: the acting charon changed it after what the session had heard of it; that
// comes first.
enum class ImportOutcome : std::uint8_t { Installed, AwaitConf, Stale, Changed, Failed };
// Answer to Import. version: of the entry when the VICI message was built.
struct ImportResult {
    std::string tag;
    Key key;
    Version version;
    ImportOutcome outcome = ImportOutcome::Failed;
    std::string reason;
};
// Answer to Delete; ok also when charon did not have it.
struct DeleteResult { std::string tag; Key key; bool ok = true; std::string reason; };

// The acting master's kernel export of what changed, taken at `taken`.
struct SeqSample { std::string tag; Time taken; std::vector<SaSeq> sas; };
// The gate is shut for the hand-over: this state is final. Sent after every
// entry that this node still has to send.
// hand-over 0: of a mastership that ended without one.
struct FrozenSeq { std::string tag; std::uint64_t handover = 0; std::vector<SaSeq> sas; };
// When packets of each IKE_SA (in its CHILD_SAs) were last authenticated here. Decides
// between two lives of one IKE_SA.
struct InboundSeen { std::string tag; std::vector<std::pair<Key, Time>> ike; };
// Counters of tunnels that changed, or all of them when act::TrafficWanted asked.
struct Traffic { std::string tag; std::vector<TunnelTraffic> tunnels; };
// FrozenReceived was imported into the kernel.
struct FrozenApplied { std::string tag; std::uint64_t handover = 0; };

struct Timer {};  // deadline() has come

}  // namespace ev

using Event = std::variant<ev::GroupAdd, ev::GroupRemove, ev::ConfigDigest, ev::GroupRole, ev::ProtectionReasons, ev::AdminUp, ev::AdminDown,
                           ev::ChannelUp, ev::ChannelDown, ev::BytesIn, ev::WriteReady, ev::CharonUp, ev::CharonDown, ev::ConfLoaded,
                           ev::LocalUpsert, ev::LocalDelete, ev::LocalSnapshotBegin, ev::LocalSnapshotEnd, ev::Refill, ev::ImportResult,
                           ev::DeleteResult, ev::SeqSample, ev::InboundSeen, ev::FrozenSeq, ev::Traffic, ev::FrozenApplied, ev::Timer>;

// --------------------------------------------------------------- actions ---
namespace act {

// Write all of it, then hand in WriteReady. At most one is under way; only a last
// one before CloseChannel may follow early, and is then written if it goes at once.
struct SendBytes { SecretBytes bytes; };
// Close TLS; no ChannelDown is expected back (one is harmless).
struct CloseChannel { std::string why; };

// Import Session::entry(tag, key) as it is when the VICI message is built; answer
// with ImportResult and that version. At most Config::import_window are under way.
// Those handed out together are independent: a CHILD_SA is not handed out before its
// IKE_SA is installed, nothing is twice under way, a Delete waits for what came before
// it. After a takeover what is still missing goes on being imported.
// replace: this node is acting master: what charon has gives way to this one; an IKE_SA
// with its CHILD_SAs, which are imported again.
struct Import { std::string tag; Key key; bool replace = false; };
// `mcipsec-delete`: purge without a packet; answer with DeleteResult. ended: this node
// is acting master.
struct Delete { std::string tag; Key key; bool ended = false; };
// Acting master: two lives of this IKE_SA met, and the one that goes on is in charon. Its
// peer is to be asked for life. apart: both chassis have changed it. rival: Entry::info of
// the other one, empty if it had ended. strays: CHILD_SAs that only the other one had, so
// nobody has their keys any more; empty unless apart.
struct Merged { std::string tag; Key ike; bool apart = false; std::string rival{}; std::vector<Key> strays{}; };
// Standby that was acting itself: its records are about to be proposed. Answer with
// ev::InboundSeen, then ev::FrozenSeq of every SA with hand-over 0.
struct FinalSeqWanted { std::string tag; };
// Acting master: the standby put records of its own to it. Answer with ev::InboundSeen.
struct InboundWanted { std::string tag; };
// The standby has a new start: export the sequence state of every SA of the group,
// not only of what changed.
struct SeqWanted { std::string tag; };
// Sequence state from the acting master; age bounds its age from above
// (transit included). `complete`: last part of one sample.
struct ImportSeq { std::string tag; std::vector<SaSeq> sas; Duration age; bool complete = true; };

// The channel is new: answer with ev::Traffic of every tunnel.
struct TrafficWanted { std::string tag; };
// The peer's counters, of some tunnels.
struct TrafficReceived { std::string tag; std::vector<TunnelTraffic> tunnels; };

// `mcipsec-ack`: the standby has every record of this session up to seq. none_open:
// nothing of this session is open, seq is the newest seen (several sessions: see
// group::PluginAcks).
struct PluginAck { std::uint64_t epoch = 0, seq = 0; bool none_open = false; };
// Output commit for the group (commit= of mcipsec-group); off releases what is held.
struct CommitMode { std::string tag; bool on = false; };

// What the plugin said was not taken, as this node was not acting, and now it acts
// again: let it list what it has (LocalSnapshotBegin to LocalSnapshotEnd).
struct LocalSnapshotWanted { std::string tag; };

// tmnxMcPeerSyncStatusChanged.
struct SyncStateChanged { SyncState old_state, new_state; std::uint32_t oper_flags; };
// What protection status is computed from; sent when it changes. A node is fully
// protected if all counts are 0 and in_sync. pending: changes not yet at the
// peer (or not yet installed here) for longer than Config::pending_grace.
struct ProtectionInputs {
    std::string tag;
    bool in_sync = false;
    std::uint64_t pending = 0, await_conf = 0, failed = 0, lost = 0;
    std::uint64_t peer_pending = 0, peer_await_conf = 0, peer_failed = 0, peer_lost = 0;
    bool config_differs = false;
    bool operator==(const ProtectionInputs &) const = default;
};
// Not acting: what of the peer's records is installed here has changed. Sooner than
// ProtectionInputs, in which an import does not count before pending_grace.
struct GaugesChanged { std::string tag; };
// The peer's MIMP state as it rides in MCS: dual-master alarm, never an election.
struct PeerMimp { std::string tag; Mastership state; Generation generation; bool acting; };

// Frozen state of the peer; every entry it had sent is in the database by now.
struct FrozenReceived { std::string tag; std::uint64_t handover; Generation generation; std::vector<SaSeq> sas; };
// The peer has imported our frozen state.
struct FrozenAcked { std::string tag; std::uint64_t handover; };

enum class Severity : std::uint8_t { Info, Warning, Alarm, Clear };
// For journal and `show log`. what: a fixed word ("entry-failed", "config-differs",
// "frame-bad", "audit-repaired", ...); text: for people, without secrets.
struct Log { Severity severity; std::string tag, what, text; };

}  // namespace act

using Action = std::variant<act::SendBytes, act::CloseChannel, act::Import, act::Delete, act::Merged, act::FinalSeqWanted, act::InboundWanted, act::SeqWanted, act::ImportSeq, act::TrafficWanted, act::TrafficReceived, act::PluginAck, act::CommitMode,
                            act::SyncStateChanged, act::ProtectionInputs, act::GaugesChanged, act::PeerMimp, act::FrozenReceived, act::FrozenAcked, act::LocalSnapshotWanted, act::Log>;
using Actions = std::vector<Action>;

}  // namespace mcipsec::mcs
