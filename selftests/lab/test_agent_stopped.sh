#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_agent_stopped.sh - a node that cannot vouch for itself fences itself (I2):
# the master's agent is stopped (SIGSTOP, so that nothing of it can react). Its
# lease runs out, the gate closes, mcipsec-trackd lowers VRRP and routes, the
# peer takes over with every tunnel. Woken up, the old master stands by. The
# same for an agent that is killed and started again.
# What can be known without an agent is still shown, and says that it is stale.
# Control: before, the same questions are answered the other way.

. "$(dirname "$0")/lab.sh"

track() { lab "$1" mcipsec-track 1; }
track_is() { local rc=0; track "$1" >/dev/null 2>&1 || rc=$?; [ "$rc" = "$2" ]; }
route_state_is() { lab "$1" ip route show table 2 192.168.1.1 | grep -q "proto $2"; }
p1_hears_only() { [ -n "$(p1_routes 192.168.1.1/32)" ] && ! p1_routes 192.168.1.1/32 | grep -qv "^$1 "; }
track_file_is() { [ "$(lab SeGW-1 cat /run/mcipsec/vrrp/VRRP10.track)" = "$1" ]; }

# shows NODE STALE WORD...: as JSON, with exit 0; "stale" is there, with a warning on
# standard error, or neither is
shows()
{
	local node=$1 stale=$2 out err=$LAB_DIR/stderr
	shift 2
	out=$(lab "$node" timeout 10 mcipsec -j "$@" 2>"$err") || { diag "$node: $*: exit $?: $(<"$err")"; return 1; }
	[ "$(jq -c '.stale // false' <<<"$out")" = "$stale" ] || { diag "$node: $*: $(jq -c .stale <<<"$out")"; return 1; }
	if [ "$stale" = true ]; then
		grep -q '^mcipsec: warning: the agent does not answer' "$err"
	else
		[ ! -s "$err" ]
	fi || { diag "$node: $*: $(<"$err")"; return 1; }
}
shows_all()	# NODE STALE
{
	shows "$1" "$2" show isa tunnel-group 1 && shows "$1" "$2" show ipsec sa &&
		shows "$1" "$2" show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")"
}

plan 36
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
check "the capture runs" capture_start
check "every daemon runs" gateways_start
check_wait "SeGW-1 master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
check_wait "the tunnel is up" 40 ping_ce
check_wait "protection status nominal on both" 40 nominal
ike=$(ce_ike_spis)
check "control: mcipsec-track says SeGW-1 forwards" track_is SeGW-1 0
check "control: its private route is master-with-peer" route_state_is SeGW-1 211
check "control: what is shown is not stale" shows_all SeGW-1 false

signal SeGW-1 mcipsecd STOP
check_wait "agent stopped: mcipsec-track says SeGW-1 does not forward" 20 track_is SeGW-1 1
check_wait "the gate says so without the agent" 20 gate_is SeGW-1 blackhole
check_wait "trackd lowers the track file" 20 track_file_is -150
check_wait "and the routes" 20 route_state_is SeGW-1 214
check_wait "P-1 hears of SeGW-1's routes no more" 20 p1_hears_only segw2
check_wait "SeGW-2 takes over" 20 gate_is SeGW-2 forward
check "SeGW-1's lease had ended before" fenced_first SeGW-1 SeGW-2
check_wait "VRRP is SeGW-2's" 20 vrrp_is SeGW-2 MASTER
check_wait "CE-1's ping goes on while the agent is stopped" 20 ping_ce
check "what SeGW-1 shows is stale, and it warns of that" shows SeGW-1 true show isa tunnel-group 1
signal SeGW-1 mcipsecd CONT
check_wait "woken up, SeGW-1 stands by, SeGW-2 is master" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both, again" 60 nominal
check_wait "CE-1's ping goes on" 20 ping_ce
check "over the same IKE_SA" unchanged "$ike" ce_ike_spis

signal SeGW-2 mcipsecd KILL
check_wait "agent killed: SeGW-1 takes over" 20 gate_is SeGW-1 forward
check_wait "SeGW-2's gate closed by itself" 20 track_is SeGW-2 1
check "its lease had ended before" fenced_first SeGW-2 SeGW-1
check_wait "CE-1's ping goes on" 30 ping_ce
check "what SeGW-2 shows is stale, and it warns of that" shows_all SeGW-2 true
check "over the same IKE_SA" unchanged "$ike" ce_ike_spis
agent_start SeGW-2
check_wait "started again, SeGW-2 stands by" 60 roles SeGW-1 master SeGW-2 standby
check_wait "protection status nominal on both" 60 nominal
check_sequence_numbers 4
tap_end
