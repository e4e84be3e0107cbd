#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_systemd.sh - SeGW-1 boots under a real systemd with the product's units
# and Debian's own of charon, keepalived and BIRD: order of the boot, charon never
# without the gate, readiness, reload, watchdog, restart, stop, poweroff. SeGW-2
# is there to take over.
# Control: a gate that cannot close keeps charon down; a wrong file fails the
# reload.

. "$(dirname "$0")/lab.sh"
. "$LAB_SRC/systemd.sh"
finish()
{
	lab SeGW-1 journalctl --no-pager -o short-precise >/results/journal 2>&1
	lab SeGW-1 systemctl list-units --all --no-pager >/results/units 2>&1
	lab_results
}
trap finish EXIT

units=(mcipsec-gate.service mcipsec-trackd.service mcipsecd.service)
config=$LAB_DIR/SeGW-1/etc/mcipsec/mcipsec.toml

verified()
{
	local out
	out=$(lab SeGW-1 systemd-analyze verify --man=no "${units[@]/#//lib/systemd/system/}" 2>&1) &&
		[ -z "$out" ] && return
	diag "$out"
	return 1
}
# exposure UNIT: as `systemd-analyze security` counts it, 0.0 to 10.0.
exposure()
{
	lab SeGW-1 systemd-analyze security --offline=true --no-pager "/lib/systemd/system/$1" 2>/dev/null |
		sed -nE 's/.*Overall exposure level for .*: ([0-9.]+) .*/\1/p'
}
exposed_less() { awk -v e="$(exposure "$1")" -v l="$2" 'BEGIN { exit !(e != "" && e < l) }'; }
before() { local a b; a=$(entered SeGW-1 "$1") b=$(entered SeGW-1 "$2"); [ "${a:-0}" -gt 0 ] && [ "${b:-0}" -gt "$a" ]; }
main_pid() { unit SeGW-1 MainPID mcipsecd; }
other_pid() { local now; now=$(main_pid); [ "${now:-0}" != 0 ] && [ "$now" != "$1" ] && active SeGW-1 mcipsecd; }
no_packet_lost()	# since t0
{
	local report
	poll 20 flow_recovered
	report=$(flow_window "$t0" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 0.5 }')" --json)
	jq_ok '[.[] | .sent > 100 and .lost == 0] | all' <<<"$report" || { diag "$report"; return 1; }
}
no_denials() { ! journal SeGW-1 mcipsecd -o cat | grep -E 'Operation not permitted|Permission denied|Read-only file system'; }
# gate_loaded_module: it is there, and the gate's unit has seen to that
gate_loaded_module() { test -e /sys/module/mcipsec && unit SeGW-1 ExecStart mcipsec-gate | grep -q 'argv\[\]=/sbin/modprobe mcipsec ;.* code=exited ; status=0 '; }
same_tunnel() { [ -n "$ike" ] && [ "$(ce_ike_spis)" = "$ike" ]; }
up_and_settled() { roles "$@" && nominal; }

plan 64
check "topology is up" topo_up
check "keys" gateway_keys
systemd_prepare SeGW-1

check "systemd-analyze verify finds nothing in the units" verified
for u in "${units[@]}"; do
	diag "systemd-analyze security $u: exposure $(exposure "$u")"
done
check "exposure of the agent is below 2.1" exposed_less mcipsecd.service 2.1
check "exposure of the gate is below 2.6" exposed_less mcipsec-gate.service 2.6
check "exposure of mcipsec-trackd is below 1.9" exposed_less mcipsec-trackd.service 1.9

# ---- no gate, no charon ------------------------------------------------------------
cp "$config" "$config.good"
echo 'nonsense' >>"$config"
check_not "control: the module is not loaded" test -e /sys/module/mcipsec
check "SeGW-1 boots" systemd_start SeGW-1
check_wait "the gate cannot close with a configuration that is none" 60 \
	unit_is SeGW-1 ActiveState mcipsec-gate failed
check "but its unit has loaded the module" gate_loaded_module
check_wait "charon is not started" 60 unit_is SeGW-1 ActiveState strongswan inactive
check_not "and does not answer" eval "lab SeGW-1 swanctl --stats >/dev/null 2>&1"
check_not "a hand does not start it either" lab SeGW-1 systemctl start --quiet strongswan
mv "$config.good" "$config"

# ---- boot ---------------------------------------------------------------------------
check "the captures run" capture_start
bird_start P-1
gateway_start SeGW-2 & two=$!
lab SeGW-1 systemctl reset-failed
lab SeGW-1 systemctl start --no-block multi-user.target
for u in mcipsec-gate mcipsec-trackd mcipsecd strongswan keepalived bird; do
	check_wait "$u is active" 90 active SeGW-1 "$u"
done
check "the gate closed before charon ran" before mcipsec-gate strongswan
check "the agent was ready before charon" before mcipsecd strongswan
check "so was mcipsec-trackd" before mcipsec-trackd mcipsecd
check "mcipsecd told systemd itself that it is ready" unit_is SeGW-1 Type mcipsecd notify
check "its watchdog is on" unit_is SeGW-1 WatchdogUSec mcipsecd 5s
wait "$two"
charon_start CE-1
check_wait "both gateways have elected a master" 60 eval \
	'roles SeGW-1 master SeGW-2 standby || roles SeGW-1 standby SeGW-2 master'
check_wait "the tunnel is up" 60 ping_ce
check_wait "protection status nominal on both" 60 nominal
mc_is SeGW-1 mastership master ||
	hand_over SeGW-2
check_wait "SeGW-1 is master, nominal" 60 up_and_settled SeGW-1 master SeGW-2 standby
ike=$(ce_ike_spis)
check "a flow of 100 packets/s runs each way" flow_start
poll 20 flow_recovered
check "the journal knows the switchover by its name" eval \
	'lab SeGW-1 journalctl -q --no-pager -u mcipsecd -o json | grep -q tMcPeerIPsecTnlGrpMasterStateChg'

# ---- reload -----------------------------------------------------------------------------
pid=$(main_pid)
cp "$config" "$config.good"
sed -i 's/^keep-alive-interval = .*/keep-alive-interval = 99.0/' "$config"
check_not "reload of a wrong file fails" lab SeGW-1 systemctl reload mcipsecd
check "the journal says where and what" journal_says SeGW-1 mcipsecd 'mcipsec\.toml:[0-9]+: .*keep-alive-interval'
check "the unit stays active" active SeGW-1 mcipsecd
sed 's/^active-mda-number = .*/active-mda-number = 2/; s|^mda = .*|mda = ["1/2", "2/2"]|' "$config.good" >"$config"
check_not "nor is taken what needs a shutdown" lab SeGW-1 systemctl reload mcipsecd
check "the journal says what it needs" journal_says SeGW-1 mcipsecd 'mcipsec\.toml:[0-9]+: needs tunnel-group 1 shutdown'
mv "$config.good" "$config"
check "reload of the right one does not" lab SeGW-1 systemctl reload mcipsecd
check_wait "it is applied" 20 journal_says SeGW-1 mcipsecd 'configuration applied, 0 changes'
check_is "by the same process" "$pid" main_pid
check "SeGW-1 is still master" mc_is SeGW-1 mastership master

# ---- restart, watchdog, stop --------------------------------------------------------------
generation=$(mc SeGW-1 generation)
t0=$EPOCHREALTIME
check "restart" lab SeGW-1 systemctl restart mcipsecd
check_wait "another process, active" 60 other_pid "$pid"
check_wait "it resumed: still master, nominal on both" 60 up_and_settled SeGW-1 master SeGW-2 standby
check_is "in the same generation" "$generation" mc SeGW-1 generation
check "no packet was lost" no_packet_lost
check_wait "CE-1's ping goes on" 20 ping_ce
pid=$(main_pid)
lab SeGW-1 kill -STOP "$pid"
check_wait "stopped: the watchdog ends it and another one starts" 60 other_pid "$pid"
check "the journal says why" journal_says SeGW-1 mcipsecd 'Watchdog timeout'
check_wait "it stands by, SeGW-2 is master, nominal" 90 up_and_settled SeGW-1 standby SeGW-2 master
check_wait "CE-1's ping goes on" 20 ping_ce
check "over the same IKE_SA" same_tunnel
check "the agent was denied nothing by its sandbox" no_denials

hand_over SeGW-2
check_wait "SeGW-1 is master again" 60 up_and_settled SeGW-1 master SeGW-2 standby
lab SeGW-1 systemctl stop mcipsecd
check_wait "stopped by systemctl: SeGW-2 takes over" 20 gate_is SeGW-2 forward
check "SeGW-1's gate is closed" eval '! lab SeGW-1 mcipsec-track 1'
lab SeGW-1 systemctl start mcipsecd
check_wait "started: it stands by" 60 up_and_settled SeGW-1 standby SeGW-2 master

# ---- poweroff of the master -----------------------------------------------------------------
hand_over SeGW-2
check_wait "SeGW-1 is master once more" 60 up_and_settled SeGW-1 master SeGW-2 standby
lab SeGW-1 journalctl --no-pager -o short-precise >/results/journal-before-poweroff 2>&1
t_off=$EPOCHREALTIME
kill -s RTMIN+4 "$(node_pid SeGW-1)"
check_wait "poweroff: SeGW-2 takes over" 30 gate_is SeGW-2 forward
check_wait "SeGW-1 is off" 90 eval '! node_alive SeGW-1'
check_wait "CE-1's ping goes on" 20 ping_ce
check "over the same IKE_SA: charon left without a word" same_tunnel
check_sequence_numbers 1000
tap_end
