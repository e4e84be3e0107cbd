// SPDX-License-Identifier: GPL-2.0-or-later
// The priority event mc-ipsec-non-forwarding (seed "MC-IPSec Aware VRRP"):
// which value keepalived's track file must carry so that a VRRP instance uses
// the explicit priority while a tunnel-group does not forward. Pure.
//
// An event is set hold-set after its tunnel-group stopped forwarding, and
// cleared hold-clear after it forwards again. Of several set events the lowest
// explicit priority wins. keepalived adds the file's value to the base
// priority: value = explicit - base; explicit 0 has no sum keepalived would
// accept and is written as -254, which means FAULT (FACTS-network).
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::group {

struct PriorityEvent {
    GroupId group = 0;
    int priority = 0;         // explicit, 0..254
    Duration hold_set{};
    Duration hold_clear{};
};

class VrrpPolicy {
public:
    VrrpPolicy(int base_priority, std::vector<PriorityEvent> events);

    struct Output {
        int value = 0;        // for the track file
        int in_use = 0;       // priority that keepalived is told to use
        Time deadline = kNever;
    };
    // A tunnel-group forwards or not, from now on.
    void set_forwarding(GroupId group, bool forwarding, Time now);
    Output evaluate(Time now);
    // What keepalived must assume before anything is known.
    int non_forwarding_value() const;

private:
    struct Track {
        PriorityEvent event;
        bool set = true;                       // not known to forward
        std::optional<Time> change_due;        // when `set` turns over
    };
    int value_for(int priority) const;
    int base_;
    std::vector<Track> tracks_;
};

}  // namespace mcipsec::group
