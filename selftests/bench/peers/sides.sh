# SPDX-License-Identifier: GPL-2.0-or-later
#
# sides.sh - three ways to keep tunnels over a switchover, on the same two gateways:
#
#	cold	keepalived moves the address, each charon knows its own tunnels only
#	ha	that, and strongSwan's ha plugin between the two charons
#	mcipsec	this project
#
# Each side S has
#	S_lacks			says what this machine lacks for it; nothing if it can run
#	S_configure NODE	its files, before any daemon of that gateway runs
#	S_start NODE		its daemons
#	S_ready M S		M serves all tunnels, S stands by with what it can know
#	S_planned M S		the operator moves them from M to S
#	S_taken M S		S has taken over: what keeps it there when M comes back
#
# Sourced by measure.sh, after scene.sh and customers.sh.

# ---- cold ---------------------------------------------------------------------------
cold_lacks() { :; }

cold_configure()
{
	stock_charon "$1" ''
	stock_keepalived "$1" ''
}

# stock_charon NODE PLUGIN: without the product's plugin, which would keep its gate
# closed for want of an agent; PLUGIN in its place.
stock_charon()
{
	local etc=$LAB_DIR/$1/etc
	customers_files "$1"
	rm -f "$etc/strongswan.d/charon/mcipsec.conf"
	sed -i "s|^.*include .*mcipsec\.conf.*|$2|; /^.*mcipsec\.conf/d" "$etc/strongswan.conf"
}

# stock_keepalived NODE COMMAND: the example's, but the track file is the operator's (or
# his script's), and whoever becomes master says so to BIRD and does COMMAND.
stock_keepalived()
{
	local dir=$LAB_DIR/$1/etc/keepalived
	sed -i -e '/vrrp_notify/d' -e 's|^global_defs {|&\n\tscript_user root|' \
		-e 's|^vrrp_instance .*|&\n\tnotify /etc/keepalived/notify.sh|' "$dir/keepalived.conf"
	cat >"$dir/notify.sh" <<-EOT
	#!/bin/sh
	# keepalived: INSTANCE|GROUP NAME STATE PRIORITY
	[ "\$3" = MASTER ] && proto=211 || proto=213
	ip route replace table 2 192.168.3.0/24 dev customers proto \$proto
	[ "\$3" != MASTER ] || { $2 :; }
	EOT
	chmod 755 "$dir/notify.sh"
}

cold_start()
{
	lab "$1" ip route replace table 2 192.168.3.0/24 dev customers proto 213
	keepalived_start "$1"
	bird_start "$1" && charon_start "$1"
}

# prefer NODE: the operator's track file, on SeGW-1.
prefer()
{
	local value=-150
	[ "$1" = SeGW-2 ] || value=0
	lab SeGW-1 sh -c 'echo "$1" >/run/mcipsec/vrrp/VRRP10.track' prefer "$value"
}

cold_ready() { vrrp_is "$1" MASTER && vrrp_is "$2" BACKUP; }

# What an operator does who wants it over soon: the customers need not find out by DPD, the
# old gateway ends what it has. Not before the new one gets the packets.
cold_planned()
{
	prefer "$2"
	poll 20 vrrp_is "$2" MASTER
	lab "$1" timeout 30 swanctl --terminate --ike customers --force --timeout -1 >/dev/null
}

cold_alone() { vrrp_is "$1" MASTER; }
cold_taken() { [ "$2" != SeGW-1 ] || prefer SeGW-1; }

# ---- ha -----------------------------------------------------------------------------
HA_PLUGIN=/usr/lib/ipsec/plugins/libstrongswan-ha.so
HA_FIFO=/run/charon.ha

ha_lacks() { [ -e "$HA_PLUGIN" ] || echo "no ${HA_PLUGIN##*/} in this strongSwan"; }

ha_configure()
{
	local n=${1#SeGW-}
	stock_charon "$1" "ha {\n\t\t\tload = yes\n\t\t\tlocal = 192.168.255.$n\n\t\t\tremote = 192.168.255.$((3 - n))\n\t\t\tsegment_count = 1\n\t\t}"
	stock_keepalived "$1" "timeout 2 sh -c 'echo +1 >$HA_FIFO';"
}

# Two that start at once both take all, and quarrel. Who comes second asks for all there is
# before swanctl has loaded a connection, and keeps none of it: the operator asks again.
ha_start()
{
	local other=SeGW-$((3 - ${1#SeGW-})) log=$LAB_DIR/$1/log/charon.log
	[ ! -e "$log" ] || mv "$log" "$log.before"	# ha_log asks for this one's words
	cold_start "$1" || return 1
	if ha_active "$other"; then
		lab "$other" timeout 5 sh -c "echo '*1' >$HA_FIFO"
	else
		wait_for "ha is active on $1" 30 ha_active "$1"
	fi
}
ha_active() { ha_log "$1" | tail -n 1 | grep -q 'now active: 1'; }
ha_log() { grep -s 'HA segment .*activated' "$LAB_DIR/$1/log/charon.log"; }

ha_ready() { cold_ready "$@" && ha_active "$1" && ! ha_active "$2" && [ "$(passive "$2")" = "$CUSTOMERS" ]; }
passive() { lab "$1" swanctl --list-sas --raw 2>/dev/null | grep -c 'state=PASSIVE.*state=INSTALLED'; }

ha_planned() { prefer "$2"; }
ha_alone() { cold_alone "$1" && ha_active "$1"; }
ha_taken() { cold_taken "$@"; }

# ---- mcipsec -------------------------------------------------------------------------
mcipsec_lacks() { modprobe -n mcipsec 2>/dev/null || echo "no module mcipsec"; }

mcipsec_configure()
{
	customers_files "$1"
	[ "$relaxed" = 0 ] || relaxed_timers "$1"
}
mcipsec_start() { gateway_start "$1"; }
mcipsec_ready()
{
	roles "$1" master "$2" standby && vrrp_is "$1" MASTER && nominal &&
		sync_is "$1" num_entries $((2 * CUSTOMERS)) && sync_is "$2" num_entries $((2 * CUSTOMERS)) && rekeys_over "$1"
}
rekeys_over()
{
	ask "$1" "$(find_object gate) | .counters | .rekeys_total == .rekeys_done + .rekeys_failed" show isa tunnel-group 1 |
		grep -q true
}
mcipsec_planned() { hand_over "$1"; }
mcipsec_alone() { gate_is "$1" forward && rekeys_over "$1"; }
mcipsec_taken() { :; }
