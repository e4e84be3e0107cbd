// SPDX-License-Identifier: GPL-2.0-or-later
#include "core/protocol.hpp"

// Defined for the agents of tests/ and selftests/ only.
#ifndef MCIPSEC_PROTOCOL_VERSION_SHIFT
#define MCIPSEC_PROTOCOL_VERSION_SHIFT 0
#endif

namespace mcipsec {

namespace {
constexpr int kShift = MCIPSEC_PROTOCOL_VERSION_SHIFT;
constexpr int kMimp = 2 + kShift, kMcs = 2 + kShift;
static_assert(kMimp > 0 && kMcs > 0, "0 is no version");
}  // namespace

constinit const Protocol kProtocol = {.mimp = kMimp, .mcs = kMcs, .mcs_oldest = kMcs > 1 ? kMcs - 1 : 1, .newer = kShift > 0};

}  // namespace mcipsec
