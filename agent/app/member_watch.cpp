// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/member_watch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>

#include "io/files.hpp"
#include "io/unique_fd.hpp"

namespace mcipsec::app {

namespace {

constexpr std::uint32_t kMaxCpu = 65535;

// Why the track-file speaks against the member, "" if it does not. It is opened
// without waiting: a FIFO in its place is a fault, not a hang.
std::string file_fault_of(const std::string &path)
{
    if (path.empty())
        return {};
    const io::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd)
        return fmt::format("track-file {}: {}", path, std::strerror(errno));
    struct stat st{};
    if (::fstat(fd.get(), &st) < 0 || !S_ISREG(st.st_mode))
        return fmt::format("track-file {}: not a regular file", path);
    char text[64];
    const auto n = ::read(fd.get(), text, sizeof text);
    if (n < 0)
        return fmt::format("track-file {}: {}", path, std::strerror(errno));
    std::string_view line(text, static_cast<std::size_t>(n));
    line = line.substr(0, line.find('\n'));
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())))
        line.remove_suffix(1);
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.front())))
        line.remove_prefix(1);
    if (line.empty())
        return fmt::format("track-file {} is empty", path);
    return line == "0" ? fmt::format("track-file {} says 0", path) : "";
}

std::vector<std::string> environment_of(const MdaConfig &c)
{
    const char *path = std::getenv("PATH");
    return {fmt::format("PATH={}", path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"), "LANG=C", "MCIPSEC_MDA=" + c.name};
}

}  // namespace

Expected<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text)
{
    std::vector<std::uint32_t> out;
    const auto bad = [&] { return fail(-EPROTO, fmt::format("'{}' is no list of CPUs", text)); };
    while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
        text.remove_suffix(1);
    const char *p = text.data(), *const end = text.data() + text.size();
    const auto number = [&](std::uint32_t &n) {
        const auto [next, ec] = std::from_chars(p, end, n);
        p = next;
        return ec == std::errc() && n <= kMaxCpu;
    };
    while (p < end) {
        std::uint32_t first = 0;
        if (!number(first))
            return bad();
        std::uint32_t last = first;
        if (p < end && *p == '-' && (++p, !number(last) || last < first))
            return bad();
        for (auto n = first; n <= last; n++)
            out.push_back(n);
        if (p < end && *p++ != ',')
            return bad();
    }
    return out;
}

MemberWatch::MemberWatch(io::EventLoop &loop, std::string cpu_online) : loop_(loop), cpu_online_(std::move(cpu_online)) {}

Expected<void> MemberWatch::configure(const std::map<std::string, MdaConfig> &members)
{
    std::erase_if(members_, [&](const auto &m) { return !members.contains(m.first); });
    for (const auto &[name, config] : members) {
        auto &m = members_[name];
        const bool other_script = m.config.track_script != config.track_script;
        m.config = config;
        m.config.name = name;
        if (!m.timer.active()) {
            auto timer = loop_.add_timer([this, name = name](Time) {
                if (const auto it = members_.find(name); it != members_.end())
                    check(it->second);
            });
            if (!timer)
                return tl::unexpected(timer.error());
            m.timer = std::move(*timer);
            m.script = std::make_unique<io::Child>(loop_);
        }
        if (other_script)
            m.script->stop();
        if (config.track_script.empty()) {
            m.script_known = true;
            m.script_fault.clear();
        } else if (!m.seen) {
            m.script_known = false;
            m.script_fault = fmt::format("track-script {} has not answered yet", config.track_script);
        }
        check(m);
    }
    return {};
}

bool MemberWatch::settled() const
{
    return std::all_of(members_.begin(), members_.end(), [](const auto &m) { return m.second.script_known; });
}

void MemberWatch::check(Member &m)
{
    const auto before = faults(m);
    const Time now = loop_.now();
    m.file_fault = file_fault_of(m.config.track_file);
    m.cpu_fault = cpu_fault(m.config);
    const auto module = probes.ask_module();
    m.module_fault = module ? "" : "kernel module does not answer: " + module.error().text;

    // A check that comes late counts as one interval: this process did not run.
    const auto heard = probes.charon_heard();
    if (!m.seen || heard != m.heard || !probes.charon_down().empty())
        m.silence = {};
    else
        m.silence += std::min(now - m.checked, 2 * m.config.interval);
    m.heard = heard;
    m.checked = now;
    m.seen = true;
    if (!asking_ && probes.charon_down().empty()) {
        asking_ = true;
        probes.ask_charon([this, alive = alive_] {
            if (*alive)
                asking_ = false;
        });
    }
    run_script(m);
    (void)m.timer.arm(now + m.config.interval);
    if (on_change && faults(m) != before)
        on_change();
}

void MemberWatch::run_script(Member &m)
{
    if (m.config.track_script.empty() || m.script->running())
        return;
    const auto answer = [this, name = m.config.name](const std::string &fault) {
        const auto it = members_.find(name);
        if (it == members_.end())
            return;
        const bool news = !std::exchange(it->second.script_known, true) || it->second.script_fault != fault;
        it->second.script_fault = fault;
        if (news && on_change)
            on_change();
    };
    const auto script = m.config.track_script;
    const auto limit = m.config.timeout;
    const auto started = m.script->start(script, environment_of(m.config), limit, [answer, script, limit](const io::Child::Outcome &o) {
        if (o.timed_out)
            answer(fmt::format("track-script {}: no answer within {} s", script, std::chrono::duration<double>(limit).count()));
        else
            answer(o.ok() ? "" : fmt::format("track-script {}: {}", script, o.str()));
    });
    if (!started)
        answer("track-script " + started.error().text);
}

std::string MemberWatch::cpu_fault(const MdaConfig &c) const
{
    if (c.cpus.empty())
        return {};
    const auto text = io::read_file(cpu_online_, 65536);
    if (!text)
        return "cpus: " + text.error().text;
    const auto online = parse_cpu_list(*text);
    if (!online)
        return "cpus: " + online.error().text;
    std::string gone;
    for (const auto cpu : c.cpus)
        if (std::find(online->begin(), online->end(), cpu) == online->end())
            gone += fmt::format("{}{}", gone.empty() ? "" : ",", cpu);
    return gone.empty() ? "" : fmt::format("cpu {} offline", gone);
}

std::vector<std::string> MemberWatch::faults(const Member &m) const
{
    std::vector<std::string> out;
    if (const auto why = probes.charon_down(); !why.empty())
        out.push_back("charon does not answer: " + why);
    else if (m.silence >= m.config.timeout)
        out.push_back(fmt::format("charon does not answer: silent for {} s", std::chrono::duration<double>(m.config.timeout).count()));
    for (const auto *fault : {&m.module_fault, &m.file_fault, &m.script_fault, &m.cpu_fault})
        if (!fault->empty())
            out.push_back(*fault);
    return out;
}

group::MemberHealth MemberWatch::health(const std::string &name, const std::vector<std::string> &interface_faults) const
{
    group::MemberHealth h;
    h.name = name;
    const auto it = members_.find(name);
    if (it == members_.end()) {
        h.faults.push_back("not configured");
        return h;
    }
    h.admin_up = !it->second.config.shutdown;
    h.faults = faults(it->second);
    for (const auto &i : interface_faults)
        h.faults.push_back("interface " + i);
    return h;
}

}  // namespace mcipsec::app
