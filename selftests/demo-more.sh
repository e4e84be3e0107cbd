#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# demo-more.sh - what the seed says beyond its steps 8 to 12, on the same topology:
# two tunnel-groups with opposite masters (table 12), a dynamic tunnel with several
# customers, dual master, a power loss that takes one mastership of two. Runs in a
# lab guest; continues demo.sh in manner and numbering.
#
# usage: demo-more.sh [--tap]
# Exit 0 only if everything held.

here=$(cd "$(dirname "$0")" && pwd)
[ "${1:-}" != --tap ] || TAP_ONLY=1
CUSTOMERS=3
. "$here/lab/scene.sh"
. "$here/lab/two-groups.sh"
. "$here/lab/customers.sh"
. "$here/lab/dual-master.sh"
. "$here/demo-lib.sh"

scene_configure()
{
	two_groups_files "$1"
	customers_files "$1"
	[ "$1" = SeGW-1 ] || { two_groups_net && customers_net; }
}
nominal() { all_nominal; }
ike_spis_of() { lab CE-1 swanctl --list-sas --ike "$1" --raw | grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u; }
show_group() { show "$1" mcipsec show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")" tunnel-group "$2"; }
show_reverse() { show "$1" ip route show table 2 dev customers; }
# reverse_is NODE PROTOCOL: the reverse routes of all customers
reverse_is() { [ "$(lab "$1" ip route show table 2 dev customers proto "$2" | grep -c '^192\.168\.3\.')" = "$CUSTOMERS" ]; }
p1_knows() { [ "$(lab P-1 birdc show route table vprn2 primary | grep -c '^192\.168\.3\.')" = "$CUSTOMERS" ]; }
both_ping() { ping_ce && ping_ce_2; }
force() { show "$1" mcipsec tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group "$2" now wait 30; }
dual_master_seen()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		show_group "$node" 1
		show_reverse "$node"
	done
}

say "Multi-chassis IPsec, more of it: CE-1, S-1, SeGW-1, SeGW-2 and P-1 on $(uname -r)"
say "Timers as in the demo: BFD 500 ms x 3, MIMP 1 s x 3, discovery 20 s, VRRPv3 100 ms"

step 15 "two tunnel-groups: SeGW-1 (200) for the first, SeGW-2 (200) for the second"
scene_up || abort "no scene"
check_wait "SeGW-1 is master of 1, SeGW-2 of 2: the seed's table 12" 30 masters SeGW-1 SeGW-2 || abort "no opposite masters"
check_wait "CE-1's second tunnel comes up through SeGW-2" 40 ping_ce_2 || abort "no second tunnel"
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal
for node in "${GATEWAYS[@]}"; do
	show_group "$node" 1
	show_group "$node" 2
done
show_vrrp SeGW-1
tunnel_1=$(ike_spis_of tunnel-1) tunnel_2=$(ike_spis_of tunnel-2)

step 16 "each group is handed over alone"
switchover_begin "group 2: SeGW-2 > SeGW-1, group 1"
force SeGW-2 2
check_wait "SeGW-1 is master of both" 30 masters SeGW-1 SeGW-1
check_wait "the second tunnel goes on" 20 ping_ce_2
switchover_end 0
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal
force SeGW-1 2
check_wait "and back: SeGW-1 is master of 1, SeGW-2 of 2, nominal" 60 eval 'masters SeGW-1 SeGW-2 && all_nominal'

step 17 "a dynamic tunnel: $CUSTOMERS customers on one connection"
check "the customers set up their tunnels" customers_up || abort "no customers"
check_wait "a reverse route for each: ipsec-master-with-peer on SeGW-1 (proto 201)" 20 reverse_is SeGW-1 201
check_wait "ipsec-non-master on SeGW-2 (203)" 20 reverse_is SeGW-2 203
show_reverse SeGW-1
show_reverse SeGW-2
check_wait "P-1 learns all of them" 30 p1_knows
check_wait "every customer's ping is answered" 40 customers_ping
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal
show SeGW-2 mcipsec show ipsec tunnel
scene_ike=$(ce_ike_spis) customers=$(customers_ike) t_up=$EPOCHREALTIME

step 18 "dual master: both live, but do not hear each other"
dual_master_stays $((1 + CUSTOMERS))
check_wait "every customer's ping is answered" 40 customers_ping
check_is "no customer has authenticated anew" "$customers" customers_ike

step 19 "SeGW-1 loses power: SeGW-2 serves both groups"
switchover_begin "power loss of SeGW-1"
node_cut SeGW-1
node_destroy SeGW-1 &
destroyer=$!
check_wait "SeGW-2 is eligible for both groups" 20 eval 'mc_group_is SeGW-2 1 mastership eligible && mc_group_is SeGW-2 2 mastership eligible'
wait "$destroyer"
check_wait "its reverse routes are ipsec-master-without-peer (202)" 20 reverse_is SeGW-2 202
check_wait "both static tunnels go on" 40 both_ping
check_wait "every customer's ping is answered" 60 customers_ping
switchover_end
show_reverse SeGW-2
show_vrrp SeGW-2

step 20 "what held all the time"
check_no_new_ike "$t_up" 17
check_is "the static tunnel of group 1 has its IKE_SA of step 15" "$tunnel_1" ike_spis_of tunnel-1
check_is "that of group 2, too" "$tunnel_2" ike_spis_of tunnel-2
check_is "and the customers theirs of step 17" "$customers" customers_ike
check_sequence_numbers 1000

say_summary
tap_end
