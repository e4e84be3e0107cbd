// SPDX-License-Identifier: GPL-2.0-or-later
// needs: app
// What both chassis compare, what is wrong with a loaded connection, and the
// alarms of both; charon is a table of answers. Clock skew's hysteresis.
#include <functional>

#include "app/clock_skew.hpp"
#include "app/config_watch.hpp"
#include "unit/config_text.hpp"
#include "unit/io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::app;
using namespace mcipsec::test;
using io::vici::Message;
using io::vici::Section;

namespace {

// The seed's connection as charon describes it, with one value changed.
struct Conn {
    std::string version = "IKEv2", dpd = "0", start = "none", close = "none", inactivity = "0", rekey = "172800", child_rekey = "7200", mode = "TUNNEL", mobike = "no";
    io::vici::List proposals{"IKE:AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519"};
    io::vici::List esp{"ESP:AES_GCM_16_128/NO_EXT_SEQ"};
    io::vici::List local_ts{"192.168.2.1/32"}, remote_ts{"192.168.1.1/32"};
    std::string auth = "pre-shared key", remote_id = "identity 10.10.10.1", remote_addr = "10.10.10.1";
    bool found = true;

    Message message() const
    {
        Message m;
        m.add_bool("success", true).add_bool("found", found);
        if (!found)
            return m;
        m.add("version", version).add("mobike", mobike).add("dpd-delay", dpd).add("rekey-time", rekey).add("reauth-time", "0");
        m.add_list("local-addrs", {"10.10.20.1"}).add_list("remote-addrs", {remote_addr}).add_list("proposals", proposals);
        m.add_list("local-1-auth", {auth}).add_list("local-1-ids", {"identity 10.10.20.1"});
        m.add_list("remote-1-auth", {auth}).add_list("remote-1-ids", {remote_id});
        Section &c = m.add_section("children").add_section("tunnel-1");
        c.add("mode", mode).add("start-action", start).add("close-action", close).add("dpd-action", "none").add("inactivity", inactivity);
        c.add("rekey-time", child_rekey).add("life-time", "7920").add("rekey-bytes", "0").add("rekey-packets", "0");
        c.add_list("proposals", esp).add_list("local-ts", local_ts).add_list("remote-ts", remote_ts);
        return m;
    }
    ConnectionFacts facts(const std::string &name = "tunnel-1") const { return take(parse_connection(name, message())); }
};

Config parsed(const std::string &text) { return take(parse_config({{"t.toml", text}})); }

// The seed's SeGW-2: what is its own is other, what must be alike is not.
std::string segw2()
{
    std::string t = kSegw1;
    for (const auto &[from, to] : std::vector<std::pair<std::string, std::string>>{{"address = \"192.0.2.1\"", "address = \"192.0.2.2\""},
                                                                                  {"192.168.255.2", "192.168.255.1"},
                                                                                  {"192.168.20.2", "192.168.20.1"},
                                                                                  {"priority = 200\n\n", "priority = 150\n\n"},
                                                                                  {"mda = [\"1/2\"]", "mda = [\"2/1\"]"},
                                                                                  {"interface = \"tunnel-1\"", "interface = \"xfrm7\""}}) {
        t = with(t, from, to);
        if (t.empty())
            broken("the text has no " + from);
    }
    for (std::size_t at; (at = t.find("peer.\"192.0.2.2\"")) != std::string::npos;)
        t.replace(at, 16, "peer.\"192.0.2.1\"");
    return t;
}

std::vector<std::string> differing(const std::vector<mcs::ConfigItem> &a, const std::vector<mcs::ConfigItem> &b)
{
    std::map<std::string, std::pair<Bytes, Bytes>> both;
    for (const auto &i : a)
        both[i.name].first = i.digest;
    for (const auto &i : b)
        both[i.name].second = i.digest;
    std::vector<std::string> out;
    for (const auto &[name, d] : both)
        if (d.first != d.second)
            out.push_back(name);
    return out;
}

std::string difference(const Config &a, const ConnectionsFacts &fa, const Config &b, const ConnectionsFacts &fb)
{
    return describe_differences(differing(config_digest(a, 1, fa), config_digest(b, 1, fb)));
}

void equal_chassis_have_equal_items(void **)
{
    const Conn c;
    assert_string_equal(difference(parsed(kSegw1), {{"tunnel-1", c.facts()}}, parsed(segw2()), {{"tunnel-1", c.facts()}}).c_str(), "");
    assert_true(config_digest(parsed(kSegw1), 1, {{"tunnel-1", c.facts()}}).size() >= 18);
    assert_int_equal(config_digest(parsed(kSegw1), 7, {}).size(), 0);
}

void each_setting_is_named(void **)
{
    const auto a = parsed(kSegw1), b = parsed(segw2());
    const Conn right;
    const std::vector<std::pair<std::function<void(Conn &)>, std::string>> cases{
        {[](Conn &c) { c.esp = {"ESP:AES_CBC_256/HMAC_SHA2_256_128/NO_EXT_SEQ"}; }, "esp-proposals"},
        {[](Conn &c) { c.proposals.push_back("IKE:AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048"); }, "proposals"},
        {[](Conn &c) { c.local_ts = {"192.168.2.0/24"}; }, "local-ts"},
        {[](Conn &c) { c.remote_ts = {"192.168.1.0/24"}; }, "remote-ts"},
        {[](Conn &c) { c.remote_id = "identity other"; }, "identities"},
        {[](Conn &c) { c.auth = "public key"; }, "authentication"},
        {[](Conn &c) { c.rekey = "86400"; }, "lifetimes"},
        {[](Conn &c) { c.child_rekey = "3600"; }, "lifetimes"},
        {[](Conn &c) { c.dpd = "30"; }, "dpd"},
        {[](Conn &c) { c.start = "trap"; }, "actions"},
        {[](Conn &c) { c.inactivity = "90"; }, "actions"},
        {[](Conn &c) { c.version = "IKEv1"; }, "ike-version"},
        {[](Conn &c) { c.remote_addr = "10.10.10.2"; }, "addresses"},
        {[](Conn &c) { c.mode = "TRANSPORT"; }, "mode"},
        {[](Conn &c) { c.mobike = "yes"; }, "mobike"},
        {[](Conn &c) { c.found = false; }, "only one chassis has it"},
    };
    for (const auto &[change, name] : cases) {
        Conn wrong;
        change(wrong);
        const auto text = difference(a, {{"tunnel-1", right.facts()}}, b, {{"tunnel-1", wrong.facts()}});
        assert_string_equal(text.c_str(), ("connection tunnel-1: " + name).c_str());
    }
}

void the_agents_own_settings_are_named(void **)
{
    const ConnectionsFacts f{{"tunnel-1", Conn().facts()}};
    const auto a = parsed(kSegw1);
    const auto text_with = [&](const std::string &from, const std::string &to) {
        const auto t = with(segw2(), from, to);
        if (t.empty())
            broken("the text has no " + from);
        return difference(a, f, parsed(t), f);
    };
    assert_string_equal(text_with("[\"10.10.20.1\"]", "[\"10.10.20.9\"]").c_str(), "local-gateway-address");
    assert_string_equal(text_with("[\"192.168.1.1/32\"]", "[\"192.168.1.0/24\"]").c_str(), "static-route");
    assert_string_equal(text_with("static-tunnel-redundant-next-hop = [\"192.168.20.1\"]", "").c_str(), "next-hops");
    assert_string_equal(text_with("bfd-enable = true", "bfd-enable = false").c_str(), "bfd-enable");
    assert_string_equal(text_with("bfd-enable = true", "bfd-enable = true\nhold-on-neighbor-failure = 5").c_str(), "hold-on-neighbor-failure");
    assert_string_equal(text_with("bfd-enable = true", "bfd-enable = true\nbfd.authentication = false").c_str(), "bfd-authentication");
    assert_string_equal(text_with("mda = [\"2/1\"]\n", "mda = [\"2/1\", \"2/2\"]\n").c_str(), "");
    assert_string_equal(text_with("active-mda-number = 1\nmda = [\"2/1\"]", "active-mda-number = 2\nmda = [\"2/1\", \"2/2\"]").c_str(), "active-mda-number");
    const std::string route = "static-route = [\"192.168.1.1/32\"]\n", tunnel = "[ipsec.tunnel.\"tunnel-1\"]\n", kind = tunnel + "type = \"dynamic\"\n";
    const auto dynamic = [&](const std::string &text) { return with(with(text, route, ""), tunnel, kind); };
    assert_string_equal(difference(parsed(dynamic(kSegw1)), f, parsed(with(dynamic(segw2()), "ipsec-responder-only = true\n", "")), f).c_str(), "ipsec-responder-only");
    // A sync-tag that pairs our group 1 with one whose peer-group is another.
    assert_string_equal(text_with("priority = 150", "peer-group = 2\npriority = 150").c_str(), "peer-group");
}

// Group 1 here is group 2 there: the same pair, said from both ends.
void groups_of_other_numbers_pair(void **)
{
    auto there = segw2();
    for (const auto &[from, to] : std::vector<std::pair<std::string, std::string>>{{"tunnel-group.1", "tunnel-group.2"}, {"tunnel-group = 1", "tunnel-group = 2"}, {"non-forwarding = 1", "non-forwarding = 2"}})
        for (std::size_t at; (at = there.find(from)) != std::string::npos;)
            there.replace(at, from.size(), to);
    there = with(there, "priority = 150", "peer-group = 1\npriority = 150");
    const auto here = with(kSegw1, "priority = 200", "peer-group = 2\npriority = 200");
    const ConnectionsFacts f{{"tunnel-1", Conn().facts()}};
    assert_int_equal(differing(config_digest(parsed(here), 1, f), config_digest(parsed(there), 2, f)).size(), 0);
}

std::string many_tunnels(int n)
{
    std::string t = kSegw1;
    for (int i = 0; i < n; i++)
        t += "[ipsec.tunnel.\"t" + std::to_string(i) + "\"]\npublic = \"int-IPsec-Public-1\"\nprivate = \"int-IPsec-Private-1\"\n";
    return t;
}

void many_connections_are_compared_in_less_detail(void **)
{
    for (const auto &[n, names_connection] : {std::pair(20, true), std::pair(500, true), std::pair(2000, false)}) {
        const auto c = parsed(many_tunnels(n));
        ConnectionsFacts f;
        for (const auto &name : connections_of(c, 1))
            f[name] = Conn().facts(name);
        const auto before = config_digest(c, 1, f);
        assert_true(before.size() <= 1024);
        Conn other;
        other.esp = {"ESP:NULL"};
        f["t7"] = other.facts("t7");
        const auto text = describe_differences(differing(before, config_digest(c, 1, f)));
        assert_string_equal(text.c_str(), n == 20 ? "connection t7: esp-proposals" : names_connection ? "connection t7: settings" : "esp-proposals of connections");
    }
}

void answers_are_checked(void **)
{
    assert_false(parse_connection("c", {}).has_value());
    Message no_children;
    no_children.add_bool("found", true).add("version", "IKEv2");
    assert_false(parse_connection("c", no_children).has_value());
    auto number = Conn();
    number.dpd = "soon";
    const auto bad = parse_connection("c", number.message());
    assert_false(bad.has_value());
    assert_string_equal(bad.error().text.c_str(), "mcipsec-conn: field dpd-delay is missing or malformed");
}

struct World {
    std::unique_ptr<io::EventLoop> loop = take(io::EventLoop::create());
    io::Log log;
    Alarms alarms{log};
    ConfigWatch watch{*loop, log, alarms, 5ms};
    std::map<std::string, Conn> charon{{"tunnel-1", {}}};
    unsigned asked = 0, loaded = 0, changed = 0;

    World()
    {
        log.set_sink(io::Log::Sink::None);
        watch.ask = [this](const std::string &name, ConfigWatch::Answer answer) {
            asked++;
            const auto it = charon.find(name);
            Conn missing;
            missing.found = false;
            loop->post([m = std::make_shared<Message>((it == charon.end() ? missing : it->second).message()), answer = std::move(answer)] { answer(std::move(*m)); });
        };
        watch.on_change = [this](GroupId) { changed++; };
        watch.on_loaded = [this](GroupId) { loaded++; };
        check(watch.start());
        watch.configure(parsed(kSegw1));
    }
    std::vector<std::string> standing() const
    {
        std::vector<std::string> out;
        alarms.for_each([&](const Alarms::Alarm &a) { out.push_back(a.text); });
        return out;
    }
    bool alarm_is(const std::string &part)
    {
        const bool so = turn_until(*loop, [&] {
            const auto s = standing();
            return part.empty() ? s.empty() : s.size() == 1 && s[0].find(part) != std::string::npos;
        });
        for (const auto &s : standing())
            if (!so)
                print_error("wanted '%s', stands '%s'\n", part.c_str(), s.c_str());
        return so;
    }
};

void nothing_is_compared_before_charon_was_read(void **)
{
    World w;
    assert_false(w.watch.digest(1).has_value());
    assert_int_equal(w.asked, 0);
    w.watch.charon_up();
    assert_true(turn_until(*w.loop, [&] { return w.watch.digest(1).has_value(); }));
    assert_true(w.changed >= 1);
    assert_true(w.alarm_is(""));
    w.watch.charon_down();              // a restart of charon is no difference
    assert_true(w.watch.digest(1).has_value());
}

void the_ends_of_static_tunnels_are_known(void **)
{
    World w;
    auto two = parsed(with(kSegw1, "[\"10.10.20.1\"]", "[\"10.10.20.1\", \"2001:db8:20::1\"]"));
    w.watch.configure(two);
    assert_false(w.watch.static_peers(1).has_value());
    w.watch.charon_up();
    const auto is = [&](const std::vector<io::StaticPeer> &want) { return turn_until(*w.loop, [&] { return w.watch.static_peers(1) == want; }); };
    const auto address = [](const char *text) { return take(IpAddress::parse(text)); };
    const std::vector<io::StaticPeer> four{{address("10.10.20.1"), address("10.10.10.1")}}, six{{address("2001:db8:20::1"), address("2001:db8::1")}};
    assert_true(is(four));
    for (const char *none : {"%any", "0.0.0.0", "::", "10.10.10.0/24", "10.10.10.1-10.10.10.9", "ce.example.net"}) {
        w.charon["tunnel-1"].remote_addr = none;
        assert_true(is({}));
        w.charon["tunnel-1"].remote_addr = "2001:db8::1";
        assert_true(is(six));
    }
    w.charon["tunnel-1"].found = false;         // charon restarts, its connections come later
    assert_true(w.alarm_is("is not loaded in charon"));
    assert_true(is(six));
    w.charon["tunnel-1"].found = true;
    w.charon["tunnel-1"].remote_addr = "10.10.10.1";
    assert_true(is(four));
    two.tunnel.begin()->second.type = TunnelType::Dynamic;
    w.watch.configure(two);
    assert_true(is({}));
}

void what_breaks_the_rules_is_an_alarm(void **)
{
    World w;
    w.watch.charon_up();
    const std::vector<std::pair<std::function<void(Conn &)>, std::string>> cases{
        {[](Conn &c) { c.version = "IKEv1"; }, "tunnel-group 1: connection tunnel-1 is IKEv1"},
        {[](Conn &c) { c.dpd = "30"; }, "tunnel-group 1: connection tunnel-1 has dpd_delay = 30 s"},
        {[](Conn &c) { c.start = "trap"; }, "tunnel-group 1: connection tunnel-1 child tunnel-1 has start_action = trap"},
        {[](Conn &c) { c.close = "start"; }, "tunnel-group 1: connection tunnel-1 child tunnel-1 has close_action = start"},
        {[](Conn &c) { c.inactivity = "90"; }, "tunnel-group 1: connection tunnel-1 child tunnel-1 has inactivity = 90 s"},
        {[](Conn &c) { c.found = false; }, "tunnel-group 1: connection tunnel-1 is not loaded in charon"},
    };
    for (const auto &[change, text] : cases) {
        change(w.charon["tunnel-1"]);
        assert_true(w.alarm_is(text));
        const auto raised = w.log.tail(1);
        assert_string_equal(raised[0].new_state.c_str(), "raised");
        assert_int_equal(raised[0].group, 1);
        w.charon["tunnel-1"] = Conn();
        assert_true(w.alarm_is(""));
        assert_true(w.log.tail(1)[0].text.starts_with("cleared: " + text));
    }
    assert_int_equal(w.loaded, 1);      // after the last case only
}

void a_malformed_answer_changes_nothing_and_is_told_once(void **)
{
    World w;
    w.watch.charon_up();
    assert_true(turn_until(*w.loop, [&] { return w.watch.digest(1).has_value(); }));
    const auto before = *w.watch.digest(1);
    w.charon["tunnel-1"].dpd = "never";
    const unsigned asked = w.asked;
    assert_true(turn_until(*w.loop, [&] { return w.asked > asked + 3; }));
    assert_true(*w.watch.digest(1) == before);
    unsigned told = 0;
    for (const auto &r : w.log.tail(100))
        told += r.text.find("dpd-delay is missing") != std::string::npos;
    assert_int_equal(told, 1);
}

void skew_has_hysteresis(void **)
{
    ClockSkew s;
    assert_false(s.update(std::nullopt, 1s));
    assert_false(s.update(1s, 1s));
    assert_true(s.update(-1001ms, 1s));
    assert_true(s.raised());
    assert_false(s.update(-900ms, 1s));         // below the limit, above what clears
    assert_false(s.update(std::nullopt, 1s));   // the peer is silent: nothing new
    assert_true(s.raised());
    assert_true(s.update(750ms, 1s));
    assert_false(s.raised());
    assert_true(s.update(3s, 1s));
    assert_true(s.update(3s, 10s));             // a new limit
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(equal_chassis_have_equal_items),
        cmocka_unit_test(each_setting_is_named),
        cmocka_unit_test(the_agents_own_settings_are_named),
        cmocka_unit_test(groups_of_other_numbers_pair),
        cmocka_unit_test(many_connections_are_compared_in_less_detail),
        cmocka_unit_test(answers_are_checked),
        cmocka_unit_test(nothing_is_compared_before_charon_was_read),
        cmocka_unit_test(the_ends_of_static_tunnels_are_known),
        cmocka_unit_test(what_breaks_the_rules_is_an_alarm),
        cmocka_unit_test(a_malformed_answer_changes_nothing_and_is_told_once),
        cmocka_unit_test(skew_has_hysteresis),
    };
    return cmocka_run_group_tests_name("config watch", tests, nullptr, nullptr);
}
