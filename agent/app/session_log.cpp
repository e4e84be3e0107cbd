// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/session_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "app/applied.hpp"

namespace mcipsec::app {

namespace {

std::string in_case(std::string_view name, int (*convert)(int))
{
    std::string out;
    for (const char c : name)
        out += c == '-' ? '_' : static_cast<char>(convert(static_cast<unsigned char>(c)));
    return out;
}

bool is_failure(std::string_view what) { return what == "auth-failed" || what == "no-proposal" || what == "peer-unreachable" || what == "alert"; }

}  // namespace

io::LogRecord session_record(const Config &config, const io::PluginLog &event)
{
    io::LogRecord r;
    r.event = io::event::kTunnel;
    r.group = event.group;
    r.reason = event.what;
    r.level = is_failure(event.what) ? io::Level::Warning : io::Level::Info;
    std::map<std::string, std::string> fields(event.fields.begin(), event.fields.end());
    const auto *t = config.tunnel_of(event.group, fields["name"]);
    if (t) {
        r.extra.emplace_back("TUNNEL", t->name);
        const auto pub = config.publics.find(t->public_name);
        const auto priv = config.privates.find(t->private_name);
        if (pub != config.publics.end())
            r.extra.emplace_back("PUBLIC_SERVICE", service_name(pub->second.service_id, pub->second.vrf));
        if (priv != config.privates.end())
            r.extra.emplace_back("PRIVATE_SERVICE", service_name(priv->second.service_id, priv->second.vrf));
    }
    for (const auto &[name, value] : event.fields)
        r.extra.emplace_back(in_case(name, std::toupper), value);
    r.text = event.text.empty() ? event.what : event.text;
    // A failure's text says what, not who.
    if (is_failure(event.what))
        r.text = fmt::format("{}: {}{} - {}[{}]", event.what, r.text, fields["local"].empty() ? "" : ", " + fields["local"], fields["remote"], fields["remote-id"]);
    for (const auto &[name, value] : r.extra)
        if (name == "PRIVATE_SERVICE")
            r.text += ", service " + value;
    return r;
}

LogEntryView entry_view(const io::LogRecord &r)
{
    LogEntryView v;
    v.seq = r.serial;
    v.time = std::chrono::duration<double>(r.wall).count();
    v.event = r.event;
    v.tunnel_group = r.group;
    v.peer = r.peer;
    v.text = r.text;
    for (const auto &[name, value] : {std::pair("old_state", &r.old_state), {"new_state", &r.new_state}, {"reason", &r.reason}})
        if (!value->empty())
            v.fields[name] = *value;
    for (const auto &[name, value] : r.extra) {
        if (name == "TUNNEL")
            v.tunnel = value;
        else
            v.fields[in_case(name, std::tolower)] = value;
    }
    v.fields["level"] = to_string(r.level);
    v.fields["boottime_ms"] = std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(r.monotonic).count());
    return v;
}

std::vector<LogEntryView> log_page(const io::Log &log, std::uint64_t after, std::size_t limit)
{
    std::vector<LogEntryView> out;
    for (const auto &r : log.since(after, limit))
        out.push_back(entry_view(r));
    return out;
}

}  // namespace mcipsec::app
