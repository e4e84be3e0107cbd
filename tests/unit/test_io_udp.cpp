// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// UDP over loopback: source address and port, TTL 255, DSCP CS6, bounds.
#include <netinet/in.h>
#include <netinet/ip.h>

#include "io/udp_share.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

IpAddress ip(const char *text)
{
    return take(IpAddress::parse(text));
}

void loopback_carries(const char *address)
{
    auto loop = take(EventLoop::create());
    Bytes got;
    Datagram seen;
    auto rx = take(UdpSocket::open(*loop, {.local = ip(address)}, [&](const Datagram &d) {
        seen = d;
        got.assign(d.bytes.begin(), d.bytes.end());
    }));
    auto tx = take(UdpSocket::open(*loop, {.local = ip(address)}, {}));
    // RFC 5881, 4: the source port is one of 49152..65535
    assert_true(tx->port() >= 49152);
    const Bytes sent = {1, 2, 3, 4, 5};
    const Time before = boot_now();
    check(tx->send(ip(address), rx->port(), sent));
    assert_true(turn_until(*loop, [&] { return !got.empty(); }));
    assert_true(got == sent);
    assert_true(seen.from == ip(address));
    assert_int_equal(seen.from_port, tx->port());
    assert_int_equal(seen.ttl, 255);
    assert_true(seen.rx_time >= before - 1ms && seen.rx_time <= boot_now());
    assert_int_equal(rx->stats().rx, 1);
    assert_int_equal(tx->stats().tx, 1);
}

void ipv4_loopback(void **) { loopback_carries("127.0.0.1"); }
void ipv6_loopback(void **)
{
    UniqueFd probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_addr = in6addr_loopback;
    if (!probe || ::bind(probe.get(), reinterpret_cast<sockaddr *>(&a), sizeof(a)) < 0)
        return skip_without("IPv6 on lo");
    loopback_carries("::1");
}

// Two peers, one local address and port: each hears its own; a stranger is the first one's.
void peers_share_a_socket(void **)
{
    auto loop = take(EventLoop::create());
    UdpShare share(*loop);
    const UdpConfig local{.local = ip("127.0.0.1"), .port = take(UdpSocket::open(*loop, {.local = ip("127.0.0.1")}, {}))->port(), .options = {.reuse_address = true}};
    std::vector<Bytes> of_2, of_3;
    auto keep = [](std::vector<Bytes> &to) { return [&to](const Datagram &d) { to.emplace_back(d.bytes.begin(), d.bytes.end()); }; };
    auto two = take(share.attach(local, ip("127.0.0.2"), keep(of_2)));
    auto three = take(share.attach(local, ip("127.0.0.3"), keep(of_3)));
    assert_int_equal(share.attach(local, ip("127.0.0.3"), keep(of_3)).error().code, -EEXIST);
    assert_int_equal(two->port(), local.port);
    auto far = [&](const char *address) { return take(UdpSocket::open(*loop, {.local = ip(address)}, {})); };
    auto from_2 = far("127.0.0.2"), from_3 = far("127.0.0.3"), from_4 = far("127.0.0.4");
    check(from_3->send(local.local, local.port, Bytes{3}));
    check(from_2->send(local.local, local.port, Bytes{2}));
    check(from_4->send(local.local, local.port, Bytes{4}));
    assert_true(turn_until(*loop, [&] { return of_2.size() + of_3.size() == 3; }));
    assert_true(of_2 == (std::vector<Bytes>{{2}, {4}}) && of_3 == (std::vector<Bytes>{{3}}));

    // Each way: the answer comes from the shared address.
    Bytes answer;
    IpAddress answered_by;
    auto ear = take(UdpSocket::open(*loop, {.local = ip("127.0.0.3")}, [&](const Datagram &d) {
        answer.assign(d.bytes.begin(), d.bytes.end());
        answered_by = d.from;
    }));
    check(three->send(ear->port(), Bytes{5}));
    assert_true(turn_until(*loop, [&] { return !answer.empty(); }));
    assert_true(answered_by == local.local);

    // One goes, in its own callback even: the other stays. The last one takes the socket along.
    three.reset();
    two = nullptr;
    auto last = std::make_unique<std::unique_ptr<UdpShare::Port>>();
    bool gone = false;
    *last = take(share.attach(local, ip("127.0.0.2"), [&](const Datagram &) {
        last->reset();
        gone = true;
    }));
    check(from_2->send(local.local, local.port, Bytes{6}));
    assert_true(turn_until(*loop, [&] { return gone; }));
    take(UdpSocket::open(*loop, {.local = local.local, .port = local.port}, {}));
}

void packets_are_marked_cs6(void **)
{
    auto loop = take(EventLoop::create());
    auto tx = take(UdpSocket::open(*loop, {.local = ip("127.0.0.1")}, {}));
    int tos = 0, priority = 0;
    socklen_t n = sizeof(tos);
    assert_int_equal(::getsockopt(tx->fd(), IPPROTO_IP, IP_TOS, &tos, &n), 0);
    assert_int_equal(tos, 0xc0);    // CS6 = 48 << 2
    assert_int_equal(::getsockopt(tx->fd(), SOL_SOCKET, SO_PRIORITY, &priority, &n), 0);
    assert_int_equal(priority, 6);
}

void an_address_that_is_not_there_yet_can_be_bound(void **)
{
    auto loop = take(EventLoop::create());
    assert_true(static_cast<bool>(UdpSocket::open(*loop, {.local = ip("192.0.2.1")}, {})));
    UdpConfig strict{.local = ip("192.0.2.1")};
    strict.options.freebind = false;
    const auto r = UdpSocket::open(*loop, strict, {});
    assert_false(static_cast<bool>(r));
    assert_int_equal(r.error().code, -EADDRNOTAVAIL);
}

void a_taken_port_and_a_missing_address_are_errors(void **)
{
    auto loop = take(EventLoop::create());
    auto first = take(UdpSocket::open(*loop, {.local = ip("127.0.0.1")}, {}));
    const auto second = UdpSocket::open(*loop, {.local = ip("127.0.0.1"), .port = first->port()}, {});
    assert_false(static_cast<bool>(second));
    assert_int_equal(second.error().code, -EADDRINUSE);
    assert_non_null(std::strstr(second.error().text.c_str(), "127.0.0.1"));
    assert_int_equal(UdpSocket::open(*loop, {}, {}).error().code, -EINVAL);
    assert_int_equal(first->send(ip("::1"), 1, Bytes{1}).error().code, -EAFNOSUPPORT);
    assert_int_equal(first->stats().tx_errors, 1);
}

void a_datagram_beyond_the_limit_is_counted_and_dropped(void **)
{
    auto loop = take(EventLoop::create());
    std::size_t got = 0;
    auto rx = take(UdpSocket::open(*loop, {.local = ip("127.0.0.1")}, [&](const Datagram &d) { got = d.bytes.size(); }));
    auto tx = take(UdpSocket::open(*loop, {.local = ip("127.0.0.1")}, {}));
    check(tx->send(rx->local(), rx->port(), Bytes(UdpSocket::kMaxDatagram + 1)));
    check(tx->send(rx->local(), rx->port(), Bytes(UdpSocket::kMaxDatagram)));
    assert_true(turn_until(*loop, [&] { return got != 0; }));
    assert_int_equal(got, UdpSocket::kMaxDatagram);
    assert_int_equal(rx->stats().rx_truncated, 1);
}

void one_wakeup_takes_a_bounded_batch(void **)
{
    auto loop = take(EventLoop::create());
    unsigned got = 0;
    auto rx = take(UdpSocket::open(*loop, {.local = ip("127.0.0.1")}, [&](const Datagram &) { ++got; }));
    auto tx = take(UdpSocket::open(*loop, {.local = ip("127.0.0.1")}, {}));
    for (unsigned i = 0; i < UdpSocket::kBatch + 5; ++i)
        check(tx->send(rx->local(), rx->port(), Bytes{1}));
    assert_true(take(loop->run_once(1s)));
    assert_int_equal(got, UdpSocket::kBatch);
    assert_true(turn_until(*loop, [&] { return got == UdpSocket::kBatch + 5; }));
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(peers_share_a_socket),
        cmocka_unit_test(ipv4_loopback),
        cmocka_unit_test(ipv6_loopback),
        cmocka_unit_test(packets_are_marked_cs6),
        cmocka_unit_test(an_address_that_is_not_there_yet_can_be_bound),
        cmocka_unit_test(a_taken_port_and_a_missing_address_are_errors),
        cmocka_unit_test(a_datagram_beyond_the_limit_is_counted_and_dropped),
        cmocka_unit_test(one_wakeup_takes_a_bounded_batch),
    };
    return cmocka_run_group_tests_name("io udp", tests, nullptr, nullptr);
}
