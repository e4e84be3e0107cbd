// SPDX-License-Identifier: GPL-2.0-or-later
// What a hand-over needs of MCS: the old master's last records count until the new
// one acts and not a moment longer, and the engine hears when they are installed.
#include "unit/mcs_sim.hpp"

using namespace mcs_sim;

namespace {

void trailing_records_count_until_the_new_master_acts(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    const auto asked = [&] {
        const auto c = p.b.session.status().counters;
        return c.snapshots_received + c.deltas_received;
    };
    const auto before = asked();
    p.role(p.a, true, false, 1);        // told again, as when only the gate changes: nothing begins anew
    p.role(p.b, false, true, 1);
    assert_true(p.b.state == SyncState::InSync);
    p.upsert(p.a, ike(2));              // its gate is shut: what charon had in hand
    p.run();
    assert_non_null(p.b.session.entry(kTag, ike(2)));
    assert_int_equal(asked(), before);

    p.upsert(p.a, ike(3));              // on the wire when the other one begins
    p.role(p.b, true, false, 2);
    p.run();
    assert_null(p.b.session.entry(kTag, ike(3)));
    assert_true(p.b.session.status().counters.rejected_not_acting > 0);
    assert_int_equal(p.b.session.entry(kTag, ike(2))->version.generation, 1);

    // The new master decides on what it has not heard: it takes it, under its own generation.
    p.role(p.a, false, true, 2);
    p.run();
    assert_true(p.a.state == SyncState::InSync);
    assert_non_null(p.b.session.entry(kTag, ike(3)));
    assert_int_equal(p.b.session.entry(kTag, ike(3))->version.generation, 2);
    p.assert_same(p.b);
}

// A hand-over waits for the standby's imports: the engine must hear of the last one also
// where protection status never knew of it.
void the_engine_hears_of_an_import_that_did_not_count_as_pending(void **)
{
    Pair p;
    p.tunnel(p.a, 1);
    p.run();
    p.b.charon.hold = true;
    p.upsert(p.a, ike(1));
    p.advance(10ms);
    assert_int_equal(p.b.session.group_status(kTag)->local.installing, 1);
    const auto gauges = p.b.gauges_changed, protection = p.b.protection_changed;
    assert_true(gauges > 0);
    p.answer(p.b);
    assert_int_equal(p.b.session.group_status(kTag)->local.installing, 0);
    assert_int_equal(p.b.gauges_changed, gauges + 1);
    p.advance(10ms);
    assert_int_equal(p.b.gauges_changed, gauges + 1);
    assert_int_equal(p.b.protection_changed, protection);
    assert_int_equal(p.a.gauges_changed, 0);        // it writes, the other one installs
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(trailing_records_count_until_the_new_master_acts),
        cmocka_unit_test(the_engine_hears_of_an_import_that_did_not_count_as_pending),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
