#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_gre.sh - tunnels inside the tunnel (the seed's figure 27): GRE and IP-in-IP between
# CE-1 and the gateway, inside the IPsec tunnel's selectors. Both gateways have them, with
# the same addresses in the VPRN. They go on over a planned switchover and a power loss,
# and end on the gateway that is master, on no other.

. "$(dirname "$0")/scene.sh"

# The gateways' end in the VPRN, the same on both as their gateway address is.
END=192.168.2.9

scene_configure()
{
	local etc=$LAB_DIR/$1/etc
	sed -i 's|192\.168\.2\.1/32|192.168.2.0/28|' "$etc/swanctl/conf.d/tunnel-1.conf"
	riders_gateway "$1"
	[ "$1" = SeGW-1 ] || return 0
	sed -i 's|192\.168\.2\.1/32|192.168.2.0/28|' "$LAB_DIR/CE-1/etc/swanctl/conf.d/tunnel-1.conf"
	net_batch CE-1 <<-EOT
	route add table 2 $END/32 dev tunnel-1 src 192.168.1.1
	link add gre-gw master vprn2 mtu 1300 type gre local 192.168.1.1 remote $END dev vprn2 ttl 64
	addr add 10.0.27.2/30 dev gre-gw
	link set gre-gw up
	link add ipip-gw master vprn2 mtu 1300 type ipip local 192.168.1.1 remote $END dev vprn2 ttl 64
	addr add 10.0.28.2/30 dev ipip-gw
	link set ipip-gw up
	EOT
}

riders_gateway()
{
	net_batch "$1" <<-EOT
	link add end master vprn2 type dummy
	addr add $END/32 dev end
	link set end up
	link add gre-ce master vprn2 mtu 1300 type gre local $END remote 192.168.1.1 dev vprn2 ttl 64
	addr add 10.0.27.1/30 dev gre-ce
	link set gre-ce up
	link add ipip-ce master vprn2 mtu 1300 type ipip local $END remote 192.168.1.1 dev vprn2 ttl 64
	addr add 10.0.28.1/30 dev ipip-ce
	link set ipip-ce up
	EOT
}

ping_gre() { lab CE-1 ping -I vprn2 -c 1 -W 1 10.0.27.1; }
ping_ipip() { lab CE-1 ping -I vprn2 -c 1 -W 1 10.0.28.1; }
big_ping() { lab CE-1 ping -I vprn2 -c 1 -W 2 -s 1200 -M do "$1" >/dev/null 2>&1; }
inside() { lab "$1" cat "/sys/class/net/$2/statistics/rx_packets"; }

# both_ride NODE: through the gateway that is master, and through no other.
both_ride()
{
	local other=SeGW-$((3 - ${1#SeGW-})) before gre ipip
	before="$(inside "$other" gre-ce) $(inside "$other" ipip-ce)"
	gre=$(inside "$1" gre-ce) ipip=$(inside "$1" ipip-ce)
	check_wait "GRE over IPsec ends on $1" 30 ping_gre
	check_wait "IP-in-IP over IPsec ends on $1" 30 ping_ipip
	check "both carry packets of 1228 bytes" eval 'big_ping 10.0.27.1 && big_ping 10.0.28.1'
	check "$1's tunnels had them" test "$(inside "$1" gre-ce)" -gt "$gre" -a "$(inside "$1" ipip-ce)" -gt "$ipip"
	check_is "those of $other did not" "$before" echo "$(inside "$other" gre-ce) $(inside "$other" ipip-ce)"
}

plan $((SCENE_POINTS + 18))
scene_up
both_ride SeGW-1

spawn CE-1 gre ping -q -I vprn2 -i 0.1 10.0.27.1
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "protection status nominal on both" 60 nominal
both_ride SeGW-2
stop CE-1 gre INT
diag "GRE over the switchover: $(grep received "$LAB_DIR/CE-1/log/gre.out")"
check "at most 5 pings in GRE were lost over the switchover" \
	awk '/received/ { found = 1; exit !($1 - $4 <= 5 && $4 > 20) } END { if (!found) exit 1 }' "$LAB_DIR/CE-1/log/gre.out"

check "SeGW-2 loses power" node_kill SeGW-2
check_wait "SeGW-1 serves" 30 gate_is SeGW-1 forward
check_wait "GRE over IPsec goes on" 30 ping_gre
check_wait "IP-in-IP over IPsec, too" 30 ping_ipip
check "the CE has authenticated once" scene_same_ike
scene_end
