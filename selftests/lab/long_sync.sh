#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_sync.sh - `show redundancy multi-chassis sync detail` in the lab: what moves its
# fields, one after the other, and the protection status that follows. Packets held by
# output commit while MCS is filtered, and sent at the limit while it is slow; entries that
# wait for a connection; the synchronisation shut down.
# Control: each field is back at the end of its part.

. "$(dirname "$0")/scene.sh"

SWANCTL=$LAB_DIR/SeGW-2/etc/swanctl/conf.d/tunnel-1.conf

# A packet is held so long that it can be looked at.
scene_configure()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	cat >"$LAB_DIR/$1/etc/mcipsec/conf.d/sync.toml" <<-EOT
	[redundancy.multi-chassis.peer."$(peer_address "$1")".sync.ipsec]
	output-commit-limit = 4000
	user-timeout = 60
	connect-retry = 1
	EOT
}

detail() { ask "$1" "$(find_object db_sync_state) | .$2" show redundancy multi-chassis sync detail; }
is() { [ "$(detail "$1" "$2")" = "$3" ]; }
above() { [ "$(detail "$1" "$2")" -gt "$3" ]; }
has() { detail "$1" "$2" | grep -q "$3"; }
reasons() { mc "$1" reasons | grep -qE "$2"; }
both_in_sync() { is SeGW-1 db_sync_state inSync && is SeGW-2 db_sync_state inSync; }
said() { grep -qE "$1" "$LAB_DIR/SeGW-1/log/mcipsecd.out"; }
mcs_filter()
{
	lab SeGW-1 nft -f - <<-EOT
	table inet apart {
		chain in {
			type filter hook input priority 0
			tcp dport 7656 drop
			tcp sport 7656 drop
		}
		chain out {
			type filter hook output priority 0
			tcp dport 7656 drop
			tcp sport 7656 drop
		}
	}
	EOT
}
acks_late()
{
	sed -i 's/^output-commit-limit = .*/output-commit-limit = 100/' "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/sync.toml"
	signal SeGW-1 mcipsecd HUP && wait_for "the reload" 20 said 'configuration applied, 1 change' &&
		modprobe sch_netem && lab SeGW-2 tc qdisc add dev int-SeGW2-SeGW1 root netem delay 400ms
}
mcs_free() { lab SeGW-1 nft delete table inet apart; }
ce_rekeys() { lab CE-1 timeout 60 swanctl --rekey --"$1" tunnel-1 >/dev/null; }
admin() { lab "$1" mcipsec admin redundancy peer "$(peer_address "$1")" "${@:2}"; }
swanctl_load() { lab SeGW-2 swanctl --load-all --noprompt >/dev/null; }

plan $((SCENE_POINTS + 40))
scene_up

check_wait "the entries of one tunnel on both" 20 eval 'is SeGW-1 num_entries 2 && is SeGW-2 num_entries 2'
check_wait "and as each hears of the other" 20 eval 'is SeGW-1 rem_num_entries 2 && is SeGW-2 rem_num_entries 2'
check_wait "installed on SeGW-2" 10 is SeGW-2 installed 2
check "nothing else" eval 'for f in lcl_deleted_entries alarm_entries rem_alarm_entries installing await_conf failed held_packets held_expired; do
	is SeGW-1 $f 0 && is SeGW-2 $f 0 || exit 1; done'
check "fields that never move: authentication, warm standby, OMCR" eval 'is SeGW-1 authentication Enabled && is SeGW-1 warm_standby No &&
	is SeGW-1 omcr_standby_entries 0 && is SeGW-1 rem_omcr_standby_entries 0 && is SeGW-1 client_applications IPsec'
check_is "its address" 192.0.2.1 detail SeGW-1 source_ip_address

# ---- output commit --------------------------------------------------------------
total=$(detail SeGW-1 held_total)
check "the CE rekeys its CHILD_SA" ce_rekeys child
check_wait "SeGW-1's answer was held until SeGW-2 had the record" 20 above SeGW-1 held_total "$total"
check_wait "nothing is held any more" 10 is SeGW-1 held_packets 0
check_is "none left before that" 0 detail SeGW-1 held_expired
check "MCS alone is filtered" mcs_filter
ce_rekeys child & rekey=$!
check_wait "SeGW-1 holds its answer to a rekey" 15 above SeGW-1 held_packets 0
check_wait "and is notReady, for entries pending" 10 said "protection status notReady: .*entries pending"
check "the CE has its answer" wait "$rekey"
check_wait "nothing is held while MCS is down" 20 is SeGW-1 held_packets 0
check_wait "MCS is given up: outOfSync, a reason too" 30 eval 'is SeGW-1 db_sync_state outOfSync && reasons SeGW-1 "peer outOfSync"'
check_wait "connection-down" 10 has SeGW-1 sync_oper_flags connection-down
check_is "oper state" Down detail SeGW-1 sync_oper_state
check "the filter goes" mcs_free
check_wait "inSync on both" 60 both_in_sync
check_wait "protection status nominal on both" 90 nominal
check "SeGW-2's words take 0.4 s, SeGW-1 waits for 0.1 s" acks_late
check "the CE rekeys its CHILD_SA" ce_rekeys child
check_wait "SeGW-1's answer left at the limit: it is counted" 20 above SeGW-1 held_expired 0
check_wait "a reason: held output timed out" 20 reasons SeGW-1 "held output timed out"
check "they are quick again" lab SeGW-2 tc qdisc del dev int-SeGW2-SeGW1 root
check_wait "protection status nominal on both" 90 nominal

# ---- entries --------------------------------------------------------------------
mv "$SWANCTL" /tmp/tunnel-1.conf
check "SeGW-2's charon has no connection" swanctl_load
check "the CE rekeys its IKE_SA" ce_rekeys ike
check_wait "SeGW-2 has entries that wait for their configuration" 30 above SeGW-2 await_conf 0
check_wait "SeGW-1 is notReady, and says why" 30 reasons SeGW-1 'entries await-conf'
cp /tmp/tunnel-1.conf "$SWANCTL"
check "the connection is loaded" swanctl_load
check_wait "they are installed" 30 eval 'is SeGW-2 await_conf 0 && is SeGW-2 installed 2'
check_wait "protection status nominal on both" 60 nominal

# ---- shutdowns --------------------------------------------------------------------
check "SeGW-2: sync shutdown" admin SeGW-2 sync shutdown
check_wait "Sync Admin State, Sync Oper Flags" 20 eval 'is SeGW-2 sync_admin_state Down && has SeGW-2 sync_oper_flags sync-admin-down && has SeGW-1 sync_oper_flags peer-admin-down'
check "sync no-shutdown" admin SeGW-2 sync no-shutdown
check_wait "inSync on both" 60 both_in_sync
check_wait "protection status nominal on both" 60 nominal
check "CE-1's ping goes on" ping_ce
scene_end
