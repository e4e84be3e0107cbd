#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_module.sh - the kernel module is lost under running agents: with groups in it the
# kernel does not let it go, so another program takes them away first. Each member says
# that the module is missing, nobody is eligible. When it is loaded again the agents begin
# anew, and the tunnel goes on; not with files that they would not take: then the gates are
# shut. Meanwhile the module's file is away: the kernel loads it for whoever asks for it.
# Control: before, rmmod is refused, and the members have no fault.

. "$(dirname "$0")/scene.sh"
. "$LAB_SRC/reload.sh"

NL=/mcipsec/build/lab-tools/mcipsec-nl
MODULE=$(modinfo -n mcipsec)

scene_configure() { relaxed_timers "$1"; }

member() { ask "$1" '.tunnel_groups[0].members[] | select(.name == "1/2") | .'"$2" show isa tunnel-group 1; }
why_is() { member "$1" reason | grep -q "$2"; }
both() { "$1" SeGW-1 "${@:2}" && "$1" SeGW-2 "${@:2}"; }
said() { grep -q "$2" "$LAB_DIR/$1/log/mcipsecd.out"; }
# gone: while the agents do not look, or they would make their groups anew
gone()
{
	local rc=0
	both stop_looking && both group_del && rmmod mcipsec || rc=1
	both look_again
	return $rc
}
stop_looking() { signal "$1" mcipsecd STOP; }
look_again() { signal "$1" mcipsecd CONT; }
group_shut() { lab "$1" "$NL" group get 1 | grep -q blackhole; }
group_del() { lab "$1" "$NL" group del 1; }
# A pair that lost both agents' words for longer than a lease elects anew.
one_master() { roles SeGW-1 master SeGW-2 standby || roles SeGW-2 master SeGW-1 standby; }

plan $((SCENE_POINTS + 17))
scene_up
check_not "control: with groups in it the module is not unloaded" rmmod mcipsec
check_is "control: no member has a fault" "up up" eval 'echo $(member SeGW-1 oper_state) $(member SeGW-2 oper_state)'
pids=$(agent_pids)
mv "$MODULE" /tmp/mcipsec.ko && depmod
check "without its groups it is" gone
check_wait "SeGW-1's member says why it is down" 30 why_is SeGW-1 "kernel module"
diag "$(member SeGW-1 reason)"
check_wait "SeGW-2's, too" 30 why_is SeGW-2 "kernel module"
check "and that it is not loaded" why_is SeGW-1 "not loaded"
check_wait "nobody is eligible" 30 roles SeGW-1 notEligible SeGW-2 notEligible
check_not "control: it is not there" test -e /sys/module/mcipsec

echo 'priority = "high"' >>"$LAB_DIR/SeGW-2/etc/mcipsec/mcipsec.toml"
mv /tmp/mcipsec.ko "$MODULE" && depmod
check "it is loaded again" modprobe mcipsec
check_wait "SeGW-1's agent begins anew" 30 said SeGW-1 "mcipsecd starts anew"
check_wait "SeGW-2's does not: its file does not stand" 30 why_is SeGW-2 "does not stand"
diag "$(member SeGW-2 reason)"
check_wait "its gate is there, and shut" 10 group_shut SeGW-2
sed -i '$d' "$LAB_DIR/SeGW-2/etc/mcipsec/mcipsec.toml"
check_wait "with the file it had it does" 30 said SeGW-2 "mcipsecd starts anew"
check_wait "one master, one standby" 90 one_master
check_wait "protection status nominal on both" 60 nominal
check "by the same processes" test "$(agent_pids)" = "$pids"
check_wait "CE-1's ping goes on" 60 ping_ce
scene_end
