// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/vrrp_file.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "io/address.hpp"

namespace mcipsec::io {

namespace {
constexpr int kFaultAt = -254;      // keepalived: this and less is FAULT
constexpr std::size_t kMaxLine = 512;
constexpr unsigned kReadsPerWakeup = 16;

std::string folder_of(const std::string &path)
{
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}
}  // namespace

Expected<void> write_track_value(const std::string &path, int value)
{
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!fd)
        return fail_errno(errno, path);
    const std::string text = std::to_string(value) + "\n";
    const ssize_t n = ::pwrite(fd.get(), text.data(), text.size(), 0);
    if (n != static_cast<ssize_t>(text.size()))
        return fail_errno(n < 0 ? errno : EIO, path);
    if (::ftruncate(fd.get(), static_cast<off_t>(text.size())) < 0)
        return fail_errno(errno, path);
    return {};
}

VrrpTrackFile::VrrpTrackFile(EventLoop &loop, std::string path, int base) : path_(std::move(path)), base_(base)
{
    auto t = loop.add_timer([this](Time) {
        if (auto r = write(target_); !r && on_error)
            on_error(r.error());
    }, Priority::High);
    if (t)
        timer_ = std::move(*t);
    else
        setup_error_ = t.error();
}

Expected<int> VrrpTrackFile::value_for(std::optional<int> explicit_priority, int base)
{
    if (base < 1 || base > 254)
        return fail(-EINVAL, "vrrp: base priority must be 1..254");
    if (!explicit_priority)
        return 0;
    if (*explicit_priority < 0 || *explicit_priority > 254)
        return fail(-EINVAL, "vrrp: explicit priority must be 0..254");
    return *explicit_priority == 0 ? kFault : *explicit_priority - base;
}

Expected<void> VrrpTrackFile::write(int value)
{
    auto r = write_track_value(path_, value);
    if (r) {
        value_ = value;
        known_ = true;
    } else {
        known_ = false;     // the next set() tries again
        ++errors_;
    }
    return r;
}

Expected<void> VrrpTrackFile::set(std::optional<int> explicit_priority, bool release, bool force)
{
    const auto value = value_for(explicit_priority, base_);
    if (!value)
        return tl::unexpected(value.error());
    const bool staging = known_ && value_ == kFault && target_ != kFault;
    if (staging && release && *value == target_ && !force)
        return {};          // under way
    target_ = *value;
    timer_.disarm();
    if (known_ && value_ == *value && !force)
        return {};
    if (!release || *value == kFault)
        return write(*value);
    if (!timer_.active())
        return tl::unexpected(setup_error_);
    if (auto r = write(kFault); !r)
        return r;
    return timer_.arm(boot_now() + kStage);
}

int VrrpTrackFile::in_use() const
{
    return value_ <= kFaultAt ? 0 : base_ + value_;
}

Expected<VrrpNotice> parse_vrrp_notice(std::string_view line)
{
    const auto bad = [] { return fail(-EBADMSG, "vrrp: not a line of keepalived's notify FIFO"); };
    VrrpNotice n;
    if (line.starts_with("INSTANCE \""))
        line.remove_prefix(10);
    else if (line.starts_with("GROUP \"")) {
        line.remove_prefix(7);
        n.group = true;
    } else
        return bad();
    const auto quote = line.find('"');
    if (quote == std::string_view::npos || quote == 0)
        return bad();
    n.name = line.substr(0, quote);
    line.remove_prefix(quote + 1);
    if (line.empty() || line[0] != ' ')
        return bad();
    line.remove_prefix(1);
    const auto space = line.find(' ');
    if (space == std::string_view::npos || space == 0)
        return bad();
    n.state = line.substr(0, space);
    for (const char c : n.state)
        if ((c < 'A' || c > 'Z') && c != '_')
            return bad();
    line.remove_prefix(space + 1);
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), n.priority);
    if (error != std::errc{} || end != line.data() + line.size() || n.priority < 0 || n.priority > 255)
        return bad();
    return n;
}

Expected<std::unique_ptr<VrrpFifo>> VrrpFifo::open(EventLoop &loop, std::string path, std::function<void(const VrrpNotice &)> fn)
{
    std::unique_ptr<VrrpFifo> f(new VrrpFifo);
    f->loop_ = &loop;
    f->path_ = std::move(path);
    f->fn_ = std::move(fn);
    f->inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!f->inotify_)
        return fail_errno(errno, "inotify");
    const std::string folder = folder_of(f->path_);
    if (::inotify_add_watch(f->inotify_.get(), folder.c_str(), IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO) < 0)
        return fail_errno(errno, folder);
    auto watch = loop.add_fd(f->inotify_.get(), EPOLLIN, [self = f.get()](std::uint32_t) { self->folder_changed(); });
    if (!watch)
        return tl::unexpected(watch.error());
    f->watch_ = std::move(*watch);
    auto timer = loop.add_timer([self = f.get()](Time) { self->readable(); }, Priority::Low);
    if (!timer)
        return tl::unexpected(timer.error());
    f->timer_ = std::move(*timer);
    f->gone_at_ = loop.now() + kFirst;
    (void)f->timer_.arm(loop.now() + kLook);
    if (auto r = f->reopen(); !r)
        return tl::unexpected(r.error());
    return f;
}

Expected<void> VrrpFifo::reopen()
{
    if (::mkfifo(path_.c_str(), 0600) < 0 && errno != EEXIST)
        return fail_errno(errno, path_);
    UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
    if (!fd)
        return fail_errno(errno, path_);
    struct stat st {};
    if (::fstat(fd.get(), &st) < 0)
        return fail_errno(errno, path_);
    if (!S_ISFIFO(st.st_mode))
        return fail(-EINVAL, path_ + ": exists and is not a FIFO");
    auto source = loop_->add_fd(fd.get(), EPOLLIN, [this](std::uint32_t) { readable(); }, Priority::High);
    if (!source)
        return tl::unexpected(source.error());
    source_ = std::move(*source);
    fd_ = std::move(fd);        // the old one closes after this is open: what is in the FIFO stays
    return {};
}

void VrrpFifo::folder_changed()
{
    alignas(inotify_event) char buffer[4096];
    while (::read(inotify_.get(), buffer, sizeof(buffer)) > 0) {
    }
    // Whatever happened: is the path still the FIFO that we hold?
    struct stat ours {}, there {};
    if (fd_ && ::fstat(fd_.get(), &ours) == 0 && ::lstat(path_.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
        ours.st_ino == there.st_ino)
        return;
    ++reopened_;
    line_.clear();
    skipping_ = false;
    gone_at_ = std::min(gone_at_, loop_->now() + kGone);     // whoever writes to the old one is of no use
    (void)timer_.arm(loop_->now() + kLook);
    if (auto r = reopen(); !r && on_error)
        on_error(r.error());
}

// Nobody has it open for writing. A descriptor that has seen that wakes the loop for ever, a
// new one does not until a writer came and went.
void VrrpFifo::ended()
{
    const Time now = loop_->now();
    if (gone_at_ == kNever)
        gone_at_ = now + kGone;
    line_.clear();
    skipping_ = false;
    source_.reset();
    if (auto r = reopen(); !r && on_error)
        on_error(r.error());
    if (!gone_ && now >= gone_at_) {
        gone_ = true;
        if (on_writer)
            on_writer(false);
    }
    (void)timer_.arm(now + kLook);
}

void VrrpFifo::written()
{
    gone_at_ = kNever;
    if (std::exchange(gone_, false) && on_writer)
        on_writer(true);
}

void VrrpFifo::readable()
{
    std::vector<VrrpNotice> notices;
    ssize_t last = -1;
    char buffer[4096];
    for (unsigned i = 0; i < kReadsPerWakeup; ++i) {
        const ssize_t n = ::read(fd_.get(), buffer, sizeof(buffer));
        if (n < 0 && errno == EINTR)
            continue;
        last = n;
        if (n <= 0)
            break;
        for (const char c : std::string_view(buffer, static_cast<std::size_t>(n))) {
            if (c != '\n') {
                if (line_.size() < kMaxLine)
                    line_ += c;
                else
                    skipping_ = true;
                continue;
            }
            auto notice = skipping_ ? Expected<VrrpNotice>(fail(-EMSGSIZE, "vrrp: line too long")) : parse_vrrp_notice(line_);
            line_.clear();
            skipping_ = false;
            if (notice)
                notices.push_back(std::move(*notice));
            else
                ++malformed_;
        }
    }
    notices_ += notices.size();
    const auto fn = fn_;
    if (fn)
        for (const auto &n : notices)
            fn(n);
    if (last == 0)
        ended();
    else if (fd_)
        written();
}

}  // namespace mcipsec::io
