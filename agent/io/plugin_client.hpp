// SPDX-License-Identifier: GPL-2.0-or-later
// The mcipsec commands and events of charon's plugin as typed calls
// (Documentation/vici-mcipsec.rst), and the few stock commands that the
// command line needs. `data` of a record is carried, never looked into.
//
// An answer that lacks a field or has one of the wrong form is EPROTO. A
// malformed event is counted and told to on_malformed: the entry is repaired
// by the next audit (I9).
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "io/vici.hpp"

namespace mcipsec::io {

constexpr unsigned kPluginProtocol = 1;

enum class EntryKind : std::uint8_t { Ike = 1, Child = 2 };
enum class RecordOp : std::uint8_t { Upsert = 1, Delete = 2 };
using Info = std::vector<std::pair<std::string, std::string>>;  // lists joined by ',', sections by '.'

// Full state of one IKE_SA or CHILD_SA.
struct PluginRecord {
    std::uint64_t epoch = 0;    // random per start of charon
    std::uint64_t seq = 0;      // monotonic in the epoch
    RecordOp op = RecordOp::Upsert;
    bool local = false;         // delete: this passive chassis lost it, it did not end
    bool snapshot = false;      // streamed by snapshot(); a live record may overtake it
    EntryKind kind = EntryKind::Ike;
    GroupId group = 0;
    Bytes key;                  // ike: SPIi SPIr (16); child: inbound SPI, protocol (5)
    Bytes parent;               // child: key of its IKE_SA
    std::uint64_t lineage = 0;
    std::uint64_t version = 0;
    std::string name;           // swanctl connection or child
    Info info;                  // for show and log; never keys
    SecretBytes data;           // empty: no record can hold it
    std::string unfit;          // why
};

struct PluginVersion {
    std::string plugin, strongswan;
    unsigned protocol = 0;
    std::uint64_t epoch = 0;
};

enum class CharonState { Closed, Passive, Active };
enum class PoolShare { All, Even, Odd };    // virtual addresses that may be handed out
struct PluginGroup {
    GroupId group = 0;
    CharonState state = CharonState::Closed;
    bool commit = false;                    // output commit (I4)
    std::uint32_t commit_limit_ms = 200;
    PoolShare share = PoolShare::All;
    bool responder_only = false;            // no IKE_SA is begun by the gateway
    std::vector<IpAddress> addresses;       // local gateway addresses
    std::vector<std::string> connections;   // swanctl connections of the group; none: every one
    bool more = false;                      // further groups follow: addresses of no group stay blocked
};
struct PluginGroupReply {
    CharonState state = CharonState::Closed;
    std::uint64_t ike = 0, child = 0;       // entries
};

enum class ImportResult { Installed, AwaitConf, Stale, Changed, Failed };
struct PluginImport {
    ImportResult result = ImportResult::Failed;
    std::string reason;
};
struct PluginSnapshot {
    std::uint64_t count = 0, epoch = 0, seq = 0;
};
enum class RekeyResult { Queued, Busy, Missing, Passive };

// What the life of an IKE_SA that lost in a merge had with the peer.
struct PluginRival {
    std::string proposed;                   // CHILD_SA of a request without an answer, as `info` names it; empty: none
    std::optional<std::uint32_t> mid_out;   // its next message id
    std::vector<Bytes> strays;              // keys of CHILD_SAs that the life that goes on does not have
};

struct PluginLiveness {
    RekeyResult result = RekeyResult::Missing;
    std::uint32_t mid = 0;                  // of the request, if queued
};

struct PluginLog {
    GroupId group = 0;
    std::string what;                       // ike-up, child-rekey, auth-failed, ...
    std::string text;                       // one readable line
    Info fields;                            // all others, in their order
};
struct PluginHeldExpired {
    GroupId group = 0;
    std::uint64_t epoch = 0, seq = 0, count = 0;
};

class PluginClient {
public:
    template <typename T>
    using Done = std::function<void(Expected<T>)>;

    explicit PluginClient(ViciClient &vici);

    // Events; set before connect(). Registered with charon by start().
    std::function<void(PluginRecord &&)> on_record;
    std::function<void(PluginLog &&)> on_log;
    std::function<void(const PluginHeldExpired &)> on_held_expired;
    std::function<void(const std::string &what)> on_malformed;

    // Registers the events (kept over reconnects). registered: each outcome; an
    // error means that charon has no mcipsec plugin.
    void start(std::function<void(Expected<void>)> registered = {});

    void version(Done<PluginVersion> done);
    void group(const PluginGroup &g, Done<PluginGroupReply> done);
    // Purges and forgets it; its addresses stay blocked.
    void group_remove(GroupId group, Done<void> done);
    // key, parent, lineage, version, name and data of r are used. r.data is cloned.
    // replace: what is here of an active group gives way to this state of it.
    // Changed: charon announced a change of it that had not come through on_record
    // when this was called; it has now.
    void import(const PluginRecord &r, bool replace, Done<PluginImport> done);
    // mcipsec-delete: without a packet; gives how many (0 or 1).
    // ended: in an active group, too.
    void remove(EntryKind kind, GroupId group, const Bytes &key, bool ended, Done<std::uint64_t> done);
    void purge(GroupId group, Done<std::uint64_t> done);
    // seq: of all groups; groups: of which more is acknowledged.
    void ack(std::uint64_t epoch, std::uint64_t seq, const std::map<GroupId, std::uint64_t> &groups, Done<void> done);
    // Records come through on_record, all of them before done.
    void snapshot(GroupId group, Done<PluginSnapshot> done);
    void rekey(GroupId group, const Bytes &child_key, Done<RekeyResult> done);
    // The message ids of an IKE_SA are in doubt: asks its peer for them, if both can and may;
    // ours do not stay behind the rival's. The peer is to delete the CHILD_SAs that are the
    // rival's, then those of that IKE_SA are rekeyed.
    void doubt(GroupId group, const Bytes &ike_key, const PluginRival &rival, Done<RekeyResult> done);
    // Asks the peer of an IKE_SA for life; its record shows a higher mid-out when that answers.
    void liveness(GroupId group, const Bytes &ike_key, Done<PluginLiveness> done);
    void status(Done<vici::Message> done);
    // What charon has loaded under a connection's name (mcipsec-conn).
    void connection(const std::string &name, Done<vici::Message> done);

    // Stock commands. A second streamed one waits for the first.
    // on_sa: one message an IKE_SA (as swanctl --list-sas); ike: "" for all.
    void list_sas(const std::string &ike, std::function<void(const vici::Message &)> on_sa, Done<void> done);
    void terminate(const std::string &ike, Done<std::uint64_t> done);   // gives the number of SAs terminated
    void stats(Done<vici::Message> done);
    // Names of the loaded connections, and each with its full description.
    void list_conns(std::function<void(const vici::Message &)> on_conn, Done<void> done);

    struct Stats {
        std::uint64_t records = 0, malformed = 0;
    };
    const Stats &counters() const { return stats_; }

private:
    void command(std::string name, vici::Message m, Done<vici::Message> done);
    void streamed(const std::string &command, const std::string &event, vici::Message m,
                  std::function<void(const vici::Message &)> on_item, Done<void> done);
    void start_stream();
    struct Stream {
        std::string command, event;
        vici::Message message;
        std::function<void(const vici::Message &)> on_item;
        Done<void> done;
    };
    ViciClient &vici_;
    std::deque<Stream> streams_;            // the first one runs
    std::vector<std::string> stream_events_;
    void saw(std::uint64_t epoch, std::uint64_t seq);
    struct {
        std::uint64_t epoch = 0, seq = 0;
    } seen_;                                // the last record taken from the plugin
    Stats stats_;
};

// For tests: what the event carries, checked.
Expected<PluginRecord> parse_record(vici::Message &&m);
Info flatten(const vici::Section &s);
vici::Message build_import(const PluginRecord &r);
std::string_view to_string(EntryKind kind);     // ike, child
std::string_view to_string(CharonState state);  // closed, passive, active
std::string_view to_string(PoolShare share);    // all, even, odd

}  // namespace mcipsec::io
