// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/group/vrrp_policy.hpp"

#include <algorithm>
#include <utility>

namespace mcipsec::group {

VrrpPolicy::VrrpPolicy(std::vector<PriorityEvent> events)
{
    for (auto &e : events)
        tracks_.push_back({e, true, false, std::nullopt});
}

void VrrpPolicy::take_over(const VrrpPolicy &before)
{
    for (auto &t : tracks_)
        for (const auto &b : before.tracks_)
            if (b.event.group == t.event.group) {
                t.set = b.set;
                t.known = b.known;
            }
}

std::optional<int> VrrpPolicy::non_forwarding() const
{
    std::optional<int> lowest;
    for (const auto &t : tracks_)
        lowest = lowest ? std::min(*lowest, t.event.priority) : t.event.priority;
    return lowest;
}

void VrrpPolicy::set_forwarding(GroupId group, bool forwarding, Time now)
{
    for (auto &t : tracks_) {
        if (t.event.group != group)
            continue;
        if (!std::exchange(t.known, true))
            t.set = !forwarding;
        if (t.set == !forwarding) {
            t.change_due.reset();
            continue;
        }
        if (!t.change_due)
            t.change_due = now + (forwarding ? t.event.hold_clear : t.event.hold_set);
    }
}

VrrpPolicy::Output VrrpPolicy::evaluate(Time now)
{
    Output out;
    for (auto &t : tracks_) {
        if (t.change_due && *t.change_due <= now) {
            t.set = !t.set;
            t.change_due.reset();
        }
        if (t.change_due)
            out.deadline = std::min(out.deadline, *t.change_due);
        if (t.set)
            out.explicit_priority = std::min(out.explicit_priority.value_or(255), t.event.priority);
    }
    return out;
}

}  // namespace mcipsec::group
