// SPDX-License-Identifier: GPL-2.0-or-later
// Seeds of those corpora that no capture can give, for MCS runs inside TLS: one
// frame of every type, one after another and each alone.
//
// usage: fuzz_seeds FOLDER      writes FOLDER/fuzz_mcs_frame/*
#include <filesystem>
#include <fstream>
#include <iostream>

#include "core/mcs/frame.hpp"

using namespace mcipsec;
using namespace mcipsec::mcs;

namespace {

std::filesystem::path folder;

void write(const std::string &name, ByteView bytes)
{
    std::ofstream(folder / name, std::ios::binary).write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Entry entry(Kind kind)
{
    Entry e;
    e.key = *Key::make(kind, Bytes(kind == Kind::IkeSa ? 16 : 5, 0x11));
    if (kind == Kind::ChildSa)
        e.parent = *Key::make(Kind::IkeSa, Bytes(16, 0x11));
    e.version = {2, 3, 4};
    e.name = "tunnel-1";
    e.info = "local=10.10.20.1\nremote=172.16.1.1\n";
    e.data = SecretBytes(ByteView(Bytes(40, 0x5a)));
    e.inbound_age_ms = 20;
    e.change = 9;
    return e;
}

}  // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::cerr << "usage: fuzz_seeds FOLDER\n";
        return 2;
    }
    folder = std::filesystem::path(argv[1]) / "fuzz_mcs_frame";
    std::filesystem::create_directories(folder);

    SecretBuffer all;
    Buckets buckets{};
    buckets[3] = 7;
    BucketMask mask{};
    mask[0] = 1;
    SaSeq sa{};
    Gauges gauges{};
    frame::encode(all, frame::Hello{2, 1, "0.1.0", 2, 3, 4});
    frame::encode(all, frame::Config{"tag-1", {{"proposals", Bytes(32, 7)}, {"next-hops", Bytes(32, 8)}}});
    frame::encode(all, frame::Offer{"tag-1", 2, 3, 4, 5});
    frame::encode(all, frame::Resync{"tag-1", 2, 3, frame::Resync::Mode::Delta, 4, {}, false});
    frame::encode(all, frame::Resync{"tag-1", 2, 3, frame::Resync::Mode::Buckets, 4, mask, true});
    frame::encode(all, frame::Digest{"tag-1", 2, 3, 4, 5, true, buckets});
    frame::encode(all, frame::SnapshotBegin{"tag-1", 2, 3, 4, 5, mask, false});
    frame::encode_entry(all, "tag-1", 2, 3, entry(Kind::IkeSa));
    frame::encode_entry(all, "tag-1", 2, 4, entry(Kind::ChildSa));
    frame::encode(all, frame::SnapshotEnd{"tag-1", 2, 3, 4});
    frame::encode(all, frame::Delete{"tag-1", 2, 3, 4, entry(Kind::ChildSa).key, {2, 3, 4}});
    frame::encode(all, frame::Ack{3});
    frame::encode(all, frame::Nack{"tag-1", 3, frame::Nack::Why::AwaitConf, entry(Kind::IkeSa).key, "no connection"});
    frame::encode(all, frame::Seq{"tag-1", 2, 3, true, {sa, sa}});
    frame::encode(all, frame::Traffic{"tag-1", {{"tunnel-1", {1, 2, 3, 4}, {5, 6, 7, 8}}}});
    frame::encode(all, frame::Frozen{"tag-1", 2, 9, true, true, {sa}});
    frame::encode(all, frame::FrozenAck{"tag-1", 9});
    frame::encode(all, frame::Status{"tag-1", gauges, SyncState::InSync, 2, true, Mastership::Master, 0, {"reason"}});
    frame::encode(all, frame::Keepalive{1, 2, true});
    frame::encode(all, frame::Bye{1, "shutdown"});
    const Key children[] = {entry(Kind::ChildSa).key};
    frame::encode_propose(all, "tag-1", 2, entry(Kind::IkeSa), children);
    write("stream", all.view());

    FrameReader reader;
    reader.append(all.view());
    unsigned n = 0;
    while (const auto raw = reader.next()) {
        if (!*raw || !frame::decode(**raw)) {
            std::cerr << "frame " << n << " does not decode\n";
            return 1;
        }
        Bytes one{(*raw)->type};
        one.insert(one.end(), (*raw)->body.begin(), (*raw)->body.end());
        write("frame-" + std::to_string(n++), one);
    }
    std::cout << n << " frames\n";
    return n == 20 ? 0 : 1;
}
