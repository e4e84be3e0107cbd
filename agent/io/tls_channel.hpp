// SPDX-License-Identifier: GPL-2.0-or-later
// The MCS channel to one peer: TLS 1.3 and nothing older over TCP, external
// PSK with (EC)DHE (psk_dhe_ke, RFC 8446 2.2), no tickets, no early data.
// Carries opaque bytes in order; framing is the core's.
//
// Invariants: bytes are handed up only after a handshake that used our PSK
// under our identity (a certificate is never accepted instead). Nothing is
// reconnected by itself: the engine calls open() again after on_down, at the
// pace of a Backoff. Buffers that held records are wiped (I8). The output queue
// is bounded: send() takes all of a block or nothing.
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/secret.hpp"
#include "io/address.hpp"
#include "io/event_loop.hpp"
#include "io/tcp_listeners.hpp"
#include "io/unique_fd.hpp"

struct ssl_ctx_st;
struct ssl_st;

namespace mcipsec::io {

enum class TlsRole { Client, Server };
// The node with the lower address connects, the other listens. Equal addresses: Server.
TlsRole role_by_address(const IpAddress &local, const IpAddress &peer);

struct TlsConfig {
    IpAddress local;                    // bound to, by both roles
    IpAddress peer;                     // a server closes connections from anyone else
    std::uint16_t port = 0;             // the server's; a server with 0 takes any (tests)
    TlsRole role = TlsRole::Client;
    std::string identity;               // PSK identity, at most 128 bytes; both sides must give the same
    SecretBytes psk;                    // 32..48 bytes, from HKDF
    SocketOptions options{.priority = 6, .ttl = 0};
    Duration user_timeout = 5s;         // TCP_USER_TIMEOUT, also the limit of connect and handshake
    std::size_t output_limit = 4u << 20;
    std::size_t output_low = 1u << 20;  // on_writable fires when it falls below this again
    std::shared_ptr<TcpListeners> listeners;    // of all channels with this local address; none: its own
};

enum class TlsDown {
    Refused,            // TCP: refused, unreachable, timed out
    HandshakeFailed,    // protocol, version, timeout
    AuthFailed,         // other key, other identity, certificate instead of PSK
    PeerClosed,         // close_notify or FIN
    ConnectionLost,     // reset, TCP_USER_TIMEOUT, TLS record error
    NotDecrypted,       // a record of the open channel, here or at the peer
    Replaced,           // the peer made a newer connection (server)
};
std::string_view to_string(TlsDown reason);

struct TlsCallbacks {
    std::function<void()> on_up;
    // Also for an open() that never came up. detail is for the log, no secret in it.
    std::function<void(TlsDown reason, const std::string &detail)> on_down;
    // Valid during the call, wiped afterwards.
    std::function<void(ByteView)> on_bytes;
    // Room again after send() gave EAGAIN.
    std::function<void()> on_writable;
};

class TlsChannel {
public:
    static Expected<std::unique_ptr<TlsChannel>> create(EventLoop &loop, TlsConfig config, TlsCallbacks callbacks);
    ~TlsChannel();

    // Client: one attempt to connect; on_up or on_down follows, never from within open().
    // Server: listens until close(); on_down is for a connection, the listener stays.
    Expected<void> open();
    // Without on_down. close() ends everything, drop() leaves a listener in place.
    void close();
    void drop();
    // For later handshakes; a live connection is left alone (drop() it to force the change).
    void set_psk(std::string identity, SecretBytes psk);

    // ENOTCONN while down; EAGAIN when output_limit would be passed.
    // Written at the end of the loop's turn: several sends share records and segments.
    Expected<void> send(ByteView bytes);
    // Stops taking bytes from the peer (TCP then slows it down).
    void pause_input(bool pause);

    bool up() const;
    bool listening() const { return static_cast<bool>(listener_); }
    std::size_t queued() const { return queued_; }
    std::uint16_t port() const { return port_; }    // of a listening server

    struct Stats {
        std::uint64_t connects = 0, ups = 0, handshake_failures = 0, auth_failures = 0, strangers = 0;
        std::uint64_t rx_bytes = 0, tx_bytes = 0, send_refused = 0;
    };
    const Stats &stats() const { return stats_; }

private:
    struct Connection;
    friend struct Connection;
    TlsChannel(EventLoop &loop, TlsConfig config, TlsCallbacks callbacks);
    Expected<void> init();
    void accepted(UniqueFd fd, const IpAddress &from);
    void end();
    void promote(Connection *c);                    // handshake done
    void fail_connection(Connection *c, TlsDown reason, const std::string &detail);
    std::shared_ptr<Connection> extract(Connection *c);
    void flush_later();

    EventLoop &loop_;
    TlsConfig config_;
    std::shared_ptr<const TlsCallbacks> callbacks_;     // held by each call: it may destroy the channel
    ssl_ctx_st *ctx_ = nullptr;
    std::unique_ptr<TcpListeners::Listener> listener_;
    std::uint16_t port_ = 0;
    std::vector<std::shared_ptr<Connection>> pending_;  // handshaking, at most kPendingMax
    std::shared_ptr<Connection> live_;
    std::size_t queued_ = 0;
    bool refused_ = false;          // send() said EAGAIN, on_writable is owed
    bool paused_ = false;
    bool flush_posted_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    Stats stats_;
    static constexpr std::size_t kPendingMax = 4;
};

// Waiting times between attempts: doubled from first to limit, each with
// +-25 % jitter taken from the random number given. Pure.
class Backoff {
public:
    Backoff(Duration first, Duration limit) : first_(first), limit_(limit), next_(first) {}
    Duration next(std::uint32_t random);
    void reset() { next_ = first_; }

private:
    Duration first_, limit_, next_;
};

}  // namespace mcipsec::io
