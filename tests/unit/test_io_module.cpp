// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// The module's client against the module, in a network namespace of its own.
// Skipped where mcipsec.ko is not loaded.
#include <sys/wait.h>

#include "io/mcipsec_nl.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

bool ready = false;
const Cookie kCookie{1, 2, 3};
const Cookie kOther{9};

int set_up(void **)
{
    ready = fresh_network_namespace() && static_cast<bool>(McipsecNl::open());
    return 0;
}
// Each test begins without groups.
int clear(void **)
{
    if (!ready)
        return 0;
    auto nl = McipsecNl::open();
    auto groups = nl->group_dump();
    for (const auto &g : *groups)
        (void)nl->group_del(g.id);
    return 0;
}

#define NEEDS_MODULE() \
    if (!ready)        \
    return skip_without("mcipsec.ko in this kernel, or permission for a network namespace")

GateAddress address(const char *text)
{
    return {take(IpAddress::parse(text)), 0};
}

GroupConfig config(GroupId id, std::uint32_t lease = 0)
{
    GroupConfig g;
    g.id = id;
    g.addresses = {address(("10.10.20." + std::to_string(id)).c_str())};
    g.public_nexthops = {address("192.168.255.2")};
    g.lease_id = lease;
    return g;
}

void a_new_group_is_in_discovery_and_reads_as_written(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    check(nl.group_new(config(1)));
    const auto again = nl.group_new(config(1));
    assert_int_equal(again.error().code, -EEXIST);
    assert_non_null(std::strchr(again.error().text.c_str(), '('));     // the kernel says why
    GroupInfo g = take(nl.group_get(1));
    assert_true(g.state == Mastership::Discovery && g.action == MCIPSEC_ACTION_BLACKHOLE);
    assert_true(g.addresses == config(1).addresses && g.public_nexthops == config(1).public_nexthops);
    assert_true(g.private_nexthops.empty() && g.lease_id == 0 && !g.lease_expiry && g.since);
    auto changed = config(1);
    changed.addresses.push_back(address("2001:db8::1"));
    changed.public_nexthops.clear();
    check(nl.group_replace(changed));
    g = take(nl.group_get(1));
    assert_true(g.addresses.size() == 2 && g.public_nexthops.empty());
    check(nl.group_del(1));
    assert_int_equal(nl.group_get(1).error().code, -ENOENT);
    assert_int_equal(nl.group_del(1).error().code, -ENOENT);
    assert_int_equal(nl.group_replace(config(1)).error().code, -ENOENT);
}

void static_peers_come_in_as_many_messages_as_it_takes(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    auto of_kinds = config(1);
    of_kinds.public_nexthops = {{address("192.168.255.2").address, 0, MCIPSEC_ADDR_F_STATIC}, {address("192.168.255.3").address, 0, MCIPSEC_ADDR_F_DYNAMIC}};
    check(nl.group_new(of_kinds));
    assert_true(take(nl.group_get(1)).public_nexthops == of_kinds.public_nexthops);
    std::vector<StaticPeer> peers;
    for (unsigned i = 0; i < 5001; ++i)
        peers.push_back({address("10.10.20.1").address, address(("10.1." + std::to_string(i / 256) + "." + std::to_string(i % 256)).c_str()).address});
    check(nl.static_peers_set(1, peers));
    assert_int_equal(take(nl.group_get(1)).static_peers, 5001);
    check(nl.static_peers_set(1, std::span(peers).first(1)));
    assert_int_equal(take(nl.group_get(1)).static_peers, 1);
    peers.resize(MCIPSEC_STATIC_PEER_MAX + 1, peers[0]);
    assert_int_equal(nl.static_peers_set(1, peers).error().code, -ENOSPC);
    assert_int_equal(take(nl.group_get(1)).static_peers, 1);
    check(nl.static_peers_set(1, {}));
    assert_int_equal(take(nl.group_get(1)).static_peers, 0);
    assert_int_equal(nl.static_peers_set(2, {}).error().code, -ENOENT);
    check(nl.group_del(1));
}

void groups_flip_together_or_not_at_all(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    for (GroupId id = 1; id <= 100; ++id)
        check(nl.group_new(config(id)));
    assert_int_equal(take(nl.group_dump()).size(), 100);
    std::vector<StateChange> changes;
    for (GroupId id = 1; id <= 100; ++id)
        changes.push_back({id, id % 2 ? Mastership::Master : Mastership::Standby, id % 2 ? MCIPSEC_F_NOMINAL : 0u, id * 10u});
    check(nl.state_set(kCookie, changes));
    for (const auto &g : take(nl.group_dump())) {
        assert_true(g.state == (g.id % 2 ? Mastership::Master : Mastership::Standby));
        assert_true(g.generation == g.id * 10u);
    }
    changes = {{1, Mastership::NotEligible, 0, 0}, {777, Mastership::Master, 0, 0}};
    assert_int_equal(nl.state_set(kCookie, changes).error().code, -ENOENT);
    assert_true(take(nl.group_get(1)).state == Mastership::Master);
}

void a_lease_forwards_until_it_ends_and_keeps_others_out(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    auto loop = take(EventLoop::create());
    bool expired = false, renewed = false;
    auto events = take(McipsecEvents::open(*loop, [&](const ModuleEvent &e) {
        expired |= e.event == MCIPSEC_EVENT_LEASE_EXPIRED && e.group == 1;
        renewed |= e.event == MCIPSEC_EVENT_LEASE_RENEWED && e.group == 1;
    }, [] {}));
    check(nl.group_new(config(1, 3)));
    const auto renew = [&](Time expiry) { check(nl.lease_set(kCookie, 3, expiry)); };
    renew(boot_now() + 60s);
    const StateChange master[] = {{1, Mastership::Master, 0, 1}};
    check(nl.state_set(kCookie, master));
    GroupInfo g = take(nl.group_get(1));
    assert_true(g.action == MCIPSEC_ACTION_FORWARD && g.lease_expiry);
    assert_int_equal(nl.state_set(kOther, master).error().code, -EBUSY);
    assert_int_equal(nl.lease_set(kOther, 3, boot_now() + 60s).error().code, -EBUSY);
    renew(boot_now() + 30ms);
    assert_true(turn_until(*loop, [&] { return expired; }));
    assert_true(take(nl.group_get(1)).action == MCIPSEC_ACTION_BLACKHOLE);
    renew(boot_now() + 60s);
    assert_true(turn_until(*loop, [&] { return renewed; }));
    assert_true(take(nl.group_get(1)).action == MCIPSEC_ACTION_FORWARD);
    renew(Time{});      // let go
}

void events_tell_what_happened(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    auto events = take(McipsecEvents::open_blocking());
    assert_int_equal(events->wait(1ms).error().code, -ETIMEDOUT);
    check(nl.group_new(config(5)));
    assert_true(take(events->wait(kPatience)).event == MCIPSEC_EVENT_GROUP_NEW);
    const StateChange eligible[] = {{5, Mastership::Eligible, 0, 4}};
    check(nl.state_set(kCookie, eligible));
    const ModuleEvent e = take(events->wait(kPatience));
    assert_true(e.event == MCIPSEC_EVENT_STATE && e.group == 5 && e.state == Mastership::Eligible && e.generation == 4);
    assert_true(e.action == MCIPSEC_ACTION_FORWARD && e.time <= boot_now() && e.time > boot_now() - 60s);
    check(nl.group_del(5));
    assert_true(take(events->wait(kPatience)).event == MCIPSEC_EVENT_GROUP_DEL);
}

void a_switchover_is_refused_for_the_right_reason_or_heard(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    assert_int_equal(nl.switchover(1, 7, 0).error().code, -ENOENT);
    check(nl.group_new(config(1)));
    assert_int_equal(nl.switchover(1, 7, 0).error().code, -EPERM);
    const StateChange not_ready[] = {{1, Mastership::Master, 0, 1}};
    check(nl.state_set(kCookie, not_ready));
    assert_int_equal(nl.switchover(1, 7, 0).error().code, -EAGAIN);
    const StateChange nominal[] = {{1, Mastership::Master, MCIPSEC_F_NOMINAL, 1}};
    check(nl.state_set(kCookie, nominal));
    assert_int_equal(nl.switchover(1, 7, 0).error().code, -ESRCH);     // nobody listens
    auto events = take(McipsecEvents::open_blocking());
    check(nl.switchover(1, 7, MCIPSEC_SWO_TO_STANDBY));
    const ModuleEvent e = take(events->wait(kPatience));
    assert_true(e.event == MCIPSEC_EVENT_SWITCHOVER && e.switchover_id == 7 && e.switchover_flags == MCIPSEC_SWO_TO_STANDBY);
}

void sequence_state_of_no_sa_is_empty_and_missing(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    check(nl.group_new(config(1)));
    std::size_t seen = 0;
    check(nl.seq_get(1, [&](std::span<const mcipsec_seq> part) { seen += part.size(); }));
    assert_int_equal(seen, 0);
    std::vector<mcipsec_seq> many(2000);    // three messages
    for (std::size_t i = 0; i < many.size(); ++i) {
        many[i].spi = static_cast<__be32>(i + 1000);
        many[i].proto = 50;
        many[i].family = 2;
        many[i].daddr[0] = 10;
    }
    const SeqResult r = take(nl.seq_set(1, many, 65536));
    assert_int_equal(r.missing, many.size());
    assert_int_equal(r.updated + r.unchanged + r.refused, 0);
    assert_int_equal(nl.seq_set(9, many).error().code, -ENOENT);
    assert_int_equal(take(nl.seq_hold(1, many, true)).updated, many.size());
    assert_int_equal(take(nl.seq_hold(1, many, true)).unchanged, many.size());
    assert_int_equal(take(nl.seq_set(1, many)).missing, many.size());       // they wait until they are there
    assert_int_equal(take(nl.seq_hold(1, many, false)).updated, many.size());
    assert_int_equal(take(nl.seq_hold(1, many, false)).updated, 0);
}

void without_privilege_groups_are_read_but_not_changed(void **)
{
    NEEDS_MODULE();
    auto nl = take(McipsecNl::open());
    check(nl.group_new(config(1)));
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(65534) < 0 || ::setuid(65534) < 0)
            ::_exit(3);
        auto mine = McipsecNl::open();
        const StateChange master[] = {{1, Mastership::Master, 0, 1}};
        const bool reads = mine && mine->group_get(1) && mine->group_dump();
        const bool writes = mine && (mine->group_del(1) || mine->state_set(kCookie, master) || mine->switchover(1, 1, 0));
        ::_exit(reads && !writes ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(::waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_new_group_is_in_discovery_and_reads_as_written, clear),
        cmocka_unit_test_setup(static_peers_come_in_as_many_messages_as_it_takes, clear),
        cmocka_unit_test_setup(groups_flip_together_or_not_at_all, clear),
        cmocka_unit_test_setup(a_lease_forwards_until_it_ends_and_keeps_others_out, clear),
        cmocka_unit_test_setup(events_tell_what_happened, clear),
        cmocka_unit_test_setup(a_switchover_is_refused_for_the_right_reason_or_heard, clear),
        cmocka_unit_test_setup(sequence_state_of_no_sa_is_empty_and_missing, clear),
        cmocka_unit_test_setup(without_privilege_groups_are_read_but_not_changed, clear),
    };
    return cmocka_run_group_tests_name("io module", tests, set_up, nullptr);
}
