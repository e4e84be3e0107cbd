// SPDX-License-Identifier: GPL-2.0-or-later
// A UDP socket bound to one source address, for MIMP and for multihop BFD
// (RFC 5883: port 4784, TTL 255). Datagrams are DSCP CS6.
//
// At most kBatch datagrams are taken per wakeup, so that a flood cannot keep
// the loop from its timers. What is longer than kMaxDatagram is counted and dropped.
// Threading: send() may be called from another thread than the loop's
// (a datagram socket needs no lock); everything else belongs to the loop's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "io/address.hpp"
#include "io/event_loop.hpp"
#include "io/unique_fd.hpp"

namespace mcipsec::io {

struct UdpConfig {
    IpAddress local;            // family decides the socket's
    std::uint16_t port = 0;     // 0: any of the dynamic range 49152..65535 (RFC 5881, 4)
    SocketOptions options{};
    Priority priority = Priority::High;
};

struct Datagram {
    IpAddress from;
    std::uint16_t from_port = 0;
    int ttl = -1;               // as received, -1 unknown
    Time rx_time{};             // when the kernel took it in
    ByteView bytes;             // valid during the callback only
};

class UdpSocket {
public:
    static constexpr unsigned kBatch = 32;
    static constexpr std::size_t kMaxDatagram = 9216;

    using OnDatagram = std::function<void(const Datagram &)>;
    // fn may be empty: a socket to send from only (what comes is dropped). fn may destroy the socket.
    static Expected<std::unique_ptr<UdpSocket>> open(EventLoop &loop, const UdpConfig &config, OnDatagram fn);

    // A full send buffer gives EAGAIN, counted; nothing is queued.
    Expected<void> send(const IpAddress &to, std::uint16_t port, ByteView bytes);

    std::uint16_t port() const { return port_; }
    const IpAddress &local() const { return local_; }
    int fd() const { return fd_.get(); }

    struct Stats {
        std::atomic<std::uint64_t> rx{0}, rx_truncated{0}, rx_errors{0}, tx{0}, tx_errors{0};
    };
    const Stats &stats() const { return stats_; }

private:
    UdpSocket() = default;
    Expected<void> init(EventLoop &loop, const UdpConfig &config);
    void receive();

    UniqueFd fd_;
    IpAddress local_;
    std::uint16_t port_ = 0;
    std::shared_ptr<const OnDatagram> fn_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::unique_ptr<std::uint8_t[]> buffer_;
    Stats stats_;
    EventSource source_;
};

}  // namespace mcipsec::io
