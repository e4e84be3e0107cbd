// needs: io
// SPDX-License-Identifier: GPL-2.0-or-later
// Routes and links against the kernel, in a network namespace of the test's own.
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>

#include "io/routes.hpp"
#include "io/way.hpp"
#include "io_test.hpp"

using namespace mcipsec;
using namespace mcipsec::io;
using namespace mcipsec::test;

namespace {

bool ready = false;
std::uint32_t dummy = 0;

// Interfaces are made by the project's own netlink code, so that no tool is needed.
bool make_link(const char *name, const char *kind, std::uint32_t vrf_table = 0)
{
    auto s = NlSocket::open(NETLINK_ROUTE);
    if (!s)
        return false;
    NlMessage m(1024);
    m.start(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    auto *info = static_cast<ifinfomsg *>(m.extra(sizeof(ifinfomsg)));
    info->ifi_flags = info->ifi_change = IFF_UP;
    m.str(IFLA_IFNAME, name);
    const auto link = m.nest(IFLA_LINKINFO);
    m.str(IFLA_INFO_KIND, kind);
    if (vrf_table) {
        const auto data = m.nest(IFLA_INFO_DATA);
        m.u32(IFLA_VRF_TABLE, vrf_table);
        m.end(data);
    }
    m.end(link);
    return static_cast<bool>(s->call(m));
}

// A dummy interface, or where the kernel has none a TUN device.
bool make_interface(const char *name)
{
    if (make_link(name, "dummy"))
        return true;
    static std::vector<UniqueFd> kept;      // the device goes with its descriptor
    UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    ifreq r{};
    std::snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    r.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (!fd || ::ioctl(fd.get(), TUNSETIFF, &r) < 0)
        return false;
    kept.push_back(std::move(fd));
    UniqueFd s(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    r.ifr_flags = IFF_UP;
    return ::ioctl(s.get(), SIOCSIFFLAGS, &r) == 0;
}

// label, peer: "" is none
bool add_address(std::uint32_t ifindex, const char *text, std::uint8_t length, const char *label = "", const char *peer = "")
{
    auto s = NlSocket::open(NETLINK_ROUTE);
    const auto address = IpAddress::parse(text);
    NlMessage m(256);
    m.start(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    auto *a = static_cast<ifaddrmsg *>(m.extra(sizeof(ifaddrmsg)));
    a->ifa_family = address->family == 4 ? AF_INET : AF_INET6;
    a->ifa_prefixlen = length;
    a->ifa_index = ifindex;
    a->ifa_flags = IFA_F_NODAD;
    const ByteView bytes(address->bytes.data(), address->size());
    m.bytes(IFA_LOCAL, bytes);
    const auto other = *peer ? *IpAddress::parse(peer) : *address;
    m.bytes(IFA_ADDRESS, {other.bytes.data(), other.size()});
    if (*label)
        m.str(IFA_LABEL, label);
    return s && static_cast<bool>(s->call(m));
}

int set_up(void **)
{
    if (!fresh_network_namespace() || !make_interface("dum0"))
        return 0;
    auto links = Links::open();
    auto l = links->by_name("dum0");
    if (!l)
        return 0;
    dummy = l->ifindex;
    ready = add_address(dummy, "192.0.2.1", 24);
    return 0;
}

#define NEEDS_NAMESPACE() \
    if (!ready)           \
    return skip_without("permission for a network namespace with a dummy or TUN interface")

Prefix prefix(const char *text)
{
    return take(Prefix::parse(text));
}

void prefixes_are_parsed_strictly(void **)
{
    assert_string_equal(prefix("192.168.1.1").str().c_str(), "192.168.1.1/32");
    assert_string_equal(prefix("192.168.20.0/30").str().c_str(), "192.168.20.0/30");
    assert_string_equal(prefix("2001:db8::/32").str().c_str(), "2001:db8::/32");
    assert_string_equal(prefix("0.0.0.0/0").str().c_str(), "0.0.0.0/0");
    for (const char *bad : {"", "1.2.3", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/8x", "1.2.3.4/24", "::1/129", "2001:db8::1/64"})
        assert_false(static_cast<bool>(Prefix::parse(bad)));
}

void replace_swaps_state_and_next_hop(const char *destination, const char *gateway, std::uint32_t table)
{
    auto routes = take(Routes::open());
    Route r{.destination = prefix(destination), .table = table, .protocol = kRouteMasterWithPeer, .ifindex = dummy};
    check(routes.replace(r));
    assert_true(take(routes.dump_own()) == std::vector<Route>{r});
    // state
    r.protocol = kRouteNonMaster;
    check(routes.replace(r));
    assert_true(take(routes.dump_own()) == std::vector<Route>{r});
    // state and next-hop
    r.protocol = kRouteMasterWithoutPeer;
    r.gateway = take(IpAddress::parse(gateway));
    check(routes.replace(r));
    assert_true(take(routes.dump_own()) == std::vector<Route>{r});
    // and back to a reject route
    Route reject{.destination = r.destination, .table = table, .protocol = kRouteNonMaster, .unreachable = true};
    check(routes.replace(reject));
    assert_true(take(routes.dump_own()) == std::vector<Route>{reject});
    check(routes.remove(reject));
    assert_true(take(routes.dump_own()).empty());
    check(routes.remove(reject));       // no longer there: no error
}

void ipv4_in_the_main_table(void **)
{
    NEEDS_NAMESPACE();
    replace_swaps_state_and_next_hop("192.168.1.1/32", "192.0.2.2", RT_TABLE_MAIN);
}
void ipv4_in_a_table_beyond_255(void **)
{
    NEEDS_NAMESPACE();
    replace_swaps_state_and_next_hop("192.168.1.1/32", "192.0.2.2", 1000);
}
void ipv6_in_the_main_table(void **)
{
    NEEDS_NAMESPACE();
    if (!add_address(dummy, "2001:db8::1", 64))
        return skip_without("IPv6 in this kernel");
    replace_swaps_state_and_next_hop("2001:db8:1::/48", "2001:db8::2", RT_TABLE_MAIN);
}

void remove_takes_only_ours(void **)
{
    NEEDS_NAMESPACE();
    auto routes = take(Routes::open());
    Route r{.destination = prefix("198.51.100.0/24"), .metric = 50, .protocol = kRouteStaticNonMaster, .ifindex = dummy};
    check(routes.replace(r));
    Route foreign = r;
    foreign.protocol = 4;       // static
    assert_int_equal(routes.replace(foreign).error().code, -EINVAL);
    assert_int_equal(routes.remove(foreign).error().code, -EINVAL);
    Route other = r;
    other.protocol = kRouteStaticMasterWithPeer;
    check(routes.remove(other));        // another protocol: stays
    assert_int_equal(take(routes.dump_own()).size(), 1);
    other.protocol = 0;                 // whichever of ours
    check(routes.remove(other));
    assert_true(take(routes.dump_own()).empty());
}

void a_route_that_the_kernel_refuses_is_an_error(void **)
{
    NEEDS_NAMESPACE();
    auto routes = take(Routes::open());
    const Route r{.destination = prefix("198.51.100.0/24"), .protocol = kRouteNonMaster, .gateway = take(IpAddress::parse("203.0.113.1"))};
    const auto e = routes.replace(r);
    assert_false(static_cast<bool>(e));
    assert_non_null(std::strstr(e.error().text.c_str(), "198.51.100.0/24"));
    assert_int_equal(routes.errors(), 1);
    Route none = r;
    none.destination = {};
    assert_int_equal(routes.replace(none).error().code, -EINVAL);
}

void links_are_found_by_name(void **)
{
    NEEDS_NAMESPACE();
    auto links = take(Links::open());
    const Link l = take(links.by_name("dum0"));
    assert_true((l.kind == "dummy" || l.kind == "tun") && l.up && l.ifindex == dummy);
    assert_int_equal(links.by_name("nosuch0").error().code, -ENODEV);
    assert_int_equal(links.by_name("a-name-much-too-long").error().code, -ENODEV);
    assert_true(take(links.dump()).size() >= 2);    // lo and dum0
    assert_int_equal(take(links.vrf_table("")), RT_TABLE_MAIN);
    assert_int_equal(links.vrf_table("dum0").error().code, -EINVAL);
    assert_int_equal(links.vrf_table("nosuch0").error().code, -ENODEV);
    assert_true(take(has_local_address(take(IpAddress::parse("192.0.2.1")))));
    assert_false(take(has_local_address(take(IpAddress::parse("192.0.2.77")))));
}

void a_vrf_tells_its_table(void **)
{
    NEEDS_NAMESPACE();
    if (!make_link("vprn2", "vrf", 2002))
        return skip_without("VRF in this kernel");
    auto links = take(Links::open());
    assert_int_equal(take(links.vrf_table("vprn2")), 2002);
}

void the_watch_tells_links_that_come_change_and_go(void **)
{
    NEEDS_NAMESPACE();
    auto loop = take(EventLoop::create());
    std::string story;
    auto watch = take(LinkWatch::open(*loop, [&](const Link &l, bool removed) {
        if (l.name == "dum1")
            story += removed ? 'x' : l.up ? 'u' : 'd';
    }, [] {}));
    assert_true(make_interface("dum1"));
    assert_true(turn_until(*loop, [&] { return story.find('u') != std::string::npos; }));
    auto s = take(NlSocket::open(NETLINK_ROUTE));
    auto links = take(Links::open());
    NlMessage m(256);
    m.start(RTM_NEWLINK, 0);
    auto *info = static_cast<ifinfomsg *>(m.extra(sizeof(ifinfomsg)));
    info->ifi_index = static_cast<int>(take(links.by_name("dum1")).ifindex);
    info->ifi_change = IFF_UP;
    check(s.call(m));
    assert_true(turn_until(*loop, [&] { return story.find('d', story.find('u')) != std::string::npos; }));
    m.start(RTM_DELLINK, 0);
    info = static_cast<ifinfomsg *>(m.extra(sizeof(ifinfomsg)));
    info->ifi_index = static_cast<int>(take(links.by_name("dum1")).ifindex);
    check(s.call(m));
    assert_true(turn_until(*loop, [&] { return story.ends_with('x'); }));
}

bool set_rp_filter(const char *name, const char *value)
{
    std::FILE *f = std::fopen(("/proc/sys/net/ipv4/conf/" + std::string(name) + "/rp_filter").c_str(), "w");
    const bool ok = f && std::fputs(value, f) >= 0;
    return f && std::fclose(f) == 0 && ok;
}

std::string way(WayFinder &finder, const char *vrf, const char *to)
{
    const auto w = finder.find(vrf, *IpAddress::parse(to));
    return w ? w->interface + " " + std::to_string(w->rp_filter) : "none";
}

// A label is no interface, and a point-to-point address is on the link of its peer.
void the_way_to_an_address_and_its_filter(void **)
{
    NEEDS_NAMESPACE();
    auto links = take(Links::open());
    if (!make_interface("way0") || !make_interface("way1") || !set_rp_filter("all", "0"))
        return skip_without("a second dummy or TUN interface, and a writable rp_filter");
    const auto way0 = take(links.by_name("way0")).ifindex, way1 = take(links.by_name("way1")).ifindex;
    assert_true(add_address(way0, "198.51.100.1", 30, "way0:1"));
    assert_true(add_address(way1, "203.0.113.1", 32, "", "203.0.113.9"));
    assert_true(set_rp_filter("way0", "1") && set_rp_filter("way1", "2"));
    auto finder = take(WayFinder::open());
    assert_string_equal(way(finder, "", "198.51.100.2").c_str(), "way0 1");
    assert_string_equal(way(finder, "", "203.0.113.9").c_str(), "way1 2");
    assert_true(set_rp_filter("way0", "0") && set_rp_filter("all", "1"));
    assert_string_equal(way(finder, "", "198.51.100.2").c_str(), "way0 1");     // the higher one
    assert_true(set_rp_filter("all", "0"));
    assert_string_equal(way(finder, "", "198.51.100.2").c_str(), "way0 0");
    assert_string_equal(way(finder, "", "198.51.100.1").c_str(), "none");       // our own
    assert_string_equal(way(finder, "", "203.0.113.200").c_str(), "none");
    assert_string_equal(way(finder, "nowhere", "198.51.100.2").c_str(), "none");
    assert_string_equal(way(finder, "", "2001:db8::1").c_str(), "none");
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(prefixes_are_parsed_strictly),
        cmocka_unit_test(ipv4_in_the_main_table),
        cmocka_unit_test(ipv4_in_a_table_beyond_255),
        cmocka_unit_test(ipv6_in_the_main_table),
        cmocka_unit_test(remove_takes_only_ours),
        cmocka_unit_test(a_route_that_the_kernel_refuses_is_an_error),
        cmocka_unit_test(the_way_to_an_address_and_its_filter),
        cmocka_unit_test(links_are_found_by_name),
        cmocka_unit_test(a_vrf_tells_its_table),
        cmocka_unit_test(the_watch_tells_links_that_come_change_and_go),
    };
    return cmocka_run_group_tests_name("io routes", tests, set_up, nullptr);
}
