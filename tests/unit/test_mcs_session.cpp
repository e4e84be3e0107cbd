// SPDX-License-Identifier: GPL-2.0-or-later
// Two sessions with simulated charons: snapshot, delta, deletes, roles, output
// commit, await-conf, audit, hand-over. The channel's faults: test_mcs_faults.cpp.
#include "unit/mcs_sim.hpp"

using namespace mcs_sim;

namespace {

void a_tunnel_reaches_the_standby(void **)
{
    Pair p;
    assert_true(p.a.state == SyncState::InSync);
    p.tunnel(p.a, 1);
    p.run();
    p.assert_same(p.a);
    // The seed's step 10: two entries on either side, as each side sees itself and its peer.
    for (auto *n : {&p.a, &p.b}) {
        const auto s = n->session.status();
        assert_true(s.oper_up && s.admin_up);
        assert_int_equal(s.oper_flags, 0);
        assert_true(s.db_sync_state == SyncState::InSync);
        assert_int_equal(s.local.entries, 2);
        assert_int_equal(s.remote.entries, 2);
        assert_int_equal(s.local.installed, 2);
        assert_int_equal(s.remote.local_deleted + s.remote.alarmed + s.omcr_alarm_entries, 0);
        assert_true(n->protection->in_sync);
        assert_int_equal(n->protection->pending + n->protection->peer_pending + n->protection->await_conf, 0);
    }
}

void snapshot_of_ten_thousand(void **)
{
    Pair p(config(0xa), config(0xb), false);
    p.role(p.a, true, false, 1);
    p.role(p.b, false, true, 1);
    for (std::uint32_t i = 1; i <= 5000; i++)
        p.tunnel(p.a, i);
    for (std::uint32_t i = 1; i <= 5000; i += 7)
        p.upsert(p.a, ike(i));  // younger than their CHILD_SAs
    p.connect();
    p.run();
    p.assert_same(p.a);
    const auto c = p.b.session.status().counters;
    assert_int_equal(c.records_received, 10000);
    assert_int_equal(c.snapshots_received, 1);
    assert_int_equal(c.import_failures, 0);  // parents come first
    assert_true(p.a.largest_send <= 64 * 1024 + kMaxFrame);
    assert_int_equal(p.a.early_sends, 0);
    assert_int_equal(p.b.session.status().groups[0].local.installing, 0);
}

void a_change_that_was_not_sent_is_sent_once(void **)
{
    Pair p;
    p.b.charon.hold = true;  // nothing is acknowledged
    p.upsert(p.a, ike(1));
    for (int i = 0; i < 50; i++)
        p.upsert(p.a, ike(1));
    p.b.charon.hold = false;
    p.run();
    p.assert_same(p.a);
    assert_true(p.b.session.status().counters.records_received < 10);
}

void only_the_missing_delta_after_a_cut(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 500; i++)
        p.tunnel(p.a, i);
    p.run();
    p.cut();
    assert_true(p.a.state == SyncState::OutOfSync);
    assert_int_equal(p.a.session.status().oper_flags, kConnectionDown);
    p.tunnel(p.a, 501);
    p.upsert(p.a, ike(7));
    p.remove(p.a, child(9));
    const auto before = p.b.session.status().counters;
    p.connect();
    p.run();
    p.assert_same(p.a);
    const auto after = p.b.session.status().counters;
    assert_int_equal(after.deltas_received - before.deltas_received, 1);
    assert_int_equal(after.snapshots_received, before.snapshots_received);
    assert_int_equal(after.records_received - before.records_received, 3);
    assert_int_equal(after.deletes_received - before.deletes_received, 1);
    assert_int_equal(after.audit_mismatches, 0);
}

void a_peer_that_lost_everything_gets_all(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 300; i++)
        p.tunnel(p.a, i);
    p.remove(p.a, child(3));
    p.run();
    p.cut();
    // SeGW-2 comes back: new process, new epoch, new charon.
    p.b.restart(config(0xbb));
    p.step(p.b, ev::GroupAdd{kTag, 1});
    p.charon_up(p.b, true);
    p.role(p.b, false, true, 1);
    p.connect();
    p.run();
    p.assert_same(p.a);
    const auto c = p.b.session.status().counters;
    assert_int_equal(c.records_received, 599);
    assert_int_equal(c.deletes_received, 0);
}

void a_restarted_agent_takes_what_its_charon_kept(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 50; i++)
        p.tunnel(p.a, i);
    p.run();
    p.cut();
    p.remove(p.a, child(5));
    p.b.restart(config(0xbb));
    p.step(p.b, ev::GroupAdd{kTag, 1});
    p.charon_up(p.b);  // charon lived on, with an SA that has ended meanwhile
    assert_int_equal(p.b.entries(), 100);
    p.role(p.b, false, true, 1);
    p.connect();
    p.run();
    p.assert_same(p.a);
}

void a_restarted_master_never_serves_an_empty_database(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 20; i++)
        p.tunnel(p.a, i);
    p.run();
    p.cut();
    p.a.restart(config(0xaa));
    p.step(p.a, ev::GroupAdd{kTag, 1});
    p.role(p.a, true, false, 1);
    p.connect();
    p.run();
    assert_int_equal(p.b.entries(), 40);  // waits: the plugin has not listed anything yet
    assert_true(p.a.state == SyncState::InProgress);
    p.charon_up(p.a);
    p.run();
    p.assert_same(p.a);
    assert_true(p.a.state == SyncState::InSync);
    for (const auto &line : p.b.charon.history)
        assert_true(line.rfind("delete", 0) != 0);
}

void a_crashed_charon_of_the_master_ends_nothing(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 20; i++)
        p.tunnel(p.a, i);
    p.run();
    p.step(p.a, ev::CharonDown{});
    p.charon_up(p.a, true);  // empty, another epoch
    p.run();
    assert_int_equal(p.b.entries(), 40);
    assert_int_equal(p.b.charon.sas.size(), 40);
    assert_int_equal(p.a.charon.sas.size(), 40);  // and is filled again
    // The same charon, heard again after a gap: what it does not list has ended.
    p.a.charon.sas.erase(child(3));
    p.charon_up(p.a);
    p.run();
    p.assert_same(p.a);
}

void a_crashed_charon_of_the_standby_is_refilled(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 20; i++)
        p.tunnel(p.a, i);
    p.run();
    p.step(p.b, ev::CharonDown{});
    p.run();
    assert_int_equal(p.b.protection->pending, 40);
    assert_int_equal(p.a.protection->peer_pending, 40);
    p.tunnel(p.a, 21);  // does not block the master
    p.run();
    assert_int_equal(p.a.acked, p.a.plugin_seq);
    p.charon_up(p.b, true);
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.a.protection->peer_pending, 0);
}

void standby_restart_imports_everything_again(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.b.charon.sas.clear();
    p.step(p.b, ev::Refill{kTag});
    p.run();
    p.assert_same(p.a);
    // A takeover may come before charon is empty: the new master's charon is filled, too.
    const auto held = p.a.charon.sas.size();
    assert_true(held >= 2);
    p.a.charon.sas.clear();
    p.step(p.a, ev::Refill{kTag});
    p.run();
    assert_int_equal(p.a.charon.sas.size(), held);
    p.assert_same(p.a);
}

void a_child_moves_before_its_old_parent_goes(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    // IKE rekey: new IKE_SA, the CHILD_SA moves, the old IKE_SA goes; in one burst, answers late.
    p.b.charon.hold = true;
    p.upsert(p.a, ike(2));
    p.upsert(p.a, child(1), ike(2));
    p.remove(p.a, ike(1));
    p.b.charon.history.clear();
    p.advance(100ms);
    p.b.charon.hold = false;
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.b.charon.history.size(), 3);
    assert_string_equal(p.b.charon.history[0].c_str(), ("import " + ike(2).str()).c_str());
    assert_string_equal(p.b.charon.history[1].c_str(), ("import " + child(1).str()).c_str());
    assert_string_equal(p.b.charon.history[2].c_str(), ("delete " + ike(1).str()).c_str());
}

void records_of_a_non_master_are_refused(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    // I5, locally: the standby's own plugin may neither add nor remove.
    p.step(p.b, p.record(p.b, ike(9), {1, 1, std::nullopt, Bytes(8)}));
    p.step(p.b, ev::LocalDelete{kTag, ike(1), ev::DeleteScope::Global, p.b.plugin_epoch, ++p.b.plugin_seq});
    assert_int_equal(p.b.session.status().counters.local_rejected, 2);
    assert_int_equal(p.b.entries(), 2);
    // I5, from the peer: B does not see A as acting master any more, A has not noticed.
    p.role(p.b, false, false, 1);
    p.upsert(p.a, ike(2));
    p.remove(p.a, child(1));
    p.run();
    assert_int_equal(p.b.entries(), 2);
    assert_true(p.b.session.status().counters.rejected_not_acting >= 2);
    assert_non_null(p.b.session.entry(kTag, child(1)));
    assert_true(p.a.state == SyncState::InProgress);
    // It sees it again: what was refused comes.
    p.role(p.b, false, true, 1);
    p.run();
    p.assert_same(p.a);
    assert_true(p.a.state == SyncState::InSync);
}

void another_generation_is_refused_until_both_agree(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.role(p.b, false, true, 2);  // B knows of a newer election
    p.upsert(p.a, ike(2));
    p.run();
    assert_int_equal(p.b.entries(), 2);
    assert_true(p.b.session.status().counters.rejected_generation >= 1);
    p.role(p.a, true, false, 2);
    p.run();
    p.assert_same(p.a);
}

void output_commit_waits_for_the_standby(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    assert_true(p.a.commit);
    assert_false(p.b.commit);
    assert_int_equal(p.a.acked, p.a.plugin_seq);
    const auto before = p.a.acked;
    p.b.charon.hold = true;
    const auto first = p.upsert(p.a, ike(1));
    const auto second = p.upsert(p.a, ike(2));
    p.advance(50ms);
    assert_int_equal(p.a.acked, before);  // I4: nothing is released early
    // Answers out of order: the later record first. The earlier one still holds.
    auto late = std::move(p.b.charon.answers.front());
    p.b.charon.answers.pop_front();
    p.answer(p.b);
    p.advance(50ms);
    assert_int_equal(p.a.acked, before);
    p.step(p.b, std::move(late));
    p.advance(50ms);
    assert_int_equal(p.a.acked, second);
    assert_true(first < second);
}

// With several sessions on one charon the engine must know which of them waits: what
// another session's standby has must not release this session's packets.
void the_engine_hears_when_a_record_begins_and_ends_to_wait(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    assert_true(p.a.none_open);
    p.b.charon.hold = true;
    const auto before = p.a.acked;
    p.upsert(p.a, ike(1));
    assert_false(p.a.none_open);
    assert_int_equal(p.a.acked, before);
    p.advance(50ms);
    assert_false(p.a.none_open);
    p.answer(p.b);
    p.advance(50ms);
    assert_true(p.a.none_open);
    p.upsert(p.a, ike(1));
    assert_false(p.a.none_open);
    p.cut();
    assert_true(p.a.none_open);     // without a standby nothing waits
}

void a_replaced_record_is_not_released_by_its_neighbours(void **)
{
    Config small = config(0xa);
    small.window_entries = 2;
    Pair p(std::move(small));
    p.b.charon.hold = true;
    p.upsert(p.a, ike(1));
    p.upsert(p.a, ike(2));  // window full
    const auto third = p.upsert(p.a, ike(3));
    p.upsert(p.a, ike(4));
    p.upsert(p.a, ike(3));  // replaces the third before it was sent
    p.advance(10ms);
    assert_int_equal(p.b.session.status().counters.records_received, 2);
    p.answer(p.b);
    p.answer(p.b);
    p.advance(10ms);
    assert_true(p.a.acked < third);
    p.b.charon.hold = false;
    p.run();
    assert_int_equal(p.a.acked, p.a.plugin_seq);
    p.assert_same(p.a);
}

void without_a_standby_nothing_is_held(void **)
{
    Pair p;
    p.b.charon.hold = true;
    p.upsert(p.a, ike(1));
    p.cut();
    assert_false(p.a.commit);  // the plugin releases everything
    p.upsert(p.a, ike(2));
    p.b.charon.hold = false;
    p.connect();
    p.run();
    assert_true(p.a.commit);
    assert_int_equal(p.a.acked, p.a.plugin_seq);
}

void the_window_bounds_what_is_in_flight(void **)
{
    Config c = config(0xa);
    c.window_entries = 8;
    Pair p(std::move(c));
    p.b.charon.hold = true;
    for (std::uint32_t i = 1; i <= 100; i++)
        p.upsert(p.a, ike(i));
    p.advance(500ms);
    assert_int_equal(p.b.session.status().counters.records_received, 8);
    assert_int_equal(p.a.session.status().groups[0].unacked, 100);
    p.advance(1500ms);
    assert_true(p.a.protection->pending > 0);  // notReady: they wait too long
    p.b.charon.hold = false;
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.a.protection->pending, 0);

    Config bytes = config(0xa);
    bytes.window_bytes = 10000;
    Pair q(std::move(bytes));
    q.b.charon.hold = true;
    for (std::uint32_t i = 1; i <= 20; i++)
        q.upsert(q.a, ike(i), std::nullopt, 4000);
    q.advance(500ms);
    assert_int_equal(q.b.session.status().counters.records_received, 3);
    q.b.charon.hold = false;
    q.run();
    q.assert_same(q.a);
}

void a_record_without_its_connection_waits(void **)
{
    Pair p;
    p.b.charon.unloaded = {"conn-1"};  // ike(1) and child(1); "conn-2" is loaded
    p.tunnel(p.a, 1);
    p.tunnel(p.a, 2);
    p.run();
    auto s = p.b.session.status();
    assert_int_equal(s.local.await_conf, 2);
    assert_int_equal(s.local.installed, 2);
    assert_int_equal(p.a.protection->peer_await_conf, 2);
    assert_int_equal(p.a.acked, p.a.plugin_seq);  // parked by name, nobody waits for it
    assert_true(p.a.session.status().counters.nacks_received >= 2);
    p.b.charon.unloaded.clear();
    p.advance(6s);  // own timer
    p.assert_same(p.a);
    assert_int_equal(p.a.protection->peer_await_conf, 0);

    p.b.charon.unloaded = {"conn-3"};
    p.tunnel(p.a, 3);
    p.run();
    p.b.charon.unloaded.clear();
    p.step(p.b, ev::ConfLoaded{});
    p.advance(1s);
    p.assert_same(p.a);
}

void a_failed_import_is_alarmed_and_tried_again(void **)
{
    Pair p;
    p.b.charon.broken = {"conn-1"};
    p.tunnel(p.a, 1);
    p.run();
    assert_int_equal(p.b.session.status().local.failed, 1);
    assert_int_equal(p.b.session.status().local.alarmed, 1);
    assert_int_equal(p.b.session.status().local.await_conf, 1);  // the CHILD_SA
    assert_int_equal(p.a.session.status().remote.alarmed, 1);
    assert_true(p.b.logged("entry-failed"));
    p.b.charon.broken.clear();
    p.upsert(p.a, ike(1));  // a new version gets a new chance at once
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.b.session.status().local.alarmed, 0);
}

void an_entry_deleted_while_it_is_imported(void **)
{
    Pair p;
    p.b.charon.hold = true;
    p.tunnel(p.a, 1);
    p.advance(10ms);
    p.remove(p.a, child(1));
    p.remove(p.a, ike(1));
    p.advance(10ms);
    p.b.charon.hold = false;
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.b.charon.sas.size(), 0);
    assert_int_equal(p.a.acked, p.a.plugin_seq);
}

void audit_finds_and_mends_a_lost_entry(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 200; i++)
        p.tunnel(p.a, i);
    p.run();
    assert_true(p.b.session.lose_entry_for_test(kTag, child(77)));
    p.b.charon.sas.erase(child(77));
    const auto before = p.b.session.status().counters;
    p.advance(61s);
    p.assert_same(p.a);
    const auto after = p.b.session.status().counters;
    assert_int_equal(after.audit_mismatches - before.audit_mismatches, 1);
    assert_int_equal(after.audit_repaired - before.audit_repaired, 1);
    assert_true(after.records_received - before.records_received < 20);  // its bucket only
    assert_true(p.a.commit);  // nothing else was disturbed
    // One too many is found as well.
    assert_true(p.a.session.lose_entry_for_test(kTag, child(78)));
    p.a.charon.sas.erase(child(78));
    p.advance(61s);
    p.assert_same(p.a);
}

void a_controlled_switchover_keeps_everything(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 30; i++)
        p.tunnel(p.a, i);
    p.run();
    for (Generation g = 2; g <= 5; g++) {  // there and back, twice
        Node &old = g % 2 ? p.b : p.a, &fresh = p.peer(old);
        std::vector<SaSeq> sas(3);
        for (std::uint32_t i = 0; i < 3; i++)
            sas[i].sa.spi = i;
        p.upsert(old, ike(1));  // still under way when the gate shuts
        p.step(old, ev::FrozenSeq{kTag, g, sas});
        p.quiesce();
        assert_int_equal(fresh.frozen.back().handover, g);
        assert_int_equal(fresh.frozen.back().sas.size(), 3);
        assert_true(fresh.session.entry(kTag, ike(1))->version == old.session.entry(kTag, ike(1))->version);
        p.step(fresh, ev::FrozenApplied{kTag, g});
        p.quiesce();
        assert_int_equal(old.frozen_acked.back(), g);
        p.role(fresh, true, false, g);
        p.role(old, false, true, g);
        const auto before = old.session.status().counters.records_received;
        p.run();
        p.assert_same(fresh);
        // Equal databases show by their digests: nothing is sent again.
        assert_int_equal(old.session.status().counters.records_received, before);
        assert_true(fresh.commit);
        assert_false(old.commit);
        p.upsert(fresh, ike(2));
        p.tunnel(fresh, 100 + static_cast<std::uint32_t>(g));
        p.run();
        p.assert_same(fresh);
    }
}

void a_takeover_continues_versions(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.role(p.b, true, false, 2);
    p.upsert(p.b, ike(1));  // the simulated charon continues the version
    assert_true(p.b.session.entry(kTag, ike(1))->version.version == 2);
    assert_true(p.b.session.entry(kTag, ike(1))->version.generation == 2);
    // A comes back with its old database and is mended.
    p.role(p.a, false, true, 2);
    p.connect();
    p.run();
    p.assert_same(p.b);
}

void tombstones_go_when_acknowledged_and_their_generation_has_passed(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.remove(p.a, child(1));
    p.role(p.a, true, false, 2);
    assert_int_equal(p.a.session.status().groups[0].tombstones, 1);  // passed, not acknowledged
    p.role(p.b, false, true, 2);
    p.connect();
    p.run();
    assert_int_equal(p.a.session.status().groups[0].tombstones, 0);  // both
    p.assert_same(p.a);
    p.remove(p.a, ike(1));
    p.run();
    assert_int_equal(p.a.session.status().groups[0].tombstones, 1);  // acknowledged, not passed
    p.role(p.a, true, false, 3);
    p.role(p.b, false, true, 3);
    p.run();
    assert_int_equal(p.a.session.status().groups[0].tombstones, 0);
    assert_int_equal(p.b.session.status().groups[0].tombstones, 0);
    assert_int_equal(p.b.entries(), 0);
}

void too_many_tombstones_cost_a_snapshot_and_lose_nothing(void **)
{
    Config c = config(0xa);
    c.max_tombstones = 10;
    Pair p(std::move(c));
    for (std::uint32_t i = 1; i <= 60; i++)
        p.tunnel(p.a, i);
    p.run();
    p.cut();
    for (std::uint32_t i = 1; i <= 40; i++)
        p.remove(p.a, child(i));
    assert_int_equal(p.a.session.status().groups[0].tombstones, 10);
    assert_int_equal(p.a.session.status().counters.tombstones_dropped, 30);
    p.connect();
    p.run();
    p.assert_same(p.a);
}

void a_local_delete_stays_local_and_is_mended(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    const auto lose = [&p](const Key &key) {
        p.b.charon.sas.erase(key);
        p.step(p.b, ev::LocalDelete{kTag, key, ev::DeleteScope::Local, p.b.plugin_epoch, ++p.b.plugin_seq});
    };
    lose(child(1));
    p.run();
    assert_int_equal(p.b.session.status().local.local_deleted, 1);
    assert_int_equal(p.a.session.status().remote.local_deleted, 1);
    assert_int_equal(p.a.entries(), 2);
    assert_int_equal(p.b.protection->lost, 1);
    assert_int_equal(p.a.protection->peer_lost, 1);
    assert_true(p.b.logged("entry-lost"));
    p.advance(7s);
    assert_int_equal(p.b.session.status().local.local_deleted, 1);  // not in a loop with who deletes it
    p.advance(2s);
    assert_int_equal(p.b.session.status().local.local_deleted, 0);
    p.assert_same(p.a);
    // A change brings it back at once; an IKE_SA comes with its CHILD_SA.
    lose(child(1));
    p.upsert(p.a, child(1), ike(1));
    p.run();
    p.assert_same(p.a);
    lose(child(1));
    lose(ike(1));
    p.run();
    assert_int_equal(p.b.session.status().local.local_deleted, 2);
    assert_int_equal(p.a.session.status().local.local_deleted + p.a.session.status().local.alarmed, 0);
    p.advance(10s);
    assert_int_equal(p.b.protection->lost + p.a.protection->peer_lost, 0);
    p.assert_same(p.a);
}

void differing_configuration_is_named(void **)
{
    Pair p;
    p.step(p.a, ev::ConfigDigest{kTag, {{"proposals", {1, 2}}, {"selectors", {3}}, {"next-hops", {4}}}});
    p.step(p.b, ev::ConfigDigest{kTag, {{"proposals", {1, 2}}, {"selectors", {9}}}});
    p.run();
    for (auto *n : {&p.a, &p.b}) {
        const auto d = n->session.status().groups[0].config_differs;
        assert_int_equal(d.size(), 2);
        assert_string_equal(d[0].c_str(), "next-hops");
        assert_string_equal(d[1].c_str(), "selectors");
        assert_true(n->logged("config-differs"));
        assert_true(n->protection->config_differs);
    }
    p.step(p.b, ev::ConfigDigest{kTag, {{"proposals", {1, 2}}, {"selectors", {3}}, {"next-hops", {4}}}});
    p.run();
    assert_int_equal(p.a.session.status().groups[0].config_differs.size(), 0);
}

void admin_down_shows_on_both_sides(void **)
{
    Pair p;
    p.step(p.a, ev::AdminDown{});
    p.quiesce();
    assert_int_equal(p.a.session.status().oper_flags, kSyncAdminDown | kConnectionDown);
    assert_int_equal(p.b.session.status().oper_flags, kPeerAdminDown | kConnectionDown);
    assert_true(p.b.state == SyncState::OutOfSync);
    p.connect();  // B tries again, A refuses
    p.quiesce();
    assert_int_equal(p.b.session.status().oper_flags, kPeerAdminDown | kConnectionDown);
    p.step(p.a, ev::AdminUp{});
    p.connect();
    p.run();
    assert_int_equal(p.b.session.status().oper_flags, 0);
    assert_true(p.a.state == SyncState::InSync);
}

// A master that was fenced for a moment and is elected again: its charon had gone on,
// and what it said meanwhile was not taken.
void a_master_again_asks_its_charon_what_it_missed(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.tunnel(p.a, 2);
    p.run();
    p.step(p.a, ev::GroupRole{kTag, {false, false, 1}, Mastership::Discovery});
    p.upsert(p.a, child(77), ike(1));       // a rekey that was under way
    p.remove(p.a, child(1));
    assert_null(p.a.session.entry(kTag, child(77)));
    p.role(p.a, true, false, 2);
    p.role(p.b, false, true, 2);
    p.run();
    assert_non_null(p.a.session.entry(kTag, child(77)));
    assert_non_null(p.b.session.entry(kTag, child(77)));
    assert_int_equal(p.b.entries(), 4);
    p.assert_same(p.a);
    // Control: one that stood by in between has it from who was master.
    p.role(p.a, false, true, 3);
    p.role(p.b, true, false, 3);
    p.upsert(p.a, child(78), ike(1));
    p.run();
    p.step(p.a, ev::GroupRole{kTag, {false, true, 3}, Mastership::Standby});
    p.role(p.b, false, true, 4);
    p.role(p.a, true, false, 4);
    p.run();
    assert_null(p.a.session.entry(kTag, child(78)));
}

void two_groups_are_independent(void **)
{
    Pair p;
    for (auto *n : {&p.a, &p.b}) {
        p.step(*n, ev::GroupAdd{"tag-2", 2});
        p.step(*n, ev::LocalSnapshotBegin{"tag-2"});
        p.step(*n, ev::LocalSnapshotEnd{"tag-2"});
    }
    // Group 2 the other way round (Table 12 of the seed).
    p.step(p.a, ev::GroupRole{"tag-2", {false, true, 4}, Mastership::Standby});
    p.step(p.b, ev::GroupRole{"tag-2", {true, false, 4}, Mastership::Master});
    p.tunnel(p.a, 1);
    ev::LocalUpsert u = p.record(p.b, ike(50), {1, 1, std::nullopt, Bytes(8)});
    u.tag = "tag-2";
    p.step(p.b, std::move(u));
    p.run();
    assert_true(p.a.state == SyncState::InSync);
    assert_int_equal(p.a.session.group_status("tag-2")->local.entries, 1);
    assert_int_equal(p.b.session.group_status(kTag)->local.entries, 2);
    p.step(p.b, ev::GroupRemove{"tag-2"});
    p.run();
    assert_false(p.b.session.group_status("tag-2").has_value());
    p.tunnel(p.a, 2);
    p.run();
    assert_int_equal(p.b.session.group_status(kTag)->local.entries, 4);
}

void a_record_out_of_bounds_is_alarmed_not_lost_silently(void **)
{
    Pair p;
    auto u = p.record(p.a, ike(1), {1, 1, std::nullopt, Bytes(kMaxData + 1)});
    p.step(p.a, std::move(u));
    assert_int_equal(p.a.session.status().counters.local_rejected, 1);
    assert_int_equal(p.a.session.status().local.alarmed, 1);
    assert_true(p.a.logged("entry-unfit"));
    // However often it is said it is one; it ends when it fits, or ends.
    p.step(p.a, p.record(p.a, ike(1), {1, 2, std::nullopt, {}}));
    assert_int_equal(p.a.session.status().local.alarmed, 1);
    p.upsert(p.a, ike(1));
    assert_int_equal(p.a.session.status().local.alarmed, 0);
    p.step(p.a, p.record(p.a, ike(1), {1, 4, std::nullopt, {}}));
    assert_int_equal(p.a.session.status().local.alarmed, 1);
    assert_non_null(p.a.session.entry(kTag, ike(1)));   // the state that the standby has
    p.remove(p.a, ike(1));
    assert_int_equal(p.a.session.status().local.alarmed, 0);
}

// An IKE_SA that no record holds: it and its CHILD_SAs count as failed on both chassis,
// nothing of them reaches the standby, the others are synchronized as ever.
void what_no_record_holds_is_alarmed_with_its_children(void **)
{
    Pair p;
    p.step(p.a, p.record(p.a, ike(1), {1, 1, std::nullopt, {}}));
    p.a.charon.sas[child(1)] = {1, 1, ike(1), Bytes(10)};
    p.step(p.a, p.record(p.a, child(1), p.a.charon.sas[child(1)]));
    p.tunnel(p.a, 2);
    p.run();
    assert_int_equal(p.a.session.status().local.alarmed, 2);
    assert_int_equal(p.b.session.status().remote.alarmed, 2);
    assert_int_equal(p.b.session.status().local.entries, 2);
    assert_int_equal(p.b.session.status().local.await_conf, 0);
    assert_int_equal(p.a.protection->failed, 2);
    assert_int_equal(p.a.protection->pending, 0);
    // A record holds the IKE_SA again: charon is asked for the CHILD_SA again, too.
    p.upsert(p.a, ike(1));
    p.run();
    assert_int_equal(p.a.session.status().local.alarmed, 0);
    assert_int_equal(p.b.session.status().local.entries, 4);
    // The standby of tomorrow does not answer for what the master of today cannot have.
    p.step(p.a, p.record(p.a, ike(3), {1, 1, std::nullopt, {}}));
    assert_int_equal(p.a.session.status().local.alarmed, 1);
    p.role(p.a, false, true, 2);
    assert_int_equal(p.a.session.status().local.alarmed, 0);
}

}  // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tunnel_reaches_the_standby),
        cmocka_unit_test(snapshot_of_ten_thousand),
        cmocka_unit_test(a_change_that_was_not_sent_is_sent_once),
        cmocka_unit_test(only_the_missing_delta_after_a_cut),
        cmocka_unit_test(a_peer_that_lost_everything_gets_all),
        cmocka_unit_test(a_restarted_agent_takes_what_its_charon_kept),
        cmocka_unit_test(a_restarted_master_never_serves_an_empty_database),
        cmocka_unit_test(a_crashed_charon_of_the_master_ends_nothing),
        cmocka_unit_test(a_crashed_charon_of_the_standby_is_refilled),
        cmocka_unit_test(standby_restart_imports_everything_again),
        cmocka_unit_test(a_child_moves_before_its_old_parent_goes),
        cmocka_unit_test(records_of_a_non_master_are_refused),
        cmocka_unit_test(another_generation_is_refused_until_both_agree),
        cmocka_unit_test(output_commit_waits_for_the_standby),
        cmocka_unit_test(the_engine_hears_when_a_record_begins_and_ends_to_wait),
        cmocka_unit_test(a_replaced_record_is_not_released_by_its_neighbours),
        cmocka_unit_test(without_a_standby_nothing_is_held),
        cmocka_unit_test(the_window_bounds_what_is_in_flight),
        cmocka_unit_test(a_record_without_its_connection_waits),
        cmocka_unit_test(a_failed_import_is_alarmed_and_tried_again),
        cmocka_unit_test(an_entry_deleted_while_it_is_imported),
        cmocka_unit_test(audit_finds_and_mends_a_lost_entry),
        cmocka_unit_test(a_controlled_switchover_keeps_everything),
        cmocka_unit_test(a_takeover_continues_versions),
        cmocka_unit_test(tombstones_go_when_acknowledged_and_their_generation_has_passed),
        cmocka_unit_test(too_many_tombstones_cost_a_snapshot_and_lose_nothing),
        cmocka_unit_test(a_local_delete_stays_local_and_is_mended),
        cmocka_unit_test(differing_configuration_is_named),
        cmocka_unit_test(admin_down_shows_on_both_sides),
        cmocka_unit_test(a_master_again_asks_its_charon_what_it_missed),
        cmocka_unit_test(two_groups_are_independent),
        cmocka_unit_test(a_record_out_of_bounds_is_alarmed_not_lost_silently),
        cmocka_unit_test(what_no_record_holds_is_alarmed_with_its_children),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
