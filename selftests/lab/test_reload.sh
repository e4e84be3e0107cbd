#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_reload.sh - a running pair of gateways gets new configurations: bfd-enable
# goes off and on, a tunnel comes and goes, a tunnel-group comes, priority changes, and
# nothing moves; what needs a restart is refused as a whole and the running configuration
# stays. A tunnel-group that is shut down in the file is left to the other chassis
# (long_shutdowns.sh has the other shutdowns).
# Control: what each reload is to change is the other way before.

. "$(dirname "$0")/lab.sh"
. "$LAB_SRC/reload.sh"

bfd_is() { mc_is SeGW-1 bfd_state "$1" && mc_is SeGW-2 bfd_state "$1"; }
route_is() { lab SeGW-1 ip route show table 2 192.168.3.0/24 | grep -q "proto $1"; }
no_route() { [ -z "$(lab SeGW-1 ip route show table 2 192.168.3.0/24)" ]; }

plan 45
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
relaxed_timers SeGW-1
relaxed_timers SeGW-2
gateway_start SeGW-1 & one=$!
gateway_start SeGW-2 & two=$!
wait "$one"; wait "$two"
check_wait "SeGW-1 master, SeGW-2 standby" 90 roles SeGW-1 master SeGW-2 standby
check_wait "protection status nominal on both" 60 nominal
check_wait "control: BFD is up" 30 bfd_is Up
generation=$(generations)

echo "[$PEER1.mc-ipsec]
bfd-enable = false" | drop_in SeGW-1 bfd
echo "[$PEER2.mc-ipsec]
bfd-enable = false" | drop_in SeGW-2 bfd
check "bfd-enable off on SeGW-1" reload SeGW-1
check "and on SeGW-2" reload SeGW-2
check_wait "BFD is down on purpose" 30 bfd_is AdminDown
check "nothing moved" unmoved
check_wait "the peers reach each other by keep-alives" 30 mc_is SeGW-2 reachable yes
rm "$LAB_DIR"/SeGW-*/etc/mcipsec/conf.d/bfd.toml
check "bfd-enable on again on SeGW-1" reload SeGW-1
check "and on SeGW-2" reload SeGW-2
check_wait "BFD is up again" 60 bfd_is Up
check "nothing moved" unmoved

drop_in SeGW-1 tunnel <<'TOML'
[ipsec.tunnel."tunnel-2"]
public = "int-IPsec-Public-1"
private = "int-IPsec-Private-1"
interface = "tunnel-2"
static-route = ["192.168.3.0/24"]
TOML
check "a tunnel whose interface does not exist is refused" refused SeGW-1 'tunnel.toml:4: interface tunnel-2 of tunnel tunnel-2 does not exist'
check "and nothing moved" unmoved
lab SeGW-1 sh -c 'ip link add tunnel-2 type xfrm dev lo if_id 0x10002 && ip link set tunnel-2 master vprn2 up'
check "control: no route of tunnel-2 yet" no_route
check "a tunnel is added" reload SeGW-1
check_wait "its route is there, with the master's protocol" 20 route_is 211
check_wait "its connection is missed" 30 alarm SeGW-1 "connection tunnel-2 is not loaded"
rm "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/tunnel.toml"
check "the tunnel is removed" reload SeGW-1
check_wait "its route is gone" 20 no_route

printf '[%s.mc-ipsec.tunnel-group.1]\npriority = 10\n[%s.sync.ipsec.tunnel-group.1]\nsync-tag = "other"\n' "$PEER1" "$PEER1" | drop_in SeGW-1 wrong
check "another sync-tag is refused by line and name" refused SeGW-1 "wrong.toml:4: needs a restart of mcipsecd"
check "and the priority of the same file is not taken" mc_is SeGW-1 priority 200
check "nothing moved" unmoved
rm "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/wrong.toml"

agents=$(agent_pids)
check_not "control: no tunnel-group 2 yet" group_2_is SeGW-1 discovery
printf '[redundancy.multi-chassis.peer."192.0.2.3"]\nauthentication-key-file = "/etc/mcipsec/no.key"\n' | drop_in SeGW-1 peer3
check "a peer without its key is refused" refused SeGW-1 'peer3.toml:2: .*no.key'
rm "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/peer3.toml"
group_2 SeGW-1 "$PEER1" 10
group_2 SeGW-2 "$PEER2" 20
check "a tunnel-group is added on SeGW-1" reload SeGW-1
check_wait "it is there" 30 lab SeGW-1 mcipsec show isa tunnel-group 2
check_wait "nothing has moved, protection status nominal" 30 eval 'unmoved && nominal'
check "and on SeGW-2" reload SeGW-2
check_wait "the chassis agree on its master" 60 pair_2
check_wait "the other one has not moved, protection status nominal" 30 eval 'unmoved && nominal'

printf '[%s.mc-ipsec.tunnel-group.1]\npriority = 100\n' "$PEER1" | drop_in SeGW-1 priority
check_is "control: SeGW-1's priority" "200 200" eval 'echo "$(mc SeGW-1 priority) $(mc SeGW-2 peer_priority)"'
check "another one, below SeGW-2's" reload SeGW-1
check_wait "both show it" 20 eval 'mc_is SeGW-1 priority 100 && mc_is SeGW-2 peer_priority 100'
check "who is acting master stays that" unmoved
printf '[isa.tunnel-group.1]\nshutdown = true\n' | drop_in SeGW-2 shut
check "the tunnel-group is shut down in SeGW-2's file" reload SeGW-2
check_wait "SeGW-2 is notEligible" 20 roles SeGW-1 master SeGW-2 notEligible
check_is "show isa tunnel-group has it: Admin State" Down ask SeGW-2 "$(find_object gate) | .admin_state" show isa tunnel-group 1
check_wait "SeGW-1 has no standby" 20 eval 'mc SeGW-1 reasons | grep -q "no standby"'
rm "$LAB_DIR/SeGW-2/etc/mcipsec/conf.d/shut.toml"
check "that is taken back" reload SeGW-2
check_wait "SeGW-2 stands by, protection status nominal" 60 eval 'roles SeGW-1 master SeGW-2 standby && nominal'
check "and the agents are the same processes" same_agents
tap_end
