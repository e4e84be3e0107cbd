// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/alarms.hpp"

#include <algorithm>

namespace mcipsec::app {

void Alarms::replace(const std::string &source, std::vector<Alarm> now, std::string_view raised, std::string_view cleared)
{
    const auto before = std::exchange(by_source_[source], now);
    const auto has = [](const std::vector<Alarm> &list, const Alarm &a) { return std::find(list.begin(), list.end(), a) != list.end(); };
    for (const auto &a : now)
        if (!has(before, a))
            log_.write({.level = io::Level::Warning, .event = std::string(raised), .text = a.text, .peer = a.peer, .group = a.group, .new_state = "raised"});
    for (const auto &a : before)
        if (!has(now, a))
            log_.write({.level = io::Level::Notice, .event = std::string(cleared), .text = "cleared: " + a.text, .peer = a.peer, .group = a.group, .old_state = "raised", .new_state = "cleared"});
    if (now.empty())
        by_source_.erase(source);
}

}  // namespace mcipsec::app
