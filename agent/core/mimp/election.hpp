// SPDX-License-Identifier: GPL-2.0-or-later
// The MIMP election of one tunnel-group as a pure function (seed "Election
// Logic", steps 1-13). It knows neither time nor packets; who may act on its
// answer, and when, is decided in session.hpp.
//
// Invariant: antisymmetric. If elect(a, b) says self, elect(b, a) says peer,
// and the other way round, unless both source addresses are equal.
#pragma once

#include "core/types.hpp"

namespace mcipsec::mimp {

// What one chassis brings to the election.
struct Candidate {
    bool oper_up = false;               // tunnel-group operationally up
    bool acting_master = false;         // MIMP state is master or eligible
    std::uint8_t priority = 100;        // higher wins
    std::uint16_t active_members = 0;   // active ISAs; more wins
    IpAddress source;                   // MIMP source address; higher wins
};

enum class Elected : std::uint8_t { None, Self, Peer };

// step: the seed's number of the rule that decided, 3..13.
struct Decision {
    Elected who = Elected::None;
    std::uint8_t step = 0;
    bool operator==(const Decision &) const = default;
};

Decision elect(const Candidate &self, const Candidate &peer);

}  // namespace mcipsec::mimp
