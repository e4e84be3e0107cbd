// SPDX-License-Identifier: GPL-2.0-or-later
// What a master tells its standby again and again: sequence states and counters.
#include "unit/mcs_sim.hpp"

using namespace mcs_sim;

namespace {

void sequence_states_come_with_an_upper_bound_of_their_age(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    assert_int_equal(p.a.seq_wanted, 1);
    std::vector<SaSeq> sas(1500);
    for (std::uint32_t i = 0; i < sas.size(); i++) {
        sas[i].sa.spi = i;
        sas[i].sa.oseq = i * 10;
        sas[i].jump = 5;
    }
    p.step(p.a, ev::SeqSample{kTag, p.now - 30ms, sas});
    p.now += 20ms;  // on the wire
    p.quiesce();
    std::size_t count = 0;
    for (const auto &s : p.b.seqs) {
        count += s.sas.size();
        assert_true(s.age >= 50ms);
        assert_true(s.age < 1200ms);
        assert_int_equal(s.sas[0].jump, kProtocol.mcs > 1 ? 5 : 0);   // version 1 has no jump
    }
    assert_int_equal(count, 1500);
    assert_true(p.b.seqs.back().complete);
    // Not from a node that is not acting master.
    p.step(p.b, ev::SeqSample{kTag, p.now, sas});
    assert_int_equal(p.b.session.status().counters.seq_ignored, 1500);
}

// What changed while nobody listened was in no sample: the first ones after it say no more
// than they name, until the one that names all.
void samples_are_complete_from_the_full_one_on(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.cut();
    p.tunnel(p.a, 2);
    p.b.charon.hold = true;     // the snapshot's end is not acknowledged
    p.connect();
    p.run();
    const auto wanted = p.a.seq_wanted;
    p.b.seqs.clear();
    p.step(p.a, ev::SeqSample{kTag, p.now, std::vector<SaSeq>(1)});
    p.run();
    assert_false(p.b.seqs.empty());
    for (const auto &s : p.b.seqs)
        assert_false(s.complete);
    p.b.charon.hold = false;
    p.run();
    assert_int_equal(p.a.seq_wanted, wanted + 1);
    p.step(p.a, ev::SeqSample{kTag, p.now, std::vector<SaSeq>(2)});
    p.run();
    assert_true(p.b.seqs.back().complete);
}

Config of_version(std::uint64_t epoch, std::uint16_t protocol, std::uint16_t oldest)
{
    auto c = config(epoch);
    c.protocol = protocol;
    c.protocol_oldest = oldest;
    return c;
}

void counters_of_tunnels_go_both_ways(void **)
{
    Pair p(of_version(0xa, 2, 1), of_version(0xb, 2, 1));
    assert_int_equal(p.a.traffic_wanted, 1);
    assert_int_equal(p.b.traffic_wanted, 1);
    const TunnelTraffic one{"tunnel-1", {1, 2, 3, 4}, {}}, newer{"tunnel-1", {10, 20, 30, 40}, {5, 5, 5, 5}};
    p.step(p.a, ev::Traffic{kTag, {one}});
    p.step(p.b, ev::Traffic{kTag, {newer}});
    p.run();
    assert_true(p.b.traffic == std::vector{one} && p.a.traffic == std::vector{newer});
    // More than a frame holds; of what has not left yet the newest alone.
    std::vector<TunnelTraffic> many;
    for (int i = 0; i < 3000; i++)
        many.push_back({"tunnel-" + std::to_string(i), {1, 1, 1, 1}, {}});
    p.b.traffic.clear();
    p.step(p.a, ev::Traffic{kTag, many});
    p.step(p.a, ev::Traffic{kTag, {{"tunnel-2999", {2, 2, 2, 2}, {}}}});
    p.run();
    std::map<std::string, std::uint64_t> last;
    for (const auto &t : p.b.traffic)
        last[t.tunnel] = t.own.octets_in;
    assert_int_equal(last.size(), 3000);
    assert_int_equal(last["tunnel-2999"], 2);
    assert_int_equal(p.a.session.status().counters.traffic_sent, p.b.session.status().counters.traffic_received);
    // A new channel asks for the table; what waited for the old one is not sent blindly.
    p.cut();
    p.step(p.a, ev::Traffic{kTag, {one}});
    p.b.traffic.clear();
    p.connect();
    p.run();
    assert_int_equal(p.a.traffic_wanted, 2);
    assert_true(p.b.traffic.empty());
}

void counters_are_kept_from_a_peer_of_version_1(void **)
{
    Pair p(of_version(0xa, 2, 1), of_version(0xb, 1, 0));
    p.step(p.a, ev::Traffic{kTag, {{"tunnel-1", {1, 2, 3, 4}, {}}}});
    p.run();
    assert_true(p.b.traffic.empty());
    assert_int_equal(p.a.traffic_wanted, 0);
    assert_int_equal(p.a.session.status().counters.traffic_sent, 0);
    assert_true(p.a.session.status().oper_up);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(sequence_states_come_with_an_upper_bound_of_their_age),
        cmocka_unit_test(samples_are_complete_from_the_full_one_on),
        cmocka_unit_test(counters_of_tunnels_go_both_ways),
        cmocka_unit_test(counters_are_kept_from_a_peer_of_version_1),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
