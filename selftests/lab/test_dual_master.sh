#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_dual_master.sh - both chassis live and cannot see each other: each becomes
# eligible, as the seed says; the customer's packets go to one of them. When they
# meet again one is master, and no tunnel is authenticated anew, whoever had the
# traffic.
#   1. MIMP, BFD and MCS are filtered between them: the traffic stays on SeGW-1,
#      which wins the election; the CE rekeys meanwhile.
#      Then with SeGW-2 as master: P-1, which has preferred it, turns to SeGW-1, the one
#      that the routing policy designates for as long as both are eligible.
#      Then the same with P-1's packets at SeGW-2 for a while. No record changes, but
#      CE-1 takes nothing below the numbers that SeGW-2 has used.
#   2. SeGW-1 is cut off alive: the traffic moves to SeGW-2, which rekeys; SeGW-1
#      wins the election all the same (priority) and takes over what SeGW-2 knows.
#      Then, and only then, the master asks the customer for life, once.
#   3. As 1, and both have begun an exchange with the same message id: to a request with
#      that id the customer repeats what it answered to the other. SeGW-1 asks for the ids.

. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/dual-master.sh"

# Which chassis the customers' packets go to is what this is about: beside another guest
# adverts that are missed for 0.36 s would move them.
scene_configure() { sed -i 's/advert_int 0\.1$/advert_int 0.5/' "$LAB_DIR/$1/etc/keepalived/keepalived.conf"; }

# asked_for_life SINCE: SeGW-1 has begun, besides rekeys and the delete that ends each,
# one INFORMATIONAL.
asked_for_life()
{
	local got
	got=$(begun SeGW-1 "$1")
	jq_ok '(.INFORMATIONAL // 0) == (.CREATE_CHILD_SA // 0) + 1' <<<"$got" || { diag "SeGW-1 began $got"; return 1; }
}

# p1_hears ROUTES: neighbour and local preference of each of P-1's routes to CE-1
p1_hears() { [ "$(p1_routes 192.168.1.1/32 | tr '\n' ' ')" = "$1 " ]; }

# asked_ids: how often SeGW-1's charon was told message ids
ids_told() { ask "$1" "$(find_object db_sync_state) | .message_ids_synced" show redundancy multi-chassis sync detail; }
asked_ids() { grep -c "peer says message IDs" "$LAB_DIR/SeGW-1/log/charon.log" || :; }

# others: how often it got an answer to the other chassis
others() { grep -c 'ignoring the answer to request .* of the other chassis' "$LAB_DIR/SeGW-1/log/charon.log" || :; }
one_child() { [ "$(ce_child_spis | wc -w)" = 2 ]; }

plan $((SCENE_POINTS + DUAL_MASTER_POINTS + 60))
scene_up

t=$EPOCHREALTIME
dual_master_stays 1
check_is "nothing was merged: SeGW-1 has asked nobody for life" 0 pacer SeGW-1 liveness_total
check_is "nor begun any exchange" '{}' begun SeGW-1 "$t"
check "force-switchover to SeGW-2" \
	hand_over SeGW-1
check_wait "SeGW-2 serves what was rekeyed at SeGW-1" 20 ping_ce
check_wait "protection status nominal on both" 60 nominal
check_wait "control: P-1 prefers SeGW-2, the master" 20 eval 'p1_prefers sdp-300 && p1_hears "segw1 100 segw2 200"'
check "the filter again" filter_on
check_wait "both are eligible" 20 roles SeGW-1 eligible SeGW-2 eligible
check_wait "P-1 hears of both, better of SeGW-1, the designated one, and prefers it" 20 eval 'p1_prefers sdp-200 && p1_hears "segw1 200 segw2 100"'
check_wait "CE-1's ping goes on" 20 ping_ce
check "it stays so while both are eligible" eval 'roles SeGW-1 eligible SeGW-2 eligible && p1_prefers sdp-200'
check "the filter goes" filter_off
check_wait "SeGW-1 is master, SeGW-2 standby" 30 roles SeGW-1 master SeGW-2 standby
check_wait "protection status nominal on both" 60 nominal

check_wait "(CE-1 has one CHILD_SA)" 30 one_child
t=$EPOCHREALTIME spis=$(ce_child_spis)
check "the filter again" filter_on
check_wait "both are eligible" 20 roles SeGW-1 eligible SeGW-2 eligible
check "P-1 sends by SeGW-2" p1_by 2
check_wait "which encrypts" 20 eval '[ "$(sent_from SeGW-2 "$t" esp)" -ge 100 ]'
check "P-1 sends as it learns" p1_free
check_is "SeGW-2 has sent no IKE" 0 sent_from SeGW-2 "$t" ike
check "the filter goes" filter_off
check_wait "SeGW-1 is master, SeGW-2 standby" 30 roles SeGW-1 master SeGW-2 standby
check_wait "CE-1 gets P-1's packets" 40 flow_recovered
check_is "over the CHILD_SA of before" "$spis" ce_child_spis
check_wait "protection status nominal on both" 60 nominal

spis=$(ce_child_spis)
node_cut SeGW-1
check_wait "2: SeGW-1 is cut off alive: both are eligible" 20 roles SeGW-1 eligible SeGW-2 eligible
check_wait "CE-1's ping goes on over SeGW-2" 20 ping_ce
check_wait "SeGW-2 sees the traffic and rekeys" 40 children_differ "$spis"
spis=$(ce_child_spis)
check_wait "(the rekey is through)" 20 eval '[ "$(pacer SeGW-2 rekeys_pending)" = 0 ] && [ "$(pacer SeGW-2 rekeys_in_flight)" = 0 ]'
t=$EPOCHREALTIME
node_mend SeGW-1
check_wait "SeGW-1 is master again, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
check_wait "the merged tunnel's customer is asked for life, and answers" 90 eval '[ "$(pacer SeGW-1 liveness_answered)" = 1 ] && [ "$(pacer SeGW-1 liveness_pending)" = 0 ]'
check_wait "the wire has it: one request more than rekeys need" 60 asked_for_life "$t"
check_is "SeGW-2 has begun nothing" '{}' begun SeGW-2 "$t"
check_wait "protection status nominal on both" 60 nominal
check_wait "CE-1's ping goes on over SeGW-1" 30 ping_ce
spis=$(ce_child_spis)
check "message ids agree: SeGW-1 rekeys" lab SeGW-1 timeout 20 swanctl --rekey --child tunnel-1
check_wait "the CE has new SPIs" 20 children_differ "$spis"
spis=$(ce_child_spis)
check "and the CE rekeys" ce_rekeys_child
check_wait "new SPIs again" 20 children_differ "$spis"
check_wait "protection status nominal on both" 60 nominal
check "force-switchover to SeGW-2" \
	hand_over SeGW-1
check_wait "CE-1's ping goes on over SeGW-2" 20 ping_ce
check "force-switchover back" \
	hand_over SeGW-2
check_wait "protection status nominal on both" 60 nominal
check_wait "(CE-1 has one CHILD_SA)" 30 one_child

synced=$(asked_ids) before=$(others) spis=$(ce_child_spis)
check "3: the filter again" filter_on
check_wait "both are eligible" 20 roles SeGW-1 eligible SeGW-2 eligible
check "the CE rekeys at SeGW-1" ce_rekeys_child
check_wait "SeGW-1 answers" 20 children_differ "$spis"
lab SeGW-2 timeout 20 swanctl --rekey --child tunnel-1 >/dev/null
check_wait "SeGW-2 rekeys, too: the CE answers, and SeGW-1 gets that" 20 eval '[ "$(others)" -gt "$before" ]'
check_is "SeGW-1 has not asked for message ids so far" "$synced" asked_ids
check "the filter goes" filter_off
check_wait "SeGW-1 is master, SeGW-2 standby" 30 roles SeGW-1 master SeGW-2 standby
check_wait "SeGW-1 asks the CE for the message ids, and is told" 60 eval '[ "$(asked_ids)" = $((synced + 1)) ]'
check_wait "SeGW-1 shows how often it was told" 20 eval '[ "$(ids_told SeGW-1)" = "$(asked_ids)" ]'
check "SeGW-1 rekeys" lab SeGW-1 timeout 20 swanctl --rekey --child tunnel-1
check_wait "CE-1's ping goes on" 30 ping_ce
check_wait "protection status nominal on both" 60 nominal
check "the CE's IKE_SA is the same all the time" scene_same_ike
scene_end
