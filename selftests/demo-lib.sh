# SPDX-License-Identifier: GPL-2.0-or-later
#
# demo-lib.sh - how the demo tells its story: steps, commands with what a person
# reads, test points, and what each switchover cost. With TAP_ONLY=1 the story
# becomes TAP diagnostics (make check), otherwise a page to read (make demo).
#
# Sourced after lib.sh and lab/*.sh.

step_number='' step_bad=0
summary=()

if [ "${TAP_ONLY:-0}" = 1 ]; then
	say() { diag "$*"; }
	indent() { sed 's/^/# /'; }
else
	say() { printf '%s\n' "$*"; }
	indent() { sed 's/^/    /'; }
	tap_result()
	{
		local mark="${c_ok}pass${c_off}"
		[ "$1" = ok ] || mark="${c_bad}FAIL${c_off}"
		[[ $2 != *'# SKIP'* ]] || mark=skip
		printf '  [%s] %s (%s s)\n' "$mark" "$2" "$(seconds_since "$tap_start")"
		tap_start=$(now_ms)
	}
fi

# step NUMBER TITLE...
step()
{
	step_number=$1
	shift
	say ""
	say "${c_head}== Step $step_number: $*${c_off}"
}

say_summary()
{
	local line
	say ""
	say "${c_head}== Summary${c_off}"
	for line in "${summary[@]}"; do
		say "  $line"
	done
}

# check_no_new_ike SINCE STEP: nobody authenticated since then. Sets exchanges.
check_no_new_ike()
{
	exchanges=$(capture ike "$OBS_DIR/public.pcap" --from "$1")
	say "IKE since step $2: $exchanges"
	check "no IKE_SA_INIT and no IKE_AUTH since step $2" \
		jq_ok '.exchanges | (has("IKE_SA_INIT") or has("IKE_AUTH")) | not' <<<"$exchanges"
}

# show NODE CMD...: run a command as a person would, with its output.
show()
{
	local node=$1
	shift
	say ""
	say "${c_head}$node#${c_off} $*"
	lab "$node" timeout 20 "$@" 2>&1 | indent
}

show_mc() { show "$1" mcipsec show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")" tunnel-group 1; }
show_vrrp() { show "$1" mcipsec show router vrrp instance; }
show_sync() { show "$1" mcipsec show redundancy multi-chassis sync; }
show_p1_routes() { show P-1 birdc show route table vprn2; }

# The state to which steps 10, 11 and 12 come back.
restored()
{
	roles SeGW-1 master SeGW-2 standby && vrrp_is SeGW-1 MASTER && vrrp_is SeGW-2 BACKUP &&
		p1_prefers sdp-200 && nominal
}

check_state_10()
{
	check_wait "SeGW-1 master, SeGW-2 standby" 30 roles SeGW-1 master SeGW-2 standby
	check_wait "VRRP 10: master on SeGW-1 with in-use 200, backup on SeGW-2 with 100" 20 \
		vrrp_state SeGW-1 Master 200 200 SeGW-2 Backup 100 100
	check_wait "P-1 prefers SeGW-1" 20 p1_prefers sdp-200
	check_wait "P-1 holds 192.168.1.1/32 twice: local preference 200 and 100" 20 \
		p1_holds 192.168.1.1/32 $'segw1 200\nsegw2 100'
	check_wait "P-1 holds 192.168.20.0/30 twice: local preference 100" 20 \
		p1_holds 192.168.20.0/30 $'segw1 100\nsegw2 100'
	check_wait "the tunnel is up on both chassis" 30 eval \
		'tunnel_is SeGW-1 oper Up && tunnel_is SeGW-2 oper Up'
	check_wait "MCS inSync on both, Num Entries 2, Rem Num Entries 2" 30 eval \
		'in_sync SeGW-1 2 && in_sync SeGW-2 2'
	check_wait "protection status nominal on both" 40 nominal
}

p1_holds() { [ "$(p1_routes "$1")" = "$2" ]; }

# vrrp_state NODE STATE BASE INUSE ...: as the agent shows it and as addresses are.
vrrp_state()
{
	local upper
	while [ $# -ge 4 ]; do
		upper=${2^^}
		vrrp_is "$1" "$upper" && vrrp_field_is "$1" state "$2" &&
			vrrp_field_is "$1" base_pri "$3" && vrrp_field_is "$1" in_use_pri "$4" || return 1
		shift 4
	done
}

# in_sync NODE ENTRIES
in_sync()
{
	sync_is "$1" db_sync_state inSync && sync_is "$1" num_entries "$2" &&
		sync_is "$1" rem_num_entries "$2"
}

# outage_bound: sets outage_limit, ms: the longest of what has to notice that SeGW-1
# is gone (its peer's BFD, VRRP's master-down interval of RFC 5798, P-1's BFD under
# BGP) and OUTAGE_ALLOWANCE, all as they are in force; and timers, for the reader.
OUTAGE_ALLOWANCE=500
outage_bound()
{
	local bound bfd mimp commit
	bfd=$(ask SeGW-2 "$(find_object bfd_timers) | .bfd_timers" show redundancy multi-chassis mc-ipsec peer 192.0.2.1)
	detection=$(sed -n 's/.*detection \([0-9]*\) ms.*/\1/p' <<<"$bfd")
	mimp=$(ask SeGW-2 "$(find_object bfd_timers) | \"keep-alive \(.keep_alive_intvl) s x \(.hold_on_nbr_fail), discovery \(.discovery_intvl) s\"" \
		show redundancy multi-chassis mc-ipsec peer 192.0.2.1)
	commit=$(lab SeGW-2 mcipsec config show | sed -n 's/.*output-commit-limit *= *\([0-9]*\).*/\1/p')
	vrrp_down=$(awk '$1 == "advert_int" { a = $2 } $1 == "priority" { p = $2 }
		END { if (a && p) printf "%d", 1000 * a * (3 + (256 - p) / 256) }' "$LAB_DIR/SeGW-2/etc/keepalived/keepalived.conf")
	p1_bfd=$(lab P-1 birdc show bfd sessions | awk '$3 == "Up" && $6 > t { t = $6 } END { if (t) printf "%d", t * 1000 }')
	[ "${detection:-0}" -gt 0 ] && [ "${vrrp_down:-0}" -gt 0 ] && [ "${p1_bfd:-0}" -gt 0 ] || return 1
	bound=$(printf '%s\n' "$detection" "$vrrp_down" "$p1_bfd" | sort -n | tail -n 1)
	outage_limit=$((bound + OUTAGE_ALLOWANCE))
	timers="BFD $bfd; MIMP $mimp; VRRP master-down $vrrp_down ms; P-1 BGP-BFD $p1_bfd ms; output commit ${commit%%$'\n'*} ms"
}

# switchover_begin NAME: from here on it counts.
switchover_begin()
{
	switchover_name=$1
	pause 500	# an even stretch of flow before it
	switchover_t0=$EPOCHREALTIME
	rekeys_before=$(ce_rekey_requests)
}

# parts_acted PART...: each of these acted for the new master, and we know when.
parts_acted() { jq -e '[.[$ARGS.positional[]] | numbers] | length == ($ARGS.positional | length)' --args "$@" <<<"$parts" >/dev/null; }

# switchover_end [LOST-LIMIT [OUTAGE-LIMIT-MS]]: measure and judge. When each part acted is
# told where the observers run.
switchover_end()
{
	local lost_limit=${1:-} outage_limit=${2:-} report line lost gap
	poll 20 flow_both_ways
	poll 20 flow_recovered
	local t1=$EPOCHREALTIME events
	events=$(timeline "$switchover_t0" "$t1" | head -n 60)
	say ""
	say "$switchover_name${events:+: when each part acted}"
	[ -z "$events" ] || indent <<<"$events"
	parts=$(timeline "$switchover_t0" "$t1" --parts)
	report=$(flow_window "$switchover_t0" "$t1" --json)
	while IFS= read -r line; do
		summary+=("$(printf '%-34s %s' "$switchover_name" "$line")")
		say "  $line"
	done < <(jq -r 'to_entries[] | "\(.key): outage \(.value.gap_ms) ms, lost \(.value.lost) of \(.value.sent), duplicates \(.value.duplicates)"' <<<"$report")
	line="$(jq -r 'to_entries | map("\(.key) \(if .value then "\(.value) ms" else "-" end)") | join(", ")' <<<"$parts")"
	if [ -n "$events" ]; then
		say "  acted after: $line"
		summary+=("$(printf '%-34s acted after: %s' "" "$line")")
	fi
	lost=$(jq '[.[].lost] | add' <<<"$report")
	gap=$(jq '[.[].gap_ms] | max' <<<"$report")
	[ -z "$lost_limit" ] ||
		check "$switchover_name: at most $lost_limit packets lost" few_lost "$lost_limit"
	[ -z "$outage_limit" ] ||
		check "$switchover_name: outage at most $outage_limit ms" test "${gap:-999999}" -le "$outage_limit"
}

# few_lost LIMIT: of what the report counts; else when they were sent, and what dropped any.
few_lost()
{
	[ "${lost:-999999}" -gt "$1" ] || return 0
	diag "lost, ms after the beginning: $(jq -c 'map_values(.lost_ms)' <<<"$report")"
	drops
	return 1
}

# same_ike: the CE's IKE_SA is still the one of step 9.
same_ike() { [ -n "$ike_spis" ] && [ "$(ce_ike_spis)" = "$ike_spis" ]; }

# rekeyed_since SPIS: the CE's CHILD_SA is another one than these.
rekeyed_since() { local now; now=$(ce_child_spis); [ -n "$now" ] && [ "$now" != "$1" ]; }

# ce_rekey_requests: CREATE_CHILD_SA requests with a REKEY_SA that reached the CE.
ce_rekey_requests() { grep -c 'parsed CREATE_CHILD_SA request [0-9]* \[.*N(REKEY_SA)' "$LAB_DIR/CE-1/log/charon.log"; }

# rekey_asked NODE: since the switchover began that gateway has asked for a rekey, and the CE
# has read one (RFC 7296 section 1.3.3).
rekey_asked()
{
	capture requests 10.10.20.1 "$OBS_DIR/public.pcap" --mac "$(gateway_mac "$1")" --from "$switchover_t0" |
		jq_ok '.CREATE_CHILD_SA >= 1' && [ "$(ce_rekey_requests)" -gt "$rekeys_before" ]
}

# esp_spis MAC FROM: SPIs, in order of first use, of what that gateway sent.
esp_spis() { capture spis 10.10.20.1 "$OBS_DIR/public.pcap" --mac "$1" --from "$2" | jq -r '.[].spi'; }

gateway_mac() { cat "/lab/$1/mac"; }

# refilled: SeGW-1's charon holds the CE's IKE_SA, not active.
refilled()
{
	local spi=${ike_spis#*initiator-spi=}
	lab SeGW-1 swanctl --list-sas --raw 2>/dev/null | grep -q "initiator-spi=${spi%% *}" &&
		lab SeGW-1 swanctl --list-sas 2>/dev/null | grep -q PASSIVE
}

trap 'diag "stopped from outside"; exit 143' TERM

# abort WHAT: nothing further can be shown.
abort()
{
	diag "$1: the rest cannot be shown"
	tap_failed=$((tap_failed + 1))
	for node in SeGW-1 SeGW-2; do
		diag "--- $node"
		tail -n 15 "$LAB_DIR/$node"/log/{gate,mcipsecd,charon}.out 2>/dev/null | sed 's/^/# /'
	done
	tap_end
}
