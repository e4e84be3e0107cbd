// SPDX-License-Identifier: GPL-2.0-or-later
// Octets and packets of the tunnels of one group, over all their SAs and over
// switchovers (seed "Statistics Collection").
//
// Each chassis counts what went through its own kernel and remembers what the other
// one told it; a tunnel has carried the sum. Both tell both parts, and each part only
// grows, so that telling is repeated, merged and lost without harm: a switchover, a
// dual master and a restart of one agent leave nothing to be handed over.
//
// Invariants: a count never falls while one of the two agents runs, and nothing is
// counted twice. Not counted is what an SA carried between its last sample and its end,
// or the end of the node or agent that counted it. With neither agent left it begins
// again, with what the SAs of the kernel have carried.
// Pure: no clock, no IO, no threads.
#pragma once

#include <linux/mcipsec.h>

#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/seqstate.hpp"
#include "core/traffic.hpp"

namespace mcipsec {

class TunnelCounters {
public:
    // Whose an SA is; in the kernel already, or soon.
    void name(const SaId &id, const std::string &tunnel, Time now);
    // All SAs of the group in the own kernel. What has no name yet is counted, whole, when
    // it has one.
    void count(std::span<const mcipsec_seq> sas, Time now);
    // The peer's table: its own is our peer.
    void learn(std::span<const TunnelTraffic> told);
    // What changed since changed() was asked last.
    std::vector<TunnelTraffic> changed();
    std::vector<TunnelTraffic> all() const;
    // Both chassis' traffic; zero for a tunnel that carried nothing.
    Traffic of(const std::string &tunnel) const;
    std::size_t sas() const { return sas_.size(); }

private:
    struct Sa {
        std::uint64_t octets = 0, packets = 0;      // as the kernel said last
        std::uint64_t round = 0;                    // when it said so, 0: never
        Time named_at{};
        bool out = false, before = false;           // before: in the kernel when this process began
        std::optional<std::string> tunnel;
    };
    struct Tunnel {
        Traffic before;     // of SAs that were there already
        Traffic base;       // own, of earlier processes, as the peer remembers it
        Traffic since;
        Traffic peer;
        Traffic own() const;
        bool changed = false;
    };
    void book(const Sa &sa, std::uint64_t octets, std::uint64_t packets);

    std::unordered_map<SaId, Sa, SaIdHash> sas_;
    std::map<std::string, Tunnel> tunnels_;
    std::uint64_t round_ = 0;
};

}  // namespace mcipsec
