#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# memory.sh - memory of a synced tunnel: what mcipsecd and charon on both chassis
# grow by when N customers come (real IKE, one IKE_SA and one CHILD_SA each). On
# the standby charon's share is a passive IKE_SA with its CHILD_SA.
#
# usage: memory.sh [N]		default 200

CUSTOMERS=${1:-200}
bench_dir=$(cd "$(dirname "$0")" && pwd)
. "$bench_dir/../lab/scene.sh"
. "$bench_dir/../lab/customers.sh"

scene_configure()
{
	customers_files "$1"
	[ "$1" = SeGW-1 ] || customers_net
}

# anonymous NODE NAME: private memory of a daemon in KiB, without files and shared pages
anonymous() { lab "$1" awk '/^(Private_Dirty|Swap):/ { s += $2 } END { print s }' "/proc/$(lab "$1" cat "/run/lab/$2.pid")/smaps_rollup"; }
entries=$((2 + 2 * CUSTOMERS))
settled() { sync_is SeGW-1 num_entries "$entries" && sync_is SeGW-2 num_entries "$entries" && nominal; }

plan $((SCENE_POINTS + 3))
scene_up
declare -A before after
for node in "${GATEWAYS[@]}"; do
	for daemon in mcipsecd charon; do
		before[$node-$daemon]=$(anonymous "$node" "$daemon")
	done
done
check "$CUSTOMERS customers set up their tunnels" customers_up
check_wait "all are on both chassis, protection status nominal" 300 settled
for node in "${GATEWAYS[@]}"; do
	for daemon in mcipsecd charon; do
		after[$node-$daemon]=$(anonymous "$node" "$daemon")
		awk -v b="${before[$node-$daemon]}" -v a="${after[$node-$daemon]}" -v n="$CUSTOMERS" -v who="$node $daemon" \
			'BEGIN { printf "# %s: %d KiB before, %d KiB after %d tunnels, %.2f KiB a tunnel\n", who, b, a, n, (a - b) / n }'
	done
done
{
	printf '{"tunnels": %d' "$CUSTOMERS"
	for key in "${!after[@]}"; do
		printf ', "%s_kib": [%s, %s]' "$key" "${before[$key]}" "${after[$key]}"
	done
	echo '}'
} >/results/memory.json
check "memory grew with the tunnels, everywhere" \
	jq -e '[to_entries[] | select(.value | type == "array") | .value | .[1] > .[0]] | all' /results/memory.json >/dev/null
scene_end
