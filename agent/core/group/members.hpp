// SPDX-License-Identifier: GPL-2.0-or-later
// Members (mda) of a tunnel-group: which are healthy, which are active, and
// whether the tunnel-group is operationally up. Pure.
//
// Seed "Tunnel ISAs" and "Operational Conditions": of all configured members
// active-mda-number are active, the rest stand by as backup; an active member
// that goes down is replaced by a backup, and the tunnel-group is operationally
// up only while that many are active. What makes a Linux member healthy is the
// AND of its conditions (app/member_watch.hpp).
#pragma once

#include <string>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::group {

struct MemberHealth {
    std::string name;
    bool admin_up = true;               // mda no shutdown
    std::vector<std::string> faults;    // each condition that does not hold, in words
    bool healthy() const { return admin_up && faults.empty(); }
    std::string why_not() const;        // "" while healthy, else "shutdown" and every fault
};

struct MemberVerdict {
    unsigned active = 0;                  // min(healthy, active-mda-number)
    bool oper_up = false;
    std::vector<std::string> primary;     // every configured member
    std::vector<std::string> active_members;
    std::vector<std::string> backup;      // healthy and not active
    std::string reason;                   // why not operationally up, else ""
    bool operator==(const MemberVerdict &) const = default;
};

// group_admin_up: false after `admin isa tunnel-group N shutdown`.
MemberVerdict judge(const std::vector<MemberHealth> &members, unsigned active_mda_number, bool group_admin_up);

}  // namespace mcipsec::group
