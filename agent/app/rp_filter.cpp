// SPDX-License-Identifier: GPL-2.0-or-later
#include "app/rp_filter.hpp"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "app/config_keys.hpp"
#include "io/address.hpp"
#include "io/files.hpp"

namespace mcipsec::app {

namespace {

constexpr int kStrict = 1;

bool on_link(const FilteredInterface &i, const IpAddress &hop)
{
    if (hop.family != 4)
        return false;
    for (unsigned bit = 0; bit < i.prefix_length; ++bit) {
        const auto mask = static_cast<std::uint8_t>(0x80 >> bit % 8);
        if ((i.address.bytes[bit / 8] ^ hop.bytes[bit / 8]) & mask)
            return false;
    }
    return true;
}

int rp_filter_of(const std::string &name)
{
    const auto text = io::read_file("/proc/sys/net/ipv4/conf/" + name + "/rp_filter");
    return text ? std::atoi(text->c_str()) : 0;
}

std::string vrf_of(const std::string &name)
{
    char target[256];
    const auto n = ::readlink(("/sys/class/net/" + name + "/master").c_str(), target, sizeof(target));
    if (n <= 0 || static_cast<std::size_t>(n) >= sizeof(target))
        return {};
    const std::string path(target, static_cast<std::size_t>(n));
    const std::string master = path.substr(path.rfind('/') + 1);
    const auto event = io::read_file("/sys/class/net/" + master + "/uevent");
    return event && event->find("DEVTYPE=vrf") != std::string::npos ? master : "";
}

}  // namespace

std::vector<StrictFilter> strict_rp_filters(const Config &config, std::span<const FilteredInterface> interfaces)
{
    std::vector<StrictFilter> out;
    const auto look = [&](GroupId group, const std::string &vrf, const std::vector<IpAddress> &hops, const std::string &where) {
        for (const auto &hop : hops)
            for (const auto &i : interfaces) {
                if (i.rp_filter != kStrict || i.vrf != vrf || !on_link(i, hop))
                    continue;
                auto text = fmt::format("tunnel-group {}: net.ipv4.conf.{}.rp_filter is strict, so what the peer shunts to this chassis is dropped; allowed are 2, and 0 if all.rp_filter is 0, too", group, i.name);
                if (std::none_of(out.begin(), out.end(), [&](const StrictFilter &f) { return f.text == text; }))
                    out.push_back({group, where, std::move(text)});
            }
    };
    const auto both = [&](const auto &p, const std::string &path) {
        look(p.tunnel_group, p.vrf, p.static_redundant_next_hop, path + ".static-tunnel-redundant-next-hop");
        look(p.tunnel_group, p.vrf, p.dynamic_redundant_next_hop, path + ".dynamic-tunnel-redundant-next-hop");
    };
    for (const auto &[name, p] : config.publics)
        both(p, "ipsec.public." + path_element(name));
    for (const auto &[name, p] : config.privates)
        both(p, "ipsec.private." + path_element(name));
    return out;
}

std::vector<FilteredInterface> read_interfaces()
{
    std::vector<FilteredInterface> out;
    ifaddrs *list = nullptr;
    if (::getifaddrs(&list) < 0)
        return out;
    const int all = rp_filter_of("all");
    for (const auto *i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr || !i->ifa_netmask || i->ifa_addr->sa_family != AF_INET)
            continue;
        FilteredInterface f;
        f.name = i->ifa_name;
        f.vrf = vrf_of(f.name);
        sockaddr_storage address{};
        sockaddr_in mask{};
        std::memcpy(&address, i->ifa_addr, sizeof(sockaddr_in));
        std::memcpy(&mask, i->ifa_netmask, sizeof(mask));
        f.address = io::from_sockaddr(address);
        f.prefix_length = static_cast<unsigned>(std::popcount(mask.sin_addr.s_addr));
        f.rp_filter = std::max(all, rp_filter_of(f.name));     // the kernel takes the higher one
        out.push_back(std::move(f));
    }
    ::freeifaddrs(list);
    return out;
}

}  // namespace mcipsec::app
