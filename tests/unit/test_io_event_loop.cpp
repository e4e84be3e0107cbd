// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// Timers, posts, signals, children, and callbacks that end their own source.
#include <sys/wait.h>

#include <csignal>
#include <stdexcept>
#include <thread>

#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

void timers_fire_in_order_and_not_early(void **)
{
    auto loop = take(EventLoop::create());
    std::string order;
    const Time start = loop->now();
    bool early = false;
    auto a = take(loop->add_timer([&](Time now) { order += 'a'; early |= now < start + 30ms; }));
    auto b = take(loop->add_timer([&](Time now) { order += 'b'; early |= now < start + 10ms; }));
    check(a.arm(start + 30ms));
    check(b.arm(start + 10ms));
    assert_true(turn_until(*loop, [&] { return order.size() == 2; }));
    assert_string_equal(order.c_str(), "ba");
    assert_false(early);
}

void a_timer_is_one_shot_and_can_be_armed_again(void **)
{
    auto loop = take(EventLoop::create());
    int fired = 0;
    auto t = take(loop->add_timer([&](Time) { ++fired; }));
    (void)loop->run_once(0ms);
    assert_int_equal(fired, 0);     // disarmed at first
    check(t.arm(Time{}));           // long past
    assert_true(turn_until(*loop, [&] { return fired == 1; }));
    (void)loop->run_once(5ms);
    assert_int_equal(fired, 1);
    check(t.arm(loop->now()));
    assert_true(turn_until(*loop, [&] { return fired == 2; }));
    check(t.arm(loop->now()));
    t.disarm();
    check(t.arm(kNever));
    (void)loop->run_once(5ms);
    assert_int_equal(fired, 2);
}

void a_callback_may_end_its_own_source(void **)
{
    auto loop = take(EventLoop::create());
    std::string big(4096, 'x');     // would be read after free under the sanitizer
    EventSource t;
    std::size_t seen = 0;
    t = take(loop->add_timer([&, big](Time) {
        t.reset();
        seen = big.size();
    }));
    check(t.arm(loop->now()));
    assert_true(turn_until(*loop, [&] { return seen != 0; }));
    assert_int_equal(seen, 4096);
    assert_false(t.active());
    assert_false(static_cast<bool>(t.arm(loop->now())));
}

void sources_may_outlive_their_loop(void **)
{
    auto loop = take(EventLoop::create());
    auto t = take(loop->add_timer([](Time) {}));
    loop.reset();
    t.reset();
}

void posts_run_in_order_and_once(void **)
{
    auto loop = take(EventLoop::create());
    std::string order;
    loop->post([&] {
        order += '1';
        loop->post([&] { order += '3'; });
    });
    loop->post([&] { order += '2'; });
    assert_true(turn_until(*loop, [&] { return order.size() >= 3; }));
    (void)loop->run_once(0ms);
    assert_string_equal(order.c_str(), "123");
}

void urgent_events_run_first(void **)
{
    auto loop = take(EventLoop::create());
    std::string order;
    auto low = take(loop->add_timer([&](Time) { order += 'l'; }, Priority::Low));
    auto urgent = take(loop->add_timer([&](Time) { order += 'u'; }, Priority::Urgent));
    check(low.arm(Time{}));
    check(urgent.arm(Time{}));
    assert_true(turn_until(*loop, [&] { return order.size() == 2; }));
    assert_string_equal(order.c_str(), "ul");
}

void an_exception_is_caught_and_counted(void **)
{
    auto loop = take(EventLoop::create());
    std::string what;
    bool after = false;
    loop->on_exception = [&](std::string_view w) { what = w; };
    loop->post([] { throw std::runtime_error("broken on purpose"); });
    loop->post([&] { after = true; });
    assert_true(turn_until(*loop, [&] { return after; }));
    assert_string_equal(what.c_str(), "broken on purpose");
    assert_int_equal(loop->stats().exceptions, 1);
}

void wake_works_from_another_thread(void **)
{
    auto loop = take(EventLoop::create());
    bool woken = false;
    loop->on_wake = [&] { woken = true; };
    std::thread other([&] { loop->wake(); });
    const bool ok = turn_until(*loop, [&] { return woken; });
    other.join();
    assert_true(ok);
}

void fd_events_can_be_paused(void **)
{
    auto loop = take(EventLoop::create());
    int p[2];
    assert_int_equal(::pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
    UniqueFd r(p[0]), w(p[1]);
    int got = 0;
    auto s = take(loop->add_fd(r.get(), EPOLLIN, [&](std::uint32_t) {
        char c;
        while (::read(r.get(), &c, 1) == 1)
            ++got;
    }));
    check(s.set_events(0));
    assert_int_equal(::write(w.get(), "x", 1), 1);
    (void)loop->run_once(5ms);
    assert_int_equal(got, 0);
    check(s.set_events(EPOLLIN));
    assert_true(turn_until(*loop, [&] { return got == 1; }));
}

void signals_and_children_are_events(void **)
{
    auto loop = take(EventLoop::create());
    bool signalled = false;
    auto s = take(loop->add_signal(SIGUSR1, [&] { signalled = true; }));
    ::kill(::getpid(), SIGUSR1);
    assert_true(turn_until(*loop, [&] { return signalled; }));

    const pid_t pid = ::fork();
    assert_true(pid >= 0);
    if (pid == 0)
        ::_exit(7);
    int code = 0, status = 0;
    auto c = take(loop->add_child(pid, [&](int how, int st) {
        code = how;
        status = st;
    }));
    assert_true(turn_until(*loop, [&] { return code != 0; }));
    assert_int_equal(code, CLD_EXITED);
    assert_int_equal(status, 7);
}

void run_ends_with_the_code_of_stop(void **)
{
    auto loop = take(EventLoop::create());
    loop->post([&] { loop->stop(5); });
    assert_int_equal(take(loop->run()), 5);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_order_and_not_early),
        cmocka_unit_test(a_timer_is_one_shot_and_can_be_armed_again),
        cmocka_unit_test(a_callback_may_end_its_own_source),
        cmocka_unit_test(sources_may_outlive_their_loop),
        cmocka_unit_test(posts_run_in_order_and_once),
        cmocka_unit_test(urgent_events_run_first),
        cmocka_unit_test(an_exception_is_caught_and_counted),
        cmocka_unit_test(wake_works_from_another_thread),
        cmocka_unit_test(fd_events_can_be_paused),
        cmocka_unit_test(signals_and_children_are_events),
        cmocka_unit_test(run_ends_with_the_code_of_stop),
    };
    return cmocka_run_group_tests_name("io event loop", tests, nullptr, nullptr);
}
