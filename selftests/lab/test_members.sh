#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_members.sh - members of a tunnel-group: SeGW-1 has two, one of them must
# be active. The first has a track-file, the second a track-script. The first
# one down: the backup replaces it and nothing else happens. Both down: the
# tunnel-group is notEligible and the peer takes over with the tunnel. The
# reasons can be read. Control: before, both are healthy and SeGW-1 is master.

. "$(dirname "$0")/lab.sh"

group() { ask SeGW-1 ".tunnel_groups[0] | $1" show isa tunnel-group 1; }
group_is() { [ "$(group "$1")" = "$2" ]; }
member() { group ".members[] | select(.name == \"$1\") | .$2"; }
reason_has() { member "$1" reason | grep -q "$2"; }

plan 22
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
install -d "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d"
cat >"$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/members.toml" <<'TOML'
[isa.tunnel-group.1]
mda = ["1/2", "1/3"]
[isa.mda."1/2"]
track-file = "/run/health"
cpus = [0]
[isa.mda."1/3"]
track-script = "/run/check"
timeout = 20
TOML
lab SeGW-1 sh -c 'echo 1 >/run/health; touch /run/good
	printf "#!/bin/sh\ntest -e /run/good\n" >/run/check; chmod 755 /run/check'
check "the capture runs" capture_start
gateways_start
check_wait "SeGW-1 master, SeGW-2 standby" 90 roles SeGW-1 master SeGW-2 standby
check_wait "the tunnel is up" 60 ping_ce
check_wait "protection status nominal on both" 60 nominal
ike=$(ce_ike_spis)
check "control: 1/2 is active" group_is '.active | join(" ")' 1/2
check "control: 1/3 is backup" group_is '.backup | join(" ")' 1/3

lab SeGW-1 sh -c 'echo 0 >/run/health.new; mv /run/health.new /run/health'
check_wait "track-file says 0: the backup replaces the member" 30 group_is '.active | join(" ")' 1/3
check "1/2 says why" reason_has 1/2 "track-file /run/health says 0"
check "the tunnel-group stays up" group_is .oper_state up
check "SeGW-1 stays master" roles SeGW-1 master SeGW-2 standby

lab SeGW-1 rm /run/good
check_wait "the script fails, too: SeGW-1 notEligible, SeGW-2 master" 60 roles SeGW-1 notEligible SeGW-2 master
check "1/3 says why" reason_has 1/3 "track-script /run/check: exit code 1"
check_wait "CE-1's ping goes on" 30 ping_ce
check "over the same IKE_SA" test "$ike" = "$(ce_ike_spis)"

lab SeGW-1 touch /run/good
check_wait "the script agrees again: SeGW-1 stands by" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal
check_sequence_numbers 4
tap_end
