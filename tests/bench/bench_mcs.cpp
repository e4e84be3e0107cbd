// SPDX-License-Identifier: GPL-2.0-or-later
// MCS: records a second through two sessions joined in memory (master's charon to
// standby's charon and the acknowledgement back; neither TLS nor a real charon), a
// snapshot of N tunnels, and what a synced tunnel costs an agent in memory.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include "unit/mcs_sim.hpp"

namespace {

using namespace mcs_sim;

constexpr std::size_t kIkeRecord = 700, kChildRecord = 320;   // as a tunnel with PSK and AES-GCM has them

void fill(Pair &p, std::uint32_t tunnels)
{
    for (std::uint32_t i = 1; i <= tunnels; ++i) {
        p.upsert(p.a, ike(i), std::nullopt, kIkeRecord);
        p.upsert(p.a, child(i), ike(i), kChildRecord);
        if (i % 1000 == 0)
            p.quiesce();
    }
    p.run();
}

// Every record of N tunnels changes once.
void records(benchmark::State &state)
{
    const auto n = static_cast<std::uint32_t>(state.range(0));
    Pair p;
    fill(p, n);
    std::size_t count = 0;
    for (auto _ : state) {
        for (std::uint32_t i = 1; i <= n; ++i) {
            p.upsert(p.a, child(i), ike(i), kChildRecord);
            if (i % 100 == 0)
                p.quiesce();
        }
        p.quiesce();
        count += n;
    }
    if (p.b.charon.sas != p.a.charon.sas)
        return state.SkipWithError("the standby does not have what the master has");
    state.SetItemsProcessed(static_cast<std::int64_t>(count));
}
BENCHMARK(records)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

// A standby that comes empty gets N tunnels.
void snapshot(benchmark::State &state)
{
    const auto n = static_cast<std::uint32_t>(state.range(0));
    for (auto _ : state) {
        state.PauseTiming();
        auto p = std::make_unique<Pair>();
        p->cut();
        for (std::uint32_t i = 1; i <= n; ++i) {
            p->upsert(p->a, ike(i), std::nullopt, kIkeRecord);
            p->upsert(p->a, child(i), ike(i), kChildRecord);
        }
        state.ResumeTiming();
        p->connect();
        p->run();
        state.PauseTiming();
        if (p->b.charon.sas.size() != 2 * n)
            return state.SkipWithError("the standby does not have what the master has");
        p.reset();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * 2 * n);
}
BENCHMARK(snapshot)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

// What a master's session keeps of a tunnel, without the records' own bytes.
void memory_of_a_tunnel(benchmark::State &state)
{
    const auto n = static_cast<std::uint32_t>(state.range(0));
    double each = 0;
    for (auto _ : state) {
        Session session(config(1));
        const Time now{1000s};
        session.step(ev::GroupAdd{kTag, 1}, now);
        session.step(ev::CharonUp{1}, now);
        session.step(ev::LocalSnapshotBegin{kTag}, now);
        session.step(ev::LocalSnapshotEnd{kTag}, now);
        session.step(ev::GroupRole{kTag, {true, false, 1}, Mastership::Master}, now);
        const auto before = mallinfo2().uordblks;
        const auto upsert = [&](const Key &key, const Key &parent, std::size_t size) {
            ev::LocalUpsert u;
            u.tag = kTag;
            u.key = key;
            if (key != parent)
                u.parent = parent;
            u.lineage = hash(parent);
            u.version = 1;
            u.name = "tunnel";
            u.data = SecretBytes(ByteView(Bytes(size, 1)));
            u.epoch = 1;
            static std::uint64_t seq = 0;
            u.seq = ++seq;
            session.step(std::move(u), now);
        };
        for (std::uint32_t i = 1; i <= n; ++i) {
            upsert(ike(i), ike(i), kIkeRecord);
            upsert(child(i), ike(i), kChildRecord);
        }
        if (session.status().local.entries != 2 * n)
            return state.SkipWithError("not every record was taken");
        each = static_cast<double>(mallinfo2().uordblks - before) / n - (kIkeRecord + kChildRecord);
    }
    state.counters["bytes_a_tunnel_beside_its_records"] = each;
}
BENCHMARK(memory_of_a_tunnel)->Arg(100000)->Arg(1000000)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace

BENCHMARK_MAIN();
