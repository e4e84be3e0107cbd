// SPDX-License-Identifier: GPL-2.0-or-later
// The agent: joins the cores with the adapters. One Group for each
// tunnel-group, one PeerControl and one SyncControl for each multi-chassis
// peer, one charon, one kernel module.
//
// Order of a mastership change (DESIGN "Three ways through the house"): kernel
// gate, charon, routes, VRRP, rekeys, log. The gate is set synchronously inside
// the core's action, so that nothing is announced that is not so yet (I2).
// Threading: everything in the loop's thread.
//
// engine.cpp: start, stop, reload; engine_restart.cpp: planned restart;
// engine_group.cpp: what a tunnel-group does; engine_api.cpp: what the control
// socket asks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "app/alarms.hpp"
#include "app/charon_control.hpp"
#include "app/clock_skew.hpp"
#include "app/config.hpp"
#include "app/config_watch.hpp"
#include "app/control_dispatch.hpp"
#include "app/crypto_errors.hpp"
#include "app/member_watch.hpp"
#include "app/metrics_file.hpp"
#include "app/peer_control.hpp"
#include "app/restart_state.hpp"
#include "app/route_control.hpp"
#include "app/runtime_admin.hpp"
#include "app/record_info.hpp"
#include "app/sync_control.hpp"
#include "app/vrrp_control.hpp"
#include "core/crypto.hpp"
#include "core/group/held_output.hpp"
#include "core/group/members.hpp"
#include "core/group/plugin_acks.hpp"
#include "core/group/rekey_pacer.hpp"
#include "io/control_socket.hpp"

namespace mcipsec::app {

class Engine final : public AgentApi {
public:
    Engine(io::EventLoop &loop, io::Log &log, std::string config_path, std::string run_dir, Config file);
    ~Engine() override;

    Expected<void> start();
    // Gives mastership away, closes the gates and stops the loop.
    void shut_down();
    // Stops the loop; kernel, charon, routes and VRRP stay as they are for the
    // next process, as long as the peers wait. If they do not: shut_down().
    // anew: in this process, for a reload; when it is denied nothing stops.
    void restart(bool anew = false);
    // The loop has stopped for a planned restart that this process is to do by itself.
    bool anew() const { return anew_; }
    // ... and to stop then: it was asked to while it was too late for this process.
    bool stop_then() const { return stop_then_; }
    Expected<Reloaded> reload() override;

    // AgentApi
    std::vector<PeerView> peers() override;
    std::vector<SyncView> sync() override;
    std::vector<TunnelGroupView> tunnel_groups() override;
    std::vector<TunnelView> tunnels(const std::string &name, std::size_t from, std::size_t limit) override;
    Expected<std::vector<SaView>> sas(GroupId group, std::size_t from, std::size_t limit) override;
    std::vector<VrrpView> vrrp() override;
    std::vector<LogEntryView> log(std::uint64_t after, std::size_t limit) override;
    std::vector<MetricView> stats() override;
    std::string running_config() override;
    Expected<void> admin_tunnel_group(GroupId group, bool shutdown) override;
    Expected<void> admin_mda(GroupId group, const std::string &mda, bool shutdown) override;
    Expected<void> admin_peer(const IpAddress &peer, bool shutdown) override;
    Expected<void> admin_sync(const IpAddress &peer, bool shutdown) override;
    Expected<void> admin_mc_ipsec(const IpAddress &peer, GroupId group, bool shutdown) override;
    Expected<SwitchoverView> force_switchover(const SwitchoverRequest &request) override;
    Expected<SwitchoverView> switchover_status(GroupId group) override;
    Expected<void> clear_tunnel(const std::string &name) override;

private:
    struct Peer {
        std::unique_ptr<PeerControl> mimp;      // nullptr until begin_peers()
        DerivedKeys keys;                       // until then
        std::unique_ptr<SyncControl> sync;      // shares the key; nullptr: sync is not configured
        ClockSkew skew;
        std::uint64_t forged = 0;               // packets of the peer's address whose MAC was wrong, when looked last
        bool keys_differ = false;
    };
    struct Group {
        GroupId id = 0;
        IpAddress peer;                         // family 0: works alone
        SyncControl *sync = nullptr;            // database of its SAs: the peer's, or the local one
        Mastership state = Mastership::Discovery;
        Generation generation = 0;
        bool prepared = false;
        bool hands_over = false;                // gate shut, but our last records are still ours to send
        bool restart_due = false;               // standby-restart, once it is standby
        bool gate_known = false;                // the kernel took the last state
        bool module_ok = false;
        std::optional<std::vector<io::StaticPeer>> static_peers;        // as the module has them
        group::MemberVerdict verdict;
        bool verdict_known = false;
        std::vector<group::MemberHealth> members;
        mcs::act::ProtectionInputs inputs;
        bool nominal = false;
        std::vector<std::string> reasons;
        group::HeldOutput held;                 // output commit ran out
        group::RekeyPacer pacer{{}, 1};
        io::EventSource pacer_timer, sample_timer;
        struct Evidence {                       // of traffic, while rekeys are held: an inbound SA and what it had received
            SaId sa;
            std::optional<std::uint64_t> seq;
        };
        std::vector<Evidence> evidence;
        Time met_at{};                          // when it, eligible, became master beside its peer
        struct {                                // liveness checks of the last merge
            group::RekeyPacer pacer{{}, 1};     // of IKE_SAs
            io::EventSource timer;
            std::map<Bytes, std::uint32_t> asked;   // message id of the request
            std::uint64_t answered = 0;
        } life;
        SwitchoverView switchover;
        std::uint64_t prepare_waits = 0;        // hand-over that waits for imports
        bool prepare_ignores = false;           // ... that are under way: what cannot be installed is left behind
        bool refill_done = false;               // charon has named what it holds
        Time refill_until{};                    // charon came back empty: not before its SAs are in again, with their numbers
        bool rekeys_left = false;               // begin once charon's snapshot is in
        std::uint64_t frozen_have = 0, frozen_wait = 0;
        std::int64_t changed_at = 0;
        std::string changed_why = "started";
    };

    // engine.cpp
    Expected<void> start_sync(const PeerConfig &peer);
    Expected<void> start_mimp(const PeerConfig &peer);
    void begin_peers();
    Expected<void> start_groups();
    Expected<void> load_cookie();
    void write_fence_plan();
    void save_admin();
    void apply_config(const Config &next);
    void links_changed();
    void module_event(const io::ModuleEvent &e);
    void serve(io::ControlServer::ClientId id, const io::ControlPeer &who, const io::Json &request);
    bool first_start_since_boot();
    std::map<GroupId, io::PluginGroup> plugin_groups() const;
    bool lists() const;
    void each_sync(const std::function<void(SyncControl &)> &f);
    void send_ack();
    void stop_after(Duration delay);

    // engine_restart.cpp
    std::optional<RestartState> read_restart_state();
    void drop_restart_state();
    void forget_moved_groups();
    void purge_moved_groups();
    void save_vrrp();
    std::map<std::string, RestartState::Vrrp> saved_vrrp() const;
    void cancel_restart();
    void give_up_reload(const std::string &why);
    Expected<void> module_there();
    void open_unknown_gates();
    void ask_for_restart();
    void restart_granted(const IpAddress &peer, Time expiry);
    void restart_denied(const IpAddress &peer);
    void restart_answered();

    // engine_group.cpp
    Group *find(GroupId id);
    Peer *peer_of(const Group &g);
    bool restarts_standby(GroupId group) const;             // standby-restart = "restart"
    bool admin_down(GroupId group) const;                   // itself, under mc-ipsec, or its peer
    void set_state(const mimp::SetState &s);
    void apply_state(Group &g, Mastership state, bool prepared, bool defer_routes, Generation generation, const std::string &why, bool handed_over = false);
    bool set_gate(Group &g);
    void start_rekeys(Group &g, const std::vector<NeedsRekey> &urgent = {});
    void rekeys_due(Group &g);
    void reverse_routes(GroupId id, const Bytes &child, const std::string &connection, const std::string &remote_ts);
    void release_rekeys(Group &g, bool sampled = false);
    void rekey_near(Group &g);
    // Every CHILD_SA of the group that charon has: its key, its SAs if they can be read.
    void for_each_child(const Group &g, const std::function<void(const Bytes &, const std::optional<ChildSas> &)> &f) const;
    Expected<void> watch_members();
    void check_members();
    Expected<void> read_links();
    Expected<void> devices_there(const Config &next);
    Expected<void> for_restart(const Config &next);
    Expected<void> config_stands();
    void judge(Group &g);
    void begin_refill(Group &g);
    bool refilling(Group &g);
    void alone(Group &g);
    void protect(Group &g);
    void tell_role(Group &g);
    void group_changed(GroupId id);
    void peer_changed(const IpAddress &address);
    void try_prepared(Group &g);
    void flip_and_export(const mimp::HandoverFlipAndExport &h);
    void import_frozen(const mimp::HandoverImport &h);
    void handover_ended(GroupId id, std::uint64_t handover, const std::optional<mimp::HandoverFailed> &failed);
    void arm_sampling(Group &g);
    Expected<void> watch_config();
    void ask_charon(Time now);
    void tell_static_peers(Group &g);
    void check_skew();
    void check_keys();
    void check_crypto_errors(Time now);
    std::vector<std::optional<CryptoErrors::Owner>> owners_of(const std::vector<io::XfrmSa> &sas) const;
    void check_rp_filter(Time now);
    Expected<void> wire_sync(SyncControl &s);

    // engine_liveness.cpp
    Expected<void> start_liveness(Group &g, const RekeyConfig &pace);
    void ask_for_life(GroupId id, const MergedIke &merged);
    void liveness_due(Group &g);
    void liveness_seen(GroupId id, const Bytes &ike, std::optional<std::uint32_t> mid);
    void liveness_over(Group &g, const Bytes &ike);

    // engine_api.cpp
    PeerGroupView group_row(const Group &g, const PeerConfig &pc, const mimp::GroupView *v) const;
    Expected<void> admin_changed(Expected<void> set);

    io::EventLoop &loop_;
    io::Log &log_;
    std::string config_path_, run_dir_;
    Config file_;           // as read
    Config config_;         // with the admin overrides
    RuntimeAdmin admin_;
    std::int64_t config_read_at_ = 0;
    io::Cookie cookie_{};
    std::uint64_t db_epoch_ = 0;

    std::optional<io::McipsecNl> kernel_;
    std::unique_ptr<io::McipsecEvents> kernel_events_;
    std::optional<io::Links> links_;
    std::unique_ptr<io::LinkWatch> link_watch_;
    io::UniqueFd lock_;                                     // one agent a run directory
    std::set<std::string> links_up_;
    std::unique_ptr<CharonControl> charon_;
    std::unique_ptr<RouteControl> routes_;
    std::unique_ptr<VrrpControl> vrrp_;
    std::unique_ptr<MemberWatch> members_;
    Alarms alarms_{log_};
    std::unique_ptr<ConfigWatch> config_watch_;
    std::unique_ptr<MetricsFile> metrics_;
    std::unique_ptr<io::ControlServer> control_;
    io::UdpShare sockets_{loop_};                   // of peers that share a source-address
    std::shared_ptr<io::TcpListeners> listeners_ = std::make_shared<io::TcpListeners>(loop_);
    std::map<IpAddress, Peer> peers_;
    std::unique_ptr<SyncControl> local_;        // groups without sync
    std::map<GroupId, Group> groups_;
    io::EventSource member_timer_, stop_timer_, settle_timer_, plan_timer_;
    Time mend_at_{};
    bool plan_armed_ = false;
    bool plan_failed_ = false;      // told once, tried again
    CryptoErrors crypto_errors_;
    Time crypto_errors_at_{}, rp_filter_at_{};
    bool first_boot_ = true, peers_begun_ = false;
    bool stopping_ = false, anew_ = false, stop_then_ = false;
    Time module_looked_at_{};
    std::optional<Error> module_refused_;
    std::vector<GroupId> unknown_gates_;                    // not configured any more: charon has to drop their SAs first
    std::set<GroupId> purge_due_;                           // new to mc-ipsec, with standby-restart: its IKE states go
    std::optional<RestartState> resumed_;                   // what the process before left, until its hold ends
    unsigned restart_asks_ = 0;                             // tries left; 0: none asked for
    std::map<IpAddress, Time> restart_grants_;              // lease expiry by peer
    group::PluginAcks acks_;
    std::uint64_t newest_seq_ = 0;
    std::uint64_t asked_seq_ = 0;           // newest record when charon was asked what it counts
    Time asked_at_{};
    bool asked_open_ = false;
};

}  // namespace mcipsec::app
