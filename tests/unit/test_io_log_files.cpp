// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// Log lines, ring and names; secret files, atomic writes; sd_notify.
#include <sys/stat.h>
#include <sys/un.h>

#include <set>

#include "io/files.hpp"
#include "io/log.hpp"
#include "io/notify.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

void a_line_carries_every_field_once(void **)
{
    LogRecord r;
    r.level = Level::Notice;
    r.event = event::kMastership;
    r.peer = "192.0.2.2";
    r.group = 1;
    r.old_state = "standby";
    r.new_state = "master";
    r.reason = "force-switchover by operator";
    r.extra = {{"GENERATION", "7"}};
    r.monotonic = 12s + 345678us;
    assert_string_equal(format_line(r).c_str(),
                        "[    12.345678] notice: tMcPeerIPsecTnlGrpMasterStateChg peer=192.0.2.2 group=1 old=standby new=master "
                        "reason=\"force-switchover by operator\" generation=7");
}

void a_line_stays_one_line(void **)
{
    LogRecord r;
    r.text = "a\nb\x1b[31m";
    r.reason = "x\ny";
    const std::string line = format_line(r);
    assert_true(line.find('\n') == std::string::npos);
    assert_true(line.find('\x1b') == std::string::npos);
    assert_non_null(std::strstr(line.c_str(), "a\\x0ab\\x1b[31m"));
}

void the_ring_keeps_the_last_and_tails(void **)
{
    Log log(3);
    log.set_sink(Log::Sink::None);
    std::uint64_t heard = 0;
    log.listener = [&](const LogRecord &r) { heard = r.serial; };
    for (int i = 1; i <= 5; ++i)
        log.text(Level::Info, std::to_string(i));
    log.text(Level::Debug, "below the level");
    const auto all = log.tail(10);
    assert_int_equal(all.size(), 3);
    assert_string_equal(all.front().text.c_str(), "3");
    assert_string_equal(all.back().text.c_str(), "5");
    assert_int_equal(heard, 5);
    assert_int_equal(log.tail(1).front().serial, 5);
    assert_int_equal(log.since(4, 10).size(), 1);
    assert_int_equal(log.since(5, 10).size(), 0);
    log.set_level(Level::Debug);
    log.text(Level::Debug, "now");
    assert_string_equal(log.tail(1).front().text.c_str(), "now");
}

void event_names_have_distinct_ids(void **)
{
    std::set<std::string_view> ids;
    for (const auto name : {event::kMastership, event::kProtection, event::kSyncStatus, event::kSkewRaised, event::kSkewCleared, event::kStart,
                            event::kStop, event::kConfig, event::kPeer, event::kBfd, event::kMember, event::kSwitchover, event::kTunnel,
                            event::kCharon, event::kKernel, event::kVrrp, event::kRoute, event::kConfigDiffers, event::kAlarm}) {
        assert_int_equal(message_id(name).size(), 32);
        assert_true(ids.insert(message_id(name)).second);
    }
    assert_true(message_id("no such event").empty());
}

void levels_have_names(void **)
{
    assert_true(take(parse_level("debug")) == Level::Debug);
    assert_false(static_cast<bool>(parse_level("chatty")));
}

void a_secret_file_must_be_private(void **)
{
    ScratchFolder folder;
    const std::string path = folder / "peer.key";
    check(write_file_atomic(path, "0123456789abcdef\n", 0600));
    const SecretBytes key = take(read_secret_file(path));
    assert_int_equal(key.size(), 16);
    for (const unsigned mode : {0640u, 0604u, 0644u, 0610u}) {
        ::chmod(path.c_str(), mode);
        const auto r = read_secret_file(path);
        assert_false(static_cast<bool>(r));
        assert_int_equal(r.error().code, -EPERM);
        assert_non_null(std::strstr(r.error().text.c_str(), "0600"));
    }
    ::chmod(path.c_str(), 0400);
    assert_true(static_cast<bool>(read_secret_file(path)));
    if (::geteuid() == 0) {
        assert_int_equal(::chown(path.c_str(), 65534, 65534), 0);
        assert_int_equal(read_secret_file(path).error().code, -EPERM);
    }
    assert_int_equal(read_secret_file(folder / "absent").error().code, -ENOENT);
    assert_int_equal(read_secret_file(folder.path).error().code, -EINVAL);
    const std::string fifo = folder / "fifo";
    assert_int_equal(::mkfifo(fifo.c_str(), 0600), 0);
    assert_int_equal(read_secret_file(fifo).error().code, -EINVAL);     // and does not hang
    check(write_file_atomic(folder / "long", std::string(100, 'x'), 0600));
    assert_int_equal(read_secret_file(folder / "long", 50).error().code, -EFBIG);
}

void an_atomic_write_replaces_the_file_and_leaves_nothing_else(void **)
{
    ScratchFolder folder;
    const std::string path = folder / "f";
    struct stat a {}, b {};
    check(write_file_atomic(path, "one", 0640));
    assert_int_equal(::stat(path.c_str(), &a), 0);
    check(write_file_atomic(path, "two", 0640));
    assert_int_equal(::stat(path.c_str(), &b), 0);
    assert_true(a.st_ino != b.st_ino);
    assert_int_equal(b.st_mode & 0777, 0640);
    assert_string_equal(take(read_file(path)).c_str(), "two");
    assert_int_equal(write_file_atomic(folder / "no/such/folder", "x").error().code, -ENOENT);
    unsigned files = 0;
    for ([[maybe_unused]] const auto &e : std::filesystem::directory_iterator(folder.path))
        ++files;
    assert_int_equal(files, 1);
    assert_int_equal(read_file(path, 2).error().code, -EFBIG);
}

void a_lock_has_one_owner(void **)
{
    ScratchFolder folder;
    {
        const auto lock = lock_file(folder / "lock");
        assert_true(lock.has_value());
        assert_int_equal(lock_file(folder / "lock").error().code, -EBUSY);
        assert_true(lock_file(folder / "another").has_value());
    }
    assert_true(lock_file(folder / "lock").has_value());    // it is there still, and nobody's
    assert_int_equal(lock_file(folder / "no/such/folder").error().code, -ENOENT);
}

void folders_are_made_with_their_parents(void **)
{
    ScratchFolder folder;
    check(make_folder(folder / "a/b/c"));
    check(make_folder(folder / "a/b/c"));
    check(write_file_atomic(folder / "file", "x"));
    assert_false(static_cast<bool>(make_folder(folder / "file")));
    assert_false(static_cast<bool>(make_folder(folder / "file/below")));
}

void entropy_differs_and_the_boot_does_not(void **)
{
    assert_true(take(random_u64()) != take(random_u64()));
    assert_int_equal(take(boot_id()).size(), 36);
    assert_true(take(boot_id()) == take(boot_id()));
}

void systemd_is_told(void **)
{
    ScratchFolder folder;
    const std::string path = folder / "notify";
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    std::snprintf(a.sun_path, sizeof(a.sun_path), "%s", path.c_str());
    assert_int_equal(::bind(fd.get(), reinterpret_cast<sockaddr *>(&a), sizeof(a)), 0);
    const auto said = [&] {
        char b[512];
        const ssize_t n = ::recv(fd.get(), b, sizeof(b), 0);
        return std::string(b, n > 0 ? static_cast<std::size_t>(n) : 0);
    };
    check(notify::ready());         // without the variable: nothing
    assert_true(said().empty());
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    check(notify::ready("one\nREADY=0"));
    assert_string_equal(said().c_str(), "READY=1\nSTATUS=one READY=0");
    check(notify::reloading());
    assert_true(said().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    check(notify::stopping());
    assert_string_equal(said().c_str(), "STOPPING=1");
    check(notify::watchdog());
    assert_string_equal(said().c_str(), "WATCHDOG=1");
    ::unsetenv("NOTIFY_SOCKET");
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_line_carries_every_field_once),
        cmocka_unit_test(a_line_stays_one_line),
        cmocka_unit_test(the_ring_keeps_the_last_and_tails),
        cmocka_unit_test(event_names_have_distinct_ids),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(a_secret_file_must_be_private),
        cmocka_unit_test(an_atomic_write_replaces_the_file_and_leaves_nothing_else),
        cmocka_unit_test(a_lock_has_one_owner),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(entropy_differs_and_the_boot_does_not),
        cmocka_unit_test(systemd_is_told),
    };
    return cmocka_run_group_tests_name("io log and files", tests, nullptr, nullptr);
}
