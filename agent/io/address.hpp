// SPDX-License-Identifier: GPL-2.0-or-later
// IpAddress <-> sockaddr, and the socket options that MIMP, BFD and MCS share.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "core/types.hpp"

namespace mcipsec::io {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
    const sockaddr *get() const { return reinterpret_cast<const sockaddr *>(&storage); }
};
// family 0 gives length 0.
SocketAddress to_sockaddr(const IpAddress &address, std::uint16_t port);
// family 0 if it is neither AF_INET nor AF_INET6. An IPv4-mapped address becomes IPv4.
IpAddress from_sockaddr(const sockaddr_storage &from, std::uint16_t *port = nullptr);

int address_family(const IpAddress &address);       // AF_INET, AF_INET6 or AF_UNSPEC
// Network order bytes of size() length.
ByteView address_bytes(const IpAddress &address);
IpAddress address_from(int family, ByteView bytes); // family 0 if the length does not fit

constexpr std::uint8_t kDscpCs6 = 48;

struct SocketOptions {
    std::uint8_t dscp = kDscpCs6;
    int priority = 6;           // SO_PRIORITY
    int ttl = 255;              // 0: the system's default
    bool freebind = true;       // the address may not be there yet
    bool reuse_address = false;
    std::string device;         // SO_BINDTODEVICE, "" for none
};
Expected<void> apply_options(int fd, int family, const SocketOptions &options);

Error errno_error(int err, std::string_view what);  // text: "what: strerror"
inline tl::unexpected<Error> fail_errno(int err, std::string_view what)
{
    return tl::unexpected(errno_error(err, what));
}

}  // namespace mcipsec::io
