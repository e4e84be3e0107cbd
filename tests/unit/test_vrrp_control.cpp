// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// The track files of a gateway when they cannot be written: told once, tried
// again until they say what the tunnel-group's state wants. And what keepalived says
// of where a tunnel-group's packets are.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/vrrp_control.hpp"
#include "io/files.hpp"
#include "unit/io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::app;
using namespace mcipsec::test;

namespace {

struct Gateway {
    ScratchFolder folder;
    std::string track = folder / "VRRP10.track";
    std::unique_ptr<io::EventLoop> loop = take(io::EventLoop::create());
    io::Log log{100};
    VrrpControl vrrp{*loop, log};
    VrrpConfig config;
    Gateway()
    {
        config.notify_fifo = folder / "notify.fifo";
        config.policy[1].priority_event = {{1, 50, 0ns, 0ns}};
        config.instance["VRRP10"] = {.policy = 1, .base_priority = 200, .track_file = track};
    }
    bool says(const std::string &value) { return io::read_file(track).value_or("") == value; }
};

void a_file_that_could_not_be_written_is_tried_again(void **)
{
    Gateway g;
    assert_int_equal(::mkdir(g.track.c_str(), 0755), 0);    // in its place: every write fails
    check(g.vrrp.configure(g.config));
    g.vrrp.set_forwarding(1, true);
    const Time limit = g.loop->now() + 50ms;
    while (g.loop->now() < limit)
        (void)g.loop->run_once(10ms);
    assert_int_equal(::rmdir(g.track.c_str()), 0);
    assert_true(turn_until(*g.loop, [&] { return g.says("0\n"); }));
}

// A release writes FAULT first, the value a moment later: a failure in between
// must not leave FAULT there for ever.
void the_second_stage_of_a_release_is_tried_again(void **)
{
    Gateway g;
    g.vrrp.set_forwarding(1, true);
    check(g.vrrp.configure(g.config));
    assert_true(g.says("0\n"));
    g.vrrp.set_forwarding(1, false);
    assert_true(g.says("-255\n"));
    const std::string aside = g.track + ".aside";
    assert_int_equal(::rename(g.track.c_str(), aside.c_str()), 0);
    assert_int_equal(::mkdir(g.track.c_str(), 0755), 0);
    const Time limit = g.loop->now() + 4 * io::VrrpTrackFile::kStage;
    while (g.loop->now() < limit)
        (void)g.loop->run_once(10ms);
    assert_int_equal(::rmdir(g.track.c_str()), 0);
    assert_int_equal(::rename(aside.c_str(), g.track.c_str()), 0);
    assert_true(turn_until(*g.loop, [&] { return g.says("-150\n"); }));
}

// keepalived may go on with the file of an instance that is not configured any more.
void what_is_not_configured_any_more_does_not_attract(void **)
{
    Gateway g;
    g.vrrp.set_forwarding(1, true);
    check(g.vrrp.configure(g.config));
    assert_true(g.says("0\n"));
    auto moved = g.config;
    moved.instance["VRRP10"].track_file = g.folder / "other.track";
    check(g.vrrp.configure(moved));
    assert_true(g.says("-150\n"));
    check(g.vrrp.configure(g.config));
    assert_true(g.says("0\n"));
    auto renamed = g.config;
    renamed.instance.clear();
    check(g.vrrp.configure(renamed));
    assert_true(g.says("-150\n"));
}

// Which chassis has a group's packets, where no policy names the group: the one that
// holds every instance without a policy.
void an_instance_without_a_policy_tells_for_groups_that_no_policy_names(void **)
{
    Gateway g;
    g.config.instance["VRRP20"] = {.base_priority = 100, .track_file = g.folder / "VRRP20.track"};
    check(g.vrrp.configure(g.config));
    const int fifo = ::open(g.config.notify_fifo.c_str(), O_WRONLY | O_NONBLOCK);
    assert_true(fifo >= 0);
    const auto told = [&](const std::string &line, GroupId group, std::optional<bool> want) {
        assert_true(::write(fifo, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
        assert_true(turn_until(*g.loop, [&] { return g.vrrp.master_for(group) == want; }));
    };
    assert_true(!g.vrrp.master_for(1) && !g.vrrp.master_for(2));
    told("INSTANCE \"VRRP20\" MASTER 100\n", 2, true);
    assert_true(!g.vrrp.master_for(1));      // VRRP10's policy names it
    told("INSTANCE \"VRRP10\" BACKUP 200\n", 1, false);
    told("INSTANCE \"VRRP20\" BACKUP 100\n", 2, false);
    told("INSTANCE \"VRRP10\" MASTER 200\n", 1, true);
    assert_true(g.vrrp.master_for(2) == false);
    ::close(fifo);
}

// Two keepalived that do not see each other for a moment are both master: that says nothing yet.
void a_master_of_a_moment_does_not_count(void **)
{
    Gateway g;
    check(g.vrrp.configure(g.config));
    const int fifo = ::open(g.config.notify_fifo.c_str(), O_RDWR | O_NONBLOCK);
    assert_true(fifo >= 0);
    const std::string line = "INSTANCE \"VRRP10\" MASTER 200\n";
    Time told = kNever;
    std::size_t states = 0;
    g.vrrp.on_state = [&] {
        told = std::min(told, g.loop->now());
        ++states;
    };
    assert_true(::write(fifo, line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    assert_true(turn_until(*g.loop, [&] { return g.vrrp.master_for(1) == true; }));
    assert_true(g.loop->now() >= told + VrrpControl::kSteady - 1ms);
    assert_true(turn_until(*g.loop, [&] { return states == 2; }));      // and is told that it counts
    // Nobody writes any more: nothing is known.
    bool gone = false;
    g.vrrp.on_daemon = [&] { gone = g.vrrp.gone(); };
    ::close(fifo);
    assert_true(turn_until(*g.loop, [&] { return gone; }));
    assert_true(!g.vrrp.master_for(1));
    assert_string_equal(g.vrrp.views()[0].state.c_str(), "unknown");
    assert_string_equal(g.vrrp.views()[0].opr.c_str(), "Down");
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_could_not_be_written_is_tried_again),
        cmocka_unit_test(the_second_stage_of_a_release_is_tried_again),
        cmocka_unit_test(what_is_not_configured_any_more_does_not_attract),
        cmocka_unit_test(an_instance_without_a_policy_tells_for_groups_that_no_policy_names),
        cmocka_unit_test(a_master_of_a_moment_does_not_count),
    };
    return cmocka_run_group_tests_name("vrrp control", tests, nullptr, nullptr);
}
