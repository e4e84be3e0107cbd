// SPDX-License-Identifier: GPL-2.0-or-later
// MIMP: how many packets a second one session takes (HMAC, replay window, election)
// and how long a session's timer takes to write one, by the number of tunnel-groups.
#include <benchmark/benchmark.h>

#include "sim/mimp_world.hpp"

namespace {

using namespace mcipsec;
using namespace mcipsec::mimp;

World elected(int groups)
{
    World w([&](Config &c, int i) {
        c.groups.clear();
        for (int g = 1; g <= groups; ++g)
            c.groups.push_back(GroupConfig{static_cast<GroupId>(g), static_cast<GroupId>(g), static_cast<std::uint8_t>(i ? 150 : 200), false});
    });
    w.boot(0);
    w.boot(1);
    w.run(10s);
    return w;
}

// The next packet of a node's timer, at the time it is due.
Bytes next_packet(World &w, int node)
{
    for (;;) {
        w.now = std::max(w.now, w.node[node].session->deadline());
        for (auto &a : w.node[node].session->step(Timer{}, w.now))
            if (auto *p = std::get_if<SendPacket>(&a))
                return std::move(p->bytes);
    }
}

void packet_in(benchmark::State &state)
{
    auto w = elected(static_cast<int>(state.range(0)));
    if (!w.is(Mastership::Master, Mastership::Standby))
        return state.SkipWithError("no election");
    std::size_t bytes = 0;
    for (auto _ : state) {
        state.PauseTiming();
        const Bytes packet = next_packet(w, 0);
        bytes += packet.size();
        const Event event = PacketIn{packet, w.node[0].config.own};
        const auto taken = w.node[1].session->snapshot().counters.rx;
        state.ResumeTiming();
        benchmark::DoNotOptimize(w.node[1].session->step(event, w.now));
        state.PauseTiming();
        if (w.node[1].session->snapshot().counters.rx != taken + 1)
            return state.SkipWithError("a packet was not taken");
        state.ResumeTiming();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
    state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(packet_in)->Arg(1)->Arg(16)->Arg(64);

void packet_out(benchmark::State &state)
{
    auto w = elected(static_cast<int>(state.range(0)));
    for (auto _ : state)
        benchmark::DoNotOptimize(next_packet(w, 0));
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(packet_out)->Arg(1)->Arg(16)->Arg(64);

// Whoever has no key: the packet fails its MAC.
void forged_packet_in(benchmark::State &state)
{
    auto w = elected(1);
    Bytes packet = next_packet(w, 0);
    packet.back() ^= 1;
    const Event event = PacketIn{packet, w.node[0].config.own};
    for (auto _ : state)
        benchmark::DoNotOptimize(w.node[1].session->step(event, w.now));
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(forged_packet_in);

}  // namespace

BENCHMARK_MAIN();
