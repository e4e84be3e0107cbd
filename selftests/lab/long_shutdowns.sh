#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_shutdowns.sh - what an administrative shutdown does to the IKE states of a chassis that
# has standby-restart = "restart" (seed, "Other Details"): of the tunnel-group, of the peer
# and under mc-ipsec; of the master, and of the standby; by command, and by the file and a
# reload. They are dropped without a message when it comes back, and installed anew. Then that
# of the synchronisation by file, which moves nothing; and a priority that changes while
# everything runs: it decides the next election. CE-1's tunnel lives.

. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/reload.sh"
. "$(dirname "$0")/dual-master.sh"

scene_configure()
{
	[ "$1" != SeGW-1 ] || sed -i '/mc-ipsec.tunnel-group.1\]/a standby-restart = "restart"' \
		"$LAB_DIR/SeGW-1/etc/mcipsec/mcipsec.toml"
}
# shut WORD..., unshut WORD...: what these words of `admin` name; shut file SECTION: that, in
# SeGW-1's file
shut()
{
	if [ "$1" = file ]; then
		printf '[%s]\nshutdown = true\n' "$2" | drop_in SeGW-1 shut && reload SeGW-1
	else
		lab SeGW-1 mcipsec admin "$@" shutdown >/dev/null
	fi
}
unshut()
{
	if [ "$1" = file ]; then
		rm "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/shut.toml" && reload SeGW-1
	else
		lab SeGW-1 mcipsec admin "$@" no-shutdown >/dev/null
	fi
}
has_reason() { mc "$1" reasons | grep -q "$2"; }
flag() { sync_field "$1" 'sync_oper_flags | join(" ")' | grep -qw "$2"; }
# shown: how many shutdowns `config show` has; and how many of what it has a command has made
shown() { local c; c=$(lab SeGW-1 mcipsec config show) && echo "$(grep -c '^shutdown = true' <<<"$c") $(grep -c '(runtime)' <<<"$c")"; }
# priority P: SeGW-1's from now on, by its file; SeGW-2 has 150
priority() { printf '[%s.mc-ipsec.tunnel-group.1]\npriority = %s\n' "$PEER1" "$1" | drop_in SeGW-1 priority && reload SeGW-1; }
priority_shown() { mc_is SeGW-1 priority "$1" && mc_is SeGW-2 peer_priority "$1"; }
# No BFD between them: with keep-alives both act until it is back, and are elected from then.
bfd_off()
{
	lab SeGW-1 nft 'add table inet nobfd; add chain inet nobfd in { type filter hook input priority 0; }; add chain inet nobfd out { type filter hook output priority 0; };
		add rule inet nobfd in ip saddr 192.0.2.2 udp dport 4784 drop; add rule inet nobfd out ip daddr 192.0.2.2 udp dport 4784 drop'
}
bfd_on() { lab SeGW-1 nft delete table inet nobfd; }
# rekeyed OLD: SeGW-1, to which traffic turns when both act (VRRP), has done what it owes for
# that: the CE has other SPIs
rekeyed()
{
	local now
	now=$(ce_child_spis)
	[ -n "$now" ] && [ "$now" != "$1" ] && [ "$(pacer SeGW-1 rekeys_pending)" = 0 ] &&
		[ "$(pacer SeGW-1 rekeys_in_flight)" = 0 ] && ping_ce
}
# outranked NODE: it acted, met another one that did, and stands by for its priority
outranked() { mc "$1" last_state_reason | grep -qF 'step 9'; }
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
	check "$what a shutdown on SeGW-1, the master" shut "${words[@]}"
	check_wait "$what SeGW-2 takes over, SeGW-1 is notEligible" 20 roles SeGW-1 notEligible SeGW-2 master
	t=$EPOCHREALTIME
	check_wait "$what CE-1's ping goes on" 20 ping_ce
	check "$what no-shutdown: it drops its IKE states" eval 'unshut "${words[@]}" && poll 60 more "$before"'
	check_wait "$what stands by, nominal on both" 60 back
	check "$what it holds the tunnel anew" anew "$ike_sa"
	check_is "$what and has sent nothing since SeGW-2 took over, neither IKE nor ESP" "0 0" eval 'echo "$(sent_since "$t" ike) $(sent_since "$t" esp)"'
	check "$what SeGW-1 is master again, nominal" eval 'hand_over SeGW-2 && poll 60 roles SeGW-1 master SeGW-2 standby && poll 60 nominal'
}

# as_standby WHAT WORD...: the same of SeGW-1, which stands by; 7 points.
as_standby()
{
	local t=$EPOCHREALTIME what=$1 words=("${@:2}") before ike_sa
	before=$(emptied) ike_sa=$(its_ike_sa)
	check "$what a shutdown on SeGW-1, the standby: notEligible" eval 'shut "${words[@]}" && poll 20 mc_is SeGW-1 mastership notEligible'
	check_wait "$what SeGW-2 is master, and has no standby" 20 eval 'mc_is SeGW-2 mastership master && has_reason SeGW-2 "no standby"'
	check "$what no-shutdown: it drops its IKE states, too" eval 'unshut "${words[@]}" && poll 60 more "$before"'
	check_wait "$what stands by, nominal on both" 60 back
	check "$what it holds the tunnel anew" anew "$ike_sa"
	check_is "$what it has sent nothing, neither IKE nor ESP" "0 0" eval 'echo "$(sent_since "$t" ike) $(sent_since "$t" esp)"'
	check_wait "$what CE-1's ping goes on" 20 ping_ce
}

GROUP=(isa tunnel-group 1) PEER=(redundancy peer 192.0.2.2)
plan $((SCENE_POINTS + 2 * 8 + 1 + 6 * 7 + 8 + 15 + 1))
scene_up
as_master "tunnel-group:" "${GROUP[@]}"
as_master "peer:" "${PEER[@]}"
check "SeGW-2 becomes master, nominal" eval 'hand_over SeGW-1 && poll 60 back'
as_standby "tunnel-group:" "${GROUP[@]}"
as_standby "peer:" "${PEER[@]}"
as_standby "mc-ipsec:" "${PEER[@]}" mc-ipsec tunnel-group 1
as_standby "tunnel-group by file:" file isa.tunnel-group.1
as_standby "peer by file:" file "$PEER1"
as_standby "mc-ipsec by file:" file "$PEER1.mc-ipsec.tunnel-group.1"

generations=$(generations)
check_is "control: nothing is shut down" "0 0" shown
check "sync by file: a shutdown on SeGW-1" shut file "$PEER1.sync.ipsec"
check_wait "both say outOfSync, each with its reason" 20 eval 'sync_is SeGW-1 db_sync_state outOfSync && sync_is SeGW-2 db_sync_state outOfSync &&
	flag SeGW-1 sync-admin-down && flag SeGW-2 peer-admin-down'
check_is "config show has it, not as (runtime)" "1 0" shown
check_wait "SeGW-2 is notReady" 20 has_reason SeGW-2 "peer outOfSync"
check "no-shutdown" unshut file
check_wait "nominal again on both" 60 back
check_is "mastership has not moved" "$generations" generations

check "priority by file: SeGW-1's goes below SeGW-2's" priority 100
check_wait "both show it" 20 priority_shown 100
spis=$(ce_child_spis)
check "BFD fails, keep-alives do not: both act" eval 'bfd_off && poll 20 roles SeGW-1 eligible SeGW-2 eligible'
check_wait "traffic turns to SeGW-1, which rekeys" 60 rekeyed "$spis"
check "BFD is back: SeGW-2 is master" eval 'bfd_on && poll 60 back'
check "by its priority" outranked SeGW-1
check_wait "CE-1's ping goes on" 30 ping_ce
check "SeGW-1's goes above SeGW-2's again" priority 200
check_wait "both show it" 20 priority_shown 200
check "SeGW-2 is master still" roles SeGW-1 standby SeGW-2 master
spis=$(ce_child_spis)
check "BFD fails again: both act" eval 'bfd_off && poll 20 roles SeGW-1 eligible SeGW-2 eligible'
check_wait "traffic turns to SeGW-1, which rekeys" 60 rekeyed "$spis"
check "BFD is back: SeGW-1 is master" eval 'bfd_on && poll 60 roles SeGW-1 master SeGW-2 standby && poll 60 nominal'
check "by its priority" outranked SeGW-2
check_wait "CE-1's ping goes on" 30 ping_ce
check "the CE has authenticated once" scene_same_ike
scene_end
