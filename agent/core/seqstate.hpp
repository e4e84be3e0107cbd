// SPDX-License-Identifier: GPL-2.0-or-later
// Sequence numbers of the SAs of one group (I3): the standby's kernel SAs carry
// the last synced number plus a margin all the time, so that a flip touches no
// SA and no number is used twice under one key.
//
// margin = peak rate x (age of the sample + interval + detection + T), at least
// 2^16, at most 2^24 without ESN and 2^28 with it; T: how long a new master may
// still send under the old key. What is older than its margin covers must not
// send: it is listed until it is rekeyed.
// jump: what takeovers added to an SA in all. I3 counts from the peer's last
// proof that it authenticated a packet of ours; nothing in ESP proves that, so
// we count from the SA's birth, which is stricter: 127 takeovers without a rekey
// (7 with ESN) stay below 2^31. The acting master tells it with each sample.
//
// Standby: peer_sample() for what came by MCS, refresh() now and then while
// nothing comes; both return what to import (monotonic in the kernel).
// Master: local_sample() on its own export, before it goes to MCS.
// Pure: no clock, no IO, no threads.
#pragma once

#include <linux/mcipsec.h>

#include <unordered_map>
#include <utility>

#include "core/mcs/events.hpp"

namespace mcipsec {

constexpr std::uint64_t kMarginFloor = 1ull << 16;

struct SeqParams {
    Duration sample_interval = 200ms;  // of the acting master's export
    Duration detection = 3s;           // peer's death is noticed within
    Duration send_time = 5s;           // T
    double assumed_peak_pps = 20000;   // until measured higher; 0: measured only
    Duration rate_half_life = 600s;    // measured peaks fade
    bool strict_replay = false;        // inbound gets the margin, too
    std::uint64_t margin_floor = kMarginFloor;
};

constexpr std::uint64_t kMarginCap = 1ull << 24;
constexpr std::uint64_t kMarginCapEsn = 1ull << 28;
constexpr std::uint64_t kJumpLimit = 1ull << 31;
constexpr std::uint64_t kSeqMax32 = 0xffffffffull;

// What the margin of an SA must be; uncapped says what was asked for.
struct Margin {
    std::uint64_t value = 0;
    std::uint64_t uncapped = 0;
    bool covers() const { return uncapped <= value; }
};
Margin seq_margin(double peak_pps, Duration exposure, bool esn, std::uint64_t floor = kMarginFloor);

// An SA as the kernel names it.
struct SaId {
    std::uint32_t spi = 0;  // network order, as in struct mcipsec_seq
    std::uint8_t proto = 0, family = 0;
    std::array<std::uint8_t, 16> daddr{};
    bool operator==(const SaId &) const = default;
    static SaId of(const mcipsec_seq &sa);
};
struct SaIdHash {
    std::size_t operator()(const SaId &id) const;
};

// Worst first.
enum class RekeyReason : std::uint8_t {
    Stale,      // state was older than the margin covers: it must not send until rekeyed
    Exhausted,  // 32-bit numbers run out
    Jump,       // jumps in sum come near 2^31
    SendTime,   // T has passed since a takeover without frozen numbers
    Alone,      // this old master comes near the numbers that its unreached peer may have begun at
    Offload,    // hardware offload: refused in a group
};
std::string_view to_string(RekeyReason reason);  // "stale", "exhausted", "jump", "send-time", "alone", "offload"
struct NeedsRekey {
    SaId id;
    RekeyReason reason;
};

class SeqState {
public:
    explicit SeqState(SeqParams params = {}) : params_(params) {}
    void set_params(const SeqParams &params) { params_ = params; }

    // Standby: numbers from the acting master, taken at `taken` (own clock: now - age).
    // Returns the same SAs with the margin added, for MCIPSEC_CMD_SEQ_SET.
    std::vector<mcipsec_seq> peer_sample(std::span<const mcs::SaSeq> sas, Time taken, Time now);
    // An SA that charon has installed (again), at number zero: what its kernel must be given.
    // What nobody has told about is stale until a sample names it: zero and a margin would
    // be a guess. Nothing that is owed is forgotten; acting: the jump counts at once.
    mcipsec_seq reseed(const mcipsec_seq &sa, Time now, bool acting);
    // charon is about to install it (again). What was sent since the last reseed() is not
    // known: the next one gets its margin anew.
    void made_anew(const mcipsec_seq &sa);
    // The kernel was not given what peer_sample(), frozen() or must_stop() returned: what
    // those SAs have there is unknown, and what had to stop is returned once more.
    void not_given(std::span<const mcipsec_seq> sas, Time now);
    // Standby: every SA whose margin must grow because its sample has aged.
    std::vector<mcipsec_seq> refresh(Time now);
    // Standby: the acting master's samples are complete up to `taken` (an SA that was
    // not named did not change).
    void complete(Time taken) { complete_ = std::max(complete_, taken); }
    // Final numbers of a closed gate: of the old master in a hand-over, or of a peer that
    // acted, too, while it was not reached. acting: this node went on under the same keys;
    // where the peer was made receive-only it needs no more than to stay above its numbers.
    std::vector<mcipsec_seq> frozen(std::span<const mcs::SaSeq> sas, Time now, bool acting = false);
    // A hand-over begins: what an earlier one froze, and did not take, has been used since.
    void thaw();
    // This node becomes acting master; handed_over: by the hand-over whose frozen numbers
    // are here, which need no margin. Accounts the jumps; returns what must be rekeyed
    // before anything else. Order: worst first.
    std::vector<NeedsRekey> takeover(Time now, bool handed_over = false);
    // Acting master that does not reach its peer any more. That one may act, too, and has
    // begun a margin above the last sample: half a margin from here the SA is to be rekeyed,
    // a whole one, and it must stop. Ends with the peer's frozen numbers.
    void alone(Time now);
    // Acting master: what came to be rekeyed for that, or was installed while this node acts and
    // must not send, each once.
    std::vector<SaId> take_near() { return std::exchange(near_, {}); }
    // Whose CHILD_SA is not known yet: named again, until half a minute after the SA was learned.
    void keep_near(std::span<const SaId> ids, Time now);
    bool has_near() const { return !near_.empty(); }
    // Before takeover(): what the own kernel has and nobody has told about is stale.
    void unknown(std::span<const mcipsec_seq> kernel, Time now);
    // Acting master: SAs that must not send any more under their key (stale, jumped too far, or
    // T has passed without a rekey), each once, with MCIPSEC_SEQ_RECEIVE_ONLY for MCIPSEC_CMD_SEQ_SET. They
    // stay so, and first in line for a rekey, whoever is master. Cheap when there is nothing to do.
    std::vector<mcipsec_seq> must_stop(Time now);
    // Master: own export, taken at `taken`. Keeps rates; returns it with the jumps
    // for mcs::ev::SeqSample.
    std::vector<mcs::SaSeq> local_sample(std::span<const mcipsec_seq> sas, Time taken);
    // Asked at any time on either node.
    std::vector<NeedsRekey> needs_rekey(Time now) const;

    // What a restart of the agent must not forget of an SA: until when it may send under
    // its key, the jumps so far, and how far it may go while the peer is not reached (see
    // alone(); what was to be rekeyed for that is named once more). restore() before the
    // first sample of the new process.
    struct Debt {
        SaId id;
        Time send_until = kNever;
        std::uint64_t jump = 0;
        std::uint64_t rekey_at = 0, ceiling = 0;
        bool operator==(const Debt &) const = default;
    };
    std::vector<Debt> debts() const;
    void restore(std::span<const Debt> debts);

    void forget(const SaId &id) { sas_.erase(id); }
    void clear() { sas_.clear(); }
    // Drops what the own kernel does not have (any more); what was learned less than
    // `grace` ago is kept, its import may be under way. Returns how many went.
    std::size_t retain(std::span<const mcipsec_seq> kernel, Time now, Duration grace = 60s);
    std::size_t size() const { return sas_.size(); }
    // For show: last known numbers, 0 if unknown.
    struct Known {
        std::uint64_t oseq = 0, seq = 0, imported = 0, jump = 0;
        double peak_pps = 0;
        Time taken{};
    };
    std::optional<Known> known(const SaId &id) const;

private:
    struct Sa {
        mcipsec_seq last{};          // as sampled, without margin
        Time taken{}, learned{};
        std::uint64_t imported = 0;  // highest oseq that our kernel was given
        std::uint64_t jump = 0;      // added by takeovers so far
        std::uint64_t sent = 0;      // blocked: highest number that it can have sent, 0: not known
        std::uint64_t rekey_at = 0, ceiling = 0;    // alone(); 0: none
        Time send_until = kNever;    // T after a takeover
        float peak_pps = 0;
        bool exact = false;          // numbers are final: the other gate is shut
        bool stale = false;
        bool blocked = false;        // our kernel's SA only receives
    };
    Sa &learn(const mcs::SaSeq &s, Time taken, Time now);
    double peak(const Sa &sa, Time now) const;
    Margin margin(const Sa &sa, Time now) const;
    mcipsec_seq raise(Sa &sa, Time now);
    std::optional<RekeyReason> reason(const Sa &sa, Time now) const;

    SeqParams params_;
    Time complete_{};
    Time next_stop_ = kNever;           // must_stop() has nothing before
    std::unordered_map<SaId, Sa, SaIdHash> sas_;
    std::vector<SaId> near_;
};

}  // namespace mcipsec
