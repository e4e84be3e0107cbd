// SPDX-License-Identifier: GPL-2.0-or-later
// What a kernel refuses of a batch is found, and costs the others nothing (I3).
#include <set>

#include "core/seq_import.hpp"
#include "unit/cmocka_cpp.hpp"

using namespace mcipsec;

namespace {

// Answers as the module does: how many, not which.
struct Kernel {
    std::set<std::uint32_t> offloaded, absent;
    std::set<std::uint32_t> given;
    unsigned calls = 0;
    bool broken = false;
    struct Result {
        std::uint32_t missing = 0, refused = 0;
    };
    Expected<Result> operator()(std::span<const mcipsec_seq> sas)
    {
        Result r;
        ++calls;
        if (broken)
            return fail(-ENOBUFS, "no buffer");
        for (const auto &sa : sas) {
            if (offloaded.contains(sa.spi))
                ++r.refused;
            else if (absent.contains(sa.spi))
                ++r.missing;
            else
                given.insert(sa.spi);
        }
        return r;
    }
};

std::vector<mcipsec_seq> sas(std::uint32_t n)
{
    std::vector<mcipsec_seq> out(n);
    for (std::uint32_t i = 0; i < n; ++i)
        out[i].spi = i + 1;
    return out;
}

void nothing_refused_is_one_call(void **)
{
    Kernel k{.offloaded = {}, .absent = {3, 7}, .given = {}};
    const auto done = import_sequence(sas(1000), k);
    assert_true(done.has_value());
    assert_int_equal(k.calls, 1);
    assert_int_equal(done->missing, 2);
    assert_int_equal(done->refused.size(), 0);
}

void nothing_to_give_is_no_call(void **)
{
    Kernel k;
    const auto done = import_sequence({}, k);
    assert_true(done.has_value());
    assert_int_equal(k.calls, 0);
}

void the_refused_are_found_and_the_others_given(void **)
{
    for (const std::set<std::uint32_t> &bad : {std::set<std::uint32_t>{1}, {1000}, {500, 501}, {1, 2, 3, 999}, {250, 500, 750}}) {
        Kernel k{.offloaded = bad, .absent = {4}, .given = {}};
        const auto done = import_sequence(sas(1000), k);
        assert_true(done.has_value());
        std::set<std::uint32_t> found;
        for (const auto &sa : done->refused)
            assert_true(found.insert(sa.spi).second);
        assert_true(found == bad);
        assert_int_equal(k.given.size(), 1000 - bad.size() - 1);
        assert_int_equal(done->missing, 1);
        assert_true(k.calls <= 1 + bad.size() * 2 * 10);        // halves, not one by one
    }
}

void all_of_them_refused_is_one_call(void **)
{
    Kernel k{.offloaded = {1, 2, 3}, .absent = {}, .given = {}};
    const auto done = import_sequence(sas(3), k);
    assert_true(done.has_value());
    assert_int_equal(k.calls, 1);
    assert_int_equal(done->refused.size(), 3);
}

void an_error_is_an_error(void **)
{
    Kernel k;
    k.broken = true;
    const auto done = import_sequence(sas(3), k);
    assert_false(done.has_value());
    assert_int_equal(done.error().code, -ENOBUFS);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(nothing_refused_is_one_call),
        cmocka_unit_test(nothing_to_give_is_no_call),
        cmocka_unit_test(the_refused_are_found_and_the_others_given),
        cmocka_unit_test(all_of_them_refused_is_one_call),
        cmocka_unit_test(an_error_is_an_error),
    };
    return cmocka_run_group_tests_name("seq_import", tests, nullptr, nullptr);
}
