// SPDX-License-Identifier: GPL-2.0-or-later
// The lease arithmetic, and the keys (both belong to what MIMP vouches with).
#include "core/crypto.hpp"
#include "core/lease.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;

namespace {

Time at(Duration d) { return Time{} + d; }

void plans(void **)
{
    // The seed's timers: BFD 100 ms x 3 -> guard one interval, lease 200 ms.
    const auto bfd = plan_lease_bfd(100ms, 300ms);
    assert_true(bfd.has_value());
    assert_true(bfd->guard == 100ms && bfd->length() == 200ms && bfd->heartbeat_max == 150ms);
    // x 2: what is left above 1.25 intervals.
    assert_true(plan_lease_bfd(100ms, 200ms)->guard == 75ms);
    // Relaxed for emulation.
    assert_true(plan_lease_bfd(500ms, 1500ms)->length() == 1000ms);
    // MIMP 1 s x 3, x 2, x 25.
    assert_true(plan_lease_mimp(1s, 3)->guard == 1s);
    assert_true(plan_lease_mimp(1s, 2)->guard == 250ms);
    assert_true(plan_lease_mimp(1s, 25)->guard == 1s);
    assert_true(plan_lease_mimp(50ms, 2)->guard == 12500us);
}

void guard_too_small_is_refused(void **)
{
    assert_false(plan_lease_bfd(100ms, 100ms).has_value());             // multiplier 1
    assert_false(plan_lease_bfd(10ms, 12ms).has_value());
    assert_false(plan_lease_bfd(100ms, 300ms, 4ms).has_value());
    assert_true(plan_lease_bfd(100ms, 300ms, 5ms).has_value());
    assert_true(plan_lease_bfd(100ms, 300ms, 175ms).has_value());
    assert_false(plan_lease_bfd(100ms, 300ms, 176ms).has_value());      // the lease would lapse between two sends
    assert_true(plan_lease_bfd(100ms, 300ms, 176ms).error().text.find("5 ms to 175 ms") != std::string::npos);
}

void renews_and_lapses(void **)
{
    LeaseKeeper k(*plan_lease_bfd(100ms, 300ms));
    auto r = k.renew(at(1000ms), at(1000ms));
    assert_true(r.granted && r.expiry == at(1200ms));                   // send + detection - guard
    r = k.renew(at(1090ms), at(1000ms));
    assert_true(r.granted && r.expiry == at(1290ms));
    r = k.renew(at(1160ms), at(1000ms));                                // heartbeat older than half the detection
    assert_false(r.granted);
    assert_false(k.lapsed(at(1289ms)));
    r = k.renew(at(1200ms), at(1190ms));                                // beat again in time
    assert_true(r.granted && r.expiry == at(1400ms));
    assert_true(k.lapsed(at(1400ms)));
    r = k.renew(at(1400ms), at(1400ms));                                // a waking thread cannot reopen
    assert_false(r.granted);
    r = k.renew(at(1410ms), at(1410ms));
    assert_false(r.granted);
    k.rearm();
    r = k.renew(at(1420ms), at(1420ms));
    assert_true(r.granted && r.expiry == at(1620ms));
}

void bounded_by_the_other_detection(void **)
{
    LeaseKeeper k(*plan_lease_bfd(500ms, 1500ms));                      // guard 500 ms
    auto r = k.renew(at(0ms), at(0ms), at(700ms));
    assert_true(r.granted && r.expiry == at(700ms));                    // MIMP's word ends first
    r = k.renew(at(100ms), at(100ms), kNever);
    assert_true(r.expiry == at(1100ms));
    r = k.renew(at(200ms), at(200ms), at(900ms));
    assert_true(r.expiry == at(1100ms));                                // never taken back
    r = k.renew(at(300ms), at(300ms), at(1150ms));
    assert_true(r.expiry == at(1150ms));
    r = k.follow(at(310ms), at(1250ms));                                // MIMP moved on
    assert_true(r.granted && r.expiry == at(1250ms));
    assert_false(k.follow(at(320ms), at(1200ms)).granted);
    r = k.follow(at(330ms), at(5s));                                    // no further than BFD's last packet
    assert_true(r.granted && r.expiry == at(1300ms));
    assert_false(k.follow(at(1300ms), at(6s)).granted);                 // lapsed: nothing opens it but rearm()
    k.rearm();
    assert_false(k.follow(at(1310ms), at(6s)).granted);
    assert_true(k.renew(at(1320ms), at(1320ms)).expiry == at(2320ms));
    k.replan(*plan_lease_bfd(500ms, 1500ms), at(1330ms));
    assert_false(k.follow(at(1330ms), at(6s)).granted);                 // of the old timers
    k.extend(at(20s));
    assert_false(k.lapsed(at(19s)));
    assert_true(k.renew(at(2s), at(2s)).expiry == at(20s));
    assert_true(k.lapsed(at(20s)));
}

void other_timers_do_not_hide_a_lapse(void **)
{
    LeaseKeeper k(*plan_lease_mimp(1s, 3));
    assert_true(k.renew(at(0s), at(0s)).expiry == at(2s));
    k.replan(*plan_lease_bfd(100ms, 300ms), at(1s));                    // BFD came up: shorter from now on
    assert_true(k.renew(at(1s), at(1s)).expiry == at(1200ms));
    k.replan(*plan_lease_mimp(1s, 3), at(1300ms));                      // BFD went down because we slept
    assert_true(k.lapsed(at(1300ms)));
    assert_false(k.renew(at(1300ms), at(1300ms)).granted);
    k.rearm();
    assert_true(k.renew(at(1300ms), at(1300ms)).granted);
}

void hkdf_rfc5869(void **)
{
    // RFC 5869 appendix A.1
    const Bytes ikm(22, 0x0b);
    const Bytes salt = from_hex("000102030405060708090a0b0c").value();
    const Bytes info = from_hex("f0f1f2f3f4f5f6f7f8f9").value();
    const auto okm = hkdf_sha256(ikm, salt, std::string_view(reinterpret_cast<const char *>(info.data()), info.size()), 42);
    assert_string_equal(to_hex(okm.view()).c_str(),
                        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    // A.3: no salt, no info
    assert_string_equal(to_hex(hkdf_sha256(ikm, {}, "", 42).view()).c_str(),
                        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

void hmac_rfc4231(void **)
{
    // RFC 4231 section 4.3
    const std::string key = "Jefe", data = "what do ya want for nothing?";
    const auto view = [](const std::string &s) { return ByteView(reinterpret_cast<const std::uint8_t *>(s.data()), s.size()); };
    assert_string_equal(to_hex(hmac_sha256(view(key), view(data))).c_str(),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

void keys_differ_by_use_and_agree_across(void **)
{
    const auto a = IpAddress::parse("192.0.2.1").value(), b = IpAddress::parse("192.0.2.2").value();
    SecretBytes key(32);
    key.mut()[5] = 7;
    const auto at_a = derive_keys(key.view(), a, b), at_b = derive_keys(key.view(), b, a);
    assert_true(equal_constant_time(at_a.mimp_tx.view(), at_b.mimp_rx.view()));
    assert_true(equal_constant_time(at_a.mimp_rx.view(), at_b.mimp_tx.view()));
    assert_true(equal_constant_time(at_a.tls_psk.view(), at_b.tls_psk.view()));
    assert_true(equal_constant_time(at_a.bfd_tx.view(), at_b.bfd_rx.view()) && equal_constant_time(at_a.bfd_rx.view(), at_b.bfd_tx.view()));
    assert_false(equal_constant_time(at_a.bfd_tx.view(), at_a.bfd_rx.view()));
    assert_false(equal_constant_time(at_a.bfd_tx.view(), at_a.mimp_tx.view().first(20)));
    assert_false(equal_constant_time(at_a.mimp_tx.view(), at_a.mimp_rx.view()));
    assert_false(equal_constant_time(at_a.mimp_tx.view(), at_a.tls_psk.view()));
    assert_false(equal_constant_time(at_a.mimp_rx.view(), at_a.tls_psk.view()));
    const auto other = derive_keys(key.view(), a, IpAddress::parse("192.0.2.3").value());
    assert_false(equal_constant_time(at_a.tls_psk.view(), other.tls_psk.view()));
}

std::string text_of(const SecretBytes &s) { return {reinterpret_cast<const char *>(s.view().data()), s.size()}; }

void genkey_and_back(void **)
{
    const auto one = generate_auth_key(), two = generate_auth_key();
    assert_true(one.has_value() && two.has_value());
    const std::string text = text_of(*one);
    assert_true(text != text_of(*two));
    assert_true(text.starts_with("mcipsec-key-1:"));
    assert_int_equal(text.size(), 14 + 44);
    const auto key = parse_auth_key("  " + text + "\n");
    assert_true(key.has_value());
    assert_int_equal(key->size(), 32);
    assert_true(equal_constant_time(key->view(), parse_auth_key(text)->view()));
}

void weak_keys_are_refused(void **)
{
    const auto refused = [](const std::string &t) {
        const auto k = parse_auth_key(t);
        return !k.has_value() && k.error().text.find("AAECAwQF") == std::string::npos;     // never quoted
    };
    const std::string p(kAuthKeyPrefix);
    assert_true(refused(""));
    assert_true(refused("secret"));
    assert_true(refused("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="));      // 32 bytes, but no prefix
    assert_true(parse_auth_key(p + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").has_value());
    assert_true(refused(p + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg=="));  // 31 bytes
    assert_true(refused(p + "AAECAwQFBgcICQoLDA0ODw=="));                      // 16 bytes
    assert_true(refused(p + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ==")); // 34 bytes
    assert_true(refused(p + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8*"));
    assert_true(refused(p + "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh=8"));
    assert_true(refused(p + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));  // all bytes zero
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(plans),
        cmocka_unit_test(guard_too_small_is_refused),
        cmocka_unit_test(renews_and_lapses),
        cmocka_unit_test(bounded_by_the_other_detection),
        cmocka_unit_test(other_timers_do_not_hide_a_lapse),
        cmocka_unit_test(hkdf_rfc5869),
        cmocka_unit_test(hmac_rfc4231),
        cmocka_unit_test(keys_differ_by_use_and_agree_across),
        cmocka_unit_test(genkey_and_back),
        cmocka_unit_test(weak_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
