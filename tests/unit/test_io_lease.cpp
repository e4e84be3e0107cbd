// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// The lease sender: renew before each send, none of both without a heartbeat,
// no send after a renewal that failed.
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "io/lease_sender.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

// What happened, in order: 'r' renewed, 's' sent; from both threads.
struct Diary {
    std::mutex mutex;
    std::condition_variable changed;
    std::string story;
    std::vector<Time> expiries, sends;
    Bytes last;
    bool refuse = false;
    void add(char c)
    {
        {
            const std::lock_guard lock(mutex);
            story += c;
        }
        changed.notify_all();
    }
    template <typename P>
    bool until(P p)
    {
        std::unique_lock lock(mutex);
        return changed.wait_for(lock, kPatience, p);
    }
    LeasePort port()
    {
        LeasePort p;
        p.renew = [this](std::uint32_t id, Time expiry) -> Expected<void> {
            if (id != 3)
                return fail(-EINVAL, "lease id");
            {
                const std::lock_guard lock(mutex);
                if (refuse)
                    return fail(-EBUSY, "another cookie");
                expiries.push_back(expiry);
            }
            add('r');
            return {};
        };
        return p;
    }
    LeaseSlot slot()
    {
        LeaseSlot s;
        s.lease_id = 3;
        s.hold = 200ms;
        s.max_heartbeat_age = 10s;
        s.interval = 2ms;
        s.packet = {1};
        s.send = [this](ByteView b) -> Expected<void> {
            {
                const std::lock_guard lock(mutex);
                sends.push_back(boot_now());
                last.assign(b.begin(), b.end());
            }
            add('s');
            return {};
        };
        return s;
    }
};

void each_send_follows_a_renewal_that_ends_in_time(void **)
{
    Diary d;
    LeaseSender sender(d.port());
    check(sender.start());
    sender.beat(boot_now());
    sender.set(1, d.slot());
    assert_true(d.until([&] { return d.story.size() >= 20; }));
    sender.stop();
    for (std::size_t i = 0; i + 1 < d.story.size(); i += 2)
        assert_true(d.story[i] == 'r' && d.story[i + 1] == 's');
    // expiry = a moment before the send + hold
    for (std::size_t i = 0; i < d.sends.size(); ++i)
        assert_true(d.expiries[i] <= d.sends[i] + 200ms);
    assert_true(sender.stats().sent >= 10 && sender.stats().withheld == 0);
}

void without_a_heartbeat_nothing_leaves(void **)
{
    Diary d;
    LeaseSender sender(d.port());
    check(sender.start());
    sender.beat(boot_now() - 1s);
    auto slot = d.slot();
    slot.max_heartbeat_age = 150ms;
    sender.set(1, slot);
    const Time limit = boot_now() + kPatience;
    while (sender.stats().withheld < 5 && boot_now() < limit)
        std::this_thread::yield();
    assert_true(sender.stats().withheld >= 5);
    {
        const std::lock_guard lock(d.mutex);
        assert_true(d.story.empty());
    }
    // The loop lives again.
    auto wide = d.slot();
    wide.max_heartbeat_age = 30s;
    sender.beat(boot_now());
    sender.set(1, wide);
    assert_true(d.until([&] { return d.story.ends_with('s'); }));
}

void a_refused_renewal_keeps_the_packet_back(void **)
{
    Diary d;
    d.refuse = true;
    LeaseSender sender(d.port());
    check(sender.start());
    sender.beat(boot_now());
    sender.set(1, d.slot());
    const Time limit = boot_now() + kPatience;
    while (sender.stats().renew_errors < 3 && boot_now() < limit)
        std::this_thread::yield();
    sender.stop();
    assert_true(sender.stats().renew_errors >= 3);
    assert_int_equal(sender.stats().sent, 0);
    assert_int_equal(sender.renew_then(3, 1s, [&]() -> Expected<void> {
        d.add('s');
        return {};
    }).error().code, -EBUSY);
    assert_true(d.story.empty());
}

void a_slot_without_a_lease_only_sends(void **)
{
    Diary d;
    LeaseSender sender(d.port());
    check(sender.start());
    sender.beat(boot_now());
    auto slot = d.slot();
    slot.lease_id = 0;
    sender.set(1, slot);
    assert_true(d.until([&] { return d.story.size() >= 3; }));
    sender.stop();
    assert_true(d.story.find('r') == std::string::npos);
}

void a_changed_packet_leaves_at_once_and_a_cleared_slot_not_at_all(void **)
{
    Diary d;
    LeaseSender sender(d.port());
    check(sender.start());
    sender.beat(boot_now());
    auto slot = d.slot();
    slot.interval = 1h;
    sender.set(1, slot);
    assert_true(d.until([&] { return d.story == "rs"; }));
    sender.set_packet(1, {9, 9}, true);
    assert_true(d.until([&] { return d.story == "rsrs"; }));
    assert_true(d.last == (Bytes{9, 9}));
    sender.set_packet(1, {7}, false);       // at its next turn, in an hour
    sender.set_interval(1, 1ms, 200ms, 10s);
    assert_true(d.until([&] { return d.last == Bytes{7}; }));
    sender.clear(1);
    std::size_t after = 0;
    {
        const std::lock_guard lock(d.mutex);
        after = d.story.size();
    }
    sender.set_packet(1, {1}, true);        // of a slot that is gone
    auto other = d.slot();
    other.interval = 1ms;
    other.lease_id = 0;
    sender.set(2, other);
    assert_true(d.until([&] { return d.story.size() >= after + 5; }));
    assert_true(d.story.find('r', after) == std::string::npos);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(each_send_follows_a_renewal_that_ends_in_time),
        cmocka_unit_test(without_a_heartbeat_nothing_leaves),
        cmocka_unit_test(a_refused_renewal_keeps_the_packet_back),
        cmocka_unit_test(a_slot_without_a_lease_only_sends),
        cmocka_unit_test(a_changed_packet_leaves_at_once_and_a_cleared_slot_not_at_all),
    };
    return cmocka_run_group_tests_name("io lease", tests, nullptr, nullptr);
}
