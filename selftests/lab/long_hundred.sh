#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_hundred.sh - how long a switchover leaves the tunnels without protection. With one
# tunnel 10 s, with a hundred customers on a dynamic one a minute, all of it emulated.
# Planned, then by power loss: no customer authenticates anew, and every CHILD_SA gets
# rekeyed, at the pace of the configuration: RATE a second, each up to JITTER later than its
# turn, never more than FLYING under way. Seed "Automatic CHILD_SA Rekey".

CUSTOMERS=100
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/pace.sh"

RATE=5 JITTER=2 FLYING=4
scene_configure()
{
	customers_files "$1"
	pace_is "$1" $RATE $JITTER $FLYING
	[ "$1" = SeGW-1 ] || customers_net
}
# nominal_again WITHIN WHAT: since $t, in seconds
nominal_again()
{
	check_wait "$2: settled" $(($1 * 3)) settled
	t=$(($(now_ms) - t))
	diag "$2: nominal after $t ms"
	check "$2: nominal again within $1 s" test "$t" -le $(($1 * 1000))
}

# paced NODE SINCE ALL: one late start may be made up for, so in a second there is one more.
paced()
{
	check_wait "$3 of $3 rekeys are done" 120 all_done "$1" "$3"
	seen=$(rekeys "$1" "$2")
	diag "rekeys on the wire: $seen"
	check "each has begun on the wire" test "$(jq .begun <<<"$seen")" -ge "$3" -a "$(jq .left <<<"$seen")" = 0
	check "$RATE a second, one late one besides" test "$(jq .second <<<"$seen")" -le $((RATE + 2))
	check "none of them in one go: they take what the pace says" jq_ok ".seconds >= ($3 - 1) / $RATE * 0.9" <<<"$seen"
	check "never more than $FLYING under way" test "$(jq .open <<<"$seen")" -le $FLYING -a "$(jq .open <<<"$seen")" -ge 1
}
# held_within SECONDS: output commit, as SeGW-1 shows it. Of an answer that waited for the
# acknowledgement of its record the time is known, not of one that left at the limit.
held_within()
{
	local held
	held=$(ask SeGW-1 "$(find_object db_sync_state) | {total: .held_total, expired: .held_expired, median: .held_median, p99: .held_p99}" \
		show redundancy multi-chassis sync detail)
	diag "held by output commit, in seconds: $held"
	jq_ok --argjson n "$CUSTOMERS" --argjson most "$1" '.total >= $n and .median > 0 and .median <= .p99 and .p99 <= $most' <<<"$held"
}

plan $((SCENE_POINTS + 26 + 6))
scene_up
entries=2
force SeGW-1 SeGW-2
nominal_again 10 "one tunnel, planned"
force SeGW-2 SeGW-1
nominal_again 10 "one tunnel, and back"
entries=$((2 + 2 * CUSTOMERS))
check "$CUSTOMERS customers set up their tunnels" customers_up
check_wait "all are on both chassis, protection status nominal" 300 settled
check "each answer was held until SeGW-2 had the record, or to the limit" held_within 1
ike=$(customers_ike) spis=$(child_spis)

since=$EPOCHREALTIME
force SeGW-1 SeGW-2
check_wait "SeGW-2 shows how far the rekeys are" 60 some_done SeGW-2 $((CUSTOMERS + 1))
diag "$progress"
nominal_again 60 "$CUSTOMERS customers, planned"
check_wait "every customer's ping is answered" 120 customers_ping
check_wait "every CHILD_SA is rekeyed" 300 all_rekeyed
paced SeGW-2 "$since" $((CUSTOMERS + 1))
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
