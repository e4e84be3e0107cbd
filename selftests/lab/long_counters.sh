#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_counters.sh - octets and packets of a tunnel go on over a switchover (the
# seed's "Statistics Collection"). Both gateways show the same sum. While nothing else
# is in the tunnel each ping counts once: through a planned switchover with its rekey,
# and over a planned restart of the master's agent, which hears its own count from the
# other. A power loss costs what came after the last sample; the gateway that comes back
# learns everything from the other.

. "$(dirname "$0")/scene.sh"

scene_configure()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	printf '[redundancy.multi-chassis.peer."%s".mc-ipsec]\nrestart-hold = 60\n' \
		"$(peer_address "$1")" >"$LAB_DIR/$1/etc/mcipsec/conf.d/hold.toml"
}
gone() { ! running "$1" mcipsecd; }
leave() { signal "$1" mcipsecd USR2 && poll 15 gone "$1"; }

# counters NODE: octets and packets of tunnel-1, in and out
counters() { ask "$1" "$(find_object octets_in) | \"\\(.octets_in) \\(.packets_in) \\(.octets_out) \\(.packets_out)\"" show ipsec tunnel tunnel-1 detail; }
packets_in() { ask "$1" "$(find_object octets_in) | .packets_in" show ipsec tunnel tunnel-1 detail; }
metric_in() { ask "$1" '[.. | objects | select(.name == "mcipsec_tunnel_packets_total" and .labels.direction == "in") | .value][0] | floor' stats; }
shows() { [ "$(counters "$1")" = "$2" ]; }
# quiet: both show the same numbers, twice.
quiet()
{
	local first
	first=$(counters SeGW-1)
	[ -n "$first" ] && shows SeGW-2 "$first" && pause 2000
	[ "$(counters SeGW-1) $(counters SeGW-2)" = "$first $first" ]
}
many() { awk -v c="$(counters "$1")" 'BEGIN { n = split(c, x); exit !(n == 4 && x[1] > 20000 && x[2] > 200 && x[3] > 20000 && x[4] > 200) }'; }
# pings N: each answered, none lost; 84 octets each way.
pings() { lab CE-1 ping -q -I vprn2 -I 192.168.1.1 -i 0.1 -W 5 -c "$1" 192.168.2.1 | grep -q "$1 received"; }
# plus COUNTERS PINGS: what they must be after so many more.
plus() { awk -v c="$1" -v n="$2" 'BEGIN { split(c, x); print x[1] + 84 * n, x[2] + n, x[3] + 84 * n, x[4] + n }'; }
flow_stop() { stop CE-1 flow && stop P-1 flow; }

# watch NODE: its counters, as often as it answers, until it is killed.
watch()
{
	local c
	while :; do
		c=$(counters "$1")
		[ -z "$c" ] || echo "$c"
		pause 500
	done >>"$OBS_DIR/$1.counters"
}
# steps_back NODE: how often one of the four fell.
steps_back() { awk '{ for (i = 1; i <= 4; i++) { if ($i < last[i]) bad++; last[i] = $i } } END { print bad + 0 }' "$OBS_DIR/$1.counters"; }
seen() { [ "$(wc -l <"$OBS_DIR/$1.counters")" -ge 10 ]; }

plan $((SCENE_POINTS + 29))
scene_up
check_wait "SeGW-1 counts what CE-1 and P-1 send" 60 many SeGW-1
check "the flow stops" flow_stop
check_wait "then both show the same" 30 quiet
for node in "${GATEWAYS[@]}"; do
	watch "$node" &
	watchers+=($!)
done
base=$(counters SeGW-1)

check "30 pings" pings 30
base=$(plus "$base" 30)
check_wait "SeGW-1 counts each once, each way" 20 shows SeGW-1 "$base"
check_wait "SeGW-2, which carries nothing, shows them too" 20 shows SeGW-2 "$base"

spis=$(ce_child_spis)
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "which rekeys" 60 eval '[ "$(ce_child_spis)" != "$spis" ]'
check_wait "protection status nominal on both" 60 nominal
check_wait "SeGW-2 shows what SeGW-1 did" 10 shows SeGW-2 "$base"
check "40 pings" pings 40
base=$(plus "$base" 40)
check_wait "SeGW-2 counts on from there" 20 shows SeGW-2 "$base"
check_wait "and SeGW-1 shows it" 20 shows SeGW-1 "$base"
check_is "the metric, too" "$(packets_in SeGW-1)" metric_in SeGW-1

kill "${watchers[@]}" 2>/dev/null
for node in "${GATEWAYS[@]}"; do
	check_is "no counter of $node ever fell" 0 steps_back "$node"
done
check "(they were looked at)" eval 'seen SeGW-1 && seen SeGW-2'

check "SeGW-2's agent is restarted" eval 'leave SeGW-2 && agent_start SeGW-2'
check_wait "protection status nominal on both" 60 nominal
check_wait "SeGW-2 has its counters again" 20 shows SeGW-2 "$base"
check "10 pings" pings 10
base=$(plus "$base" 10)
check_wait "each counts once" 20 eval 'shows SeGW-2 "$base" && shows SeGW-1 "$base"'

before=$(packets_in SeGW-1)
lab CE-1 ping -q -I vprn2 -I 192.168.1.1 -i 0.1 -c 400 192.168.2.1 >"$OBS_DIR/ping.out" &
pinger=$!
check "SeGW-2 is master" gate_is SeGW-2 forward
check_wait "pings go on" 20 eval '[ "$(packets_in SeGW-1)" -gt $((before + 50)) ]'
check "SeGW-2 loses power" node_kill SeGW-2
check_wait "SeGW-1 serves" 30 gate_is SeGW-1 forward
wait "$pinger"
answered=$(awk '/received/ { print $4 }' "$OBS_DIR/ping.out")
diag "$(grep received "$OBS_DIR/ping.out")"
# 10 a second, a sample every 0.1 s: 1 or 2 to lose; the rest is for an emulated node.
check_wait "of the pings that were answered hardly one is missing, none is counted twice" 20 \
	eval 'now=$(packets_in SeGW-1) && [ "$now" -ge $((before + answered - 30)) ] && [ "$now" -le $((before + 400)) ]'
diag "answered $answered, counted $(($(packets_in SeGW-1) - before))"
base=$(counters SeGW-1)
node_up SeGW-2
check "SeGW-2 comes back" gateway_start SeGW-2
check_wait "and learns what it had carried itself" 60 shows SeGW-2 "$base"
scene_end
