#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_sync.sh - `show redundancy multi-chassis sync detail` in the lab: what moves its
# fields, one after the other, and the protection status that follows. Packets held by
# output commit while MCS is filtered, and sent at the limit while it is slow, and not held
# at all once MCS is down; entries that the standby has not installed yet, that wait for a
# connection, that one chassis lost, that no record can hold; a channel that breaks for what
# comes through it; the synchronisation shut down; a takeover with message ids that are
# behind.
# Control: each field is back at the end of its part.

. "$(dirname "$0")/scene.sh"

SWANCTL=$LAB_DIR/SeGW-2/etc/swanctl/conf.d/tunnel-1.conf

# A packet is held so long that it can be looked at. Beside other guests an agent may not
# run for a second: who is master is not what is asked here.
scene_configure()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	cat >"$LAB_DIR/$1/etc/mcipsec/conf.d/sync.toml" <<-EOT
	[redundancy.multi-chassis.peer."$(peer_address "$1")".sync.ipsec]
	output-commit-limit = 4000
	user-timeout = 60
	connect-retry = 1
	EOT
	relaxed_timers "$1"
	# SeGW-2's charon will be stopped for a while: no reason to call it dead.
	[ "$1" != SeGW-2 ] || printf '[isa.mda."1/2"]\ntimeout = 100\n' >"$LAB_DIR/$1/etc/mcipsec/conf.d/slow.toml"
}

detail() { ask "$1" "$(find_object db_sync_state) | .$2" show redundancy multi-chassis sync detail; }
is() { [ "$(detail "$1" "$2")" = "$3" ]; }
above() { [ "$(detail "$1" "$2")" -gt "$3" ]; }
has() { detail "$1" "$2" | grep -q "$3"; }
reasons() { mc "$1" reasons | grep -qE "$2"; }
nothing_else()
{
	local f node
	for f in lcl_deleted_entries alarm_entries rem_alarm_entries installing await_conf failed held_packets held_expired; do
		for node in "${GATEWAYS[@]}"; do
			is "$node" $f 0 || { diag "$node: $f $(detail "$node" $f)"; return 1; }
		done
	done
}
both_in_sync() { is SeGW-1 db_sync_state inSync && is SeGW-2 db_sync_state inSync; }
said() { grep -qE "$1" "$LAB_DIR/SeGW-1/log/mcipsecd.out"; }
said_by() { grep -qE "$2" "$LAB_DIR/$1/log/mcipsecd.out"; }
# peer_says KIND: to SeGW-2, under SeGW-1's key; see attack_tls.py
peer_says() { lab SeGW-1 timeout 60 "$LAB_SRC/attack_tls.py" "$1" --from 192.0.2.1 --to 192.0.2.2 /etc/mcipsec/peer.key; }
no_flags() { is SeGW-1 'sync_oper_flags == []' true && is SeGW-2 'sync_oper_flags == []' true; }
# mcs_garbled: of each larger packet that SeGW-1 sends for MCS four octets are others
mcs_garbled()
{
	lab SeGW-1 nft -f - <<-EOT
	table ip garble {
		chain out {
			type filter hook output priority 0
			tcp dport 7656 meta length > 120 @th,480,32 set 0xdeadbeef
			tcp sport 7656 meta length > 120 @th,480,32 set 0xdeadbeef
		}
	}
	EOT
}
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
# The agent asks for held-total only while a record is on its way.
charon_held_more() { [ "$(charon_says SeGW-1 held-total)" -gt "$1" ]; }
admin() { lab "$1" mcipsec admin redundancy peer "$(peer_address "$1")" "${@:2}"; }
terminate() { lab "$1" timeout 30 swanctl --terminate --ike tunnel-1 --force --timeout 5 >/dev/null; }
# The IKE_SA that the customer has rekeyed to, at the end of the part before.
scene_ike_after() { [ -n "$ike" ] && [ "$(ce_ike_spis)" = "$ike" ]; }
# ce_wide: the customer asks for a CHILD_SA with more selectors a side than a record holds.
ce_wide()
{
	local node ts
	ts=$(seq -f '192.168.9.%g/32' -s ', ' 1 2 129)
	for node in CE-1 SeGW-1 SeGW-2; do
		sed -i "s|children {|&\nwide {\n$([ $node = CE-1 ] && echo local || echo remote)_ts = $ts\nesp_proposals = aes128gcm16-x25519\n}|" \
			"$LAB_DIR/$node/etc/swanctl/conf.d/tunnel-1.conf" || return 1
		lab $node swanctl --load-conns >/dev/null || return 1
	done
	expired=$(detail SeGW-1 held_expired)
	lab CE-1 timeout 60 swanctl --initiate --child wide >/dev/null
}
swanctl_load() { lab SeGW-2 swanctl --load-all --noprompt >/dev/null; }

plan $((SCENE_POINTS + 67 + 16 + 9))
scene_up

check_wait "the entries of one tunnel on both" 20 eval 'is SeGW-1 num_entries 2 && is SeGW-2 num_entries 2'
check_wait "and as each hears of the other" 20 eval 'is SeGW-1 rem_num_entries 2 && is SeGW-2 rem_num_entries 2'
check_wait "installed on SeGW-2" 10 is SeGW-2 installed 2
check "nothing else" nothing_else
check "fields that never move: authentication, warm standby, OMCR" eval 'is SeGW-1 authentication Enabled && is SeGW-1 warm_standby No &&
	is SeGW-1 omcr_standby_entries 0 && is SeGW-1 rem_omcr_standby_entries 0 && is SeGW-1 omcr_alarm_entries 0 &&
	is SeGW-1 rem_omcr_alarm_entries 0 && is SeGW-1 client_applications IPsec'
check_is "its address" 192.0.2.1 detail SeGW-1 source_ip_address

# ---- output commit --------------------------------------------------------------
total=$(detail SeGW-1 held_total) in_charon=$(charon_says SeGW-1 held-total) spis=$(ce_child_spis)
check "the CE rekeys its CHILD_SA" ce_rekeys child
check_wait "SeGW-1's answer was held until SeGW-2 had the record" 20 above SeGW-1 held_total "$total"
check_wait "as charon itself says" 20 charon_held_more "$in_charon"
check_wait "nothing is held any more" 10 is SeGW-1 held_packets 0
check_is "none left before that" 0 detail SeGW-1 held_expired
check_wait "the CE has another CHILD_SA" 30 another "$spis" ce_child_spis
spis=$(ce_child_spis)
check "MCS alone is filtered" mcs_filter
ce_rekeys child & rekey=$!
check_wait "SeGW-1 holds its answer to a rekey" 15 above SeGW-1 held_packets 0
check_wait "and is notReady, for entries pending" 10 said "protection status notReady: .*entries pending"
check "the CE has its answer" wait "$rekey"
check_wait "nothing is held while MCS is down" 20 is SeGW-1 held_packets 0
check_wait "MCS is given up: outOfSync, a reason too" 30 eval 'is SeGW-1 db_sync_state outOfSync && reasons SeGW-1 "peer outOfSync"'
check_wait "connection-down" 10 has SeGW-1 sync_oper_flags connection-down
check_is "oper state" Down detail SeGW-1 sync_oper_state
check_wait "the CE has another CHILD_SA" 30 another "$spis" ce_child_spis
spis=$(ce_child_spis) in_charon=$(charon_says SeGW-1 held-total) expired=$(charon_says SeGW-1 held-expired)
check "MCS is down: the CE rekeys its CHILD_SA" ce_rekeys child
check_wait "and has another one" 30 another "$spis" ce_child_spis
check_is "SeGW-1's charon has held nothing for that" "$in_charon" charon_says SeGW-1 held-total
check_is "nothing left at the limit" "$expired" charon_says SeGW-1 held-expired
check "SeGW-2's charon hangs" signal SeGW-2 charon STOP
check "the filter goes" mcs_free
check_wait "Installing: SeGW-2 has entries that its charon does not take" 40 above SeGW-2 installing 0
check "syncInProgress on SeGW-2, on SeGW-1 as well" eval 'is SeGW-2 db_sync_state syncInProgress && is SeGW-1 db_sync_state syncInProgress'
check "charon goes on" signal SeGW-2 charon CONT
check_wait "they are installed" 30 eval 'is SeGW-2 installing 0 && is SeGW-2 installed 2'
check_wait "inSync on both" 60 both_in_sync
check_wait "protection status nominal on both" 90 nominal
check "SeGW-2's words take 0.4 s, SeGW-1 waits for 0.1 s" acks_late
expired=$(detail SeGW-1 held_expired)
check "the CE rekeys its CHILD_SA" ce_rekeys child
check_wait "SeGW-1's answer left at the limit: it is counted" 20 above SeGW-1 held_expired "$expired"
check_wait "a reason: held output timed out" 20 said "protection status notReady: .*held output timed out"
check_wait "it goes when SeGW-2 has the records, be it slow" 60 nominal
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

# ---- lost on one chassis, and what cannot be taken over ------------------------
ike=$(ce_ike_spis)
check "SeGW-2's charon is told to end the tunnel, which is not its own to end" terminate SeGW-2
check_wait "Lcl Deleted Entries: its two entries, on SeGW-2; Rem Lcl Deleted Entries on SeGW-1" 20 eval 'is SeGW-2 lcl_deleted_entries 2 && is SeGW-1 rem_lcl_deleted_entries 2'
check_wait "SeGW-1 knows" 10 said "protection status notReady: .*entries locally deleted"
check_wait "SeGW-2 is given them again" 60 eval 'is SeGW-2 lcl_deleted_entries 0 && is SeGW-1 rem_lcl_deleted_entries 0 && is SeGW-2 installed 2'
check_wait "protection status nominal on both" 60 nominal
check "the customer has not noticed: CE-1's ping goes on, its IKE_SA is the same" eval 'ping_ce && scene_ike_after'

check "a tunnel comes that no record can hold: 65 selectors" ce_wide
check_wait "Alarm Entries on SeGW-1, Rem Alarm Entries on SeGW-2" 30 eval 'is SeGW-1 alarm_entries 1 && is SeGW-2 rem_alarm_entries 1'
check "one alarm names it" eval '[ "$(detail SeGW-1 alarms | grep -c "entry-unfit: child .* wide does not fit a record")" = 1 ]'
check_wait "SeGW-1 is notReady, and says why" 30 reasons SeGW-1 '1 entries failed'
check "its packet waited for the limit: it is counted" eval 'above SeGW-1 held_expired "$expired"'
check "it ends" lab CE-1 timeout 60 swanctl --terminate --child wide
check_wait "the alarm goes" 30 eval 'is SeGW-1 alarm_entries 0 && ! detail SeGW-1 alarms | grep -q unfit'
check_wait "protection status nominal on both" 60 nominal

# ---- flags of a channel that breaks ------------------------------------------------
check "control: no flag is set" no_flags
check_is "a peer says what nobody can read: its connection is ended" ended peer_says garbled
check_wait "internal-error on SeGW-2" 20 said_by SeGW-2 'MCS with .* outOfSync.*internal-error'
check_wait "inSync on both, no flag is left" 60 eval 'both_in_sync && no_flags'
check_is "a peer has another format of the records: its connection is ended" ended peer_says records
check_wait "app-version-mismatch on SeGW-2" 20 said_by SeGW-2 'MCS with .* outOfSync.*app-version-mismatch'
check "and why" said_by SeGW-2 "peer's record format is 2.0, this node's 1"
check_wait "inSync on both, no flag is left" 60 eval 'both_in_sync && no_flags'
check_not "control: everything was decrypted so far" said_by SeGW-2 'decryption-error'
check "MCS is garbled on its way" mcs_garbled
check_wait "SeGW-2 cannot decrypt it" 30 said_by SeGW-2 'MCS with .*: inSync to outOfSync, .*decryption-error'
check_wait "decryption-error, for as long as that lasts" 30 has SeGW-2 sync_oper_flags decryption-error
check_wait "outOfSync on both" 30 eval 'is SeGW-1 db_sync_state outOfSync && is SeGW-2 db_sync_state outOfSync'
check "it is not any more" lab SeGW-1 nft delete table ip garble
check_wait "inSync on both, no flag is left" 60 eval 'both_in_sync && no_flags'
check_wait "protection status nominal on both" 60 nominal

# ---- shutdowns --------------------------------------------------------------------
check "SeGW-2: sync shutdown" admin SeGW-2 sync shutdown
check_wait "Sync Admin State, Sync Oper Flags" 20 eval 'is SeGW-2 sync_admin_state Down && has SeGW-2 sync_oper_flags sync-admin-down && has SeGW-1 sync_oper_flags peer-admin-down'
check "sync no-shutdown" admin SeGW-2 sync no-shutdown
check_wait "inSync on both" 60 both_in_sync
check_wait "protection status nominal on both" 60 nominal
check "CE-1's ping goes on" ping_ce

# ---- message ids that are behind (RFC 6311) ----------------------------------------
check "(the flow ends: the customer will probe)" eval 'stop CE-1 flow && stop P-1 flow'
check "MCS alone is filtered" mcs_filter
check_wait "outOfSync on both" 60 eval 'is SeGW-1 db_sync_state outOfSync && is SeGW-2 db_sync_state outOfSync'
check_wait "the customer probes twice, of which SeGW-2 does not hear" 180 probed 2 "$EPOCHREALTIME"
check_is "control: SeGW-2 has asked nobody for message ids" 0 detail SeGW-2 message_ids_synced
check "SeGW-1 loses power" node_kill SeGW-1
check_wait "SeGW-2 asks the customer for them: Message Ids Synced" 240 is SeGW-2 message_ids_synced 1
check_wait "CE-1's ping goes on" 60 ping_ce
check "over the IKE_SA that it had" scene_ike_after
scene_end
