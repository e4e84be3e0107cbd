#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_dynamic.sh - a dynamic tunnel with several customers on one connection: each
# is synchronised, gets a reverse route by its selectors on both chassis (state by
# protocol number), and lives on over a power loss and over a return. A customer that
# leaves takes its route along, on both. What a customer sends by the standby is shunted:
# the next-hops here are those for dynamic tunnels, and tunnel-1, which is static, has none.
# Before there is a tunnel, the static one's far end may ping the gateway address, and no other.

. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"

scene_configure()
{
	customers_files "$1"
	sed -i 's/^static-tunnel-redundant-next-hop/dynamic-tunnel-redundant-next-hop/' "$LAB_DIR/$1/etc/mcipsec/mcipsec.toml"
	[ "$1" = SeGW-1 ] || customers_net
}
ping_gw() { lab CE-1 ping -I "$1" -c 1 -W 1 10.10.20.1 >/dev/null; }
scene_before_tunnel()
{
	check_wait "tunnel-1 is not up: CE-1 may ping the gateway address by its own" 20 ping_gw 10.10.10.1
	check_not "not by another" ping_gw 172.16.1.100
	check_not "nor may a customer of the dynamic tunnel" ping_gw 10.10.11.1
	check_is "and the tunnel is still not up" 0 eval 'lab SeGW-1 ip -o xfrm state | wc -l'
}
reverse_is()	# NODE PROTOCOL COUNT
{
	[ "$(lab "$1" ip route show table 2 dev customers proto "$2" | grep -c '^192\.168\.3\.')" = "$3" ]
}
p1_knows() { [ "$(lab P-1 birdc show route table vprn2 primary | grep -c '^192\.168\.3\.')" = "$1" ]; }
shunted() { echo "$(ask "$1" "$(find_object gate) | .gate_counters | (.shunt_public | tostring) + \" \" + (.shunt_private | tostring)" show isa tunnel-group 1)"; }
# shunts_both BEFORE: SeGW-2 has handed on more of both sides
shunts_both()
{
	local was now
	read -ra was <<<"$1"
	read -ra now <<<"$(shunted SeGW-2)"
	[ "${now[0]}" -ge $((was[0] + 3)) ] && [ "${now[1]}" -ge $((was[1] + 3)) ]
}
dropped() { ask SeGW-2 "$(find_object gate) | .gate_counters.drop_esp" show isa tunnel-group 1; }
drops_more() { [ "$(dropped)" -gt "$1" ]; }
entries=$((2 + 2 * CUSTOMERS))

plan $((SCENE_POINTS + 24))
scene_up
check "the customers set up their tunnels" customers_up
check_wait "each has an entry on both chassis" 40 \
	eval "sync_is SeGW-1 num_entries $entries && sync_is SeGW-2 num_entries $entries"
check_wait "SeGW-1 has a reverse route for each, ipsec-master-with-peer" 10 reverse_is SeGW-1 201 "$CUSTOMERS"
check_wait "SeGW-2 has them as ipsec-non-master" 10 reverse_is SeGW-2 203 "$CUSTOMERS"
check_wait "P-1 learns all of them" 30 p1_knows "$CUSTOMERS"
check_wait "every customer's ping is answered" 40 customers_ping
before=$(shunted SeGW-2)
check "customer 1 sends by SeGW-2, the standby, and P-1 does" \
	eval 'lab CE-1 ip route replace 10.10.20.1/32 via 172.16.1.253 && lab P-1 ip route replace table 2 192.168.3.1/32 via 192.168.203.1 dev sdp-300 metric 1'
check "its pings are answered" lab CE-1 ping -I vprn2 -I 192.168.3.1 -c 5 -i 0.3 -W 2 192.168.2.1
check "SeGW-2 has shunted both ways, by the next-hops for dynamic tunnels" shunts_both "$before"
before=$(dropped)
check_wait "what tunnel-1 sends by SeGW-2 is dropped there, for want of a next-hop for static ones" 10 drops_more "$before"
lab CE-1 ip route del 10.10.20.1/32
lab P-1 ip route del table 2 192.168.3.1/32 metric 1
check_wait "protection status nominal on both" 60 nominal
ike=$(customers_ike)

node_cut SeGW-1
node_destroy SeGW-1
check_wait "SeGW-1 loses power: SeGW-2's reverse routes are ipsec-master-without-peer" 20 reverse_is SeGW-2 202 "$CUSTOMERS"
check_wait "every customer's ping is answered" 60 customers_ping
check "no customer has authenticated anew" unchanged "$ike" customers_ike
check_wait "(nothing is left of the old SeGW-1)" 60 node_gone SeGW-1
node_up SeGW-1
lab SeGW-1 cat /sys/class/net/int-SeGW1-S1/address >"$LAB_DIR/SeGW-1/mac"
customers_net_gateway SeGW-1
check "SeGW-1 boots again" gateway_start SeGW-1
check_wait "it is filled again and has the reverse routes" 90 \
	eval "sync_is SeGW-1 num_entries $entries && reverse_is SeGW-1 203 $CUSTOMERS"
check_wait "protection status nominal on both" 90 nominal
lab CE-1 swanctl --terminate --ike customer-1 >/dev/null
check_wait "a customer leaves: its route goes on SeGW-2" 20 reverse_is SeGW-2 201 $((CUSTOMERS - 1))
check_wait "and on SeGW-1" 20 reverse_is SeGW-1 203 $((CUSTOMERS - 1))
scene_end
