#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_hundred.sh - how long a switchover leaves the tunnels without protection. With one
# tunnel 10 s, with a hundred customers on a dynamic one a minute, all of it emulated.
# Planned, then by power loss: no customer authenticates anew, and every CHILD_SA gets
# rekeyed, at the pace of the configuration: RATE a second, each up to JITTER later than its
# turn, never more than FLYING under way. Seed "Automatic CHILD_SA Rekey".
#
# Before that output commit under load: WAVE customers at a time rekey at once, how long their
# answers are held, and what is counted where nearly all of them leave at the limit.

CUSTOMERS=100
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/pace.sh"

RATE=5 JITTER=2 FLYING=4 WAVE=20
scene_configure()
{
	relaxed_timers "$1"	# a storm of rekeys starves an emulated gateway, too
	customers_files "$1"
	pace_is "$1" $RATE $JITTER $FLYING
	[ "$1" = SeGW-1 ] || customers_net
}
# nominal_at NODE: when its log said so, ms since the boot, if that is its last word
nominal_at() { sed -n 's/^\[ *\([0-9]*\)\.\([0-9]\{3\}\).*tunnel-group 1: protection status \([a-zA-Z]*\).*/\1\2 \3/p' "$LAB_DIR/$1/log/mcipsecd.out" | tail -n 1 | sed -n 's/ nominal$//p'; }
# nominal_again WITHIN WHAT: both since $t, in seconds. To ask them may take seconds itself.
nominal_again()
{
	local node at last=0
	check_wait "$2: settled" $(($1 * 3)) settled
	for node in "${GATEWAYS[@]}"; do
		at=$(nominal_at "$node")
		last=$((${at:-999999999} > last ? ${at:-999999999} : last))
	done
	diag "$2: nominal after $((last - t)) ms, seen so after $(($(now_ms) - t)) ms"
	check "$2: nominal again within $1 s" test "$last" -le $((t + $1 * 1000))
}

# most_begun NODE SINCE: the most rekeys that NODE began within so many seconds, as JSON
most_begun()
{
	python3 -c '
import bisect, json, sys
sys.path.insert(0, sys.argv[1])
import capture
first = {}
for when, mac, source, _, kind, fields, _ in capture.packets(sys.argv[2], float(sys.argv[4])):
    if (kind == "ike" and source == "10.10.20.1" and mac == sys.argv[3] and not fields[3] & capture.RESPONSE
            and capture.EXCHANGES.get(fields[2]) == "CREATE_CHILD_SA"):
        first.setdefault((fields[0], fields[4]), when)
begun = sorted(first.values())
print(json.dumps({w: max((bisect.bisect_left(begun, t + w) - n for n, t in enumerate(begun)), default=0)
                  for w in (1, 2, 5, 10)}))
' "$LAB_SRC" "$OBS_DIR/public.pcap" "$(gateway_mac "$1")" "$2"
}
# within_pace RATE <most_begun: within W seconds the pacer gives RATE * W + 1 their turn, one
# of them late. A busy guest may see on the wire besides what it was given before that: no more
# than may be under way.
within_pace() { jq_ok "length == 4 and all(to_entries[]; .value <= $1 * (.key | tonumber) + 1 + $FLYING)"; }

# paced NODE SINCE ALL
paced()
{
	local most
	check_wait "$3 of $3 rekeys are done" 120 all_done "$1" "$3"
	seen=$(rekeys "$1" "$2") most=$(most_begun "$1" "$2")
	diag "rekeys on the wire: $seen, the most in so many seconds: $most"
	check "each has begun on the wire" test "$(jq .begun <<<"$seen")" -ge "$3" -a "$(jq .left <<<"$seen")" = 0
	check "$RATE a second, whichever seconds are looked at" within_pace $RATE <<<"$most"
	check_not "control: for $((RATE - 2)) a second that is too many" within_pace $((RATE - 2)) <<<"$most"
	check "none of them in one go: they take what the pace says" jq_ok ".seconds >= ($3 - 1) / $RATE * 0.9" <<<"$seen"
	check "never more than $FLYING under way" test "$(jq .open <<<"$seen")" -le $FLYING -a "$(jq .open <<<"$seen")" -ge 1
}

# Output commit: as SeGW-1 shows it, and as its charon counts.
detail() { ask SeGW-1 "$(find_object db_sync_state) | $1" show redundancy multi-chassis sync detail; }
held_counts() { echo "$(charon_says SeGW-1 held-total) $(charon_says SeGW-1 held-expired)"; }
shown_as_counted() { unchanged "$(held_counts)" detail '"\(.held_total) \(.held_expired)"'; }
rose() { [ "$(charon_says SeGW-1 "$1")" -ge $(($2 + $3)) ]; }	# NAME FROM BY
# held_to_limit: the time of each packet counts that was held, of one that left at the limit,
# too. The timer that ends it may be late in a guest whose processors are all taken, but not
# for every other packet, nor by twice the limit.
held_to_limit()
{
	local held
	held=$(detail '{total: .held_total, expired: .held_expired, median: .held_median, p99: .held_p99}')
	diag "held by output commit, in seconds: $(jq -c . <<<"$held"), limit $(charon_says SeGW-1 commit-limit-ms) ms"
	jq_ok --argjson n "$CUSTOMERS" --argjson limit "$(charon_says SeGW-1 commit-limit-ms)" \
		'.total >= $n and .median > 0 and .median < .p99 and .median <= 1.1 * $limit / 1000 and .p99 <= 3 * $limit / 1000' <<<"$held"
}
# limit [MS]: on SeGW-1 from now on; the default
limit()
{
	local file=$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/limit.toml ms=${1:-200}
	rm -f "$file"
	[ $# = 0 ] || printf '[redundancy.multi-chassis.peer."192.0.2.2".sync.ipsec]\noutput-commit-limit = %s\n' "$ms" >"$file"
	lab SeGW-1 mcipsec reload >/dev/null && poll 20 eval '[ "$(charon_says SeGW-1 commit-limit-ms)" = "$ms" ]'
}
# in_waves: all customers rekey, some at a time
old_left() { [ "$(child_spis | wc -l)" -ge "$CUSTOMERS" ] && [ "$(comm -12 <(echo "$spis") <(child_spis) | wc -l)" -le "$1" ]; }
in_waves()
{
	local n
	for ((n = 0; n < CUSTOMERS; n += WAVE)); do
		customers_rekey $((n + 1)) $((n + WAVE)) && wait_for "wave of customer $((n + 1))" 60 old_left $((CUSTOMERS - n - WAVE)) || return 1
	done
}
# storm: 4 points; sets held and expired to what was counted before
storm()
{
	local t0=$EPOCHREALTIME
	spis=$(comm -23 <(child_spis) <(lab CE-1 swanctl --list-sas --raw --ike tunnel-1 | grep -oE 'spi-in=[0-9a-f]+' | sort -u))
	held=$(charon_says SeGW-1 held-total) expired=$(charon_says SeGW-1 held-expired)
	check "each has a CHILD_SA" test "$(wc -l <<<"$spis")" -ge "$CUSTOMERS"
	check "$CUSTOMERS customers rekey, $WAVE at once, beside the flow" in_waves
	check_wait "an answer of each was held" 20 rose held-total "$held" "$CUSTOMERS"
	check_wait "all are on both chassis, protection status nominal" 300 settled
	diag "held and expired before: $held $expired, now: $(held_counts), flow lost $(scene_lost "$t0" "$EPOCHREALTIME")"
}

plan $((SCENE_POINTS + 29 + 6 + 15))
scene_up
entries=2
force SeGW-1 SeGW-2
nominal_again 10 "one tunnel, planned"
force SeGW-2 SeGW-1
nominal_again 10 "one tunnel, and back"
entries=$((2 + 2 * CUSTOMERS))
check "$CUSTOMERS customers set up their tunnels" customers_up
check_wait "all are on both chassis, protection status nominal" 300 settled
check "each answer was held until SeGW-2 had the record, or to the limit" held_to_limit
ike=$(customers_ike)

check "the limit is to be 5 s" limit 5000
storm
check "each has left when SeGW-2 had the record: none at the limit" unchanged "$expired" charon_says SeGW-1 held-expired
check "median and 99th percentile" held_to_limit
check_wait "SeGW-1 shows what its charon has counted" 60 shown_as_counted
check "the limit is to be 10 ms" limit 10
storm
check "nearly all have left at the limit" rose held-expired "$expired" $((CUSTOMERS / 2))
check_wait "each is counted: SeGW-1 shows what its charon has counted" 60 shown_as_counted
check "the limit is as before" limit
check "no customer has authenticated anew" ike_same

spis=$(child_spis) since=$EPOCHREALTIME
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
