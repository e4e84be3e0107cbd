// SPDX-License-Identifier: GPL-2.0-or-later
// The real agent and the real module.
#include "cli/backend.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include "io/clock.hpp"
#include "io/control_socket.hpp"

namespace mcipsec::cli {

namespace {

using nlohmann::json;

// An agent that is stopped must not hold a reader for long.
constexpr Duration kAnswer = 3s;
constexpr Duration kReload = 60s;       // reads the files of thousands of connections

Duration patience(const json &request)
{
    const auto command = request.value("command", json::array());
    return !command.empty() && command[0] == "reload" ? kReload : kAnswer;
}

volatile sig_atomic_t interrupted = 0;

class RealBackend final : public Backend {
public:
    explicit RealBackend(std::string run_dir) : path_(std::move(run_dir) + "/control.sock") {}

    Expected<json> agent(const json &request) override
    {
        auto client = io::ControlClient::connect(path_);
        if (!client)
            return tl::unexpected(client.error());
        auto answer = client->request(request, patience(request));
        if (!answer)
            return tl::unexpected(answer.error());
        return json(*answer);
    }

    Expected<void> events(const std::function<void()> &ready, const std::function<bool(const json &)> &event) override
    {
        auto client = io::ControlClient::connect(path_);
        if (!client)
            return tl::unexpected(client.error());
        auto answer = client->request(json{{"command", {"monitor"}}}, kAnswer);
        if (!answer)
            return tl::unexpected(answer.error());
        if (!answer->value("ok", false))
            return fail(-EPROTO, answer->value("error", "the agent refused"));
        catch_signals();
        ready();
        while (!interrupted) {
            auto e = client->next(Duration(-1));
            if (!e) {
                if (interrupted || e.error().code == -EINTR)
                    break;
                return tl::unexpected(e.error());
            }
            if (!event(json(*e)))
                break;
        }
        return {};
    }

    Expected<std::vector<io::GroupInfo>> groups() override
    {
        auto *nl = module();
        return nl ? (*nl)->group_dump() : tl::unexpected(module_error_);
    }

    Expected<std::vector<app::SaView>> sas(GroupId group) override
    {
        auto *nl = module();
        if (!nl)
            return tl::unexpected(module_error_);
        std::vector<GroupId> ids;
        if (group)
            ids.push_back(group);
        else if (auto all = (*nl)->group_dump())
            for (const auto &g : *all)
                ids.push_back(g.id);
        else
            return tl::unexpected(all.error());
        std::vector<app::SaView> out;
        for (const auto id : ids) {
            auto r = (*nl)->seq_get(id, [&](std::span<const mcipsec_seq> part) {
                for (const auto &s : part)
                    out.push_back(view(id, s));
            });
            if (!r)
                return tl::unexpected(r.error());
        }
        return out;
    }

    Expected<void> switchover(GroupId group, std::uint64_t id, std::uint32_t flags) override
    {
        auto *nl = module();
        return nl ? (*nl)->switchover(group, id, flags) : tl::unexpected(module_error_);
    }

    Time now() override { return io::boot_now(); }

    void sleep(Duration d) override
    {
        const auto ns = d.count();
        timespec t{static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
        clock_nanosleep(CLOCK_BOOTTIME, 0, &t, nullptr);
    }

    std::uint64_t random() override
    {
        std::uint64_t v = 0;
        if (getrandom(&v, sizeof v, 0) != sizeof v || !v)
            v = static_cast<std::uint64_t>(now().time_since_epoch().count()) | 1;
        return v;
    }

private:
    std::string path_;
    std::optional<io::McipsecNl> nl_;
    Error module_error_;

    std::optional<io::McipsecNl> *module()
    {
        if (!nl_) {
            auto r = io::McipsecNl::open();
            if (!r) {
                module_error_ = r.error();
                return nullptr;
            }
            nl_.emplace(std::move(*r));
        }
        return &nl_;
    }

    static app::SaView view(GroupId group, const mcipsec_seq &s)
    {
        app::SaView v;
        v.tunnel_group = group;
        v.direction = s.flags & MCIPSEC_SEQ_F_OUT ? "out" : "in";
        v.spi = fmt::format("{:08x}", ntohl(s.spi));
        IpAddress a;
        a.family = s.family == AF_INET ? 4 : 6;
        std::copy_n(s.daddr, a.size(), a.bytes.begin());
        v.destination = a.str();
        v.esn = s.flags & MCIPSEC_SEQ_F_ESN;
        v.replay = !(s.flags & MCIPSEC_SEQ_F_NOREPLAY);
        v.offload = s.flags & MCIPSEC_SEQ_F_OFFLOAD;
        v.oseq = s.oseq;
        v.seq = s.seq;
        v.packets = s.packets;
        v.octets = s.bytes;
        return v;
    }

    // Without SA_RESTART: a blocked read returns and the loop ends.
    static void catch_signals()
    {
        struct sigaction sa{};
        sa.sa_handler = [](int) { interrupted = 1; };
        sigaction(SIGINT, &sa, nullptr);
        sigaction(SIGTERM, &sa, nullptr);
    }
};

}  // namespace

std::unique_ptr<Backend> make_backend(const std::string &run_dir) { return std::make_unique<RealBackend>(run_dir); }

}  // namespace mcipsec::cli
