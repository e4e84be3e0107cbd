// SPDX-License-Identifier: GPL-2.0-or-later
// Members (mda) of a tunnel-group: which are healthy, which are active, and
// whether the tunnel-group is operationally up. Pure.
//
// Seed "Tunnel ISAs" and "Operational Conditions": of all configured members
// active-mda-number are active, the rest stand by; the tunnel-group is
// operationally up only while that many are active. What makes a Linux member
// healthy is the AND of its conditions below (DESIGN, "Parts").
#pragma once

#include <string>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::group {

struct MemberHealth {
    std::string name;
    bool admin_up = true;          // mda no shutdown
    bool charon = false;           // the plugin answers over VICI
    bool module = false;           // the kernel module knows the group
    bool interfaces = true;        // every xfrm interface of the group is up
    bool script = true;            // optional track-file or track-script
    bool healthy() const { return admin_up && charon && module && interfaces && script; }
    std::string why_not() const;   // "" while healthy, else the first reason
};

struct MemberVerdict {
    unsigned active = 0;                  // min(healthy, active-mda-number)
    bool oper_up = false;
    std::vector<std::string> primary;     // every configured member
    std::vector<std::string> active_members;
    std::string reason;                   // why not operationally up, else ""
};

// group_admin_up: false after `admin isa tunnel-group N shutdown`.
MemberVerdict judge(const std::vector<MemberHealth> &members, unsigned active_mda_number, bool group_admin_up);

}  // namespace mcipsec::group
