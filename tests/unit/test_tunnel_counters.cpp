// SPDX-License-Identifier: GPL-2.0-or-later
// Counters of tunnels: they go on over SAs, switchovers, splits and restarts, they never
// fall, and nothing is counted twice.
#include "core/tunnel_counters.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;

namespace {

constexpr std::uint32_t kIn = 1, kOut = 2;

mcipsec_seq sa(std::uint32_t spi, std::uint64_t packets, std::uint16_t flags = 0)
{
    mcipsec_seq s{};
    s.spi = spi;
    s.proto = 50;
    s.family = 2;
    s.flags = flags;
    s.packets = packets;
    s.bytes = packets * 100;
    return s;
}

// A chassis: what its kernel has, and the names of those SAs.
struct Chassis {
    TunnelCounters counters;
    std::map<std::uint32_t, mcipsec_seq> kernel;
    std::map<std::uint32_t, std::string> names;
    Time now{100s};

    void carry(std::uint32_t spi, std::uint64_t packets, const std::string &tunnel = "t")
    {
        auto [it, created] = kernel.try_emplace(spi, sa(spi, 0, spi % 2 ? 0 : MCIPSEC_SEQ_F_OUT));
        it->second.packets += packets;
        it->second.bytes += packets * 100;
        if (!tunnel.empty())
            names[spi] = tunnel;
    }
    void count()
    {
        std::vector<mcipsec_seq> all;
        for (const auto &[spi, s] : kernel)
            all.push_back(s);
        now += 200ms;
        name_all();
        counters.count(all, now);
    }
    void name_all()
    {
        for (const auto &[spi, name] : names)
            counters.name(SaId::of(sa(spi, 0)), name, now);
    }
    void tell(Chassis &to) { to.counters.learn(counters.changed()); }
    void tell_all(Chassis &to) { to.counters.learn(counters.all()); }
    std::uint64_t in() const { return counters.of("t").packets_in; }
    std::uint64_t out() const { return counters.of("t").packets_out; }
};

void directions_octets_and_rekeys(void **)
{
    Chassis a;
    a.count();      // the process began before the tunnel
    a.carry(kIn, 10);
    a.carry(kOut, 4);
    a.count();
    assert_true(a.counters.of("t") == (Traffic{1000, 10, 400, 4}));
    a.carry(kIn, 5);
    a.carry(3, 7);      // a rekey: the new SA beside the old one
    a.count();
    a.kernel.erase(kIn);
    a.carry(3, 1);
    a.count();
    assert_int_equal(a.in(), 23);
    assert_int_equal(a.out(), 4);
    assert_int_equal(a.counters.sas(), 2);
    assert_true(a.counters.of("another") == Traffic{});
}

void both_chassis_show_the_sum_over_switchovers(void **)
{
    Chassis a, b;
    a.count();
    b.count();
    a.carry(kIn, 100);
    a.count();
    a.tell(b);
    assert_int_equal(b.in(), 100);
    b.carry(kIn, 30);       // its kernel's SA begins at 0
    b.count();
    b.tell(a);
    assert_int_equal(b.in(), 130);
    assert_int_equal(a.in(), 130);
    a.carry(kIn, 5);        // and back: the kernel's counter went on from 100
    a.count();
    a.tell(b);
    assert_int_equal(a.in(), 135);
    assert_int_equal(b.in(), 135);
    assert_true(a.counters.changed().empty());
}

void told_again_or_late_changes_nothing(void **)
{
    Chassis a, b;
    a.count();
    a.carry(kIn, 100);
    a.count();
    const auto early = a.counters.all();
    a.carry(kIn, 50);
    a.count();
    a.tell_all(b);
    b.counters.learn(early);
    a.tell_all(b);
    assert_int_equal(b.in(), 150);
    b.tell_all(a);          // its view of us
    assert_int_equal(a.in(), 150);
    assert_true(a.counters.changed().size() == 1 && a.counters.changed().empty());
}

void a_split_adds_up(void **)
{
    Chassis a, b;
    a.count();
    b.count();
    a.carry(kIn, 100);
    a.count();
    a.tell(b);
    a.carry(kIn, 7);
    b.carry(kIn, 3);
    a.count();
    b.count();
    a.tell_all(b);
    b.tell_all(a);
    assert_int_equal(a.in(), 110);
    assert_int_equal(b.in(), 110);
}

// The next process finds the SAs in the kernel and learns the rest from the peer.
void a_restarted_agent_goes_on(void **)
{
    for (const bool peer_first : {false, true}) {
        Chassis a, b;
        a.count();
        a.carry(3, 900);
        a.count();
        a.kernel.erase(3);
        a.carry(kIn, 100);
        a.count();
        a.tell(b);
        assert_int_equal(b.in(), 1000);
        a.counters = {};
        a.names.clear();        // charon has not named them yet
        if (peer_first)
            b.tell_all(a);
        a.count();
        a.names[kIn] = "t";
        a.carry(kIn, 11);
        a.count();
        a.tell_all(b);
        if (!peer_first)
            b.tell_all(a);
        a.tell_all(b);
        // What went through while no agent looked is lost at most.
        assert_in_range(a.in(), 1000, 1011);
        assert_int_equal(a.in(), b.in());
        const auto before = a.in();
        a.carry(kIn, 5);
        a.count();
        a.tell(b);
        assert_int_equal(a.in(), before + 5);
        assert_int_equal(b.in(), before + 5);
    }
}

void alone_it_begins_with_what_the_kernel_has(void **)
{
    Chassis a;
    a.carry(kIn, 40);
    a.count();
    assert_int_equal(a.in(), 40);
    a.carry(kIn, 2);
    a.count();
    assert_int_equal(a.in(), 42);
}

void an_sa_that_charon_installed_anew_counts_from_zero(void **)
{
    Chassis a;
    a.count();
    a.carry(kIn, 40);
    a.count();
    a.kernel[kIn] = sa(kIn, 0);
    a.carry(kIn, 6);
    a.count();
    assert_int_equal(a.in(), 46);
}

void an_sa_without_a_name_waits_for_it(void **)
{
    Chassis a;
    a.count();
    a.carry(kIn, 40, "");
    a.count();
    a.carry(kIn, 1, "");
    a.count();
    assert_int_equal(a.in(), 0);
    a.carry(kIn, 1);
    a.name_all();           // at once, with what the last export said
    assert_int_equal(a.in(), 41);
    a.count();
    assert_int_equal(a.in(), 42);
}

// A name that came first waits for its SA, but not for ever.
void names_of_what_never_comes_go(void **)
{
    Chassis a;
    a.names[kIn] = a.names[3] = "t";
    a.count();
    a.names.clear();
    a.carry(kIn, 5, "");
    a.now += 60s;
    a.count();
    assert_int_equal(a.in(), 5);
    assert_int_equal(a.counters.sas(), 2);
    a.now += 120s;
    a.count();
    assert_int_equal(a.counters.sas(), 1);
    a.kernel.clear();
    a.count();
    assert_int_equal(a.counters.sas(), 0);
    assert_int_equal(a.in(), 5);
}

}  // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(directions_octets_and_rekeys),
        cmocka_unit_test(both_chassis_show_the_sum_over_switchovers),
        cmocka_unit_test(told_again_or_late_changes_nothing),
        cmocka_unit_test(a_split_adds_up),
        cmocka_unit_test(a_restarted_agent_goes_on),
        cmocka_unit_test(alone_it_begins_with_what_the_kernel_has),
        cmocka_unit_test(an_sa_that_charon_installed_anew_counts_from_zero),
        cmocka_unit_test(an_sa_without_a_name_waits_for_it),
        cmocka_unit_test(names_of_what_never_comes_go),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
