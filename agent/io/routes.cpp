// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/routes.hpp"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "io/address.hpp"

namespace mcipsec::io {

namespace {

constexpr std::uint32_t kDefaultMetric6 = 1024;     // what the kernel makes of 0
constexpr std::uint8_t kOwn[] = {201, 202, 203, 204, 211, 212, 213, 214};

Expected<void> check_destination(const Route &r)
{
    const auto &d = r.destination;
    if (d.address.empty() || d.length > d.address.size() * 8)
        return fail(-EINVAL, "route: malformed destination");
    return {};
}

void build(NlMessage &m, std::uint16_t type, std::uint16_t flags, const Route &r, std::uint8_t protocol)
{
    m.start(type, flags);
    auto *rt = static_cast<rtmsg *>(m.extra(sizeof(rtmsg)));
    rt->rtm_family = static_cast<std::uint8_t>(address_family(r.destination.address));
    rt->rtm_dst_len = r.destination.length;
    rt->rtm_protocol = protocol;
    rt->rtm_table = r.table < 256 ? static_cast<std::uint8_t>(r.table) : static_cast<std::uint8_t>(RT_TABLE_UNSPEC);
    m.bytes(RTA_DST, address_bytes(r.destination.address));
    m.u32(RTA_TABLE, r.table);
    if (r.metric)
        m.u32(RTA_PRIORITY, r.metric);
}

std::string text_of(const ByteView v)
{
    const auto end = std::find(v.begin(), v.end(), 0);
    return std::string(v.begin(), end);
}

}  // namespace

Expected<Routes> Routes::open()
{
    auto s = NlSocket::open(NETLINK_ROUTE, 4 << 20);
    if (!s)
        return tl::unexpected(s.error());
    return Routes(std::move(*s));
}

Expected<void> Routes::replace(const Route &r)
{
    if (auto c = check_destination(r); !c)
        return c;
    if (!is_own_protocol(r.protocol))
        return fail(-EINVAL, "route " + r.destination.str() + ": protocol " + std::to_string(r.protocol) + " is not ours");
    build(message_, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, r, r.protocol);
    auto *rt = static_cast<rtmsg *>(mnl_nlmsg_get_payload(message_.header()));
    rt->rtm_type = r.unreachable ? RTN_UNREACHABLE : RTN_UNICAST;
    rt->rtm_scope = !r.unreachable && r.gateway.empty() && r.destination.address.family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    if (!r.unreachable) {
        if (!r.gateway.empty())
            message_.bytes(RTA_GATEWAY, address_bytes(r.gateway));
        if (r.ifindex)
            message_.u32(RTA_OIF, r.ifindex);
    }
    auto out = socket_.call(message_);
    if (!out) {
        ++errors_;
        return fail(out.error().code, "route " + r.destination.str() + ": " + out.error().text);
    }
    return out;
}

Expected<void> Routes::remove(const Route &r)
{
    if (auto c = check_destination(r); !c)
        return c;
    if (r.protocol && !is_own_protocol(r.protocol))
        return fail(-EINVAL, "route " + r.destination.str() + ": protocol " + std::to_string(r.protocol) + " is not ours");
    for (const std::uint8_t protocol : kOwn) {
        if (r.protocol && r.protocol != protocol)
            continue;
        build(message_, RTM_DELROUTE, 0, r, protocol);
        static_cast<rtmsg *>(mnl_nlmsg_get_payload(message_.header()))->rtm_scope = RT_SCOPE_NOWHERE;
        const auto out = socket_.call(message_);
        // ESRCH: no such route; ENODEV, ENOENT: its device or table is gone and took it along.
        if (!out && out.error().code != -ESRCH && out.error().code != -ENODEV && out.error().code != -ENOENT) {
            ++errors_;
            return fail(out.error().code, "route " + r.destination.str() + ": " + out.error().text);
        }
    }
    return {};
}

std::optional<Route> parse_route(ByteView p)
{
    rtmsg rt;
    if (p.size() < sizeof(rt))
        return std::nullopt;
    std::memcpy(&rt, p.data(), sizeof(rt));
    if ((rt.rtm_family != AF_INET && rt.rtm_family != AF_INET6) || !is_own_protocol(rt.rtm_protocol) || (rt.rtm_flags & RTM_F_CLONED) ||
        (rt.rtm_type != RTN_UNICAST && rt.rtm_type != RTN_UNREACHABLE))
        return std::nullopt;
    const nlattr *t[RTA_MAX + 1];
    if (!parse_attrs(p.subspan(std::min<std::size_t>(NLMSG_ALIGN(sizeof(rt)), p.size())), t))
        return std::nullopt;
    Route r;
    r.protocol = rt.rtm_protocol;
    r.unreachable = rt.rtm_type == RTN_UNREACHABLE;
    r.table = rt.rtm_table;
    (void)attr_get(t[RTA_TABLE], r.table);
    // A default route has no RTA_DST.
    constexpr std::uint8_t kZero[16] = {};
    r.destination.address = address_from(rt.rtm_family, t[RTA_DST] ? attr_view(t[RTA_DST]) : ByteView(kZero));
    r.destination.length = rt.rtm_dst_len;
    if (r.destination.address.empty() || r.destination.length > r.destination.address.size() * 8)
        return std::nullopt;
    (void)attr_get(t[RTA_PRIORITY], r.metric);
    if (rt.rtm_family == AF_INET6 && r.metric == kDefaultMetric6)
        r.metric = 0;
    if (!r.unreachable) {       // the kernel names "lo" for IPv6 reject routes
        (void)attr_get(t[RTA_OIF], r.ifindex);
        r.gateway = address_from(rt.rtm_family, attr_view(t[RTA_GATEWAY]));
    }
    return r;
}

Expected<std::vector<Route>> Routes::dump_own()
{
    std::vector<Route> out;
    for (const int family : {AF_INET, AF_INET6}) {
        for (const std::uint8_t protocol : kOwn) {
            // The kernel filters (strict check), so that a full BGP table costs no copying.
            auto part = dump_all<Route>(
                socket_, message_,
                [&] {
                    message_.start(RTM_GETROUTE, NLM_F_DUMP);
                    auto *rt = static_cast<rtmsg *>(message_.extra(sizeof(rtmsg)));
                    rt->rtm_family = static_cast<std::uint8_t>(family);
                    rt->rtm_protocol = protocol;
                },
                [&](const nlmsghdr *h) -> Expected<std::optional<Route>> {
                    auto route = h->nlmsg_type == RTM_NEWROUTE ? parse_route(payload(h)) : std::nullopt;
                    return route && route->protocol == protocol ? route : std::nullopt;
                });
            if (part) {
                out.insert(out.end(), part->begin(), part->end());
            } else if (part.error().code != -ENOENT) {      // ENOENT: no table of that family yet
                ++errors_;
                return tl::unexpected(part.error());
            }
        }
    }
    return out;
}

Expected<Link> parse_link(ByteView p)
{
    ifinfomsg info;
    if (p.size() < sizeof(info))
        return fail(-EBADMSG, "link: short message");
    std::memcpy(&info, p.data(), sizeof(info));
    const nlattr *t[IFLA_MAX + 1];
    if (auto r = parse_attrs(p.subspan(std::min<std::size_t>(NLMSG_ALIGN(sizeof(info)), p.size())), t); !r)
        return tl::unexpected(r.error());
    Link l;
    l.ifindex = static_cast<std::uint32_t>(info.ifi_index);
    l.name = text_of(attr_view(t[IFLA_IFNAME]));
    l.up = (info.ifi_flags & IFF_UP) && (info.ifi_flags & IFF_RUNNING);
    (void)attr_get(t[IFLA_MASTER], l.master);
    const nlattr *kind[IFLA_INFO_MAX + 1];
    if (auto r = parse_attrs(attr_view(t[IFLA_LINKINFO]), kind); !r)
        return tl::unexpected(r.error());
    l.kind = text_of(attr_view(kind[IFLA_INFO_KIND]));
    if (l.kind == "vrf") {
        const nlattr *vrf[IFLA_VRF_MAX + 1];
        if (parse_attrs(attr_view(kind[IFLA_INFO_DATA]), vrf))
            (void)attr_get(vrf[IFLA_VRF_TABLE], l.vrf_table);
    } else if (l.kind == "xfrm") {
        const nlattr *xfrm[IFLA_XFRM_MAX + 1];
        if (std::uint32_t id = 0; parse_attrs(attr_view(kind[IFLA_INFO_DATA]), xfrm) && attr_get(xfrm[IFLA_XFRM_IF_ID], id))
            l.xfrm_if_id = id;
    }
    return l;
}

namespace {
void ask_links(NlMessage &m, std::uint16_t flags)
{
    m.start(RTM_GETLINK, flags);
    m.extra(sizeof(ifinfomsg));
    m.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}
}  // namespace

Expected<Links> Links::open()
{
    auto s = NlSocket::open(NETLINK_ROUTE);
    if (!s)
        return tl::unexpected(s.error());
    return Links(std::move(*s));
}

Expected<std::vector<Link>> Links::dump()
{
    return dump_all<Link>(
        socket_, message_, [&] { ask_links(message_, NLM_F_DUMP); }, [](const nlmsghdr *h) { return parse_link(payload(h)); });
}

Expected<Link> Links::by_name(const std::string &name)
{
    if (name.empty() || name.size() >= IFNAMSIZ)
        return fail(-ENODEV, "interface \"" + name + "\": no such name");
    ask_links(message_, 0);
    message_.str(IFLA_IFNAME, name);
    Expected<Link> out = fail(-EBADMSG, "link: no answer");
    if (auto r = socket_.call(message_, [&](const nlmsghdr *h) { out = parse_link(payload(h)); }); !r)
        return fail(r.error().code, "interface " + name + ": " + r.error().text);
    return out;
}

Expected<std::uint32_t> Links::vrf_table(const std::string &name)
{
    if (name.empty())
        return static_cast<std::uint32_t>(RT_TABLE_MAIN);
    auto l = by_name(name);
    if (!l)
        return tl::unexpected(l.error());
    if (l->kind != "vrf" || !l->vrf_table)
        return fail(-EINVAL, "interface " + name + " is not a VRF");
    return l->vrf_table;
}

Expected<std::unique_ptr<LinkWatch>> LinkWatch::open(EventLoop &loop, std::function<void(const Link &, bool)> on_link,
                                                     std::function<void()> on_overrun)
{
    auto s = NlSocket::open(NETLINK_ROUTE, 4 << 20);
    if (!s)
        return tl::unexpected(s.error());
    if (auto r = s->join(RTNLGRP_LINK); !r)
        return tl::unexpected(r.error());
    std::unique_ptr<LinkWatch> w(new LinkWatch);
    w->socket_ = std::move(*s);
    w->on_link_ = std::move(on_link);
    w->on_overrun_ = std::move(on_overrun);
    auto source = loop.add_fd(w->socket_.fd(), EPOLLIN, [self = w.get()](std::uint32_t) { self->readable(); });
    if (!source)
        return tl::unexpected(source.error());
    w->source_ = std::move(*source);
    return w;
}

void LinkWatch::readable()
{
    std::vector<std::pair<Link, bool>> changes;
    bool lost = false;
    const auto r = socket_.receive([&](const nlmsghdr *h) {
        if (h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK)
            return;
        const ByteView p = payload(h);
        // AF_BRIDGE tells of ports; the link itself lives on.
        if (p.empty() || p[0] != AF_UNSPEC)
            return;
        if (auto l = parse_link(p))
            changes.emplace_back(std::move(*l), h->nlmsg_type == RTM_DELLINK);
        else
            lost = true;
    });
    lost = lost || !r;
    if (lost)
        ++overruns_;
    const auto on_link = on_link_;
    const auto on_overrun = on_overrun_;
    for (const auto &[link, removed] : changes)
        on_link(link, removed);
    if (lost && on_overrun)
        on_overrun();
}

Expected<bool> has_local_address(const IpAddress &address)
{
    auto s = NlSocket::open(NETLINK_ROUTE);
    if (!s)
        return tl::unexpected(s.error());
    NlMessage m(256);
    bool found = false;
    m.start(RTM_GETADDR, NLM_F_DUMP);
    auto *a = static_cast<ifaddrmsg *>(m.extra(sizeof(ifaddrmsg)));
    a->ifa_family = static_cast<std::uint8_t>(address_family(address));
    auto r = s->call(m, [&](const nlmsghdr *h) {
        const ByteView p = payload(h);
        const nlattr *t[IFA_MAX + 1];
        if (h->nlmsg_type != RTM_NEWADDR || p.size() < sizeof(ifaddrmsg) || !parse_attrs(p.subspan(sizeof(ifaddrmsg)), t))
            return;
        const auto *own = t[IFA_LOCAL] ? t[IFA_LOCAL] : t[IFA_ADDRESS];
        found = found || address_from(p[0], attr_view(own)) == address;
    });
    if (!r && r.error().code != -EINTR)
        return tl::unexpected(r.error());
    return found;
}

}  // namespace mcipsec::io
