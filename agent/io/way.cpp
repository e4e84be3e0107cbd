// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/way.hpp"

#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>

#include "io/address.hpp"

namespace mcipsec::io {

Expected<WayFinder> WayFinder::open()
{
    auto s = NlSocket::open(NETLINK_ROUTE);
    if (!s)
        return tl::unexpected(s.error());
    return WayFinder(std::move(*s));
}

std::optional<int> WayFinder::rp_filter(int ifindex)
{
    message_.start(RTM_GETNETCONF, 0);
    static_cast<netconfmsg *>(message_.extra(sizeof(netconfmsg)))->ncm_family = AF_INET;
    message_.u32(NETCONFA_IFINDEX, static_cast<std::uint32_t>(ifindex));
    std::optional<int> out;
    (void)socket_.call(message_, [&](const nlmsghdr *h) {
        const nlattr *table[NETCONFA_MAX + 1];
        const auto v = payload(h);
        int value = 0;
        if (v.size() >= NLMSG_ALIGN(sizeof(netconfmsg)) && parse_attrs(v.subspan(NLMSG_ALIGN(sizeof(netconfmsg))), table) && attr_get(table[NETCONFA_RP_FILTER], value))
            out = value;
    });
    return out;
}

std::optional<Way> WayFinder::find(const std::string &vrf, const IpAddress &to)
{
    const unsigned domain = vrf.empty() ? 0 : ::if_nametoindex(vrf.c_str());
    if (to.family != 4 || (!vrf.empty() && !domain))
        return std::nullopt;
    message_.start(RTM_GETROUTE, 0);
    auto *rt = static_cast<rtmsg *>(message_.extra(sizeof(rtmsg)));
    rt->rtm_family = AF_INET;
    rt->rtm_dst_len = 32;
    message_.bytes(RTA_DST, address_bytes(to));
    if (domain)
        message_.u32(RTA_OIF, domain);
    std::uint32_t ifindex = 0;
    auto done = socket_.call(message_, [&](const nlmsghdr *h) {
        const nlattr *table[RTA_MAX + 1];
        const auto v = payload(h);
        if (v.size() >= sizeof(rtmsg) && reinterpret_cast<const rtmsg *>(v.data())->rtm_type == RTN_UNICAST && parse_attrs(v.subspan(sizeof(rtmsg)), table))
            if (!table[RTA_GATEWAY])
                (void)attr_get(table[RTA_OIF], ifindex);
    });
    char name[IF_NAMESIZE];
    if (!done || !ifindex || !::if_indextoname(ifindex, name))
        return std::nullopt;
    const auto own = rp_filter(static_cast<int>(ifindex)), all = rp_filter(NETCONFA_IFINDEX_ALL);
    if (!own || !all)
        return std::nullopt;
    return Way{name, std::max(*own, *all)};     // the kernel takes the higher one
}

}  // namespace mcipsec::io
