// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/notify.hpp"

#include <systemd/sd-daemon.h>

#include "io/address.hpp"
#include "io/clock.hpp"

namespace mcipsec::io::notify {

namespace {
Expected<void> send(const std::string &text)
{
    const int r = ::sd_notify(0, text.c_str());
    if (r < 0)
        return fail_errno(-r, "sd_notify");
    return {};
}
// One line: a newline would start another assignment.
std::string one_line(std::string_view text)
{
    std::string out(text);
    for (char &c : out)
        if (c == '\n' || c == '\r')
            c = ' ';
    return out;
}
}  // namespace

Expected<void> ready(std::string_view text)
{
    return send(text.empty() ? std::string("READY=1") : "READY=1\nSTATUS=" + one_line(text));
}
Expected<void> reloading()
{
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(read_clock(CLOCK_MONOTONIC)).count();
    return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}
Expected<void> stopping() { return send("STOPPING=1"); }
Expected<void> status(std::string_view text) { return send("STATUS=" + one_line(text)); }
Expected<void> watchdog() { return send("WATCHDOG=1"); }

}  // namespace mcipsec::io::notify
