// SPDX-License-Identifier: GPL-2.0-or-later
// What the configuration is for the parts that keep their own copy of it: at
// start and at every reload the engine hands them these. A key that may change
// "at once" shows in one of them, or is read from the running configuration
// each time (tests/unit/test_reload.cpp goes through the whole table). Pure.
#pragma once

#include "app/config.hpp"
#include "core/group/rekey_pacer.hpp"
#include "core/seqstate.hpp"
#include "io/plugin_client.hpp"

namespace mcipsec::app {

group::RekeyPace rekey_pace(const RekeyConfig &c);
// detection: how long after the master's last sign of life its peer takes over.
SeqParams seq_params(const SequenceConfig &c, Duration detection);
// state, commit and share are the caller's.
io::PluginGroup plugin_group(const Config &config, GroupId group);
// Virtual addresses: an eligible chassis cannot know whether its peer hands out some,
// too. Of both the one with the lower source-address has the even ones.
io::PoolShare pool_share(const Config &config, GroupId group, Mastership state);
// As the log and the tables name the peer, and the service of a public or private interface.
std::string peer_name(const PeerConfig &peer);
std::string service_name(std::uint32_t id, const std::string &vrf);

}  // namespace mcipsec::app
