// SPDX-License-Identifier: GPL-2.0-or-later
// needs: app
// Errors of encryption and decryption in the session log: which SA's and tunnel's
// they are, what remains without a name, and that nothing is told twice.
#include <fmt/format.h>

#include "app/crypto_errors.hpp"
#include "app/session_log.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::app;

namespace {

struct Kernel {
    XfrmStat stat{{"XfrmInStateProtoError", 3}, {"XfrmInStateSeqError", 1}, {"XfrmInNoStates", 0}, {"XfrmOutStateSeqError", 0}, {"XfrmOutPolBlock", 7}};
    std::vector<io::XfrmSa> sas;
    unsigned dumps = 0;
    bool broken = false;
    CryptoErrors errors;

    io::XfrmSa &sa(std::uint32_t spi, const char *source, const char *destination)
    {
        io::XfrmSa one;
        one.spi = spi;
        one.proto = 50;
        one.src = *IpAddress::parse(source);
        one.dst = *IpAddress::parse(destination);
        return sas.emplace_back(std::move(one));
    }
    std::vector<io::LogRecord> look()
    {
        const auto dump = [this](const CryptoErrors::EachSa &each) -> Expected<void> {
            ++dumps;
            for (const auto &one : sas)
                each(one);
            return broken ? fail(-ENOBUFS, "no buffer space") : Expected<void>{};
        };
        const auto owners = [](const std::vector<io::XfrmSa> &asked) {
            std::vector<std::optional<CryptoErrors::Owner>> out;
            for (const auto &one : asked)
                out.push_back(one.spi == 0xc0000001 ? std::optional(CryptoErrors::Owner{1, "tunnel-1"}) : std::nullopt);
            return out;
        };
        return errors.look(stat, dump, owners);
    }
};

std::string text(const std::vector<io::LogRecord> &records)
{
    std::string out;
    for (const auto &r : records)
        out += (out.empty() ? "" : " | ") + r.text;
    return out;
}

void xfrm_stat_is_read(void **)
{
    const auto s = parse_xfrm_stat("XfrmInError                     \t0\nXfrmInStateProtoError           \t3\nXfrmOutPolBlock 7\n");
    assert_int_equal(s.size(), 3);
    assert_int_equal(s.at("XfrmInStateProtoError"), 3);
    assert_true(parse_xfrm_stat("garbage\n\nx y\n").empty());
}

void an_sa_is_named(void **)
{
    Kernel k;
    k.sa(0xc0000001, "10.10.10.1", "10.10.20.1").not_authentic = 3;
    k.sa(0xc0000002, "10.10.10.2", "10.10.20.1");
    assert_string_equal(text(k.look()).c_str(), "");        // the first look only learns
    assert_string_equal(text(k.look()).c_str(), "");
    assert_int_equal(k.dumps, 1);
    k.stat["XfrmOutPolBlock"] = 99;                         // the gate's own blocks
    assert_string_equal(text(k.look()).c_str(), "");
    assert_int_equal(k.dumps, 1);

    k.stat["XfrmInStateProtoError"] += 5;
    k.sas[0].not_authentic += 5;
    auto r = k.look();
    assert_string_equal(text(r).c_str(), "tunnel tunnel-1: SA c0000001, 10.10.10.1 to 10.10.20.1: 5 inbound packets failed decryption or integrity");
    assert_int_equal(r[0].group, 1);
    const auto v = entry_view(r[0]);
    assert_string_equal(v.tunnel.c_str(), "tunnel-1");
    assert_string_equal(v.fields.at("spi").c_str(), "c0000001");
    assert_string_equal(v.fields.at("source").c_str(), "10.10.10.1");
    assert_string_equal(v.fields.at("xfrminstateprotoerror").c_str(), "5");
    assert_string_equal(v.fields.at("reason").c_str(), "crypto-error");
    assert_string_equal(text(k.look()).c_str(), "");        // told once

    // Of several SAs each; one that is nobody's tunnel has its SPI; the one with the most first.
    k.stat["XfrmInStateProtoError"] += 1;
    k.stat["XfrmInStateSeqError"] += 4;
    k.sas[0].not_authentic += 1;
    k.sas[1].replayed += 4;
    assert_string_equal(text(k.look()).c_str(), "SA c0000002, 10.10.10.2 to 10.10.20.1: 4 inbound packets were replays or out of the window | "
                                                "tunnel tunnel-1: SA c0000001, 10.10.10.1 to 10.10.20.1: 1 inbound packets failed decryption or integrity");
}

void the_rest_is_told_by_kind(void **)
{
    Kernel k;
    k.sa(0xc0000001, "10.10.10.1", "10.10.20.1");
    (void)k.look();
    // One SA has counted 2 of 5; another went meanwhile.
    k.stat["XfrmInStateProtoError"] += 5;
    k.stat["XfrmInNoStates"] += 2;
    k.sas[0].not_authentic = 2;
    const auto r = k.look();
    assert_int_equal(r.size(), 2);
    assert_string_equal(r[1].text.c_str(), "3 inbound packets failed decryption or integrity; 2 inbound packets for an unknown SPI");
    // Rubbish for unknown SPIs reads no SA.
    const auto dumps = k.dumps;
    k.stat["XfrmInNoStates"] += 1000;
    assert_string_equal(text(k.look()).c_str(), "1000 inbound packets for an unknown SPI");
    assert_int_equal(k.dumps, dumps);
    // An SA that came anew under the same SPI counts whole.
    k.stat["XfrmInStateProtoError"] += 1;
    k.sas[0].not_authentic = 1;
    assert_string_equal(text(k.look()).c_str(), "tunnel tunnel-1: SA c0000001, 10.10.10.1 to 10.10.20.1: 1 inbound packets failed decryption or integrity");
    // What came between the counters and the SAs is told once.
    k.stat["XfrmInStateProtoError"] += 1;
    k.sas[0].not_authentic += 3;
    assert_string_equal(text(k.look()).c_str(), "tunnel tunnel-1: SA c0000001, 10.10.10.1 to 10.10.20.1: 3 inbound packets failed decryption or integrity");
    k.stat["XfrmInStateProtoError"] += 2;
    assert_string_equal(text(k.look()).c_str(), "");
    // Without the SAs nothing has a name; what they counted is not told later.
    k.broken = true;
    k.stat["XfrmInStateProtoError"] += 1;
    assert_string_equal(text(k.look()).c_str(), "1 inbound packets failed decryption or integrity");
}

void an_sa_without_numbers_is_named(void **)
{
    Kernel k;
    k.sa(0xc0000001, "10.10.20.1", "10.10.10.1").used_up = true;
    k.sa(0xc0000002, "10.10.20.1", "10.10.10.2");
    (void)k.look();
    k.stat["XfrmOutStateSeqError"] += 9;
    assert_string_equal(text(k.look()).c_str(), "tunnel tunnel-1: SA c0000001, 10.10.20.1 to 10.10.10.1: 9 outbound packets met an SA that must be rekeyed before it sends");
    // Which of two it was nobody knows.
    k.sas[1].used_up = true;
    k.stat["XfrmOutStateSeqError"] += 9;
    assert_string_equal(text(k.look()).c_str(), "9 outbound packets met an SA that must be rekeyed before it sends");
}

void many_sas_do_not_fill_the_log(void **)
{
    Kernel k;
    for (std::uint32_t spi = 0; spi < 1000; ++spi)
        k.sa(0xd0000000 + spi, "10.10.10.1", "10.10.20.1");
    (void)k.look();
    k.stat["XfrmInStateProtoError"] += 1000;
    for (auto &one : k.sas)
        one.not_authentic = 1;
    const auto r = k.look();
    assert_int_equal(r.size(), 9);
    assert_string_equal(r[8].text.c_str(), "992 inbound packets failed decryption or integrity");
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(xfrm_stat_is_read), cmocka_unit_test(an_sa_is_named), cmocka_unit_test(the_rest_is_told_by_kind),
        cmocka_unit_test(an_sa_without_numbers_is_named), cmocka_unit_test(many_sas_do_not_fill_the_log),
    };
    return cmocka_run_group_tests_name("crypto_errors", tests, nullptr, nullptr);
}
