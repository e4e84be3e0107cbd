#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_join_beside.sh - a pair serves tunnel-group 1; SeGW-1 has a tunnel-group 2 besides,
# alone, with a tunnel up. By a reload that one is put under the mc-ipsec of the same peer, with
# standby-restart = "restart": it begins in discovery, its IKE states are purged without a
# message to the customer (seed "Other Details"), who sets the tunnel up anew. Then SeGW-2 gets
# the group by a reload, and the tunnel by a switchover. Tunnel-group 1 does not notice, its
# traffic, counted, either.
# long_join.sh: a gateway that had no peer at all.

. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/two-groups.sh"
. "$(dirname "$0")/reload.sh"

ETC1=$LAB_DIR/SeGW-1/etc ETC2=$LAB_DIR/SeGW-2/etc

# SeGW-1 has the group without its redundancy part, SeGW-2 has nothing of it yet.
scene_configure()
{
	relaxed_timers "$1"
	two_groups_files "$1"
	mv "$LAB_DIR/$1/etc/mcipsec/conf.d/group2.toml" "$LAB_DIR/$1/group2.toml"
	if [ "$1" = SeGW-1 ]; then
		sed '/^\[redundancy/,/^\[vrrp/{/^\[vrrp/!d}' "$LAB_DIR/SeGW-1/group2.toml" >"$ETC1/mcipsec/conf.d/group2.toml"
	else
		mv "$ETC2/swanctl/conf.d/tunnel-2.conf" "$LAB_DIR/SeGW-2/tunnel-2.conf"
		# tunnel-2's customer asks for nothing by itself: whatever it is sent, was not its wish
		two_groups_net && sed -i 's/dpd_delay = .*/dpd_delay = 0s/' "$LAB_DIR/CE-1/etc/swanctl/conf.d/tunnel-2.conf"
	fi
}
joined() { sed '/mc-ipsec.tunnel-group.2\]/a standby-restart = "restart"' "$LAB_DIR/SeGW-1/group2.toml" >"$ETC1/mcipsec/conf.d/group2.toml"; }
peer_joins()
{
	cp "$LAB_DIR/SeGW-2/tunnel-2.conf" "$ETC2/swanctl/conf.d/" && lab SeGW-2 swanctl --load-all --noprompt >/dev/null &&
		cp "$LAB_DIR/SeGW-2/group2.toml" "$ETC2/mcipsec/conf.d/" && reload SeGW-2
}

gate_2() { ask "$1" '[.. | objects | select(has("gate") and .id == 2)] | first | .gate' show isa tunnel-group 2; }
# group_2_at NODE MASTERSHIP GATE
group_2_at() { group_2_is "$1" "$2" && [ "$(gate_2 "$1")" = "$3" ]; }
ce_ike() { lab CE-1 swanctl --list-sas --ike "$1" --raw | grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u | tr '\n' ' '; }
# ike_sas NAME: how many SeGW-1's charon has. Of --list-sas the answer to no IKE_SA is empty:
# the count of all of them is asked for, too.
ike_sas() { local all; all=$(lab SeGW-1 swanctl --list-sas --raw) && grep -q 'list-sas reply' <<<"$all" && grep -c "list-sa event {$1 " <<<"$all"; }
its_ike_sa() { lab SeGW-1 swanctl --list-sas --ike tunnel-1 --raw | grep -o 'uniqueid=[0-9]*'; }
sent_2() { capture from 10.10.20.2 "$OBS_DIR/public.pcap" --from "$1" | jq ".$2"; }
# anew OLD: the customer has tunnel-2, with other SPIs
anew() { local now; now=$(ce_ike tunnel-2); [ -n "$now" ] && [ "$now" != "$1" ]; }
group_1_unmoved() { unmoved && nominal; }

plan $((SCENE_POINTS + 31))
scene_up
check_wait "tunnel-group 2 works alone on SeGW-1: eligible, its gate is open" 30 group_2_at SeGW-1 eligible forward
check_wait "its tunnel is up" 60 ping_ce_2
ike_1=$(ce_ike tunnel-1) ike_2=$(ce_ike tunnel-2) its=$(its_ike_sa)
generation=$(generations) agents=$(agent_pids)
check_is "control: charon has it" 1 ike_sas tunnel-2
check_is "and tunnel-1" 1 ike_sas tunnel-1

joined
t=$EPOCHREALTIME
check "tunnel-group 2 is added to mc-ipsec by a reload, beside group 1" reload SeGW-1
check_wait "it begins in discovery, and blackholes" 15 group_2_at SeGW-1 discovery blackhole
check_wait "charon has dropped its tunnel" 15 eval '[ "$(ike_sas tunnel-2)" = 0 ]'
check_is "without a message to the customer" 0 sent_2 "$t" ike
check "who still has it" unchanged "$ike_2" ce_ike tunnel-2
check "charon holds tunnel-1 as before" unchanged "$its" its_ike_sa
check_wait "when discovery is over it serves again" 60 group_2_at SeGW-1 eligible forward
check_is "nor has it sent one since then" 0 sent_2 "$t" ike
check_is "nor ESP" 0 sent_2 "$t" esp
check "tunnel-group 1 has not moved, protection status nominal" group_1_unmoved
check_is "and lost no packet" 0 lost_since "$t"

lab CE-1 timeout 20 swanctl --terminate --ike tunnel-2 --force >/dev/null 2>&1
check_wait "the customer sets it up anew" 60 eval 'ping_ce_2 && anew "$ike_2"'
check_wait "control: now SeGW-1 has sent both" 10 eval '[ "$(sent_2 "$t" ike)" -gt 0 ] && [ "$(sent_2 "$t" esp)" -gt 0 ]'
ike_2=$(ce_ike tunnel-2)

t=$EPOCHREALTIME
check "SeGW-2 gets the group by a reload, too" peer_joins
check_wait "SeGW-1 is master of both, SeGW-2 stands by" 60 masters SeGW-1 SeGW-1
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal
check_wait "the tunnels are on both" 30 eval 'sync_is SeGW-1 num_entries 4 && sync_is SeGW-2 num_entries 4'
check "tunnel-group 1 has not moved" unmoved
check_is "and lost no packet" 0 lost_since "$t"
t=$EPOCHREALTIME
check "force-switchover of tunnel-group 2 to SeGW-2" hand_over SeGW-1 2
check_wait "its ping goes on" 30 ping_ce_2
check "over the IKE_SA that the customer had set up at SeGW-1" unchanged "$ike_2" ce_ike tunnel-2
check_wait "protection status nominal, both groups, both chassis" 60 eval 'masters SeGW-1 SeGW-2 && all_nominal'
check "tunnel-group 1 has not moved" unmoved
check_is "and lost no packet" 0 lost_since "$t"
check "tunnel-1 has been authenticated once" unchanged "$ike_1" ce_ike tunnel-1
check "the agents are the same processes" same_agents
scene_end
