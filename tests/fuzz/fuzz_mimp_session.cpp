// SPDX-License-Identifier: GPL-2.0-or-later
// A MIMP session in front of an attacker and of a peer that has the key but says
// anything. What comes without the key, or was said before, must change nothing
// but counters and send nothing; nothing may spin, and each SetState must go on
// from the state that the one before it left.
#include <cstdlib>
#include <map>

#include "core/mimp/session.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;

namespace {

const Bytes kOurs(32, 1), kTheirs(32, 2);
const IpAddress kOwn = *IpAddress::parse("192.0.2.2"), kPeer = *IpAddress::parse("192.0.2.1");

class Input {
public:
    Input(const std::uint8_t *data, std::size_t size) : in_(data, size) {}
    bool empty() const { return in_.empty(); }
    ByteView take(std::size_t n)
    {
        const auto v = in_.first(std::min(n, in_.size()));
        in_ = in_.subspan(v.size());
        return v;
    }
    std::uint8_t byte() { return in_.empty() ? std::uint8_t{0} : take(1)[0]; }

private:
    ByteView in_;
};

Config configuration(std::uint8_t flags)
{
    Config c;
    c.own = kOwn;
    c.peer = kPeer;
    c.keep_alive_interval = 1s;
    c.discovery_interval = c.discovery_interval_boot = 5s;
    c.bfd_enable = flags & 1;
    c.groups = {{1, 1, 100, false}};
    if (flags & 2)
        c.groups.push_back({2, 7, std::uint8_t(flags), false});
    return c;
}

class World {
public:
    explicit World(std::uint8_t flags)
        : ours_(make_authenticator(SecretBytes(ByteView(kOurs)), SecretBytes(ByteView(kTheirs)))),
          theirs_(make_authenticator(SecretBytes(ByteView(kTheirs)), SecretBytes(ByteView(kOurs)))), session_(configuration(flags), ours_, 77)
    {
        step(Start{bool(flags & 4)});
    }

    Actions step(const Event &e)
    {
        auto out = session_.step(e, now_);
        for (const auto &a : out) {
            if (const auto *s = std::get_if<SetState>(&a)) {
                auto &state = states_.try_emplace(s->group, Mastership::Discovery).first->second;
                if (s->old_state != state)
                    std::abort();
                state = s->new_state;
            } else if (const auto *p = std::get_if<SendPacket>(&a)) {
                const auto said = decode(p->bytes, *theirs_);
                if (!said || said->sequence <= last_sent_)
                    std::abort();
                last_sent_ = said->sequence;
            }
        }
        return out;
    }

    void packet(const Packet &p)
    {
        said_.push_back(encode(p, *theirs_));
        if (said_.size() > 32)
            said_.erase(said_.begin());
        genuine_bytes(said_.back());
    }
    void genuine_bytes(Bytes bytes)
    {
        const auto before = session_.snapshot().session_id;
        step(PacketIn{bytes, kPeer, {}});
        // An epoch that comes back, which no peer's does, counts anew.
        if (session_.snapshot().session_id != before)
            heard_.clear();
        const auto p = decode(bytes, *ours_);
        if (p && p->epoch == session_.snapshot().peer_epoch)
            heard_[p->epoch] = std::max(heard_[p->epoch], p->sequence);
    }
    void genuine(Bytes bytes)
    {
        const auto mac = hmac_sha256(kTheirs, bytes);
        bytes.insert(bytes.end(), mac.begin(), mac.end());
        said_.push_back(bytes);
        genuine_bytes(std::move(bytes));
    }

    // Must have no effect. Timers that are due by now are not its doing.
    void hostile(ByteView bytes, const IpAddress &source)
    {
        wait(0ms);
        const auto before = session_.snapshot();
        for (const auto &a : step(PacketIn{bytes, source, {}}))
            if (!std::holds_alternative<LogEntry>(a))
                std::abort();
        const auto after = session_.snapshot();
        if (before.reached != after.reached || before.peer_epoch != after.peer_epoch || before.session_id != after.session_id ||
            before.pending != after.pending || before.last_update != after.last_update || before.groups.size() != after.groups.size())
            std::abort();
        for (std::size_t i = 0; i < before.groups.size(); i++) {
            const auto &a = before.groups[i], &b = after.groups[i];
            if (a.state != b.state || a.generation != b.generation || a.phase != b.phase || !(a.peer == b.peer) || a.peer_reached != b.peer_reached)
                std::abort();
        }
    }
    void replay(std::uint8_t which)
    {
        // What the live session has heard; of another epoch it may open a pending one.
        if (said_.empty())
            return;
        const auto bytes = said_[which % said_.size()];
        const auto p = decode(bytes, *ours_);
        if (p && p->epoch == session_.snapshot().peer_epoch && p->sequence <= heard_[p->epoch])
            hostile(bytes, kPeer);
        else
            genuine_bytes(bytes);
    }

    void wait(Duration d)
    {
        now_ += d;
        step(Timer{});
        step(Timer{});
        if (session_.deadline() <= now_)
            std::abort();       // the loop would spin
    }
    std::uint64_t last_sent() const { return last_sent_; }
    Time now() const { return now_; }

private:
    std::shared_ptr<const Authenticator> ours_, theirs_;
    Session session_;
    Time now_{100s};
    std::uint64_t last_sent_ = 0;
    std::map<GroupId, Mastership> states_;
    std::vector<Bytes> said_;
    std::map<std::uint64_t, std::uint64_t> heard_;
};

Packet packet_of(Input &in, const World &w, std::uint64_t &sequence)
{
    Packet p;
    const auto kind = in.byte();
    p.epoch = 500 + (kind & 3);
    p.sequence = kind & 4 ? in.byte() + 1u : ++sequence;
    p.request = kind & 8;
    p.answer = kind & 16;
    p.echo_epoch = kind & 32 ? in.byte() : 77;
    p.echo_sequence = kind & 64 ? in.byte() : w.last_sent();
    if (kind & 128)
        p.restart_hold_ms = in.byte() * 100u;
    for (unsigned n = in.byte() % 3; n-- > 0;) {
        GroupAdvert g;
        const auto a = in.byte(), b = in.byte(), c = in.byte();
        g.id = a & 1 ? 7 : 1;
        g.peer_group = a & 1 ? 2 : 1;
        g.state = static_cast<Mastership>((a >> 1) % 5);
        g.oper_up = a & 16;
        g.acting = a & 32;
        g.nominal = a & 64;
        g.reached = a & 128;
        g.priority = static_cast<std::uint8_t>(90 + b % 20);
        g.active_members = b >> 6;
        g.shutdown = b & 32;
        g.phase = static_cast<Phase>(c % 7);
        g.generation = c >> 4;
        g.handover = c & 8 ? 9 : 0;
        if (p.groups.empty() || p.groups[0].id != g.id)
            p.groups.push_back(g);
    }
    return p;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    Input in(data, std::min<std::size_t>(size, 4096));
    World w(in.byte());
    std::uint64_t sequence = 0;
    while (!in.empty()) {
        const auto op = in.byte();
        const GroupId group = op & 128 ? 2 : 1;
        switch (op % 18) {
        case 0: case 1: case 2: w.packet(packet_of(in, w, sequence)); break;
        case 3: {
            const auto body = in.take(in.byte());
            w.genuine(Bytes(body.begin(), body.end()));
            break;
        }
        case 4: w.hostile(in.take(in.byte()), kPeer); break;
        case 5: w.hostile(in.take(in.byte()), *IpAddress::parse("192.0.2.77")); break;
        case 6: w.replay(in.byte()); break;
        case 7: case 8: w.wait(in.byte() * 20ms); break;
        case 9: w.step(OperChange{group, bool(in.byte() & 1), static_cast<std::uint16_t>(in.byte() % 3)}); break;
        case 10: w.step(AdminChange{op & 64 ? 0 : group, bool(in.byte() & 1)}); break;
        case 11: w.step(ProtectionChange{group, bool(in.byte() & 1), ""}); break;
        case 12: w.step(ForceSwitchover{group, in.byte() % 3 + 8u, bool(op & 64)}); break;
        case 13: w.step(HandoverExported{group, 9}); break;
        case 14: w.step(HandoverPrepared{group, 9}); break;
        case 15: w.step(HandoverImported{group, 9}); break;
        case 16:
            switch (in.byte() % 4) {
            case 0: w.step(BfdUp{}); break;
            case 1: w.step(BfdDown{}); break;
            case 2: w.step(BfdAdminDown{}); break;
            default: w.step(Stalled{}); break;
            }
            break;
        case 17:
            if (op & 64) {
                w.step(Reconfigure{configuration(in.byte())});
            } else if (const auto tenths = in.byte()) {
                w.step(Restarting{tenths * 100ms});
            } else {
                w.step(RestartCancelled{});
            }
            break;
        }
    }
    return 0;
}
