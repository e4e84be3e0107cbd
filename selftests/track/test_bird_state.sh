#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_bird_state.sh - the state of a tunnel-group, as the protocol number of its
# routes, reaches P-1 as local preference through real BIRDs (seed steps 5 and 7);
# a change of state is one update without withdrawal; nothing else is exported. The
# same over IPv6.

. "$(dirname "$0")/common.sh"
trap 'lab_collect /results; topo_down' EXIT

route() { lab "$1" ip route replace table 2 "$2" dev tunnel-1 proto "$3"; }

# What P-1 has for a prefix: "SESSION LOCAL-PREF" lines, sorted.
at_p1()
{
	lab P-1 birdc show route table "${2:-vprn2}" for "$1" all |
		awk -v net="$1" '$1 ~ /\// { prefix = $1 }
			match($0, /\[(segw[12](_6)?|vprn2_direct) /) {
				session = substr($0, RSTART + 1, RLENGTH - 2) }
			/BGP.local_pref:/ && prefix == net { print session, $2 }' | sort
}
p1_has() { [ "$(at_p1 "$1" | paste -sd, -)" = "$2" ]; }
p1_has6() { [ "$(at_p1 "$1" vprn2_6 | paste -sd, -)" = "$2" ]; }

CE1_6=2001:db8:a1::1/128
route6() { lab "$1" ip -6 route replace table 2 "$2" dev tunnel-1 proto "$3"; }

# Withdrawals that P-1 counted from a session.
withdrawals()
{
	lab P-1 birdc show protocols all "$1" |
		awk '/Import withdraws:/ { print $3 }'
}

# Prefixes of the gateway's VPRN table for which a filter function is true.
true_for()
{
	lab "$1" birdc show route table vprn2 where "$2" |
		awk '$1 ~ /\// { print $1 }' | paste -sd, -
}

plan 26
check "topology is up" topo_up || tap_end
check "IPv6 on the SDPs, and in BIRD's files" bird_six $CE1_6
for node in SeGW-1 SeGW-2 P-1; do
	bird_start "$node" || fail "BIRD of $node takes its file"
done

CE1=192.168.1.1/32
route SeGW-1 $CE1 211
route SeGW-2 $CE1 213
check_wait "master/standby: P-1 has 200 and 100" 60 p1_has $CE1 "segw1 200,segw2 100"
check_wait "192.168.20.0/30 comes from both at 100" 20 \
	p1_has 192.168.20.0/30 "segw1 100,segw2 100"
check_wait "P-1's kernel sends to SeGW-1" 10 \
	eval 'lab P-1 ip route get vrf vprn2 192.168.1.1 | grep -q "dev sdp-200"'

before="$(withdrawals segw1) $(withdrawals segw2)"
route SeGW-1 $CE1 213
route SeGW-2 $CE1 211
check_wait "switchover: SeGW-1 falls to 100; SeGW-2 has 200" 10 \
	p1_has $CE1 "segw1 100,segw2 200"
check_wait "P-1's kernel follows to SeGW-2" 10 \
	eval 'lab P-1 ip route get vrf vprn2 192.168.1.1 | grep -q "dev sdp-300"'
check_is "without a withdrawal" "$before" eval 'echo "$(withdrawals segw1) $(withdrawals segw2)"'

route SeGW-1 $CE1 212
route SeGW-2 $CE1 212
check_wait "dual master: SeGW-1 is the designated one, 200 to 100" 10 \
	p1_has $CE1 "segw1 200,segw2 100"

# Reverse routes of dynamic tunnels, by 201..203; not in the prefix list.
route SeGW-1 192.168.1.2/32 201
route SeGW-1 192.168.1.3/32 202
route SeGW-1 192.168.1.4/32 203
check_wait "a prefix outside the list keeps 100 whatever its state" 10 \
	p1_has 192.168.1.2/32 "segw1 100"
check_is "ipsec_master_with_peer()" 192.168.1.2/32 true_for SeGW-1 "ipsec_master_with_peer()"
check_is "ipsec_master_without_peer()" 192.168.1.1/32,192.168.1.3/32 \
	eval 'true_for SeGW-1 "ipsec_master_without_peer()" | tr , "\n" | sort | paste -sd, -'
check_is "ipsec_non_master()" 192.168.1.4/32 true_for SeGW-1 "ipsec_non_master()"
check_is "protocol_ipsec(): reverse routes, not the static one" \
	192.168.1.2/32,192.168.1.3/32,192.168.1.4/32 \
	eval 'true_for SeGW-1 "protocol_ipsec()" | tr , "\n" | sort | paste -sd, -'

# Negative controls: foreign routes in the same table, and a withdrawal that
# the counter of the test above has to see.
lab SeGW-1 ip route add table 2 192.168.1.5/32 dev tunnel-1 proto static
lab SeGW-1 ip route add table 2 192.168.1.6/32 dev tunnel-1 proto 204
route SeGW-1 192.168.1.7/32 203
check_wait "(a later route has arrived)" 10 p1_has 192.168.1.7/32 "segw1 100"
lab P-1 birdc show route table vprn2 >/run/at-p1
check "control: routes of other protocols stay at home" \
	eval 'grep -q "^192.168.1.7/32" /run/at-p1 && ! grep -E "^192.168.1.(5|6)/32" /run/at-p1'
before=$(withdrawals segw1)
lab SeGW-1 ip route del table 2 192.168.1.7/32
check_wait "control: a deleted route is a withdrawal" 10 \
	eval '[ "$(withdrawals segw1)" -eq $((before + 1)) ]'

# Public side: learned with its state, and OSPF keeps it to itself.
lab SeGW-1 ip route replace 10.10.20.1/32 dev int-IPsec-Pub-1 proto 201
check_wait "the gateway's /32 is in the base table with its state" 10 \
	eval 'lab SeGW-1 birdc show route table master4 where "protocol_ipsec()" | grep -q "^10.10.20.1/32"'
lab P-1 birdc show route table master4 >/run/at-p1
check "OSPF announces the system addresses, no gateway address" \
	eval 'grep -q "^192.0.2.1/32" /run/at-p1 && ! grep "^10.10.20" /run/at-p1'

# Over IPv6: private routes by BGP, the gateway's /128 in the base table.
route6 SeGW-1 $CE1_6 211
route6 SeGW-2 $CE1_6 213
check_wait "IPv6, master/standby: P-1 has 200 and 100" 60 p1_has6 $CE1_6 "segw1_6 200,segw2_6 100"
check_wait "IPv6: P-1's kernel sends to SeGW-1" 10 \
	eval 'lab P-1 ip -6 route get vrf vprn2 2001:db8:a1::1 | grep -q "dev sdp-200"'
before="$(withdrawals segw1_6) $(withdrawals segw2_6)"
route6 SeGW-1 $CE1_6 213
route6 SeGW-2 $CE1_6 211
check_wait "IPv6, switchover: SeGW-1 falls to 100; SeGW-2 has 200" 10 p1_has6 $CE1_6 "segw1_6 100,segw2_6 200"
check_is "IPv6: without a withdrawal" "$before" eval 'echo "$(withdrawals segw1_6) $(withdrawals segw2_6)"'
route6 SeGW-1 $CE1_6 212
route6 SeGW-2 $CE1_6 212
check_wait "IPv6, dual master: SeGW-1 is the designated one" 10 p1_has6 $CE1_6 "segw1_6 200,segw2_6 100"
route6 SeGW-1 $CE1_6 214
check_wait "IPv6: SeGW-1 is fenced, its route goes" 10 p1_has6 $CE1_6 "segw2_6 100"
lab SeGW-1 ip -6 route replace 2001:db8:20::1/128 dev int-IPsec-Pub-1 proto 201
check_wait "the gateway's /128 is in the base table with its state" 10 \
	eval 'lab SeGW-1 birdc show route table master6 where "protocol_ipsec()" | grep -q "^2001:db8:20::1/128"'
tap_end
