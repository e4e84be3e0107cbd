// SPDX-License-Identifier: GPL-2.0-or-later
// Events and timers of a MIMP session. What a group makes of them is in
// group.cpp and handover.cpp, what goes over the wire in link.cpp.
#include "core/mimp/session.hpp"

#include <algorithm>
#include <cerrno>
#include <set>

#include "core/lease.hpp"

namespace mcipsec::mimp {

namespace {

template <typename... F>
struct Overloaded : F... { using F::operator()...; };
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

Expected<void> Session::validate(const Config &c)
{
    if (c.own.empty() || c.peer.empty() || c.own.family != c.peer.family)
        return fail(-EINVAL, "source-address and peer must be addresses of one family");
    if (c.own == c.peer)
        return fail(-EINVAL, "source-address and peer are the same address");
    if (c.keep_alive_interval < 50ms || c.keep_alive_interval > 50s)
        return fail(-ERANGE, "keep-alive-interval: allowed are 0.05 to 50 s");
    if (c.hold_on_neighbor_failure < 2 || c.hold_on_neighbor_failure > 25)
        return fail(-ERANGE, "hold-on-neighbor-failure: allowed are 2 to 25");
    if (c.discovery_interval < 1s || c.discovery_interval > 1800s)
        return fail(-ERANGE, "discovery-interval: allowed are 1 to 1800 s");
    if (c.discovery_interval_boot < 1s || c.discovery_interval_boot > 1800s)
        return fail(-ERANGE, "discovery-interval-boot: allowed are 1 to 1800 s");
    if (c.groups.size() > 1024)
        return fail(-E2BIG, "at most 1024 tunnel-groups under one peer");
    std::set<GroupId> own, peer;
    for (const auto &g : c.groups) {
        const auto name = "tunnel-group " + std::to_string(g.id);
        if (g.id == 0 || g.peer_group == 0)
            return fail(-EINVAL, name + ": tunnel-group and peer-group ids begin at 1");
        if (!own.insert(g.id).second)
            return fail(-EEXIST, name + " is configured twice");
        if (!peer.insert(g.peer_group).second)
            return fail(-EEXIST, name + ": peer-group " + std::to_string(g.peer_group) + " is used by another tunnel-group");
    }
    if (!c.bfd_enable) {
        if (auto plan = plan_lease_mimp(c.keep_alive_interval, c.hold_on_neighbor_failure, c.lease_guard); !plan)
            return tl::unexpected(plan.error());
    }
    return {};
}

Session::Session(Config config, std::shared_ptr<const Authenticator> auth, std::uint64_t epoch)
    : auth_(std::move(auth)), epoch_(epoch)
{
    if (config.retry_interval == Duration::zero())
        config.retry_interval = config.keep_alive_interval / 4;
    std::sort(config.groups.begin(), config.groups.end(), [](const auto &a, const auto &b) { return a.id < b.id; });
    for (const auto &g : config.groups) {
        Group group;
        group.config = g;
        group.shutdown = g.shutdown;
        group.shown_priority = g.priority;
        groups_.push_back(std::move(group));
    }
    // With BFD lease_guard is that of its detection.
    const auto plan = plan_lease_mimp(config.keep_alive_interval, config.hold_on_neighbor_failure, config.bfd_enable ? Duration::zero() : config.lease_guard);
    guard_ = plan ? plan->guard : kMinGuard;
    bfd_ = config.bfd_enable ? BfdStatus::Down : BfdStatus::Off;
    config_ = std::make_shared<const Config>(std::move(config));
}

Session::Group *Session::find(GroupId id)
{
    auto it = std::lower_bound(groups_.begin(), groups_.end(), id, [](const Group &g, GroupId i) { return g.config.id < i; });
    return it != groups_.end() && it->config.id == id ? &*it : nullptr;
}

const Session::Group *Session::find(GroupId id) const { return const_cast<Session *>(this)->find(id); }

void Session::unexpected(Actions &out, GroupId group, const char *what)
{
    ++counters_.unexpected_event;
    out.push_back(LogEntry{LogLevel::Debug, group, std::string("unexpected: ") + what});
}

Actions Session::step(const Event &event, Time now)
{
    Actions out;
    if (started_) {
        // Asleep for longer than our word lasts: the peer may have taken over. That comes before
        // whatever waits in the queue, be it a timer or a packet.
        const bool slept = now - last_step_ >= config_->detection() - guard_;
        if (slept || (!config_->bfd_enable && now >= lease_expiry_)) {
            stalled(now, out);
        } else if (now - deadline() >= config_->retry_interval) {
            // Overslept a little: that nothing of ours was echoed meanwhile says nothing about the peer,
            // whose lease counts from its own sends after it had not heard us for a while.
            grace_until_ = now + config_->detection();
            if (reached_)
                fresh_until_ = std::max(fresh_until_, grace_until_);
        }
    } else if (!std::holds_alternative<Start>(event) && !std::holds_alternative<Resume>(event) &&
               !std::holds_alternative<OperChange>(event) && !std::holds_alternative<AdminChange>(event) &&
               !std::holds_alternative<ProtectionChange>(event)) {
        unexpected(out, 0, "event before start");
        return out;
    }

    std::visit(Overloaded{
                   [&](const Start &e) { start(e, now, out); },
                   [&](const Resume &e) { resume(e, now, out); },
                   [&](const PacketIn &e) { packet_in(e, now, out); },
                   [&](const Timer &) {},
                   [&](const BfdUp &) { bfd_change(BfdStatus::Up, now, out); },
                   [&](const BfdDown &) { bfd_change(BfdStatus::Down, now, out); },
                   [&](const BfdAdminDown &) { bfd_change(BfdStatus::AdminDown, now, out); },
                   [&](const OperChange &e) { oper_change(e, out); },
                   [&](const AdminChange &e) { admin_change(e, now, out); },
                   [&](const ProtectionChange &e) {
                       if (Group *g = find(e.group)) {
                           g->nominal = e.nominal;
                           g->reasons = e.reasons;
                       } else {
                           unexpected(out, e.group, "protection status of an unknown tunnel-group");
                       }
                   },
                   [&](const ForceSwitchover &e) { force_switchover(e, now, out); },
                   [&](const HandoverExported &e) { exported(e, out); },
                   [&](const HandoverPrepared &e) { prepared(e, out); },
                   [&](const HandoverImported &e) { imported(e, out); },
                   [&](const Restarting &e) { restarting(e, now, out); },
                   [&](const RestartCancelled &) { restart_cancelled(); },
                   [&](const Stalled &) { stalled(now, out); },
                   [&](const Reconfigure &e) { reconfigure(e, now, out); },
               },
               event);
    if (!started_)
        return out;
    last_step_ = now;

    update_reached(now, out);
    for (auto &g : groups_)
        evaluate(g, now, out);
    for (auto &g : groups_) {
        if (std::exchange(g.announced, false))
            out.push_back(PeerGroupChanged{g.config.id});
    }

    if (restart_until_ != Time{} && !restart_answered_) {
        if (restart_sequence_ && echo_ >= restart_sequence_) {
            restart_answered_ = true;
            out.push_back(RestartGranted{restart_until_ - guard_});
        } else if (now >= restart_from_ + config_->detection() / 2) {
            restart_until_ = Time{};
            out.push_back(RestartDenied{});
        }
    } else if (restart_until_ != Time{} && now >= restart_until_) {
        restart_until_ = Time{};
    }

    const bool timer = now >= next_request();
    const bool news = force_send_ || changed();
    if (timer || news || answer_due_) {
        const std::uint64_t to = live_epoch_ ? live_epoch_ : pending_epoch_;
        send(now, timer || news, answer_due_, to, live_epoch_ ? live_sequence_ : pending_sequence_, out);
    }
    return out;
}

Time Session::next_request() const
{
    if (!request_sequence_)
        return request_at_;
    // Again soon while there was somebody to answer: for the loss, and because the lease counts from
    // what was heard until the silence is long enough (see send()).
    const bool lost = echo_ < request_sequence_ && (reached_ || (heard_at_ != Time{} && request_at_ < heard_at_ + 2 * config_->keep_alive_interval));
    const Time next = request_at_ + (lost ? config_->retry_interval : config_->keep_alive_interval);
    // A peer that was silent for a while and has answered since: our last packets echoed what came
    // before the silence, and a lease that counts from there must not end before one that echoes more.
    if (reached_ && heard_arrival_ > vouched_)
        return std::min(next, std::max(request_at_ + 1ns, vouched_ + config_->detection() - guard_ - config_->keep_alive_interval / 4));
    return next;
}

Time Session::deadline() const
{
    if (!started_)
        return kNever;
    Time t = next_request();
    if (fresh_until_ > last_step_)
        t = std::min(t, fresh_until_);
    if (peer_hold_until_ > last_step_)
        t = std::min(t, peer_hold_until_);
    if (contact_since_ != kNever && contact_since_ + kBfdGrace > last_step_)
        t = std::min(t, contact_since_ + kBfdGrace);
    if (restart_until_ != Time{})
        t = std::min(t, restart_answered_ ? restart_until_ : restart_from_ + config_->detection() / 2);
    for (const auto &g : groups_) {
        if (g.state == Mastership::Discovery && g.discovery_until > last_step_)
            t = std::min(t, g.discovery_until);
        if (!acting_master(g.state) && !config_->bfd_enable && !reached_ && served_until() >= last_step_)
            t = std::min(t, served_until() + 1ns);
        if (g.phase_until > last_step_)         // after that it is a packet that goes on
            t = std::min(t, g.phase_until);
    }
    return t;
}

Time Session::lease_bound() const
{
    return reached_ ? vouched_ + config_->detection() - guard_ : kNever;
}

void Session::start(const Start &e, Time now, Actions &out)
{
    if (started_)
        return unexpected(out, 0, "start of a running session");
    started_ = true;
    last_step_ = now;
    request_at_ = now;
    lease_expiry_ = now + config_->detection() - guard_;
    const Duration interval = e.boot ? config_->discovery_interval_boot : config_->discovery_interval;
    for (auto &g : groups_)
        enter_discovery(g, g.shutdown ? Duration::zero() : interval, Reason::Started, now, out);
}

void Session::resume(const Resume &e, Time now, Actions &out)
{
    if (started_)
        return unexpected(out, 0, "resume of a running session");
    start(Start{}, now, out);
    out.clear();
    peer_hold_until_ = e.hold_until;
    if (bfd_ == BfdStatus::Down)
        bfd_ = BfdStatus::AdminDown;    // its AdminDown was ours: no failure until it was up again
    for (const auto &s : e.groups) {
        Group *g = find(s.group);
        if (!g || now >= e.hold_until)
            continue;
        g->resumed = s.state != Mastership::Discovery;
        g->state = s.state;
        g->generation = s.generation;
        g->oper_up = s.oper_up;
        g->active_members = s.active_members;
        g->last_reason = Reason::Resumed;
    }
    for (auto &g : groups_)
        emit_state(g, g.state, out);
}

void Session::oper_change(const OperChange &e, Actions &out)
{
    Group *g = find(e.group);
    if (!g)
        return unexpected(out, e.group, "oper status of an unknown tunnel-group");
    g->oper_up = e.up;
    g->active_members = e.active_members;
}

void Session::admin_change(const AdminChange &e, Time now, Actions &out)
{
    if (e.group && !find(e.group))
        return unexpected(out, e.group, "admin status of an unknown tunnel-group");
    for (auto &g : groups_) {
        if ((e.group && g.config.id != e.group) || g.shutdown == !e.up)
            continue;
        g.shutdown = !e.up;
        if (!started_)
            continue;
        if (e.up)
            enter_discovery(g, config_->discovery_interval, Reason::AdminStatus, now, out);
        else if (g.state == Mastership::Discovery)
            g.discovery_until = std::min(g.discovery_until, now + config_->detection());
    }
}

void Session::bfd_change(BfdStatus status, Time now, Actions &out)
{
    if (!config_->bfd_enable)
        return unexpected(out, 0, "BFD event without bfd-enable");
    // A restarting peer's BFD falls silent by intent, even if its AdminDown got lost.
    if (status == BfdStatus::Down && now < peer_hold_until_)
        status = BfdStatus::AdminDown;
    if (bfd_ == BfdStatus::Down && status != BfdStatus::Down) {
        bfd_floor_ = sequence_;         // what the peer said while BFD was down is not to be decided on
        force_send_ = true;
        // It lives, so it will speak; after a hang its packets wait behind BFD's.
        for (auto &g : groups_)
            if (g.state == Mastership::Discovery)
                g.discovery_until = std::max(g.discovery_until, now + config_->detection());
    }
    bfd_ = status;
    if (status == BfdStatus::Up)
        bfd_was_up_ = true;
}

void Session::restarting(const Restarting &e, Time now, Actions &out)
{
    if (e.hold <= Duration::zero() || e.hold > kRestartHoldMax || !reached_) {
        out.push_back(RestartDenied{});
        return;
    }
    restart_from_ = now;
    restart_until_ = now + e.hold;
    restart_sequence_ = sequence_ + 1;
    restart_answered_ = false;
    force_send_ = true;
}

void Session::restart_cancelled()
{
    if (restart_until_ == Time{})
        return;
    restart_until_ = Time{};
    restart_answered_ = false;
    lease_expiry_ = Time{};     // send() renews it from what vouches for us
    force_send_ = true;
}

void Session::stalled(Time now, Actions &out)
{
    ++counters_.stalls;
    wake_floor_ = sequence_;
    fresh_until_ = std::min(fresh_until_, now);
    peer_hold_until_ = std::min(peer_hold_until_, now);
    lease_expiry_ = now + config_->detection() - guard_;
    last_step_ = now;
    if (reached_) {
        reached_ = false;
        out.push_back(PeerLost{});
    }
    contact_since_ = kNever;
    for (auto &g : groups_) {
        g.resumed = false;
        if (g.state == Mastership::Discovery) {
            g.discovery_until = std::max(g.discovery_until, now + config_->detection());
            continue;
        }
        enter_discovery(g, Duration::zero(), Reason::Stalled, now, out);
    }
}

void Session::reconfigure(const Reconfigure &e, Time now, Actions &out)
{
    if (e.config.own != config_->own || e.config.peer != config_->peer)
        return unexpected(out, 0, "other addresses need a new session");
    Session fresh(e.config, auth_, epoch_);
    for (auto &g : fresh.groups_) {
        if (Group *old = find(g.config.id)) {
            const bool paired = old->config.peer_group == g.config.peer_group;
            const GroupConfig config = g.config;
            g = *old;
            g.config = config;
            if (!paired)
                g.peer_known = false;
        } else if (started_) {
            enter_discovery(g, config_->discovery_interval, Reason::Started, now, out);
        }
    }
    for (auto &g : groups_) {
        if (fresh.find(g.config.id))
            continue;
        handover_clear(g, Refusal::LostMastership, out);
        set_state(g, Mastership::Discovery, Reason::Removed, 0, now, out);
    }
    groups_ = std::move(fresh.groups_);
    if (fresh.config_->bfd_enable != config_->bfd_enable)       // on: no failure until it was up once
        bfd_ = fresh.config_->bfd_enable ? BfdStatus::AdminDown : BfdStatus::Off;
    config_ = fresh.config_;
    guard_ = fresh.guard_;
    force_send_ = true;
}

void Session::update_reached(Time now, Actions &out)
{
    const bool fresh = live_epoch_ && now < fresh_until_;
    if (!fresh)
        contact_since_ = kNever;
    else if (contact_since_ == kNever)
        contact_since_ = now;
    if (pending_epoch_ && now >= pending_until_)
        pending_epoch_ = 0;

    const bool reached = (fresh && bfd_ != BfdStatus::Down && echo_ > bfd_floor_) || now < peer_hold_until_;
    if (reached == reached_)
        return;
    reached_ = reached;
    if (reached)
        out.push_back(PeerReached{});
    else
        out.push_back(PeerLost{fresh});
}

}  // namespace mcipsec::mimp
