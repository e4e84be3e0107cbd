// SPDX-License-Identifier: GPL-2.0-or-later
// BFD Control packets, RFC 5880 section 4.1: bytes <-> ControlPacket.
#include <openssl/sha.h>

#include <algorithm>
#include <cerrno>

#include "core/bfd/session.hpp"
#include "core/crypto.hpp"

namespace mcipsec::bfd {

namespace {

constexpr unsigned kPoll = 0x20, kFinal = 0x10, kCpi = 0x08, kAuth = 0x04, kDemand = 0x02, kMultipoint = 0x01;

constexpr std::uint8_t kMeticulousKeyedSha1 = 5, kKeyId = 1;

void put32(std::span<std::uint8_t> out, std::size_t at, std::uint32_t v)
{
    for (std::size_t i = 0; i < 4; ++i)
        out[at + i] = static_cast<std::uint8_t>(v >> (24 - 8 * i));
}

std::uint32_t get32(ByteView in, std::size_t at)
{
    return std::uint32_t{in[at]} << 24 | std::uint32_t{in[at + 1]} << 16 | std::uint32_t{in[at + 2]} << 8 | in[at + 3];
}

}  // namespace

std::string_view to_string(State s)
{
    switch (s) {
    case State::AdminDown: return "AdminDown";
    case State::Down: return "Down";
    case State::Init: return "Init";
    case State::Up: return "Up";
    }
    return "unknown";
}

std::string_view to_string(Diag d)
{
    switch (d) {
    case Diag::None: return "no diagnostic";
    case Diag::DetectionExpired: return "control detection time expired";
    case Diag::EchoFailed: return "echo function failed";
    case Diag::NeighborSignaledDown: return "neighbor signaled session down";
    case Diag::ForwardingReset: return "forwarding plane reset";
    case Diag::PathDown: return "path down";
    case Diag::ConcatenatedPathDown: return "concatenated path down";
    case Diag::AdminDown: return "administratively down";
    case Diag::ReverseConcatenatedPathDown: return "reverse concatenated path down";
    }
    return "unknown";
}

std::array<std::uint8_t, kPacketSize> encode(const ControlPacket &p)
{
    std::array<std::uint8_t, kPacketSize> out{};
    out[0] = static_cast<std::uint8_t>(p.version << 5 | static_cast<std::uint8_t>(p.diag));
    out[1] = static_cast<std::uint8_t>(static_cast<unsigned>(p.state) << 6 | (p.poll ? kPoll : 0u) | (p.final ? kFinal : 0u) |
                                       (p.cpi ? kCpi : 0u) | (p.auth ? kAuth : 0u) | (p.demand ? kDemand : 0u) |
                                       (p.multipoint ? kMultipoint : 0u));
    out[2] = p.detect_mult;
    out[3] = kPacketSize;
    put32(out, 4, p.my_discriminator);
    put32(out, 8, p.your_discriminator);
    put32(out, 12, p.desired_min_tx);
    put32(out, 16, p.required_min_rx);
    put32(out, 20, p.required_min_echo_rx);
    return out;
}

Expected<ControlPacket> decode(ByteView in)
{
    if (in.size() < kPacketSize)
        return fail(-EBADMSG, "BFD: truncated");
    ControlPacket p;
    p.version = in[0] >> 5;
    p.diag = static_cast<Diag>(in[0] & 0x1f);
    p.state = static_cast<State>(in[1] >> 6);
    p.poll = in[1] & kPoll;
    p.final = in[1] & kFinal;
    p.cpi = in[1] & kCpi;
    p.auth = in[1] & kAuth;
    p.demand = in[1] & kDemand;
    p.multipoint = in[1] & kMultipoint;
    p.detect_mult = in[2];
    p.my_discriminator = get32(in, 4);
    p.your_discriminator = get32(in, 8);
    p.desired_min_tx = get32(in, 12);
    p.required_min_rx = get32(in, 16);
    p.required_min_echo_rx = get32(in, 20);
    if (p.version != 1)
        return fail(-EBADMSG, "BFD: version is not 1");
    if (in[3] < kPacketSize || in[3] > in.size())
        return fail(-EBADMSG, "BFD: bad length");
    if (p.detect_mult == 0)
        return fail(-EBADMSG, "BFD: detection multiplier is zero");
    if (p.multipoint)
        return fail(-EBADMSG, "BFD: multipoint bit is set");
    if (p.my_discriminator == 0)
        return fail(-EBADMSG, "BFD: my discriminator is zero");
    if (p.your_discriminator == 0 && p.state != State::Down && p.state != State::AdminDown)
        return fail(-EBADMSG, "BFD: your discriminator is zero");
    return p;
}

Bytes encode_signed(const ControlPacket &p, ByteView key, std::uint32_t sequence)
{
    const auto head = encode(p);
    Bytes out(kPacketSize + kAuthSize);
    std::copy(head.begin(), head.end(), out.begin());
    out[1] |= kAuth;
    out[3] = kPacketSize + kAuthSize;
    auto *auth = out.data() + kPacketSize;
    auth[0] = kMeticulousKeyedSha1;
    auth[1] = kAuthSize;
    auth[2] = kKeyId;
    put32(out, kPacketSize + 4, sequence);
    // 6.7.4: the hash is over the packet with the key in the hash's place.
    std::copy_n(key.begin(), std::min(key.size(), kKeySize), auth + 8);
    std::array<std::uint8_t, kKeySize> hash;
    ::SHA1(out.data(), out.size(), hash.data());
    std::copy(hash.begin(), hash.end(), auth + 8);
    return out;
}

std::optional<std::uint32_t> verify(ByteView bytes, ByteView key)
{
    if (bytes.size() < kPacketSize + kAuthSize || !(bytes[1] & kAuth) || bytes[3] != kPacketSize + kAuthSize)
        return std::nullopt;
    const auto auth = bytes.subspan(kPacketSize, kAuthSize);
    if (auth[0] != kMeticulousKeyedSha1 || auth[1] != kAuthSize || auth[2] != kKeyId)
        return std::nullopt;
    std::array<std::uint8_t, kPacketSize + kAuthSize> copy;
    std::copy_n(bytes.begin(), copy.size(), copy.begin());
    std::copy_n(key.begin(), std::min(key.size(), kKeySize), copy.begin() + kPacketSize + 8);
    std::array<std::uint8_t, kKeySize> hash;
    ::SHA1(copy.data(), copy.size(), hash.data());
    ::OPENSSL_cleanse(copy.data(), copy.size());
    if (!equal_constant_time(hash, auth.subspan(8)))
        return std::nullopt;
    return get32(auth, 4);
}

}  // namespace mcipsec::bfd
