#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_admin.sh - the shutdowns of the seed, by command while everything runs: of the
# synchronisation, of a tunnel-group under mc-ipsec, of the peer, of the tunnel-group
# itself. Each takes what it names and no more; each goes back; the CE's tunnel lives.
#
# While the synchronisation is down a force-switchover is refused, and done where it is
# told to ignore the protection status.
#
# SeGW-1 has standby-restart = "restart": what comes back from a shutdown drops its IKE
# states without a message and gets all of its tunnels anew, as the seed has it.

. "$(dirname "$0")/scene.sh"

admin() { lab "$1" mcipsec admin "${@:2}"; }

scene_configure()
{
	relaxed_timers "$1"
	[ "$1" != SeGW-1 ] || sed -i '/mc-ipsec.tunnel-group.1\]/a standby-restart = "restart"' \
		"$LAB_DIR/SeGW-1/etc/mcipsec/mcipsec.toml"
}
emptied() { grep -q 'standby-restart, 1 IKE_SAs dropped, all is installed anew' "$LAB_DIR/SeGW-1/log/mcipsecd.out"; }
# its_ike_sa: the number that SeGW-1's charon gave the CE's IKE_SA.
its_ike_sa() { lab SeGW-1 swanctl --list-sas --raw | grep -o 'uniqueid=[0-9]*'; }
anew() { local now; now=$(its_ike_sa); [ -n "$now" ] && [ "$now" != "$ike_sa_before" ]; }
sent_since() { capture from 10.10.20.1 "$OBS_DIR/public.pcap" --from "$1" --mac "$(gateway_mac SeGW-1)" | jq '.esp + .ike'; }

# discovered SINCE: SeGW-1's log has that it was in discovery for its administrative state
discovered()
{
	[ "$(ask SeGW-1 "[.entries[] | select(.time >= $1 and .event == \"tMcPeerIPsecTnlGrpMasterStateChg\" and
		.fields.new_state == \"discovery\" and .fields.reason == \"admin status\")] | length" show log)" = 1 ]
}

plan $((SCENE_POINTS + 39))
scene_up

check "sync shutdown on SeGW-2" admin SeGW-2 redundancy peer 192.0.2.1 sync shutdown
check_wait "both say outOfSync, each with its reason" 20 \
	eval 'sync_is SeGW-1 db_sync_state outOfSync && sync_is SeGW-2 db_sync_state outOfSync &&
	sync_field SeGW-2 sync_oper_flags | grep -q sync-admin-down && sync_field SeGW-1 sync_oper_flags | grep -q peer-admin-down'
check "mastership is where it was" roles SeGW-1 master SeGW-2 standby
check_wait "SeGW-1 is notReady" 10 mc_is SeGW-1 protection_status notReady
check "it shows as (runtime) in config show" eval 'lab SeGW-2 mcipsec config show | grep -q "(runtime)"'
check "a force-switchover is refused" hand_over_refused SeGW-1
check "mastership is still where it was" roles SeGW-1 master SeGW-2 standby
check "with ignore-protection-status it is done" hand_over SeGW-1 1 ignore-protection-status
check_wait "SeGW-2 is master, SeGW-1 stands by" 20 roles SeGW-1 standby SeGW-2 master
check_wait "CE-1's ping goes on" 20 ping_ce
check "sync no-shutdown" admin SeGW-2 redundancy peer 192.0.2.1 sync no-shutdown
check_wait "nominal again on both" 60 nominal
check "force-switchover back, as nothing is missing" hand_over SeGW-2
check_wait "SeGW-1 is master again, nominal on both" 60 eval 'roles SeGW-1 master SeGW-2 standby && nominal'

check "mc-ipsec shutdown of tunnel-group 1 on SeGW-1, the master" \
	admin SeGW-1 redundancy peer 192.0.2.2 mc-ipsec tunnel-group 1 shutdown
check_wait "SeGW-2 takes over, SeGW-1 is notEligible" 20 roles SeGW-1 notEligible SeGW-2 master
check_wait "CE-1's ping goes on" 20 ping_ce
t=$EPOCHREALTIME ike_sa_before=$(its_ike_sa)
check "mc-ipsec no-shutdown" admin SeGW-1 redundancy peer 192.0.2.2 mc-ipsec tunnel-group 1 no-shutdown
check_wait "SeGW-1 stands by" 60 roles SeGW-1 standby SeGW-2 master
check "by way of discovery" discovered "$t"
check_wait "it drops its IKE states" 30 emptied
check_wait "nominal again on both" 60 nominal
check "it holds the tunnel anew" anew
check_is "and has sent nothing for it" 0 sent_since "$t"

check "peer shutdown on SeGW-1" admin SeGW-1 redundancy peer 192.0.2.2 shutdown
check_is "show sync has it: Admin State" Disabled sync_field SeGW-1 admin_state
check_is "show mc-ipsec, too" Down mc SeGW-1 admin_state
check_wait "SeGW-2 goes on serving" 20 gate_is SeGW-2 forward
check_wait "CE-1's ping goes on" 20 ping_ce
t=$EPOCHREALTIME
check "peer no-shutdown" admin SeGW-1 redundancy peer 192.0.2.2 no-shutdown
check_wait "SeGW-1 stands by, SeGW-2 is master" 60 roles SeGW-1 standby SeGW-2 master
check "by way of discovery" discovered "$t"
check_is "Admin State" Enabled sync_field SeGW-1 admin_state
check_wait "nominal again on both" 60 nominal

check "shutdown of the tunnel-group on SeGW-2, the master" admin SeGW-2 isa tunnel-group 1 shutdown
check_wait "SeGW-1 takes over, SeGW-2 is notEligible" 20 roles SeGW-1 master SeGW-2 notEligible
check_wait "CE-1's ping goes on" 20 ping_ce
check "no-shutdown; SeGW-2 stands by, nominal on both" \
	eval 'admin SeGW-2 isa tunnel-group 1 no-shutdown && poll 60 roles SeGW-1 master SeGW-2 standby && poll 60 nominal'
check "the CE has authenticated once" scene_same_ike
scene_end
