// SPDX-License-Identifier: GPL-2.0-or-later
// Standing alarms: what is wrong now, for `show redundancy multi-chassis sync`,
// each logged once when it is raised and once when it is cleared.
//
// A source (one check) hands in the whole list of what it finds; the same text
// handed in again is the same alarm.
// Threading: the loop's thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/types.hpp"
#include "io/log.hpp"

namespace mcipsec::app {

class Alarms {
public:
    explicit Alarms(io::Log &log) : log_(log) {}

    struct Alarm {
        std::string text;
        GroupId group = 0;          // 0: of no tunnel-group
        std::string peer;           // as the log names it; empty: of no peer, shown with each
        bool operator==(const Alarm &) const = default;
    };
    void replace(const std::string &source, std::vector<Alarm> now, std::string_view raised = io::event::kAlarm,
                 std::string_view cleared = io::event::kAlarm);

    template <typename F>
    void for_each(F &&f) const
    {
        for (const auto &[source, list] : by_source_)
            for (const auto &a : list)
                f(a);
    }

private:
    io::Log &log_;
    std::map<std::string, std::vector<Alarm>> by_source_;
};

}  // namespace mcipsec::app
