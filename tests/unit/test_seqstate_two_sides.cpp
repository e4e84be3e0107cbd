// SPDX-License-Identifier: GPL-2.0-or-later
// I3 where both gateways have sent under one key: hand-overs that were given up, and
// partitions in which both act.
#include "core/seqstate.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;

namespace {

constexpr std::uint64_t kEnd = 0xffffffff;      // what the kernel says of an SA that only receives

mcipsec_seq out_sa(std::uint64_t oseq)
{
    mcipsec_seq sa{};
    sa.spi = 1;
    sa.proto = 50;
    sa.family = 2;
    sa.flags = MCIPSEC_SEQ_F_OUT;
    sa.oseq = oseq;
    return sa;
}

std::vector<mcs::SaSeq> exported(SeqState &s, std::uint64_t oseq, Time at)
{
    const auto k = out_sa(oseq);
    return s.local_sample(std::span(&k, 1), at);
}

// Two gateways: the master has told number 5000, the standby has taken it over.
struct Pair {
    SeqState master, standby;
    std::uint64_t standby_begins = 0;
    explicit Pair(Time at)
    {
        standby_begins = standby.peer_sample(exported(master, 5000, at), at, at)[0].oseq;
    }
};

// A partition finds the standby with state that is too old: it only receives. The master,
// which went on, must not be stopped by that when they meet again.
void what_the_peer_had_to_stop_goes_on_here(void **)
{
    Pair p(Time{100s});
    (void)p.standby.takeover(Time{4000s});
    assert_true(p.standby.must_stop(Time{4000s})[0].oseq == MCIPSEC_SEQ_RECEIVE_ONLY);
    const auto frozen = exported(p.standby, kEnd, Time{4010s});
    assert_true(frozen[0].sa.oseq == kEnd);
    exported(p.master, 6000, Time{4011s});
    const auto raised = p.master.frozen(frozen, Time{4012s}, true)[0].oseq;
    assert_true(raised < kEnd / 2);
    assert_true(raised >= p.standby_begins);        // which it may have used
    // Whoever did not send itself knows no number: it only receives, too.
    SeqState third;
    assert_true(third.frozen(frozen, Time{4012s}, true)[0].oseq == kEnd);
    SeqState standby;
    standby.peer_sample(exported(p.master, raised + 1, Time{4013s}), Time{4013s}, Time{4013s});
    assert_true(standby.frozen(frozen, Time{4014s})[0].oseq >= kEnd);
}

// It sent for T, then it had to stop.
void what_the_peer_sent_before_it_stopped_is_skipped(void **)
{
    Pair p(Time{100s});
    assert_true(p.standby.takeover(Time{101s}).empty());
    assert_true(p.standby.must_stop(Time{101s}).empty());
    const auto used = p.standby_begins + 90000;
    exported(p.standby, used, Time{105s});
    assert_int_equal(p.standby.must_stop(Time{106500ms}).size(), 1);    // T is 5 s
    const auto raised = p.master.frozen(exported(p.standby, kEnd, Time{107s}), Time{108s}, true)[0].oseq;
    assert_true(raised > used && raised < kEnd / 2);
}

void frozen_numbers_are_for_the_handover_that_froze_them(void **)
{
    SeqState taken;
    const auto frozen = mcs::SaSeq{out_sa(500000)};
    taken.frozen(std::span(&frozen, 1), Time{100s});
    assert_true(taken.takeover(Time{101s}, true).empty());
    assert_true(taken.must_stop(Time{101s}).empty());

    SeqState given_up;      // the old master went on, and died without a word
    given_up.frozen(std::span(&frozen, 1), Time{100s});
    assert_int_equal(given_up.takeover(Time{700s}).size(), 1);
    assert_int_equal(given_up.must_stop(Time{700s}).size(), 1);

    SeqState next;          // the next hand-over was committed without its own numbers
    next.frozen(std::span(&frozen, 1), Time{100s});
    next.thaw();
    assert_int_equal(next.takeover(Time{700s}, true).size(), 1);

    SeqState waits;         // margins grow again
    waits.frozen(std::span(&frozen, 1), Time{100s});
    assert_true(waits.refresh(Time{105s}).empty());
    assert_true(waits.refresh(Time{111s})[0].oseq >= 500000 + kMarginFloor);
}

// Both act: the master comes near where the other one has begun.
void an_old_master_alone_stops_below_the_new_one(void **)
{
    Pair p(Time{100s});
    (void)p.standby.takeover(Time{101s});
    p.master.alone(Time{101s});
    std::uint64_t number = 5000;
    bool rekey = false, stopped = false;
    for (int i = 0; i < 100000 && !stopped; ++i) {
        number += 4000;     // 20,000 packets/s
        const Time now = Time{101s} + 200ms * i;
        exported(p.master, number, now);
        rekey = rekey || !p.master.take_near().empty();
        stopped = !p.master.must_stop(now).empty();
        assert_true(!stopped || rekey);
    }
    assert_true(stopped);
    assert_true(number < p.standby_begins);

    // Met again, it is above what the other one has used, and has no ceiling any more.
    Pair q(Time{100s});
    (void)q.standby.takeover(Time{101s});
    q.master.alone(Time{101s});
    const auto used = q.standby_begins + 70000;
    const auto raised = q.master.frozen(exported(q.standby, used, Time{105s}), Time{106s}, true)[0].oseq;
    assert_true(raised >= used);
    exported(q.master, raised + 10, Time{107s});
    assert_true(q.master.take_near().empty());
    assert_true(q.master.must_stop(Time{107s}).empty());
}

// A planned restart of the agent in between: the next process stops where this one had to.
void the_ceiling_survives_a_restart(void **)
{
    for (const std::uint64_t restart_at : {6000u, 120000u}) {       // before and after it was named for a rekey
        Pair p(Time{100s});
        (void)p.standby.takeover(Time{101s});
        p.master.alone(Time{101s});
        SeqState next;
        std::uint64_t number = 5000;
        int named = 0;
        bool restarted = false, stopped = false;
        for (int i = 0; i < 1000 && !stopped; ++i) {
            number += 4000;
            const Time now = Time{101s} + 200ms * i;
            if (!restarted && number > restart_at) {
                restarted = true;
                named = 0;
                next.restore(p.master.debts());
            }
            SeqState &master = restarted ? next : p.master;
            exported(master, number, now);
            named += static_cast<int>(master.take_near().size());
            stopped = !master.must_stop(now).empty();
            assert_true(!stopped || named == 1);
        }
        assert_true(restarted && stopped);
        assert_true(number < p.standby_begins);
        assert_int_equal(next.needs_rekey(Time{200s}).size(), 1);
        // The peer is met: nothing of that holds any more, for the process after that either.
        (void)next.frozen(exported(p.standby, p.standby_begins + 70000, Time{150s}), Time{151s}, true);
        for (const auto &d : next.debts())
            assert_true(d.ceiling == 0 && d.rekey_at == 0);
    }
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_the_peer_had_to_stop_goes_on_here),
        cmocka_unit_test(what_the_peer_sent_before_it_stopped_is_skipped),
        cmocka_unit_test(frozen_numbers_are_for_the_handover_that_froze_them),
        cmocka_unit_test(an_old_master_alone_stops_below_the_new_one),
        cmocka_unit_test(the_ceiling_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
