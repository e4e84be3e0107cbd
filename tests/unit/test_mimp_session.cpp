// SPDX-License-Identifier: GPL-2.0-or-later
// Two MIMP sessions in virtual time: the seed's story, reach and loss, attacks on the link.
#include "unit/mimp_scene.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;
using enum Mastership;

namespace {

constexpr Duration kDetection = 3s;

void priority_decides_the_first_election(void **)
{
    World w;
    w.boot(0);
    w.boot(1);
    assert_true(w.is(Discovery, Discovery));
    assert_true(w.until([&] { return w.is(Master, Standby); }, 3s));
    assert_true(w.now - Time{} < 100ms);            // the handshake waits for no keep-alive
    assert_int_equal(w.last<SetState>(0)->step, 8);
    assert_int_equal(w.all<PeerReached>(0).size(), 1);
    w.run(100s);
    assert_true(w.is(Master, Standby));
    assert_int_equal(w.all<PeerLost>(0).size(), 0);
    assert_int_equal(w.counters(0).mastership_changes, 1);
    assert_int_equal(w.view(0).generation, w.view(1).generation);
}

void alone_after_discovery_interval(void **)
{
    World w;
    w.boot(0);
    w.run(30s - 1ms);
    assert_true(w.state(0) == Discovery);
    w.run(2ms);
    assert_true(w.state(0) == Eligible);
    assert_true(w.last<SetState>(0)->reason == Reason::DiscoveryExpired);

    World down;
    down.boot(0, false);
    down.run(31s);
    assert_true(down.state(0) == NotEligible);
    down.feed(0, OperChange{1, true, 1});
    assert_true(down.state(0) == Eligible);
}

void boot_interval_counts_once_a_kernel_boot(void **)
{
    World w;
    w.node[0].session = std::make_unique<Session>(w.node[0].config, w.node[0].auth, 5);
    w.node[0].session->step(OperChange{1, true, 1}, w.now);
    w.feed(0, Start{true});
    w.run(59s);
    assert_true(w.state(0) == Discovery);
    w.run(2s);
    assert_true(w.state(0) == Eligible);
}

void sticky_when_the_stronger_returns(void **)
{
    World w = running();
    w.kill(0);
    assert_true(w.until([&] { return w.state(1) == Eligible; }, 4s));
    w.boot(0);
    assert_true(w.state(0) == Discovery);
    assert_true(w.until([&] { return w.is(Standby, Master); }, 2s));
    assert_int_equal(w.last<SetState>(0)->step, 7);
    assert_int_equal(w.all<PeerRestarted>(1).size(), 1);
    w.run(60s);
    assert_true(w.is(Standby, Master));
}

void member_down_moves_mastership_and_it_stays(void **)
{
    World w = running();
    const Time before = w.now;
    const auto generation = w.view(1).generation;
    w.feed(0, OperChange{1, false, 0});
    assert_true(w.state(0) == NotEligible);         // at once: fenced before anybody hears
    assert_true(w.until([&] { return w.state(1) == Master; }, 1s));
    assert_true(w.now - before <= 10ms);
    assert_int_equal(w.last<SetState>(1)->step, 3);
    assert_true(w.view(1).generation > generation);
    w.feed(0, OperChange{1, true, 1});
    w.run(5s);
    assert_true(w.is(Standby, Master));
    w.feed(0, OperChange{1, false, 0});
    w.run(1s);
    assert_true(w.is(NotEligible, Master));
    w.feed(1, OperChange{1, false, 0});
    assert_int_equal(w.last<SetState>(1)->step, 5);
    w.run(5s);
    assert_true(w.is(NotEligible, NotEligible));
}

void fence_before_telling(void **)
{
    World w = running();
    w.forget();
    w.feed(0, OperChange{1, false, 0});
    std::size_t gate = 99, packet = 99;
    for (std::size_t i = 0; i < w.node[0].history.size(); ++i) {
        if (std::holds_alternative<SetState>(w.node[0].history[i].second))
            gate = std::min(gate, i);
        if (std::holds_alternative<SendPacket>(w.node[0].history[i].second))
            packet = std::min(packet, i);
    }
    assert_true(gate < packet && packet != 99);
}

void dead_peer_is_found_after_detection_not_before(void **)
{
    World w = running();
    w.run(10s);
    w.kill(0);
    const Time died = w.now;
    assert_true(w.until([&] { return w.state(1) == Eligible; }, 5s));
    assert_true(w.now - died <= kDetection);
    assert_true(w.now - died >= kDetection - 1s - 2ms);     // counted from our packet that was echoed last
    assert_true(w.last<SetState>(1)->reason == Reason::PeerLost);
}

void lease_has_ended_when_the_peer_takes_over(void **)
{
    for (unsigned hold : {2u, 3u, 10u, 25u}) {
        for (int phase = 0; phase < 40; ++phase) {
            World w([&](Config &c, int) { c.hold_on_neighbor_failure = hold; });
            w.boot(0);
            w.run(std::chrono::milliseconds(17 * phase));
            w.boot(1);
            assert_true(w.until([&] { return w.is(Master, Standby); }, 4s));
            w.run(5s + std::chrono::milliseconds(37 * phase));
            w.node[0].hung = true;                          // SIGSTOP: its gate stays as it is
            assert_true(w.until([&] { return w.state(1) == Eligible; }, 60s));
            assert_true(w.node[0].lease < w.now);
            assert_false(w.node[0].open(1, w.now));
        }
    }
}

void lease_never_lapses_in_peace_nor_when_the_standby_dies(void **)
{
    for (unsigned hold : {2u, 3u, 7u}) {
        World w([&](Config &c, int) { c.hold_on_neighbor_failure = hold; });
        bool gap = false;
        w.boot(0);
        w.boot(1);
        assert_true(w.until([&] { return w.is(Master, Standby); }, 4s));
        Time previous = w.node[0].lease;
        w.after_step = [&] {
            gap |= w.now >= previous && acting_master(w.state(0));
            previous = w.node[0].lease;
        };
        w.run(50s);
        w.kill(1);
        w.run(50s);
        assert_true(w.state(0) == Eligible);
        assert_false(gap);
        assert_int_equal(w.counters(0).stalls, 0);
    }
}

// The peer's last words get lost, but one: what the standby has sent since vouches only for what it
// heard before. It takes over all the same, and does not think that it was asleep.
void a_master_that_dies_with_a_lost_packet_is_succeeded(void **)
{
    for (unsigned hold : {2u, 3u})
        for (int lost = 0; lost < 3; ++lost)
            for (int phase = 0; phase < 60; ++phase) {
                World w([&](Config &c, int) { c.hold_on_neighbor_failure = hold; });
                w.boot(0);
                w.run(std::chrono::milliseconds(70 * (phase % 15)));
                w.boot(1);
                assert_true(w.until([&] { return w.is(Master, Standby); }, 4s));
                int left = lost;
                w.drop = [&](int from, const Bytes &) { return from == 0 && w.now >= Time{} + 10s && left-- > 0; };
                assert_true(w.now < Time{} + 10s);
                w.run(Time{} + 10s - w.now + std::chrono::milliseconds(50 * phase));
                w.kill(0);
                assert_true(w.until([&] { return w.state(1) == Eligible; }, 10s));
                assert_int_equal(w.counters(1).stalls, 0);
            }
}

void a_node_that_was_asleep_does_not_reopen(void **)
{
    World w = running();
    w.run(5s);
    w.node[0].hung = true;
    w.run(20s);
    assert_true(w.state(1) == Eligible);
    w.node[0].hung = false;
    bool both = false;
    w.after_step = [&] { both |= w.node[0].open(1, w.now) && w.node[1].open(1, w.now); };
    w.feed(0, Timer{});                             // the timer comes before the waiting packets
    assert_true(w.state(0) == Discovery);
    assert_true(w.until([&] { return w.is(Standby, Master); }, 3s));
    w.run(10s);
    assert_false(both);
    assert_int_equal(w.counters(0).stalls, 1);
}

void a_standby_that_was_asleep_does_not_take_over(void **)
{
    World w = running();
    w.run(5s);
    w.node[1].hung = true;
    w.run(20s);
    assert_true(w.state(0) == Eligible);
    w.node[1].hung = false;
    w.feed(1, Timer{});
    assert_false(acting_master(w.state(1)));
    assert_true(w.until([&] { return w.is(Master, Standby); }, 3s));
    assert_int_equal(w.counters(0).mastership_changes, 1);
}

void one_way_link_is_noticed_on_both_sides(void **)
{
    World w = running();
    w.drop = [](int from, const Bytes &) { return from == 0; };     // only 1 -> 0 works
    const Time cut = w.now;
    assert_true(w.until([&] { return !w.node[0].session->reached() && !w.node[1].session->reached(); }, 10s));
    assert_true(w.now - cut <= kDetection + 10ms);
    assert_true(w.is(Eligible, Eligible));                          // without peer: as the seed says
    w.drop = [](int, const Bytes &) { return false; };
    assert_true(w.until([&] { return w.is(Master, Standby); }, 3s));    // steps 8-13 heal it
    assert_int_equal(w.view(0).generation, w.view(1).generation);
}

void losses_below_detection_change_nothing(void **)
{
    World w = running();
    std::uint32_t random = 1;
    w.drop = [&](int, const Bytes &) { return (random = random * 1664525 + 1013904223) >> 16 < 13000; };   // a fifth
    w.run(1000s);
    assert_true(w.is(Master, Standby));
    assert_int_equal(w.all<PeerLost>(0).size() + w.all<PeerLost>(1).size(), 0);
}

void heal_takes_the_maximum_generation(void **)
{
    World w = running();
    w.drop = [](int, const Bytes &) { return true; };
    w.run(10s);
    assert_true(w.is(Eligible, Eligible));
    for (int i = 0; i < 5; ++i) {                   // the weaker one changes often meanwhile
        w.feed(1, OperChange{1, false, 0});
        w.feed(1, OperChange{1, true, 1});
    }
    const auto g0 = w.view(0).generation, g1 = w.view(1).generation;
    assert_true(g1 > g0);
    assert_true((g0 & 1) != (g1 & 1));              // a generation names its owner
    w.drop = [](int, const Bytes &) { return false; };
    assert_true(w.until([&] { return w.is(Master, Standby); }, 3s));
    w.run(1s);
    assert_true(w.view(0).generation > g1);
    assert_int_equal(w.view(0).generation, w.view(1).generation);
}

void changes_count_only_from_the_acting_master(void **)
{
    World w = running();
    w.run(1s);
    auto &master = *w.node[0].session, &standby = *w.node[1].session;
    const auto g = master.role(1).generation;
    assert_true(master.role(1) == (Role{true, false, g}));
    assert_true(standby.role(1) == (Role{false, true, g}));
    assert_true(standby.role(7) == Role{});
    assert_true(judge_change(standby.role(1), g) == Verdict::Take);
    assert_true(judge_change(standby.role(1), g - 1) == Verdict::OtherGeneration);
    assert_true(judge_change(standby.role(1), g + 2) == Verdict::OtherGeneration);
    assert_true(judge_change(standby.role(7), g) == Verdict::NotActing);
    assert_true(judge_change(master.role(1), g) == Verdict::NotActing);
    assert_true(judge_proposal(master.role(1), g) == Verdict::Take);
    assert_true(judge_proposal(master.role(1), g + 1) == Verdict::OtherGeneration);
    assert_true(judge_proposal(standby.role(1), g) == Verdict::NotActing);
    w.feed(0, OperChange{1, false, 0});
    w.run(1s);
    const auto next = standby.role(1).generation;
    assert_true(next > g);
    assert_true(judge_change(standby.role(1), g) == Verdict::NotActing);
    assert_true(judge_change(master.role(1), g) == Verdict::OtherGeneration);
    assert_true(judge_change(master.role(1), next) == Verdict::Take);
    // Nobody is heard any more: both are as they are, and take nothing.
    w.drop = [](int, const Bytes &) { return true; };
    w.run(10s);
    assert_true(judge_change(master.role(1), next) == Verdict::NotActing);
    assert_false(listens(standby.role(1)));
}

void groups_are_decided_alone(void **)
{
    World w([](Config &c, int i) {
        c.groups = {GroupConfig{1, 1, static_cast<std::uint8_t>(i ? 150 : 200), false},
                    GroupConfig{static_cast<GroupId>(i ? 20 : 2), static_cast<GroupId>(i ? 2 : 20),
                                static_cast<std::uint8_t>(i ? 200 : 150), false}};
    });
    w.boot(0);
    w.boot(1);
    w.run(2s);
    assert_true(w.is(Master, Standby));
    assert_true(w.state(0, 2) == Standby && w.state(1, 20) == Master);
    w.feed(0, OperChange{1, false, 0});
    w.run(1s);
    assert_true(w.is(NotEligible, Master));
    assert_true(w.state(0, 2) == Standby && w.state(1, 20) == Master);
}

void a_group_that_the_peer_lacks_is_alone(void **)
{
    World w([](Config &c, int i) {
        if (i == 0)
            c.groups.push_back(GroupConfig{9, 9, 100, false});
        else
            c.groups.push_back(GroupConfig{5, 6, 100, false});
    });
    w.boot(0);
    w.boot(1);
    w.run(5s);
    assert_true(w.is(Master, Standby));
    assert_true(w.state(0, 9) == Discovery);
    w.run(30s);
    assert_true(w.state(0, 9) == Eligible);
    assert_true(w.counters(0).bad_group > 0);
}

void tie_by_members_then_by_address(void **)
{
    World w([](Config &c, int) { c.groups[0].priority = 100; });
    w.boot(0);
    w.boot(1);
    w.feed(0, OperChange{1, true, 2});
    w.run(2s);
    assert_true(w.is(Master, Standby));
    assert_int_equal(w.last<SetState>(0)->step, 10);
    World v([](Config &c, int) { c.groups[0].priority = 100; });
    v.boot(0);
    v.boot(1);
    v.run(2s);
    assert_true(v.is(Standby, Master));             // 192.0.2.2 is the higher
    assert_int_equal(v.last<SetState>(1)->step, 12);
}

// ------------------------------------------------------------------ BFD

void bfd_down_makes_both_eligible(void **)
{
    World w = with_bfd();
    w.feed(1, BfdDown{});
    assert_true(w.state(1) == Eligible);
    assert_true(w.last<PeerLost>(1)->bfd);
    w.feed(0, BfdDown{});
    w.run(10s);
    assert_true(w.is(Eligible, Eligible));
    w.feed(0, BfdUp{});
    w.feed(1, BfdUp{});
    assert_true(w.until([&] { return w.is(Master, Standby); }, 3s));
}

void bfd_admin_down_is_no_failure(void **)
{
    World w = with_bfd();
    w.feed(1, BfdAdminDown{});
    w.run(10s);
    assert_true(w.is(Master, Standby));
    w.kill(0);                                      // MIMP still detects
    w.run(4s);
    assert_true(w.state(1) == Eligible);
}

void bfd_never_up_ends_eligible_as_the_seed_says(void **)
{
    World w([](Config &c, int) { c.bfd_enable = true; });
    w.boot(0);
    w.boot(1);
    w.run(31s);
    assert_true(w.is(Eligible, Eligible));
}

void bfd_grace_for_a_short_discovery(void **)
{
    World w([](Config &c, int) { c.bfd_enable = true; c.discovery_interval = 1s; });
    w.boot(0);
    w.run(30s);
    assert_true(w.state(0) == Eligible);
    w.boot(1);
    w.run(4s);                                      // discovery is over, but BFD only comes up
    assert_true(w.state(1) == Discovery);
    w.feed(1, BfdUp{});
    w.feed(0, BfdUp{});
    w.run(1s);
    assert_true(w.is(Master, Standby));
}

// ------------------------------------------------------------------ admin

void group_shutdown_hands_service_to_the_peer(void **)
{
    World w = running();
    w.feed(0, AdminChange{1, false});
    assert_true(w.state(0) == NotEligible);
    w.run(1s);
    assert_true(w.is(NotEligible, Master));
    w.forget();
    w.feed(0, AdminChange{1, true});
    assert_true(w.all<SetState>(0)[0].new_state == Discovery);     // and on, for the peer is reached
    w.run(1s);
    assert_true(w.is(Standby, Master));
}

void shut_group_works_alone_without_a_peer(void **)
{
    World w([](Config &c, int) { c.groups[0].shutdown = true; });
    w.boot(0);
    w.run(kDetection + 1ms);
    assert_true(w.state(0) == Eligible);            // no discovery-interval
    w.boot(1);                                      // shut as well: still only one serves
    w.run(10s);
    assert_int_equal(acting_master(w.state(0)) + acting_master(w.state(1)), 1);
    w.feed(1, AdminChange{1, true});                // the one that takes part wins
    w.run(2s);
    assert_true(w.is(NotEligible, Master));
}

void reconfiguration_touches_only_what_changed(void **)
{
    World w = running();
    w.forget();
    Config c = w.node[0].config;
    c.groups[0].priority = 10;
    c.groups.push_back(GroupConfig{4, 4, 100, false});
    w.feed(0, Reconfigure{c});
    w.run(5s);
    assert_true(w.is(Master, Standby));             // sticky
    assert_true(w.state(0, 4) == Discovery);
    assert_int_equal(w.view(1).peer.priority, 10);
    c.groups.erase(c.groups.begin());
    w.feed(0, Reconfigure{c});
    assert_true(w.state(0) == Discovery);
    assert_true(w.last<SetState>(0)->reason == Reason::Removed);
    w.run(1s);
    assert_true(w.state(1) == Eligible);
}

void bfd_is_turned_on_and_off_at_run_time(void **)
{
    World w = running();
    const auto moved = [&] {
        int n = 0;
        for (int i : {0, 1})
            for (const auto &s : w.all<SetState>(i))
                n += s.old_state != s.new_state;
        return n;
    };
    const auto turn = [&](bool on) {
        for (int i : {0, 1}) {
            Config c = w.node[i].config;
            c.bfd_enable = on;
            w.node[i].config = c;
            w.feed(i, Reconfigure{c});
        }
    };
    w.forget();
    turn(true);                                     // it is not up yet: that is no failure
    w.run(20s);
    assert_true(w.is(Master, Standby));
    assert_int_equal(moved(), 0);
    w.feed(0, BfdUp{});
    w.feed(1, BfdUp{});
    w.run(5s);
    w.feed(1, BfdDown{});                           // now it is one
    w.run(1s);
    assert_true(w.state(1) == Eligible);
    w.feed(1, BfdUp{});
    w.run(5s);
    assert_true(w.is(Master, Standby));
    w.run(60s);                                     // longer than any lease by keep-alives
    w.forget();
    turn(false);
    w.run(20s);
    assert_true(w.is(Master, Standby));
    assert_int_equal(moved(), 0);
    assert_int_equal(w.node[0].session->snapshot().counters.stalls, 0);
    assert_true(w.node[0].lease != kNever && w.node[0].lease > w.now);
    w.kill(0);                                      // detection is the keep-alives' again
    w.run(kDetection + 1s);
    assert_true(w.state(1) == Eligible);
}

// ------------------------------------------------------------------ planned restart

// ------------------------------------------------------------------ attacks

struct Tap {
    std::vector<std::pair<int, Bytes>> packets;
    explicit Tap(World &w)
    {
        w.drop = [this](int from, const Bytes &b) {
            packets.emplace_back(from, b);
            return false;
        };
    }
};

void forged_packet(void **)
{
    World w = running();
    Tap tap(w);
    w.run(2s);
    const Bytes good = tap.packets.back().second;
    const int to = 1 - tap.packets.back().first;
    for (std::size_t i = 0; i < good.size(); ++i) {
        Bytes bad = good;
        bad[i] ^= i ? 1 : bad[0];   // version 0
        w.feed(to, PacketIn{bad, w.node[1 - to].config.own});
    }
    const auto c = w.counters(to);
    assert_int_equal(c.bad_mac + c.bad_length + c.bad_version, good.size());
    assert_int_equal(c.bad_version, 1);
    assert_int_equal(c.bad_length, 2);      // the two bytes of the total length
    w.run(5s);
    assert_true(w.is(Master, Standby));
}

void truncated_at_every_length(void **)
{
    World w = running();
    Tap tap(w);
    w.run(2s);
    const Bytes good = tap.packets.back().second;
    const int to = 1 - tap.packets.back().first;
    for (std::size_t n = 0; n < good.size(); ++n)
        w.feed(to, PacketIn{ByteView(good).first(n), w.node[1 - to].config.own});
    assert_int_equal(w.counters(to).bad_length, good.size());
    Bytes longer = good;
    longer.push_back(0);
    w.feed(to, PacketIn{longer, w.node[1 - to].config.own});
    assert_int_equal(w.counters(to).bad_length, good.size() + 1);
}

void wrong_source_is_dropped_before_the_hmac(void **)
{
    World w = running();
    Tap tap(w);
    w.run(2s);
    const auto before = w.counters(1);
    Bytes garbage(200, 0xaa);
    w.feed(1, PacketIn{garbage, address("203.0.113.7")});
    w.feed(1, PacketIn{tap.packets.back().second, address("203.0.113.7")});
    assert_int_equal(w.counters(1).bad_source, before.bad_source + 2);
    assert_int_equal(w.counters(1).bad_mac, before.bad_mac);
    assert_int_equal(w.counters(1).rx, before.rx);
}

void replayed_packet(void **)
{
    World w = running();
    Tap tap(w);
    w.run(5s);
    const auto before = w.counters(1);
    int fed = 0;
    for (const auto &[from, b] : tap.packets) {
        if (from != 0)
            continue;
        w.feed(1, PacketIn{b, w.node[0].config.own});
        ++fed;
    }
    assert_true(fed > 3);
    // The newest may still be in flight, the others were all heard.
    assert_true(w.counters(1).replayed >= before.replayed + static_cast<std::uint64_t>(fed) - 1);
    w.run(1s);
    assert_true(w.is(Master, Standby));
}

void reflected_packet(void **)
{
    World w = running();
    Tap tap(w);
    w.run(5s);
    for (const auto &[from, b] : std::vector(tap.packets))
        w.feed(from, PacketIn{b, w.node[1 - from].config.own});     // back to its sender
    assert_true(w.counters(0).bad_mac > 3);                         // each way has its own key
    assert_int_equal(w.counters(0).own_epoch, 0);
}

void old_epoch_replayed_does_not_touch_the_live_session(void **)
{
    World w = running();
    Tap tap(w);
    w.run(5s);
    const auto old = tap.packets;                   // node 0's first life, acting master
    w.kill(0);
    w.run(5s);
    w.boot(0);
    w.run(5s);
    assert_true(w.is(Standby, Master));
    const auto live = SessionProbe::live_epoch(*w.node[1].session);
    const auto before = w.counters(1);
    for (const auto &[from, b] : old) {
        if (from == 0) {
            w.feed(1, PacketIn{b, w.node[0].config.own});
            w.run(10ms);
        }
    }
    assert_true(w.counters(1).unknown_epoch > before.unknown_epoch + 3);
    assert_int_equal(SessionProbe::live_epoch(*w.node[1].session), live);
    assert_true(w.node[1].session->reached());
    w.run(20s);
    assert_true(w.is(Standby, Master));
    assert_int_equal(w.counters(1).mastership_changes, before.mastership_changes);
}

// Replayed all the time, faster than keep-alives: the live session must not starve.
void flood_of_old_packets(void **)
{
    World w = running();
    Tap tap(w);
    w.run(5s);
    const auto old = tap.packets;
    w.kill(0);
    w.run(5s);
    w.boot(0);
    w.run(5s);
    w.forget();
    for (int i = 0; i < 3000; ++i) {
        const auto &[from, b] = old[static_cast<std::size_t>(i) % old.size()];
        w.feed(1 - from, PacketIn{b, w.node[from].config.own});
        w.run(10ms);
    }
    assert_true(w.is(Standby, Master));
    assert_int_equal(w.all<PeerLost>(0).size() + w.all<PeerLost>(1).size(), 0);
}

void replay_to_a_fresh_node_reaches_nothing(void **)
{
    World w = running();
    Tap tap(w);
    w.run(5s);
    const auto old = tap.packets;
    w.kill(0);
    w.kill(1);
    w.run(10s);
    w.flights.clear();
    w.boot(1);                                      // its peer is gone, an attacker replays it
    for (const auto &[from, b] : old)
        if (from == 0)
            w.feed(1, PacketIn{b, w.node[0].config.own});
    w.run(20s);
    assert_false(w.node[1].session->reached());
    assert_true(w.state(1) == Discovery);
    w.run(11s);
    assert_true(w.state(1) == Eligible);
}

void quick_restart_replaces_the_session(void **)
{
    World w = running();
    w.kill(0);
    w.run(200ms);
    w.boot(0);                                      // faster than detection: a crash, gates closed
    assert_true(w.until([&] { return !w.all<PeerRestarted>(1).empty(); }, 1s));
    w.run(2s);
    assert_int_equal(acting_master(w.state(0)) + acting_master(w.state(1)), 1);
    assert_true(w.is(Master, Standby));             // nobody was acting: priority decides
}

void unexpected_events_are_counted(void **)
{
    World w = running();
    w.feed(0, BfdUp{});                             // without bfd-enable
    w.feed(0, OperChange{77, true, 1});
    w.feed(0, HandoverExported{1, 5});
    w.feed(0, HandoverImported{1, 5});
    w.feed(0, HandoverPrepared{1, 5});
    w.feed(0, Start{});
    assert_int_equal(w.counters(0).unexpected_event, 6);
    assert_true(w.is(Master, Standby));
    Session idle(w.node[0].config, w.node[0].auth, 3);
    idle.step(Timer{}, w.now);
    assert_int_equal(idle.snapshot().counters.unexpected_event, 1);
}

void clock_skew_is_measured(void **)
{
    World w = running();
    w.node[0].session->set_wall_offset(1'700'000'000'000'000'000);
    w.node[1].session->set_wall_offset(1'700'000'000'000'000'000 + 5'000'000'000);
    w.run(5s);
    const auto s = w.node[0].session->snapshot();
    assert_true(s.clock_skew_ns.has_value());
    assert_in_range(*s.clock_skew_ns, 4'998'000'000, 5'002'000'000);
    assert_int_equal(s.rtt.count(), 2'000'000);
    assert_int_equal(s.session_id, w.node[1].session->snapshot().session_id);
    assert_int_equal(s.peer_version, kProtocol.mimp);
    const bool said = kProtocol.mimp > 1;
    assert_true(s.peer_mcs == (said ? kProtocol.mcs : 0) && s.peer_mcs_oldest == (said ? kProtocol.mcs_oldest : 0));
}

void a_bad_configuration_is_refused(void **)
{
    const Config good = World().node[0].config;
    assert_true(Session::validate(good).has_value());
    const auto refused = [&](auto change) {
        Config c = good;
        change(c);
        return !Session::validate(c).has_value();
    };
    assert_true(refused([](Config &c) { c.peer = c.own; }));
    assert_true(refused([](Config &c) { c.peer = address("2001:db8::1"); }));
    assert_true(refused([](Config &c) { c.keep_alive_interval = 49ms; }));
    assert_true(refused([](Config &c) { c.keep_alive_interval = 51s; }));
    assert_true(refused([](Config &c) { c.hold_on_neighbor_failure = 1; }));
    assert_true(refused([](Config &c) { c.hold_on_neighbor_failure = 26; }));
    assert_true(refused([](Config &c) { c.discovery_interval = 0s; }));
    assert_true(refused([](Config &c) { c.discovery_interval_boot = 1801s; }));
    assert_true(refused([](Config &c) { c.groups.push_back(c.groups[0]); }));
    assert_true(refused([](Config &c) { c.groups.push_back(GroupConfig{2, 1, 100, false}); }));
    assert_true(refused([](Config &c) { c.groups[0].id = 0; }));
    assert_true(refused([](Config &c) { c.lease_guard = 1ms; }));
    assert_true(refused([](Config &c) { c.lease_guard = 2500ms; }));
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(priority_decides_the_first_election),
        cmocka_unit_test(alone_after_discovery_interval),
        cmocka_unit_test(boot_interval_counts_once_a_kernel_boot),
        cmocka_unit_test(sticky_when_the_stronger_returns),
        cmocka_unit_test(member_down_moves_mastership_and_it_stays),
        cmocka_unit_test(fence_before_telling),
        cmocka_unit_test(dead_peer_is_found_after_detection_not_before),
        cmocka_unit_test(lease_has_ended_when_the_peer_takes_over),
        cmocka_unit_test(lease_never_lapses_in_peace_nor_when_the_standby_dies),
        cmocka_unit_test(a_master_that_dies_with_a_lost_packet_is_succeeded),
        cmocka_unit_test(a_node_that_was_asleep_does_not_reopen),
        cmocka_unit_test(a_standby_that_was_asleep_does_not_take_over),
        cmocka_unit_test(one_way_link_is_noticed_on_both_sides),
        cmocka_unit_test(losses_below_detection_change_nothing),
        cmocka_unit_test(heal_takes_the_maximum_generation),
        cmocka_unit_test(changes_count_only_from_the_acting_master),
        cmocka_unit_test(groups_are_decided_alone),
        cmocka_unit_test(a_group_that_the_peer_lacks_is_alone),
        cmocka_unit_test(tie_by_members_then_by_address),
        cmocka_unit_test(bfd_down_makes_both_eligible),
        cmocka_unit_test(bfd_admin_down_is_no_failure),
        cmocka_unit_test(bfd_never_up_ends_eligible_as_the_seed_says),
        cmocka_unit_test(bfd_grace_for_a_short_discovery),
        cmocka_unit_test(group_shutdown_hands_service_to_the_peer),
        cmocka_unit_test(shut_group_works_alone_without_a_peer),
        cmocka_unit_test(reconfiguration_touches_only_what_changed),
        cmocka_unit_test(bfd_is_turned_on_and_off_at_run_time),
        cmocka_unit_test(forged_packet),
        cmocka_unit_test(truncated_at_every_length),
        cmocka_unit_test(wrong_source_is_dropped_before_the_hmac),
        cmocka_unit_test(replayed_packet),
        cmocka_unit_test(reflected_packet),
        cmocka_unit_test(old_epoch_replayed_does_not_touch_the_live_session),
        cmocka_unit_test(flood_of_old_packets),
        cmocka_unit_test(replay_to_a_fresh_node_reaches_nothing),
        cmocka_unit_test(quick_restart_replaces_the_session),
        cmocka_unit_test(unexpected_events_are_counted),
        cmocka_unit_test(clock_skew_is_measured),
        cmocka_unit_test(a_bad_configuration_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
