// SPDX-License-Identifier: GPL-2.0-or-later
// BFD, asynchronous mode (RFC 5880), multihop over UDP port 4784 (RFC 5883),
// sans-IO. It vouches for the agent: the engine sends from the thread that
// renews the lease. No echo function, no demand mode; packets that ask for them are
// dropped as the RFC says. Meticulous Keyed SHA1 (RFC 5880 section 6.7.4) where there
// is a key: then nothing but counters follows from a packet that is not signed, or
// that was recorded; for the latter the session takes a new discriminator each time
// it has been down.
//
// Stricter than the RFC in one point: while the session is up, a packet counts only
// if it carries our discriminator. An end that has lost us says Down without it
// (6.8.1), but so may anybody who knows two addresses; as it will not say Up again
// either, our own detection time finds out.
//
// The adapter checks what the core cannot see: source and destination address,
// destination port 4784, source port 49152..65535 for what we send.
// Threading: none; copyable.
#pragma once

#include <memory>
#include <optional>
#include <variant>

#include "core/secret.hpp"
#include "core/types.hpp"

namespace mcipsec::bfd {

constexpr std::uint16_t kMultihopPort = 4784;
constexpr std::size_t kPacketSize = 24;         // mandatory section
constexpr std::size_t kAuthSize = 28;           // Keyed SHA1 section, RFC 5880 section 4.4
constexpr std::size_t kKeySize = 20;

enum class State : std::uint8_t { AdminDown = 0, Down = 1, Init = 2, Up = 3 };
enum class Diag : std::uint8_t {
    None = 0, DetectionExpired = 1, EchoFailed = 2, NeighborSignaledDown = 3, ForwardingReset = 4,
    PathDown = 5, ConcatenatedPathDown = 6, AdminDown = 7, ReverseConcatenatedPathDown = 8,
};
std::string_view to_string(State s);
std::string_view to_string(Diag d);

// RFC 5880 section 4.1, mandatory section. Intervals in microseconds.
struct ControlPacket {
    std::uint8_t version = 1;
    Diag diag = Diag::None;
    State state = State::Down;
    bool poll = false, final = false, cpi = false, auth = false, demand = false, multipoint = false;
    std::uint8_t detect_mult = 3;
    std::uint32_t my_discriminator = 0, your_discriminator = 0;
    std::uint32_t desired_min_tx = 0, required_min_rx = 0, required_min_echo_rx = 0;
    bool operator==(const ControlPacket &) const = default;
};
std::array<std::uint8_t, kPacketSize> encode(const ControlPacket &p);
// The checks of RFC 5880 section 6.8.6 that need no session; the error text names the one that failed.
// A packet with the A bit is decoded, too: whether it may have it is the session's affair.
Expected<ControlPacket> decode(ByteView bytes);

// One key for what we send, one for what the remote sends: a packet sent back to its
// sender does not verify. kKeySize bytes each.
struct Keys {
    SecretBytes tx, rx;
};
// The packet with an authentication section behind it.
Bytes encode_signed(const ControlPacket &p, ByteView key, std::uint32_t sequence);
// The sequence number of a packet that is soundly signed.
std::optional<std::uint32_t> verify(ByteView bytes, ByteView key);

struct Config {
    Duration transmit = 100ms;      // DesiredMinTxInterval once up
    Duration receive = 100ms;       // RequiredMinRxInterval
    std::uint8_t multiplier = 3;
    Duration slow = 1s;             // DesiredMinTxInterval while not up: at least 1 s (RFC 5880 6.8.3)
    bool operator==(const Config &) const = default;
};

struct Start {};                                // begins in Down, sends slowly
struct PacketIn { ByteView bytes; };            // already filtered by address and port
struct Timer {};
struct AdminDown { bool on = true; };           // planned restart, shutdown: sends AdminDown; off: Down again
struct Reconfigure { Config config; };          // Poll Sequence if up
using Event = std::variant<Start, PacketIn, Timer, AdminDown, Reconfigure>;

struct SendPacket { Bytes bytes; };             // renew the lease just before
struct Up {};                                   // -> mimp::BfdUp
struct Down { Diag diag = Diag::None; };        // a failure -> mimp::BfdDown
struct RemoteAdminDown {};                      // -> mimp::BfdAdminDown, no failure (RFC 5882 section 3.2)
// The lease plan follows these: interval between our sends, and the remote's detection time for us.
struct TimingChanged { Duration transmit_interval{}; Duration remote_detection{}; };
using Action = std::variant<SendPacket, Up, Down, RemoteAdminDown, TimingChanged>;
using Actions = std::vector<Action>;

struct Counters {
    std::uint64_t tx = 0, rx = 0, bad_packet = 0, bad_discriminator = 0, ups = 0, downs = 0;
    std::uint64_t bad_auth = 0;             // unsigned, wrongly signed, or not newer than the last one
};

struct Snapshot {
    State state = State::Down;
    Diag diag = Diag::None;
    State remote_state = State::Down;
    std::uint32_t local_discriminator = 0, remote_discriminator = 0;
    Duration transmit_interval{};       // between our packets, before jitter
    Duration detection{};               // ours for the remote; 0 unknown
    Duration remote_detection{};        // the remote's for us, as it computes it from what we send; 0 unknown
    Time last_rx{};
    Counters counters;
};

class Session {
public:
    // discriminator: not 0, unique on this system. entropy: seeds the jitter and the sequence numbers.
    // keys: none, no authentication.
    Session(Config config, std::uint32_t discriminator, std::uint64_t entropy, std::shared_ptr<const Keys> keys = nullptr);
    static Expected<void> validate(const Config &config);   // intervals 10 ms..100 s, multiplier 1..20

    Actions step(const Event &event, Time now);
    Time deadline() const;
    State state() const { return state_; }
    Snapshot snapshot() const;

private:
    void begin_anew();
    bool ours(const ControlPacket &p);
    bool authentic(const ControlPacket &p, ByteView bytes, Time now);
    void receive(const ControlPacket &p, Time now, Actions &out);
    void set_state(State s, Diag diag, Actions &out);
    void transmit(bool final, Actions &out);
    void schedule(Time now);
    void note_timing(Actions &out);
    Duration transmit_interval() const;
    Duration detection() const;
    Duration remote_detection() const;
    Duration desired_tx() const;
    std::uint64_t next_random();

    Config config_;
    std::uint32_t local_disc_;
    std::uint32_t remote_disc_ = 0;
    std::uint64_t random_;
    std::shared_ptr<const Keys> keys_;
    std::uint32_t tx_sequence_ = 0;     // bfd.XmitAuthSeq
    std::optional<std::uint32_t> rx_sequence_;  // bfd.RcvAuthSeq; none: bfd.AuthSeqKnown is 0
    std::uint32_t rx_sequence_of_ = 0;          // My Discriminator of who counted so far
    Time rx_sequence_until_{};
    State state_ = State::Down;
    State remote_state_ = State::Down;
    Diag diag_ = Diag::None;
    bool started_ = false;
    bool polling_ = false;              // P set until an F comes
    bool reported_up_ = false;          // last report to MIMP was Up or RemoteAdminDown
    bool remote_admin_ = false;         // AdminDown heard; silence afterwards is no failure
    Duration active_tx_{};              // DesiredMinTxInterval in use (raised only after a Poll Sequence)
    Duration active_rx_{};              // RequiredMinRxInterval in use for detection
    Duration remote_min_rx_ = std::chrono::microseconds(1);     // bfd.RemoteMinRxInterval, RFC 5880 6.8.1
    Duration remote_desired_tx_{};
    std::uint8_t remote_mult_ = 0;
    Duration told_interval_{}, told_detection_{};
    Time next_tx_ = kNever;
    Time detect_at_ = kNever;
    Time last_rx_{};
    Counters counters_;
};

}  // namespace mcipsec::bfd
