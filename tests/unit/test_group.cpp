// SPDX-License-Identifier: GPL-2.0-or-later
// Members, VRRP priority events and rekey pacing.
#include <algorithm>

#include "core/group/held_output.hpp"
#include "core/group/plugin_acks.hpp"
#include "core/group/members.hpp"
#include "core/group/rekey_pacer.hpp"
#include "core/group/vrrp_policy.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::group;

namespace {

Time at(Duration d) { return Time{} + d; }

MemberHealth member(std::string name, std::vector<std::string> faults = {})
{
    MemberHealth m;
    m.name = std::move(name);
    m.faults = std::move(faults);
    return m;
}

void members_need_every_condition(void **)
{
    assert_true(member("1/2").healthy());
    auto m = member("1/2");
    m.admin_up = false;
    assert_false(m.healthy());
    assert_string_equal(m.why_not().c_str(), "shutdown");
    m.faults = {"cpu 3 offline", "track-file /f says 0"};
    assert_string_equal(m.why_not().c_str(), "shutdown, cpu 3 offline, track-file /f says 0");
    m.admin_up = true;
    assert_false(m.healthy());
}

void oper_up_needs_the_active_number(void **)
{
    std::vector<MemberHealth> m{member("1/1"), member("1/2"), member("2/1")};
    auto v = judge(m, 2, true);
    assert_true(v.oper_up);
    assert_int_equal(v.active, 2);
    assert_int_equal(v.primary.size(), 3);
    assert_int_equal(v.backup.size(), 1);
    assert_string_equal(v.backup[0].c_str(), "2/1");
    assert_string_equal(v.reason.c_str(), "");
    m[0].admin_up = false;                  // the backup replaces it
    v = judge(m, 2, true);
    assert_true(v.oper_up);
    assert_string_equal(v.active_members[1].c_str(), "2/1");
    assert_int_equal(v.backup.size(), 0);
    m[1].faults = {"cpu 3 offline"};
    v = judge(m, 2, true);
    assert_false(v.oper_up);
    assert_int_equal(v.active, 1);
    assert_string_equal(v.reason.c_str(), "mda 1/1: shutdown, mda 1/2: cpu 3 offline");
    v = judge({member("1/1")}, 1, false);
    assert_false(v.oper_up);
    assert_int_equal(v.active, 0);
    assert_int_equal(v.active_members.size(), 0);
    assert_false(judge({}, 1, true).oper_up);
    assert_string_equal(judge({member("1/1")}, 2, true).reason.c_str(), "fewer members than active-mda-number");
}

constexpr int kBase = -1;   // no event set
int priority(VrrpPolicy &p, Time now) { return p.evaluate(now).explicit_priority.value_or(kBase); }

void event_is_set_until_the_group_forwards(void **)
{
    VrrpPolicy p({{1, 50, 0ns, 0ns}});
    assert_int_equal(p.non_forwarding().value(), 50);
    assert_int_equal(priority(p, at(0s)), 50);          // unknown is non-forwarding
    p.set_forwarding(1, true, at(1s));
    assert_int_equal(priority(p, at(1s)), kBase);
    p.set_forwarding(1, false, at(2s));
    assert_int_equal(priority(p, at(2s)), 50);
}

void lowest_event_wins(void **)
{
    VrrpPolicy p({{1, 50, 0ns, 0ns}, {2, 0, 0ns, 0ns}});
    assert_int_equal(priority(p, at(0s)), 0);
    p.set_forwarding(2, true, at(1s));
    assert_int_equal(priority(p, at(1s)), 50);
    p.set_forwarding(1, true, at(1s));
    assert_int_equal(priority(p, at(1s)), kBase);
    VrrpPolicy none({});
    assert_int_equal(priority(none, at(0s)), kBase);
    assert_false(none.non_forwarding().has_value());
}

void holds_delay_both_ways(void **)
{
    VrrpPolicy p({{1, 50, 3s, 5s}});
    p.set_forwarding(1, false, at(9s));
    p.set_forwarding(1, true, at(10s));
    auto out = p.evaluate(at(10s));
    assert_int_equal(out.explicit_priority.value_or(kBase), 50);
    assert_true(out.deadline == at(15s));
    assert_int_equal(priority(p, at(15s)), kBase);
    p.set_forwarding(1, false, at(20s));
    assert_int_equal(priority(p, at(22s)), kBase);
    p.set_forwarding(1, true, at(22s));                 // came back within hold-set
    assert_int_equal(priority(p, at(30s)), kBase);
    p.set_forwarding(1, false, at(31s));
    assert_int_equal(priority(p, at(34s)), 50);
}

void what_is_said_first_is_not_held(void **)
{
    VrrpPolicy p({{1, 50, 3s, 5s}, {2, 60, 3s, 5s}});
    p.set_forwarding(1, true, at(1s));
    assert_int_equal(priority(p, at(1s)), 60);          // nothing is known of the other
    p.set_forwarding(2, true, at(1s));
    assert_int_equal(priority(p, at(1s)), kBase);
    p.set_forwarding(1, false, at(2s));
    assert_int_equal(priority(p, at(3s)), kBase);
    assert_int_equal(priority(p, at(5s)), 50);
}

void a_changed_policy_goes_on_where_the_old_one_was(void **)
{
    VrrpPolicy old({{1, 50, 3s, 5s}});
    old.set_forwarding(1, true, at(1s));
    VrrpPolicy p({{1, 40, 10s, 5s}, {2, 45, 10s, 5s}});
    p.take_over(old);
    p.set_forwarding(1, true, at(2s));
    p.set_forwarding(2, true, at(2s));
    assert_int_equal(priority(p, at(2s)), kBase);
    p.set_forwarding(1, false, at(3s));
    assert_int_equal(priority(p, at(12s)), kBase);
    assert_int_equal(priority(p, at(13s)), 40);
}

Bytes key(std::uint8_t n) { return {0, 0, 0, n, 50}; }

void what_comes_late_is_rekeyed_too(void **)
{
    RekeyPace pace;
    pace.jitter = 0ns;
    RekeyPacer p(pace, 1);
    p.start({{1}}, Time{});
    assert_true(p.add({2}, Time{}));
    assert_false(p.add({2}, Time{}));
    assert_int_equal(p.progress().total, 2);
    auto due = p.due(Time{10s});
    for (const auto &more : p.due(Time{20s}))
        due.push_back(more);
    assert_int_equal(due.size(), 2);
    p.start_held({{1}});
    p.add({2}, Time{});
    assert_true(p.held().size() == 2 && p.due(Time{30s}).empty());
}

void pace_and_in_flight_are_kept(void **)
{
    RekeyPace pace;
    pace.rate = 10;
    pace.jitter = 0ns;
    pace.in_flight = 3;
    RekeyPacer p(pace, 1);
    p.start({key(1), key(2), key(3), key(4), key(5)}, at(0s));
    std::vector<Bytes> got;
    Time now = at(0s);
    while (p.deadline() < at(1s)) {
        now = std::max(now, p.deadline());
        for (auto &k : p.due(now))
            got.push_back(k);
    }
    assert_int_equal(got.size(), 3);                    // in-flight limit
    assert_true(now == at(200ms));                      // 10 a second
    p.finished(key(1));
    assert_int_equal(p.due(at(2s)).size(), 1);
    auto pr = p.progress();
    assert_int_equal(pr.total, 5);
    assert_int_equal(pr.done, 1);
    assert_int_equal(pr.in_flight, 3);
    assert_int_equal(pr.pending, 1);
}

// The exchange that is in the way may be repeated for minutes: its peer is away.
void busy_is_retried_for_as_long_as_it_lasts(void **)
{
    RekeyPace pace;
    pace.jitter = 0ns;
    pace.attempts = 2;
    RekeyPacer p(pace, 7);
    p.start({key(1)}, at(0s));
    Time now = at(0s);
    for (int i = 0; i < 100; i++, now += 5s) {
        assert_int_equal(p.due(now).size(), 1);
        p.busy(key(1), now);
        assert_int_equal(p.due(now + 1s).size(), 0);
        assert_true(p.deadline() == now + 5s);
    }
    assert_int_equal(p.progress().pending, 1);
    assert_int_equal(p.progress().failed, 0);
}

void silence_is_given_up(void **)
{
    RekeyPace pace;
    pace.jitter = 0ns;
    pace.attempts = 2;
    pace.timeout = 10s;
    RekeyPacer p(pace, 7);
    p.start({key(1)}, at(0s));
    assert_int_equal(p.due(at(0s)).size(), 1);
    assert_int_equal(p.due(at(10s)).size(), 1);
    p.busy(key(1), at(10s));                            // is no attempt
    assert_int_equal(p.due(at(15s)).size(), 1);
    assert_int_equal(p.due(at(25s)).size(), 0);
    assert_int_equal(p.progress().failed, 1);
    assert_false(p.progress().running());
    assert_true(p.deadline() == kNever);
}

void silence_is_tried_again(void **)
{
    RekeyPace pace;
    pace.jitter = 0ns;
    pace.timeout = 10s;
    RekeyPacer p(pace, 7);
    p.start({key(1)}, at(0s));
    assert_int_equal(p.due(at(0s)).size(), 1);
    assert_true(p.deadline() == at(10s));
    assert_int_equal(p.due(at(10s)).size(), 1);
    p.missing(key(1));
    assert_int_equal(p.progress().done, 1);
}

void held_ones_wait_for_their_release(void **)
{
    RekeyPace pace;
    pace.rate = 10;
    pace.jitter = 0s;
    RekeyPacer p(pace, 7);
    const Time t0{1000s};
    p.start_held({Bytes{1}, Bytes{2}, Bytes{4}});
    assert_true(p.due(t0 + 3600s).empty() && p.deadline() == kNever);
    assert_int_equal(p.progress().pending, 3);
    p.finished(Bytes{4});                       // deleted meanwhile
    assert_int_equal(p.held().size(), 2);
    p.release(t0 + 3700s);
    assert_int_equal(p.due(t0 + 3700s).size(), 1);
    assert_int_equal(p.due(t0 + 3701s).size(), 1);
    p.start_held({Bytes{5}});
    p.cancel();
    assert_true(p.held().empty() && !p.progress().running());
}

// Packets left without their records: notReady until the standby has these, no longer.
void output_without_its_record_counts_until_it_is_there(void **)
{
    HeldOutput h;
    assert_false(h.open());
    assert_false(h.acked(7, 100));      // nothing was missing
    h.expired(7, 101);
    h.expired(7, 105);
    h.expired(7, 103);
    assert_true(h.open());
    assert_false(h.acked(7, 104));
    assert_false(h.acked(6, 200));      // of a charon before
    assert_true(h.open());
    assert_true(h.acked(7, 105));
    assert_false(h.open());
    assert_false(h.acked(7, 106));      // told once
    h.expired(7, 105);                  // the acknowledgement crossed the word of it
    assert_true(h.acked(7, 106));
    h.expired(8, 2);                    // charon began anew, and counts from the start
    assert_false(h.acked(7, 106));
    assert_false(h.acked(8, 1));
    assert_true(h.acked(8, 2));
    h.expired(8, 9);
    h.forget();
    assert_false(h.open());
}

std::uint64_t of(const std::optional<PluginAcks::Ack> &ack, GroupId group)
{
    const auto it = ack->groups.find(group);
    return it == ack->groups.end() ? ack->seq : it->second;
}

// Records 1 to 12 of one charon: group 1 is one peer's, groups 2 and 3 are the other's.
void a_peer_that_waits_holds_its_own_groups_only(void **)
{
    PluginAcks acks;
    std::vector<SessionAck> s{{7, 9, true, {1}}, {7, 10, false, {2, 3}}};     // record 11 is group 2's
    auto ack = acks.update(7, s);
    assert_true(ack && ack->seq == 10 && ack->groups.empty());
    s[0].seq = 12;          // the first peer has record 12
    ack = acks.update(7, s);
    assert_true(ack && ack->seq == 10);
    assert_int_equal(of(ack, 1), 12);
    assert_int_equal(of(ack, 2), 10);       // I4: it waits
    assert_int_equal(of(ack, 3), 10);
    assert_int_equal(acks.of(1), 12);
    assert_int_equal(acks.of(3), 10);
    assert_false(acks.update(7, s).has_value());        // told once
    s[1].none_open = true;
    s[1].seq = 11;
    ack = acks.update(7, s);
    assert_true(ack && ack->seq == 12 && ack->groups.empty());
    assert_int_equal(acks.of(1), 12);
}

void acknowledgements_are_of_one_start_of_charon(void **)
{
    PluginAcks acks;
    const std::vector<SessionAck> s{{7, 20, true, {1}}, {6, 90, false, {2}}, {7, 0, true, {}}};     // the second has not seen this charon
    auto ack = acks.update(7, s);
    assert_true(ack && ack->seq == 20 && acks.epoch() == 7);
    assert_false(acks.update(8, s).has_value());        // nothing is known of that one
    assert_int_equal(acks.of(1), 0);
    ack = acks.update(8, std::vector<SessionAck>{{8, 3, false, {1}}});
    assert_true(ack && ack->seq == 3);
    acks.forget();
    assert_int_equal(acks.of(1), 0);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(members_need_every_condition), cmocka_unit_test(oper_up_needs_the_active_number),
        cmocka_unit_test(event_is_set_until_the_group_forwards), cmocka_unit_test(lowest_event_wins),
        cmocka_unit_test(holds_delay_both_ways),
        cmocka_unit_test(what_is_said_first_is_not_held),
        cmocka_unit_test(a_changed_policy_goes_on_where_the_old_one_was), cmocka_unit_test(what_comes_late_is_rekeyed_too), cmocka_unit_test(pace_and_in_flight_are_kept),
        cmocka_unit_test(busy_is_retried_for_as_long_as_it_lasts), cmocka_unit_test(silence_is_given_up), cmocka_unit_test(silence_is_tried_again),
        cmocka_unit_test(held_ones_wait_for_their_release), cmocka_unit_test(output_without_its_record_counts_until_it_is_there),
        cmocka_unit_test(a_peer_that_waits_holds_its_own_groups_only), cmocka_unit_test(acknowledgements_are_of_one_start_of_charon),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
