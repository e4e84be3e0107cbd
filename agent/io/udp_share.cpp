// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/udp_share.hpp"

#include <cerrno>

namespace mcipsec::io {

struct UdpShare::Shared {
    std::unique_ptr<UdpSocket> socket;
    std::map<IpAddress, std::shared_ptr<const UdpSocket::OnDatagram>> peers;

    void received(const Datagram &d) const
    {
        auto it = peers.find(d.from);
        if (it == peers.end())
            it = peers.begin();
        if (it == peers.end())
            return;
        const auto fn = it->second;     // it may detach itself
        (*fn)(d);
    }
};

UdpShare::Port::~Port() { shared_->peers.erase(peer_); }

Expected<void> UdpShare::Port::send(std::uint16_t port, ByteView bytes) { return shared_->socket->send(peer_, port, bytes); }

std::uint16_t UdpShare::Port::port() const { return shared_->socket->port(); }

Expected<std::unique_ptr<UdpShare::Port>> UdpShare::attach(const UdpConfig &config, const IpAddress &peer, UdpSocket::OnDatagram fn)
{
    auto &slot = by_address_[{config.local, config.port}];
    auto shared = slot.lock();
    if (!shared) {
        shared = std::make_shared<Shared>();
        auto socket = UdpSocket::open(loop_, config, [s = shared.get()](const Datagram &d) { s->received(d); });
        if (!socket)
            return tl::unexpected(socket.error());
        shared->socket = std::move(*socket);
        slot = shared;
    }
    if (!shared->peers.emplace(peer, std::make_shared<const UdpSocket::OnDatagram>(std::move(fn))).second)
        return fail(-EEXIST, "udp: peer " + peer.str() + " is attached to " + config.local.str() + " already");
    return std::make_unique<Port>(std::move(shared), peer);
}

}  // namespace mcipsec::io
