// SPDX-License-Identifier: GPL-2.0-or-later
// The configuration of a tunnel-group as both chassis must have it, in named
// pieces: MCS carries a digest of each and says which names differ. Compared,
// never synchronised (DESIGN "MCS", seed "Synchronization": only states are).
//
// What only one chassis can have is left out (addresses of next-hops,
// priorities, devices) or put so that both come to the same (peer-group).
// Identities leave this chassis as digests only. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/config_check.hpp"
#include "core/mcs/events.hpp"
#include "io/vici_codec.hpp"

namespace mcipsec::app {

// What charon has loaded under one connection's name.
struct ConnectionFacts {
    bool loaded = false;
    ConnectionInfo info;                            // for check_connection()
    std::map<std::string, std::string> items;       // "esp-proposals" -> canonical text
    bool operator==(const ConnectionFacts &o) const { return loaded == o.loaded && items == o.items; }
};
using ConnectionsFacts = std::map<std::string, ConnectionFacts>;

// The answer to mcipsec-conn (Documentation/vici-mcipsec.rst). -EPROTO: a field
// is missing or malformed.
Expected<ConnectionFacts> parse_connection(const std::string &name, const io::vici::Message &reply);

// Items of few connections are named one by one ("esp-proposals of connection
// tunnel-1"), of many only by connection, of very many only by kind: a frame is
// bounded.
std::vector<mcs::ConfigItem> config_digest(const Config &config, GroupId group, const ConnectionsFacts &connections);

// Names of items that differ, for people: "next-hops; connection tunnel-1:
// esp-proposals, local-ts".
std::string describe_differences(const std::vector<std::string> &names);

// Names of the group's connections, each once.
std::vector<std::string> connections_of(const Config &config, GroupId group);

}  // namespace mcipsec::app
