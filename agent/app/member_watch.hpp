// SPDX-License-Identifier: GPL-2.0-or-later
// Watches what makes a member ([isa.mda.NAME]) healthy: charon answers, the
// kernel module answers, track-file, track-script, cpus. Each member is checked
// at its own interval; charon is asked, too, and is silent when nothing at all
// came from it for the member's timeout while it was asked.
//
// Invariants: nothing waits; a script runs once at a time and keeps its last
// answer while it runs again (a first answer that is not there yet is a fault).
// Only time in which this process ran counts as silence: after a stop of the
// agent charon gets its whole timeout again.
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/config.hpp"
#include "core/group/members.hpp"
#include "io/child.hpp"

namespace mcipsec::app {

// "0-3,5" as in /sys/devices/system/cpu/online; -EPROTO else.
Expected<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text);

class MemberWatch {
public:
    // The engine's view of charon and module. All are set before configure().
    struct Probes {
        std::function<std::string()> charon_down;                   // why, "" while connected
        std::function<std::uint64_t()> charon_heard;                // counts every answer and event
        std::function<void(std::function<void()> answered)> ask_charon;
        std::function<Expected<void>()> ask_module;
    };

    explicit MemberWatch(io::EventLoop &loop, std::string cpu_online = "/sys/devices/system/cpu/online");
    Probes probes;
    std::function<void()> on_change;    // a member became healthy or not, or for another reason

    // The members that there are from now on; one whose script changed keeps its
    // last verdict until the new script answered.
    Expected<void> configure(const std::map<std::string, MdaConfig> &members);
    // Every script answered once: verdicts are not preliminary any more.
    bool settled() const;
    // Of a member; interface_faults: "NAME is down" or "NAME does not exist", of the tunnel-group's xfrm interfaces.
    group::MemberHealth health(const std::string &name, const std::vector<std::string> &interface_faults) const;

private:
    struct Member {
        MdaConfig config;
        io::EventSource timer;
        std::unique_ptr<io::Child> script;
        bool script_known = false;
        std::string file_fault, script_fault, cpu_fault, module_fault;
        std::uint64_t heard = 0;        // charon's counter at the last check
        Duration silence{};
        Time checked{};
        bool seen = false;              // one check was done
    };
    void check(Member &m);
    void run_script(Member &m);
    std::string cpu_fault(const MdaConfig &c) const;
    std::vector<std::string> faults(const Member &m) const;

    io::EventLoop &loop_;
    std::string cpu_online_;
    std::map<std::string, Member> members_;
    bool asking_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace mcipsec::app
