// SPDX-License-Identifier: GPL-2.0-or-later
// TOML text -> Config: types, ranges and unknown keys, by the key table. Each
// source is laid over what the ones before it said, key by key, so that a
// drop-in changes one number without repeating its section. Checks that need
// more than one key are in config_check.cpp.
//
// Invariant: never throws on any input (fuzzed); every message begins with the
// position of the value it is about.
//
// toml++ asserts what a file can violate ("[#" trips it), and with NDEBUG tells
// the compiler to assume it; behind each stands an ordinary error. So neither
// an abort nor an assumption: the checks are turned into nothing.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <initializer_list>

#include "app/config_check.hpp"
#include "app/config_keys.hpp"

namespace mcipsec::app {

namespace {

constexpr std::size_t kMaxErrors = 20;      // more are noise
constexpr std::size_t kNameMax = 63;

const char *type_name(const toml::node &n)
{
    switch (n.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a number";
    case toml::node_type::boolean: return "a boolean";
    default: return "a date or time";
    }
}

// No control characters, neither ASCII nor C1: what is configured gets printed.
bool printable(std::string_view s)
{
    for (std::size_t i = 0; i < s.size(); i++) {
        const auto u = static_cast<unsigned char>(s[i]);
        if (u < 0x20 || u == 0x7f)
            return false;
        if (u == 0xc2 && i + 1 < s.size() && static_cast<unsigned char>(s[i + 1]) < 0xa0)
            return false;
    }
    return true;
}

// A key for a message.
std::string shown(std::string_view s) { return printable(s) && s.size() <= 80 ? std::string(s) : "(long or with control characters)"; }

bool word(std::string_view s)
{
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || std::string_view("._:/-").find(c) != std::string_view::npos;
    });
}

bool device(std::string_view s)
{
    return s.size() <= 15 && s != "." && s != ".." && printable(s) && s.find_first_of("/: ") == std::string_view::npos;
}

// A path names an object of the file system, so no ".." games with run-dir either.
bool path(std::string_view s) { return s.size() > 1 && s.front() == '/' && printable(s) && s.find("/../") == std::string_view::npos; }

// The line of the first character beyond ASCII in a place where toml++ 3.3 would ask
// whether it is a blank, 0 for none. There it runs into a branch that it calls
// unreachable. TOML has a use for such characters in comments and strings only; in
// files with strings over several lines none is let through, for what is a string
// is then not seen from one line.
unsigned line_of_stray_character(std::string_view text)
{
    if (text.starts_with("\xef\xbb\xbf"))
        text.remove_prefix(3);
    const bool long_strings = text.find("\"\"\"") != text.npos || text.find("'''") != text.npos;
    unsigned line = 1;
    char inside = 0;                        // the quote or # that began it
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n') {
            ++line;
            inside = 0;
        } else if (static_cast<unsigned char>(c) >= 0x80) {
            if (!inside || long_strings)
                return line;
        } else if (!inside && (c == '"' || c == '\'' || c == '#')) {
            inside = c;
        } else if (inside == '"' && c == '\\') {
            if (i + 1 < text.size() && text[i + 1] != '\n' && static_cast<unsigned char>(text[i + 1]) < 0x80)
                ++i;
        } else if (inside == c && c != '#') {
            inside = 0;
        }
    }
    return 0;
}

class Reader {
public:
    explicit Reader(Config &config) : c_(config) {}

    void source(const ConfigText &text)
    {
        file_ = text.file;
        c_.files.push_back(text.file);
        if (const auto line = line_of_stray_character(text.text)) {
            errors.push_back(Where{file_, line}.str() + ": a character that is not ASCII; such are allowed in comments and in strings of one line");
            return;
        }
        const toml::parse_result result = toml::parse(text.text, text.file);
        if (!result) {
            const auto &e = result.error();
            return error(e.source(), fmt::format("{}; a TOML document is expected", e.description()));
        }
        root(result.table());
    }

    std::vector<std::string> errors;

private:
    Config &c_;
    std::string file_;

    void error(const toml::source_region &at, const std::string &text)
    {
        if (errors.size() < kMaxErrors)
            errors.push_back(Where{file_, std::max(1U, static_cast<unsigned>(at.begin.line))}.str() + ": " + text);
    }
    void mark(const std::string &path, const toml::source_region &at) { c_.where[path] = {file_, static_cast<unsigned>(at.begin.line)}; }
    // A section stays where it was first named.
    void mark_section(const std::string &path, const toml::node &n) { c_.where.try_emplace(path, Where{file_, static_cast<unsigned>(n.source().begin.line)}); }

    const toml::table *table(const toml::node &n, const std::string &path)
    {
        if (const auto *t = n.as_table()) {
            mark_section(path, n);
            return t;
        }
        error(n.source(), fmt::format("{} is {}, allowed is a table", path, type_name(n)));
        return nullptr;
    }

    // fn(table, path) for the subsection of that name, if there is one.
    template <class F>
    void sub(const toml::table &t, std::string_view name, const std::string &base, F &&fn)
    {
        const auto *n = t.get(name);
        if (!n)
            return;
        const std::string path = base.empty() ? std::string(name) : base + "." + std::string(name);
        if (const auto *s = table(*n, path))
            fn(*s, path);
    }

    // Only subsections, no keys.
    void only(const toml::table &t, const std::string &path, std::initializer_list<std::string_view> allowed)
    {
        for (auto &&[k, v] : t)
            if (std::find(allowed.begin(), allowed.end(), k.str()) == allowed.end())
                error(k.source(), fmt::format("unknown key '{}' in {}, allowed: {}", shown(k.str()), path.empty() ? "the file" : "[" + path + "]", fmt::join(allowed, ", ")));
    }

    // fn(id, table, path) for each subsection with a number as its name.
    template <class F>
    void numbered(const toml::table &t, std::string_view name, const std::string &base, std::uint32_t max, F &&fn)
    {
        sub(t, name, base, [&](const toml::table &all, const std::string &p) {
            for (auto &&[k, v] : all) {
                std::uint32_t id = 0;
                const auto s = k.str();
                const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), id);
                if (ec != std::errc() || end != s.data() + s.size() || id < 1 || id > max || s.front() == '0') {
                    error(k.source(), fmt::format("'{}' is not a {}, allowed is a number 1..{}", shown(s), name, max));
                    continue;
                }
                const std::string path = p + "." + std::to_string(id);
                if (const auto *one = table(v, path))
                    fn(id, *one, path);
            }
        });
    }

    // fn(name, table, path) for each named subsection.
    template <class F>
    void named(const toml::table &t, std::string_view name, const std::string &base, F &&fn)
    {
        sub(t, name, base, [&](const toml::table &all, const std::string &p) {
            for (auto &&[k, v] : all) {
                const auto s = k.str();
                if (s.empty() || s.size() > kNameMax || !printable(s)) {
                    error(k.source(), fmt::format("name of a {} of {} bytes or with control characters, allowed are 1..{} printable characters", p, s.size(), kNameMax));
                    continue;
                }
                const std::string path = p + "." + path_element(s);
                if (const auto *one = table(v, path))
                    fn(std::string(s), *one, path);
            }
        });
    }

    // ---- values ----

    template <class S>
    struct Target {
        S &object;
        const Key<S> &key;
    };

    template <class S>
    void wrong(const toml::node &n, const Target<S> &t, const std::string &what)
    {
        error(n.source(), fmt::format("{} {}, allowed is {}", t.key.name, what, allowed_text(t.key)));
    }
    template <class S>
    void wrong_type(const toml::node &n, const Target<S> &t)
    {
        wrong(n, t, fmt::format("is {}", type_name(n)));
    }

    // In the file's unit, range checked.
    template <class S>
    std::optional<double> number(const toml::node &n, const Target<S> &t)
    {
        double v;
        if (const auto *i = n.as_integer())
            v = static_cast<double>(i->get());
        else if (const auto *f = n.as_floating_point())
            v = f->get();
        else
            return wrong_type(n, t), std::nullopt;
        if (!(v >= t.key.min && v <= t.key.max))
            return wrong(n, t, fmt::format("is {}", v)), std::nullopt;
        return v;
    }
    template <class S>
    std::optional<std::int64_t> integer(const toml::node &n, const Target<S> &t)
    {
        const auto *i = n.as_integer();
        if (!i && n.is_floating_point())
            return wrong(n, t, "has a fraction"), std::nullopt;
        if (!i)
            return wrong_type(n, t), std::nullopt;
        const std::int64_t v = i->get();
        if (static_cast<double>(v) < t.key.min || static_cast<double>(v) > t.key.max)
            return wrong(n, t, fmt::format("is {}", v)), std::nullopt;
        return v;
    }
    template <class S>
    std::optional<std::string> string(const toml::node &n, const Target<S> &t, bool element)
    {
        const auto *s = n.as_string();
        if (!s)
            return wrong_type(n, t), std::nullopt;
        const std::string &v = s->get();
        const bool may_be_empty = !element && t.key.min == 0;
        const std::size_t max = element ? 32 : static_cast<std::size_t>(t.key.max);
        bool ok = v.empty() ? may_be_empty : v.size() <= max && printable(v);
        if (ok && !v.empty()) {
            switch (t.key.text) {
            case Text::Path: ok = path(v); break;
            case Text::Device: ok = device(v); break;
            case Text::Word: ok = word(v); break;
            case Text::Any: break;
            }
        }
        if (!ok)
            return wrong(n, t, printable(v) && v.size() <= 200 ? fmt::format("is {}", quoted(v)) : "is too long or has control characters"), std::nullopt;
        return v;
    }
    template <class S>
    std::optional<IpAddress> address(const toml::node &n, const Target<S> &t)
    {
        const auto *s = n.as_string();
        if (!s)
            return wrong_type(n, t), std::nullopt;
        auto a = IpAddress::parse(s->get());
        if (!a || s->get().find('\0') != std::string::npos)
            return wrong(n, t, printable(s->get()) && s->get().size() <= 200 ? fmt::format("is {}", quoted(s->get())) : "has control characters"), std::nullopt;
        return *a;
    }
    template <class S>
    std::optional<Prefix> prefix(const toml::node &n, const Target<S> &t)
    {
        const auto *s = n.as_string();
        if (!s)
            return wrong_type(n, t), std::nullopt;
        if (!printable(s->get()) || s->get().size() > 200)
            return wrong(n, t, "has control characters"), std::nullopt;
        auto p = Prefix::parse(s->get());
        if (!p)
            return error(n.source(), fmt::format("{}: {}, allowed is {}", t.key.name, p.error().text, allowed_text(t.key))), std::nullopt;
        return *p;
    }

    template <class S, class T, class F>
    void array(const toml::node &n, const Target<S> &t, std::vector<T> &out, F &&element)
    {
        const auto *a = n.as_array();
        if (!a)
            return wrong_type(n, t);
        std::vector<T> all;
        for (auto &&e : *a) {
            std::optional<T> v = element(e);
            if (!v)
                return;
            if (std::find(all.begin(), all.end(), *v) != all.end())
                return wrong(e, t, "names one thing twice");
            all.push_back(std::move(*v));
        }
        const double min = t.key.required || t.key.min > 0 ? t.key.min : 0;
        if (static_cast<double>(all.size()) < min || static_cast<double>(all.size()) > t.key.max)
            return wrong(n, t, fmt::format("has {} elements", all.size()));
        out = std::move(all);
    }

    template <class S>
    void value(const toml::node &n, S &object, const Key<S> &key)
    {
        const Target<S> t{object, key};
        std::visit(
            [&](auto member) {
                auto &out = object.*member;
                using T = std::remove_reference_t<decltype(out)>;
                if constexpr (std::is_same_v<T, bool>) {
                    if (const auto *b = n.as_boolean())
                        out = b->get();
                    else
                        wrong_type(n, t);
                } else if constexpr (std::is_enum_v<T>) {
                    const auto names = names_of(T{});
                    const auto *s = n.as_string();
                    const auto it = s ? std::find(names.begin(), names.end(), s->get()) : names.end();
                    if (it != names.end())
                        out = static_cast<T>(it - names.begin());
                    else
                        wrong(n, t, s && printable(s->get()) && s->get().size() <= 200 ? fmt::format("is {}", quoted(s->get())) : fmt::format("is {}", type_name(n)));
                } else if constexpr (std::is_same_v<T, Duration>) {
                    if (const auto v = number(n, t))
                        out = Duration(std::llround(*v * (key.unit == Unit::Milliseconds ? 1e6 : 1e9)));
                } else if constexpr (std::is_same_v<T, std::string>) {
                    if (auto v = string(n, t, false))
                        out = std::move(*v);
                } else if constexpr (std::is_same_v<T, IpAddress>) {
                    if (n.is_string() && n.as_string()->get().empty() && !key.required)
                        out = {};
                    else if (const auto v = address(n, t))
                        out = *v;
                } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
                    array(n, t, out, [&](const toml::node &e) { return string(e, t, true); });
                } else if constexpr (std::is_same_v<T, std::vector<IpAddress>>) {
                    array(n, t, out, [&](const toml::node &e) { return address(e, t); });
                } else if constexpr (std::is_same_v<T, std::vector<Prefix>>) {
                    array(n, t, out, [&](const toml::node &e) { return prefix(e, t); });
                } else if constexpr (std::is_same_v<T, std::vector<std::uint32_t>>) {
                    array(n, t, out, [&](const toml::node &e) -> std::optional<std::uint32_t> {
                        const auto v = integer(e, t);
                        return v ? std::optional(static_cast<std::uint32_t>(*v)) : std::nullopt;
                    });
                } else {
                    if (const auto v = integer(n, t))
                        out = static_cast<T>(*v);
                }
            },
            key.field);
    }

    // The keys of one section; subsections are named so that they are not unknown keys.
    template <class S>
    void keys_of(const toml::table &t, const std::string &path, S &object, std::initializer_list<std::string_view> subsections = {})
    {
        for (auto &&[k, v] : t) {
            const auto table_of = keys<S>();
            const auto it = std::find_if(table_of.begin(), table_of.end(), [&, &k = k](const Key<S> &e) { return k.str() == e.name; });
            if (it != table_of.end()) {
                mark(path + "." + it->name, v.source());
                value(v, object, *it);
            } else if (std::find(subsections.begin(), subsections.end(), k.str()) == subsections.end()) {
                std::string allowed;
                for (const auto &e : table_of)
                    allowed += (allowed.empty() ? "" : ", ") + std::string(e.name);
                for (const auto e : subsections)
                    allowed += ", " + std::string(e);
                error(k.source(), fmt::format("unknown key {} in [{}], allowed: {}", shown(k.str()), path, allowed));
            }
        }
    }

    // ---- sections ----

    void root(const toml::table &t)
    {
        only(t, "", {"system", "isa", "ipsec", "redundancy", "vrrp"});
        sub(t, "system", "", [&](const toml::table &s, const std::string &p) { keys_of(s, p, c_.system); });
        sub(t, "isa", "", [&](const toml::table &s, const std::string &p) { isa(s, p); });
        sub(t, "ipsec", "", [&](const toml::table &s, const std::string &p) { ipsec(s, p); });
        sub(t, "redundancy", "", [&](const toml::table &s, const std::string &p) {
            only(s, p, {"multi-chassis"});
            sub(s, "multi-chassis", p, [&](const toml::table &m, const std::string &mp) { multi_chassis(m, mp); });
        });
        sub(t, "vrrp", "", [&](const toml::table &s, const std::string &p) { vrrp(s, p); });
    }

    void isa(const toml::table &t, const std::string &path)
    {
        only(t, path, {"tunnel-group", "mda"});
        numbered(t, "tunnel-group", path, kGroupMax, [&](std::uint32_t id, const toml::table &s, const std::string &p) {
            auto &g = c_.tunnel_group[id];
            g.id = id;
            keys_of(s, p, g, {"rekey", "sequence"});
            sub(s, "rekey", p, [&](const toml::table &r, const std::string &rp) { keys_of(r, rp, g.rekey); });
            sub(s, "sequence", p, [&](const toml::table &r, const std::string &rp) { keys_of(r, rp, g.sequence); });
        });
        named(t, "mda", path, [&](const std::string &name, const toml::table &s, const std::string &p) {
            auto &m = c_.mda[name];
            m.name = name;
            keys_of(s, p, m);
        });
    }

    void ipsec(const toml::table &t, const std::string &path)
    {
        only(t, path, {"public", "private", "tunnel"});
        named(t, "public", path, [&](const std::string &name, const toml::table &s, const std::string &p) {
            auto &o = c_.publics[name];
            o.name = name;
            keys_of(s, p, o);
        });
        named(t, "private", path, [&](const std::string &name, const toml::table &s, const std::string &p) {
            auto &o = c_.privates[name];
            o.name = name;
            keys_of(s, p, o);
        });
        named(t, "tunnel", path, [&](const std::string &name, const toml::table &s, const std::string &p) {
            auto &o = c_.tunnel[name];
            o.name = name;
            keys_of(s, p, o);
        });
    }

    void multi_chassis(const toml::table &t, const std::string &path)
    {
        keys_of(t, path, c_.multi_chassis, {"peer"});
        named(t, "peer", path, [&](const std::string &name, const toml::table &s, const std::string &p) {
            auto a = IpAddress::parse(name);
            if (!a)
                return error(s.source(), fmt::format("peer: {}, allowed is an IPv4 or IPv6 address", a.error().text));
            const std::string canonical = path + ".peer." + path_element(a->str());
            mark_section(canonical, s);
            if (canonical != p)
                c_.where.erase(p);
            peer(s, canonical, c_.multi_chassis.peer[*a], *a);
        });
    }

    void peer(const toml::table &t, const std::string &path, PeerConfig &peer, const IpAddress &address)
    {
        peer.address = address;
        keys_of(t, path, peer, {"sync", "mc-ipsec"});
        sub(t, "sync", path, [&](const toml::table &s, const std::string &p) {
            only(s, p, {"ipsec"});
            sub(s, "ipsec", p, [&](const toml::table &i, const std::string &ip) {
                peer.sync.configured = true;
                keys_of(i, ip, peer.sync, {"tunnel-group"});
                numbered(i, "tunnel-group", ip, kGroupMax, [&](std::uint32_t id, const toml::table &g, const std::string &gp) {
                    auto &o = peer.sync.tunnel_group[id];
                    o.id = id;
                    keys_of(g, gp, o);
                });
            });
        });
        sub(t, "mc-ipsec", path, [&](const toml::table &s, const std::string &p) {
            keys_of(s, p, peer.mc_ipsec, {"bfd", "tunnel-group"});
            sub(s, "bfd", p, [&](const toml::table &b, const std::string &bp) { keys_of(b, bp, peer.mc_ipsec.bfd); });
            numbered(s, "tunnel-group", p, kGroupMax, [&](std::uint32_t id, const toml::table &g, const std::string &gp) {
                auto &o = peer.mc_ipsec.tunnel_group[id];
                o.id = id;
                keys_of(g, gp, o);
            });
        });
    }

    void vrrp(const toml::table &t, const std::string &path)
    {
        keys_of(t, path, c_.vrrp, {"policy", "instance"});
        numbered(t, "policy", path, 9999, [&](std::uint32_t id, const toml::table &s, const std::string &p) {
            auto &policy = c_.vrrp.policy[id];
            policy.id = id;
            only(s, p, {"priority-event"});
            if (const auto *n = s.get("priority-event"))
                priority_events(*n, p + ".priority-event", policy);
        });
        named(t, "instance", path, [&](const std::string &name, const toml::table &s, const std::string &p) {
            if (name.find('/') != std::string::npos || name.front() == '.')
                return error(s.source(), fmt::format("vrrp.instance {}: the name becomes a file name, allowed are names without / and without a leading dot", quoted(name)));
            auto &o = c_.vrrp.instance[name];
            o.name = name;
            keys_of(s, p, o);
        });
    }

    void priority_events(const toml::node &n, const std::string &path, VrrpPolicyConfig &policy)
    {
        const auto *a = n.as_array();
        if (!a)
            return error(n.source(), fmt::format("{} is {}, allowed is an array of tables", path, type_name(n)));
        mark(path, n.source());
        policy.priority_event.clear();
        for (auto &&e : *a) {
            const std::string p = path + "." + std::to_string(policy.priority_event.size());
            const auto *t = e.as_table();
            if (!t) {
                error(e.source(), fmt::format("{} is {}, allowed is a table", p, type_name(e)));
                continue;
            }
            mark(p, e.source());
            keys_of(*t, p, policy.priority_event.emplace_back());
        }
    }
};

}  // namespace

Expected<Config> parse_config(const std::vector<ConfigText> &sources, const std::string &run_dir)
{
    Config config;
    Reader reader(config);
    for (const auto &s : sources)
        reader.source(s);
    if (!run_dir.empty())
        config.system.run_dir = run_dir;
    if (reader.errors.empty()) {
        fill_defaults(config);
        check_config(config, reader.errors, config.warnings);
    }
    if (!reader.errors.empty())
        return fail(-EINVAL, fmt::format("{}", fmt::join(reader.errors, "\n")));
    return config;
}

}  // namespace mcipsec::app
