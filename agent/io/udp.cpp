// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/udp.hpp"

#include <linux/net_tstamp.h>
#include <netinet/ip.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "io/files.hpp"

namespace mcipsec::io {

namespace {

constexpr std::uint16_t kDynamicFirst = 49152;
constexpr std::uint32_t kDynamicCount = 65536 - kDynamicFirst;
constexpr unsigned kBindAttempts = 64;
constexpr std::size_t kControl = 128;

Expected<void> enable(int fd, int level, int option, const char *what)
{
    const int on = 1;
    if (::setsockopt(fd, level, option, &on, sizeof(on)) < 0)
        return fail_errno(errno, what);
    return {};
}

Expected<std::uint16_t> bind_socket(int fd, const IpAddress &local, std::uint16_t port)
{
    if (port) {
        const auto to = to_sockaddr(local, port);
        if (::bind(fd, to.get(), to.length) < 0)
            return fail_errno(errno, "udp: bind to " + local.str() + " port " + std::to_string(port));
        return port;
    }
    auto random = random_u64();
    if (!random)
        return tl::unexpected(random.error());
    for (unsigned i = 0; i < kBindAttempts; ++i) {
        const auto candidate = static_cast<std::uint16_t>(kDynamicFirst + (*random + i * 257u) % kDynamicCount);
        const auto to = to_sockaddr(local, candidate);
        if (::bind(fd, to.get(), to.length) == 0)
            return candidate;
        if (errno != EADDRINUSE)
            break;
    }
    return fail_errno(errno, "udp: bind to " + local.str());
}

}  // namespace

Expected<std::unique_ptr<UdpSocket>> UdpSocket::open(EventLoop &loop, const UdpConfig &config, OnDatagram fn)
{
    std::unique_ptr<UdpSocket> s(new UdpSocket);
    s->fn_ = std::make_shared<const OnDatagram>(std::move(fn));
    if (auto r = s->init(loop, config); !r)
        return tl::unexpected(r.error());
    return s;
}

Expected<void> UdpSocket::init(EventLoop &loop, const UdpConfig &config)
{
    const int family = address_family(config.local);
    if (family == AF_UNSPEC)
        return fail(-EINVAL, "udp: a source address is needed");
    local_ = config.local;
    fd_.reset(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_)
        return fail_errno(errno, "udp: socket");
    if (auto r = apply_options(fd(), family, config.options); !r)
        return fail(r.error().code, "udp: " + r.error().text);
    const bool v6 = family == AF_INET6;
    auto r = enable(fd(), SOL_SOCKET, SO_TIMESTAMPNS, "udp: SO_TIMESTAMPNS");
    if (r)
        r = v6 ? enable(fd(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "udp: IPV6_RECVHOPLIMIT") : enable(fd(), IPPROTO_IP, IP_RECVTTL, "udp: IP_RECVTTL");
    if (!r)
        return r;
    // Fragmenting beats losing a packet when a tunnel lowers the path MTU.
    const int pmtu = v6 ? IPV6_PMTUDISC_DONT : IP_PMTUDISC_DONT;
    if (::setsockopt(fd(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &pmtu, sizeof(pmtu)) < 0)
        return fail_errno(errno, "udp: MTU_DISCOVER");
    auto port = bind_socket(fd(), local_, config.port);
    if (!port)
        return tl::unexpected(port.error());
    port_ = *port;
    buffer_ = std::make_unique<std::uint8_t[]>(kMaxDatagram + 1);
    auto source = loop.add_fd(fd(), EPOLLIN, [this](std::uint32_t) { receive(); }, config.priority);
    if (!source)
        return tl::unexpected(source.error());
    source_ = std::move(*source);
    return {};
}

void UdpSocket::receive()
{
    const auto fn = fn_;
    const std::weak_ptr<bool> alive = alive_;
    for (unsigned i = 0; i < kBatch; ++i) {
        sockaddr_storage from{};
        iovec iov{buffer_.get(), kMaxDatagram + 1};
        alignas(cmsghdr) std::uint8_t control[kControl];
        msghdr m{};
        m.msg_name = &from;
        m.msg_namelen = sizeof(from);
        m.msg_iov = &iov;
        m.msg_iovlen = 1;
        m.msg_control = control;
        m.msg_controllen = sizeof(control);
        const ssize_t n = ::recvmsg(fd(), &m, 0);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            // ICMP errors of what we sent show up here, too.
            if (errno != EAGAIN)
                ++stats_.rx_errors;
            else
                return;
            continue;
        }
        if ((m.msg_flags & MSG_TRUNC) || static_cast<std::size_t>(n) > kMaxDatagram) {
            ++stats_.rx_truncated;
            continue;
        }
        Datagram d;
        d.from = from_sockaddr(from, &d.from_port);
        d.rx_time = boot_now();
        for (cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
            if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
                timespec t;
                std::memcpy(&t, CMSG_DATA(c), sizeof(t));
                // Stamped with the wall clock: only the age of the stamp is used, and
                // only where it is plausible, as that clock may be set.
                const Duration age = wall_now() - (std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
                if (age > Duration::zero() && age < 1s)
                    d.rx_time -= age;
            } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
                       (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
                std::memcpy(&d.ttl, CMSG_DATA(c), sizeof(d.ttl));
            }
        }
        d.bytes = ByteView(buffer_.get(), static_cast<std::size_t>(n));
        ++stats_.rx;
        if (*fn)
            (*fn)(d);
        if (alive.expired())
            return;
    }
}

Expected<void> UdpSocket::send(const IpAddress &to, std::uint16_t port, ByteView bytes)
{
    const auto address = to_sockaddr(to, port);
    if (!address.length || to.family != local_.family) {
        ++stats_.tx_errors;
        return fail(-EAFNOSUPPORT, "udp: the peer's address is of another family");
    }
    ssize_t n;
    do
        n = ::sendto(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL, address.get(), address.length);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        ++stats_.tx_errors;
        return fail_errno(errno, "udp: send to " + to.str());
    }
    ++stats_.tx;
    return {};
}

}  // namespace mcipsec::io
