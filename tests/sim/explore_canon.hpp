// SPDX-License-Identifier: GPL-2.0-or-later
// The canonical form of an explored state, and its 64-bit fingerprint: epochs and
// sequence numbers by rank, generations from their minimum, times from now in ticks
// and clipped where they make no difference any more.
#pragma once

#include "sim/explore_world.hpp"

namespace mcipsec::mimp {

inline std::uint64_t mix(std::uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 29;
    x *= 0xff51afd7ed558ccdull;
    x ^= x >> 32;
    return x;
}

struct SessionProbe::Canon {
    std::vector<std::uint8_t> bytes;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> numbers;   // (epoch, number)
    std::vector<std::uint64_t> epochs;                              // by appearance
    std::vector<std::uint64_t> ids;                                 // hand-overs by appearance
    Generation base = ~Generation{0};
    Time now;
    bool leased = false;

    void u8(unsigned v) { bytes.push_back(static_cast<std::uint8_t>(v)); }
    void i16(long v)
    {
        u8(static_cast<unsigned>(v) & 0xff);
        u8(static_cast<unsigned>(v >> 8) & 0xff);
    }
    // Quarter ticks from now, clipped: beyond `low` and `high` a time makes no difference.
    void time(Time t, int low, int high)
    {
        if (t == kNever)
            return i16(0x7fff);
        const auto d = (t - now) / (kTick / 4);
        i16(static_cast<long>(std::clamp<std::int64_t>(d, low * 4, high * 4)));
    }
    void epoch(std::uint64_t e) { u8(name(epochs, e)); }
    void id(std::uint64_t i) { u8(i ? name(ids, i) + 1 : 0); }
    static unsigned name(std::vector<std::uint64_t> &list, std::uint64_t v)
    {
        const auto it = std::find(list.begin(), list.end(), v);
        if (it != list.end())
            return static_cast<unsigned>(it - list.begin());
        list.push_back(v);
        return static_cast<unsigned>(list.size() - 1);
    }
    void need(std::uint64_t e, std::uint64_t n)
    {
        if (e && n)
            numbers.emplace_back(e, n);
    }
    void rank(std::uint64_t e, std::uint64_t n)
    {
        if (!e || !n)
            return u8(0);
        const auto first = std::lower_bound(numbers.begin(), numbers.end(), std::pair(e, std::uint64_t{0}));
        const auto it = std::lower_bound(first, numbers.end(), std::pair(e, n));
        u8(static_cast<unsigned>(it - first) + 1);
    }
    // A number of our own that we compare only with echoes: all that are too old to prove anything are one.
    void own(std::uint64_t e, std::uint64_t n, std::uint64_t first_fresh)
    {
        if (n && n < first_fresh)
            return u8(0xfe);
        rank(e, n);
    }
    void generation(Generation g) { u8(static_cast<unsigned>(g - base)); }

    static bool stale(const Session &s, const Session::SentMark &m, Time now) { return m.at + s.config_->detection() <= now; }

    static std::uint64_t first_fresh(const Session &n, Time now)
    {
        for (const auto &m : n.marks_)
            if (!stale(n, m, now))
                return m.first;
        return n.sequence_ + 1;
    }

    // The same for the echo in a packet: what it is worth to the session that it echoes.
    static std::uint64_t fresh_of(const State &s, std::uint64_t epoch)
    {
        for (const auto &n : s.node)
            if (n.session && n.session->epoch_ == epoch)
                return first_fresh(*n.session, s.now);
        return ~std::uint64_t{0};
    }

    void collect(const State &s)
    {
        for (int i = 0; i < 2; ++i) {
            if (const auto &n = s.node[i].session) {
                const std::uint64_t e = n->epoch_;
                const std::uint64_t fresh = first_fresh(*n, s.now);
                need(e, n->sequence_);
                for (std::uint64_t v : {n->request_sequence_, n->live_floor_, n->echo_, n->wake_floor_, n->bfd_floor_})
                    if (v >= fresh)
                        need(e, v);
                for (const auto &m : n->marks_)
                    if (!stale(*n, m, s.now))
                        need(e, m.first);
                need(n->live_epoch_, n->live_sequence_);
                need(n->pending_epoch_, n->pending_sequence_);
                for (const auto &g : n->groups_) {
                    if (g.inputs_sequence >= fresh)
                        need(e, g.inputs_sequence);
                    base = std::min({base, g.generation, g.told_generation, g.sent.generation, g.peer_known ? g.peer.generation : ~Generation{0}});
                }
            }
            for (const auto &f : s.to[i]) {
                const Packet &p = f.parcel->packet;
                need(p.epoch, p.sequence);
                if (p.echo_sequence >= fresh_of(s, p.echo_epoch))
                    need(p.echo_epoch, p.echo_sequence);
                for (const auto &g : p.groups)
                    base = std::min(base, g.generation);
            }
        }
        std::sort(numbers.begin(), numbers.end());
        numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
        base &= ~1ull;
    }

    void put(const GroupAdvert &g)
    {
        u8(static_cast<unsigned>(g.state) | static_cast<unsigned>(g.phase) << 4);
        u8(g.oper_up | g.acting << 1 | g.shutdown << 2 | g.prepared << 3 | g.reached << 4);
        u8(g.active_members);
        generation(g.generation);
        id(g.handover);
    }

    void put(const Session &n)
    {
        const std::uint64_t e = n.epoch_;
        const bool to_vouch = n.reached_ && n.heard_arrival_ > n.vouched_;
        epoch(e);
        const std::uint64_t fresh = first_fresh(n, now);
        rank(e, n.sequence_);
        for (std::uint64_t v : {n.request_sequence_, n.live_floor_, n.echo_, n.wake_floor_, n.bfd_floor_})
            own(e, v, fresh);
        for (const auto &m : n.marks_) {
            if (stale(n, m, now))
                continue;
            rank(e, m.first);
            time(m.at, -8, 0);
        }
        u8(0xff);
        epoch(n.live_epoch_);
        rank(n.live_epoch_, n.live_sequence_);
        epoch(n.pending_epoch_);
        rank(n.pending_epoch_, n.pending_sequence_);
        u8(n.reached_ | n.answer_due_ << 1 | n.force_send_ << 2 | n.bfd_was_up_ << 3 | static_cast<unsigned>(n.bfd_) << 4);
        u8(to_vouch);
        time(n.request_at_, -2, 0);
        if (n.pending_epoch_)
            time(n.pending_until_, 0, 8);
        time(n.last_rx_, -3, 0);
        time(n.fresh_until_, 0, 8);
        time(n.grace_until_, 0, 8);
        time(n.last_step_, -kDetectionTicks, 0);
        time(n.vouched_, -4, 0);
        time(n.heard_at_, -3, 0);
        if (to_vouch || ((!n.config_->bfd_enable || leased) && n.heard_at_ + 3 * kTick > now))
            time(n.heard_arrival_, -4, 0);
        if (!n.config_->bfd_enable)
            time(n.lease_expiry_, 0, 8);
        time(n.contact_since_, n.bfd_ == BfdStatus::Down && !n.bfd_was_up_ ? -10 : -kDetectionTicks, 0);
        for (const auto &g : n.groups_) {
            u8(static_cast<unsigned>(g.state) | static_cast<unsigned>(g.phase) << 4);
            u8(g.prepared | g.defer_routes << 1 | g.oper_up << 2 | g.peer_known << 3 | g.leading << 4 | g.taking << 5 | g.import_done << 6);
            u8(g.shown_members);
            generation(g.generation);
            generation(g.told_generation);
            if (g.state == Mastership::Discovery)
                time(g.discovery_until, 0, 16);
            if (g.peer_known)
                put(g.peer);
            put(g.sent);
            u8(g.sent_inputs.oper_up | g.sent_inputs.acting << 1 | g.sent_inputs.ceded << 2);
            u8(g.sent_inputs.active_members);
            own(e, g.inputs_sequence, fresh);
            id(g.handover);
            time(g.phase_until, 0, 16);
        }
    }
};

inline std::uint64_t SessionProbe::fingerprint(const State &s)
{
    static thread_local Canon c;
    c.bytes.clear();
    c.numbers.clear();
    c.epochs.assign(1, 0);
    c.ids.clear();
    c.base = ~Generation{0};
    c.now = s.now;
    c.leased = false;
    c.collect(s);
    if (c.base > (1ull << 60))
        c.base = 0;
    for (int i = 0; i < 2; ++i) {
        const Node &n = s.node[i];
        c.u8(static_cast<bool>(n.session) | n.hung << 1 | n.oper << 2 | n.bfd_due << 3 | n.bfd_down_due << 4 | n.bfd_up << 5 | n.acting_gate << 6 | n.slept << 7);
        c.u8(static_cast<unsigned>(n.state) | static_cast<unsigned>(n.work) << 4);
        c.id(n.work_id);
        if (n.acting_gate || n.keeper)
            c.time(n.lease, 0, 8);
        if (n.keeper) {
            c.time(n.keeper->expiry(), 0, 8);
            c.u8(n.keeper->lapsed(s.now) | n.silent << 1);
            c.leased = true;
        }
        if (n.session)
            c.put(*n.session);
        for (const auto &f : s.to[i]) {
            const Packet &p = f.parcel->packet;
            c.u8(0xf0 | f.held | f.behind << 1);
            c.u8(f.age);
            c.time(f.held ? c.now : f.arrived, -3, 0);
            c.epoch(p.epoch);
            c.rank(p.epoch, p.sequence);
            c.epoch(p.echo_epoch);
            c.own(p.echo_epoch, p.echo_sequence, Canon::fresh_of(s, p.echo_epoch));
            c.u8(p.request);
            for (const auto &g : p.groups)
                c.put(g);
        }
        c.u8(s.cut[i] | n.draining << 1);
    }
    c.u8(s.faults | s.partition << 4);
    c.i16(s.credit);
    c.u8(static_cast<unsigned>(s.quiet));
    c.u8(static_cast<unsigned>(s.reached));
    std::uint64_t h = 0x9e3779b97f4a7c15ull ^ c.bytes.size();
    std::size_t at = 0;
    for (; at < c.bytes.size(); at += 8) {
        std::uint64_t w = 0;
        std::memcpy(&w, c.bytes.data() + at, std::min<std::size_t>(8, c.bytes.size() - at));
        h = mix(h ^ w) + 0x9e3779b97f4a7c15ull;
    }
    return mix(h) | 1;      // 0 marks an empty slot
}

}  // namespace mcipsec::mimp
