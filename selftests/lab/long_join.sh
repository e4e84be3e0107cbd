#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_join.sh - a gateway that worked alone is put under mc-ipsec by a reload: its
# tunnel-group begins in discovery (blackhole), its tunnel stays and lives on when the
# group serves again, and then over a switchover to the new peer. With standby-restart =
# "restart" its IKE states are purged instead, without a message to the customer (seed
# "Other Details"). Control: alone it forwards and the tunnel is up.

. "$(dirname "$0")/lab.sh"

ETC=$LAB_DIR/SeGW-1/etc/mcipsec
PEER='redundancy.multi-chassis.peer."192.0.2.2".mc-ipsec'

reload() { lab SeGW-1 mcipsec reload; }
state_is() { [ "$(ask SeGW-1 "$(find_object gate) | .mastership" show isa tunnel-group 1)" = "$1" ]; }
ike_sas() { lab SeGW-1 swanctl --list-sas --raw | grep -c 'list-sa event'; }
same_ike() { [ -n "$ike" ] && [ "$(ce_ike_spis)" = "$ike" ]; }
sent_ike() { capture from 10.10.20.1 "$OBS_DIR/public.pcap" --from "$1" | jq .ike; }
agent_gone() { ! running SeGW-1 mcipsecd; }

# alone: the configuration without its redundancy part; joined WHAT: with it, and
# standby-restart
alone() { sed '/^\[redundancy/,/^\[vrrp/{/^\[vrrp/!d}' "$LAB_DIR/whole.toml" >"$ETC/mcipsec.toml" && rm -f "$ETC/conf.d/join.toml"; }
joined()
{
	cp "$LAB_DIR/whole.toml" "$ETC/mcipsec.toml"
	mkdir -p "$ETC/conf.d"
	printf '[%s]\ndiscovery-interval = 10\n[%s.tunnel-group.1]\nstandby-restart = "%s"\n' "$PEER" "$PEER" "$1" >"$ETC/conf.d/join.toml"
}

plan 40
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
check "the capture runs" capture_start
cp "$ETC/mcipsec.toml" "$LAB_DIR/whole.toml"
alone
check "P-1 and SeGW-1 start, without a peer" eval 'bird_start P-1 && gateway_start SeGW-1 && charon_start CE-1'
check_wait "SeGW-1 is eligible" 60 state_is eligible
check "its gate is open" gate_is SeGW-1 forward
check_wait "the tunnel is up" 60 ping_ce
ike=$(ce_ike_spis)

joined mend
t=$EPOCHREALTIME
check "it gets a peer by a reload" reload
check_wait "it begins in discovery" 15 state_is discovery
check "and blackholes" gate_is SeGW-1 blackhole
check "the tunnel has stayed in charon" test "$(ike_sas)" = 1
check_wait "discovery is over: it serves again" 40 state_is eligible
check_wait "CE-1's ping goes on" 30 ping_ce
check "over the same IKE_SA" same_ike

check "mc-ipsec is shut down for it, with nobody else to serve" lab SeGW-1 mcipsec admin redundancy peer 192.0.2.2 mc-ipsec tunnel-group 1 shutdown
check_wait "it says so" 10 eval 'lab SeGW-1 mcipsec config show | grep -q "^shutdown = true"'
check "it goes on alone" eval 'state_is eligible && gate_is SeGW-1 forward && ping_ce'
check "over the same IKE_SA" same_ike
check "and is to serve with a peer again" lab SeGW-1 mcipsec admin redundancy peer 192.0.2.2 mc-ipsec tunnel-group 1 no-shutdown
check_wait "it does" 40 eval 'state_is eligible && ping_ce && same_ike'

check "SeGW-2 starts" gateway_start SeGW-2
check_wait "SeGW-1 master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
check_wait "protection status nominal on both" 60 nominal
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "CE-1's ping goes on" 30 ping_ce
check "over the same IKE_SA" same_ike
check_wait "protection status nominal on both" 60 nominal
check "and back" hand_over SeGW-2

stop SeGW-2 mcipsecd TERM
alone
signal SeGW-1 mcipsecd USR2
check_wait "SeGW-1's agent leaves" 15 agent_gone
agent_start SeGW-1
check_wait "without its peer it is eligible again, CE-1's ping goes on" 60 eval 'state_is eligible && ping_ce'
joined restart
t=$EPOCHREALTIME
check "it gets its peer by a reload, with standby-restart" reload
check_wait "charon has dropped the tunnel" 30 eval '[ "$(ike_sas)" = 0 ]'
check_is "without a message to the customer" 0 sent_ike "$t"
check "who still has it" same_ike
check_wait "it serves again when discovery is over" 40 state_is eligible
check_is "nor since then" 0 sent_ike "$t"
check_sequence_numbers 4
tap_end
