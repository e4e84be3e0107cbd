// SPDX-License-Identifier: GPL-2.0-or-later
// Every configured tunnel-group in the kernel module, in discovery: what the
// boot unit does before charon starts (I1), and what the agent makes sure of
// when it starts. Groups that exist keep their state; their addresses and
// next-hops follow the configuration.
#pragma once

#include "app/config.hpp"
#include "io/mcipsec_nl.hpp"
#include "io/routes.hpp"

namespace mcipsec::app {

// Leases are numbered by the position of the peer in the configuration; 0: no peer, no lease.
std::uint32_t lease_of(const Config &config, GroupId group);
Expected<io::GroupConfig> gate_config(const Config &config, GroupId group, io::Links &links);

// The same for a module of before next-hops had kinds, which a running gateway keeps until
// it boots again: one next-hop a VRF and family, for all tunnels.
io::GroupConfig for_older_module(io::GroupConfig g);

// Groups of the module that the configuration does not name: shut, without next-hops and
// without the addresses that another group has now. Returned are those that still have
// addresses: nobody else keeps their SAs from sending (I2, I5), so they stay until charon
// has dropped these.
Expected<std::vector<GroupId>> shut_unknown_gates(io::McipsecNl &kernel, io::Links &links, const io::Cookie &cookie, const Config &config);

// Creates or updates all groups of the configuration.
Expected<void> boot_gates(io::McipsecNl &kernel, io::Links &links, const Config &config);

}  // namespace mcipsec::app
