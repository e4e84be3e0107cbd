// SPDX-License-Identifier: GPL-2.0-or-later
// The one place that reads CLOCK_BOOTTIME, the clock of leases and timers.
// Thread-safe.
#pragma once

#include <ctime>

#include "core/types.hpp"

namespace mcipsec::io {

inline Duration read_clock(clockid_t id)
{
    timespec t{};
    ::clock_gettime(id, &t);    // cannot fail for the ids used here
    return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}
inline Time boot_now() { return Time(read_clock(CLOCK_BOOTTIME)); }
// Wall-clock time, for people and for the clock-skew field of MIMP only.
inline Duration wall_now() { return read_clock(CLOCK_REALTIME); }

}  // namespace mcipsec::io
