// SPDX-License-Identifier: GPL-2.0-or-later
// Output commit that ran out (I4): a packet left before the standby had acknowledged
// its record. Until it has, an exchange that the peer has seen complete may be unknown
// to the standby, so the group is notReady exactly that long: neither shorter, nor
// longer than it says anything about protection. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mcipsec::group {

class HeldOutput {
public:
    // A packet left that needed the record seq of this start of charon.
    void expired(std::uint64_t epoch, std::uint64_t seq)
    {
        seq_ = epoch == epoch_ ? std::max(seq_, seq) : seq;
        epoch_ = epoch;
    }
    // The standby has every record up to seq. True: it lacked one until now.
    bool acked(std::uint64_t epoch, std::uint64_t seq)
    {
        if (!open() || epoch != epoch_ || seq < seq_)
            return false;
        seq_ = 0;
        return true;
    }
    void forget() { seq_ = 0; }     // charon went, or this chassis does not act any more
    bool open() const { return seq_ != 0; }

private:
    std::uint64_t epoch_ = 0, seq_ = 0;     // seq_: newest record that a packet did without, 0: none
};

}  // namespace mcipsec::group
