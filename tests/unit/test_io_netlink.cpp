// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// Attributes, the module's messages in both directions, truncation at every
// byte, and XFRM against a kernel where that is permitted.
#include <linux/genetlink.h>
#include <linux/xfrm.h>

#include "io/mcipsec_nl.hpp"
#include "io/xfrm_nl.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

IpAddress ip(const char *text)
{
    return take(IpAddress::parse(text));
}

ByteView attrs_of(NlMessage &m)
{
    return genl_attrs(m.header());
}

void attributes_survive_and_are_bounded(void **)
{
    NlMessage m(256);
    m.start_genl(20, 3, 1, 0);
    m.u8(1, 7);
    m.u64(2, 0x1122334455667788u);
    const auto nest = m.nest(3);
    m.str(4, "name");
    m.end(nest);
    assert_false(m.failed());
    const nlattr *t[5];
    check(parse_attrs(attrs_of(m), t));
    std::uint8_t a = 0;
    std::uint64_t b = 0;
    assert_true(attr_get(t[1], a) && attr_get(t[2], b));
    assert_int_equal(a, 7);
    assert_true(b == 0x1122334455667788u);
    assert_false(attr_get(t[1], b));    // too short for 8 bytes
    assert_false(attr_get(t[4], a));    // only inside the nest
    assert_true(t[3]->nla_type & NLA_F_NESTED);
    const nlattr *in[5];
    check(parse_attrs(attr_view(t[3]), in));
    assert_int_equal(attr_view(in[4]).size(), 5);

    m.bytes(6, Bytes(300));
    assert_true(m.failed());            // and said so, instead of writing behind the end
    m.start_genl(20, 3, 1, 0);
    assert_false(m.failed());
}

void malformed_attributes_are_refused(void **)
{
    const nlattr *t[4];
    for (const char *hex : {"00000100", "03000100", "05000100", "ffff0100aabbccdd"})
        assert_false(static_cast<bool>(parse_attrs(take(from_hex(hex)), t)));
    check(parse_attrs({}, t));
    check(parse_attrs(take(from_hex("0000")), t));      // padding
    check(parse_attrs(take(from_hex("0400ff3f")), t));  // a type beyond the table
    assert_null(t[1]);
}

// A group as the module reports it.
NlMessage group_message()
{
    NlMessage m(8192);
    m.start_genl(20, MCIPSEC_CMD_GROUP_NEW, 1, 0);
    m.u32(MCIPSEC_A_GROUP_ID, 7);
    m.u8(MCIPSEC_A_STATE, MCIPSEC_STATE_STANDBY);
    m.u8(MCIPSEC_A_ACTION, MCIPSEC_ACTION_SHUNT);
    m.u32(MCIPSEC_A_FLAGS, MCIPSEC_F_NOMINAL);
    m.u64(MCIPSEC_A_GENERATION, 12);
    m.u32(MCIPSEC_A_LEASE_ID, 3);
    m.u64(MCIPSEC_A_LEASE_EXPIRY, 5000000000u);
    const auto list = [&](int nest_type, int type, std::initializer_list<GateAddress> addresses) {
        const auto nest = m.nest(static_cast<std::uint16_t>(nest_type));
        for (const auto &a : addresses) {
            const mcipsec_addr k = to_kernel(a);
            m.bytes(static_cast<std::uint16_t>(type), ByteView(reinterpret_cast<const std::uint8_t *>(&k), sizeof(k)));
        }
        m.end(nest);
    };
    list(MCIPSEC_A_ADDRS, MCIPSEC_A_ADDR, {{ip("10.10.20.1"), 0}, {ip("2001:db8::1"), 0}});
    list(MCIPSEC_A_PUBLIC_NEXTHOPS, MCIPSEC_A_NEXTHOP, {{ip("192.168.255.2"), 0}});
    list(MCIPSEC_A_PRIVATE_NEXTHOPS, MCIPSEC_A_NEXTHOP, {{ip("192.168.20.2"), 4}});
    const auto stats = m.nest(MCIPSEC_A_STATS);
    m.u64(MCIPSEC_STAT_SHUNT_PUBLIC, 99);
    m.u64(MCIPSEC_STAT_DROP_LEASE, 1);
    m.u64(MCIPSEC_STAT_MAX + 5, 1);     // of a newer module
    m.end(stats);
    return m;
}

void a_group_is_read_whole(void **)
{
    NlMessage m = group_message();
    const GroupInfo g = take(parse_group(attrs_of(m)));
    assert_int_equal(g.id, 7);
    assert_true(g.state == Mastership::Standby && g.action == MCIPSEC_ACTION_SHUNT && g.flags == MCIPSEC_F_NOMINAL);
    assert_true(g.generation == 12 && g.lease_id == 3 && g.lease_expiry == Time(5s));
    assert_int_equal(g.addresses.size(), 2);
    assert_true(g.addresses[1].address == ip("2001:db8::1"));
    assert_true(g.public_nexthops == (std::vector<GateAddress>{{ip("192.168.255.2"), 0}}));
    assert_true(g.private_nexthops == (std::vector<GateAddress>{{ip("192.168.20.2"), 4}}));
    assert_int_equal(g.stats[MCIPSEC_STAT_SHUNT_PUBLIC], 99);
    assert_int_equal(g.stats[MCIPSEC_STAT_DROP_LEASE], 1);
    assert_int_equal(g.stats[MCIPSEC_STAT_MAX + 5], 0);
}

void a_group_cut_anywhere_is_an_error_or_less(void **)
{
    NlMessage m = group_message();
    const ByteView whole = attrs_of(m);
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
        const auto g = parse_group(cut);
        if (g)
            assert_int_equal(g->id, 7);
        else
            assert_int_equal(g.error().code, -EBADMSG);
    }
}

void every_flipped_byte_is_survived(void **)
{
    NlMessage m = group_message();
    const ByteView whole = attrs_of(m);
    for (std::size_t n = 0; n < whole.size(); ++n)
        for (const int v : {0, 1, 3, 4, 0x7f, 0x80, 0xff}) {
            Bytes b(whole.begin(), whole.end());
            b[n] = static_cast<std::uint8_t>(v);
            (void)parse_group(b);
            (void)parse_event(b);
        }
}

void states_and_addresses_out_of_range_are_refused(void **)
{
    NlMessage m(256);
    m.start_genl(20, 1, 1, 0);
    m.u32(MCIPSEC_A_GROUP_ID, 1);
    m.u8(MCIPSEC_A_STATE, __MCIPSEC_STATE_MAX);
    assert_false(static_cast<bool>(parse_group(attrs_of(m))));
    m.start_genl(20, 1, 1, 0);
    m.u32(MCIPSEC_A_GROUP_ID, 1);
    m.u8(MCIPSEC_A_STATE, 0);
    const auto nest = m.nest(MCIPSEC_A_ADDRS);
    m.bytes(MCIPSEC_A_ADDR, Bytes(24));     // family 0
    m.end(nest);
    assert_false(static_cast<bool>(parse_group(attrs_of(m))));
}

void an_event_is_read_and_one_without_a_group_refused(void **)
{
    NlMessage m(256);
    m.start_genl(20, MCIPSEC_CMD_EVENT, 1, 0);
    m.u8(MCIPSEC_A_EVENT, MCIPSEC_EVENT_SWITCHOVER);
    assert_false(static_cast<bool>(parse_event(attrs_of(m))));
    m.u32(MCIPSEC_A_GROUP_ID, 2);
    m.u64(MCIPSEC_A_SWITCHOVER_ID, 77);
    m.u32(MCIPSEC_A_SWITCHOVER_FLAGS, MCIPSEC_SWO_TO_STANDBY);
    m.u64(MCIPSEC_A_TIME, 1000);
    const ModuleEvent e = take(parse_event(attrs_of(m)));
    assert_true(e.event == MCIPSEC_EVENT_SWITCHOVER && e.group == 2 && e.switchover_id == 77);
    assert_true(e.switchover_flags == MCIPSEC_SWO_TO_STANDBY && e.time == Time(1us));
}

void every_counter_has_a_name(void **)
{
    for (unsigned i = MCIPSEC_STAT_FORWARD_IN; i <= MCIPSEC_STAT_MAX; ++i)
        assert_false(stat_name(i).empty());
    assert_true(stat_name(MCIPSEC_STAT_MAX + 1).empty());
}

void a_missing_module_is_enoent(void **)
{
    auto s = take(NlSocket::open(NETLINK_GENERIC));
    assert_int_equal(genl_resolve(s, "mcipsec_absent").error().code, -ENOENT);
    // The controller itself is always there, with a group of events.
    const GenlFamily ctrl = take(genl_resolve(s, "nlctrl", "notify"));
    assert_int_equal(ctrl.id, GENL_ID_CTRL);
    assert_true(ctrl.group != 0);
}

void the_kernels_refusal_carries_its_reason(void **)
{
    auto s = take(NlSocket::open(NETLINK_GENERIC));
    NlMessage m(256);
    m.start_genl(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 0);
    m.bytes(CTRL_ATTR_FAMILY_ID, Bytes(1));     // needs two bytes
    const auto r = s.call(m);
    assert_false(static_cast<bool>(r));
    assert_non_null(std::strchr(r.error().text.c_str(), '('));
    assert_int_equal(s.errors(), 1);
    // and the socket goes on
    assert_true(static_cast<bool>(genl_resolve(s, "nlctrl")));
}

void xfrm_thresholds_and_counts(void **)
{
    if (!fresh_network_namespace())
        return skip_without("permission for a network namespace");
    auto x = XfrmNl::open();
    if (!x)
        return skip_without("XFRM in this kernel");
    const auto count = x->sa_count();
    if (!count)
        return skip_without("XFRM in this kernel");
    assert_int_equal(*count, 0);
    check(x->set_hash_thresholds({24, 24, 64, 48}));
    const auto t = take(x->get_hash_thresholds());
    assert_true(t.local4 == 24 && t.remote4 == 24 && t.local6 == 64 && t.remote6 == 48);
    unsigned seen = 0;
    check(x->dump_sas([&](const XfrmSa &) { ++seen; }));
    assert_int_equal(seen, 0);
}

void an_sa_is_read_without_its_keys(void **)
{
    NlMessage m(2048);
    m.start(XFRM_MSG_NEWSA, 0);
    auto *info = static_cast<xfrm_usersa_info *>(m.extra(sizeof(xfrm_usersa_info)));
    info->family = AF_INET;
    info->id.spi = 0x010000c0;      // network order of c0000001
    info->id.proto = 50;
    info->id.daddr.a4 = 0x0114'0a0a;
    info->curlft.bytes = 1000;
    info->curlft.packets = 10;
    info->flags = XFRM_STATE_ESN;
    info->stats.replay = 2;
    info->stats.replay_window = 1;
    info->stats.integrity_failed = 7;
    m.u32(XFRMA_IF_ID, 0x10001);
    xfrm_replay_state_esn replay{};
    replay.oseq = replay.oseq_hi = UINT32_MAX;
    m.bytes(XFRMA_REPLAY_ESN_VAL, ByteView(reinterpret_cast<const std::uint8_t *>(&replay), sizeof(replay)));
    xfrm_user_offload offload{};
    offload.ifindex = 3;
    m.bytes(XFRMA_OFFLOAD_DEV, ByteView(reinterpret_cast<const std::uint8_t *>(&offload), sizeof(offload)));
    const XfrmSa sa = take(parse_sa(payload(m.header())));
    assert_true(sa.spi == 0xc0000001 && sa.proto == 50 && sa.packets == 10 && sa.bytes == 1000);
    assert_string_equal(sa.dst.str().c_str(), "10.10.20.1");
    assert_true(sa.esn && sa.offloaded && sa.offload_ifindex == 3 && sa.if_id == 0x10001);
    assert_true(sa.replayed == 3 && sa.not_authentic == 7 && sa.used_up);
    const ByteView whole = payload(m.header());
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
        (void)parse_sa(cut);
        assert_true(n >= sizeof(xfrm_usersa_info) || !parse_sa(cut));
    }
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(attributes_survive_and_are_bounded),
        cmocka_unit_test(malformed_attributes_are_refused),
        cmocka_unit_test(a_group_is_read_whole),
        cmocka_unit_test(a_group_cut_anywhere_is_an_error_or_less),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(states_and_addresses_out_of_range_are_refused),
        cmocka_unit_test(an_event_is_read_and_one_without_a_group_refused),
        cmocka_unit_test(every_counter_has_a_name),
        cmocka_unit_test(a_missing_module_is_enoent),
        cmocka_unit_test(the_kernels_refusal_carries_its_reason),
        cmocka_unit_test(an_sa_is_read_without_its_keys),
        cmocka_unit_test(xfrm_thresholds_and_counts),
    };
    return cmocka_run_group_tests_name("io netlink", tests, nullptr, nullptr);
}
