// SPDX-License-Identifier: GPL-2.0-or-later
// The priority event mc-ipsec-non-forwarding (seed "MC-IPSec Aware VRRP"):
// which value keepalived's track file must carry so that a VRRP instance uses
// the explicit priority while a tunnel-group does not forward. Pure.
//
// An event is set hold-set after its tunnel-group stopped forwarding, and
// cleared hold-clear after it forwards again. What is said of a group first is no
// change, so nothing is held: a restarted agent goes on where it was. Of several set events the lowest
// explicit priority wins. How that becomes a number in a track file is the
// adapter's (io/vrrp_file.hpp).
#pragma once

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
    explicit VrrpPolicy(std::vector<PriorityEvent> events);
    // This policy replaces `before`: events of the same group stay set or clear.
    void take_over(const VrrpPolicy &before);

    struct Output {
        std::optional<int> explicit_priority;   // none: no event is set, base priority
        Time deadline = kNever;
    };
    // A tunnel-group forwards or not, from now on.
    void set_forwarding(GroupId group, bool forwarding, Time now);
    Output evaluate(Time now);
    // What keepalived must assume before anything is known.
    std::optional<int> non_forwarding() const;

private:
    struct Track {
        PriorityEvent event;
        bool set = true;                       // not known to forward
        bool known = false;                    // somebody said whether it forwards
        std::optional<Time> change_due;        // when `set` turns over
    };
    std::vector<Track> tracks_;
};

}  // namespace mcipsec::group
