// SPDX-License-Identifier: GPL-2.0-or-later
// The protocol versions that this build speaks, and which of two can work together.
//
// Rules: MIMP of any version is read, its common fields never move. MCS works with
// the version before its own; two peers use the lower of their versions, if neither
// has left it behind. What each version added: Documentation/wire-mimp.rst, -mcs.rst.
//
// Run-time values, in protocol.cpp alone, so that the tests' agents of other versions
// (CMakeLists.txt) differ from ours in one object file.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mcipsec {

// Of the whole: module and plugin say the same.
inline constexpr const char *kRelease = "0.1";

struct Protocol {
    std::uint8_t mimp = 0;
    std::uint16_t mcs = 0, mcs_oldest = 0;
    bool newer = false;     // a test's: sends what a later version might, for us to skip
};
extern const Protocol kProtocol;

// oldest: 0 is "not said", as by version 1.
constexpr bool mcs_works(std::uint16_t a, std::uint16_t a_oldest, std::uint16_t b, std::uint16_t b_oldest)
{
    return std::min(a, b) >= std::max(a_oldest ? a_oldest : a, b_oldest ? b_oldest : b);
}

}  // namespace mcipsec
