// SPDX-License-Identifier: GPL-2.0-or-later
// What the command line talks to: the agent's control socket and the kernel
// module. Behind an interface, so that the commands run in unit tests against
// fakes of both.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/view.hpp"
#include "core/types.hpp"
#include "io/mcipsec_nl.hpp"

namespace mcipsec::cli {

class Backend {
public:
    virtual ~Backend() = default;

    // One request to the agent. Errors: -ENOENT, -ECONNREFUSED, -ETIMEDOUT,
    // -ECONNRESET: there is no agent that answers. What the agent refuses is no
    // error here but an answer with "ok": false.
    virtual Expected<nlohmann::json> agent(const nlohmann::json &request) = 0;
    // Events of the agent; `ready` runs once they are subscribed, `event` for
    // each (false ends it). Returns an error when the agent goes, ok after an interrupt.
    virtual Expected<void> events(const std::function<void()> &ready, const std::function<bool(const nlohmann::json &)> &event) = 0;

    // The module's groups. -ENOENT: it is not loaded.
    virtual Expected<std::vector<io::GroupInfo>> groups() = 0;
    virtual Expected<std::vector<app::SaView>> sas(GroupId group) = 0;
    // -ENOENT, -EPERM, -EAGAIN, -ESRCH as in the uapi header.
    virtual Expected<void> switchover(GroupId group, std::uint64_t id, std::uint32_t flags) = 0;

    virtual Time now() = 0;
    virtual void sleep(Duration d) = 0;
    virtual std::uint64_t random() = 0;
};

std::unique_ptr<Backend> make_backend(const std::string &run_dir);

}  // namespace mcipsec::cli
