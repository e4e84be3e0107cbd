// SPDX-License-Identifier: GPL-2.0-or-later
// MCS when things break: the channel at every byte, garbled bytes, other
// versions, silence; and random operations on two sessions that must always
// end with equal databases and equal charons.
#include "unit/mcs_sim.hpp"

using namespace mcs_sim;

namespace {

// Some of everything: new, changed, moved, deleted.
void work(Pair &p)
{
    p.tunnel(p.a, 1);
    p.tunnel(p.a, 2);
    p.tunnel(p.a, 3);
    p.quiesce();
    p.upsert(p.a, ike(1));
    p.upsert(p.a, ike(4));
    p.upsert(p.a, child(2), ike(4));
    p.remove(p.a, ike(2));
    p.remove(p.a, child(3));
    p.quiesce();
}

std::size_t bytes_of_work()
{
    Pair p;
    const auto before = p.a.session.status().counters.bytes_out;
    work(p);
    return p.a.session.status().counters.bytes_out - before;
}

void loss_of_the_connection_at_every_byte(void **)
{
    const auto total = bytes_of_work();
    assert_true(total > 1000);
    for (std::size_t at = 0; at <= total; at++) {
        Pair p;
        p.cut_after = at;
        work(p);
        p.cut_after = SIZE_MAX;
        if (!p.a.up)
            p.connect();
        p.run();
        p.assert_same(p.a);
        assert_int_equal(p.a.session.status().counters.frames_bad + p.b.session.status().counters.frames_bad, 0);
        assert_true(p.a.state == SyncState::InSync && p.b.state == SyncState::InSync);
        assert_int_equal(p.a.acked, p.a.plugin_seq);
    }
}

void loss_during_the_snapshot_at_every_byte(void **)
{
    Pair whole(config(0xa), config(0xb), false);
    const auto begin = [](Pair &p) {
        p.role(p.a, true, false, 1);
        p.role(p.b, false, true, 1);
        for (std::uint32_t i = 1; i <= 4; i++)
            p.tunnel(p.a, i);
        p.connect();
        p.quiesce();
    };
    begin(whole);
    const auto total = whole.a.session.status().counters.bytes_out;
    for (std::size_t at = 0; at <= total; at++) {
        Pair p(config(0xa), config(0xb), false);
        p.cut_after = at;
        begin(p);
        p.cut_after = SIZE_MAX;
        p.upsert(p.a, ike(2));
        p.remove(p.a, child(1));
        if (!p.a.up)
            p.connect();
        p.run();
        p.assert_same(p.a);
    }
}

void a_garbled_byte_is_counted_and_the_channel_made_anew(void **)
{
    const auto total = bytes_of_work();
    for (std::size_t at = 0; at < total; at++) {
        Pair p;
        p.garble_at = at;
        work(p);
        const bool noticed = !p.b.up;
        if (noticed && p.b.session.status().counters.frames_bad) {
            const auto c = p.b.session.status();
            assert_int_equal(c.counters.frames_bad, 1);
            assert_true(c.oper_flags & kInternalError);
            assert_true(p.b.logged("frame-bad"));
            p.connect();
        }
        // A length that grew waits for the rest until the frame is overdue.
        p.advance(10s);
        assert_true(noticed || !p.b.up);
        if (!p.a.up)
            p.connect();
        p.run();
        p.assert_same(p.a);
        assert_true(p.b.state == SyncState::InSync);
        assert_int_equal(p.b.session.status().oper_flags, 0);
        assert_true(p.b.session.status().counters.frames_bad + p.b.session.status().counters.keepalive_timeouts == 1);
    }
}

void bytes_come_one_by_one(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    for (int i = 0; i < 20000 && p.b.entries() < 2; i++) {
        p.move(p.a, 1);
        p.answer(p.b);
        p.move(p.b, 1);
    }
    p.run();
    p.assert_same(p.a);
}

// Rebuilds a stream of frames with a field more (an unknown one) and the last field of
// some bodies less, as a peer of the next or the previous version would send it.
Bytes skew(ByteView in, bool more)
{
    FrameReader reader;
    reader.append(in);
    SecretBuffer out;
    while (auto raw = reader.next()) {
        assert_true(raw->has_value());
        FrameWriter w(out, (*raw)->type);
        std::vector<Field> fields;
        FieldReader r((*raw)->body);
        for (Field f; r.next(f);)
            fields.push_back(f);
        const auto type = static_cast<frame::Type>((*raw)->type);
        for (const auto &f : fields) {
            // Fields that a first version could have lacked: inbound age, info, state of MIMP.
            const bool optional = f.id == 23 || f.id == 21 || f.id == 46 || f.id == 52;
            if (more || !optional)
                w.raw(f.whole);
        }
        if (more) {
            w.text(999, type == frame::Type::Entry ? "kept" : "skipped");
            w.u64(1000, 7);
        }
    }
    return Bytes(out.view().begin(), out.view().end());
}

void peers_with_one_field_more_or_less_run(void **)
{
    for (const bool more : {true, false}) {
        Pair p(config(0xa), config(0xb), false);
        p.role(p.a, true, false, 1);
        p.role(p.b, false, true, 1);
        p.tunnel(p.a, 1);
        p.connect();
        for (int i = 0; i < 200; i++) {
            for (auto *n : {&p.a, &p.b}) {
                if (!n->wire.empty()) {
                    const auto bytes = skew(Bytes(n->wire.begin(), n->wire.end()), more);
                    n->wire.clear();
                    p.step(p.peer(*n), ev::BytesIn{bytes});
                }
                p.move(*n);
                p.answer(*n);
            }
        }
        p.assert_same(p.a);
        assert_true(p.b.state == SyncState::InSync);
        assert_int_equal(p.b.session.status().counters.frames_bad, 0);
        // What this version does not know is kept and handed on.
        const auto *e = p.b.session.entry(kTag, ike(1));
        assert_int_equal(e->extra.size(), more ? 2 * kFieldHeader + 4 + 8 : 0);
    }
}

void a_new_frame_type_is_skipped(void **)
{
    Pair p;
    SecretBuffer out;
    {
        FrameWriter w(out, 200);
        w.text(1, kTag);
    }
    p.step(p.b, ev::BytesIn{out.view()});
    assert_int_equal(p.b.session.status().counters.frames_unknown, 1);
    assert_true(p.b.up);
    p.tunnel(p.a, 1);
    p.run();
    p.assert_same(p.a);
}

void another_record_format_is_refused_by_name(void **)
{
    Config c = config(0xb);
    c.app_version = "2.0";
    Pair p(config(0xa), std::move(c));
    assert_int_equal(p.a.session.status().oper_flags, kAppVersionMismatch | kConnectionDown);
    assert_true(p.a.state == SyncState::OutOfSync);
    assert_true(p.a.logged("version-mismatch"));

    Config minor = config(0xb);
    minor.app_version = "1.7";
    Pair q(config(0xa), std::move(minor));
    assert_true(q.a.state == SyncState::InSync);
    assert_string_equal(q.a.session.status().peer_app_version.c_str(), "1.7");

}

// Neighbouring versions of MCS run together; of two that cannot, each says so.
void the_lower_of_two_protocols_is_used_or_none(void **)
{
    static_assert(mcs_works(2, 1, 1, 0) && mcs_works(1, 0, 2, 1) && mcs_works(2, 1, 3, 2) && mcs_works(5, 1, 2, 1));
    static_assert(!mcs_works(2, 1, 4, 3) && !mcs_works(4, 3, 2, 1) && !mcs_works(2, 2, 1, 0) && !mcs_works(3, 0, 2, 1));
    const int own = kProtocol.mcs;
    for (int other = std::max(1, own - 3); other <= own + 3; other++) {
        Config c = config(0xb);
        c.protocol = static_cast<std::uint16_t>(other);
        c.protocol_oldest = static_cast<std::uint16_t>(std::max(1, other - 1));
        Pair p(config(0xa), std::move(c));
        const bool works = std::abs(other - own) <= 1;
        assert_int_equal(p.a.session.status().oper_flags, works ? 0 : kMcsVersionMismatch | kConnectionDown);
        assert_int_equal(p.b.session.status().oper_flags, works ? 0 : kMcsVersionMismatch | kConnectionDown);
        assert_int_equal(p.a.session.status().peer_protocol, works ? other : 0);
        assert_true(p.a.logged("version-mismatch") == !works);
    }
}

void a_channel_of_another_mimp_session_is_closed(void **)
{
    Pair p(config(0xa), config(0xb), false);
    p.a.up = p.b.up = true;
    p.step(p.a, ev::ChannelUp{true, 11, 22});
    p.step(p.b, ev::ChannelUp{false, 23, 11});
    p.quiesce();
    assert_false(p.a.session.status().oper_up);
    assert_false(p.b.session.status().oper_up);
}

void a_truncated_record_is_refused_and_nothing_else_lost(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    const auto before = p.b.session.status();
    // The stream is sound, the record in it is not: a CHILD_SA key of four bytes, no data.
    for (const int broken : {0, 1, 2}) {
        SecretBuffer out;
        {
            FrameWriter w(out, static_cast<std::uint8_t>(frame::Type::Entry));
            w.text(1, kTag);
            w.u64(2, 1);
            w.u64(4, p.b.session.status().counters.records_received + p.b.session.status().counters.deletes_received +
                         p.b.session.status().counters.records_bad + 2);  // the snapshot's end counts, too
            w.u64(5, 100);
            w.u8(14, 2);
            w.bytes(15, Bytes(broken == 0 ? 4u : 5u));
            w.u64(19, 1);
            w.u64(17, 1);
            w.u64(18, 1);
            if (broken != 1)
                w.bytes(16, ike(1).view());
            if (broken != 2)
                w.bytes(22, Bytes(10));
        }
        p.step(p.b, ev::BytesIn{out.view()});
    }
    const auto after = p.b.session.status();
    assert_int_equal(after.counters.records_bad - before.counters.records_bad, 3);
    assert_int_equal(after.local.entries, 2);
    assert_int_equal(after.local.alarmed, 3);
    assert_true(p.b.logged("record-bad"));
    assert_true(p.b.up && after.oper_up);
}

void silence_closes_the_channel(void **)
{
    Pair p;
    const auto end = p.now + 20s;
    while (p.now < end && !p.b.closed) {
        p.now += 100ms;
        p.a.wire.clear();  // nothing arrives
        for (auto *n : {&p.a, &p.b}) {
            n->write_pending = false;
            p.step(*n, ev::WriteReady{});
            if (n->session.deadline() <= p.now)
                p.step(*n, ev::Timer{});
        }
    }
    assert_true(p.b.closed);
    assert_int_equal(p.b.session.status().counters.keepalive_timeouts, 1);
    assert_true(p.b.state == SyncState::OutOfSync);
}

void events_for_unknown_things_are_counted(void **)
{
    Pair p;
    p.step(p.a, ev::GroupRole{"tag-9", {true, false, 1}, Mastership::Master});
    p.step(p.a, ev::ImportResult{kTag, ike(5), {}, ev::ImportOutcome::Installed, ""});
    p.step(p.a, ev::DeleteResult{kTag, ike(5), true, ""});
    p.step(p.a, ev::WriteReady{});
    p.step(p.a, ev::BytesIn{{}});
    p.step(p.a, ev::ChannelDown{0, ""});
    p.step(p.a, ev::ChannelDown{0, ""});
    assert_int_equal(p.a.session.status().counters.unknown_events, 3);
    p.b.up = false;
    p.step(p.b, ev::ChannelDown{0, ""});
    p.connect();
    p.run();
    assert_true(p.a.state == SyncState::InSync);
}

// A takeover came before an import, whose record is to replace what charon has. The CE
// changed that meanwhile: its change stays, and is the one that both have in the end.
void a_change_of_its_own_comes_before_a_replacement(void **)
{
    for (const auto &[changes, ahead] : {std::pair{true, 1}, {true, 2}, {true, 5}, {false, 1}, {false, 3}}) {
        Pair p;
        p.tunnel(p.a, 1);
        p.run();
        p.b.charon.broken = {"conn-1"};
        for (int i = 0; i < ahead; i++)
            p.upsert(p.a, ike(1));
        p.run();
        p.cut();
        p.b.charon.broken.clear();
        (changes ? p.b.charon.changing : p.b.charon.busy).insert(ike(1));
        p.b.charon.history.clear();
        p.role(p.b, true, false, 2);
        p.advance(70s);  // the failed import is tried again
        const auto tries = std::count(p.b.charon.history.begin(), p.b.charon.history.end(), "import " + ike(1).str());
        assert_int_equal(tries, changes ? 1 : 2);
        assert_int_equal(p.b.charon.sas[ike(1)].data.front(), changes ? 0xcc : 1 + ahead);
        assert_int_equal(p.b.session.entry(kTag, ike(1))->data.view().front(), changes ? 0xcc : 1 + ahead);
        assert_int_equal(p.b.charon.sas.size(), 2);  // the CHILD_SA is there
        p.role(p.a, false, true, 2);
        p.connect();
        p.run();
        p.assert_same(p.b);
    }
}

// Anything in any order: records, deletes, moves of CHILD_SAs, cuts, role changes, crashes,
// configuration that comes and goes, lost entries, odd chunks. Then quiet: all must be equal.
void random_operations_converge(void **)
{
    const char *env = std::getenv("MCS_RANDOM_RUNS");
    const int runs = env ? std::atoi(env) : 300;
    for (int run = 0; run < runs; run++) {
        std::mt19937 rng(static_cast<unsigned>(run));
        const auto pick = [&](std::uint32_t n) { return static_cast<std::uint32_t>(rng() % n); };
        Config ca = config(0xa), cb = config(0xb);
        if (pick(2))
            ca.window_entries = cb.window_entries = 1 + pick(6);
        if (pick(2))
            ca.import_window = cb.import_window = 1 + pick(3);
        if (pick(3) == 0)
            ca.max_tombstones = cb.max_tombstones = 3;
        Pair p(std::move(ca), std::move(cb));
        Node *master = &p.a;
        Generation g = 1;
        std::uint64_t epoch = 100;
        for (int op = 0; op < 250; op++) {
            Node &m = *master, &s = p.peer(m);
            const auto i = 1 + pick(12);
            switch (pick(20)) {
            case 0: case 1: case 2: case 3: p.upsert(m, ike(i)); break;
            case 4: case 5: case 6:
                if (m.charon.sas.count(ike(i)))
                    p.upsert(m, child(1 + pick(20)), ike(i));
                break;
            case 7:
                if (m.charon.sas.count(child(i)))
                    p.remove(m, child(i));
                break;
            case 8:
                if (m.charon.sas.count(ike(i))) {
                    std::vector<Key> kids;
                    for (const auto &[k, sa] : m.charon.sas)
                        if (sa.parent == ike(i))
                            kids.push_back(k);
                    for (const auto &k : kids)
                        p.remove(m, k);
                    p.remove(m, ike(i));
                }
                break;
            case 9:
                if (p.a.up)
                    p.cut();
                break;
            case 10: case 11:
                if (!p.a.up)
                    p.connect();
                break;
            case 12:
                p.move(m, 1 + pick(900));
                break;
            case 13:
                p.move(s, 1 + pick(100));
                break;
            case 14: p.answer(s); break;
            case 15: p.advance(std::chrono::milliseconds(pick(3000))); break;
            case 16: {  // switchover, planned or not: what did not arrive is the old master's alone
                if (pick(3))
                    p.advance(3s);
                g++;
                if (pick(2)) {
                    p.role(s, true, false, g);
                    p.role(m, false, true, g);
                } else {
                    p.role(m, false, true, g);
                    p.role(s, true, false, g);
                }
                master = &s;
                break;
            }
            case 17:
                if (pick(2)) {
                    s.charon.unloaded = {"conn-" + std::to_string(pick(4))};
                } else {
                    s.charon.unloaded.clear();
                    p.step(s, ev::ConfLoaded{});
                }
                break;
            case 18:
                if (pick(2)) {
                    p.step(s, ev::CharonDown{});
                    p.charon_up(s, true);
                } else {
                    p.cut();
                    s.restart(config(epoch++));
                    p.step(s, ev::GroupAdd{kTag, 1});
                    p.role(s, false, true, g);
                    p.charon_up(s);
                }
                break;
            case 19:
                p.role(pick(2) ? m : s, &m == master && pick(2), pick(2), g + pick(2));  // MIMP tells late or oddly
                p.role(m, true, false, g);
                p.role(s, false, true, g);
                break;
            }
        }
        Node &m = *master, &s = p.peer(m);
        for (auto *n : {&m, &s}) {
            n->charon.unloaded.clear();
            p.step(*n, ev::ConfLoaded{});
        }
        if (!p.a.up)
            p.connect();
        p.advance(200s);
        // The master's charon is complete: what came late to it was imported.
        if (m.session.status().local.installed != m.entries() || s.session.status().local.installed != s.entries() ||
            s.state != SyncState::InSync || m.state != SyncState::InSync || m.acked != m.plugin_seq ||
            m.entries() != m.charon.sas.size() || s.charon.sas != m.charon.sas)
            p.print_differences(m),
            print_message("run %d: master %zu/%zu standby %zu/%zu acked %zu of %zu\n", run, m.session.status().local.installed, m.entries(),
                          s.session.status().local.installed, s.entries(), m.acked, m.plugin_seq);
        assert_true(m.state == SyncState::InSync && s.state == SyncState::InSync);
        assert_int_equal(m.session.status().local.installed, m.entries());
        p.assert_same(m);
        assert_true(m.commit);
        assert_int_equal(s.session.status().counters.frames_bad, 0);
        assert_int_equal(m.session.status().groups[0].unacked, 0);
        const auto repaired = s.session.status().counters.audit_mismatches;
        p.advance(120s);
        assert_int_equal(s.session.status().counters.audit_mismatches, repaired);  // and audits agree
        p.tunnel(m, 40);
        p.run();
        p.assert_same(m);
        assert_int_equal(m.acked, m.plugin_seq);
    }
}

// The agent of the former master died, tunnels ended meanwhile, and the new one hears of the
// rest before its charon has said what it has.
void a_list_that_comes_after_the_snapshot_brings_nothing_back(void **)
{
    Pair p;
    for (std::uint32_t i = 1; i <= 20; i++)
        p.tunnel(p.a, i);
    p.run();
    p.cut();
    p.remove(p.a, child(5));
    p.remove(p.a, child(6));
    p.remove(p.a, ike(6));
    p.b.restart(config(0xbb));
    p.step(p.b, ev::GroupAdd{kTag, 1});
    p.step(p.b, ev::CharonUp{p.b.plugin_epoch});
    p.role(p.b, false, true, 1);
    p.connect();
    p.run();
    assert_int_equal(p.b.entries(), 37);
    p.local_snapshot(p.b);
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.b.session.status().counters.audit_mismatches, 0);
    p.local_snapshot(p.b);      // said again, it changes nothing
    p.run();
    p.assert_same(p.a);
}

// What the master has may be of no generation: it had it before it acted. And a list that comes
// again names what no snapshot named since.
void a_list_ends_nothing_that_the_master_has(void **)
{
    Pair p(config(0xa), config(0xb), false);
    for (std::uint32_t i = 1; i <= 20; i++)
        for (auto *n : {&p.a, &p.b})
            p.tunnel(*n, i);            // nobody acts: charon's own
    for (auto *n : {&p.a, &p.b})
        p.local_snapshot(*n);
    p.role(p.a, true, false, 1);
    p.role(p.b, false, true, 1);
    p.connect();
    p.run();
    p.assert_same(p.a);
    for (int round = 0; round < 2; round++) {
        p.cut();
        p.connect();
        p.run();
        p.local_snapshot(p.b);
        p.run();
        p.assert_same(p.a);
        assert_int_equal(p.b.entries(), 40);
    }
    p.charon_up(p.b, true);             // and another charon is filled
    p.run();
    p.assert_same(p.a);
    assert_int_equal(p.b.entries(), 40);
}

}  // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_that_comes_after_the_snapshot_brings_nothing_back),
        cmocka_unit_test(a_list_ends_nothing_that_the_master_has),
        cmocka_unit_test(loss_of_the_connection_at_every_byte),
        cmocka_unit_test(loss_during_the_snapshot_at_every_byte),
        cmocka_unit_test(a_garbled_byte_is_counted_and_the_channel_made_anew),
        cmocka_unit_test(bytes_come_one_by_one),
        cmocka_unit_test(peers_with_one_field_more_or_less_run),
        cmocka_unit_test(a_new_frame_type_is_skipped),
        cmocka_unit_test(another_record_format_is_refused_by_name), cmocka_unit_test(the_lower_of_two_protocols_is_used_or_none),
        cmocka_unit_test(a_channel_of_another_mimp_session_is_closed),
        cmocka_unit_test(a_truncated_record_is_refused_and_nothing_else_lost),
        cmocka_unit_test(silence_closes_the_channel),
        cmocka_unit_test(events_for_unknown_things_are_counted),
        cmocka_unit_test(a_change_of_its_own_comes_before_a_replacement),
        cmocka_unit_test(random_operations_converge),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
