// SPDX-License-Identifier: GPL-2.0-or-later
// What explore.cpp explores: the state of two MIMP sessions, their gates and
// the channel; the steps that lead on; the properties. explore_canon.hpp has the
// canonical form of a state.
// A seeded bug (SessionProbe::bug) breaks a session from inside or spoils what
// it hears, so that the exploration can be seen to find it.
//
// BFD is an outline: Up comes to both, Down to one and then to the other. In the
// layer "lease" every awake node sends one BFD packet a tick and renews its lease
// by it, as io and app do (PeerControl), with the shipped LeaseKeeper; who hears
// none for a detection time is told Down.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "core/lease.hpp"
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
constexpr int kBfdDetectionTicks = 3;   // one packet a tick, multiplier 3
constexpr int kBfdSlowTicks = 6;        // of one that is not up yet: RFC 5880 6.8.3

enum class Layer : std::uint8_t { Plain, Bfd, Lease };
const char *const kLapsed = "(f) the lease of a node that was never hung has run out";
const char *const kLayers[] = {"plain", "bfd", "lease"};

// Shared between states until one changes it: most steps touch one node, few a packet.
template <typename T>
class Shared {
public:
    explicit operator bool() const { return p_ != nullptr; }
    const T &operator*() const { return *p_; }
    const T *operator->() const { return p_.get(); }
    T &edit()
    {
        if (p_.use_count() > 1)
            p_ = std::make_shared<T>(*p_);
        return *p_;
    }
    template <typename... A>
    void emplace(A &&...a) { p_ = std::make_shared<T>(std::forward<A>(a)...); }
    void reset() { p_.reset(); }

private:
    std::shared_ptr<T> p_;
};

struct Parcel {
    Packet packet;
    Bytes bytes;
};

struct InFlight {
    std::shared_ptr<const Parcel> parcel;
    bool held = false;      // delayed: may come at any time, others overtake
    bool behind = false;    // lease: left after a BFD packet that says Down, and comes after it
    std::uint8_t age = 0;   // ticks it was held
    Time arrived{};         // in the socket; a held one arrives when it is delivered
};

enum class Work : std::uint8_t { None, Prepare, Export, Import };

struct Node {
    Shared<Session> session;
    bool hung = false;
    bool draining = false;      // after a hang the agent reads its sockets before it looks at its timers
    bool oper = true;
    bool bfd_due = false;       // BfdUp is on its way
    bool bfd_down_due = false;  // BfdDown is on its way
    bool bfd_up = false;
    bool slept = false;         // was hung since it booted
    std::uint8_t silent = 0;    // lease: ticks since BFD was heard, while it is up
    std::optional<LeaseKeeper> keeper;  // lease
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
    Layer layer = Layer::Plain;
    std::string violation;

    bool bfd() const { return layer != Layer::Plain; }
    bool leased() const { return layer == Layer::Lease; }

    // explore_canon.hpp
    struct Canon;
    static std::uint64_t fingerprint(const State &s);

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
        c.bfd_enable = bfd();
        c.prepare_timeout = 3 * kTick;
        c.transfer_timeout = 2 * kTick;
        c.groups = {GroupConfig{1, 1, static_cast<std::uint8_t>(i ? 150 : 200), false}};
        return c;
    }

    bool open(const State &s, int i) const { return s.node[i].acting_gate && (layer == Layer::Bfd || s.now < s.node[i].lease); }

    void mutate_before(State &s, int i)
    {
        if (bug < 3)
            return;
        Session &n = s.node[i].session.edit();
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
                if (n.keeper && n.bfd_up)
                    follow(s, i);
                else
                    renew(s, i);
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
                s.to[to].push_back({std::make_shared<const Parcel>(std::move(*packet), b->bytes), false, leased() && s.node[to].bfd_down_due, 0, s.now});
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

    // As PeerControl does it: what slept longer than its lease hears of that first.
    void feed(State &s, int i, const Event &e)
    {
        notice_stall(s, i);
        step(s, i, e);
    }

    void step(State &s, int i, const Event &e)
    {
        Node &n = s.node[i];
        if (!n.session)
            return;
        mutate_before(s, i);
        const auto stalls = n.session->counters_.stalls;
        carry_out(s, i, n.session.edit().step(e, s.now));
        if (!n.slept && n.session->counters_.stalls != stalls)
            violation = kLapsed;
    }

    void feed_packet(State &s, int i, const std::shared_ptr<const Parcel> &p, Time arrived)
    {
        if (!s.node[i].session)
            return;
        const auto &peer = s.node[i].session->config().peer;
        if (bug != 1 && bug != 2)
            return feed(s, i, PacketIn{p->bytes, peer, arrived});
        Packet spoilt = p->packet;
        mutate_packet(s, i, spoilt);
        const Bytes bytes = encode(spoilt, Identity());
        feed(s, i, PacketIn{bytes, peer, arrived});
    }

    // --------------------------------------------------------- BFD and lease

    void notice_stall(State &s, int i)
    {
        Node &n = s.node[i];
        if (!n.session || !n.keeper || !n.keeper->lapsed(s.now) || bug == 9)
            return;
        if (!n.slept)
            violation = kLapsed;
        n.keeper->rearm();
        step(s, i, Stalled{});
    }

    void renew(State &s, int i)
    {
        Node &n = s.node[i];
        if (!n.keeper)
            return;
        if (bug == 9)
            n.keeper->rearm();
        const auto r = n.keeper->renew(s.now, s.now, n.session->lease_bound());
        if (r.granted)
            n.lease = r.expiry;
    }

    void follow(State &s, int i)
    {
        Node &n = s.node[i];
        if (const auto r = n.keeper->follow(s.now, n.session->lease_bound()); r.granted)
            n.lease = r.expiry;
    }

    void plan(State &s, int i, bool by_bfd)
    {
        if (!leased())
            return;
        auto &keeper = s.node[i].keeper;
        const auto made = by_bfd ? plan_lease_bfd(kTick, kBfdDetectionTicks * kTick) : plan_lease_mimp(2 * kTick, kDetectionTicks / 2);
        if (keeper)
            keeper->replan(made.value(), s.now);
        else
            keeper.emplace(made.value());
    }

    void bfd_rises(State &s, int i)
    {
        Node &n = s.node[i];
        notice_stall(s, i);
        n.bfd_due = false;
        n.bfd_up = true;
        n.silent = 0;
        feed(s, i, BfdUp{});
        plan(s, i, true);
        renew(s, i);
    }

    void bfd_falls(State &s, int i)
    {
        Node &n = s.node[i];
        notice_stall(s, i);
        n.bfd_down_due = n.bfd_up = false;
        plan(s, i, false);
        renew(s, i);
        feed(s, i, BfdDown{});
    }

    // Both ends are down and hear each other.
    void bfd_retry(State &s)
    {
        if (!bfd() || !awake(s, 0) || !awake(s, 1) || s.cut[0] || s.cut[1])
            return;
        for (auto &n : s.node)
            if (n.bfd_up || n.bfd_down_due)
                return;
        s.node[0].bfd_due = s.node[1].bfd_due = true;
    }

    // A tick of BFD: who is awake sends and renews, who hears nothing notices in the end.
    void bfd_tick(State &s)
    {
        for (int i = 0; i < 2; ++i) {
            Node &n = s.node[i], &peer = s.node[1 - i];
            if (!awake(s, i)) {
                if (n.session && peer.session && peer.bfd_up && !peer.bfd_down_due && ++peer.silent >= (n.bfd_up ? kBfdDetectionTicks : kBfdSlowTicks))
                    peer.bfd_down_due = true;
                continue;
            }
            notice_stall(s, i);
            peer.silent = 0;
            if (n.bfd_up)
                renew(s, i);
        }
    }

    bool awake(const State &s, int i) const { return s.node[i].session && !s.node[i].hung; }
    bool due(const State &s, int i) const { return awake(s, i) && s.node[i].session->deadline() <= s.now; }

    bool prompt_left(const State &s) const
    {
        for (int i = 0; i < 2; ++i) {
            if (due(s, i) || (awake(s, i) && (s.node[i].bfd_down_due || s.node[i].bfd_due)))
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
            if (!awake(s, i) || s.cut[i] || (bfd() && !s.node[i].bfd_up) || s.node[i].work != Work::None)
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
        // Its sockets are read first. (The layer "bfd" has every order.)
        const bool rises = leased() && ((awake(s, 0) && s.node[0].bfd_due) || (awake(s, 1) && s.node[1].bfd_due));
        for (int i = 0; i < 2; ++i) {
            const Node &n = s.node[i];
            bool first = true;
            for (std::size_t k = 0; k < s.to[i].size(); ++k) {
                const bool held = s.to[i][k].held;
                if (!n.hung && !rises && (held || first) && !(s.to[i][k].behind && n.bfd_down_due))
                    add(kDeliver, i, k);
                first = first && held;
            }
            if (!rises && due(s, i) && !(n.draining && !s.to[i].empty()))
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
                if (!n.session || leased())
                    continue;
                add(kLoss, i, k);
                if (!s.to[i][k].held)
                    add(kDelay, i, k);
                if (s.to[i].size() < kChannel)
                    add(kDup, i, k);
            }
            if (!s.cut[i] && !leased())
                add(kCut, i);
            if (!n.session)
                continue;
            add(kCrash, i);
            if (n.hung)
                continue;
            if (n.oper)
                add(kMemberDown, i);
            if (layer != Layer::Bfd)
                add(kHang, i);
            if (leased() && n.bfd_up && s.node[1 - i].bfd_up && !s.node[1 - i].silent)
                add(kHang, i, 1);   // between the renewal and its packet
            if (bfd() && n.bfd_up && s.node[1 - i].bfd_up)
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
            const auto p = s.to[i][t.arg].parcel;
            const Time arrived = s.to[i][t.arg].held ? s.now : s.to[i][t.arg].arrived;
            s.to[i].erase(s.to[i].begin() + t.arg);
            feed_packet(s, i, p, arrived);
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
            if (leased())
                bfd_tick(s);
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
            n.keeper.reset();
            n.slept = false;
            plan(s, i, false);
            n.session.edit().step(OperChange{1, true, 1}, s.now);
            feed(s, i, Start{});
            bfd_retry(s);       // only after the other side has noticed that the old session is gone
            break;
        case kResume:
            n.hung = false;
            n.draining = true;
            s.quiet = 0;
            if (leased()) {
                notice_stall(s, i);
                s.node[1 - i].silent = 0;
                if (n.bfd_up)
                    renew(s, i);
                bfd_retry(s);
            }
            break;
        case kHeal:
            s.cut[0] = s.cut[1] = false;
            s.quiet = 0;
            if (bfd() && awake(s, 0) && awake(s, 1))
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
            s.quiet = 0;
            bfd_rises(s, i);
            break;
        case kBfdTold:
            bfd_falls(s, i);
            if (leased() && s.node[1 - i].bfd_up)
                s.node[1 - i].bfd_down_due = true;
            bfd_retry(s);       // and comes up again
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
                if (bfd() && s.node[k].session) {
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
            n.keeper.reset();
            n.silent = 0;
            s.to[i].clear();
            if (bfd() && s.node[1 - i].session) {
                s.node[1 - i].bfd_due = false;
                s.node[1 - i].bfd_down_due = s.node[1 - i].bfd_up;
            }
            break;
        case kHang:
            n.hung = n.slept = true;
            if (t.arg)
                s.node[1 - i].silent = 1;
            break;
        case kBfdDown:
            s.node[1 - i].bfd_down_due = true;
            bfd_falls(s, i);
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
