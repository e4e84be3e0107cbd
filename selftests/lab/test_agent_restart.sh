#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_agent_restart.sh - a planned restart of the agent moves nothing (SIGUSR2:
# the peer grants a hold, the kernel's lease bridges it): on the master, on the
# standby, with CE-1's traffic on and counted. Controls: one that comes back too
# late has fenced itself and finds the peer master; SIGTERM gives mastership away.
# An administrative state that was set by command outlives a restart that nobody planned.

. "$(dirname "$0")/scene.sh"

HOLD=45
scene_configure()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	printf '[redundancy.multi-chassis.peer."%s".mc-ipsec]\nrestart-hold = %s\n' \
		"$(peer_address "$1")" "$HOLD" >"$LAB_DIR/$1/etc/mcipsec/conf.d/hold.toml"
}

gone() { ! running "$1" mcipsecd; }
leave() { signal "$1" mcipsecd USR2 && poll 5 gone "$1"; }
generation() { mc "$1" generation; }
route_state_is() { lab "$1" ip route show table 2 192.168.1.1 | grep -q "proto $2"; }
# second_agent: begun by hand while one runs.
second_agent()
{
	local out
	before=$(touched)
	out=$(lab SeGW-1 timeout 20 mcipsecd -f 2>&1) && { diag "$out"; return 1; }
	grep -q 'another mcipsecd runs here: /run/mcipsec/mcipsecd.lock is locked' <<<"$out" || { diag "$out"; return 1; }
}
touched() { lab SeGW-1 sh -c 'cd /run/mcipsec && cat vrrp/VRRP10.track && stat -c "%i %y" fence.plan'; }
forwards() { lab "$1" mcipsec-track 1 >/dev/null 2>&1; }
fenced() { ! forwards "$1"; }
flow_whole() { poll 20 flow_recovered && [ "$(scene_lost "$t0" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 0.3 }')")" = 0 ]; }

# by_command: how `config show` marks the tunnel-group's shutdown on SeGW-2
by_command() { ask SeGW-2 '.config["isa.tunnel-group.1"].shutdown | "\(.value) \(.from)"' config show; }

plan $((SCENE_POINTS + 37))
scene_up
generation=$(generation SeGW-1)

t0=$EPOCHREALTIME
check "master: the agent leaves for a planned restart" leave SeGW-1
check "its gate stays open" forwards SeGW-1
check "its route stays master-with-peer" route_state_is SeGW-1 211
check "VRRP stays its" vrrp_is SeGW-1 MASTER
check "SeGW-2 stays standby" mc_is SeGW-2 mastership standby
check "the agent comes back" agent_start SeGW-1
check_wait "SeGW-1 is master still, SeGW-2 standby" 20 roles SeGW-1 master SeGW-2 standby
check_is "in the same generation" "$generation" generation SeGW-1
check_wait "protection status nominal on both" 60 nominal
check "no packet was lost, either way" flow_whole
check_is "SeGW-1 shows keepalived's state still" Master vrrp SeGW-1 state
check "another agent beside it says so, and goes" second_agent
check "it has touched nothing: VRRP's priority, the plan to fence" eval '[ -n "$before" ] && [ "$(touched)" = "$before" ]'

t0=$EPOCHREALTIME
check "standby: the agent leaves and comes back" eval 'leave SeGW-2 && agent_start SeGW-2'
check_wait "SeGW-1 master, SeGW-2 standby" 20 roles SeGW-1 master SeGW-2 standby
check_is "in the same generation" "$generation" generation SeGW-2
check_wait "protection status nominal on both" 60 nominal
check "no packet was lost, either way" flow_whole

check "standby: the agent is killed and comes back" eval 'signal SeGW-2 mcipsecd KILL && poll 5 gone SeGW-2 && agent_start SeGW-2'
check_wait "SeGW-1 master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
check_is "SeGW-2 shows keepalived's state still" Backup vrrp SeGW-2 state
check_wait "protection status nominal on both" 60 nominal

check "control: the master's agent leaves and stays away" leave SeGW-1
check_wait "when the hold is over its gate is shut" $((HOLD + 10)) fenced SeGW-1
check_wait "SeGW-2 takes over" 20 gate_is SeGW-2 forward
check "SeGW-1's lease had ended before" fenced_first SeGW-1 SeGW-2
agent_start SeGW-1
check_wait "back too late, SeGW-1 stands by" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal

check "control: SIGTERM gives mastership away at once" eval 'signal SeGW-2 mcipsecd TERM && poll 5 gate_is SeGW-1 forward'
agent_start SeGW-2
check_wait "started again, it stands by" 40 roles SeGW-1 master SeGW-2 standby
check_is "control: its tunnel-group is up, as the file has it" "false file" by_command
check "its tunnel-group is shut down by command" \
	eval 'lab SeGW-2 mcipsec admin isa tunnel-group 1 shutdown && poll 10 roles SeGW-1 master SeGW-2 notEligible'
check "its agent is killed and started again" eval 'signal SeGW-2 mcipsecd KILL && poll 5 gone SeGW-2 && agent_start SeGW-2'
check_wait "the shutdown has outlived it: not eligible" 40 roles SeGW-1 master SeGW-2 notEligible
check_is "config show has it as (runtime)" "true runtime" by_command
check "no-shutdown: it stands by, and nothing is (runtime) any more" \
	eval 'lab SeGW-2 mcipsec admin isa tunnel-group 1 no-shutdown && poll 40 roles SeGW-1 master SeGW-2 standby && [ "$(by_command)" != "true runtime" ]'

check "over all of it the CE has authenticated once" scene_same_ike
scene_end
