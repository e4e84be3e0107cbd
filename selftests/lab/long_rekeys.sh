#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_rekeys.sh - rekeys that the gateway begins, and that both ends begin at once, while
# the standby follows: at the end of each CE-1 and both gateways have one IKE_SA and one
# CHILD_SA, the same, in charon and in the kernel. Each is followed by a force-switchover,
# over which the tunnel goes on with that IKE_SA.
# Control: that two rekeys met is what both charons say, and neither has said so before.

. "$(dirname "$0")/scene.sh"
. "$LAB_SRC/../faults/judge.sh"		# sas, same_sas
. "$LAB_SRC/../faults/network.sh"	# netem_add

LATE=1500	# ms, each way

# Beside other guests an agent may not run for a second: that is not what is asked here.
scene_configure()
{
	relaxed_timers "$1"
}

public_late()
{
	netem_add CE-1 int-CE1-S1 all delay "${LATE}ms" && netem_add S-1 port-ce1 all delay "${LATE}ms"
}
public_quick() { netem_del CE-1 int-CE1-S1 && netem_del S-1 port-ce1; }
rtt() { lab CE-1 ping -c 1 -W 10 172.16.1.252 | sed -n 's/.* time=\([0-9]*\).*/\1/p'; }
is_late() { [ "$(rtt)" -ge $((2 * LATE)) ]; }

# rekey NODE WHAT / both_rekey NODE WHAT: it, or it and CE-1, which do not know of each other.
rekey() { lab "$1" timeout 60 swanctl --rekey "--$2" tunnel-1 >/dev/null; }
both_rekey()
{
	local pids=() node
	for node in CE-1 "$1"; do
		rekey "$node" "$2" &
		pids+=($!)
	done
	wait_all "${pids[@]}"
}
collisions() { grep -c "$2 rekey collision" "$LAB_DIR/$1/log/charon.log"; }
# collided NODE WHAT: since $met_ce and $met_gw
collided() { [ "$(collisions CE-1 "$2")" -gt "$met_ce" ] && [ "$(collisions "$1" "$2")" -gt "$met_gw" ]; }
count_met() { met_ce=$(collisions CE-1 "$2") met_gw=$(collisions "$1" "$2"); }

kernel_spis() { lab "$1" ip xfrm state list src 10.10.20.1 | grep -oE 'spi 0x[0-9a-f]+' | sort | tr '\n' ' '
	lab "$1" ip xfrm state list src 10.10.10.1 | grep -oE 'spi 0x[0-9a-f]+' | sort | tr '\n' ' '; }
# one_of_each: two SPIs of an IKE_SA, two of a CHILD_SA, no open exchange, in charon and kernel of
# all three.
one_of_each()
{
	local ce
	same_sas && [ "$(sas CE-1 | wc -w)" = 4 ] || return 1
	ce=$(kernel_spis CE-1)
	[ "$(wc -w <<<"$ce")" = 4 ] && [ "$(kernel_spis SeGW-1)" = "$ce" ] && [ "$(kernel_spis SeGW-2)" = "$ce" ] &&
		sync_is SeGW-1 num_entries 2 && sync_is SeGW-2 num_entries 2
}
other_ike() { another "$ike" ce_ike_spis; }
same_ike() { unchanged "$ike" ce_ike_spis; }
other_child() { another "$child" ce_child_spis; }
before() { ike=$(ce_ike_spis) child=$(ce_child_spis); }

# goes_on FROM TO: 7 points; the tunnel is the same at the new master, and it rekeys it.
goes_on()
{
	before
	check "force-switchover to $2" hand_over "$1"
	check_wait "$2 is master" 20 roles "$1" standby "$2" master
	check_wait "CE-1's ping goes on" 20 ping_ce
	check_wait "$2 rekeys the CHILD_SA" 60 other_child
	check_wait "one IKE_SA, one CHILD_SA, the same on all three" 60 one_of_each
	check "CE-1's IKE_SA is that one" same_ike
	check_wait "protection status nominal on both" 60 nominal
}
# meet GATEWAY WHAT: 8 points; both rekey it at once.
meet()
{
	local what=$2 name=CHILD_SA
	[ "$what" = child ] || name=IKE_SA
	before
	count_met "$1" "$name"
	check "packets to and from CE-1 are late" public_late
	check_wait "by 1.5 s each way" 20 is_late
	check "CE-1 and $1 rekey the $name at once" both_rekey "$1" "$what"
	check_wait "the rekeys collide: both say so" 60 collided "$1" "$name"
	check_wait "there is another $name" 90 "other_$what"
	check_wait "one IKE_SA, one CHILD_SA, the same on all three" 90 one_of_each
	check "packets are quick again" public_quick
	check_wait "CE-1's ping goes on" 20 ping_ce
}

plan $((SCENE_POINTS + 4 + 7 + 8 + 7 + 9 + 7 + 1))
scene_up
modprobe sch_netem
t0=$EPOCHREALTIME
before
check "SeGW-1, the master, rekeys the IKE_SA" rekey SeGW-1 ike
check_wait "CE-1 has another one" 30 other_ike
check_wait "SeGW-2 has it, too; one of each, the same on all three" 60 one_of_each
check_wait "CE-1's ping goes on" 20 ping_ce
goes_on SeGW-1 SeGW-2

meet SeGW-2 child
goes_on SeGW-2 SeGW-1

meet SeGW-1 ike
check "its CHILD_SA is the one of before" eval '[ "$(ce_child_spis)" = "$child" ]'
goes_on SeGW-1 SeGW-2
check "rekeys and nothing else: no IKE_SA_INIT, no IKE_AUTH since the scene began" not_anew "$t0"
scene_end
