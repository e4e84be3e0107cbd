// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/group/members.hpp"

namespace mcipsec::group {

std::string MemberHealth::why_not() const
{
    if (!admin_up)
        return "shutdown";
    if (!module)
        return "kernel module does not answer";
    if (!charon)
        return "charon does not answer";
    if (!interfaces)
        return "xfrm interface down";
    if (!script)
        return "track script or file failed";
    return {};
}

MemberVerdict judge(const std::vector<MemberHealth> &members, unsigned active_mda_number, bool group_admin_up)
{
    MemberVerdict v;
    std::string first_sick;
    for (const auto &m : members) {
        v.primary.push_back(m.name);
        if (m.healthy()) {
            if (v.active_members.size() < active_mda_number)
                v.active_members.push_back(m.name);
        } else if (first_sick.empty()) {
            first_sick = "mda " + m.name + ": " + m.why_not();
        }
    }
    v.active = static_cast<unsigned>(v.active_members.size());
    if (!group_admin_up) {
        v.active = 0;
        v.active_members.clear();
        v.reason = "tunnel-group shutdown";
        return v;
    }
    v.oper_up = active_mda_number > 0 && v.active == active_mda_number;
    if (!v.oper_up)
        v.reason = first_sick.empty() ? "fewer members than active-mda-number" : first_sick;
    return v;
}

}  // namespace mcipsec::group
