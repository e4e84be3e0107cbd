// SPDX-License-Identifier: GPL-2.0-or-later
// Seed "Election Logic": the numbers beside the branches are the seed's steps.
#include "core/mimp/election.hpp"

namespace mcipsec::mimp {

Decision elect(const Candidate &self, const Candidate &peer)
{
    const bool master_eligible = self.oper_up;                          //  1
    const bool peer_master_eligible = peer.oper_up;                     //  2

    if (master_eligible && !peer_master_eligible)
        return {Elected::Self, 3};                                      //  3
    if (!master_eligible && peer_master_eligible)
        return {Elected::Peer, 4};                                      //  4
    if (!master_eligible && !peer_master_eligible)
        return {Elected::None, 5};                                      //  5

    if (self.acting_master && !peer.acting_master)
        return {Elected::Self, 6};                                      //  6
    if (!self.acting_master && peer.acting_master)
        return {Elected::Peer, 7};                                      //  7

    if (self.priority > peer.priority)
        return {Elected::Self, 8};                                      //  8
    if (peer.priority > self.priority)
        return {Elected::Peer, 9};                                      //  9
    if (self.active_members > peer.active_members)
        return {Elected::Self, 10};                                     // 10
    if (peer.active_members > self.active_members)
        return {Elected::Peer, 11};                                     // 11

    if (self.source > peer.source)
        return {Elected::Self, 12};                                     // 12
    return {Elected::Peer, 13};                                         // 13
}

}  // namespace mcipsec::mimp
