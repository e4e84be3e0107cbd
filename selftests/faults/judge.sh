# SPDX-License-Identifier: GPL-2.0-or-later
#
# judge.sh - what must hold after every fault, and the books (ledger.py) that say
# what crossed the wire.
#
# Sourced by faults.sh.

# ---- the books -----------------------------------------------------------------------
ledger_start()
{
	local node
	mkfifo "$LAB_DIR/ledger.in" "$LAB_DIR/ledger.out"
	exec {ledger_in}<>"$LAB_DIR/ledger.in" {ledger_out}<>"$LAB_DIR/ledger.out"
	"$FAULTS_DIR/ledger.py" 10.10.20.1 10.10.10.1 "${CAPTURES[@]}" "$OBS_DIR/ce1.flow" "$OBS_DIR/p1.flow" \
		<&"$ledger_in" >&"$ledger_out" 2>"$OBS_DIR/ledger.err" &
	for node in "${GATEWAYS[@]}"; do
		scene_mac "$node"
	done
}

# ledger WORD...: one question, its answer.
ledger()
{
	local answer
	echo "$*" >&"$ledger_in"
	read -r -t 120 -u "$ledger_out" answer && printf '%s\n' "$answer"
}

# scene_mac NODE: its public interface, which is a new one after each power loss.
scene_mac()
{
	lab "$1" cat "/sys/class/net/int-SeGW${1#SeGW-}-S1/address" >"$LAB_DIR/$1/mac" &&
		ledger node "$1" "$(gateway_mac "$1")" >/dev/null
}

seconds_ago() { awk -v t="$EPOCHREALTIME" -v s="$1" 'BEGIN { printf "%.6f", t - s }'; }

# flow_whole: for a second all that was sent has arrived, both ways.
flow_whole()
{
	ledger flow "$(seconds_ago 1.5)" "$(seconds_ago 0.4)" | jq_ok '[.[] | .sent > 5 and .lost == 0] | all'
}

# ---- the state ------------------------------------------------------------------------
sdp_of() { [ "$1" = SeGW-1 ] && echo sdp-200 || echo sdp-300; }

# settled: one master, one standby, nominal, and everything that follows does so.
settled()
{
	local m s
	case "$(state SeGW-1), $(state SeGW-2)" in
	'master nominal, standby nominal') m=SeGW-1 s=SeGW-2 ;;
	'standby nominal, master nominal') m=SeGW-2 s=SeGW-1 ;;
	*) return 1 ;;
	esac
	gate_is "$m" forward && gate_is "$s" shunt &&
		vrrp_is "$m" MASTER && vrrp_is "$s" BACKUP && p1_prefers "$(sdp_of "$m")"
}
# state NODE: "mastership protection-status", of one moment.
state()
{
	ask "$1" "$(find_object mastership) | .mastership + \" \" + .protection_status" \
		show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")" tunnel-group 1
}
# what_is: when it did not settle, what there is instead.
what_is()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		diag "$node: $(state "$node"), $(mc "$node" reasons), gate $(gate "$node"), VRRP $(vrrp "$node" state), MCS $(sync_field "$node" db_sync_state)"
	done
	diag "P-1 sends by $(lab P-1 ip route get vrf vprn2 192.168.1.1 2>/dev/null | grep -o 'dev [^ ]*')"
}

# sas NODE: the SPIs of all IKE_SAs and CHILD_SAs that it has with CE-1.
sas()
{
	lab "$1" swanctl --list-sas --raw 2>/dev/null |
		grep -oE '(initiator-spi|responder-spi|spi-in|spi-out)=[0-9a-f]+' | cut -d= -f2 | sort -u | tr '\n' ' '
}
# same_sas: on CE-1, on both gateways, and no exchange is open at CE-1.
same_sas()
{
	local ce one two
	ce=$(sas CE-1) one=$(sas SeGW-1) two=$(sas SeGW-2)
	if [ -n "$ce" ] && [ "$one" = "$ce" ] && [ "$two" = "$ce" ]; then
		lab CE-1 swanctl --list-sas --raw | grep -q 'tasks-active' || return 0
		echo "CE-1 has an open exchange"
	else
		echo "CE-1: $ce, SeGW-1: $one, SeGW-2: $two"
	fi
	return 1
}

# ---- the verdicts ------------------------------------------------------------------------
not_anew()
{
	local now
	now=$(ce_ike_spis)
	[ "$expect_ike" != any ] || return 0
	if [ "$expect_ike" = anew ]; then
		[ -n "$now" ] && [ "$now" != "$ike_before" ] && return
		diag "IKE_SA before: $ike_before, now: $now"
		return 1
	fi
	if ! jq_ok '.exchanges | (has("IKE_SA_INIT") or has("IKE_AUTH")) | not' <<<"$wire"; then
		diag "on the wire since the fault: $(jq -c .exchanges <<<"$wire")"
		return 1
	fi
	case $expect_ike in
	same) [ -n "$now" ] && [ "$now" = "$ike_before" ] ;;
	rekeyed) [ -n "$now" ] && [ "$now" != "$ike_before" ] ;;
	esac && return
	diag "IKE_SA before: $ike_before, now: $now"
	return 1
}
no_number_twice()
{
	jq_ok '.packets > 0 and .reused + .repeated == 0' <<<"$wire" && return
	diag "$(jq -c 'del(.turns, .exchanges)' <<<"$wire")"
	return 1
}
senders() { jq -r '[.turns[][0]] | join(" ")' <<<"$wire"; }
# senders_are: those whom the case expects, in this order. On a machine that let an agent
# sleep longer than its lease mastership moves more often, or back: then the sender of
# each turn must have been acting master.
senders_are()
{
	local node logs=() unasked
	[ "$(senders)" != "$1" ] || return 0
	for node in "${GATEWAYS[@]}"; do
		logs+=("$node=$LAB_DIR/$node/log/mcipsecd.out")
	done
	unasked=$(ledger unasked "$t0" "$(awk -v t="$EPOCHREALTIME" '{ printf "%.3f", t - $1 }' /proc/uptime)" "${logs[@]}")
	if [ "$(jq '.unasked | length' <<<"$unasked")" = 0 ] && { [ "$1" = any ] || slept; }; then
		diag "sent from the gateway address, each as acting master: $(senders)"
		return 0
	fi
	diag "expected: $1; sent from the gateway address: $(jq -c '[.turns[] | [.[0], .[3]]]' <<<"$wire" | cut -c 1-600)"
	diag "not as acting master: $(jq -c '.unasked' <<<"$unasked" | cut -c 1-600)"
	return 1
}
# slept: an agent says so since the case began.
slept() { [ "$(sleeps)" -gt "$sleeps_before" ]; }
sleeps() { cat "$LAB_DIR"/SeGW-?/log/mcipsecd.out | grep -c 'this node was asleep group='; }
lost_at_most() { [ "$(jq '[.[].lost] | add' <<<"$flow")" -le "$1" ]; }

fault_judge()
{
	local settled=0
	point_wait "one master, one standby, protection status nominal, VRRP and routes follow" "$expect_within" settled && settled=1
	point_wait "the customer's packets get through" 30 flow_whole
	point_wait "CE-1 and both gateways hold the same SAs, no exchange is open" 40 same_sas
	wire=$(ledger wire "$t0") flow=$(ledger flow "$t0" "$(seconds_ago 0.4)")
	if [ "$expect_ike" = anew ]; then
		point "the tunnel is the one that was set up" not_anew
	else
		point "no tunnel was authenticated anew" not_anew
	fi
	point "no sequence number was used twice" no_number_twice
	point "nobody sent who was not to" senders_are "${expect_senders:-$M}"
	[ -z "$expect_lost" ] || point "at most $expect_lost packets were lost" lost_at_most "$expect_lost"
	diag "$title: $(jq -r 'to_entries | map("\(.key): lost \(.value.lost) of \(.value.sent), silence \(.value.silent_ms) ms") | join("; ")' <<<"$flow")"
	[ "$tap_failed" = "$failed_before" ] && [ ! -e /results/keep ] || keep
	[ "$settled" = 1 ] || faults_give_up
}

# keep: what a case that failed leaves (or any, where the results hold a file "keep"),
# before the next one writes over it.
keep()
{
	local node dir
	dir=/results/after-$tap_count
	mkdir -p "$dir"
	lab_collect "$dir"
	cp "$OBS_DIR"/* "$dir/" 2>/dev/null
	for node in CE-1 "${GATEWAYS[@]}"; do
		lab "$node" swanctl --list-sas >"$dir/$node/sas" 2>&1
		lab "$node" ip -s xfrm state >"$dir/$node/xfrm" 2>&1
	done
	for node in "${GATEWAYS[@]}"; do
		cp "$LAB_DIR/$node/mac" "$dir/$node/" 2>/dev/null
		lab "$node" timeout 20 mcipsec -j stats >"$dir/$node/stats" 2>&1
	done
	diag "logs and captures: ${dir#/results/}"
}

# faults_give_up: without the scene the next case would say nothing.
faults_give_up()
{
	what_is
	poll 120 settled && return
	echo "Bail out! the scene did not come back after: $title"
	tap_end
}

# faults_end: what only the end shows; the plan, as TAP allows it there.
faults_end()
{
	check "the captures missed no packet" capture_complete
	echo "1..$tap_count"
	tap_end
}
