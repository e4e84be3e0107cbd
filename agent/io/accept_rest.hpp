// SPDX-License-Identifier: GPL-2.0-or-later
// What a listening socket does when the process has no descriptor left for who
// waits: it stays readable, so without a rest the loop would turn for nothing and
// keep everything of lower priority from running.
// Threading: the loop's thread.
#pragma once

#include <cerrno>
#include <cstdint>

#include "io/event_loop.hpp"

namespace mcipsec::io {

class AcceptRest {
public:
    static constexpr Duration kRest = std::chrono::milliseconds(200);

    // `listener` is the socket's source, in the same owner as this.
    Expected<void> init(EventLoop &loop, EventSource &listener)
    {
        auto timer = loop.add_timer([&listener](Time) { (void)listener.set_events(EPOLLIN); }, Priority::Idle);
        if (!timer)
            return tl::unexpected(timer.error());
        timer_ = std::move(*timer);
        loop_ = &loop;
        listener_ = &listener;
        return {};
    }

    // accept() failed with this errno.
    void failed(int error)
    {
        if (error != EMFILE && error != ENFILE && error != ENOBUFS && error != ENOMEM)
            return;
        ++rests_;
        if (timer_.arm(loop_->now() + kRest))
            (void)listener_->set_events(0);
    }
    std::uint64_t rests() const { return rests_; }

private:
    EventLoop *loop_ = nullptr;
    EventSource *listener_ = nullptr;
    EventSource timer_;
    std::uint64_t rests_ = 0;
};

}  // namespace mcipsec::io
