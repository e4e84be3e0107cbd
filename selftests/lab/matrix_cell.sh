#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# matrix_cell.sh - one cell of Documentation/compatibility.rst: gateways of two
# releases of Debian, each with its strongSwan, keepalived and BIRD, on the guest's
# kernel. The tunnel moves by plan and back, each new master rekeys what it was handed;
# the CE rekeys the IKE_SA, so that the standby derives keys from those of the one
# before; the master loses power, comes back and is filled again.
# Control: the versions that really run are those of the cell, and before the tunnel is
# up the capture has what must be missing afterwards.
#
# usage: matrix_cell.sh bookworm|trixie bookworm|trixie     SeGW-1, SeGW-2

TAP_ONLY=1
. "$(dirname "$0")/scene.sh"
. "$LAB_SRC/../demo-lib.sh"

here=$(. /etc/os-release && echo "$VERSION_CODENAME")
declare -A versions=([bookworm]="5.9.8 2.2 2.0" [trixie]="6.0.1 2.3 2.17")
declare -A suite=([SeGW-1]=${1:-$here} [SeGW-2]=${2:-$here})
for node in "${GATEWAYS[@]}"; do
	[ -n "${versions[${suite[$node]}]:-}" ] || { echo "1..0 # SKIP no such root: ${suite[$node]}"; exit "$KSFT_SKIP"; }
	[ "${suite[$node]}" = "$here" ] || NODE_ROOT[$node]=/other
done

# running_versions NODE: strongSwan keepalived BIRD, the latter two without their last number
running_versions()
{
	printf '%s %s %s\n' \
		"$(lab "$1" swanctl --version --daemon | sed -n 's/^strongSwan \([0-9.]*\) .*/\1/p')" \
		"$(lab "$1" keepalived --version 2>&1 | sed -n 's/^Keepalived v\([0-9]*\.[0-9]*\).*/\1/p')" \
		"$(lab "$1" birdc show status | sed -n 's/^BIRD \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)"
}

# holds_passive NODE: its charon holds the CE's IKE_SA, and does not act.
holds() { local spi=${scene_ike#*initiator-spi=}; lab "$1" swanctl --list-sas --raw 2>/dev/null | grep -q "initiator-spi=${spi%% *}"; }
holds_passive() { holds "$1" && lab "$1" swanctl --list-sas 2>/dev/null | grep -q PASSIVE; }
other_ike() { local now; now=$(ce_ike_spis); [ -n "$now" ] && [ "$now" != "$scene_ike" ]; }
# Until the flow is even again; the rekey that follows is not the hand-over's.
no_loss()
{
	poll 20 flow_recovered
	report=$(flow_window "$switchover_t0" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 0.3 }')" --json)
	lost=$(jq '[.[].lost] | add' <<<"$report")
	few_lost 0
}
settled() { check_wait "protection status nominal on both" 60 nominal; }

# whole MASTER STANDBY: everything follows the new master.
whole()
{
	check_wait "$1 master, $2 standby" 30 roles "$1" master "$2" standby
	check_wait "VRRP follows" 20 vrrp_is "$1" MASTER
	check_wait "P-1 prefers $1" 20 p1_prefers "sdp-$((100 + 100 * ${1#SeGW-}))"
	check_wait "CE-1's ping goes on" 15 ping_ce
}

by_plan()	# 9 points
{
	local from=$1 to=$2
	switchover_begin "force-switchover $from > $to"
	check "$from hands over" hand_over "$from"
	check "no packet was lost, either way" no_loss
	whole "$to" "$from"
	check_wait "$to rekeys with REKEY_SA what $from had" 40 rekey_asked "$to"
	settled
	check "the CE's IKE_SA is the same" scene_same_ike
}

plan $((SCENE_POINTS + 44))
scene_up
t_up=$EPOCHREALTIME
for node in "${GATEWAYS[@]}"; do
	check_is "$node is ${suite[$node]}: strongSwan, keepalived, BIRD" "${versions[${suite[$node]}]}" running_versions "$node"
done
diag "kernel $(uname -r)"
check "control: the capture has IKE_SA_INIT and IKE_AUTH of the set-up" \
	eval 'capture ike "$OBS_DIR/public.pcap" | jq_ok ".exchanges | has(\"IKE_SA_INIT\") and has(\"IKE_AUTH\")"'
check "SeGW-2 holds the IKE_SA, passive" holds_passive SeGW-2

by_plan SeGW-1 SeGW-2
by_plan SeGW-2 SeGW-1

check "CE-1 rekeys the IKE_SA" lab CE-1 swanctl --rekey --ike tunnel-1
check_wait "it has another one" 20 other_ike
scene_ike=$(ce_ike_spis)
check_wait "SeGW-2 holds that one, passive" 30 holds_passive SeGW-2
settled

switchover_begin "power loss of SeGW-1"
check "SeGW-1 loses power" node_kill SeGW-1
check_wait "SeGW-2 eligible" 20 mc_is SeGW-2 mastership eligible
check_wait "CE-1's ping goes on" 20 ping_ce
check_wait "SeGW-2 rekeys with REKEY_SA, under keys derived from those before" 40 rekey_asked SeGW-2
check "SeGW-1 has power" eval 'node_up SeGW-1 && lab SeGW-1 cat /sys/class/net/int-SeGW1-S1/address >"$LAB_DIR/SeGW-1/mac"'
check "its daemons start" gateway_start SeGW-1
check_wait "SeGW-1 is filled again: the CE's IKE_SA is there, passive" 60 holds_passive SeGW-1
settled
by_plan SeGW-2 SeGW-1
check_no_new_ike "$t_up" "the tunnel came up"
scene_end
