// SPDX-License-Identifier: GPL-2.0-or-later
// MIMP beside BFD: the lease that BFD's packets renew and MIMP bounds, and what a
// node that was hung for a while makes of BFD's word before it has read MIMP's.
#include "core/lease.hpp"
#include "unit/mimp_scene.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;
using enum Mastership;

namespace {

// Both with a lease, as PeerControl keeps it: renewed by BFD every `interval`.
struct Leased {
    World w;
    Duration interval;
    LeaseKeeper keeper[2];
    Time next[2]{};
    explicit Leased(Duration keep_alive, unsigned hold, Duration interval)
        : w([&](Config &c, int) {
              c.bfd_enable = true;
              c.keep_alive_interval = keep_alive;
              c.hold_on_neighbor_failure = hold;
          }),
          interval(interval), keeper{LeaseKeeper(*plan_lease_bfd(interval, 3 * interval)), LeaseKeeper(*plan_lease_bfd(interval, 3 * interval))}
    {
        w.boot(0);
        w.boot(1);
        w.run(100ms);
        w.feed(0, BfdUp{});
        w.feed(1, BfdUp{});
        assert_true(w.until([&] { return w.is(Master, Standby); }, 5s));
        for (int i = 0; i < 2; ++i)
            next[i] = w.now + i * interval / 3;
        w.after_step = [this] {
            for (int i = 0; i < 2; ++i)
                if (!w.node[i].hung)
                    (void)keeper[i].follow(w.now, w.node[i].session->lease_bound());
        };
    }
    void bfd()
    {
        for (int i = 0; i < 2; ++i) {
            if (w.node[i].hung || w.now < next[i])
                continue;
            next[i] += interval;
            (void)keeper[i].renew(w.now, w.now, w.node[i].session->lease_bound());
        }
    }
};

void a_lease_by_slow_bfd_does_not_run_out(void **)
{
    struct Case { Duration keep_alive; unsigned hold; Duration interval; };
    for (const auto &c : {Case{1s, 2, 1s}, Case{1s, 2, 500ms}, Case{500ms, 3, 500ms}, Case{1s, 3, 1s}, Case{1s, 3, 100ms}, Case{10s, 2, 1s}}) {
        Leased l(c.keep_alive, c.hold, c.interval);
        const Time end = l.w.now + 40s;
        while (l.w.now < end) {
            l.bfd();
            assert_false(l.keeper[0].lapsed(l.w.now));
            assert_false(l.keeper[1].lapsed(l.w.now));
            l.w.run(10ms);
        }
        // The standby hangs: the master's lease does not end with what it heard last.
        l.w.node[1].hung = true;
        const Time down = l.w.now + 3 * c.interval;
        while (l.w.now < down) {
            l.bfd();
            assert_false(l.keeper[0].lapsed(l.w.now));
            l.w.run(10ms);
        }
    }
}

void a_lease_ends_before_either_detection(void **)
{
    struct Case { Duration keep_alive; unsigned hold; Duration interval; };
    for (const auto &c : {Case{1s, 2, 1s}, Case{500ms, 3, 500ms}, Case{1s, 3, 100ms}}) {
        for (Duration when = 0ms; when < 2s; when += 130ms) {
            Leased l(c.keep_alive, c.hold, c.interval);
            Time last{};
            for (const Time end = l.w.now + 5s + when; l.w.now < end; l.w.run(10ms)) {
                const Time before = l.next[0];
                l.bfd();
                if (l.next[0] != before)
                    last = l.w.now;
            }
            l.w.node[0].hung = true;
            assert_true(l.keeper[0].expiry() < last + 3 * c.interval);
            assert_true(l.w.until([&] { return l.w.is(Master, Eligible); }, 10s));     // MIMP's detection: BFD says nothing here
            assert_true(l.keeper[0].expiry() < l.w.now);
        }
    }
}

void discovery_does_not_end_with_bfd_up(void **)
{
    World w([](Config &c, int) { c.bfd_enable = true; });
    w.boot(1);
    w.run(w.view(1).discovery_until - w.now - 700ms);     // for less than its lease
    w.boot(0);
    w.node[1].hung = true;
    w.run(800ms);
    // Awake, and BFD's socket is read first: MIMP's packets lie in the other one.
    w.node[1].hung = false;
    w.feed(1, BfdUp{});
    assert_true(w.state(1) == Discovery);
    w.feed(0, BfdUp{});
    assert_true(w.until([&] { return w.is(Master, Standby); }, 2s));
    // Control: nobody speaks, so it does end.
    World other([](Config &c, int) { c.bfd_enable = true; });
    other.boot(1);
    other.feed(1, BfdUp{});
    assert_true(other.until([&] { return other.state(1) == Eligible; }, other.view(1).discovery_until - other.now + 1s));
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_by_slow_bfd_does_not_run_out),
        cmocka_unit_test(a_lease_ends_before_either_detection),
        cmocka_unit_test(discovery_does_not_end_with_bfd_up),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
