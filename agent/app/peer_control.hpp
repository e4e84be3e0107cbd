// SPDX-License-Identifier: GPL-2.0-or-later
// MIMP and BFD with one peer, put to work: sockets, timers, and the kernel
// lease that is renewed just before each packet that the peer's detection
// listens to (I2). What the core decides goes out through the callbacks, in
// the core's order.
//
// The lease follows BFD while BFD is up, else MIMP's keep-alives. Everything
// runs in the main loop: a loop that hangs sends nothing and renews nothing.
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "app/config.hpp"
#include "core/bfd/session.hpp"
#include "core/lease.hpp"
#include "core/mimp/session.hpp"
#include "io/log.hpp"
#include "io/mcipsec_nl.hpp"
#include "io/udp.hpp"
#include "io/udp_share.hpp"

namespace mcipsec::app {

mimp::Config mimp_config(const PeerConfig &peer);
bfd::Config bfd_config(const BfdConfig &c);

class PeerControl {
public:
    struct Callbacks {
        std::function<void(const mimp::SetState &)> set_state;
        std::function<void(const mimp::HandoverPrepareStandby &)> prepare_standby;
        std::function<void(const mimp::HandoverFlipAndExport &)> flip_and_export;
        std::function<void(const mimp::HandoverImport &)> import_frozen;
        std::function<void(GroupId, std::uint64_t id, std::optional<mimp::HandoverFailed>)> handover_ended;
        std::function<void()> peer_changed;             // reached, lost, restarted, session id
        std::function<void(GroupId)> group_changed;     // the peer's advertisement
        std::function<void(Time lease_expiry)> restart_granted;
        std::function<void()> restart_denied;
    };

    // sockets: of all peers, which may share a source-address.
    PeerControl(io::EventLoop &loop, io::Log &log, io::UdpShare &sockets, io::McipsecNl &kernel, const io::Cookie &cookie, std::uint32_t lease_id,
                const PeerConfig &peer, const MultiChassisConfig &common);

    Callbacks callbacks;
    // Opens the sockets; the first event() is Start or Resume.
    // keys: derive_keys() of the peer's authentication key; its MIMP keys are taken.
    Expected<void> open(DerivedKeys &keys);
    void event(mimp::Event e);
    void reconfigure(const PeerConfig &peer);
    // Planned restart, granted: the kernel's lease bridges it until `expiry`, and
    // BFD goes AdminDown, which is no failure for the peer. The last word of this process.
    Expected<void> bridge_restart(Time expiry);
    // A gate that should be shut could not be shut: the lease ends now, and is not
    // renewed until the kernel has taken the state.
    void hold_lease(bool hold);

    const PeerConfig &config() const { return peer_; }
    const std::string &name() const { return name_; }
    std::uint32_t lease_id() const { return lease_id_; }
    mimp::Session &session() { return *session_; }
    const mimp::Session &session() const { return *session_; }
    mimp::Snapshot snapshot() const { return session_->snapshot(); }
    std::optional<bfd::Snapshot> bfd_snapshot() const { return bfd_ ? std::optional(bfd_->snapshot()) : std::nullopt; }
    Duration detection() const;
    std::uint64_t lease_errors() const { return lease_errors_; }

private:
    void run(const mimp::Action &action);
    void run_bfd(const bfd::Action &action);
    void bfd_event(const bfd::Event &e);
    void received(const io::Datagram &d);
    void bfd_received(const io::Datagram &d);
    void renew_lease();
    void follow_lease();
    void notice_stall();
    Expected<void> lease_until(Time expiry);
    void set_lease(Time expiry);
    void plan(Expected<LeasePlan> made);
    void plan_by_mimp();
    void replan();
    void arm();
    Expected<void> start_bfd();

    io::EventLoop &loop_;
    io::Log &log_;
    io::UdpShare &sockets_;
    io::McipsecNl &kernel_;
    io::Cookie cookie_;
    std::uint32_t lease_id_;
    PeerConfig peer_;
    MultiChassisConfig common_;
    std::string name_;
    std::optional<mimp::Session> session_;
    std::shared_ptr<const bfd::Keys> bfd_keys_;
    std::optional<bfd::Session> bfd_;
    std::optional<LeaseKeeper> keeper_;     // with BFD only; without it the session decides
    bool bfd_up_ = false;
    bool held_ = false;
    Duration transmit_interval_{}, remote_detection_{};     // as BFD agreed last
    std::unique_ptr<io::UdpShare::Port> mimp_socket_, bfd_rx_;
    std::unique_ptr<io::UdpSocket> bfd_tx_;
    io::EventSource timer_, bfd_timer_;
    bool stepping_ = false;
    std::vector<mimp::Event> queued_;
    std::uint64_t lease_errors_ = 0;
};

}  // namespace mcipsec::app
