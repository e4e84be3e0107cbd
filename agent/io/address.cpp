// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/address.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/ip.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mcipsec::io {

Error errno_error(int err, std::string_view what)
{
    char buffer[128];
    return Error{-err, std::string(what) + ": " + ::strerror_r(err, buffer, sizeof(buffer))};
}

int address_family(const IpAddress &a)
{
    return a.family == 4 ? AF_INET : a.family == 6 ? AF_INET6 : AF_UNSPEC;
}

ByteView address_bytes(const IpAddress &a)
{
    return {a.bytes.data(), a.size()};
}

IpAddress address_from(int family, ByteView bytes)
{
    IpAddress a;
    const std::size_t want = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
    if (!want || bytes.size() < want)
        return a;
    a.family = family == AF_INET ? 4 : 6;
    std::copy_n(bytes.begin(), want, a.bytes.begin());
    return a;
}

SocketAddress to_sockaddr(const IpAddress &a, std::uint16_t port)
{
    SocketAddress out;
    if (a.family == 4) {
        sockaddr_in sin{};
        sin.sin_family = AF_INET;
        sin.sin_port = htons(port);
        std::memcpy(&sin.sin_addr, a.bytes.data(), 4);
        std::memcpy(&out.storage, &sin, sizeof(sin));
        out.length = sizeof(sin);
    } else if (a.family == 6) {
        sockaddr_in6 sin6{};
        sin6.sin6_family = AF_INET6;
        sin6.sin6_port = htons(port);
        std::memcpy(&sin6.sin6_addr, a.bytes.data(), 16);
        std::memcpy(&out.storage, &sin6, sizeof(sin6));
        out.length = sizeof(sin6);
    }
    return out;
}

IpAddress from_sockaddr(const sockaddr_storage &from, std::uint16_t *port)
{
    IpAddress a;
    if (from.ss_family == AF_INET) {
        sockaddr_in sin;
        std::memcpy(&sin, &from, sizeof(sin));
        a.family = 4;
        std::memcpy(a.bytes.data(), &sin.sin_addr, 4);
        if (port)
            *port = ntohs(sin.sin_port);
    } else if (from.ss_family == AF_INET6) {
        sockaddr_in6 sin6;
        std::memcpy(&sin6, &from, sizeof(sin6));
        if (IN6_IS_ADDR_V4MAPPED(&sin6.sin6_addr)) {
            a.family = 4;
            std::memcpy(a.bytes.data(), sin6.sin6_addr.s6_addr + 12, 4);
        } else {
            a.family = 6;
            std::memcpy(a.bytes.data(), &sin6.sin6_addr, 16);
        }
        if (port)
            *port = ntohs(sin6.sin6_port);
    }
    return a;
}

namespace {
Expected<void> set_int(int fd, int level, int option, int value, std::string_view what)
{
    if (::setsockopt(fd, level, option, &value, sizeof(value)) < 0)
        return fail_errno(errno, what);
    return {};
}

// Linux takes it before the bind only (EINVAL); an accepted socket has its listener's.
Expected<void> set_v6_only(int fd)
{
    int on = 0;
    socklen_t length = sizeof(on);
    if (::getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, &length) == 0 && on)
        return {};
    return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
}
}  // namespace

Expected<void> apply_options(int fd, int family, const SocketOptions &o)
{
    const bool v6 = family == AF_INET6;
    const int tos = o.dscp << 2;
    Expected<void> r;
    if (v6)
        r = set_v6_only(fd);
    if (r && o.freebind)
        r = v6 ? set_int(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND") : set_int(fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND");
    if (r)
        r = v6 ? set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, tos, "IPV6_TCLASS") : set_int(fd, IPPROTO_IP, IP_TOS, tos, "IP_TOS");
    // After IP_TOS, which sets a priority of its own.
    if (r)
        r = set_int(fd, SOL_SOCKET, SO_PRIORITY, o.priority, "SO_PRIORITY");
    if (r && o.ttl)
        r = v6 ? set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, o.ttl, "IPV6_UNICAST_HOPS") : set_int(fd, IPPROTO_IP, IP_TTL, o.ttl, "IP_TTL");
    if (r && o.reuse_address)
        r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    if (r && !o.device.empty() &&
        ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, o.device.c_str(), static_cast<socklen_t>(o.device.size() + 1)) < 0)
        r = fail_errno(errno, "SO_BINDTODEVICE " + o.device);
    return r;
}

}  // namespace mcipsec::io
