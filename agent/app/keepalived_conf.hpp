// SPDX-License-Identifier: GPL-2.0-or-later
// What the agent reads in keepalived's configuration: the facts about each
// vrrp_instance that `show router vrrp instance` prints and the checks need.
// A reader of words and blocks, not of keepalived's whole language: includes
// and conditionals are skipped.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mcipsec::app {

struct KeepalivedInstance {
    std::string interface;
    unsigned virtual_router_id = 0;
    int priority = 100;
    double advert_int = 1;                          // seconds
    bool nopreempt = false;
    bool ipv6 = false;
    std::vector<std::string> virtual_addresses;     // without prefix length
    struct Tracked { std::string file; int weight = 1; };
    std::vector<Tracked> tracked;                   // its track_file block, with what that names
};

std::map<std::string, KeepalivedInstance> parse_keepalived_conf(std::string_view text);
// A file that is missing or unreadable has no instances.
std::map<std::string, KeepalivedInstance> read_keepalived_conf(const std::string &path);

}  // namespace mcipsec::app
