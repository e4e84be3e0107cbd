// SPDX-License-Identifier: GPL-2.0-or-later
// needs: app
// The engine's pure parts: route protocols, keepalived's file, record info.
#include <arpa/inet.h>

#include "app/keepalived_conf.hpp"
#include "app/record_info.hpp"
#include "app/route_control.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::app;

namespace {

void route_protocol_is_the_state(void **)
{
    assert_int_equal(route_protocol(Mastership::Master, false), 201);
    assert_int_equal(route_protocol(Mastership::Eligible, false), 202);
    for (const auto m : {Mastership::Discovery, Mastership::NotEligible, Mastership::Standby}) {
        assert_int_equal(route_protocol(m, false), 203);
        assert_int_equal(route_protocol(m, true), 213);
    }
    assert_int_equal(route_protocol(Mastership::Master, true), 211);
    assert_int_equal(route_protocol(Mastership::Eligible, true), 212);
}

// In a VRF the kernel's own local route of it is in the same table, with metric 0: a
// route of ours with that metric would take its place, and nothing arrived any more.
void a_gateway_address_in_a_vrf_has_a_metric(void **)
{
    auto routes = io::Routes::open();
    auto links = io::Links::open();
    assert_true(routes && links);
    io::Log log;
    RouteControl control(std::move(*routes), std::move(*links), log);
    Config c;
    c.publics["main"].local_gateway_address = {*IpAddress::parse("10.10.20.1"), *IpAddress::parse("2001:db8:20::1")};
    c.publics["vrf"].vrf = "pubv";
    c.publics["vrf"].local_gateway_address = {*IpAddress::parse("10.10.20.2"), *IpAddress::parse("2001:db8:20::2")};
    control.configure(c, false);
    std::map<std::string, std::uint32_t> metric;
    for (const auto &p : control.planned())
        metric[p.route.destination.address.str()] = p.route.metric;
    const std::map<std::string, std::uint32_t> want{
        {"10.10.20.1", 0}, {"2001:db8:20::1", 1024}, {"10.10.20.2", 1024}, {"2001:db8:20::2", 1024}};
    assert_true(metric == want);
}

void keepalived_instances_are_read(void **)
{
    const auto conf = parse_keepalived_conf(R"(
global_defs { router_id X   # virtual_router_id 9
}
vrrp_track_file mcipsec { file /x weight 1 }
vrrp_instance VRRP10 {
    interface int-SeGW1-S1
    virtual_router_id 10
    priority 200   ! base
    advert_int 0.1
    virtual_ipaddress {
        172.16.1.254/24 dev eth0
        172.16.1.253
    }
    track_file { mcipsec }
    unicast_peer {
        priority 7
    }
}
vrrp_instance V6
{
    priority 255
    nopreempt
    virtual_ipaddress { fe80::1/64 }
}
)");
    assert_int_equal(conf.size(), 2);
    const auto &v = conf.at("VRRP10");
    assert_string_equal(v.interface.c_str(), "int-SeGW1-S1");
    assert_int_equal(v.virtual_router_id, 10);
    assert_int_equal(v.priority, 200);              // not the one of a nested block
    assert_true(v.advert_int > 0.09 && v.advert_int < 0.11);
    assert_false(v.nopreempt);
    assert_int_equal(v.virtual_addresses.size(), 2);
    assert_string_equal(v.virtual_addresses[0].c_str(), "172.16.1.254");
    const auto &v6 = conf.at("V6");
    assert_true(v6.ipv6);
    assert_true(v6.nopreempt);
    assert_int_equal(v6.priority, 255);
    assert_true(parse_keepalived_conf("} } {").empty());
}

void an_age_becomes_a_time(void **)
{
    io::Info info{{"established", "40"}, {"rekey", "40"}};
    fix_established(info, 1000);
    assert_true(info == (io::Info{{"established-at", "960"}, {"rekey", "40"}}));
    io::Info odd{{"established", "soon"}, {"established", ""}};
    const auto before = odd;
    fix_established(odd, 1000);
    assert_true(odd == before);
}

void the_next_message_id_is_read(void **)
{
    assert_true(mid_out({{"mid-in", "4"}, {"mid-out", "7"}}) == 7u);
    for (const char *odd : {"", "x", "7x", "-1", "4294967296"})
        assert_false(mid_out({{"mid-out", odd}}).has_value());
    assert_false(mid_out({{"mid-in", "4"}}).has_value());
    assert_true(asked_since({{"mid-in", "4"}, {"mid-out", "7"}}, "state=x\nmid-in=3\nmid-out=9\n"));
    assert_false(asked_since({{"mid-in", "4"}, {"mid-out", "9"}}, "mid-in=4\nmid-out=7\n"));
    assert_false(asked_since({{"mid-in", "4"}}, ""));
    assert_false(asked_since({{"mid-out", "4"}}, "mid-in=3\n"));
}

void info_survives_text(void **)
{
    const io::Info info{{"spi-in", "c0ffee01"}, {"spi-out", "c0ffee02"}, {"local", "10.10.20.1"}, {"remote", "10.10.10.1"}, {"mark-out", "42/4294967295"}, {"odd", "a\nb=c"}};
    const auto fields = info_fields(info_text(info));
    assert_int_equal(fields.size(), 6);
    assert_string_equal(fields.at("odd").c_str(), "a b=c");
    const auto sas = child_sas(fields);
    assert_true(sas.has_value());
    assert_int_equal(ntohl(sas->in.spi), 0xc0ffee01);
    assert_int_equal(sas->in.flags & MCIPSEC_SEQ_F_OUT, 0);
    assert_int_equal(sas->in.daddr[2], 20);         // the gateway
    assert_int_equal(ntohl(sas->out.spi), 0xc0ffee02);
    assert_int_equal(sas->out.flags & MCIPSEC_SEQ_F_OUT, MCIPSEC_SEQ_F_OUT);
    assert_int_equal(sas->out.daddr[2], 10);        // its peer
    assert_int_equal(sas->out.family, AF_INET);
    assert_int_equal(sas->out.mark, 42);
    assert_int_equal(sas->in.mark, 0);
}

void malformed_info_is_refused(void **)
{
    auto f = info_fields("spi-in=c0ffee01\nspi-out=c0ffee02\nlocal=10.10.20.1\nremote=10.10.10.1\n");
    assert_true(child_sas(f).has_value());
    f["spi-out"] = "c0ffee02x";
    assert_false(child_sas(f).has_value());
    f["spi-out"] = "c0ffee02";
    f["remote"] = "nowhere";
    assert_false(child_sas(f).has_value());
    f.erase("remote");
    const auto r = child_sas(f);
    assert_false(r.has_value());
    assert_non_null(strstr(r.error().text.c_str(), "remote"));
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(route_protocol_is_the_state), cmocka_unit_test(a_gateway_address_in_a_vrf_has_a_metric),
        cmocka_unit_test(keepalived_instances_are_read),
        cmocka_unit_test(an_age_becomes_a_time), cmocka_unit_test(the_next_message_id_is_read), cmocka_unit_test(info_survives_text), cmocka_unit_test(malformed_info_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
