// SPDX-License-Identifier: GPL-2.0-or-later
// See event_loop.hpp. Each State is kept alive by its EventSource and, while
// its callback runs, by the dispatcher: a callback may drop its own source.
#include "io/event_loop.hpp"

#include <sys/eventfd.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>

#include "io/address.hpp"

namespace mcipsec::io {

struct EventSource::State : std::enable_shared_from_this<EventSource::State> {
    EventLoop *loop = nullptr;
    sd_event_source *source = nullptr;
    std::function<void(std::uint32_t)> on_fd;
    std::function<void(Time)> on_time;
    std::function<void()> on_signal;
    std::function<void(int, int)> on_child;

    ~State()
    {
        if (source)
            sd_event_source_disable_unref(source);
    }
};

EventSource &EventSource::operator=(EventSource &&o) noexcept
{
    if (this != &o) {
        reset();
        state_ = std::move(o.state_);
    }
    return *this;
}

void EventSource::reset()
{
    if (!state_)
        return;
    // The dispatcher may hold the state a moment longer: silence it now.
    sd_event_source_disable_unref(state_->source);
    state_->source = nullptr;
    state_.reset();
}

Expected<void> EventSource::set_events(std::uint32_t events)
{
    if (!state_)
        return fail(-EBADF, "event source: gone");
    const int r = sd_event_source_set_io_events(state_->source, events);
    if (r < 0)
        return fail_errno(-r, "event source: events");
    return {};
}

Expected<void> EventSource::arm(Time at)
{
    if (!state_)
        return fail(-EBADF, "timer: gone");
    if (at == kNever) {
        disarm();
        return {};
    }
    // Rounded up: a timer never fires before its time.
    const auto ns = std::max<std::int64_t>(at.time_since_epoch().count(), 0);
    const std::uint64_t us = static_cast<std::uint64_t>(ns) / 1000 + (ns % 1000 != 0);
    int r = sd_event_source_set_time(state_->source, us);
    if (r >= 0)
        r = sd_event_source_set_enabled(state_->source, SD_EVENT_ONESHOT);
    if (r < 0)
        return fail_errno(-r, "timer: arm");
    return {};
}

void EventSource::disarm()
{
    if (state_)
        sd_event_source_set_enabled(state_->source, SD_EVENT_OFF);
}

Expected<std::unique_ptr<EventLoop>> EventLoop::create()
{
    std::unique_ptr<EventLoop> loop(new EventLoop);
    if (auto r = loop->init(); !r)
        return tl::unexpected(r.error());
    return loop;
}

Expected<void> EventLoop::init()
{
    std::signal(SIGPIPE, SIG_IGN);
    int r = sd_event_new(&event_);
    if (r < 0)
        return fail_errno(-r, "event loop");
    post_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (post_fd_ < 0)
        return fail_errno(errno, "event loop: eventfd");
    auto source = add_fd(post_fd_, EPOLLIN, [this](std::uint32_t) {
        std::uint64_t n;
        while (::read(post_fd_, &n, sizeof(n)) > 0) {
        }
        if (on_wake)
            on_wake();
        run_posted();
    });
    if (!source)
        return tl::unexpected(source.error());
    post_source_ = std::move(*source);
    return {};
}

EventLoop::~EventLoop()
{
    post_source_.reset();
    if (post_fd_ >= 0)
        ::close(post_fd_);
    sd_event_unref(event_);
}

void EventLoop::dispatch(const std::function<void()> &fn)
{
    const Time start = now();
    std::string what;
    try {
        fn();
    } catch (const std::exception &e) {
        what = e.what();
    } catch (...) {
        what = "unknown exception";
    }
    ++stats_.callbacks;
    stats_.longest_callback = std::max(stats_.longest_callback, now() - start);
    if (what.empty())
        return;
    ++stats_.exceptions;
    try {
        if (on_exception)
            on_exception(what);
    } catch (...) {     // nobody is left to tell; it stays counted
    }
}

Expected<EventSource> EventLoop::finish(std::shared_ptr<EventSource::State> state, int r, Priority priority, const char *what)
{
    if (r >= 0)
        r = sd_event_source_set_priority(state->source, static_cast<int>(priority));
    if (r < 0)
        return fail_errno(-r, what);
    return EventSource(std::move(state));
}

Expected<EventSource> EventLoop::add_fd(int fd, std::uint32_t events, std::function<void(std::uint32_t)> fn, Priority priority)
{
    auto state = std::make_shared<EventSource::State>();
    state->loop = this;
    state->on_fd = std::move(fn);
    const int r = sd_event_add_io(
        event_, &state->source, fd, events,
        [](sd_event_source *, int, std::uint32_t revents, void *user) {
            auto self = static_cast<EventSource::State *>(user)->shared_from_this();
            self->loop->dispatch([&] { self->on_fd(revents); });
            return 0;
        },
        state.get());
    return finish(std::move(state), r, priority, "event loop: fd");
}

Expected<EventSource> EventLoop::add_timer(std::function<void(Time)> fn, Priority priority)
{
    auto state = std::make_shared<EventSource::State>();
    state->loop = this;
    state->on_time = std::move(fn);
    int r = sd_event_add_time(
        event_, &state->source, CLOCK_BOOTTIME, UINT64_MAX, 1,
        [](sd_event_source *, std::uint64_t, void *user) {
            auto self = static_cast<EventSource::State *>(user)->shared_from_this();
            self->loop->dispatch([&] { self->on_time(self->loop->now()); });
            return 0;
        },
        state.get());
    if (r >= 0)
        r = sd_event_source_set_enabled(state->source, SD_EVENT_OFF);
    return finish(std::move(state), r, priority, "event loop: timer");
}

Expected<EventSource> EventLoop::add_signal(int signo, std::function<void()> fn, Priority priority)
{
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, signo);
    if (const int e = ::pthread_sigmask(SIG_BLOCK, &set, nullptr))
        return fail_errno(e, "event loop: signal mask");
    auto state = std::make_shared<EventSource::State>();
    state->loop = this;
    state->on_signal = std::move(fn);
    const int r = sd_event_add_signal(
        event_, &state->source, signo,
        [](sd_event_source *, const signalfd_siginfo *, void *user) {
            auto self = static_cast<EventSource::State *>(user)->shared_from_this();
            self->loop->dispatch([&] { self->on_signal(); });
            return 0;
        },
        state.get());
    return finish(std::move(state), r, priority, "event loop: signal");
}

Expected<EventSource> EventLoop::add_child(pid_t pid, std::function<void(int, int)> fn, Priority priority)
{
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGCHLD);
    if (const int e = ::pthread_sigmask(SIG_BLOCK, &set, nullptr))
        return fail_errno(e, "event loop: signal mask");
    auto state = std::make_shared<EventSource::State>();
    state->loop = this;
    state->on_child = std::move(fn);
    const int r = sd_event_add_child(
        event_, &state->source, pid, WEXITED,
        [](sd_event_source *, const siginfo_t *si, void *user) {
            auto self = static_cast<EventSource::State *>(user)->shared_from_this();
            const int code = si->si_code, status = si->si_status;
            self->loop->dispatch([&] { self->on_child(code, status); });
            return 0;
        },
        state.get());
    return finish(std::move(state), r, priority, "event loop: child");
}

void EventLoop::wake()
{
    const std::uint64_t one = 1;
    // EAGAIN: the counter is full, so a wakeup is pending anyway.
    [[maybe_unused]] const ssize_t n = ::write(post_fd_, &one, sizeof(one));
}

void EventLoop::post(std::function<void()> fn)
{
    posted_.push_back(std::move(fn));
    if (posted_.size() == 1)
        wake();
}

void EventLoop::run_posted()
{
    // What is posted meanwhile runs in the next turn, behind other events.
    std::vector<std::function<void()>> work;
    work.swap(posted_);
    for (auto &fn : work)
        dispatch(fn);
}

Expected<bool> EventLoop::enable_watchdog()
{
    const int r = sd_event_set_watchdog(event_, 1);
    if (r < 0)
        return fail_errno(-r, "event loop: watchdog");
    return r > 0;
}

Expected<int> EventLoop::run()
{
    const int r = sd_event_loop(event_);
    if (r < 0)
        return fail_errno(-r, "event loop");
    return r;
}

Expected<bool> EventLoop::run_once(Duration wait)
{
    const std::uint64_t us =
        wait.count() < 0 ? UINT64_MAX : static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::microseconds>(wait).count());
    const int r = sd_event_run(event_, us);
    if (r < 0)
        return fail_errno(-r, "event loop");
    return r > 0;
}

void EventLoop::stop(int code)
{
    sd_event_exit(event_, code);
}

}  // namespace mcipsec::io
