// SPDX-License-Identifier: GPL-2.0-or-later
// MIMP packets: bytes <-> Packet. The drawing is in Documentation/wire-mimp.rst.
//
// Forward compatible both ways: a longer header or group block is cut at what
// this version knows, an unknown block is skipped by its length. Every packet
// ends in 32 bytes of HMAC-SHA-256 over all bytes before them.
// Pure: no allocation besides the result, no state.
#pragma once

#include <memory>
#include <optional>

#include "core/crypto.hpp"
#include "core/protocol.hpp"
#include "core/types.hpp"

namespace mcipsec::mimp {

constexpr std::size_t kHeaderSize = 48;
constexpr std::size_t kGroupBlockSize = 36;     // with its 4 bytes of type and length
constexpr std::size_t kMacSize = 32;
constexpr std::size_t kMaxPacket = 65507;       // UDP over IPv4

// Where a hand-over stands, as seen by the sender (DESIGN "force-switchover").
enum class Phase : std::uint8_t {
    None = 0,
    Prepare = 1,    // master asks: apply everything, become prepared
    Prepared = 2,   // standby: done
    Flipped = 3,    // old master: shunts, exports the frozen sequence state; not acting any more
    Commit = 4,     // old master: exported, take it; repeated until answered
    Done = 5,       // new master: imported, acting
    Refused = 6,    // standby: cannot (oper down, not standby)
};
std::string_view to_string(Phase p);

// One tunnel-group as its sender sees it.
struct GroupAdvert {
    GroupId id = 0;                 // the sender's tunnel-group
    GroupId peer_group = 0;         // which of ours it pairs with
    std::uint8_t priority = 100;
    Mastership state = Mastership::Discovery;
    std::uint16_t active_members = 0;
    bool oper_up = false;
    bool acting = false;            // acting master; false from the flip of a hand-over on
    bool nominal = false;           // protection status
    bool shutdown = false;          // mc-ipsec shut down for the group
    bool prepared = false;
    bool reached = false;           // the sender counts us as reached
    bool ignoring = false;          // with prepare: whatever the standby lacks (ignore-protection-status)
    Phase phase = Phase::None;
    Generation generation = 0;
    std::uint64_t handover = 0;     // id of the hand-over that `phase` is about
    bool operator==(const GroupAdvert &) const = default;
};

struct Packet {
    std::uint8_t version = kProtocol.mimp;
    bool request = false;           // answer at once
    bool answer = false;            // sent at once because a request came
    std::uint64_t epoch = 0;        // sender's, random at its start, never 0
    std::uint64_t sequence = 0;     // sender's, strictly rising within the epoch, from 1
    std::uint64_t echo_epoch = 0;   // last epoch heard from the receiver, 0 none
    std::uint64_t echo_sequence = 0;// highest sequence heard of it
    std::uint64_t clock = 0;        // sender's wall clock, ns since 1970; 0 unknown
    std::optional<std::uint32_t> restart_hold_ms;   // planned restart: count me as reached so long
    std::uint16_t mcs = 0, mcs_oldest = 0;          // MCS versions of the sender, 0: not said, as by version 1
    std::vector<GroupAdvert> groups;
};

// Signs and verifies. One per peer, shared by copies of a session.
class Authenticator {
public:
    virtual ~Authenticator() = default;
    virtual Digest sign(ByteView data) const = 0;                       // what we send
    virtual bool verify(ByteView data, ByteView mac) const = 0;         // what the peer sent
};
std::shared_ptr<const Authenticator> make_authenticator(SecretBytes tx, SecretBytes rx);

enum class DecodeError : std::uint8_t {
    Truncated,      // shorter than header + MAC, or than its own length says
    BadLength,      // longer than its length says, a block that runs over, a group block too short
    BadVersion,     // version 0
    BadMac,
    BadField,       // a state or phase out of range, epoch or sequence 0, two blocks of one group
};
std::string_view to_string(DecodeError e);

Bytes encode(const Packet &packet, const Authenticator &auth);

// Lengths are checked first, then the MAC, then the fields: an unauthenticated
// byte decides nothing but to drop.
tl::expected<Packet, DecodeError> decode(ByteView bytes, const Authenticator &auth);

}  // namespace mcipsec::mimp
