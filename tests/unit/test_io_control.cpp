// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// The control socket, both ends: small and large answers, subscribers that
// read and that do not, limits, garbage.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <future>
#include <thread>

#include "io/control_socket.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

struct Bench {
    ScratchFolder folder;
    std::string path = folder / "control.sock";
    std::unique_ptr<EventLoop> loop = take(EventLoop::create());
    ControlPeer peer;
    std::function<Json(ControlServer::ClientId, const Json &)> answer = [](ControlServer::ClientId, const Json &q) {
        return Json{{"ok", true}, {"data", q}};
    };
    std::unique_ptr<ControlServer> server;
    Bench()
    {
        server = take(ControlServer::open(*loop, path, [this](ControlServer::ClientId id, const ControlPeer &who, const Json &q) {
            peer = who;
            server->reply(id, answer(id, q));
        }));
    }
    // The synchronous client in a thread of its own, while the loop turns here.
    template <typename F>
    auto beside(F f)
    {
        auto result = std::async(std::launch::async, f);
        assert_true(turn_until(*loop, [&] { return result.wait_for(0s) == std::future_status::ready; }));
        return result.get();
    }
};

void a_request_is_answered(void **)
{
    Bench b;
    const Json answer = b.beside([&] {
        auto c = ControlClient::connect(b.path);
        return c->request(Json{{"command", {"show", "isa"}}, {"args", Json::object()}}, kPatience).value_or(Json{});
    });
    assert_true(answer.at("ok") == true);
    assert_true(answer.at("data").at("command").at(0) == "show");
    assert_int_equal(b.peer.uid, ::geteuid());
    assert_int_equal(b.peer.pid, ::getpid());
    assert_true(b.peer.privileged);
    struct stat st {};
    ::stat(b.path.c_str(), &st);
    assert_int_equal(st.st_mode & 0777, 0666);
}

void another_user_is_not_privileged(void **)
{
    if (::geteuid() != 0)
        return skip_without("root, to become another user");
    Bench b;
    ::chmod(b.folder.path.c_str(), 0755);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(65534) < 0 || ::setuid(65534) < 0)
            ::_exit(2);
        auto c = ControlClient::connect(b.path);
        ::_exit(c && c->request(Json{{"command", {"show"}}}, kPatience) ? 0 : 1);
    }
    int status = -1;
    auto source = take(b.loop->add_child(child, [&](int, int s) { status = s; }));
    assert_true(turn_until(*b.loop, [&] { return status >= 0; }));
    assert_int_equal(status, 0);
    assert_int_equal(b.peer.uid, 65534);
    assert_false(b.peer.privileged);
}

void an_answer_longer_than_a_packet_arrives_whole(void **)
{
    Bench b;
    std::string text;
    for (int i = 0; i < 100000; ++i)
        text += i % 7 ? "\"\\\xc3\xa9" : "x";      // quotes, backslashes, two-byte characters
    b.answer = [&](auto, const Json &) { return Json{{"ok", true}, {"data", text}}; };
    const Json answer = b.beside([&] { return ControlClient::connect(b.path)->request(Json{{"command", {"x"}}}, kPatience).value_or(Json{}); });
    assert_true(answer.at("data") == text);
}

void every_part_fits_a_packet(void **)
{
    const auto parts = control_split(std::string(500000, '"'));
    assert_true(parts.size() > 1);
    for (const auto &p : parts) {
        assert_true(p.size() <= kControlMaxPacket);
        assert_true(Json::parse(p).is_object());    // one object a packet, always
    }
    assert_int_equal(control_split("{}").size(), 1);
}

void text_that_is_not_utf8_does_no_harm(void **)
{
    Bench b;
    b.answer = [&](auto, const Json &) { return Json{{"id", "\xff\xfe"}}; };
    const Json answer = b.beside([&] { return ControlClient::connect(b.path)->request(Json{{"command", {"x"}}}, kPatience).value_or(Json{}); });
    assert_true(answer.contains("id"));
}

void subscribers_get_events_until_they_leave(void **)
{
    Bench b;
    b.answer = [&](ControlServer::ClientId id, const Json &) {
        b.server->subscribe(id);
        return Json{{"ok", true}};
    };
    bool closed = false;
    b.server->on_close = [&](ControlServer::ClientId) { closed = true; };
    assert_false(b.server->subscribed());
    auto client = b.beside([&] {
        auto c = ControlClient::connect(b.path);
        (void)c->request(Json{{"command", {"monitor"}}}, kPatience);
        return c;
    });
    assert_true(b.server->subscribed());
    b.server->publish(Json{{"event", 1}});
    b.server->publish(Json{{"event", 2}});
    assert_true(take(client->next(kPatience)).at("event") == 1);
    assert_true(take(client->next(kPatience)).at("event") == 2);
    assert_int_equal(client->next(1ms).error().code, -ETIMEDOUT);
    client = fail(0, "");       // leaves
    assert_true(turn_until(*b.loop, [&] { return closed; }));
    assert_false(b.server->subscribed());
}

void a_subscriber_that_does_not_read_loses_events_and_is_told(void **)
{
    Bench b;
    b.answer = [&](ControlServer::ClientId id, const Json &) {
        b.server->subscribe(id);
        return Json{{"ok", true}};
    };
    auto client = b.beside([&] {
        auto c = ControlClient::connect(b.path);
        (void)c->request(Json{{"command", {"monitor"}}}, kPatience);
        return c;
    });
    const std::string filler(16000, 'f');
    unsigned published = 0;
    while (b.server->stats().lost_events < 10) {
        b.server->publish(Json{{"n", published++}, {"f", filler}});
        assert_true(published < 100000);
    }
    // Reads what was kept, in order, then hears how many are missing.
    unsigned next = 0;
    std::uint64_t lost = 0;
    while (!lost) {
        (void)b.loop->run_once(0ms);
        auto e = client->next(1ms);
        if (!e) {
            b.server->publish(Json{{"n", published++}, {"f", ""}});
            continue;
        }
        lost = e->value("lost", std::uint64_t{0});
        const unsigned n = e->at("n").get<unsigned>();
        if (!lost)
            assert_int_equal(n, next++);
        else
            assert_int_equal(n, next + lost);
    }
    assert_true(lost >= 10);
}

void garbage_is_answered_and_counted(void **)
{
    Bench b;
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::snprintf(a.sun_path, sizeof(a.sun_path), "%s", b.path.c_str());
    assert_int_equal(::connect(fd.get(), reinterpret_cast<sockaddr *>(&a), sizeof(a)), 0);
    const std::string deep(30000, '[');
    unsigned bad = 0;
    for (const std::string &text : {std::string("{"), std::string("[1]"), std::string("\"x\""), std::string("\xff"), deep}) {
        assert_true(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0);
        ++bad;
        assert_true(turn_until(*b.loop, [&] { return b.server->stats().malformed == bad; }));
        char reply[4096];
        const ssize_t n = ::recv(fd.get(), reply, sizeof(reply), MSG_DONTWAIT);
        assert_true(n > 0);
        assert_true(Json::parse(std::string(reply, static_cast<std::size_t>(n))).at("exit") == 2);
    }
    assert_int_equal(b.server->stats().requests, 0);
}

void clients_are_bounded(void **)
{
    Bench b;
    std::vector<ControlClient> clients;
    for (std::size_t i = 0; i < ControlServer::kMaxClients; ++i) {
        clients.push_back(take(ControlClient::connect(b.path)));
        assert_true(turn_until(*b.loop, [&] { return b.server->stats().accepted == i + 1; }));
    }
    auto one_more = take(ControlClient::connect(b.path));
    assert_true(turn_until(*b.loop, [&] { return b.server->stats().refused == 1; }));
    assert_int_equal(one_more.next(kPatience).error().code, -ECONNRESET);
    clients.pop_back();
    const Json answer = b.beside([&] {
        for (;;) {      // the server notices the free place in its own time
            auto r = ControlClient::connect(b.path)->request(Json{{"command", {"x"}}}, kPatience);
            if (r)
                return *r;
        }
    });
    assert_true(answer.at("ok") == true);
}

void nobody_there_hung_and_gone_are_told_apart(void **)
{
    ScratchFolder folder;
    assert_int_equal(ControlClient::connect(folder / "absent").error().code, -ENOENT);
    Bench b;
    auto c = take(ControlClient::connect(b.path));
    assert_int_equal(c.request(Json{{"command", {"x"}}}, 10ms).error().code, -ETIMEDOUT);     // the loop does not turn
    b.server.reset();
    assert_int_equal(c.next(kPatience).error().code, -ECONNRESET);
    assert_int_equal(ControlClient::connect(b.path).error().code, -ENOENT);     // removed
}

void one_agent_a_socket_and_stale_ones_are_replaced(void **)
{
    Bench b;
    assert_int_equal(ControlServer::open(*b.loop, b.path, {}).error().code, -EADDRINUSE);
    const std::string stale = b.folder / "stale";
    {
        UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        sockaddr_un a{};
        a.sun_family = AF_UNIX;
        std::snprintf(a.sun_path, sizeof(a.sun_path), "%s", stale.c_str());
        assert_int_equal(::bind(fd.get(), reinterpret_cast<sockaddr *>(&a), sizeof(a)), 0);
    }
    auto second = take(ControlServer::open(*b.loop, stale, {}));
    assert_true(static_cast<bool>(ControlClient::connect(stale)));
}

// A listening socket stays readable while nobody can be accepted.
void without_a_descriptor_the_loop_rests_and_serves_later(void **)
{
    Bench b;
    auto early = take(ControlClient::connect(b.path));
    rlimit before{};
    assert_int_equal(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{3, before.rlim_max};      // what is open stays open
    assert_int_equal(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto callbacks = b.loop->stats().callbacks;
    const Time limit = boot_now() + 500ms;
    while (boot_now() < limit)
        (void)b.loop->run_once(10ms);
    const auto turns = b.loop->stats().callbacks - callbacks;
    assert_int_equal(::setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(b.server->stats().rests >= 1);
    assert_true(turns <= 10);
    const Json answer = b.beside([&] { return early.request(Json{{"command", {"show"}}}, kPatience).value_or(Json{}); });
    assert_true(answer.at("ok") == true);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(another_user_is_not_privileged),
        cmocka_unit_test(an_answer_longer_than_a_packet_arrives_whole),
        cmocka_unit_test(every_part_fits_a_packet),
        cmocka_unit_test(text_that_is_not_utf8_does_no_harm),
        cmocka_unit_test(subscribers_get_events_until_they_leave),
        cmocka_unit_test(a_subscriber_that_does_not_read_loses_events_and_is_told),
        cmocka_unit_test(garbage_is_answered_and_counted),
        cmocka_unit_test(clients_are_bounded),
        cmocka_unit_test(nobody_there_hung_and_gone_are_told_apart),
        cmocka_unit_test(one_agent_a_socket_and_stale_ones_are_replaced),
        cmocka_unit_test(without_a_descriptor_the_loop_rests_and_serves_later),
    };
    return cmocka_run_group_tests_name("io control", tests, nullptr, nullptr);
}
