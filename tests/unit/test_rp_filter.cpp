// needs: app
// SPDX-License-Identifier: GPL-2.0-or-later
// Strict reverse-path filtering where the peer's shunt arrives.
#include "app/rp_filter.hpp"

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
std::string found(std::vector<FilteredInterface> interfaces)
{
    const auto c = parse_config({{"m.toml", kSegw1}});
    assert_true(c.has_value());
    std::string out;
    for (const auto &f : strict_rp_filters(*c, interfaces)) {
        assert_int_equal(f.group, 1);
        assert_true(c->where_of(f.where).line > 0);
        const auto at = f.text.find("conf.") + 5;
        out += f.text.substr(at, f.text.find(".rp_filter", at) - at) + " ";
    }
    return out;
}

void strict_is_found_where_the_shunt_arrives(void **)
{
    const FilteredInterface pub{"pub", "", ip("192.168.255.1"), 30, 1}, priv{"priv", "vprn2", ip("192.168.20.1"), 30, 1};
    assert_string_equal(found({pub, priv}).c_str(), "pub priv ");
    for (const int loose : {0, 2}) {
        auto p = pub;
        p.rp_filter = loose;
        assert_string_equal(found({p, priv}).c_str(), "priv ");
    }
    auto elsewhere = pub;
    elsewhere.address = ip("192.168.255.5");    // 192.168.255.4/30
    assert_string_equal(found({elsewhere}).c_str(), "");
    auto other_vrf = priv;
    other_vrf.vrf = "";
    assert_string_equal(found({other_vrf}).c_str(), "");
    // Two addresses of one interface are one finding.
    assert_string_equal(found({pub, pub}).c_str(), "pub ");
}

void this_machine_can_be_asked(void **)
{
    bool lo = false;
    for (const auto &i : read_interfaces())
        lo = lo || (i.name == "lo" && i.address == ip("127.0.0.1") && i.prefix_length == 8 && i.vrf.empty() && i.rp_filter >= 0 && i.rp_filter <= 2);
    assert_true(lo);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {cmocka_unit_test(strict_is_found_where_the_shunt_arrives), cmocka_unit_test(this_machine_can_be_asked)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
