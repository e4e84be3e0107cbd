// SPDX-License-Identifier: GPL-2.0-or-later
// The event loop: sd-event behind move-only handles and std::function.
//
// Invariants: a callback never runs after its EventSource is gone, and may
// destroy its own source. An exception that leaves a callback is caught,
// counted and handed to on_exception: it never unwinds through libsystemd (I9).
// Timers are absolute CLOCK_BOOTTIME with an accuracy of 1 us.
// Threading: one loop belongs to one thread; only wake() may be called from others.
#pragma once

#include <sys/epoll.h>
#include <sys/types.h>

#include <functional>
#include <memory>

#include "core/types.hpp"
#include "io/clock.hpp"

struct sd_event;

namespace mcipsec::io {

// Lower runs first when several are ready at once.
enum class Priority : int {
    Urgent = -20,   // BFD, lease
    High = -10,     // MIMP, module events
    Normal = 0,
    Low = 10,       // VICI imports, MCS bulk
    Idle = 20,      // logs, command line
};

// Owns one registration; destroying it removes the registration.
class EventSource {
public:
    struct State;
    EventSource() = default;
    explicit EventSource(std::shared_ptr<State> state) : state_(std::move(state)) {}
    EventSource(EventSource &&) noexcept = default;
    EventSource &operator=(EventSource &&o) noexcept;
    ~EventSource() { reset(); }

    void reset();
    bool active() const { return state_ != nullptr; }
    // fd sources only: EPOLLIN, EPOLLOUT, ...; 0 pauses.
    Expected<void> set_events(std::uint32_t events);
    // timer sources only. kNever disarms. A time in the past fires at the next turn.
    Expected<void> arm(Time at);
    void disarm();

private:
    std::shared_ptr<State> state_;
};

class EventLoop {
public:
    // Before ready. Also sets SIGPIPE to ignored: every writer handles EPIPE.
    static Expected<std::unique_ptr<EventLoop>> create();
    ~EventLoop();
    EventLoop(const EventLoop &) = delete;
    EventLoop &operator=(const EventLoop &) = delete;

    Time now() const { return boot_now(); }

    // The fd stays the caller's and must outlive the source.
    Expected<EventSource> add_fd(int fd, std::uint32_t events, std::function<void(std::uint32_t revents)> fn,
                                 Priority priority = Priority::Normal);
    // Disarmed at first, one shot for each arm(). fn gets the time at which it runs.
    Expected<EventSource> add_timer(std::function<void(Time now)> fn, Priority priority = Priority::Normal);
    // Blocks the signal in the calling thread: add signals before starting threads.
    Expected<EventSource> add_signal(int signo, std::function<void()> fn, Priority priority = Priority::Normal);
    // status as of waitid: code is CLD_EXITED, CLD_KILLED or CLD_DUMPED.
    Expected<EventSource> add_child(pid_t pid, std::function<void(int code, int status)> fn,
                                    Priority priority = Priority::Normal);

    // Runs fn once in this loop's next turn, in order of posting. Never lost.
    void post(std::function<void()> fn);
    // Thread-safe: makes the loop turn, on_wake runs in the loop's thread.
    void wake();
    std::function<void()> on_wake;

    // sd_notify WATCHDOG=1 at half of WatchdogSec, if systemd asked for it. True: it did.
    Expected<bool> enable_watchdog();

    // Runs until stop(); gives its code.
    Expected<int> run();
    // One turn, waiting at most `wait` (negative: without limit). True: something ran.
    Expected<bool> run_once(Duration wait);
    void stop(int code = 0);

    struct Stats {
        std::uint64_t callbacks = 0;
        std::uint64_t exceptions = 0;
        Duration longest_callback{};    // what kept others waiting most
    };
    const Stats &stats() const { return stats_; }
    std::function<void(std::string_view what)> on_exception;

    // For EventSource and tests.
    void dispatch(const std::function<void()> &fn);

private:
    EventLoop() = default;
    Expected<void> init();
    void run_posted();
    Expected<EventSource> finish(std::shared_ptr<EventSource::State> state, int r, Priority priority, const char *what);

    sd_event *event_ = nullptr;
    int post_fd_ = -1;          // eventfd: posted work or wake()
    EventSource post_source_;
    std::vector<std::function<void()>> posted_;
    Stats stats_;
};

}  // namespace mcipsec::io
