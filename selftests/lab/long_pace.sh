#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_pace.sh - the rekeys of a new master, key by key of [isa.tunnel-group.N.rekey], each
# set by a reload and judged on the wire: rate, jitter, in-flight; and customers whose
# answers get lost, so that the rekey is tried again until it is done, with its progress to
# be read all the while. Seed "Automatic CHILD_SA Rekey".
# Control: without jitter the same rekeys begin one after the other and end long before;
# while all customers answer, none is sent again.

CUSTOMERS=20
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/pace.sh"

ALL=$((CUSTOMERS + 1))	# and tunnel-1
JITTER=20 FLYING=4 SILENT=6

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
# takes_over [CMD...]: four points and what CMD is; sets M, who takes over, and since
takes_over()
{
	local from=SeGW-1
	check_wait "all are on both chassis, protection status nominal" 120 settled
	M=SeGW-2
	if mc_is SeGW-2 mastership master; then from=SeGW-2 M=SeGW-1; fi
	check_not "and $M shows no rekeys" some_done $M $ALL
	"$@"
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

# What the first customers answer gets lost, until they are heard again.
silent() { lab CE-1 nft "table ip silent { chain out { type filter hook output priority 0; ip saddr 10.10.11.1-10.10.11.$SILENT udp sport 500 counter drop; }; }"; }
heard() { lab CE-1 nft delete table ip silent; }
# stuck NODE: as many as may be under way are, others wait. Sets begun.
stuck()
{
	counter_is "$1" rekeys_in_flight $FLYING && [ "$(counter "$1" rekeys_pending)" -ge $((SILENT - FLYING)) ] || return 1
	begun=$(rekeys "$1" "$since" | jq -c '[.begun, .open, .left]')
	[ "$(jq '.[2]' <<<"$begun")" = $FLYING ]
}
# sent_again NODE COUNT: of each that is stuck so many times the request
sent_again() { rekeys "$1" "$since" | jq_ok ".again >= $(($2 * FLYING))"; }
# others_done NODE: everybody's who answers
others_done() { [ "$(counter "$1" rekeys_done)" = $((ALL - SILENT)) ] && [ "$(tunnel "$1" rekey)" = "$((ALL - SILENT)) of $ALL done" ]; }

plan $((SCENE_POINTS + 1 + 4 + 3 + 2 + 1 + 4 + 3 + 2 + 1 + 5 + 9 + 5))
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

check "$FLYING under way at most, no jitter" pace 5 0 $FLYING
takes_over check "the answers of $SILENT customers get lost" silent
check_wait "$FLYING are under way, others wait for their turn" 40 stuck $M
diag "begun, at most open, open now: $begun"
check "on the wire never more than $FLYING were under way" test "$(jq '.[1]' <<<"$begun")" = $FLYING
check_wait "each of these is asked again, and again" 50 sent_again $M 2
check_is "and nobody else meanwhile" "$begun" eval 'rekeys $M "$since" | jq -c "[.begun, .open, .left]"'
check "its progress can be read" some_done $M $ALL
diag "$progress, in flight $(counter $M rekeys_in_flight), pending $(counter $M rekeys_pending)"
check_wait "after a minute the others get their turn, and are done" 150 others_done $M
diag "$(tunnel $M rekey), in flight $(counter $M rekeys_in_flight), pending $(counter $M rekeys_pending)"
check "none is given up" counter_is $M rekeys_failed 0
check_not "control: not all CHILD_SAs are rekeyed" all_rekeyed
check "the $SILENT are heard again" heard

check_wait "every CHILD_SA is rekeyed" 150 all_rekeyed
check_wait "$ALL of $ALL are done, none has failed" 60 all_done $M $ALL
check "no customer has authenticated anew" ike_same
check_wait "every customer's ping is answered" 60 customers_ping
check_wait "nominal" 60 settled
scene_end
