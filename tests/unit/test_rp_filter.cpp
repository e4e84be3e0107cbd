// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// Strict reverse-path filtering where the peer's shunt arrives.
#include "app/rp_filter.hpp"

#include <map>

#include "unit/cmocka_cpp.hpp"
#include "unit/config_text.hpp"

using namespace mcipsec;
using namespace mcipsec::app;

namespace {

IpAddress ip(const char *text)
{
    return *IpAddress::parse(text);
}

// kSegw1: public next-hop 192.168.255.2 in the main table, private 192.168.20.2 in vprn2.
std::string found(const std::map<std::string, io::Way> &ways, unsigned *asked = nullptr)
{
    const auto c = parse_config({{"m.toml", kSegw1}});
    assert_true(c.has_value());
    std::string out;
    const auto ask = [&](const std::string &vrf, const IpAddress &hop) -> std::optional<io::Way> {
        if (asked)
            ++*asked;
        const auto it = ways.find(vrf + "/" + hop.str());
        return it == ways.end() ? std::nullopt : std::optional(it->second);
    };
    for (const auto &f : strict_rp_filters(*c, ask)) {
        assert_int_equal(f.group, 1);
        assert_true(c->where_of(f.where).line > 0);
        const auto at = f.text.find("conf.") + 5;
        out += f.text.substr(at, f.text.find(".rp_filter", at) - at) + " ";
    }
    return out;
}

void strict_is_found_where_the_shunt_arrives(void **)
{
    const std::string pub = "/192.168.255.2", priv = "vprn2/192.168.20.2";
    assert_string_equal(found({{pub, {"pub", 1}}, {priv, {"priv", 1}}}).c_str(), "pub priv ");
    for (const int loose : {0, 2})
        assert_string_equal(found({{pub, {"pub", loose}}, {priv, {"priv", 1}}}).c_str(), "priv ");
    assert_string_equal(found({}).c_str(), "");                                 // no way there
    assert_string_equal(found({{"/192.168.20.2", {"priv", 1}}}).c_str(), "");   // another VRF's
}

// However many interfaces there are: a next-hop that several keys name is asked for once.
void each_next_hop_is_asked_for_once(void **)
{
    unsigned asked = 0;
    assert_string_equal(found({{"/192.168.255.2", {"pub", 1}}}, &asked).c_str(), "pub ");
    assert_int_equal(asked, 2);
}

void this_machine_can_be_asked(void **)
{
    const auto c = parse_config({{"m.toml", kSegw1}});
    assert_true(c.has_value());
    (void)strict_rp_filters(*c);
    auto finder = io::WayFinder::open();
    assert_true(finder.has_value());
    assert_false(finder->find("", ip("127.0.0.1")).has_value());    // our own address
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(strict_is_found_where_the_shunt_arrives), cmocka_unit_test(each_next_hop_is_asked_for_once), cmocka_unit_test(this_machine_can_be_asked)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
