// SPDX-License-Identifier: GPL-2.0-or-later
// The database of a group: versions, change log, buckets, gauges, tombstones, memory.
#include <malloc.h>

#include "unit/mcs_sim.hpp"

using namespace mcs_sim;

namespace {

Entry entry(const Key &key, std::uint64_t version, std::optional<Key> parent = std::nullopt)
{
    Entry e;
    e.key = key;
    e.parent = parent;
    e.version = {1, 5, version};
    e.data = SecretBytes(Bytes(16, 1));
    return e;
}

void keys_have_the_length_of_their_kind(void **)
{
    assert_true(Key::make(Kind::IkeSa, Bytes(16)).has_value());
    assert_true(Key::make(Kind::ChildSa, Bytes(5)).has_value());
    assert_false(Key::make(Kind::IkeSa, Bytes(15)).has_value());
    assert_false(Key::make(Kind::ChildSa, Bytes(16)).has_value());
    assert_string_equal(child(0xc0ffee01).str().c_str(), "child c0ffee0132");
}

void versions_compare_by_generation_lineage_version(void **)
{
    const Version held{2, 7, 10};
    assert_true(relation({2, 7, 10}, held) == Relation::Same);
    assert_true(relation({2, 7, 11}, held) == Relation::Newer);
    assert_true(relation({2, 7, 9}, held) == Relation::Older);
    assert_true(relation({3, 7, 1}, held) == Relation::Newer);   // a later election wins
    assert_true(relation({1, 7, 99}, held) == Relation::Older);
    assert_true(relation({2, 8, 1}, held) == Relation::Other);   // another SA under the same key
}

void the_log_is_in_the_order_of_changes(void **)
{
    Db db;
    db.store(entry(ike(1), 1), true);
    db.store(entry(ike(2), 1), true);
    db.store(entry(ike(1), 2), true);   // moves to the end
    db.store(entry(ike(2), 2), false);  // stays
    assert_true(db.next(0)->key == ike(2));
    assert_int_equal(db.next(0)->version.version, 2);
    assert_true(db.next(db.next(0)->change)->key == ike(1));
    assert_null(db.next(db.last_change()));
    assert_int_equal(db.last_change(), 3);
    db.erase(ike(2));
    assert_true(db.next(0)->key == ike(1));
}

void buckets_tell_what_differs(void **)
{
    Db a, b;
    for (std::uint32_t i = 0; i < 1000; i++) {
        a.store(entry(child(i), 1, ike(1)), true);
        b.store(entry(child(999 - i), 1, ike(1)), true);  // the order does not matter
    }
    assert_false(any(difference(a.buckets(), b.buckets())));
    a.store(entry(child(5), 2, ike(1)), true);
    b.bury(child(6), {1, 5, 2});
    auto m = difference(a.buckets(), b.buckets());
    BucketMask expected{};
    set(expected, bucket_of(child(5)));
    set(expected, bucket_of(child(6)));
    assert_true(m == expected);
    b.store(entry(child(5), 2, ike(1)), true);
    a.erase(child(6));
    assert_false(any(difference(a.buckets(), b.buckets())));
}

void gauges_follow(void **)
{
    Db db;
    auto &e = db.store(entry(ike(1), 1), true);
    assert_int_equal(db.gauges().installing, 1);
    db.set_status(e, LocalStatus::Failed);
    assert_int_equal(db.gauges().failed, 1);
    assert_int_equal(db.gauges().alarmed, 1);
    db.set_status(e, LocalStatus::LocalDeleted);
    assert_int_equal(db.gauges().local_deleted, 1);
    assert_int_equal(db.gauges().failed + db.gauges().alarmed, 0);
    db.set_status(e, LocalStatus::Installed);
    db.store(entry(ike(1), 2), true);
    assert_int_equal(db.gauges().installed, 1);
    assert_int_equal(db.size(), 1);
    db.bury(ike(1), {1, 5, 3});
    assert_true(db.gauges() == Gauges{});
    assert_null(db.find_live(ike(1)));
    assert_non_null(db.find(ike(1)));
    assert_int_equal(db.find(ike(1))->data.size(), 0);
}

void children_follow_their_parent(void **)
{
    Db db;
    db.store(entry(child(1), 1, ike(1)), true);
    db.store(entry(child(2), 1, ike(1)), true);
    db.store(entry(child(1), 2, ike(2)), true);
    assert_int_equal(db.children(ike(1)).size(), 1);
    assert_true(db.children(ike(2)) == std::vector<Key>{child(1)});
    db.bury(child(1), {1, 5, 3});
    assert_true(db.children(ike(2)).empty());
    db.store(entry(child(1), 4, ike(2)), true);
    assert_int_equal(db.children(ike(2)).size(), 1);
    db.erase(child(1));
    assert_true(db.children(ike(2)).empty());
}

void tombstones_wait_for_ack_and_generation(void **)
{
    Db db;
    for (std::uint32_t i = 1; i <= 4; i++)
        db.bury(ike(i), {i < 4 ? 1ull : 2ull, 5, 1}).own = true;
    assert_int_equal(db.trim(0, 2, 100), 0);  // not acknowledged
    assert_int_equal(db.tombstones(), 4);
    assert_int_equal(db.trim(2, 2, 100), 0);
    assert_int_equal(db.tombstones(), 2);
    assert_int_equal(db.horizon(), 2);
    db.trim(4, 2, 100);
    assert_int_equal(db.tombstones(), 1);     // its generation has not passed
    db.bury(ike(9), {2, 5, 1});
    assert_int_equal(db.trim(4, 2, 1), 1);    // over the bound: counted
    assert_int_equal(db.tombstones(), 1);
    db.find(ike(9))->op = Entry::Op::Deleting;
    assert_int_equal(db.trim(9, 9, 0), 0);    // work is under way
    assert_int_equal(db.tombstones(), 1);
}

void memory_beside_the_record_is_below_two_kibibytes_a_tunnel(void **)
{
    constexpr std::uint32_t kTunnels = 20000;
    Db db;
    const auto before = mallinfo2().uordblks;
    for (std::uint32_t i = 1; i <= kTunnels; i++) {
        db.store(entry(ike(i), 1), true);
        db.store(entry(child(i), 1, ike(i)), true);
    }
    const auto each = (mallinfo2().uordblks - before) / kTunnels;
    print_message("%zu bytes a tunnel\n", each);
    assert_true(each < 2048);
}

}  // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_the_length_of_their_kind),
        cmocka_unit_test(versions_compare_by_generation_lineage_version),
        cmocka_unit_test(the_log_is_in_the_order_of_changes),
        cmocka_unit_test(buckets_tell_what_differs),
        cmocka_unit_test(gauges_follow),
        cmocka_unit_test(children_follow_their_parent),
        cmocka_unit_test(tombstones_wait_for_ack_and_generation),
        cmocka_unit_test(memory_beside_the_record_is_below_two_kibibytes_a_tunnel),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
