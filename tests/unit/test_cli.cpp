// needs: cli
// SPDX-License-Identifier: GPL-2.0-or-later
// Words: prefixes, ambiguity, values, options in any order, what is said about
// a wrong one.
#include "unit/cmocka_cpp.hpp"

#include <sstream>

#include "cli/grammar.hpp"
#include "unit/config_text.hpp"

using namespace mcipsec;
using namespace mcipsec::cli;

namespace {

std::vector<std::string> split(const std::string &line)
{
    std::vector<std::string> out;
    std::istringstream in(line);
    for (std::string w; in >> w;)
        out.push_back(w);
    return out;
}

Parsed ok(const std::string &line)
{
    auto p = parse(split(line));
    if (!p)
        fail_with("'%s': %s", line.c_str(), p.error().text.c_str());
    return *p;
}

void is(const std::string &line, const std::string &expanded)
{
    std::string have;
    for (const auto &w : ok(line).words)
        have += (have.empty() ? "" : " ") + w;
    assert_string_equal(have.c_str(), expanded.c_str());
}

void wrong(const std::string &line, const std::string &message)
{
    const auto p = parse(split(line));
    if (p)
        fail_with("'%s' was accepted", line.c_str());
    assert_int_equal(p.error().code, -EINVAL);
    assert_string_equal(p.error().text.c_str(), message.c_str());
}

void test_every_command_in_full(void **)
{
    for (const auto &c : commands()) {
        std::string line;
        for (const char *token : c.pattern) {
            std::string word = token;
            line += (line.empty() ? "" : " ") + word.substr(0, word.find('|'));
        }
        assert_int_equal(static_cast<int>(ok(line).action), static_cast<int>(c.action));
        is(line, line);
    }
}

void test_prefixes_of_contract(void **)
{
    is("sh red mu mc pe 192.0.2.2 tun 1", "show redundancy multi-chassis mc-ipsec peer 192.0.2.2 tunnel-group 1");
    is("sh red mu sy", "show redundancy multi-chassis sync");
    is("sh ro v i", "show router vrrp instance");
    is("sh is t", "show isa tunnel-group");
    is("t p r m m f t 1", "tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1");
    is("ad is tu 1 m 1/2 sh", "admin isa tunnel-group 1 mda 1/2 shutdown");
    is("ad is tu 1 no", "admin isa tunnel-group 1 no-shutdown");
    is("ad re pe 192.0.2.2 sy no-shut", "admin redundancy peer 192.0.2.2 sync no-shutdown");
    is("ad re pe 192.0.2.2 shut", "admin redundancy peer 192.0.2.2 shutdown");
    is("ad re pe 192.0.2.2 mc tu 1 shut", "admin redundancy peer 192.0.2.2 mc-ipsec tunnel-group 1 shutdown");
    is("g", "genkey");
    is("st", "stats");
    is("m", "monitor");
    is("conf ch", "config check");
    is("conf ch ./x.toml", "config check ./x.toml");
}

void test_ambiguous(void **)
{
    wrong("s", "'s' is ambiguous: show, stats");
    wrong("sh i", "'i' is ambiguous: ipsec, isa");
    wrong("c", "'c' is ambiguous: clear, config");
    wrong("sh r", "'r' is ambiguous: redundancy, router");
    wrong("ad re pe 192.0.2.2 s", "'s' is ambiguous: shutdown, sync");
    wrong("con s x y", "'y' is too much");
}

void test_exact_wins(void **)
{
    // A tunnel may be called like a word, as long as it is not an option.
    is("show ipsec tunnel tunnel", "show ipsec tunnel tunnel");
    const auto p = ok("show ipsec tunnel det");
    assert_string_equal(p.value("NAME").c_str(), "det");
    assert_true(ok("show ipsec tunnel detail").has("detail"));
    assert_true(ok("show ipsec tunnel t1 det").has("detail"));
    assert_true(ok("sh red mul sync det").has("detail"));
    assert_true(ok("sh red mul sync peer 192.0.2.2 detail").has("detail"));
}

void test_options(void **)
{
    const std::string f = "tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 ";
    const auto p = ok(f + "wait 10 ignore to stand now");
    assert_true(p.has("now") && p.has("ignore-protection-status"));
    assert_string_equal(p.options.at("wait").c_str(), "10");
    assert_string_equal(p.options.at("to").c_str(), "standby");
    assert_int_equal(p.words.size(), 8);
    wrong(f + "wait", "wait needs SECONDS");
    wrong(f + "to nowhere", "to 'nowhere' is unknown, allowed: master, standby");
    wrong(f + "now now", "'now' is unknown here, allowed: ignore-protection-status, to, wait");
    wrong(f + "later", "'later' is unknown here, allowed: ignore-protection-status, now, to, wait");
    assert_true(ok("stats --prometheus").has("--prometheus"));
    assert_true(ok("show log -f").has("-f"));
}

void test_wrong(void **)
{
    wrong("frobnicate", "'frobnicate' is unknown here, allowed: admin, clear, config, genkey, help, monitor, reload, show, stats, tools");
    wrong("show", "incomplete, allowed next: ipsec, isa, log, redundancy, router");
    wrong("show redundancy multi-chassis mc-ipsec peer", "incomplete, allowed next: ADDR");
    wrong("admin isa tunnel-group 1", "incomplete, allowed next: mda, no-shutdown, shutdown");
    wrong("genkey x", "'x' is too much");
    wrong("show isa tunnel-group 1 2", "'2' is too much");
    assert_false(parse({""}).has_value());
    assert_false(parse({"show", ""}).has_value());
    assert_false(parse({}).has_value());
    assert_false(parse({"show", "ipsec", "tunnel", "--x"}).has_value());
}

void test_usage_has_every_command(void **)
{
    const auto u = usage();
    for (const char *line : {"show redundancy multi-chassis mc-ipsec peer ADDR tunnel-group N", "show redundancy multi-chassis sync peer ADDR [detail]", "show isa tunnel-group N", "show ipsec tunnel NAME [detail]",
             "show ipsec sa tunnel-group N", "show router vrrp instance", "show log [-f]",
             "force-switchover tunnel-group N [now] [to {master|standby}] [ignore-protection-status] [wait SECONDS]", "clear ipsec tunnel NAME", "admin isa tunnel-group N {shutdown|no-shutdown}",
             "admin isa tunnel-group N mda NAME {shutdown|no-shutdown}", "admin redundancy peer ADDR sync {shutdown|no-shutdown}", "stats [--prometheus]", "monitor", "config check", "genkey"})
        if (u.find(line) == std::string::npos)
            fail_with("usage lacks: %s", line);
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_in_full),
        cmocka_unit_test(test_prefixes_of_contract),
        cmocka_unit_test(test_ambiguous),
        cmocka_unit_test(test_exact_wins),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_usage_has_every_command),
    };
    return cmocka_run_group_tests_name("cli words", tests, nullptr, nullptr);
}
