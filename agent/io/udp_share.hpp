// SPDX-License-Identifier: GPL-2.0-or-later
// One UDP socket for all peers that share a source address (MIMP, BFD): what
// arrives goes to the peer whose address it comes from. What comes from nobody's
// address goes to the first peer, whose session refuses and counts it.
//
// The socket lives as long as one peer is attached. A callback may detach peers,
// its own included. Threading: the loop's thread.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "io/udp.hpp"

namespace mcipsec::io {

class UdpShare {
    struct Shared;

public:
    // One peer's part of a socket; detached when destroyed.
    class Port {
    public:
        Port(std::shared_ptr<Shared> shared, const IpAddress &peer) : shared_(std::move(shared)), peer_(peer) {}
        ~Port();
        Port(const Port &) = delete;
        Port &operator=(const Port &) = delete;
        Expected<void> send(std::uint16_t port, ByteView bytes);    // to the peer
        std::uint16_t port() const;

    private:
        std::shared_ptr<Shared> shared_;
        IpAddress peer_;
    };

    explicit UdpShare(EventLoop &loop) : loop_(loop) {}
    // Of those who share an address and port the first one's options and priority
    // count; they are the same for all. EEXIST: this peer is attached there.
    Expected<std::unique_ptr<Port>> attach(const UdpConfig &config, const IpAddress &peer, UdpSocket::OnDatagram fn);

private:
    EventLoop &loop_;
    std::map<std::pair<IpAddress, std::uint16_t>, std::weak_ptr<Shared>> by_address_;
};

}  // namespace mcipsec::io
