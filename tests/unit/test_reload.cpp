// SPDX-License-Identifier: GPL-2.0-or-later
// needs: app
// What a reload applies: for every key that the table says may change at once,
// one part of the agent that sees the change. Keys are listed with the function
// by which the engine's parts see them; a key in the table that is not listed
// here, or whose change no function shows, fails. What is refused, and how.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "app/applied.hpp"
#include "app/config_check.hpp"
#include "app/config_digest.hpp"
#include "app/config_keys.hpp"
#include "app/gate_boot.hpp"
#include "app/member_watch.hpp"
#include "app/metrics_file.hpp"
#include "app/peer_control.hpp"
#include "app/session_log.hpp"
#include "app/vrrp_control.hpp"
#include "io/files.hpp"
#include "unit/config_text.hpp"
#include "unit/io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::app;
using namespace mcipsec::test;

namespace {

// "isa.tunnel-group.1.rekey.rate" -> "isa.tunnel-group.*.rekey.rate": names and numbers out.
std::string pattern_of(const Leaf &l)
{
    std::string out;
    bool quote = false, star = false;
    std::string path = l.section + ".";
    std::string word;
    for (const char c : path) {
        if (c == '"')
            quote = !quote;
        if (c == '.' && !quote) {
            const bool name = star || word.find('"') != std::string::npos || std::all_of(word.begin(), word.end(), [](char d) { return std::isdigit(static_cast<unsigned char>(d)); });
            out += name ? "*." : word + ".";
            star = !name && (word == "mda" || word == "public" || word == "private" || word == "tunnel" || word == "instance" || word == "policy");
            word.clear();
        } else {
            word += c;
        }
    }
    return out + l.key;
}

const PeerConfig &peer(const Config &c) { return c.multi_chassis.peer.begin()->second; }

std::string seen_by_mimp(const Config &c)
{
    const auto m = mimp_config(peer(c));
    std::string out = fmt::format("{} {} {} {} {} {}", m.keep_alive_interval.count(), m.hold_on_neighbor_failure, m.discovery_interval.count(), m.discovery_interval_boot.count(), m.bfd_enable, m.lease_guard.count());
    for (const auto &g : m.groups)
        out += fmt::format(" {} {} {} {}", g.id, g.peer_group, g.priority, g.shutdown);
    return out;
}
std::string seen_by_bfd(const Config &c)
{
    const auto b = bfd_config(peer(c).mc_ipsec.bfd);
    return fmt::format("{} {} {}", b.transmit.count(), b.receive.count(), b.multiplier);
}
std::string seen_by_pacer(const Config &c)
{
    const auto p = rekey_pace(c.tunnel_group.at(1).rekey);
    return fmt::format("{} {} {} {}", p.rate, p.jitter.count(), p.in_flight, p.retry.count());
}
std::string seen_by_sequence(const Config &c)
{
    const auto p = seq_params(c.tunnel_group.at(1).sequence, detection_time(peer(c).mc_ipsec));
    return fmt::format("{} {} {} {} {} {}", p.sample_interval.count(), p.detection.count(), p.send_time.count(), p.assumed_peak_pps, p.strict_replay, p.margin_floor);
}
std::string seen_by_plugin(const Config &c)
{
    const auto p = plugin_group(c, 1);
    return fmt::format("{} {} {}", p.commit_limit_ms, p.addresses.size(), fmt::join(p.connections, " "));
}
std::string seen_by_module(const Config &c)
{
    auto links = take(io::Links::open());
    auto both = c;      // the next-hops of both kinds count where there are tunnels of both
    auto dynamic = c.tunnel.begin()->second;
    dynamic.type = TunnelType::Dynamic;
    both.tunnel.emplace("dynamic", dynamic);
    const auto g = take(gate_config(both, 1, links));
    std::string out;
    for (const auto *list : {&g.addresses, &g.public_nexthops, &g.private_nexthops})
        for (const auto &a : *list)
            out += fmt::format("{}/{},", a.address.str(), a.flags);
    return out;
}
std::string seen_by_digest(const Config &c)
{
    std::string out;
    for (const auto &i : config_digest(c, 1, {}))
        out += i.name + to_hex(i.digest);
    return out;
}
std::string seen_by_members(const Config &c)
{
    auto loop = take(io::EventLoop::create());
    MemberWatch w(*loop);
    w.probes = {[] { return std::string(); }, [] { return std::uint64_t(0); }, [](const auto &) {}, [] { return Expected<void>(); }};
    check(w.configure(c.mda));
    return w.health("1/2", {}).why_not();
}
std::string seen_by_vrrp(const Config &c)
{
    static ScratchFolder dir;
    auto loop = take(io::EventLoop::create());
    io::Log log;
    log.set_sink(io::Log::Sink::None);
    VrrpControl v(*loop, log);
    auto config = c.vrrp;
    config.notify_fifo = dir / "fifo";
    for (auto &[name, i] : config.instance)
        i.track_file = dir.path + i.track_file;
    check(v.configure(config));
    std::string out;
    for (const auto &l : v.fence_lines())
        out += fmt::format("{} {} {};", l.group, l.path, l.value);
    for (const auto &row : v.views())
        out += fmt::format("{} {} {} {};", row.base_pri, row.pol_id, row.track_file, row.vr_id);
    return out;
}
std::string seen_by_log(const Config &c)
{
    io::PluginLog l;
    l.group = 1;
    l.fields = {{"name", "tunnel-1"}};
    const auto v = entry_view(session_record(c, l));
    const auto at = [&](const char *k) { return v.fields.contains(k) ? v.fields.at(k) : ""; };
    return v.tunnel + at("public_service") + at("private_service");
}
std::string seen_by_checks(const Config &c)
{
    const auto f = check_daemon_files(c);
    return fmt::format("{}|{}", fmt::join(f.errors, ";"), fmt::join(f.warnings, ";"));
}
std::string seen_by_verdict(const Config &c)
{
    std::vector<group::MemberHealth> members;
    for (const auto &name : c.tunnel_group.at(1).mda)
        members.push_back({name, true, {}});
    const auto v = group::judge(members, c.tunnel_group.at(1).active_mda_number, !c.tunnel_group.at(1).shutdown);
    return fmt::format("{} {}", fmt::join(v.primary, " "), v.reason);
}
// Read from the running configuration whenever they are needed, by code that
// has no function of its own: the engine's tables and timers.
template <class F>
auto read_live(F value)
{
    return [value](const Config &c) { return fmt::format("{}", value(c)); };
}

struct Row {
    const char *key;
    std::function<std::string(const Config &)> seen;
    const char *other;          // another value, TOML
};

std::vector<Row> rows(const ScratchFolder &dir)
{
    static const std::string swanctl = "\"" + (dir / "swanctl.conf") + "\"", keepalived = "\"" + (dir / "keepalived.conf") + "\"";
    const auto peer_value = [](auto member) { return read_live([member](const Config &c) { return peer(c).*member; }); };
    const auto tunnel_value = [](auto member) { return read_live([member](const Config &c) { return c.tunnel.at("tunnel-1").*member; }); };
    return {
        {"system.swanctl-conf", seen_by_checks, swanctl.c_str()},
        {"system.metrics-file", read_live([](const Config &c) { return c.system.metrics_file; }), "\"/run/m.prom\""},
        {"system.metrics-interval", read_live([](const Config &c) { return c.system.metrics_interval.count(); }), "7"},
        {"system.log-entries", read_live([](const Config &c) { return c.system.log_entries; }), "777"},
        {"isa.mda.*.shutdown", seen_by_members, "true"},
        {"isa.mda.*.track-file", seen_by_members, "\"/nonexistent\""},
        {"isa.mda.*.track-script", seen_by_members, "\"/nonexistent\""},
        {"isa.mda.*.cpus", seen_by_members, "[1023]"},
        {"isa.mda.*.interval", read_live([](const Config &c) { return c.mda.at("1/2").interval.count(); }), "9"},
        {"isa.mda.*.timeout", read_live([](const Config &c) { return c.mda.at("1/2").timeout.count(); }), "9"},
        {"isa.tunnel-group.*.mda", seen_by_verdict, "[\"1/2\", \"7/7\"]"},
        {"isa.tunnel-group.*.ipsec-responder-only", seen_by_digest, "false"},
        {"isa.tunnel-group.*.shutdown", seen_by_verdict, "true"},
        {"isa.tunnel-group.*.rekey.rate", seen_by_pacer, "7"},
        {"isa.tunnel-group.*.rekey.jitter", seen_by_pacer, "7"},
        {"isa.tunnel-group.*.rekey.in-flight", seen_by_pacer, "7"},
        {"isa.tunnel-group.*.rekey.retry", seen_by_pacer, "7"},
        {"isa.tunnel-group.*.sequence.interval", seen_by_sequence, "77"},
        {"isa.tunnel-group.*.sequence.peak-rate", seen_by_sequence, "77"},
        {"isa.tunnel-group.*.sequence.hold", seen_by_sequence, "77"},
        {"isa.tunnel-group.*.sequence.margin-floor", seen_by_sequence, "77777"},
        {"isa.tunnel-group.*.sequence.strict-replay", seen_by_sequence, "true"},
        {"ipsec.public.*.interface", read_live([](const Config &c) { return c.publics.begin()->second.interface; }), "\"dummy7\""},
        {"ipsec.public.*.service-id", seen_by_log, "7"},
        {"ipsec.public.*.static-tunnel-redundant-next-hop", seen_by_module, "[\"192.168.255.7\"]"},
        {"ipsec.public.*.dynamic-tunnel-redundant-next-hop", seen_by_module, "[\"2001:db8:255::7\"]"},
        {"ipsec.private.*.service-id", seen_by_log, "7"},
        {"ipsec.private.*.static-tunnel-redundant-next-hop", seen_by_module, "[\"192.168.20.7\"]"},
        {"ipsec.private.*.dynamic-tunnel-redundant-next-hop", seen_by_module, "[\"2001:db8:20::7\"]"},
        {"ipsec.tunnel.*.static-route", seen_by_digest, "[\"10.7.0.0/16\"]"},
        {"ipsec.tunnel.*.sap-index", tunnel_value(&TunnelConfig::sap_index), "7"},
        {"ipsec.tunnel.*.security-policy", tunnel_value(&TunnelConfig::security_policy), "7"},
        {"redundancy.multi-chassis.clock-skew-limit", read_live([](const Config &c) { return c.multi_chassis.clock_skew_limit.count(); }), "7"},
        {"redundancy.multi-chassis.peer.*.name", [](const Config &c) { return peer_name(peer(c)); }, "\"seven\""},
        {"redundancy.multi-chassis.peer.*.description", peer_value(&PeerConfig::description), "\"seven\""},
        {"redundancy.multi-chassis.peer.*.shutdown", seen_by_mimp, "true"},
        {"redundancy.multi-chassis.peer.*.sync.ipsec.shutdown", read_live([](const Config &c) { return peer(c).sync.shutdown; }), "true"},
        {"redundancy.multi-chassis.peer.*.sync.ipsec.output-commit-limit", seen_by_plugin, "77"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.bfd-enable", seen_by_mimp, "false"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.keep-alive-interval", seen_by_mimp, "7"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.hold-on-neighbor-failure", seen_by_mimp, "7"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.discovery-interval", seen_by_mimp, "7"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.discovery-interval-boot", seen_by_mimp, "7"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.lease-guard", seen_by_mimp, "77"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.restart-hold", read_live([](const Config &c) { return peer(c).mc_ipsec.restart_hold.count(); }), "7"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.bfd.transmit", seen_by_bfd, "77"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.bfd.receive", seen_by_bfd, "77"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.bfd.multiplier", seen_by_bfd, "7"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.tunnel-group.*.priority", seen_by_mimp, "77"},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.tunnel-group.*.standby-restart", read_live([](const Config &c) { return static_cast<int>(peer(c).mc_ipsec.tunnel_group.at(1).standby_restart); }), "\"restart\""},
        {"redundancy.multi-chassis.peer.*.mc-ipsec.tunnel-group.*.shutdown", seen_by_mimp, "true"},
        {"vrrp.keepalived-conf", seen_by_vrrp, keepalived.c_str()},
        {"vrrp.release-pulse", read_live([](const Config &c) { return c.vrrp.release_pulse.count(); }), "77"},
        {"vrrp.policy.*.priority-event", seen_by_vrrp, "[ { mc-ipsec-non-forwarding = 1, priority = 7 } ]"},
        {"vrrp.instance.*.policy", seen_by_vrrp, "0"},
        {"vrrp.instance.*.base-priority", seen_by_vrrp, "77"},
        {"vrrp.instance.*.track-file", seen_by_vrrp, "\"/seven\""},
    };
}

// Everything said, so that a drop-in can override each key.
Config full(const std::string &drop_in = "")
{
    auto text = with(kSegw1, "address = \"192.0.2.1\"\n", "address = \"192.0.2.1\"\nswanctl-conf = \"\"\n");
    text = with(text, "vrf = \"vprn2\"\n", "");      // no such device here
    std::vector<ConfigText> sources{{"m.toml", text + "[vrrp]\nkeepalived-conf = \"\"\n"}};
    if (!drop_in.empty())
        sources.push_back({"d.toml", drop_in});
    auto c = parse_config(sources);
    if (!c)
        broken(c.error().text + "\n" + drop_in);
    return std::move(*c);
}

// Which next-hops the module gets, by the kinds of tunnels there are.
void next_hops_follow_the_kinds_of_tunnels(void **)
{
    auto links = take(io::Links::open());
    const auto hops = [&](const Config &c) {
        std::string out;
        for (const auto &a : take(gate_config(c, 1, links)).public_nexthops)
            out += fmt::format("{}/{} ", a.address.str(), a.flags);
        return out;
    };
    auto c = full("[ipsec.public.\"int-IPsec-Public-1\"]\ndynamic-tunnel-redundant-next-hop = [\"192.168.255.3\"]\n");
    assert_string_equal(hops(c).c_str(), "192.168.255.2/0 ");
    auto dynamic = c.tunnel.begin()->second;
    dynamic.type = TunnelType::Dynamic;
    c.tunnel.emplace("dynamic", dynamic);
    assert_string_equal(hops(c).c_str(), "192.168.255.2/1 192.168.255.3/2 ");
    const auto old = for_older_module(take(gate_config(c, 1, links)));
    assert_true(old.public_nexthops.size() == 1 && old.public_nexthops[0].flags == 0);
    auto same = c;
    same.publics.begin()->second.dynamic_redundant_next_hop = same.publics.begin()->second.static_redundant_next_hop;
    assert_string_equal(hops(same).c_str(), "192.168.255.2/0 ");
    // Tunnels of another VRF's service are none of this one's.
    auto other = c.publics.begin()->second;
    other.vrf = "elsewhere";
    c.publics.emplace("other", other);
    c.tunnel.at("dynamic").public_name = "other";
    assert_string_equal(hops(c).c_str(), "192.168.255.2/0 ");
    c.tunnel.clear();
    assert_string_equal(hops(c).c_str(), "192.168.255.2/0 192.168.255.3/0 ");
}

void every_key_that_applies_at_once_is_seen(void **)
{
    ScratchFolder dir;
    check(io::write_file_atomic(dir / "swanctl.conf", "connections { tunnel-1 { version = 1\n } }\n"));
    check(io::write_file_atomic(dir / "keepalived.conf", "vrrp_instance VRRP10 {\n interface eth0\n virtual_router_id 10\n priority 200\n advert_int 1\n}\n"));
    const auto table = rows(dir);
    const auto whole = full();
    std::set<std::string> used;
    unsigned missing = 0, blind = 0;
    for (const auto &l : flatten(whole)) {
        if (l.key.empty())
            continue;
        const auto pattern = pattern_of(l);
        const auto row = std::find_if(table.begin(), table.end(), [&](const Row &r) { return pattern == r.key; });
        if (l.apply != Apply::AtOnce) {
            if (row != table.end())
                print_error("%s is not applied at once, but listed\n", pattern.c_str()), blind++;
            continue;
        }
        if (row == table.end()) {
            print_error("nobody is named who applies %s at once\n", pattern.c_str());
            missing++;
            continue;
        }
        used.insert(pattern);
        // Static tunnels need ipsec-responder-only.
        const std::string others = l.key == "ipsec-responder-only" ? "[ipsec.tunnel.\"tunnel-1\"]\ntype = \"dynamic\"\nstatic-route = []\n" : "";
        const auto before = full(others);
        const auto after = full(others + fmt::format("[{}]\n{} = {}\n", l.section, l.key, row->other));
        if (row->seen(before) == row->seen(after)) {
            print_error("%s = %s makes no difference: %s\n", pattern.c_str(), row->other, row->seen(after).c_str());
            blind++;
        }
        const auto changes = check_reload(before, after);
        if (!changes)
            broken(pattern + ": " + changes.error().text);
        assert_true(!changes->empty());
    }
    for (const auto &r : table)
        if (!used.contains(r.key)) {
            print_error("%s is listed, but no such key applies at once\n", r.key);
            missing++;
        }
    assert_int_equal(missing, 0);
    assert_int_equal(blind, 0);
}

void objects_come_and_go_or_are_refused(void **)
{
    const auto base = full();
    const auto refused = [&](const Config &from, const Config &to, const char *why) {
        const auto r = check_reload(from, to);
        if (r)
            broken(std::string("not refused: ") + why);
        if (r.error().text.find(why) == std::string::npos)
            broken(r.error().text + " does not say " + why);
    };
    const auto allowed = [&](const Config &from, const Config &to) {
        const auto r = check_reload(from, to);
        if (!r)
            broken(r.error().text);
        assert_true(!r->empty());
    };
    const auto tunnel = full("[ipsec.tunnel.\"tunnel-2\"]\npublic = \"int-IPsec-Public-1\"\nprivate = \"int-IPsec-Private-1\"\n");
    allowed(base, tunnel);
    allowed(tunnel, base);
    const auto policy = full("[vrrp.policy.2]\npriority-event = [ { mc-ipsec-non-forwarding = 1 } ]\n[vrrp.instance.VRRP20]\npolicy = 2\n");
    allowed(base, policy);
    allowed(policy, base);
    const auto member = full("[isa.mda.\"9/9\"]\ncpus = [0]\n");
    allowed(base, member);
    allowed(member, base);
    const auto group = full("[isa.tunnel-group.2]\nmulti-active = true\n[ipsec.public.two]\ntunnel-group = 2\nlocal-gateway-address = [\"10.10.20.2\"]\n");
    // What is new comes by a planned restart, all of it and nothing else.
    const auto comes = [&](const Config &from, const Config &to, const std::string &what) {
        const auto r = check_reload(from, to);
        if (!r)
            broken(r.error().text);
        for (const auto &c : *r)
            if (c.apply == Apply::PlannedRestart && !c.path.starts_with(what))
                broken(c.path + " needs no restart");
        assert_true(std::any_of(r->begin(), r->end(), [&](const Change &c) { return c.path == what && c.apply == Apply::PlannedRestart; }));
    };
    comes(base, group, "isa.tunnel-group.2");
    // What is in use does not go; shut down it does, in the same way.
    refused(group, base, "needs tunnel-group 2 shutdown (isa.tunnel-group.2 is no longer there)");
    auto shut = group;
    shut.tunnel_group.at(2).shutdown = true;
    comes(shut, base, "isa.tunnel-group.2");
    const auto second = full("[redundancy.multi-chassis.peer.\"192.0.2.3\"]\nauthentication-key-file = \"/k\"\nsource-address = \"192.0.2.8\"\n");
    comes(base, second, "redundancy.multi-chassis.peer.\"192.0.2.3\"");
    refused(second, base, "needs a restart of mcipsecd (redundancy.multi-chassis.peer.\"192.0.2.3\" is no longer there)");
    // One line an object: its parts are not complained about, too.
    assert_true(check_reload(second, base).error().text.find('\n') == std::string::npos);
    refused(base, full("[redundancy.multi-chassis.peer.\"192.0.2.2\".sync.ipsec.tunnel-group.1]\nsync-tag = \"other\"\n"), "needs a restart of mcipsecd");
    refused(base, full("[redundancy.multi-chassis.peer.\"192.0.2.2\"]\nsource-address = \"192.0.2.9\"\n"), "needs a restart of mcipsecd");
    refused(base, full("[system]\naddress = \"192.0.2.9\"\n"), "needs a restart of mcipsecd");
    refused(base, full("[ipsec.public.\"int-IPsec-Public-1\"]\nlocal-gateway-address = [\"10.10.20.9\"]\n"), "d.toml:2: needs tunnel-group 1 shutdown");
}

// Virtual addresses are nobody's twice in a dual master: each has its half.
void two_eligible_chassis_share_the_pool(void **)
{
    const auto one = full();
    auto other = full();
    auto &p = other.multi_chassis.peer.begin()->second;
    std::swap(p.source_address, p.address);
    assert_true(pool_share(one, 1, Mastership::Eligible) == io::PoolShare::Even);
    assert_true(pool_share(other, 1, Mastership::Eligible) == io::PoolShare::Odd);
    for (const auto state : {Mastership::Discovery, Mastership::NotEligible, Mastership::Standby, Mastership::Master})
        assert_true(pool_share(one, 1, state) == io::PoolShare::All && pool_share(other, 1, state) == io::PoolShare::All);
    other.multi_chassis.peer.clear();
    assert_true(pool_share(other, 1, Mastership::Eligible) == io::PoolShare::All);
}

void metrics_file_follows_its_keys(void **)
{
    ScratchFolder dir;
    auto loop = take(io::EventLoop::create());
    io::Log log;
    log.set_sink(io::Log::Sink::None);
    double value = 1;
    {
        MetricsFile m(*loop, log, [&] { return std::vector<MetricView>{{"mcipsec_x", "gauge", "X", {}, value}}; });
        check(m.configure("", 10ms));
        check(m.configure(dir / "a.prom", 10ms));
        const auto holds = [&](const char *name, const std::string &line) {
            return turn_until(*loop, [&] {
                const auto text = io::read_file(dir / name);
                return text && text->find(line) != std::string::npos;
            });
        };
        assert_true(holds("a.prom", "mcipsec_x 1\n"));
        value = 2;
        assert_true(holds("a.prom", "mcipsec_x 2\n"));
        check(m.configure(dir / "b.prom", 10ms));
        assert_true(holds("b.prom", "mcipsec_x 2\n"));
        assert_false(std::filesystem::exists(dir / "a.prom"));
        check(m.configure(dir / "no/such/folder/c.prom", 10ms));
        assert_true(turn_until(*loop, [&] { return !log.tail(1).empty(); }));       // told, and it goes on
        check(m.configure(dir / "b.prom", 10ms));
        assert_true(holds("b.prom", "mcipsec_x 2\n"));
        assert_int_equal(log.tail(10).size(), 1);
    }
    assert_false(std::filesystem::exists(dir / "b.prom"));      // no old numbers stay behind
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(next_hops_follow_the_kinds_of_tunnels), cmocka_unit_test(every_key_that_applies_at_once_is_seen),
        cmocka_unit_test(objects_come_and_go_or_are_refused),
        cmocka_unit_test(two_eligible_chassis_share_the_pool),
        cmocka_unit_test(metrics_file_follows_its_keys),
    };
    return cmocka_run_group_tests_name("reload", tests, nullptr, nullptr);
}
