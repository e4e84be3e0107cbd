// SPDX-License-Identifier: GPL-2.0-or-later
// Documentation/wire-mimp.rst draws what is read and written here.
#include "core/mimp/codec.hpp"

#include <algorithm>

namespace mcipsec::mimp {

namespace {

enum HeaderFlag : std::uint32_t { kRequest = 1u << 0, kAnswer = 1u << 1 };
enum GroupFlag : std::uint16_t {
    kOperUp = 1u << 0, kActing = 1u << 1, kNominal = 1u << 2, kShutdown = 1u << 3, kPrepared = 1u << 4, kReached = 1u << 5,
    kIgnoring = 1u << 6,
};
enum BlockType : std::uint16_t { kGroupBlock = 1, kRestartBlock = 2, kVersionsBlock = 3, kNewerBlock = 0x7ffe };
constexpr std::size_t kBlockHeader = 4;
constexpr std::uint32_t kNewer = 0x6e657765;    // what kProtocol.newer appends, everywhere it can be appended

template <typename T>
void put(Bytes &out, T value)
{
    for (int shift = static_cast<int>(sizeof(T) - 1) * 8; shift >= 0; shift -= 8)
        out.push_back(static_cast<std::uint8_t>(value >> shift));
}

template <typename T>
T get(ByteView in, std::size_t at)
{
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        value = static_cast<T>(static_cast<T>(value << (sizeof(T) > 1 ? 8 : 0)) | in[at + i]);
    return value;
}

void put_group(Bytes &out, const GroupAdvert &g)
{
    put<std::uint16_t>(out, kGroupBlock);
    put<std::uint16_t>(out, kGroupBlockSize + (kProtocol.newer ? sizeof(kNewer) : 0));
    put<std::uint32_t>(out, g.id);
    put<std::uint32_t>(out, g.peer_group);
    put<std::uint8_t>(out, g.priority);
    put<std::uint8_t>(out, static_cast<std::uint8_t>(g.state));
    put<std::uint16_t>(out, g.active_members);
    put<std::uint16_t>(out, static_cast<std::uint16_t>((g.oper_up ? kOperUp : 0) | (g.acting ? kActing : 0) | (g.nominal ? kNominal : 0) |
                                                       (g.shutdown ? kShutdown : 0) | (g.prepared ? kPrepared : 0) |
                                                       (g.reached ? kReached : 0) | (g.ignoring ? kIgnoring : 0)));
    put<std::uint8_t>(out, static_cast<std::uint8_t>(g.phase));
    put<std::uint8_t>(out, 0);
    put<std::uint64_t>(out, g.generation);
    put<std::uint64_t>(out, g.handover);
    if (kProtocol.newer)
        put(out, kNewer);
}

// False: a value that no version sends.
bool get_group(ByteView block, GroupAdvert &g)
{
    const auto state = block[13];
    const auto phase = block[18];
    if (state > static_cast<std::uint8_t>(Mastership::Master) || phase > static_cast<std::uint8_t>(Phase::Refused))
        return false;
    const auto flags = get<std::uint16_t>(block, 16);
    g.id = get<std::uint32_t>(block, 4);
    g.peer_group = get<std::uint32_t>(block, 8);
    g.priority = block[12];
    g.state = static_cast<Mastership>(state);
    g.active_members = get<std::uint16_t>(block, 14);
    g.oper_up = flags & kOperUp;
    g.acting = flags & kActing;
    g.nominal = flags & kNominal;
    g.shutdown = flags & kShutdown;
    g.prepared = flags & kPrepared;
    g.reached = flags & kReached;
    g.ignoring = flags & kIgnoring;
    g.phase = static_cast<Phase>(phase);
    g.generation = get<std::uint64_t>(block, 20);
    g.handover = get<std::uint64_t>(block, 28);
    return true;
}

class HmacAuthenticator final : public Authenticator {
public:
    HmacAuthenticator(SecretBytes tx, SecretBytes rx) : tx_(std::move(tx)), rx_(std::move(rx)) {}
    Digest sign(ByteView data) const override { return hmac_sha256(tx_.view(), data); }
    bool verify(ByteView data, ByteView mac) const override { return equal_constant_time(hmac_sha256(rx_.view(), data), mac); }

private:
    SecretBytes tx_, rx_;
};

}  // namespace

std::shared_ptr<const Authenticator> make_authenticator(SecretBytes tx, SecretBytes rx)
{
    return std::make_shared<HmacAuthenticator>(std::move(tx), std::move(rx));
}

std::string_view to_string(Phase p)
{
    switch (p) {
    case Phase::None: return "none";
    case Phase::Prepare: return "prepare";
    case Phase::Prepared: return "prepared";
    case Phase::Flipped: return "flipped";
    case Phase::Commit: return "commit";
    case Phase::Done: return "done";
    case Phase::Refused: return "refused";
    }
    return "unknown";
}

std::string_view to_string(DecodeError e)
{
    switch (e) {
    case DecodeError::Truncated: return "truncated";
    case DecodeError::BadLength: return "bad length";
    case DecodeError::BadVersion: return "bad version";
    case DecodeError::BadMac: return "authentication failed";
    case DecodeError::BadField: return "bad field";
    }
    return "unknown";
}

Bytes encode(const Packet &p, const Authenticator &auth)
{
    const std::size_t header = kHeaderSize + (kProtocol.newer ? sizeof(kNewer) : 0);
    Bytes out;
    out.reserve(header + p.groups.size() * (kGroupBlockSize + sizeof(kNewer)) + 3 * (kBlockHeader + 4) + kMacSize);
    put<std::uint8_t>(out, p.version);
    put<std::uint8_t>(out, static_cast<std::uint8_t>(header / 4));
    put<std::uint16_t>(out, 0);     // the length, when it is known
    put<std::uint32_t>(out, (p.request ? kRequest : 0u) | (p.answer ? kAnswer : 0u));
    put<std::uint64_t>(out, p.epoch);
    put<std::uint64_t>(out, p.sequence);
    put<std::uint64_t>(out, p.echo_epoch);
    put<std::uint64_t>(out, p.echo_sequence);
    put<std::uint64_t>(out, p.clock);
    if (kProtocol.newer) {
        put(out, kNewer);
        put<std::uint16_t>(out, kNewerBlock);
        put<std::uint16_t>(out, kBlockHeader + sizeof(kNewer));
        put(out, kNewer);
    }
    for (const auto &g : p.groups)
        put_group(out, g);
    if (p.restart_hold_ms) {
        put<std::uint16_t>(out, kRestartBlock);
        put<std::uint16_t>(out, kBlockHeader + 4);
        put<std::uint32_t>(out, *p.restart_hold_ms);
    }
    if (p.mcs) {
        put<std::uint16_t>(out, kVersionsBlock);
        put<std::uint16_t>(out, kBlockHeader + 4);
        put<std::uint16_t>(out, p.mcs);
        put<std::uint16_t>(out, p.mcs_oldest);
    }
    const std::size_t size = out.size() + kMacSize;
    out[2] = static_cast<std::uint8_t>(size >> 8);
    out[3] = static_cast<std::uint8_t>(size);
    const Digest mac = auth.sign(out);
    out.insert(out.end(), mac.begin(), mac.end());
    return out;
}

tl::expected<Packet, DecodeError> decode(ByteView bytes, const Authenticator &auth)
{
    if (bytes.size() < kHeaderSize + kMacSize)
        return tl::unexpected(DecodeError::Truncated);
    const std::size_t header = std::size_t{bytes[1]} * 4;
    const std::size_t length = get<std::uint16_t>(bytes, 2);
    if (bytes.size() < length)
        return tl::unexpected(DecodeError::Truncated);
    if (bytes.size() > length || header < kHeaderSize || header + kMacSize > length)
        return tl::unexpected(DecodeError::BadLength);
    if (bytes[0] == 0)
        return tl::unexpected(DecodeError::BadVersion);

    const ByteView body = bytes.first(length - kMacSize);
    if (!auth.verify(body, bytes.last(kMacSize)))
        return tl::unexpected(DecodeError::BadMac);

    Packet p;
    const auto flags = get<std::uint32_t>(body, 4);
    p.version = body[0];
    p.request = flags & kRequest;
    p.answer = flags & kAnswer;
    p.epoch = get<std::uint64_t>(body, 8);
    p.sequence = get<std::uint64_t>(body, 16);
    p.echo_epoch = get<std::uint64_t>(body, 24);
    p.echo_sequence = get<std::uint64_t>(body, 32);
    p.clock = get<std::uint64_t>(body, 40);
    if (p.epoch == 0 || p.sequence == 0)
        return tl::unexpected(DecodeError::BadField);

    for (std::size_t at = header; at < body.size();) {
        if (body.size() - at < kBlockHeader)
            return tl::unexpected(DecodeError::BadLength);
        const auto type = get<std::uint16_t>(body, at);
        const std::size_t size = get<std::uint16_t>(body, at + 2);
        if (size < kBlockHeader || size > body.size() - at)
            return tl::unexpected(DecodeError::BadLength);
        const ByteView block = body.subspan(at, size);
        at += size;
        if (type == kGroupBlock) {
            if (size < kGroupBlockSize)
                return tl::unexpected(DecodeError::BadLength);
            GroupAdvert g;
            if (!get_group(block, g))
                return tl::unexpected(DecodeError::BadField);
            p.groups.push_back(g);
        } else if (type == kRestartBlock) {
            if (size < kBlockHeader + 4)
                return tl::unexpected(DecodeError::BadLength);
            p.restart_hold_ms = get<std::uint32_t>(block, kBlockHeader);
        } else if (type == kVersionsBlock) {
            if (size < kBlockHeader + 4)
                return tl::unexpected(DecodeError::BadLength);
            p.mcs = get<std::uint16_t>(block, kBlockHeader);
            p.mcs_oldest = get<std::uint16_t>(block, kBlockHeader + 2);
        }
    }
    auto ids = std::vector<GroupId>();
    ids.reserve(p.groups.size());
    for (const auto &g : p.groups)
        ids.push_back(g.id);
    std::sort(ids.begin(), ids.end());
    if (std::adjacent_find(ids.begin(), ids.end()) != ids.end())
        return tl::unexpected(DecodeError::BadField);
    return p;
}

}  // namespace mcipsec::mimp
