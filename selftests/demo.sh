#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# demo.sh - the seed's steps 8 to 12 on its topology, each with the commands, what
# a person reads, and what must hold. Runs in a lab guest.
#
# usage: demo.sh [--tap]
# Exit 0 only if everything held.

here=$(cd "$(dirname "$0")" && pwd)
[ "${1:-}" != --tap ] || TAP_ONLY=1
. "$here/lab/lab.sh"
. "$here/demo-lib.sh"

force()	# NODE: hand-over from NODE, the master
{
	show "$1" mcipsec tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 now wait 30
}

say "Multi-chassis IPsec: CE-1, S-1, SeGW-1, SeGW-2 and P-1 on $(uname -r)"
for node in CE-1 SeGW-1 SeGW-2; do
	say "$node: $(awk '/rekey_time/ { time[n++] = $3 } /dpd_delay/ { dpd = $3 } END {
		printf "IKE_SA rekeyed after %s, CHILD_SA after %s, dead peer detection %s",
			time[0], time[1], dpd == "0s" ? "off" : "every " dpd }' "$here/lab/etc/$node/swanctl/conf.d/tunnel-1.conf")"
done
# ---- steps 0 to 7: the configuration lies in lab/etc -----------------------------
step 0-7 "topology and daemons"
check "the five nodes are up" topo_up || abort "no topology"
modprobe mcipsec || abort "the module does not load"
check "one authentication key for both gateways" gateway_keys || abort "no key"
for node in SeGW-1 SeGW-2; do
	lab "$node" cat "/sys/class/net/int-SeGW${node#SeGW-}-S1/address" >"$LAB_DIR/$node/mac"
done
capture_start || abort "no capture"
for node in P-1 SeGW-1 SeGW-2; do
	observers_start "$node"
done
check "charon, keepalived, BIRD and mcipsecd run" gateways_start || abort "a daemon did not start"

# ---- step 8 -------------------------------------------------------------------------
step 8 "SeGW-1 (200) is master, SeGW-2 (150) standby; VRRP follows"
check_wait "SeGW-1 master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby || abort "no election"
check_wait "VRRP 10: base and in-use 200 master on SeGW-1, 100 and 100 backup on SeGW-2" 30 \
	vrrp_state SeGW-1 Master 200 200 SeGW-2 Backup 100 100
check_is "VRRP 10 has policy 1 on SeGW-1" 1 vrrp SeGW-1 pol_id
check_is "and none on SeGW-2" n/a vrrp SeGW-2 pol_id
check_is "gate of SeGW-1" forward gate SeGW-1
check_is "gate of SeGW-2" shunt gate SeGW-2
for node in SeGW-1 SeGW-2; do
	show_mc "$node"
	show_vrrp "$node"
done

# ---- step 9 -------------------------------------------------------------------------
step 9 "CE-1's ping brings the tunnel up"
check_wait "P-1 prefers SeGW-1 for 192.168.1.1/32" 60 p1_prefers sdp-200
show CE-1 ping -I vprn2 -I 192.168.1.1 -c 5 -i 0.3 192.168.2.1
check_wait "CE-1 reaches 192.168.2.1 through the tunnel" 30 ping_ce || abort "no tunnel"
show CE-1 swanctl --list-sas
ike_spis=$(ce_ike_spis)
ike_setup=$(capture ike "$OBS_DIR/public.pcap" | jq -r '.exchanges | keys | join(" ")')
check "IKE_SA_INIT and IKE_AUTH crossed S-1 (the capture sees them)" \
	test "${ike_setup/IKE_AUTH*IKE_SA_INIT/}" != "$ike_setup"
check "a flow of 100 packets/s runs each way" flow_start
t_up=$EPOCHREALTIME

# ---- step 10 ------------------------------------------------------------------------
step 10 "the tunnel is up on both chassis, MCS is in sync"
check_state_10
show SeGW-1 mcipsec show ipsec tunnel
show SeGW-2 mcipsec show ipsec tunnel
show_sync SeGW-2
show_p1_routes
check "the timers in force, which bound an outage, can be read" outage_bound
say ""
say "Timers in force, relaxed for emulation: $timers"

# ---- step 11 ------------------------------------------------------------------------
step 11 "member 1/2 of SeGW-1 is shut down"
spis=$(ce_child_spis)
old_spi=$(esp_spis "$(gateway_mac SeGW-1)" "$t_up" | tail -n 1)
switchover_begin "mda 1/2 shutdown"
t_switch=$EPOCHREALTIME
show SeGW-1 mcipsec admin isa tunnel-group 1 mda 1/2 shutdown
check_wait "SeGW-1 notEligible, SeGW-2 master" 15 roles SeGW-1 notEligible SeGW-2 master
check_is "SeGW-1 does not shunt" blackhole gate SeGW-1
check_wait "SeGW-2 notReady for want of a standby" 15 mc_is SeGW-2 protection_status notReady
check_wait "VRRP: in-use 50 backup on SeGW-1, master on SeGW-2" 15 \
	vrrp_state SeGW-1 Backup 200 50 SeGW-2 Master 100 100
check_wait "P-1 prefers SeGW-2" 15 p1_prefers sdp-300
check_wait "CE-1's ping goes on" 15 ping_ce
switchover_end "" "$outage_limit"
check "all parts acted for SeGW-2" parts_acted detection kernel charon VRRP route
show_mc SeGW-1
show_vrrp SeGW-1
show_mc SeGW-2
check_wait "SeGW-2 rekeys the CHILD_SA" 30 rekeyed_since "$spis"
check_wait "it asked for that, with REKEY_SA" 10 rekey_asked SeGW-2
check_is "SeGW-2 first sent under the SPI that SeGW-1 had used" "$old_spi" \
	eval 'esp_spis "$(gateway_mac SeGW-2)" "$t_switch" | head -n 1'
check_wait "then under the one it rekeyed" 10 \
	eval '[ "$(esp_spis "$(gateway_mac SeGW-2)" "$t_switch" | wc -l)" -ge 2 ]'
check "the CE's IKE SPIs are those of step 9" same_ike

show SeGW-1 mcipsec admin isa tunnel-group 1 mda 1/2 no-shutdown
check_wait "SeGW-1 back: standby, SeGW-2 stays master (sticky)" 30 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal
switchover_begin "force-switchover SeGW-2 > SeGW-1"
force SeGW-2
check_state_10
switchover_end 0
check "all parts acted for SeGW-1" parts_acted kernel charon VRRP route
check_wait "SeGW-1 rekeys with REKEY_SA" 30 rekey_asked SeGW-1
check "the CE's IKE SPIs are those of step 9" same_ike

# ---- step 12 ------------------------------------------------------------------------
step 12 "SeGW-1 loses power"
switchover_begin "power loss of SeGW-1"
say ""
say "${c_head}(SeGW-1: packets vanish on the wire, then every process and its kernel state)${c_off}"
node_cut SeGW-1
node_destroy SeGW-1 &
destroyer=$!
check_wait "SeGW-2 eligible" 15 mc_is SeGW-2 mastership eligible
wait "$destroyer"
check_wait "VRRP: SeGW-2 master" 15 vrrp_is SeGW-2 MASTER
check_wait "P-1 prefers SeGW-2" 15 p1_prefers sdp-300
check_wait "CE-1's ping goes on" 15 ping_ce
switchover_end "" "$outage_limit"
check "all parts acted for SeGW-2" parts_acted detection kernel charon VRRP route
check_wait "SeGW-2 rekeys with REKEY_SA" 30 rekey_asked SeGW-2
show_mc SeGW-2
show_vrrp SeGW-2
check "the CE's IKE SPIs are those of step 9" same_ike

say ""
say "${c_head}(SeGW-1 boots; its links towards SeGW-2 and P-1 are plugged in last)${c_off}"
check_wait "nothing is left of the old SeGW-1, kernel state included" 60 node_gone SeGW-1
check "SeGW-1 has power" node_up SeGW-1 || abort "no second SeGW-1"
lab SeGW-1 cat /sys/class/net/int-SeGW1-S1/address >"$LAB_DIR/SeGW-1/mac"
cable_cut w12-segw1
cable_cut w1p-segw1
observers_start SeGW-1
check "its daemons start" gateway_start SeGW-1
t_boot=$EPOCHREALTIME
check_wait "SeGW-1 discovery" 10 mc_is SeGW-1 mastership discovery
check_is "it blackholes, no shunting" blackhole gate SeGW-1
show_mc SeGW-1
cable_mend w12-segw1
cable_mend w1p-segw1
check_wait "then standby; SeGW-2 master" 40 roles SeGW-1 standby SeGW-2 master
check_wait "VRRP: in-use 50 backup on SeGW-1, master on SeGW-2" 20 \
	vrrp_state SeGW-1 Backup 200 50 SeGW-2 Master 100 100
check_wait "its charon is filled again: the CE's IKE_SA is there, passive" 60 refilled
check_wait "protection status nominal on both" 60 nominal
check_is "SeGW-1 has sent nothing from the gateway address" 0 \
	eval 'capture from 10.10.20.1 "$OBS_DIR/public.pcap" --from "$t_boot" --mac "$(gateway_mac SeGW-1)" | jq ".esp + .ike"'
show_mc SeGW-1
show_vrrp SeGW-1
show SeGW-1 swanctl --list-sas

# ---- both ways, twice in a row ------------------------------------------------------------
step 13 "force-switchover both ways, as soon as protection status is nominal"
for from in SeGW-2 SeGW-1; do
	to=SeGW-$((3 - ${from#SeGW-}))
	switchover_begin "force-switchover $from > $to"
	force "$from"
	check_wait "$to master, $from standby" 30 roles "$to" master "$from" standby
	check_wait "VRRP follows" 20 vrrp_is "$to" MASTER
	check_wait "CE-1's ping goes on" 15 ping_ce
	check_wait "protection status nominal on both" 60 nominal
	switchover_end 0
	check "all parts acted for $to" parts_acted kernel charon VRRP route
done

# ---- over all of it ---------------------------------------------------------------------------
step 14 "what held all the time"
check_no_new_ike "$t_up" 9
check "IKE went on: one pair of SPIs, those of step 9" \
	jq_ok '(.spi_i | length) == 1 and (.spi_r | length) == 1' <<<"$exchanges"
check "the CE's IKE SPIs are those of step 9" same_ike
check_sequence_numbers 1000

say_summary
say "  limit after power loss: max(detection $detection, VRRP master-down $vrrp_down, P-1 BGP-BFD $p1_bfd) + $OUTAGE_ALLOWANCE ms = $outage_limit ms"
lost_tunnels=1
! same_ike || lost_tunnels=0
say "  tunnels lost: $lost_tunnels"
# One BFD session ends for a reason, in step 12.
late=$(cat "$LAB_DIR"/SeGW-*/log/mcipsecd.out | grep -cE 'detection time expired|this node was asleep')
[ "$late" -le 1 ] ||
	say "  this machine was too slow for the timers below: $((late - 1)) sessions ended without a cause"
say "  timers in force: $timers"
tap_end
