// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// The configuration parser: defaults, positions in messages, every range of the
// key table, drop-ins, `config show` read back, the man page.
#include "unit/cmocka_cpp.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "app/config.hpp"
#include "app/config_keys.hpp"
#include "unit/config_text.hpp"

using namespace mcipsec;
using namespace mcipsec::app;

namespace {

Expected<Config> read(const std::string &text) { return parse_config({{"m.toml", text}}); }

std::string error_of(const std::string &text)
{
    const auto c = read(text);
    return c ? "" : c.error().text;
}

void expect_error(const std::string &text, const std::string &line_with, const std::string &message)
{
    const auto e = error_of(text);
    const auto want = fmt::format("m.toml:{}: {}", line_of(text, line_with), message);
    if (e.find(want) == std::string::npos)
        fail_with("wanted: %s\n   got: %s", want.c_str(), e.c_str());
}

void test_seed_configuration(void **)
{
    const auto c = read(kSegw1);
    if (!c)
        fail_with("%s", c.error().text.c_str());
    assert_string_equal(c->system.address.str().c_str(), "192.0.2.1");
    const auto &g = c->tunnel_group.at(1);
    assert_true(g.multi_active && g.ipsec_responder_only && !g.shutdown);
    assert_true(g.mda == std::vector<std::string>{"1/2"});
    assert_true(c->mda.contains("1/2"));                        // without a section of its own
    const auto &p = c->multi_chassis.peer.begin()->second;
    assert_string_equal(p.address.str().c_str(), "192.0.2.2");
    assert_string_equal(p.source_address.str().c_str(), "192.0.2.1");       // default: system address
    assert_true(p.mc_ipsec.bfd_enable);
    assert_true(p.mc_ipsec.keep_alive_interval == 1s);
    assert_int_equal(p.mc_ipsec.hold_on_neighbor_failure, 3);
    assert_true(p.mc_ipsec.discovery_interval == 200s);
    assert_true(p.mc_ipsec.discovery_interval_boot == 200s);    // default: discovery-interval
    assert_int_equal(p.mc_ipsec.tunnel_group.at(1).priority, 200);
    assert_int_equal(p.mc_ipsec.tunnel_group.at(1).peer_group, 1);
    assert_true(p.sync.configured);
    assert_string_equal(p.sync.tunnel_group.at(1).sync_tag.c_str(), "tag-1");
    assert_true(p.sync.output_commit_limit == 200ms);
    assert_int_equal(c->tunnel.at("tunnel-1").tunnel_group, 1);
    assert_string_equal(c->tunnel.at("tunnel-1").connection.c_str(), "tunnel-1");
    assert_string_equal(c->tunnel.at("tunnel-1").static_route.at(0).str().c_str(), "192.168.1.1/32");
    assert_string_equal(c->vrrp.instance.at("VRRP10").track_file.c_str(), "/run/mcipsec/vrrp/VRRP10.track");
    assert_string_equal(c->vrrp.notify_fifo.c_str(), "/run/mcipsec/vrrp/notify.fifo");
    assert_int_equal(c->vrrp.policy.at(1).priority_event.at(0).priority, 50);
    assert_true(c->peer_of(1) == &p);
    assert_null(c->peer_of(2));
    assert_int_equal(c->gateway_addresses(1).size(), 1);
    assert_true(c->warnings.empty());
    assert_int_equal(c->where_of("isa.tunnel-group.1.mda").line, line_of(kSegw1, "mda = "));
}

void test_group_defaults(void **)
{
    const auto c = read("[isa.tunnel-group.7]\n[ipsec.public.p]\ntunnel-group = 7\nlocal-gateway-address = [\"10.10.20.7\"]\n");
    assert_true(c.has_value());
    const auto &g = c->tunnel_group.at(7);
    assert_false(g.multi_active);
    assert_int_equal(g.active_mda_number, 1);
    assert_int_equal(g.mda.size(), 1);
    assert_int_equal(McIpsecGroupConfig{}.priority, 100);       // seed: default 100
    assert_true(McIpsecConfig{}.discovery_interval == 300s);
    assert_true(McIpsecConfig{}.keep_alive_interval == 1s);
    assert_int_equal(McIpsecConfig{}.hold_on_neighbor_failure, 3);
    assert_int_equal(PriorityEventConfig{}.priority, 0);
}

void test_run_dir(void **)
{
    const auto c = parse_config({{"m.toml", kSegw1}}, "/run/gw2");
    assert_string_equal(c->system.run_dir.c_str(), "/run/gw2");
    assert_string_equal(c->vrrp.instance.at("VRRP10").track_file.c_str(), "/run/gw2/vrrp/VRRP10.track");
}

void test_positions(void **)
{
    expect_error(with(kSegw1, "priority = 200", "priority = 300"), "priority = 300", "priority is 300, allowed is 0..255");
    expect_error(with(kSegw1, "priority = 200", "priority = \"high\""), "priority = \"high", "priority is a string, allowed is 0..255");
    expect_error(with(kSegw1, "priority = 200", "priority = 20.5"), "priority = 20.5", "priority has a fraction, allowed is 0..255");
    expect_error(with(kSegw1, "bfd-enable = true", "bfd-enable = 1"), "bfd-enable", "bfd-enable is an integer, allowed is true or false");
    expect_error(with(kSegw1, "discovery-interval = 200", "discovery-interval = 0"), "discovery-interval = 0", "discovery-interval is 0, allowed is 1..1800 s");
    expect_error(with(kSegw1, "discovery-interval = 200", "keep-alive-interval = 0.04"), "keep-alive-interval", "keep-alive-interval is 0.04, allowed is 0.05..50 s");
    expect_error(with(kSegw1, "discovery-interval = 200", "keep-alive-interval = nan"), "keep-alive-interval", "keep-alive-interval is nan, allowed is 0.05..50 s");
    expect_error(with(kSegw1, "discovery-interval", "discovery-intervall"), "discovery-intervall", "unknown key discovery-intervall in [redundancy.multi-chassis.peer.\"192.0.2.2\".mc-ipsec], allowed: bfd-enable,");
    expect_error(with(kSegw1, "[system]", "[sistem]"), "[sistem]", "unknown key 'sistem' in the file, allowed: system, isa, ipsec, redundancy, vrrp");
    expect_error(with(kSegw1, "\"192.0.2.1\"", "\"192.0.2\""), "address = ", "address is \"192.0.2\", allowed is an IPv4 or IPv6 address");
    expect_error(with(kSegw1, "\"192.168.1.1/32\"", "\"192.168.1.1/24\""), "static-route", "static-route: '192.168.1.1/24' has host bits set");
    expect_error(with(kSegw1, "\"192.168.1.1/32\"", "\"192.168.1.1/33\""), "static-route", "static-route: '192.168.1.1/33' has no length 0..32");
    expect_error(with(kSegw1, "[isa.tunnel-group.1]", "[isa.tunnel-group.1025]"), "1025", "'1025' is not a tunnel-group, allowed is a number 1..1024");
    expect_error(with(kSegw1, "peer.\"192.0.2.2\"]", "peer.\"SeGW-2\"]"), "SeGW-2", "peer: 'SeGW-2' is not an IPv4 or IPv6 address");
    expect_error(with(kSegw1, "mda = [\"1/2\"]", "mda = [\"1/2\", \"1/2\"]"), "mda = ", "mda names one thing twice");
    expect_error(with(kSegw1, "mda = [\"1/2\"]", "mda = []"), "mda = ", "mda has 0 elements");
    expect_error(with(kSegw1, "vrf = \"vprn2\"", "vrf = \"a-name-of-sixteen\""), "vrf = ", "vrf is \"a-name-of-sixteen\", allowed is a device name");
    expect_error(with(kSegw1, "/etc/mcipsec/peer.key", "peer.key"), "peer.key", "authentication-key-file is \"peer.key\", allowed is an absolute path");
    expect_error(with(kSegw1, "priority = 50", "priority = 255"), "priority-event", "priority is 255, allowed is 0..254");
    expect_error(with(kSegw1, "vrrp.instance.VRRP10", "vrrp.instance.\"../x\""), "\"../x\"", "vrrp.instance \"../x\": the name becomes a file name");
}

void test_ends_of_a_priority_event(void **)
{
    for (const char *good : {"priority = 0", "priority = 254", "hold-set = 0", "hold-set = 86400", "hold-clear = 0", "hold-clear = 86400"})
        assert_string_equal(error_of(with(kSegw1, "priority = 50", good)).c_str(), "");
    assert_int_equal(read(with(kSegw1, "priority = 50", "hold-clear = 86400"))->vrrp.policy.at(1).priority_event.at(0).hold_clear.count(), Duration(86400s).count());
    expect_error(with(kSegw1, "priority = 50", "priority = -1"), "priority-event", "priority is -1, allowed is 0..254");
    for (const std::string key : {"hold-set", "hold-clear"}) {
        expect_error(with(kSegw1, "priority = 50", key + " = 86401"), "priority-event", key + " is 86401, allowed is 0..86400 s");
        expect_error(with(kSegw1, "priority = 50", key + " = -1"), "priority-event", key + " is -1, allowed is 0..86400 s");
    }
}

void test_syntax_error(void **)
{
    const auto e = error_of("[system]\naddress = \n");
    assert_true(e.starts_with("m.toml:2: ") || e.starts_with("m.toml:3: "));
}

void test_parser_survives(void **)
{
    // The first made toml++ abort; found by fuzzing.
    for (const char *text : {"[#a]\n", "[[", "[", "a = [", "a = {", "\"", "a.", "= 1", "[a]\n[a]\n", "a = 1_", "a = 0x", "a = 1e999", "a = 9999999999999999999999", "\xff\xfe", "a = '''", "a.b = 1\na = 2\n"})
        assert_false(read(text).has_value());
    assert_false(read(std::string(100000, '[')).has_value());
    assert_false(read("a = " + std::string(100000, '[')).has_value());
    assert_false(read("a = " + std::string(100000, '{')).has_value());
    std::string dots = "a";
    for (int i = 0; i < 100000; i++)
        dots += ".a";
    assert_false(read(dots + " = 1\n").has_value());
}

// Where toml++ asks whether a character beyond ASCII is a blank, its answer is
// undefined behaviour for most of them (found by fuzzing).
void test_characters_beyond_ascii(void **)
{
    const auto fine = with(kSegw1, "[redundancy.multi-chassis.peer.\"192.0.2.2\"]\n", "# caf\u00e9 'a\n[redundancy.multi-chassis.peer.\"192.0.2.2\"]\nname = \"caf\u00e9 \\\" \u00e9\"\n");
    assert_true(read(fine).has_value());
    assert_true(read("\xef\xbb\xbf" + fine).has_value());
    for (const char *text : {"\u00e9 = 1\n", "\ufedf# S", "a = \u00e9\n", "a = 'b' \u00e9\n", "[a]\u00a0\n", "a = \"b\\\\\" \u00e9\n", "a = \"\"\"\\\u00e9\"\"\"\n"})
        assert_true(error_of(text).starts_with("m.toml:1: a character that is not ASCII"));
    assert_true(error_of("a = 1\n\n\u00e9").starts_with("m.toml:3: "));
}

void test_no_control_characters(void **)
{
    expect_error(with(kSegw1, "[redundancy.multi-chassis.peer.\"192.0.2.2\"]\n", "[redundancy.multi-chassis.peer.\"192.0.2.2\"]\nname = \"\\u001b[31m\"\n"), "name = ", "name is too long or has control characters");
    assert_true(error_of("\"\\u001b\" = 1\n").find('\x1b') == std::string::npos);
}

void test_several_errors(void **)
{
    const auto e = error_of("[isa.tunnel-group.1]\nmulti-active = 1\nactive-mda-number = 0\n");
    assert_true(e.find("m.toml:2: ") != std::string::npos && e.find("m.toml:3: ") != std::string::npos);
}

void test_required(void **)
{
    expect_error(with(kSegw1, "authentication-key-file", "description"), "[redundancy.multi-chassis.peer.\"192.0.2.2\"]", "[redundancy.multi-chassis.peer.\"192.0.2.2\"] has no authentication-key-file, which it needs");
    expect_error(with(kSegw1, "mc-ipsec-non-forwarding = 1, ", ""), "priority-event", "a priority-event has no mc-ipsec-non-forwarding");
}

void test_dropins(void **)
{
    const auto c = parse_config({{"m.toml", kSegw1}, {"conf.d/10.toml", "[isa.tunnel-group.1]\nshutdown = true\n"}, {"conf.d/20.toml", "redundancy.multi-chassis.peer.\"192.0.2.2\".mc-ipsec.tunnel-group.1.priority = 7\n"}});
    assert_true(c.has_value());
    assert_true(c->tunnel_group.at(1).shutdown);
    assert_true(c->tunnel_group.at(1).multi_active);            // of the first file
    assert_int_equal(c->peer_of(1)->mc_ipsec.tunnel_group.at(1).priority, 7);
    assert_string_equal(c->where_of("isa.tunnel-group.1.shutdown").str().c_str(), "conf.d/10.toml:2");
    const auto bad = parse_config({{"m.toml", kSegw1}, {"conf.d/10.toml", "\n[vrrp.instance.VRRP10]\nbase-priority = 0\n"}});
    assert_true(bad.error().text.starts_with("conf.d/10.toml:3: base-priority is 0, allowed is 1..254"));
}

void test_ipv6_spelling(void **)
{
    // Both sections are one peer.
    auto text = with(kSegw1, "\"192.0.2.1\"", "\"2001:db8::1\"");
    text = with(text, "peer.\"192.0.2.2\"]", "peer.\"2001:db8:0:0::2\"]");
    for (int i = 0; i < 3; i++)
        text = with(text, "peer.\"192.0.2.2\"", "peer.\"2001:DB8::2\"");
    const auto c = read(text);
    if (!c)
        fail_with("%s", c.error().text.c_str());
    assert_int_equal(c->multi_chassis.peer.size(), 1);
    assert_int_equal(c->where_of("redundancy.multi-chassis.peer.\"2001:db8::2\".authentication-key-file").line, line_of(text, "authentication-key-file"));
}

// ---- every range of the table ----

template <class S>
void ranges_of(const std::string &section, unsigned &tried)
{
    for (const auto &k : keys<S>()) {
        const bool numeric = std::visit([]<class F>(F) {
            using T = std::remove_cvref_t<decltype(std::declval<S>().*std::declval<F>())>;
            return std::is_arithmetic_v<T> ? !std::is_same_v<T, bool> : std::is_same_v<T, Duration>;
        }, k.field);
        if (!numeric)
            continue;
        const double step = k.unit == Unit::None ? 1 : 0.001;
        const auto attempt = [&](double v) {
            const auto text = fmt::format("[{}]\n{} = {}\n", section, k.name, v);
            const auto c = parse_config({{"m.toml", kSegw1}, {"d.toml", text}});
            const auto want = fmt::format("d.toml:2: {} is {}, allowed is {}", k.name, v, allowed_text(k));
            return !c && c.error().text.find(want) != std::string::npos;
        };
        tried++;
        if (attempt(k.min) || attempt(k.max))
            fail_with("[%s] %s refuses its limits", section.c_str(), k.name);
        if (!attempt(k.min - step) || !attempt(k.max + (k.max > 1e6 ? 1 : step)))
            fail_with("[%s] %s accepts what is beyond its limits", section.c_str(), k.name);
    }
}

void test_every_range(void **)
{
    unsigned tried = 0;
    const std::string peer = "redundancy.multi-chassis.peer.\"192.0.2.2\"";
    ranges_of<SystemConfig>("system", tried);
    ranges_of<TunnelGroupConfig>("isa.tunnel-group.1", tried);
    ranges_of<RekeyConfig>("isa.tunnel-group.1.rekey", tried);
    ranges_of<SequenceConfig>("isa.tunnel-group.1.sequence", tried);
    ranges_of<MdaConfig>("isa.mda.\"1/2\"", tried);
    ranges_of<PublicConfig>("ipsec.public.int-IPsec-Public-1", tried);
    ranges_of<PrivateConfig>("ipsec.private.int-IPsec-Private-1", tried);
    ranges_of<TunnelConfig>("ipsec.tunnel.tunnel-1", tried);
    ranges_of<MultiChassisConfig>("redundancy.multi-chassis", tried);
    ranges_of<PeerConfig>(peer, tried);
    ranges_of<SyncConfig>(peer + ".sync.ipsec", tried);
    ranges_of<McIpsecConfig>(peer + ".mc-ipsec", tried);
    ranges_of<BfdConfig>(peer + ".mc-ipsec.bfd", tried);
    ranges_of<McIpsecGroupConfig>(peer + ".mc-ipsec.tunnel-group.1", tried);
    ranges_of<VrrpConfig>("vrrp", tried);
    ranges_of<VrrpInstanceConfig>("vrrp.instance.VRRP10", tried);
    assert_true(tried > 35);
}

void test_defaults_are_in_range(void **)
{
    // What `config show` prints of a minimal file must be accepted, defaults included.
    const auto c = read(kSegw1);
    const auto shown = show_config(*c);
    const auto again = read(shown);
    if (!again)
        fail_with("%s", again.error().text.c_str());
    assert_true(diff(*c, *again).empty());
    assert_true(shown.find("priority = 200\n") != std::string::npos);
    assert_true(shown.find("hold-on-neighbor-failure = 3  # default\n") != std::string::npos);
    const auto noted = show_config(*c, {{"isa.tunnel-group.1.shutdown", "(runtime)"}});
    assert_true(noted.find("shutdown = false  # (runtime)\n") != std::string::npos);
}

void test_man_page_has_every_key(void **)
{
    const auto page = man_page();
    for (const auto &l : flatten(*read(kSegw1))) {
        if (l.key.empty() || l.key == "priority-event")
            continue;
        std::string name;
        for (const char ch : l.key)
            name += ch == '-' ? std::string("\\-") : std::string(1, ch);
        if (page.find("\\fB" + name + "\\fR") == std::string::npos)
            fail_with("mcipsec.toml(5) lacks %s", l.key.c_str());
    }
    assert_true(page.find("0..254") != std::string::npos);
}

void test_man_page_is_current(void **)
{
    // Tests run in tests/.
    std::ifstream in("../Documentation/man/mcipsec.toml.5");
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (text != man_page())
        fail_with("run: mcipsec config man > Documentation/man/mcipsec.toml.5");
}

// ---- files ----

std::string make_dir()
{
    char path[] = "/tmp/mcipsec-test-XXXXXX";
    assert_non_null(mkdtemp(path));
    return path;
}
void put(const std::string &path, const std::string &text, mode_t mode = 0644)
{
    std::ofstream(path) << text;
    assert_int_equal(chmod(path.c_str(), mode), 0);
}

void test_load(void **)
{
    const auto dir = make_dir();
    const auto key = dir + "/peer.key", file = dir + "/m.toml";
    put(key, "mcipsec-key-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 0600);
    auto text = with(kSegw1, "/etc/mcipsec/peer.key", key);
    text += "[system]\n";   // twice: an error, mended below
    text = with(text, "address = \"192.0.2.1\"\n", "address = \"192.0.2.1\"\nswanctl-conf = \"\"\n");
    put(file, text);
    assert_false(load_config(file).has_value());
    text.resize(text.size() - 9);
    text += "[vrrp]\nkeepalived-conf = \"\"\n";
    put(file, text);
    assert_int_equal(mkdir((dir + "/conf.d").c_str(), 0755), 0);
    put(dir + "/conf.d/b.toml", "redundancy.multi-chassis.dscp = 3\n");
    put(dir + "/conf.d/a.toml", "redundancy.multi-chassis.dscp = 2\n");
    put(dir + "/conf.d/c.txt", "not = toml = at all\n");
    const auto c = load_config(file);
    if (!c)
        fail_with("%s", c.error().text.c_str());
    assert_int_equal(c->multi_chassis.dscp, 3);         // lexical order, the last one wins
    assert_int_equal(c->files.size(), 3);

    put(key, "secret\n", 0644);
    const auto open = load_config(file);
    assert_false(open.has_value());
    const auto want = fmt::format("{}:{}: key file {}: mode 0644 lets others read the secret, allowed is 0600", file, line_of(text, "authentication-key-file"), key);
    assert_string_equal(open.error().text.c_str(), want.c_str());
    put(key, "secret\n", 0600);
    assert_true(load_config(file).error().text.find("key file") != std::string::npos);
    assert_int_equal(chmod(key.c_str(), 0700), 0);
    assert_true(load_config(file).error().text.find("mode 0700, allowed is 0600 or 0400") != std::string::npos);
    put(key, "", 0600);
    assert_true(load_config(file).error().text.find("empty") != std::string::npos);
    unlink(key.c_str());
    assert_true(load_config(file).error().text.find("No such file") != std::string::npos);

    assert_int_equal(mkfifo((dir + "/conf.d/d.toml").c_str(), 0600), 0);
    assert_true(load_config(file).error().text.find("is a FIFO") != std::string::npos);
    unlink((dir + "/conf.d/d.toml").c_str());

    const auto gone = load_config(dir + "/none.toml");
    assert_int_equal(gone.error().code, -ENOENT);
    const auto folder = load_config(dir);
    assert_false(folder.has_value());
    for (const char *name : {"/conf.d/a.toml", "/conf.d/b.toml", "/conf.d/c.txt", "/m.toml"})
        unlink((dir + name).c_str());
    rmdir((dir + "/conf.d").c_str());
    rmdir(dir.c_str());
}

void test_prefix(void **)
{
    assert_string_equal(Prefix::parse("10.0.0.0/8")->str().c_str(), "10.0.0.0/8");
    assert_string_equal(Prefix::parse("10.1.2.3")->str().c_str(), "10.1.2.3/32");
    assert_string_equal(Prefix::parse("2001:db8::/32")->str().c_str(), "2001:db8::/32");
    for (const char *bad : {"10.0.0.1/8", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "10.0.0.0/33", "/8", "", "2001:db8::/129", "10.0.0.0/8/8"})
        if (Prefix::parse(bad))
            fail_with("'%s' was accepted", bad);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_seed_configuration),
        cmocka_unit_test(test_group_defaults),
        cmocka_unit_test(test_run_dir),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_ends_of_a_priority_event),
        cmocka_unit_test(test_syntax_error),
        cmocka_unit_test(test_parser_survives),
        cmocka_unit_test(test_characters_beyond_ascii),
        cmocka_unit_test(test_no_control_characters),
        cmocka_unit_test(test_several_errors),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_dropins),
        cmocka_unit_test(test_ipv6_spelling),
        cmocka_unit_test(test_every_range),
        cmocka_unit_test(test_defaults_are_in_range),
        cmocka_unit_test(test_man_page_has_every_key),
        cmocka_unit_test(test_man_page_is_current),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_prefix),
    };
    return cmocka_run_group_tests_name("config", tests, nullptr, nullptr);
}
