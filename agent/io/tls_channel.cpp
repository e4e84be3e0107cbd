// SPDX-License-Identifier: GPL-2.0-or-later
// See tls_channel.hpp. A Connection is kept alive by its own callbacks, so that
// a callback of the user may close or destroy the channel; owner is then null.
#include "io/tls_channel.hpp"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "io/wiped_buffer.hpp"

namespace mcipsec::io {

namespace {

constexpr std::size_t kRecord = 16384;      // TLS plaintext limit
constexpr unsigned kReadsPerWakeup = 16;
constexpr std::size_t kIdentityMax = 128;

struct Block {
    WipedBuffer bytes{kRecord};
    std::size_t begin = 0, end = 0;
};

// Reason of the oldest error in OpenSSL's queue, which names the cause; text for the log.
struct TlsError {
    int reason = 0;
    std::string text;
};
TlsError take_error()
{
    TlsError e;
    const unsigned long code = ERR_peek_error();
    if (code) {
        e.reason = ERR_GET_REASON(code);
        char buffer[160];
        ERR_error_string_n(code, buffer, sizeof(buffer));
        e.text = buffer;
    }
    ERR_clear_error();
    return e;
}

bool says_not_authentic(int reason)
{
    switch (reason) {
    case SSL_R_BINDER_DOES_NOT_VERIFY:
    case SSL_R_BAD_PSK:
    case SSL_R_NO_SHARED_CIPHER:                    // no PSK and no certificate
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_AD_REASON_OFFSET + SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_REASON_OFFSET + SSL_AD_ILLEGAL_PARAMETER:
    case SSL_AD_REASON_OFFSET + SSL_AD_ACCESS_DENIED:
    case SSL_AD_REASON_OFFSET + SSL_AD_DECRYPT_ERROR:
    case SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_PSK_IDENTITY:
        return true;
    default:
        return false;
    }
}

Expected<void> tcp_options(int fd, Duration user_timeout)
{
    const int on = 1;
    const auto ms = static_cast<unsigned>(std::chrono::duration_cast<std::chrono::milliseconds>(user_timeout).count());
    // Probes on an idle line, so that user_timeout counts there, too.
    const int idle = std::max(1, static_cast<int>(ms / 2000)), interval = 1;
    if (::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)) < 0 ||
        ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
        ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle)) < 0 ||
        ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval)) < 0)
        return fail_errno(errno, "tls: TCP options");
    return {};
}

}  // namespace

TlsRole role_by_address(const IpAddress &local, const IpAddress &peer)
{
    return local < peer ? TlsRole::Client : TlsRole::Server;
}

std::string_view to_string(TlsDown reason)
{
    switch (reason) {
    case TlsDown::Refused: return "refused";
    case TlsDown::HandshakeFailed: return "handshake failed";
    case TlsDown::AuthFailed: return "authentication failed";
    case TlsDown::PeerClosed: return "closed by peer";
    case TlsDown::ConnectionLost: return "connection lost";
    case TlsDown::NotDecrypted: return "not decrypted";
    case TlsDown::Replaced: return "replaced by a newer connection";
    }
    return "?";
}

Duration Backoff::next(std::uint32_t random)
{
    const double jitter = 0.75 + 0.5 * (random / 4294967296.0);
    const auto wait = std::chrono::duration_cast<Duration>(next_ * jitter);
    next_ = std::min(next_ * 2, limit_);
    return wait;
}

struct TlsChannel::Connection : std::enable_shared_from_this<TlsChannel::Connection> {
    enum class Phase { Connecting, Handshaking, Up };
    TlsChannel *owner = nullptr;
    UniqueFd fd;
    SSL *ssl = nullptr;
    Phase phase = Phase::Connecting;
    bool server = false;
    bool unknown_identity = false;      // the client named another PSK, or none
    bool write_blocked = false;
    std::deque<Block> output;
    WipedBuffer input{kRecord};
    EventSource source, timer;

    Connection() = default;
    Connection(const Connection &) = delete;
    ~Connection()
    {
        source.reset();
        SSL_free(ssl);
    }

    Expected<void> start(bool as_server, Phase first)
    {
        server = as_server;
        phase = first;
        ssl = SSL_new(owner->ctx_);
        if (!ssl || SSL_set_fd(ssl, fd.get()) != 1) {
            return fail(-ENOMEM, "tls: " + take_error().text);
        }
        SSL_set_app_data(ssl, this);
        server ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
        std::weak_ptr<Connection> weak = weak_from_this();
        auto s = owner->loop_.add_fd(
            fd.get(), server ? EPOLLIN : EPOLLOUT,
            [weak](std::uint32_t revents) {
                if (auto self = weak.lock())
                    self->ready(revents);
            },
            Priority::Normal);
        if (!s)
            return tl::unexpected(s.error());
        source = std::move(*s);
        auto t = owner->loop_.add_timer([weak](Time) {
            auto self = weak.lock();
            if (self && self->owner)
                self->owner->fail_connection(self.get(), self->phase == Phase::Connecting ? TlsDown::Refused : TlsDown::HandshakeFailed, "timed out");
        });
        if (!t)
            return tl::unexpected(t.error());
        timer = std::move(*t);
        return timer.arm(owner->loop_.now() + owner->config_.user_timeout);
    }

    void interest()
    {
        if (phase != Phase::Up || !owner)
            return;
        std::uint32_t events = owner->paused_ ? 0u : static_cast<std::uint32_t>(EPOLLIN);
        if (write_blocked)
            events |= EPOLLOUT;
        if (auto r = source.set_events(events); !r)
            owner->fail_connection(this, TlsDown::ConnectionLost, r.error().text);
    }

    void ready(std::uint32_t revents)
    {
        const auto self = shared_from_this();
        if (phase == Phase::Connecting) {
            int error = 0;
            socklen_t length = sizeof(error);
            if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                error = errno;
            if (error) {
                owner->fail_connection(this, TlsDown::Refused, errno_error(error, "connect").text);
                return;
            }
            if (!(revents & EPOLLOUT))
                return;
            phase = Phase::Handshaking;
        }
        if (phase == Phase::Handshaking) {
            handshake();
            return;
        }
        if (owner->paused_ && (revents & (EPOLLHUP | EPOLLERR))) {
            owner->fail_connection(this, TlsDown::ConnectionLost, "connection reset");
            return;
        }
        if (revents & EPOLLOUT)
            write();
        if (owner && phase == Phase::Up && !owner->paused_)
            read();
    }

    void handshake()
    {
        ERR_clear_error();
        const int r = SSL_do_handshake(ssl);
        if (r != 1) {
            const int e = SSL_get_error(ssl, r);
            if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
                (void)source.set_events(e == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
                return;
            }
            const int saved = errno;
            const TlsError error = take_error();
            const bool auth = unknown_identity || says_not_authentic(error.reason);
            std::string detail = error.text;
            if (detail.empty())
                detail = e == SSL_ERROR_SYSCALL && saved ? errno_error(saved, "handshake").text : "peer closed during the handshake";
            owner->fail_connection(this, auth ? TlsDown::AuthFailed : TlsDown::HandshakeFailed, detail);
            return;
        }
        if (SSL_version(ssl) != TLS1_3_VERSION || SSL_session_reused(ssl) != 1) {
            owner->fail_connection(this, TlsDown::AuthFailed, "handshake did not use the pre-shared key");
            return;
        }
        timer.reset();
        phase = Phase::Up;
        owner->promote(this);
        // A first flight may have come with the last handshake message.
        if (owner && phase == Phase::Up) {
            interest();
            if (owner && !owner->paused_)
                read();
        }
    }

    void io_failed(int r, const char *what)
    {
        const int e = SSL_get_error(ssl, r);
        const int saved = errno;
        const TlsError error = take_error();
        if (e == SSL_ERROR_ZERO_RETURN)
            owner->fail_connection(this, TlsDown::PeerClosed, "closed");
        else if (error.reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
            owner->fail_connection(this, TlsDown::PeerClosed, "end of stream without close_notify");
        else if (error.reason == SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC || error.reason == SSL_AD_REASON_OFFSET + SSL_AD_BAD_RECORD_MAC)
            owner->fail_connection(this, TlsDown::NotDecrypted, error.text);
        else if (!error.text.empty())
            owner->fail_connection(this, TlsDown::ConnectionLost, error.text);
        else
            owner->fail_connection(this, TlsDown::ConnectionLost, errno_error(saved ? saved : ECONNRESET, what).text);
    }

    void read()
    {
        for (unsigned i = 0; i < kReadsPerWakeup; ++i) {
            ERR_clear_error();
            const int n = SSL_read(ssl, input.data(), static_cast<int>(input.size()));
            if (n <= 0) {
                const int e = SSL_get_error(ssl, n);
                if (e == SSL_ERROR_WANT_READ)
                    return;
                if (e == SSL_ERROR_WANT_WRITE) {    // KeyUpdate answer does not fit
                    write_blocked = true;
                    interest();
                    return;
                }
                io_failed(n, "read");
                return;
            }
            const auto size = static_cast<std::size_t>(n);
            owner->stats_.rx_bytes += size;
            if (const auto c = owner->callbacks_; c->on_bytes)
                c->on_bytes(ByteView(input.data(), size));
            input.wipe(size);
            if (!owner || owner->paused_ || owner->live_.get() != this)
                return;
        }
        // One SSL_read takes one record, so the rest is still in the socket and
        // wakes us again; after others had their turn.
    }

    void write()
    {
        while (!output.empty()) {
            Block &b = output.front();
            ERR_clear_error();
            const int n = SSL_write(ssl, b.bytes.data() + b.begin, static_cast<int>(b.end - b.begin));
            if (n <= 0) {
                const int e = SSL_get_error(ssl, n);
                if (e != SSL_ERROR_WANT_WRITE && e != SSL_ERROR_WANT_READ) {
                    io_failed(n, "write");
                    return;
                }
                write_blocked = e == SSL_ERROR_WANT_WRITE;
                interest();
                return;
            }
            const auto size = static_cast<std::size_t>(n);
            owner->stats_.tx_bytes += size;
            owner->queued_ -= size;
            b.begin += size;
            if (b.begin == b.end)
                output.pop_front();
        }
        if (write_blocked) {
            write_blocked = false;
            interest();
        }
        if (owner && owner->refused_ && owner->queued_ <= owner->config_.output_low) {
            owner->refused_ = false;
            if (const auto c = owner->callbacks_; c->on_writable)
                c->on_writable();
        }
    }

    static SSL_SESSION *make_session(SSL *s, const SecretBytes &psk)
    {
        static constexpr unsigned char kAes256GcmSha384[] = {0x13, 0x02};
        const SSL_CIPHER *cipher = SSL_CIPHER_find(s, kAes256GcmSha384);
        SSL_SESSION *session = SSL_SESSION_new();
        if (cipher && session && SSL_SESSION_set1_master_key(session, psk.view().data(), psk.size()) == 1 &&
            SSL_SESSION_set_cipher(session, cipher) == 1 && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
            return session;
        SSL_SESSION_free(session);
        return nullptr;
    }
    static int use_psk(SSL *s, const EVP_MD *, const unsigned char **id, std::size_t *id_length, SSL_SESSION **session)
    {
        const auto *c = static_cast<Connection *>(SSL_get_app_data(s));
        *session = make_session(s, c->owner->config_.psk);
        *id = reinterpret_cast<const unsigned char *>(c->owner->config_.identity.data());
        *id_length = c->owner->config_.identity.size();
        return *session != nullptr;
    }
    static int find_psk(SSL *s, const unsigned char *id, std::size_t id_length, SSL_SESSION **session)
    {
        auto *c = static_cast<Connection *>(SSL_get_app_data(s));
        const auto &own = c->owner->config_.identity;
        *session = nullptr;
        c->unknown_identity = id_length != own.size() || CRYPTO_memcmp(id, own.data(), id_length) != 0;
        if (c->unknown_identity)
            return 1;
        *session = make_session(s, c->owner->config_.psk);
        return *session != nullptr;
    }
};

TlsChannel::TlsChannel(EventLoop &loop, TlsConfig config, TlsCallbacks callbacks)
    : loop_(loop), config_(std::move(config)), callbacks_(std::make_shared<const TlsCallbacks>(std::move(callbacks)))
{
}

TlsChannel::~TlsChannel()
{
    end();
    SSL_CTX_free(ctx_);
}

Expected<std::unique_ptr<TlsChannel>> TlsChannel::create(EventLoop &loop, TlsConfig config, TlsCallbacks callbacks)
{
    std::unique_ptr<TlsChannel> c(new TlsChannel(loop, std::move(config), std::move(callbacks)));
    if (auto r = c->init(); !r)
        return tl::unexpected(r.error());
    return c;
}

Expected<void> TlsChannel::init()
{
    if (config_.local.empty() || config_.local.family != config_.peer.family)
        return fail(-EINVAL, "tls: local and peer address must be of one family");
    if (config_.identity.empty() || config_.identity.size() > kIdentityMax)
        return fail(-EINVAL, "tls: PSK identity must have 1..128 bytes");
    if (config_.psk.size() < 32 || config_.psk.size() > 48)
        return fail(-EINVAL, "tls: PSK must have 32..48 bytes");
    const bool server = config_.role == TlsRole::Server;
    ctx_ = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!ctx_ || SSL_CTX_set_min_proto_version(ctx_, TLS1_3_VERSION) != 1 || SSL_CTX_set_max_proto_version(ctx_, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx_, "TLS_AES_256_GCM_SHA384") != 1 || SSL_CTX_set1_groups_list(ctx_, "X25519:P-256") != 1 ||
        SSL_CTX_set_num_tickets(ctx_, 0) != 1)
        return fail(-EINVAL, "tls: " + take_error().text);
    SSL_CTX_set_options(ctx_, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ctx_, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    // A client trusts no certificate at all: its trust store is empty.
    SSL_CTX_set_verify(ctx_, server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
    if (server)
        SSL_CTX_set_psk_find_session_callback(ctx_, Connection::find_psk);
    else
        SSL_CTX_set_psk_use_session_callback(ctx_, Connection::use_psk);
    return {};
}

void TlsChannel::set_psk(std::string identity, SecretBytes psk)
{
    config_.identity = std::move(identity);
    config_.psk = std::move(psk);
}

Expected<void> TlsChannel::open()
{
    const int family = address_family(config_.local);
    if (config_.role == TlsRole::Server ? static_cast<bool>(listener_) : live_ || !pending_.empty())
        return fail(-EALREADY, "tls: already open");
    if (config_.role == TlsRole::Server) {
        if (!config_.listeners)
            config_.listeners = std::make_shared<TcpListeners>(loop_);
        auto listener = config_.listeners->listen(config_.local, config_.port, config_.options, config_.peer,
                                                  [this](UniqueFd fd, const IpAddress &from) { accepted(std::move(fd), from); });
        if (!listener)
            return tl::unexpected(listener.error());
        listener_ = std::move(*listener);
        port_ = listener_->port();
        return {};
    }

    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail_errno(errno, "tls: socket");
    if (auto r = apply_options(fd.get(), family, config_.options); !r)
        return r;
    if (auto r = tcp_options(fd.get(), config_.user_timeout); !r)
        return r;
    const auto local = to_sockaddr(config_.local, 0);
    if (::bind(fd.get(), local.get(), local.length) < 0)
        return fail_errno(errno, "tls: bind to " + config_.local.str());
    const auto peer = to_sockaddr(config_.peer, config_.port);
    const int failed = ::connect(fd.get(), peer.get(), peer.length) < 0 && errno != EINPROGRESS ? errno : 0;
    auto c = std::make_shared<Connection>();
    c->owner = this;
    c->fd = std::move(fd);
    ++stats_.connects;
    if (!failed)
        if (auto r = c->start(false, Connection::Phase::Connecting); !r)
            return r;
    pending_.push_back(c);
    if (failed)     // told from the loop, as every other failure
        loop_.post([weak = std::weak_ptr(c), failed] {
            auto self = weak.lock();
            if (self && self->owner)
                self->owner->fail_connection(self.get(), TlsDown::Refused, errno_error(failed, "connect").text);
        });
    return {};
}

void TlsChannel::accepted(UniqueFd fd, const IpAddress &from)
{
    if (from != config_.peer) {
        ++stats_.strangers;
        return;
    }
    auto c = std::make_shared<Connection>();
    c->owner = this;
    c->fd = std::move(fd);
    ++stats_.connects;
    if (!apply_options(c->fd.get(), address_family(config_.local), config_.options) || !tcp_options(c->fd.get(), config_.user_timeout) ||
        !c->start(true, Connection::Phase::Handshaking)) {
        ++stats_.handshake_failures;
        return;
    }
    if (pending_.size() >= kPendingMax)
        fail_connection(pending_.front().get(), TlsDown::HandshakeFailed, "too many handshakes at once");
    pending_.push_back(std::move(c));
}

std::shared_ptr<TlsChannel::Connection> TlsChannel::extract(Connection *c)
{
    std::shared_ptr<Connection> out;
    if (live_.get() == c) {
        out = std::move(live_);
        live_.reset();
        queued_ = 0;
        refused_ = false;
    } else {
        const auto it = std::find_if(pending_.begin(), pending_.end(), [c](const auto &p) { return p.get() == c; });
        if (it == pending_.end())
            return out;
        out = std::move(*it);
        pending_.erase(it);
    }
    out->source.reset();
    out->timer.reset();
    out->owner = nullptr;
    out->fd.reset();
    return out;
}

void TlsChannel::promote(Connection *c)
{
    const auto it = std::find_if(pending_.begin(), pending_.end(), [c](const auto &p) { return p.get() == c; });
    if (it == pending_.end())
        return;
    auto fresh = std::move(*it);
    pending_.erase(it);
    const std::weak_ptr<bool> alive = alive_;
    if (live_) {
        const auto old = extract(live_.get());
        live_ = fresh;
        if (const auto call = callbacks_; call->on_down)
            call->on_down(TlsDown::Replaced, "the peer connected again");
        if (alive.expired() || live_ != fresh)
            return;
    }
    live_ = fresh;
    ++stats_.ups;
    if (const auto call = callbacks_; call->on_up)
        call->on_up();
}

void TlsChannel::fail_connection(Connection *c, TlsDown reason, const std::string &detail)
{
    const auto gone = extract(c);
    if (!gone)
        return;
    if (reason == TlsDown::AuthFailed)
        ++stats_.auth_failures;
    else if (reason == TlsDown::HandshakeFailed)
        ++stats_.handshake_failures;
    // A stray handshake beside a live connection is counted, but nothing went down.
    if (live_)
        return;
    if (const auto call = callbacks_; call->on_down)
        call->on_down(reason, detail);
}

void TlsChannel::drop()
{
    if (live_) {
        ERR_clear_error();
        SSL_shutdown(live_->ssl);   // best effort: close_notify if it fits
        ERR_clear_error();
        extract(live_.get());
    }
    while (!pending_.empty())
        extract(pending_.back().get());
}

void TlsChannel::close()
{
    // Last words (MCS says BYE): what the socket takes at once.
    if (const auto c = live_; c && !c->write_blocked && !c->output.empty())
        c->write();
    end();
}

void TlsChannel::end()
{
    drop();
    listener_.reset();
    port_ = 0;
}

bool TlsChannel::up() const
{
    return live_ != nullptr;
}

Expected<void> TlsChannel::send(ByteView bytes)
{
    if (!live_)
        return fail(-ENOTCONN, "tls: not connected");
    if (queued_ + bytes.size() > config_.output_limit) {
        ++stats_.send_refused;
        refused_ = true;
        return fail(-EAGAIN, "tls: output queue is full");
    }
    auto &output = live_->output;
    queued_ += bytes.size();
    while (!bytes.empty()) {
        if (output.empty() || output.back().end == kRecord)
            output.emplace_back();
        Block &b = output.back();
        const std::size_t n = std::min(bytes.size(), kRecord - b.end);
        std::copy_n(bytes.data(), n, b.bytes.data() + b.end);
        b.end += n;
        bytes = bytes.subspan(n);
    }
    flush_later();
    return {};
}

void TlsChannel::flush_later()
{
    if (flush_posted_ || !live_ || live_->write_blocked)
        return;
    flush_posted_ = true;
    loop_.post([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired())
            return;
        flush_posted_ = false;
        if (const auto c = live_)
            c->write();
    });
}

void TlsChannel::pause_input(bool pause)
{
    if (paused_ == pause)
        return;
    paused_ = pause;
    if (const auto c = live_)
        c->interest();
}

}  // namespace mcipsec::io
