#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_hundred.sh - how long a switchover leaves the tunnels without protection. With one
# tunnel 10 s, with a hundred customers on a dynamic one a minute, all of it emulated.
# Planned, then by power loss: no customer authenticates anew, and every CHILD_SA gets
# rekeyed.

CUSTOMERS=100
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"

scene_configure()
{
	customers_files "$1"
	[ "$1" = SeGW-1 ] || customers_net
}
settled() { sync_is SeGW-1 num_entries "$entries" && sync_is SeGW-2 num_entries "$entries" && nominal; }
child_spis() { lab CE-1 swanctl --list-sas --raw | grep -oE 'spi-in=[0-9a-f]+' | sort -u; }
# all_rekeyed: none of the SPIs of before is left. ike_same: all authenticated once.
all_rekeyed() { [ "$(child_spis | wc -l)" -ge "$CUSTOMERS" ] && [ -z "$(comm -12 <(echo "$spis") <(child_spis))" ]; }
ike_same() { [ "$(customers_ike)" = "$ike" ]; }
# nominal_again WITHIN WHAT: since $t, in seconds
nominal_again()
{
	check_wait "$2: settled" $(($1 * 3)) settled
	t=$(($(now_ms) - t))
	diag "$2: nominal after $t ms"
	check "$2: nominal again within $1 s" test "$t" -le $(($1 * 1000))
}
force()	# FROM TO: two points. Sets t, to when it was asked for.
{
	t=$(now_ms)
	check "force-switchover" hand_over "$1"
	check_wait "$2 is master" 30 roles "$1" standby "$2" master
}

plan $((SCENE_POINTS + 25))
scene_up
entries=2
force SeGW-1 SeGW-2
nominal_again 10 "one tunnel, planned"
force SeGW-2 SeGW-1
nominal_again 10 "one tunnel, and back"
entries=$((2 + 2 * CUSTOMERS))
check "$CUSTOMERS customers set up their tunnels" customers_up
check_wait "all are on both chassis, protection status nominal" 300 settled
ike=$(customers_ike) spis=$(child_spis)

force SeGW-1 SeGW-2
nominal_again 60 "$CUSTOMERS customers, planned"
check_wait "every customer's ping is answered" 120 customers_ping
check_wait "every CHILD_SA is rekeyed" 300 all_rekeyed
check "no customer has authenticated anew" ike_same
check_wait "nominal" 120 settled

spis=$(child_spis)
node_cut SeGW-2
node_destroy SeGW-2
check_wait "SeGW-2 has lost power: SeGW-1 serves" 30 gate_is SeGW-1 forward
check_wait "every customer's ping is answered" 120 customers_ping
poll 60 node_gone SeGW-2
node_up SeGW-2
lab SeGW-2 cat /sys/class/net/int-SeGW2-S1/address >"$LAB_DIR/SeGW-2/mac"
customers_net_gateway SeGW-2
check "SeGW-2 boots" gateway_start SeGW-2
t=$(now_ms)
nominal_again 60 "$CUSTOMERS customers, filled again"
check_wait "every CHILD_SA is rekeyed" 300 all_rekeyed
check "no customer has authenticated anew" ike_same
scene_end
