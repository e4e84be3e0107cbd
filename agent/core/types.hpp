// SPDX-License-Identifier: GPL-2.0-or-later
// Words that every part of the agent shares: time, addresses, errors, the
// five MIMP states. No IO, no clock: a Time is handed in by whoever has one.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace mcipsec {

// CLOCK_BOOTTIME, the clock of leases, timers and ages. It has no now():
// adapters read the clock, cores are told.
struct BootClock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock>;
    static constexpr bool is_steady = true;
};
using Time = BootClock::time_point;
using Duration = BootClock::duration;
using namespace std::chrono_literals;
constexpr Time kNever = Time::max();

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

// code: negative errno, 0 where none fits. text: names the place and what is allowed.
struct Error {
    int code = 0;
    std::string text;
};
template <typename T>
using Expected = tl::expected<T, Error>;
inline tl::unexpected<Error> fail(int code, std::string text) { return tl::unexpected(Error{code, std::move(text)}); }

using GroupId = std::uint32_t;      // tunnel-group id, 1..1024
using Generation = std::uint64_t;   // election generation of a group

// Seed "MIMP Protocol States"; values are those of enum mcipsec_state and of the wire.
enum class Mastership : std::uint8_t { Discovery = 0, NotEligible = 1, Eligible = 2, Standby = 3, Master = 4 };
std::string_view to_string(Mastership m);                       // "discovery", "notEligible", ...
constexpr bool acting_master(Mastership m) { return m == Mastership::Master || m == Mastership::Eligible; }

// An IPv4 or IPv6 address; family 0 is "none". IPv4 sits in the first four bytes.
struct IpAddress {
    std::uint8_t family = 0;        // 0, 4 or 6
    std::array<std::uint8_t, 16> bytes{};
    auto operator<=>(const IpAddress &) const = default;
    bool empty() const { return family == 0; }
    std::size_t size() const { return family == 4 ? 4 : family == 6 ? 16 : 0; }
    static Expected<IpAddress> parse(std::string_view text);    // dotted quad or RFC 5952 text
    std::string str() const;
};

// An IPv4 or IPv6 prefix, host bits zero.
struct Prefix {
    IpAddress address;
    std::uint8_t length = 0;
    auto operator<=>(const Prefix &) const = default;
    static Expected<Prefix> parse(std::string_view text);       // "192.168.1.0/24"; without length: a host
    std::string str() const;
};

// Lower-case hex, no separators; from_hex fails on odd length or other characters.
std::string to_hex(ByteView bytes);
Expected<Bytes> from_hex(std::string_view text);

}  // namespace mcipsec
