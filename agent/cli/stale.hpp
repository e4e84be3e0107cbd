// SPDX-License-Identifier: GPL-2.0-or-later
// Answers without an agent: mastership and gates as the module has them, the
// rest from the configuration file where it can be read. What only the agent
// knows stays at its "unknown" value. Pure functions.
#pragma once

#include <optional>
#include <span>

#include "app/config.hpp"
#include "app/view.hpp"
#include "io/mcipsec_nl.hpp"

namespace mcipsec::cli {

// The gate's part of a view, from the module.
void overlay(app::TunnelGroupView &v, const io::GroupInfo &g, Time now);
// The peer as configured, its groups with the module's mastership; without a
// configuration every group of the module. -ENOENT: the configuration has no such peer.
Expected<app::PeerView> stale_peer(const app::Config *config, std::span<const io::GroupInfo> groups, const std::string &address);
std::vector<app::TunnelGroupView> stale_groups(const app::Config *config, std::span<const io::GroupInfo> groups, Time now);

}  // namespace mcipsec::cli
