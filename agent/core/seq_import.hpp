// SPDX-License-Identifier: GPL-2.0-or-later
// Sequence numbers into the kernel, some of which it may refuse: an SA in hardware, one
// that is not the group's. It says how many, not which. Those are found by halves, so
// that the numbers of the others count (I3). What is given twice does no harm: the
// import is monotonic. Pure: no clock, no IO of its own, no threads.
#pragma once

#include <linux/mcipsec.h>

#include <span>
#include <vector>

#include "core/types.hpp"

namespace mcipsec {

struct SeqImport {
    std::size_t missing = 0;            // the kernel does not have them
    std::vector<mcipsec_seq> refused;
};

// set(span) gives them to the kernel: Expected of an object with .missing and .refused, counts
// of what it was given. Its errors are returned: then nothing is known of any of them.
// At most 2 x size calls; one, if nothing is refused.
template <typename Set>
Expected<SeqImport> import_sequence(std::span<const mcipsec_seq> sas, Set &&set)
{
    SeqImport all;
    std::vector<std::span<const mcipsec_seq>> parts;
    if (!sas.empty())
        parts.push_back(sas);
    while (!parts.empty()) {
        const auto part = parts.back();
        parts.pop_back();
        const auto result = set(part);
        if (!result)
            return tl::unexpected(result.error());
        if (result->refused == 0) {
            all.missing += result->missing;
        } else if (result->refused >= part.size()) {
            all.refused.insert(all.refused.end(), part.begin(), part.end());
        } else {
            parts.push_back(part.subspan(part.size() / 2));
            parts.push_back(part.first(part.size() / 2));
        }
    }
    return all;
}

}  // namespace mcipsec
