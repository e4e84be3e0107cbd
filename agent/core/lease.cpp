// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/lease.hpp"

#include <algorithm>
#include <cerrno>

namespace mcipsec {

namespace {

std::string ms(Duration d)
{
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()) + " ms";
}

}  // namespace

Expected<LeasePlan> plan_lease(Duration interval, Duration gap, Duration detection, Duration guard)
{
    const Duration most = detection - gap;
    if (most < kMinGuard)
        return fail(-EINVAL, "detection time " + ms(detection) + " leaves no guard: the lease must last " + ms(gap) +
                                 " between renewals and end " + ms(kMinGuard) +
                                 " before the peer takes over; raise the multiplier or the hold");
    if (guard == Duration::zero())
        guard = std::max(kMinGuard, std::min(interval, most));
    if (guard < kMinGuard || guard > most)
        return fail(-EINVAL, "lease guard " + ms(guard) + " is out of range: " + ms(kMinGuard) + " to " + ms(most));
    return LeasePlan{detection, guard, detection / 2};
}

Expected<LeasePlan> plan_lease_bfd(Duration transmit_interval, Duration remote_detection, Duration guard)
{
    return plan_lease(transmit_interval, transmit_interval * 5 / 4, remote_detection, guard);
}

Expected<LeasePlan> plan_lease_mimp(Duration keep_alive_interval, unsigned hold, Duration guard)
{
    return plan_lease(keep_alive_interval, keep_alive_interval * 7 / 4, keep_alive_interval * hold, guard);
}

LeaseKeeper::Renewal LeaseKeeper::renew(Time now, Time heartbeat, Time bound)
{
    if (lapsed(now)) {
        lapsed_ = true;
        return {};
    }
    if (now - heartbeat >= plan_.heartbeat_max)
        return {};      // not lapsed yet: the main loop may still beat in time
    word_ = now + plan_.length();
    const Time expiry = std::min(word_, bound);
    expiry_ = armed_ ? std::max(expiry_, expiry) : expiry;
    armed_ = true;
    return {true, expiry_};
}

LeaseKeeper::Renewal LeaseKeeper::follow(Time now, Time bound)
{
    const Time expiry = std::min(word_, bound);
    if (!armed_ || lapsed(now) || expiry <= expiry_)
        return {};
    expiry_ = expiry;
    return {true, expiry_};
}

void LeaseKeeper::replan(LeasePlan plan, Time now)
{
    lapsed_ = lapsed(now);
    armed_ = false;
    plan_ = plan;
}

void LeaseKeeper::extend(Time expiry)
{
    if (lapsed_)
        return;
    expiry_ = armed_ ? std::max(expiry_, expiry) : expiry;
    armed_ = true;
}

}  // namespace mcipsec
