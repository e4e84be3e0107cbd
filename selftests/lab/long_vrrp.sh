#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_vrrp.sh - priority events on a real keepalived, beside what the demo has: two
# events of two tunnel-groups on one instance, of which the lowest explicit priority
# counts; explicit priority 0; hold-set and hold-clear, with the times that the log
# has; the one MAC address of the virtual one, which the switch learns at the new master's
# port; a group that forwards again within hold-set; neither a planned restart of the
# agent nor a reload of the policy lets the instance go. Priorities as the switch sees
# them in the advertisements. Seed "MC-IPSec Aware VRRP". VRRPv3 for IPv6: long_ipv6.sh.
#
# VRRP 10 on SeGW-1 (base 200): 50 without tunnel-group 1, 120 without tunnel-group 2.
# VRRP 20 on SeGW-2 (base 200): 0 without tunnel-group 2.

. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/two-groups.sh"

SET=5 CLEAR=16 SLACK=9	# seconds; SLACK is for a slow machine, and CLEAR is beyond SET + SLACK

policy_10() { printf '[vrrp.policy.1]\npriority-event = [ { mc-ipsec-non-forwarding = 1, priority = 50, hold-set = %d, hold-clear = %d }, { mc-ipsec-non-forwarding = 2, priority = 120 } ]\n' "$1" "$CLEAR" >"$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/policy.toml"; }

scene_configure()
{
	local etc=$LAB_DIR/$1/etc
	two_groups_files "$1"
	printf '[redundancy.multi-chassis.peer."%s".mc-ipsec]\nrestart-hold = 25\n' "$(peer_address "$1")" >"$etc/mcipsec/conf.d/hold.toml"
	if [ "$1" = SeGW-1 ]; then
		sed -i '/^\[vrrp\.policy\.1\]/,/^$/d' "$etc/mcipsec/mcipsec.toml"
		policy_10 $SET
	else
		sed -i 's/mc-ipsec-non-forwarding = 2, priority = 50/mc-ipsec-non-forwarding = 2, priority = 0/' "$etc/mcipsec/conf.d/group2.toml"
		sed -i 's/init_file -150/init_file -254/' "$etc/keepalived/keepalived.conf"
		two_groups_net
	fi
}
nominal() { all_nominal; }

# instance NODE NAME: state and in-use priority; advertises NODE VRID PRIORITY: on the switch
instance() { ask "$1" "[.. | objects | select(.instance? == \"$2\")][0] | \"\(.state) \(.in_use_pri)\"" show router vrrp instance; }
instance_is() { [ "$(instance "$1" "$2")" = "$3" ]; }
advert() { lab S-1 timeout "${3:-10}" tcpdump -nn -v -c 1 -i "port-segw${1#SeGW-}" -Q in "ip proto 112 and ip[21] = $2" 2>/dev/null | grep -o 'prio [0-9]*'; }
advertises() { [ "$(advert "$1" "$2")" = "prio $3" ]; }
track_is() { [ "$(lab "$1" cat "/run/mcipsec/vrrp/$2.track")" = "$3" ]; }

# vmac VRID: of RFC 5798, section 7.3. asked ADDRESS: what CE-1 gets to know when it has
# forgotten it. at_port VRID NODE: where the switch has the address.
vmac() { printf '00:00:5e:00:01:%02x' "$1"; }
asked()
{
	lab CE-1 ip neigh del "$1" dev int-CE1-S1 2>/dev/null
	lab CE-1 ping -c 1 -W 2 "$1" >/dev/null 2>&1
	lab CE-1 ip neigh show "$1" dev int-CE1-S1 | grep -o 'lladdr [^ ]*'
}
asked_is() { [ "$(asked "$1")" = "lladdr $2" ]; }
at_port() { lab S-1 bridge fdb show br vpls3 | grep -q "^$(vmac "$1") dev port-segw${2#SeGW-} "; }

# when NODE SINCE FILTER: the time of the first such entry of the log
when() { ask "$1" "[.entries[] | select(.time >= $2 and ($3))][0].time // empty" show log; }
turned() { echo ".event == \"tMcPeerIPsecTnlGrpMasterStateChg\" and .tunnel_group == 1 and .fields.new_state == \"$1\""; }
in_use() { echo ".event == \"mcipsecVrrp\" and .text == \"VRRP VRRP10: in-use priority $1\""; }
says() { [ -n "$(when "$@")" ]; }
# after HOLD FROM TO: it came HOLD seconds later, and not much more
after() { awk -v hold="$1" -v slack="$SLACK" -v from="$2" -v to="$3" 'BEGIN { d = to - from; exit !(from && to && d > hold - 0.5 && d < hold + slack) }'; }
lag() { awk -v from="$1" -v to="$2" 'BEGIN { printf "%.2f s", to - from }'; }
shunted() { ask "$1" "[.. | objects | select(has(\"gate\") and .id == 1)] | first | .gate_counters.shunt_public" show isa tunnel-group 1; }
gone() { ! running "$1" mcipsecd; }
leave() { signal "$1" mcipsecd USR2 && poll 5 gone "$1"; }
# turns: how often SeGW-1's keepalived changed the state of VRRP 10
turns() { grep -cE '\(VRRP10\) [Ee]nter' "$LAB_DIR/SeGW-1/log/keepalived.out"; }

plan $((SCENE_POINTS + 41))
scene_up
check_wait "SeGW-1 is master of 1, SeGW-2 of 2" 30 masters SeGW-1 SeGW-2

check_wait "the event of group 2 alone: VRRP 10 is master with 120 on SeGW-1" 40 instance_is SeGW-1 VRRP10 "Master 120"
check_wait "and so it says on the wire" 20 advertises SeGW-1 10 120
check "the track file has the difference" track_is SeGW-1 VRRP10 -80
check_wait "VRRP 20 is master with 200 on SeGW-2" 20 instance_is SeGW-2 VRRP20 "Master 200"
check_wait "CE-1, asking anew, has each virtual address at its VRID's MAC address" 20 \
	eval 'asked_is 172.16.1.254 "$(vmac 10)" && asked_is 172.16.1.250 "$(vmac 20)"'
check_wait "the switch has one at SeGW-1, the other one at SeGW-2" 20 eval 'at_port 10 SeGW-1 && at_port 20 SeGW-2'
check "control: an address of SeGW-1's own is at its own" asked_is 172.16.1.252 "$(gateway_mac SeGW-1)"

check "force-switchover of group 2 to SeGW-1" hand_over SeGW-2 2
check_wait "no event is set: VRRP 10 has its base priority, 200" 40 instance_is SeGW-1 VRRP10 "Master 200"
check_wait "on the wire, too" 20 advertises SeGW-1 10 200
check_wait "explicit priority 0: VRRP 20 has 0 on SeGW-2" 20 instance_is SeGW-2 VRRP20 "Fault 0"
check "the track file says so" track_is SeGW-2 VRRP20 -255
check_wait "SeGW-1 is its master with 100" 20 eval 'instance_is SeGW-1 VRRP20 "Master 100" && advertises SeGW-1 20 100'
check_is "SeGW-2 says nothing more on VRRP 20" "" advert SeGW-2 20 3
check_wait "CE-1's second tunnel comes up by SeGW-1" 40 ping_ce_2
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal
check "and back" hand_over SeGW-1 2
check_wait "VRRP 20 is SeGW-2's again, VRRP 10 has 120 again" 40 eval 'instance_is SeGW-2 VRRP20 "Master 200" && instance_is SeGW-1 VRRP10 "Master 120"'
check_wait "nominal again" 60 all_nominal

t=$EPOCHREALTIME shunted=$(shunted SeGW-1)
check "force-switchover of group 1 to SeGW-2" hand_over SeGW-1 1
check_wait "hold-set is over: the lower one of two events counts, VRRP 10 has 50 on SeGW-1" 60 says SeGW-1 "$t" "$(in_use 50)"
from=$(when SeGW-1 "$t" "$(turned standby)") to=$(when SeGW-1 "$t" "$(in_use 50)")
diag "hold-set $SET s: $(lag "$from" "$to")"
check "$SET s after the group stopped forwarding" after $SET "$from" "$to"
check "meanwhile SeGW-1 has shunted what CE-1 sent" test "$(shunted SeGW-1)" -gt "$shunted"
check_wait "then keepalived lets go: VRRP 10 is SeGW-2's" 20 eval 'instance_is SeGW-1 VRRP10 "Backup 50" && vrrp_is SeGW-2 MASTER && vrrp_is SeGW-1 BACKUP'
check_wait "the switch has its MAC address at SeGW-2 now" 20 at_port 10 SeGW-2
check_wait "it is the same that CE-1, asking anew, gets from SeGW-2" 20 asked_is 172.16.1.254 "$(vmac 10)"
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal

t=$EPOCHREALTIME
check "force-switchover of group 1 back to SeGW-1" hand_over SeGW-2 1
check_wait "hold-clear is over: VRRP 10 has 120 on SeGW-1" 80 says SeGW-1 "$t" "$(in_use 120)"
from=$(when SeGW-1 "$t" "$(turned master)") to=$(when SeGW-1 "$t" "$(in_use 120)")
diag "hold-clear $CLEAR s: $(lag "$from" "$to")"
check "$CLEAR s after the group forwards again" after $CLEAR "$from" "$to"
check_wait "then it preempts: VRRP 10 is SeGW-1's" 20 eval 'instance_is SeGW-1 VRRP10 "Master 120" && vrrp_is SeGW-1 MASTER && vrrp_is SeGW-2 BACKUP'
check_wait "protection status nominal, both groups, both chassis" 60 all_nominal

t=$EPOCHREALTIME turns=$(turns)
check "a planned restart of SeGW-1's agent" eval 'leave SeGW-1 && agent_start SeGW-1'
check_wait "SeGW-1 serves group 1, nominal" 60 eval 'masters SeGW-1 SeGW-2 && all_nominal'
check_not "no event was set, though hold-clear is not 0" says SeGW-1 "$t" "$(in_use 50)"
check "a policy with another hold-set is loaded" eval 'policy_10 600 && lab SeGW-1 mcipsec reload'
check "group 1 goes to SeGW-2, nominal" eval 'hand_over SeGW-1 1 && poll 60 mc_group_is SeGW-2 1 mastership master && poll 60 all_nominal'
check "and comes back" eval 'hand_over SeGW-2 1 && poll 60 masters SeGW-1 SeGW-2'
check_not "within hold-set: the event has not been set" says SeGW-1 "$t" "$(in_use 50)"
check "VRRP 10 was SeGW-1's all the time" test "$turns" -gt 0 -a "$(turns)" = "$turns"
scene_end
