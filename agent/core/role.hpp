// SPDX-License-Identifier: GPL-2.0-or-later
// Whose changes of a tunnel-group count (DESIGN I5). MIMP says the role
// (mimp::Session::role), MCS sends and takes by it, and the exploration
// (tests/sim/explore.cpp) asks these same functions of every pair of roles that
// two MIMP sessions come to.
//
// Invariants
//  - Changes are sent by who speaks, stamped with the generation of the role, and
//    taken by who listens, only with the generation that its role names.
//  - Nobody does both. In a hand-over the roles stay what they were until the new
//    master acts: the old one's last records are still its own, of its generation.
//
// Threading: pure functions.
#pragma once

#include "core/types.hpp"

namespace mcipsec {

struct Role {
    bool acting = false;        // this node: acting master, or the old one in the middle of a hand-over
    bool peer_acting = false;   // the peer is that, as MIMP last heard
    Generation generation = 0;  // of who acts
    bool operator==(const Role &) const = default;
};

// Without a peer that is heard: nobody to listen to.
constexpr Role role_alone(Mastership state, Generation generation) { return {acting_master(state), false, generation}; }

constexpr bool speaks(const Role &r) { return r.acting; }
constexpr bool listens(const Role &r) { return !r.acting && r.peer_acting; }

enum class Verdict : std::uint8_t { Take, NotActing, OtherGeneration };

// A change, which only who acts may send.
constexpr Verdict judge_change(const Role &own, Generation stamped)
{
    if (!listens(own))
        return Verdict::NotActing;
    return stamped == own.generation ? Verdict::Take : Verdict::OtherGeneration;
}

// A standby's own record, put to the acting master for its decision.
constexpr Verdict judge_proposal(const Role &own, Generation stamped)
{
    if (!speaks(own) || own.peer_acting)
        return Verdict::NotActing;
    return stamped == own.generation ? Verdict::Take : Verdict::OtherGeneration;
}

}  // namespace mcipsec
