// SPDX-License-Identifier: GPL-2.0-or-later
// A client of charon's VICI socket: pipelined requests, events, reconnection
// by the caller.
//
// VICI answers the requests and registrations of one connection in their
// order, so a queue of expected answers is all the state there is. At most
// kWindow requests are in flight, the rest waits in a bounded queue. When the
// connection goes, every callback runs once with an error, then on_down.
// Send and receive buffers are wiped (I8).
// Threading: the loop's thread. Callbacks never run from within request().
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "io/event_loop.hpp"
#include "io/unique_fd.hpp"
#include "io/vici_codec.hpp"
#include "io/wiped_buffer.hpp"

namespace mcipsec::io {

class ViciClient {
public:
    static constexpr std::size_t kWindow = 64;
    static constexpr std::size_t kQueueMax = 65536;     // requests
    static constexpr const char *kDefaultPath = "/run/charon.vici";

    using OnReply = std::function<void(Expected<vici::Message>)>;
    using OnEvent = std::function<void(vici::Message &&)>;

    ViciClient(EventLoop &loop, std::string path, Duration timeout = 20s);
    ~ViciClient();

    // Connects at once (a unix socket does); ENOENT, ECONNREFUSED: charon is not there.
    // Registered events are registered again.
    Expected<void> connect();
    bool connected() const { return static_cast<bool>(fd_); }
    void close();

    // Not connected: ENOTCONN, through the callback as well as all other errors.
    // An answer that takes longer than the timeout closes the connection.
    void request(std::string command, vici::Message message, OnReply fn);
    // Kept over reconnects; done is told of each (un)successful registration.
    void on_event(std::string name, OnEvent fn, std::function<void(Expected<void>)> done = {});
    std::function<void(const Error &why)> on_down;

    std::size_t pending() const { return expected_.size() + waiting_.size(); }

    struct Stats {
        std::uint64_t requests = 0, replies = 0, events = 0, events_unknown = 0, malformed = 0, timeouts = 0, refused = 0, downs = 0;
    };
    const Stats &stats() const { return stats_; }

private:
    struct Expectation {
        bool registration = false;
        std::string name;
        OnReply fn;
        Time deadline{};
    };
    struct Subscription {
        std::string name;
        OnEvent fn;
        std::function<void(Expected<void>)> done;
    };
    struct Waiting {
        Expectation expectation;
        SecretBytes bytes;
    };
    void enqueue(Waiting w);
    void register_event(const Subscription &s);
    void pump_later();
    void pump();
    void ready(std::uint32_t events);
    void flush();
    void readable();
    void handle(ByteView packet);
    void down(Error why);
    void arm_timer();

    EventLoop &loop_;
    std::string path_;
    Duration timeout_;
    UniqueFd fd_;
    EventSource source_, timer_;
    std::deque<Expectation> expected_;
    std::deque<Waiting> waiting_;
    std::deque<SecretBytes> output_;
    std::size_t output_offset_ = 0;
    WipedBuffer input_;                 // length field and packet
    std::size_t input_have_ = 0;
    bool pump_posted_ = false;
    std::vector<Subscription> subscriptions_;
    std::uint64_t connection_ = 0;      // counts up, tells stale work
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    Stats stats_;
};

}  // namespace mcipsec::io
