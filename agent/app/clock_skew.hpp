// SPDX-License-Identifier: GPL-2.0-or-later
// When the difference of two chassis' clocks is an alarm: seed "System time must
// be the same on both MC-IPSec chassis". Hysteresis: raised above the limit,
// cleared at or below three quarters of it, so that a skew at the limit does not
// flap. A measurement's own error (half a round trip) is smaller than any limit
// allowed. Pure.
#pragma once

#include <optional>
#include <utility>

#include "core/types.hpp"

namespace mcipsec::app {

class ClockSkew {
public:
    // skew: the peer's clock minus ours; nothing while the peer is not heard,
    // which keeps the alarm as it is. True: raised() changed.
    bool update(std::optional<Duration> skew, Duration limit)
    {
        if (!skew)
            return false;
        const Duration size = *skew < 0ns ? -*skew : *skew;
        const bool next = raised_ ? size > limit / 4 * 3 : size > limit;
        return std::exchange(raised_, next) != next;
    }
    bool raised() const { return raised_; }

private:
    bool raised_ = false;
};

}  // namespace mcipsec::app
