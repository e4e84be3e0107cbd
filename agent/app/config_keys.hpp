// SPDX-License-Identifier: GPL-2.0-or-later
// The one table of configuration keys: name, field, unit, range, what a change
// needs, and the words of the man page. Parser, checks, diff, `config show` and
// mcipsec.toml(5) are all driven by it; a key that is not here does not exist.
// Defaults are those of the structs in config.hpp.
#pragma once

#include <span>
#include <string>
#include <variant>

#include "app/config.hpp"

namespace mcipsec::app {

enum class Unit : std::uint8_t { None, Seconds, Milliseconds };

// What text may hold.
enum class Text : std::uint8_t {
    Any,        // printable, at most max characters
    Path,       // absolute path
    Device,     // a network device name, 1..15 characters
    Word,       // [A-Za-z0-9._:/-]
};

template <class S>
using Field = std::variant<bool S::*, std::uint16_t S::*, std::uint32_t S::*, std::uint64_t S::*, std::string S::*, Duration S::*, IpAddress S::*,
                           TunnelType S::*, StandbyRestart S::*, std::vector<std::string> S::*, std::vector<std::uint32_t> S::*,
                           std::vector<IpAddress> S::*, std::vector<Prefix> S::*>;

template <class S>
struct Key {
    const char *name;
    Field<S> field;
    double min, max;            // of numbers in the file's unit; of text and arrays: length
    Unit unit;
    Text text;
    Apply apply;
    const char *fallback;       // man page: where the default is no constant; nullptr: the struct's
    const char *doc;            // roff-free sentence(s)
    bool required = false;
};

// Every struct that is a section with keys.
#define MCIPSEC_SECTIONS(X)                                                                                         \
    X(SystemConfig) X(MdaConfig) X(TunnelGroupConfig) X(RekeyConfig) X(SequenceConfig) X(PublicConfig)              \
    X(PrivateConfig) X(TunnelConfig) X(MultiChassisConfig) X(PeerConfig) X(SyncConfig) X(SyncGroupConfig)           \
    X(McIpsecConfig) X(BfdConfig) X(McIpsecGroupConfig) X(VrrpConfig) X(PriorityEventConfig) X(VrrpInstanceConfig)

// One table a struct; the order is that of `config show` and of the man page.
template <class S>
std::span<const Key<S>> keys();
#define MCIPSEC_DECLARE(S) template <> std::span<const Key<S>> keys<S>();
MCIPSEC_SECTIONS(MCIPSEC_DECLARE)
#undef MCIPSEC_DECLARE

// Every section with the path that the man page shows and its words, in order.
struct SectionDoc {
    const char *path;
    const char *doc;
};
std::span<const SectionDoc> section_docs();

// Names of the two enumerations, in the order of their values.
std::span<const char *const> names_of(TunnelType);
std::span<const char *const> names_of(StandbyRestart);

// "1/2" -> "\"1/2\"", "1" -> "1": an element of a dotted TOML path.
std::string path_element(std::string_view name);
std::string quoted(std::string_view text);      // a TOML basic string

// Value of a key as `config show` prints it: 0.1, "text", [1, 2].
template <class S>
std::string value_text(const S &object, const Key<S> &key);
// Range and unit in words for messages and the man page: "0.05..50 s".
template <class S>
std::string allowed_text(const Key<S> &key);
const char *apply_text(Apply apply);

// One key of one section as it stands, or (key empty) the section itself.
struct Leaf {
    std::string section, key;
    std::string value;
    Apply apply = Apply::AtOnce;        // what changing the value needs
    Apply removal = Apply::AtOnce;      // of a section: what taking it away needs
    Apply addition = Apply::AtOnce;     // of a section: what putting it in needs
    GroupId group = 0;
    IpAddress peer;
    bool required = false;
    std::string path() const { return key.empty() ? section : section + "." + key; }
};
// The whole configuration in the order of `config show`: each section, then its keys.
std::vector<Leaf> flatten(const Config &config);

}  // namespace mcipsec::app
