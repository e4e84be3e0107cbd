// SPDX-License-Identifier: GPL-2.0-or-later
// What a planned restart leaves for the next process: the states that the
// groups go on in, and how long the peers and the kernel's lease wait
// (DESIGN "Lease"). Kept in <run-dir>/restart.json, used once.
//
// Invariant: a state that is not of this kernel boot, or whose hold has ended,
// is none: the node then starts in discovery, fenced by its own lease.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/mimp/session.hpp"
#include "core/seqstate.hpp"

namespace mcipsec::app {

struct RestartState {
    struct Group {
        mimp::SavedGroup saved;
        bool rekeys_left = false;           // the paced rekeys after a takeover were not through
        std::vector<SeqState::Debt> debts;  // of its SAs (I3)
        std::optional<std::string> peer;    // multi-chassis peer, "" if it works alone; of an earlier agent: not said
        bool moved = false;                 // not kept: it has another peer now
    };
    struct Vrrp {
        std::string state;                  // what keepalived last told, "Master"
        int priority = -1;
    };
    std::string boot_id;
    Time hold_until{};                      // boot time
    std::vector<Group> groups;
    std::map<std::string, Vrrp> vrrp;       // by instance

    const Group *find(GroupId id) const;
    std::string json() const;
    // -EINVAL: not such a text; -ESTALE: of another boot, or the hold has ended.
    static Expected<RestartState> from_json(std::string_view text, const std::string &boot_id, Time now);
};

}  // namespace mcipsec::app
