// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/metrics_file.hpp"

#include <unistd.h>

#include "io/files.hpp"

namespace mcipsec::app {

MetricsFile::MetricsFile(io::EventLoop &loop, io::Log &log, std::function<std::vector<MetricView>()> metrics)
    : loop_(loop), log_(log), metrics_(std::move(metrics))
{
}

MetricsFile::~MetricsFile()
{
    if (!path_.empty())
        ::unlink(path_.c_str());
}

Expected<void> MetricsFile::configure(const std::string &path, Duration interval)
{
    if (path == path_ && interval == interval_)
        return {};
    if (!path_.empty() && path != path_)
        ::unlink(path_.c_str());
    path_ = path;
    interval_ = interval;
    failed_ = false;
    if (!timer_.active()) {
        auto timer = loop_.add_timer([this](Time) { write(); }, io::Priority::Idle);
        if (!timer)
            return tl::unexpected(timer.error());
        timer_ = std::move(*timer);
    }
    return timer_.arm(path_.empty() ? kNever : loop_.now());
}

void MetricsFile::write()
{
    const auto done = io::write_file_atomic(path_, render_prometheus(StatsDocument{metrics_()}));
    if (!done && !std::exchange(failed_, true))
        log_.write({.level = io::Level::Warning, .event = std::string(io::event::kAlarm), .text = "metrics-file: " + done.error().text});
    else if (done)
        failed_ = false;
    (void)timer_.arm(loop_.now() + interval_);
}

}  // namespace mcipsec::app
