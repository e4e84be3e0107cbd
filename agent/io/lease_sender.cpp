// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/lease_sender.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <csignal>
#include <cerrno>

#include "io/files.hpp"

namespace mcipsec::io {

LeasePort make_lease_port(LeaseClient client)
{
    LeasePort port;
    port.renew = [c = std::make_shared<LeaseClient>(std::move(client))](std::uint32_t id, Time expiry) { return c->renew(id, expiry); };
    return port;
}

LeaseSender::LeaseSender(LeasePort port) : port_(std::move(port))
{
    heartbeat_.store(port_.now().time_since_epoch().count());
}

LeaseSender::~LeaseSender()
{
    stop();
}

Expected<void> LeaseSender::start()
{
    auto seed = random_u64();
    if (!seed)
        return tl::unexpected(seed.error());
    random_ = *seed | 1;
    running_ = true;
    // Signals belong to the main thread's loop.
    sigset_t all, old;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old);
    Expected<void> result;
    try {
        thread_ = std::thread([this] { run(); });
    } catch (const std::system_error &e) {
        running_ = false;
        result = fail(-e.code().value(), "lease sender: no thread");
    }
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
    if (!result)
        return result;
    ::pthread_setname_np(thread_.native_handle(), "mcipsec-lease");
    // Without the privilege it runs as any other thread: later under load, never wrong.
    sched_param p{};
    p.sched_priority = 10;
    (void)::pthread_setschedparam(thread_.native_handle(), SCHED_FIFO | SCHED_RESET_ON_FORK, &p);
    return {};
}

void LeaseSender::stop()
{
    {
        const std::lock_guard lock(mutex_);
        running_ = false;
    }
    changed_.notify_all();
    if (thread_.joinable())
        thread_.join();
}

void LeaseSender::set(SlotId id, LeaseSlot slot)
{
    {
        const std::lock_guard lock(mutex_);
        slots_[id] = Entry{std::move(slot), port_.now()};
    }
    changed_.notify_all();
}

void LeaseSender::set_packet(SlotId id, Bytes packet, bool at_once)
{
    {
        const std::lock_guard lock(mutex_);
        const auto it = slots_.find(id);
        if (it == slots_.end())
            return;
        it->second.slot.packet = std::move(packet);
        if (!at_once)
            return;
        it->second.due = port_.now();
    }
    changed_.notify_all();
}

void LeaseSender::set_interval(SlotId id, Duration interval, Duration hold, Duration max_heartbeat_age)
{
    {
        const std::lock_guard lock(mutex_);
        const auto it = slots_.find(id);
        if (it == slots_.end())
            return;
        it->second.slot.interval = interval;
        it->second.slot.hold = hold;
        it->second.slot.max_heartbeat_age = max_heartbeat_age;
        it->second.due = std::min(it->second.due, port_.now() + interval);
    }
    changed_.notify_all();
}

void LeaseSender::clear(SlotId id)
{
    // Under the lock that fire() holds: nothing of this slot is sent afterwards.
    const std::lock_guard lock(mutex_);
    slots_.erase(id);
}

Duration LeaseSender::jittered(Duration interval)
{
    // xorshift64: spreads packets, protects nothing.
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return interval * 3 / 4 + Duration(static_cast<Duration::rep>(random_ % static_cast<std::uint64_t>(std::max<Duration::rep>(interval.count() / 4, 1))));
}

Expected<void> LeaseSender::renew_then(std::uint32_t lease_id, Duration hold, const std::function<Expected<void>()> &send)
{
    if (lease_id && port_.renew) {
        const std::lock_guard lock(renew_mutex_);
        if (auto r = port_.renew(lease_id, port_.now() + hold); !r) {
            ++stats_.renew_errors;
            return r;
        }
        ++stats_.renewed;
    }
    return send();
}

void LeaseSender::fire(Entry &e, Time now)
{
    const auto age = now.time_since_epoch().count() - heartbeat_.load(std::memory_order_acquire);
    if (e.slot.max_heartbeat_age > Duration::zero() && Duration(age) > e.slot.max_heartbeat_age) {
        ++stats_.withheld;
        return;
    }
    const auto send = [&]() -> Expected<void> {
        if (e.slot.packet.empty() || !e.slot.send)
            return {};
        auto r = e.slot.send(e.slot.packet);
        ++(r ? stats_.sent : stats_.send_errors);
        return r;
    };
    (void)renew_then(e.slot.lease_id, e.slot.hold, send);   // both outcomes are counted
}

void LeaseSender::run()
{
    std::unique_lock lock(mutex_);
    while (running_) {
        Time next = kNever;
        for (auto &[id, e] : slots_)
            next = std::min(next, e.due);
        const Time now = port_.now();
        if (next > now) {
            if (next == kNever)
                changed_.wait(lock);
            else
                changed_.wait_for(lock, next - now);
            continue;
        }
        for (auto &[id, e] : slots_) {
            if (e.due > now)
                continue;
            const auto late = (now - e.due).count();
            if (late > stats_.latest_ns.load())
                stats_.latest_ns.store(late);
            fire(e, port_.now());
            // From the time it was due, so that the mean interval holds; a long delay is not made up for.
            const auto step = jittered(e.slot.interval);
            e.due = std::max(e.due + step, now + step / 2);
        }
    }
}

}  // namespace mcipsec::io
