// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/crypto_errors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace mcipsec::app {

namespace {

// What each counter means to whoever reads the log; others are no errors of
// encryption or decryption, or count what the gate does on purpose.
struct Meaning {
    const char *counter, *text;
};
constexpr const char *kNotAuthentic = "XfrmInStateProtoError", *kReplayed = "XfrmInStateSeqError", *kUsedUp = "XfrmOutStateSeqError";
constexpr Meaning kMeanings[] = {
    {kNotAuthentic, "inbound packets failed decryption or integrity"},
    {kReplayed, "inbound packets were replays or out of the window"},
    {"XfrmInStateExpired", "inbound packets for an expired SA"},
    {"XfrmInNoStates", "inbound packets for an unknown SPI"},
    {"XfrmInTmplMismatch", "inbound packets did not match their policy"},
    {"XfrmInBufferError", "inbound packets lost for want of memory"},
    {"XfrmOutStateProtoError", "outbound packets failed encryption"},
    {kUsedUp, "outbound packets met an SA that must be rekeyed before it sends"},
    {"XfrmOutStateExpired", "outbound packets for an expired SA"},
};

// An attacker chooses how many SAs he sends rubbish for.
constexpr std::size_t kNamed = 8;

using Errors = std::map<std::string, std::uint64_t>;    // counter -> how many

io::LogRecord record(const Errors &errors)
{
    io::LogRecord r;
    for (const auto &m : kMeanings) {
        const auto it = errors.find(m.counter);
        if (it == errors.end() || it->second == 0)
            continue;
        std::string name;
        for (const char *c = m.counter; *c; ++c)
            name += static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
        r.text += fmt::format("{}{} {}", r.text.empty() ? "" : "; ", it->second, m.text);
        r.extra.emplace_back(name, std::to_string(it->second));
    }
    r.level = io::Level::Warning;
    r.event = io::event::kTunnel;
    r.reason = "crypto-error";
    return r;
}

struct Found {
    io::XfrmSa sa;
    Errors errors;
    std::uint64_t sum = 0;
};

io::LogRecord record(const Found &f, const std::optional<CryptoErrors::Owner> &owner)
{
    auto r = record(f.errors);
    r.text = fmt::format("{}SA {:08x}, {} to {}: {}", owner && !owner->tunnel.empty() ? "tunnel " + owner->tunnel + ": " : "", f.sa.spi, f.sa.src.str(), f.sa.dst.str(), r.text);
    r.extra.emplace_back("SPI", fmt::format("{:08x}", f.sa.spi));
    r.extra.emplace_back("SOURCE", f.sa.src.str());
    r.extra.emplace_back("DESTINATION", f.sa.dst.str());
    if (owner) {
        r.group = owner->group;
        if (!owner->tunnel.empty())
            r.extra.emplace_back("TUNNEL", owner->tunnel);
    }
    return r;
}

// A counter of an SA that was not there before, or began anew, counts whole.
std::uint32_t more(std::uint32_t is, std::uint32_t was) { return is < was ? is : is - was; }

}  // namespace

XfrmStat parse_xfrm_stat(std::string_view text)
{
    XfrmStat out;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const auto name = line.substr(0, line.find_first_of(" \t"));
        const auto number = line.substr(std::min(line.find_last_of(" \t") + 1, line.size()));
        std::uint64_t n = 0;
        const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), n);
        if (ec == std::errc() && end == number.data() + number.size() && !name.empty())
            out[std::string(name)] = n;
    }
    return out;
}

std::uint64_t CryptoErrors::risen(const XfrmStat &now, const char *counter) const
{
    const auto was = stat_.find(counter), is = now.find(counter);
    return was == stat_.end() || is == now.end() || is->second <= was->second ? 0 : is->second - was->second;
}

std::vector<io::LogRecord> CryptoErrors::look(XfrmStat stat, const Dump &dump, const OwnersOf &owners)
{
    const bool first = stat_.empty();
    Errors rest;
    for (const auto &m : kMeanings)
        if (const auto n = risen(stat, m.counter))
            rest[m.counter] = n;
    stat_ = std::move(stat);
    for (const auto &[counter, n] : std::exchange(ahead_, {}))
        if (const auto it = rest.find(counter); it != rest.end())
            it->second -= std::min(it->second, n);
    std::erase_if(rest, [](const auto &r) { return r.second == 0; });

    std::vector<Found> found, used_up;
    if (first || rest.contains(kNotAuthentic) || rest.contains(kReplayed) || rest.contains(kUsedUp)) {
        std::map<SaKey, Counts> now;
        const auto done = dump([&](const io::XfrmSa &sa) {
            const SaKey key{sa.dst, sa.proto, sa.spi};
            const Counts is{sa.not_authentic, sa.replayed};
            now[key] = is;
            const auto before = seen_.find(key);
            const auto was = before == seen_.end() ? Counts{} : before->second;
            Found f{sa, {{kNotAuthentic, more(is.not_authentic, was.not_authentic)}, {kReplayed, more(is.replayed, was.replayed)}}, 0};
            f.sum = f.errors[kNotAuthentic] + f.errors[kReplayed];
            if (f.sum > 0)
                found.push_back(std::move(f));
            if (sa.used_up)
                used_up.push_back({sa, {}, 0});
        });
        if (done)
            seen_ = std::move(now);
        else
            found.clear(), used_up.clear();
    }
    if (first)
        return {};
    // Which of several it was the kernel does not say.
    if (used_up.size() == 1 && rest.contains(kUsedUp)) {
        used_up[0].errors[kUsedUp] = used_up[0].sum = rest[kUsedUp];
        found.push_back(std::move(used_up[0]));
    }
    std::stable_sort(found.begin(), found.end(), [](const Found &a, const Found &b) { return a.sum > b.sum; });
    found.resize(std::min(found.size(), kNamed));

    std::vector<io::XfrmSa> sas;
    for (const auto &f : found)
        sas.push_back(f.sa);
    const auto whose = sas.empty() ? std::vector<std::optional<Owner>>{} : owners(sas);
    std::vector<io::LogRecord> out;
    for (std::size_t i = 0; i < found.size(); ++i) {
        out.push_back(record(found[i], whose[i]));
        for (const auto &[counter, n] : found[i].errors) {
            const auto it = rest.find(counter);
            const auto told = it == rest.end() ? 0 : std::min(it->second, n);
            if (told > 0)
                it->second -= told;
            if (n > told)
                ahead_[counter] += n - told;
        }
    }
    if (std::any_of(rest.begin(), rest.end(), [](const auto &r) { return r.second > 0; }))
        out.push_back(record(rest));
    return out;
}

}  // namespace mcipsec::app
