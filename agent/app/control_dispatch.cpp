// SPDX-License-Identifier: GPL-2.0-or-later
// Words of a request -> calls of AgentApi, see control_dispatch.hpp and
// Documentation/control-socket.rst. Words arrive expanded; an agent does not
// guess prefixes.
#include "app/control_dispatch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace mcipsec::app {

namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

constexpr std::size_t kPage = 64;           // entries an answer, when the client asks for no other number
constexpr std::size_t kPageMax = 1024;

json failure(int exit, const std::string &text) { return {{"ok", false}, {"exit", exit}, {"error", text}}; }
json failure(const Error &e) { return failure(exit_code(e), e.text); }
json success(json data) { return {{"ok", true}, {"data", std::move(data)}}; }
json done(const Expected<void> &r) { return r ? success(json::object()) : failure(r.error()); }

bool is(const Words &w, std::initializer_list<std::string_view> pattern)
{
    // "*" stands for a value.
    return w.size() == pattern.size() && std::equal(w.begin(), w.end(), pattern.begin(), [](const std::string &a, std::string_view b) { return b == "*" || a == b; });
}

Expected<GroupId> group_of(const std::string &text)
{
    GroupId id = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (ec != std::errc() || end != text.data() + text.size() || id < 1 || id > 1024)
        return fail(-EINVAL, fmt::format("tunnel-group '{}' is not a number 1..1024", text));
    return id;
}

// The object's own keys beside the list with only it: scripts that asked for one need no index.
template <class T>
json single(const char *list, const T &object)
{
    json j = object;
    j[list] = json::array({object});
    return j;
}

struct Page {
    std::size_t from = 0, limit = kPage;
};
Page page_of(const json &args)
{
    const auto number = [&](const char *key, std::size_t otherwise) {
        const auto it = args.find(key);
        return it != args.end() && it->is_number_integer() && *it >= 0 ? it->get<std::size_t>() : otherwise;
    };
    return {number("from", 0), std::clamp<std::size_t>(number("limit", kPage), 1, kPageMax)};
}
// "next" tells the client to ask again from there; absent on the last page.
template <class T>
json paged(const char *list, const std::vector<T> &entries, const Page &p)
{
    json j{{list, entries}};
    if (entries.size() >= p.limit)
        j["next"] = p.from + entries.size();
    return j;
}

class Dispatcher {
public:
    Dispatcher(AgentApi &api, const Words &w, const json &args, bool privileged) : api_(api), w_(w), args_(args), privileged_(privileged) {}

    json run()
    {
        if (w_.empty())
            return failure(kExitUsage, "empty command");
        if (w_[0] == "show")
            return show();
        if (is(w_, {"stats"}))
            return success({{"metrics", api_.stats()}});
        if (is(w_, {"monitor"}))
            return success({{"stream", true}});
        if (is(w_, {"config", "show"}))
            return success({{"text", api_.running_config()}});
        if (is(w_, {"switchover", "status", "*"}))
            return switchover_status();
        if (w_[0] != "admin" && w_[0] != "tools" && w_[0] != "clear" && w_[0] != "reload")
            return unknown();
        if (!privileged_)
            return failure(kExitFailed, "permission denied: root is needed to change something");
        if (w_[0] == "admin")
            return admin();
        if (is(w_, {"tools", "perform", "redundancy", "multi-chassis", "mc-ipsec", "force-switchover", "tunnel-group", "*"}))
            return force_switchover();
        if (is(w_, {"clear", "ipsec", "tunnel", "*"}))
            return done(api_.clear_tunnel(w_[3]));
        if (is(w_, {"reload"}))
            return reload();
        return unknown();
    }

private:
    AgentApi &api_;
    const Words &w_;
    const json &args_;
    const bool privileged_;

    json unknown() { return failure(kExitUsage, fmt::format("unknown command: {}", fmt::join(w_, " "))); }
    json no_peer(const std::string &address) { return failure(kExitNoObject, fmt::format("no multi-chassis peer {}", address)); }

    // Textual equality would miss another spelling of an IPv6 address.
    static bool same(const std::string &a, const std::string &b)
    {
        const auto x = IpAddress::parse(a), y = IpAddress::parse(b);
        return x && y && *x == *y;
    }

    json show()
    {
        if (is(w_, {"show", "redundancy", "multi-chassis", "mc-ipsec", "peer", "*"}) ||
            is(w_, {"show", "redundancy", "multi-chassis", "mc-ipsec", "peer", "*", "tunnel-group", "*"}))
            return show_peer();
        if (is(w_, {"show", "redundancy", "multi-chassis", "mc-ipsec"}))
            return success({{"peers", api_.peers()}});
        if (is(w_, {"show", "redundancy", "multi-chassis", "sync"}))
            return success({{"peers", api_.sync()}});
        if (is(w_, {"show", "redundancy", "multi-chassis", "sync", "peer", "*"})) {
            for (const auto &v : api_.sync())
                if (same(v.peer_ip_address, w_[5]))
                    return success(single("peers", v));
            return no_peer(w_[5]);
        }
        if (is(w_, {"show", "isa", "tunnel-group"}))
            return success({{"tunnel_groups", api_.tunnel_groups()}});
        if (is(w_, {"show", "isa", "tunnel-group", "*"})) {
            const auto id = group_of(w_[3]);
            if (!id)
                return failure(id.error());
            for (const auto &v : api_.tunnel_groups())
                if (v.id == *id)
                    return success(single("tunnel_groups", v));
            return failure(kExitNoObject, fmt::format("no tunnel-group {}", *id));
        }
        if (is(w_, {"show", "ipsec", "tunnel"})) {
            const auto p = page_of(args_);
            return success(paged("tunnels", api_.tunnels("", p.from, p.limit), p));
        }
        if (is(w_, {"show", "ipsec", "tunnel", "*"})) {
            const auto t = api_.tunnels(w_[3], 0, 1);
            return t.empty() ? failure(kExitNoObject, fmt::format("no tunnel {}", w_[3])) : success(single("tunnels", t[0]));
        }
        if (is(w_, {"show", "ipsec", "sa"}))
            return show_sas(0);
        if (is(w_, {"show", "ipsec", "sa", "tunnel-group", "*"})) {
            const auto id = group_of(w_[4]);
            return id ? show_sas(*id) : failure(id.error());
        }
        if (is(w_, {"show", "router", "vrrp", "instance"}))
            return success({{"instances", api_.vrrp()}});
        if (is(w_, {"show", "log"})) {
            const auto p = page_of(args_);
            const auto entries = api_.log(p.from, p.limit);
            json j{{"entries", entries}};
            if (entries.size() >= p.limit)
                j["next"] = entries.back().seq;
            return success(std::move(j));
        }
        return unknown();
    }

    json show_peer()
    {
        for (auto &v : api_.peers()) {
            if (!same(v.peer_addr, w_[5]))
                continue;
            if (w_.size() == 6)
                return success(v);
            const auto id = group_of(w_[7]);
            if (!id)
                return failure(id.error());
            const auto g = std::find_if(v.tunnel_groups.begin(), v.tunnel_groups.end(), [&](const PeerGroupView &e) { return e.id == *id; });
            if (g == v.tunnel_groups.end())
                return failure(kExitNoObject, fmt::format("no tunnel-group {} under the mc-ipsec of peer {}", *id, v.peer_addr));
            v.tunnel_groups = {*g};
            json j = v;
            j.update(json(v.tunnel_groups[0]));
            return success(std::move(j));
        }
        return no_peer(w_[5]);
    }

    json show_sas(GroupId group)
    {
        if (!privileged_)
            return failure(kExitFailed, "permission denied: root is needed to read the state of SAs");
        const auto p = page_of(args_);
        const auto r = api_.sas(group, p.from, p.limit);
        return r ? success(paged("sas", *r, p)) : failure(r.error());
    }

    json switchover_status()
    {
        const auto id = group_of(w_[2]);
        if (!id)
            return failure(id.error());
        const auto r = api_.switchover_status(*id);
        return r ? success(*r) : failure(r.error());
    }

    json force_switchover()
    {
        const auto id = group_of(w_[7]);
        if (!id)
            return failure(id.error());
        SwitchoverRequest r;
        r.tunnel_group = *id;
        if (const auto it = args_.find("to"); it != args_.end()) {
            if (*it == "master")
                r.to = Mastership::Master;
            else if (*it == "standby")
                r.to = Mastership::Standby;
            else
                return failure(kExitUsage, "to: allowed are master and standby");
        }
        if (const auto it = args_.find("ignore-protection-status"); it != args_.end())
            r.ignore_protection_status = it->is_boolean() && it->get<bool>();
        const auto v = api_.force_switchover(r);
        return v ? success(*v) : failure(v.error());
    }

    json admin()
    {
        if (w_.back() != "shutdown" && w_.back() != "no-shutdown")
            return unknown();
        const bool down = w_.back() == "shutdown";
        if (is(w_, {"admin", "isa", "tunnel-group", "*", "*"}) || is(w_, {"admin", "isa", "tunnel-group", "*", "mda", "*", "*"})) {
            const auto id = group_of(w_[3]);
            if (!id)
                return failure(id.error());
            return done(w_.size() == 5 ? api_.admin_tunnel_group(*id, down) : api_.admin_mda(*id, w_[5], down));
        }
        if (w_.size() < 5 || w_[1] != "redundancy" || w_[2] != "peer")
            return unknown();
        const auto peer = IpAddress::parse(w_[3]);
        if (!peer)
            return failure(kExitUsage, peer.error().text);
        if (w_.size() == 5)
            return done(api_.admin_peer(*peer, down));
        if (is(w_, {"admin", "redundancy", "peer", "*", "sync", "*"}))
            return done(api_.admin_sync(*peer, down));
        if (is(w_, {"admin", "redundancy", "peer", "*", "mc-ipsec", "tunnel-group", "*", "*"})) {
            const auto id = group_of(w_[6]);
            return id ? done(api_.admin_mc_ipsec(*peer, *id, down)) : failure(id.error());
        }
        return unknown();
    }

    json reload()
    {
        const auto r = api_.reload();
        if (!r)
            return failure(kExitFailed, r.error().text);
        json changes = json::array();
        for (const auto &c : r->changes)
            changes.push_back({{"path", c.path}, {"before", c.before}, {"after", c.after}});
        return success({{"changes", std::move(changes)}, {"warnings", r->warnings}});
    }
};

}  // namespace

int exit_code(const Error &error)
{
    switch (-error.code) {
    case ENOENT:
    case ENODEV: return kExitNoObject;
    case EPERM:
    case EAGAIN:
    case EBUSY: return kExitRefused;
    case ETIMEDOUT: return kExitTimedOut;
    case ESRCH:
    case ECONNREFUSED: return kExitUnreachable;
    case EINVAL: return kExitUsage;
    default: return kExitFailed;
    }
}

json dispatch(AgentApi &api, const json &request, bool privileged)
{
    try {
        if (!request.is_object())
            return failure(kExitUsage, "a request is a JSON object");
        const auto command = request.find("command");
        if (command == request.end() || !command->is_array() || command->size() > 32)
            return failure(kExitUsage, "command: an array of at most 32 words is expected");
        Words words;
        for (const auto &w : *command) {
            if (!w.is_string() || w.get_ref<const std::string &>().size() > 256)
                return failure(kExitUsage, "command: words of at most 256 bytes are expected");
            words.push_back(w.get<std::string>());
        }
        static const json none = json::object();
        const auto args = request.find("args");
        if (args != request.end() && !args->is_object())
            return failure(kExitUsage, "args: an object is expected");
        return Dispatcher(api, words, args == request.end() ? none : *args, privileged).run();
    } catch (const std::exception &e) {
        return failure(kExitFailed, fmt::format("internal error: {}", e.what()));
    }
}

std::string dispatch_packet(AgentApi &api, std::string_view packet, bool privileged)
{
    const json request = json::parse(packet, nullptr, false);
    const json answer = request.is_discarded() ? failure(kExitUsage, "a request is a JSON object") : dispatch(api, request, privileged);
    // Text from charon may be no UTF-8: replaced, not thrown at.
    return answer.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool wants_events(const json &answer)
{
    const auto data = answer.find("data");
    return data != answer.end() && data->is_object() && data->value("stream", false);
}

std::string event_packet(const LogEntryView &entry)
{
    return json{{"event", entry}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace mcipsec::app
