// SPDX-License-Identifier: GPL-2.0-or-later
// Exhaustive exploration of two MIMP sessions, as shipped, joined by a channel.
//
// A state is both sessions, both gates, at most two packets each way and what
// the environment did so far. It is made canonical (epochs and sequence numbers
// by rank, generations from their minimum, times from now in ticks) and kept as
// a 64-bit fingerprint. Breadth first, once for 0 .. F faults, so that a cut
// search still says up to how many faults it is complete.
//
// Layers: plain (MIMP alone detects), bfd, lease (BFD, with the lease that its
// packets renew and with hung agents, without trouble on the way but BFD failure
// and a cut: the three have another budget of states each).
//
// Steps: deliver a packet, fire a due timer, finish the engine's work on a
// hand-over, boot a node, let a tick pass (only when nothing prompt is left).
// Faults: loss, delay, duplication, cut (one way or both), BFD down, member
// down, crash, hang (of the agent: its gate stays open until its lease ends),
// hand-over. Their ends (heal, member up, boot, resume, BFD
// up) cost nothing.
//
// Properties
//  (a) once both have been reached for one detection time, never two open
//      gates; without loss, delay, cut or BFD failure never at all
//  (b) with everything working for K rounds: both up -> master/standby, one up
//      -> master/notEligible, none -> notEligible twice; then no change
//  (c) at most one takeover for the start, each fault and each member up
//  (d) the gate is open only in master and eligible, and nobody says that he
//      does not act before his gate is closed
//  (e) no change is taken except from the acting master of the generation, nor
//      sent by another; once all works the standby takes what its master sends.
//      Asked of core/role.hpp, as MCS does
//  (f) the lease of a node that was never hung does not run out
//
// explore [--states N] [--faults F] [--seed-bug N] [--only LAYER]; exit 1 with a trace on a violation.
#include <cstdio>
#include <cstdlib>
#include <deque>

#include "sim/explore_canon.hpp"

namespace mcipsec::mimp {

// Open addressing; a fingerprint is never 0.
class Visited {
public:
    explicit Visited(std::size_t most) : slots_(std::size_t{1} << 12) { slots_.reserve(std::min<std::size_t>(most, 1 << 12)); }
    bool insert(std::uint64_t f)
    {
        if (used_ * 10 > slots_.size() * 6)
            grow();
        return place(f) && ++used_;
    }
    std::size_t size() const { return used_; }

private:
    bool place(std::uint64_t f)
    {
        std::size_t at = f & (slots_.size() - 1);
        while (slots_[at]) {
            if (slots_[at] == f)
                return false;
            at = (at + 1) & (slots_.size() - 1);
        }
        slots_[at] = f;
        return true;
    }
    void grow()
    {
        std::vector<std::uint64_t> old(slots_.size() * 2);
        old.swap(slots_);
        for (auto f : old)
            if (f)
                place(f);
    }
    std::vector<std::uint64_t> slots_;
    std::size_t used_ = 0;
};

struct Origin {
    std::uint32_t parent;
    Step step;
};

struct Result {
    bool violated = false, cut = false;
    std::size_t states = 0;
    int rounds = 0;
};

void print_trace(const SessionProbe &setup, const std::vector<Origin> &origins, std::uint32_t at)
{
    std::vector<Step> path;
    for (; at; at = origins[at].parent)
        path.push_back(origins[at].step);
    std::reverse(path.begin(), path.end());
    SessionProbe p = setup;
    State s;
    for (const auto &t : path) {
        p.apply(s, t);
        std::printf("  %6.1f s  %-22s %-5s %s\n", std::chrono::duration<double>(s.now.time_since_epoch()).count() - 1000.0, kNames[t.kind],
                    t.kind == kPass || t.kind == kHeal ? "" : t.node == 2 ? "both" : t.node ? "2" : "1", p.describe(s).c_str());
    }
}

Result explore(const SessionProbe &setup, unsigned faults, std::size_t most)
{
    SessionProbe p = setup;
    Result r;
    Visited visited(most);
    std::vector<Origin> origins;
    // States to be, as a step from one that is there: most wait long, so they are made twice.
    std::deque<std::pair<std::shared_ptr<const State>, std::uint32_t>> frontier;
    frontier.emplace_back(nullptr, 0);
    origins.push_back({0, {kPass, 0, 0}});
    visited.insert(SessionProbe::fingerprint(State{}));
    std::vector<Step> steps;
    while (!frontier.empty()) {
        const auto [parent, index] = std::move(frontier.front());
        frontier.pop_front();
        const auto state = std::make_shared<State>(parent ? *parent : State{});
        if (parent)
            p.apply(*state, origins[index].step);
        p.steps(*state, faults, steps);
        for (const auto &t : steps) {
            State next = *state;
            p.apply(next, t);
            const std::string why = p.check(next);
            if (next.quiet && !p.settled(next))
                r.rounds = std::max(r.rounds, (next.quiet + 2) / 2);
            if (!why.empty()) {
                origins.push_back({index, t});
                std::printf("VIOLATION %s\n", why.c_str());
                print_trace(setup, origins, static_cast<std::uint32_t>(origins.size() - 1));
                r.violated = true;
                r.states = visited.size();
                return r;
            }
            if (!visited.insert(SessionProbe::fingerprint(next)))
                continue;
            if (visited.size() > most) {
                r.cut = true;
                r.states = most;
                return r;
            }
            origins.push_back({index, t});
            frontier.emplace_back(state, static_cast<std::uint32_t>(origins.size() - 1));
        }
    }
    r.states = visited.size();
    return r;
}

}  // namespace mcipsec::mimp

int main(int argc, char **argv)
{
    using namespace mcipsec::mimp;
    std::size_t most = 1'000'000;
    unsigned faults = 3;
    int bug = 0;
    std::string only;
    for (int i = 1; i < argc; ++i) {
        const auto is = [&](const char *name) { return std::strcmp(argv[i], name) == 0 && i + 1 < argc; };
        if (is("--states"))
            most = std::strtoull(argv[++i], nullptr, 10);
        else if (is("--faults"))
            faults = static_cast<unsigned>(std::atoi(argv[++i]));
        else if (is("--seed-bug"))
            bug = std::atoi(argv[++i]);
        else if (is("--only"))
            only = argv[++i];
        else {
            std::fprintf(stderr, "usage: explore [--states N] [--faults F] [--seed-bug 1..9] [--only plain|bfd|lease]\n");
            return 2;
        }
    }
    int rounds = 0;
    for (const Layer layer : {Layer::Plain, Layer::Bfd, Layer::Lease}) {
        const char *const name = kLayers[static_cast<int>(layer)];
        if (!only.empty() && only != name)
            continue;
        for (unsigned f = 0; f <= faults; ++f) {
            SessionProbe setup;
            setup.bug = bug;
            setup.layer = layer;
            const Result r = explore(setup, f, most);
            rounds = std::max(rounds, r.rounds);
            std::printf("%s, up to %u faults: %zu states, %s; settles within K = %d rounds\n", name, f, r.states,
                        r.violated ? "violated" : r.cut ? ("cut at " + std::to_string(most)).c_str() : "exhausted", r.rounds);
            std::fflush(stdout);
            if (r.violated)
                return 1;
        }
    }
    std::printf("no violation of (a) to (f); K = %d rounds\n", rounds);
    return 0;
}
