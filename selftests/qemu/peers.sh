#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# peers.sh - this project beside cold failover and strongSwan's ha plugin, in the same lab
# with the same load (selftests/bench/peers/measure.sh says how). A guest for each number
# of tunnels, all sides in it; from 50 tunnels on one for each side.
#
# usage: peers.sh [TUNNELS[:REPETITIONS[:SIDES]]...]	default 1:5 10:2 100:1
#        peers.sh --table				of what has been measured, anew
#
# SIDES with commas: cold,ha,mcipsec. Among them, "stock" leaves the customers'
# retransmissions as strongSwan ships them, "relaxed" gives mcipsec the timers of a machine
# that runs other guests, too (1:1:stock,cold).
# Leaves results/peers/peers.{txt,json,svg} under build/, and the guests' folders, all of
# which are in the table: remove those that are not to be. The same guest once more takes
# the other's place.

set -uo pipefail
. "$(dirname "$0")/common.sh"

results=$BUILD/results/peers
failed=0
mkdir -p "$results"

# guest NAME REPETITIONS TUNNELS INTERVAL SIDES WORD...
guest()
{
	rm -rf "${results:?}/$1"
	"$TOP/selftests/qemu/run.sh" --timeout 2400 --results "$results/$1" selftests/bench/peers/measure.sh \
		--tunnels "$3" --repetitions "$2" --interval "$4" --sides "$5" "${@:6}" || failed=$((failed + 1))
	git -C "$TOP" log -1 --format='mcipsec as of %h' >>"$results/$1/versions" 2>/dev/null
}

# measure TUNNELS[:REPETITIONS[:SIDES]]
measure()
{
	local tunnels repetitions list side sides=() interval=20 words=() name
	IFS=: read -r tunnels repetitions list <<<"$1"
	name=$tunnels-${list//,/-}
	for side in ${list//,/ }; do
		case $side in
		stock) words+=(--stock-ce --watch 220) ;;
		relaxed) words+=(--relaxed) ;;
		*) sides+=("$side") ;;
		esac
	done
	[ ${#sides[@]} -gt 0 ] || sides=(cold ha mcipsec)
	# Packets are dear in an emulated machine.
	[ "$tunnels" -lt 5 ] || interval=50
	[ "$tunnels" -lt 50 ] || interval=250
	echo "== $tunnels tunnels, ${repetitions:=1} repetitions: ${sides[*]} ${words[*]}"
	if [ "$tunnels" -lt 50 ]; then
		guest "${name%-}" "$repetitions" "$tunnels" "$interval" "${sides[*]}" "${words[@]}"
		return
	fi
	words+=(--watch 300)
	for side in "${sides[@]}"; do
		guest "${name%-}.$side" "$repetitions" "$tunnels" "$interval" "$side" "${words[@]}"
	done
}

if [ "${1:-}" = --table ]; then
	shift
elif [ $# -eq 0 ]; then
	set -- 1:5 10:2 100:1
fi
for what in "$@"; do
	measure "$what"
done
"$TOP/selftests/bench/peers/peers.py" --json "$results/peers.json" --svg "$results/peers.svg" \
	"$results"/*/ >"$results/peers.new" || exit 1
mv "$results/peers.new" "$results/peers.txt"
cat "$results/peers.txt"
echo "table, JSON and plot: $results/peers.{txt,json,svg}"
[ "$failed" -eq 0 ] || { echo "$failed guests did not measure all they were to"; exit 1; }
