// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/tcp_listeners.hpp"

#include <cerrno>

#include "io/accept_rest.hpp"

namespace mcipsec::io {

namespace {
constexpr int kBacklog = 8;
constexpr unsigned kBatch = 4;      // connections taken per wakeup
}  // namespace

struct TcpListeners::Socket : std::enable_shared_from_this<TcpListeners::Socket> {
    UniqueFd fd;
    std::uint16_t port = 0;
    std::map<IpAddress, std::shared_ptr<const OnConnection>> peers;
    EventSource source;
    AcceptRest rest;

    Expected<void> open(EventLoop &loop, const IpAddress &local, std::uint16_t wanted, SocketOptions options)
    {
        const int family = address_family(local);
        fd.reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!fd)
            return fail_errno(errno, "tls: socket");
        options.reuse_address = true;
        if (auto r = apply_options(fd.get(), family, options); !r)
            return r;
        const auto address = to_sockaddr(local, wanted);
        if (::bind(fd.get(), address.get(), address.length) < 0)
            return fail_errno(errno, "tls: bind to " + local.str());
        sockaddr_storage bound{};
        socklen_t length = sizeof(bound);
        if (::listen(fd.get(), kBacklog) < 0 || ::getsockname(fd.get(), reinterpret_cast<sockaddr *>(&bound), &length) < 0)
            return fail_errno(errno, "tls: listen on " + local.str());
        from_sockaddr(bound, &port);
        auto added = loop.add_fd(fd.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
        if (!added)
            return tl::unexpected(added.error());
        source = std::move(*added);
        return rest.init(loop, source);
    }

    void accept()
    {
        const auto self = shared_from_this();   // a callback may end the last listener
        for (unsigned i = 0; i < kBatch && !peers.empty(); ++i) {
            sockaddr_storage address{};
            socklen_t length = sizeof(address);
            UniqueFd taken(::accept4(fd.get(), reinterpret_cast<sockaddr *>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!taken)
                return rest.failed(errno);
            const IpAddress from = from_sockaddr(address);
            auto it = peers.find(from);
            if (it == peers.end())
                it = peers.begin();
            const auto fn = it->second;
            (*fn)(std::move(taken), from);
        }
    }
};

TcpListeners::Listener::~Listener() { socket_->peers.erase(peer_); }

std::uint16_t TcpListeners::Listener::port() const { return socket_->port; }

Expected<std::unique_ptr<TcpListeners::Listener>> TcpListeners::listen(const IpAddress &local, std::uint16_t port, SocketOptions options,
                                                                       const IpAddress &peer, OnConnection fn)
{
    auto shared = port ? by_address_[{local, port}].lock() : nullptr;
    if (!shared) {
        shared = std::make_shared<Socket>();
        if (auto r = shared->open(loop_, local, port, options); !r)
            return tl::unexpected(r.error());
        if (port)
            by_address_[{local, port}] = shared;
    }
    if (!shared->peers.emplace(peer, std::make_shared<const OnConnection>(std::move(fn))).second)
        return fail(-EEXIST, "tls: already open");
    return std::make_unique<Listener>(std::move(shared), peer);
}

}  // namespace mcipsec::io
