// SPDX-License-Identifier: GPL-2.0-or-later
// Listening TCP sockets, shared by all peers with one source address (MCS): a
// connection goes to the peer whose address it comes from. What comes from nobody's
// address goes to the first peer, which closes and counts it.
//
// A socket lives as long as one peer listens. A callback may end its own listening
// and that of others. Threading: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "io/address.hpp"
#include "io/event_loop.hpp"
#include "io/unique_fd.hpp"

namespace mcipsec::io {

class TcpListeners {
    struct Socket;

public:
    using OnConnection = std::function<void(UniqueFd, const IpAddress &from)>;

    // One peer's part; it listens until this is destroyed.
    class Listener {
    public:
        Listener(std::shared_ptr<Socket> socket, const IpAddress &peer) : socket_(std::move(socket)), peer_(peer) {}
        ~Listener();
        Listener(const Listener &) = delete;
        Listener &operator=(const Listener &) = delete;
        std::uint16_t port() const;

    private:
        std::shared_ptr<Socket> socket_;
        IpAddress peer_;
    };

    explicit TcpListeners(EventLoop &loop) : loop_(loop) {}
    // port 0: any (tests), never shared. EEXIST: this peer listens there.
    Expected<std::unique_ptr<Listener>> listen(const IpAddress &local, std::uint16_t port, SocketOptions options, const IpAddress &peer, OnConnection fn);

private:
    EventLoop &loop_;
    std::map<std::pair<IpAddress, std::uint16_t>, std::weak_ptr<Socket>> by_address_;
};

}  // namespace mcipsec::io
