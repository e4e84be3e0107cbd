# SPDX-License-Identifier: GPL-2.0-or-later
#
# power.sh - power loss in the middle of something. The middle is reached by
# holding one message back: nft drops it where it arrives or leaves, and the
# drop's counter says that it was there. Then the gateway is without power, the
# message may pass, and whoever is left has to bring it to an end.
#
# Messages: an IKE exchange by its type and direction as CE-1 sees it, a phase of
# the hand-over by the octet of its MIMP block (Documentation/wire-mimp.rst), MCS
# as a whole by its port.
#
# Sourced after faults.sh.

IKE_SA_INIT=34 IKE_AUTH=35 CREATE_CHILD_SA=36 INFORMATIONAL=37
PREPARED=2 FLIPPED=3 COMMIT=4 DONE=5

# hold NODE HOOK MATCH...: drop what matches in NODE's hook (input or output).
hold()
{
	local node=$1 hook=$2
	shift 2
	lab "$node" nft -f - <<-EOT
	table inet hold {
		chain $hook {
			type filter hook $hook priority 0
			$* counter drop
		}
	}
	EOT
}
held() { lab "$1" nft list table inet hold | grep -qE 'counter packets [1-9]'; }
release() { lab "$1" nft delete table inet hold; }

# hold_ike HOOK EXCHANGE [answer|request]: IKE at CE-1. UDP's 8 octets, then the
# exchange type is octet 18 of the header, the response flag bit 2 of octet 19.
hold_ike()
{
	local match="udp sport 500 udp dport 500 @th,208,8 $2"
	case ${3:-} in
	answer) match+=" @th,216,8 & 0x20 == 0x20" ;;
	request) match+=" @th,216,8 & 0x20 == 0x0" ;;
	esac
	hold CE-1 "$1" "$match"
}

# hold_handover NODE PHASE...: MIMP that arrives at NODE with these phases.
hold_handover()
{
	local node=$1 phase
	hold "$node" input "udp dport 7655 @th,592,8 $2" || return 1
	for phase in "${@:3}"; do
		lab "$node" nft add rule inet hold input udp dport 7655 @th,592,8 "$phase" counter drop || return 1
	done
}
hold_mcs() { hold "$1" input 'tcp dport 7656' && lab "$1" nft add rule inet hold input tcp sport 7656 counter drop; }

no_open_exchange() { [ -n "$(sas CE-1)" ] && ! lab CE-1 swanctl --list-sas --raw | grep -q tasks-; }
agrees_with() { no_open_exchange && [ "$(sas CE-1)" = "$(sas "$1")" ]; }

# ends_at NODE: what was begun before the power loss ends at NODE alone within
# $ends_within seconds, then the other one comes back.
ends_at()
{
	local node=$1
	point_wait "$node serves alone" 30 gate_is "$node" forward
	point_wait "the customer's packets get through" 60 flow_whole
	point_wait "what was begun is brought to an end" "${ends_within:-100}" agrees_with "$node"
	point "the other one has power" power_on "$(peer_of "$node")"
}

# ---- rekeys --------------------------------------------------------------------------
# power_in_rekey BY WHAT HOOK EXCHANGE KIND: BY (CE-1 or the master) rekeys its
# child or ike; CE-1 neither gets (input) nor sends (output) the KIND (request or
# answer) of that EXCHANGE; the master loses power.
power_in_rekey()
{
	local by=$1 what=$2 hook=$3 exchange=$4 kind=$5 ends_within=100
	[ "$by" = CE-1 ] || by=$M
	expect_senders="$M $S"
	[ "$what" = child ] || expect_ike=rekeyed
	# A rekey of the IKE_SA that a gateway began dies with it. What CE-1 has answered it
	# takes for done, and finds out by its dead peer detection.
	case $by/$what/$exchange/$kind in
	SeGW-?/ike/$CREATE_CHILD_SA/request) expect_ike=same ;;
	SeGW-?/ike/$CREATE_CHILD_SA/answer) expect_ike=anew ends_within=300 ;;
	SeGW-?/ike/$INFORMATIONAL/*) ends_within=240 ;;	# it repeats the DELETE as long as charon does
	esac
	point "the message is held" eval 'hold_ike "$hook" "$exchange" "$kind" && rekey "$by" "$what" && wait_for "a message" 30 held CE-1'
	point "$M loses power" eval 'power_off "$M"; release CE-1'
	ends_at "$S"
}
# Not waited for: it cannot end.
rekey() { lab "$1" timeout 5 swanctl --rekey "--$2" tunnel-1 >/dev/null 2>&1 & }

REKEY_STEPS=(
	"CE-1 child output $CREATE_CHILD_SA request"
	"CE-1 child input $CREATE_CHILD_SA answer"
	"CE-1 child output $INFORMATIONAL request"
	"CE-1 child input $INFORMATIONAL answer"
	"CE-1 ike output $CREATE_CHILD_SA request"
	"CE-1 ike input $CREATE_CHILD_SA answer"
	"CE-1 ike output $INFORMATIONAL request"
	"CE-1 ike input $INFORMATIONAL answer"
	"gateway child input $CREATE_CHILD_SA request"
	"gateway child output $CREATE_CHILD_SA answer"
	"gateway child input $INFORMATIONAL request"
	"gateway child output $INFORMATIONAL answer"
	"gateway ike input $CREATE_CHILD_SA request"
	"gateway ike output $CREATE_CHILD_SA answer"
	"gateway ike input $INFORMATIONAL request"
	"gateway ike output $INFORMATIONAL answer"
)
rekey_title()	# BY WHAT HOOK EXCHANGE KIND
{
	local name=CREATE_CHILD_SA
	[ "$4" = "$CREATE_CHILD_SA" ] || name=INFORMATIONAL
	echo "power loss in a rekey of the $2 by $1, $name $5 lost"
}
power_in_rekeys()
{
	local step
	for step in "${REKEY_STEPS[@]}"; do
		# shellcheck disable=SC2086
		fault "$(rekey_title $step)" power_in_rekey $step
	done
}

# Output commit (I4): MCS stands still, so the answer waits for the standby, and the
# master dies with it. The customer never saw it; the standby begins anew.
power_in_commit()
{
	expect_senders="$M $S"
	point "MCS stands still" hold_mcs "$S"
	# Held on the wire, too: on a slow machine MCS may be given up before the power goes.
	point "CE-1 asks, the answer waits" eval \
		'hold_ike input "$CREATE_CHILD_SA" answer && rekey CE-1 child && wait_for "a held packet" 20 answer_waits "$M"'
	point "$M loses power" eval 'power_off "$M"; release CE-1; release "$S"'
	ends_at "$S"
}
answer_waits() { python3 "$FAULTS_DIR/../plugin/ask.py" "$1" mcipsec-status | grep -qE "'held': '?[1-9]"; }

# ---- set-up ------------------------------------------------------------------------------
# The tunnel of CE-1 is ended and set up anew, so IKE_SA_INIT is seen here.
power_in_setup()	# HOOK EXCHANGE
{
	local hook=$1 exchange=$2
	expect_senders="$M $S" expect_ike=anew
	point "the tunnel is ended" lab CE-1 swanctl --terminate --ike tunnel-1
	point_wait "on all three" 20 no_sas
	point_wait "a new one is begun, the message is held" 30 eval \
		'{ held CE-1 || hold_ike "$hook" "$exchange"; }; ping_ce; held CE-1'
	point "$M loses power" eval 'power_off "$M"; release CE-1'
	point_wait "$S serves alone" 30 gate_is "$S" forward
	point_wait "the tunnel comes up" 150 ping_ce
	ends_at "$S"
}
no_sas() { [ -z "$(sas CE-1)$(sas SeGW-1)$(sas SeGW-2)" ]; }

power_in_setups()
{
	fault "power loss in a set-up, IKE_SA_INIT request lost" power_in_setup output "$IKE_SA_INIT"
	fault "power loss in a set-up, IKE_SA_INIT answer lost" power_in_setup input "$IKE_SA_INIT"
	fault "power loss in a set-up, IKE_AUTH request lost" power_in_setup output "$IKE_AUTH"
	fault "power loss in a set-up, IKE_AUTH answer lost" power_in_setup input "$IKE_AUTH"
}

# ---- force-switchover ------------------------------------------------------------------
# power_in_handover WHO AT PHASE...: the hand-over stands still since AT (M or S) does
# not get these phases; WHO (M or S) loses power.
power_in_handover()
{
	local who=${!1} at=${!2} left phases
	shift 2
	phases=("$@")
	left=$(peer_of "$who")
	# The phase tells who has the tunnel when it happens: in "prepared" still M.
	case $* in
	"$DONE"*) expect_senders=$S ;;
	*) expect_senders=$M ;;
	esac
	expect_senders=$(printf '%s\n' "$M" "$expect_senders" "$left" | uniq | tr '\n' ' ')
	expect_senders=${expect_senders% }
	point "the hand-over stands still" eval 'hold_handover "$at" "${phases[@]}" && { force >/dev/null 2>&1 & } && wait_for "the phase" 20 held "$at"'
	point "$who loses power" power_off "$who"
	[ "$at" = "$who" ] || release "$at"
	point_wait "$left serves alone" 30 gate_is "$left" forward
	point_wait "the customer's packets get through" 60 flow_whole
	point "$who has power" power_on "$who"
}
power_in_handovers()
{
	fault "power loss of the master, hand-over prepared" power_in_handover M M $PREPARED
	fault "power loss of the standby, hand-over prepared" power_in_handover S M $PREPARED
	fault "power loss of the master, hand-over flipped" power_in_handover M S $FLIPPED $COMMIT
	fault "power loss of the standby, hand-over flipped" power_in_handover S S $FLIPPED $COMMIT
	fault "power loss of the old master, hand-over not answered" power_in_handover M M $DONE
	fault "power loss of the new master, hand-over not answered" power_in_handover S M $DONE
}

# ---- synchronisation -------------------------------------------------------------------
# Snapshot: the standby's charon is new and has no connections, so nothing of the
# snapshot is installed when the master dies. When the connections come, the
# tunnel is there.
power_in_snapshot()
{
	expect_senders="$M $S"
	point "charon of $S starts without connections" eval \
		'daemon_stop "$S" charon && spawn "$S" charon /usr/sbin/charon-systemd && wait_up "$S" charon lab "$S" swanctl --stats'
	point_wait "the entries wait" 30 entries_await "$M"
	point "$M loses power" power_off "$M"
	point "the connections are loaded" lab "$S" swanctl --load-all --noprompt
	ends_at "$S"
}
entries_await() { mc "$1" reasons | grep -q 'await-conf'; }

# Delta: the standby does not get a rekey that the customer has seen (MCS stands
# still for longer than output commit waits): notReady, and the tunnel may be lost.
power_in_delta()
{
	local spis
	spis=$(ce_child_spis)
	expect_senders="$M $S" expect_ike=any
	point "MCS stands still" hold_mcs "$S"
	point "CE-1 rekeys all the same" eval 'rekey CE-1 child && wait_for "new SPIs" 30 spis_differ "$spis"'
	point_wait "$M says that it is not protected" 20 eval 'mc_is "$M" protection_status notReady'
	point "$M loses power" power_off "$M"
	release "$S"
	point_wait "the tunnel is there, anew if it must be" 200 ping_ce
	ends_at "$S"
}
spis_differ() { local now; now=$(ce_child_spis); [ -n "$now" ] && [ "$now" != "$1" ]; }

# Audit: it runs each second here (faults_configure of the script).
power_in_audit()
{
	local before
	before=$(audits "$S")
	expect_senders="$M $S"
	point_wait "an audit runs" 30 audits_more "$S" "$before"
	point "$M loses power" power_off "$M"
	ends_at "$S"
}
audits() { ask "$1" "$(find_object audits) | .audits" show redundancy multi-chassis sync detail; }
audits_more() { [ "$(audits "$1")" -gt "$2" ]; }

power_in_syncs()
{
	fault "power loss while output commit waits" power_in_commit
	fault "power loss with a snapshot not installed" power_in_snapshot
	fault "power loss with a delta not sent" power_in_delta
	fault "power loss in an audit" power_in_audit
}
