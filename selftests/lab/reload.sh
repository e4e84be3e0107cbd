# SPDX-License-Identifier: GPL-2.0-or-later
#
# reload.sh - new configurations for a running pair of gateways.
#
# Sourced after lab.sh.

PEER1='redundancy.multi-chassis.peer."192.0.2.2"' PEER2='redundancy.multi-chassis.peer."192.0.2.1"'

# drop_in NODE NAME: the configuration on stdin, in conf.d
drop_in()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	cat >"$LAB_DIR/$1/etc/mcipsec/conf.d/$2.toml"
}
reload() { lab "$1" mcipsec reload; }
# refused NODE PATTERN: its files as they are now, with these words
refused()
{
	local out
	if out=$(reload "$1" 2>&1); then
		diag "taken: $out"
		return 1
	fi
	grep -q "$2" <<<"$out" && return
	diag "refused otherwise: $out"
	return 1
}
generations() { echo "$(mc SeGW-1 generation) $(mc SeGW-2 generation)"; }
unmoved() { [ "$(generations)" = "$generation" ] && roles SeGW-1 master SeGW-2 standby; }

# group_2 NODE PEER PRIORITY: a second tunnel-group
group_2()
{
	drop_in "$1" group2 <<-TOML
	[isa.tunnel-group.2]
	multi-active = true
	mda = ["2/2"]
	[isa.mda."2/2"]
	[ipsec.public."int-IPsec-Public-2"]
	tunnel-group = 2
	local-gateway-address = ["10.10.20.2"]
	[$2.sync.ipsec.tunnel-group.2]
	sync-tag = "tag-2"
	[$2.mc-ipsec.tunnel-group.2]
	priority = $3
	TOML
}
group_2_is() { [ "$(ask "$1" '[.. | objects | select(has("gate") and .id == 2)] | first | .mastership' show isa tunnel-group 2)" = "$2" ]; }
pair_2() { { group_2_is SeGW-2 master && group_2_is SeGW-1 standby; } || { group_2_is SeGW-1 master && group_2_is SeGW-2 standby; }; }
agent_pids() { lab SeGW-1 pidof mcipsecd; lab SeGW-2 pidof mcipsecd; }
same_agents() { [ "$(agent_pids)" = "$agents" ]; }
