// SPDX-License-Identifier: GPL-2.0-or-later
// The show commands and monitor. Mastership and gates come from the module
// (what it says is what packets meet), all else from the agent; without an
// agent the module answers alone and the document says "stale".
#include <fmt/format.h>

#include <charconv>
#include <ostream>

#include "app/control_dispatch.hpp"
#include "cli/run.hpp"
#include "cli/stale.hpp"

namespace mcipsec::cli {

namespace {

using nlohmann::json;

void warn_stale(Context &c, const Error &why) { complain(c, 0, "warning: the agent does not answer (" + why.text + "), what follows is from the kernel module and the configuration file"); }

// The configuration as it is on disk, for stale answers.
std::optional<app::Config> disk_config(const Context &c)
{
    auto r = app::read_config(c.config_file, "", c.run_dir);
    return r ? std::optional(std::move(*r)) : std::nullopt;
}

Expected<GroupId> number(const std::string &text)
{
    GroupId id = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (ec != std::errc() || end != text.data() + text.size() || id < 1 || id > MCIPSEC_GROUP_MAX)
        return fail(-EINVAL, fmt::format("tunnel-group '{}' is not a number 1..{}", text, MCIPSEC_GROUP_MAX));
    return id;
}

// The agent's answer, or why there is none; complaints of the agent itself end the command.
struct Answer {
    std::optional<json> data;
    Error why;
    int exit = app::kExitOk;
};
Answer try_agent(Context &c, const std::vector<std::string> &words)
{
    auto answer = c.backend->agent({{"command", words}});
    if (!answer && unreachable(answer.error()))
        return {std::nullopt, answer.error()};
    if (!answer)
        return {std::nullopt, {}, complain(c, app::kExitFailed, "agent: " + answer.error().text)};
    if (!answer->value("ok", false))
        return {std::nullopt, {}, complain(c, answer->value("exit", static_cast<int>(app::kExitFailed)), answer->value("error", "refused"))};
    return {answer->value("data", json::object()), {}};
}

void put_group(json &document, const char *list, GroupId id, const json &fields)
{
    for (auto &g : document[list])
        if (g.value("id", 0U) == id)
            g.update(fields);
    if (document.value("id", 0U) == id)
        document.update(fields);
}

int show_peer(Context &c, const Parsed &p)
{
    const auto address = p.value("ADDR");
    if (!IpAddress::parse(address))
        return complain(c, app::kExitUsage, fmt::format("peer '{}' is not an IPv4 or IPv6 address", address));
    const bool one = !p.value("N").empty();
    const auto id = one ? number(p.value("N")) : Expected<GroupId>(0);
    if (!id)
        return complain(c, app::kExitUsage, id.error().text);
    auto answer = try_agent(c, p.words);
    if (answer.exit)
        return answer.exit;
    const auto groups = c.backend->groups();
    json doc;
    if (answer.data) {
        doc = std::move(*answer.data);
        if (groups)
            for (const auto &g : *groups)
                put_group(doc, "tunnel_groups", g.id, {{"mastership", std::string(to_string(g.state))}});
    } else {
        if (!groups)
            return complain(c, app::kExitUnreachable, fmt::format("neither the agent ({}) nor the kernel module ({}) answers", answer.why.text, groups.error().text));
        const auto config = disk_config(c);
        auto view = stale_peer(config ? &*config : nullptr, *groups, address);
        if (!view)
            return complain(c, app::kExitNoObject, view.error().text);
        if (one) {
            std::erase_if(view->tunnel_groups, [&](const app::PeerGroupView &g) { return g.id != *id; });
            if (view->tunnel_groups.empty())
                return complain(c, app::kExitNoObject, fmt::format("no tunnel-group {} under the mc-ipsec of peer {}", *id, address));
        }
        doc = *view;
        if (one)
            doc.update(json(view->tunnel_groups[0]));
        doc["stale"] = true;
        warn_stale(c, answer.why);
    }
    if (c.json) {
        print_json(c, doc);
        return app::kExitOk;
    }
    const auto view = doc.get<app::PeerView>();
    if (one && view.tunnel_groups.size() == 1)
        c.out << app::render_table(view, view.tunnel_groups[0]);
    else
        c.out << app::render_table(view);
    return app::kExitOk;
}

int show_tunnel_group(Context &c, const Parsed &p)
{
    const bool one = !p.value("N").empty();
    const auto id = one ? number(p.value("N")) : Expected<GroupId>(0);
    if (!id)
        return complain(c, app::kExitUsage, id.error().text);
    auto answer = try_agent(c, p.words);
    if (answer.exit)
        return answer.exit;
    const auto groups = c.backend->groups();
    json doc;
    if (answer.data) {
        doc = std::move(*answer.data);
        if (groups)
            for (const auto &g : *groups) {
                app::TunnelGroupView v;
                overlay(v, g, c.backend->now());
                const json fresh = v;
                json fields;
                for (const char *key : {"mastership", "gate", "nominal", "generation", "lease_ms", "addresses", "next_hops", "gate_counters"})
                    fields[key] = fresh[key];
                put_group(doc, "tunnel_groups", g.id, fields);
            }
    } else {
        if (!groups)
            return complain(c, app::kExitUnreachable, fmt::format("neither the agent ({}) nor the kernel module ({}) answers", answer.why.text, groups.error().text));
        const auto config = disk_config(c);
        auto views = stale_groups(config ? &*config : nullptr, *groups, c.backend->now());
        if (one) {
            std::erase_if(views, [&](const app::TunnelGroupView &g) { return g.id != *id; });
            if (views.empty())
                return complain(c, app::kExitNoObject, fmt::format("no tunnel-group {}", *id));
            doc = views[0];
        }
        doc["tunnel_groups"] = views;
        doc["stale"] = true;
        warn_stale(c, answer.why);
    }
    if (c.json)
        print_json(c, doc);
    else
        c.out << app::render_table(doc.get<app::TunnelGroupsDocument>(), one);
    return app::kExitOk;
}

// A list that comes in pages, put together under its key.
tl::expected<json, int> all_pages(Context &c, const std::vector<std::string> &words, const char *list, json args = json::object())
{
    json doc;
    for (;;) {
        auto data = ask(c, words, args);
        if (!data)
            return data;
        const auto next = data->find("next");
        const bool more = next != data->end() && next->is_number_integer() && *next > 0 && next->get<std::uint64_t>() > args.value("from", std::uint64_t{0});
        if (more)
            args["from"] = *next;
        data->erase("next");
        if (doc.is_null())
            doc = std::move(*data);
        else
            for (auto &e : (*data)[list])
                doc[list].push_back(std::move(e));
        if (!more)
            return doc;
    }
}

int show_sa(Context &c, const Parsed &p)
{
    const auto group = p.value("N");
    const auto id = group.empty() ? Expected<GroupId>(0) : number(group);
    if (!id)
        return complain(c, app::kExitUsage, id.error().text);
    // Is there an agent at all? An empty page costs it nothing.
    auto probe = c.backend->agent({{"command", p.words}, {"args", {{"limit", 1}}}});
    json doc;
    if (probe || !unreachable(probe.error())) {
        auto all = all_pages(c, p.words, "sas", {{"limit", 256}});
        if (!all)
            return all.error();
        doc = std::move(*all);
    } else {
        const auto sas = c.backend->sas(*id);
        if (!sas) {
            if (sas.error().code == -EPERM || sas.error().code == -EACCES)
                return complain(c, app::kExitFailed, "permission denied: root is needed to read the state of SAs");
            const auto groups = c.backend->groups();
            if (groups && sas.error().code == -ENOENT)
                return complain(c, app::kExitNoObject, fmt::format("no tunnel-group {}", *id));
            return complain(c, app::kExitUnreachable, fmt::format("neither the agent ({}) nor the kernel module ({}) answers", probe.error().text, sas.error().text));
        }
        doc["sas"] = *sas;
        doc["stale"] = true;
        warn_stale(c, probe.error());
    }
    if (c.json)
        print_json(c, doc);
    else
        c.out << app::render_table(doc.get<app::SasDocument>());
    return app::kExitOk;
}

template <class Document>
int show_pages(Context &c, const Parsed &p, const char *list)
{
    auto doc = all_pages(c, p.words, list);
    if (!doc)
        return doc.error();
    if (c.json) {
        print_json(c, *doc);
        return app::kExitOk;
    }
    auto view = doc->get<Document>();
    if constexpr (requires { view.detail; })
        view.detail = p.has("detail");
    c.out << app::render_table(view);
    return app::kExitOk;
}

}  // namespace

int show(Context &c, const Parsed &p)
{
    switch (p.action) {
    case Action::ShowPeer: return show_peer(c, p);
    case Action::ShowTunnelGroup: return show_tunnel_group(c, p);
    case Action::ShowSa: return show_sa(c, p);
    case Action::ShowSync:
        if (!p.value("ADDR").empty() && !IpAddress::parse(p.value("ADDR")))
            return complain(c, app::kExitUsage, fmt::format("peer '{}' is not an IPv4 or IPv6 address", p.value("ADDR")));
        return show_pages<app::SyncDocument>(c, p, "peers");
    case Action::ShowTunnel: return show_pages<app::TunnelsDocument>(c, p, "tunnels");
    case Action::ShowVrrp: return show_pages<app::VrrpDocument>(c, p, "instances");
    case Action::ShowLog: return p.has("-f") ? follow_log(c, true) : show_pages<app::LogDocument>(c, p, "entries");
    default: return complain(c, app::kExitUsage, "not a show command");
    }
}

int follow_log(Context &c, bool with_past)
{
    std::uint64_t last = 0;
    int failed = app::kExitOk;
    const auto print = [&](const json &entry) {
        if (c.json)
            c.out << entry.dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
        else
            c.out << app::render_line(entry.get<app::LogEntryView>()) << std::endl;
    };
    // Subscribed first, so that nothing falls between the past and what comes.
    const auto past = [&] {
        if (!with_past)
            return;
        const auto doc = all_pages(c, {"show", "log"}, "entries");
        if (!doc) {
            failed = doc.error();
            return;
        }
        for (const auto &e : doc->value("entries", json::array())) {
            last = std::max(last, e.value("seq", std::uint64_t{0}));
            print(e);
        }
    };
    const auto r = c.backend->events(past, [&](const json &packet) {
        if (failed)
            return false;
        if (const auto lost = packet.find("lost"); lost != packet.end() && lost->is_number_unsigned())
            complain(c, 0, fmt::format("warning: {} events were lost, the reader is too slow", lost->get<std::uint64_t>()));
        const auto e = packet.find("event");
        if (e != packet.end() && e->is_object() && (!with_past || e->value("seq", std::uint64_t{0}) > last))
            print(*e);
        return static_cast<bool>(c.out);
    });
    if (failed)
        return failed;
    if (!r)
        return complain(c, unreachable(r.error()) ? app::kExitUnreachable : app::kExitFailed, "agent: " + r.error().text);
    return app::kExitOk;
}

}  // namespace mcipsec::cli
