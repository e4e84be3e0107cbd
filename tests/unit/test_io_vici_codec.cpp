// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// The VICI format byte by byte, truncated at every byte, and beyond its limits.
#include "io/plugin_client.hpp"
#include "io/vici_codec.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::io::vici;
using namespace mcipsec::test;

namespace {

Bytes encode(PacketType type, const char *name, const Message *m)
{
    const SecretBytes b = take(encode_packet(type, name, m));
    return Bytes(b.view().begin(), b.view().end());
}

// Without the length field.
Packet round(const Bytes &bytes)
{
    return take(decode_packet(ByteView(bytes).subspan(4)));
}

void a_request_has_the_documented_bytes(void **)
{
    Message m;
    m.add("k", "ab");
    m.add_section("s").add_list("l", {"x", ""});
    // 0000001a                       length 26
    // 00 02 'q' 'q'                  CMD_REQUEST "qq"
    // 03 01 'k' 0002 'a' 'b'         KEY_VALUE k = ab
    // 01 01 's'                      SECTION_START s
    // 04 01 'l'                      LIST_START l
    // 05 0001 'x'  05 0000           LIST_ITEM x, empty
    // 06 02                          LIST_END, SECTION_END
    const auto want = take(from_hex("0000001a"
                                    "00027171"
                                    "03016b00026162"
                                    "010173"
                                    "04016c"
                                    "05000178050000"
                                    "0602"));
    assert_true(encode(PacketType::CmdRequest, "qq", &m) == want);
}

void event_registration_has_no_message(void **)
{
    // 00000005 03 03 'e' 'v' 't'
    assert_true(encode(PacketType::EventRegister, "evt", nullptr) == take(from_hex("000000050303657674")));
    const Bytes extra = {3, 1, 'e', 0};
    assert_false(static_cast<bool>(decode_packet(extra)));
}

Message rich()
{
    Message m;
    m.add("plain", "value");
    m.add("plain", "again");
    m.add_u64("number", 18446744073709551615u);
    m.add_hex64("hex", 0x0123456789abcdefu);
    m.add_bool("yes", true);
    m.add_list("list", {"a", "bb", ""});
    m.add_list("none", {});
    auto &s = m.add_section("section");
    s.add("inner", "1");
    s.add_section("deeper").add("x", std::string("\0\xff", 2));
    m.add_secret("data", SecretBytes(Bytes{1, 2, 3}));
    return m;
}

void a_message_survives_the_way_there_and_back(void **)
{
    const Message in = rich();
    const Bytes bytes = encode(PacketType::Event, "mcipsec-record", &in);
    Packet p = round(bytes);
    assert_true(p.type == PacketType::Event);
    assert_string_equal(p.name.c_str(), "mcipsec-record");
    const Message &m = p.message;
    assert_true(m.get("plain") == "value");
    assert_int_equal(m.elements().size(), in.elements().size());
    assert_true(m.u64("number") == 18446744073709551615u);
    assert_true(m.hex64("hex") == 0x0123456789abcdefu);
    assert_true(m.get("hex") == "0123456789abcdef");
    assert_true(m.flag("yes"));
    assert_false(m.flag("plain"));
    assert_int_equal(m.list("list")->size(), 3);
    assert_int_equal(m.list("none")->size(), 0);
    assert_true(m.section("section")->section("deeper")->get("x") == std::string_view("\0\xff", 2));
    assert_null(m.section("plain"));
    assert_true(encode(PacketType::Event, "mcipsec-record", &m) == bytes);
}

void key_material_goes_into_secrets_only(void **)
{
    const Message in = rich();
    Packet p = round(encode(PacketType::Event, "mcipsec-record", &in));
    assert_false(p.message.get("data").has_value());
    assert_non_null(p.message.secret("data"));
    assert_true(to_hex(p.message.secret("data")->view()) == "010203");
    for (const auto &field : flatten(p.message))
        assert_true(field.first != "data");
    SecretBytes taken = p.message.take_secret("data");
    assert_int_equal(taken.size(), 3);
    assert_int_equal(p.message.secret("data")->size(), 0);
}

void numbers_are_whole_or_not_there(void **)
{
    Message m;
    m.add("a", "12x").add("b", "").add("c", "-1").add("d", "18446744073709551616").add("e", " 1").add("f", "0x10");
    for (const char *name : {"a", "b", "c", "d", "e", "f", "absent"})
        assert_false(m.u64(name).has_value());
}

void truncation_at_every_byte_is_an_error_or_a_shorter_message(void **)
{
    const Message in = rich();
    const Bytes whole = encode(PacketType::Event, "mcipsec-record", &in);
    const ByteView packet = ByteView(whole).subspan(4);
    unsigned accepted = 0;
    for (std::size_t n = 0; n < packet.size(); ++n) {
        // On the heap and exact, so that the sanitizer sees a read behind the end.
        const Bytes cut(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(n));
        const auto p = decode_packet(cut);
        if (!p) {
            assert_true(p.error().code == -EBADMSG);
            continue;
        }
        ++accepted;     // cut between two elements of the top level
        assert_true(p->message.elements().size() < in.elements().size());
    }
    assert_int_equal(accepted, in.elements().size());
}

void every_flipped_byte_is_survived(void **)
{
    const Message in = rich();
    const Bytes whole = encode(PacketType::Event, "mcipsec-record", &in);
    for (std::size_t n = 4; n < whole.size(); ++n)
        for (const int v : {0, 1, 2, 5, 6, 0x7f, 0xff}) {
            Bytes b(whole.begin() + 4, whole.end());
            b[n - 4] = static_cast<std::uint8_t>(v);
            const auto p = decode_packet(b);
            if (!p)
                assert_true(!p.error().text.empty());
        }
}

void wrong_nesting_is_refused(void **)
{
    for (const char *hex : {
             "02",              // SECTION_END alone
             "06",              // LIST_END alone
             "050000",          // LIST_ITEM outside
             "010173",          // section never ends
             "04016c",          // list never ends
             "04016c02",        // section ends inside a list
             "04016c03016b0000",        // value inside a list
             "04016c04016d0606",        // list inside a list
             "00", "07", "ff",  // unknown elements
             "0301",            // name cut
             "03016bff",        // length cut
             "03016b0002aa",    // value cut
         })
        assert_false(static_cast<bool>(decode_message(take(from_hex(hex)))));
    assert_true(static_cast<bool>(decode_message({})));
}

void depth_is_bounded_both_ways(void **)
{
    Bytes deep;
    for (unsigned i = 0; i < kMaxDepth; ++i)
        deep.insert(deep.end(), {1, 1, 's'});
    Bytes ok = deep;
    ok.insert(ok.end(), kMaxDepth, 2);
    assert_true(static_cast<bool>(decode_message(ok)));
    deep.insert(deep.end(), {1, 1, 's'});
    deep.insert(deep.end(), kMaxDepth + 1, 2);
    assert_false(static_cast<bool>(decode_message(deep)));

    Message m;
    Section *s = &m;
    for (unsigned i = 0; i < kMaxDepth + 1; ++i)
        s = &s->add_section("s");
    assert_int_equal(encode_packet(PacketType::CmdResponse, "", &m).error().code, -EINVAL);
}

void sizes_are_bounded_both_ways(void **)
{
    Message m;
    m.add("big", std::string(65535, 'x'));
    assert_true(static_cast<bool>(encode_packet(PacketType::CmdResponse, "", &m)));
    m.add("bigger", std::string(65536, 'x'));
    assert_int_equal(encode_packet(PacketType::CmdResponse, "", &m).error().code, -EINVAL);
    Message many;
    for (unsigned i = 0; i < 9; ++i)
        many.add("k", std::string(60000, 'x'));
    assert_int_equal(encode_packet(PacketType::CmdResponse, "", &many).error().code, -EMSGSIZE);
    Message name;
    name.add(std::string(256, 'n'), "v");
    assert_int_equal(encode_packet(PacketType::CmdResponse, "", &name).error().code, -EINVAL);
    assert_int_equal(decode_packet(Bytes(kMaxPacket + 1, 1)).error().code, -EMSGSIZE);
    assert_int_equal(decode_packet({}).error().code, -EBADMSG);
    assert_int_equal(decode_packet(Bytes{8}).error().code, -EBADMSG);
    assert_int_equal(decode_packet(Bytes{0, 0}).error().code, -EBADMSG);    // request without a name
}

Message record_message()
{
    Message m;
    m.add_hex64("epoch", 0x1122334455667788u).add_u64("seq", 42).add("op", "upsert").add("kind", "child");
    m.add_u64("group", 1).add("key", "c000000103").add("parent", "00112233445566778899aabbccddeeff");
    m.add_hex64("lineage", 7).add_u64("version", 3).add("name", "net");
    m.add_section("info").add("spi-in", "c0000001").add_list("ts", {"a", "b"});
    m.add_secret("data", SecretBytes(Bytes(100, 0xa5)));
    return m;
}

void a_record_is_parsed_and_imported_field_by_field(void **)
{
    PluginRecord r = take(parse_record(record_message()));
    assert_true(r.epoch == 0x1122334455667788u && r.seq == 42 && r.group == 1 && r.version == 3 && r.lineage == 7);
    assert_true(r.op == RecordOp::Upsert && r.kind == EntryKind::Child && !r.snapshot);
    assert_true(to_hex(r.key) == "c000000103");
    assert_string_equal(r.name.c_str(), "net");
    assert_int_equal(r.data.size(), 100);
    assert_true(r.info == (Info{{"spi-in", "c0000001"}, {"ts", "a,b"}}));
    const Message m = build_import(r);
    assert_true(m.get("key") == "c000000103" && m.get("kind") == "child" && m.get("lineage") == "0000000000000007");
    assert_true(m.get("parent") == "00112233445566778899aabbccddeeff" && m.u64("version") == 3);
    assert_int_equal(m.secret("data")->size(), 100);
}

void a_record_with_any_field_missing_or_wrong_is_refused(void **)
{
    for (const char *name : {"epoch", "seq", "op", "kind", "group", "key", "parent", "lineage", "version", "data"}) {
        Message m = record_message();
        std::erase_if(m.elements(), [&](const auto &e) { return e.name == name; });
        const auto r = parse_record(std::move(m));
        assert_false(static_cast<bool>(r));
        assert_int_equal(r.error().code, -EPROTO);
        assert_non_null(std::strstr(r.error().text.c_str(), name));
    }
    for (const auto &[name, value] : {std::pair{"op", "merge"}, {"kind", "sa"}, {"key", "c0000001"}, {"key", "zz"}, {"group", "4294967296"},
                                      {"parent", "00"}, {"version", "-1"}}) {
        Message m = record_message();
        std::erase_if(m.elements(), [&](const auto &e) { return e.name == name; });
        m.add(name, value);
        assert_false(static_cast<bool>(parse_record(std::move(m))));
    }
    // what no record can hold comes without data, and is for the session to alarm
    Message unfit = record_message();
    std::erase_if(unfit.elements(), [](const auto &e) { return e.name == "data"; });
    unfit.add_secret("data", SecretBytes());
    assert_true(take(parse_record(std::move(unfit))).data.empty());
    // a delete needs no data, no parent and no lineage
    Message m = record_message();
    std::erase_if(m.elements(), [](const auto &e) { return e.name == "data" || e.name == "parent" || e.name == "lineage" || e.name == "op" || e.name == "info"; });
    m.add("op", "delete");
    assert_true(static_cast<bool>(parse_record(std::move(m))));
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_request_has_the_documented_bytes),
        cmocka_unit_test(event_registration_has_no_message),
        cmocka_unit_test(a_message_survives_the_way_there_and_back),
        cmocka_unit_test(key_material_goes_into_secrets_only),
        cmocka_unit_test(numbers_are_whole_or_not_there),
        cmocka_unit_test(truncation_at_every_byte_is_an_error_or_a_shorter_message),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(wrong_nesting_is_refused),
        cmocka_unit_test(depth_is_bounded_both_ways),
        cmocka_unit_test(sizes_are_bounded_both_ways),
        cmocka_unit_test(a_record_is_parsed_and_imported_field_by_field),
        cmocka_unit_test(a_record_with_any_field_missing_or_wrong_is_refused),
    };
    return cmocka_run_group_tests_name("io vici codec", tests, nullptr, nullptr);
}
