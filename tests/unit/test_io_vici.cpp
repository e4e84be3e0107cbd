// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// The VICI client and the typed plugin calls against a charon made of a unix
// socket and the codec: order, events, loss of the connection, bad answers.
#include <sys/un.h>

#include <deque>

#include "io/plugin_client.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::io::vici;
using namespace mcipsec::test;

namespace {

struct FakeCharon {
    EventLoop &loop;
    std::string path;
    UniqueFd listener, peer;
    EventSource listen_source, source;
    Bytes input;
    std::deque<Packet> got;
    bool confirm = true;            // answer event registrations
    std::function<void(const Packet &)> on_packet;

    FakeCharon(EventLoop &l, std::string p) : loop(l), path(std::move(p)) { listen(); }
    void listen()
    {
        ::unlink(path.c_str());
        sockaddr_un a{};
        a.sun_family = AF_UNIX;
        std::snprintf(a.sun_path, sizeof(a.sun_path), "%s", path.c_str());
        listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        assert_int_equal(::bind(listener.get(), reinterpret_cast<sockaddr *>(&a), sizeof(a)), 0);
        assert_int_equal(::listen(listener.get(), 4), 0);
        listen_source = take(loop.add_fd(listener.get(), EPOLLIN, [this](std::uint32_t) {
            peer.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            input.clear();
            source = take(loop.add_fd(peer.get(), EPOLLIN, [this](std::uint32_t) { read(); }));
        }));
    }
    void hang_up()
    {
        source.reset();
        peer.reset();
    }
    void read()
    {
        std::uint8_t b[65536];
        ssize_t n;
        while ((n = ::recv(peer.get(), b, sizeof(b), 0)) > 0)
            input.insert(input.end(), b, b + n);
        if (n == 0) {
            hang_up();
            return;
        }
        while (input.size() >= 4) {
            const std::size_t length = static_cast<std::size_t>(input[2]) << 8 | input[3] | static_cast<std::size_t>(input[1]) << 16;
            if (input.size() < 4 + length)
                return;
            Packet p = take(decode_packet(ByteView(input).subspan(4, length)));
            input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(4 + length));
            if (p.type == PacketType::EventRegister && confirm) {
                send(PacketType::EventConfirm, "", nullptr);
                continue;
            }
            got.push_back(std::move(p));
            if (on_packet)
                on_packet(got.back());
        }
    }
    void raw(const Bytes &b)
    {
        assert_int_equal(::send(peer.get(), b.data(), b.size(), MSG_NOSIGNAL), b.size());
    }
    void send(PacketType type, const char *name, const Message *m)
    {
        const SecretBytes b = take(encode_packet(type, name, m));
        raw(Bytes(b.view().begin(), b.view().end()));
    }
    void reply(std::initializer_list<std::pair<const char *, const char *>> fields)
    {
        Message m;
        for (const auto &[k, v] : fields)
            m.add(k, v);
        send(PacketType::CmdResponse, "", &m);
    }
};

struct Bench {
    ScratchFolder folder;
    std::unique_ptr<EventLoop> loop = take(EventLoop::create());
    FakeCharon charon{*loop, folder / "vici"};
    ViciClient vici;
    int downs = 0;
    explicit Bench(Duration timeout = 20s) : vici(*loop, folder / "vici", timeout)
    {
        vici.on_down = [this](const Error &) { ++downs; };
    }
    template <typename P>
    bool until(P p) { return turn_until(*loop, p); }
};

void answers_come_in_the_order_of_the_requests(void **)
{
    Bench b;
    std::string order;
    unsigned answered = 0;
    b.charon.on_packet = [&](const Packet &p) { b.charon.reply({{"echo", p.name.c_str()}}); };
    check(b.vici.connect());
    for (int i = 0; i < 200; ++i)       // more than the window
        b.vici.request("c" + std::to_string(i), {}, [&, i](Expected<Message> m) {
            const Message reply = take(std::move(m));
            assert_true(reply.get("echo") == "c" + std::to_string(i));
            assert_int_equal(answered, i);
            ++answered;
        });
    assert_int_equal(answered, 0);      // never from within request()
    assert_int_equal(b.vici.pending(), 200);
    assert_true(b.until([&] { return answered == 200; }));
    assert_int_equal(b.vici.pending(), 0);
    assert_int_equal(b.vici.stats().replies, 200);
}

void at_most_a_window_is_in_flight(void **)
{
    Bench b;
    unsigned answered = 0;
    check(b.vici.connect());
    for (std::size_t i = 0; i < ViciClient::kWindow + 10; ++i)
        b.vici.request("c", {}, [&](Expected<Message>) { ++answered; });
    assert_true(b.until([&] { return b.charon.got.size() == ViciClient::kWindow; }));
    (void)b.loop->run_once(5ms);
    assert_int_equal(b.charon.got.size(), ViciClient::kWindow);
    b.charon.reply({});
    assert_true(b.until([&] { return answered == 1 && b.charon.got.size() == ViciClient::kWindow + 1; }));
}

void events_arrive_between_answers(void **)
{
    Bench b;
    std::string seen;
    bool registered = false;
    b.vici.on_event("news", [&](Message &&m) { seen += m.str("n"); }, [&](Expected<void> r) { registered = static_cast<bool>(r); });
    check(b.vici.connect());
    b.vici.request("x", {}, [&](Expected<Message>) { seen += '|'; });
    b.charon.on_packet = [&](const Packet &) {
        for (const char *n : {"1", "2"}) {
            Message m;
            m.add("n", n);
            b.charon.send(PacketType::Event, "news", &m);
            b.charon.send(PacketType::Event, "other", &m);
        }
        b.charon.reply({});
    };
    assert_true(b.until([&] { return seen.ends_with('|'); }));
    assert_true(registered);
    assert_string_equal(seen.c_str(), "12|");
    assert_int_equal(b.vici.stats().events_unknown, 2);
}

void an_unknown_event_or_command_is_told(void **)
{
    Bench b;
    b.charon.confirm = false;
    int event_code = 0, command_code = 0;
    b.vici.on_event("mcipsec-record", [](Message &&) {}, [&](Expected<void> r) { event_code = r ? 1 : r.error().code; });
    check(b.vici.connect());
    b.vici.request("mcipsec-version", {}, [&](Expected<Message> r) { command_code = r ? 1 : r.error().code; });
    assert_true(b.until([&] { return b.charon.got.size() == 2; }));
    b.charon.send(PacketType::EventUnknown, "", nullptr);
    b.charon.send(PacketType::CmdUnknown, "", nullptr);
    assert_true(b.until([&] { return command_code != 0; }));
    assert_int_equal(event_code, -EOPNOTSUPP);
    assert_int_equal(command_code, -EOPNOTSUPP);
    assert_true(b.vici.connected());
}

void losing_charon_fails_every_request_once_and_reconnects(void **)
{
    Bench b;
    int failed = 0, registrations = 0;
    b.vici.on_event("news", [](Message &&) {}, [&](Expected<void> r) { registrations += r ? 1 : 0; });
    check(b.vici.connect());
    for (int i = 0; i < 100; ++i)
        b.vici.request("c", {}, [&](Expected<Message> r) { failed += r ? 0 : 1; });
    assert_true(b.until([&] { return b.charon.got.size() >= 60; }));
    b.charon.hang_up();
    assert_true(b.until([&] { return b.downs == 1; }));
    assert_int_equal(failed, 100);
    assert_false(b.vici.connected());
    int refused = 0;
    b.vici.request("c", {}, [&](Expected<Message> r) { refused = r.error().code; });
    assert_true(b.until([&] { return refused != 0; }));
    assert_int_equal(refused, -ENOTCONN);
    registrations = 0;
    check(b.vici.connect());
    assert_true(b.until([&] { return registrations == 1; }));
}

void no_charon_is_an_error_of_connect(void **)
{
    ScratchFolder folder;
    auto loop = take(EventLoop::create());
    ViciClient v(*loop, folder / "absent");
    assert_int_equal(v.connect().error().code, -ENOENT);
}

void an_answer_that_never_comes_closes_the_connection(void **)
{
    Bench b(30ms);
    int code = 0;
    check(b.vici.connect());
    b.vici.request("c", {}, [&](Expected<Message> r) { code = r.error().code; });
    assert_true(b.until([&] { return code != 0; }));
    assert_int_equal(code, -ETIMEDOUT);
    assert_int_equal(b.vici.stats().timeouts, 1);
}

void garbage_closes_the_connection(void **)
{
    for (const char *hex : {
             "00000000",                // empty packet
             "00080001",                // more than 512 KiB
             "ffffffff",
             "0000000101",              // an answer that nobody asked for
             "00000002" "0103",         // a broken answer
         }) {
        Bench b;
        check(b.vici.connect());
        assert_true(b.until([&] { return static_cast<bool>(b.charon.peer); }));
        b.charon.raw(take(from_hex(hex)));
        assert_true(b.until([&] { return b.downs == 1; }));
        assert_int_equal(b.vici.stats().malformed, 1);
    }
}

void a_broken_event_is_counted_and_skipped(void **)
{
    Bench b;
    std::string seen;
    b.vici.on_event("e", [&](Message &&) { seen += 'e'; });
    check(b.vici.connect());
    assert_true(b.until([&] { return static_cast<bool>(b.charon.peer); }));
    b.charon.raw(take(from_hex("00000004" "07016503")));    // EVENT "e", a KEY_VALUE cut off
    b.charon.raw(take(from_hex("00000003" "070165")));      // EVENT "e", empty
    assert_true(b.until([&] { return seen == "e"; }));
    assert_int_equal(b.vici.stats().malformed, 1);
    assert_int_equal(b.downs, 0);
}

void a_packet_may_come_byte_by_byte(void **)
{
    Bench b;
    bool done = false;
    check(b.vici.connect());
    b.vici.request("c", {}, [&](Expected<Message> r) {
        assert_int_equal(take(std::move(r)).str("big").size(), 60000);
        done = true;
    });
    assert_true(b.until([&] { return b.charon.got.size() == 1; }));
    Message m;
    m.add("big", std::string(60000, 'b'));
    const SecretBytes bytes = take(encode_packet(PacketType::CmdResponse, "", &m));
    for (std::size_t i = 0; i < 100; ++i) {
        b.charon.raw(Bytes{bytes.view()[i]});
        (void)b.loop->run_once(0ms);
    }
    const auto rest = bytes.view().subspan(100);
    b.charon.raw(Bytes(rest.begin(), rest.end()));
    assert_true(b.until([&] { return done; }));
}

void a_callback_may_close_the_client(void **)
{
    Bench b;
    bool closed = false;
    check(b.vici.connect());
    b.vici.request("c", {}, [&](Expected<Message>) {
        b.vici.close();
        closed = true;
    });
    b.charon.on_packet = [&](const Packet &) {
        b.charon.reply({});
        b.charon.send(PacketType::CmdResponse, "", nullptr);
    };
    assert_true(b.until([&] { return closed && b.downs == 1; }));
}

// Typed calls.

void plugin_commands_are_spelled_as_documented(void **)
{
    Bench b;
    PluginClient plugin(b.vici);
    check(b.vici.connect());
    b.charon.on_packet = [&](const Packet &p) {
        if (p.name == "mcipsec-version")
            b.charon.reply({{"success", "yes"}, {"plugin", "1.0"}, {"protocol", "1"}, {"strongswan", "5.9.8"}, {"epoch", "00000000000000ff"}});
        else if (p.name == "mcipsec-group")
            b.charon.reply({{"success", "yes"}, {"state", "passive"}, {"ike", "3"}, {"child", "4"}});
        else if (p.name == "mcipsec-rekey")
            b.charon.reply({{"success", "yes"}, {"result", "busy"}});
        else if (p.name == "mcipsec-doubt" && p.message.get("group") == "1" && p.message.get("key") == "04040404040404040404040404040404" && p.message.get("proposed") == "esp-0a0b0c0d" &&
                 p.message.get("mid-out") == "7" && p.message.list("strays") && *p.message.list("strays") == List{"0a0b0c0e03"})
            b.charon.reply({{"success", "yes"}, {"result", "passive"}});
        else if (p.name == "mcipsec-liveness" && p.message.get("group") == "1" && p.message.get("key") == "02020202020202020202020202020202")
            b.charon.reply({{"success", "yes"}, {"result", "queued"}, {"mid", "7"}});
        else if (p.name == "mcipsec-liveness")
            b.charon.reply({{"success", "yes"}, {"result", "queued"}});
        else if (p.name == "mcipsec-purge")
            b.charon.reply({{"success", "yes"}, {"count", "9"}});
        else if (p.name == "mcipsec-ack" && p.message.get("seq") == "2" && p.message.get("group-3") == "4")
            b.charon.reply({{"success", "no"}, {"errmsg", "another epoch"}});
        else
            b.charon.reply({{"success", "yes"}});
    };
    int done = 0;
    plugin.version([&](Expected<PluginVersion> v) {
        assert_int_equal(take(v).epoch, 255);
        assert_int_equal(v->protocol, 1);
        ++done;
    });
    PluginGroup g;
    g.group = 1;
    g.state = CharonState::Passive;
    g.commit = true;
    g.addresses = {take(IpAddress::parse("10.10.20.1"))};
    g.connections = {"tunnel-1"};
    plugin.group(g, [&](Expected<PluginGroupReply> r) {
        assert_true(take(r).state == CharonState::Passive && r->ike == 3 && r->child == 4);
        ++done;
    });
    plugin.rekey(1, Bytes(5, 1), [&](Expected<RekeyResult> r) {
        assert_true(take(r) == RekeyResult::Busy);
        ++done;
    });
    plugin.liveness(1, Bytes(16, 2), [&](Expected<PluginLiveness> r) {
        assert_true(take(r).result == RekeyResult::Queued && r->mid == 7);
        ++done;
    });
    plugin.liveness(1, Bytes(16, 3), [&](Expected<PluginLiveness> r) {
        assert_int_equal(r.error().code, -EPROTO);      // mid is missing
        ++done;
    });
    plugin.doubt(1, Bytes(16, 4), {"esp-0a0b0c0d", 7, {{0x0a, 0x0b, 0x0c, 0x0e, 3}}}, [&](Expected<RekeyResult> r) {
        assert_true(take(r) == RekeyResult::Passive);
        ++done;
    });
    plugin.purge(1, [&](Expected<std::uint64_t> n) {
        assert_int_equal(take(n), 9);
        ++done;
    });
    plugin.ack(1, 2, {{3, 4}}, [&](Expected<void> r) {
        assert_false(static_cast<bool>(r));
        assert_non_null(std::strstr(r.error().text.c_str(), "another epoch"));
        ++done;
    });
    plugin.snapshot(1, [&](Expected<PluginSnapshot> r) {
        assert_int_equal(r.error().code, -EPROTO);      // count is missing
        ++done;
    });
    assert_true(b.until([&] { return done == 9; }));
    const Message &group = b.charon.got[1].message;
    assert_true(group.get("group") == "1" && group.get("state") == "passive" && group.get("commit") == "yes");
    assert_true(group.get("commit-limit-ms") == "200" && group.get("more") == "no" && group.get("pool-share") == "all");
    assert_true(group.get("responder-only") == "no");
    assert_true(*group.list("addresses") == List{"10.10.20.1"} && *group.list("connections") == List{"tunnel-1"});
    assert_true(b.charon.got[7].message.get("epoch") == "0000000000000001");
}

void records_and_other_events_reach_their_callbacks(void **)
{
    Bench b;
    PluginClient plugin(b.vici);
    std::uint64_t seq = 0, expired = 0;
    std::string what, malformed;
    int registered = 0;
    plugin.on_record = [&](PluginRecord &&r) { seq = r.seq; };
    plugin.on_log = [&](PluginLog &&l) { what = l.what + "/" + l.text + "/" + l.fields.at(0).first; };
    plugin.on_held_expired = [&](const PluginHeldExpired &h) { expired = h.seq; };
    plugin.on_malformed = [&](const std::string &w) { malformed = w; };
    plugin.start([&](Expected<void> r) { registered += r ? 1 : 0; });
    check(b.vici.connect());
    assert_true(b.until([&] { return registered == 3; }));
    Message m;
    m.add_hex64("epoch", 1).add_u64("seq", 42).add("op", "delete").add("kind", "child").add_u64("group", 1).add("key", "c000000103");
    m.add_hex64("lineage", 7).add_u64("version", 3);
    b.charon.send(PacketType::Event, "mcipsec-record", &m);
    Message bad;
    bad.add("op", "upsert");
    b.charon.send(PacketType::Event, "mcipsec-record", &bad);
    Message log;
    log.add("group", "1").add("what", "ike-up").add("text", "up").add("remote-id", "ce");
    b.charon.send(PacketType::Event, "mcipsec-log", &log);
    Message held;
    held.add("group", "1").add("seq", "77");
    b.charon.send(PacketType::Event, "mcipsec-held-expired", &held);
    assert_true(b.until([&] { return expired == 77; }));
    assert_int_equal(seq, 42);
    assert_string_equal(what.c_str(), "ike-up/up/remote-id");
    assert_false(malformed.empty());
    assert_int_equal(plugin.counters().malformed, 1);
}

void streamed_commands_take_turns(void **)
{
    Bench b;
    PluginClient plugin(b.vici);
    check(b.vici.connect());
    b.charon.on_packet = [&](const Packet &p) {
        Message sa;
        sa.add_section(p.message.str("ike", "all")).add("state", "ESTABLISHED");
        b.charon.send(PacketType::Event, "list-sa", &sa);
        b.charon.reply({});
    };
    std::string order;
    const auto list = [&](const char *ike) {
        plugin.list_sas(ike, [&](const Message &m) { order += m.elements().at(0).name + " "; }, [&](Expected<void> r) {
            check(r);
            order += "end ";
        });
    };
    list("");
    list("one");
    list("two");
    assert_true(b.until([&] { return order == "all end one end two end "; }));
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_the_order_of_the_requests),
        cmocka_unit_test(at_most_a_window_is_in_flight),
        cmocka_unit_test(events_arrive_between_answers),
        cmocka_unit_test(an_unknown_event_or_command_is_told),
        cmocka_unit_test(losing_charon_fails_every_request_once_and_reconnects),
        cmocka_unit_test(no_charon_is_an_error_of_connect),
        cmocka_unit_test(an_answer_that_never_comes_closes_the_connection),
        cmocka_unit_test(garbage_closes_the_connection),
        cmocka_unit_test(a_broken_event_is_counted_and_skipped),
        cmocka_unit_test(a_packet_may_come_byte_by_byte),
        cmocka_unit_test(a_callback_may_close_the_client),
        cmocka_unit_test(plugin_commands_are_spelled_as_documented),
        cmocka_unit_test(records_and_other_events_reach_their_callbacks),
        cmocka_unit_test(streamed_commands_take_turns),
    };
    return cmocka_run_group_tests_name("io vici", tests, nullptr, nullptr);
}
