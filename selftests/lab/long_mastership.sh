#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_mastership.sh - each reason for protection status notReady is brought about,
# shown on the chassis that it concerns, logged, and goes again; a switchover whose standby
# does not get ready is given up; BFD goes and comes at run time, by configuration and on the
# wire; after a planned switchover the status is nominal within 10 s. CE-1's tunnel lives
# through all of it.
# Seed "Protection Status", "MIMP Protocol States".

. "$(dirname "$0")/scene.sh"

# odd: a connection whose IKE_SAs cannot be taken over (vici-mcipsec.rst): its own
# interface id is drawn.
scene_configure()
{
	local etc=$LAB_DIR/$1/etc conf
	mkdir -p "$etc/mcipsec/conf.d"
	# SeGW-2's charon will be stopped for a while: no reason to call it dead.
	printf '[isa.mda."1/2"]\ntimeout = 100\n[ipsec.tunnel."odd"]\npublic = "int-IPsec-Public-1"\nprivate = "int-IPsec-Private-1"\n' >"$etc/mcipsec/conf.d/odd.toml"
	for conf in "$etc" "$LAB_DIR/CE-1/etc"; do
		sed -e 's/tunnel-1/odd/g' -e 's/10\.10\.10\.1$/10.10.10.254/' -e 's/192\.168\.1\.1\//192.168.1.9\//' -e 's/start_action = trap/start_action = none/' \
			-e '/if_id/d' "$conf/swanctl/conf.d/tunnel-1.conf" >"$conf/swanctl/conf.d/odd.conf"
	done
	sed -i 's/mobike = no/&\n\t\tif_id_in = %unique\n\t\tif_id_out = %unique/' "$etc/swanctl/conf.d/odd.conf"
}

CONF=$LAB_DIR/SeGW-2/etc/swanctl/conf.d/tunnel-1.conf
has() { mc "$1" reasons | grep -qE "$2"; }
both_have() { has SeGW-1 "$1" && has SeGW-2 "$1"; }
no_reason() { [ "$(mc "$1" 'reasons | length')" = 0 ]; }
# logged NODE REASON: a change to notReady with it
logged()
{
	lab "$1" timeout 20 mcipsec -j show log 2>/dev/null |
		jq_ok --arg r "$2" '[.. | objects | select(.event? == "tMcPeerIPsecTnlGrpProtStatusChg" and (.fields.new_state == "notReady") and (.fields.reason | test($r)))] | length > 0'
}
# filter MATCH...: SeGW-1 and SeGW-2 do not hear this of each other
filter()
{
	local match in='' out=''
	for match; do
		in+="ip saddr 192.0.2.2 $match drop"$'\n' out+="ip daddr 192.0.2.2 $match drop"$'\n'
	done
	lab SeGW-1 nft -f - <<-EOT
	table inet apart {
		chain in { type filter hook input priority 0; $in }
		chain out { type filter hook output priority 0; $out }
	}
	EOT
}
filter_off() { lab SeGW-1 nft delete table inet apart; }
settled() { roles SeGW-1 master SeGW-2 standby && nominal; }
# timed_out NODE: a switchover away from it, told not to wait longer
timed_out() { lab "$1" mcipsec tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 now wait 1 ignore-protection-status >/dev/null 2>"$LAB_DIR/stderr"; [ $? = 6 ] && grep -q 'not done after 1 s' "$LAB_DIR/stderr"; }
mda() { lab "$1" mcipsec admin isa tunnel-group 1 mda 1/2 "$2"; }
mimp_rx() { ask "$1" "$(find_object mimp_counters) | .mimp_counters.rx" show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")"; }
hears() { [ "$(mimp_rx SeGW-1)" -gt "$1" ] && [ "$(mimp_rx SeGW-2)" -gt "$2" ]; }
bfd_is() { mc_is SeGW-1 bfd_state "$1" && mc_is SeGW-2 bfd_state "$1"; }
bfd_enable()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		printf '[redundancy.multi-chassis.peer."%s".mc-ipsec]\nbfd-enable = %s\n' "$(peer_address "$node")" "$1" >"$LAB_DIR/$node/etc/mcipsec/conf.d/bfd.toml"
		lab "$node" mcipsec reload || return 1
	done
}
generations() { echo "$(mc SeGW-1 generation) $(mc SeGW-2 generation)"; }
ce() { lab CE-1 timeout 30 swanctl "$@" >/dev/null; }
# anew: the tunnel has another IKE_SA than $ike; its traffic sees to that, or we do.
anew()
{
	local now
	now=$(tunnel_1)
	if [ -n "$now" ] && [ "$now" != "$ike" ]; then
		return 0
	fi
	ce --initiate --child tunnel-1
	return 1
}
tunnel_1() { lab CE-1 swanctl --list-sas --ike tunnel-1 --raw | grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u | tr '\n' ' '; }

# Before or after SeGW-2's agent has noticed that its charon does not answer.
given_up() { mc "$1" switchover | grep -Eqx 'failed: the standby (did not get ready in time|cannot take over)'; }
plan $((SCENE_POINTS + 66))
scene_up
check "nominal has no reason, on either" eval 'no_reason SeGW-1 && no_reason SeGW-2'

check "no standby: the member of SeGW-2 is shut down" mda SeGW-2 shutdown
check_wait "SeGW-1 says so" 30 has SeGW-1 "no standby"
check_wait "SeGW-2 says what it is" 30 has SeGW-2 "this chassis is notEligible"
check "no-shutdown" mda SeGW-2 no-shutdown
check_wait "nominal again on both" 60 settled

check "peer outOfSync: MCS is filtered" filter 'tcp dport 7656' 'tcp sport 7656'
check_wait "both say so" 60 both_have "peer outOfSync"
check "mastership has not moved" roles SeGW-1 master SeGW-2 standby
check "the filter goes" filter_off
check_wait "nominal again on both" 60 settled

check "peer not reached: MIMP and BFD are filtered" filter 'udp dport { 7655, 4784 }'
check_wait "both say so" 30 both_have "peer not reached"
check "both are eligible" roles SeGW-1 eligible SeGW-2 eligible
check "the filter goes" filter_off
check_wait "nominal again on both" 60 settled

check "entries pending: SeGW-2's charon hangs" signal SeGW-2 charon STOP
check "the customer rekeys all the same: the output is not held for ever" ce --rekey --child tunnel-1
check_wait "SeGW-1 says that entries are pending" 30 has SeGW-1 '[0-9]+ entries pending'
check "and that held output timed out" has SeGW-1 'held output timed out'
check "mastership has not moved" roles SeGW-1 master SeGW-2 standby
check "a switchover that cannot be over in a second says so: exit code 6" timed_out SeGW-1
check_wait "it is given up" 30 given_up SeGW-1
check "the master has not moved" mc_is SeGW-1 mastership master
check "charon goes on" signal SeGW-2 charon CONT
check_wait "nominal again on both" 60 settled

cp "$CONF" "$LAB_DIR/right.conf"
check "await-conf: SeGW-2's charon unloads the connection" eval 'sed -i "/^connections/,/^}/d" "$CONF" && lab SeGW-2 swanctl --load-conns'
ike=$(tunnel_1)
check "the customer ends its tunnel" ce --terminate --ike tunnel-1
check_wait "and sets it up anew" 60 anew
check_wait "both say that entries await-conf" 30 both_have '[0-9]+ entries await-conf'
check "the connection is loaded again" eval 'cp "$LAB_DIR/right.conf" "$CONF" && lab SeGW-2 swanctl --load-conns'
check_wait "nominal again on both" 60 settled
ike=$(tunnel_1)

check "entries failed: a tunnel comes that SeGW-2 cannot take" ce --initiate --child odd
check_wait "both say so" 30 both_have '[0-9]+ entries failed'
check "it ends" ce --terminate --ike odd
check_wait "nominal again on both" 60 settled

for reason in "no standby" "peer outOfSync" "peer not reached" "entries pending|held output timed out" "entries await-conf" "entries failed"; do
	check "SeGW-1's log has it: $reason" logged SeGW-1 "$reason"
done

generations=$(generations) t=$EPOCHREALTIME
check "bfd-enable off on both" bfd_enable false
check_wait "BFD is AdminDown" 30 bfd_is AdminDown
check_wait "the peers reach each other by keep-alives" 30 eval 'mc_is SeGW-1 reachable yes && mc_is SeGW-2 reachable yes'
check "bfd-enable on" bfd_enable true
check_wait "BFD is up" 30 bfd_is Up
check_is "nothing moved" "$generations" generations
check "nominal on both" settled
check_is "no packet was lost, either way" 0 lost_since "$t"

rx1=$(mimp_rx SeGW-1) rx2=$(mimp_rx SeGW-2)
check "BFD alone is filtered" filter 'udp dport 4784'
check_wait "eligible on both" 30 roles SeGW-1 eligible SeGW-2 eligible
check_wait "with keep-alives present on both" 30 hears "$rx1" "$rx2"
check_wait "CE-1's ping goes on" 20 ping_ce
check "the filter goes" filter_off
check_wait "SeGW-1 master, SeGW-2 standby, nominal" 60 settled

took=()
for to in SeGW-2 SeGW-1 SeGW-2 SeGW-1; do
	from=SeGW-$((3 - ${to#SeGW-})) start=$(now_ms)
	check "force-switchover to $to" hand_over "$from"
	check_wait "nominal on both" 60 eval 'roles "$to" master "$from" standby && nominal'
	took+=($(($(now_ms) - start)))
done
diag "nominal again after ${took[*]} ms"
check "nominal again within 10 s, each time" \
	eval '[ "$(printf "%s\n" "${took[@]}" | sort -n | tail -n 1)" -le 10000 ]'
check "since it was set up anew the tunnel has authenticated once" eval '[ -n "$ike" ] && [ "$(tunnel_1)" = "$ike" ]'
scene_end
