#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_members.sh - members of a tunnel-group: SeGW-1 has three that are healthy, two
# of them must be active, and a fourth on a CPU that is not there. The first has a
# track-file and two CPUs, the second a track-script. The first one down, for a CPU that
# goes, for the file: the backup replaces it and nothing else happens. Two down, one left:
# the tunnel-group is notEligible and the peer takes over with the tunnel. Then an
# interface goes down. The reasons can be read.
#
# Priorities are equal, SeGW-2 has one member and the higher address: at first SeGW-1 is
# master for its two. Control: before, three are healthy.

. "$(dirname "$0")/lab.sh"

group() { ask SeGW-1 ".tunnel_groups[0] | $1" show isa tunnel-group 1; }
group_is() { [ "$(group "$1")" = "$2" ]; }
member() { group ".members[] | select(.name == \"$1\") | .$2"; }
reason_has() { member "$1" reason | grep -q "$2"; }
no_interface() { local m; for m in 1/2 1/3 1/4 1/5; do reason_has $m "interface tunnel-1 is down" || return 1; done; }
active() { group '.active | join(" ")'; }
active_is() { [ "$(active)" = "$1" ]; }

# cpu_online 0|1: the second processor of the guest
cpu_online() { echo "$1" >/sys/devices/system/cpu/cpu1/online; }

plan 38
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
install -d "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d"
cat >"$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/members.toml" <<'TOML'
[isa.tunnel-group.1]
mda = ["1/2", "1/3", "1/4", "1/5"]
active-mda-number = 2
[isa.mda."1/2"]
track-file = "/run/health"
cpus = [0, 1]
[isa.mda."1/3"]
track-script = "/run/check"
timeout = 20
[isa.mda."1/4"]
[isa.mda."1/5"]
cpus = [0, 1023]
TOML
sed -i 's/^priority = 200$/priority = 150/' "$LAB_DIR/SeGW-1/etc/mcipsec/mcipsec.toml"
lab SeGW-1 sh -c 'echo 1 >/run/health; touch /run/good
	printf "#!/bin/sh\ntest -e /run/good\n" >/run/check; chmod 755 /run/check'
check "the capture runs" capture_start
gateways_start
check_wait "SeGW-1 master, SeGW-2 standby" 90 roles SeGW-1 master SeGW-2 standby
check_is "priorities are equal" "150 150" eval 'echo "$(mc SeGW-1 priority) $(mc SeGW-1 peer_priority)"'
check_is "SeGW-1 has two active members, SeGW-2 one" "2 1" eval 'echo "$(mc SeGW-1 active_members) $(mc SeGW-1 peer_active_members)"'
check_is "the active count broke the tie: step 10 of the election" "election (step 10)" mc SeGW-1 last_state_reason
check_wait "the tunnel is up" 60 ping_ce
check_wait "protection status nominal on both" 60 nominal
ike=$(ce_ike_spis)
check_is "control: 1/2 and 1/3 are active" "1/2 1/3" active
check "control: 1/4 is backup, and it alone" group_is '.backup | join(" ")' 1/4
check_is "1/5 says why it is down" "cpu 1023 offline" member 1/5 reason

check "CPU 1 is taken offline" cpu_online 0
check_wait "the backup replaces the member on it" 30 active_is "1/3 1/4"
check "1/2 says why" reason_has 1/2 "cpu 1 offline"
check "the tunnel-group stays up, SeGW-1 master" eval 'group_is .oper_state up && roles SeGW-1 master SeGW-2 standby'
check "CPU 1 comes back" cpu_online 1
check_wait "1/2 and 1/3 are active" 30 active_is "1/2 1/3"

lab SeGW-1 sh -c 'echo 0 >/run/health.new; mv /run/health.new /run/health'
check_wait "track-file says 0: the backup replaces the member" 30 active_is "1/3 1/4"
check "1/2 says why" reason_has 1/2 "track-file /run/health says 0"
check "the tunnel-group stays up" group_is .oper_state up
check "SeGW-1 stays master" roles SeGW-1 master SeGW-2 standby

lab SeGW-1 rm /run/good
check_wait "the script fails, too, one of two is left: SeGW-1 notEligible, SeGW-2 master" 60 roles SeGW-1 notEligible SeGW-2 master
check "1/3 says why" reason_has 1/3 "track-script /run/check: exit code 1"
check "1/4 is well" eval '[ "$(member 1/4 oper_state)" = up ]'
check "the tunnel-group is down" group_is .oper_state down
check_wait "CE-1's ping goes on" 30 ping_ce
check "over the same IKE_SA" unchanged "$ike" ce_ike_spis

lab SeGW-1 touch /run/good
check_wait "the script agrees again: SeGW-1 stands by" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal

lab SeGW-1 ip link set tunnel-1 down
check_wait "tunnel-1 goes down: SeGW-1 is notEligible" 30 roles SeGW-1 notEligible SeGW-2 master
check "each of its members says why" no_interface
lab SeGW-1 ip link set tunnel-1 up
check_wait "it comes back: SeGW-1 stands by" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal
check_sequence_numbers 4
tap_end
