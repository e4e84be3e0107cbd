// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/restart_state.hpp"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

namespace mcipsec::app {

namespace {

constexpr int kVersion = 2;

std::optional<Mastership> state_of(const std::string &text)
{
    for (const auto s : {Mastership::Discovery, Mastership::NotEligible, Mastership::Eligible, Mastership::Standby, Mastership::Master})
        if (text == to_string(s))
            return s;
    return std::nullopt;
}

}  // namespace

const RestartState::Group *RestartState::find(GroupId id) const
{
    const auto it = std::find_if(groups.begin(), groups.end(), [&](const Group &g) { return g.saved.group == id; });
    return it == groups.end() ? nullptr : &*it;
}

std::string RestartState::json() const
{
    nlohmann::json out{{"version", kVersion}, {"boot_id", boot_id}, {"hold_until_ns", hold_until.time_since_epoch().count()}};
    out["groups"] = nlohmann::json::array();
    for (const auto &g : groups) {
        auto debts = nlohmann::json::array();
        for (const auto &d : g.debts)
            debts.push_back({{"spi", d.id.spi}, {"proto", d.id.proto}, {"family", d.id.family}, {"daddr", to_hex(d.id.daddr)},
                             {"send_until_ns", d.send_until.time_since_epoch().count()}, {"jump", d.jump}, {"rekey_at", d.rekey_at}, {"ceiling", d.ceiling}});
        out["groups"].push_back({{"group", g.saved.group},
                                 {"state", to_string(g.saved.state)},
                                 {"generation", g.saved.generation},
                                 {"oper_up", g.saved.oper_up},
                                 {"active_members", g.saved.active_members},
                                 {"rekeys_left", g.rekeys_left},
                                 {"debts", std::move(debts)}});
        if (g.peer)
            out["groups"].back()["peer"] = *g.peer;
    }
    out["vrrp"] = nlohmann::json::object();
    for (const auto &[name, v] : vrrp)
        out["vrrp"][name] = {{"state", v.state}, {"priority", v.priority}};
    return out.dump(1) + "\n";
}

Expected<RestartState> RestartState::from_json(std::string_view text, const std::string &boot_id, Time now)
{
    const auto in = nlohmann::json::parse(text, nullptr, false);
    try {
        if (in.is_discarded() || in.at("version") != kVersion)
            return fail(-EINVAL, "not a restart state of this version");
        RestartState out;
        out.boot_id = in.at("boot_id");
        out.hold_until = Time(Duration(in.at("hold_until_ns").get<std::int64_t>()));
        for (const auto &g : in.at("groups")) {
            const auto state = state_of(g.at("state"));
            if (!state)
                return fail(-EINVAL, "restart state: mastership '" + g.at("state").get<std::string>() + "'");
            Group group{{g.at("group"), *state, g.at("generation"), g.at("oper_up"), g.at("active_members")}, g.at("rekeys_left"), {}, {}};
            if (g.contains("peer"))
                group.peer = g.at("peer").get<std::string>();
            for (const auto &d : g.at("debts")) {
                const auto daddr = from_hex(d.at("daddr").get<std::string>());
                SeqState::Debt debt{{d.at("spi"), d.at("proto"), d.at("family"), {}}, Time(Duration(d.at("send_until_ns").get<std::int64_t>())), d.at("jump")};
                debt.rekey_at = d.value("rekey_at", std::uint64_t{0});      // an earlier agent did not write these
                debt.ceiling = d.value("ceiling", std::uint64_t{0});
                if (!daddr || daddr->size() != debt.id.daddr.size())
                    return fail(-EINVAL, "restart state: daddr of an SA");
                std::copy(daddr->begin(), daddr->end(), debt.id.daddr.begin());
                group.debts.push_back(debt);
            }
            out.groups.push_back(std::move(group));
        }
        for (const auto &[name, v] : in.at("vrrp").items())
            out.vrrp[name] = {v.at("state"), v.at("priority")};
        if (out.boot_id != boot_id || now >= out.hold_until)
            return fail(-ESTALE, "restart state of another boot, or its hold has ended");
        return out;
    } catch (const nlohmann::json::exception &e) {
        return fail(-EINVAL, std::string("restart state: ") + e.what());
    }
}

}  // namespace mcipsec::app
