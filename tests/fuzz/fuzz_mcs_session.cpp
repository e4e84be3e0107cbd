// SPDX-License-Identifier: GPL-2.0-or-later
// A session against a peer that says anything: frames with sound checksums in
// any order, mixed with local events and answers of charon. Nothing may crash,
// and a non-master must never take a record (I5).
#include <cstdlib>

#include "core/mcs/frame.hpp"
#include "core/mcs/session.hpp"

using namespace mcipsec;
using namespace mcipsec::mcs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    Config c;
    c.db_epoch = 1;
    c.window_entries = 4;
    c.import_window = 2;
    c.max_tombstones = 2;
    Session s(std::move(c));
    Time now{100s};
    std::vector<Event> answers;
    bool acting = false, peer_acting = false;
    const auto step = [&](Event e) {
        const auto entries = s.group_status("t") ? s.group_status("t")->local.entries : 0;
        const bool from_peer = std::holds_alternative<ev::BytesIn>(e);
        for (auto &a : s.step(std::move(e), now)) {
            if (auto *i = std::get_if<act::Import>(&a)) {
                const auto *entry = s.entry(i->tag, i->key);
                answers.push_back(ev::ImportResult{i->tag, i->key, entry ? entry->version : Version{}, ev::ImportOutcome::Installed, ""});
            } else if (auto *d = std::get_if<act::Delete>(&a)) {
                answers.push_back(ev::DeleteResult{d->tag, d->key, true, ""});
            }
        }
        if (from_peer && !acting && !peer_acting && s.group_status("t")->local.entries != entries)
            std::abort();
    };
    const auto frames = [&](SecretBuffer &b) { step(ev::BytesIn{b.view()}); };
    step(ev::GroupAdd{"t", 1});
    step(ev::CharonUp{7});
    step(ev::LocalSnapshotBegin{"t"});
    step(ev::LocalSnapshotEnd{"t"});

    ByteView in(data, size);
    const auto take = [&](std::size_t n) {
        n = std::min(n, in.size());
        const auto v = in.subspan(0, n);
        in = in.subspan(n);
        return v;
    };
    while (!in.empty()) {
        const auto op = take(1)[0];
        const auto arg = in.empty() ? 0u : take(1)[0];
        switch (op % 14) {
        case 0: {
            step(ev::ChannelUp{true, 0, 0});
            SecretBuffer b;
            frame::encode(b, frame::Hello{2, 1, "1", 2, 0, 0});
            frames(b);
            break;
        }
        case 1: step(ev::ChannelDown{0, ""}); break;
        case 2:
            acting = arg & 1;
            peer_acting = arg & 2;
            step(ev::GroupRole{"t", {acting, peer_acting, 1u + (arg >> 6)}, Mastership::Standby});
            break;
        case 3: step(ev::WriteReady{}); break;
        case 4: case 5: case 6: case 7: {  // a frame of any type with fields from the input
            SecretBuffer b;
            {
                FrameWriter w(b, static_cast<std::uint8_t>(arg % 20));
                w.text(1, "t");
                w.raw(take(in.empty() ? 0 : take(1)[0]));
            }
            frames(b);
            break;
        }
        case 8: {  // a sound record
            Entry e;
            e.key = *Key::make(arg & 1 ? Kind::ChildSa : Kind::IkeSa, Bytes(arg & 1 ? 5 : 16, arg >> 4));
            if (arg & 1)
                e.parent = *Key::make(Kind::IkeSa, Bytes(16, arg >> 4));
            e.version = {1u + (arg >> 6), 1, arg};
            e.data = SecretBytes(Bytes(3, 1));
            e.change = arg;
            SecretBuffer b;
            frame::encode_entry(b, "t", 1u + (arg >> 6), in.empty() ? 1 : take(1)[0], e);
            frames(b);
            break;
        }
        case 9: step(ev::BytesIn{take(arg)}); break;
        case 10: {
            ev::LocalUpsert u;
            u.tag = "t";
            u.key = *Key::make(Kind::IkeSa, Bytes(16, arg >> 4));
            u.lineage = 1;
            u.version = arg;
            u.data = SecretBytes(Bytes(3, 1));
            u.epoch = 7;
            u.seq = arg;
            step(std::move(u));
            break;
        }
        case 11: step(ev::LocalDelete{"t", *Key::make(Kind::IkeSa, Bytes(16, arg >> 4)), ev::DeleteScope::Global, 7, arg}); break;
        case 12:
            if (!answers.empty()) {
                auto e = std::move(answers.back());
                answers.pop_back();
                step(std::move(e));
            }
            break;
        case 13:
            now += std::chrono::milliseconds(arg * 100);
            step(ev::Timer{});
            break;
        }
    }
    (void)s.status();
    return 0;
}
