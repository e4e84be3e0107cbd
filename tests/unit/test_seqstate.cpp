// SPDX-License-Identifier: GPL-2.0-or-later
// I3: what the standby imports always covers what the master can have sent.
#include <random>

#include "core/seqstate.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;

namespace {

mcs::SaSeq sa(std::uint32_t spi, std::uint64_t oseq, std::uint16_t flags = MCIPSEC_SEQ_F_OUT, std::uint32_t jump = 0)
{
    mcs::SaSeq s;
    s.sa.spi = spi;
    s.sa.proto = 50;
    s.sa.family = 2;
    s.sa.flags = flags;
    s.sa.oseq = oseq;
    s.jump = jump;
    return s;
}

std::span<const mcs::SaSeq> one(const mcs::SaSeq &s) { return {&s, 1}; }

void margin_has_a_floor_and_caps(void **)
{
    assert_int_equal(seq_margin(0, 10s, false).value, 1u << 16);
    assert_int_equal(seq_margin(100000, 10s, false).value, 1000000);
    assert_int_equal(seq_margin(1e7, 10s, false).value, 1u << 24);
    assert_false(seq_margin(1e7, 10s, false).covers());
    assert_int_equal(seq_margin(1e7, 10s, true).value, 100000000);
    assert_int_equal(seq_margin(1e9, 10s, true).value, 1u << 28);
    assert_true(seq_margin(1e6, 16s, false).covers());
    assert_false(seq_margin(1e6, 17s, false).covers());
    assert_int_equal(seq_margin(-5, -1s, false).value, 1u << 16);
    assert_int_equal(seq_margin(0, 10s, false, 200000).value, 200000);
    assert_int_equal(seq_margin(0, 10s, false, 1).value, 1u << 16);             // never below
    assert_int_equal(seq_margin(0, 10s, false, 1ull << 40).value, 1u << 24);    // nor above the cap
    assert_int_equal(seq_margin(1e30, 1000000s, true).uncapped, UINT64_MAX);
}

void a_sample_is_imported_with_its_margin(void **)
{
    SeqParams p;
    p.assumed_peak_pps = 0;
    SeqState s(p);
    const auto out = s.peer_sample(one(sa(1, 1000)), Time{100s}, Time{100s});
    assert_int_equal(out.size(), 1);
    assert_true(out[0].oseq >= 1000 + kMarginFloor);
    assert_true(out[0].oseq <= 1000 + kMarginFloor * 5 / 4);
    // Inbound numbers are taken as they are.
    auto in = sa(2, 0, 0);
    in.sa.seq = 500;
    assert_int_equal(s.peer_sample(one(in), Time{100s}, Time{100s})[0].seq, 500);
    assert_int_equal(s.peer_sample(one(in), Time{100s}, Time{100s})[0].oseq, 0);
}

void imports_never_go_back(void **)
{
    SeqState s;
    const auto high = s.peer_sample(one(sa(1, 5000000)), Time{100s}, Time{100s})[0].oseq;
    assert_true(s.peer_sample(one(sa(1, 1000)), Time{101s}, Time{101s})[0].oseq >= high);
    assert_true(s.frozen(one(sa(1, 5000001)), Time{102s})[0].oseq >= high);
}

void the_margin_grows_with_the_measured_rate(void **)
{
    SeqParams p;
    p.assumed_peak_pps = 100;
    SeqState s(p);
    std::uint64_t oseq = 0;
    std::vector<mcipsec_seq> out;
    for (int i = 0; i < 50; i++) {
        oseq += 40000;  // 200,000 packets a second
        out = s.peer_sample(one(sa(1, oseq)), Time{100s} + i * 200ms, Time{100s} + i * 200ms);
    }
    // (0.2 s + 3 s + 5 s) x 200,000/s
    assert_true(out[0].oseq - oseq >= 1640000);
    // A peak is remembered while it is quiet, and fades.
    assert_true(s.known(SaId::of(out[0]))->peak_pps >= 199000);
    s.peer_sample(one(sa(1, oseq + 1)), Time{110s} + 1200s, Time{110s} + 1200s);
    const auto faded = s.known(SaId::of(out[0]))->peak_pps;
    assert_true(faded < 60000 && faded > 40000);
}

void silence_makes_margins_grow_until_the_cap(void **)
{
    SeqState s;
    const auto first = s.peer_sample(one(sa(1, 1000)), Time{100s}, Time{100s})[0].oseq;
    assert_true(s.refresh(Time{100s}).empty());
    std::uint64_t last = first;
    for (int t = 101; t < 3000; t++) {
        for (const auto &o : s.refresh(Time{1s * t})) {
            assert_true(o.oseq > last);
            last = o.oseq;
        }
        if (t == 200) {
            assert_true(last >= 1000 + 20000ull * 108);
            assert_true(s.needs_rekey(Time{1s * t}).empty());
        }
    }
    assert_true(last <= 1000 + kMarginCap);
    // Nobody knows what the master has sent by now: it must not send before a rekey.
    const auto list = s.takeover(Time{3000s});
    assert_int_equal(list.size(), 1);
    assert_true(list[0].reason == RekeyReason::Stale);
    // So its kernel SA only receives, whatever is imported later.
    const auto stop = s.must_stop(Time{3000s});
    assert_int_equal(stop.size(), 1);
    assert_true(stop[0].oseq == MCIPSEC_SEQ_RECEIVE_ONLY);
    assert_true(s.must_stop(Time{3001s}).empty());
    assert_true(s.peer_sample(one(sa(1, 5000)), Time{3002s}, Time{3002s})[0].oseq == MCIPSEC_SEQ_RECEIVE_ONLY);
    assert_true(s.needs_rekey(Time{3003s})[0].reason == RekeyReason::Stale);
}

// Exact numbers are exact until somebody sends again.
void a_second_takeover_does_not_trust_old_frozen_numbers(void **)
{
    SeqState s;
    s.peer_sample(one(sa(1, 1000)), Time{100s}, Time{100s});
    s.frozen(one(sa(1, 1200)), Time{101s});
    assert_true(s.takeover(Time{101s}, true).empty());
    s.local_sample(std::vector<mcipsec_seq>{sa(1, 2000).sa}, Time{110s});
    // Handed to the peer; nothing is heard of it for an hour, then it dies.
    assert_false(s.refresh(Time{120s}).empty());
    const auto list = s.takeover(Time{3700s});
    assert_int_equal(list.size(), 1);
    assert_true(list[0].reason == RekeyReason::Stale);
}

// What nobody has told about may have been used in any way.
void an_unknown_sa_must_not_send(void **)
{
    SeqState s;
    s.unknown(std::vector<mcipsec_seq>{sa(1, 0).sa}, Time{100s});
    assert_int_equal(s.takeover(Time{100s}).size(), 1);
    const auto stop = s.must_stop(Time{100s});
    assert_int_equal(stop.size(), 1);
    assert_true(stop[0].oseq == MCIPSEC_SEQ_RECEIVE_ONLY);
}

void an_unnamed_sa_did_not_change(void **)
{
    SeqState s;
    s.peer_sample(one(sa(1, 1000)), Time{100s}, Time{100s});
    s.complete(Time{5000s});  // samples went on, this SA was in none
    assert_true(s.refresh(Time{5000s}).empty());
    assert_true(s.takeover(Time{5003s}).empty());
}

void a_takeover_is_covered_and_accounted(void **)
{
    SeqState s;
    const auto imported = s.peer_sample(one(sa(1, 1000)), Time{100s}, Time{100s})[0].oseq;
    s.refresh(Time{103s});
    assert_true(s.takeover(Time{103s}).empty());
    const auto k = *s.known(SaId::of(sa(1, 0).sa));
    assert_true(k.jump >= imported - 1000);
    assert_int_equal(k.oseq, k.imported);
    // Own samples carry the jump to the next standby.
    const auto out = s.local_sample(std::vector<mcipsec_seq>{sa(1, k.imported + 10).sa}, Time{104s});
    assert_int_equal(out[0].jump, k.jump);
    SeqState other;
    other.peer_sample(out, Time{104s}, Time{104s});
    assert_int_equal(other.known(SaId::of(out[0].sa))->jump, k.jump);
    // T after an unplanned takeover the old key has served long enough.
    assert_true(s.needs_rekey(Time{107s}).empty());
    assert_true(s.needs_rekey(Time{108s})[0].reason == RekeyReason::SendTime);
    assert_true(s.must_stop(Time{103s}).empty());
    assert_true(s.must_stop(Time{107s}).empty());
    const auto stop = s.must_stop(Time{108s});
    assert_int_equal(stop.size(), 1);
    assert_true(stop[0].oseq == MCIPSEC_SEQ_RECEIVE_ONLY && stop[0].spi == sa(1, 0).sa.spi);
}

void frozen_numbers_need_no_margin(void **)
{
    SeqState s;
    const auto out = s.frozen(one(sa(1, 777)), Time{100s});
    assert_int_equal(out[0].oseq, 777);
    assert_true(s.takeover(Time{100s}, true).empty());
    assert_int_equal(s.known(SaId::of(out[0]))->jump, 0);
    assert_true(s.needs_rekey(Time{99999s}).empty());
}

void jumps_in_sum_stay_below_the_limit(void **)
{
    for (const bool esn : {false, true}) {
        SeqParams p;
        p.assumed_peak_pps = esn ? 3.2e7 : 2e6;  // the largest margins that still cover
        SeqState node[2] = {SeqState(p), SeqState(p)};
        const auto flags = static_cast<std::uint16_t>(MCIPSEC_SEQ_F_OUT | (esn ? MCIPSEC_SEQ_F_ESN : 0));
        std::uint64_t oseq = 1000, jump = 0;
        Time t{1000s};
        int takeovers = 0;
        for (;; takeovers++) {
            SeqState &master = node[takeovers % 2], &standby = node[(takeovers + 1) % 2];
            const auto sample = master.local_sample(std::vector<mcipsec_seq>{sa(1, oseq, flags).sa}, t);
            oseq = standby.peer_sample(sample, t, t)[0].oseq + 1;
            standby.takeover(t);
            jump = standby.known(SaId::of(sample[0].sa))->jump;
            assert_true(jump < kJumpLimit);
            t += 10s;
            const auto list = standby.needs_rekey(t - 10s);
            const bool told = std::any_of(list.begin(), list.end(), [](const auto &x) { return x.reason == RekeyReason::Jump || x.reason == RekeyReason::Exhausted; });
            if (told)
                break;
            assert_true(takeovers < 300);
        }
        assert_in_range(takeovers, 5, 130);
    }
}

// A planned restart of the agent: the next process stops what this one would have.
void a_restart_forgets_no_debt(void **)
{
    SeqState before;
    before.peer_sample(one(sa(1, 1000)), Time{100s}, Time{100s});
    (void)before.takeover(Time{101s});
    const auto debts = before.debts();
    assert_int_equal(debts.size(), 1);
    assert_true(debts[0].send_until == Time{106s} && debts[0].jump > 0);
    SeqState after;
    assert_true(after.debts().empty());
    after.restore(debts);
    assert_true(after.debts() == debts);
    const auto told = after.local_sample(std::vector<mcipsec_seq>{sa(1, 70000).sa, sa(2, 5).sa}, Time{103s});
    assert_int_equal(told[0].jump, debts[0].jump);
    assert_int_equal(told[1].jump, 0);
    assert_true(after.must_stop(Time{105s}).empty());
    const auto stop = after.must_stop(Time{106s});
    assert_int_equal(stop.size(), 1);       // not the one that was made since
    assert_true(stop[0].spi == 1 && stop[0].oseq == MCIPSEC_SEQ_RECEIVE_ONLY);
}

// What charon installs (again) starts at zero. Without a word of its master's numbers
// nothing is known of them; and what is owed outlives the new kernel SA.
void an_installed_sa_gets_what_is_known(void **)
{
    SeqState s;
    (void)s.takeover(Time{10s});
    auto out = s.reseed(sa(1, 0).sa, Time{11s}, true);
    assert_true(out.oseq == MCIPSEC_SEQ_RECEIVE_ONLY);          // nobody has told
    (void)s.reseed(sa(1, 0).sa, Time{12s}, true);
    const auto near = s.take_near();                            // to be rekeyed, said once
    assert_int_equal(near.size(), 1);
    assert_true(near[0] == SaId::of(sa(1, 0).sa));
    assert_true(s.take_near().empty());
    s.keep_near(near, Time{13s});                               // its CHILD_SA is still to come
    assert_int_equal(s.take_near().size(), 1);
    s.keep_near(near, Time{43s});                               // not any more
    assert_true(s.take_near().empty());
    s.keep_near(near, Time{13s});
    s.forget(near[0]);
    s.keep_near(s.take_near(), Time{13s});
    assert_true(s.take_near().empty());

    SeqState t;
    (void)t.reseed(sa(1, 0).sa, Time{11s}, false);
    assert_true(t.take_near().empty());                         // a takeover has it rekeyed
    (void)t.takeover(Time{12s});
    assert_true(t.must_stop(Time{12s})[0].oseq == MCIPSEC_SEQ_RECEIVE_ONLY);

    SeqState u;
    (void)u.reseed(sa(1, 0).sa, Time{11s}, false);
    (void)u.peer_sample(one(sa(1, 5000)), Time{11s}, Time{11s});        // now it has
    out = u.reseed(sa(1, 0).sa, Time{11s}, false);
    assert_true(out.oseq >= 5000 + kMarginFloor && out.oseq != MCIPSEC_SEQ_RECEIVE_ONLY);
    (void)u.takeover(Time{12s});
    const auto owed = u.debts();
    assert_int_equal(owed.size(), 1);
    const auto first = u.reseed(sa(1, 0).sa, Time{13s}, true), again = u.reseed(sa(1, 0).sa, Time{14s}, true);
    assert_true(first.oseq >= out.oseq && again.oseq == first.oseq);    // however often it is asked
    assert_true(u.debts()[0].send_until == owed[0].send_until && u.debts()[0].jump >= owed[0].jump);
    u.made_anew(sa(1, 0).sa);   // it sent meanwhile, nobody knows how much
    assert_true(u.reseed(sa(1, 0).sa, Time{15s}, true).oseq >= first.oseq + kMarginFloor);
}

void what_the_kernel_did_not_take_is_not_trusted(void **)
{
    SeqState s;
    const auto lost = s.peer_sample(one(sa(1, 5000)), Time{11s}, Time{11s});
    s.not_given(lost, Time{11s});
    (void)s.takeover(Time{12s});
    const auto stop = s.must_stop(Time{12s});
    assert_int_equal(stop.size(), 1);
    assert_true(s.must_stop(Time{13s}).empty());
    s.not_given(stop, Time{13s});
    assert_int_equal(s.must_stop(Time{13s}).size(), 1);     // once more
}

void thirty_two_bits_run_out_and_never_wrap(void **)
{
    SeqState s;
    const auto out = s.peer_sample(one(sa(1, kSeqMax32 - 10)), Time{100s}, Time{100s});
    assert_int_equal(out[0].oseq, kSeqMax32);
    assert_true(s.needs_rekey(Time{100s})[0].reason == RekeyReason::Exhausted);
    const auto wide = s.peer_sample(one(sa(2, kSeqMax32 - 10, MCIPSEC_SEQ_F_OUT | MCIPSEC_SEQ_F_ESN)), Time{100s}, Time{100s});
    assert_true(wide[0].oseq > kSeqMax32);
    assert_int_equal(s.needs_rekey(Time{100s}).size(), 1);
}

void hardware_offload_is_told(void **)
{
    SeqState s;
    s.peer_sample(one(sa(1, 5, MCIPSEC_SEQ_F_OUT | MCIPSEC_SEQ_F_OFFLOAD)), Time{1s}, Time{1s});
    assert_true(s.needs_rekey(Time{1s})[0].reason == RekeyReason::Offload);
    assert_string_equal(std::string(to_string(RekeyReason::Offload)).c_str(), "offload");
}

void strict_replay_raises_inbound_numbers(void **)
{
    SeqParams p;
    p.strict_replay = true;
    SeqState s(p);
    auto in = sa(2, 0, 0);
    in.sa.seq = 500;
    assert_true(s.peer_sample(one(in), Time{100s}, Time{100s})[0].seq >= 500 + kMarginFloor);
}

void what_the_kernel_lost_is_forgotten(void **)
{
    SeqState s;
    s.peer_sample(one(sa(1, 5)), Time{100s}, Time{100s});
    s.peer_sample(one(sa(2, 5)), Time{100s}, Time{100s});
    const std::vector<mcipsec_seq> kernel{sa(2, 5).sa};
    assert_int_equal(s.retain(kernel, Time{110s}), 0);  // its import may be under way
    assert_int_equal(s.retain(kernel, Time{200s}), 1);
    assert_int_equal(s.size(), 1);
}

// A master that sends at any rate up to the assumed peak, samples that come or get lost,
// crashes at any time: the standby's number is above everything the master sent.
void no_number_is_used_twice(void **)
{
    for (unsigned seed = 0; seed < 2000; seed++) {
        std::mt19937_64 rng(seed);
        SeqParams p;
        SeqState s(p);
        Time t{1000s}, sampled = t;
        double sent = 1000;
        s.peer_sample(one(sa(1, 1000)), t, t);
        s.complete(t);
        const Time crash = t + std::chrono::milliseconds(rng() % 60000);
        bool link = true;
        double rate = 0;
        while (t < crash) {
            t += 200ms;
            if (rng() % 10 == 0)
                rate = static_cast<double>(rng() % 20000);
            if (rng() % 20 == 0)
                link = !link;
            sent += rate * 0.2;
            if (link) {
                s.peer_sample(one(sa(1, static_cast<std::uint64_t>(sent))), t, t + 5ms);
                s.complete(t);
                sampled = t;
            }
            s.refresh(t);
        }
        // The master goes on for the detection time; only then does the standby take over.
        sent += rate * 3;
        t += 3s;
        const auto list = s.takeover(t);
        const auto number = s.known(SaId::of(sa(1, 0).sa))->imported;
        assert_true(list.empty() || list[0].reason == RekeyReason::Stale);
        if (list.empty())
            assert_true(static_cast<double>(number) >= sent);
        else
            assert_true(t - sampled > 10s);
    }
}

}  // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(margin_has_a_floor_and_caps),
        cmocka_unit_test(a_sample_is_imported_with_its_margin),
        cmocka_unit_test(imports_never_go_back),
        cmocka_unit_test(the_margin_grows_with_the_measured_rate),
        cmocka_unit_test(silence_makes_margins_grow_until_the_cap),
        cmocka_unit_test(an_unnamed_sa_did_not_change),
        cmocka_unit_test(a_second_takeover_does_not_trust_old_frozen_numbers),
        cmocka_unit_test(an_unknown_sa_must_not_send),
        cmocka_unit_test(a_takeover_is_covered_and_accounted),
        cmocka_unit_test(frozen_numbers_need_no_margin),
        cmocka_unit_test(jumps_in_sum_stay_below_the_limit),
        cmocka_unit_test(a_restart_forgets_no_debt),
        cmocka_unit_test(an_installed_sa_gets_what_is_known),
        cmocka_unit_test(what_the_kernel_did_not_take_is_not_trusted),
        cmocka_unit_test(thirty_two_bits_run_out_and_never_wrap),
        cmocka_unit_test(hardware_offload_is_told),
        cmocka_unit_test(strict_replay_raises_inbound_numbers),
        cmocka_unit_test(what_the_kernel_lost_is_forgotten),
        cmocka_unit_test(no_number_is_used_twice),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
