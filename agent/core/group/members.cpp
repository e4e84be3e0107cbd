// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/group/members.hpp"

namespace mcipsec::group {

namespace {

void append(std::string &list, const std::string &item) { list += (list.empty() ? "" : ", ") + item; }

}  // namespace

std::string MemberHealth::why_not() const
{
    std::string out = admin_up ? "" : "shutdown";
    for (const auto &f : faults)
        append(out, f);
    return out;
}

MemberVerdict judge(const std::vector<MemberHealth> &members, unsigned active_mda_number, bool group_admin_up)
{
    MemberVerdict v;
    std::string sick;
    for (const auto &m : members) {
        v.primary.push_back(m.name);
        if (!m.healthy())
            append(sick, "mda " + m.name + ": " + m.why_not());
        else if (v.active_members.size() < active_mda_number)
            v.active_members.push_back(m.name);
        else
            v.backup.push_back(m.name);
    }
    if (!group_admin_up) {
        v.active_members.clear();
        v.backup.clear();
        v.reason = "tunnel-group shutdown";
        return v;
    }
    v.active = static_cast<unsigned>(v.active_members.size());
    v.oper_up = active_mda_number > 0 && v.active == active_mda_number;
    if (!v.oper_up)
        v.reason = sick.empty() ? "fewer members than active-mda-number" : sick;
    return v;
}

}  // namespace mcipsec::group
