// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <set>

namespace mcipsec::cli {

namespace {

const std::vector<Command> kCommands = {
    {{"show", "redundancy", "multi-chassis", "mc-ipsec", "peer", "ADDR"}, {}, Action::ShowPeer, "mastership of the tunnel-groups"},
    {{"show", "redundancy", "multi-chassis", "mc-ipsec", "peer", "ADDR", "tunnel-group", "N"}, {}, Action::ShowPeer, "... with protection status and its reasons, on both chassis"},
    {{"show", "redundancy", "multi-chassis", "sync"}, {{"detail", nullptr}}, Action::ShowSync, "synchronization of IPsec states"},
    {{"show", "redundancy", "multi-chassis", "sync", "peer", "ADDR"}, {{"detail", nullptr}}, Action::ShowSync, "... of one peer"},
    {{"show", "isa", "tunnel-group"}, {}, Action::ShowTunnelGroup, "members and states of the tunnel-groups"},
    {{"show", "isa", "tunnel-group", "N"}, {}, Action::ShowTunnelGroup, "... with gate and counters"},
    {{"show", "ipsec", "tunnel"}, {{"detail", nullptr}}, Action::ShowTunnel, "tunnels"},
    {{"show", "ipsec", "tunnel", "NAME"}, {{"detail", nullptr}}, Action::ShowTunnel, "... one tunnel"},
    {{"show", "ipsec", "sa"}, {}, Action::ShowSa, "sequence and replay state of the SAs"},
    {{"show", "ipsec", "sa", "tunnel-group", "N"}, {}, Action::ShowSa, "... of one tunnel-group"},
    {{"show", "router", "vrrp", "instance"}, {}, Action::ShowVrrp, "what keepalived is told and what it answers"},
    {{"show", "log"}, {{"-f", nullptr}}, Action::ShowLog, "session log; -f goes on with what comes"},
    {{"tools", "perform", "redundancy", "multi-chassis", "mc-ipsec", "force-switchover", "tunnel-group", "N"},
     {{"now", nullptr}, {"to", "master|standby"}, {"ignore-protection-status", nullptr}, {"wait", "SECONDS"}},
     Action::ForceSwitchover,
     "controlled switchover; now: without confirmation"},
    {{"clear", "ipsec", "tunnel", "NAME"}, {}, Action::ClearTunnel, "end a tunnel's SAs, to be set up anew"},
    {{"admin", "isa", "tunnel-group", "N", "shutdown|no-shutdown"}, {}, Action::Admin, "administrative state, until it is changed back"},
    {{"admin", "isa", "tunnel-group", "N", "mda", "NAME", "shutdown|no-shutdown"}, {}, Action::Admin, "... of a member"},
    {{"admin", "redundancy", "peer", "ADDR", "shutdown|no-shutdown"}, {}, Action::Admin, "... of a peer"},
    {{"admin", "redundancy", "peer", "ADDR", "sync", "shutdown|no-shutdown"}, {}, Action::Admin, "... of the synchronization"},
    {{"admin", "redundancy", "peer", "ADDR", "mc-ipsec", "tunnel-group", "N", "shutdown|no-shutdown"}, {}, Action::Admin, "... of mc-ipsec for a tunnel-group"},
    {{"stats"}, {{"--prometheus", nullptr}}, Action::Stats, "counters and gauges"},
    {{"monitor"}, {}, Action::Monitor, "a line (or JSON object) an event, until interrupted"},
    {{"config", "check"}, {}, Action::ConfigCheck, "check the configuration"},
    {{"config", "check", "FILE"}, {}, Action::ConfigCheck, nullptr},
    {{"config", "show"}, {}, Action::ConfigShow, "the running configuration with all defaults"},
    {{"config", "show", "FILE"}, {}, Action::ConfigShow, "... of a file"},
    {{"config", "man"}, {}, Action::ConfigMan, nullptr},
    {{"reload"}, {}, Action::Reload, "let the agent read its configuration again"},
    {{"genkey"}, {}, Action::Genkey, "a new authentication key"},
    {{"help"}, {}, Action::Help, nullptr},
};

bool is_value(const char *token) { return std::isupper(static_cast<unsigned char>(token[0])) != 0; }

std::vector<std::string> alternatives(const char *token)
{
    std::vector<std::string> out(1);
    for (const char *c = token; *c; c++)
        if (*c == '|')
            out.emplace_back();
        else
            out.back() += *c;
    return out;
}

// The one of `allowed` that word means: exact, or the only one it begins.
struct Match {
    std::string word;           // empty: none
    std::vector<std::string> ambiguous;
};
Match match(const std::string &word, const std::set<std::string> &allowed)
{
    if (allowed.contains(word))
        return {word, {}};
    Match m;
    for (const auto &a : allowed)
        if (!word.empty() && a.starts_with(word) && a[0] != '-')
            m.ambiguous.push_back(a);
    if (m.ambiguous.size() == 1)
        return {m.ambiguous[0], {}};
    return m;
}

std::string list(const std::set<std::string> &words) { return fmt::format("{}", fmt::join(words, ", ")); }

tl::unexpected<Error> ambiguous(const std::string &word, const Match &m) { return fail(-EINVAL, fmt::format("'{}' is ambiguous: {}", word, fmt::join(m.ambiguous, ", "))); }

class Parser {
public:
    explicit Parser(const std::vector<std::string> &words) : words_(words)
    {
        for (const auto &c : kCommands)
            candidates_.push_back(&c);
    }

    Expected<Parsed> run()
    {
        std::size_t i = 0;
        for (; i < words_.size(); i++) {
            const auto step = pattern_word(i);
            if (!step)
                return tl::unexpected(step.error());
            if (!*step)
                break;      // options begin
        }
        std::erase_if(candidates_, [&](const Command *c) { return c->pattern.size() != i; });
        if (candidates_.empty())
            return incomplete(i);
        const Command &c = *candidates_.front();
        out_.action = c.action;
        if (const auto r = options(c, i); !r)
            return tl::unexpected(r.error());
        return std::move(out_);
    }

private:
    const std::vector<std::string> &words_;
    std::vector<const Command *> candidates_;
    Parsed out_;

    // Words (not values) that the candidates have at position i.
    std::set<std::string> literals(std::size_t i) const
    {
        std::set<std::string> out;
        for (const auto *c : candidates_)
            if (i < c->pattern.size() && !is_value(c->pattern[i]))
                for (auto &a : alternatives(c->pattern[i]))
                    out.insert(std::move(a));
        return out;
    }
    const char *value_at(std::size_t i) const
    {
        for (const auto *c : candidates_)
            if (i < c->pattern.size() && is_value(c->pattern[i]))
                return c->pattern[i];
        return nullptr;
    }
    std::set<std::string> options_at(std::size_t i) const
    {
        std::set<std::string> out;
        for (const auto *c : candidates_)
            if (c->pattern.size() == i)
                for (const auto &o : c->options)
                    out.insert(o.name);
        return out;
    }

    // false: word i is an option of a command that is complete.
    Expected<bool> pattern_word(std::size_t i)
    {
        const auto &word = words_[i];
        const auto known = literals(i), opts = options_at(i);
        const char *value = value_at(i);
        if (opts.contains(word) || (!value && !known.contains(word) && match(word, known).word.empty() && !match(word, opts).word.empty()))
            return false;
        const auto m = match(word, known);
        if (!m.word.empty()) {
            std::erase_if(candidates_, [&](const Command *c) {
                if (i >= c->pattern.size() || is_value(c->pattern[i]))
                    return true;
                const auto a = alternatives(c->pattern[i]);
                return std::find(a.begin(), a.end(), m.word) == a.end();
            });
            out_.words.push_back(m.word);
            return true;
        }
        if (!m.ambiguous.empty())
            return ambiguous(word, m);
        if (!value || word.empty() || word[0] == '-')
            return unexpected(word, i);
        out_.values[value] = word;
        out_.words.push_back(word);
        std::erase_if(candidates_, [&](const Command *c) { return i >= c->pattern.size() || !is_value(c->pattern[i]); });
        return true;
    }

    std::set<std::string> allowed_at(std::size_t i) const
    {
        auto out = literals(i);
        if (const char *v = value_at(i))
            out.insert(v);
        out.merge(options_at(i));
        std::erase_if(out, [](const std::string &s) { return s == "man"; });
        return out;
    }
    tl::unexpected<Error> unexpected(const std::string &word, std::size_t i) const
    {
        const auto allowed = allowed_at(i);
        if (allowed.empty())
            return fail(-EINVAL, fmt::format("'{}' is too much", word));
        return fail(-EINVAL, fmt::format("'{}' is unknown here, allowed: {}", word, list(allowed)));
    }
    tl::unexpected<Error> incomplete(std::size_t i)
    {
        candidates_.clear();
        for (const auto &c : kCommands)
            if (c.pattern.size() > i && begins(c, i))
                candidates_.push_back(&c);
        return fail(-EINVAL, fmt::format("incomplete, allowed next: {}", list(allowed_at(i))));
    }
    bool begins(const Command &c, std::size_t n) const
    {
        for (std::size_t i = 0; i < n; i++) {
            const auto a = alternatives(c.pattern[i]);
            if (!is_value(c.pattern[i]) && std::find(a.begin(), a.end(), out_.words[i]) == a.end())
                return false;
        }
        return true;
    }

    Expected<void> options(const Command &c, std::size_t i)
    {
        std::set<std::string> left;
        for (const auto &o : c.options)
            left.insert(o.name);
        while (i < words_.size()) {
            const auto &word = words_[i++];
            const auto m = match(word, left);
            if (!m.ambiguous.empty())
                return ambiguous(word, m);
            if (m.word.empty())
                return left.empty() ? fail(-EINVAL, fmt::format("'{}' is too much", word)) : fail(-EINVAL, fmt::format("'{}' is unknown here, allowed: {}", word, list(left)));
            left.erase(m.word);
            const auto o = std::find_if(c.options.begin(), c.options.end(), [&](const Option &e) { return m.word == e.name; });
            std::string value;
            if (o->value) {
                if (i == words_.size())
                    return fail(-EINVAL, fmt::format("{} needs {}", o->name, o->value));
                value = words_[i++];
                if (!is_value(o->value)) {
                    const auto choices = alternatives(o->value);
                    const std::set<std::string> allowed(choices.begin(), choices.end());
                    const auto v = match(value, allowed);
                    if (v.word.empty())
                        return fail(-EINVAL, fmt::format("{} '{}' is unknown, allowed: {}", o->name, value, list(allowed)));
                    value = v.word;
                }
            }
            out_.options[m.word] = value;
        }
        return {};
    }
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

std::string Parsed::value(const std::string &name) const
{
    const auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
}

Expected<Parsed> parse(const std::vector<std::string> &words) { return Parser(words).run(); }

std::string synopsis(const Command &c)
{
    std::string out;
    for (const auto *token : c.pattern)
        out += fmt::format("{}{}", out.empty() ? "" : " ", std::string_view(token).find('|') == std::string_view::npos ? std::string(token) : fmt::format("{{{}}}", token));
    for (const auto &o : c.options)
        out += !o.value ? fmt::format(" [{}]", o.name) : is_value(o.value) ? fmt::format(" [{} {}]", o.name, o.value) : fmt::format(" [{} {{{}}}]", o.name, o.value);
    return out;
}

std::string usage()
{
    std::string out = "usage: mcipsec [-j|--json] [-s|--run-dir DIR] COMMAND\n"
                      "Any unambiguous prefix of a word is accepted.\n\n";
    for (const auto &c : kCommands)
        if (c.help)
            out += fmt::format("  {}\n        {}\n", synopsis(c), c.help);
    out += "\nexit: 0 ok, 1 failed, 2 usage, 3 agent and module unreachable,\n"
           "      4 no such object, 5 refused, 6 timed out\n";
    return out;
}

}  // namespace mcipsec::cli
