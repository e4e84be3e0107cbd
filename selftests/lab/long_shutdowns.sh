#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_shutdowns.sh - what an administrative shutdown does to the IKE states of a chassis that
# has standby-restart = "restart" (seed, "Other Details"): of the tunnel-group, of the peer
# and under mc-ipsec; of the master, and of the standby. They are dropped without a message
# when it comes back, and installed anew. CE-1's tunnel lives.

. "$(dirname "$0")/scene.sh"

scene_configure()
{
	[ "$1" != SeGW-1 ] || sed -i '/mc-ipsec.tunnel-group.1\]/a standby-restart = "restart"' \
		"$LAB_DIR/SeGW-1/etc/mcipsec/mcipsec.toml"
}
admin() { lab SeGW-1 mcipsec admin "$@" >/dev/null; }
emptied() { grep -c 'standby-restart, 1 IKE_SAs dropped, all is installed anew' "$LAB_DIR/SeGW-1/log/mcipsecd.out"; }
more() { [ "$(emptied)" -gt "$1" ]; }
# its_ike_sa: the number that SeGW-1's charon gave the CE's IKE_SA.
its_ike_sa() { lab SeGW-1 swanctl --list-sas --raw | grep -o 'uniqueid=[0-9]*'; }
anew() { local now; now=$(its_ike_sa); [ -n "$now" ] && [ "$now" != "$1" ]; }
sent_since() { capture from 10.10.20.1 "$OBS_DIR/public.pcap" --from "$1" --mac "$(gateway_mac SeGW-1)" | jq ".$2"; }
back() { roles SeGW-1 standby SeGW-2 master && nominal; }

# as_master WHAT WORD...: the shutdown that these words of `admin` name, of SeGW-1, the
# master; 8 points. SeGW-1 is master again at the end.
as_master()
{
	local t what=$1 words=("${@:2}") before ike_sa
	before=$(emptied) ike_sa=$(its_ike_sa)
	check "$what a shutdown on SeGW-1, the master" admin "${words[@]}" shutdown
	check_wait "$what SeGW-2 takes over, SeGW-1 is notEligible" 20 roles SeGW-1 notEligible SeGW-2 master
	t=$EPOCHREALTIME
	check_wait "$what CE-1's ping goes on" 20 ping_ce
	check "$what no-shutdown: it drops its IKE states" eval 'admin "${words[@]}" no-shutdown && poll 60 more "$before"'
	check_wait "$what stands by, nominal on both" 60 back
	check "$what it holds the tunnel anew" anew "$ike_sa"
	check_is "$what and has sent nothing since SeGW-2 took over, neither IKE nor ESP" "0 0" eval 'echo "$(sent_since "$t" ike) $(sent_since "$t" esp)"'
	check "$what SeGW-1 is master again, nominal" eval 'hand_over SeGW-2 && poll 60 roles SeGW-1 master SeGW-2 standby && poll 60 nominal'
}

# as_standby WHAT WORD...: the same of SeGW-1, which stands by; 6 points.
as_standby()
{
	local t=$EPOCHREALTIME what=$1 words=("${@:2}") before ike_sa
	before=$(emptied) ike_sa=$(its_ike_sa)
	check "$what a shutdown on SeGW-1, the standby: notEligible" eval 'admin "${words[@]}" shutdown && poll 20 mc_is SeGW-1 mastership notEligible'
	check "$what no-shutdown: it drops its IKE states, too" eval 'admin "${words[@]}" no-shutdown && poll 60 more "$before"'
	check_wait "$what stands by, nominal on both" 60 back
	check "$what it holds the tunnel anew" anew "$ike_sa"
	check_is "$what it has sent nothing, neither IKE nor ESP" "0 0" eval 'echo "$(sent_since "$t" ike) $(sent_since "$t" esp)"'
	check_wait "$what CE-1's ping goes on" 20 ping_ce
}

GROUP=(isa tunnel-group 1) PEER=(redundancy peer 192.0.2.2)
plan $((SCENE_POINTS + 2 * 8 + 1 + 3 * 6 + 1))
scene_up
as_master "tunnel-group:" "${GROUP[@]}"
as_master "peer:" "${PEER[@]}"
check "SeGW-2 becomes master, nominal" eval 'hand_over SeGW-1 && poll 60 back'
as_standby "tunnel-group:" "${GROUP[@]}"
as_standby "peer:" "${PEER[@]}"
as_standby "mc-ipsec:" "${PEER[@]}" mc-ipsec tunnel-group 1
check "the CE has authenticated once" scene_same_ike
scene_end
