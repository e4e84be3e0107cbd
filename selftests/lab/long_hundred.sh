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

RATE=5 JITTER=2 FLYING=4
scene_configure()
{
	customers_files "$1"
	printf '[isa.tunnel-group.1.rekey]\nrate = %d\njitter = %d\nin-flight = %d\n' $RATE $JITTER $FLYING \
		>"$LAB_DIR/$1/etc/mcipsec/conf.d/rekey.toml"
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

# rekeys NODE SINCE: the CREATE_CHILD_SA requests that NODE began, as the switch saw them: how
# many, in how many seconds, the most in any one second, the most that had no answer yet at
# one time, the shortest time between two
rekeys()
{
	python3 -c '
import json, sys
sys.path.insert(0, sys.argv[1])
import capture
begun, open_, most, times = set(), set(), 0, []
for when, mac, source, _, kind, fields, _ in capture.packets(sys.argv[2], float(sys.argv[4])):
    if kind != "ike" or fields[2] != 36:
        continue
    key = fields[0], fields[4]
    if source == "10.10.20.1" and mac == sys.argv[3] and not fields[3] & capture.RESPONSE:
        if key not in begun:
            begun.add(key)
            open_.add(key)
            times.append(when)
            most = max(most, len(open_))
    elif source != "10.10.20.1" and fields[3] & capture.RESPONSE:
        open_.discard(key)
second = max((sum(1 for u in times if t <= u < t + 1) for t in times), default=0)
print(json.dumps({"begun": len(times), "seconds": round(times[-1] - times[0], 2) if times else 0, "second": second,
                  "open": most, "left": len(open_), "gap": round(min((b - a for a, b in zip(times, times[1:])), default=0), 3)}))
' "$LAB_SRC" "$OBS_DIR/public.pcap" "$(gateway_mac "$1")" "$2"
}
counter() { ask "$1" "$(find_object gate) | .counters.$2" show isa tunnel-group 1; }
all_done() { [ "$(counter "$1" rekeys_total)" = "$2" ] && [ "$(counter "$1" rekeys_done)" = "$2" ] && [ "$(counter "$1" rekeys_failed)" = 0 ]; }
# some_done NODE ALL: between the first and the last one. Sets progress.
some_done() { progress=$(tunnel "$1" rekey) && [[ $progress =~ ^([0-9]+)\ of\ $2\ done$ ]] && [ "${BASH_REMATCH[1]}" -gt 0 ] && [ "${BASH_REMATCH[1]}" -lt "$2" ]; }
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
jq_ok() { jq -e "$@" >/dev/null; }
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
