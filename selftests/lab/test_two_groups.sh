#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_two_groups.sh - two tunnel-groups with opposite masters on two chassis (the
# seed's table 12): each is elected, synchronised, shunted and handed over alone;
# the other's traffic, counted, does not notice. A chassis that dies takes one
# mastership with it, not two.

. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/two-groups.sh"

scene_configure()
{
	two_groups_files "$1"
	[ "$1" = SeGW-1 ] || two_groups_net
}
nominal() { all_nominal; }

gate_of() { ask "$1" "[.. | objects | select(has(\"gate\") and .id == $2)] | first | .gate" show isa tunnel-group "$2"; }
vip_250() { lab "$1" ip -4 -o addr show | grep -q ' 172\.16\.1\.250/'; }
ce_ike_1() { lab CE-1 swanctl --list-sas --ike tunnel-1 --raw | grep -oE "(initiator|responder)-spi=[0-9a-f]+" | sort -u | tr "\n" " "; }
ce_ike_2() { lab CE-1 swanctl --list-sas --ike tunnel-2 --raw | grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u | tr '\n' ' '; }
shunted() { ask "$1" "[.. | objects | select(has(\"gate\") and .id == 2)] | first | .gate_counters | with_entries(select(.key | test(\"shunt\"))) | add" show isa tunnel-group 2; }
stopped() { grep -c 'tunnel-group 2: .* only receive until' "$LAB_DIR/$1/log/mcipsecd.out"; }

plan $((SCENE_POINTS + 21))
scene_up
check_wait "SeGW-1 is master of 1, SeGW-2 of 2" 30 masters SeGW-1 SeGW-2
check_is "gate of 1 on SeGW-1" forward gate_of SeGW-1 1
check_is "gate of 2 on SeGW-1" shunt gate_of SeGW-1 2
check_is "gate of 2 on SeGW-2" forward gate_of SeGW-2 2
check_wait "VRRP 20 is SeGW-2's" 20 vip_250 SeGW-2
check_wait "VRRP 10 is SeGW-1's" 20 vrrp_is SeGW-1 MASTER
check_wait "CE-1's second tunnel comes up through SeGW-2" 40 ping_ce_2
ike1=$(ce_ike_1) ike2=$(ce_ike_2)
check_wait "MCS: four entries on both" 30 eval 'sync_is SeGW-1 num_entries 4 && sync_is SeGW-2 num_entries 4'
check_wait "protection status nominal, both groups, both chassis" 40 all_nominal

# Through the wrong chassis: SeGW-1 shunts what is for group 2.
before=$(shunted SeGW-1)
lab CE-1 ip route replace 10.10.20.2/32 via 172.16.1.254
check_wait "ESP for group 2 that enters at SeGW-1 is shunted to SeGW-2" 20 ping_ce_2
check "SeGW-1 counts it" test "$(shunted SeGW-1)" -gt "$before"
lab CE-1 ip route replace 10.10.20.2/32 via 172.16.1.250

before="$(stopped SeGW-1) $(stopped SeGW-2)"
t0=$EPOCHREALTIME
check "force-switchover of group 2 alone" \
	hand_over SeGW-2 2
check_wait "SeGW-1 is master of both" 30 masters SeGW-1 SeGW-1
check_wait "the second tunnel goes on" 20 ping_ce_2
check_is "group 1 lost no packet" 0 lost_since "$t0"
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal
check "and back" hand_over SeGW-1 2
check_wait "SeGW-1 is master of 1, SeGW-2 of 2, nominal" 60 eval 'masters SeGW-1 SeGW-2 && all_nominal'
check_is "in both hand-overs no SA had to stop sending" "$before" eval 'echo "$(stopped SeGW-1) $(stopped SeGW-2)"'

node_cut SeGW-2
check_wait "SeGW-2 is cut off: SeGW-1 takes group 2 and both tunnels go on" 30 eval 'ping_ce_2 && ping_ce'
check "each tunnel has been authenticated once" eval '[ "$(ce_ike_1)" = "$ike1" ] && [ -n "$ike2" ] && [ "$(ce_ike_2)" = "$ike2" ]'
scene_end
