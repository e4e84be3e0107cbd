// SPDX-License-Identifier: GPL-2.0-or-later
// mcipsec config check|show|man: works without an agent, on files.
#include <fmt/format.h>

#include <ostream>
#include <sstream>

#include "app/control_dispatch.hpp"
#include "cli/run.hpp"

namespace mcipsec::cli {

namespace {

using nlohmann::json;

std::vector<std::string> lines(const std::string &text)
{
    std::vector<std::string> out;
    std::istringstream in(text);
    for (std::string l; std::getline(in, l);)
        out.push_back(l);
    return out;
}

// {"isa.tunnel-group.1": {"multi-active": {"value": true, "from": "file"}, ...}, ...} of show_config()'s text.
json sections_of(const std::string &text)
{
    json out = json::object();
    std::string section;
    for (const auto &l : lines(text)) {
        if (l.starts_with("[")) {
            section = l.substr(1, l.size() - 2);
            out[section] = json::object();
            continue;
        }
        const auto eq = l.find(" = ");
        if (eq == std::string::npos)
            continue;
        auto value = l.substr(eq + 3);
        std::string from = "file";
        if (value.ends_with("  # default")) {
            from = "default";
            value.resize(value.size() - 11);
        } else if (value.ends_with("  # (runtime)")) {
            from = "runtime";
            value.resize(value.size() - 13);
        }
        // TOML's scalars and arrays, as printed, are JSON's; an inline table stays text.
        auto parsed = json::parse(value, nullptr, false);
        out[section][l.substr(0, eq)] = {{"value", parsed.is_discarded() ? json(value) : std::move(parsed)}, {"from", from}};
    }
    return out;
}

void show_text(Context &c, const std::string &text, bool stale)
{
    if (!c.json) {
        c.out << text;
        return;
    }
    json doc{{"config", sections_of(text)}};
    if (stale)
        doc["stale"] = true;
    print_json(c, doc);
}

int check(Context &c, const std::string &file, const Expected<app::Config> &config)
{
    const auto errors = config ? std::vector<std::string>{} : lines(config.error().text);
    const auto warnings = config ? config->warnings : std::vector<std::string>{};
    for (const auto &w : warnings)
        c.err << w << " (warning)\n";
    for (const auto &e : errors)
        c.err << e << '\n';
    if (c.json)
        print_json(c, {{"file", file}, {"ok", errors.empty()}, {"errors", errors}, {"warnings", warnings}});
    else if (config)
        c.out << file << ": ok\n";
    return errors.empty() ? app::kExitOk : app::kExitFailed;
}

}  // namespace

int config_command(Context &c, const Parsed &p)
{
    if (p.action == Action::ConfigMan) {
        c.out << app::man_page();
        return app::kExitOk;
    }
    const bool named = !p.value("FILE").empty();
    const std::string file = named ? p.value("FILE") : c.config_file;
    // Another run directory is another gateway: its paths are derived from it.
    const auto load = [&] { return app::load_config(file, "", c.run_dir == app::kDefaultRunDir ? "" : c.run_dir); };
    if (p.action == Action::ConfigCheck)
        return check(c, file, load());
    if (!named) {
        auto answer = c.backend->agent({{"command", {"config", "show"}}});
        if (answer && answer->value("ok", false)) {
            show_text(c, answer->value("data", json::object()).value("text", ""), false);
            return app::kExitOk;
        }
        if (answer || !unreachable(answer.error()))
            return complain(c, app::kExitFailed, answer ? answer->value("error", "refused") : answer.error().text);
        complain(c, 0, "warning: the agent does not answer (" + answer.error().text + "), what follows is the configuration file");
    }
    const auto config = load();
    if (!config) {
        c.err << config.error().text << '\n';
        return app::kExitFailed;
    }
    show_text(c, app::show_config(*config), !named);
    return app::kExitOk;
}

}  // namespace mcipsec::cli
