// SPDX-License-Identifier: GPL-2.0-or-later
// What the agent tells systemd (sd_notify). Without NOTIFY_SOCKET all do nothing.
// Failures are returned; none of them is a reason to stop.
#pragma once

#include "core/types.hpp"

namespace mcipsec::io::notify {

Expected<void> ready(std::string_view status = "");
Expected<void> reloading();             // with MONOTONIC_USEC, as notify-reload wants it
Expected<void> stopping();
Expected<void> status(std::string_view text);
Expected<void> watchdog();

}  // namespace mcipsec::io::notify
