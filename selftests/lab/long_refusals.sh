#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_refusals.sh - what the seed ("Operational Conditions") forbids while a tunnel-group or
# a tunnel is in use: the master, with a tunnel up and packets on it, gets each such file and
# refuses it with file, line and what it needs; nothing moves, no packet is lost. Shut down,
# the same is taken, and a tunnel-group that is not in use can be removed.
# Control: that packets do flow, and that with nothing forbidden the same files are taken.

. "$(dirname "$0")/scene.sh"
. "$LAB_SRC/reload.sh"

ETC=$LAB_DIR/SeGW-1/etc/mcipsec
TG1=isa.tunnel-group.1 PUB='ipsec.public."int-IPsec-Public-1"' PRIV='ipsec.private."int-IPsec-Private-1"' TUN='ipsec.tunnel."tunnel-1"'

scene_configure()
{
	relaxed_timers "$1"
	echo "addr add 10.10.20.2/32 dev int-IPsec-Pub-1" | net_batch "$1"
	[ "$1" = SeGW-2 ] || drop_in "$1" members <<-TOML
	[$TG1]
	mda = ["1/2", "2/2"]
	[isa.mda."2/2"]
	TOML
}

# forbidden WHAT NEEDS PATH: a point; the file on stdin changes PATH in its second line. Names
# that need no quotes are said without.
forbidden()
{
	drop_in SeGW-1 zz-change
	check "$1: needs $2" refused SeGW-1 "zz-change.toml:2: needs $2 ($(sed -E 's/"([a-zA-Z0-9-]+)"/\1/g; s/\./\\./g' <<<"$3"))"
	rm -f "$ETC/conf.d/zz-change.toml"
}
# change WHAT SECTION KEY VALUE: that needs tunnel-group 1 shutdown; restart: a restart
change() { forbidden "$1" "tunnel-group 1 shutdown" "$2.$3" < <(printf '[%s]\n%s = %s\n' "$2" "$3" "$4"; cat "$LAB_DIR/more" 2>/dev/null); }
restart() { forbidden "$1" "a restart of mcipsecd" "$2.$3" < <(printf '[%s]\n%s = %s\n' "$2" "$3" "$4"); }
more() { printf '%s\n' "$@" >"$LAB_DIR/more"; }

# main_file SED...: with the main configuration otherwise than it is, refused with $why
main_refused()
{
	local rc=0
	cp "$ETC/mcipsec.toml" "$LAB_DIR/main.toml"
	sed -i "$@" "$ETC/mcipsec.toml"
	refused SeGW-1 "$why" || rc=1
	cp "$LAB_DIR/main.toml" "$ETC/mcipsec.toml"
	return $rc
}
lost_none() { [ "$(scene_lost "$t0" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 0.5 }')")" = 0 ]; }
admin_group() { lab SeGW-1 mcipsec admin isa tunnel-group "$1" "$2" >/dev/null; }
down() { [ "$(ask SeGW-1 "$(find_object gate) | .oper_state" show isa tunnel-group 1)" = down ]; }
active_is() { [ "$(mc SeGW-1 active_members)" = "$1" ]; }
no_group_2() { local rc=0; lab "$1" mcipsec show isa tunnel-group 2 >/dev/null 2>&1 || rc=$?; [ $rc = 4 ]; }
member_3_up() { [ "$(ask SeGW-1 '.tunnel_groups[0].members[0].oper_state' show isa tunnel-group 3)" = up ]; }
route_2() { lab "$1" ip route show table all | grep -q '10\.10\.20\.2 .*proto 20[123]'; }

plan $((SCENE_POINTS + 1 + 6 + 4 + 5 + 3 + 9 + 11 + 8 + 10 + 4))
scene_up
check_wait "both members are healthy" 30 eval '[ "$(ask SeGW-1 ".tunnel_groups[0].backup | join(\" \")" show isa tunnel-group 1)" = 2/2 ]'
generation=$(generations) agents=$(agent_pids)
poll 20 flow_recovered
t0=$EPOCHREALTIME

# ---- the tunnel-group ------------------------------------------------------------------
change "another active-mda-number" $TG1 active-mda-number 2
change "an active member is taken away" $TG1 mda '["2/2"]'
why='multi-active'
check "no multi-active is refused under mc-ipsec" main_refused 's/^multi-active = true/multi-active = false/'
why='mcipsec.toml:[0-9]*: needs tunnel-group 1 shutdown (isa.tunnel-group.1 is no longer there)'
rename='s/tunnel-group\.1\b/tunnel-group.3/; s/^tunnel-group = 1$/tunnel-group = 3/; s/mc-ipsec-non-forwarding = 1/mc-ipsec-non-forwarding = 3/'
mv "$ETC/conf.d/members.toml" "$LAB_DIR/members.toml"
check "another id: the group that is in use would go" main_refused "$rename"
check "so it would without any of its parts" main_refused -e '/^\[isa\.tunnel/,/^\[redundancy/{/^\[redundancy/!d}' -e '/sync-tag/d' -e '/mc-ipsec\.tunnel-group\.1\]/,$d'
mv "$LAB_DIR/members.toml" "$ETC/conf.d/"
change "another peer-group" "$PEER1.mc-ipsec.tunnel-group.1" peer-group 2

# ---- its addresses and services ----------------------------------------------------------
change "another gateway address" "$PUB" local-gateway-address '["10.10.20.7"]'
change "one more" "$PUB" local-gateway-address '["10.10.20.1", "10.10.20.7"]'
change "another public VRF" "$PUB" vrf '"vprn2"'
change "another private VRF" "$PRIV" vrf '""'
more '[ipsec.public."other"]' 'tunnel-group = 1' 'local-gateway-address = ["10.10.20.8"]' '[ipsec.private."other"]' 'tunnel-group = 1' 'vrf = "vprn2"'

# ---- the tunnel ----------------------------------------------------------------------------
change "another public service of the tunnel" "$TUN" public '"other"'
change "another private service" "$TUN" private '"other"'
change "another connection" "$TUN" connection '"tunnel-7"'
rm "$LAB_DIR/more"
forbidden "a dynamic tunnel of it" "tunnel-group 1 shutdown" "$TUN.type" < <(printf '[%s]\ntype = "dynamic"\nstatic-route = []\n' "$TUN")
change "another interface" "$TUN" interface '"vprn2"'

# ---- the peer -------------------------------------------------------------------------------
restart "another source address" "$PEER1" source-address '"192.168.255.1"'
restart "another sync-tag" "$PEER1.sync.ipsec.tunnel-group.1" sync-tag '"other"'
restart "another MIMP port" redundancy.multi-chassis mimp-port 7777

check "nothing has moved" unmoved
check "protection status nominal on both" nominal
check "the agents are the same processes" same_agents
check "no packet was lost" lost_none
check "CE-1 has authenticated once" scene_same_ike
check "control: at least 1000 packets were sent meanwhile" eval 'flow_window "$t0" "$EPOCHREALTIME" --json | jq_ok "[.[].sent] | add >= 1000"'
check "a file that forbids nothing is taken" eval 'rm -f "$ETC/conf.d/zz-change.toml"; reload SeGW-1'
check "with 0 changes" grep -q 'configuration applied, 0 changes' "$LAB_DIR/SeGW-1/log/mcipsecd.out"
check "the log has named what each needs" eval '[ "$(grep -c "configuration not applied: .*needs tunnel-group 1 shutdown" "$LAB_DIR/SeGW-1/log/mcipsecd.out")" -ge 14 ]'

# ---- under shutdown --------------------------------------------------------------------------
check "tunnel-group 1 is shut down on SeGW-1" admin_group 1 shutdown
check_wait "SeGW-2 serves" 60 mc_is SeGW-2 mastership master
check_wait "SeGW-1's is down" 30 down
printf '[%s]\nactive-mda-number = 2\n[%s]\nservice-id = 7\nvrf = "vprn2"\n' $TG1 "$PRIV" | drop_in SeGW-1 zz-change
check "now two active members are taken" reload SeGW-1
check "no shutdown" admin_group 1 no-shutdown
check_wait "SeGW-1 stands by" 60 roles SeGW-1 standby SeGW-2 master
check_wait "with two active members" 30 active_is 2
printf '[%s]\nactive-mda-number = 1\n' $TG1 | drop_in SeGW-1 zz-change
check "on the standby it is refused, too" refused SeGW-1 'zz-change.toml:2: needs tunnel-group 1 shutdown'
rm "$ETC/conf.d/zz-change.toml"
admin_group 1 shutdown
check "taken back under shutdown" reload SeGW-1
admin_group 1 no-shutdown
check_wait "SeGW-1 stands by, nominal" 60 eval 'roles SeGW-1 standby SeGW-2 master && nominal'
check_wait "CE-1's ping goes on" 30 ping_ce

# ---- a tunnel-group goes -----------------------------------------------------------------------
group_2 SeGW-1 "$PEER1" 10
group_2 SeGW-2 "$PEER2" 20
check "tunnel-group 2 is added on SeGW-1" reload SeGW-1
check_wait "it is there" 30 eval '! no_group_2 SeGW-1'
check_wait "group 1 has not moved, nominal" 30 eval 'roles SeGW-1 standby SeGW-2 master && nominal'
check "and on SeGW-2" reload SeGW-2
check_wait "the chassis agree on its master" 60 pair_2
check_wait "its route is there" 20 route_2 SeGW-1
generation=$(generations)
mv "$ETC/conf.d/group2.toml" "$LAB_DIR/group2.toml"
check "in use it is not removed" refused SeGW-1 'group2.toml:1: needs tunnel-group 2 shutdown (isa.tunnel-group.2 is no longer there)'
check "it is still there" eval '! no_group_2 SeGW-1 && pair_2'

cp "$LAB_DIR/group2.toml" "$ETC/conf.d/"
check "it is shut down" admin_group 2 shutdown
check_wait "SeGW-2 has it" 60 group_2_is SeGW-2 master
check "control: with it the files are as they were" reload SeGW-1
rm "$ETC/conf.d/group2.toml"
check "shut down it is removed" reload SeGW-1
check_wait "it is gone" 60 no_group_2 SeGW-1
check_wait "and its route" 60 eval '! route_2 SeGW-1'
check "its gate went when charon had dropped what was its" eval 'tail -n 200 "$LAB_DIR/SeGW-1/log/mcipsecd.out" | grep -q "tunnel-group 2 is not configured any more: its gate is removed"'
sed 's/tunnel-group\.2/tunnel-group.3/; s/tunnel-group = 2/tunnel-group = 3/; s/tag-2/tag-3/' "$LAB_DIR/group2.toml" >"$ETC/conf.d/group3.toml"
check "another group gets its address" reload SeGW-1
check_wait "it is there" 30 lab SeGW-1 mcipsec show isa tunnel-group 3
check_wait "charon has taken it, its member is up" 30 member_3_up
check_wait "group 1 has not moved, protection status nominal" 60 eval '[ "$(generations)" = "$generation" ] && nominal'
check "by the same processes" same_agents
check_wait "CE-1's ping goes on" 30 ping_ce
check "CE-1 has authenticated once" scene_same_ike
scene_end
