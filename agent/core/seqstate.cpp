// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/seqstate.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace mcipsec {
namespace {

constexpr Duration kRecordFor = 30s;        // charon has told of an SA by then, or it is nobody's
constexpr Duration kFrozenFor = 10s;        // then a hand-over was given up: margins grow again

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
bool outbound(const mcipsec_seq &sa) { return sa.flags & MCIPSEC_SEQ_F_OUT; }
bool esn(const mcipsec_seq &sa) { return sa.flags & MCIPSEC_SEQ_F_ESN; }
// Saturating: a 32-bit number never wraps, the SA then stops and is listed.
std::uint64_t add(const mcipsec_seq &sa, std::uint64_t number, std::uint64_t by)
{
    const auto sum = number + by < number ? UINT64_MAX : number + by;
    return esn(sa) ? sum : std::min(sum, kSeqMax32);
}

}  // namespace

std::string_view to_string(RekeyReason reason)
{
    switch (reason) {
    case RekeyReason::Stale: return "stale";
    case RekeyReason::Exhausted: return "exhausted";
    case RekeyReason::Jump: return "jump";
    case RekeyReason::SendTime: return "send-time";
    case RekeyReason::Alone: return "alone";
    case RekeyReason::Offload: return "offload";
    }
    return "unknown";
}

Margin seq_margin(double peak_pps, Duration exposure, bool esn, std::uint64_t floor)
{
    const double asked = std::max(0.0, peak_pps) * std::max(0.0, seconds(exposure));
    Margin m;
    m.uncapped = asked >= 9e18 ? UINT64_MAX : static_cast<std::uint64_t>(std::ceil(asked));
    const auto cap = esn ? kMarginCapEsn : kMarginCap;
    m.value = std::clamp(m.uncapped, std::clamp(floor, kMarginFloor, cap), cap);
    return m;
}

SaId SaId::of(const mcipsec_seq &sa)
{
    SaId id{sa.spi, sa.proto, sa.family, {}};
    std::memcpy(id.daddr.data(), sa.daddr, id.daddr.size());
    return id;
}

std::size_t SaIdHash::operator()(const SaId &id) const
{
    // SPIs are random where we choose them; the address tells the others apart.
    std::uint64_t h = id.spi;
    for (std::size_t i = 0; i < id.daddr.size(); i += 4) {
        std::uint32_t w;
        std::memcpy(&w, id.daddr.data() + i, 4);
        h = (h ^ w) * 0x9e3779b97f4a7c15ull;
        h ^= h >> 32;
    }
    return h ^ (std::uint64_t{id.proto} << 8 | id.family);
}

SeqState::Sa &SeqState::learn(const mcs::SaSeq &s, Time taken, Time now)
{
    auto [it, created] = sas_.try_emplace(SaId::of(s.sa));
    Sa &sa = it->second;
    if (created) {
        sa.last = s.sa;
        sa.taken = taken;
        sa.learned = now;
    } else if (taken > sa.taken) {
        const auto dt = taken - sa.taken;
        if (dt >= 1ms && s.sa.oseq > sa.last.oseq) {
            const double rate = static_cast<double>(s.sa.oseq - sa.last.oseq) / seconds(dt);
            sa.peak_pps = static_cast<float>(std::max(rate, peak(sa, taken)));
        }
        const auto oseq = std::max(sa.last.oseq, s.sa.oseq), seq = std::max(sa.last.seq, s.sa.seq);
        sa.last = s.sa;
        sa.last.oseq = oseq;
        sa.last.seq = seq;
        sa.taken = taken;
    } else {
        sa.last.oseq = std::max(sa.last.oseq, s.sa.oseq);
        sa.last.seq = std::max(sa.last.seq, s.sa.seq);
    }
    sa.jump = std::max<std::uint64_t>(sa.jump, s.jump);
    return sa;
}

// The measured peak, faded by its age.
double SeqState::peak(const Sa &sa, Time now) const
{
    const auto age = seconds(now - sa.taken);
    return age <= 0 ? sa.peak_pps : sa.peak_pps * std::exp2(-age / std::max(1.0, seconds(params_.rate_half_life)));
}

// Exposure: since when the sender's number is not known, plus how long it may take
// until this node knows that it has to send, plus how long it then may send.
Margin SeqState::margin(const Sa &sa, Time now) const
{
    const auto known = std::max(sa.taken, complete_);
    const auto age = std::max(now - known, Duration::zero());
    return seq_margin(std::max<double>(params_.assumed_peak_pps, sa.peak_pps), age + params_.sample_interval + params_.detection + params_.send_time,
                      esn(sa.last), params_.margin_floor);
}

// The numbers to import; never below what was imported before.
mcipsec_seq SeqState::raise(Sa &sa, Time now)
{
    auto out = sa.last;
    if (sa.blocked) {
        out.oseq = MCIPSEC_SEQ_RECEIVE_ONLY;
    } else if (outbound(out)) {
        // A quarter more than needed, so that refresh() is rarely needed soon after.
        const auto by = sa.exact ? 0 : std::min(margin(sa, now).value * 5 / 4, esn(out) ? kMarginCapEsn : kMarginCap);
        sa.imported = out.oseq = std::max(sa.imported, add(out, out.oseq, by));
    } else if (params_.strict_replay && !sa.exact) {
        out.seq = add(out, out.seq, margin(sa, now).value);
    }
    return out;
}

std::vector<mcipsec_seq> SeqState::peer_sample(std::span<const mcs::SaSeq> sas, Time taken, Time now)
{
    std::vector<mcipsec_seq> out;
    out.reserve(sas.size());
    for (const auto &s : sas) {
        Sa &sa = learn(s, taken, now);
        sa.exact = sa.stale = false;  // somebody else sends under this key again
        sa.send_until = kNever;
        out.push_back(raise(sa, now));
    }
    return out;
}

std::vector<mcipsec_seq> SeqState::refresh(Time now)
{
    std::vector<mcipsec_seq> out;
    for (auto &[id, sa] : sas_) {
        if (!outbound(sa.last))
            continue;
        if (sa.exact && now - sa.taken < kFrozenFor)
            continue;
        sa.exact = false;
        if (add(sa.last, sa.last.oseq, margin(sa, now).value) > sa.imported)
            out.push_back(raise(sa, now));
    }
    return out;
}

std::vector<mcipsec_seq> SeqState::frozen(std::span<const mcs::SaSeq> sas, Time now, bool acting)
{
    std::vector<mcipsec_seq> out;
    out.reserve(sas.size());
    for (auto s : sas) {
        const auto it = acting && s.sent ? sas_.find(SaId::of(s.sa)) : sas_.end();
        if (it != sas_.end() && !it->second.stale && !it->second.blocked)
            s.sa.oseq = s.sent;
        const auto known = sas_.find(SaId::of(s.sa));
        const float peak = known == sas_.end() ? 0 : known->second.peak_pps;
        const Time before = known == sas_.end() ? now : known->second.taken;
        Sa &sa = learn(s, now, now);
        if (acting) {   // the way from our numbers to the peer's is no rate, and ours were not taken now
            sa.peak_pps = peak;
            sa.taken = before;
        }
        sa.exact = true;
        sa.stale = false;
        sa.rekey_at = sa.ceiling = 0;
        out.push_back(raise(sa, now));
    }
    return out;
}

void SeqState::thaw()
{
    for (auto &[id, sa] : sas_)
        sa.exact = false;
}

void SeqState::alone(Time now)
{
    for (auto &[id, sa] : sas_) {
        if (!outbound(sa.last) || sa.blocked || sa.ceiling)
            continue;
        const auto m = margin(sa, now).value;
        sa.rekey_at = add(sa.last, sa.last.oseq, m / 2);
        sa.ceiling = add(sa.last, sa.last.oseq, m);
    }
}

std::vector<NeedsRekey> SeqState::takeover(Time now, bool handed_over)
{
    near_.clear();
    for (auto &[id, sa] : sas_) {
        if (!outbound(sa.last))
            continue;
        sa.exact = sa.exact && handed_over;
        sa.rekey_at = sa.ceiling = 0;
        if (!sa.exact) {
            // What the former master may have sent by now, against what our kernel skips.
            const auto known = std::max(sa.taken, complete_);
            const auto exposed = seq_margin(std::max<double>(params_.assumed_peak_pps, sa.peak_pps), std::max(now - known, Duration::zero()) + params_.send_time, true);
            sa.stale = sa.stale || add(sa.last, sa.last.oseq, exposed.uncapped) > sa.imported;
            sa.send_until = now + params_.send_time;
            next_stop_ = std::min(next_stop_, sa.stale ? now : sa.send_until);
        }
        if (sa.imported > sa.last.oseq) {
            sa.jump += sa.imported - sa.last.oseq;
            sa.last.oseq = sa.imported;
        }
        sa.taken = std::max(sa.taken, now);  // from here on our own export counts
        sa.exact = false;
        if (const auto r = reason(sa, now); r == RekeyReason::Jump || r == RekeyReason::Stale)
            next_stop_ = now;
    }
    return needs_rekey(now);
}

void SeqState::keep_near(std::span<const SaId> ids, Time now)
{
    for (const auto &id : ids)
        if (const auto it = sas_.find(id); it != sas_.end() && outbound(it->second.last) && now - it->second.learned < kRecordFor)
            near_.push_back(id);
}

void SeqState::unknown(std::span<const mcipsec_seq> kernel, Time now)
{
    for (const auto &k : kernel)
        if (outbound(k) && !sas_.contains(SaId::of(k)))
            learn({k, 0}, Time{}, now).stale = true;
}

std::vector<mcipsec_seq> SeqState::must_stop(Time now)
{
    std::vector<mcipsec_seq> out;
    if (now < next_stop_)
        return out;
    next_stop_ = kNever;
    for (auto &[id, sa] : sas_) {
        if (!outbound(sa.last) || sa.blocked)
            continue;
        const bool jumped = sa.jump + (esn(sa.last) ? kMarginCapEsn : kMarginCap) >= kJumpLimit;
        const bool crossed = sa.ceiling && sa.last.oseq >= sa.ceiling;
        if (!sa.stale && !jumped && !crossed && now < sa.send_until) {
            next_stop_ = std::min(next_stop_, sa.send_until);
            continue;
        }
        sa.blocked = true;
        // What it sent since the last sample is covered by a margin for that time.
        sa.sent = add(sa.last, sa.last.oseq, seq_margin(std::max<double>(params_.assumed_peak_pps, sa.peak_pps),
                                                        std::max(now - sa.taken, Duration::zero()) + params_.sample_interval, esn(sa.last)).value);
        out.push_back(raise(sa, now));
    }
    return out;
}

std::vector<mcs::SaSeq> SeqState::local_sample(std::span<const mcipsec_seq> sas, Time taken)
{
    std::vector<mcs::SaSeq> out;
    out.reserve(sas.size());
    for (const auto &k : sas) {
        Sa &sa = learn({k, 0}, taken, taken);
        sa.exact = false;
        sa.imported = std::max<std::uint64_t>(sa.imported, sa.last.oseq);
        if (sa.ceiling && !sa.blocked && sa.last.oseq >= sa.ceiling)
            next_stop_ = std::min(next_stop_, taken);
        if (sa.rekey_at && sa.last.oseq >= sa.rekey_at) {
            sa.rekey_at = 0;
            near_.push_back(SaId::of(k));
        }
        out.push_back({k, static_cast<std::uint32_t>(std::min<std::uint64_t>(sa.jump, UINT32_MAX)), sa.blocked ? sa.sent : 0});
    }
    return out;
}

std::optional<RekeyReason> SeqState::reason(const Sa &sa, Time now) const
{
    if (sa.last.flags & MCIPSEC_SEQ_F_OFFLOAD)
        return RekeyReason::Offload;
    if (!outbound(sa.last))
        return std::nullopt;
    if (sa.stale || sa.blocked)
        return RekeyReason::Stale;
    const auto cap = esn(sa.last) ? kMarginCapEsn : kMarginCap;
    // One more takeover must fit, the biggest one.
    if (!esn(sa.last) && std::max<std::uint64_t>(sa.last.oseq, sa.imported) + 2 * cap >= kSeqMax32)
        return RekeyReason::Exhausted;
    if (sa.jump + cap >= kJumpLimit)
        return RekeyReason::Jump;
    if (now >= sa.send_until)
        return RekeyReason::SendTime;
    if (sa.ceiling && !sa.rekey_at)
        return RekeyReason::Alone;
    return std::nullopt;
}

std::vector<NeedsRekey> SeqState::needs_rekey(Time now) const
{
    std::vector<NeedsRekey> out;
    for (const auto &[id, sa] : sas_)
        if (const auto r = reason(sa, now))
            out.push_back({id, *r});
    std::stable_sort(out.begin(), out.end(), [](const auto &a, const auto &b) { return a.reason < b.reason; });
    return out;
}

mcipsec_seq SeqState::reseed(const mcipsec_seq &installed, Time now, bool acting)
{
    auto [it, created] = sas_.try_emplace(SaId::of(installed));
    Sa &sa = it->second;
    if (created) {
        sa.last = installed;
        sa.stale = true;
    }
    sa.learned = now;
    sa.last.mark = installed.mark;
    acting = acting && outbound(sa.last);
    if (acting && sa.stale && !std::exchange(sa.blocked, true))
        near_.push_back(it->first);     // no takeover is to come that would have it rekeyed
    const auto out = raise(sa, now);
    if (!acting || sa.blocked || sa.exact)
        return out;
    sa.jump += out.oseq - std::min(out.oseq, sa.last.oseq);
    sa.last.oseq = out.oseq;
    sa.exact = true;        // however often this is asked
    if (sa.send_until == kNever)
        sa.send_until = now + params_.send_time;
    next_stop_ = std::min(next_stop_, sa.send_until);
    return out;
}

void SeqState::made_anew(const mcipsec_seq &sa)
{
    if (const auto it = sas_.find(SaId::of(sa)); it != sas_.end())
        it->second.exact = false;
}

void SeqState::not_given(std::span<const mcipsec_seq> sas, Time now)
{
    for (const auto &s : sas)
        if (const auto it = sas_.find(SaId::of(s)); it != sas_.end() && outbound(it->second.last)) {
            it->second.stale = true;
            it->second.blocked = false;
            it->second.sent = 0;
            next_stop_ = now;
        }
}

std::vector<SeqState::Debt> SeqState::debts() const
{
    std::vector<Debt> out;
    for (const auto &[id, sa] : sas_)
        if (outbound(sa.last) && (sa.send_until != kNever || sa.jump || sa.ceiling))
            out.push_back({id, sa.send_until, sa.jump, sa.rekey_at, sa.ceiling});
    return out;
}

void SeqState::restore(std::span<const Debt> debts)
{
    for (const auto &d : debts) {
        mcipsec_seq last{};
        last.spi = d.id.spi;
        last.proto = d.id.proto;
        last.family = d.id.family;
        last.flags = MCIPSEC_SEQ_F_OUT;
        std::copy(d.id.daddr.begin(), d.id.daddr.end(), last.daddr);
        Sa &sa = learn({last, 0}, Time{}, Time{});
        sa.jump = std::max(sa.jump, d.jump);
        sa.send_until = std::min(sa.send_until, d.send_until);
        next_stop_ = std::min(next_stop_, sa.send_until);
        sa.rekey_at = d.rekey_at;
        sa.ceiling = d.ceiling;
        if (d.ceiling && !d.rekey_at)
            near_.push_back(d.id);
    }
}

std::size_t SeqState::retain(std::span<const mcipsec_seq> kernel, Time now, Duration grace)
{
    std::unordered_set<SaId, SaIdHash> there;
    for (const auto &k : kernel)
        there.insert(SaId::of(k));
    return std::erase_if(sas_, [&](const auto &item) { return !there.count(item.first) && now - item.second.learned >= grace; });
}

std::optional<SeqState::Known> SeqState::known(const SaId &id) const
{
    const auto it = sas_.find(id);
    if (it == sas_.end())
        return std::nullopt;
    const Sa &sa = it->second;
    return Known{sa.last.oseq, sa.last.seq, sa.imported, sa.jump, sa.peak_pps, sa.taken};
}

}  // namespace mcipsec
