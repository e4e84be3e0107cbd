# SPDX-License-Identifier: GPL-2.0-or-later
#
# observe.sh - watch the lab from outside the product: a steady flow each way, a
# capture on the switch, and who did what when around a switchover.
#
# Sourced after gateway.sh. All times are Unix seconds of the guest's one clock.

OBS_DIR=$LAB_DIR/observe
FLOW=/mcipsec/build/lab-tools/flow

# capture_start: each packet where it enters a switch, so once, and also if the
# port is cut: what CE-1 and both gateways send into S-1 (public.pcap), and what
# the gateways and P-1 send each other (inner.pcap: what is shunted).
CAPTURES=("$OBS_DIR/public.pcap" "$OBS_DIR/inner.pcap")
CAPTURE_OF=(tcpdump -i any -y LINUX_SLL2 -Q in -U -s 128 -B 16384)
CAPTURE_WHAT='esp or udp port 500 or udp port 4500'
capture_start()
{
	mkdir -p "$OBS_DIR"
	rm -f "${CAPTURES[@]}" "$LAB_DIR/S-1/log/tcpdump.out"
	spawn S-1 tcpdump "${CAPTURE_OF[@]}" -w "$OBS_DIR/public.pcap" "$CAPTURE_WHAT"
	"${CAPTURE_OF[@]}" -w "$OBS_DIR/inner.pcap" "$CAPTURE_WHAT" </dev/null >"$OBS_DIR/inner.out" 2>&1 &
	inner_pid=$!
	wait_for "the captures run" 20 test -s "$OBS_DIR/public.pcap" -a -s "$OBS_DIR/inner.pcap"
}

# capture_complete: end the captures; fails if one of them missed a packet, or
# does not say that it missed none.
capture_complete()
{
	local out bad=0
	if [ -n "${inner_pid:-}" ]; then
		stop S-1 tcpdump INT
		kill -INT "$inner_pid" 2>/dev/null
		wait "$inner_pid" 2>/dev/null
		inner_pid=
	fi
	for out in "$LAB_DIR/S-1/log/tcpdump.out" "$OBS_DIR/inner.out"; do
		missed_none "$out" && continue
		diag "${out##*/}: $(grep -E 'packets? (captured|received|dropped)' "$out" | tr '\n' ',')"
		bad=1
	done
	return $bad
}
# tcpdump counts what the kernel dropped; interfaces only where there were any.
missed_none()
{
	[ "$(awk '/packets? dropped by kernel/ { n++; d += $1 } END { print n + 0, d + 0 }' "$1")" = "1 0" ] &&
		! grep -qE '^[1-9][0-9]* packets? dropped by interface' "$1"
}

# The gateways' own protocols, MIMP, BFD and MCS, on the link between them (w12-segw1).
CHASSIS_WHAT='udp port 7655 or udp port 4784 or tcp port 7656'
WIRE=$OBS_DIR/wire.pcap
# wire_start / wire_stop: a capture of them; from the first packet on if the agents do not run yet.
wire_start()
{
	mkdir -p "$OBS_DIR"
	tcpdump -i w12-segw1 -n -U -w "$WIRE" "$CHASSIS_WHAT" >/dev/null 2>"$WIRE.out" &
	wire_pid=$!
	wait_for "the capture between the chassis runs" 20 grep -q 'listening on' "$WIRE.out"
}
wire_stop() { kill "$wire_pid" && wait "$wire_pid" 2>/dev/null; }
# between EXPRESSION: how many such packets it has; some EXPRESSION: at least 5
between() { tcpdump -n -r "$WIRE" "$1" 2>/dev/null | wc -l; }
some() { [ "$(between "$1")" -ge 5 ]; }

# sequence_numbers: what the captures say about I3. Sets i3 to the report.
sequence_numbers() { i3=$(capture repeats "${CAPTURES[@]}"); }
esp_seen() { [ "$(jq .packets <<<"$i3")" -ge "$1" ]; }

# check_sequence_numbers PACKETS: ends the captures and judges; 3 test points.
check_sequence_numbers()
{
	check "the captures missed no packet" capture_complete
	check "no ESP sequence number was used twice under one SPI, on either gateway" sequence_numbers
	diag "ESP: $(jq -c 'del(.examples, .spis)' <<<"$i3") $(jq -c '.examples[]' <<<"$i3" | head -n 3)"
	check "and at least $1 ESP packets were seen" esp_seen "$1"
}

# observers_start NODE: its events, addresses and routes, as they change; of a
# gateway also what its module and its charon say, the latter's lines with the time
# (charon 5.9.8 itself knows only seconds).
observers_start()
{
	local node=$1
	mkdir -p "$OBS_DIR"
	if [[ $node == SeGW-* ]]; then
		spawn "$node" monitor sh -c 'until mcipsec -j monitor; do sleep 1; done'
		spawn "$node" module /mcipsec/build/lab-tools/mcipsec-nl events $((86400 * 1000)) 1000000
		spawn "$node" charon-log bash -c \
			'tail -n 0 -s 0.02 -F "$1" 2>/dev/null | while IFS= read -r l; do echo "$EPOCHREALTIME $l"; done' \
			- "$LAB_DIR/$node/log/charon.log"
	fi
	spawn "$node" ip-monitor ip -ts -o monitor address route
}

# FLOW_INTERVAL: milliseconds between two packets.
FLOW_INTERVAL=${FLOW_INTERVAL:-10}
flow_start()
{
	spawn CE-1 flow "$FLOW" -d vprn2 -s 192.168.1.1 -r 192.168.2.1 -i "$FLOW_INTERVAL" -o "$OBS_DIR/ce1.flow"
	spawn P-1 flow "$FLOW" -d vprn2 -s 192.168.2.1 -r 192.168.1.1 -i "$FLOW_INTERVAL" -o "$OBS_DIR/p1.flow"
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
	flow_window "$from" "$now" --json | jq_ok '[.[] | .sent > 20 and .lost == 0] | all'
}

# drops: what the gateways' gates and XFRM have dropped so far, for whoever looks for
# a packet that got lost.
drops()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		diag "$node has dropped: gate $(ask "$node" "$(find_object gate_counters) | .gate_counters | with_entries(select((.key | startswith(\"drop\")) and .value > 0)) | tojson" show isa tunnel-group 1)," \
			"XFRM $(lab "$node" awk '$2 { printf "%s %s ", $1, $2 }' /proc/net/xfrm_stat)"
	done
}

capture() { "$LAB_SRC/capture.py" "$@"; }
# not_anew SINCE: since then CE-1 and whoever else has rekeyed, and not authenticated
not_anew() { capture ike "$OBS_DIR/public.pcap" --from "$1" | jq_ok '.exchanges | .CREATE_CHILD_SA > 0 and (has("IKE_SA_INIT") or has("IKE_AUTH") | not)'; }

# outer ADDRESS MAC PROTOCOL EXPRESSION [FILE]: IPv4 packets of that protocol from ADDRESS, sent
# by MAC ("": by anybody), for whose bytes `ip` the expression holds; in public.pcap, or FILE.
outer()
{
	python3 -c '
import socket, sys
sys.path.insert(0, sys.argv[1])
import capture
source, mac, protocol = socket.inet_aton(sys.argv[3]), sys.argv[4], int(sys.argv[5])
holds = eval("lambda ip: " + sys.argv[6])
print(sum(1 for _, m, ip in capture.Capture(sys.argv[2]).frames()
          if m == (mac or m) and ip[9] == protocol and ip[12:16] == source and holds(ip)))
' "$LAB_SRC" "${5:-$OBS_DIR/public.pcap}" "${@:1:4}"
}

# timeline FROM TO [--parts]: what the parts did, in order, relative to FROM.
timeline()
{
	"$LAB_SRC/timeline.py" --from "$1" --to "$2" "${@:3}" \
		SeGW-1 "$LAB_DIR/SeGW-1/log" SeGW-2 "$LAB_DIR/SeGW-2/log" P-1 "$LAB_DIR/P-1/log"
}
