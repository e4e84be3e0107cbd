// SPDX-License-Identifier: GPL-2.0-or-later
// The state of one tunnel-group: what discovery, the reach of the peer and the
// election make of it. Documentation/state-machine.rst has the table.
//
// Why "settled" (I2): a node that is not acting becomes master beside a reached
// peer only if the peer's last packet echoes the packet in which we first told
// our present inputs. Were both to become master without having heard of each
// other, each would have decided on a packet that the other sent after hearing
// those inputs, hence on the same pair; the election is antisymmetric, so one
// of them was not elected.
#include <algorithm>

#include "core/mimp/session.hpp"

namespace mcipsec::mimp {

std::string_view to_string(Reason r)
{
    switch (r) {
    case Reason::Started: return "started";
    case Reason::Resumed: return "resumed after a planned restart";
    case Reason::Election: return "election";
    case Reason::PeerLost: return "peer not reached";
    case Reason::DiscoveryExpired: return "discovery-interval expired";
    case Reason::OperStatus: return "oper-status of the tunnel-group";
    case Reason::AdminStatus: return "admin status";
    case Reason::Handover: return "force-switchover";
    case Reason::Stalled: return "this node was asleep";
    case Reason::Generation: return "generation";
    case Reason::Removed: return "removed from the configuration";
    }
    return "unknown";
}

// Smallest generation above `above` that is ours: odd for the higher address.
Generation Session::next_own(Generation above) const
{
    const Generation parity = config_->peer < config_->own ? 1 : 0;
    return above + 1 + (((above + 1) ^ parity) & 1);
}

Session::Inputs Session::inputs(const Group &g) const
{
    return {g.oper_up, acting_master(g.state), g.shutdown, ceded(g), g.shown_priority, g.shown_members};
}

bool Session::settled(const Group &g) const
{
    return g.inputs_sequence != 0 && echo_ >= g.inputs_sequence && g.sent_inputs == inputs(g);
}

// A peer that does not reach us may become eligible at any moment, so we wait until it says it
// does; but not for ever: where it cannot (BFD configured on one side only), one detection time.
bool Session::mutual(const Group &g, Time now) const
{
    return g.peer.reached || (contact_since_ != kNever && now >= contact_since_ + config_->detection());
}

void Session::emit_state(Group &g, Mastership old, Actions &out)
{
    g.told_generation = g.generation;
    out.push_back(SetState{g.config.id, old, g.state, g.prepared, g.defer_routes, g.generation, g.last_reason, g.last_step});
}

void Session::set_state(Group &g, Mastership m, Reason reason, std::uint8_t step, Time now, Actions &out)
{
    if (g.state == m)
        return;
    const Mastership old = g.state;
    g.state = m;
    g.prepared = false;
    g.defer_routes = ceded(g);
    g.last_change = now;
    g.last_reason = reason;
    g.last_step = step;
    if (acting_master(old) != acting_master(m))
        ++counters_.mastership_changes;
    emit_state(g, old, out);
}

void Session::enter_discovery(Group &g, Duration interval, Reason reason, Time now, Actions &out)
{
    handover_clear(g, Refusal::LostMastership, out);
    // Never shorter than detection: a peer that hung just before we came has lost its lease by then.
    g.discovery_until = now + std::max(interval, config_->detection());
    g.resumed = false;
    if (g.state != Mastership::Discovery) {
        set_state(g, Mastership::Discovery, reason, 0, now, out);
        return;
    }
    g.last_change = now;
    g.last_reason = reason;
    emit_state(g, Mastership::Discovery, out);
}

void Session::evaluate(Group &g, Time now, Actions &out)
{
    // Two acting masters that heal decide on what both have advertised: it stands still meanwhile.
    const bool dual = acting_master(g.state) && group_reached(g) && g.peer.acting;
    if (!dual) {
        g.shown_members = g.active_members;
        g.shown_priority = g.config.priority;
    }

    if (g.resumed) {
        if (!g.peer_known && now < peer_hold_until_) {
            if (!g.oper_up)
                set_state(g, Mastership::NotEligible, Reason::OperStatus, 0, now, out);
            return;
        }
        g.resumed = false;
    }

    if (group_reached(g)) {
        if (!acting_master(g.state))
            g.generation = std::max(g.generation, g.peer.generation);
        if (g.leading)
            handover_lead(g, now, out);
        else
            handover_follow(g, out);
        decide(g, now, out);
        if (g.leading && acting_master(g.state) && g.phase != Phase::Prepare)
            handover_end(g, Refusal::StandbyRefused, out);
        else if (g.leading && !acting_master(g.state) && g.phase == Phase::Prepare)
            handover_end(g, Refusal::LostMastership, out);
        else if (!g.leading && g.phase != Phase::None && g.phase != Phase::Done && g.phase != Phase::Refused &&
                 g.state != Mastership::Standby)
            handover_drop(g, out);
        if (g.generation != g.told_generation) {
            g.last_reason = Reason::Generation;
            g.last_step = 0;
            emit_state(g, g.state, out);
        }
        return;
    }

    handover_clear(g, Refusal::PeerLost, out);
    const bool discovery = g.state == Mastership::Discovery;
    if (discovery) {
        const bool bfd_to_come = bfd_ == BfdStatus::Down && !bfd_was_up_ && contact_since_ != kNever && now < contact_since_ + kBfdGrace;
        if (now < g.discovery_until || bfd_to_come)
            return;
    }
    if (!g.oper_up) {
        set_state(g, Mastership::NotEligible, discovery ? Reason::DiscoveryExpired : Reason::OperStatus, 0, now, out);
        return;
    }
    if (!acting_master(g.state)) {
        // Served the peer a moment ago, with a packet that had waited here: our lease
        // counts from that one's arrival, and would end before it can be renewed.
        if (!config_->bfd_enable && !reached_ && now <= served_until())
            return;
        g.generation = next_own(g.generation);
    }
    set_state(g, Mastership::Eligible,
              discovery                                ? Reason::DiscoveryExpired
              : g.state == Mastership::NotEligible     ? Reason::OperStatus
                                                       : Reason::PeerLost,
              0, now, out);
}

void Session::decide(Group &g, Time now, Actions &out)
{
    const GroupAdvert &peer = g.peer;
    // A shut group serves only if nobody else can.
    const bool self_serves = g.oper_up && !g.shutdown;
    const bool peer_serves = peer.oper_up && !peer.shutdown;
    const bool either = self_serves || peer_serves;
    const bool acting = acting_master(g.state);
    const bool self_up = either ? self_serves : g.oper_up;
    const Decision d = elect({self_up, acting, g.shown_priority, g.shown_members, config_->own},
                             {either ? peer_serves : peer.oper_up, peer.acting, peer.priority, peer.active_members, config_->peer});

    if (ceded(peer) && !acting && self_up) {        // hand-over: the old master waits for us, whatever the priorities
        if (g.state != Mastership::Standby)
            set_state(g, Mastership::Standby, Reason::Handover, 0, now, out);
        handover_take(g, now, out);
        return;
    }

    switch (d.who) {
    case Elected::None:
        set_state(g, Mastership::NotEligible, Reason::Election, d.step, now, out);
        return;
    case Elected::Self:
        if (acting) {
            if (peer.generation > g.generation)
                g.generation = next_own(peer.generation);
            set_state(g, Mastership::Master, Reason::Election, d.step, now, out);
        } else if (settled(g) && mutual(g, now) && now - last_rx_ < config_->retry_interval && !peer.acting &&
                   (!ceded(g) || d.step == 3)) {
            g.generation = next_own(g.generation);
            set_state(g, Mastership::Master, Reason::Election, d.step, now, out);
        }
        return;
    case Elected::Peer:
        if (d.step == 4 || g.shutdown)
            set_state(g, Mastership::NotEligible, Reason::Election, d.step, now, out);
        else if (!acting || (settled(g) && peer.reached)) {
            g.generation = std::max(g.generation, peer.generation);
            set_state(g, Mastership::Standby, Reason::Election, d.step, now, out);
        }
        return;
    }
}

}  // namespace mcipsec::mimp
