// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/group/vrrp_policy.hpp"

#include <algorithm>

namespace mcipsec::group {

namespace {
constexpr int kFault = -254;
}

VrrpPolicy::VrrpPolicy(int base_priority, std::vector<PriorityEvent> events) : base_(base_priority)
{
    for (auto &e : events)
        tracks_.push_back({e, true, std::nullopt});
}

int VrrpPolicy::value_for(int priority) const { return priority == 0 ? kFault : priority - base_; }

int VrrpPolicy::non_forwarding_value() const
{
    int lowest = base_;
    for (const auto &t : tracks_)
        lowest = std::min(lowest, t.event.priority);
    return tracks_.empty() ? 0 : value_for(lowest);
}

void VrrpPolicy::set_forwarding(GroupId group, bool forwarding, Time now)
{
    for (auto &t : tracks_) {
        if (t.event.group != group)
            continue;
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
    std::optional<int> lowest;
    for (auto &t : tracks_) {
        if (t.change_due && *t.change_due <= now) {
            t.set = !t.set;
            t.change_due.reset();
        }
        if (t.change_due)
            out.deadline = std::min(out.deadline, *t.change_due);
        if (t.set)
            lowest = lowest ? std::min(*lowest, t.event.priority) : t.event.priority;
    }
    out.value = lowest ? value_for(*lowest) : 0;
    out.in_use = lowest ? *lowest : base_;
    return out;
}

}  // namespace mcipsec::group
