// SPDX-License-Identifier: GPL-2.0-or-later
// MIMP packets byte by byte. The bytes stand above each assertion; the drawing
// is in Documentation/wire-mimp.rst.
#include "core/mimp/codec.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;

namespace {

// A MAC that is easy to see: 32 times the sum of the bytes.
struct SumAuthenticator final : Authenticator {
    Digest sign(ByteView data) const override
    {
        Digest d;
        std::uint8_t sum = 0;
        for (auto b : data)
            sum = static_cast<std::uint8_t>(sum + b);
        d.fill(sum);
        return d;
    }
    bool verify(ByteView data, ByteView mac) const override { return equal_constant_time(sign(data), mac); }
};
const SumAuthenticator kSum;

Bytes signed_with_sum(Bytes body)
{
    body[2] = static_cast<std::uint8_t>((body.size() + kMacSize) >> 8);
    body[3] = static_cast<std::uint8_t>(body.size() + kMacSize);
    const Digest d = kSum.sign(body);
    body.insert(body.end(), d.begin(), d.end());
    return body;
}

Bytes body_of(const Packet &p)
{
    Bytes b = encode(p, kSum);
    b.resize(b.size() - kMacSize);
    return b;
}

Packet sample()
{
    Packet p;
    p.request = true;
    p.epoch = 0x0102030405060708;
    p.sequence = 9;
    p.echo_epoch = 0x1112131415161718;
    p.echo_sequence = 0x0a0b;
    p.clock = 0x2122232425262728;
    GroupAdvert g;
    g.id = 1;
    g.peer_group = 2;
    g.priority = 200;
    g.state = Mastership::Master;
    g.active_members = 3;
    g.oper_up = g.acting = g.nominal = g.reached = g.ignoring = true;
    g.phase = Phase::Prepare;
    g.generation = 0x31;
    g.handover = 0x4142434445464748;
    p.groups.push_back(g);
    return p;
}

void assert_hex(ByteView got, const char *want)
{
    std::string clean;
    for (const char *c = want; *c; ++c)
        if (*c != ' ')
            clean += *c;
    assert_string_equal(to_hex(got).c_str(), clean.c_str());
}

void header_and_group(void **)
{
    // 02        version 2
    // 0c        header length 12 words
    // 0074      length 116 = 48 header + 36 group + 32 MAC
    // 00000001  flags: request
    // 0102030405060708  epoch
    // 0000000000000009  sequence
    // 1112131415161718  echoed epoch
    // 0000000000000a0b  echoed sequence
    // 2122232425262728  clock
    // 0001 0024         group block, 36 bytes
    // 00000001 00000002 tunnel-group, peer-group
    // c8 04 0003        priority 200, master, three active members
    // 0067 01 00        oper up, acting, nominal, reached; phase prepare; reserved
    // 0000000000000031  generation
    // 4142434445464748  hand-over
    assert_hex(body_of(sample()),
               "02 0c 0074 00000001 0102030405060708 0000000000000009 1112131415161718 0000000000000a0b 2122232425262728"
               "0001 0024 00000001 00000002 c8 04 0003 0067 01 00 0000000000000031 4142434445464748");
}

void answer_and_restart(void **)
{
    Packet p = sample();
    p.groups.clear();
    p.request = false;
    p.answer = true;
    p.restart_hold_ms = 30000;
    // flags: answer; 0002 0008 restart block, 00007530 = 30000 ms; length 48 + 8 + 32 = 88 = 0x58
    assert_hex(body_of(p),
               "02 0c 0058 00000002 0102030405060708 0000000000000009 1112131415161718 0000000000000a0b 2122232425262728"
               "0002 0008 00007530");
}

void mac_is_hmac_sha256_over_all_before(void **)
{
    SecretBytes tx(32), rx(32);
    tx.mut()[0] = 1;
    rx.mut()[0] = 2;
    const Digest want = [&] {
        const auto a = make_authenticator(tx.clone(), rx.clone());
        const Bytes b = encode(sample(), *a);
        return hmac_sha256(tx.view(), ByteView(b).first(b.size() - kMacSize));
    }();
    const auto ours = make_authenticator(tx.clone(), rx.clone());
    const auto theirs = make_authenticator(rx.clone(), tx.clone());
    const Bytes b = encode(sample(), *ours);
    assert_memory_equal(b.data() + b.size() - kMacSize, want.data(), kMacSize);
    assert_true(decode(b, *theirs).has_value());
    assert_true(decode(b, *ours).error() == DecodeError::BadMac);      // reflected
}

void round_trip(void **)
{
    for (unsigned bits = 0; bits < 64; ++bits) {
        for (unsigned v = 0; v <= 6; ++v) {
            Packet p = sample();
            GroupAdvert &g = p.groups[0];
            g.oper_up = bits & 1, g.acting = bits & 2, g.nominal = bits & 4;
            g.shutdown = bits & 8, g.prepared = bits & 16, g.reached = bits & 32;
            g.phase = static_cast<Phase>(v);
            g.state = static_cast<Mastership>(v % 5);
            g.generation = ~0ull - v;
            p.groups.push_back(g);
            p.groups[1].id = 4000000000u;
            const auto q = decode(encode(p, kSum), kSum);
            assert_true(q.has_value());
            assert_true(q->groups == p.groups);
            assert_true(q->epoch == p.epoch && q->sequence == p.sequence && q->echo_epoch == p.echo_epoch);
            assert_true(q->echo_sequence == p.echo_sequence && q->clock == p.clock && q->request && !q->answer);
            assert_false(q->restart_hold_ms.has_value());
        }
    }
}

void truncated_at_each_length(void **)
{
    Packet p = sample();
    p.restart_hold_ms = 1;
    const Bytes good = encode(p, kSum);
    assert_true(decode(good, kSum).has_value());
    for (std::size_t n = 0; n < good.size(); ++n)
        assert_true(decode(ByteView(good).first(n), kSum).error() == DecodeError::Truncated);
    Bytes longer = good;
    longer.push_back(0);
    assert_true(decode(longer, kSum).error() == DecodeError::BadLength);
    // ... and with a total length that agrees, so that the blocks are what is cut
    const Bytes body = body_of(p);
    for (std::size_t n = kHeaderSize; n < body.size(); ++n) {
        const auto d = decode(signed_with_sum(Bytes(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(n))), kSum);
        if (n == kHeaderSize || n == kHeaderSize + kGroupBlockSize)
            assert_true(d.has_value());     // a whole number of blocks
        else
            assert_true(d.error() == DecodeError::BadLength);
    }
}

void each_bit_flipped(void **)
{
    SecretBytes key(32);
    const auto auth = make_authenticator(key.clone(), key.clone());
    const Bytes good = encode(sample(), *auth);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        Bytes bad = good;
        bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1u << bit % 8);
        assert_false(decode(bad, *auth).has_value());
    }
}

void versions_of_mcs(void **)
{
    Packet p = sample();
    p.groups.clear();
    p.mcs = 2;
    p.mcs_oldest = 1;
    // 0003 0008 versions block, MCS 2, not before 1; length 88
    const Bytes b = body_of(p);
    assert_hex(ByteView(b).subspan(kHeaderSize), "0003 0008 0002 0001");
    const auto got = decode(signed_with_sum(b), kSum);
    assert_true(got && got->mcs == 2 && got->mcs_oldest == 1);
    Bytes cut(b.begin(), b.end() - 2);
    cut[kHeaderSize + 3] = 6;
    assert_true(decode(signed_with_sum(cut), kSum).error() == DecodeError::BadLength);
}

// A later version: longer header, longer group block, blocks of other types.
void unknown_fields_are_skipped_by_length(void **)
{
    const Bytes plain = body_of(sample());
    Bytes b(plain.begin(), plain.begin() + kHeaderSize);
    b[0] = 7;
    b[1] = (kHeaderSize + 8) / 4;
    b.insert(b.end(), 8, 0xee);                                         // 8 more bytes of header
    const Bytes unknown = {0x7f, 0xff, 0x00, 0x06, 0xde, 0xad};         // type 0x7fff, 6 bytes
    b.insert(b.end(), unknown.begin(), unknown.end());
    Bytes group(plain.begin() + kHeaderSize, plain.end());
    group[3] = kGroupBlockSize + 4;
    group.insert(group.end(), {1, 2, 3, 4});                            // 4 more bytes of group
    b.insert(b.end(), group.begin(), group.end());
    b.insert(b.end(), {0x00, 0x09, 0x00, 0x04});                        // an empty block
    const auto p = decode(signed_with_sum(b), kSum);
    assert_true(p.has_value());
    assert_int_equal(p->version, 7);
    assert_true(p->groups == sample().groups);
}

void bad_fields(void **)
{
    const Bytes good = body_of(sample());
    const auto with = [&](std::size_t at, std::uint8_t value) {
        Bytes b = good;
        b[at] = value;
        return decode(signed_with_sum(b), kSum);
    };
    assert_true(with(0, 0).error() == DecodeError::BadVersion);
    assert_true(with(1, 11).error() == DecodeError::BadLength);             // header shorter than ours
    assert_true(with(1, 255).error() == DecodeError::BadLength);            // ... or longer than the packet
    assert_true(with(kHeaderSize + 3, 3).error() == DecodeError::BadLength);    // a block shorter than its head
    assert_true(with(kHeaderSize + 3, 37).error() == DecodeError::BadLength);   // ... or over the end
    assert_true(with(kHeaderSize + 13, 5).error() == DecodeError::BadField);    // state
    assert_true(with(kHeaderSize + 18, 7).error() == DecodeError::BadField);    // phase
    Packet p = sample();
    p.epoch = 0;
    assert_true(decode(encode(p, kSum), kSum).error() == DecodeError::BadField);
    p = sample();
    p.sequence = 0;
    assert_true(decode(encode(p, kSum), kSum).error() == DecodeError::BadField);
    p = sample();
    p.groups.push_back(p.groups[0]);
    assert_true(decode(encode(p, kSum), kSum).error() == DecodeError::BadField);   // one group twice
}

void largest_packet(void **)
{
    Packet p = sample();
    p.groups.clear();
    for (GroupId id = 1; id <= 1024; ++id) {
        GroupAdvert g;
        g.id = g.peer_group = id;
        p.groups.push_back(g);
    }
    const Bytes b = encode(p, kSum);
    assert_true(b.size() <= kMaxPacket);
    assert_int_equal(decode(b, kSum)->groups.size(), 1024);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(header_and_group),
        cmocka_unit_test(answer_and_restart),
        cmocka_unit_test(mac_is_hmac_sha256_over_all_before),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(truncated_at_each_length),
        cmocka_unit_test(each_bit_flipped),
        cmocka_unit_test(versions_of_mcs), cmocka_unit_test(unknown_fields_are_skipped_by_length),
        cmocka_unit_test(bad_fields),
        cmocka_unit_test(largest_packet),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
