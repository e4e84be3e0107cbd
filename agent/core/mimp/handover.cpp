// SPDX-License-Identifier: GPL-2.0-or-later
// force-switchover of one tunnel-group (DESIGN "MIMP"): prepare, flip, commit.
//
//   old master                         standby
//   Prepare(h), repeated  ---------->  applies all state
//                         <----------  Prepared(h): forwards what the master shunts
//   Flipped(h): shunts, exports        (not acting: nobody is, for the export)
//   Commit(h), repeated   ---------->  imports, becomes master
//                         <----------  acting, Done(h)
//
// Before the flip a timeout restores; after it the old master returns only if
// the election gives it back (standby oper down, or not reached any more).
#include "core/mimp/session.hpp"

namespace mcipsec::mimp {

std::string_view to_string(Refusal r)
{
    switch (r) {
    case Refusal::None: return "none";
    case Refusal::NotMaster: return "this node is not master";
    case Refusal::NotReady: return "protection status is notReady";
    case Refusal::Busy: return "another switchover is under way";
    case Refusal::NoGroup: return "no such tunnel-group";
    case Refusal::NoStandby: return "there is no standby to take over";
    case Refusal::PrepareTimeout: return "the standby did not get ready in time";
    case Refusal::StandbyRefused: return "the standby cannot take over";
    case Refusal::PeerLost: return "the peer is not reached any more";
    case Refusal::LostMastership: return "this node is not master any more";
    case Refusal::PeerRestarted: return "the peer has restarted";
    case Refusal::Restarting: return "a planned restart is under way";
    }
    return "unknown";
}

void Session::force_switchover(const ForceSwitchover &e, Time now, Actions &out)
{
    const auto refuse = [&](Refusal why) { out.push_back(HandoverFailed{e.group, e.id, why, false}); };
    Group *g = find(e.group);
    if (!g)
        return refuse(Refusal::NoGroup);
    if (g->leading && g->handover == e.id)
        return;                                     // under way
    if (e.id != 0 && g->last_result.id == e.id) {   // asked again: the same answer
        if (g->last_result.why == Refusal::None)
            out.push_back(HandoverDone{e.group, e.id});
        else
            out.push_back(g->last_result);
        return;
    }
    if (g->state != Mastership::Master || e.id == 0)
        return refuse(Refusal::NotMaster);
    if (g->phase != Phase::None)
        return refuse(Refusal::Busy);
    if (restart_until_ != Time{} || now < peer_hold_until_)
        return refuse(Refusal::Restarting);
    if (!group_reached(*g) || g->peer.state != Mastership::Standby || !g->peer.oper_up || g->peer.shutdown)
        return refuse(Refusal::NoStandby);
    if (!g->nominal && !e.ignore_protection)
        return refuse(Refusal::NotReady);
    g->leading = true;
    g->ignoring = e.ignore_protection;
    g->phase = Phase::Prepare;
    g->handover = e.id;
    g->phase_until = now + config_->prepare_timeout;
}

// The old master's side.
void Session::handover_lead(Group &g, Time now, Actions &out)
{
    const GroupAdvert &peer = g.peer;
    const bool about_this = peer.handover == g.handover;
    switch (g.phase) {
    case Phase::Prepare:
        if (!peer.oper_up || peer.shutdown || (about_this && peer.phase == Phase::Refused))
            handover_end(g, Refusal::StandbyRefused, out);
        else if (!g.oper_up || g.shutdown)
            handover_end(g, Refusal::LostMastership, out);
        else if (about_this && peer.phase == Phase::Prepared && peer.state == Mastership::Standby)
            handover_flip(g, now, out);
        else if (now >= g.phase_until)
            handover_end(g, Refusal::PrepareTimeout, out);
        return;
    case Phase::Flipped:
        if (peer.acting) {
            handover_end(g, Refusal::None, out);
        } else if (now >= g.phase_until) {
            ++counters_.transfer_timeouts;
            g.phase = Phase::Commit;
            g.phase_until = kNever;
        }
        return;
    case Phase::Commit:
        if (peer.acting)
            handover_end(g, Refusal::None, out);
        return;
    default:
        return;
    }
}

void Session::handover_flip(Group &g, Time now, Actions &out)
{
    g.phase = Phase::Flipped;
    g.phase_until = now + config_->transfer_timeout;
    g.generation += 1;                              // the standby's, by parity
    set_state(g, Mastership::Standby, Reason::Handover, 0, now, out);
    out.push_back(HandoverFlipAndExport{g.config.id, g.handover});
}

void Session::exported(const HandoverExported &e, Actions &out)
{
    Group *g = find(e.group);
    if (!g || !g->leading || g->handover != e.id || g->phase != Phase::Flipped)
        return unexpected(out, e.group, "sequence state exported outside a hand-over");
    g->phase = Phase::Commit;
    g->phase_until = kNever;
}

void Session::handover_end(Group &g, Refusal why, Actions &out)
{
    const bool flipped = g.phase != Phase::Prepare;
    g.last_result = HandoverFailed{g.config.id, g.handover, why, flipped};
    g.phase = Phase::None;
    g.handover = 0;
    g.phase_until = kNever;
    g.leading = false;
    if (g.defer_routes) {
        g.defer_routes = false;
        emit_state(g, g.state, out);
    }
    if (why == Refusal::None) {
        ++counters_.handovers;
        out.push_back(HandoverDone{g.config.id, g.last_result.id});
    } else {
        ++counters_.handovers_failed;
        out.push_back(g.last_result);
    }
}

// The standby's side, up to the commit.
void Session::handover_follow(Group &g, Actions &out)
{
    const GroupAdvert &peer = g.peer;
    if (peer.acting && peer.phase == Phase::Prepare && peer.handover != 0) {
        if (g.phase != Phase::None && g.handover == peer.handover)
            return;
        handover_drop(g, out);
        g.handover = peer.handover;
        if (g.state == Mastership::Standby && g.oper_up && !g.shutdown) {
            g.phase = Phase::Prepare;
            out.push_back(HandoverPrepareStandby{g.config.id, g.handover, peer.ignoring});
        } else {
            g.phase = Phase::Refused;
        }
        return;
    }
    if (g.phase != Phase::None && !ceded(peer))
        handover_drop(g, out);                      // given up by the old master, or ended
}

void Session::prepared(const HandoverPrepared &e, Actions &out)
{
    Group *g = find(e.group);
    if (!g || g->leading || g->phase != Phase::Prepare || g->handover != e.id || g->state != Mastership::Standby)
        return unexpected(out, e.group, "prepared outside a hand-over");
    g->phase = Phase::Prepared;
    g->prepared = true;
    g->last_reason = Reason::Handover;
    g->last_step = 0;
    emit_state(*g, g->state, out);
}

// The old master has flipped: take over once it says Commit, knowing our inputs
// and that it reaches us: to one that it does not reach (any more), be it our own
// former life, it may have stopped ceding and be eligible by now.
void Session::handover_take(Group &g, Time now, Actions &out)
{
    if (g.peer.phase != Phase::Commit || !g.peer.reached || !settled(g) || now - last_rx_ > config_->keep_alive_interval * 5 / 4)
        return;
    if (!g.taking || g.handover != g.peer.handover) {
        g.taking = true;
        g.import_done = false;
        g.handover = g.peer.handover;
        g.phase = Phase::Prepared;
        g.phase_until = now + config_->transfer_timeout;
        out.push_back(HandoverImport{g.config.id, g.handover});
        return;
    }
    if (!g.import_done && now < g.phase_until)
        return;
    if (!g.import_done)
        ++counters_.transfer_timeouts;
    g.taking = false;
    g.phase = Phase::Done;
    g.phase_until = kNever;
    g.generation = next_own(g.generation - 1);      // the one that the commit named
    set_state(g, Mastership::Master, Reason::Handover, 0, now, out);
}

void Session::imported(const HandoverImported &e, Actions &out)
{
    Group *g = find(e.group);
    if (!g || !g->taking || g->handover != e.id)
        return unexpected(out, e.group, "sequence state imported outside a hand-over");
    g->import_done = true;
}

void Session::handover_drop(Group &g, Actions &out)
{
    g.phase = Phase::None;
    g.handover = 0;
    g.phase_until = kNever;
    g.taking = g.import_done = false;
    if (g.prepared) {
        g.prepared = false;
        g.last_reason = Reason::Handover;
        emit_state(g, g.state, out);
    }
}

void Session::handover_clear(Group &g, Refusal why, Actions &out)
{
    if (g.leading)
        handover_end(g, why, out);
    else if (g.phase != Phase::None)
        handover_drop(g, out);
}

}  // namespace mcipsec::mimp
