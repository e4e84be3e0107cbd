# SPDX-License-Identifier: GPL-2.0-or-later
#
# gateway.sh - a whole gateway of the product on a lab node: what its units start,
# in their order, and short ways to ask it (`mcipsec -j`).
#
# Sourced after lib.sh, node.sh, topology.sh and daemons.sh.

peer_address()
{
	case $1 in
	SeGW-1) echo 192.0.2.2 ;;
	SeGW-2 | SeGW-3) echo 192.0.2.1 ;;
	esac
}

# gateway_keys: one authentication key, on both.
gateway_keys()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		[ -d "$LAB_DIR/$node/etc" ] || node_etc "$node"
	done
	(umask 077 && mcipsec genkey >"$LAB_DIR/SeGW-1/etc/mcipsec/peer.key") || return 1
	cp -p "$LAB_DIR/SeGW-1/etc/mcipsec/peer.key" "$LAB_DIR/SeGW-2/etc/mcipsec/peer.key"
}

# gate_start NODE: what mcipsec-gate.service does before anything else: every
# group exists in the kernel, in discovery.
gate_start() { lab "$1" mcipsecd --gate >>"$LAB_DIR/$1/log/gate.out" 2>&1; }

# relaxed_timers NODE: before its agent starts. Beside other guests an agent may not run for
# a second; for tests that do not ask how soon a peer is missed.
relaxed_timers()
{
	sed -i -e 's/^bfd = .*/bfd = { transmit = 1000, receive = 1000, multiplier = 4 }/' \
		-e 's/^keep-alive-interval = .*/keep-alive-interval = 1.5/' "$LAB_DIR/$1/etc/mcipsec/mcipsec.toml"
}

# AGENT[NODE]: another mcipsecd than the installed one.
declare -A AGENT=()
agent_start()
{
	spawn "$1" mcipsecd "${AGENT[$1]:-/usr/sbin/mcipsecd}" -f
	wait_up "$1" mcipsecd lab "$1" test -S /run/mcipsec/control.sock
}

trackd_start() { spawn "$1" mcipsec-trackd /usr/sbin/mcipsec-trackd -f; }

# gateway_start NODE: boot order of the units.
gateway_start()
{
	lab "$1" mkdir -p /run/mcipsec/vrrp
	gate_start "$1" || { diag "$1: the gate did not start"; return 1; }
	keepalived_start "$1"
	bird_start "$1" || return 1
	trackd_start "$1"
	charon_start "$1" || return 1
	agent_start "$1"
}

# gateways_start: every daemon of the lab, both gateways at once.
gateways_start()
{
	local node pids=()
	bird_start P-1 || return 1
	for node in "${GATEWAYS[@]}"; do
		gateway_start "$node" &
		pids+=($!)
	done
	wait_all "${pids[@]}" && charon_start CE-1
}

# ask NODE JQ WORD...: what `mcipsec -j WORD...` answers, through a jq filter.
ask()
{
	local node=$1 filter=$2
	shift 2
	lab "$node" timeout 10 mcipsec -j "$@" 2>/dev/null | jq -r "$filter" 2>/dev/null
}

# The first object that has a key, wherever the document keeps it.
find_object() { printf '[.. | objects | select(has("%s"))] | first' "$1"; }

# alarms NODE: one a line. alarm NODE PATTERN: it has one like that.
alarms() { ask "$1" "$(find_object db_sync_state) | .alarms[]" show redundancy multi-chassis sync; }
alarm() { alarms "$1" | grep -q "$2"; }

# mc NODE FIELD: of tunnel-group 1 as NODE's agent sees it.
mc()
{
	ask "$1" "$(find_object mastership) | .$2 | if type == \"array\" then join(\", \") else . end" \
		show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")" tunnel-group 1
}
mc_is() { [ "$(mc "$1" "$2")" = "$3" ]; }

# sync NODE FIELD
sync_field() { ask "$1" "$(find_object db_sync_state) | .$2" show redundancy multi-chassis sync; }
sync_is() { [ "$(sync_field "$1" "$2")" = "$3" ]; }

# gate NODE: forward, shunt, blackhole or prepared, as the module says.
gate() { ask "$1" "$(find_object gate) | .gate" show isa tunnel-group 1; }
gate_is() { [ "$(gate "$1")" = "$2" ]; }
# counter NODE NAME: of that gate. more NODE NAME THAN: it has counted further.
counter() { ask "$1" "$(find_object gate) | .gate_counters[\"$2\"] // 0" show isa tunnel-group 1; }
more() { [ "$(counter "$1" "$2")" -gt "${3:-0}" ]; }

# vrrp NODE FIELD: of VRRP 10
vrrp() { ask "$1" "$(find_object in_use_pri) | .$2" show router vrrp instance; }
vrrp_field_is() { [ "$(vrrp "$1" "$2")" = "$3" ]; }

# tunnel NODE FIELD: of tunnel-1
tunnel() { ask "$1" "$(find_object tunnel_name) | .$2" show ipsec tunnel tunnel-1 detail; }
tunnel_is() { [ "$(tunnel "$1" "$2")" = "$3" ]; }

nominal() { mc_is SeGW-1 protection_status nominal && mc_is SeGW-2 protection_status nominal; }

# roles NODE MASTERSHIP NODE MASTERSHIP
roles() { mc_is "$1" mastership "$2" && mc_is "$3" mastership "$4"; }

# hand_over NODE [GROUP [WORD...]]: away from NODE, the master of tunnel-group GROUP (1).
hand_over()
{
	lab "$1" mcipsec tools perform redundancy multi-chassis mc-ipsec force-switchover \
		tunnel-group "${2:-1}" now wait 30 "${@:3}" >/dev/null
}

# p1_prefers DEVICE: where P-1's kernel sends what is for CE-1.
p1_prefers() { lab P-1 ip route get vrf vprn2 192.168.1.1 2>/dev/null | grep -q "dev $1 "; }

# p1_by 1|2: whatever it learns, P-1 sends by that gateway what is for CE-1. p1_free: no more.
p1_by() { lab P-1 ip route replace table 2 192.168.1.1/32 via "192.168.20$(($1 + 1)).1" dev "sdp-$((100 + 100 * $1))" proto static metric 1; }
p1_free() { lab P-1 ip route del table 2 192.168.1.1/32 proto static metric 1; }

# p1_routes PREFIX: "neighbor local-preference" of each route that P-1 holds.
p1_routes()
{
	lab P-1 birdc show route table vprn2 all for "$1" | awk '
	/unicast/ { match($0, /\[[a-z0-9]+/); peer = substr($0, RSTART + 1, RLENGTH - 1) }
	/BGP.local_pref/ { print peer, $2 }' | sort
}

# The CE's own view: SPIs of its IKE_SA, and of its newest CHILD_SA.
ce_ike_spis()
{
	lab CE-1 swanctl --list-sas --raw 2>/dev/null |
		grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u | tr '\n' ' '
}
ce_child_spis()
{
	lab CE-1 swanctl --list-sas --raw 2>/dev/null |
		grep -oE 'spi-(in|out)=[0-9a-f]+' | sort -u | tr '\n' ' '
}
# another OLD COMMAND...: one of what OLD was one of, and not that one: two SPIs.
another() { local now; now=$("${@:2}"); [ "$(wc -w <<<"$now")" = 2 ] && [ -n "$1" ] && [ "$now" != "$1" ]; }
# charon_says NODE COUNTER: of mcipsec-status
charon_says() { python3 "$LAB_SRC/../plugin/ask.py" "$1" mcipsec-status | grep -o "'$2': '[0-9]*'" | grep -o "[0-9]*'\$" | tr -d "'"; }
ping_ce() { lab CE-1 ping -I vprn2 -I 192.168.1.1 -c 1 -W 1 192.168.2.1; }

# hand_over_refused GATEWAY: force-switchover is, for a state that does not allow it.
hand_over_refused() { hand_over "$@" 2>/dev/null; [ $? = 5 ]; }

# Which came first. Both are CLOCK_BOOTTIME of the guest's one kernel: the end of the
# lease that the agent of the old master renewed last, and when the peer took over by
# its own log.
lease_end() { lab "$1" /mcipsec/build/lab-tools/mcipsec-nl group get 1 | awk '/^expiry/ { printf "%.6f", $2 / 1e9 }'; }
took_over() { sed -n 's/^\[ *\([0-9.]*\)\].*MasterStateChg.* to \(master\|eligible\): .*/\1/p' "$LAB_DIR/$1/log/mcipsecd.out" | tail -n 1; }
fenced_first()	# OLD NEW
{
	local end taken
	end=$(lease_end "$1") taken=$(took_over "$2")
	diag "$1's lease ended at $end, $2 took over at $taken"
	[ -n "$end" ] && [ -n "$taken" ] && awk -v e="$end" -v t="$taken" 'BEGIN { exit !(e > 0 && e < t) }'
}

# boots NODE: after a power loss, with what is on its disk.
boots()
{
	poll 90 node_gone "$1" && node_up "$1" &&
		lab "$1" cat "/sys/class/net/int-SeGW${1#SeGW-}-S1/address" >"$LAB_DIR/$1/mac" && gateway_start "$1"
}
