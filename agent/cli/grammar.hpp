// SPDX-License-Identifier: GPL-2.0-or-later
// The words of the command line (CONTRACT "Command line"): one table of
// commands, matched word by word. Any unambiguous prefix of a word will do; an
// exact word wins over longer ones that it begins. Values are never shortened.
// Pure functions, no IO.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::cli {

enum class Action : std::uint8_t {
    ShowPeer,
    ShowSync,
    ShowTunnelGroup,
    ShowTunnel,
    ShowSa,
    ShowVrrp,
    ShowLog,
    ForceSwitchover,
    ClearTunnel,
    Admin,
    Stats,
    Monitor,
    ConfigCheck,
    ConfigShow,
    ConfigMan,
    Genkey,
    Reload,
    Help,
};

// A word that may follow the pattern, in any order, each once.
struct Option {
    const char *name;
    const char *value;          // nullptr: a flag; "a|b": one of these; else a value's name
};

struct Command {
    // Lower case: a word, "a|b" one of several; UPPER CASE: a value.
    std::vector<const char *> pattern;
    std::vector<Option> options;
    Action action;
    const char *help;           // nullptr: not in the usage
};
std::span<const Command> commands();

struct Parsed {
    Action action{};
    std::vector<std::string> words;                 // expanded, with the values
    std::map<std::string, std::string> values;      // "ADDR" -> "192.0.2.2"
    std::map<std::string, std::string> options;     // "wait" -> "10"; a flag -> ""
    bool has(const std::string &option) const { return options.contains(option); }
    std::string value(const std::string &name) const;   // empty: not given
};

// Error (-EINVAL): which word is wrong and what is allowed there.
Expected<Parsed> parse(const std::vector<std::string> &words);
// The synopsis of one command, of all: a line each.
std::string synopsis(const Command &command);
std::string usage();

}  // namespace mcipsec::cli
