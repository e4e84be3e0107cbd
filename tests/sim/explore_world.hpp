// SPDX-License-Identifier: GPL-2.0-or-later
// What explore.cpp explores: the state of two MIMP sessions, their gates and
// the channel; its canonical form; the steps that lead on; the properties.
// A seeded bug (SessionProbe::bug) breaks a session from inside or spoils what
// it hears, so that the exploration can be seen to find it.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "core/mimp/session.hpp"

namespace mcipsec::mimp {

struct Identity final : Authenticator {
    Digest sign(ByteView) const override { return {}; }
    bool verify(ByteView, ByteView) const override { return true; }
};

// One tick is half a keep-alive interval; detection is four ticks, the lease 3.5.
constexpr Duration kTick = 500ms;
constexpr int kDetectionTicks = 4;
constexpr int kRoundsBound = 5;        // rounds of one keep-alive interval within which (b) must hold
constexpr int kQuietMax = kRoundsBound * 2;
constexpr int kCreditMax = 2;           // takeovers that may still be owed to past events
constexpr int kHoldMax = kDetectionTicks + 1;   // a delayed packet comes by then
constexpr std::size_t kChannel = 2;

struct InFlight {
    Packet packet;
    bool held = false;      // delayed: may come at any time, others overtake
    std::uint8_t age = 0;   // ticks it was held
    Time arrived{};         // in the socket; a held one arrives when it is delivered
};

enum class Work : std::uint8_t { None, Prepare, Export, Import };

struct Node {
    std::optional<Session> session;
    bool hung = false;
    bool draining = false;      // after a hang the agent reads its sockets before it looks at its timers
    bool oper = true;
    bool bfd_due = false;       // BfdUp is on its way
    bool bfd_down_due = false;  // BfdDown is on its way
    bool bfd_up = false;
    Mastership state = Mastership::Discovery;
    bool acting_gate = false;
    Time lease{};
    Work work = Work::None;
    std::uint64_t work_id = 0;
};

struct State {
    Time now = Time{} + 1000s;
    Node node[2];
    std::vector<InFlight> to[2];
    bool cut[2] = {false, false};       // cut[i]: nothing arrives at node i
    std::uint8_t faults = 0;
    bool partition = false;             // a fault that (a) excuses has happened
    int credit = 1;                     // takeovers still allowed
    int quiet = 0;                      // ticks with everything working
    int reached = 0;                    // ticks both were reached
    std::uint64_t next_epoch = 1;
    std::uint64_t next_id = 1;
};

enum Kind : std::uint8_t {
    kDeliver, kTimer, kFinish, kPass, kBoot, kResume, kHeal, kMemberUp, kBfdUp, kBfdTold,
    kLoss, kDelay, kDup, kCut, kMemberDown, kCrash, kHang, kBfdDown, kHandover,
};
const char *const kNames[] = {"deliver to", "timer of", "engine done at", "tick", "boot", "resume", "heal", "member up at", "BFD up at",
                              "BFD down heard at", "LOSE packet to", "DELAY packet to", "DUPLICATE packet to", "CUT toward",
                              "MEMBER DOWN at", "CRASH of", "HANG of", "BFD DOWN at", "FORCE-SWITCHOVER at"};

struct Step {
    Kind kind;
    std::uint8_t node;      // for kCut 2 means both
    std::uint8_t arg;       // packet
};

struct SessionProbe {
    int bug = 0;
    bool bfd = false;
    std::string violation;

    // --------------------------------------------------------- canonical form

    struct Canon {
        std::vector<std::uint8_t> bytes;
        std::vector<std::pair<std::uint64_t, std::uint64_t>> numbers;   // (epoch, number)
        std::vector<std::uint64_t> epochs;                              // by appearance
        std::vector<std::uint64_t> ids;                                 // hand-overs by appearance
        Generation base = ~Generation{0};
        Time now;

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
    };

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

    static void collect(Canon &c, const State &s)
    {
        for (int i = 0; i < 2; ++i) {
            if (const auto &n = s.node[i].session) {
                const std::uint64_t e = n->epoch_;
                const std::uint64_t fresh = first_fresh(*n, s.now);
                c.need(e, n->sequence_);
                for (std::uint64_t v : {n->request_sequence_, n->live_floor_, n->echo_, n->wake_floor_, n->bfd_floor_})
                    if (v >= fresh)
                        c.need(e, v);
                for (const auto &m : n->marks_)
                    if (!stale(*n, m, s.now))
                        c.need(e, m.first);
                c.need(n->live_epoch_, n->live_sequence_);
                c.need(n->pending_epoch_, n->pending_sequence_);
                for (const auto &g : n->groups_) {
                    if (g.inputs_sequence >= fresh)
                        c.need(e, g.inputs_sequence);
                    c.base = std::min({c.base, g.generation, g.told_generation, g.sent.generation, g.peer_known ? g.peer.generation : ~Generation{0}});
                }
            }
            for (const auto &f : s.to[i]) {
                c.need(f.packet.epoch, f.packet.sequence);
                if (f.packet.echo_sequence >= fresh_of(s, f.packet.echo_epoch))
                    c.need(f.packet.echo_epoch, f.packet.echo_sequence);
                for (const auto &g : f.packet.groups)
                    c.base = std::min(c.base, g.generation);
            }
        }
        std::sort(c.numbers.begin(), c.numbers.end());
        c.numbers.erase(std::unique(c.numbers.begin(), c.numbers.end()), c.numbers.end());
        c.base &= ~1ull;
    }

    static void put(Canon &c, const GroupAdvert &g)
    {
        c.u8(static_cast<unsigned>(g.state) | static_cast<unsigned>(g.phase) << 4);
        c.u8(g.oper_up | g.acting << 1 | g.shutdown << 2 | g.prepared << 3 | g.reached << 4);
        c.u8(g.active_members);
        c.generation(g.generation);
        c.id(g.handover);
    }

    static void put(Canon &c, const Session &n)
    {
        const std::uint64_t e = n.epoch_;
        c.epoch(e);
        const std::uint64_t fresh = first_fresh(n, c.now);
        c.rank(e, n.sequence_);
        for (std::uint64_t v : {n.request_sequence_, n.live_floor_, n.echo_, n.wake_floor_, n.bfd_floor_})
            c.own(e, v, fresh);
        for (const auto &m : n.marks_) {
            if (stale(n, m, c.now))
                continue;
            c.rank(e, m.first);
            c.time(m.at, -8, 0);
        }
        c.u8(0xff);
        c.epoch(n.live_epoch_);
        c.rank(n.live_epoch_, n.live_sequence_);
        c.epoch(n.pending_epoch_);
        c.rank(n.pending_epoch_, n.pending_sequence_);
        c.u8(n.reached_ | n.answer_due_ << 1 | n.force_send_ << 2 | n.bfd_was_up_ << 3 | static_cast<unsigned>(n.bfd_) << 4);
        c.time(n.request_at_, -2, 0);
        if (n.pending_epoch_)
            c.time(n.pending_until_, 0, 8);
        c.time(n.last_rx_, -3, 0);
        c.time(n.fresh_until_, 0, 8);
        c.time(n.grace_until_, 0, 8);
        c.time(n.last_step_, -kDetectionTicks, 0);
        if (!n.config_->bfd_enable) {
            c.time(n.vouched_, -4, 0);
            c.time(n.heard_at_, -3, 0);
            if (n.heard_at_ + 3 * kTick > c.now)
                c.time(n.heard_arrival_, -4, 0);
            c.time(n.lease_expiry_, 0, 8);
        }
        c.time(n.contact_since_, n.bfd_ == BfdStatus::Down && !n.bfd_was_up_ ? -10 : -kDetectionTicks, 0);
        for (const auto &g : n.groups_) {
            c.u8(static_cast<unsigned>(g.state) | static_cast<unsigned>(g.phase) << 4);
            c.u8(g.prepared | g.defer_routes << 1 | g.oper_up << 2 | g.peer_known << 3 | g.leading << 4 | g.taking << 5 | g.import_done << 6);
            c.u8(g.shown_members);
            c.generation(g.generation);
            c.generation(g.told_generation);
            if (g.state == Mastership::Discovery)
                c.time(g.discovery_until, 0, 16);
            if (g.peer_known)
                put(c, g.peer);
            put(c, g.sent);
            c.u8(g.sent_inputs.oper_up | g.sent_inputs.acting << 1 | g.sent_inputs.ceded << 2);
            c.u8(g.sent_inputs.active_members);
            c.own(e, g.inputs_sequence, fresh);
            c.id(g.handover);
            c.time(g.phase_until, 0, 16);
        }
    }

    static std::uint64_t fingerprint(const State &s)
    {
        static thread_local Canon c;
        c.bytes.clear();
        c.numbers.clear();
        c.epochs.assign(1, 0);
        c.ids.clear();
        c.base = ~Generation{0};
        c.now = s.now;
        collect(c, s);
        if (c.base > (1ull << 60))
            c.base = 0;
        for (int i = 0; i < 2; ++i) {
            const Node &n = s.node[i];
            c.u8(n.session.has_value() | n.hung << 1 | n.oper << 2 | n.bfd_due << 3 | n.bfd_down_due << 4 | n.bfd_up << 5 | n.acting_gate << 6);
            c.u8(static_cast<unsigned>(n.state) | static_cast<unsigned>(n.work) << 4);
            c.id(n.work_id);
            if (n.acting_gate)
                c.time(n.lease, 0, 8);
            if (n.session)
                put(c, *n.session);
            for (const auto &f : s.to[i]) {
                c.u8(0xf0 | f.held);
                c.u8(f.age);
                c.time(f.held ? c.now : f.arrived, -3, 0);
                c.epoch(f.packet.epoch);
                c.rank(f.packet.epoch, f.packet.sequence);
                c.epoch(f.packet.echo_epoch);
                c.own(f.packet.echo_epoch, f.packet.echo_sequence, fresh_of(s, f.packet.echo_epoch));
                c.u8(f.packet.request);
                for (const auto &g : f.packet.groups)
                    put(c, g);
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
    static std::uint64_t mix(std::uint64_t x)
    {
        x ^= x >> 32;
        x *= 0xd6e8feb86659fd93ull;
        x ^= x >> 29;
        x *= 0xff51afd7ed558ccdull;
        x ^= x >> 32;
        return x;
    }

    // --------------------------------------------------------- steps

    static std::shared_ptr<const Authenticator> identity()
    {
        static const auto a = std::make_shared<Identity>();
        return a;
    }

    Config config(int i) const
    {
        Config c;
        c.own = IpAddress::parse(i ? "192.0.2.2" : "192.0.2.1").value();
        c.peer = IpAddress::parse(i ? "192.0.2.1" : "192.0.2.2").value();
        c.keep_alive_interval = 2 * kTick;
        c.hold_on_neighbor_failure = kDetectionTicks / 2;
        c.retry_interval = kTick;
        c.discovery_interval = 5 * kTick;
        c.bfd_enable = bfd;
        c.prepare_timeout = 3 * kTick;
        c.transfer_timeout = 2 * kTick;
        c.groups = {GroupConfig{1, 1, static_cast<std::uint8_t>(i ? 150 : 200), false}};
        return c;
    }

    bool open(const State &s, int i) const { return s.node[i].acting_gate && (bfd || s.now < s.node[i].lease); }

    void mutate_before(State &s, int i)
    {
        Session &n = *s.node[i].session;
        auto &g = n.groups_[0];
        switch (bug) {
        case 3:     // no settled rule: decides on whatever was heard
            g.inputs_sequence = 1;
            g.sent_inputs = n.inputs(g);
            n.echo_ = std::max<std::uint64_t>(n.echo_, 1);
            break;
        case 5:     // the old master of a hand-over returns by a timer
            if (g.leading && g.phase == Phase::Commit && n.last_step_ + 2 * kTick <= s.now && g.peer_known && !g.peer.acting) {
                Actions out;
                g.leading = false;
                g.phase = Phase::None;
                n.set_state(g, Mastership::Master, Reason::Handover, 0, s.now, out);
                carry_out(s, i, out);
            }
            break;
        case 7:     // does not notice that it was asleep
            n.last_step_ = s.now;
            n.lease_expiry_ = s.now + 1s;
            break;
        default:
            break;
        }
    }

    void mutate_packet(const State &s, int i, Packet &p) const
    {
        if (bug == 1)       // stickiness broken: never hears that the peer acts
            for (auto &g : p.groups)
                g.acting = false;
        if (bug == 2) {     // reached-check broken: any packet counts as an echo of our newest
            p.echo_epoch = s.node[i].session->epoch_;
            p.echo_sequence = s.node[i].session->sequence_;
        }
    }

    void carry_out(State &s, int i, const Actions &actions)
    {
        Node &n = s.node[i];
        std::optional<bool> late_gate;
        for (const auto &a : actions) {
            if (const auto *p = std::get_if<SetState>(&a)) {
                if (p->old_state != p->new_state && s.quiet >= kRoundsBound * 2)
                    violation = "(b) a change of state long after everything worked";
                if (!n.acting_gate && acting_master(p->new_state) && --s.credit < 0)
                    violation = "(c) more takeovers than events";
                n.state = p->new_state;
                if (bug == 4 && !acting_master(p->new_state))
                    late_gate = false;      // tells first, closes afterwards
                else
                    n.acting_gate = acting_master(p->new_state);
            } else if (const auto *l = std::get_if<RenewLease>(&a)) {
                n.lease = l->expiry;
            } else if (const auto *b = std::get_if<SendPacket>(&a)) {
                auto packet = decode(b->bytes, Identity());
                if (!packet) {
                    violation = "a packet that does not decode";
                    return;
                }
                for (const auto &g : packet->groups)
                    if (!g.acting && n.acting_gate)
                        violation = "(d) tells that it does not act with its gate open";
                const int to = 1 - i;
                if (s.cut[to])
                    continue;
                if (s.to[to].size() >= kChannel)
                    s.to[to].erase(s.to[to].begin());
                s.to[to].push_back({std::move(*packet), false, 0, s.now});
            } else if (const auto *h = std::get_if<HandoverPrepareStandby>(&a)) {
                n.work = Work::Prepare, n.work_id = h->id;
            } else if (const auto *f = std::get_if<HandoverFlipAndExport>(&a)) {
                n.work = Work::Export, n.work_id = f->id;
            } else if (const auto *m = std::get_if<HandoverImport>(&a)) {
                n.work = Work::Import, n.work_id = m->id;
            }
        }
        if (late_gate)
            n.acting_gate = *late_gate;
    }

    void feed(State &s, int i, const Event &e)
    {
        if (!s.node[i].session)
            return;
        mutate_before(s, i);
        carry_out(s, i, s.node[i].session->step(e, s.now));
    }

    void feed_packet(State &s, int i, Packet p, Time arrived)
    {
        if (!s.node[i].session)
            return;
        mutate_packet(s, i, p);
        const Bytes bytes = encode(p, Identity());
        feed(s, i, PacketIn{bytes, s.node[i].session->config().peer, arrived});
    }

    bool awake(const State &s, int i) const { return s.node[i].session && !s.node[i].hung; }
    bool due(const State &s, int i) const { return awake(s, i) && s.node[i].session->deadline() <= s.now; }

    bool prompt_left(const State &s) const
    {
        for (int i = 0; i < 2; ++i) {
            if (due(s, i) || s.node[i].bfd_down_due || s.node[i].bfd_due)
                return true;
            for (const auto &f : s.to[i])
                if (!s.node[i].hung && (!f.held || f.age >= kHoldMax))
                    return true;
        }
        return false;
    }

    bool working(const State &s) const
    {
        for (int i = 0; i < 2; ++i) {
            if (!awake(s, i) || s.cut[i] || (bfd && !s.node[i].bfd_up) || s.node[i].work != Work::None)
                return false;
            for (const auto &f : s.to[i])
                if (f.held)
                    return false;
        }
        return true;
    }

    void steps(const State &s, unsigned max_faults, std::vector<Step> &out) const
    {
        out.clear();
        const auto add = [&](Kind k, int n = 0, std::size_t a = 0) {
            out.push_back({k, static_cast<std::uint8_t>(n), static_cast<std::uint8_t>(a)});
        };
        const bool idle = !prompt_left(s);
        for (int i = 0; i < 2; ++i) {
            const Node &n = s.node[i];
            bool first = true;
            for (std::size_t k = 0; k < s.to[i].size(); ++k) {
                const bool held = s.to[i][k].held;
                if (!n.hung && (held || first))
                    add(kDeliver, i, k);
                first = first && held;
            }
            if (due(s, i) && !(n.draining && !s.to[i].empty()))
                add(kTimer, i);
            if (awake(s, i) && n.work != Work::None)
                add(kFinish, i);
            if (!n.session)
                add(kBoot, i);
            if (n.session && !n.hung && !n.oper)
                add(kMemberUp, i);
            if (n.bfd_down_due && awake(s, i))
                add(kBfdTold, i);
            if (n.bfd_due && awake(s, i))
                add(kBfdUp, i);
            if (idle && n.hung)
                add(kResume, i);
        }
        if (idle) {
            add(kPass);
            if (s.cut[0] || s.cut[1])
                add(kHeal);
        }
        if (s.faults >= max_faults)
            return;
        for (int i = 0; i < 2; ++i) {
            const Node &n = s.node[i];
            for (std::size_t k = 0; k < s.to[i].size(); ++k) {
                if (!n.session)
                    continue;
                add(kLoss, i, k);
                if (!s.to[i][k].held)
                    add(kDelay, i, k);
                if (s.to[i].size() < kChannel)
                    add(kDup, i, k);
            }
            if (!s.cut[i])
                add(kCut, i);
            if (!n.session)
                continue;
            add(kCrash, i);
            if (n.hung)
                continue;
            if (n.oper)
                add(kMemberDown, i);
            if (!bfd)
                add(kHang, i);
            if (bfd && n.bfd_up && s.node[1 - i].bfd_up)
                add(kBfdDown, i);
            if (n.state == Mastership::Master)
                add(kHandover, i);
        }
        if (!s.cut[0] && !s.cut[1])
            add(kCut, 2);
    }

    void apply(State &s, const Step &t)
    {
        violation.clear();
        const int i = t.node & 1;
        Node &n = s.node[i];
        if (t.kind >= kLoss) {
            ++s.faults;
            s.credit = std::min(s.credit + 1, kCreditMax);
            s.quiet = 0;
            s.partition |= t.kind == kLoss || t.kind == kDelay || t.kind == kDup || t.kind == kCut || t.kind == kBfdDown;
        }
        switch (t.kind) {
        case kDeliver: {
            Packet p = std::move(s.to[i][t.arg].packet);
            const Time arrived = s.to[i][t.arg].held ? s.now : s.to[i][t.arg].arrived;
            s.to[i].erase(s.to[i].begin() + t.arg);
            feed_packet(s, i, std::move(p), arrived);
            break;
        }
        case kTimer:
            feed(s, i, Timer{});
            break;
        case kFinish: {
            const Work w = std::exchange(n.work, Work::None);
            const auto id = std::exchange(n.work_id, 0);
            if (w == Work::Prepare)
                feed(s, i, HandoverPrepared{1, id});
            else if (w == Work::Export)
                feed(s, i, HandoverExported{1, id});
            else
                feed(s, i, HandoverImported{1, id});
            break;
        }
        case kPass: {
            s.now += kTick;
            for (int k = 0; k < 2; ++k)
                for (auto &f : s.to[k])
                    f.age = static_cast<std::uint8_t>(f.held ? f.age + 1 : 0);
            s.quiet = working(s) ? std::min(s.quiet + 1, kQuietMax) : 0;
            break;
        }
        case kBoot:
            s.quiet = 0;
            n.session.emplace(config(i), identity(), s.next_epoch++);
            n.hung = false;
            n.state = Mastership::Discovery;
            n.acting_gate = false;
            n.work = Work::None;
            n.work_id = 0;
            n.oper = true;
            n.lease = Time{};
            n.session->step(OperChange{1, true, 1}, s.now);
            feed(s, i, Start{});
            // BFD comes up only after the other side has noticed that the old session is gone.
            if (bfd && awake(s, 1 - i) && !s.node[1 - i].bfd_down_due && !s.cut[0] && !s.cut[1])
                s.node[0].bfd_due = s.node[1].bfd_due = true;
            break;
        case kResume:
            n.hung = false;
            n.draining = true;
            s.quiet = 0;
            break;
        case kHeal:
            s.cut[0] = s.cut[1] = false;
            s.quiet = 0;
            if (bfd && awake(s, 0) && awake(s, 1))
                for (auto &m : s.node)
                    m.bfd_due = !m.bfd_up;
            break;
        case kMemberUp:
            s.credit = std::min(s.credit + 1, kCreditMax);
            s.quiet = 0;
            n.oper = true;
            feed(s, i, OperChange{1, true, 1});
            break;
        case kBfdUp:
            n.bfd_due = false;
            n.bfd_up = true;
            s.quiet = 0;
            feed(s, i, BfdUp{});
            break;
        case kBfdTold:
            n.bfd_down_due = n.bfd_up = false;
            feed(s, i, BfdDown{});
            if (!s.node[1 - i].bfd_up && awake(s, 1 - i) && !s.cut[0] && !s.cut[1])
                s.node[0].bfd_due = s.node[1].bfd_due = true;       // and comes up again
            break;
        case kLoss:
            s.to[i].erase(s.to[i].begin() + t.arg);
            break;
        case kDelay:
            s.to[i][t.arg].held = true;
            break;
        case kDup: {
            InFlight copy = s.to[i][t.arg];
            copy.held = true;
            s.to[i].push_back(std::move(copy));
            break;
        }
        case kCut:
            for (int k = 0; k < 2; ++k) {
                if (t.node == 2 || t.node == k) {
                    s.cut[k] = true;
                    s.to[k].clear();
                }
                // BFD notices a cut of either way on both sides, within the same tick here.
                if (bfd && s.node[k].session) {
                    s.node[k].bfd_due = false;
                    s.node[k].bfd_down_due = s.node[k].bfd_up;
                }
            }
            break;
        case kMemberDown:
            n.oper = false;
            feed(s, i, OperChange{1, false, 0});
            break;
        case kCrash:
            n.session.reset();
            n.acting_gate = false;
            n.hung = false;
            n.state = Mastership::Discovery;
            n.work = Work::None;
            n.work_id = 0;
            n.bfd_up = n.bfd_due = n.bfd_down_due = false;
            s.to[i].clear();
            if (bfd && s.node[1 - i].session) {
                s.node[1 - i].bfd_due = false;
                s.node[1 - i].bfd_down_due = s.node[1 - i].bfd_up;
            }
            break;
        case kHang:
            n.hung = true;
            break;
        case kBfdDown:
            n.bfd_up = false;
            s.node[1 - i].bfd_down_due = true;
            feed(s, i, BfdDown{});
            break;
        case kHandover:
            feed(s, i, ForceSwitchover{1, s.next_id++, true});
            break;
        }
        for (int k = 0; k < 2; ++k) {
            if (!s.node[k].session)
                s.to[k].clear();
            if (s.to[k].empty())
                s.node[k].draining = false;
        }
        const bool both = awake(s, 0) && awake(s, 1) && s.node[0].session->reached() && s.node[1].session->reached();
        if (!both)
            s.reached = 0;
        else if (t.kind == kPass)
            s.reached = std::min(s.reached + 1, kDetectionTicks);
    }

    // --------------------------------------------------------- properties

    bool settled(const State &s) const
    {
        const auto a = s.node[0].state, b = s.node[1].state;
        using enum Mastership;
        if (s.node[0].oper && s.node[1].oper)
            return (a == Master && b == Standby) || (a == Standby && b == Master);
        if (s.node[0].oper)
            return a == Master && b == NotEligible;
        if (s.node[1].oper)
            return a == NotEligible && b == Master;
        return a == NotEligible && b == NotEligible;
    }

    std::string check(const State &s) const
    {
        if (!violation.empty())
            return violation;
        const bool both = open(s, 0) && open(s, 1);
        // A node with a timer due at this very instant has not looked yet.
        if (both && s.reached >= kDetectionTicks && !due(s, 0) && !due(s, 1))
            return "(a) both gates open, both reached for one detection time";
        if (both && !s.partition)
            return "(a) both gates open without loss, delay, cut or BFD failure";
        if (s.quiet >= kRoundsBound * 2 && !settled(s))
            return "(b) not settled within the bound";
        for (int i = 0; i < 2; ++i) {
            const Node &n = s.node[i];
            if (!n.session)
                continue;
            const auto &g = n.session->groups_[0];
            if (n.state != g.state)
                return "(d) the state was changed without an action";
            if (n.acting_gate && !acting_master(g.state))
                return "(d) forwards outside master and eligible";
            const Generation own = i;       // even ones are of node 0
            const Role role = role_of(s, i);
            if (speaks(role) && !acting_master(g.state) && !Session::ceded(g))
                return "(e) a non-acting node sends changes";
            if (speaks(role) && (role.generation & 1) != own)
                return "(e) sends changes under a generation of the peer";
            for (Generation v = g.generation > 2 ? g.generation - 2 : 0; v <= g.generation + 2; ++v) {
                if (judge(s, i, v) != Verdict::Take)
                    continue;
                if (acting_master(g.state))
                    return "(e) an acting master takes changes";
                if ((v & 1) == own)
                    return "(e) takes changes of a generation that is not the peer's";
                if (!g.peer.acting && !Session::ceded(g.peer))
                    return "(e) takes changes of a peer that does not act";
                if (v != g.peer.generation - Session::ceded(g.peer))
                    return "(e) takes changes of another generation than the peer's";
            }
        }
        if (s.quiet >= kRoundsBound * 2 && s.node[0].oper && s.node[1].oper)
            for (int i = 0; i < 2; ++i)
                if (s.node[i].state == Mastership::Standby && judge(s, i, role_of(s, 1 - i).generation) != Verdict::Take)
                    return "(e) the standby does not take the changes of its master";
        return {};
    }

    // What MCS is told, and what it makes of a change; both as shipped.
    Role role_of(const State &s, int i) const
    {
        Role r = s.node[i].session->role(1);
        if (bug == 6 && !r.acting && s.node[i].session->groups_[0].peer_known)
            r.peer_acting = true;       // whoever the peer is, its changes are taken
        return r;
    }
    Verdict judge(const State &s, int i, Generation stamped) const
    {
        const Role r = role_of(s, i);
        return judge_change(r, bug == 8 && stamped <= r.generation ? r.generation : stamped);   // 8: old ones, too
    }

    std::string describe(const State &s) const
    {
        std::string out;
        for (int i = 0; i < 2; ++i) {
            const Node &n = s.node[i];
            out += i ? "  2:" : "1:";
            if (!n.session) {
                out += "off";
                continue;
            }
            const auto &g = n.session->groups_[0];
            out += std::string(to_string(g.state)) + (open(s, i) ? "/open" : "") + (n.session->reached_ ? "/reached" : "") +
                   (n.hung ? "/hung" : "") + (n.oper ? "" : "/down") + " g" + std::to_string(g.generation);
            if (g.phase != Phase::None)
                out += " " + std::string(to_string(g.phase));
        }
        out += "  packets " + std::to_string(s.to[0].size()) + "+" + std::to_string(s.to[1].size()) + " quiet " + std::to_string(s.quiet) +
               " reached " + std::to_string(s.reached);
        return out;
    }
};

}  // namespace mcipsec::mimp
