// needs: cli
// SPDX-License-Identifier: GPL-2.0-or-later
// Whole commands with a fake agent behind the real dispatcher and a fake
// module: what is printed where, exit codes, stale answers, switchovers.
#include "unit/cmocka_cpp.hpp"

#include <cerrno>
#include <sstream>

#include "app/control_dispatch.hpp"
#include "app/session_log.hpp"
#include "cli/run.hpp"
#include "unit/config_text.hpp"

using namespace mcipsec;
using nlohmann::json;

namespace {

class FakeAgent final : public app::AgentApi {
public:
    std::string last;               // what was asked for last
    std::string mastership = "master";
    std::vector<std::string> reasons;
    app::SwitchoverView switch_state;

    std::vector<app::PeerView> peers() override
    {
        app::PeerView v;
        v.peer_addr = "192.0.2.2";
        app::PeerGroupView g;
        g.id = g.peer_group = 1;
        g.priority = 200;
        g.mastership = mastership;
        g.protection_status = reasons.empty() ? "nominal" : "notReady";
        g.reasons = reasons;
        v.tunnel_groups = {g};
        return {v};
    }
    std::vector<app::SyncView> sync() override
    {
        app::SyncView v;
        v.peer_ip_address = "192.0.2.2";
        v.num_entries = 2;
        return {v};
    }
    std::vector<app::TunnelGroupView> tunnel_groups() override
    {
        app::TunnelGroupView v;
        v.id = 1;
        v.primary = {"1/2"};
        return {v};
    }
    std::vector<app::TunnelView> tunnels(const std::string &name, std::size_t from, std::size_t limit) override
    {
        std::vector<app::TunnelView> out;
        for (std::size_t i = from; i < 150 && out.size() < limit; i++) {
            app::TunnelView t;
            t.tunnel_name = "t" + std::to_string(i);
            if (name.empty() || name == t.tunnel_name)
                out.push_back(t);
        }
        return out;
    }
    Expected<std::vector<app::SaView>> sas(GroupId group, std::size_t, std::size_t) override
    {
        if (group > 1)
            return fail(-ENOENT, "no tunnel-group 2");
        return std::vector<app::SaView>(1);
    }
    std::vector<app::VrrpView> vrrp() override { return std::vector<app::VrrpView>(1); }
    io::Log entries{1000};
    FakeAgent()
    {
        entries.set_sink(io::Log::Sink::None);
        for (int i = 1; i <= 3; i++)
            entries.text(io::Level::Info, "entry " + std::to_string(i));
    }
    std::vector<app::LogEntryView> log(std::uint64_t after, std::size_t limit) override { return app::log_page(entries, after, limit); }
    std::vector<app::MetricView> stats() override { return {{"mcipsec_x", "gauge", "X", {}, 1}}; }
    std::string running_config() override { return "[isa.tunnel-group.1]\nshutdown = true  # (runtime)\nmda = [\"1/2\"]\nmulti-active = true  # default\n"; }
    Expected<void> admin_tunnel_group(GroupId g, bool down) override
    {
        last = fmt("group", g, down);
        if (g != 1)
            return fail(-ENOENT, "no tunnel-group " + std::to_string(g));
        return {};
    }
    Expected<void> admin_mda(GroupId g, const std::string &m, bool down) override { return last = fmt("mda " + m, g, down), Expected<void>{}; }
    Expected<void> admin_peer(const IpAddress &p, bool down) override { return last = fmt("peer " + p.str(), 0, down), Expected<void>{}; }
    Expected<void> admin_sync(const IpAddress &p, bool down) override { return last = fmt("sync " + p.str(), 0, down), Expected<void>{}; }
    Expected<void> admin_mc_ipsec(const IpAddress &p, GroupId g, bool down) override { return last = fmt("mc-ipsec " + p.str(), g, down), Expected<void>{}; }
    Expected<app::SwitchoverView> force_switchover(const app::SwitchoverRequest &r) override
    {
        last = "switchover";
        if (r.tunnel_group != 1)
            return fail(-ENOENT, "no such");
        return switch_state;
    }
    Expected<app::SwitchoverView> switchover_status(GroupId) override { return switch_state; }
    Expected<void> clear_tunnel(const std::string &name) override
    {
        if (name == "standby")
            return fail(-EPERM, "not master");
        return name == "t1" ? Expected<void>{} : fail(-ENOENT, "no tunnel " + name);
    }
    Expected<Reloaded> reload() override { return fail(-EINVAL, "m.toml:3: priority is 300, allowed is 0..255"); }

    static std::string fmt(const std::string &what, GroupId g, bool down) { return what + " " + std::to_string(g) + (down ? " down" : " up"); }
};

class FakeBackend final : public cli::Backend {
public:
    FakeAgent api;
    bool agent_up = true, module_up = true, privileged = true;
    int agent_error = -ECONNREFUSED;
    io::GroupInfo group;
    int switchover_error = 0;
    std::uint64_t switched = 0;
    std::uint32_t flags = 0;
    Time clock{};
    std::function<void()> on_sleep;

    FakeBackend()
    {
        group.id = 1;
        group.state = Mastership::Master;
        group.action = MCIPSEC_ACTION_FORWARD;
        group.flags = MCIPSEC_F_NOMINAL;
    }
    Expected<json> agent(const json &request) override
    {
        if (!agent_up)
            return fail(agent_error, "control.sock: no agent");
        return json::parse(app::dispatch_packet(api, request.dump(), privileged));
    }
    Expected<void> events(const std::function<void()> &ready, const std::function<bool(const json &)> &event) override
    {
        if (!agent_up)
            return fail(agent_error, "control.sock: no agent");
        ready();
        for (std::uint64_t s = 3; s < 6; s++) {     // 3 is known from the past already
            app::LogEntryView e;
            e.seq = s;
            e.text = "event " + std::to_string(s);
            if (!event(json::parse(app::event_packet(e))))
                break;
        }
        return {};
    }
    Expected<std::vector<io::GroupInfo>> groups() override
    {
        if (!module_up)
            return fail(-ENOENT, "no module");
        return std::vector{group};
    }
    Expected<std::vector<app::SaView>> sas(GroupId g) override
    {
        if (!module_up)
            return fail(-ENOENT, "no module");
        if (g > 1)
            return fail(-ENOENT, "no group");
        return std::vector<app::SaView>(2);
    }
    Expected<void> switchover(GroupId, std::uint64_t id, std::uint32_t f) override
    {
        if (switchover_error)
            return fail(switchover_error, "module");
        switched = id;
        flags = f;
        return {};
    }
    Time now() override { return clock; }
    void sleep(Duration d) override
    {
        clock += d;
        if (on_sleep)
            on_sleep();
    }
    std::uint64_t random() override { return 4711; }
};

struct Result {
    int code;
    std::string out, err;
    json doc() const { return json::parse(out); }
};

Result run(FakeBackend &b, const std::string &line, bool terminal = false, const std::string &typed = "", bool root = true)
{
    std::vector<std::string> args;
    std::istringstream words(line);
    for (std::string w; words >> w;)
        args.push_back(w);
    std::ostringstream out, err;
    std::istringstream in(typed);
    cli::Context c{out, err, in};
    c.terminal = terminal;
    c.root = root;
    c.backend = &b;
    c.config_file = "/nonexistent/mcipsec.toml";
    const int code = cli::run(args, c);
    return {code, out.str(), err.str()};
}

void code_is(const Result &r, int code)
{
    if (r.code != code)
        fail_with("exit %d, wanted %d\nout: %s\nerr: %s", r.code, code, r.out.c_str(), r.err.c_str());
    if (code)
        assert_true(r.out.empty());             // no half answers
    if (code)
        assert_true(r.err.starts_with("mcipsec: ") || r.err.starts_with("usage:") || r.err.find(": ") != std::string::npos);
}

const std::string kPeer = "show redundancy multi-chassis mc-ipsec peer 192.0.2.2";
const std::string kSwitch = "tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group ";

void test_show_peer(void **)
{
    FakeBackend b;
    auto r = run(b, kPeer);
    code_is(r, 0);
    assert_true(r.err.empty());
    assert_non_null(std::strstr(r.out.c_str(), "200       Up            master"));
    r = run(b, "-j " + kPeer);
    code_is(r, 0);
    assert_true(r.doc()["tunnel_groups"][0]["mastership"] == "master");
    assert_false(r.doc().contains("stale"));
    b.api.reasons = {"sync is outOfSync"};
    r = run(b, "-j " + kPeer + " tunnel-group 1");
    assert_true(r.doc()["mastership"] == "master");
    assert_true(r.doc()["protection_status"] == "notReady");
    assert_true(r.doc()["reasons"][0] == "sync is outOfSync");
    r = run(b, kPeer + " tunnel-group 1");
    assert_non_null(std::strstr(r.out.c_str(), "Protection Status      : notReady\n  Reason               : sync is outOfSync\n"));
}

void test_module_decides_mastership(void **)
{
    FakeBackend b;
    b.group.state = Mastership::Standby;        // newer than the agent's view
    assert_true(run(b, "-j " + kPeer).doc()["tunnel_groups"][0]["mastership"] == "standby");
    assert_true(run(b, "-j " + kPeer + " tunnel-group 1").doc()["mastership"] == "standby");
}

void test_no_such_object(void **)
{
    FakeBackend b;
    code_is(run(b, "show redundancy multi-chassis mc-ipsec peer 192.0.2.9"), 4);
    code_is(run(b, kPeer + " tunnel-group 2"), 4);
    code_is(run(b, "show redundancy multi-chassis sync peer 192.0.2.9"), 4);
    code_is(run(b, "show isa tunnel-group 9"), 4);
    code_is(run(b, "show ipsec tunnel nobody"), 4);
    code_is(run(b, "show ipsec sa tunnel-group 2"), 4);
    code_is(run(b, "admin isa tunnel-group 2 shutdown"), 4);
    code_is(run(b, "clear ipsec tunnel nobody"), 4);
    code_is(run(b, kSwitch + "2 now"), 4);
}

void test_usage_errors(void **)
{
    FakeBackend b;
    for (const char *line : {"", "show", "x", "-x", "-s", "show isa tunnel-group x", "show isa tunnel-group 0", "show isa tunnel-group 1025", "show redundancy multi-chassis mc-ipsec peer SeGW-2",
             "show redundancy multi-chassis sync peer 1.2.3", "admin redundancy peer x shutdown", "show isa tunnel-group 1x"})
        code_is(run(b, line), 2);
    code_is(run(b, kSwitch + "1 wait soon"), 2);
    code_is(run(b, kSwitch + "1 wait -1"), 2);
    code_is(run(b, kSwitch + "one now"), 2);
    code_is(run(b, "--help"), 0);
    code_is(run(b, "help"), 0);
    code_is(run(b, "-V"), 0);
}

void test_stale(void **)
{
    FakeBackend b;
    b.agent_up = false;
    for (const int error : {-ENOENT, -ECONNREFUSED, -ETIMEDOUT}) {      // not started, dead, stopped
        b.agent_error = error;
        const auto r = run(b, "-j " + kPeer);
        code_is(r, 0);
        assert_true(r.doc()["stale"] == true);
        assert_true(r.doc()["tunnel_groups"][0]["mastership"] == "master");
        assert_non_null(std::strstr(r.err.c_str(), "warning"));
    }
    auto r = run(b, kPeer);
    code_is(r, 0);
    assert_non_null(std::strstr(r.out.c_str(), "master"));
    r = run(b, "-j " + kPeer + " tunnel-group 1");
    assert_true(r.doc()["mastership"] == "master" && r.doc()["protection_status"] == "notReady" && r.doc()["stale"] == true);
    code_is(run(b, kPeer + " tunnel-group 7"), 4);
    r = run(b, "-j show isa tunnel-group 1");
    code_is(r, 0);
    assert_true(r.doc()["gate"] == "forward" && r.doc()["stale"] == true && r.doc()["gate_counters"].contains("forward_in"));
    code_is(run(b, "show isa tunnel-group"), 0);
    r = run(b, "-j show ipsec sa");
    code_is(r, 0);
    assert_true(r.doc()["sas"].size() == 2 && r.doc()["stale"] == true);
}

void test_nobody_there(void **)
{
    FakeBackend b;
    b.agent_up = b.module_up = false;
    for (const std::string &line : {kPeer, kPeer + " tunnel-group 1", std::string("show isa tunnel-group"), std::string("show ipsec sa"), std::string("show ipsec tunnel"), std::string("show redundancy multi-chassis sync"),
             std::string("show router vrrp instance"), std::string("show log"), std::string("show log -f"), std::string("stats"), std::string("monitor"), std::string("admin isa tunnel-group 1 shutdown"),
             std::string("clear ipsec tunnel t1"), kSwitch + "1 now"})
        code_is(run(b, line), 3);
}

void test_agent_without_module(void **)
{
    FakeBackend b;
    b.module_up = false;
    const auto r = run(b, "-j " + kPeer);
    code_is(r, 0);
    assert_false(r.doc().contains("stale"));
    code_is(run(b, kSwitch + "1 now"), 3);
}

void test_sync_and_lists(void **)
{
    FakeBackend b;
    assert_true(run(b, "-j show redundancy multi-chassis sync").doc()["peers"][0]["num_entries"] == 2);
    assert_true(run(b, "-j show redundancy multi-chassis sync peer 192.0.2.2").doc()["num_entries"] == 2);
    assert_null(std::strstr(run(b, "show redundancy multi-chassis sync").out.c_str(), "Await Conf"));
    assert_non_null(std::strstr(run(b, "show redundancy multi-chassis sync detail").out.c_str(), "Await Conf"));
    // More than one page.
    const auto all = run(b, "-j show ipsec tunnel").doc();
    assert_int_equal(all["tunnels"].size(), 150);
    assert_false(all.contains("next"));
    assert_true(all["tunnels"][149]["tunnel_name"] == "t149");
    assert_true(run(b, "-j show ipsec tunnel t7").doc()["tunnel_name"] == "t7");
    assert_true(run(b, "-j show router vrrp instance").doc()["instances"].size() == 1);
    assert_true(run(b, "-j stats").doc()["metrics"][0]["name"] == "mcipsec_x");
    assert_non_null(std::strstr(run(b, "stats --prometheus").out.c_str(), "# TYPE mcipsec_x gauge\nmcipsec_x 1\n"));
}

void test_log_and_monitor(void **)
{
    FakeBackend b;
    const auto count = [](const std::string &s) { return std::count(s.begin(), s.end(), '\n'); };
    assert_int_equal(count(run(b, "show log").out), 3);
    const auto follow = run(b, "show log -f").out;
    assert_int_equal(count(follow), 5);             // 1 2 3, then 4 5: event 3 is not told twice
    assert_null(std::strstr(follow.c_str(), "event 3"));
    const auto lines = run(b, "-j monitor").out;
    assert_int_equal(count(lines), 3);
    assert_true(json::parse(lines.substr(0, lines.find('\n')))["text"] == "event 3");
}

void test_long_log_is_whole(void **)
{
    FakeBackend b;
    for (int i = 4; i <= 300; i++)
        b.api.entries.text(io::Level::Info, "entry " + std::to_string(i));
    const auto doc = run(b, "-j show log").doc();
    assert_int_equal(doc["entries"].size(), 300);
    for (std::size_t i = 0; i < 300; i++)
        assert_true(doc["entries"][i]["text"] == "entry " + std::to_string(i + 1));
    for (int i = 301; i <= 1500; i++)           // the oldest are forgotten meanwhile
        b.api.entries.text(io::Level::Info, "entry " + std::to_string(i));
    const auto kept = run(b, "-j show log").doc()["entries"];
    assert_int_equal(kept.size(), 1000);
    assert_true(kept[0]["text"] == "entry 501");
}

// What charon's plugin says, as a person and as a script read it.
void test_session_events(void **)
{
    FakeBackend b;
    const auto config = *app::parse_config({{"t.toml", kSegw1}});
    io::PluginLog up;
    up.group = 1;
    up.what = "child-up";
    up.text = "CHILD_SA tunnel-1{1} up: SPIs c0ffee01_i c0ffee02_o, 192.168.2.1/32 === 192.168.1.1/32, ESP:AES_GCM_16_128";
    up.fields = {{"name", "tunnel-1"}, {"local", "10.10.20.1[500]"}, {"remote", "10.10.10.1[500]"}, {"remote-id", "10.10.10.1"}, {"algorithms", "ESP:AES_GCM_16_128/NO_EXT_SEQ"}};
    b.api.entries.write(app::session_record(config, up));
    auto failed = up;
    failed.what = "auth-failed";
    failed.text = "peer could not be authenticated";
    b.api.entries.write(app::session_record(config, failed));
    auto stranger = failed;
    stranger.fields[0].second = "elsewhere";
    b.api.entries.write(app::session_record(config, stranger));
    b.api.entries.write({.level = io::Level::Notice, .event = std::string(io::event::kMastership), .text = "tunnel-group 1: standby to eligible: peer lost", .group = 1,
                         .old_state = "standby", .new_state = "eligible", .reason = "peer lost"});

    const auto text = run(b, "show log").out;
    for (const char *line : {"mcipsecTunnel tunnel-group 1 tunnel tunnel-1: CHILD_SA tunnel-1{1} up: SPIs c0ffee01_i c0ffee02_o, 192.168.2.1/32 === 192.168.1.1/32, ESP:AES_GCM_16_128, service vprn2\n",
                             "tunnel tunnel-1: auth-failed: peer could not be authenticated, 10.10.20.1[500] - 10.10.10.1[500][10.10.10.1], service vprn2\n",
                             "mcipsecTunnel tunnel-group 1: auth-failed: peer could not be authenticated",
                             "tMcPeerIPsecTnlGrpMasterStateChg: tunnel-group 1: standby to eligible: peer lost\n"})
        if (text.find(line) == std::string::npos)
            fail_with("no line '%s' in\n%s", line, text.c_str());

    const auto all = run(b, "-j show log").doc()["entries"];
    const auto &e = all[3];
    assert_true(e["tunnel"] == "tunnel-1" && e["tunnel_group"] == 1 && e["event"] == "mcipsecTunnel");
    const auto &f = e["fields"];
    assert_true(f["reason"] == "child-up" && f["remote"] == "10.10.10.1[500]" && f["remote_id"] == "10.10.10.1" && f["level"] == "info");
    assert_true(f["algorithms"] == "ESP:AES_GCM_16_128/NO_EXT_SEQ" && f["public_service"] == "main" && f["private_service"] == "vprn2");
    assert_true(all[4]["fields"]["level"] == "warning" && all[4]["fields"]["reason"] == "auth-failed");
    assert_true(all[5]["tunnel"] == "");
    const auto &sw = all[6]["fields"];
    assert_true(sw["old_state"] == "standby" && sw["new_state"] == "eligible" && sw["reason"] == "peer lost");
    // The same entry as an event of monitor.
    const auto page = app::log_page(b.api.entries, 3, 1);
    assert_true(json::parse(app::event_packet(page[0]))["event"] == e);
}

void test_admin(void **)
{
    FakeBackend b;
    const auto asks = [&](const std::string &line, const char *what) {
        code_is(run(b, line), 0);
        assert_string_equal(b.api.last.c_str(), what);
    };
    asks("admin isa tunnel-group 1 shutdown", "group 1 down");
    asks("admin isa tunnel-group 1 no-shutdown", "group 1 up");
    asks("admin isa tunnel-group 1 mda 1/2 shutdown", "mda 1/2 1 down");
    asks("admin redundancy peer 192.0.2.2 shutdown", "peer 192.0.2.2 0 down");
    asks("admin redundancy peer 192.0.2.2 sync no-shutdown", "sync 192.0.2.2 0 up");
    asks("admin redundancy peer 192.0.2.2 mc-ipsec tunnel-group 1 shutdown", "mc-ipsec 192.0.2.2 1 down");
    code_is(run(b, "clear ipsec tunnel t1"), 0);
    code_is(run(b, "clear ipsec tunnel standby"), 5);
    code_is(run(b, "reload"), 1);
    b.privileged = false;
    b.api.last.clear();
    for (const char *line : {"admin isa tunnel-group 1 shutdown", "clear ipsec tunnel t1", "reload", "show ipsec sa"})
        code_is(run(b, line), 1);
    assert_string_equal(b.api.last.c_str(), "");
    code_is(run(b, kPeer), 0);                  // reading is free
}

void test_switchover(void **)
{
    FakeBackend b;
    auto r = run(b, kSwitch + "1 now");
    code_is(r, 0);
    assert_string_equal(r.out.c_str(), "tunnel-group 1: switchover started\n");
    assert_int_equal(b.switched, 4711);
    assert_int_equal(b.flags, 0);
    run(b, kSwitch + "1 now ignore-protection-status to standby");
    assert_int_equal(b.flags, MCIPSEC_SWO_IGNORE_PROTECTION | MCIPSEC_SWO_TO_STANDBY);
}

void test_switchover_refused(void **)
{
    FakeBackend b;
    b.api.reasons = {"no elected standby"};
    b.group.flags = 0;
    auto r = run(b, kSwitch + "1 now");
    code_is(r, 5);
    assert_non_null(std::strstr(r.err.c_str(), "protection status is notReady (no elected standby)"));
    assert_int_equal(b.switched, 0);
    code_is(run(b, kSwitch + "1 now ignore-protection-status"), 0);
    assert_int_equal(b.switched, 4711);
    b.switched = 0;
    for (const auto m : {Mastership::Standby, Mastership::NotEligible, Mastership::Discovery}) {
        b.group.state = m;
        code_is(run(b, kSwitch + "1 now ignore-protection-status"), 5);
        code_is(run(b, kSwitch + "1 now to master"), 5);
    }
    assert_int_equal(b.switched, 0);
    // Nobody to take over: no word of an override, with it or without.
    b.group.state = Mastership::Eligible;
    for (const char *rest : {"1 now", "1 now ignore-protection-status"}) {
        r = run(b, kSwitch + rest);
        code_is(r, 5);
        assert_non_null(std::strstr(r.err.c_str(), "tunnel-group 1 is eligible here: no peer is reached that could take over"));
    }
    assert_int_equal(b.switched, 0);
    // What holds already is no switchover.
    b.group.state = Mastership::Standby;
    code_is(run(b, kSwitch + "1 to standby"), 0);
    b.group.state = Mastership::Master;
    code_is(run(b, kSwitch + "1 to master"), 0);
    assert_int_equal(b.switched, 0);
    // The module's word is the last one.
    b.group.flags = MCIPSEC_F_NOMINAL;
    for (const auto &[error, code] : {std::pair(-EPERM, 5), std::pair(-EAGAIN, 5), std::pair(-ESRCH, 3), std::pair(-ENOENT, 4), std::pair(-EIO, 1)}) {
        b.switchover_error = error;
        code_is(run(b, kSwitch + "1 now"), code);
    }
    b.switchover_error = -EPERM;
    code_is(run(b, kSwitch + "1 now", false, "", false), 1);    // not root
}

void test_switchover_confirmation(void **)
{
    FakeBackend b;
    code_is(run(b, kSwitch + "1", true, "n\n"), 1);
    code_is(run(b, kSwitch + "1", true, ""), 1);
    assert_int_equal(b.switched, 0);
    const auto r = run(b, kSwitch + "1", true, "y\n");
    assert_int_equal(r.code, 0);
    assert_non_null(std::strstr(r.err.c_str(), "(y/n)?"));
    assert_int_equal(b.switched, 4711);
    code_is(run(b, kSwitch + "1"), 0);          // no terminal: nobody to ask
    code_is(run(b, kSwitch + "1 now", true), 0);
}

void test_switchover_wait(void **)
{
    FakeBackend b;
    int turns = 0;
    b.on_sleep = [&] {
        if (++turns == 3)
            b.api.switch_state = {4711, 1, "committing", ""};
        if (turns == 5) {
            b.group.state = Mastership::Standby;
            b.api.switch_state.state = "done";
        }
    };
    auto r = run(b, "-j " + kSwitch + "1 now wait 10");
    code_is(r, 0);
    assert_true(r.doc()["state"] == "done");
    assert_int_equal(turns, 5);
    // Standby, but another switchover's "done" is not ours.
    FakeBackend old;
    old.api.switch_state = {1, 1, "done", ""};
    r = run(old, kSwitch + "1 now wait 0.5");
    code_is(r, 6);
    assert_true(old.clock >= Time(500ms) && old.clock < Time(600ms));
    // Failed: the reason is told.
    FakeBackend bad;
    bad.api.switch_state = {4711, 1, "failed", "the standby did not prepare"};
    r = run(bad, kSwitch + "1 now wait 10");
    code_is(r, 1);
    assert_non_null(std::strstr(r.err.c_str(), "the standby did not prepare"));
}

void test_config(void **)
{
    FakeBackend b;
    auto r = run(b, "config show");
    code_is(r, 0);
    assert_non_null(std::strstr(r.out.c_str(), "shutdown = true  # (runtime)"));
    r = run(b, "-j config show");
    const auto group = r.doc()["config"]["isa.tunnel-group.1"];
    assert_true(group["shutdown"]["from"] == "runtime" && group["shutdown"]["value"] == true);
    assert_true(group["mda"]["value"][0] == "1/2" && group["mda"]["from"] == "file");
    assert_true(group["multi-active"]["from"] == "default");
    r = run(b, "config check /nonexistent/x.toml");
    code_is(r, 1);
    assert_non_null(std::strstr(r.err.c_str(), "/nonexistent/x.toml: No such file"));
    assert_true(run(b, "config man").out.find("\n.\\\" Generated by") != std::string::npos);
}

void test_genkey(void **)
{
    FakeBackend b;
    const auto a = run(b, "genkey"), c = run(b, "genkey");
    code_is(a, 0);
    assert_true(a.out.size() > 43 && a.out.back() == '\n' && a.out != c.out);
    assert_true(a.err.empty());
}

void test_garbled_requests(void **)
{
    FakeAgent a;
    for (const char *packet : {"", "{", "[]", "1", "{\"command\":1}", "{\"command\":[1]}", "{\"command\":[]}", "{\"command\":[\"nothing\"]}", "{\"command\":[\"show\"]}", "{\"command\":[\"stats\"],\"args\":[]}",
             "{\"command\":[\"admin\"]}", "{\"command\":[\"admin\",\"isa\",\"tunnel-group\",\"x\",\"shutdown\"]}", "\xff\xfe"}) {
        const auto answer = json::parse(app::dispatch_packet(a, packet, true));
        assert_true(answer["ok"] == false);
        assert_true(answer["exit"] == 2);
        assert_true(answer["error"].is_string());
    }
    assert_true(app::wants_events(app::dispatch(a, {{"command", {"monitor"}}}, false)));
    assert_false(app::wants_events(app::dispatch(a, {{"command", {"stats"}}}, false)));
    // A page that a client sizes itself stays within bounds.
    const auto page = app::dispatch(a, {{"command", {"show", "ipsec", "tunnel"}}, {"args", {{"limit", 1000000}}}}, false);
    assert_int_equal(page["data"]["tunnels"].size(), 150);
    assert_int_equal(app::dispatch(a, {{"command", {"show", "ipsec", "tunnel"}}, {"args", {{"limit", -3}, {"from", "x"}}}}, false)["data"]["tunnels"].size(), 64);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_show_peer),
        cmocka_unit_test(test_module_decides_mastership),
        cmocka_unit_test(test_no_such_object),
        cmocka_unit_test(test_usage_errors),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_agent_without_module),
        cmocka_unit_test(test_sync_and_lists),
        cmocka_unit_test(test_log_and_monitor),
        cmocka_unit_test(test_long_log_is_whole),
        cmocka_unit_test(test_session_events),
        cmocka_unit_test(test_admin),
        cmocka_unit_test(test_switchover),
        cmocka_unit_test(test_switchover_refused),
        cmocka_unit_test(test_switchover_confirmation),
        cmocka_unit_test(test_switchover_wait),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_genkey),
        cmocka_unit_test(test_garbled_requests),
    };
    return cmocka_run_group_tests_name("cli commands", tests, nullptr, nullptr);
}
