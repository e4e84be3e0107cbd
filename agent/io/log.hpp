// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's log: structured records in the journal (under systemd) or one
// line each on stderr with a CLOCK_MONOTONIC stamp, and a ring of the last ones
// for `show log` and `monitor`.
//
// No value passed here may be a secret: there is no overload for SecretBytes (I8).
// Threading: write() from any thread; tail() and the listener's callbacks run
// in the thread of write(), so set the listener only if that is one thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::io {

enum class Level : int { Error = 3, Warning = 4, Notice = 5, Info = 6, Debug = 7 };   // syslog's
std::string_view to_string(Level level);
Expected<Level> parse_level(std::string_view text);

// Event names; each has its own fixed MESSAGE_ID (log.cpp).
namespace event {
inline constexpr std::string_view kMastership = "tMcPeerIPsecTnlGrpMasterStateChg";
inline constexpr std::string_view kProtection = "tMcPeerIPsecTnlGrpProtStatusChg";
inline constexpr std::string_view kSyncStatus = "tmnxMcPeerSyncStatusChanged";
inline constexpr std::string_view kSkewRaised = "tmnxMcSyncClockSkewRaised";
inline constexpr std::string_view kSkewCleared = "tmnxMcSyncClockSkewCleared";
inline constexpr std::string_view kStart = "mcipsecStart";
inline constexpr std::string_view kStop = "mcipsecStop";
inline constexpr std::string_view kConfig = "mcipsecConfig";
inline constexpr std::string_view kPeer = "mcipsecPeer";             // reached, lost, authentication
inline constexpr std::string_view kBfd = "mcipsecBfd";
inline constexpr std::string_view kMember = "mcipsecMember";
inline constexpr std::string_view kSwitchover = "mcipsecSwitchover";
inline constexpr std::string_view kTunnel = "mcipsecTunnel";         // SA set-up, rekey, tear-down, failure
inline constexpr std::string_view kCharon = "mcipsecCharon";
inline constexpr std::string_view kKernel = "mcipsecKernel";
inline constexpr std::string_view kVrrp = "mcipsecVrrp";
inline constexpr std::string_view kRoute = "mcipsecRoute";
inline constexpr std::string_view kConfigDiffers = "mcipsecConfigDiffers";
inline constexpr std::string_view kAlarm = "mcipsecAlarm";
}  // namespace event
// 32 hex digits; "" for a name without one.
std::string_view message_id(std::string_view event);

struct LogRecord {
    Level level = Level::Info;
    std::string event;                  // event::k...; "" for plain text
    std::string text;
    std::string peer;                   // MCIPSEC_PEER
    GroupId group = 0;                  // MCIPSEC_GROUP, 0: none
    std::string old_state, new_state, reason;
    std::vector<std::pair<std::string, std::string>> extra;     // MCIPSEC_<NAME>; names [A-Z0-9_]
    // set by write()
    std::uint64_t serial = 0;
    Duration wall{};                    // since the epoch
    Duration monotonic{};
};

class Log {
public:
    explicit Log(std::size_t ring = 4096);

    void set_level(Level level) { level_ = level; }
    void set_limit(std::size_t ring);           // the oldest above it are forgotten
    Level level() const { return level_; }
    // Where lines go: Auto decides by JOURNAL_STREAM.
    enum class Sink { Auto, Journal, Stderr, None };
    void set_sink(Sink sink);
    bool to_journal() const { return journal_; }

    void write(LogRecord r);
    void text(Level level, std::string text) { LogRecord r; r.level = level; r.text = std::move(text); write(std::move(r)); }

    // The last n records, oldest first.
    std::vector<LogRecord> tail(std::size_t n) const;
    // The first n records with serial > after that are still kept, oldest first.
    std::vector<LogRecord> since(std::uint64_t after, std::size_t n) const;
    std::function<void(const LogRecord &)> listener;
    std::uint64_t failures() const { return failures_; }    // the sink refused a record

private:
    mutable std::mutex mutex_;
    std::deque<LogRecord> ring_;
    std::size_t limit_;
    std::uint64_t serial_ = 0;
    std::atomic<Level> level_ = Level::Info;
    bool journal_ = false;
    bool silent_ = false;
    std::uint64_t failures_ = 0;
};

// The line on stderr, without the newline; control characters are escaped.
std::string format_line(const LogRecord &r);
// True if stderr is the journal's stream.
bool stderr_is_journal();

}  // namespace mcipsec::io
