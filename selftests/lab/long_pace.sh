#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_pace.sh - the rekeys of a new master, judged on the wire: their rate, then, after a
# reload, jitter, which spreads them (in-flight: long_hundred.sh). Seed "Automatic CHILD_SA
# Rekey". Control: without jitter the same rekeys take what the rate says.

CUSTOMERS=20
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/pace.sh"

ALL=$((CUSTOMERS + 1))	# and tunnel-1
JITTER=20

scene_configure()
{
	relaxed_timers "$1"
	customers_files "$1"
	pace_is "$1" 2 0 10
	[ "$1" = SeGW-1 ] || customers_net
}
# pace RATE JITTER IN-FLIGHT: on both from now on
pace()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		pace_is "$node" "$@" && lab "$node" mcipsec reload >/dev/null || return 1
	done
}
# takes_over: four points; sets M, who takes over, and since
takes_over()
{
	local from=SeGW-1
	check_wait "all are on both chassis, protection status nominal" 120 settled
	M=SeGW-2
	if mc_is SeGW-2 mastership master; then from=SeGW-2 M=SeGW-1; fi
	check_not "and $M shows no rekeys" some_done $M $ALL
	spis=$(child_spis) since=$EPOCHREALTIME
	force $from $M
}
# done_by_all: three points. Sets seen.
done_by_all()
{
	check_wait "every CHILD_SA is rekeyed" 120 all_rekeyed
	check_wait "$ALL of $ALL are done, none has failed" 60 all_done $M $ALL
	seen=$(rekeys $M "$since")
	diag "rekeys on the wire: $seen"
	check "each customer was asked once" jq_ok ".begun == $ALL and .again == 0 and .left == 0" <<<"$seen"
}

plan $((SCENE_POINTS + 1 + 4 + 3 + 2 + 1 + 4 + 3 + 2 + 3))
scene_up
entries=$((2 + 2 * CUSTOMERS))
check "$CUSTOMERS customers set up their tunnels" customers_up
ike=$(customers_ike)

takes_over
done_by_all
check "2 a second: $ALL take 10 s" jq_ok '.seconds >= 9' <<<"$seen"
check "control: without jitter not much more" jq_ok '.seconds <= 16' <<<"$seen"

check "jitter is to be $JITTER s, the rate 5 a second" pace 5 $JITTER 10
takes_over
done_by_all
check "spread over $JITTER s, for which 5 a second would need 4" jq_ok ".seconds >= $((JITTER / 2))" <<<"$seen"
check "and none of them later" jq_ok ".first + .seconds <= $JITTER + $ALL / 5 + 5" <<<"$seen"

check "no customer has authenticated anew" ike_same
check_wait "every customer's ping is answered" 60 customers_ping
check_wait "nominal" 60 settled
scene_end
