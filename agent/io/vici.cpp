// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/vici.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>

#include "io/address.hpp"

namespace mcipsec::io {

namespace {
constexpr std::size_t kLengthField = 4;
constexpr std::size_t kFirstBuffer = 4096;
constexpr std::size_t kKeepBuffer = 65536;      // a larger one is given back after its packet
constexpr unsigned kPacketsPerWakeup = 64;
}  // namespace

ViciClient::ViciClient(EventLoop &loop, std::string path, Duration timeout) : loop_(loop), path_(std::move(path)), timeout_(timeout) {}

ViciClient::~ViciClient()
{
    on_down = nullptr;
    for (auto &e : expected_)
        e.fn = nullptr;
    for (auto &w : waiting_)
        w.expectation.fn = nullptr;
}

Expected<void> ViciClient::connect()
{
    if (fd_)
        return fail(-EALREADY, "vici: already connected");
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    if (path_.size() >= sizeof(to.sun_path))
        return fail(-ENAMETOOLONG, "vici: " + path_ + ": path too long");
    std::copy(path_.begin(), path_.end(), to.sun_path);
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd)
        return fail_errno(errno, "vici: socket");
    if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&to), sizeof(to)) < 0)
        return fail_errno(errno, "vici: " + path_);
    if (!timer_.active()) {
        auto t = loop_.add_timer([this](Time now) {
            if (expected_.empty() || now < expected_.front().deadline) {
                arm_timer();
                return;
            }
            ++stats_.timeouts;
            down(Error{-ETIMEDOUT, "vici: no answer to " + expected_.front().name});
        });
        if (!t)
            return tl::unexpected(t.error());
        timer_ = std::move(*t);
    }
    auto source = loop_.add_fd(fd.get(), EPOLLIN, [this](std::uint32_t events) { ready(events); }, Priority::Low);
    if (!source)
        return tl::unexpected(source.error());
    fd_ = std::move(fd);
    source_ = std::move(*source);
    ++connection_;
    input_ = WipedBuffer(kFirstBuffer);
    input_have_ = 0;
    for (const auto &s : subscriptions_)
        register_event(s);
    return {};
}

void ViciClient::close()
{
    if (fd_)
        down(Error{-ECANCELED, "vici: closed"});
}

void ViciClient::down(Error why)
{
    source_.reset();
    fd_.reset();
    timer_.disarm();
    ++connection_;
    ++stats_.downs;
    input_ = WipedBuffer();
    input_have_ = 0;
    output_.clear();
    output_offset_ = 0;
    // All of this happens from the loop: a callback may send new requests.
    auto expected = std::move(expected_);
    auto waiting = std::move(waiting_);
    expected_.clear();
    waiting_.clear();
    std::vector<OnReply> told;
    for (auto &e : expected)
        told.push_back(std::move(e.fn));
    for (auto &w : waiting)
        told.push_back(std::move(w.expectation.fn));
    loop_.post([this, alive = std::weak_ptr<bool>(alive_), told = std::move(told), why = std::move(why)] {
        for (const auto &fn : told) {
            if (alive.expired())
                return;
            if (fn)
                fn(tl::unexpected(why));
        }
        if (!alive.expired() && on_down)
            on_down(why);
    });
}

void ViciClient::request(std::string command, vici::Message message, OnReply fn)
{
    ++stats_.requests;
    const auto refuse = [&](Error why) {
        ++stats_.refused;
        loop_.post([alive = std::weak_ptr<bool>(alive_), fn = std::move(fn), why = std::move(why)] {
            if (!alive.expired() && fn)
                fn(tl::unexpected(why));
        });
    };
    if (!fd_)
        return refuse(Error{-ENOTCONN, "vici: not connected to " + path_});
    if (pending() >= kQueueMax)
        return refuse(Error{-ENOBUFS, "vici: too many requests waiting"});
    auto bytes = vici::encode_packet(vici::PacketType::CmdRequest, command, &message);
    if (!bytes)
        return refuse(bytes.error());
    enqueue({{false, std::move(command), std::move(fn), {}}, std::move(*bytes)});
}

void ViciClient::on_event(std::string name, OnEvent fn, std::function<void(Expected<void>)> done)
{
    subscriptions_.push_back({std::move(name), std::move(fn), std::move(done)});
    if (fd_)
        register_event(subscriptions_.back());
}

void ViciClient::register_event(const Subscription &s)
{
    auto bytes = vici::encode_packet(vici::PacketType::EventRegister, s.name, nullptr);
    if (!bytes) {
        if (s.done)
            loop_.post([done = s.done, why = bytes.error()] { done(tl::unexpected(why)); });
        return;
    }
    OnReply fn;
    if (s.done)
        fn = [done = s.done](Expected<vici::Message> m) {
            if (m)
                done({});
            else
                done(tl::unexpected(m.error()));
        };
    enqueue({{true, s.name, std::move(fn), {}}, std::move(*bytes)});
}

void ViciClient::enqueue(Waiting w)
{
    waiting_.push_back(std::move(w));
    pump_later();
}

void ViciClient::pump_later()
{
    if (pump_posted_)
        return;
    pump_posted_ = true;
    loop_.post([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired())
            return;
        pump_posted_ = false;
        pump();
    });
}

void ViciClient::pump()
{
    if (!fd_)
        return;
    const Time deadline = loop_.now() + timeout_;
    while (!waiting_.empty() && expected_.size() < kWindow) {
        Waiting w = std::move(waiting_.front());
        waiting_.pop_front();
        w.expectation.deadline = deadline;
        expected_.push_back(std::move(w.expectation));
        output_.push_back(std::move(w.bytes));
    }
    arm_timer();
    flush();
}

void ViciClient::arm_timer()
{
    if (expected_.empty())
        timer_.disarm();
    else if (auto r = timer_.arm(expected_.front().deadline); !r)
        down(r.error());
}

void ViciClient::flush()
{
    while (fd_ && !output_.empty()) {
        const ByteView rest = output_.front().view().subspan(output_offset_);
        const ssize_t n = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN) {
                down(errno_error(errno, "vici: send"));
                return;
            }
            if (auto r = source_.set_events(EPOLLIN | EPOLLOUT); !r)
                down(r.error());
            return;
        }
        output_offset_ += static_cast<std::size_t>(n);
        if (output_offset_ == output_.front().size()) {
            output_.pop_front();
            output_offset_ = 0;
        }
    }
    if (fd_)
        (void)source_.set_events(EPOLLIN);
}

void ViciClient::ready(std::uint32_t events)
{
    const std::weak_ptr<bool> alive = alive_;
    const auto connection = connection_;
    if (events & EPOLLOUT)
        flush();
    if (!alive.expired() && connection == connection_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        readable();
}

void ViciClient::readable()
{
    const std::weak_ptr<bool> alive = alive_;
    const auto connection = connection_;
    for (unsigned packets = 0; packets < kPacketsPerWakeup;) {
        std::size_t want = kLengthField;
        if (input_have_ >= kLengthField) {
            const auto *p = input_.data();
            const std::size_t length = std::size_t{p[0]} << 24 | std::size_t{p[1]} << 16 | std::size_t{p[2]} << 8 | p[3];
            if (length == 0 || length > vici::kMaxPacket) {
                ++stats_.malformed;
                down(Error{-EBADMSG, "vici: packet of " + std::to_string(length) + " bytes"});
                return;
            }
            want += length;
        }
        if (want > input_.size()) {
            WipedBuffer larger(want);
            std::copy_n(input_.data(), input_have_, larger.data());
            input_ = std::move(larger);
        }
        if (input_have_ < want) {
            const ssize_t n = ::recv(fd_.get(), input_.data() + input_have_, want - input_have_, 0);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0 && errno == EAGAIN)
                return;
            if (n <= 0) {
                down(n == 0 ? Error{-ECONNRESET, "vici: closed by charon"} : errno_error(errno, "vici: receive"));
                return;
            }
            input_have_ += static_cast<std::size_t>(n);
            continue;
        }
        // Out of the way before callbacks run: they may close, or end us.
        WipedBuffer packet = std::exchange(input_, WipedBuffer(kFirstBuffer));
        input_have_ = 0;
        ++packets;
        handle(ByteView(packet.data() + kLengthField, want - kLengthField));
        if (alive.expired() || connection != connection_)
            return;
        if (packet.size() <= kKeepBuffer) {
            packet.wipe(want);
            input_ = std::move(packet);
        }
    }
}

void ViciClient::handle(ByteView bytes)
{
    auto packet = vici::decode_packet(bytes);
    if (!packet) {
        ++stats_.malformed;
        // The stream's framing is intact. A broken event is skipped, but a broken
        // answer leaves nothing to match the next ones with.
        if (!bytes.empty() && bytes[0] == static_cast<std::uint8_t>(vici::PacketType::Event))
            return;
        down(packet.error());
        return;
    }
    using vici::PacketType;
    if (packet->type == PacketType::Event) {
        ++stats_.events;
        // A command that streams is at work.
        if (!expected_.empty())
            expected_.front().deadline = loop_.now() + timeout_;
        const auto it = std::find_if(subscriptions_.begin(), subscriptions_.end(), [&](const auto &s) { return s.name == packet->name; });
        if (it == subscriptions_.end()) {
            ++stats_.events_unknown;
            return;
        }
        const auto fn = it->fn;
        fn(std::move(packet->message));
        return;
    }
    const bool registration = packet->type == PacketType::EventConfirm || packet->type == PacketType::EventUnknown;
    const bool answer = packet->type == PacketType::CmdResponse || packet->type == PacketType::CmdUnknown;
    if (expected_.empty() || !(registration || answer) || expected_.front().registration != registration) {
        ++stats_.malformed;
        down(Error{-EPROTO, "vici: answer to nothing that was asked"});
        return;
    }
    ++stats_.replies;
    Expectation e = std::move(expected_.front());
    expected_.pop_front();
    // The next one's turn begins now. The timer looks again when it fires.
    if (!expected_.empty())
        expected_.front().deadline = loop_.now() + timeout_;
    if (!waiting_.empty())
        pump_later();
    if (!e.fn)
        return;
    if (packet->type == PacketType::CmdUnknown)
        e.fn(fail(-EOPNOTSUPP, "vici: charon does not know the command " + e.name));
    else if (packet->type == PacketType::EventUnknown)
        e.fn(fail(-EOPNOTSUPP, "vici: charon does not know the event " + e.name));
    else
        e.fn(std::move(packet->message));
}

}  // namespace mcipsec::io
