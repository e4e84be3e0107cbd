// SPDX-License-Identifier: GPL-2.0-or-later
// MIMP with one peer: all tunnel-groups of the pair, one packet for all of
// them, each decided alone. Sans-IO: handed events, time and bytes, returns
// actions and its next deadline. Documentation/state-machine.rst draws it,
// Documentation/wire-mimp.rst the packets.
//
// Invariants
//  - A non-acting node becomes acting master beside a reached peer only on an
//    advertisement of the peer that echoes our own current one ("settled") and
//    says that we are reached, too: so both decide on the same pair of inputs,
//    and at most one elects itself (I2).
//  - Whoever stops being acting says so only after the SetState action: the
//    engine must carry out actions in order, the kernel gate synchronously.
//  - A packet of an unknown epoch changes nothing but its own pending slot
//    until it echoes a packet that we sent after the live session began.
//  - generation: even values belong to the chassis with the lower source
//    address, odd ones to the higher. It rises at each mastership change; both
//    nodes take the maximum (I6).
//  - Deterministic and copyable: the only entropy is the epoch handed in.
//
// Threading: none. Feed it from one thread.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "core/mimp/codec.hpp"
#include "core/mimp/election.hpp"
#include "core/role.hpp"
#include "core/types.hpp"

namespace mcipsec::mimp {

struct GroupConfig {
    GroupId id = 0;
    GroupId peer_group = 0;
    std::uint8_t priority = 100;
    bool shutdown = false;          // see AdminChange
    bool operator==(const GroupConfig &) const = default;
};

struct Config {
    IpAddress own;                          // MIMP source address
    IpAddress peer;
    Duration keep_alive_interval = 1s;
    unsigned hold_on_neighbor_failure = 3;  // detection = interval * this
    Duration discovery_interval = 300s;
    Duration discovery_interval_boot = 300s;
    bool bfd_enable = false;
    Duration lease_guard = 0s;              // only without BFD; 0: plan_lease() chooses
    Duration retry_interval = 0s;           // of what is not echoed yet; 0: keep-alive / 4
    Duration prepare_timeout = 10s;         // hand-over, before the flip: gives up, master stays
    Duration transfer_timeout = 2s;         // after the flip: goes on without the export or import
    std::vector<GroupConfig> groups;
    Duration detection() const { return keep_alive_interval * hold_on_neighbor_failure; }
};

// ---------------------------------------------------------------- events in

// First event. Precondition: the kernel gate of every group is closed (state
// discovery set with our cookie), for our packets will say so. boot: first
// start of the agent since the kernel booted (discovery-interval-boot).
struct Start { bool boot = false; };

// Instead of Start after a planned restart that was granted (RestartGranted),
// while its hold still runs: groups go on in their saved state. Groups not
// named start in discovery. After hold_until without the peer: eligible.
struct SavedGroup {
    GroupId group = 0;
    Mastership state = Mastership::Discovery;
    Generation generation = 0;
    bool oper_up = false;
    std::uint16_t active_members = 0;
};
struct Resume { std::vector<SavedGroup> groups; Time hold_until{}; };

// bytes only need to live during step(). received: when the kernel got it (SO_TIMESTAMPNS turned into boot
// time), default now: a packet that waited in the socket while this node was busy is not decided on, and the
// lease counts from its arrival. Read sockets before looking at timers.
struct PacketIn { ByteView bytes; IpAddress source; Time received{}; };
struct Timer {};                                        // deadline() reached
struct BfdUp {};
struct BfdDown {};                                      // a failure: was up (or admin-down), is not any more
struct BfdAdminDown {};                                 // the remote says AdminDown: MIMP alone detects
// up: enough members are active. active_members = min(healthy, active-mda-number).
struct OperChange { GroupId group = 0; bool up = false; std::uint16_t active_members = 0; };
// mc-ipsec shutdown of one group, or of all with group 0 (peer shutdown).
// A shut group takes no part in the election: beside a reached peer that can
// serve, it is notEligible (fenced first, then announced, so the peer takes
// over); without one the gateway works alone: eligible while oper up.
// no-shutdown leads through discovery.
struct AdminChange { GroupId group = 0; bool up = false; };
struct ProtectionChange { GroupId group = 0; bool nominal = false; std::string reasons; };
// Idempotent by id (not 0): asked again while under way it changes nothing,
// asked again afterwards it repeats HandoverDone or HandoverFailed.
struct ForceSwitchover { GroupId group = 0; std::uint64_t id = 0; bool ignore_protection = false; };
struct HandoverExported { GroupId group = 0; std::uint64_t id = 0; };  // frozen sequence state is with the peer
struct HandoverPrepared { GroupId group = 0; std::uint64_t id = 0; };  // standby: all records applied
struct HandoverImported { GroupId group = 0; std::uint64_t id = 0; };  // standby: sequence state is in
// Planned restart: ask the peer to count us as reached for `hold` while we are
// away. Answered by RestartGranted or RestartDenied; decisions are frozen then.
struct Restarting { Duration hold{}; };
// The restart is given up, before or after its grant: the peer is told so, and the
// lease is an ordinary one again before that.
struct RestartCancelled {};
// The node was asleep (lease ran out unrenewed): all groups are fenced, go to
// discovery and listen for one detection time. Without BFD the session notices
// itself; with BFD the engine says so (LeaseKeeper::lapsed), before it feeds
// anything else and before the lease is renewed.
struct Stalled {};
// New configuration. Addresses must be the same (else make a new Session).
// New groups start in discovery, dropped ones end (SetState to discovery).
struct Reconfigure { Config config; };

using Event = std::variant<Start, Resume, PacketIn, Timer, BfdUp, BfdDown, BfdAdminDown, OperChange, AdminChange,
                           ProtectionChange, ForceSwitchover, HandoverExported, HandoverPrepared, HandoverImported,
                           Restarting, RestartCancelled, Stalled, Reconfigure>;

// -------------------------------------------------------------- actions out
// To be carried out in the order given.

struct SendPacket { Bytes bytes; };

// Kernel lease without BFD: set expiry in the kernel before the packet that follows.
struct RenewLease { Time expiry{}; };

enum class Reason : std::uint8_t {
    Started, Resumed, Election, PeerLost, DiscoveryExpired, OperStatus, AdminStatus, Handover, Stalled, Generation, Removed,
};
std::string_view to_string(Reason r);

// The engine sets, in this order: kernel gate, charon (active for an acting
// master, else passive), routes, VRRP. old_state == new_state: only prepared,
// generation or defer_routes changed.
// defer_routes: set the gate and charon only; routes and VRRP stay as they are
// until a SetState without it follows (hand-over: the peer attracts first).
struct SetState {
    GroupId group = 0;
    Mastership old_state = Mastership::Discovery;
    Mastership new_state = Mastership::Discovery;
    bool prepared = false;          // with standby: MCIPSEC_F_PREPARED
    bool defer_routes = false;
    Generation generation = 0;
    Reason reason = Reason::Election;
    std::uint8_t step = 0;          // election step with Reason::Election
};

// Standby: apply every record of the group, then event HandoverPrepared. The
// prepared gate is set by a SetState when that event is in.
struct HandoverPrepareStandby { GroupId group = 0; std::uint64_t id = 0; bool ignore_protection = false; };
// Old master, follows its SetState(master -> standby, defer_routes): export the
// now frozen sequence state, see it acknowledged by the peer, then event HandoverExported.
struct HandoverFlipAndExport { GroupId group = 0; std::uint64_t id = 0; };
// Standby: import what arrived, then event HandoverImported; SetState(master) follows that.
struct HandoverImport { GroupId group = 0; std::uint64_t id = 0; };

enum class Refusal : std::uint8_t {
    None, NotMaster, NotReady, Busy, NoGroup, NoStandby, PrepareTimeout, StandbyRefused, PeerLost, LostMastership, PeerRestarted, Restarting,
};
std::string_view to_string(Refusal r);
// On the old master. Done: the peer is acting. Failed: why; flipped tells
// whether this node had already stopped forwarding (then the election decides).
struct HandoverDone { GroupId group = 0; std::uint64_t id = 0; };
struct HandoverFailed { GroupId group = 0; std::uint64_t id = 0; Refusal why = Refusal::None; bool flipped = false; };

struct PeerSession {};                      // the live session is with another epoch now (Snapshot::peer_epoch)
struct PeerReached {};
struct PeerLost { bool bfd = false; };      // bfd: BFD said so, else MIMP detection
struct PeerRestarted {};                    // a new epoch became the live session; cold unless it resumed
// The peer's advertisement of a group changed (state, generation, protection, ...): for show, MCS and logs.
struct PeerGroupChanged { GroupId group = 0; };
// lease_expiry: extend the kernel lease to this before exiting; the next start
// may use Resume with hold_until = lease_expiry as long as that is ahead.
struct RestartGranted { Time lease_expiry{}; };
struct RestartDenied {};

// Something to log: unexpected event, refused packet, mismatch. Counters are in Snapshot.
enum class LogLevel : std::uint8_t { Debug, Info, Notice, Warning };
struct LogEntry { LogLevel level = LogLevel::Info; GroupId group = 0; std::string text; };

using Action = std::variant<SendPacket, RenewLease, SetState, HandoverPrepareStandby, HandoverFlipAndExport, HandoverImport,
                            HandoverDone, HandoverFailed, PeerSession, PeerReached, PeerLost, PeerRestarted, PeerGroupChanged,
                            RestartGranted, RestartDenied, LogEntry>;
using Actions = std::vector<Action>;

// ------------------------------------------------------------------- views

enum class BfdStatus : std::uint8_t { Off, Down, Up, AdminDown };

struct Counters {
    std::uint64_t tx = 0, rx = 0;
    std::uint64_t bad_source = 0, bad_length = 0, bad_version = 0, bad_mac = 0, bad_field = 0;
    std::uint64_t replayed = 0;             // sequence not above the highest heard
    std::uint64_t own_epoch = 0;            // reflected
    std::uint64_t unknown_epoch = 0;        // opened or fed the pending session
    std::uint64_t bad_group = 0;            // group blocks that pair with none of ours
    std::uint64_t unexpected_event = 0;
    std::uint64_t mastership_changes = 0, handovers = 0, handovers_failed = 0, stalls = 0;
    std::uint64_t transfer_timeouts = 0;    // export or import took longer than transfer_timeout
};

struct GroupView {
    GroupConfig config;
    Mastership state = Mastership::Discovery;
    Generation generation = 0;
    bool oper_up = false;
    bool prepared = false;
    std::uint16_t active_members = 0;
    bool nominal = false;
    std::string reasons;                    // why notReady
    Phase phase = Phase::None;
    std::uint64_t handover = 0;
    Time discovery_until{};                 // with state discovery
    bool peer_known = false;                // `peer` is what it last advertised
    bool peer_reached = false;              // the group counts its peer as reached
    GroupAdvert peer;
    Time last_change{};
    Reason last_reason = Reason::Started;
    std::uint8_t last_step = 0;
};

struct Snapshot {
    bool reached = false;
    BfdStatus bfd = BfdStatus::Off;
    std::uint64_t epoch = 0, peer_epoch = 0;
    std::uint64_t session_id = 0;           // the same on both nodes while the session lives, else 0: binds MCS to it
    bool pending = false;
    Time last_update{};                     // last packet of the live session
    std::optional<std::int64_t> clock_skew_ns;  // peer's wall clock minus ours, from answers; half the RTT is its error
    Duration rtt{};
    std::uint8_t peer_version = 0;          // of MIMP, 0: not heard of
    std::uint16_t peer_mcs = 0, peer_mcs_oldest = 0;    // MCS versions that it speaks, 0: not said
    std::optional<Time> peer_restarting_until;
    Counters counters;
    std::vector<GroupView> groups;          // ordered by id
};

constexpr Duration kRestartHoldMax = 600s;  // longest hold that may be asked for and is granted
constexpr Duration kBfdGrace = 5s;          // discovery waits so long for the first BFD up once MIMP answers

// ------------------------------------------------------------------ session

class Session {
public:
    // epoch: 64 random bits, not 0, new for every process. auth: see codec.hpp.
    // The configuration was validated: see validate().
    Session(Config config, std::shared_ptr<const Authenticator> auth, std::uint64_t epoch);

    // Ranges, duplicate groups, addresses, and the lease plan without BFD. hold 2..25, interval
    // 50 ms..50 s, discovery 1..1800 s.
    static Expected<void> validate(const Config &config);

    Actions step(const Event &event, Time now);
    Time deadline() const;                  // when the event Timer is due

    // With BFD: the kernel lease must not outlast this: the peer's MIMP detection ends
    // a guard later, MIMP's own (a lease may well be renewed by BFD more seldom than that).
    // Moves on with each SendPacket. kNever while the peer is not reached.
    Time lease_bound() const;

    // Wall clock minus boot clock, ns; engine refreshes it now and then. For the skew measurement only.
    void set_wall_offset(std::int64_t ns) { wall_offset_ = ns; }

    // Whose changes of the group count now (core/role.hpp); between flip and answer of a hand-over
    // still the old master's, of the generation that it hands over.
    Role role(GroupId group) const;
    // What the last SetState says or will say of the group: where the engine has not come to that
    // yet, the role is ahead of gate and charon. Discovery for an unknown one.
    Mastership state(GroupId group) const;

    bool reached() const { return reached_; }
    Snapshot snapshot() const;
    const Config &config() const { return *config_; }
    std::vector<SavedGroup> save() const;   // for Resume

private:
    friend struct SessionProbe;             // tests look inside

    // What the peer needs to know before a decision on it is shared ("settled").
    struct Inputs {
        bool oper_up = false, acting = false, shutdown = false, ceded = false;
        std::uint8_t priority = 0;
        std::uint16_t active_members = 0;
        bool operator==(const Inputs &) const = default;
    };
    struct Group {
        GroupConfig config;
        Mastership state = Mastership::Discovery;
        Generation generation = 0;
        Generation told_generation = 0;     // in the last SetState
        bool prepared = false;
        bool defer_routes = false;
        bool ignoring = false;              // the hand-over that this node leads ignores protection status
        bool oper_up = false;
        bool shutdown = false;
        bool nominal = false;
        bool resumed = false;               // state came from Resume, peer not heard yet
        bool mismatch = false;              // peer's block pairs with another group of ours
        bool announced = false;             // PeerGroupChanged is due
        std::uint16_t active_members = 0;   // as it is
        std::uint16_t shown_members = 0;    // as advertised: frozen while both act and are reached
        std::uint8_t shown_priority = 100;
        Time discovery_until{};
        bool peer_known = false;
        GroupAdvert peer;
        Inputs sent_inputs;                 // in the last packet
        std::uint64_t inputs_sequence = 0;  // first packet that carried them; 0 none yet
        GroupAdvert sent;
        Phase phase = Phase::None;
        std::uint64_t handover = 0;
        bool leading = false;               // we are the old master of the hand-over
        bool taking = false;                // we import, then become master
        bool import_done = false;
        Time phase_until = kNever;
        HandoverFailed last_result;         // of the last hand-over asked of us; why None: done
        std::string reasons;
        Time last_change{};
        Reason last_reason = Reason::Started;
        std::uint8_t last_step = 0;
    };
    struct SentMark { std::uint64_t first; Time at; };

    // session.cpp: events and timers
    void start(const Start &e, Time now, Actions &out);
    void resume(const Resume &e, Time now, Actions &out);
    void oper_change(const OperChange &e, Actions &out);
    void admin_change(const AdminChange &e, Time now, Actions &out);
    void bfd_change(BfdStatus status, Time now, Actions &out);
    void restarting(const Restarting &e, Time now, Actions &out);
    void restart_cancelled();
    void stalled(Time now, Actions &out);
    void reconfigure(const Reconfigure &e, Time now, Actions &out);
    void update_reached(Time now, Actions &out);
    void unexpected(Actions &out, GroupId group, const char *what);
    Group *find(GroupId id);
    const Group *find(GroupId id) const;

    // group.cpp: the state of one group
    void evaluate(Group &g, Time now, Actions &out);
    void decide(Group &g, Time now, Actions &out);
    void set_state(Group &g, Mastership m, Reason reason, std::uint8_t step, Time now, Actions &out);
    void emit_state(Group &g, Mastership old, Actions &out);
    void enter_discovery(Group &g, Duration interval, Reason reason, Time now, Actions &out);
    Inputs inputs(const Group &g) const;
    bool settled(const Group &g) const;
    bool mutual(const Group &g, Time now) const;
    bool group_reached(const Group &g) const { return reached_ && g.peer_known; }
    static bool ceded(const Group &g) { return g.leading && (g.phase == Phase::Flipped || g.phase == Phase::Commit); }
    static bool ceded(const GroupAdvert &peer) { return peer.phase == Phase::Flipped || peer.phase == Phase::Commit; }
    Generation next_own(Generation above) const;

    // handover.cpp
    void force_switchover(const ForceSwitchover &e, Time now, Actions &out);
    void handover_lead(Group &g, Time now, Actions &out);
    void handover_follow(Group &g, Actions &out);
    void handover_flip(Group &g, Time now, Actions &out);
    void handover_take(Group &g, Time now, Actions &out);
    void handover_end(Group &g, Refusal why, Actions &out);
    void handover_drop(Group &g, Actions &out);
    void handover_clear(Group &g, Refusal why, Actions &out);
    void exported(const HandoverExported &e, Actions &out);
    void prepared(const HandoverPrepared &e, Actions &out);
    void imported(const HandoverImported &e, Actions &out);

    // link.cpp: packets in and out
    void packet_in(const PacketIn &e, Time now, Actions &out);
    void receive(const Packet &p, Time received, Time now, Actions &out);
    void establish(const Packet &p, Time received, Time now, Actions &out);
    void accept(const Packet &p, Time received, Time now, Actions &out);
    void take_adverts(const Packet &p, Actions &out);
    std::optional<Time> sent_at(std::uint64_t sequence) const;
    bool changed() const;
    void send(Time now, bool request, bool answer, std::uint64_t echo_epoch, std::uint64_t echo_sequence, Actions &out);
    GroupAdvert advert(const Group &g) const;
    Time next_request() const;

    std::shared_ptr<const Config> config_;
    std::shared_ptr<const Authenticator> auth_;
    Duration guard_{};
    std::vector<Group> groups_;             // ordered by id

    std::uint64_t epoch_;
    std::uint64_t sequence_ = 0;            // last sent
    std::vector<SentMark> marks_;           // when what was sent, one detection time back
    std::uint64_t request_sequence_ = 0;    // last packet that asked for an answer
    Time request_at_{};
    bool answer_due_ = false;
    bool force_send_ = false;

    std::uint64_t live_epoch_ = 0;          // 0: no session
    std::uint16_t peer_mcs_ = 0, peer_mcs_oldest_ = 0;
    std::uint8_t peer_version_ = 0;
    std::uint64_t live_sequence_ = 0;       // highest heard
    std::uint64_t live_floor_ = 0;          // our sequence when it began: a challenge lies above
    std::uint64_t echo_ = 0;                // highest of ours that it echoed
    std::uint64_t pending_epoch_ = 0;
    std::uint64_t pending_sequence_ = 0;
    Time pending_until_{};
    std::uint64_t wake_floor_ = 0;          // echoes up to this came from before we slept
    std::uint64_t bfd_floor_ = 0;           // ... from before BFD came back
    Time last_rx_{};                        // arrival of the last packet of the live session
    // Whom we served so lately may count our detection from then, so our lease does, too.
    Time served_until() const { return heard_at_ == Time{} ? Time{} : heard_at_ + config_->keep_alive_interval * 5 / 4; }

    Time heard_at_{};                       // when we last served a packet, of whatever epoch,
    Time heard_arrival_{};                  // and when that one had arrived
    Time fresh_until_{};                    // echo freshness
    Time grace_until_{};                    // after we overslept: the least that fresh_until_ is set to
    Time contact_since_ = kNever;           // MIMP fresh without a break since
    Time peer_hold_until_{};                // peer restarts as planned, or we resumed
    bool reached_ = false;
    bool started_ = false;
    bool bfd_was_up_ = false;
    BfdStatus bfd_ = BfdStatus::Off;

    Time last_step_{};
    Time vouched_{};                        // lease counts from here, see lease_bound()
    Time lease_expiry_{};
    std::uint64_t restart_sequence_ = 0;    // first packet that asked for the hold
    Time restart_from_{};
    Time restart_until_{};                  // 0: not restarting
    bool restart_answered_ = false;

    std::int64_t wall_offset_ = 0;
    std::optional<std::int64_t> skew_;
    Duration rtt_{};
    Counters counters_;
};

}  // namespace mcipsec::mimp
