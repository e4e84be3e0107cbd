// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// The MCS channel over loopback: data both ways, back-pressure, and who is
// turned away: another key, another identity, TLS 1.2, a stranger, plain text.
#include <netinet/in.h>
#include <openssl/ssl.h>

#include <thread>

#include "io/tls_channel.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

IpAddress ip(const char *text)
{
    return take(IpAddress::parse(text));
}

SecretBytes key(std::uint8_t fill)
{
    return SecretBytes(Bytes(32, fill));
}

struct End {
    std::unique_ptr<TlsChannel> channel;
    int ups = 0, downs = 0, writable = 0;
    TlsDown reason{};
    std::string detail;
    Bytes got;

    void make(EventLoop &loop, TlsConfig config)
    {
        TlsCallbacks c;
        c.on_up = [this] { ++ups; };
        c.on_down = [this](TlsDown r, const std::string &d) {
            ++downs;
            reason = r;
            detail = d;
        };
        c.on_bytes = [this](ByteView b) { got.insert(got.end(), b.begin(), b.end()); };
        c.on_writable = [this] { ++writable; };
        channel = take(TlsChannel::create(loop, std::move(config), std::move(c)));
    }
};

TlsConfig config(TlsRole role, std::uint16_t port, std::uint8_t fill = 7, const char *identity = "mcs 1 2", const char *address = "127.0.0.1")
{
    TlsConfig c;
    c.local = c.peer = ip(address);
    c.role = role;
    c.port = port;
    c.identity = identity;
    c.psk = key(fill);
    return c;
}

struct Pair {
    std::unique_ptr<EventLoop> loop = take(EventLoop::create());
    End server, client;
    explicit Pair(const char *address = "127.0.0.1")
    {
        server.make(*loop, config(TlsRole::Server, 0, 7, "mcs 1 2", address));
        check(server.channel->open());
        client.make(*loop, config(TlsRole::Client, server.channel->port(), 7, "mcs 1 2", address));
    }
    void connect()
    {
        check(client.channel->open());
        assert_true(turn_until(*loop, [&] { return client.ups && server.ups; }));
    }
    template <typename P>
    bool until(P p) { return turn_until(*loop, p); }
};

void bytes_travel_both_ways_in_order(void **)
{
    Pair p;
    p.connect();
    Bytes up(300000), down(200000);
    for (std::size_t i = 0; i < up.size(); ++i)
        up[i] = static_cast<std::uint8_t>(i * 31 >> 3);
    for (std::size_t i = 0; i < down.size(); ++i)
        down[i] = static_cast<std::uint8_t>(i * 17 >> 2);
    check(p.client.channel->send(ByteView(up).first(10)));
    check(p.client.channel->send(ByteView(up).subspan(10)));
    check(p.server.channel->send(down));
    assert_true(p.until([&] { return p.server.got.size() == up.size() && p.client.got.size() == down.size(); }));
    assert_true(p.server.got == up);
    assert_true(p.client.got == down);
    assert_int_equal(p.client.channel->queued(), 0);
    assert_int_equal(p.client.channel->stats().tx_bytes, up.size());
    assert_int_equal(p.server.channel->stats().rx_bytes, up.size());
}

void over_ipv6_too(void **)
{
    Pair p("::1");
    p.connect();
    check(p.client.channel->send(Bytes{6}));
    check(p.server.channel->send(Bytes{6, 6}));
    assert_true(p.until([&] { return p.server.got == Bytes{6} && p.client.got == Bytes{6, 6}; }));
    assert_int_equal(p.server.channel->stats().handshake_failures, 0);
}

// Two servers on one address and port, told apart by who connects.
void servers_share_an_address(void **)
{
    auto loop = take(EventLoop::create());
    const auto listeners = std::make_shared<TcpListeners>(*loop);
    End probe, one, two, client_one, client_two, stranger;
    probe.make(*loop, config(TlsRole::Server, 0));
    check(probe.channel->open());
    const auto port = probe.channel->port();
    probe.channel.reset();
    const auto server = [&](End &end, const char *peer, std::uint8_t fill) {
        TlsConfig c = config(TlsRole::Server, port, fill);
        c.peer = ip(peer);
        c.listeners = listeners;
        end.make(*loop, std::move(c));
        check(end.channel->open());
    };
    const auto client = [&](End &end, const char *local, std::uint8_t fill) {
        TlsConfig c = config(TlsRole::Client, port, fill);
        c.local = ip(local);
        end.make(*loop, std::move(c));
        check(end.channel->open());
    };
    server(one, "127.0.0.2", 7);
    server(two, "127.0.0.3", 8);
    client(client_two, "127.0.0.3", 8);
    client(client_one, "127.0.0.2", 7);
    assert_true(turn_until(*loop, [&] { return one.ups && two.ups && client_one.ups && client_two.ups; }));
    check(client_two.channel->send(Bytes{2}));
    check(client_one.channel->send(Bytes{1}));
    assert_true(turn_until(*loop, [&] { return !one.got.empty() && !two.got.empty(); }));
    assert_true(one.got == Bytes{1} && two.got == Bytes{2});

    client(stranger, "127.0.0.4", 7);
    assert_true(turn_until(*loop, [&] { return stranger.downs == 1; }));
    assert_int_equal(one.channel->stats().strangers + two.channel->stats().strangers, 1);
    // One ends: the other's connection and listening stay.
    one.channel->close();
    assert_true(turn_until(*loop, [&] { return client_one.downs == 1; }));
    assert_true(two.channel->up() && two.channel->listening() && two.downs == 0);
    client_two.channel->close();
    assert_true(turn_until(*loop, [&] { return two.downs == 1; }));
    check(client_two.channel->open());
    assert_true(turn_until(*loop, [&] { return two.ups == 2; }));
}

void send_while_down_is_refused(void **)
{
    Pair p;
    assert_int_equal(p.client.channel->send(Bytes{1}).error().code, -ENOTCONN);
    assert_int_equal(p.server.channel->send(Bytes{1}).error().code, -ENOTCONN);
}

void back_pressure_holds_and_releases(void **)
{
    Pair p;
    p.connect();
    p.server.channel->pause_input(true);
    const Bytes block(100000, 0x5a);
    std::size_t sent = 0;
    // Fills the queue: the kernel's buffers are finite, too.
    const bool full = p.until([&] {
        const auto r = p.client.channel->send(block);
        if (r)
            sent += block.size();
        return !r && r.error().code == -EAGAIN;
    });
    assert_true(full);
    assert_true(p.client.channel->queued() <= 4u << 20);
    assert_int_equal(p.client.writable, 0);
    assert_int_equal(p.server.got.size(), 0);
    p.server.channel->pause_input(false);
    assert_true(p.until([&] { return p.server.got.size() == sent; }));
    assert_int_equal(p.client.writable, 1);
}

void another_key_is_refused_on_both_sides(void **)
{
    auto loop = take(EventLoop::create());
    End server, client;
    server.make(*loop, config(TlsRole::Server, 0));
    check(server.channel->open());
    client.make(*loop, config(TlsRole::Client, server.channel->port(), 8));
    check(client.channel->open());
    assert_true(turn_until(*loop, [&] { return client.downs && server.downs; }));
    assert_int_equal(client.ups + server.ups, 0);
    assert_true(server.reason == TlsDown::AuthFailed);
    assert_true(client.reason == TlsDown::AuthFailed);
    assert_int_equal(server.channel->stats().auth_failures, 1);
    // The listener is still there for the right one.
    client.channel->set_psk("mcs 1 2", key(7));
    check(client.channel->open());
    assert_true(turn_until(*loop, [&] { return client.ups && server.ups; }));
}

void another_identity_is_refused(void **)
{
    auto loop = take(EventLoop::create());
    End server, client;
    server.make(*loop, config(TlsRole::Server, 0));
    check(server.channel->open());
    client.make(*loop, config(TlsRole::Client, server.channel->port(), 7, "mcs 1 3"));
    check(client.channel->open());
    assert_true(turn_until(*loop, [&] { return client.downs && server.downs; }));
    assert_true(server.reason == TlsDown::AuthFailed);
    assert_int_equal(client.ups + server.ups, 0);
}

// A peer of our own making, in blocking mode in a thread of its own. What it
// does after the handshake is up to it; gives SSL_do_handshake's result.
int foreign_client(std::uint16_t port, int max_version, bool with_psk)
{
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<sockaddr *>(&to), sizeof(to)) < 0)
        return -100;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, max_version);
    if (with_psk) {
        SSL_CTX_set_cipher_list(ctx, "PSK");
        SSL_CTX_set_psk_client_callback(ctx, [](SSL *, const char *, char *id, unsigned n, unsigned char *psk, unsigned) -> unsigned {
            std::snprintf(id, n, "mcs 1 2");
            std::memset(psk, 7, 32);
            return 32;
        });
    }
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd.get());
    const int r = SSL_connect(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return r;
}

void turned_away(int version, bool with_psk)
{
    auto loop = take(EventLoop::create());
    End server;
    server.make(*loop, config(TlsRole::Server, 0));
    check(server.channel->open());
    int result = 0;
    std::thread peer([&, port = server.channel->port()] { result = foreign_client(port, version, with_psk); });
    const bool ok = turn_until(*loop, [&] { return server.downs > 0; });
    peer.join();
    assert_true(ok);
    assert_true(result != 1);
    assert_int_equal(server.ups, 0);
    assert_true(server.reason == TlsDown::HandshakeFailed || server.reason == TlsDown::AuthFailed);
}
void tls_1_2_with_the_right_key_is_refused(void **) { turned_away(TLS1_2_VERSION, true); }
void tls_1_3_without_a_key_is_refused(void **) { turned_away(TLS1_3_VERSION, false); }

void plain_text_is_no_handshake(void **)
{
    auto loop = take(EventLoop::create());
    End server;
    server.make(*loop, config(TlsRole::Server, 0));
    check(server.channel->open());
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.channel->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(::connect(fd.get(), reinterpret_cast<sockaddr *>(&to), sizeof(to)), 0);
    assert_true(::send(fd.get(), "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
    assert_true(turn_until(*loop, [&] { return server.downs > 0; }));
    assert_true(server.reason == TlsDown::HandshakeFailed);
    assert_int_equal(server.channel->stats().handshake_failures, 1);
}

void a_stranger_is_closed_before_any_handshake(void **)
{
    auto loop = take(EventLoop::create());
    End server, client;
    auto c = config(TlsRole::Server, 0);
    c.peer = ip("127.0.0.9");
    server.make(*loop, std::move(c));
    check(server.channel->open());
    client.make(*loop, config(TlsRole::Client, server.channel->port()));
    check(client.channel->open());
    assert_true(turn_until(*loop, [&] { return client.downs > 0; }));
    assert_int_equal(server.ups, 0);
    assert_int_equal(server.downs, 0);
    assert_int_equal(server.channel->stats().strangers, 1);
}

void a_refused_connection_is_told_from_the_loop(void **)
{
    auto loop = take(EventLoop::create());
    End client;
    UniqueFd taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{};
    socklen_t n = sizeof(a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(::bind(taken.get(), reinterpret_cast<sockaddr *>(&a), sizeof(a)), 0);
    ::getsockname(taken.get(), reinterpret_cast<sockaddr *>(&a), &n);   // bound, nobody listens
    client.make(*loop, config(TlsRole::Client, ntohs(a.sin_port)));
    for (int i = 1; i <= 3; ++i) {      // and again after it failed
        check(client.channel->open());
        assert_int_equal(client.downs, i - 1);
        assert_true(turn_until(*loop, [&] { return client.downs == i; }));
        assert_true(client.reason == TlsDown::Refused);
    }
}

void a_handshake_that_stalls_times_out(void **)
{
    auto loop = take(EventLoop::create());
    End server;
    auto c = config(TlsRole::Server, 0);
    c.user_timeout = 50ms;
    server.make(*loop, std::move(c));
    check(server.channel->open());
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(server.channel->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(::connect(fd.get(), reinterpret_cast<sockaddr *>(&to), sizeof(to)), 0);
    assert_true(turn_until(*loop, [&] { return server.downs > 0; }));
    assert_true(server.reason == TlsDown::HandshakeFailed);
}

void closing_tells_the_peer(void **)
{
    Pair p;
    p.connect();
    const Bytes last{'b', 'y', 'e'};
    check(p.client.channel->send(last));
    p.client.channel->close();
    assert_false(p.client.channel->up());
    assert_int_equal(p.client.downs, 0);
    assert_true(p.until([&] { return p.server.downs == 1; }));
    assert_true(p.server.got == last);
    assert_true(p.server.reason == TlsDown::PeerClosed);
    assert_true(p.server.channel->listening());
    // and it can come again
    p.client.ups = p.server.ups = 0;
    p.connect();
}

void a_newer_connection_replaces_the_old_one(void **)
{
    Pair p;
    p.connect();
    End second;
    second.make(*p.loop, config(TlsRole::Client, p.server.channel->port()));
    check(second.channel->open());
    assert_true(p.until([&] { return second.ups == 1 && p.server.ups == 2; }));
    assert_int_equal(p.server.downs, 1);
    assert_true(p.server.reason == TlsDown::Replaced);
    check(second.channel->send(Bytes{9}));
    assert_true(p.until([&] { return p.server.got == Bytes{9}; }));
}

void a_failed_handshake_leaves_the_live_connection_alone(void **)
{
    Pair p;
    p.connect();
    End forger;
    forger.make(*p.loop, config(TlsRole::Client, p.server.channel->port(), 9));
    check(forger.channel->open());
    assert_true(p.until([&] { return forger.downs == 1; }));
    assert_true(p.until([&] { return p.server.channel->stats().auth_failures == 1; }));
    assert_int_equal(p.server.downs, 0);
    check(p.client.channel->send(Bytes{3}));
    assert_true(p.until([&] { return p.server.got == Bytes{3}; }));
}

void a_callback_may_destroy_the_channel(void **)
{
    Pair p;
    p.connect();
    TlsCallbacks c;
    bool gone = false;
    End third;
    c.on_bytes = [&](ByteView) {
        third.channel.reset();
        gone = true;
    };
    c.on_up = [&] { ++third.ups; };
    third.channel = take(TlsChannel::create(*p.loop, config(TlsRole::Client, p.server.channel->port()), std::move(c)));
    check(third.channel->open());
    assert_true(p.until([&] { return third.ups == 1 && p.server.ups == 2; }));
    check(p.server.channel->send(Bytes(50000, 1)));
    assert_true(p.until([&] { return gone && p.server.downs == 2; }));
}

void roles_follow_the_addresses(void **)
{
    assert_true(role_by_address(ip("192.0.2.1"), ip("192.0.2.2")) == TlsRole::Client);
    assert_true(role_by_address(ip("192.0.2.2"), ip("192.0.2.1")) == TlsRole::Server);
    assert_true(role_by_address(ip("2001:db8::1"), ip("2001:db8::2")) == TlsRole::Client);
}

void a_weak_configuration_is_refused(void **)
{
    auto loop = take(EventLoop::create());
    auto c = config(TlsRole::Client, 1);
    c.psk = SecretBytes(Bytes(16, 1));
    assert_int_equal(TlsChannel::create(*loop, std::move(c), {}).error().code, -EINVAL);
    c = config(TlsRole::Client, 1);
    c.identity = "";
    assert_int_equal(TlsChannel::create(*loop, std::move(c), {}).error().code, -EINVAL);
    c = config(TlsRole::Client, 1);
    c.peer = ip("::1");
    assert_int_equal(TlsChannel::create(*loop, std::move(c), {}).error().code, -EINVAL);
}

void backoff_doubles_within_its_jitter(void **)
{
    Backoff b(100ms, 1s);
    assert_true(b.next(0) == 75ms);             // -25 %
    assert_true(b.next(0xffffffff) > 249ms);    // 200 ms + 25 %
    assert_true(b.next(0x80000000) == 400ms);
    assert_true(b.next(0x80000000) == 800ms);
    assert_true(b.next(0x80000000) == 1s);
    assert_true(b.next(0x80000000) == 1s);
    b.reset();
    assert_true(b.next(0x80000000) == 100ms);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(servers_share_an_address),
        cmocka_unit_test(bytes_travel_both_ways_in_order),
        cmocka_unit_test(over_ipv6_too),
        cmocka_unit_test(send_while_down_is_refused),
        cmocka_unit_test(back_pressure_holds_and_releases),
        cmocka_unit_test(another_key_is_refused_on_both_sides),
        cmocka_unit_test(another_identity_is_refused),
        cmocka_unit_test(tls_1_2_with_the_right_key_is_refused),
        cmocka_unit_test(tls_1_3_without_a_key_is_refused),
        cmocka_unit_test(plain_text_is_no_handshake),
        cmocka_unit_test(a_stranger_is_closed_before_any_handshake),
        cmocka_unit_test(a_refused_connection_is_told_from_the_loop),
        cmocka_unit_test(a_handshake_that_stalls_times_out),
        cmocka_unit_test(closing_tells_the_peer),
        cmocka_unit_test(a_newer_connection_replaces_the_old_one),
        cmocka_unit_test(a_failed_handshake_leaves_the_live_connection_alone),
        cmocka_unit_test(a_callback_may_destroy_the_channel),
        cmocka_unit_test(roles_follow_the_addresses),
        cmocka_unit_test(a_weak_configuration_is_refused),
        cmocka_unit_test(backoff_doubles_within_its_jitter),
    };
    return cmocka_run_group_tests_name("io tls", tests, nullptr, nullptr);
}
