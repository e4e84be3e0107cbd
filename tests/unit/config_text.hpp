// SPDX-License-Identifier: GPL-2.0-or-later
// SeGW-1 of the seed as a configuration, for the tests of the configuration.
#pragma once

#include <string>

inline const std::string kSegw1 = R"([system]
address = "192.0.2.1"

[isa.tunnel-group.1]
multi-active = true
active-mda-number = 1
mda = ["1/2"]
ipsec-responder-only = true

[ipsec.public."int-IPsec-Public-1"]
tunnel-group = 1
local-gateway-address = ["10.10.20.1"]
static-tunnel-redundant-next-hop = ["192.168.255.2"]

[ipsec.private."int-IPsec-Private-1"]
tunnel-group = 1
vrf = "vprn2"
static-tunnel-redundant-next-hop = ["192.168.20.2"]

[ipsec.tunnel."tunnel-1"]
public = "int-IPsec-Public-1"
private = "int-IPsec-Private-1"
interface = "tunnel-1"
static-route = ["192.168.1.1/32"]

[redundancy.multi-chassis.peer."192.0.2.2"]
authentication-key-file = "/etc/mcipsec/peer.key"
[redundancy.multi-chassis.peer."192.0.2.2".sync.ipsec]
tunnel-group.1.sync-tag = "tag-1"
[redundancy.multi-chassis.peer."192.0.2.2".mc-ipsec]
bfd-enable = true
discovery-interval = 200
[redundancy.multi-chassis.peer."192.0.2.2".mc-ipsec.tunnel-group.1]
priority = 200

[vrrp.policy.1]
priority-event = [ { mc-ipsec-non-forwarding = 1, priority = 50 } ]
[vrrp.instance.VRRP10]
policy = 1
base-priority = 200
)";

// cmocka's fail_msg() needs the macro that cmocka_cpp.hpp takes away.
#define fail_with(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

// Lines are counted from 1; 0 when there is none.
inline unsigned line_of(const std::string &text, const std::string &what)
{
    const auto at = text.find(what);
    if (at == std::string::npos)
        return 0;
    unsigned line = 1;
    for (std::size_t i = 0; i < at; i++)
        line += text[i] == '\n';
    return line;
}

// text with the first `what` replaced.
inline std::string with(std::string text, const std::string &what, const std::string &by)
{
    const auto at = text.find(what);
    return at == std::string::npos ? "" : text.replace(at, what.size(), by);
}
