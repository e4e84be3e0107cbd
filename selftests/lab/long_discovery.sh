#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_discovery.sh - a gateway that does not reach its peer stays in discovery for
# discovery-interval-boot when it starts first after the boot, and for discovery-interval
# when its agent is started again, unplanned; the gate is shut all the while.
# Control: after another boot it is the longer time again.

. "$(dirname "$0")/lab.sh"

BOOT=40 INTERVAL=10

peer() { ask SeGW-1 "$(find_object discovery_intvl) | .$1" show redundancy multi-chassis mc-ipsec peer 192.0.2.2; }
# ended: ms of CLOCK_BOOTTIME at which the agent's log has the last end of a discovery
ended() { awk '/discovery to eligible/ { gsub(/[][]/, " "); t = $1 * 1000 } END { printf "%d\n", t }' "$LAB_DIR/SeGW-1/log/mcipsecd.out"; }
ended_since() { [ "$(ended)" -ge "$1" ]; }
# begin CMD...: sets began (before the agent is started) and begun (it answers).
begin()
{
	began=$(now_ms)
	"$@" && begun=$(now_ms)
}
# lasted SECONDS: the discovery since then; the agent has 3 s for charon to answer first.
lasted()
{
	diag "eligible $(($(ended) - began)) ms after the start was begun, $(($(ended) - begun)) after it was done"
	[ $(($(ended) - began)) -ge $(($1 * 1000)) ] && [ $(($(ended) - begun)) -le $((($1 + 6) * 1000)) ]
}
discovery() { mc_is SeGW-1 mastership discovery && gate_is SeGW-1 blackhole; }
agent_killed() { signal SeGW-1 mcipsecd KILL && poll 15 eval '! running SeGW-1 mcipsecd'; }
# The agent last, that its time is its own.
before_agent()
{
	lab SeGW-1 mkdir -p /run/mcipsec/vrrp
	gate_start SeGW-1 && keepalived_start SeGW-1 && bird_start SeGW-1 && trackd_start SeGW-1 && charon_start SeGW-1
}

plan 21
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
sed -i "s/^discovery-interval = .*/discovery-interval = $INTERVAL\ndiscovery-interval-boot = $BOOT/" "$LAB_DIR/SeGW-1/etc/mcipsec/mcipsec.toml"

check "SeGW-1 boots, alone" before_agent
check "its agent starts, for the first time since the boot" begin agent_start SeGW-1
check_is "Discovery Intvl" "$INTERVAL" peer discovery_intvl
check_is "Discovery Boot Intvl" "$BOOT" peer discovery_boot_intvl
check_wait "it is in discovery, its gate shut" 10 discovery
check_wait "it ends" $((BOOT + 30)) ended_since "$began"
check "after discovery-interval-boot" lasted "$BOOT"
check_wait "SeGW-1 is eligible, its gate open" 10 eval 'mc_is SeGW-1 mastership eligible && gate_is SeGW-1 forward'

check "the agent is killed" agent_killed
check "and started again" begin agent_start SeGW-1
check_wait "it is in discovery, its gate shut" 10 discovery
check_wait "it ends" $((BOOT + 30)) ended_since "$began"
check "after discovery-interval" lasted "$INTERVAL"

check "control: SeGW-1 loses power" node_kill SeGW-1
check "and boots again" eval 'node_up SeGW-1 && before_agent'
check "its agent starts" begin agent_start SeGW-1
check_wait "discovery ends" $((BOOT + 30)) ended_since "$began"
check "after discovery-interval-boot" lasted "$BOOT"
tap_end
