// SPDX-License-Identifier: GPL-2.0-or-later
// Reader of swanctl.conf, as far as the checks need it (strongswan.conf syntax:
// sections, key = value, # comments, quoted values, include, and "name : base"
// references). What it cannot read it leaves out: charon is the one to complain.
//
// Invariant: terminates and never throws on any text; includes at most 8 deep.
#include <charconv>
#include <cmath>
#include <filesystem>
#include <memory>

#include "app/config_check.hpp"

namespace mcipsec::app {

namespace {

struct Value {
    std::string text;
    Where where;
};
struct Section {
    Where where;
    std::map<std::string, Value> values;
    std::map<std::string, Section> sections;
    std::vector<std::string> bases;         // dotted paths from the root
};

class SwanctlParser {
public:
    explicit SwanctlParser(IncludeReader read) : read_(read) {}

    void parse(const ConfigText &source, Section &root, int depth = 0)
    {
        if (depth > 8)
            return;
        Cursor c{source, 0, 1};
        block(c, root, depth, false);
    }

private:
    struct Cursor {
        const ConfigText &source;
        std::size_t pos;
        unsigned line;
        bool end() const { return pos >= source.text.size(); }
        char peek() const { return source.text[pos]; }
        void step()
        {
            if (source.text[pos++] == '\n')
                line++;
        }
        Where where() const { return {source.file, line}; }
    };
    IncludeReader read_;
    int nesting_ = 0;

    static bool space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
    static void skip(Cursor &c)
    {
        while (!c.end()) {
            if (space(c.peek()))
                c.step();
            else if (c.peek() == '#')
                while (!c.end() && c.peek() != '\n')
                    c.step();
            else
                break;
        }
    }
    static std::string word(Cursor &c)
    {
        std::string out;
        while (!c.end() && !space(c.peek()) && std::string_view("{}=#\",:").find(c.peek()) == std::string_view::npos) {
            out += c.peek();
            c.step();
        }
        return out;
    }
    // The rest of the line, unquoted and trimmed; a quoted string may hold anything.
    static std::string value(Cursor &c)
    {
        while (!c.end() && (c.peek() == ' ' || c.peek() == '\t'))
            c.step();
        std::string out;
        if (!c.end() && c.peek() == '"') {
            for (c.step(); !c.end() && c.peek() != '"'; c.step()) {
                if (c.peek() == '\\' && c.pos + 1 < c.source.text.size())
                    c.step();
                out += c.peek();
            }
            if (!c.end())
                c.step();
            return out;
        }
        while (!c.end() && std::string_view("\n#}").find(c.peek()) == std::string_view::npos) {
            out += c.peek();
            c.step();
        }
        while (!out.empty() && space(out.back()))
            out.pop_back();
        return out;
    }

    void include(Cursor &c, Section &into, int depth)
    {
        auto pattern = value(c);
        if (!read_ || pattern.empty())
            return;
        if (pattern.front() != '/')
            pattern = (std::filesystem::path(c.source.file).parent_path() / pattern).string();
        for (const auto &source : read_(pattern))
            parse(source, into, depth + 1);
    }

    void block(Cursor &c, Section &into, int depth, bool nested)
    {
        if (++nesting_ > 64) {
            c.pos = c.source.text.size();
            nesting_--;
            return;
        }
        for (skip(c); !c.end(); skip(c)) {
            if (c.peek() == '}') {
                if (nested)
                    c.step();
                break;
            }
            const Where where = c.where();
            const std::string name = word(c);
            if (name.empty()) {         // stray punctuation
                c.step();
                continue;
            }
            if (name == "include") {
                include(c, into, depth);
                continue;
            }
            skip(c);
            std::vector<std::string> bases;
            if (!c.end() && c.peek() == ':') {
                c.step();
                while (skip(c), !c.end() && c.peek() != '{') {
                    const auto base = word(c);
                    if (!base.empty())
                        bases.push_back(base);
                    else
                        c.step();
                }
            }
            if (c.end())
                break;
            if (c.peek() == '=') {
                c.step();
                into.values[name] = {value(c), where};
            } else if (c.peek() == '{') {
                c.step();
                auto &sub = into.sections[name];
                if (!sub.where.line)
                    sub.where = where;
                sub.bases.insert(sub.bases.end(), bases.begin(), bases.end());
                block(c, sub, depth, true);
            }
        }
        nesting_--;
    }
};

// Values and subsections of s with those of the sections it references underneath.
Section resolve(const Section &root, const Section &s, int depth = 0)
{
    Section out = s;
    if (depth > 8)
        return out;
    for (const auto &path : s.bases) {
        const Section *base = &root;
        for (std::size_t from = 0; base && from <= path.size();) {
            const auto dot = std::min(path.find('.', from), path.size());
            const auto it = base->sections.find(path.substr(from, dot - from));
            base = it == base->sections.end() ? nullptr : &it->second;
            from = dot + 1;
        }
        if (!base)
            continue;
        const Section r = resolve(root, *base, depth + 1);
        for (const auto &[k, v] : r.values)
            out.values.try_emplace(k, v);
        for (const auto &[k, v] : r.sections)
            out.sections.try_emplace(k, v);
    }
    return out;
}

// "key =" takes an inherited value away.
const Value *get(const Section &s, const char *key)
{
    const auto it = s.values.find(key);
    return it == s.values.end() || it->second.text.empty() ? nullptr : &it->second;
}

// strongSwan's time: a whole number, blanks, and s, m, h or d in either case.
std::optional<Duration> time_of(const Section &s, const char *key)
{
    const Value *v = get(s, key);
    if (!v)
        return std::nullopt;
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    const char *p = v->text.data(), *end = p + v->text.size();
    while (p != end && blank(*p))
        ++p;
    std::uint64_t n = 0;
    const auto [after, ec] = std::from_chars(p, end, n);
    if (ec == std::errc::invalid_argument)
        return std::nullopt;
    for (p = after; p != end && blank(*p);)
        ++p;
    std::uint64_t scale = 1;
    if (p != end)
        switch (*p++) {
        case 's': case 'S': break;
        case 'm': case 'M': scale = 60; break;
        case 'h': case 'H': scale = 3600; break;
        case 'd': case 'D': scale = 86400; break;
        default: return std::nullopt;
        }
    if (p != end)
        return std::nullopt;
    constexpr std::uint64_t most = 1'000'000'000;       // s; what is longer is as good as never
    if (ec == std::errc::result_out_of_range || n > most / scale)
        n = most / scale;
    return Duration(std::chrono::seconds(static_cast<std::int64_t>(n * scale)));
}

// What stands where a time should: charon does not load such a connection.
void no_times(const Section &s, std::initializer_list<const char *> keys, std::vector<std::pair<Where, std::string>> &out)
{
    for (const auto *key : keys)
        if (const Value *v = get(s, key); v && !time_of(s, key))
            out.emplace_back(v->where, std::string(key) + " = " + v->text);
}

std::vector<std::string> list_of(const Section &s, const char *key)
{
    std::vector<std::string> out;
    const Value *v = get(s, key);
    for (std::size_t from = 0; v && from < v->text.size();) {
        const auto end = std::min(v->text.find(',', from), v->text.size());
        auto item = v->text.substr(from, end - from);
        item.erase(0, std::min(item.find_first_not_of(" \t"), item.size()));
        while (!item.empty() && (item.back() == ' ' || item.back() == '\t'))
            item.pop_back();
        if (!item.empty())
            out.push_back(std::move(item));
        from = end + 1;
    }
    return out;
}

void take(const Section &s, const char *key, std::string &text, Where &where)
{
    if (const auto *v = get(s, key)) {
        text = v->text;
        where = v->where;
    }
}

}  // namespace

std::vector<ConnectionInfo> parse_swanctl(const ConfigText &source, IncludeReader read)
{
    Section root;
    SwanctlParser(read).parse(source, root);
    std::vector<ConnectionInfo> out;
    const auto connections = root.sections.find("connections");
    if (connections == root.sections.end())
        return out;
    for (const auto &[name, plain] : connections->second.sections) {
        const Section s = resolve(root, plain);
        ConnectionInfo c;
        c.name = name;
        c.where = s.where;
        c.version = "0";
        take(s, "version", c.version, c.where_version);
        c.local_addrs = list_of(s, "local_addrs");
        c.remote_addrs = list_of(s, "remote_addrs");
        c.where_remote = c.where;
        if (const auto *v = get(s, "remote_addrs"))
            c.where_remote = v->where;
        c.dpd_delay = time_of(s, "dpd_delay");
        if (const auto *v = get(s, "dpd_delay"))
            c.where_dpd = v->where;
        c.rekey_time = time_of(s, "rekey_time");
        c.reauth_time = time_of(s, "reauth_time");
        no_times(s, {"dpd_delay", "dpd_timeout", "rekey_time", "reauth_time", "over_time"}, c.no_time);
        if (const auto *v = get(s, "mobike")) {
            c.mobike = v->text == "yes" || v->text == "true" || v->text == "1" || v->text == "enabled";
            c.where_mobike = v->where;
        } else {
            c.mobike = true;    // charon's default
        }
        if (const auto children = s.sections.find("children"); children != s.sections.end())
            for (const auto &[child_name, plain_child] : children->second.sections) {
                const Section cs = resolve(root, plain_child);
                ChildInfo child;
                child.name = child_name;
                child.where = cs.where;
                take(cs, "start_action", child.start_action, child.where_start);
                take(cs, "close_action", child.close_action, child.where_close);
                take(cs, "dpd_action", child.dpd_action, child.where_dpd);
                take(cs, "hw_offload", child.hw_offload, child.where_offload);
                child.ah = get(cs, "ah_proposals") != nullptr;
                child.rekey_time = time_of(cs, "rekey_time");
                child.inactivity = time_of(cs, "inactivity");
                if (const auto *v = get(cs, "inactivity"))
                    child.where_inactivity = v->where;
                no_times(cs, {"rekey_time", "life_time", "inactivity"}, c.no_time);
                c.children.push_back(std::move(child));
            }
        out.push_back(std::move(c));
    }
    return out;
}

}  // namespace mcipsec::app
