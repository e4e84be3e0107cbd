// SPDX-License-Identifier: GPL-2.0-or-later
// Two MIMP sessions through a simulated year of random faults, with real keys
// and HMACs: power loss, hangs, member failures, cuts of either way, loss, delay
// and hand-overs. Outside partitions (and one detection time after) there are
// never two open gates, and whenever the faults pause the pair settles.
//
// mimp_year [DAYS] [SEED]; prints what happened; exit 1 on a violation.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "sim/mimp_world.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;
using enum Mastership;

int main(int argc, char **argv)
{
    const int days = argc > 1 ? std::atoi(argv[1]) : 365;
    const unsigned seed = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1;
    constexpr Duration kInterval = 50s;     // the longest keep-alive-interval: fewest packets a year
    std::mt19937_64 random(seed);
    const auto pick = [&](std::uint64_t n) { return random() % n; };

    World w([&](Config &c, int) {
        c.keep_alive_interval = kInterval;
        c.discovery_interval = c.discovery_interval_boot = 300s;
    });
    const Duration detection = w.node[0].config.detection();
    bool oper[2] = {true, true}, cut[2] = {false, false};
    int lossy = 0;
    Time partition_until{};                 // two gates are excused until then
    int events[7] = {};
    std::uint64_t handover = 0;
    bool bad = false;

    w.drop = [&](int from, const Bytes &) { return cut[1 - from] || (lossy && pick(100) < static_cast<std::uint64_t>(lossy)); };
    w.after_step = [&] {
        if (cut[0] || cut[1] || lossy)
            partition_until = w.now + 2 * detection;
        if (w.now > partition_until && w.node[0].open(1, w.now) && w.node[1].open(1, w.now)) {
            std::printf("VIOLATION two open gates at %.3f s\n", std::chrono::duration<double>(w.now.time_since_epoch()).count());
            bad = true;
        }
    };
    w.boot(0);
    w.boot(1);

    const Time end = w.now + std::chrono::hours(24) * days;
    while (w.now < end && !bad) {
        for (std::uint64_t burst = 1 + pick(4); burst && !bad; --burst) {
            const int i = static_cast<int>(pick(2));
            const auto what = pick(7);
            ++events[what];
            switch (what) {
            case 0:                                             // power loss
                w.kill(i);
                w.run(std::chrono::seconds(pick(1200)));
                w.boot(i, oper[i]);
                break;
            case 1:                                             // hang
                w.node[i].hung = true;
                w.run(std::chrono::milliseconds(pick(400'000)));
                w.node[i].hung = false;
                break;
            case 2:
                oper[i] = !oper[i];
                w.feed(i, OperChange{1, oper[i], static_cast<std::uint16_t>(oper[i] ? 1 : 0)});
                break;
            case 3:
                cut[i] = true;
                if (pick(2))
                    cut[1 - i] = true;
                w.run(std::chrono::seconds(pick(1000)));
                cut[0] = cut[1] = false;
                break;
            case 4:
                lossy = static_cast<int>(pick(60));
                w.run(std::chrono::seconds(pick(3000)));
                lossy = 0;
                break;
            case 5:
                w.delay = std::chrono::milliseconds(1 + pick(2000));
                break;
            case 6:
                w.feed(i, ForceSwitchover{1, ++handover, true});
                break;
            }
            w.run(std::chrono::milliseconds(pick(100'000)));
        }
        w.run(std::chrono::minutes(30) + std::chrono::seconds(pick(20'000)));
        const Mastership a = w.state(0), b = w.state(1);
        const bool settled = oper[0] && oper[1] ? (a == Master && b == Standby) || (a == Standby && b == Master)
                             : oper[0]          ? a == Master && b == NotEligible
                             : oper[1]          ? a == NotEligible && b == Master
                                                : a == NotEligible && b == NotEligible;
        if (!settled) {
            std::printf("VIOLATION not settled: %s, %s\n", std::string(to_string(a)).c_str(), std::string(to_string(b)).c_str());
            bad = true;
        }
        for (auto &n : w.node)
            n.history.clear();
    }
    std::printf("%d days: power %d, hang %d, member %d, cut %d, loss %d, delay %d, force-switchover %d: %s\n", days, events[0], events[1],
                events[2], events[3], events[4], events[5], events[6], bad ? "violated" : "never two masters, always settled");
    return bad ? 1 : 0;
}
