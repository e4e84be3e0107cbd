// SPDX-License-Identifier: GPL-2.0-or-later
// Frames and records: whatever decodes must encode to something that decodes to
// the same bytes again, and nothing may crash or leak. The stream is fed in two
// pieces; checksums are mended so that the fuzzer gets past them.
#include <cstdlib>

#include "core/mcs/frame.hpp"

using namespace mcipsec;
using namespace mcipsec::mcs;

namespace {

void encode_any(SecretBuffer &out, const frame::Frame &f)
{
    std::visit(
        [&](const auto &x) {
            using F = std::decay_t<decltype(x)>;
            if constexpr (std::is_same_v<F, frame::EntryFrame>) {
                frame::encode_entry(out, x.tag, x.generation, x.txn, x.entry);
            } else if constexpr (std::is_same_v<F, frame::Propose>) {
                frame::encode_propose(out, x.tag, x.generation, x.entry);
            } else if constexpr (!std::is_same_v<F, frame::BadRecord>) {
                frame::encode(out, x);
            }
        },
        f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    // A body of any type.
    if (size > 1) {
        if (const auto f = frame::decode({data[0], ByteView(data + 1, size - 1)})) {
            SecretBuffer once, twice;
            encode_any(once, *f);
            if (!once.empty()) {
                FrameReader r;
                r.append(once.view());
                const auto raw = r.next();
                if (!raw || !*raw)
                    std::abort();
                const auto g = frame::decode(**raw);
                if (!g || g->index() != f->index())
                    std::abort();
                encode_any(twice, *g);
                if (twice.size() != once.size() || std::memcmp(twice.view().data(), once.view().data(), once.size()) != 0)
                    std::abort();
            }
        }
    }
    // A stream, as it is.
    FrameReader r;
    const std::size_t half = size / 2;
    bool dead = false;
    for (const auto part : {ByteView(data, half), ByteView(data + half, size - half)}) {
        if (dead)
            break;
        r.append(part);
        while (const auto raw = r.next()) {
            if (!*raw) {
                dead = true;
                break;
            }
            (void)frame::decode(**raw);
        }
    }
    return 0;
}
