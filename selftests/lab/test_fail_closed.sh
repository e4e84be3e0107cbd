#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_fail_closed.sh - invariant I1: a gateway on which only the gate and charon
# run (mcipsecd was never started) sends nothing from its gateway address,
# neither as responder nor asked to initiate. Control: the same charon without
# plugin and gate, on SeGW-2, answers at once and the capture sees it.

. "$(dirname "$0")/lab.sh"

pcap=$OBS_DIR/public.pcap
sent_by() { capture from "$1" "$pcap" --from "$2" | jq '.esp + .ike'; }
some_sent() { [ "$(sent_by "$1" "$2")" -gt 0 ]; }

plan 12
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
check "the capture runs" capture_start

lab SeGW-1 mkdir -p /run/mcipsec/vrrp
check "the gate starts" gate_start SeGW-1
check_not "the module cannot be unloaded while groups exist" rmmod mcipsec
keepalived_start SeGW-1
lab SeGW-1 sh -c 'echo 0 >/run/mcipsec/vrrp/VRRP10.track'
charon_start SeGW-1
charon_start CE-1
wait_for "VRRP: SeGW-1 attracts" 20 vrrp_is SeGW-1 MASTER
t0=$EPOCHREALTIME
lab CE-1 timeout 12 swanctl --initiate --child tunnel-1 --timeout 6 >/dev/null 2>&1
check "CE-1's requests crossed the switch" some_sent 10.10.10.1 "$t0"
check_is "asked, the gateway address sent nothing" 0 sent_by 10.10.20.1 "$t0"
lab SeGW-1 timeout 12 swanctl --initiate --child tunnel-1 --timeout 6 >/dev/null 2>&1
check_is "told to initiate, it sent nothing" 0 sent_by 10.10.20.1 "$t0"
check_not "and there is no IKE_SA" eval 'lab SeGW-1 swanctl --list-sas | grep -q ESTABLISHED'
stop SeGW-1 charon
stop SeGW-1 keepalived

rm -f "$LAB_DIR/SeGW-2/etc/strongswan.d/charon/mcipsec.conf"
lab SeGW-2 mkdir -p /run/mcipsec/vrrp
keepalived_start SeGW-2
charon_start SeGW-2
check_wait "control: without the gate SeGW-2 takes the address" 20 vrrp_is SeGW-2 MASTER
t0=$EPOCHREALTIME
# anew: the pauses of the request that found no answer have grown long
lab CE-1 timeout 12 swanctl --terminate --ike tunnel-1 --force --timeout 2 >/dev/null 2>&1
lab CE-1 timeout 20 swanctl --initiate --child tunnel-1 --timeout 15 >/dev/null 2>&1
check_wait "control: and answers, as the capture shows" 30 some_sent 10.10.20.1 "$t0"
tap_end
