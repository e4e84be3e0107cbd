// SPDX-License-Identifier: GPL-2.0-or-later
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "app/applied.hpp"
#include "app/engine.hpp"
#include "app/gate_boot.hpp"
#include "app/rp_filter.hpp"
#include "app/session_log.hpp"
#include "core/crypto.hpp"
#include "io/files.hpp"

namespace mcipsec::app {

namespace {

constexpr Duration kFilterInterval = 5s;    // between two looks at rp_filter
constexpr Duration kRefill = 30s;       // of a charon that came back, before the group counts as up anyway
constexpr Duration kMeet = 10s;         // of two chassis that both acted, before the one rekeys that had held it back
constexpr Duration kPlanDelay = 200ms;  // one fence plan for many reverse routes

std::string state_reason(const mimp::SetState &s)
{
    std::string text(mimp::to_string(s.reason));
    if (s.reason == mimp::Reason::Election && s.step)
        text += fmt::format(" (step {})", s.step);
    return text;
}

std::int64_t unix_now() { return std::chrono::duration_cast<std::chrono::seconds>(io::wall_now()).count(); }

}  // namespace

Engine::Group *Engine::find(GroupId id)
{
    const auto it = groups_.find(id);
    return it == groups_.end() ? nullptr : &it->second;
}

Engine::Peer *Engine::peer_of(const Group &g)
{
    const auto it = peers_.find(g.peer);
    return it == peers_.end() || !it->second.mimp ? nullptr : &it->second;     // not started yet: nobody to tell
}

bool Engine::restarts_standby(GroupId group) const
{
    const auto *mc = config_.mc_ipsec_of(group);
    return mc && mc->standby_restart == StandbyRestart::Restart;
}

bool Engine::admin_down(GroupId group) const
{
    const auto *peer = config_.peer_of(group);
    return config_.tunnel_group.at(group).shutdown || (peer && (peer->shutdown || config_.mc_ipsec_of(group)->shutdown));
}

// ---- mastership ----

void Engine::set_state(const mimp::SetState &s)
{
    if (auto *g = find(s.group))
        apply_state(*g, s.new_state, s.prepared, s.defer_routes, s.generation, state_reason(s), s.reason == mimp::Reason::Handover);
}

bool Engine::set_gate(Group &g)
{
    // A lease that ran out stays out until the next state is set: the peer may
    // have taken over meanwhile.
    const std::uint32_t flags = MCIPSEC_F_STICKY_LEASE | (g.prepared ? MCIPSEC_F_PREPARED : 0u) | (g.nominal ? MCIPSEC_F_NOMINAL : 0u);
    const io::StateChange change{g.id, g.state, flags, g.generation};
    auto done = kernel_->state_set(cookie_, std::span(&change, 1));
    if (!done && g.gate_known)
        log_.write({.level = io::Level::Error, .event = std::string(io::event::kKernel), .text = "gate: " + done.error().text, .group = g.id});
    g.gate_known = done.has_value();
    g.module_ok = done.has_value();
    if (auto *p = peer_of(g))
        p->mimp->hold_lease(!g.gate_known && !acting_master(g.state));
    return g.gate_known;
}

void Engine::apply_state(Group &g, Mastership state, bool prepared, bool defer_routes, Generation generation, const std::string &why, bool handed_over)
{
    const Mastership old = g.state;
    const bool was_acting = acting_master(old), acting = acting_master(state);
    g.state = state;
    g.prepared = prepared;
    g.hands_over = defer_routes;
    g.generation = generation;
    if (old != state && g.switchover.state == "failed")
        g.switchover.state = "none";        // what failed then says nothing about now
    if (old == Mastership::Eligible && state == Mastership::Master)
        g.met_at = loop_.now();
    if (old != state) {
        g.changed_at = unix_now();
        g.changed_why = why;
    }
    if (!acting && g.nominal && was_acting)
        g.nominal = false;

    std::vector<NeedsRekey> urgent;
    if (acting && !was_acting && g.sync)
        urgent = g.sync->takeover(g.id, handed_over);
    if (old == Mastership::Master && state == Mastership::Eligible && g.sync)
        g.sync->peer_lost(g.id);
    set_gate(g);
    charon_->set_share(g.id, pool_share(config_, g.id, state));
    const auto charon_state = acting ? io::CharonState::Active : io::CharonState::Passive;
    if (charon_->state(g.id) != charon_state)
        charon_->set_state(g.id, charon_state);
    if (!defer_routes) {
        routes_->set_state(g.id, state);
        vrrp_->set_forwarding(g.id, acting);
        if (peer_of(g))
            group_changed(g.id);
        else
            tell_role(g);
    }
    if ((was_acting && !acting) || (old == Mastership::Standby && state == Mastership::NotEligible && admin_down(g.id)))
        g.restart_due = restarts_standby(g.id);
    if (!defer_routes && state == Mastership::Standby && std::exchange(g.restart_due, false) && g.sync)
        g.sync->restart_standby(g.id);
    if (acting && !was_acting && g.sync && g.sync->lists(g.id)) {
        g.rekeys_left = true;   // of what the list brings, too
        std::vector<SaId> ids;
        for (const auto &n : urgent)
            ids.push_back(n.id);
        g.sync->keep_near(g.id, ids);
    } else if (acting && !was_acting)
        start_rekeys(g, urgent);
    else if (acting)
        release_rekeys(g);
    if (!acting) {
        g.pacer.cancel();
        g.life.pacer.cancel();
        g.life.asked.clear();
        g.held.forget();
        g.evidence.clear();
    }
    if (old != state)
        log_.write({.level = io::Level::Notice,
                    .event = std::string(io::event::kMastership),
                    .text = fmt::format("tunnel-group {}: {} to {}: {}", g.id, to_string(old), to_string(state), why),
                    .group = g.id,
                    .old_state = std::string(to_string(old)),
                    .new_state = std::string(to_string(state)),
                    .reason = why});
    arm_sampling(g);
    protect(g);
}

void Engine::alone(Group &g)
{
    // Resumed: charon has its time to answer before it counts as down.
    if (!g.peer.empty() || stopping_ || (resumed_ && !peers_begun_))
        return;
    const auto wanted = g.verdict.oper_up ? Mastership::Eligible : Mastership::NotEligible;
    if (wanted != g.state || !g.gate_known)
        apply_state(g, wanted, false, false, g.generation, g.verdict.oper_up ? "works alone" : g.verdict.reason);
}

// ---- rekeys after a takeover ----

// Of an SA that charon has just made the record is still to come (it had rekeyed when this
// node lost mastership for a moment). Until it is rekeyed it sends nothing: keep_near().
void Engine::start_rekeys(Group &g, const std::vector<NeedsRekey> &urgent)
{
    if (!g.sync)
        return;
    std::unordered_set<SaId, SaIdHash> first;
    for (const auto &n : urgent)
        first.insert(n.id);
    std::vector<Bytes> children, others;
    g.evidence.clear();
    for_each_child(g, [&](const Bytes &key, const std::optional<ChildSas> &sas) {
        // What needs it most goes first.
        (sas && first.erase(SaId::of(sas->out)) ? children : others).push_back(key);
        if (sas && g.state == Mastership::Eligible)
            g.evidence.push_back({SaId::of(sas->in), std::nullopt});
    });
    g.sync->keep_near(g.id, std::vector<SaId>(first.begin(), first.end()));
    children.insert(children.end(), std::make_move_iterator(others.begin()), std::make_move_iterator(others.end()));
    if (children.empty())
        return;
    // Without its peer this node cannot know whether the peer lives and has the
    // traffic. A rekey that goes out here while the answer comes in there ruins the
    // IKE_SA, so they wait for a sign that the group's packets come here.
    if (g.state == Mastership::Eligible) {
        log_.write({.level = io::Level::Notice,
                    .event = std::string(io::event::kSwitchover),
                    .text = fmt::format("tunnel-group {}: {} CHILD_SAs to rekey, once traffic arrives here", g.id, children.size()),
                    .group = g.id});
        g.pacer.start_held(std::move(children));
        return release_rekeys(g);
    }
    log_.write({.level = io::Level::Notice,
                .event = std::string(io::event::kSwitchover),
                .text = fmt::format("tunnel-group {}: {} CHILD_SAs to rekey", g.id, children.size()),
                .group = g.id});
    g.pacer.start(std::move(children), loop_.now());
    rekeys_due(g);
}

// An old master that does not reach its peer, which may act, too: SAs that come near the
// numbers that the peer may have begun at are rekeyed before they must stop.
void Engine::rekey_near(Group &g)
{
    if (!acting_master(g.state))
        return;
    const auto near = g.sync->near_the_peer(g.id);
    if (near.empty())
        return;
    std::unordered_set<SaId, SaIdHash> wanted(near.begin(), near.end());
    std::vector<std::pair<Bytes, SaId>> found;      // and its inbound SA
    for_each_child(g, [&](const Bytes &key, const std::optional<ChildSas> &sas) {
        if (sas && wanted.erase(SaId::of(sas->out)))
            found.emplace_back(key, SaId::of(sas->in));
    });
    g.sync->keep_near(g.id, std::vector<SaId>(wanted.begin(), wanted.end()));
    if (!g.pacer.progress().running()) {
        std::vector<Bytes> children;
        for (const auto &[key, in] : found)
            children.push_back(key);
        if (!children.empty())
            g.pacer.start_held(std::move(children));
    } else {
        std::erase_if(found, [&](const auto &child) { return !g.pacer.add(child.first, loop_.now()); });
        rekeys_due(g);
    }
    if (found.empty())
        return;
    for (const auto &[key, in] : found)
        g.evidence.push_back({in, std::nullopt});
    log_.write({.level = io::Level::Notice,
                .event = std::string(io::event::kSwitchover),
                .text = fmt::format("tunnel-group {}: {} CHILD_SAs to rekey: used for long without the peer, or their numbers are not known", g.id, found.size()),
                .group = g.id});
}

void Engine::for_each_child(const Group &g, const std::function<void(const Bytes &, const std::optional<ChildSas> &)> &f) const
{
    const auto *tag = g.sync->tag_of(g.id);
    if (!tag)
        return;
    g.sync->session().for_each(*tag, [&](const mcs::Entry &e) {
        if (e.key.kind != mcs::Kind::ChildSa || e.status != mcs::LocalStatus::Installed)
            return;
        const auto v = e.key.view();
        const auto sas = child_sas(info_fields(e.info));
        f(Bytes(v.begin(), v.end()), sas ? std::optional(*sas) : std::nullopt);
    });
}

// What shows that packets of the group reach this node: the peer stands by,
// keepalived holds a VRRP instance of the group, or an inbound SA of the group has
// authenticated something since the takeover.
void Engine::release_rekeys(Group &g, bool sampled)
{
    if (g.pacer.held().empty())
        return;
    // All tunnels of a group go the same way: one is enough.
    const bool seen = sampled && std::any_of(g.evidence.begin(), g.evidence.end(), [&](Group::Evidence &e) {
        const auto known = g.sync->known(g.id, e.sa);
        if (known && !e.seq)
            e.seq = known->seq;
        return known && known->seq != *e.seq;
    });
    if (g.state == Mastership::Master) {
        // It has met its peer again. What that one did meanwhile, message ids included, comes first.
        if (loop_.now() < g.met_at + kMeet)
            return;     // the next sample comes
    } else if (!seen && !vrrp_->master_for(g.id).value_or(false)) {
        return;
    }
    g.pacer.release(loop_.now());
    g.evidence.clear();
    rekeys_due(g);
}

void Engine::rekeys_due(Group &g)
{
    for (auto &key : g.pacer.due(loop_.now()))
        charon_->plugin().rekey(g.id, key, [this, id = g.id, key](Expected<io::RekeyResult> r) {
            auto *group = find(id);
            if (!group)
                return;
            if (r && *r == io::RekeyResult::Missing)
                group->pacer.missing(key);
            else if (!r || *r != io::RekeyResult::Queued)
                group->pacer.busy(key, loop_.now());
            (void)group->pacer_timer.arm(group->pacer.deadline());
        });
    (void)g.pacer_timer.arm(g.pacer.deadline());
}

// ---- members ----

Expected<void> Engine::watch_members()
{
    members_ = std::make_unique<MemberWatch>(loop_);
    auto &p = members_->probes;
    p.charon_down = [this] { return charon_->up() ? std::string() : charon_->why_down(); };
    p.charon_heard = [this] { return charon_->heard(); };
    p.ask_charon = [this](std::function<void()> answered) {
        charon_->plugin().version([answered = std::move(answered)](const Expected<io::PluginVersion> &) { answered(); });
    };
    p.ask_module = [this]() -> Expected<void> {
        if (groups_.empty())
            return {};
        const auto info = kernel_->group_get(groups_.begin()->first);
        if (info)
            return {};
        return info.error().code == -ENOENT ? module_there() : tl::unexpected(info.error());
    };
    members_->on_change = [this] {
        check_members();
        if (charon_->up() && members_->settled())
            begin_peers();
    };
    return members_->configure(config_.mda);
}

void Engine::check_members()
{
    for (auto &[id, g] : groups_)
        judge(g);
}

void Engine::judge(Group &g)
{
    const auto tg = config_.tunnel_group.find(g.id);
    if (tg == config_.tunnel_group.end() || !members_)
        return;
    if (!g.module_ok || !g.gate_known)
        set_gate(g);
    std::vector<std::string> down;
    for (const auto &[name, t] : config_.tunnel)
        if (t.tunnel_group == g.id && !t.interface.empty() && !links_up_.contains(t.interface))
            down.push_back(t.interface + (if_nametoindex(t.interface.c_str()) ? " is down" : " does not exist"));
    g.members.clear();
    for (const auto &name : tg->second.mda) {
        g.members.push_back(members_->health(name, down));
        if (refilling(g))
            g.members.back().faults.emplace_back("charon is being filled again");
        if (!g.module_ok)
            g.members.back().faults.emplace_back("the kernel module does not take the tunnel-group's state");
    }
    auto verdict = group::judge(g.members, tg->second.active_mda_number, !tg->second.shutdown);
    const bool changed = !g.verdict_known || verdict.oper_up != g.verdict.oper_up || verdict.active != g.verdict.active;
    if (!g.verdict_known || verdict != g.verdict)
        log_.write({.level = io::Level::Notice,
                    .event = std::string(io::event::kMember),
                    .text = fmt::format("tunnel-group {}: operationally {}, active {}{}{}", g.id, verdict.oper_up ? "up" : "down",
                                        verdict.active_members.empty() ? "none" : fmt::format("{}", fmt::join(verdict.active_members, " ")),
                                        verdict.reason.empty() ? "" : ": ", verdict.reason),
                    .group = g.id,
                    .old_state = g.verdict_known ? g.verdict.oper_up ? "up" : "down" : "",
                    .new_state = verdict.oper_up ? "up" : "down",
                    .reason = verdict.reason});
    g.verdict = std::move(verdict);
    g.verdict_known = true;
    if (changed)
        if (auto *p = peer_of(g))
            p->mimp->event(mimp::OperChange{g.id, g.verdict.oper_up, static_cast<std::uint16_t>(g.verdict.active)});
    alone(g);
}

// A charon that came back installs each CHILD_SA with sequence number 0; the numbers
// follow. Nothing may leave in between (I3), so the group counts as down till then.
void Engine::begin_refill(Group &g)
{
    const auto *tag = g.sync && !resumed_ ? g.sync->tag_of(g.id) : nullptr;
    const auto status = tag ? g.sync->session().group_status(*tag) : std::nullopt;
    if (!status || !status->local.entries)
        return;
    g.refill_until = loop_.now() + kRefill;
    g.refill_done = false;
}

bool Engine::refilling(Group &g)
{
    if (loop_.now() >= g.refill_until)
        return false;
    const auto *tag = g.sync ? g.sync->tag_of(g.id) : nullptr;
    const auto status = tag ? g.sync->session().group_status(*tag) : std::nullopt;
    if (status && g.refill_done && status->local.installing == 0)
        g.refill_until = Time{};
    return loop_.now() < g.refill_until;
}

// ---- protection status ----

void Engine::protect(Group &g)
{
    std::vector<std::string> reasons;
    const auto *p = peer_of(g);
    if (!p) {
        reasons.emplace_back("no multi-chassis peer");
    } else {
        const auto snapshot = p->mimp->snapshot();
        const auto view = std::find_if(snapshot.groups.begin(), snapshot.groups.end(), [&](const auto &v) { return v.config.id == g.id; });
        const bool reached = view != snapshot.groups.end() && view->peer_reached;
        if (!reached)
            reasons.emplace_back("peer not reached");
        else if (acting_master(g.state) && view->peer.state != Mastership::Standby)
            reasons.emplace_back("no standby");
        else if (!acting_master(g.state) && (g.state != Mastership::Standby || !view->peer.acting))
            reasons.emplace_back(g.state == Mastership::Standby ? "no master" : fmt::format("this chassis is {}", to_string(g.state)));
        if (!p->sync)
            reasons.emplace_back("synchronisation is not configured");
        else if (!g.inputs.in_sync)
            reasons.emplace_back("peer outOfSync");
        if (g.inputs.pending + g.inputs.peer_pending)
            reasons.push_back(fmt::format("{} entries pending", g.inputs.pending + g.inputs.peer_pending));
        if (g.inputs.await_conf + g.inputs.peer_await_conf)
            reasons.push_back(fmt::format("{} entries await-conf", g.inputs.await_conf + g.inputs.peer_await_conf));
        if (g.inputs.failed + g.inputs.peer_failed)
            reasons.push_back(fmt::format("{} entries failed", g.inputs.failed + g.inputs.peer_failed));
        if (g.inputs.lost + g.inputs.peer_lost)
            reasons.push_back(fmt::format("{} entries locally deleted", g.inputs.lost + g.inputs.peer_lost));
        if (g.inputs.in_sync && g.held.open())
            reasons.emplace_back("held output timed out");
    }
    const bool nominal = reasons.empty();
    if (nominal == g.nominal && reasons == g.reasons)
        return;
    const bool turned = nominal != g.nominal;
    g.nominal = nominal;
    g.reasons = reasons;
    std::string text;
    for (const auto &r : reasons)
        text += (text.empty() ? "" : ", ") + r;
    if (turned) {
        set_gate(g);
        log_.write({.level = io::Level::Notice,
                    .event = std::string(io::event::kProtection),
                    .text = fmt::format("tunnel-group {}: protection status {}{}{}", g.id, nominal ? "nominal" : "notReady", text.empty() ? "" : ": ", text),
                    .group = g.id,
                    .old_state = nominal ? "notReady" : "nominal",
                    .new_state = nominal ? "nominal" : "notReady",
                    .reason = text});
    }
    if (auto *peer = peer_of(g)) {
        peer->mimp->event(mimp::ProtectionChange{g.id, nominal, text});
        if (g.sync)
            g.sync->set_reasons(g.id, reasons);
    }
}

// Who is acting, for MCS: MIMP's word, as far as gate and charon have it, too. What
// they do not have yet comes with a SetState, and until then nothing is taken.
void Engine::tell_role(Group &g)
{
    if (!g.sync)
        return;
    const auto *p = peer_of(g);
    const bool carried_out = p && p->mimp->session().state(g.id) == g.state;
    g.sync->set_role(g.id, g.hands_over ? Mastership::Master : g.state, carried_out ? p->mimp->session().role(g.id) : role_alone(g.state, g.generation));
}

// The peer's advertisement of a group.
void Engine::group_changed(GroupId id)
{
    auto *g = find(id);
    if (!g || !peer_of(*g))
        return;
    tell_role(*g);
    protect(*g);
}

void Engine::peer_changed(const IpAddress &address)
{
    const auto it = peers_.find(address);
    if (it == peers_.end() || !it->second.mimp)
        return;
    const auto snapshot = it->second.mimp->snapshot();
    if (it->second.sync)
        it->second.sync->set_mimp(snapshot.epoch, snapshot.peer_epoch);
    for (auto &[id, g] : groups_)
        if (g.peer == address)
            group_changed(id);
}

// ---- hand-over ----

void Engine::try_prepared(Group &g)
{
    auto *p = peer_of(g);
    if (!g.prepare_waits || !p || !g.sync)
        return;
    const auto *tag = g.sync->tag_of(g.id);
    const auto status = tag ? g.sync->session().group_status(*tag) : std::nullopt;
    if (!status || status->local.installing)
        return;
    if (!g.prepare_ignores && status->local.await_conf + status->local.failed + status->local.local_deleted)
        return;
    p->mimp->event(mimp::HandoverPrepared{g.id, std::exchange(g.prepare_waits, 0)});
}

void Engine::flip_and_export(const mimp::HandoverFlipAndExport &h)
{
    auto *g = find(h.group);
    if (!g || !g->sync)
        return;
    // The gate is shut; charon's answer says that its last records are out.
    charon_->set_state(h.group, io::CharonState::Passive, [this, h](Expected<void>) {
        auto *group = find(h.group);
        if (!group || !group->sync)
            return;
        if (auto done = group->sync->send_frozen(h.group, h.id); !done)
            log_.write({.level = io::Level::Error,
                        .event = std::string(io::event::kSwitchover),
                        .text = fmt::format("tunnel-group {}: export: {}", h.group, done.error().text),
                        .group = h.group});
    });
}

void Engine::import_frozen(const mimp::HandoverImport &h)
{
    auto *g = find(h.group);
    auto *p = g ? peer_of(*g) : nullptr;
    if (!p)
        return;
    if (g->frozen_have == h.id)
        p->mimp->event(mimp::HandoverImported{h.group, h.id});
    else
        g->frozen_wait = h.id;
}

void Engine::handover_ended(GroupId id, std::uint64_t handover, const std::optional<mimp::HandoverFailed> &failed)
{
    auto *g = find(id);
    if (!g)
        return;
    g->switchover.id = handover;
    g->switchover.tunnel_group = id;
    g->switchover.state = failed ? "failed" : "done";
    g->switchover.reason = failed ? std::string(mimp::to_string(failed->why)) : "";
    log_.write({.level = failed ? io::Level::Warning : io::Level::Notice,
                .event = std::string(io::event::kSwitchover),
                .text = failed ? fmt::format("tunnel-group {}: switchover failed: {}", id, g->switchover.reason)
                               : fmt::format("tunnel-group {}: switchover done", id),
                .group = id,
                .reason = g->switchover.reason});
}

// ---- sequence state ----

void Engine::arm_sampling(Group &g)
{
    const auto tg = config_.tunnel_group.find(g.id);
    const bool wanted = g.sync && g.sync->has_peer() && (acting_master(g.state) || g.state == Mastership::Standby);
    (void)g.sample_timer.arm(wanted && tg != config_.tunnel_group.end() ? loop_.now() + tg->second.sequence.interval : kNever);
}

// ---- configuration and clock of both chassis ----

Expected<void> Engine::watch_config()
{
    config_watch_ = std::make_unique<ConfigWatch>(loop_, log_, alarms_);
    config_watch_->ask = [this](const std::string &connection, ConfigWatch::Answer answer) { charon_->plugin().connection(connection, std::move(answer)); };
    config_watch_->on_change = [this](GroupId id) {
        auto *g = find(id);
        if (auto items = config_watch_->digest(id); items && g && g->sync)
            g->sync->set_config(id, std::move(*items));
    };
    config_watch_->on_round = [this] {
        for (auto &[id, g] : groups_)
            tell_static_peers(g);
    };
    config_watch_->on_loaded = [this](GroupId id) {
        if (auto *g = find(id); g && g->sync)
            g->sync->conf_loaded();
    };
    if (auto done = config_watch_->start(); !done)
        return done;
    config_watch_->configure(config_);
    return {};
}

// Who may ping a gateway address before its tunnel is up, and is shunted as a static tunnel.
// Again and again: the module is asked what it has.
void Engine::tell_static_peers(Group &g)
{
    auto peers = config_watch_->static_peers(g.id);
    if (!peers)
        return;
    const auto has = kernel_->group_get(g.id);
    if (!has || (g.static_peers == peers && has->static_peers == peers->size()))
        return;
    auto done = kernel_->static_peers_set(g.id, *peers);
    if (!done && (done.error().code != -EOPNOTSUPP || g.static_peers != peers))
        log_.write({.level = io::Level::Error,
                    .event = std::string(io::event::kKernel),
                    .text = fmt::format("tunnel-group {}: static tunnels are not told apart: {}", g.id, done.error().code == -EOPNOTSUPP ? "the module that is loaded is older than this agent" : done.error().text),
                    .group = g.id});
    if (done || done.error().code == -EOPNOTSUPP)
        g.static_peers = std::move(peers);
}

void Engine::check_skew()
{
    for (auto &[address, p] : peers_) {
        const auto config = config_.multi_chassis.peer.find(address);
        if (!p.mimp || config == config_.multi_chassis.peer.end())
            continue;
        const auto snapshot = p.mimp->snapshot();
        const auto skew = snapshot.reached && snapshot.clock_skew_ns ? std::optional<Duration>(*snapshot.clock_skew_ns) : std::nullopt;
        const auto limit = config_.multi_chassis.clock_skew_limit;
        if (!p.skew.update(skew, limit))
            continue;
        std::vector<Alarms::Alarm> now;
        if (p.skew.raised())
            now.push_back({fmt::format("clock of peer {} differs by more than {} s", p.mimp->name(), std::chrono::duration<double>(limit).count()), 0, p.mimp->name()});
        alarms_.replace("clock " + address.str(), std::move(now), io::event::kSkewRaised, io::event::kSkewCleared);
    }
}

// A peer that is not reached and whose packets fail authentication has another key (or
// somebody forges them: then the peer is silent, too).
void Engine::check_keys()
{
    for (auto &[address, p] : peers_) {
        if (!p.mimp)
            continue;
        const auto snapshot = p.mimp->snapshot();
        const bool more = snapshot.counters.bad_mac > std::exchange(p.forged, snapshot.counters.bad_mac);
        const bool differ = !snapshot.reached && (p.keys_differ || more);
        if (std::exchange(p.keys_differ, differ) == differ)
            continue;
        std::vector<Alarms::Alarm> now;
        if (differ)
            now.push_back({fmt::format("packets of peer {} fail authentication: the keys differ", p.mimp->name()), 0, p.mimp->name()});
        alarms_.replace("keys " + address.str(), std::move(now));
    }
}

// Somebody's sysctl may come later than the agent.
void Engine::check_rp_filter(Time now)
{
    if (now < rp_filter_at_)
        return;
    rp_filter_at_ = now + kFilterInterval;
    std::vector<Alarms::Alarm> found;
    for (auto &f : strict_rp_filters(config_))
        found.push_back({std::move(f.text), f.group, {}});
    alarms_.replace("rp_filter", std::move(found));
}

// The customers of a dynamic tunnel are routed by what they negotiated (seed
// "Routing in Private Services": reverse routes).
void Engine::reverse_routes(GroupId id, const Bytes &child, const std::string &connection, const std::string &remote_ts)
{
    std::string tunnel;
    for (const auto &[name, t] : config_.tunnel)
        if (t.type == TunnelType::Dynamic && t.tunnel_group == id && (connection.empty() || t.connection == connection))
            tunnel = name;
    if (tunnel.empty())
        return;
    std::vector<Prefix> prefixes;
    for (const auto &selector : info_list(remote_ts)) {
        const auto text = selector.substr(0, selector.find('['));      // a protocol and port narrow the SA, not the route
        const auto prefix = Prefix::parse(text);
        if (!prefix || prefix->length == 0)
            log_.write({.level = io::Level::Warning,
                        .event = std::string(io::event::kRoute),
                        .text = fmt::format("tunnel {}: no reverse route for the selector '{}', a network is expected", tunnel, text),
                        .group = id});
        else if (std::find(prefixes.begin(), prefixes.end(), *prefix) == prefixes.end())
            prefixes.push_back(*prefix);
    }
    routes_->set_reverse(id, tunnel, child, prefixes);
    if (!plan_timer_.active() || plan_armed_)
        return;
    plan_armed_ = true;
    (void)plan_timer_.arm(loop_.now() + kPlanDelay);
}

Expected<void> Engine::wire_sync(SyncControl &s)
{
    s.callbacks.protection = [this](GroupId id, const mcs::act::ProtectionInputs &inputs) {
        if (auto *g = find(id)) {
            g->inputs = inputs;
            protect(*g);
        }
    };
    // The import that a hand-over waits for may end within the grace in which it does not
    // count as pending: then protection status says nothing.
    s.callbacks.gauges = [this](GroupId id) {
        if (auto *g = find(id); g && g->prepare_waits)
            try_prepared(*g);
    };
    s.callbacks.frozen_applied = [this](GroupId id, std::uint64_t handover) {
        auto *g = find(id);
        auto *p = g ? peer_of(*g) : nullptr;
        if (!p)
            return;
        g->frozen_have = handover;
        if (std::exchange(g->frozen_wait, 0) == handover)
            p->mimp->event(mimp::HandoverImported{id, handover});
    };
    s.callbacks.frozen_acked = [this](GroupId id, std::uint64_t handover) {
        auto *g = find(id);
        if (auto *p = g ? peer_of(*g) : nullptr)
            p->mimp->event(mimp::HandoverExported{id, handover});
    };
    s.callbacks.ack_changed = [this] { send_ack(); };
    s.callbacks.selectors = [this](GroupId id, const Bytes &key, const std::string &connection, const std::string &remote_ts) {
        reverse_routes(id, key, connection, remote_ts);
    };
    s.callbacks.snapshot_done = [this](GroupId id) {
        if (!lists())       // else the routes of another group's tunnels are not known yet
            routes_->prune();
        auto *g = find(id);
        if (!g)
            return;
        g->refill_done = true;
        judge(*g);
        if (std::exchange(g->rekeys_left, false) && acting_master(g->state))
            start_rekeys(*g);
    };
    s.callbacks.child_late = [this](GroupId id, const Bytes &key) {
        if (auto *g = find(id)) {
            (void)g->pacer.add(key, loop_.now());
            (void)g->pacer_timer.arm(g->pacer.deadline());
        }
    };
    s.callbacks.merged = [this](GroupId id, const MergedIke &merged) { ask_for_life(id, merged); };
    s.callbacks.ike_changed = [this](GroupId id, const Bytes &key, std::optional<std::uint32_t> mid) { liveness_seen(id, key, mid); };
    s.callbacks.child_changed = [this](GroupId id, const Bytes &key, bool upsert) {
        auto *g = find(id);
        if (!g || upsert)
            return;
        g->pacer.finished(key);
        (void)g->pacer_timer.arm(g->pacer.deadline());
    };
    return s.start();
}

}  // namespace mcipsec::app
