// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/control_socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>

#include "io/address.hpp"

namespace mcipsec::io {

namespace {

constexpr int kBacklog = 16;
constexpr std::size_t kPartText = 24 * 1024;    // JSON as text: every quote and backslash is doubled, at most all of it
constexpr int kSendBuffer = 1 << 20;

Expected<sockaddr_un> unix_address(const std::string &path)
{
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(a.sun_path))
        return fail(-ENAMETOOLONG, path + ": path too long for a socket");
    std::copy(path.begin(), path.end(), a.sun_path);
    return a;
}

std::string dump(const Json &j)
{
    // Text that is not UTF-8 (an identity, say) must not throw.
    return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Expected<Json> parse(std::string_view text)
{
    Json j = Json::parse(text, nullptr, false);
    if (j.is_discarded() || !j.is_object())
        return fail(-EBADMSG, "control: not a JSON object");
    return j;
}

}  // namespace

std::vector<std::string> control_split(std::string text)
{
    std::vector<std::string> out;
    if (text.size() <= kControlMaxPacket) {
        out.push_back(std::move(text));
        return out;
    }
    // Cut between characters of UTF-8, so that each part is valid text.
    std::vector<std::string_view> parts;
    std::string_view rest = text;
    while (!rest.empty()) {
        std::size_t n = std::min(rest.size(), kPartText);
        while (n < rest.size() && n > 1 && (static_cast<unsigned char>(rest[n]) & 0xc0) == 0x80)
            --n;
        parts.push_back(rest.substr(0, n));
        rest.remove_prefix(n);
    }
    for (std::size_t i = 0; i < parts.size(); ++i)
        out.push_back(dump(Json{{"part", i}, {"parts", parts.size()}, {"text", std::string(parts[i])}}));
    return out;
}

Expected<std::unique_ptr<ControlServer>> ControlServer::open(EventLoop &loop, std::string path, OnRequest fn)
{
    auto address = unix_address(path);
    if (!address)
        return tl::unexpected(address.error());
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail_errno(errno, "control: socket");
    const auto *to = reinterpret_cast<const sockaddr *>(&*address);
    if (::connect(fd.get(), to, sizeof(*address)) == 0 || errno == EAGAIN)
        return fail(-EADDRINUSE, path + ": another agent listens there");
    fd.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail_errno(errno, "control: socket");
    struct stat st {};
    if (::lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode))
        ::unlink(path.c_str());
    if (::bind(fd.get(), to, sizeof(*address)) < 0)
        return fail_errno(errno, path);
    // Everybody may connect; what one may do is decided by SO_PEERCRED.
    if (::chmod(path.c_str(), 0666) < 0 || ::listen(fd.get(), kBacklog) < 0)
        return fail_errno(errno, path);
    std::unique_ptr<ControlServer> s(new ControlServer);
    s->loop_ = &loop;
    s->path_ = std::move(path);
    s->fn_ = std::move(fn);
    s->fd_ = std::move(fd);
    auto source = loop.add_fd(s->fd_.get(), EPOLLIN, [self = s.get()](std::uint32_t) { self->accept(); }, Priority::Idle);
    if (!source)
        return tl::unexpected(source.error());
    s->source_ = std::move(*source);
    if (auto r = s->rest_.init(loop, s->source_); !r)
        return tl::unexpected(r.error());
    return s;
}

ControlServer::~ControlServer()
{
    if (fd_)
        ::unlink(path_.c_str());
}

void ControlServer::accept()
{
    UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd)
        return rest_.failed(errno);
    ucred cred{};
    socklen_t length = sizeof(cred);
    if (clients_.size() >= kMaxClients || ::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0) {
        ++stats_.refused;
        return;
    }
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
    const ClientId id = next_++;
    auto c = std::make_unique<Client>();
    c->peer = {cred.pid, cred.uid, cred.gid, cred.uid == 0 || cred.uid == ::geteuid()};
    auto source = loop_->add_fd(fd.get(), EPOLLIN, [this, id](std::uint32_t events) { ready(id, events); }, Priority::Idle);
    if (!source) {
        ++stats_.refused;
        return;
    }
    c->fd = std::move(fd);
    c->source = std::move(*source);
    clients_.emplace(id, std::move(c));
    ++stats_.accepted;
}

void ControlServer::ready(ClientId id, std::uint32_t events)
{
    const std::weak_ptr<bool> alive = alive_;
    auto it = clients_.find(id);
    if (it == clients_.end())
        return;
    Client &c = *it->second;
    if (events & EPOLLOUT) {
        flush(id, c);
        if (c.broken) {
            drop(id);
            return;
        }
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    std::string text(kControlMaxPacket, '\0');
    iovec iov{text.data(), text.size()};
    msghdr m{};
    m.msg_iov = &iov;
    m.msg_iovlen = 1;
    const ssize_t n = ::recvmsg(c.fd.get(), &m, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(id);
        return;
    }
    text.resize(static_cast<std::size_t>(n));
    auto request = (m.msg_flags & MSG_TRUNC) ? Expected<Json>(fail(-EMSGSIZE, "control: request too long")) : parse(text);
    if (!request) {
        ++stats_.malformed;
        reply(id, Json{{"ok", false}, {"exit", 2}, {"error", request.error().text}});
        return;
    }
    ++stats_.requests;
    const ControlPeer peer = c.peer;
    const auto fn = fn_;
    fn(id, peer, *request);
    if (alive.expired())
        return;
    it = clients_.find(id);
    if (it != clients_.end() && it->second->broken)
        drop(id);
}

void ControlServer::reply(ClientId id, const Json &answer)
{
    const auto it = clients_.find(id);
    if (it == clients_.end() || it->second->broken)
        return;
    std::string text = dump(answer);
    if (text.size() > kControlMaxReply)
        text = dump(Json{{"ok", false}, {"exit", 1}, {"error", "the answer is too long"}});
    Client &c = *it->second;
    if (c.queued_bytes > kMaxQueueBytes) {      // asks on and on without reading
        break_off(id, c);
        return;
    }
    for (auto &part : control_split(std::move(text)))
        enqueue(c, std::move(part));
    flush(id, c);
}

// Dropped from the loop: whoever called holds on to the client.
void ControlServer::break_off(ClientId id, Client &c)
{
    ++stats_.overflows;
    c.broken = true;
    loop_->post([this, id, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired())
            drop(id);
    });
}

void ControlServer::enqueue(Client &c, std::string text)
{
    c.queued_bytes += text.size();
    c.queue.push_back(std::move(text));
}

void ControlServer::flush(ClientId id, Client &c)
{
    while (!c.broken && !c.queue.empty()) {
        const std::string &text = c.queue.front();
        const ssize_t n = ::send(c.fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_EOR);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            (void)c.source.set_events(EPOLLIN | EPOLLOUT);
            return;
        }
        if (n < 0) {
            break_off(id, c);
            return;
        }
        c.queued_bytes -= text.size();
        c.queue.pop_front();
    }
    if (!c.broken)
        (void)c.source.set_events(EPOLLIN);
}

void ControlServer::subscribe(ClientId id)
{
    const auto it = clients_.find(id);
    if (it == clients_.end() || it->second->subscribed)
        return;
    it->second->subscribed = true;
    ++subscribers_;
}

void ControlServer::publish(const Json &event)
{
    if (!subscribers_)
        return;
    const std::string text = dump(event);
    for (auto &[id, client] : clients_) {
        Client &c = *client;
        if (!c.subscribed || c.broken)
            continue;
        if (c.queue.size() >= kMaxQueue || c.queued_bytes + text.size() > kMaxQueueBytes) {
            ++c.lost;
            ++stats_.lost_events;
            continue;
        }
        std::string own = text;
        if (c.lost) {
            Json with = event;
            with["lost"] = std::exchange(c.lost, 0);
            own = dump(with);
        }
        for (auto &part : control_split(std::move(own)))
            enqueue(c, std::move(part));
        flush(id, c);
    }
}

void ControlServer::drop(ClientId id)
{
    const auto it = clients_.find(id);
    if (it == clients_.end())
        return;
    if (it->second->subscribed)
        --subscribers_;
    clients_.erase(it);
    if (on_close)
        on_close(id);
}

Expected<ControlClient> ControlClient::connect(const std::string &path)
{
    auto address = unix_address(path);
    if (!address)
        return tl::unexpected(address.error());
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd)
        return fail_errno(errno, "control: socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&*address), sizeof(*address)) < 0)
        return fail_errno(errno, path);
    return ControlClient(std::move(fd));
}

Expected<std::string> ControlClient::packet(Time deadline)
{
    std::string text(kControlMaxPacket, '\0');
    for (;;) {
        iovec iov{text.data(), text.size()};
        msghdr m{};
        m.msg_iov = &iov;
        m.msg_iovlen = 1;
        const ssize_t n = ::recvmsg(fd_.get(), &m, 0);
        if (n > 0) {
            if (m.msg_flags & MSG_TRUNC)
                return fail(-EMSGSIZE, "control: packet too long");
            text.resize(static_cast<std::size_t>(n));
            return text;
        }
        if (n == 0)
            return fail(-ECONNRESET, "control: the agent closed the connection");
        if (errno != EAGAIN)
            return fail_errno(errno, "control: receive");
        int wait = -1;
        if (deadline != kNever) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - boot_now()).count();
            if (left <= 0)
                return fail(-ETIMEDOUT, "control: the agent does not answer");
            wait = static_cast<int>(std::min<long long>(left, 1 << 30));
        }
        pollfd p{fd_.get(), POLLIN, 0};
        if (::poll(&p, 1, wait) < 0)
            return fail_errno(errno, "control: poll");
    }
}

Expected<Json> ControlClient::next(Duration timeout)
{
    const Time deadline = timeout.count() < 0 ? kNever : boot_now() + timeout;
    std::string joined;
    for (std::size_t expected = 0;; ++expected) {
        auto text = packet(deadline);
        if (!text)
            return tl::unexpected(text.error());
        auto j = parse(*text);
        if (!j)
            return j;
        if (!j->contains("part") && expected == 0)
            return j;
        const auto part = j->value("part", Json()), parts = j->value("parts", Json()), piece = j->value("text", Json());
        if (!part.is_number_unsigned() || !parts.is_number_unsigned() || !piece.is_string() || part.get<std::size_t>() != expected)
            return fail(-EBADMSG, "control: answer with a part missing");
        joined += piece.get_ref<const std::string &>();
        if (joined.size() > kControlMaxReply)
            return fail(-EMSGSIZE, "control: answer too long");
        if (expected + 1 == parts.get<std::size_t>())
            return parse(joined);
    }
}

Expected<Json> ControlClient::request(const Json &request, Duration timeout)
{
    const std::string text = dump(request);
    if (text.size() > kControlMaxPacket)
        return fail(-EMSGSIZE, "control: request too long");
    const ssize_t n = ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_EOR);
    if (n < 0)
        return fail_errno(errno, "control: send");
    return next(timeout);
}

}  // namespace mcipsec::io
