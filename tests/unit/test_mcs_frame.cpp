// SPDX-License-Identifier: GPL-2.0-or-later
// The MCS wire format (Documentation/wire-mcs.rst): bytes, bounds, round trips.
#include "core/mcs/frame.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::mcs;

namespace {

Key ike_key()
{
    return *Key::make(Kind::IkeSa, *from_hex("00112233445566778899aabbccddeeff"));
}

template <typename F>
Bytes bytes_of(const F &f)
{
    SecretBuffer out;
    frame::encode(out, f);
    return Bytes(out.view().begin(), out.view().end());
}

Expected<frame::Frame> parse(ByteView bytes)
{
    FrameReader r;
    r.append(bytes);
    const auto raw = r.next();
    assert_true(raw.has_value());
    if (!*raw)
        return tl::unexpected(raw->error());
    return frame::decode(**raw);
}

template <typename F>
F round_trip(const F &f)
{
    auto got = parse(bytes_of(f));
    assert_true(got.has_value());
    assert_true(std::holds_alternative<F>(*got));
    return std::get<F>(std::move(*got));
}

void an_ack_is_26_bytes(void **)
{
    // length 0x16 | version 1 | type 10 | flags 0 | checksum of all but itself
    // field 4 (txn), 8 bytes: 0x0102030405060708
    const auto b = bytes_of(frame::Ack{0x0102030405060708});
    assert_int_equal(b.size(), 26);
    assert_string_equal(to_hex(ByteView(b).subspan(0, 8)).c_str(), "00000016010a0000");
    assert_string_equal(to_hex(ByteView(b).subspan(12)).c_str(), "0004000000080102030405060708");
    // RFC 3720 B.4: CRC-32C of 32 bytes of zeros is 8a9136aa.
    assert_int_equal(crc32c(Bytes(32)), 0x8a9136aa);
    assert_int_equal(crc32c(ByteView(b).subspan(12), crc32c(ByteView(b).subspan(0, 8))), get_be(ByteView(b).subspan(8, 4)));
}

void every_frame_round_trips(void **)
{
    const auto h = round_trip(frame::Hello{2, 1, "1.2", 7, 8, 9});
    assert_int_equal(h.protocol * 10 + h.protocol_oldest, 21);
    assert_string_equal(h.app_version.c_str(), "1.2");
    assert_int_equal(h.db_epoch + h.mimp_own * 100 + h.mimp_peer * 10000, 90807);
    const auto c = round_trip(frame::Config{"t", {{"proposals", {1, 2, 3}}, {"selectors", {}}}});
    assert_true(c.items[0].digest == (Bytes{1, 2, 3}));
    assert_string_equal(c.items[1].name.c_str(), "selectors");
    assert_int_equal(round_trip(frame::Offer{"t", 1, 2, 3, 4}).last_change, 3);
    BucketMask mask{};
    set(mask, 255);
    const auto rs = round_trip(frame::Resync{"t", 1, 2, frame::Resync::Mode::Buckets, 9, mask, true});
    assert_true(rs.mask == mask && rs.repair && rs.from == 9);
    frame::Digest d{"t", 1, 2, 3, 4, true, {}};
    d.buckets[200] = 0xfeedfacecafef00d;
    assert_true(round_trip(d).buckets == d.buckets);
    assert_int_equal(round_trip(frame::SnapshotBegin{"t", 1, 2, 3, 4, mask, false}).target, 4);
    assert_int_equal(round_trip(frame::SnapshotEnd{"t", 1, 2, 3}).txn, 2);
    const auto del = round_trip(frame::Delete{"t", 1, 2, 3, ike_key(), {4, 5, 6}});
    assert_true(del.key == ike_key() && del.version == (Version{4, 5, 6}));
    const auto nk = round_trip(frame::Nack{"t", 5, frame::Nack::Why::AwaitConf, ike_key(), "not loaded"});
    assert_true(nk.key == ike_key() && nk.why == frame::Nack::Why::AwaitConf);
    assert_string_equal(nk.reason.c_str(), "not loaded");
    assert_false(round_trip(frame::Nack{"t", 5, frame::Nack::Why::Role, std::nullopt, ""}).key.has_value());
    frame::Seq s{"t", 1, 77, false, std::vector<SaSeq>(2)};
    s.sas[1].sa = {0x01020304, 50, 2, MCIPSEC_SEQ_F_OUT | MCIPSEC_SEQ_F_ESN, {10, 10, 20, 1}, 1ull << 40, 5, 6};
    s.sas[1].jump = 0x80000000;
    const auto sq = round_trip(s);
    assert_false(sq.last);
    assert_memory_equal(&sq.sas[1].sa, &s.sas[1].sa, sizeof(mcipsec_seq));
    assert_int_equal(sq.sas[1].jump, 0x80000000);
    assert_int_equal(round_trip(frame::Frozen{"t", 1, 42, true, true, {}}).handover, 42);
    assert_int_equal(round_trip(frame::FrozenAck{"t", 42}).handover, 42);
    const frame::Traffic tr{"t", {{"tunnel-1", {1, 2, 3, 4}, {5, 6, 7, UINT64_MAX}}, {"tunnel-2", {}, {}}}};
    assert_true(round_trip(tr).tunnels == tr.tunnels);
    const auto ended = round_trip(frame::Ended{"t", 4, ike_key(), {3, 5, 6}, 70, {*Key::make(Kind::ChildSa, *from_hex("c0ffee0132"))}});
    assert_true((ended.key == ike_key() && ended.version == (Version{3, 5, 6}) && ended.age_ms == 70 && ended.children.size() == 1));
    assert_false(round_trip(frame::Ended{"t", 4, ike_key(), {3, 5, 6}, {}, {}}).age_ms.has_value());
    frame::Status st{"t", {1, 2, 3, 4, 5, 6, 7}, SyncState::InSync, 8, true, Mastership::Master, 9, {"no standby", "await-conf"}};
    const auto got = round_trip(st);
    assert_true(got.gauges == st.gauges && got.reasons == st.reasons && got.pending == 9 && got.mastership == Mastership::Master);
    assert_true(round_trip(frame::Keepalive{1, 2, true}).want_reply);
    assert_int_equal(round_trip(frame::Bye{kSyncAdminDown, "x"}).flags, kSyncAdminDown);
}

Entry full_entry()
{
    Entry e;
    e.key = *Key::make(Kind::ChildSa, *from_hex("c0ffee0132"));
    e.parent = ike_key();
    e.version = {3, 0xabcdef, 12};
    e.name = "tunnel-1";
    e.info = "{\"alg\":\"AES_GCM_16\"}";
    e.data = SecretBytes(Bytes(900, 0x42));
    e.inbound_age_ms = 250;
    e.change = 99;
    return e;
}

void an_entry_round_trips(void **)
{
    const auto e = full_entry();
    SecretBuffer out;
    frame::encode_entry(out, "tag-1", 4, 17, e);
    auto f = parse(out.view());
    assert_true(f.has_value());
    const auto &x = std::get<frame::EntryFrame>(*f);
    assert_string_equal(x.tag.c_str(), "tag-1");
    assert_int_equal(x.generation, 4);
    assert_int_equal(x.txn, 17);
    assert_int_equal(x.change, 99);
    assert_true(x.entry.key == e.key && x.entry.parent == e.parent && x.entry.version == e.version);
    assert_true(x.entry.name == e.name && x.entry.info == e.info && x.entry.inbound_age_ms == 250u);
    assert_int_equal(x.entry.data.size(), 900);
    assert_memory_equal(x.entry.data.view().data(), e.data.view().data(), 900);
}

void unknown_fields_of_an_entry_are_handed_on(void **)
{
    SecretBuffer out;
    auto e = full_entry();
    {
        SecretBuffer fields;
        FrameWriter w(fields, 0);
        w.text(5000, "of a newer version");
        w.finish();
        e.extra = SecretBytes(fields.view().subspan(kFrameHeader));
    }
    frame::encode_entry(out, "t", 1, 1, e);
    auto f = parse(out.view());
    assert_true(f.has_value());
    auto &x = std::get<frame::EntryFrame>(*f).entry;
    assert_int_equal(x.extra.size(), e.extra.size());
    SecretBuffer again;
    x.change = e.change;
    frame::encode_entry(again, "t", 1, 1, x);
    assert_int_equal(again.size(), out.size());
    assert_memory_equal(again.view().data(), out.view().data(), out.size());
}

void a_bad_record_is_named_by_its_number(void **)
{
    const auto check = [](void (*spoil)(Entry &), const char *why) {
        auto e = full_entry();
        spoil(e);
        SecretBuffer out;
        frame::encode_entry(out, "t", 1, 5, e);
        const auto f = parse(out.view());
        assert_true(f.has_value());
        const auto *bad = std::get_if<frame::BadRecord>(&*f);
        assert_non_null(bad);
        assert_int_equal(bad->txn, 5);
        assert_non_null(std::strstr(bad->reason.c_str(), why));
    };
    check([](Entry &e) { e.parent.reset(); }, "without parent");
    check([](Entry &e) { e.data.wipe(); }, "data is missing");
    check([](Entry &e) { e.data = SecretBytes(kMaxData + 1); }, "data is longer");
    check([](Entry &e) { e.name.assign(kMaxName + 1, 'x'); }, "name is longer");
    check([](Entry &e) { e.info.assign(kMaxInfo + 1, 'x'); }, "info is longer");
}

void a_record_cut_at_every_byte_is_never_taken(void **)
{
    SecretBuffer out;
    frame::encode_entry(out, "t", 1, 5, full_entry());
    const auto body = out.view().subspan(kFrameHeader);
    for (std::size_t n = 0; n < body.size(); n++) {
        const auto f = frame::decode({static_cast<std::uint8_t>(frame::Type::Entry), body.subspan(0, n)});
        // Between fields it is a record that lacks some, inside one it is no frame at all.
        if (f)
            assert_true(std::holds_alternative<frame::BadRecord>(*f));
        else
            assert_int_equal(f.error().code, -EPROTO);
    }
}

void bad_frames_are_told_apart(void **)
{
    assert_int_equal(frame::decode({99, {}}).error().code, -EOPNOTSUPP);             // newer type: skip
    assert_int_equal(frame::decode({10, {}}).error().code, -EBADMSG);                // ACK without number: skip
    assert_int_equal(frame::decode({8, {}}).error().code, -EPROTO);                  // an entry that cannot be numbered
    assert_int_equal(frame::decode({10, Bytes{0, 4, 0, 0, 0, 9, 1}}).error().code, -EPROTO);  // field longer than the frame
    // A number of nine bytes fits if its first is zero.
    assert_true(frame::decode({10, Bytes{0, 4, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1}}).has_value());
    assert_int_equal(frame::decode({10, Bytes{0, 4, 0, 0, 0, 9, 1, 0, 0, 0, 0, 0, 0, 0, 1}}).error().code, -EBADMSG);
}

void the_reader_checks_length_version_and_sum(void **)
{
    auto good = bytes_of(frame::Ack{1});
    for (std::size_t i = 0; i < good.size(); i++) {
        auto b = good;
        b[i] ^= 1;
        FrameReader r;
        r.append(b);
        const auto f = r.next();
        assert_true(!f.has_value() || !f->has_value());  // waits for more, or refuses
    }
    Bytes huge{0xff, 0xff, 0xff, 0xff, 1, 1};
    FrameReader r;
    r.append(huge);
    assert_int_equal(r.next()->error().code, -EPROTO);
    // Frames that come in one piece and in many.
    FrameReader s;
    auto two = good;
    two.insert(two.end(), good.begin(), good.end());
    int frames = 0;
    for (auto b : two) {
        s.append(Bytes{b});
        while (auto f = s.next()) {
            assert_true(f->has_value());
            frames++;
        }
    }
    assert_int_equal(frames, 2);
    assert_int_equal(s.size(), 0);
}

void foreign_text_is_made_harmless(void **)
{
    const Bytes b{'a', 0x1b, '[', 0xc3, 0xa4, 0xff, 0xe2, 0x82, '\n', 0x7f};
    Field f{1, b, b};
    assert_string_equal(f.text(100).c_str(), "a?[\xc3\xa4???\n?");
}

void a_buffer_wipes_what_leaves_it(void **)
{
    SecretBuffer b;
    b.append(Bytes(100, 0xaa));
    const auto *at = b.view().data();
    b.consume(60);
    for (int i = 0; i < 60; i++)
        assert_int_equal(at[i], 0);
    b.append(Bytes(5000, 0xbb));
    assert_int_equal(b.size(), 5040);
    assert_int_equal(b.view()[0], 0xaa);
    assert_int_equal(b.view()[40], 0xbb);
    const auto all = b.take();
    assert_int_equal(all.size(), 5040);
    assert_true(b.empty());
}

}  // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ack_is_26_bytes),
        cmocka_unit_test(every_frame_round_trips),
        cmocka_unit_test(an_entry_round_trips),
        cmocka_unit_test(unknown_fields_of_an_entry_are_handed_on),
        cmocka_unit_test(a_bad_record_is_named_by_its_number),
        cmocka_unit_test(a_record_cut_at_every_byte_is_never_taken),
        cmocka_unit_test(bad_frames_are_told_apart),
        cmocka_unit_test(the_reader_checks_length_version_and_sum),
        cmocka_unit_test(foreign_text_is_made_harmless),
        cmocka_unit_test(a_buffer_wipes_what_leaves_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
