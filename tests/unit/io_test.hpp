// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests of adapters share: turning a loop until something holds,
// scratch folders, fresh network namespaces.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "io/event_loop.hpp"
#include "io/unique_fd.hpp"
#include "unit/cmocka_cpp.hpp"

namespace mcipsec::test {

// Long enough for a loaded machine: only a failing test waits for it.
constexpr Duration kPatience = 20s;

inline void broken(const std::string &why)
{
    print_error("%s\n", why.c_str());
    _fail(__FILE__, __LINE__);
}

template <typename T>
T take(Expected<T> e)
{
    if (!e)
        broken("unexpected error: " + e.error().text);
    return std::move(*e);
}
inline void check(const Expected<void> &e)
{
    if (!e)
        broken("unexpected error: " + e.error().text);
}

// Turns the loop until the predicate holds; false after kPatience.
template <typename P>
bool turn_until(io::EventLoop &loop, P holds)
{
    const Time limit = io::boot_now() + kPatience;
    while (!holds()) {
        if (io::boot_now() > limit)
            return false;
        if (!loop.run_once(10ms))
            return false;
    }
    return true;
}

struct ScratchFolder {
    std::string path;
    ScratchFolder()
    {
        char name[] = "/tmp/mcipsec-test-XXXXXX";
        if (!::mkdtemp(name))
            broken("no scratch folder");
        path = name;
    }
    ~ScratchFolder()
    {
        std::error_code e;
        std::filesystem::remove_all(path, e);
    }
    std::string operator/(const char *name) const { return path + "/" + name; }
};

// Moves this process into a new network namespace with "lo" up. False: not permitted.
inline bool fresh_network_namespace()
{
    if (::unshare(CLONE_NEWNET) < 0)
        return false;
    io::UniqueFd s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq r{};
    std::snprintf(r.ifr_name, sizeof(r.ifr_name), "lo");
    r.ifr_flags = IFF_UP;
    return ::ioctl(s.get(), SIOCSIFFLAGS, &r) == 0;
}

inline bool run(const char *command)
{
    return std::system(command) == 0;
}

// A skip says what is missing; EXPECT_ALL_FEATURES=1 makes it a failure.
inline void skip_without(const char *what)
{
    const char *all = std::getenv("EXPECT_ALL_FEATURES");
    if (all && *all == '1')
        broken(std::string("missing: ") + what);
    print_message("SKIP: missing: %s\n", what);
    skip();
}

}  // namespace mcipsec::test
