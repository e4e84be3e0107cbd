// SPDX-License-Identifier: GPL-2.0-or-later
// The readable part of a record (`info` of mcipsec-record): carried by MCS as
// text of lines "name=value", read for show, for the log and to find the two
// kernel SAs of a CHILD_SA. Never keys. Pure.
#pragma once

#include <linux/mcipsec.h>

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.hpp"
#include "io/plugin_client.hpp"

namespace mcipsec::app {

std::string info_text(const io::Info &info);
std::map<std::string, std::string> info_fields(std::string_view text);
// The elements of a field that is a list.
std::vector<std::string> info_list(const std::string &text);

// "established" of a fresh record counts seconds back; "established-at" is the Unix
// time, which stays right while the record travels and waits.
void fix_established(io::Info &info, std::int64_t now);

// Next message id of our own, of an IKE_SA.
std::optional<std::uint32_t> mid_out(const io::Info &info);
// What the plugin is told of the life of an IKE_SA that lost, from its info text.
io::PluginRival rival_of(std::string_view info);
// Whether the peer of an IKE_SA has sent a request, which was authentic, since the info text
// `before` of it.
bool asked_since(const io::Info &info, std::string_view before);

// The inbound and the outbound SA of a CHILD_SA as the kernel module names
// them, sequence numbers zero. Error: a field is missing or malformed.
struct ChildSas {
    mcipsec_seq in{}, out{};
};
Expected<ChildSas> child_sas(const std::map<std::string, std::string> &fields);

}  // namespace mcipsec::app
