// SPDX-License-Identifier: GPL-2.0-or-later
// Two lives of one tunnel: which of them the master keeps, and that both end up with it.
#include "unit/mcs_sim.hpp"

using namespace mcs_sim;

namespace {

void what_only_the_old_master_knew_is_not_lost(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.tunnel(p.a, 2);   // never reached the standby
    p.upsert(p.a, ike(1));
    p.role(p.b, true, false, 2);
    p.remove(p.b, child(1));
    p.role(p.a, false, true, 2);
    p.connect();
    p.run();
    // B decides: it takes tunnel 2, it keeps its own delete.
    assert_int_equal(p.b.entries(), 3);
    p.assert_same(p.b);
    assert_true(p.b.session.status().counters.merged >= 2);
    assert_null(p.a.session.entry(kTag, child(1)));
    assert_int_equal(std::count(p.b.merged.begin(), p.b.merged.end(), ike(2)), 1);
    assert_true(p.b.merged_apart == std::vector<bool>(p.b.merged.size()));     // B changed no IKE_SA
    assert_true(p.a.merged.empty());
}

void where_nothing_was_merged_nobody_is_asked_for_life(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.role(p.a, true, false, 2);
    p.role(p.b, true, false, 3);
    p.upsert(p.a, ike(1));              // all traffic was A's
    p.role(p.a, true, false, 4);
    p.role(p.b, false, true, 4);
    p.connect();
    p.run();
    p.assert_same(p.a);
    assert_true(p.a.merged.empty() && p.b.merged.empty());
}

// Both were acting apart from each other and wrote; A becomes master. ours, theirs: how
// long ago A and B last heard the customer. again: A writes once more before they meet.
void two_lives(Duration ours, Duration theirs, bool b_wins, bool again)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.role(p.a, true, false, 2);
    p.role(p.b, true, false, 3);
    p.upsert(p.a, ike(1));
    p.upsert(p.b, ike(1));              // the customer's exchange with B: a rekey
    p.upsert(p.b, child(2), ike(1));
    p.remove(p.b, child(1));
    p.now += 100s;
    p.role(p.a, true, false, 4);
    p.role(p.b, false, true, 4);
    if (again)
        p.upsert(p.a, ike(1));
    p.a.inbound = {{ike(1), p.now - ours}};
    p.b.inbound = {{ike(1), p.now - theirs}};
    const auto loser = (b_wins ? p.a : p.b).session.entry(kTag, ike(1))->info;
    const auto winner = (b_wins ? p.b : p.a).session.entry(kTag, ike(1))->info;
    assert_true(loser != winner);
    SaSeq last{};
    last.sa.spi = 7;
    p.b.final_seq = {last};
    p.connect();
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.a.entries(), 2);
    assert_int_equal(p.a.session.entry(kTag, child(b_wins ? 2 : 1)) != nullptr, 1);
    assert_null(p.a.session.entry(kTag, child(b_wins ? 1 : 2)));
    // Its final sequence state is there before its records are.
    assert_int_equal(p.a.frozen.size(), 1);
    assert_int_equal(p.a.frozen[0].handover, 0);
    assert_int_equal(p.a.frozen[0].sas.size(), 1);
    assert_true((p.a.session.status().counters.merged > 0) == b_wins);
    // Whoever wins: the master, and nobody else, asks the customer for life, once.
    assert_true(p.a.merged == std::vector{ike(1)});
    assert_true(p.a.merged_apart == std::vector{true});
    assert_true(p.a.rivals == std::vector{loser});
    // What only the other life had is nobody's, and not what was ended with the customer.
    assert_int_equal(p.a.strays.size(), 1);
    assert_true(p.a.strays[0] == std::vector{child(b_wins ? 1 : 2)});
    assert_true(p.b.merged.empty());
}

// Both were acting apart from each other, B wrote, and A if it says so; then A is master.
Pair apart(bool a_writes, Duration ours, Duration theirs)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.role(p.a, true, false, 2);
    p.role(p.b, true, false, 3);
    if (a_writes)
        p.upsert(p.a, ike(1));
    p.upsert(p.b, ike(1));
    p.now += 100s;
    p.role(p.a, true, false, 4);
    p.role(p.b, false, true, 4);
    p.a.inbound = {{ike(1), p.now - ours}};
    p.b.inbound = {{ike(1), p.now - theirs}};
    return p;
}

// A takes what descends from its own, and its message ids with it, wherever the customer's
// packets went.
void a_life_that_went_on_at_one_side_only(void **)
{
    for (const Duration ours : {90s, 1s}) {
        auto p = apart(false, ours, 91s - ours);
        p.connect();
        p.run();
        p.assert_same(p.a);
        assert_true(p.a.session.status().counters.merged > 0);
        assert_true(p.a.merged == std::vector{ike(1)});
        assert_true(p.a.merged_apart == std::vector{false});
    }
}

// The channel may go once more before that is decided, whatever was acknowledged.
// The customers' packets go to B: one ends, one rekeys its IKE_SA.
void ends_at(Pair &p)
{
    p.upsert(p.b, ike(1));
    p.remove(p.b, child(1));
    p.remove(p.b, ike(1));
    p.remove(p.b, child(4));
    for (const auto &[key, parent] : {std::pair<Key, std::optional<Key>>{ike(3), {}}, {child(2), ike(3)}}) {
        p.b.charon.sas[key] = {hash(ike(2)), p.b.charon.sas[key].version + 1, parent, Bytes(64, 9)};
        p.step(p.b, p.record(p.b, key, p.b.charon.sas[key]));
    }
    p.remove(p.b, ike(2));
}

// A has one with one CHILD_SA, and one with two.
Pair two_tunnels()
{
    Pair p;
    p.tunnel(p.a, 1);
    p.tunnel(p.a, 2);
    p.upsert(p.a, child(4), ike(2));
    p.run();
    return p;
}

// A, which knows of none of that, becomes master.
Pair ended_at_b()
{
    auto p = two_tunnels();
    p.cut();
    p.role(p.a, true, false, 2);
    p.role(p.b, true, false, 3);
    ends_at(p);
    p.now += 100s;
    p.role(p.a, true, false, 4);
    p.role(p.b, false, true, 4);
    return p;
}

// B is master and goes on in its term while A, its standby, takes over alone and wins.
Pair old_master_goes_on()
{
    auto p = two_tunnels();
    p.role(p.a, false, true, 2);
    p.role(p.b, true, false, 2);
    p.run();
    p.upsert(p.b, ike(1));
    p.upsert(p.b, ike(2));
    p.run();
    p.assert_same(p.b);
    p.cut();
    p.role(p.a, true, false, 3);
    return p;
}

void what_ended_at_the_other_side_does_not_come_back(void **)
{
    // Also where a packet of the rekeyed one came to A, since its CHILD_SA is the same.
    for (const bool heard : {false, true}) {
        auto p = ended_at_b();
        if (heard)
            p.a.inbound = {{ike(2), p.now - 1s}, {ike(1), p.now - 101s}};
        p.connect();
        p.run();
        p.assert_same(p.a);
        assert_int_equal(p.a.entries(), 2);
        assert_non_null(p.a.session.entry(kTag, ike(3)));
        // What moved was there before what it moved away from went.
        const auto &h = p.a.charon.history;
        assert_true(std::find(h.begin(), h.end(), "import " + child(2).str()) < std::find(h.begin(), h.end(), "delete " + ike(2).str()));
        assert_true(p.a.merged == std::vector{ike(3)});
        p.advance(130s);
        p.assert_same(p.a);
        assert_int_equal(p.a.entries(), 2);
    }
}

void what_ended_at_the_old_master_does_not_come_back(void **)
{
    for (const bool writes : {false, true}) {
        auto p = old_master_goes_on();
        if (writes)     // A begins rekeys that nobody answers
            for (const auto n : {1u, 2u}) {
                p.upsert(p.a, ike(n));
                p.upsert(p.a, child(n), ike(n));
            }
        ends_at(p);
        p.now += 100s;
        p.role(p.b, false, true, 3);
        p.connect();
        p.run();
        p.assert_same(p.a);
        assert_int_equal(p.a.entries(), 2);
        assert_non_null(p.a.session.entry(kTag, ike(3)));
        assert_non_null(p.a.session.entry(kTag, child(2)));
        assert_true(p.a.merged == std::vector{ike(3)});
        p.advance(130s);
        p.assert_same(p.a);
    }
}

void two_lives_in_the_term_that_the_master_inherits(void **)
{
    for (const bool b_wins : {false, true}) {
        auto p = old_master_goes_on();
        p.upsert(p.a, ike(1));
        p.upsert(p.b, ike(1));
        p.upsert(p.b, child(3), ike(1));
        p.remove(p.b, child(1));
        p.now += 100s;
        p.role(p.b, false, true, 3);
        p.a.inbound = {{ike(1), p.now - (b_wins ? 50s : 1s)}};
        p.b.inbound = {{ike(1), p.now - (b_wins ? 1s : 50s)}};
        p.connect();
        p.run();
        p.assert_same(p.a);
        assert_int_equal(p.a.session.entry(kTag, child(3)) != nullptr, b_wins);
        assert_int_equal(p.a.session.entry(kTag, child(1)) != nullptr, !b_wins);
        assert_true(p.a.merged == std::vector{ike(1)});
        assert_true(p.a.merged_apart == std::vector{true});
    }
}

// The channel goes once more before it is decided.
void what_ended_is_put_again_over_another_loss(void **)
{
    for (int steps = 0; steps < 80; ++steps) {
        auto p = ended_at_b();
        p.connect();
        for (int i = 0; i < steps % 40; ++i) {
            p.now += 1ms;
            while (p.answer(p.a)) {}
            while (steps < 40 && p.answer(p.b)) {}
            p.move(p.a);
            p.move(p.b);
        }
        p.connect();
        p.run();
        p.advance(130s);
        p.assert_same(p.a);
        assert_int_equal(p.a.entries(), 2);
        assert_non_null(p.a.session.entry(kTag, ike(3)));
    }
}

// A's charon writes the CHILD_SA in its new term before they have spoken.
void what_moved_is_not_taken_back(void **)
{
    auto p = ended_at_b();
    p.upsert(p.a, child(2), ike(2));
    p.connect();
    p.run();
    p.assert_same(p.a);
    assert_non_null(p.a.session.entry(kTag, child(2)));
    assert_true(p.a.session.entry(kTag, child(2))->parent == ike(3));
}

// An audit between a proposal and its decision: what is new to A is proposed twice.
void what_is_proposed_twice_is_taken_once(void **)
{
    for (const int slow : {0, 1}) {
        Pair p;
        p.tunnel(p.a, 1);
        p.run();
        p.cut();
        p.role(p.a, true, false, 2);
        p.role(p.b, true, false, 3);
        p.tunnel(p.b, 2);
        p.role(p.a, true, false, 4);
        p.role(p.b, false, true, 4);
        p.b.inbound = {{ike(2), p.now - 1s}};
        p.connect();
        for (int i = 0; i < 1000 && p.b.session.status().counters.proposed < 4; i++) {
            p.now += 1ms;
            while (p.answer(p.b)) {}
            while (slow == 0 && p.b.session.status().counters.proposed < 1 && p.answer(p.a)) {}
            p.move(p.a);
            p.move(p.b);
        }
        assert_true(p.b.session.status().counters.proposed >= 4);
        p.run();
        p.assert_same(p.a);
        assert_int_equal(p.a.entries(), 4);
        assert_int_equal(p.a.session.status().counters.merged, 2);
        assert_int_equal(p.a.session.status().counters.import_failures, 0);
    }
}

// charon hands the CHILD_SAs of the rekeyed one on to the one in its place, and says so.
void what_ended_does_not_come_back_by_the_own_charon(void **)
{
    auto p = ended_at_b();
    p.connect();
    bool said = false;
    for (int i = 0; i < 10000 && !said; i++) {
        p.a.charon.hold = p.a.session.status().counters.merged > 0;
        if (p.a.charon.hold) {
            for (const auto &[key, parent] : {std::pair{child(2), ike(3)}, {child(4), ike(3)}})
                p.upsert(p.a, key, parent);
            p.upsert(p.a, ike(2));
            said = true;
            break;
        }
        p.answer(p.b);
        p.answer(p.a);
        p.move(p.a);
        p.move(p.b);
    }
    assert_true(said);
    p.a.charon.hold = false;
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.a.entries(), 2);
    p.advance(130s);
    p.assert_same(p.a);
    assert_int_equal(p.a.acked, p.a.plugin_seq);
}

// A's charon goes on with its life, which has lost, until B's takes its place.
void what_the_loser_does_at_last_is_told(void **)
{
    auto p = apart(true, 90s, 1s);
    auto &charon = p.a.charon;
    charon.changing = {ike(1)};     // while the other one is on its way
    charon.sas[child(5)] = {charon.sas[ike(1)].lineage, 1, ike(1), Bytes(64, 5)};
    const auto known = p.a.session.entry(kTag, ike(1))->info;
    p.connect();
    p.run();
    assert_true(charon.changing.empty());
    p.assert_same(p.a);
    assert_int_equal(p.a.entries(), 2);
    assert_true(p.a.merged == std::vector{ike(1)});
    assert_true(p.a.rivals[0].ends_with("by=a\nmid-out=3\n") && p.a.rivals[0] != known);
    assert_true(p.a.strays[0] == std::vector{child(5)});
}

// ... and what it does at once with that one is not of the loser.
void what_the_winner_does_at_first_is_not(void **)
{
    auto p = apart(true, 90s, 1s);
    p.a.charon.eager = {ike(1)};
    const auto known = p.a.session.entry(kTag, ike(1))->info;
    p.connect();
    p.run();
    assert_true(p.a.charon.eager.empty());
    assert_true(p.a.merged == std::vector{ike(1)});
    assert_true(p.a.rivals == std::vector{known});
}

// The channel goes while charon takes what was decided.
void what_was_decided_is_told_over_another_loss(void **)
{
    auto p = apart(true, 90s, 1s);
    p.upsert(p.a, child(5), ike(1));
    p.connect();
    for (int i = 0; i < 10000 && !p.a.charon.hold; i++) {
        p.answer(p.b);
        p.answer(p.a);
        p.move(p.a);
        p.move(p.b);
        p.a.charon.hold = p.a.session.status().counters.merged > 0;
    }
    assert_true(p.a.charon.hold && p.a.merged.empty());
    p.connect();
    p.a.charon.hold = false;
    p.run();
    p.assert_same(p.a);
    assert_true(!p.a.merged.empty() && p.a.merged[0] == ike(1));   // and once more, where B puts it again
    assert_true(p.a.merged_apart[0]);
    assert_true(p.a.strays[0] == std::vector{child(5)});
}

// A has ended with the customer what B knows of still.
void what_was_ended_with_the_customer_is_no_stray(void **)
{
    auto p = apart(true, 1s, 90s);
    p.upsert(p.a, child(5), ike(1));
    p.remove(p.a, child(1));
    p.connect();
    p.run();
    p.assert_same(p.a);
    assert_true(p.a.merged_apart == std::vector{true});
    assert_int_equal(p.a.strays.size(), 1);
    assert_true(p.a.strays[0].empty());
}

// B has given it up, but the customer's packets come to A: it is asked itself.
void what_was_heard_since_has_not_ended(void **)
{
    auto p = ended_at_b();
    p.a.inbound = {{ike(1), p.now - 99s}};
    p.connect();
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.a.entries(), 4);
    assert_int_equal(std::count(p.a.merged.begin(), p.a.merged.end(), ike(1)), 1);
    p.advance(130s);
    p.assert_same(p.a);
}

void two_lives_are_apart_over_another_loss(void **)
{
    for (int steps = 0; steps < 40; ++steps) {
        auto p = apart(true, 90s, 1s);
        p.connect();
        for (int i = 0; i < steps % 20; ++i) {
            p.now += 1ms;
            while (p.answer(p.a)) {}
            while (steps < 20 && p.answer(p.b)) {}      // else it is slow with its final numbers
            p.move(p.a);
            p.move(p.b);
        }
        p.connect();
        p.run();
        p.assert_same(p.a);
        // Once for each decision: the standby may not have heard of the first.
        assert_true(!p.a.merged.empty());
        assert_int_equal(std::count(p.a.merged_apart.begin(), p.a.merged_apart.end(), false), 0);
    }
}

// Both were acting apart from each other, and no record has changed: what B sent meanwhile
// is in no record, but its customer takes nothing below it any more.
void final_numbers_come_without_a_record(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.role(p.b, true, false, 3);
    p.now += 100s;
    p.role(p.a, true, false, 4);
    p.role(p.b, false, true, 4);
    SaSeq last{};
    last.sa.spi = 7;
    p.b.final_seq = {last};
    p.connect();
    p.run();
    assert_int_equal(p.a.frozen.size(), 1);
    assert_int_equal(p.a.frozen[0].handover, 0);
    assert_int_equal(p.a.frozen[0].sas.size(), 1);
    // Once: B has not acted since.
    p.cut();
    p.connect();
    p.run();
    assert_int_equal(p.a.frozen.size(), 1);
    assert_true(p.a.merged.empty() && p.b.merged.empty());
}

void of_two_lives_the_one_with_the_traffic_wins(void **)
{
    for (const bool again : {false, true}) {
        two_lives(50s, 1s, true, again);
        two_lives(1s, 50s, false, again);
    }
}

// A's agent dies, B takes over and rekeys with the customer, A's agent comes back to a charon
// that knows of nothing. Before the two have spoken both are without mastership for a moment,
// and the election makes A master, by its priority.
struct ForgetfulMaster : Pair {
    ForgetfulMaster()
    {
        tunnel(a, 1);
        run();
        cut();
        a.restart(config(0xa2));
        step(a, ev::GroupAdd{kTag, 1});
        role(b, true, false, 2);
        upsert(b, ike(1));
        upsert(b, child(2), ike(1));
        remove(b, child(1));
        upsert(b, ike(1));
        role(a, false, true, 2);
        charon_up(a);
        role(a, true, false, 3);
        role(b, false, true, 3);
    }
    void assert_life_of_b()
    {
        assert_same(a);
        assert_non_null(a.session.entry(kTag, child(2)));
        assert_null(a.session.entry(kTag, child(1)));
        assert_int_equal(a.charon.sas.count(child(1)) + b.charon.sas.count(child(1)), 0);
        // And it stays so.
        advance(70s);
        const auto merged = a.session.status().counters.merged, mended = b.session.status().counters.audit_mismatches;
        for (int i = 0; i < 3; i++) {
            connect();
            advance(70s);
        }
        assert_int_equal(a.session.status().counters.merged, merged);
        assert_int_equal(b.session.status().counters.audit_mismatches, mended);
        upsert(a, ike(1));
        run();
        assert_same(a);
    }
};

void a_higher_generation_does_not_win_over_what_its_writer_never_heard(void **)
{
    for (const int writes : {0, 1, 6}) {
        ForgetfulMaster p;
        for (int i = 0; i < writes; i++)
            p.upsert(p.a, ike(1));          // it tries to rekey; nobody answers
        p.b.inbound = {{ike(1), p.now - 8s}};
        if (writes > 1)
            p.a.charon.changing = {ike(1)};     // and once more, while the other life is on its way
        p.connect();
        p.run();
        p.assert_life_of_b();
        assert_true(p.a.charon.changing.empty());
    }
}

void what_the_losing_charon_says_before_it_is_told_does_not_count(void **)
{
    ForgetfulMaster p;
    p.upsert(p.a, ike(1));
    p.b.inbound = {{ike(1), p.now - 8s}};
    bool said = false;
    p.connect();
    // The decision is made, the import is on its way, and charon has one more word.
    for (int i = 0; i < 10000 && !said; i++) {
        p.a.charon.hold = p.a.session.status().counters.merged > 0;
        if (p.a.charon.hold) {
            auto old = Charon::Sa{hash(ike(1)), 40, std::nullopt, Bytes(64, 40)};
            p.step(p.a, p.record(p.a, ike(1), old));
            p.step(p.a, p.record(p.a, child(1), {hash(ike(1)), 40, ike(1), Bytes(64, 40)}));
            p.step(p.a, ev::LocalDelete{kTag, child(2), ev::DeleteScope::Global, p.a.plugin_epoch, ++p.a.plugin_seq});
            p.step(p.a, ev::LocalDelete{kTag, ike(1), ev::DeleteScope::Global, p.a.plugin_epoch, ++p.a.plugin_seq});
            said = true;
            break;
        }
        p.answer(p.b);
        p.answer(p.a);
        p.move(p.a);
        p.move(p.b);
    }
    assert_true(said);
    p.a.charon.hold = false;
    p.run();
    p.assert_life_of_b();
    assert_int_equal(p.a.acked, p.a.plugin_seq);
}

// The customer came to A meanwhile: B's life is over, though it is the one with more changes.
void the_master_that_was_heard_last_keeps_its_life(void **)
{
    ForgetfulMaster p;
    p.upsert(p.a, ike(1));
    p.upsert(p.a, child(3), ike(1));
    p.a.inbound = {{ike(1), p.now - 1s}};
    p.b.inbound = {{ike(1), p.now - 8s}};
    p.connect();
    p.run();
    p.assert_same(p.a);
    assert_non_null(p.a.session.entry(kTag, child(3)));
    assert_null(p.a.session.entry(kTag, child(2)));
    assert_int_equal(p.a.session.status().counters.merged, 0);
}

// B heard all of A's term before it took over: whatever A wrote then, B's state descends from it,
// and no age is asked for. A's agent was only stopped, it has its memory.
void who_heard_all_is_not_asked_for_ages(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.role(p.b, true, false, 2);
    p.upsert(p.b, ike(1));
    p.role(p.a, false, true, 2);
    p.a.inbound = {{ike(1), p.now - 1s}};
    p.connect();
    p.run();
    p.assert_same(p.b);
    assert_int_equal(p.a.session.status().counters.proposed, 0);
    assert_int_equal(p.b.session.entry(kTag, ike(1))->version.generation, 2);
    // Back again, and once more with an agent that begins anew in between.
    p.role(p.b, false, true, 3);
    p.role(p.a, true, false, 3);
    p.upsert(p.a, ike(1));
    p.run();
    p.assert_same(p.a);
    p.cut();
    p.a.restart(config(0xa3));
    p.step(p.a, ev::GroupAdd{kTag, 1});
    p.role(p.a, true, false, 3);
    p.charon_up(p.a);
    p.b.inbound = {{ike(1), p.now}};
    p.connect();
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.b.session.status().counters.proposed, 0);
}

// A deleted a CHILD_SA in its own life; in the life that wins it is there.
void a_delete_of_the_life_that_lost_is_void(void **)
{
    ForgetfulMaster p;
    p.upsert(p.a, ike(1));
    p.upsert(p.a, child(2), ike(1));
    p.remove(p.a, child(2));
    p.upsert(p.a, child(5), ike(1));
    p.b.inbound = {{ike(1), p.now - 8s}};
    p.connect();
    p.run();
    p.assert_life_of_b();
    assert_null(p.a.session.entry(kTag, child(5)));
}

// A peer that does not say what it inherits is believed, as before.
void an_offer_without_that_word_inherits_everything(void **)
{
    SecretBuffer out;
    frame::encode(out, frame::Offer{kTag, 3, 1, 10, 2, 7});
    FrameReader reader;
    reader.append(out.view());
    auto raw = reader.next();
    assert_true(raw && raw->has_value());
    auto f = frame::decode(**raw);
    assert_int_equal(std::get<frame::Offer>(*f).inherits, 7);
    SecretBuffer old;
    {
        FrameWriter w(old, static_cast<std::uint8_t>(frame::Type::Offer));
        w.text(1, kTag);
        w.u64(2, 3);
        w.u64(3, 1);
    }
    reader.append(old.view());
    raw = reader.next();
    assert_true(raw && raw->has_value());
    f = frame::decode(**raw);
    assert_true(std::get<frame::Offer>(*f).inherits == UINT64_MAX);
}

}  // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_the_old_master_knew_is_not_lost),
        cmocka_unit_test(where_nothing_was_merged_nobody_is_asked_for_life),
        cmocka_unit_test(a_life_that_went_on_at_one_side_only),
        cmocka_unit_test(what_ended_at_the_other_side_does_not_come_back),
        cmocka_unit_test(what_ended_at_the_old_master_does_not_come_back),
        cmocka_unit_test(two_lives_in_the_term_that_the_master_inherits),
        cmocka_unit_test(what_ended_is_put_again_over_another_loss),
        cmocka_unit_test(what_moved_is_not_taken_back),
        cmocka_unit_test(what_ended_does_not_come_back_by_the_own_charon),
        cmocka_unit_test(what_was_heard_since_has_not_ended),
        cmocka_unit_test(what_the_loser_does_at_last_is_told),
        cmocka_unit_test(what_the_winner_does_at_first_is_not),
        cmocka_unit_test(what_was_decided_is_told_over_another_loss),
        cmocka_unit_test(what_was_ended_with_the_customer_is_no_stray),
        cmocka_unit_test(what_is_proposed_twice_is_taken_once),
        cmocka_unit_test(two_lives_are_apart_over_another_loss),
        cmocka_unit_test(final_numbers_come_without_a_record),
        cmocka_unit_test(of_two_lives_the_one_with_the_traffic_wins),
        cmocka_unit_test(a_higher_generation_does_not_win_over_what_its_writer_never_heard),
        cmocka_unit_test(what_the_losing_charon_says_before_it_is_told_does_not_count),
        cmocka_unit_test(the_master_that_was_heard_last_keeps_its_life),
        cmocka_unit_test(who_heard_all_is_not_asked_for_ages),
        cmocka_unit_test(a_delete_of_the_life_that_lost_is_void),
        cmocka_unit_test(an_offer_without_that_word_inherits_everything),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
