#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# measure.sh - switchovers of N loaded tunnels by several means (sides.sh), in one lab, one
# after the other. Runs in a guest; leaves in /results what peers.py makes figures of:
#	SIDE.events	a line of JSON for each switchover: when it began (t0), when all
#			flows were whole again (t1), when nothing was to be done any more (t2)
#	SIDE.ce1.flows, SIDE.p1.flows, SIDE.pcap	the flows, and IKE as the switch saw it
#	SIDE.lacks	why that side could not run
#
# The load is a flow each way in every tunnel, all set up by real IKE. Each repetition
# is a planned switchover, then a power loss of whoever is master, who comes back.
# The customers are the same for all sides, and made so that a cold failover looks as
# good as it can: a trap policy, no end to tries, and (unless --stock-ce) a peer that is dead
# is given up after DPD's delay and 12 s instead of 165 s.
#
# usage: measure.sh [--sides "SIDE..."] [--tunnels N] [--repetitions R] [--interval MS]
#                   [--watch S] [--stock-ce] [--relaxed]
# --relaxed: this project with the timers of relaxed_timers, for a guest beside others.

CUSTOMERS=1
words="$*"
sides='cold ha mcipsec' repetitions=1 interval=20 watch=100 stock_ce=0 relaxed=0
while [ $# -gt 0 ]; do
	case $1 in
	--sides) sides=$2; shift 2 ;;
	--tunnels) CUSTOMERS=$2; shift 2 ;;
	--repetitions) repetitions=$2; shift 2 ;;
	--interval) interval=$2; shift 2 ;;
	--watch) watch=$2; shift 2 ;;
	--stock-ce) stock_ce=1; shift ;;
	--relaxed) relaxed=1; shift ;;
	*) echo "measure.sh: unknown option $1" >&2; exit 2 ;;
	esac
done
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../lab/scene.sh"
. "$here/../../lab/customers.sh"
. "$here/sides.sh"

FLOWS=/mcipsec/build/lab-tools/flows
DPD=5 RETRANSMIT_TIMEOUT=2.0 RETRANSMIT_TRIES=2	# of the customers: 2 + 3.6 + 6.5 s
WARM=10		# s of load before each switchover
QUIET=3		# s without IKE: nothing is going on any more

side() { "${side}_$1" "${@:2}"; }
say() { printf '%s: %s\n' "$side" "$*"; }

# ---- files ----------------------------------------------------------------------------
customers_end()	# of the tunnels: CE-1
{
	local etc=$LAB_DIR/CE-1/etc
	rm -f "$etc/swanctl/conf.d/tunnel-1.conf"
	sed -i -e "s|^\(\t*\)mobike = no|&\n\1dpd_delay = ${DPD}s\n\1keyingtries = 0|" \
		-e 's|^\(\t*\)if_id_out = .*|&\n\1start_action = trap\n\1dpd_action = trap|' \
		"$etc/swanctl/conf.d/customers.conf"
	[ "$stock_ce" = 1 ] || sed -i \
		"s/^charon {/&\n\tretransmit_timeout = $RETRANSMIT_TIMEOUT\n\tretransmit_tries = $RETRANSMIT_TRIES/" \
		"$etc/strongswan.conf"
}

# ---- the lab of a side ------------------------------------------------------------------
no_ends() { ! ip -o link | grep -qE ' (w12|w1p|w2p)-'; }

lab_anew()
{
	local node
	topo_down
	wait_for "the last side's cables are gone" 60 no_ends || return 1
	for node in "${NODES[@]}"; do
		rm -rf "${LAB_DIR:?}/$node"
	done
	if grep -q '^mcipsec ' /proc/modules; then
		rmmod mcipsec
	fi
	[ "$side" != mcipsec ] || modprobe mcipsec || return 1
	topo_up || return 1
	[ "$side" != mcipsec ] || gateway_keys || return 1
	customers_net && customers_end
	for node in "${GATEWAYS[@]}"; do
		side configure "$node"
	done
}

side_up()
{
	lab_anew || return 1
	mkdir -p "$OBS_DIR"
	spawn S-1 tcpdump "${CAPTURE_OF[@]}" -w "$OBS_DIR/$side.pcap" 'udp port 500 or udp port 4500'
	bird_start P-1 && side start SeGW-1 && side start SeGW-2 && charon_start CE-1 || return 1
	[ "$side" = mcipsec ] || prefer SeGW-1
	wait_for "SeGW-1 is VRRP's master" 90 vrrp_is SeGW-1 MASTER || return 1
	say "daemons run, $CUSTOMERS tunnels are set up"
	customers_up || return 1
	M=SeGW-1 S=SeGW-2
	spawn CE-1 flows "$FLOWS" -d vprn2 -n "$CUSTOMERS" -i "$interval" -l 192.168.3.1 -L -r 192.168.2.1 -o "$OBS_DIR/$side.ce1.flows"
	spawn P-1 flows "$FLOWS" -d vprn2 -n "$CUSTOMERS" -i "$interval" -l 192.168.2.1 -r 192.168.3.1 -R -o "$OBS_DIR/$side.p1.flows"
	wait_for "all is ready and loaded" 300 settled
}

# ---- states -------------------------------------------------------------------------------
# whole: within the last 1.5 s every flow got packets at both ends, and as many in the
# second before.
whole() { whole_at ce1 && whole_at p1; }
whole_at()
{
	tail -n $((CUSTOMERS * (8000 / interval + 10))) "$OBS_DIR/$side.$1.flows" |
		awk -v n="$CUSTOMERS" -v now="${EPOCHREALTIME/./}" '
		$1 == "r" && NF == 5 && $5 > now - 1500000 { late[$2] }
		$1 == "r" && NF == 5 && $5 > now - 2500000 && $5 <= now - 1500000 { early[$2] }
		END { for (f in late) if (f in early) k++; exit k != n }'
}

# quiet: since QUIET seconds no IKE has crossed the switch.
quiet()
{
	local size now
	size=$(stat -c %s "$OBS_DIR/$side.pcap") now=$(now_ms)
	if [ "$size" != "$quiet_size" ]; then
		quiet_size=$size quiet_since=$now
	fi
	[ $((now - quiet_since)) -ge $((QUIET * 1000)) ]
}
settled() { whole && quiet && side ready "$M" "$S"; }
alone() { whole && quiet && side alone "$S"; }

# oseq NODE: the most that one of its SAs has sent.
oseq()
{
	local number most=0
	for number in $(lab "$1" ip xfrm state list src 10.10.20.1 | sed -n 's/.*oseq \(0x[0-9a-f]*\).*/\1/p'); do
		((number <= most)) || most=$((number))
	done
	echo "$most"
}

# asleep: how often a gateway of ours found that it had not run: then the emulation stood
# still, and what is measured is that.
asleep() { cat "$LAB_DIR"/SeGW-*/log/mcipsecd.out 2>/dev/null | grep -c 'this node was asleep'; }

# ---- events ---------------------------------------------------------------------------------
# event_begin NAME: an even stretch of load, then it counts. Not out of a state that the
# machine brought about, by leaving all of it alone for a second: then the load begins anew.
event_begin()
{
	local try
	event=$1
	for try in 1 2 3 4; do
		t0=$EPOCHREALTIME slept=$(asleep)
		poll $((WARM + 10)) eval 'later $WARM'
		if [ "$(asleep)" = "$slept" ] && whole && side ready "$M" "$S"; then
			numbers=$(oseq "$M") t0=$EPOCHREALTIME
			return
		fi
		say "disturbed before it began ($try)"
		wait_for "both are ready" 120 settled || return 1
	done
	return 1
}

# later S: that many seconds after it began
later() { awk -v t="$t0" -v s="$1" -v now="$EPOCHREALTIME" 'BEGIN { exit now < t + s }'; }

# event_end DONE: it is written down.
event_end()
{
	local t1 t2 is_whole=true is_settled=true
	poll 10 eval 'later 4'	# whole looks back 2.5 s
	poll "$watch" whole || is_whole=false
	t1=$EPOCHREALTIME quiet_size=
	wait_for "nothing is to be done any more" 120 "$@" || is_settled=false
	t2=$EPOCHREALTIME
	jq -nc --arg side "$side" --arg event "$event" --arg from "$M" \
		--argjson tunnels "$CUSTOMERS" --argjson repetition "$repetition" --argjson interval_ms "$interval" \
		--argjson t0 "$t0" --argjson t1 "$t1" --argjson t2 "$t2" --argjson warm "$WARM" --argjson watch "$watch" \
		--argjson whole $is_whole --argjson settled $is_settled --argjson oseq "$numbers" --argjson stock_ce "$stock_ce" --argjson relaxed "$relaxed" \
		--argjson asleep $(($(asleep) - slept)) \
		'$ARGS.named' >>"$OBS_DIR/$side.events"
	say "$repetition. $event: $(awk -v a="$t0" -v b="$t1" -v c="$t2" 'BEGIN { printf "watched %.1f s, settled after %.1f s", b - a, c - a }')$([ $is_whole = true ] || echo ', NOT whole')"
	swap
}
swap() { local m=$M; M=$S S=$m; }

repeat()
{
	event_begin planned || return 1
	side planned "$M" "$S" || say "the planned switchover failed"
	event_end settled_swapped
	wait_for "both are ready" 120 settled || return 1

	local lost destroyer
	event_begin power || return 1
	lost=$M
	node_cut "$M"
	node_destroy "$M" &
	destroyer=$!
	event_end alone
	wait "$destroyer"
	side taken "$S" "$M"
	[ "$repetition" -lt "$repetitions" ] || return 0
	poll 60 node_gone "$lost"
	node_up "$lost" && customers_net_gateway "$lost" && side start "$lost" || return 1
	wait_for "both are ready" 180 settled
}
settled_swapped() { whole && quiet && side ready "$S" "$M"; }

side_results()
{
	local f
	stop CE-1 flows INT
	stop P-1 flows INT
	stop S-1 tcpdump INT
	lab_collect "/results/$side"
	for f in "$OBS_DIR/$side".*; do
		cp "$f" /results/ && rm -f "$f"
	done
}

main()
{
	rm -f /results/*.{events,flows,pcap,lacks}
	failed=0
	for side in $sides; do
		lacks=$(side lacks)
		if [ -n "$lacks" ]; then
			say "cannot run: $lacks"
			echo "$lacks" >"/results/$side.lacks"
			continue
		fi
		if side_up; then
			for ((repetition = 1; repetition <= repetitions; repetition++)); do
				repeat || { say "stopped in repetition $repetition"; failed=1; break; }
			done
		else
			say "did not come up"
			failed=1
		fi
		side_results
	done
	{
		echo "kernel $(uname -r)"
		dpkg-query -W -f 'strongSwan ${Version}\n' charon-systemd
		keepalived --version 2>&1 | sed -n 's/^Keepalived v\([^ ]*\).*/keepalived \1/p'
		bird --version 2>&1 | sed 's/ version//'
		echo "processors $(nproc) ($(sed -n 's/^model name\t*: //p' /proc/cpuinfo | head -n 1))"
	} >/results/versions
	echo "selftests/qemu/run.sh selftests/bench/peers/measure.sh $words" >/results/command
	exit $failed
}

main
