// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/log.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "io/clock.hpp"

namespace mcipsec::io {

namespace {

// Never change one: operators' filters know them.
constexpr std::pair<std::string_view, std::string_view> kMessageIds[] = {
    {event::kMastership, "25b49e10197f4ed1b9c3b7b5533a6102"},
    {event::kProtection, "a50a1a84ec3f41ca98030b1d686ff238"},
    {event::kSyncStatus, "f69501853f744da09e9a0d130082b098"},
    {event::kSkewRaised, "091c522d7abd4201be5c14205c04ef4d"},
    {event::kSkewCleared, "509a45cbc99f4ed38338aef8a3e61526"},
    {event::kStart, "e2904f73c27441fda615df445363e4ae"},
    {event::kStop, "e54f29a429c749f5a5b5d816eb994855"},
    {event::kConfig, "be08aa7f9a0442a39e64fcf1b631a587"},
    {event::kPeer, "e0d80710d0304b41bce7a3ca88345311"},
    {event::kBfd, "f84d78f6a84940d8bdb6e22bf118569c"},
    {event::kMember, "e130116acb1f4f09876c4c360a8fd0bc"},
    {event::kSwitchover, "52c01841e58849c391619664f810a201"},
    {event::kTunnel, "9d7d58312ccf4eb89695ca8a328dd685"},
    {event::kCharon, "59aef80d101c45e6969840209654c4cd"},
    {event::kKernel, "5b433fa9b35242d39eaf5d066378fb03"},
    {event::kVrrp, "185b75b74cbd49ff8086e78af79171fe"},
    {event::kRoute, "ff041bc48b8d4d88beee3ae2d05e8eb6"},
    {event::kConfigDiffers, "c7fef1e4c20e4bd4b4e84c86bf9e264c"},
    {event::kAlarm, "d73b8f511630421fa5fc1907c0fb93d9"},
};

void escape_into(std::string &out, std::string_view text)
{
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (u >= 0x20 && u != 0x7f) {
            out += c;
            continue;
        }
        char hex[8];
        std::snprintf(hex, sizeof(hex), "\\x%02x", u);
        out += hex;
    }
}

void field_into(std::string &out, std::string_view name, std::string_view value)
{
    if (value.empty())
        return;
    out += ' ';
    out += name;
    out += '=';
    const bool quote = value.find_first_of(" \"=") != std::string_view::npos;
    if (quote)
        out += '"';
    escape_into(out, value);
    if (quote)
        out += '"';
}

}  // namespace

std::string_view to_string(Level level)
{
    switch (level) {
    case Level::Error: return "error";
    case Level::Warning: return "warning";
    case Level::Notice: return "notice";
    case Level::Info: return "info";
    case Level::Debug: return "debug";
    }
    return "?";
}

Expected<Level> parse_level(std::string_view text)
{
    for (const Level l : {Level::Error, Level::Warning, Level::Notice, Level::Info, Level::Debug})
        if (text == to_string(l))
            return l;
    return fail(-EINVAL, "log level: allowed are error, warning, notice, info, debug");
}

std::string_view message_id(std::string_view name)
{
    for (const auto &[event, id] : kMessageIds)
        if (event == name)
            return id;
    return "";
}

bool stderr_is_journal()
{
    // JOURNAL_STREAM=device:inode of the stream that systemd connected (systemd.exec(5)).
    const char *stream = std::getenv("JOURNAL_STREAM");
    if (!stream)
        return false;
    unsigned long long device = 0, inode = 0;
    if (std::sscanf(stream, "%llu:%llu", &device, &inode) != 2)
        return false;
    struct stat st {};
    return ::fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

std::string format_line(const LogRecord &r)
{
    char stamp[48];
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(r.monotonic).count();
    std::snprintf(stamp, sizeof(stamp), "[%6lld.%06lld] ", static_cast<long long>(us / 1000000), static_cast<long long>(us % 1000000));
    std::string out = stamp;
    out += to_string(r.level);
    out += ':';
    if (!r.event.empty()) {
        out += ' ';
        out += r.event;
    }
    if (!r.text.empty()) {
        out += ' ';
        escape_into(out, r.text);
    }
    field_into(out, "peer", r.peer);
    if (r.group)
        field_into(out, "group", std::to_string(r.group));
    field_into(out, "old", r.old_state);
    field_into(out, "new", r.new_state);
    field_into(out, "reason", r.reason);
    for (const auto &[name, value] : r.extra) {
        std::string lower(name);
        for (char &c : lower)
            if (c >= 'A' && c <= 'Z')
                c = static_cast<char>(c - 'A' + 'a');
        field_into(out, lower, value);
    }
    return out;
}

Log::Log(std::size_t ring) : limit_(ring ? ring : 1), journal_(stderr_is_journal()) {}

void Log::set_sink(Sink sink)
{
    const std::lock_guard lock(mutex_);
    silent_ = sink == Sink::None;
    journal_ = sink == Sink::Journal || (sink == Sink::Auto && stderr_is_journal());
}

namespace {

int write_journal(const LogRecord &r)
{
    std::vector<std::string> fields;
    fields.push_back("PRIORITY=" + std::to_string(static_cast<int>(r.level)));
    fields.push_back("SYSLOG_IDENTIFIER=mcipsecd");
    std::string message = r.event;
    if (!r.text.empty())
        message += (message.empty() ? "" : " ") + r.text;
    if (!r.new_state.empty())
        message += " " + (r.old_state.empty() ? r.new_state : r.old_state + " -> " + r.new_state);
    if (!r.reason.empty())
        message += " (" + r.reason + ")";
    fields.push_back("MESSAGE=" + message);
    const auto add = [&](std::string_view name, const std::string &value) {
        if (!value.empty())
            fields.push_back(std::string(name) + "=" + value);
    };
    add("MESSAGE_ID", std::string(message_id(r.event)));
    add("MCIPSEC_EVENT", r.event);
    add("MCIPSEC_PEER", r.peer);
    if (r.group)
        add("MCIPSEC_GROUP", std::to_string(r.group));
    add("MCIPSEC_OLD_STATE", r.old_state);
    add("MCIPSEC_NEW_STATE", r.new_state);
    add("MCIPSEC_REASON", r.reason);
    for (const auto &[name, value] : r.extra)
        add("MCIPSEC_" + name, value);
    std::vector<iovec> iov;
    iov.reserve(fields.size());
    for (auto &f : fields)
        iov.push_back({f.data(), f.size()});
    return ::sd_journal_sendv(iov.data(), static_cast<int>(iov.size()));
}

bool write_stderr(const LogRecord &r)
{
    std::string line = format_line(r);
    line += '\n';
    std::string_view rest = line;
    while (!rest.empty()) {
        const ssize_t n = ::write(STDERR_FILENO, rest.data(), rest.size());
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

}  // namespace

void Log::write(LogRecord r)
{
    r.wall = wall_now();
    r.monotonic = read_clock(CLOCK_MONOTONIC);
    std::unique_lock lock(mutex_);
    if (static_cast<int>(r.level) > static_cast<int>(level()))
        return;
    r.serial = ++serial_;
    if (!silent_ && !(journal_ ? write_journal(r) >= 0 : write_stderr(r)))
        ++failures_;
    ring_.push_back(r);
    while (ring_.size() > limit_)
        ring_.pop_front();
    lock.unlock();
    if (listener)
        listener(r);
}

void Log::set_limit(std::size_t ring)
{
    const std::lock_guard lock(mutex_);
    limit_ = ring;
    while (ring_.size() > limit_)
        ring_.pop_front();
}

std::vector<LogRecord> Log::tail(std::size_t n) const
{
    const std::lock_guard lock(mutex_);
    const auto first = ring_.size() > n ? ring_.size() - n : 0;
    return {ring_.begin() + static_cast<std::ptrdiff_t>(first), ring_.end()};
}

std::vector<LogRecord> Log::since(std::uint64_t after, std::size_t n) const
{
    const std::lock_guard lock(mutex_);
    const auto first = std::partition_point(ring_.begin(), ring_.end(), [&](const LogRecord &r) { return r.serial <= after; });
    const auto count = std::min<std::size_t>(n, static_cast<std::size_t>(ring_.end() - first));
    return {first, first + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace mcipsec::io
