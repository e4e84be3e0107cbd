#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_two_peers.sh - two tunnel-groups of SeGW-1 that go to different peers: group 1 to
# SeGW-2, group 2 to SeGW-3, with a tunnel each (static and dynamic) and traffic, counted.
# Each entry goes to its own peer and to no other; each group is handed over, loses its
# MCS, is rekeyed and taken over alone. One charon serves both: what waits for the record
# of one peer's group does not hold the other's.
#
#   A power loss of SeGW-1, master of both, makes two masters; it is filled by both.

FLOW_INTERVAL=20
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/two-groups.sh"
. "$(dirname "$0")/third-gateway.sh"

scene_configure()
{
	[ "$1" = SeGW-3 ] || return
	third_net && third_files || return
	local node peer
	for node in SeGW-1 SeGW-3; do
		sed -i -e 's/^static-tunnel-redundant-next-hop/dynamic-tunnel-redundant-next-hop/' \
			-e 's/^static-route.*/type = "dynamic"/' "$LAB_DIR/$node/etc/mcipsec/conf.d/group2.toml"
	done
	# A busy guest may acknowledge late; an MCS that is cut is missed later still.
	for peer in 192.0.2.2 192.0.2.5; do
		printf '[redundancy.multi-chassis.peer."%s".mc-ipsec]\nrestart-hold = 20\n[redundancy.multi-chassis.peer."%s".sync.ipsec]\noutput-commit-limit = 1500\nuser-timeout = 10\n' \
			"$peer" "$peer" >>"$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/patient.toml"
	done
}

# isa NODE: "GROUP MASTERSHIP NOMINAL" of each. stand 1|2 1|3: SeGW-N is master of group 1, of
# group 2, the other of each standby, all nominal.
isa() { ask "$1" '[.tunnel_groups[] | "\(.id) \(.mastership) \(.nominal)"] | join(", ")' show isa tunnel-group; }
role() { if [ "$1" = "$2" ]; then echo "master true"; else echo "standby true"; fi; }
stand()
{
	[ "$(isa SeGW-1)" = "1 $(role 1 "$1"), 2 $(role 1 "$2")" ] &&
		[ "$(isa SeGW-2)" = "1 $(role 2 "$1")" ] && [ "$(isa SeGW-3)" = "2 $(role 3 "$2")" ]
}
of_group() { ask SeGW-1 ".tunnel_groups[] | select(.id == $1) | .$2" show isa tunnel-group "$1"; }

# sync_of NODE GROUP FILTER: of the row of its peer for that group.
sync_of() { ask "$1" "[.. | objects | select(has(\"db_sync_state\") and .peer_ip_address == \"$(third_peer_of "$1" "$2")\")] | first | $3" show redundancy multi-chassis sync detail; }
entries() { sync_of "$1" "$2" '"\(.db_sync_state) \(.num_entries) \(.rem_num_entries) \(.lcl_deleted_entries) \(.alarm_entries), \(.sync_tags | to_entries | map("\(.key) is \(.value)") | join(" "))"'; }
has_entries() { [ "$(entries "$1" "$2")" = "inSync 2 2 0 0, tag-$2 is tunnel-group $2" ]; }
each_has_its_own() { has_entries SeGW-1 1 && has_entries SeGW-1 2 && has_entries SeGW-2 1 && has_entries SeGW-3 2; }
no_alarm() { [ "$(sync_of "$1" "$2" '.alarms | length')" = 0 ]; }
# As sync_of takes them, one row a peer.
rows() { ask "$1" '[.. | objects | select(has("db_sync_state")) | .peer_ip_address] | join(" ")' show redundancy multi-chassis sync; }

# What a gateway has of a group: tunnels in charon, SPIs in the kernel.
ikes() { lab "$1" swanctl --list-sas --raw | grep -oE 'list-sa event \{[a-z0-9-]+ ' | sed 's/.*{//' | sort | tr -d '\n'; }
spis() { lab "$1" ip xfrm state | awk -v a="10.10.20.$2" '/^src/ { on = $2 == a || $4 == a } on && /spi/ { print $4 }' | sort | tr '\n' ' '; }
# apart: SeGW-1 has both, the others what is theirs, as CE-1 has it.
apart()
{
	local one two
	one=$(spis CE-1 1) two=$(spis CE-1 2)
	[ "$(wc -w <<<"$one") $(wc -w <<<"$two")" = "2 2" ] &&
		[ "$(spis SeGW-2 1), $(spis SeGW-2 2)" = "$one, " ] && [ "$(spis SeGW-3 1), $(spis SeGW-3 2)" = ", $two" ] &&
		[ "$(spis SeGW-1 1), $(spis SeGW-1 2)" = "$one, $two" ] &&
		[ "$(ikes SeGW-1), $(ikes SeGW-2), $(ikes SeGW-3)" = "tunnel-1 tunnel-2 , tunnel-1 , tunnel-2 " ]
}
ce_ikes() { lab CE-1 swanctl --list-sas --raw | grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u | tr '\n' ' '; }
same_ikes() { [ "$(wc -w <<<"$ikes")" = 4 ] && [ "$(ce_ikes)" = "$ikes" ]; }
rekey() { lab CE-1 timeout 20 swanctl --rekey --child "tunnel-$1" >/dev/null; }
both_others() { local one two; one=$(spis CE-1 1) two=$(spis CE-1 2); [ "$one" != "$spis1" ] && [ "$two" != "$spis2" ] && apart; }

# The second flow, tunnel-2's; lost SINCE: packets of the first and of the second.
flow_2_start()
{
	spawn CE-1 flow-2 "$FLOW" -d vprn2 -s 192.168.1.2 -r 192.168.2.2 -i "$FLOW_INTERVAL" -o "$OBS_DIR/ce1.flow2"
	spawn P-1 flow-2 "$FLOW" -d vprn2 -s 192.168.2.2 -r 192.168.1.2 -i "$FLOW_INTERVAL" -o "$OBS_DIR/p1.flow2"
	wait_for "it runs both ways" 20 eval 'grep -q "^r" "$OBS_DIR/ce1.flow2" && grep -q "^r" "$OBS_DIR/p1.flow2"'
}
flow_2() { "$LAB_SRC/flow_report.py" --a CE-1 "$OBS_DIR/ce1.flow2" --b P-1 "$OBS_DIR/p1.flow2" --from "$1" --to "$2" --json; }
ago() { awk -v t="$EPOCHREALTIME" -v s="$1" 'BEGIN { printf "%.6f", t - s }'; }
flows_recovered() { flow_recovered && flow_2 "$(ago 1.2)" "$(ago 0.2)" | jq_ok '[.[] | .sent > 20 and .lost == 0] | all'; }
lost()
{
	local to
	poll 20 flows_recovered || return 1
	to=$(ago 0.5)
	echo "$(scene_lost "$1" "$to") $(flow_2 "$1" "$to" | jq '[.[].lost] | add')"
}

# senders GROUP FROM [TO]: which gateways sent ESP or IKE from its address, anywhere.
senders()
{
	local file mac node
	for file in "${CAPTURES[@]}"; do
		for mac in $(capture from "10.10.20.$1" "$file" --from "$2" --to "${3:-0}" | jq -r '.macs | keys[]'); do
			for node in "${GATEWAYS[@]}"; do
				[ "$(gateway_mac "$node")" != "$mac" ] || mac=$node
			done
			echo "$mac"
		done
	done | sort -u | tr '\n' ' '
}

# no_policy NODE GROUP: packets for its tunnel for which XFRM had no outbound policy
no_policy() { lab "$1" cat "/sys/class/net/tunnel-$2/statistics/tx_carrier_errors"; }

# moves NODE GROUP MASTER MASTER: 4 points; a force-switchover away from NODE, after which
# these are the masters; the other group does not notice. Packets come to NODE until then,
# through the rekey that follows: it shunts them.
moves()
{
	local t0=$EPOCHREALTIME other=$((3 - $2)) before lost unsent
	unsent=$(no_policy "$1" "$2")
	before=$(of_group "$other" generation)
	check "force-switchover of group $2 away from $1" hand_over "$1" "$2"
	check_wait "SeGW-$3 is master of group 1, SeGW-$4 of group 2; both nominal" 90 stand "$3" "$4"
	third_lead "$3" "$4"
	check_is "group $other is in the generation of before" "$before" of_group "$other" generation
	lost=$(lost "$t0")
	check_is "neither flow has lost a packet" "0 0" echo "$lost"
	diag "lost by group 1 and group 2: $lost; on $1 without a policy: $(($(no_policy "$1" "$2") - unsent))"
	diag "flow $2: $([ "$2" = 1 ] && flow_window "$t0" "$EPOCHREALTIME" --json || flow_2 "$t0" "$EPOCHREALTIME")"
}

mcs_filter()
{
	lab SeGW-1 nft -f - <<-EOT
	table inet apart {
		chain in { type filter hook input priority 0; ip saddr 192.0.2.5 tcp dport 7656 drop; ip saddr 192.0.2.5 tcp sport 7656 drop; }
		chain out { type filter hook output priority 0; ip daddr 192.0.2.5 tcp dport 7656 drop; ip daddr 192.0.2.5 tcp sport 7656 drop; }
	}
	EOT
}
mcs_pass() { lab SeGW-1 nft delete table inet apart; }
expired() { of_group "$1" counters.held_expired; }
expired_above() { [ "$(expired "$1")" -gt "$2" ]; }
held_above() { [ "$(sync_of SeGW-1 "$1" .held_total)" -gt "$2" ]; }
# of_1: what group 1 must not notice: times it was notReady, ends of its MCS
of_1() { echo "$(grep -c 'tunnel-group 1: protection status notReady' "$LAB_DIR/SeGW-1/log/mcipsecd.out") $(sync_of SeGW-1 1 .counters.disconnects)"; }
# answers GROUP SINCE: SeGW-1's answers of IKE for it, how many and when the last left
answers()
{
	python3 -c '
import sys
sys.path.insert(0, sys.argv[1])
import capture
times = [when for when, mac, source, _, kind, fields, _ in capture.packets(sys.argv[2], float(sys.argv[5]))
         if kind == "ike" and source == "10.10.20." + sys.argv[4] and mac == sys.argv[3] and fields[3] & capture.RESPONSE]
print(len(times), "%.6f" % max(times, default=0))
' "$LAB_SRC" "$OBS_DIR/public.pcap" "$(gateway_mac SeGW-1)" "$1" "$2"
}
# meanwhile SINCE: both rekeys took two exchanges, that in tunnel-1 was over first. How many
# packets of tunnel-2 had left at the limit by then depends on how fast the guest is.
meanwhile()
{
	local one two
	one=$(answers 1 "$1") two=$(answers 2 "$1")
	diag "answers and when the last left: tunnel-1 $one, tunnel-2 $two"
	[ "${one% *} ${two% *}" = "2 2" ] && awk -v a="${one#* }" -v b="${two#* }" 'BEGIN { exit !(a > 0 && a < b) }'
}
both_out_of_sync() { [ "$(sync_of SeGW-1 2 .db_sync_state) $(sync_of SeGW-3 2 .db_sync_state)" = "outOfSync outOfSync" ]; }
gone() { ! running "$1" mcipsecd; }
rekeys_done() { [ "$(ask "$1" '.tunnel_groups[] | .counters | "\(.rekeys_total) \(.rekeys_done)"' show isa tunnel-group)" = "1 1" ]; }
same_as_ce() { [ "$(spis SeGW-2 1), $(spis SeGW-2 2), $(spis SeGW-3 1), $(spis SeGW-3 2)" = "$(spis CE-1 1), , , $(spis CE-1 2)" ]; }

plan $((SCENE_POINTS + 64))
scene_up
check_wait "opposite masters at once: SeGW-1 of group 1, SeGW-3 of group 2, for which SeGW-1 stands by" 60 \
	eval '[[ $(isa SeGW-1) == "1 master"*"2 standby"* && $(isa SeGW-3) == "2 master"* ]]' || tap_end
check_wait "CE-1's second tunnel comes up through SeGW-3" 60 ping_ce_2 || tap_end
check "a flow runs each way through tunnel-2, too" flow_2_start
check_wait "protection status nominal, both groups" 60 stand 1 3
ikes=$(ce_ikes)
check_wait "each peer has the two entries of its group under its tag, and SeGW-1 shows so for each" 30 each_has_its_own
check_is "SeGW-1 shows two peers, SeGW-2 and SeGW-3 one" "192.0.2.2 192.0.2.5, 192.0.2.1, 192.0.2.1" eval 'echo "$(rows SeGW-1), $(rows SeGW-2), $(rows SeGW-3)"'
check_wait "SeGW-2 holds nothing of group 2, SeGW-3 nothing of group 1, in charon and kernel; SeGW-1 holds both" 20 apart
check_wait "nothing is alarmed" 20 eval 'no_alarm SeGW-1 1 && no_alarm SeGW-1 2 && no_alarm SeGW-2 1 && no_alarm SeGW-3 2'
t1=$EPOCHREALTIME

moves SeGW-1 1 2 3
t2=$EPOCHREALTIME
moves SeGW-3 2 2 1
check_is "since the first SeGW-2 alone has sent for group 1" "SeGW-2 " senders 1 "$t2"
moves SeGW-1 2 2 3
check "both go to SeGW-1" eval 'hand_over SeGW-2 1 && poll 90 stand 1 3 && hand_over SeGW-3 2'
check_wait "SeGW-1 is master of both; nominal" 90 stand 1 1
check_wait "each is in sync with its own peer, and they are apart still" 40 eval 'each_has_its_own && apart'

spis1=$(spis CE-1 1) spis2=$(spis CE-1 2) t6=$EPOCHREALTIME
check "the CE rekeys both CHILD_SAs, while packets come to their standbys" eval 'rekey 1 && rekey 2'
check_wait "each standby has the new SAs of its own, and no other has" 40 both_others
check_wait "in two entries each; nominal" 40 eval 'each_has_its_own && stand 1 1'
check_is "neither flow has lost a packet" "0 0" lost "$t6"
third_lead 1 1

# One charon: while a record of group 2 waits, group 1's packets are not kept for it.
filtered=$EPOCHREALTIME expired1=$(expired 1) expired2=$(expired 2) before=$(of_1) held1=$(sync_of SeGW-1 1 .held_total)
check "the MCS with SeGW-3 alone is filtered" mcs_filter
check "the CE rekeys in tunnel-2, whose records cannot be acknowledged, and in tunnel-1" eval 'rekey 2 && rekey 1'
check_wait "control: a packet of group 1 was held for its record" 20 held_above 1 "$held1"
check_wait "control: a packet of group 2 leaves at the limit" 20 expired_above 2 "$expired2"
check_is "none of group 1 had to wait for the limit" "$expired1" expired 1
check_wait "the MCS with SeGW-3 is outOfSync" 30 both_out_of_sync
check_wait "control: the rekey in tunnel-1 was over while an answer of tunnel-2 still waited" 20 meanwhile "$filtered"
check_wait "group 2 is notReady on both, group 1 nominal on both; nobody's mastership moves" 20 \
	eval '[ "$(isa SeGW-1), $(isa SeGW-2), $(isa SeGW-3)" = "1 master true, 2 master false, 1 standby true, 2 standby false" ]'
check "group 1 is in sync" has_entries SeGW-1 1
check "the filter goes" mcs_pass
check_wait "in sync again, nominal" 60 eval 'each_has_its_own && stand 1 1'
check_wait "SeGW-3 has what was rekeyed meanwhile" 20 apart
check_is "all the while group 1 never was notReady, nor did its MCS go" "$before" of_1

# A planned restart with two peers: both grant it, and the routes of both groups stay.
spawn SeGW-1 routes ip -ts -o monitor route
t3=$EPOCHREALTIME before="$(of_group 1 generation) $(of_group 2 generation)"
check "the agent of SeGW-1 leaves for a planned restart, and comes back" eval 'signal SeGW-1 mcipsecd USR2 && poll 10 gone SeGW-1 && agent_start SeGW-1'
check_wait "SeGW-1 is master of both, nominal" 60 stand 1 1
check_is "in the same generations" "$before" eval 'echo "$(of_group 1 generation) $(of_group 2 generation)"'
check_is "neither flow has lost a packet" "0 0" lost "$t3"
check "control: routes are watched" eval 'lab SeGW-1 ip route add table 2 198.51.100.0/24 dev int-Redundant-2 && lab SeGW-1 ip route del table 2 198.51.100.0/24 && poll 10 grep -q "Deleted 198.51.100" "$LAB_DIR/SeGW-1/log/routes.out"'
check_is "no route of either group was taken away" 0 grep -c 'Deleted 192\.168\.1\.' "$LAB_DIR/SeGW-1/log/routes.out"

t4=$EPOCHREALTIME
check "SeGW-1, master of both, loses power; packets go to SeGW-2 and SeGW-3" eval 'third_kill_SeGW_1 && third_lead 2 3'
t5=$EPOCHREALTIME
check_wait "SeGW-2 takes over group 1, SeGW-3 group 2" 60 eval '[[ $(isa SeGW-2) == "1 eligible "* && $(isa SeGW-3) == "2 eligible "* ]]'
check_wait "both tunnels go on" 60 flows_recovered
check_wait "each rekeys its own, and has nothing of the other's" 60 eval 'rekeys_done SeGW-2 && rekeys_done SeGW-3 && same_as_ce'
check "the IKE_SAs are those of before" same_ikes
check_is "since then SeGW-2 alone has sent for group 1, SeGW-3 alone for group 2" "SeGW-2 SeGW-3 " eval 'echo "$(senders 1 "$t5")$(senders 2 "$t5")"'
check_is "as SeGW-1 alone had for both before" "SeGW-1 SeGW-1 " eval 'echo "$(senders 1 "$t3" "$t4")$(senders 2 "$t3" "$t4")"'

check "SeGW-1 boots again" eval 'node_up SeGW-1 && third_net_SeGW_1 &&
	lab SeGW-1 cat /sys/class/net/int-SeGW1-S1/address >"$LAB_DIR/SeGW-1/mac" && gateway_start SeGW-1'
check_wait "it stands by for both, nominal" 90 stand 2 3
check_wait "filled by both peers, each with its own" 60 eval 'each_has_its_own && apart'
check_is "it has sent for neither" "SeGW-2 SeGW-3 " eval 'echo "$(senders 1 "$t5")$(senders 2 "$t5")"'
moves SeGW-3 2 2 1
check "over all of it the CE has authenticated each tunnel once" same_ikes
check "SeGW-3 has never sent for group 1, SeGW-2 never for group 2" eval '[[ "$(senders 1 "$t1")" != *SeGW-3* && "$(senders 2 "$t1")" != *SeGW-2* ]]'
scene_end
