// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// keepalived's two ends: what stands in the track file and when, and what
// comes out of the notify FIFO.
#include <sys/inotify.h>
#include <sys/stat.h>

#include "io/files.hpp"
#include "io/vrrp_file.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

std::string content(const std::string &path)
{
    return take(read_file(path));
}

void the_value_is_explicit_minus_base(void **)
{
    // base 200, explicit 50: keepalived adds -150 and advertises 50
    assert_int_equal(take(VrrpTrackFile::value_for(50, 200)), -150);
    assert_int_equal(take(VrrpTrackFile::value_for(std::nullopt, 200)), 0);
    assert_int_equal(take(VrrpTrackFile::value_for(254, 100)), 154);
    assert_int_equal(take(VrrpTrackFile::value_for(1, 254)), -253);     // the lowest that is not FAULT
    assert_int_equal(take(VrrpTrackFile::value_for(0, 200)), VrrpTrackFile::kFault);
    assert_false(static_cast<bool>(VrrpTrackFile::value_for(255, 200)));
    assert_false(static_cast<bool>(VrrpTrackFile::value_for(-1, 200)));
    assert_false(static_cast<bool>(VrrpTrackFile::value_for(1, 0)));
    assert_false(static_cast<bool>(VrrpTrackFile::value_for(1, 255)));
}

void a_release_goes_through_fault(void **)
{
    ScratchFolder folder;
    auto loop = take(EventLoop::create());
    VrrpTrackFile file(*loop, folder / "vrrp10", 200);
    check(file.set(std::nullopt, false));
    assert_string_equal(content(file.path()).c_str(), "0\n");
    assert_int_equal(file.in_use(), 200);
    const Time before = loop->now();
    check(file.set(50, true));
    assert_string_equal(content(file.path()).c_str(), "-255\n");
    assert_int_equal(file.in_use(), 0);
    check(file.set(50, true));      // again, under way: does not start over
    assert_true(turn_until(*loop, [&] { return file.value() == -150; }));
    assert_true(loop->now() - before >= VrrpTrackFile::kStage);
    assert_string_equal(content(file.path()).c_str(), "-150\n");
    assert_int_equal(file.in_use(), 50);
    check(file.set(std::nullopt, false));
    assert_string_equal(content(file.path()).c_str(), "0\n");
}

void a_new_value_overtakes_a_stage_still_to_come(void **)
{
    ScratchFolder folder;
    auto loop = take(EventLoop::create());
    VrrpTrackFile file(*loop, folder / "f", 200);
    check(file.set(50, true));
    check(file.set(std::nullopt, false));
    const Time limit = loop->now() + 3 * VrrpTrackFile::kStage;
    while (loop->now() < limit)
        (void)loop->run_once(5ms);
    assert_string_equal(content(file.path()).c_str(), "0\n");
}

void the_same_value_is_not_written_again(void **)
{
    ScratchFolder folder;
    auto loop = take(EventLoop::create());
    VrrpTrackFile file(*loop, folder / "f", 200);
    check(file.set(50, false));
    UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    ::inotify_add_watch(watch.get(), file.path().c_str(), IN_CLOSE_WRITE);
    char b[4096];
    check(file.set(50, false));
    check(file.set(50, true));
    assert_true(::read(watch.get(), b, sizeof(b)) < 0);
    check(file.set(50, false, true));   // forced
    assert_true(::read(watch.get(), b, sizeof(b)) > 0);
    assert_true(::read(watch.get(), b, sizeof(b)) < 0);     // one event a write
}

void the_file_stays_the_same_file(void **)
{
    ScratchFolder folder;
    const std::string path = folder / "f";
    struct stat a {}, b {};
    check(write_track_value(path, -150));
    assert_int_equal(::stat(path.c_str(), &a), 0);
    check(write_track_value(path, 0));      // shorter: no rest of the old text
    assert_int_equal(::stat(path.c_str(), &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_string_equal(content(path).c_str(), "0\n");
}

void a_file_that_cannot_be_written_is_tried_again(void **)
{
    ScratchFolder folder;
    auto loop = take(EventLoop::create());
    VrrpTrackFile file(*loop, folder / "later/f", 200);
    assert_int_equal(file.set(50, false).error().code, -ENOENT);
    assert_int_equal(file.errors(), 1);
    check(make_folder(folder / "later"));
    check(file.set(50, false));
    assert_string_equal(content(file.path()).c_str(), "-150\n");
}

void notices_are_parsed(void **)
{
    VrrpNotice n = take(parse_vrrp_notice("INSTANCE \"VRRP10\" MASTER 200"));
    assert_true(n == (VrrpNotice{false, "VRRP10", "MASTER", 200}));
    n = take(parse_vrrp_notice("GROUP \"both sides\" BACKUP 0"));
    assert_true(n == (VrrpNotice{true, "both sides", "BACKUP", 0}));
    n = take(parse_vrrp_notice("INSTANCE \"V\" BACKUP_PRIORITY 50"));
    assert_string_equal(n.state.c_str(), "BACKUP_PRIORITY");
    for (const char *bad : {"", "INSTANCE", "INSTANCE VRRP10 MASTER 200", "INSTANCE \"\" MASTER 1", "INSTANCE \"V\" MASTER", "INSTANCE \"V\" MASTER x",
                            "INSTANCE \"V\" MASTER 256", "INSTANCE \"V\" MASTER -1", "INSTANCE \"V\"MASTER 1", "INSTANCE \"V\" master 1",
                            "INSTANCE \"V\" MASTER 1 ", "VRRP \"V\" MASTER 1"})
        assert_false(static_cast<bool>(parse_vrrp_notice(bad)));
}

struct Fifo {
    ScratchFolder folder;
    std::unique_ptr<EventLoop> loop = take(EventLoop::create());
    std::vector<VrrpNotice> seen;
    std::unique_ptr<VrrpFifo> fifo;
    std::string path = folder / "notify";
    Fifo() { fifo = take(VrrpFifo::open(*loop, path, [this](const VrrpNotice &n) { seen.push_back(n); })); }
    // As keepalived does: open, write, and go away.
    bool write(const std::string &text)
    {
        UniqueFd w(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
        return w && ::write(w.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    }
};

void the_fifo_survives_its_writers(void **)
{
    Fifo f;
    struct stat st {};
    assert_int_equal(::stat(f.path.c_str(), &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    for (int i = 0; i < 3; ++i)     // three lives of keepalived
        assert_true(f.write("INSTANCE \"A\" MASTER " + std::to_string(i) + "\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 3; }));
    assert_int_equal(f.seen[2].priority, 2);
    assert_int_equal(f.fifo->reopened(), 0);
}

// Who has it open for writing is there; who has gone and come back within kGone was never away.
void the_end_of_its_writer_is_told(void **)
{
    Fifo f;
    std::vector<bool> told;
    f.fifo->on_writer = [&](bool there) { told.push_back(there); };
    UniqueFd keepalived(::open(f.path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    assert_true(f.write("INSTANCE \"A\" MASTER 1\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 1; }));
    keepalived.reset();                     // a reload
    (void)f.loop->run_once(5ms);
    keepalived.reset(::open(f.path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    assert_true(f.write("INSTANCE \"A\" BACKUP 1\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 2; }));
    assert_true(told.empty() && f.fifo->writer());
    keepalived.reset();
    const Time since = f.loop->now();
    assert_true(turn_until(*f.loop, [&] { return !told.empty(); }));
    assert_true(told == std::vector{false} && !f.fifo->writer());
    assert_true(f.loop->now() >= since + VrrpFifo::kGone);
    keepalived.reset(::open(f.path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    assert_true(turn_until(*f.loop, [&] { return told.size() == 2; }));
    assert_true(told[1] && f.fifo->writer());
    assert_true(f.write("INSTANCE \"A\" MASTER 1\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 3; }));
    assert_int_equal(f.fifo->reopened(), 0);
}

// keepalived has the old one open: it is of no use to either.
void whoever_writes_to_a_removed_fifo_is_gone(void **)
{
    Fifo f;
    UniqueFd keepalived(::open(f.path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    assert_true(f.write("INSTANCE \"A\" MASTER 1\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 1; }));
    ::unlink(f.path.c_str());
    assert_true(turn_until(*f.loop, [&] { return !f.fifo->writer(); }));
    assert_int_equal(f.fifo->reopened(), 1);
}

void lines_may_be_cut_joined_or_broken(void **)
{
    Fifo f;
    const UniqueFd keepalived(::open(f.path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));    // else its end is a line's, too
    assert_true(f.write("INSTANCE \"A\" MAS"));
    (void)f.loop->run_once(5ms);
    assert_true(f.write("TER 1\nnonsense\nINSTANCE \"B\" BACKUP 2\n" + std::string(2000, 'x') + "\nINSTANCE \"C\" FAULT 3\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 3; }));
    assert_string_equal(f.seen[0].name.c_str(), "A");
    assert_string_equal(f.seen[2].name.c_str(), "C");
    assert_int_equal(f.fifo->malformed(), 2);
}

void a_fifo_that_is_removed_or_replaced_is_made_anew(void **)
{
    Fifo f;
    ::unlink(f.path.c_str());
    assert_true(turn_until(*f.loop, [&] { return f.fifo->reopened() == 1; }));
    assert_true(f.write("INSTANCE \"A\" MASTER 1\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 1; }));
    // replaced by another one
    const std::string other = f.folder / "other";
    assert_int_equal(::mkfifo(other.c_str(), 0600), 0);
    assert_int_equal(::rename(other.c_str(), f.path.c_str()), 0);
    assert_true(turn_until(*f.loop, [&] { return f.fifo->reopened() == 2; }));
    assert_true(f.write("INSTANCE \"A\" BACKUP 1\n"));
    assert_true(turn_until(*f.loop, [&] { return f.seen.size() == 2; }));
}

void a_path_that_is_no_fifo_is_refused(void **)
{
    ScratchFolder folder;
    auto loop = take(EventLoop::create());
    check(write_file_atomic(folder / "file", "x"));
    assert_int_equal(VrrpFifo::open(*loop, folder / "file", {}).error().code, -EINVAL);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_value_is_explicit_minus_base),
        cmocka_unit_test(a_release_goes_through_fault),
        cmocka_unit_test(a_new_value_overtakes_a_stage_still_to_come),
        cmocka_unit_test(the_same_value_is_not_written_again),
        cmocka_unit_test(the_file_stays_the_same_file),
        cmocka_unit_test(a_file_that_cannot_be_written_is_tried_again),
        cmocka_unit_test(notices_are_parsed),
        cmocka_unit_test(the_fifo_survives_its_writers),
        cmocka_unit_test(the_end_of_its_writer_is_told),
        cmocka_unit_test(whoever_writes_to_a_removed_fifo_is_gone),
        cmocka_unit_test(lines_may_be_cut_joined_or_broken),
        cmocka_unit_test(a_fifo_that_is_removed_or_replaced_is_made_anew),
        cmocka_unit_test(a_path_that_is_no_fifo_is_refused),
    };
    return cmocka_run_group_tests_name("io vrrp", tests, nullptr, nullptr);
}
