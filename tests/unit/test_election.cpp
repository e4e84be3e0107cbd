// SPDX-License-Identifier: GPL-2.0-or-later
// The election as a numbered truth table: seed "Election Logic", steps 1-13.
#include "core/mimp/election.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;
using namespace mcipsec::mimp;

namespace {

const IpAddress kLow = IpAddress::parse("192.0.2.1").value();
const IpAddress kHigh = IpAddress::parse("192.0.2.2").value();

constexpr auto S = Elected::Self;
constexpr auto P = Elected::Peer;
constexpr auto N = Elected::None;

struct Row {
    int number;
    bool up, peer_up;           // steps 1 and 2
    bool act, peer_act;
    int prio, peer_prio;
    int isa, peer_isa;
    bool higher;                // own source address is the higher
    Elected who;
    int step;
};

//   n    up     peer   act    peer   prio      isa    higher who step
const Row kTable[] = {
    {1,  true,  false, false, false, 100, 100, 1, 1, false, S, 3},   // only we can
    {2,  true,  false, false, true,  100, 200, 1, 9, false, S, 3},   // ... whatever the peer was
    {3,  true,  false, true,  true,  0,   255, 0, 9, false, S, 3},
    {4,  false, true,  false, false, 100, 100, 1, 1, true,  P, 4},   // only the peer can
    {5,  false, true,  true,  false, 255, 0,   9, 0, true,  P, 4},   // ... whatever we were
    {6,  false, false, true,  false, 255, 0,   9, 0, true,  N, 5},   // nobody can
    {7,  false, false, false, true,  0,   255, 0, 9, false, N, 5},
    {8,  false, false, false, false, 100, 100, 1, 1, false, N, 5},
    {9,  true,  true,  true,  false, 0,   255, 0, 9, false, S, 6},   // sticky, against every later rule
    {10, true,  true,  false, true,  255, 0,   9, 0, true,  P, 7},
    {11, true,  true,  false, false, 200, 150, 0, 9, false, S, 8},   // priority before members and address
    {12, true,  true,  true,  true,  200, 150, 0, 9, false, S, 8},   // ... and between two acting masters
    {13, true,  true,  false, false, 150, 200, 9, 0, true,  P, 9},
    {14, true,  true,  true,  true,  150, 200, 9, 0, true,  P, 9},
    {15, true,  true,  false, false, 255, 254, 1, 1, false, S, 8},   // range ends
    {16, true,  true,  false, false, 0,   1,   1, 1, true,  P, 9},
    {17, true,  true,  false, false, 100, 100, 2, 1, false, S, 10},  // members before address
    {18, true,  true,  true,  true,  100, 100, 2, 1, false, S, 10},
    {19, true,  true,  false, false, 100, 100, 1, 2, true,  P, 11},
    {20, true,  true,  true,  true,  100, 100, 1, 2, true,  P, 11},
    {21, true,  true,  false, false, 100, 100, 1, 1, true,  S, 12},  // the tie breaker
    {22, true,  true,  true,  true,  100, 100, 1, 1, true,  S, 12},
    {23, true,  true,  false, false, 100, 100, 1, 1, false, P, 13},
    {24, true,  true,  true,  true,  100, 100, 1, 1, false, P, 13},
    {25, true,  true,  false, false, 100, 100, 0, 0, true,  S, 12},  // no member counted on either side
};

Candidate self_of(const Row &r)
{
    return {r.up, r.act, static_cast<std::uint8_t>(r.prio), static_cast<std::uint16_t>(r.isa), r.higher ? kHigh : kLow};
}

Candidate peer_of(const Row &r)
{
    return {r.peer_up, r.peer_act, static_cast<std::uint8_t>(r.peer_prio), static_cast<std::uint16_t>(r.peer_isa), r.higher ? kLow : kHigh};
}

void truth_table(void **)
{
    bool seen[14] = {};
    for (const Row &r : kTable) {
        const Decision d = elect(self_of(r), peer_of(r));
        if (d.who != r.who || d.step != r.step)
            print_error("row %d: step %d, expected %d\n", r.number, d.step, r.step);
        assert_true(d.who == r.who);
        assert_int_equal(d.step, r.step);
        seen[d.step] = true;
    }
    for (int step = 3; step <= 13; ++step)
        assert_true(seen[step]);
}

// Over all small inputs: exactly one side is elected, and by mirrored rules.
void antisymmetric(void **)
{
    const int mirror[14] = {0, 1, 2, 4, 3, 5, 7, 6, 9, 8, 11, 10, 13, 12};
    for (int bits = 0; bits < 1 << 4; ++bits)
        for (int prio = -1; prio <= 1; ++prio)
            for (int isa = -1; isa <= 1; ++isa)
                for (int high = 0; high < 2; ++high) {
                    const Row r{0, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0,
                                100 + prio, 100, 1 + isa, 1, high != 0, N, 0};
                    const Decision mine = elect(self_of(r), peer_of(r));
                    const Decision theirs = elect(peer_of(r), self_of(r));
                    assert_int_equal(theirs.step, mirror[mine.step]);
                    const bool opposite = (mine.who == S && theirs.who == P) || (mine.who == P && theirs.who == S) ||
                                          (mine.who == N && theirs.who == N);
                    assert_true(opposite);
                }
}

void addresses_compare_as_numbers(void **)
{
    Candidate a{true, false, 100, 1, IpAddress::parse("9.0.0.1").value()};
    Candidate b{true, false, 100, 1, IpAddress::parse("10.0.0.1").value()};
    assert_int_equal(elect(a, b).step, 13);     // 9 < 10, though "9" > "10" as text
    a.source = IpAddress::parse("2001:db8::a").value();
    b.source = IpAddress::parse("2001:db8::9").value();
    assert_int_equal(elect(a, b).step, 12);
    a.source = b.source;                        // misconfigured: the seed's rule elects the peer on both
    assert_int_equal(elect(a, b).step, 13);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(truth_table),
        cmocka_unit_test(antisymmetric),
        cmocka_unit_test(addresses_compare_as_numbers),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
