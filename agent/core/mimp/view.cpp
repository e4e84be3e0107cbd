// SPDX-License-Identifier: GPL-2.0-or-later
// What a MIMP session shows to others: snapshot, saved state, and whose changes count (I5).
#include "core/mimp/session.hpp"

namespace mcipsec::mimp {

Role Session::role(GroupId group) const
{
    const Group *g = find(group);
    if (!g)
        return {};
    if (acting_master(g->state))
        return {true, false, g->generation};
    if (ceded(*g))
        return {true, false, g->generation - 1};
    if (group_reached(*g) && g->peer.acting)
        return {false, g->peer.generation == g->generation, g->generation};
    if (group_reached(*g) && ceded(g->peer))
        return {false, true, g->peer.generation - 1};
    return {false, false, g->generation};
}

Mastership Session::state(GroupId group) const
{
    const Group *g = find(group);
    return g ? g->state : Mastership::Discovery;
}

std::vector<SavedGroup> Session::save() const
{
    std::vector<SavedGroup> out;
    for (const auto &g : groups_)
        out.push_back({g.config.id, g.state, g.generation, g.oper_up, g.active_members});
    return out;
}

Snapshot Session::snapshot() const
{
    Snapshot s;
    s.reached = reached_;
    s.bfd = bfd_;
    s.epoch = epoch_;
    s.peer_epoch = live_epoch_;
    s.session_id = live_epoch_ ? epoch_ ^ live_epoch_ : 0;
    s.pending = pending_epoch_ != 0;
    s.last_update = last_rx_;
    s.clock_skew_ns = skew_;
    s.rtt = rtt_;
    s.peer_version = peer_version_;
    s.peer_mcs = peer_mcs_;
    s.peer_mcs_oldest = peer_mcs_oldest_;
    if (peer_hold_until_ > last_step_)
        s.peer_restarting_until = peer_hold_until_;
    s.counters = counters_;
    for (const auto &g : groups_) {
        GroupView v;
        v.config = g.config;
        v.config.shutdown = g.shutdown;
        v.state = g.state;
        v.generation = g.generation;
        v.oper_up = g.oper_up;
        v.prepared = g.prepared;
        v.active_members = g.active_members;
        v.nominal = g.nominal;
        v.reasons = g.reasons;
        v.phase = g.phase;
        v.handover = g.handover;
        v.discovery_until = g.discovery_until;
        v.peer_known = g.peer_known;
        v.peer_reached = group_reached(g);
        v.peer = g.peer;
        v.last_change = g.last_change;
        v.last_reason = g.last_reason;
        v.last_step = g.last_step;
        s.groups.push_back(std::move(v));
    }
    return s;
}

}  // namespace mcipsec::mimp
