#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_peer_group.sh - tunnel-group 2 of SeGW-2 is the peer of SeGW-1's tunnel-group 1:
# it is elected, synchronised, shunted and handed over as if the numbers were the same.
# Control: a group that names a peer-group which does not name it is nobody's standby.

. "$(dirname "$0")/scene.sh"

# Beside other guests an agent may not run for a second: that is not what is asked here.
scene_configure()
{
	local file=$LAB_DIR/$1/etc/mcipsec/mcipsec.toml
	relaxed_timers "$1"
	case $1 in
	SeGW-1) sed -i 's/^peer-group = 1$/peer-group = 2/' "$file" ;;
	SeGW-2) sed -i 's/tunnel-group\.1/tunnel-group.2/; s/^tunnel-group = 1$/tunnel-group = 2/' "$file" ;;
	esac
}

# The lab's words are for tunnel-group 1.
group_of() { echo "${1#SeGW-}"; }
mc()
{
	ask "$1" "$(find_object mastership) | .$2 | if type == \"array\" then join(\", \") else . end" \
		show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")" tunnel-group "$(group_of "$1")"
}
gate() { ask "$1" "$(find_object gate) | .gate" show isa tunnel-group "$(group_of "$1")"; }
tag() { ask "$1" "$(find_object db_sync_state) | .sync_tags | tojson" show redundancy multi-chassis sync detail; }
entries() { sync_is SeGW-1 num_entries 2 && sync_is SeGW-2 num_entries 2 && sync_is SeGW-2 db_sync_state inSync; }
no_such_group() { local rc=0; lab "$1" mcipsec -j show isa tunnel-group "$2" >/dev/null 2>&1 || rc=$?; [ "$rc" = 4 ]; }
# shunted NODE: packets of the group that it has passed on to its peer
shunted() { ask "$1" "$(find_object gate_counters) | .gate_counters | with_entries(select(.key | test(\"shunt\"))) | add" show isa tunnel-group "$(group_of "$1")"; }
shunts() { ping_ce && [ "$(shunted SeGW-1)" -gt "$before" ]; }

plan $((SCENE_POINTS + 22))
scene_up
check_is "SeGW-1 has tunnel-group 1" 1 mc SeGW-1 id
check_is "with peer-group 2" 2 mc SeGW-1 peer_group
check_is "SeGW-2 has tunnel-group 2" 2 mc SeGW-2 id
check_is "with peer-group 1" 1 mc SeGW-2 peer_group
check "and no other one" eval 'no_such_group SeGW-1 2 && no_such_group SeGW-2 1'
check_is "each knows of the other's state: SeGW-1" standby mc SeGW-1 peer_mastership
check_is "SeGW-2" master mc SeGW-2 peer_mastership
check_is "one sync-tag for both" '{"tag-1":"tunnel-group 1"} {"tag-1":"tunnel-group 2"}' eval 'echo "$(tag SeGW-1) $(tag SeGW-2)"'
check_wait "the tunnel's entries are on both" 20 entries
check "SeGW-1 forwards, SeGW-2 shunts" eval 'gate_is SeGW-1 forward && gate_is SeGW-2 shunt'

spis=$(ce_child_spis)
check "force-switchover to SeGW-2" hand_over SeGW-1 1
check_wait "SeGW-2 is master, SeGW-1 stands by" 20 roles SeGW-1 standby SeGW-2 master
check_wait "CE-1's ping goes on" 20 ping_ce
check_wait "the CHILD_SA is rekeyed" 60 another "$spis" ce_child_spis
check_wait "protection status nominal on both" 60 nominal
before=$(shunted SeGW-1)
lab CE-1 ip route replace 10.10.20.1/32 via 172.16.1.252
check_wait "what enters at SeGW-1 is shunted to SeGW-2's tunnel-group" 20 shunts
lab CE-1 ip route del 10.10.20.1/32

spis=$(ce_child_spis)
check "force-switchover back" hand_over SeGW-2 2
check_wait "SeGW-1 is master, SeGW-2 stands by, nominal on both" 60 eval 'roles SeGW-1 master SeGW-2 standby && nominal'
check_wait "CE-1's ping goes on" 20 ping_ce
check "the customer has authenticated once" scene_same_ike

sed -i 's/^peer-group = 1$/peer-group = 7/' "$LAB_DIR/SeGW-2/etc/mcipsec/mcipsec.toml"
stop SeGW-2 mcipsecd
agent_start SeGW-2
check_wait "control: SeGW-2 names peer-group 7: it reaches none" 30 eval 'mc_is SeGW-2 peer_group 7 && [ "$(mc SeGW-2 peer_mastership)" = unknown ]'
check_wait "SeGW-1 has no standby" 30 eval 'mc_is SeGW-1 protection_status notReady'
scene_end
