// SPDX-License-Identifier: GPL-2.0-or-later
// MCS with one peer, put to work: joins the core (mcs::Session, SeqState) with
// the TLS channel, charon's plugin and the kernel's sequence state.
//
// Invariants: an import is answered "installed" only after charon installed it
// and, for a CHILD_SA, the kernel took its sequence numbers with the margin
// (I3); records of groups this node does not lead never reach the session (I5).
// A session without a peer (address none) keeps the database of groups that
// work alone: nothing is sent, nothing is held.
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>

#include "app/charon_control.hpp"
#include "app/config.hpp"
#include "core/mcs/session.hpp"
#include "core/seq_import.hpp"
#include "core/seqstate.hpp"
#include "core/tunnel_counters.hpp"
#include "io/mcipsec_nl.hpp"
#include "io/tls_channel.hpp"

namespace mcipsec::app {

struct SyncPeer {
    IpAddress local, address;           // none: no peer
    std::string name;                   // for the log
    std::uint16_t port = 0;
    SecretBytes psk;
    std::uint8_t dscp = io::kDscpCs6;
    SyncConfig config;
    Duration detection = 3s;            // for the margins
    std::shared_ptr<io::TcpListeners> listeners;    // shared by the peers of one source-address
};

// Two lives of an IKE_SA met: act::Merged.
struct MergedIke {
    Bytes ike;
    bool apart = false;                 // both chassis have changed it
    io::PluginRival rival;              // the life that lost
};

class SyncControl {
public:
    SyncControl(io::EventLoop &loop, io::Log &log, CharonControl &charon, io::McipsecNl &kernel, SyncPeer peer, std::uint64_t db_epoch);
    ~SyncControl();

    struct Callbacks {
        std::function<void(GroupId, const mcs::act::ProtectionInputs &)> protection;
        std::function<void(GroupId)> gauges;                                    // not acting: as of act::GaugesChanged
        std::function<void(GroupId, std::uint64_t handover)> frozen_applied;    // standby: imported into the kernel
        std::function<void(GroupId, std::uint64_t handover)> frozen_acked;      // master: the peer has it
        std::function<void()> ack_changed;
        // Remote traffic selectors of an installed CHILD_SA, here or on the peer; "": it is gone.
        std::function<void(GroupId, const Bytes &key, const std::string &connection, const std::string &remote_ts)> selectors;
        std::function<void(GroupId)> snapshot_done;                             // charon has named all that it holds
        std::function<void(GroupId, mcs::SyncState)> state;
        std::function<void(GroupId, const Bytes &key, bool upsert)> child_changed;   // own records, for the pacing of rekeys
        std::function<void(GroupId, const MergedIke &)> merged;  // its peer is to be asked for life
        // Own records of an IKE_SA: next message id of our own; none: it ended.
        std::function<void(GroupId, const Bytes &ike, std::optional<std::uint32_t> mid)> ike_changed;
        std::function<void(GroupId, const Bytes &key)> child_late;      // imported while this node was acting master
    };
    Callbacks callbacks;

    Expected<void> start();
    void add_group(const std::string &tag, const TunnelGroupConfig &group);
    // A reload changed what both already have.
    void reconfigure(const std::string &name, Duration detection);
    void reconfigure_group(const TunnelGroupConfig &group);
    // standby-restart: drops what charon has of the group and installs all anew.
    void restart_standby(GroupId group);
    // What the peer must have alike; nothing is compared before both said it.
    void set_config(GroupId group, std::vector<mcs::ConfigItem> items);
    // charon has connections that it did not have: entries that wait are tried again.
    void conf_loaded();
    void remove_group(GroupId group);
    void set_admin(bool up);
    // MIMP's sessions; the channel is made anew when they change. peer_epoch 0: not known yet.
    void set_mimp(std::uint64_t own_epoch, std::uint64_t peer_epoch);
    void set_role(GroupId group, Mastership state, const Role &role);
    // charon is listing what it has of the group; snapshot_done follows.
    bool lists(GroupId group) const;
    void set_reasons(GroupId group, std::vector<std::string> reasons);

    void charon_up(std::uint64_t epoch);
    void charon_down();
    void record(io::PluginRecord &&r);

    // Hand-over, old master: exports the closed gate's sequence state, sends it.
    Expected<void> send_frozen(GroupId group, std::uint64_t handover);
    // Master: one export and its sample. Standby: margins grow with the age.
    void sample(GroupId group);
    // Hand-over, new master: only what this one freezes will be exact.
    void begin_handover(GroupId group);
    // This node becomes acting master, by a hand-over or not; its gate is shut still: SAs
    // that must not send are made receive-only. Returns what must be rekeyed first.
    std::vector<NeedsRekey> takeover(GroupId group, bool handed_over);
    // Acting master whose peer is not reached any more, and may act, too.
    void peer_lost(GroupId group);
    // Outbound SAs that are to be rekeyed for that, each once.
    std::vector<SaId> near_the_peer(GroupId group);
    void keep_near(GroupId group, std::span<const SaId> sas);     // whose records may still come
    bool has_near(GroupId group) const;
    std::uint64_t receive_only(GroupId group) const;        // counted since start
    Traffic traffic(GroupId group, const std::string &connection) const;    // of both chassis
    std::vector<SeqState::Debt> debts(GroupId group) const;
    void restore(GroupId group, std::span<const SeqState::Debt> debts);

    // mcipsec-ack of this session; none_open as in mcs::act::PluginAck.
    struct Ack {
        std::uint64_t epoch = 0, seq = 0;
        bool none_open = true;
    };
    const Ack &ack() const { return ack_; }
    mcs::SessionStatus status() const { return session_.status(); }
    const mcs::Session &session() const { return session_; }
    bool has_group(GroupId group) const { return tag_of(group) != nullptr; }
    const std::string *tag_of(GroupId group) const;
    std::optional<SeqState::Known> known(GroupId group, const SaId &sa) const;
    bool has_peer() const { return !peer_.address.empty(); }
    bool connected() const { return channel_ && channel_->up(); }
    const SyncPeer &peer() const { return peer_; }
    std::int64_t last_in_sync() const { return last_in_sync_; }     // unix seconds, 0 never
    struct Alarm {
        std::string tag, text;
    };
    const std::map<std::string, Alarm> &alarms() const { return alarms_; }

private:
    struct Held {
        mcipsec_seq sa{};
        bool late = false;              // imported, but not in the kernel yet: sa is its number
    };
    struct Group {
        GroupId id = 0;
        std::string tag;
        TunnelGroupConfig config;
        SeqState seq;
        Mastership state = Mastership::Discovery;
        bool sample_failed = false;
        std::uint64_t receive_only = 0;
        std::unordered_set<SaId, SaIdHash> refused;     // whose numbers the kernel does not take: said
        std::vector<mcs::SaSeq> final;  // numbers when it last ceased to act
        std::map<mcs::Key, Held> held;      // outbound SAs that send nothing until their number is set
        std::unordered_map<SaId, Time, SaIdHash> inbound;   // last authenticated packet seen here
        std::map<mcs::Key, Time> exchanged;     // of an IKE_SA: the last exchange here that shows its peer
        TunnelCounters counters;
        Time tidied{};                  // SeqState against the kernel
        unsigned lists = 0;             // snapshots of charon under way
        bool sample_all = true;         // the next sample names every SA, not only what changed
    };
    void step(mcs::Event event);
    void run(mcs::Action &&action);
    void run_import(const mcs::act::Import &a);
    void run_delete(const mcs::act::Delete &a);
    void run_import_seq(const mcs::act::ImportSeq &a);
    void run_frozen(const mcs::act::FrozenReceived &a);
    void keep_final(Group &g);
    void send_final(Group &g);
    void tell_selectors(const Group &g, const mcs::Key &child);
    void tell_inbound(Group &g);
    void log_core(const mcs::act::Log &a);
    void import_done(const std::string &tag, const mcs::Key &key, mcs::Version version, const std::string &info,
                     Expected<io::PluginImport> outcome);
    Expected<void> seed_sequence(Group &g, const mcs::Key &child, const std::string &info);
    // missing_limit: from so many SAs on that the kernel does not find, it is an error.
    Expected<void> hold_sequence(Group &g, const mcs::Key &child, const std::string &info);
    void release_sequence(Group &g, const mcs::Key &child);
    bool waits_for_outbound(const Group &g, const mcs::Key &child) const;
    void seed_late(Group &g);
    Expected<SeqImport> seq_set(Group &g, std::span<const mcipsec_seq> sas, bool end_hold = false);
    void tell_refused(Group &g, const SeqImport &done);
    // How many of them the kernel does not have.
    Expected<std::size_t> seed(Group &g, std::span<const mcipsec_seq> sas);
    Expected<std::vector<mcipsec_seq>> seq_get(GroupId group);
    void stop_unsafe(Group &g);
    void tidy(Group &g, std::span<const mcipsec_seq> kernel);
    void name_sas(Group &g, const mcs::Key &child);
    void count(Group &g, std::span<const mcipsec_seq> kernel);
    void count_first(const std::string &tag);
    void snapshot(Group &g);
    void channel_up();
    void channel_down(io::TlsDown reason, const std::string &detail);
    void connect();
    Group *group_of(const std::string &tag);
    Group *group_of(GroupId id);

    io::EventLoop &loop_;
    io::Log &log_;
    CharonControl &charon_;
    io::McipsecNl &kernel_;
    SyncPeer peer_;
    mcs::Session session_;
    std::map<GroupId, Group> groups_;
    std::unique_ptr<io::TlsChannel> channel_;
    io::Backoff backoff_;
    io::EventSource reconnect_, timer_;
    std::uint64_t own_epoch_ = 0, peer_epoch_ = 0;
    std::uint64_t charon_epoch_ = 0;
    bool stepping_ = false;
    std::vector<mcs::Event> queued_;
    SecretBytes outgoing_;              // what TLS did not take yet
    Ack ack_;
    std::int64_t last_in_sync_ = 0;
    std::map<std::string, Alarm> alarms_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace mcipsec::app
