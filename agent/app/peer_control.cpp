// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/peer_control.hpp"

#include <fmt/format.h>

#include "app/applied.hpp"
#include "app/unwind.hpp"

namespace mcipsec::app {

mimp::Config mimp_config(const PeerConfig &peer)
{
    const auto &mc = peer.mc_ipsec;
    mimp::Config c;
    c.own = peer.source_address;
    c.peer = peer.address;
    c.keep_alive_interval = mc.keep_alive_interval;
    c.hold_on_neighbor_failure = mc.hold_on_neighbor_failure;
    c.discovery_interval = mc.discovery_interval;
    c.discovery_interval_boot = mc.discovery_interval_boot;
    c.bfd_enable = mc.bfd_enable;
    c.lease_guard = mc.lease_guard;
    for (const auto &[id, g] : mc.tunnel_group)
        c.groups.push_back({id, g.peer_group, static_cast<std::uint8_t>(g.priority), g.shutdown || peer.shutdown});
    return c;
}

bfd::Config bfd_config(const BfdConfig &c)
{
    bfd::Config out;
    out.transmit = c.transmit;
    out.receive = c.receive;
    out.multiplier = static_cast<std::uint8_t>(c.multiplier);
    return out;
}

PeerControl::PeerControl(io::EventLoop &loop, io::Log &log, io::UdpShare &sockets, io::McipsecNl &kernel, const io::Cookie &cookie, std::uint32_t lease_id,
                         const PeerConfig &peer, const MultiChassisConfig &common)
    : loop_(loop), log_(log), sockets_(sockets), kernel_(kernel), cookie_(cookie), lease_id_(lease_id), peer_(peer), common_(common),
      name_(peer_name(peer))
{
}

Duration PeerControl::detection() const { return detection_time(peer_.mc_ipsec); }

Expected<void> PeerControl::open(DerivedKeys &keys)
{
    const auto config = mimp_config(peer_);
    if (auto ok = mimp::Session::validate(config); !ok)
        return ok;
    session_.emplace(config, mimp::make_authenticator(std::move(keys.mimp_tx), std::move(keys.mimp_rx)), random_u64());
    auto timer = loop_.add_timer([this](Time) { event(mimp::Timer{}); }, io::Priority::High);
    if (!timer)
        return tl::unexpected(timer.error());
    timer_ = std::move(*timer);
    bfd_keys_ = std::make_shared<bfd::Keys>(bfd::Keys{std::move(keys.bfd_tx), std::move(keys.bfd_rx)});

    io::UdpConfig udp;
    udp.local = peer_.source_address;
    udp.port = common_.mimp_port;
    udp.options.dscp = static_cast<std::uint8_t>(common_.dscp);
    udp.options.reuse_address = true;
    auto socket = sockets_.attach(udp, peer_.address, [this](const io::Datagram &d) { received(d); });
    if (!socket)
        return tl::unexpected(socket.error());
    mimp_socket_ = std::move(*socket);
    if (peer_.mc_ipsec.bfd_enable) {
        plan_by_mimp();
        if (auto done = start_bfd(); !done)
            return done;
    }
    return {};
}

Expected<void> PeerControl::start_bfd()
{
    auto timer = loop_.add_timer([this](Time) { bfd_event(bfd::Timer{}); }, io::Priority::Urgent);
    if (!timer)
        return tl::unexpected(timer.error());
    bfd_timer_ = std::move(*timer);
    io::UdpConfig udp;
    udp.local = peer_.source_address;
    udp.port = common_.bfd_port;
    udp.options.dscp = static_cast<std::uint8_t>(common_.dscp);
    udp.options.reuse_address = true;
    udp.priority = io::Priority::Urgent;
    auto rx = sockets_.attach(udp, peer_.address, [this](const io::Datagram &d) { bfd_received(d); });
    if (!rx)
        return tl::unexpected(rx.error());
    bfd_rx_ = std::move(*rx);
    udp.port = 0;
    auto tx = io::UdpSocket::open(loop_, udp, {});
    if (!tx)
        return tl::unexpected(tx.error());
    bfd_tx_ = std::move(*tx);
    auto discriminator = static_cast<std::uint32_t>(random_u64());
    bfd_.emplace(bfd_config(peer_.mc_ipsec.bfd), discriminator ? discriminator : 1, random_u64(),
                 peer_.mc_ipsec.bfd.authentication ? bfd_keys_ : nullptr);
    bfd_event(bfd::Start{});
    return {};
}

// ---- MIMP ----

void PeerControl::received(const io::Datagram &d)
{
    session_->set_wall_offset((io::wall_now() - loop_.now().time_since_epoch()).count());
    event(mimp::PacketIn{d.bytes, d.from, d.rx_time});
}

void PeerControl::event(mimp::Event e)
{
    notice_stall();
    if (stepping_) {
        queued_.push_back(std::move(e));
        return;
    }
    stepping_ = true;
    // An exception on the way (the loop reports it) must not leave this half done:
    // what was not carried out is not known, so the group is fenced and starts anew.
    const auto failed = [this] {
        stepping_ = false;
        queued_.clear();
        loop_.post([this] { event(mimp::Stalled{}); });
    };
    Unwind guard(failed);
    auto actions = session_->step(e, loop_.now());
    for (;;) {
        for (const auto &a : actions)
            run(a);
        if (queued_.empty())
            break;
        const auto next = std::move(queued_.front());
        queued_.erase(queued_.begin());
        actions = session_->step(next, loop_.now());
    }
    guard.dismiss();
    stepping_ = false;
    arm();
}

void PeerControl::arm() { (void)timer_.arm(session_->deadline()); }

void PeerControl::run(const mimp::Action &action)
{
    if (const auto *a = std::get_if<mimp::SendPacket>(&action)) {
        if (keeper_ && bfd_up_)
            follow_lease();
        else
            renew_lease();
        (void)mimp_socket_->send(common_.mimp_port, a->bytes);   // counted by the socket
    } else if (const auto *a = std::get_if<mimp::RenewLease>(&action)) {
        set_lease(a->expiry);
    } else if (const auto *a = std::get_if<mimp::SetState>(&action)) {
        callbacks.set_state(*a);
    } else if (const auto *a = std::get_if<mimp::HandoverPrepareStandby>(&action)) {
        callbacks.prepare_standby(*a);
    } else if (const auto *a = std::get_if<mimp::HandoverFlipAndExport>(&action)) {
        callbacks.flip_and_export(*a);
    } else if (const auto *a = std::get_if<mimp::HandoverImport>(&action)) {
        callbacks.import_frozen(*a);
    } else if (const auto *a = std::get_if<mimp::HandoverDone>(&action)) {
        callbacks.handover_ended(a->group, a->id, std::nullopt);
    } else if (const auto *a = std::get_if<mimp::HandoverFailed>(&action)) {
        callbacks.handover_ended(a->group, a->id, *a);
    } else if (std::holds_alternative<mimp::PeerSession>(action)) {
        callbacks.peer_changed();
    } else if (std::holds_alternative<mimp::PeerReached>(action)) {
        log_.write({.level = io::Level::Notice, .event = std::string(io::event::kPeer), .text = fmt::format("peer {} reached", name_), .peer = name_});
        callbacks.peer_changed();
    } else if (const auto *a = std::get_if<mimp::PeerLost>(&action)) {
        log_.write({.level = io::Level::Warning,
                    .event = std::string(io::event::kPeer),
                    .text = fmt::format("peer {} lost: {}", name_, a->bfd ? "BFD session down" : "no keep-alive"),
                    .peer = name_,
                    .reason = a->bfd ? "bfd" : "keep-alive"});
        callbacks.peer_changed();
    } else if (std::holds_alternative<mimp::PeerRestarted>(action)) {
        log_.write({.level = io::Level::Notice, .event = std::string(io::event::kPeer), .text = fmt::format("peer {} restarted", name_), .peer = name_});
        callbacks.peer_changed();
    } else if (const auto *a = std::get_if<mimp::PeerGroupChanged>(&action)) {
        callbacks.group_changed(a->group);
    } else if (const auto *a = std::get_if<mimp::RestartGranted>(&action)) {
        callbacks.restart_granted(a->lease_expiry);
    } else if (std::holds_alternative<mimp::RestartDenied>(action)) {
        callbacks.restart_denied();
    } else if (const auto *a = std::get_if<mimp::LogEntry>(&action)) {
        static constexpr io::Level levels[] = {io::Level::Debug, io::Level::Info, io::Level::Notice, io::Level::Warning};
        log_.write({.level = levels[static_cast<int>(a->level)], .event = std::string(io::event::kPeer), .text = a->text, .peer = name_, .group = a->group});
    }
}

// ---- BFD ----

void PeerControl::bfd_received(const io::Datagram &d)
{
    if (d.from == peer_.address)
        bfd_event(bfd::PacketIn{d.bytes});
}

void PeerControl::bfd_event(const bfd::Event &e)
{
    notice_stall();
    for (const auto &a : bfd_->step(e, loop_.now()))
        run_bfd(a);
    (void)bfd_timer_.arm(bfd_->deadline());
}

void PeerControl::run_bfd(const bfd::Action &action)
{
    auto log = [&](io::Level level, const std::string &text, std::string_view state) {
        log_.write({.level = level, .event = std::string(io::event::kBfd), .text = fmt::format("BFD with {}: {}", name_, text), .peer = name_, .new_state = std::string(state)});
    };
    if (const auto *a = std::get_if<bfd::SendPacket>(&action)) {
        if (bfd_up_)
            renew_lease();
        (void)bfd_tx_->send(peer_.address, common_.bfd_port, a->bytes);
    } else if (std::holds_alternative<bfd::Up>(action)) {
        bfd_up_ = true;
        log(io::Level::Notice, "up", "Up");
        event(mimp::BfdUp{});
    } else if (const auto *a = std::get_if<bfd::Down>(&action)) {
        bfd_up_ = false;
        plan_by_mimp();
        renew_lease();
        log(io::Level::Warning, fmt::format("down, {}", bfd::to_string(a->diag)), "Down");
        event(mimp::BfdDown{});
    } else if (std::holds_alternative<bfd::RemoteAdminDown>(action)) {
        bfd_up_ = false;
        plan_by_mimp();
        renew_lease();
        log(io::Level::Notice, "the peer took it down", "AdminDown");
        event(mimp::BfdAdminDown{});
    } else if (const auto *a = std::get_if<bfd::TimingChanged>(&action)) {
        transmit_interval_ = a->transmit_interval;
        remote_detection_ = a->remote_detection;
        if (bfd_up_ && a->remote_detection > 0ns)
            replan();
    }
}

Expected<void> PeerControl::bridge_restart(Time expiry)
{
    if (keeper_)
        keeper_->extend(expiry);
    auto done = lease_until(expiry);
    if (done && bfd_)
        bfd_event(bfd::AdminDown{true});
    return done;
}

// ---- lease ----

void PeerControl::plan_by_mimp()
{
    plan(plan_lease_mimp(peer_.mc_ipsec.keep_alive_interval, peer_.mc_ipsec.hold_on_neighbor_failure, peer_.mc_ipsec.lease_guard));
}

// By what vouches for us now.
void PeerControl::replan()
{
    if (bfd_up_ && remote_detection_ > 0ns)
        plan(plan_lease_bfd(transmit_interval_, remote_detection_, peer_.mc_ipsec.lease_guard));
    else
        plan_by_mimp();
}

void PeerControl::plan(Expected<LeasePlan> made)
{
    if (!made) {
        log_.write({.level = io::Level::Warning, .event = std::string(io::event::kAlarm), .text = "lease: " + made.error().text, .peer = name_});
        return;
    }
    // A lease that has lapsed stays lapsed under another plan.
    if (keeper_)
        keeper_->replan(*made, loop_.now());
    else
        keeper_.emplace(*made);
}

// After a stop of this process: the sessions hear of it before anything else,
// so that the gate is shut and the group in discovery before a lease is renewed.
void PeerControl::notice_stall()
{
    if (stepping_ || !keeper_ || !session_ || !keeper_->lapsed(loop_.now()))
        return;
    keeper_->rearm();
    event(mimp::Stalled{});
}

void PeerControl::renew_lease()
{
    if (!keeper_ || !session_)
        return;
    const Time now = loop_.now();
    const auto r = keeper_->renew(now, now, session_->lease_bound());
    if (r.granted)
        set_lease(r.expiry);
}

// BFD vouches; a MIMP packet goes out and moves the bound.
void PeerControl::follow_lease()
{
    if (const auto r = keeper_->follow(loop_.now(), session_->lease_bound()); r.granted)
        set_lease(r.expiry);
}

void PeerControl::hold_lease(bool hold)
{
    if (std::exchange(held_, hold) == hold || !hold)
        return;
    (void)lease_until(loop_.now());
}

// A peer without tunnel-groups has no lease.
Expected<void> PeerControl::lease_until(Time expiry)
{
    return lease_id_ ? kernel_.lease_set(cookie_, lease_id_, expiry) : Expected<void>{};
}

void PeerControl::set_lease(Time expiry)
{
    if (held_)
        return;
    auto done = lease_until(expiry);
    if (done)
        return;
    if (lease_errors_++ == 0)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "lease: " + done.error().text, .peer = name_});
}

void PeerControl::reconfigure(const PeerConfig &peer)
{
    const auto before = std::exchange(peer_, peer);
    name_ = peer_name(peer);
    const auto &was = before.mc_ipsec, &is = peer.mc_ipsec;
    // Off: the BFD session stays and says AdminDown, which is no failure for the
    // peer; the lease goes on by keep-alives, renewed by the MIMP session.
    if (was.bfd_enable && !is.bfd_enable) {
        bfd_up_ = false;
        bfd_event(bfd::AdminDown{true});
        keeper_.reset();
    } else if (!was.bfd_enable && is.bfd_enable) {
        plan_by_mimp();
    }
    event(mimp::Reconfigure{mimp_config(peer)});
    if (bfd_ && bfd_config(was.bfd) != bfd_config(is.bfd))
        bfd_event(bfd::Reconfigure{bfd_config(is.bfd)});
    if (!was.bfd_enable && is.bfd_enable) {
        if (bfd_)
            bfd_event(bfd::AdminDown{false});
        else if (auto done = start_bfd(); !done)
            log_.write({.level = io::Level::Error, .event = std::string(io::event::kBfd), .text = fmt::format("BFD with {}: {}", name_, done.error().text), .peer = name_});
    } else if (is.bfd_enable && (was.lease_guard != is.lease_guard || (!bfd_up_ && detection_time(was) != detection_time(is)))) {
        replan();
    }
}

}  // namespace mcipsec::app
