// SPDX-License-Identifier: GPL-2.0-or-later
// force-switchover: the happy path, each loss, each timeout, each death.
#include "sim/mimp_world.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;
using enum Mastership;

namespace {

// Never two open gates while both are reached.
struct Watch {
    bool both = false;
    explicit Watch(World &w)
    {
        w.after_step = [this, &w] {
            both |= w.node[0].open(1, w.now) && w.node[1].open(1, w.now) && w.node[0].session && w.node[1].session &&
                    w.node[0].session->reached() && w.node[1].session->reached();
        };
    }
};

void ready(World &w)
{
    w.boot(0);
    w.boot(1);
    assert_true(w.until([&] { return w.is(Master, Standby); }, 3s));
    w.feed(0, ProtectionChange{1, true, ""});
    w.feed(1, ProtectionChange{1, true, ""});
    w.run(2s);
    w.forget();
}

struct Blind final : Authenticator {
    Digest sign(ByteView) const override { return {}; }
    bool verify(ByteView, ByteView) const override { return true; }
};

Packet decode_any(const Action &a) { return decode(std::get<SendPacket>(a).bytes, Blind()).value(); }

void happy_path(void **)
{
    World w;
    ready(w);
    Watch watch(w);
    const auto generation = w.view(0).generation;
    const Time begin = w.now;
    w.feed(0, ForceSwitchover{1, 42});
    assert_true(w.is(Master, Standby));             // nothing moves before the standby is prepared
    assert_true(w.until([&] { return w.prepared_at(1); }, 1s));
    assert_true(w.is(Master, Standby));
    assert_true(w.until([&] { return w.state(0) == Standby; }, 1s));
    assert_true(w.last<SetState>(0)->defer_routes); // attracts until the other does
    assert_true(w.until([&] { return w.last<HandoverDone>(0).has_value(); }, 1s));
    assert_true(w.is(Standby, Master));
    assert_false(w.last<SetState>(0)->defer_routes);
    assert_true(w.now - begin < 100ms);
    assert_false(watch.both);
    assert_int_equal(w.view(1).generation, generation + 1);
    assert_int_equal(w.view(0).generation, generation + 1);
    assert_int_equal(w.all<HandoverFailed>(0).size(), 0);
    w.run(60s);
    assert_true(w.is(Standby, Master));             // sticky against the priority
    assert_true(w.view(0).phase == Phase::None && w.view(1).phase == Phase::None);
    assert_int_equal(w.counters(0).mastership_changes, 2);
}

void order_of_the_actions(void **)
{
    World w;
    ready(w);
    w.feed(0, ForceSwitchover{1, 42});
    w.run(1s);
    // Old master: the gate closes before the export is asked for, both before the packet that says so.
    std::size_t state = 99, flip = 99, at = 0;
    for (const auto &[t, a] : w.node[0].history) {
        if (const auto *s = std::get_if<SetState>(&a); s && s->new_state == Standby && state == 99)
            state = at;
        if (std::holds_alternative<HandoverFlipAndExport>(a))
            flip = at;
        ++at;
    }
    assert_true(state < flip && flip != 99);
    std::size_t packet = flip;
    while (!std::holds_alternative<SendPacket>(w.node[0].history[packet].second))
        ++packet;
    const auto told = decode_any(w.node[0].history[packet].second);
    assert_true(told.groups[0].phase == Phase::Flipped && !told.groups[0].acting);
    for (std::size_t i = 0; i < state; ++i) {
        if (std::holds_alternative<SendPacket>(w.node[0].history[i].second))
            assert_true(decode_any(w.node[0].history[i].second).groups[0].acting);
    }
    // Standby: prepared, imports, only then master.
    const auto states = w.all<SetState>(1);
    assert_true(states.size() >= 2);
    assert_true(states[0].prepared && states[0].new_state == Standby);
    assert_true(states.back().new_state == Master && !states.back().prepared);
}

void both_ways_twice_in_a_row(void **)
{
    World w;
    ready(w);
    Watch watch(w);
    for (std::uint64_t id = 1; id <= 8; ++id) {
        const int from = id % 2 ? 0 : 1;
        w.feed(from, ForceSwitchover{1, id});
        assert_true(w.until([&] { return w.last<HandoverDone>(from).has_value() && w.last<HandoverDone>(from)->id == id; }, 1s));
        assert_true(w.until([&] { return w.view(1 - from).phase == Phase::None; }, 1s));
    }
    assert_true(w.is(Master, Standby));
    assert_false(watch.both);
}

void refusals(void **)
{
    World w;
    ready(w);
    const auto why = [&](int i) { return w.last<HandoverFailed>(i)->why; };
    w.feed(1, ForceSwitchover{1, 1});
    assert_true(why(1) == Refusal::NotMaster);
    w.feed(0, ForceSwitchover{9, 1});
    assert_true(why(0) == Refusal::NoGroup);
    w.feed(0, ProtectionChange{1, false, "outOfSync"});
    w.feed(0, ForceSwitchover{1, 2});
    assert_true(why(0) == Refusal::NotReady);
    assert_true(w.is(Master, Standby));
    w.feed(0, ForceSwitchover{1, 3, true});         // ignore-protection-status
    w.feed(0, ForceSwitchover{1, 4, true});
    assert_true(why(0) == Refusal::Busy);
    w.run(1s);
    assert_true(w.is(Standby, Master));
    assert_true(w.last<HandoverPrepareStandby>(1)->ignore_protection);      // the standby is told, too
    w.run(10s);
    w.feed(1, ProtectionChange{1, true, ""});
    w.feed(1, ForceSwitchover{1, 5});
    w.run(1s);
    assert_true(w.is(Master, Standby));
    assert_false(w.last<HandoverPrepareStandby>(0)->ignore_protection);

    World alone;
    alone.boot(0);
    alone.run(31s);
    alone.feed(0, ForceSwitchover{1, 1, true});
    assert_true(alone.last<HandoverFailed>(0)->why == Refusal::NotMaster);

    World no_standby;
    ready(no_standby);
    no_standby.feed(1, OperChange{1, false, 0});
    no_standby.run(1s);
    no_standby.feed(0, ForceSwitchover{1, 1});
    assert_true(no_standby.last<HandoverFailed>(0)->why == Refusal::NoStandby);
}

void idempotent_by_id(void **)
{
    World w;
    ready(w);
    for (int i = 0; i < 5; ++i)
        w.feed(0, ForceSwitchover{1, 7});
    w.run(1s);
    assert_true(w.is(Standby, Master));
    assert_int_equal(w.all<HandoverFlipAndExport>(0).size(), 1);
    assert_int_equal(w.all<HandoverImport>(1).size(), 1);
    w.feed(0, ForceSwitchover{1, 7});               // asked again afterwards
    assert_int_equal(w.all<HandoverDone>(0).size(), 2);
    assert_int_equal(w.all<HandoverFailed>(0).size(), 0);
}

void prepare_timeout_restores(void **)
{
    World w;
    ready(w);
    w.node[1].engine_answers = false;
    w.feed(0, ForceSwitchover{1, 7});
    w.run(9900ms);
    assert_true(w.is(Master, Standby));
    assert_int_equal(w.all<HandoverFailed>(0).size(), 0);
    w.run(200ms);
    assert_true(w.last<HandoverFailed>(0)->why == Refusal::PrepareTimeout);
    assert_false(w.last<HandoverFailed>(0)->flipped);
    w.run(1s);
    assert_true(w.is(Master, Standby));
    assert_true(w.view(1).phase == Phase::None);
    w.feed(1, HandoverPrepared{1, 7});              // too late: counted, changes nothing
    w.run(1s);
    assert_true(w.is(Master, Standby));
    assert_int_equal(w.counters(1).unexpected_event, 1);
    w.node[1].engine_answers = true;
    w.feed(0, ForceSwitchover{1, 8});
    w.run(1s);
    assert_true(w.is(Standby, Master));
}

void prepared_is_undone_when_the_master_gives_up(void **)
{
    World w;
    ready(w);
    w.drop = [&](int from, const Bytes &) { return from == 1 && w.prepared_at(1); };   // its answer gets lost, always
    w.feed(0, ForceSwitchover{1, 7});
    w.run(1s);
    assert_true(w.prepared_at(1));
    assert_true(w.state(0) == Master);
    w.drop = [](int, const Bytes &) { return false; };
    w.feed(0, OperChange{1, true, 1});
    w.run(1s);
    assert_true(w.is(Standby, Master));             // repeated until answered
    assert_false(w.prepared_at(1));
}

// Every packet of the exchange lost once: it is repeated and ends well.
void each_loss(void **)
{
    for (int lost = 0; lost < 16; ++lost) {
        World w;
        ready(w);
        Watch watch(w);
        int count = 0;
        w.drop = [&](int, const Bytes &) { return count++ == lost; };
        w.feed(0, ForceSwitchover{1, 7});
        assert_true(w.until([&] { return w.last<HandoverDone>(0).has_value(); }, 2s));
        assert_true(w.is(Standby, Master));
        assert_false(watch.both);
        assert_int_equal(w.all<HandoverFailed>(0).size(), 0);
    }
}

// From the n-th packet on the link is cut: either nothing moved or without-peer rules decide.
void each_cut(void **)
{
    for (int cut = 0; cut < 12; ++cut) {
        World w;
        ready(w);
        Watch watch(w);
        int count = 0;
        w.drop = [&](int, const Bytes &) { return count++ >= cut; };
        w.feed(0, ForceSwitchover{1, 7});
        w.run(10s);
        assert_true(w.is(Eligible, Eligible));      // a partition
        w.drop = [](int, const Bytes &) { return false; };
        w.run(5s);
        assert_int_equal(acting_master(w.state(0)) + acting_master(w.state(1)), 1);
        assert_false(watch.both && cut == 0);
        assert_true(w.view(0).phase == Phase::None && w.view(1).phase == Phase::None);
        assert_true(w.last<HandoverDone>(0).has_value() || w.last<HandoverFailed>(0).has_value());
    }
}

void old_master_never_returns_by_a_timer(void **)
{
    World w;
    ready(w);
    // Commit never arrives, everything else does: nothing but keep-alives without it.
    w.node[0].engine_answers = false;               // the export hangs
    w.node[0].config.transfer_timeout = 2s;
    w.feed(0, ForceSwitchover{1, 7});
    w.run(1900ms);
    assert_true(w.state(0) == Standby && w.state(1) == Standby);
    assert_true(w.view(0).phase == Phase::Flipped);
    w.run(500ms);                                   // goes on without the export
    assert_true(w.is(Standby, Master));
    assert_int_equal(w.counters(0).transfer_timeouts, 1);
    assert_true(w.last<HandoverDone>(0).has_value());
}

void import_that_hangs_ends_in_mastership(void **)
{
    World w;
    ready(w);
    w.engine_delay = 1ms;
    w.feed(0, ForceSwitchover{1, 7});
    assert_true(w.until([&] { return w.view(0).phase == Phase::Flipped; }, 1s));
    w.node[1].engine_answers = false;
    w.run(1500ms);
    assert_true(w.state(0) == Standby && w.state(1) == Standby);
    w.run(1s);
    assert_true(w.is(Standby, Master));
    assert_int_equal(w.counters(1).transfer_timeouts, 1);
}

void standby_fails_before_the_flip(void **)
{
    World w;
    ready(w);
    w.node[1].engine_answers = false;
    w.feed(0, ForceSwitchover{1, 7});
    w.run(100ms);
    w.feed(1, OperChange{1, false, 0});
    w.run(1s);
    assert_true(w.is(Master, NotEligible));
    assert_true(w.last<HandoverFailed>(0)->why == Refusal::StandbyRefused);
}

void standby_fails_after_the_flip(void **)
{
    World w;
    ready(w);
    Watch watch(w);
    w.feed(0, ForceSwitchover{1, 7});
    assert_true(w.until([&] { return w.view(0).phase == Phase::Commit; }, 1s));
    w.feed(1, OperChange{1, false, 0});
    w.run(1s);
    assert_true(w.is(Master, NotEligible));         // by step 3, not by a timer
    assert_int_equal(w.last<SetState>(0)->step, 3);
    assert_true(w.last<HandoverFailed>(0)->flipped);
    w.feed(1, OperChange{1, true, 1});
    w.run(1s);
    assert_true(w.is(Master, Standby));
    assert_false(watch.both);
}

// Down and up again while Commit is on its way: the old master may have returned.
void standby_blinks_after_the_flip(void **)
{
    for (int ms = 0; ms < 12; ++ms) {
        World w;
        ready(w);
        w.delay = 5ms;
        Watch watch(w);
        w.feed(0, ForceSwitchover{1, 7});
        assert_true(w.until([&] { return w.view(0).phase == Phase::Flipped; }, 1s));
        w.run(std::chrono::milliseconds(ms));
        w.feed(1, OperChange{1, false, 0});
        w.run(1ms);
        w.feed(1, OperChange{1, true, 1});
        w.run(2s);
        assert_false(watch.both);
        assert_int_equal(acting_master(w.state(0)) + acting_master(w.state(1)), 1);
    }
}

void old_master_member_down(void **)
{
    for (const Phase when : {Phase::Prepare, Phase::Flipped, Phase::Commit}) {
        World w;
        ready(w);
        Watch watch(w);
        w.feed(0, ForceSwitchover{1, 7});
        assert_true(w.until([&] { return w.view(0).phase == when; }, 1s));
        w.feed(0, OperChange{1, false, 0});
        w.run(2s);
        assert_true(w.is(NotEligible, Master));
        assert_false(watch.both);
        assert_true(w.view(0).phase == Phase::None && w.view(1).phase == Phase::None);
    }
}

void old_master_dies(void **)
{
    for (const Phase when : {Phase::Prepare, Phase::Flipped, Phase::Commit}) {
        World w;
        ready(w);
        w.feed(0, ForceSwitchover{1, 7});
        assert_true(w.until([&] { return w.view(0).phase == when; }, 1s));
        w.kill(0);
        w.run(6s);
        assert_true(acting_master(w.state(1)));
        assert_false(w.prepared_at(1));
        w.boot(0);
        w.run(2s);
        assert_true(w.is(Standby, Master));
    }
}

void standby_dies(void **)
{
    for (const Phase when : {Phase::Prepare, Phase::Flipped, Phase::Commit}) {
        World w;
        ready(w);
        w.feed(0, ForceSwitchover{1, 7});
        assert_true(w.until([&] { return w.view(0).phase == when; }, 1s));
        w.kill(1);
        w.run(6s);
        assert_true(w.state(0) == Eligible);        // not reached any more, as any standby would
        assert_true(w.last<HandoverFailed>(0)->why == Refusal::PeerLost);
        w.boot(1);
        w.run(2s);
        assert_true(w.is(Master, Standby));
    }
}

void standby_restarts_quickly(void **)
{
    for (const Phase when : {Phase::Prepare, Phase::Flipped, Phase::Commit}) {
        World w;
        ready(w);
        Watch watch(w);
        w.feed(0, ForceSwitchover{1, 7});
        assert_true(w.until([&] { return w.view(0).phase == when; }, 1s));
        w.kill(1);
        w.run(50ms);
        w.boot(1);
        w.run(3s);
        assert_int_equal(acting_master(w.state(0)) + acting_master(w.state(1)), 1);
        assert_true(w.last<HandoverFailed>(0)->why == Refusal::PeerRestarted);
        assert_false(watch.both);
    }
}

void trailing_records_of_the_old_master_are_taken(void **)
{
    World w;
    ready(w);
    w.node[0].engine_answers = false;
    const auto role = [&](int i) { return w.node[i].session->role(1); };
    const Role master = role(0), standby = role(1);
    w.feed(0, ForceSwitchover{1, 7});
    assert_true(w.until([&] { return w.view(0).phase == Phase::Flipped && w.view(1).peer.phase == Phase::Flipped; }, 1s));
    // The generation is the next one's already, but nobody writes under it yet.
    assert_int_equal(w.view(1).generation, master.generation + 1);
    assert_true(role(0) == master);
    assert_true(role(1) == standby);
    assert_true(judge_change(role(1), master.generation) == Verdict::Take);
    w.run(4s);
    assert_true(w.is(Standby, Master));
    assert_true(role(0) == (Role{false, true, master.generation + 1}));
    assert_true(role(1) == (Role{true, false, master.generation + 1}));
    assert_true(judge_change(role(1), master.generation) == Verdict::NotActing);
    assert_true(judge_change(role(0), master.generation) == Verdict::OtherGeneration);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(happy_path),
        cmocka_unit_test(order_of_the_actions),
        cmocka_unit_test(both_ways_twice_in_a_row),
        cmocka_unit_test(refusals),
        cmocka_unit_test(idempotent_by_id),
        cmocka_unit_test(prepare_timeout_restores),
        cmocka_unit_test(prepared_is_undone_when_the_master_gives_up),
        cmocka_unit_test(each_loss),
        cmocka_unit_test(each_cut),
        cmocka_unit_test(old_master_never_returns_by_a_timer),
        cmocka_unit_test(import_that_hangs_ends_in_mastership),
        cmocka_unit_test(standby_fails_before_the_flip),
        cmocka_unit_test(standby_fails_after_the_flip),
        cmocka_unit_test(standby_blinks_after_the_flip),
        cmocka_unit_test(old_master_member_down),
        cmocka_unit_test(old_master_dies),
        cmocka_unit_test(standby_dies),
        cmocka_unit_test(standby_restarts_quickly),
        cmocka_unit_test(trailing_records_of_the_old_master_are_taken),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
