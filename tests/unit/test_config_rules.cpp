// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// What is right key by key and wrong as a whole: every refusal and warning of
// the contract, in our file, in swanctl.conf and in keepalived.conf; and what a
// reload may change.
#include "unit/cmocka_cpp.hpp"

#include <fmt/format.h>

#include "app/config_check.hpp"
#include "app/runtime_admin.hpp"
#include "unit/config_text.hpp"

using namespace mcipsec;
using namespace mcipsec::app;

namespace {

Config good(const std::string &text = kSegw1)
{
    auto c = parse_config({{"m.toml", text}});
    if (!c)
        fail_with("%s", c.error().text.c_str());
    return *c;
}

void refused(const std::string &text, const std::string &line_with, const std::string &message)
{
    const auto c = parse_config({{"m.toml", text}});
    const auto want = fmt::format("m.toml:{}: {}", line_of(text, line_with), message);
    if (c)
        fail_with("accepted, wanted: %s", want.c_str());
    if (c.error().text.find(want) == std::string::npos)
        fail_with("wanted: %s\n   got: %s", want.c_str(), c.error().text.c_str());
}

void warned(const std::string &text, const std::string &line_with, const std::string &message)
{
    const auto c = good(text);
    const auto want = fmt::format("m.toml:{}: {}", line_of(text, line_with), message);
    for (const auto &w : c.warnings)
        if (w.find(want) != std::string::npos)
            return;
    fail_with("no warning: %s", want.c_str());
}

const std::string kPeer = "[redundancy.multi-chassis.peer.\"192.0.2.2\"";
const std::string kGroupHead = kPeer + ".mc-ipsec.tunnel-group.1]";

void test_multi_active(void **)
{
    refused(with(kSegw1, "multi-active = true", "multi-active = false"), kGroupHead, "tunnel-group 1 is not multi-active, allowed in mc-ipsec with multi-active = true");
    refused(with(kSegw1, "multi-active = true\n", ""), kGroupHead, "tunnel-group 1 is not multi-active");
}

// charon learns the connections of a group in one message.
void test_more_connections_than_vici_takes(void **)
{
    const auto many = [](int count) {
        std::string text = kSegw1;
        for (int i = 0; i < count; ++i)
            text += "[ipsec.tunnel.\"customer-of-a-rather-long-name-so-that-it-is-soon-full-" + std::to_string(10000 + i) +
                    "\"]\ntype = \"dynamic\"\npublic = \"int-IPsec-Public-1\"\nprivate = \"int-IPsec-Private-1\"\n";
        return text;
    };
    good(many(5000));
    refused(many(9000), "[isa.tunnel-group.1]", "tunnel-group 1: the names of its 9001 connections take");
}

void test_one_tunnel_a_connection(void **)
{
    const std::string second = "[ipsec.tunnel.\"two\"]\ntype = \"dynamic\"\npublic = \"int-IPsec-Public-1\"\nprivate = \"int-IPsec-Private-1\"\n";
    good(kSegw1 + second);
    refused(kSegw1 + second + "connection = \"tunnel-1\" # here\n", "# here", "connection \"tunnel-1\" is that of tunnel \"tunnel-1\", too, allowed is one tunnel");
}

void test_responder_only(void **)
{
    refused(with(kSegw1, "ipsec-responder-only = true", "ipsec-responder-only = false"), "[ipsec.tunnel", "static tunnel \"tunnel-1\" in tunnel-group 1");
    // A dynamic tunnel responds by nature.
    auto text = with(kSegw1, "ipsec-responder-only = true", "ipsec-responder-only = false");
    good(with(text, "static-route = [\"192.168.1.1/32\"]", "type = \"dynamic\""));
}

void test_group_under_two_peers(void **)
{
    const std::string second = kSegw1 + "[redundancy.multi-chassis.peer.\"192.0.2.9\"]\nauthentication-key-file = \"/k\"\n[redundancy.multi-chassis.peer.\"192.0.2.9\".mc-ipsec.tunnel-group.1]\npriority = 1\n";
    refused(second, "[redundancy.multi-chassis.peer.\"192.0.2.9\".mc-ipsec.tunnel-group.1]", "tunnel-group 1 is under peer 192.0.2.2, too, allowed is one peer");
}

void test_sync_tag(void **)
{
    const std::string two = kSegw1 + "[isa.tunnel-group.2]\nmulti-active = true\n" + kPeer + ".mc-ipsec.tunnel-group.2]\npriority = 1\n" + kPeer + ".sync.ipsec.tunnel-group.2]\nsync-tag  = \"tag-1\"\n";
    refused(two, "sync-tag  = ", "sync-tag \"tag-1\" is that of tunnel-group 1, too");
    const std::string same_peer_group = with(two, "sync-tag  = \"tag-1\"\n", "sync-tag = \"tag-2\"\n");
    refused(with(same_peer_group, "tunnel-group.2]\npriority = 1", "tunnel-group.2]\npeer-group = 1"), "peer-group = 1", "peer-group 1 is that of tunnel-group 1, too");
    // Synchronized with another peer than the one that peer-group names.
    refused(kSegw1 + "[isa.tunnel-group.3]\n" + kPeer + ".sync.ipsec.tunnel-group.3]\nsync-tag = \"x\"\n", kPeer + ".sync.ipsec.tunnel-group.3]", "tunnel-group 3 is synchronized with peer 192.0.2.2 but not under its mc-ipsec");
    warned(with(kSegw1, "tunnel-group.1.sync-tag = \"tag-1\"\n", ""), kGroupHead, "tunnel-group 1 has no sync-tag");
}

void test_references(void **)
{
    refused(with(kSegw1, "public = \"int-IPsec-Public-1\"", "public = \"x\""), "public = \"x\"", "tunnel \"tunnel-1\" names public \"x\"");
    refused(with(kSegw1, "private = \"int-IPsec-Private-1\"", "private = \"x\""), "private = \"x\"", "tunnel \"tunnel-1\" names private \"x\"");
    refused(with(kSegw1, "tunnel-group = 1\nvrf", "tunnel-group = 2\nvrf"), "tunnel-group = 2", "private \"int-IPsec-Private-1\" names tunnel-group 2");
    refused(with(kSegw1, "policy = 1\n", "policy = 2\n"), "policy = 2", "policy is 2, allowed are 0 and those under [vrrp.policy]");
    refused(with(kSegw1, "mc-ipsec-non-forwarding = 1", "mc-ipsec-non-forwarding = 9"), "priority-event", "mc-ipsec-non-forwarding names tunnel-group 9");
    refused(kSegw1 + kPeer + ".mc-ipsec.tunnel-group.5]\n", kPeer + ".mc-ipsec.tunnel-group.5]", "mc-ipsec names tunnel-group 5");
    refused(with(kSegw1, "interface = \"tunnel-1\"\n", ""), "static-route", "tunnel \"tunnel-1\" has static-route but no interface");
    refused(with(kSegw1, "interface = \"tunnel-1\"\n", "interface = \"tunnel-1\"\ntype = \"dynamic\"\n"), "static-route", "tunnel \"tunnel-1\" is dynamic and has static-route");
    refused(with(kSegw1, "active-mda-number = 1", "active-mda-number = 2"), "active-mda-number", "active-mda-number is 2, allowed is 1..1");
    refused(with(kSegw1, "[\"192.168.255.2\"]", "[\"192.168.255.2\", \"192.168.255.3\"]"), "192.168.255.3", "static-tunnel-redundant-next-hop has two IPv4 addresses");
    for (const char *hop : {"192.168.255.2", "192.168.255.3"})      // the same for both kinds of tunnels, or not
        good(with(kSegw1, "[\"192.168.255.2\"]", fmt::format("[\"192.168.255.2\"]\ndynamic-tunnel-redundant-next-hop = [\"{}\"]", hop)));
    refused(kSegw1 + "[ipsec.private.b]\ntunnel-group = 1\nvrf = \"vprn2\"\nstatic-tunnel-redundant-next-hop = [\"192.168.20.9\"]\n", "192.168.20.2", "192.168.20.2 is not 192.168.20.9 of ipsec.private.b.static-tunnel-redundant-next-hop, allowed is one redundant-next-hop of a family and kind of tunnel in a VRF of tunnel-group 1");
    good(kSegw1 + "[ipsec.private.b]\ntunnel-group = 1\nvrf = \"vprn3\"\nstatic-tunnel-redundant-next-hop = [\"192.168.20.9\"]\n");
    refused(with(kSegw1, "authentication-key-file", "source-address = \"192.0.2.2\"\nauthentication-key-file"), "source-address", "source-address 192.0.2.2 is the peer's own address");
    refused(with(kSegw1, "authentication-key-file", "source-address = \"::1\"\nauthentication-key-file"), "source-address", "source-address ::1 and peer 192.0.2.2 are of different families");
    refused(with(kSegw1, "address = \"192.0.2.1\"\n", "address = \"\"\n"), kPeer + "]", "peer 192.0.2.2 has no source-address and [system] has no address");
    refused(kSegw1 + "[ipsec.public.b]\ntunnel-group = 1\nlocal-gateway-address = [\"10.10.20.1\"]\n", "[\"10.10.20.1\"]\nstatic", "local-gateway-address 10.10.20.1 is that of public");
    refused(with(kSegw1, "address = \"192.0.2.1\"\n", "address = \"0.0.0.0\"\n"), "address = \"0.0.0.0\"", "address 0.0.0.0 is no address of a host");
    refused(with(kSegw1, "[\"10.10.20.1\"]", "[\"239.1.1.1\"]"), "239.1.1.1", "local-gateway-address 239.1.1.1 is no address of a host");
    refused(with(kSegw1, "[\"10.10.20.1\"]", "[\"192.0.2.2\"]"), "local-gateway-address", "local-gateway-address 192.0.2.2 is an address of one chassis alone");
    refused(with(kSegw1, "[\"192.168.255.2\"]", "[\"10.10.20.1\"]"), "local-gateway-address", "local-gateway-address 10.10.20.1 is a redundant-next-hop, too");
    refused(kSegw1 + "[redundancy.multi-chassis]\nmimp-port = 4784\n", "mimp-port = 4784", "mimp-port and bfd-port are both 4784");
    // Peers may share a source-address.
    good(kSegw1 + "[redundancy.multi-chassis.peer.\"192.0.2.9\"]\nauthentication-key-file = \"/k\"\n");
    // Of a service with both kinds of tunnels each kind goes by its own.
    const std::string dynamic = "[ipsec.tunnel.d]\ntype = \"dynamic\"\npublic = \"int-IPsec-Public-1\"\nprivate = \"int-IPsec-Private-1\"\n";
    warned(kSegw1 + dynamic, "[ipsec.public.", "ipsec.public.int-IPsec-Public-1 has dynamic tunnels but no dynamic-tunnel-redundant-next-hop, so that a standby drops their packets; for the others there is 192.168.255.2");
    warned(kSegw1 + dynamic, "[ipsec.private.", "ipsec.private.int-IPsec-Private-1 has dynamic tunnels but no dynamic-tunnel-redundant-next-hop");
    warned(with(kSegw1, "static-tunnel-redundant-next-hop = [\"192.168.255.2\"]", "dynamic-tunnel-redundant-next-hop = [\"192.168.255.2\"]"), "[ipsec.public.", "ipsec.public.int-IPsec-Public-1 has static tunnels but no static-tunnel-redundant-next-hop");
    warned(kSegw1 + "[isa.mda.\"9/9\"]\n", "[isa.mda.\"9/9\"]", "mda \"9/9\" is a member of no tunnel-group");
    warned(with(kSegw1, "priority = 50", "priority = 200"), "base-priority", "base-priority 200 is not above the explicit priority 200");
}

// What the module cannot do without, and what it has no room for.
void test_room_of_a_group(void **)
{
    const std::string group = "[isa.tunnel-group.2]\n";
    const auto addresses = [](int count) {
        std::string text = "[ipsec.public.many]\ntunnel-group = 2\nlocal-gateway-address = [";
        for (int i = 0; i < count; ++i)
            text += fmt::format("{}\"10.9.{}.{}\"", i ? ", " : "", i / 200, i % 200 + 1);
        return text + "]\n";
    };
    refused(kSegw1 + group, "[isa.tunnel-group.2]", "tunnel-group 2 has no local-gateway-address, it needs one: allowed is at least one [ipsec.public] with tunnel-group = 2");
    good(kSegw1 + group + addresses(1));
    good(kSegw1 + group + addresses(255) + "[ipsec.public.more]\ntunnel-group = 2\nlocal-gateway-address = [\"10.10.20.9\"]\n");
    refused(kSegw1 + group + addresses(256) + "[ipsec.public.more]\ntunnel-group = 2\nlocal-gateway-address = [\"10.10.20.9\"]\n", "[isa.tunnel-group.2]",
            "tunnel-group 2 has 257 addresses under local-gateway-address, allowed are 256");
}

void test_next_hops(void **)
{
    for (const char *hop : {"0.0.0.0", "127.0.0.1", "224.0.0.1", "::1", "ff02::1"})
        refused(with(kSegw1, "192.168.255.2", hop), hop, fmt::format("static-tunnel-redundant-next-hop {} is no address of a host, allowed is a unicast address of the peer's chassis", hop));
    refused(with(kSegw1, "192.168.255.2", "192.0.2.1"), "[\"192.0.2.1\"]", "static-tunnel-redundant-next-hop 192.0.2.1 is this chassis' own address");
    good(with(kSegw1, "192.168.20.2", "192.0.2.1"));       // of a VRF: another host
}

void test_guard(void **)
{
    // BFD 100 ms x 3: detection 300 ms, guard 30 ms by default.
    const auto &mc = good().multi_chassis.peer.begin()->second.mc_ipsec;
    assert_true(detection_time(mc) == 300ms);
    assert_true(effective_guard(mc, detection_time(mc)) == 30ms);
    const auto guard = [](const char *ms) { return with(kSegw1, "bfd-enable = true", std::string("bfd-enable = true\nlease-guard = ") + ms); };
    refused(guard("4"), "lease-guard", "lease-guard is 4 ms with a detection time of 300 ms, allowed is 5..150 ms");
    refused(guard("151"), "lease-guard", "lease-guard is 151 ms");
    warned(guard("20"), "lease-guard", "lease-guard 20 ms is small for a detection time of 300 ms, recommended is 30 ms or more");
    assert_true(good(guard("30")).warnings.empty());
    // Without BFD it is keep-alive-interval x hold-on-neighbor-failure; 0.05 s x 2 leaves 10 ms.
    McIpsecConfig slow;
    assert_true(detection_time(slow) == 3s && effective_guard(slow, 3s) == 300ms);
    // 10 ms x 3: the smallest guard is more than half of it.
    refused(with(kSegw1, "bfd-enable = true", "bfd-enable = true\nlease-guard = 16\nbfd = { transmit = 10, receive = 10, multiplier = 3 }"), "lease-guard", "lease-guard is 16 ms with a detection time of 30 ms, allowed is 5..15 ms");
}

// ---- swanctl.conf ----

const std::string kSwanctl = R"(# comment
connections {
  tunnel-1 {
    version = 2
    mobike = no
    local_addrs = 10.10.20.1
    remote_addrs = 10.10.10.1
    dpd_delay = 0s
    rekey_time = 172800s
    children {
      net {
        start_action = none
        rekey_time = 2h   # of a CHILD_SA
      }
    }
  }
  other {
    version = 1
    dpd_delay = 30s
  }
}
secrets { ike-1 { secret = "not looked at } {" } }
)";

Findings swanctl(const std::string &text) { return check_connections(good(), parse_swanctl({"swanctl.conf", text})); }

void connection_refused(const std::string &text, const std::string &line_with, const std::string &message)
{
    const auto f = swanctl(text);
    const auto want = fmt::format("swanctl.conf:{}: {}", line_of(text, line_with), message);
    for (const auto &e : f.errors)
        if (e.find(want) != std::string::npos)
            return;
    fail_with("not refused: %s", want.c_str());
}

void test_swanctl_good(void **)
{
    const auto f = swanctl(kSwanctl);
    for (const auto &e : f.errors)
        fail_with("%s", e.c_str());
    for (const auto &w : f.warnings)
        fail_with("%s", w.c_str());
}

void test_swanctl_refused(void **)
{
    connection_refused(with(kSwanctl, "version = 2", "version = 1"), "version = 1", "connection tunnel-1 is IKEv1, allowed is version = 2");
    connection_refused(with(kSwanctl, "dpd_delay = 0s", "dpd_delay = 10s"), "dpd_delay = 10s", "connection tunnel-1 has dpd_delay = 10 s, allowed is 0");
    connection_refused(with(kSwanctl, "start_action = none", "start_action = start"), "start_action", "connection tunnel-1 child net has start_action = start, allowed is none");
    connection_refused(with(kSwanctl, "start_action = none", "start_action = trap"), "start_action", "connection tunnel-1 child net has start_action = trap, allowed is none");
    connection_refused(with(kSwanctl, "dpd_delay = 0s", "dpd_delay = soon"), "soon", "connection tunnel-1 has dpd_delay = soon, allowed is a number with s, m, h or d");
    for (const char *time : {"", " 0", "\"0 s\"", "0S", "0 d"})
        assert_true(swanctl(with(kSwanctl, "dpd_delay = 0s", std::string("dpd_delay = ") + time)).errors.empty());
    for (const char *time : {"4 h", "\" 4H\"", "240m", "14400", "999999999999", "20000d"})
        assert_true(swanctl(with(kSwanctl, "rekey_time = 2h", std::string("life_time = ") + time)).errors.empty());
    for (const char *time : {"10x", "1.5h", "2h30m", "-1"})
        assert_int_equal(swanctl(with(kSwanctl, "rekey_time = 2h", std::string("life_time = ") + time)).errors.size(), 1);
    assert_true(swanctl(with(kSwanctl, "start_action = none", "hw_offload = No\nah_proposals =")).errors.empty());
    connection_refused(with(kSwanctl, "rekey_time = 2h", "life_time = two days"), "two days", "connection tunnel-1 has life_time = two days, allowed is a number");
    connection_refused(with(kSwanctl, "start_action = none", "hw_offload = packet"), "hw_offload", "connection tunnel-1 child net has hw_offload = packet, allowed is no");
    connection_refused(with(kSwanctl, "start_action = none", "ah_proposals = sha256"), "net {", "connection tunnel-1 child net has ah_proposals, allowed is ESP");
    connection_refused(with(kSwanctl, "start_action = none", "inactivity = 5m"), "inactivity", "connection tunnel-1 child net has inactivity = 300 s, allowed is 0");
    connection_refused(with(kSwanctl, "start_action = none", "inactivity = 5 min"), "inactivity", "connection tunnel-1 has inactivity = 5 min, allowed is a number");
    assert_true(swanctl(with(kSwanctl, "start_action = none", "inactivity = 0")).errors.empty());
    connection_refused(with(kSwanctl, "start_action = none", "close_action = start"), "close_action", "connection tunnel-1 child net has close_action = start, allowed is none");
}

void test_swanctl_warned(void **)
{
    const auto foreign = swanctl(with(kSwanctl, "local_addrs = 10.10.20.1", "local_addrs = 10.10.20.2"));
    assert_int_equal(foreign.warnings.size(), 1);
    assert_string_equal(foreign.warnings[0].c_str(), "swanctl.conf:3: connection tunnel-1 has local_addrs = 10.10.20.2, expected is the local-gateway-address of its public: 10.10.20.1");
    assert_int_equal(swanctl(with(kSwanctl, "172800s", "24h")).warnings.size(), 1);
    assert_int_equal(swanctl(with(kSwanctl, "rekey_time = 2h", "rekey_time = 1h")).warnings.size(), 1);
    assert_int_equal(swanctl(with(kSwanctl, "rekey_time = 2h", "rekey_time = 20h")).warnings.size(), 1);    // IKE_SA < 3 x CHILD_SA
    assert_int_equal(swanctl(with(kSwanctl, "version = 2", "version = 2\n reauth_time = 1h")).warnings.size(), 1);
    assert_int_equal(swanctl(with(kSwanctl, "version = 2", "version = 2\n reauth_time = 0s")).warnings.size(), 0);
    assert_int_equal(swanctl(with(kSwanctl, "version = 2", "")).warnings.size(), 1);
    assert_int_equal(swanctl(with(kSwanctl, "version = 2", "")).errors.size(), 0);
}

// A static tunnel has one peer.
void test_static_tunnel_serves_one_address(void **)
{
    for (const char *other : {"", "remote_addrs = %any", "remote_addrs = 10.10.10.0/24", "remote_addrs = 10.10.10.1-10.10.10.9", "remote_addrs = 10.10.10.1, 10.10.10.2", "remote_addrs = 0.0.0.0"}) {
        const auto f = swanctl(with(kSwanctl, "remote_addrs = 10.10.10.1", other));
        assert_true(f.errors.empty());
        assert_int_equal(f.warnings.size(), 1);
        assert_non_null(std::strstr(f.warnings[0].c_str(), "connection tunnel-1 is that of a static tunnel and has remote_addrs = "));
    }
    for (const char *one : {"remote_addrs = fd00::1", "remote_addrs = a-customer.example.net"})
        assert_true(swanctl(with(kSwanctl, "remote_addrs = 10.10.10.1", one)).warnings.empty());
}

void test_swanctl_inheritance(void **)
{
    const std::string text = "base {\n dpd_delay = 5s\n version = 2\n}\nconnections {\n tunnel-1 : base {\n  mobike = no\n }\n}\n";
    connection_refused(text, "dpd_delay", "connection tunnel-1 has dpd_delay = 5 s");
}

void test_swanctl_garbage(void **)
{
    for (const char *text : {"", "{", "}", "connections {", "connections { tunnel-1 { version = ", "connections { a : ", "= = =", "include", "a { b { c", "connections { \"x\" { } }"})
        parse_swanctl({"s", text});
    parse_swanctl({"s", std::string(100000, '{')});
    std::string deep;
    for (int i = 0; i < 10000; i++)
        deep += "a {";
    parse_swanctl({"s", deep});
}

void test_vici_connection(void **)
{
    // As list-conns tells it: no positions.
    ConnectionInfo c;
    c.name = "tunnel-1";
    c.version = "IKEv1";
    c.dpd_delay = 30s;
    const auto f = check_connection(good(), c);
    assert_int_equal(f.errors.size(), 2);
    assert_string_equal(f.errors[0].c_str(), "connection tunnel-1 is IKEv1, allowed is version = 2");
    c.name = "another";
    assert_true(check_connection(good(), c).errors.empty());
}

// ---- keepalived.conf ----

const std::string kKeepalived = R"(vrrp_track_file mc { file /run/mcipsec/vrrp/VRRP10.track
}
vrrp_instance VRRP10 {
    interface eth0
    virtual_router_id 10
    priority 200
    advert_int 0.05
    track_file { mc }
}
vrrp_instance OTHER {
    nopreempt
}
)";

void test_keepalived(void **)
{
    const auto check = [](const std::string &text) { return check_keepalived(good(), {"k.conf", text}); };
    const auto fine = check(kKeepalived);
    for (const auto &w : fine.warnings)
        fail_with("%s", w.c_str());
    assert_true(fine.errors.empty());
    const auto no = check(with(kKeepalived, "priority 200", "priority 200\n    nopreempt"));
    assert_int_equal(no.errors.size(), 1);
    assert_string_equal(no.errors[0].c_str(), "k.conf:7: vrrp_instance VRRP10 has nopreempt, allowed is preemption: VRRP must follow mc-ipsec");
    // 3 x 0.1 s + skew is longer than BFD's 300 ms.
    const auto slow = check(with(kKeepalived, "0.05", "0.1"));
    assert_int_equal(slow.warnings.size(), 1);
    assert_non_null(std::strstr(slow.warnings[0].c_str(), "k.conf:3: vrrp_instance VRRP10: VRRP master-down time"));
    assert_int_equal(check(with(kKeepalived, "priority 200", "priority 150")).warnings.size(), 1);
    const auto follows = [&](const std::string &text, const char *warning) {
        const auto f = check(text);
        assert_int_equal(f.warnings.size(), 1);
        assert_string_equal(f.warnings[0].c_str(), warning);
    };
    constexpr const char *not_at_all = "k.conf:3: vrrp_instance VRRP10 does not follow its group: its track_file block names no track_file with file /run/mcipsec/vrrp/VRRP10.track";
    follows(with(kKeepalived, "VRRP10.track", "x"), not_at_all);
    follows(with(kKeepalived, "track_file { mc }", ""), not_at_all);
    follows(with(kKeepalived, "{ file", "{ # file"), not_at_all);
    assert_true(check(with(with(kKeepalived, "_file mc {", "_file \"mc\" {"), "file /run/mcipsec/vrrp/VRRP10.track", "file \"/run/mcipsec/vrrp/VRRP10.track\"")).warnings.empty());
    follows(with(kKeepalived, "VRRP10.track\n", "VRRP10.track\nweight 2\n"), "k.conf:4: vrrp_instance VRRP10 follows /run/mcipsec/vrrp/VRRP10.track with weight 2, expected is weight 1");
    follows(with(kKeepalived, "{ mc }", "{ mc weight 0 }"), "k.conf:3: vrrp_instance VRRP10 follows /run/mcipsec/vrrp/VRRP10.track with weight 0, expected is weight 1");
    assert_true(check("garbage {{{ vrrp_instance").errors.empty());
}

// ---- reload ----

void reload(const std::string &before, const std::string &after, const std::string &refusal)
{
    const auto r = check_reload(good(before), good(after));
    if (refusal.empty()) {
        if (!r)
            fail_with("refused: %s", r.error().text.c_str());
    } else if (r || r.error().text.find(refusal) != 0) {
        fail_with("wanted: %s\n   got: %s", refusal.c_str(), r ? "accepted" : r.error().text.c_str());
    }
}

void test_diff(void **)
{
    const auto a = good();
    assert_true(diff(a, a).empty());
    const auto changes = diff(a, good(with(kSegw1, "priority = 200", "priority = 150")));
    assert_int_equal(changes.size(), 1);
    assert_string_equal(changes[0].path.c_str(), "redundancy.multi-chassis.peer.\"192.0.2.2\".mc-ipsec.tunnel-group.1.priority");
    assert_string_equal(changes[0].before.c_str(), "200");
    assert_string_equal(changes[0].after.c_str(), "150");
    assert_true(changes[0].apply == Apply::AtOnce && changes[0].group == 1);
    // A new section is one change, not one a key; its removal too.
    const auto more = good(kSegw1 + "[isa.tunnel-group.2]\n[ipsec.public.b]\ntunnel-group = 2\nlocal-gateway-address = [\"10.10.20.2\"]\n");
    assert_int_equal(diff(a, more).size(), 5);      // group, rekey, sequence, its default member, public
    assert_true(diff(more, a)[0].apply == Apply::GroupShutdown);
}

void test_reload(void **)
{
    reload(kSegw1, with(kSegw1, "priority = 200", "priority = 150"), "");
    reload(kSegw1, with(kSegw1, "discovery-interval = 200", "discovery-interval = 100"), "");
    reload(kSegw1, with(kSegw1, "mda = [\"1/2\"]", "mda = [\"1/2\", \"2/2\"]"), "");
    const auto two = with(kSegw1, "mda = [\"1/2\"]", "mda = [\"1/2\", \"2/2\"]");
    reload(two, kSegw1, fmt::format("m.toml:{}: needs tunnel-group 1 shutdown", line_of(kSegw1, "mda = ")));
    const auto active = with(two, "active-mda-number = 1", "active-mda-number = 2");
    reload(two, active, fmt::format("m.toml:{}: needs tunnel-group 1 shutdown", line_of(active, "active-mda-number")));
    const auto key = with(kSegw1, "peer.key", "new.key");
    reload(kSegw1, key, fmt::format("m.toml:{}: needs a restart of mcipsecd", line_of(key, "new.key")));
    const auto run = with(kSegw1, "[system]", "[system]\nrun-dir = \"/run/x\"");
    reload(kSegw1, run, "m.toml:2: needs a restart of mcipsecd");
    const auto group = kSegw1 + "[isa.tunnel-group.2]\n[ipsec.public.b]\ntunnel-group = 2\nlocal-gateway-address = [\"10.10.20.2\"]\n";
    reload(group, kSegw1, fmt::format("m.toml:{}: needs tunnel-group 2 shutdown", line_of(group, "[isa.tunnel-group.2]")));
    reload(kSegw1, group, "");
}

void test_reload_under_shutdown(void **)
{
    const auto two = with(kSegw1, "mda = [\"1/2\"]", "mda = [\"1/2\", \"2/2\"]");
    const auto active = with(two, "active-mda-number = 1", "active-mda-number = 2");
    RuntimeAdmin admin;
    assert_true(admin.tunnel_group(good(two), 1, true).has_value());
    assert_true(check_reload(admin.apply(good(two)), good(active)).has_value());
    RuntimeAdmin peer;
    assert_true(peer.peer(good(), *IpAddress::parse("192.0.2.2"), true).has_value());
    // The other object's shutdown does not help, nor that of mc-ipsec alone: the group may forward.
    assert_false(check_reload(peer.apply(good(two)), good(active)).has_value());
    RuntimeAdmin mc;
    assert_true(mc.mc_ipsec(good(), *IpAddress::parse("192.0.2.2"), 1, true).has_value());
    assert_false(check_reload(mc.apply(good(two)), good(active)).has_value());
    // It does for what belongs to mc-ipsec.
    const auto other = with(kSegw1, "priority = 200\n", "priority = 200\npeer-group = 2\n");
    assert_false(check_reload(good(), good(other)).has_value());
    assert_true(check_reload(mc.apply(good()), good(other)).has_value());
}

// ---- admin states ----

void test_runtime_admin(void **)
{
    const auto file = good();
    const auto peer = *IpAddress::parse("192.0.2.2");
    RuntimeAdmin a;
    assert_true(a.tunnel_group(file, 1, true).has_value());
    assert_true(a.mda(file, 1, "1/2", true).has_value());
    assert_true(a.peer(file, peer, true).has_value());
    assert_true(a.sync(file, peer, true).has_value());
    assert_true(a.mc_ipsec(file, peer, 1, true).has_value());
    const auto c = a.apply(file);
    const auto &p = c.multi_chassis.peer.at(peer);
    assert_true(c.tunnel_group.at(1).shutdown && c.mda.at("1/2").shutdown && p.shutdown && p.sync.shutdown && p.mc_ipsec.tunnel_group.at(1).shutdown);
    assert_int_equal(a.notes().size(), 5);
    assert_true(show_config(c, a.notes()).find("[isa.mda.\"1/2\"]\nshutdown = true  # (runtime)") != std::string::npos);
    // Over a restart.
    auto b = RuntimeAdmin::from_json(a.json());
    assert_true(b && *b == a);
    // Back to what the file says: no override left.
    assert_true(a.mda(file, 1, "1/2", false).has_value());
    assert_int_equal(a.notes().size(), 4);
    // Objects that are not there.
    assert_int_equal(a.tunnel_group(file, 2, true).error().code, -ENOENT);
    assert_int_equal(a.mda(file, 1, "9/9", true).error().code, -ENOENT);
    assert_int_equal(a.mda(file, 2, "1/2", true).error().code, -ENOENT);
    assert_int_equal(a.peer(file, *IpAddress::parse("192.0.2.3"), true).error().code, -ENOENT);
    assert_int_equal(a.sync(file, *IpAddress::parse("192.0.2.3"), true).error().code, -ENOENT);
    assert_int_equal(a.mc_ipsec(file, peer, 2, true).error().code, -ENOENT);
    assert_false(RuntimeAdmin::from_json("[]").has_value());
    assert_false(RuntimeAdmin::from_json("{\"a\": 1}").has_value());
    assert_false(RuntimeAdmin::from_json("{").has_value());
    // A group that the next file does not have takes its override along.
    RuntimeAdmin gone = *b;
    assert_true(gone.forget(*parse_config({{"x", ""}})));
    assert_int_equal(gone.notes().size(), 0);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_multi_active),
        cmocka_unit_test(test_more_connections_than_vici_takes),
        cmocka_unit_test(test_one_tunnel_a_connection),
        cmocka_unit_test(test_responder_only),
        cmocka_unit_test(test_group_under_two_peers),
        cmocka_unit_test(test_sync_tag),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_room_of_a_group),
        cmocka_unit_test(test_next_hops),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_swanctl_good),
        cmocka_unit_test(test_swanctl_refused),
        cmocka_unit_test(test_swanctl_warned),
        cmocka_unit_test(test_static_tunnel_serves_one_address),
        cmocka_unit_test(test_swanctl_inheritance),
        cmocka_unit_test(test_swanctl_garbage),
        cmocka_unit_test(test_vici_connection),
        cmocka_unit_test(test_keepalived),
        cmocka_unit_test(test_diff),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_reload_under_shutdown),
        cmocka_unit_test(test_runtime_admin),
    };
    return cmocka_run_group_tests_name("config rules", tests, nullptr, nullptr);
}
