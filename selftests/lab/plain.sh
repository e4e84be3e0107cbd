#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# plain.sh - the topology proves itself: with stock daemons only and SeGW-1 as
# the one gateway (no redundancy), CE-1 pings P-1 through the tunnel. What fails
# here is the lab's fault, not the product's.

cd "$(dirname "$0")" || exit 1
. ../lib.sh
. ./node.sh
. ./topology.sh
. ./daemons.sh
. ./observe.sh
trap 'lab_collect /results; topo_down' EXIT

# The product's plugin would keep its gate closed for want of an agent.
plain_charon() { rm -f "$LAB_DIR/$1/etc/strongswan.d/charon/mcipsec.conf"; }

capture_ok() { capture "$@" >/dev/null; }
ping_ok() { lab CE-1 ping -I vprn2 -I 192.168.1.1 -c 1 -W 1 192.168.2.1; }
p1_routes() { lab P-1 birdc show route table vprn2 for 192.168.1.1 all; }
p1_prefers() { lab P-1 ip route get vrf vprn2 192.168.1.1 2>/dev/null | grep -q "dev $1"; }

plan 19
check "topology is up" topo_up
for node in SeGW-1 SeGW-2; do
	plain_charon "$node"
	keepalived_start "$node"
	bird_start "$node"
done
bird_start P-1
check "charon starts on SeGW-1" charon_start SeGW-1
check "charon starts on CE-1" charon_start CE-1
lab SeGW-1 sh -c 'echo 0 >/run/mcipsec/vrrp/VRRP10.track'
lab SeGW-1 ip route add table 2 192.168.1.1/32 dev tunnel-1 proto 211
lab SeGW-2 ip route add table 2 192.168.1.1/32 dev tunnel-1 proto 213
check_wait "OSPF: SeGW-1 reaches the systems of SeGW-2 and P-1" 30 \
	lab SeGW-1 sh -c 'ping -c 1 -W 1 -I 192.0.2.1 192.0.2.2 && ping -c 1 -W 1 -I 192.0.2.1 192.0.2.3'
check_wait "VRRP: SeGW-1 is master" 20 vrrp_is SeGW-1 MASTER
check "VRRP: SeGW-2 is backup" vrrp_is SeGW-2 BACKUP
check_wait "BGP: P-1 prefers SeGW-1" 40 p1_prefers sdp-200
check_wait "P-1 holds both routes" 20 \
	eval 'p1_routes | grep -q "local_pref: 100" && p1_routes | grep -q "local_pref: 200"'
check_wait "CE-1 pings P-1 through the tunnel" 30 ping_ok

# The instruments: what they show must be what was done.
now_is() { awk -v t="$EPOCHREALTIME" -v d="${1:-0}" 'BEGIN { printf "%.6f", t + d }'; }
between() { [ "${1:-0}" -ge "$2" ] && [ "$1" -le "$3" ]; }
check "the capture starts" capture_start
check "the flow runs both ways" flow_start
poll 10 flow_recovered
t0=$EPOCHREALTIME
lab S-1 bridge link set dev port-ce1 state 0
t1=$(now_is 1)
poll 5 eval '[[ $EPOCHREALTIME > $t1 ]]'
lab S-1 bridge link set dev port-ce1 state 3
cut_ms=$(awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN { print int((b - a) * 1000) }')
poll 10 flow_recovered
report=$(flow_window "$t0" "$EPOCHREALTIME" --json)
diag "cut for $cut_ms ms: $report"
check "a cut of 1 s or more shows as an outage as long from CE-1 to P-1" \
	between "$(jq '."CE-1 > P-1".gap_ms' <<<"$report")" 900 $((cut_ms + 300))
check "and as 100 lost packets a second" \
	between "$(jq '."CE-1 > P-1".lost' <<<"$report")" 80 $((cut_ms / 10 + 30))
check "no outage before it" between "$(flow_window "$(now_is -0.9)" "$(now_is -0.1)" --json |
	jq '[.[].gap_ms] | max')" 0 100
check_sequence_numbers 100
pcap=$OBS_DIR/public.pcap
{ cat "$pcap"; tail -c +25 "$pcap"; } >/tmp/twice.pcap
check_not "the checker finds packets that are there twice" capture_ok repeats /tmp/twice.pcap
lab SeGW-1 sh -c 'echo -150 >/run/mcipsec/vrrp/VRRP10.track'
check_wait "VRRP: the track file gives mastership to SeGW-2" 20 vrrp_is SeGW-2 MASTER
tap_end
