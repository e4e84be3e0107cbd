// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// The state that a planned restart leaves behind: what is written is read back,
// and what must not be trusted is not.
#include "unit/cmocka_cpp.hpp"

#include <cerrno>
#include <cstring>

#include "app/restart_state.hpp"

using namespace mcipsec;
using app::RestartState;

namespace {

Time at(int seconds) { return Time(std::chrono::seconds(seconds)); }

RestartState sample()
{
    RestartState s;
    s.boot_id = "boot-1";
    s.hold_until = at(100);
    SeqState::Debt debt{{0x01020304, 50, 2, {10, 10, 10, 1}}, at(90), 1u << 20, 70000, 140000};
    s.groups.push_back({{1, Mastership::Master, 8, true, 2}, true, {debt}, "192.0.2.2"});
    s.groups.push_back({{2, Mastership::Standby, 9, true, 1}, false, {}, {}});
    s.vrrp["VRRP10"] = {"Master", 200};
    return s;
}

void test_round_trip(void **)
{
    const auto back = RestartState::from_json(sample().json(), "boot-1", at(99));
    assert_true(back.has_value());
    assert_int_equal(back->groups.size(), 2);
    const auto *one = back->find(1);
    assert_non_null(one);
    assert_true(one->saved.state == Mastership::Master && one->saved.generation == 8 && one->saved.oper_up);
    assert_int_equal(one->saved.active_members, 2);
    assert_true(one->rekeys_left);
    assert_true(one->debts == sample().groups[0].debts);
    assert_true(back->find(2)->debts.empty());
    assert_true(one->peer == "192.0.2.2" && !back->find(2)->peer);     // the second is as an earlier agent writes it
    assert_true(back->find(2)->saved.state == Mastership::Standby && !back->find(2)->rekeys_left);
    assert_null(back->find(3));
    assert_string_equal(back->vrrp.at("VRRP10").state.c_str(), "Master");
    assert_true(back->hold_until == at(100));
}

// What the agent before this one left behind: the rest holds without what it did not know.
void test_of_an_earlier_agent(void **)
{
    auto text = sample().json();
    for (const char *key : {"\"rekey_at\": 70000,", "\"ceiling\": 140000,"}) {
        const auto at = text.find(key);
        assert_true(at != std::string::npos);
        text.erase(at, std::strlen(key));
    }
    const auto back = RestartState::from_json(text, "boot-1", at(99));
    assert_true(back.has_value());
    const auto &debt = back->find(1)->debts.at(0);
    assert_true(debt.jump == 1u << 20 && debt.ceiling == 0 && debt.rekey_at == 0);
}

void test_not_trusted(void **)
{
    assert_int_equal(RestartState::from_json(sample().json(), "boot-2", at(99)).error().code, -ESTALE);
    assert_int_equal(RestartState::from_json(sample().json(), "boot-1", at(100)).error().code, -ESTALE);
    for (const char *text : {"", "[]", "{}", "{\"version\":2}", "{\"version\":1,\"boot_id\":7}"})
        assert_int_equal(RestartState::from_json(text, "boot-1", at(1)).error().code, -EINVAL);
    auto text = sample().json();
    text.replace(text.find("standby"), 7, "monarch");
    assert_int_equal(RestartState::from_json(text, "boot-1", at(1)).error().code, -EINVAL);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_of_an_earlier_agent), cmocka_unit_test(test_not_trusted)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
