# SPDX-License-Identifier: GPL-2.0-or-later
#
# observe.sh - watch the lab from outside the product: a steady flow each way, a
# capture on the switch, and who did what when around a switchover.
#
# Sourced after gateway.sh. All times are Unix seconds of the guest's one clock.

OBS_DIR=$LAB_DIR/observe
FLOW=/mcipsec/build/lab-tools/flow

# capture_start: everything public that crosses S-1, once each.
capture_start()
{
	mkdir -p "$OBS_DIR"
	rm -f "$OBS_DIR/public.pcap"
	spawn S-1 tcpdump tcpdump -i vpls3 -U -s 96 -B 8192 -w "$OBS_DIR/public.pcap" \
		'esp or udp port 500 or udp port 4500'
	wait_for "the capture runs" 20 test -s "$OBS_DIR/public.pcap"
}

# observers_start NODE: its events, addresses and routes, as they change.
observers_start()
{
	local node=$1
	mkdir -p "$OBS_DIR"
	if [[ $node == SeGW-* ]]; then
		spawn "$node" monitor sh -c 'until mcipsec -j monitor; do sleep 1; done'
	fi
	spawn "$node" ip-monitor ip -ts -o monitor address route
}

flow_start()
{
	spawn CE-1 flow "$FLOW" -d vprn2 -s 192.168.1.1 -r 192.168.2.1 -i 10 -o "$OBS_DIR/ce1.flow"
	spawn P-1 flow "$FLOW" -d vprn2 -s 192.168.2.1 -r 192.168.1.1 -i 10 -o "$OBS_DIR/p1.flow"
	wait_for "the flow runs both ways" 20 flow_both_ways
}
flow_both_ways() { grep -q '^r' "$OBS_DIR/ce1.flow" && grep -q '^r' "$OBS_DIR/p1.flow"; }

# flow_window FROM TO [--json]
flow_window()
{
	"$LAB_SRC/flow_report.py" --a CE-1 "$OBS_DIR/ce1.flow" --b P-1 "$OBS_DIR/p1.flow" \
		--from "$1" --to "$2" "${@:3}"
}

# flow_recovered: at both ends a second of flow without a hole lies behind us.
flow_recovered()
{
	local now=$EPOCHREALTIME from
	from=$(awk -v t="$now" 'BEGIN { printf "%.6f", t - 1.2 }')
	now=$(awk -v t="$now" 'BEGIN { printf "%.6f", t - 0.2 }')
	flow_window "$from" "$now" --json | jq -e '[.[] | .sent > 20 and .lost == 0] | all' >/dev/null
}

capture() { "$LAB_SRC/capture.py" "$@"; }

# timeline FROM TO: what the parts did, in order, relative to FROM.
timeline()
{
	"$LAB_SRC/timeline.py" --from "$1" --to "$2" \
		SeGW-1 "$LAB_DIR/SeGW-1/log" SeGW-2 "$LAB_DIR/SeGW-2/log" P-1 "$LAB_DIR/P-1/log"
}
