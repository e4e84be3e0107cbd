# SPDX-License-Identifier: GPL-2.0-or-later
#
# attacker.sh - X-1, a node that is in both networks between the gateways and chooses
# every source address, and what must not move while it is at work.
#
# Sourced after lab.sh or scene.sh. Its victim is SeGW-2, in the name of SeGW-1.

VICTIM=192.0.2.2 ALIAS=192.0.2.1

agent_pid() { lab "$1" cat /run/lab/mcipsecd.pid; }

# counter NAME [mimp|bfd]: of SeGW-2's agent.
counter()
{
	ask SeGW-2 "$(find_object "${2:-mimp}_counters") | .${2:-mimp}_counters.$1" \
		show redundancy multi-chassis mc-ipsec peer $ALIAS
}
counter_is_over() { [ "$(counter "$1" "${3:-mimp}")" -gt "$2" ]; }

# record FILE [FILTER]: what the gateways say on the wire between them, from now on.
record() { tcpdump -i wire-12 -U -w "$1" "${2:-udp port 7655}" </dev/null >/dev/null 2>&1 & }

attacker_up()
{
	node_create X-1 &&
		port_plug S-1 vpls3 X-1 x-public port-x1 &&
		cable_plug wire-12 X-1 x-inner w12-x1 &&
		lab X-1 ip addr add 172.16.1.66/24 dev x-public &&
		inner_mac=$(lab SeGW-2 cat /sys/class/net/int-SeGW2-SeGW1/address)
}
from_public() { lab X-1 ip route replace $VICTIM via 172.16.1.253 dev x-public src 172.16.1.66; }
from_inner()
{
	lab X-1 ip neigh replace 192.168.255.2 lladdr "$inner_mac" dev x-inner nud permanent
	lab X-1 ip route replace $VICTIM via 192.168.255.2 dev x-inner onlink src 172.16.1.66
}
attack() { lab X-1 "$LAB_SRC/attack.py" "$1" "$2" --to $VICTIM --from $ALIAS "${@:3}"; }

# counted WAY KIND COUNTER [CAPTURE]: 20 MIMP packets of that kind, all counted there.
# counted_bfd KIND COUNTER CAPTURE: the same for BFD.
counted()
{
	local before
	"from_$1"
	before=$(counter "$3")
	attack mimp "$2" --count 20 "${4:-/tmp/live.pcap}" >/dev/null || return 1
	wait_for "$3 rises by 20" 20 counter_is_over "$3" $((before + 19)) || return 1
}
counted_bfd()
{
	local before
	before=$(counter "$2" bfd)
	attack bfd "$1" --count 20 "$3" >/dev/null || return 1
	wait_for "$2 rises by 20" 20 counter_is_over "$2" $((before + 19)) bfd || return 1
}

# What must not move: who is master, since when, in which generation, the same
# agents, the tunnel, and no packet of the flow is lost.
state_of()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		echo "$node $(mc "$node" mastership) $(mc "$node" generation) $(gate "$node") $(agent_pid "$node")"
	done
	ce_ike_spis
}
calm_begin() { calm_state=$(state_of) calm_from=$EPOCHREALTIME; }
nothing_moved()
{
	local now
	now=$(state_of)
	[ "$now" = "$calm_state" ] || { diag "was: $calm_state"; diag "is: $now"; return 1; }
}
nothing_lost()
{
	poll 20 flow_recovered
	local report
	report=$(flow_window "$calm_from" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 1 }')" --json)
	jq_ok '[.[] | .sent > 50 and .lost == 0 and .duplicates == 0] | all' <<<"$report" ||
		{ diag "$report"; return 1; }
}
check_calm()
{
	check "$1: nothing moved" nothing_moved
	check "$1: no packet was lost" nothing_lost
}
