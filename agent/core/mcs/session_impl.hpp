// SPDX-License-Identifier: GPL-2.0-or-later
// The inside of mcs::Session, shared by its source files:
//   session.cpp         events, channel, hello, keepalive, states, timers
//   session_local.cpp   what the own plugin, charon and kernel say
//   session_tx.cpp      acting master: offer, snapshot, delta, live, acks
//   session_rx.cpp      standby: the peer's frames
//   session_import.cpp  standby: into the own charon, one work a key
//   session_merge.cpp   both: two lives of one tunnel
//   session_traffic.cpp counters of tunnels, both ways
#pragma once

#include <algorithm>
#include <deque>
#include <set>
#include <unordered_set>

#include "core/mcs/frame.hpp"
#include "core/mcs/session.hpp"

namespace mcipsec::mcs {

enum class Tx : std::uint8_t { Idle, Offered, Catchup, Live };
enum class Rx : std::uint8_t { Idle, Requested, Snapshot, Live };

// MIMP's word, and what else a tunnel-group has.
struct Group : Role {
    std::string tag;
    GroupId id = 0;
    Db db;

    Generation heard = 0, inherits = 0;     // the peer's term heard whole; what that was when this node became acting
    Mastership mastership = Mastership::Discovery;
    std::vector<std::string> reasons;
    std::optional<std::vector<ConfigItem>> config, peer_config;
    std::vector<std::string> config_differs;

    // The plugin's word: filled once its snapshot has ended.
    bool filled = false, in_snapshot = false, refilling = false;
    bool missed = false;    // it spoke of changes while this node neither acted nor stood by
    std::uint64_t fill_epoch = 0;

    // Acting master. Catch-up walks the log to `target` in three passes (IKE_SA,
    // CHILD_SA, tombstones), live from `cursor`. run: numbers the walks, so that an
    // acknowledgement of an earlier one counts for nothing.
    Tx tx = Tx::Idle;
    Generation offered = 0;
    std::uint64_t serial = 0, run = 0;
    bool begin_due = false, repair = false, end_acked = false, digest_due = false, digest_audit = false;
    // Samples say what changed. They are complete from the one on that answers SeqWanted:
    // what changed while nobody listened was in none.
    enum class Samples : std::uint8_t { Partial, Asked, Complete } samples = Samples::Partial;
    BucketMask mask{};
    std::uint64_t from = 0, target = 0, pos = 0, cursor = 0, acked = 0;
    std::uint64_t met = 0;      // acked when this term began: what of ours the peer went on from
    int pass = 0;
    std::set<std::uint64_t> open;  // plugin sequence numbers the peer has not acknowledged
    bool commit = false;
    std::vector<SaSeq> seq_out;
    bool seq_due = false;       // a sample waits, be it empty: what it does not name has not changed
    Time seq_empty_at{};
    Time seq_taken{};
    std::deque<frame::Frozen> frozen_out;
    std::map<std::string, TunnelTraffic> traffic_out;
    std::unordered_set<Key, KeyHash> outvoted;     // IKE_SAs whose other life was proposed and refused
    std::unordered_set<Key, KeyHash> adopted;      // ... and taken
    struct Decision {
        bool apart = false;         // both chassis have changed it
        std::string rival{};        // Entry::info of the life that lost
        std::vector<Key> strays{};  // CHILD_SAs of that one alone
        bool told = false;          // charon has the life that goes on
        std::vector<std::pair<Key, std::string>> said{};    // by charon while that one was on its way in: key, info
    };
    std::unordered_map<Key, Decision, KeyHash> merged;  // IKE_SAs
    std::unordered_map<Key, Version, KeyHash> taken;    // what was proposed and taken, as it was proposed
    std::deque<frame::Propose> proposals;          // until it is known who was heard here
    std::deque<frame::Ended> ends;                 // likewise
    // What ended by such a word, each IKE_SA before its CHILD_SAs; charon follows when what moved away is there.
    std::vector<std::vector<Key>> leaving;
    std::unordered_map<Key, Time, KeyHash> inbound;  // IKE_SA: last authenticated packet here

    // Standby.
    Rx rx = Rx::Idle;
    std::optional<frame::Offer> offer;
    std::uint64_t known_epoch = 0, known = 0;  // of the peer's log
    std::uint32_t snapshot = 0;
    BucketMask rx_mask{};
    bool rx_repair = false, rx_synced = false;
    std::vector<Key> purge;       // by difference, once everything before is settled
    std::vector<Key> brought;     // by charon's list, after all of the master's had come
    std::deque<Key> propose, ended;         // ended: IKE_SAs that the master holds
    bool final_asked = false, final_done = false;  // sequence state that goes before them
    bool final_due = false;                 // it acted since the peer took such a state
    bool put = false;                       // something was put to this master, and may not be decided
    std::unordered_set<Key, KeyHash> contested;    // IKE_SAs among them, until the master has decided
    std::unordered_set<Key, KeyHash> rivals;       // of those, with another life at the master: until they are sent
    std::unordered_set<Key, KeyHash> appealed;     // ... and since
    std::deque<Key> ready;        // imports that may begin
    std::unordered_set<Key, KeyHash> parked;  // await-conf, failed
    std::optional<frame::Frozen> frozen_in;

    // What the peer said of itself, and what we said last.
    frame::Status peer;
    bool peer_known = false;
    frame::Status told;
    bool told_once = false;
    Time tell_at{};
    std::uint64_t bad_records = 0;                 // of the peer's, since its snapshot
    std::unordered_set<Key, KeyHash> unfit;        // of the own charon: no record holds them
    bool unfit_told = false;
    SyncState state = SyncState::OutOfSync;
    act::ProtectionInputs protection;
    bool protection_told = false;
    Gauges gauges_told;

    Gauges gauges() const
    {
        auto g = db.gauges();
        g.alarmed += bad_records + unfit.size();
        return g;
    }
};

struct InFlight {
    std::uint64_t txn = 0;
    Group *group = nullptr;  // null: the group went
    std::uint64_t run = 0, change = 0, plugin_first = 0;
    std::size_t bytes = 0;
    Time sent{};
    bool end = false;
};

struct Received {
    enum class What : std::uint8_t { Entry, Delete, End, Refused } what = What::Entry;
    Group *group = nullptr;
    Key key;
    std::uint64_t prev = 0;  // earlier transaction of the same key, 0: none
    bool done = false;
    Time at{};
};

struct Session::Impl {
    explicit Impl(Config config) : config(std::move(config)) {}

    Config config;
    Time now{};
    Actions out;
    Counters n;
    std::map<std::string, std::unique_ptr<Group>> groups;

    // Channel.
    bool admin_up = true, channel = false, hello = false, writing = false, closing = false;
    std::uint32_t sticky_flags = 0;  // until the next good hello
    bool peer_admin_down = false;
    std::uint64_t mimp_local = 0, mimp_remote = 0;
    frame::Hello peer;
    FrameReader reader;
    SecretBuffer tx;
    Time last_rx{}, keepalive_at{}, hello_by{}, up_since{};
    bool reply_due = false, ack_due = false;
    std::uint64_t peer_clock = 0;
    std::deque<std::int64_t> offsets;  // lower bounds of own minus peer's clock
    std::optional<Duration> rtt;
    SyncState state = SyncState::OutOfSync;
    std::uint32_t told_flags = kConnectionDown;

    // Acting master.
    std::uint64_t next_txn = 1, next_serial = 1, next_run = 1;
    std::deque<InFlight> in_flight;
    std::size_t in_flight_bytes = 0;
    std::string turn;  // group that sends next
    Time audit_at{};

    // Plugin.
    bool charon_up = false;
    std::uint64_t plugin_epoch = 0, plugin_last = 0, plugin_told = 0;
    bool plugin_open = false;       // as told: a record waits for the standby

    // Standby.
    std::uint64_t rx_base = 1;  // transaction of received.front()
    std::uint64_t rx_scan = 1;  // first one before which not everything is settled
    std::deque<Received> received;
    std::size_t works = 0;      // Import and Delete actions under way
    Time retry_at = kNever, failed_retry_at = kNever, lost_retry_at = kNever;

    // session.cpp
    void step(Event &event);
    void settle_states();
    Time deadline() const;
    void log(act::Severity s, const std::string &tag, const char *what, std::string text);
    Group *find(const std::string &tag);
    bool ready() const { return channel && hello && admin_up && !closing; }
    std::uint32_t flags() const;
    void close(std::uint32_t why_flags, std::string why, bool bye = true);
    void channel_lost();
    void flush();
    SessionStatus status() const;
    GroupStatus group_status(const Group &g) const;
    std::uint64_t pending(const Group &g) const;

    void on(ev::GroupAdd &e);
    void on(ev::GroupRemove &e);
    void on(ev::ConfigDigest &e);
    void on(ev::GroupRole &e);
    void on(ev::ProtectionReasons &e);
    void on(ev::AdminUp &);
    void on(ev::AdminDown &);
    void on(ev::ChannelUp &e);
    void on(ev::ChannelDown &e);
    void on(ev::BytesIn &e);
    void on(ev::WriteReady &);
    void on(ev::Timer &);
    void on(frame::Hello &f);
    void on(frame::Config &f);
    void on(frame::Status &f);
    void on(frame::Keepalive &f);
    void on(frame::Bye &f);
    void compare_config(Group &g);
    void tell_status(Group &g);
    SyncState group_state(const Group &g) const;

    // session_local.cpp
    void on(ev::CharonUp &e);
    void on(ev::CharonDown &);
    void on(ev::ConfLoaded &);
    void on(ev::LocalUpsert &e);
    void on(ev::LocalDelete &e);
    void on(ev::LocalSnapshotBegin &e);
    void on(ev::LocalSnapshotEnd &e);
    void on(ev::Refill &e);
    void on(ev::SeqSample &e);
    void on(ev::FrozenSeq &e);
    void on(ev::FrozenApplied &e);
    void on(ev::Traffic &e);
    void local_seq(std::uint64_t epoch, std::uint64_t seq);
    void unfit(Group &g, const ev::LocalUpsert &r);
    void fit(Group &g, const Key &key);
    void track(Group &g, Entry &e, std::uint64_t seq);
    void bury_local(Group &g, Entry &e, std::uint64_t seq);
    void charon_lost();

    // session_traffic.cpp
    void want_traffic();
    void send_traffic(Group &g);
    void on(frame::Traffic &f);

    // session_tx.cpp
    bool serves(const Group &g) const { return ready() && speaks(g) && g.filled; }
    void offer(Group &g);
    void stop_tx(Group &g);
    void start_catchup(Group &g, std::uint64_t from, const BucketMask &mask, bool repair);
    bool unsent(const Group &g, const Entry &e) const;
    bool drained(const Group &g) const;
    bool send_next(Group &g);
    void send_entry(Group &g, Entry &e);
    void send_seq(Group &g);
    void fill();
    void on(frame::Resync &f);
    void on(frame::Ack &f);
    void on(frame::Nack &f);
    void on(frame::FrozenAck &f);
    void plugin_ack(bool always);

    // session_merge.cpp
    bool disputed(Group &g, const Entry &theirs, const Entry *held);
    bool unheard(const Group &g, const Entry &e) const;
    void confirm(Group &g);
    std::uint32_t ms_since(Time then) const;
    Group *asked(const std::string &tag, Generation generation);    // by a standby; nullptr: not to be answered
    std::optional<std::uint32_t> inbound_age(const Group &g, const Entry &e) const;
    void propose(Group &g);
    void propose_ends(Group &g);
    bool apart(const Group &g, const Entry &held, const Entry &proposed) const;
    bool takes(const Group &g, const Entry &held, const Entry &proposed) const;
    void outvote(Group &g, const Key &ike);
    void tell_merged(Group &g, const Entry &e);
    void insist(Group &g, Entry *held, const Entry &refused);
    void on(frame::Propose &f);
    void on(ev::InboundSeen &e);
    void decide(Group &g, frame::Propose &&f);
    void decide_end(Group &g, const frame::Ended &f);
    void follow_ends(Group &g);
    void on(frame::Ended &f);
    bool gives_way(const Group &g, const Key &key, const std::optional<Key> &parent) const;
    void decided(Group &g, const Key &ike, Group::Decision &&d);
    void last_words(Group &g, const ev::LocalUpsert &r);
    void last_words_count(const Group &g, Group::Decision &d, const Key &key, const std::string &info);
    void made_way(Group &g, const Key &ike, bool done);

    // session_rx.cpp
    bool hears(const Group &g) const { return ready() && listens(g); }
    void request(Group &g);
    void stop_rx(Group &g);
    void on(frame::Offer &f);
    void on(frame::Digest &f);
    void on(frame::SnapshotBegin &f);
    void on(frame::SnapshotEnd &f);
    void on(frame::EntryFrame &f);
    void on(frame::Delete &f);
    void on(frame::BadRecord &f);
    void on(frame::Seq &f);
    void on(frame::Frozen &f);
    bool receive(std::uint64_t txn, Received &&r);
    bool accept(Group *g, Generation generation);
    bool counts(Verdict v);
    void refuse(std::uint64_t txn, const std::string &tag, Group *g, frame::Nack::Why why, std::string reason);
    void nack(const Group &g, std::uint64_t txn, frame::Nack::Why why, const Entry *e, const std::string &reason);
    void arrived(Group &g, Entry &e, std::uint64_t txn);
    void settle(Entry &e, std::uint64_t up_to);
    void advance();
    Duration age(std::uint64_t taken) const;

    // session_import.cpp
    bool can_import(const Group &g) const { return charon_up && g.filled; }
    void import(Group &g, Entry &e);
    void park(Group &g, Entry &e, LocalStatus status, const std::string &reason);
    void wake(Group &g, const Key &parent);
    void orphan(Group &g, const Key &parent);
    void bury_extra(Group &g, Entry &e);
    void bury_brought(Group &g);
    void work_delete(Group &g, Entry &e);
    void reimport_all(Group &g, bool unseen_only);
    void retry(bool await_conf, bool failed);
    void retry_lost();
    bool replaces(Group &g, const Entry &e);
    void pump_imports();
    void on(ev::ImportResult &e);
    void on(ev::DeleteResult &e);
};

}  // namespace mcipsec::mcs
