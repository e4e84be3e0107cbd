// SPDX-License-Identifier: GPL-2.0-or-later
// The two ends of keepalived: the track file that moves a VRRP instance's
// priority, and the FIFO on which keepalived tells its state.
//
// keepalived adds the file's value (weight 1) to the instance's priority and
// takes -254 and less for FAULT; so the explicit priority N of the seed's
// priority event is the value N - base, and explicit 0 is kFault. A master that
// merely lowers its priority is outlived for 3 adverts + skew; kFault for 20 ms
// makes it send priority 0 at once (FACTS-network).
// The file is written in place by one pwrite, then cut to length: whoever reads
// its first line at any moment reads a whole number; keepalived's inotify fires
// once, when it is closed.
// Threading: the loop's thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "io/event_loop.hpp"
#include "io/unique_fd.hpp"

namespace mcipsec::io {

class VrrpTrackFile {
public:
    static constexpr int kFault = -255;
    static constexpr Duration kStage = 20ms;

    // Does not touch the file. base: the instance's base priority, 1..254.
    VrrpTrackFile(EventLoop &loop, std::string path, int base);

    // Explicit priority 0..254; none: the base priority. Written before it
    // returns; with `release` (going from forwarding to not) first kFault and
    // after kStage the value. A later set() replaces a stage still to come.
    // unchanged values are not written again, unless force.
    Expected<void> set(std::optional<int> explicit_priority, bool release, bool force = false);
    void set_base(int base) { base_ = base; }
    // What the instance's priority now is, as far as the file decides it.
    int in_use() const;
    int value() const { return value_; }
    const std::string &path() const { return path_; }
    std::uint64_t errors() const { return errors_; }
    // Told when the second stage could not be written.
    std::function<void(const Error &)> on_error;

    static Expected<int> value_for(std::optional<int> explicit_priority, int base);

private:
    Expected<void> write(int value);
    std::string path_;
    int base_;
    int value_ = 0;
    bool known_ = false;        // value_ is in the file
    int target_ = 0;
    std::uint64_t errors_ = 0;
    EventSource timer_;
    Error setup_error_;
};

// Writes the value for a path; also for the shutdown path and tests.
Expected<void> write_track_value(const std::string &path, int value);

struct VrrpNotice {
    bool group = false;         // GROUP (a sync group), else INSTANCE
    std::string name;
    std::string state;          // MASTER, BACKUP, FAULT, STOP, DELETED, MASTER_RX_LOWER_PRI, MASTER_PRIORITY, BACKUP_PRIORITY
    int priority = 0;
    bool operator==(const VrrpNotice &) const = default;
};
// One line of the FIFO: INSTANCE "VRRP10" MASTER 200
Expected<VrrpNotice> parse_vrrp_notice(std::string_view line);

// Holds the FIFO open for reading; makes it anew if it is removed or replaced. Its end of
// file says that nobody has it open for writing: keepalived is gone, or loads its
// configuration anew, for which it has kGone (kFirst when the FIFO is new).
class VrrpFifo {
public:
    static constexpr Duration kGone = 2s, kFirst = 10s, kLook = 500ms;
    static Expected<std::unique_ptr<VrrpFifo>> open(EventLoop &loop, std::string path, std::function<void(const VrrpNotice &)> fn);
    std::uint64_t notices() const { return notices_; }
    std::uint64_t malformed() const { return malformed_; }
    std::uint64_t reopened() const { return reopened_; }
    std::function<void(bool there)> on_writer;      // keepalived is gone, is back
    bool writer() const { return !gone_; }
    std::function<void(const Error &)> on_error;    // the FIFO could not be made anew; tried again at its folder's next change

private:
    VrrpFifo() = default;
    Expected<void> reopen();
    void readable();
    void ended();
    void written();
    void folder_changed();
    EventLoop *loop_ = nullptr;
    std::string path_;
    UniqueFd fd_, inotify_;
    std::function<void(const VrrpNotice &)> fn_;
    std::string line_;
    bool skipping_ = false;     // rest of a line that was too long
    std::uint64_t notices_ = 0, malformed_ = 0, reopened_ = 0;
    Time gone_at_ = kNever;     // from when on nobody at its other end counts as gone
    bool gone_ = false;
    EventSource source_, watch_, timer_;
};

}  // namespace mcipsec::io
