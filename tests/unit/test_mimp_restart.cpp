// SPDX-License-Identifier: GPL-2.0-or-later
// A planned restart of one of two MIMP sessions, in virtual time: nothing moves while the
// hold runs, everything as after a death when it is over or was not granted.
#include "unit/mimp_scene.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;
using enum Mastership;

namespace {

void planned_restart_moves_nothing(void **)
{
    World w = with_bfd();
    w.run(5s);
    w.forget();
    w.feed(0, Restarting{20s});
    assert_true(w.until([&] { return w.last<RestartGranted>(0).has_value(); }, 1s));
    const Time lease = w.last<RestartGranted>(0)->lease_expiry;
    assert_true(lease < w.now + 20s && lease > w.now + 17s);
    w.feed(1, BfdAdminDown{});
    const auto saved = w.node[0].session->save();
    const auto states = w.node[0].state;
    w.kill(0);
    w.run(10s);                                     // far longer than detection
    assert_true(w.state(1) == Standby);
    w.node[0].session = std::make_unique<Session>(w.node[0].config, w.node[0].auth, ++w.epochs);
    w.node[0].state = states;
    w.feed(0, Resume{saved, lease});
    assert_true(w.state(0) == Master);
    w.run(5s);
    assert_true(w.is(Master, Standby));
    assert_false(w.all<PeerSession>(0).empty());    // MCS binds itself to it
    assert_int_equal(w.counters(1).mastership_changes, 0);
    w.feed(0, BfdUp{});
    w.feed(1, BfdUp{});
    w.run(30s);
    assert_true(w.is(Master, Standby));
    w.kill(0);                                      // the hold is over
    w.run(4s);
    assert_true(w.state(1) == Eligible);
}

void restart_hold_ends(void **)
{
    World w = running();
    w.feed(0, Restarting{8s});
    w.run(100ms);
    assert_true(w.last<RestartGranted>(0).has_value());
    const Time lease = w.last<RestartGranted>(0)->lease_expiry;
    w.kill(0);
    assert_true(w.until([&] { return w.state(1) == Eligible; }, 20s));
    assert_true(w.now > lease);
}

// Given up after its grant: the peer counts as with any packet, and the lease ended
// earlier before it was told so.
void cancelled_restart_holds_nothing(void **)
{
    World w = running();
    w.feed(0, Restarting{20s});
    w.run(100ms);
    assert_true(w.last<RestartGranted>(0).has_value());
    w.run(1s);
    assert_true(w.last<RenewLease>(0)->expiry > w.now + 10s);
    w.forget();
    w.feed(0, RestartCancelled{});
    assert_true(w.last<RenewLease>(0).has_value());
    assert_true(w.last<RenewLease>(0)->expiry < w.now + w.node[0].config.detection());
    w.run(1s);
    w.kill(0);
    const Time dead = w.now;
    const Time lease = w.last<RenewLease>(0)->expiry;
    assert_true(w.until([&] { return w.state(1) == Eligible; }, 20s));
    assert_true(w.now > lease);
    assert_true(w.now < dead + 2 * w.node[0].config.detection());
    w.feed(1, RestartCancelled{});                  // never asked: nothing to cancel
    assert_true(w.state(1) == Eligible);
}

void restart_is_denied_without_an_answer(void **)
{
    World w = running();
    w.drop = [](int from, const Bytes &) { return from == 0; };
    w.feed(0, Restarting{8s});
    w.run(2s);
    assert_false(w.last<RestartGranted>(0).has_value());
    assert_true(w.last<RestartDenied>(0).has_value());
    w.feed(0, Restarting{kRestartHoldMax + 1s});
    assert_int_equal(w.all<RestartDenied>(0).size(), 2);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(planned_restart_moves_nothing),
        cmocka_unit_test(restart_hold_ends),
        cmocka_unit_test(cancelled_restart_holds_nothing),
        cmocka_unit_test(restart_is_denied_without_an_answer),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
