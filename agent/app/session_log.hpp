// SPDX-License-Identifier: GPL-2.0-or-later
// The session log: events of charon's plugin and of the kernel as log records
// with tunnel, service, peer and algorithms, and log records as `show log` and
// `monitor` give them out. Seed "Debugging", "show log". Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "app/view.hpp"
#include "io/log.hpp"
#include "io/plugin_client.hpp"

namespace mcipsec::app {

// An IKE_SA or CHILD_SA came, was rekeyed, went, or could not be (mcipsec-log).
io::LogRecord session_record(const Config &config, const io::PluginLog &event);

LogEntryView entry_view(const io::LogRecord &r);
// A page of the log: the oldest entries behind `after`.
std::vector<LogEntryView> log_page(const io::Log &log, std::uint64_t after, std::size_t limit);

}  // namespace mcipsec::app
