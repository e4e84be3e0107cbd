// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/types.hpp"

#include <arpa/inet.h>

#include <cerrno>
#include <charconv>

namespace mcipsec {

std::string_view to_string(Mastership m)
{
    switch (m) {
    case Mastership::Discovery: return "discovery";
    case Mastership::NotEligible: return "notEligible";
    case Mastership::Eligible: return "eligible";
    case Mastership::Standby: return "standby";
    case Mastership::Master: return "master";
    }
    return "unknown";
}

Expected<IpAddress> IpAddress::parse(std::string_view text)
{
    IpAddress a;
    const std::string s(text);
    if (inet_pton(AF_INET, s.c_str(), a.bytes.data()) == 1) {
        a.family = 4;
        return a;
    }
    if (inet_pton(AF_INET6, s.c_str(), a.bytes.data()) == 1) {
        a.family = 6;
        return a;
    }
    return fail(-EINVAL, "'" + s + "' is not an IPv4 or IPv6 address");
}

std::string IpAddress::str() const
{
    char buf[INET6_ADDRSTRLEN] = "";
    if (family == 0)
        return "none";
    inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes.data(), buf, sizeof buf);
    return buf;
}

std::string to_hex(ByteView bytes)
{
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    out.reserve(bytes.size() * 2);
    for (auto b : bytes) {
        out += digits[b >> 4];
        out += digits[b & 15];
    }
    return out;
}

Expected<Bytes> from_hex(std::string_view text)
{
    auto nibble = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    if (text.size() % 2)
        return fail(-EINVAL, "hex text of odd length");
    Bytes out;
    out.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int hi = nibble(text[i]), lo = nibble(text[i + 1]);
        if (hi < 0 || lo < 0)
            return fail(-EINVAL, "not a hex digit at position " + std::to_string(i));
        out.push_back(static_cast<std::uint8_t>(hi << 4 | lo));
    }
    return out;
}

Expected<Prefix> Prefix::parse(std::string_view text)
{
    const auto slash = text.find('/');
    auto a = IpAddress::parse(text.substr(0, slash));
    if (!a || text.find('\0') != std::string_view::npos)
        return fail(-EINVAL, "'" + std::string(text) + "' is not a prefix");
    Prefix p{*a, static_cast<std::uint8_t>(a->size() * 8)};
    if (slash != std::string_view::npos) {
        const auto digits = text.substr(slash + 1);
        unsigned length = 0;
        const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (ec != std::errc() || end != digits.data() + digits.size() || digits.empty() || length > a->size() * 8)
            return fail(-EINVAL, "'" + std::string(text) + "' has no length 0.." + std::to_string(a->size() * 8));
        p.length = static_cast<std::uint8_t>(length);
    }
    for (std::size_t bit = p.length; bit < a->size() * 8; bit++)
        if (a->bytes[bit / 8] & (0x80 >> bit % 8))
            return fail(-EINVAL, "'" + std::string(text) + "' has host bits set");
    return p;
}

std::string Prefix::str() const { return address.str() + "/" + std::to_string(length); }

}  // namespace mcipsec
