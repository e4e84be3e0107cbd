// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/run.hpp"

#include <openssl/crypto.h>

#include <cerrno>
#include <istream>
#include <ostream>

#include "app/control_dispatch.hpp"
#include "core/crypto.hpp"
#include "core/protocol.hpp"

namespace mcipsec::cli {

using nlohmann::json;

int complain(Context &c, int code, const std::string &text)
{
    c.err << "mcipsec: " << text << '\n';
    return code;
}

void print_json(Context &c, const json &document) { c.out << document.dump(2, ' ', false, json::error_handler_t::replace) << '\n'; }

bool unreachable(const Error &e)
{
    switch (-e.code) {
    case ENOENT:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
    case ETIMEDOUT: return true;
    default: return false;
    }
}

tl::expected<json, int> ask(Context &c, const std::vector<std::string> &words, const json &args)
{
    auto answer = c.backend->agent({{"command", words}, {"args", args}});
    if (!answer)
        return tl::unexpected(complain(c, unreachable(answer.error()) ? app::kExitUnreachable : app::kExitFailed, "agent: " + answer.error().text));
    if (!answer->is_object() || !answer->value("ok", false)) {
        const bool known = answer->is_object() && answer->contains("exit") && (*answer)["exit"].is_number_integer();
        return tl::unexpected(complain(c, known ? (*answer)["exit"].get<int>() : static_cast<int>(app::kExitFailed), answer->is_object() ? answer->value("error", "refused") : "garbled answer"));
    }
    return answer->value("data", json::object());
}

namespace {

struct Globals {
    std::vector<std::string> words;
    bool help = false, version = false;
};

// Options may stand anywhere before "--".
Expected<Globals> take_options(const std::vector<std::string> &args, Context &c)
{
    Globals g;
    for (std::size_t i = 0; i < args.size(); i++) {
        const auto &a = args[i];
        if (a == "--") {
            g.words.insert(g.words.end(), args.begin() + static_cast<std::ptrdiff_t>(i) + 1, args.end());
            break;
        }
        if (a == "-j" || a == "--json") {
            c.json = true;
        } else if (a == "-s" || a == "--run-dir") {
            if (++i == args.size() || args[i].empty())
                return fail(-EINVAL, a + " needs a directory");
            c.run_dir = args[i];
        } else if (a.starts_with("--run-dir=") && a.size() > 10) {
            c.run_dir = a.substr(10);
        } else if (a == "-h" || a == "--help") {
            g.help = true;
        } else if (a == "-V" || a == "--version") {
            g.version = true;
        } else if (a.starts_with("-") && a != "-f" && a != "--prometheus") {
            return fail(-EINVAL, "unknown option " + a + ", allowed: -j, --json, -s, --run-dir, -h, --help, -V, --version");
        } else {
            g.words.push_back(a);
        }
    }
    return g;
}

int genkey(Context &c)
{
    auto key = generate_auth_key();
    if (!key)
        return complain(c, app::kExitFailed, key.error().text);
    const auto text = key->view();
    c.out.write(reinterpret_cast<const char *>(text.data()), static_cast<std::streamsize>(text.size()));
    c.out << '\n' << std::flush;
    return app::kExitOk;
}

int stats(Context &c, const Parsed &p)
{
    const auto data = ask(c, p.words);
    if (!data)
        return data.error();
    const auto doc = data->get<app::StatsDocument>();
    if (p.has("--prometheus"))
        c.out << app::render_prometheus(doc);
    else if (c.json)
        print_json(c, *data);
    else
        c.out << app::render_table(doc);
    return app::kExitOk;
}

// Commands that change something and have nothing to say.
int plain(Context &c, const Parsed &p)
{
    const auto data = ask(c, p.words);
    if (!data)
        return data.error();
    if (c.json)
        print_json(c, *data);
    return app::kExitOk;
}

int reload(Context &c, const Parsed &p)
{
    const auto data = ask(c, p.words);
    if (!data)
        return data.error();
    if (c.json) {
        print_json(c, *data);
        return app::kExitOk;
    }
    for (const auto &warning : data->value("warnings", json::array()))
        c.err << warning.get<std::string>() << " (warning)\n";
    for (const auto &change : data->value("changes", json::array()))
        c.out << change.value("path", "") << ": " << change.value("before", "") << " -> " << change.value("after", "") << '\n';
    return app::kExitOk;
}

int execute(Context &c, const Parsed &p)
{
    switch (p.action) {
    case Action::ForceSwitchover: return force_switchover(c, p);
    case Action::ClearTunnel:
    case Action::Admin: return plain(c, p);
    case Action::Stats: return stats(c, p);
    case Action::Monitor: return follow_log(c, false);
    case Action::ConfigCheck:
    case Action::ConfigShow:
    case Action::ConfigMan: return config_command(c, p);
    case Action::Reload: return reload(c, p);
    case Action::Genkey: return genkey(c);
    case Action::Help: c.out << usage(); return app::kExitOk;
    default: return show(c, p);
    }
}

}  // namespace

int run(const std::vector<std::string> &args, Context &c)
{
    try {
        const auto g = take_options(args, c);
        if (!g)
            return complain(c, app::kExitUsage, g.error().text);
        if (g->version) {
            c.out << "mcipsec " << kRelease << '\n';
            return app::kExitOk;
        }
        if (g->help) {
            c.out << usage();
            return app::kExitOk;
        }
        if (g->words.empty()) {
            c.err << usage();
            return app::kExitUsage;
        }
        const auto p = parse(g->words);
        if (!p)
            return complain(c, app::kExitUsage, p.error().text);
        std::unique_ptr<Backend> own;
        if (!c.backend) {
            own = c.connect(c.run_dir);
            c.backend = own.get();
        }
        const int code = execute(c, *p);
        if (own)
            c.backend = nullptr;
        c.out.flush();
        return c.out ? code : complain(c, app::kExitFailed, "output failed");
    } catch (const json::exception &e) {
        return complain(c, app::kExitFailed, std::string("the agent's answer is garbled: ") + e.what());
    } catch (const std::exception &e) {
        return complain(c, app::kExitFailed, e.what());
    }
}

}  // namespace mcipsec::cli
