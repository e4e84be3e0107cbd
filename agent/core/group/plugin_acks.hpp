// SPDX-License-Identifier: GPL-2.0-or-later
// One charon numbers the records of all groups together; the groups may be those of
// several peers. What every session has is acknowledged for all, and for the groups of a
// session what that one has: a peer that is slow, or silent until that is noticed, holds
// no packet of another peer's groups (I4 says which packets wait, and no more than those).
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "core/types.hpp"

namespace mcipsec::group {

// As mcs::act::PluginAck: of this start of charon, the peer has every record of the
// session up to seq.
struct SessionAck {
    std::uint64_t epoch = 0, seq = 0;
    bool none_open = true;
    std::vector<GroupId> groups;
};

class PluginAcks {
public:
    struct Ack {
        std::uint64_t seq = 0;                      // all groups
        std::map<GroupId, std::uint64_t> groups;    // those of which more is acknowledged
    };

    // What to tell charon of this epoch; none: it knows.
    std::optional<Ack> update(std::uint64_t epoch, std::span<const SessionAck> sessions)
    {
        if (epoch != epoch_) {
            forget();
            epoch_ = epoch;
        }
        std::optional<std::uint64_t> open;
        std::uint64_t newest = 0;
        bool more = false;
        for (const auto &s : sessions) {
            if (s.epoch != epoch)
                continue;
            newest = std::max(newest, s.seq);
            if (!s.none_open)
                open = std::min(open.value_or(s.seq), s.seq);
            for (const auto id : s.groups)
                if (s.seq > of(id)) {
                    groups_[id] = s.seq;
                    more = true;
                }
        }
        if (const auto all = open.value_or(newest); all > seq_) {
            seq_ = all;
            more = true;
        }
        if (!more)
            return std::nullopt;
        std::erase_if(groups_, [this](const auto &g) { return g.second <= seq_; });
        return Ack{seq_, groups_};
    }

    // The last that update() said.
    std::uint64_t epoch() const { return epoch_; }
    std::uint64_t of(GroupId group) const
    {
        const auto it = groups_.find(group);
        return it == groups_.end() ? seq_ : it->second;
    }
    void forget()       // charon went
    {
        epoch_ = seq_ = 0;
        groups_.clear();
    }

private:
    std::uint64_t epoch_ = 0, seq_ = 0;
    std::map<GroupId, std::uint64_t> groups_;
};

}  // namespace mcipsec::group
