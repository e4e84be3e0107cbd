// SPDX-License-Identifier: GPL-2.0-or-later
// needs: app
// What makes a member healthy, with real files, real scripts and a CPU list of
// the test's own; charon and the module are two variables.
#include <sys/stat.h>

#include <fstream>

#include "app/member_watch.hpp"
#include "unit/io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::app;
using namespace mcipsec::test;

namespace {

void put(const std::string &path, const std::string &text)
{
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
}

std::string script(const ScratchFolder &dir, const char *name, const std::string &body)
{
    const auto path = dir / name;
    put(path, "#!/bin/sh\n" + body + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
}

struct World {
    ScratchFolder dir;
    std::unique_ptr<io::EventLoop> loop = take(io::EventLoop::create());
    std::string charon;                 // why down
    std::uint64_t heard = 0;
    bool answers = true;                // charon, when asked
    std::string module;
    unsigned changes = 0;
    MemberWatch watch{*loop, dir / "online"};

    World()
    {
        put(dir / "online", "0-3,8\n");
        watch.probes.charon_down = [this] { return charon; };
        watch.probes.charon_heard = [this] { return heard; };
        watch.probes.ask_charon = [this](std::function<void()> answered) {
            if (answers) {
                heard++;
                answered();
            }
        };
        watch.probes.ask_module = [this]() -> Expected<void> {
            return module.empty() ? Expected<void>{} : fail(-ENODEV, module);
        };
        watch.on_change = [this] { changes++; };
    }
    MdaConfig config() const
    {
        MdaConfig c;
        c.name = "1/2";
        c.interval = 10ms;
        c.timeout = 5s;
        return c;
    }
    void use(const MdaConfig &c) { check(watch.configure({{"1/2", c}})); }
    std::string fault() const { return watch.health("1/2", {}).why_not(); }
    bool fault_is(const std::string &part)
    {
        const bool so = turn_until(*loop, [&] { return part.empty() ? fault().empty() : fault().find(part) != std::string::npos; });
        if (!so)
            print_error("wanted '%s', is '%s'\n", part.c_str(), fault().c_str());
        return so;
    }
};

void plain_member_follows_charon_module_and_interfaces(void **)
{
    World w;
    w.use(w.config());
    assert_true(w.watch.settled());
    assert_string_equal(w.fault().c_str(), "");
    assert_string_equal(w.watch.health("1/2", {"tunnel-1 is down"}).why_not().c_str(), "interface tunnel-1 is down");
    assert_false(w.watch.health("9/9", {}).healthy());
    w.charon = "connection refused";
    assert_true(w.fault_is("charon does not answer: connection refused"));
    w.charon.clear();
    assert_true(w.fault_is(""));
    const unsigned before = w.changes;
    w.module = "no such device";
    assert_true(w.fault_is("kernel module does not answer: no such device"));
    assert_true(w.changes > before);
    auto c = w.config();
    c.shutdown = true;
    w.module.clear();
    w.use(c);
    assert_true(w.fault_is("shutdown"));
}

// A charon that holds its socket open and says nothing.
void silent_charon_is_a_fault_after_timeout(void **)
{
    World w;
    auto c = w.config();
    c.timeout = 300ms;
    w.answers = false;
    const Time start = io::boot_now();
    w.use(c);
    assert_string_equal(w.fault().c_str(), "");
    assert_true(w.fault_is("charon does not answer: silent for 0.3 s"));
    assert_true(io::boot_now() - start >= 300ms);
    w.heard++;                          // an event is a sign of life, too
    assert_true(w.fault_is(""));
    assert_true(w.fault_is("silent"));
}

// Time in which this process did not run is not charon's silence.
void own_absence_is_not_silence(void **)
{
    World w;
    auto c = w.config();
    c.interval = 1ms;
    c.timeout = 1s;
    w.answers = false;
    w.use(c);
    const Time until = io::boot_now() + 1500ms;     // the loop does not turn
    while (io::boot_now() < until)
        ;
    (void)w.loop->run_once(0ms);
    (void)w.loop->run_once(0ms);
    assert_string_equal(w.fault().c_str(), "");
}

void track_file_says_it(void **)
{
    World w;
    auto c = w.config();
    c.track_file = w.dir / "health";
    w.use(c);
    assert_true(w.fault_is("No such file"));
    put(c.track_file, "1\n");
    assert_true(w.fault_is(""));
    for (const char *down : {"0\n", " 0 \n1\n", "0"}) {
        put(c.track_file, down);
        assert_true(w.fault_is("says 0"));
        put(c.track_file, "100\n0\n");
        assert_true(w.fault_is(""));
    }
    put(c.track_file, "");
    assert_true(w.fault_is("is empty"));
    std::filesystem::remove(c.track_file);
    assert_int_equal(::mkfifo(c.track_file.c_str(), 0600), 0);
    assert_true(w.fault_is("not a regular file"));
}

void cpus_must_be_online(void **)
{
    World w;
    auto c = w.config();
    c.cpus = {2, 8};
    w.use(c);
    assert_string_equal(w.fault().c_str(), "");
    put(w.dir / "online", "0-1\n");
    assert_true(w.fault_is("cpu 2,8 offline"));
    put(w.dir / "online", "nonsense\n");
    assert_true(w.fault_is("is no list of CPUs"));
    put(w.dir / "online", "0-8\n");
    assert_true(w.fault_is(""));
}

void cpu_lists_are_read_strictly(void **)
{
    assert_true(take(parse_cpu_list("0-2,5\n")) == (std::vector<std::uint32_t>{0, 1, 2, 5}));
    assert_true(take(parse_cpu_list("7")) == std::vector<std::uint32_t>{7});
    assert_true(take(parse_cpu_list("\n")).empty());
    for (const char *bad : {"-1", "3-1", "1,,2", "a", "1 2", "0-", "99999999"})
        assert_false(parse_cpu_list(bad).has_value());
}

void track_script_decides(void **)
{
    World w;
    auto c = w.config();
    c.track_script = script(w.dir, "check", "test -e " + (w.dir / "up") + " || exit 3\n[ \"$MCIPSEC_MDA\" = 1/2 ]");
    w.use(c);
    assert_false(w.watch.settled());
    assert_true(w.fault_is("has not answered yet"));
    assert_true(w.fault_is("exit code 3"));
    assert_true(w.watch.settled());
    put(w.dir / "up", "");
    assert_true(w.fault_is(""));
    std::filesystem::remove(w.dir / "up");
    assert_true(w.fault_is("exit code 3"));
    c.track_script = w.dir / "missing";
    w.use(c);
    assert_true(w.fault_is("No such file"));
    c.track_script = script(w.dir, "killed", "kill -9 $$");
    w.use(c);
    assert_true(w.fault_is("killed by signal 9"));
}

// The script hangs with a child of its own: the loop goes on, both are killed.
void hanging_script_is_killed_with_its_children(void **)
{
    World w;
    auto c = w.config();
    const auto pids = w.dir / "pids";
    c.timeout = 400ms;
    c.track_script = script(w.dir, "hang", "sleep 1000 &\necho $! >" + pids + ".new\nmv " + pids + ".new " + pids + "\nwait");
    w.use(c);
    const bool wrote = turn_until(*w.loop, [&] { return std::filesystem::exists(pids) || w.fault().find("no answer") != std::string::npos; });
    assert_true(wrote);
    assert_true(w.fault_is("no answer within 0.4 s"));
    c.track_script.clear();
    w.use(c);
    assert_true(w.fault_is(""));
    pid_t grandchild = 0;
    std::ifstream(pids) >> grandchild;
    if (grandchild > 0)     // the machine was fast enough to start it
        assert_true(turn_until(*w.loop, [&] {
            std::ifstream stat("/proc/" + std::to_string(grandchild) + "/stat");
            std::string id, name, state;
            return !(stat >> id >> name >> state) || state == "Z";
        }));
}

void what_a_script_leaves_behind_goes_with_it(void **)
{
    World w;
    const auto pids = w.dir / "pids";
    io::Child child(*w.loop);
    bool ended = false;
    check(child.start(script(w.dir, "leave", "sleep 1000 &\necho $! >" + pids), {"PATH=/usr/bin:/bin"}, 20s, [&](const io::Child::Outcome &o) { ended = o.ok(); }));
    assert_false(child.start("/bin/true", {}, 1s, [](const io::Child::Outcome &) {}).has_value());      // one at a time
    assert_true(turn_until(*w.loop, [&] { return ended; }));
    pid_t left = 0;
    std::ifstream(pids) >> left;
    assert_true(left > 0);
    assert_true(turn_until(*w.loop, [&] {
        std::ifstream stat("/proc/" + std::to_string(left) + "/stat");
        std::string id, name, state;
        return !(stat >> id >> name >> state) || state == "Z";
    }));
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(plain_member_follows_charon_module_and_interfaces),
        cmocka_unit_test(silent_charon_is_a_fault_after_timeout),
        cmocka_unit_test(own_absence_is_not_silence),
        cmocka_unit_test(track_file_says_it),
        cmocka_unit_test(cpus_must_be_online),
        cmocka_unit_test(cpu_lists_are_read_strictly),
        cmocka_unit_test(track_script_decides),
        cmocka_unit_test(hanging_script_is_killed_with_its_children),
        cmocka_unit_test(what_a_script_leaves_behind_goes_with_it),
    };
    return cmocka_run_group_tests_name("member watch", tests, nullptr, nullptr);
}
