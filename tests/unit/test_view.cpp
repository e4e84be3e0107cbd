// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// The tables against the seed's (steps 8, 10, 11), field by field, and their
// JSON keys.
#include "unit/cmocka_cpp.hpp"

#include <algorithm>

#include "app/view.hpp"
#include "unit/config_text.hpp"

using namespace mcipsec::app;
using nlohmann::json;

namespace {

// Blocks of blanks count as one: headings and values must be right, not their columns.
std::string squeezed(const std::string &text)
{
    std::string out;
    for (const char c : text)
        if (c != ' ' || (!out.empty() && out.back() != ' ' && out.back() != '\n'))
            out += c;
    for (std::size_t at; (at = out.find(" \n")) != std::string::npos;)
        out.erase(at, 1);
    return out;
}

void expect_lines(const std::string &text, std::initializer_list<const char *> lines)
{
    const auto have = "\n" + squeezed(text);
    std::size_t from = 0;
    for (const char *l : lines) {
        const auto at = have.find("\n" + std::string(l) + "\n", from);
        if (at == std::string::npos)
            fail_with("missing or out of order: '%s' in\n%s", l, text.c_str());
        from = at + 1;
    }
}

PeerView peer()
{
    PeerView v;
    v.peer_addr = "192.0.2.2";
    v.bfd = "Enable";
    v.last_update = "04/04/2014 10:23:35";
    PeerGroupView g;
    g.id = g.peer_group = 1;
    g.priority = 200;
    g.mastership = "master";
    g.protection_status = "notReady";
    g.reasons = {"no elected standby"};
    g.peer_mastership = "standby";
    g.peer_protection_status = "nominal";
    v.tunnel_groups = {g};
    return v;
}

void test_peer_exact(void **)
{
    // The whole text once, so that columns cannot drift unseen.
    const char *want =
        "===============================================================================\n"
        "Multi-Chassis MC-IPsec\n"
        "===============================================================================\n"
        "Peer Name       : (Not Specified)\n"
        "Peer Addr       : 192.0.2.2\n"
        "Keep Alive Intvl: 1.0 secs              Hold on Nbr Fail      : 3\n"
        "Discovery Intvl : 300 secs              Discovery Boot Intvl  : 300 secs\n"
        "BFD             : Enable\n"
        "Last update     : 04/04/2014 10:23:35\n"
        "\n"
        "===============================================================================\n"
        "Multi-Chassis IPsec Multi Active Tunnel-Group Table\n"
        "===============================================================================\n"
        "ID              Peer Group    Priority  Admin State   Mastership\n"
        "-------------------------------------------------------------------------------\n"
        "1               1             200       Up            master\n"
        "-------------------------------------------------------------------------------\n"
        "Multi Active Tunnel Group Entries found: 1\n"
        "===============================================================================\n";
    assert_string_equal(render_table(peer()).c_str(), want);
}

void test_peer_group(void **)
{
    const auto v = peer();
    expect_lines(render_table(v, v.tunnel_groups[0]), {"1 1 200 Up master", "Protection Status : notReady", "Reason : no elected standby", "Peer Mastership : standby", "Peer Protection Status : nominal"});
}

void test_sync(void **)
{
    SyncView v;
    v.peer_ip_address = "192.0.2.1";
    v.source_ip_address = "192.0.2.2";
    v.sync_oper_state = "Up";
    v.db_sync_state = "inSync";
    v.num_entries = v.rem_num_entries = 2;
    const std::initializer_list<const char *> lines = {"Multi-chassis Peer Table", "Peer", "Peer IP Address : 192.0.2.1", "Description : (Not Specified)", "Authentication : Enabled",
        "Source IP Address : 192.0.2.2", "Admin State : Enabled", "Warm standby : No", "Remote warm standby : No", "Sync-status", "Client Applications : IPsec", "Sync Admin State : Up",
        "Sync Oper State : Up", "Sync Oper Flags :", "DB Sync State : inSync", "Num Entries : 2", "Lcl Deleted Entries : 0", "Alarm Entries : 0", "OMCR Standby Entries : 0", "OMCR Alarm Entries : 0",
        "Rem Num Entries : 2", "Rem Lcl Deleted Entries : 0", "Rem Alarm Entries : 0", "Rem OMCR Standby Entries : 0", "Rem OMCR Alarm Entries : 0"};
    expect_lines(render_table(SyncDocument{{v}, false}), lines);
    assert_true(render_table(SyncDocument{{v}, false}).find("Await Conf") == std::string::npos);
    v.sync_oper_flags = {"connection-down", "peer-admin-down"};
    expect_lines(render_table(SyncDocument{{v}, true}), {"Sync Oper Flags : connection-down, peer-admin-down", "Installed : 0", "Installing : 0", "Await Conf : 0", "Failed : 0"});
}

void test_vrrp(void **)
{
    VrrpView v;
    v.interface_name = "int-SeGW1-S1";
    v.vr_id = 10;
    v.state = "Backup";
    v.base_pri = 200;
    v.in_use_pri = 50;
    v.pol_id = "1";
    v.backup_addr = {"172.16.1.254"};
    expect_lines(render_table(VrrpDocument{{v}}), {"VRRP Instances", "Interface Name VR Id Own Adm State Base Pri Msg Int", "IP Opr Pol Id InUse Pri Inh Int", "int-SeGW1-S1 10 No Up Backup 200 1", "IPv4 Up 1 50 No",
        "Backup Addr: 172.16.1.254", "Instances : 1"});
    v.msg_int = 0.1;
    expect_lines(render_table(VrrpDocument{{v}}), {"int-SeGW1-S1 10 No Up Backup 200 0.1"});
}

void test_tunnel(void **)
{
    TunnelView v;
    v.tunnel_name = "tunnel-1";
    v.local_address = "10.10.20.1";
    v.remote_address = "10.10.10.1";
    v.svc_id = "2";
    v.dlvry_svc_id = "1";
    v.sap_id = "tunnel-1.private:1";
    v.oper = "Up";
    v.sec_plcy = "1";
    expect_lines(render_table(TunnelsDocument{{v}, false}), {"IPsec Tunnels", "TunnelName LocalAddress SvcId Admn Keying", "SapId RemoteAddress DlvrySvcId Oper Sec", "Plcy", "tunnel-1 10.10.20.1 2 Up Dynamic",
        "tunnel-1.private:1 10.10.10.1 1 Up 1", "IPsec Tunnels: 1"});
    TunnelView longer = v;      // than its columns: apart all the same
    longer.tunnel_name = "customer-berlin-friedrichstrasse-0001";
    longer.local_address = "2001:db8:1234:5678:9abc:def0:1234:5678";
    expect_lines(render_table(TunnelsDocument{{longer}, false}), {"customer-berlin-friedrichstrasse-0001 2001:db8:1234:5678:9abc:def0:1234:5678 2 Up Dynamic"});
    v.ike_state = "ESTABLISHED";
    expect_lines(render_table(TunnelsDocument{{v}, true}), {"IPsec Tunnel tunnel-1", "IKE State : ESTABLISHED"});
}

void test_tunnel_group(void **)
{
    TunnelGroupView v;
    v.id = 1;
    v.primary = v.active = {"1/2"};
    v.oper_state = "up";
    v.gate = "forward";
    v.lease_ms = 270;
    v.gate_counters = {{"forward_in", 5}};
    v.members = {{"1/2", "Up", "up", true, ""}};
    expect_lines(render_table(TunnelGroupsDocument{{v}}, false), {"1 1/2 - 1/2 Up up", "Tunnel Groups : 1"});
    expect_lines(render_table(TunnelGroupsDocument{{v}}, true), {"Member 1/2 : admin Up, oper up, active", "Gate : forward", "Lease : 270 ms left", "forward_in : 5"});
}

void test_sa_and_log(void **)
{
    SaView s;
    s.tunnel_group = 1;
    s.direction = "out";
    s.spi = "c0ffee01";
    s.destination = "10.10.10.1";
    s.oseq = 18446744073709551615ULL;
    expect_lines(render_table(SasDocument{{s}}), {"1 out c0ffee01 10.10.10.1 -", "18446744073709551615 0 0 n/a", "Security Associations: 1"});
    LogEntryView e;
    e.time = 1.25;
    e.event = "tMcPeerIPsecTnlGrpMasterStateChg";
    e.tunnel_group = 1;
    e.text = "standby -> master";
    const auto line = render_line(e);
    assert_non_null(std::strstr(line.c_str(), ".250 tMcPeerIPsecTnlGrpMasterStateChg tunnel-group 1: standby -> master"));
}

void test_foreign_text_is_harmless(void **)
{
    // A peer's name and an identity are not ours: no escape sequence, no forged line.
    auto v = peer();
    v.peer_name = "x\x1b[2J\ny\xc2\x9bz";
    const auto text = render_table(v);
    assert_true(text.find('\x1b') == std::string::npos && text.find("\xc2\x9b") == std::string::npos);
    assert_non_null(std::strstr(text.c_str(), "Peer Name       : x?[2J?y?z\n"));
    LogEntryView e;
    e.text = "a\nb";
    assert_true(render_line(e).find('\n') == std::string::npos);
}

void test_json_keys(void **)
{
    // Append-only: these names are a promise.
    const auto has = [](const json &j, std::initializer_list<const char *> keys) {
        for (const char *k : keys)
            if (!j.contains(k))
                fail_with("no key %s", k);
    };
    has(peer(), {"peer_name", "peer_addr", "keep_alive_intvl", "hold_on_nbr_fail", "discovery_intvl", "discovery_boot_intvl", "bfd", "last_update", "tunnel_groups"});
    has(PeerGroupView{}, {"id", "peer_group", "priority", "admin_state", "mastership", "protection_status", "reasons", "peer_protection_status"});
    has(SyncView{}, {"description", "authentication", "source_ip_address", "admin_state", "warm_standby", "client_applications", "sync_admin_state", "sync_oper_state", "sync_oper_flags", "db_sync_state",
        "num_entries", "lcl_deleted_entries", "alarm_entries", "omcr_standby_entries", "omcr_alarm_entries", "rem_num_entries", "rem_lcl_deleted_entries", "rem_alarm_entries", "rem_omcr_standby_entries",
        "rem_omcr_alarm_entries", "installed", "installing", "await_conf", "failed"});
    has(VrrpView{}, {"interface_name", "vr_id", "own", "adm", "state", "base_pri", "msg_int", "in_use_pri", "pol_id", "inh_int", "backup_addr"});
    has(TunnelView{}, {"tunnel_name", "local_address", "svc_id", "admn", "keying", "sap_id", "remote_address", "dlvry_svc_id", "oper", "sec_plcy", "octets_in", "packets_in", "octets_out",
        "packets_out"});
    has(TunnelGroupView{}, {"id", "primary", "backup", "active", "admin_state", "oper_state", "mastership", "gate", "gate_counters", "lease_ms"});
    has(SaView{}, {"spi", "direction", "oseq", "seq", "packets", "octets", "esn"});
    assert_true(json(peer())["tunnel_groups"][0]["mastership"] == "master");
}

void test_json_round_trip(void **)
{
    const json a = peer();
    assert_true(json(a.get<PeerView>()) == a);
    // A peer of another version: unknown fields are skipped, missing ones keep their default.
    const auto v = json{{"peer_addr", "::1"}, {"new_field", 7}}.get<PeerView>();
    assert_string_equal(v.peer_addr.c_str(), "::1");
    assert_int_equal(v.hold_on_nbr_fail, 3);
    const json tunnels = TunnelsDocument{{TunnelView{}}, true};
    assert_true(json(tunnels.get<TunnelsDocument>()) == tunnels);
}

void test_prometheus(void **)
{
    StatsDocument d;
    d.metrics = {{"mcipsec_b", "counter", "Second\nline", {}, 3}, {"mcipsec_a", "gauge", "First", {{"tunnel_group", "1"}}, 0.5}, {"mcipsec_b", "counter", "", {{"peer", "a\"b"}}, 4}};
    const char *want = "# HELP mcipsec_a First\n# TYPE mcipsec_a gauge\nmcipsec_a{tunnel_group=\"1\"} 0.5\n"
                       "# HELP mcipsec_b Second\\nline\n# TYPE mcipsec_b counter\nmcipsec_b 3\nmcipsec_b{peer=\"a\\\"b\"} 4\n";
    assert_string_equal(render_prometheus(d).c_str(), want);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_exact),
        cmocka_unit_test(test_peer_group),
        cmocka_unit_test(test_sync),
        cmocka_unit_test(test_vrrp),
        cmocka_unit_test(test_tunnel),
        cmocka_unit_test(test_tunnel_group),
        cmocka_unit_test(test_sa_and_log),
        cmocka_unit_test(test_foreign_text_is_harmless),
        cmocka_unit_test(test_json_keys),
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_prometheus),
    };
    return cmocka_run_group_tests_name("view", tests, nullptr, nullptr);
}
