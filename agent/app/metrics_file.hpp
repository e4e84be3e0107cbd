// SPDX-License-Identifier: GPL-2.0-or-later
// The metrics of `stats --prometheus` as a file for node_exporter's textfile
// collector: renamed into place at every interval, removed when the agent
// stops, so that no old numbers stay behind.
// Threading: the loop's thread.
#pragma once

#include <functional>

#include "app/view.hpp"
#include "io/event_loop.hpp"
#include "io/log.hpp"

namespace mcipsec::app {

class MetricsFile {
public:
    MetricsFile(io::EventLoop &loop, io::Log &log, std::function<std::vector<MetricView>()> metrics);
    ~MetricsFile();
    // path "": none is written; an old one goes.
    Expected<void> configure(const std::string &path, Duration interval);

private:
    void write();

    io::EventLoop &loop_;
    io::Log &log_;
    std::function<std::vector<MetricView>()> metrics_;
    std::string path_;
    Duration interval_{};
    io::EventSource timer_;
    bool failed_ = false;       // the log has it
};

}  // namespace mcipsec::app
