// SPDX-License-Identifier: GPL-2.0-or-later
// A program that the agent runs: no shell, no arguments, no input, no output,
// an environment of its own.
//
// Invariants: it is the leader of its own process group, and nothing of that
// group outlives it: whatever it left behind is killed before it is reaped, and
// so is the whole group when the object goes or the time is over. Signals have
// their defaults, no descriptor but 0, 1, 2 (/dev/null) is inherited.
// Threading: the loop's thread; start() does not wait for the program.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "io/event_loop.hpp"

namespace mcipsec::io {

class Child {
public:
    struct Outcome {
        bool timed_out = false;
        bool exited = false;        // else killed by `status`
        int status = 0;             // exit code or signal
        bool ok() const { return exited && !timed_out && status == 0; }
        std::string str() const;    // "exit code 3", "killed by signal 9", "no answer in time"
    };

    explicit Child(EventLoop &loop) : loop_(loop) {}
    ~Child() { stop(); }
    Child(const Child &) = delete;
    Child &operator=(const Child &) = delete;

    // environment: "NAME=value". -EBUSY while one runs, -ENOENT, -EACCES, ...
    Expected<void> start(const std::string &path, const std::vector<std::string> &environment, Duration timeout,
                         std::function<void(const Outcome &)> done);
    bool running() const { return pid_ > 0; }
    // Kills the group; done is not called.
    void stop();

private:
    void ended(int code, int status);

    EventLoop &loop_;
    pid_t pid_ = 0;
    bool timed_out_ = false;
    EventSource exit_, timer_;
    std::function<void(const Outcome &)> done_;
};

}  // namespace mcipsec::io
