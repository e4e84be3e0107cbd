#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_ospf.sh - the gateway address in a routed public side: the example's filter for
# OSPF, as it stands there, announces the /32 from both gateways with a metric by state.
# P-1 follows the master, with its peer and without (seed, "Routing in Public Service").
# The same of an IPv6 gateway address, by the examples for OSPFv3.
#
# The chassis have a source-address for each other that is not their system address. The link
# between them is cut while there is a way by P-1: they lose sight of each other until OSPF has
# found it, then MIMP, BFD and MCS go by it (seed, "MIMP": over any topology).

. "$(dirname "$0")/scene.sh"

GW6=2001:db8:20::1
peer_address() { echo "192.0.2.1$((3 - ${1#SeGW-}))"; }

scene_configure()
{
	local n=${1#SeGW-}
	sed -i -e "s/peer\.\"192\.0\.2\.$((3 - n))\"/peer.\"$(peer_address "$1")\"/" \
		-e "/^\[redundancy\.multi-chassis\.peer\.[^.]*[.0-9]*\"\]$/a source-address = \"192.0.2.1$n\"" "$LAB_DIR/$1/etc/mcipsec/mcipsec.toml"
	lab "$1" ip addr add "192.0.2.1$n/32" dev system
	lab "$1" ip addr add "2001:db8::$n/128" dev system nodad
	lab "$1" ip addr add "$GW6/128" dev int-IPsec-Pub-1 nodad
	sed -i 's|^local-gateway-address = .*|local-gateway-address = ["10.10.20.1", "'$GW6'"]|' "$LAB_DIR/$1/etc/mcipsec/mcipsec.toml"
	sed -i '/^protocol ospf/,/^}/s/export none;/export filter ipsec_to_ospf;/' "$LAB_DIR/$1/etc/bird/bird.conf"
	[ "$n" = 1 ] || ospf3
}
ospf3()
{
	local n
	bird_six 2001:db8:a1::1/128
	for n in 1 2; do
		bird_include "SeGW-$n" ospf3.conf "define SIX_GATEWAY = [ $GW6/128 ];" "define SIX_METRIC_WITHOUT_PEER = ${n}0;"
	done
	lab P-1 ip addr add 2001:db8::3/128 dev system nodad
	bird_include P-1 p1-ospf3.conf
}

# public_route PREFIX: "interface metric" of the route to the gateway address that P-1 prefers.
# To the filter's metric comes the cost of the link, 10.
public_route()
{
	lab P-1 birdc show route primary for "$1" all | awk '
		$1 == "via" { dev = $4 }
		/OSPF.metric1:/ { metric = $2 }
		END { print dev, metric }'
}
public_is() { public=$(public_route 10.10.20.1/32); [ "$public" = "$1" ] || { echo "$public"; return 1; }; }
# public6_is DEVICE METRIC: over IPv6, and P-1's kernel goes that way
public6_is()
{
	public=$(public_route $GW6/128)
	[ "$public" = "$1 $2" ] && lab P-1 ip -6 route get $GW6 | grep -q "dev $1 " || { echo "$public"; return 1; }
}
systems6() { lab P-1 ip -6 route get 2001:db8::1 | grep -q 'dev int-P1-SeGW1 ' && lab P-1 ip -6 route get 2001:db8::2 | grep -q 'dev int-P1-SeGW2 '; }
# announced PROTOCOL PREFIX: by each gateway with that metric, as P-1 has it
announced() { lab P-1 birdc show ospf state all "$1" | awk -v net="$2" '$1 == "router" && NF == 2 { router = $2 } $1 == "external" && $2 == net { print router, $4 }' | sort | paste -sd, -; }
announced_is() { [ "$(announced "$1" "$2")" = "$3" ]; }

source_is() { [ "$(ask "$1" "$(find_object source_addr) | .source_addr" show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")")" = "$2" ]; }
# heard PORT EXPRESSION: such packets of MIMP, BFD and MCS that enter or leave SeGW-1 there in 3 s
heard() { timeout 3 tcpdump -nn -l -i "$1" "($CHASSIS_WHAT) and $2" 2>/dev/null | grep -c .; }
# way_is DEVICE DEVICE: of SeGW-1 to the peer, and of SeGW-2
way_is() { lab SeGW-1 ip route get 192.0.2.12 from 192.0.2.11 | grep -q "dev $1 " && lab SeGW-2 ip route get 192.0.2.11 from 192.0.2.12 | grep -q "dev $2 "; }
direct() { way_is int-SeGW1-SeGW2 int-SeGW2-SeGW1; }
lost_sight() { roles SeGW-1 eligible SeGW-2 eligible; }
settled() { { roles SeGW-1 master SeGW-2 standby || roles SeGW-1 standby SeGW-2 master; } && nominal; }
EACH_OTHER='host 192.0.2.11 and host 192.0.2.12'

plan $((SCENE_POINTS + 29))
scene_up
check "each speaks from its source-address" eval 'source_is SeGW-1 192.0.2.11 && source_is SeGW-2 192.0.2.12'
check "on the link between them there is MIMP, BFD and MCS of these addresses" test "$(heard w12-segw1 "$EACH_OTHER")" -ge 5
check_is "and none of others" 0 heard w12-segw1 "not ($EACH_OTHER)"
check_wait "both gateways announce the gateway address, the master with 10" 30 announced_is base_ospf 10.10.20.1/32 "192.0.2.1 10,192.0.2.2 100"
check_wait "P-1 prefers SeGW-1, the master with its peer: metric 10" 20 public_is "int-P1-SeGW1 20"
check_wait "over IPv6, by OSPFv3: both announce it, the master with 10" 30 announced_is base_ospf6 $GW6/128 "192.0.2.1 10,192.0.2.2 100"
check_wait "over IPv6 P-1 prefers SeGW-1, too, and sends to it" 20 public6_is int-P1-SeGW1 20
check_wait "P-1 has the way to both system addresses by OSPFv3" 20 systems6
check "force-switchover" hand_over SeGW-1
check_wait "P-1 prefers SeGW-2, the master with its peer: metric 10" 20 public_is "int-P1-SeGW2 20"
check_wait "over IPv6, too, and sends to it" 20 public6_is int-P1-SeGW2 20
check_wait "(they announce it the other way round)" 20 announced_is base_ospf6 $GW6/128 "192.0.2.1 100,192.0.2.2 10"
check_wait "nominal on both" 60 nominal

check "(the way to the peer is the link between them)" direct
check_is "control: nothing of it goes by P-1" 0 heard w1p-segw1 "$EACH_OTHER"
check "the link is cut, silently" eval 'cable_cut w12-segw1 && cable_cut w12-segw2'
check_wait "they lose sight of each other" 20 lost_sight
check_wait "OSPF finds the way by P-1" 30 way_is int-SeGW1-P1 int-SeGW2-P1
check_wait "one is master, one standby, nominal on both" 90 settled
check "what they say goes by P-1" test "$(heard w1p-segw1 "$EACH_OTHER")" -ge 5
check_wait "CE-1's ping goes on" 20 ping_ce
[ "$(mc SeGW-2 mastership)" = master ] || hand_over SeGW-1
check_wait "SeGW-2 is made master on that way, nominal" 60 eval 'roles SeGW-1 standby SeGW-2 master && nominal'
check "the link is there again" eval 'cable_mend w12-segw1 && cable_mend w12-segw2'
check_wait "the way is the link again" 60 direct
check_wait "SeGW-2 is master still, nominal on both" 60 eval 'roles SeGW-1 standby SeGW-2 master && nominal'
check "CE-1 has authenticated once" scene_same_ike
node_kill SeGW-1
check_wait "SeGW-1 has lost power: SeGW-2 is eligible" 30 mc_is SeGW-2 mastership eligible
check_wait "P-1 prefers it still, without its peer: metric 20" 20 public_is "int-P1-SeGW2 30"
check_wait "over IPv6, too" 20 public6_is int-P1-SeGW2 30
scene_end
