// SPDX-License-Identifier: GPL-2.0-or-later
// BFD: control packets as they are, and a session that gets them in any order with
// its timers. A packet that decodes must survive encoding; the session must not
// spin, must not send faster than both ends allow, and must not come up on packets
// that do not know its discriminator (RFC 5880 sections 6.8.6 and 6.8.7).
#include <algorithm>
#include <cstdlib>

#include "core/bfd/session.hpp"

using namespace mcipsec;
using namespace mcipsec::bfd;

namespace {

constexpr std::uint32_t kDiscriminator = 0x01020304;

class World {
public:
    World() : session_(Config{}, kDiscriminator, 5) { step(Start{}); }

    void step(const Event &e)
    {
        const auto out = session_.step(e, now_);
        bool up = false;
        unsigned sent = 0;
        for (const auto &a : out) {
            up |= std::holds_alternative<Up>(a);
            if (const auto *p = std::get_if<SendPacket>(&a)) {
                sent++;
                if (!decode(p->bytes))
                    std::abort();
            }
        }
        if ((up && !known_) || sent > 2)
            std::abort();
    }
    void packet(ByteView bytes)
    {
        const auto p = decode(bytes);
        known_ |= p && p->your_discriminator == kDiscriminator;
        step(PacketIn{bytes});
    }
    void wait(Duration d)
    {
        now_ += d;
        step(Timer{});
        step(Timer{});
        if (session_.deadline() <= now_)
            std::abort();
    }

private:
    Session session_;
    Time now_{100s};
    bool known_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    if (const auto p = decode({data, size})) {
        // What follows the mandatory section is not kept.
        if (const auto again = decode(encode(*p)); !again || !(*again == *p))
            std::abort();
    }

    World w;
    ByteView in(data, size);
    const auto take = [&](std::size_t n) {
        const auto v = in.first(std::min(n, in.size()));
        in = in.subspan(v.size());
        return v;
    };
    const auto byte = [&] { return in.empty() ? std::uint8_t{0} : take(1)[0]; };
    while (!in.empty()) {
        switch (byte() % 6) {
        case 0: w.packet(take(kPacketSize)); break;
        case 1: w.packet(take(byte() % 64)); break;
        case 2: case 3: {
            ControlPacket p;
            const auto a = byte(), b = byte();
            p.state = static_cast<State>(a & 3);
            p.diag = static_cast<Diag>((a >> 2) % 9);
            p.poll = a & 64;
            p.final = a & 128;
            p.detect_mult = static_cast<std::uint8_t>(b & 7);
            p.my_discriminator = b & 8 ? 9 : 10;
            p.your_discriminator = b & 16 ? kDiscriminator : b & 32 ? 0 : 5;
            p.desired_min_tx = b & 64 ? byte() * 1000000u : byte() * 1000u;
            p.required_min_rx = b & 128 ? byte() << 24 : byte() * 1000u;
            w.packet(encode(p));
            break;
        }
        case 4: w.wait(byte() * 5ms); break;
        case 5: {
            const auto a = byte();
            if (a & 1)
                w.step(AdminDown{bool(a & 2)});
            else
                w.step(Reconfigure{Config{std::chrono::milliseconds(10 + a), 100ms, static_cast<std::uint8_t>(1 + a % 20), 1s}});
            break;
        }
        }
    }
    return 0;
}
