// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "io/address.hpp"

namespace mcipsec::io {

namespace {

// posix_spawn's attributes and file actions, freed on every path.
struct Plan {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    int error = 0;

    Plan()
    {
        ::posix_spawnattr_init(&attributes);
        ::posix_spawn_file_actions_init(&files);
    }
    ~Plan()
    {
        ::posix_spawnattr_destroy(&attributes);
        ::posix_spawn_file_actions_destroy(&files);
    }
    void step(int r)
    {
        if (!error)
            error = r;
    }
};

}  // namespace

std::string Child::Outcome::str() const
{
    if (timed_out)
        return "no answer in time";
    return exited ? fmt::format("exit code {}", status) : fmt::format("killed by signal {}", status);
}

Expected<void> Child::start(const std::string &path, const std::vector<std::string> &environment, Duration timeout,
                            std::function<void(const Outcome &)> done)
{
    if (running())
        return fail(-EBUSY, path + ": is running");
    auto timer = loop_.add_timer([this](Time) {
        timed_out_ = true;
        ::kill(-pid_, SIGKILL);     // ended() follows
    });
    if (!timer)
        return tl::unexpected(timer.error());

    Plan plan;
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    plan.step(::posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    plan.step(::posix_spawnattr_setpgroup(&plan.attributes, 0));
    plan.step(::posix_spawnattr_setsigmask(&plan.attributes, &none));
    plan.step(::posix_spawnattr_setsigdefault(&plan.attributes, &all));
    plan.step(::posix_spawn_file_actions_addopen(&plan.files, 0, "/dev/null", O_RDWR, 0));
    plan.step(::posix_spawn_file_actions_adddup2(&plan.files, 0, 1));
    plan.step(::posix_spawn_file_actions_adddup2(&plan.files, 0, 2));
    plan.step(::posix_spawn_file_actions_addclosefrom_np(&plan.files, 3));
    std::vector<char *> words{const_cast<char *>(path.c_str()), nullptr}, variables;
    for (const auto &v : environment)
        variables.push_back(const_cast<char *>(v.c_str()));
    variables.push_back(nullptr);
    pid_t pid = 0;
    plan.step(plan.error ? plan.error : ::posix_spawn(&pid, path.c_str(), &plan.files, &plan.attributes, words.data(), variables.data()));
    if (plan.error)
        return fail_errno(plan.error, path);

    auto exit = loop_.add_child(pid, [this](int code, int status) { ended(code, status); });
    if (!exit) {
        ::kill(-pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return tl::unexpected(exit.error());
    }
    pid_ = pid;
    timed_out_ = false;
    exit_ = std::move(*exit);
    timer_ = std::move(*timer);
    done_ = std::move(done);
    return timer_.arm(loop_.now() + timeout);
}

// Runs before the leader is reaped: its id still names the group.
void Child::ended(int code, int status)
{
    ::kill(-pid_, SIGKILL);
    Outcome o;
    o.timed_out = timed_out_;
    o.exited = code == CLD_EXITED;
    o.status = status;
    pid_ = 0;
    timer_.reset();
    auto done = std::move(done_);
    exit_.reset();      // sd-event reaps it all the same, after this callback
    done(o);
}

void Child::stop()
{
    if (!running())
        return;
    ::kill(-pid_, SIGKILL);
    exit_.reset();
    timer_.reset();
    ::waitpid(pid_, nullptr, 0);    // killed: at once
    pid_ = 0;
}

}  // namespace mcipsec::io
