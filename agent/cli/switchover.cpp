// SPDX-License-Identifier: GPL-2.0-or-later
// tools perform redundancy multi-chassis mc-ipsec force-switchover: asks the
// kernel module, which hands the request to the agent. `to` names the end state
// of this chassis, so that it may be repeated; on a chassis that is not master
// a switchover is refused.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <istream>
#include <ostream>

#include "app/control_dispatch.hpp"
#include "cli/run.hpp"

namespace mcipsec::cli {

namespace {

using nlohmann::json;

constexpr Duration kPoll = 20ms;
constexpr double kMaxWait = 86400;

struct Request {
    GroupId group = 0;
    std::string to;
    bool ignore = false;
    std::optional<Duration> wait;
};

Expected<Request> request_of(const Parsed &p)
{
    Request r;
    const auto n = p.value("N");
    if (const auto [end, ec] = std::from_chars(n.data(), n.data() + n.size(), r.group); ec != std::errc() || end != n.data() + n.size() || r.group < 1 || r.group > MCIPSEC_GROUP_MAX)
        return fail(-EINVAL, fmt::format("tunnel-group '{}' is not a number 1..{}", n, MCIPSEC_GROUP_MAX));
    if (p.has("to"))
        r.to = p.options.at("to");
    r.ignore = p.has("ignore-protection-status");
    if (p.has("wait")) {
        const auto &w = p.options.at("wait");
        double s = 0;
        if (const auto [end, ec] = std::from_chars(w.data(), w.data() + w.size(), s); ec != std::errc() || end != w.data() + w.size() || !(s >= 0 && s <= kMaxWait))
            return fail(-EINVAL, fmt::format("wait '{}' is not a number 0..{} (seconds)", w, kMaxWait));
        r.wait = Duration(std::llround(s * 1e9));
    }
    return r;
}

// The agent's answer without a complaint.
std::optional<json> quiet(Context &c, const json &request)
{
    auto a = c.backend->agent(request);
    if (!a || !a->is_object() || !a->value("ok", false))
        return std::nullopt;
    return a->value("data", json::object());
}

// Why the agent calls the group notReady, for the message.
std::string reasons(Context &c, GroupId group)
{
    const auto doc = quiet(c, {{"command", {"show", "redundancy", "multi-chassis", "mc-ipsec"}}});
    std::vector<std::string> all;
    for (const auto &peer : doc ? doc->value("peers", json::array()) : json::array())
        for (const auto &g : peer.get<app::PeerView>().tunnel_groups)
            if (g.id == group)
                all = g.reasons;
    return all.empty() ? "" : fmt::format(" ({})", fmt::join(all, "; "));
}

std::optional<io::GroupInfo> group_now(Context &c, GroupId id)
{
    auto all = c.backend->groups();
    if (all)
        for (auto &g : *all)
            if (g.id == id)
                return std::move(g);
    return std::nullopt;
}

int not_ready(Context &c, GroupId id) { return complain(c, app::kExitRefused, fmt::format("tunnel-group {}: protection status is notReady{}; ignore-protection-status overrides", id, reasons(c, id))); }

bool confirmed(Context &c, const Request &r)
{
    c.err << fmt::format("Switch tunnel-group {} over to the peer (y/n)? ", r.group) << std::flush;
    std::string line;
    return std::getline(c.in, line) && !line.empty() && (line[0] == 'y' || line[0] == 'Y');
}

int finish(Context &c, const Request &r, std::uint64_t id, const std::string &state)
{
    if (c.json)
        print_json(c, json(app::SwitchoverView{id, r.group, state, ""}));
    else
        c.out << fmt::format("tunnel-group {}: switchover {}\n", r.group, state);
    return app::kExitOk;
}

// Until this chassis is no longer acting master and the agent has no more to do.
int wait_done(Context &c, const Request &r, std::uint64_t id)
{
    const Time deadline = c.backend->now() + *r.wait;
    for (;;) {
        const auto status = quiet(c, {{"command", {"switchover", "status", std::to_string(r.group)}}});
        const bool ours = status && status->value("id", std::uint64_t{0}) == id;
        const auto state = status ? status->value("state", "") : "";
        const bool busy = state == "preparing" || state == "committing";
        if (ours && state == "failed")
            return complain(c, app::kExitFailed, fmt::format("tunnel-group {}: switchover failed: {}", r.group, status->value("reason", "")));
        const auto g = group_now(c, r.group);
        const bool gone = g && !acting_master(g->state);
        // Of two requests at one time the agent runs one: its end is the end of both.
        if (gone && !busy)
            return finish(c, r, id, "done");
        if (c.backend->now() >= deadline)
            return complain(c, app::kExitTimedOut, fmt::format("tunnel-group {}: switchover not done after {} s{}", r.group, std::chrono::duration<double>(*r.wait).count(), busy ? " (" + state + ")" : ""));
        c.backend->sleep(kPoll);
    }
}

int refused(Context &c, const Request &r, const Error &e)
{
    switch (-e.code) {
    case ENOENT: return complain(c, app::kExitNoObject, fmt::format("no tunnel-group {}", r.group));
    case EPERM:
        if (!c.root)
            return complain(c, app::kExitFailed, "permission denied: root is needed for a switchover");
        return complain(c, app::kExitRefused, fmt::format("tunnel-group {}: this chassis is not master", r.group));
    case EAGAIN: return not_ready(c, r.group);
    case ESRCH: return complain(c, app::kExitUnreachable, fmt::format("tunnel-group {}: no agent takes the request", r.group));
    default: return complain(c, app::kExitFailed, fmt::format("tunnel-group {}: {}", r.group, e.text));
    }
}

}  // namespace

int force_switchover(Context &c, const Parsed &p)
{
    const auto r = request_of(p);
    if (!r)
        return complain(c, app::kExitUsage, r.error().text);
    const auto groups = c.backend->groups();
    if (!groups) {
        const auto agent = c.backend->agent({{"command", {"show", "isa", "tunnel-group", std::to_string(r->group)}}});
        if (!agent && unreachable(agent.error()))
            return complain(c, app::kExitUnreachable, fmt::format("neither the agent ({}) nor the kernel module ({}) answers", agent.error().text, groups.error().text));
        return complain(c, app::kExitUnreachable, "kernel module: " + groups.error().text);
    }
    const auto it = std::find_if(groups->begin(), groups->end(), [&](const io::GroupInfo &g) { return g.id == r->group; });
    if (it == groups->end())
        return complain(c, app::kExitNoObject, fmt::format("no tunnel-group {}", r->group));
    // Both end states may hold already: nothing to do, nothing to ask.
    if ((r->to == "master" && acting_master(it->state)) || (r->to == "standby" && it->state == Mastership::Standby))
        return finish(c, *r, 0, "done");
    if (!acting_master(it->state))
        return complain(c, app::kExitRefused, fmt::format("tunnel-group {} is {} here, a switchover starts on the master", r->group, to_string(it->state)));
    if (it->state == Mastership::Eligible)
        return complain(c, app::kExitRefused, fmt::format("tunnel-group {} is eligible here: no peer is reached that could take over", r->group));
    if (!r->ignore && !(it->flags & MCIPSEC_F_NOMINAL))
        return not_ready(c, r->group);
    if (c.terminal && !p.has("now") && !confirmed(c, *r))
        return complain(c, app::kExitFailed, "not confirmed");

    std::uint32_t flags = r->ignore ? MCIPSEC_SWO_IGNORE_PROTECTION : 0;
    if (r->to == "standby")
        flags |= MCIPSEC_SWO_TO_STANDBY;
    const auto id = c.backend->random();
    if (const auto ok = c.backend->switchover(r->group, id, flags); !ok)
        return refused(c, *r, ok.error());
    return r->wait ? wait_done(c, *r, id) : finish(c, *r, id, "started");
}

}  // namespace mcipsec::cli
