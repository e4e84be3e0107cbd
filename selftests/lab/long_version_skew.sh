#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_version_skew.sh - SeGW-2 runs an agent of another protocol version, built from
# this tree: one version later, which also sends longer headers, longer elements,
# fields, blocks and frames that ours does not know; one version earlier, which lacks
# what came since; two later, whose MCS has left ours behind. With the first two
# everything works, both ways; with the last one mastership does, and MCS names the reason.

. "$(dirname "$0")/scene.sh"

skewed() { AGENT[SeGW-2]=/mcipsec/build/agent/mcipsecd$1; }
# swap SHIFT: another agent on SeGW-2, without a word to the peer's charon.
swap()
{
	stop SeGW-2 mcipsecd || return 1
	skewed "$1"
	[ -n "$1" ] || unset 'AGENT[SeGW-2]'
	agent_start SeGW-2
}
versions() { ask "$1" "$(find_object versions) | .versions" show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")"; }
counter() { ask "$1" "$(find_object db_sync_state) | .counters.$2" show redundancy multi-chassis sync detail; }
mimp_bad() { ask SeGW-1 "$(find_object mimp_counters) | .mimp_counters | .bad_length + .bad_version + .bad_field + .bad_mac" show redundancy multi-chassis mc-ipsec peer 192.0.2.2; }
entries() { sync_is SeGW-1 num_entries 2 && sync_is SeGW-2 num_entries 2; }
ce_rekeys() { lab CE-1 timeout 30 swanctl --rekey --child tunnel-1; }
# has_ce_child NODE: NODE's charon holds the CE's CHILD_SA.
has_ce_child()
{
	local spi
	spi=$(lab CE-1 swanctl --list-sas --raw | grep -oE 'spi-out=[0-9a-f]+' | tail -n 1)
	[ -n "$spi" ] && lab "$1" swanctl --list-sas --raw | grep -q "spi-in=${spi#*=}"
}
flags_are() { sync_field "$1" sync_oper_flags | grep -q "$2"; }
no_flag() { [ "$(sync_field "$1" 'sync_oper_flags | length')" = 0 ]; }

# both_ways WHAT: hand over to the skewed agent, rekey there, and back.
both_ways()
{
	check_wait "$1: two entries on both" 30 entries
	check "$1: force-switchover to SeGW-2" hand_over SeGW-1
	check_wait "$1: CE-1's ping goes on" 20 ping_ce
	check_wait "$1: nominal again on both" 60 nominal
	check "$1: the CE rekeys its CHILD_SA, SeGW-2 answers" ce_rekeys
	check_wait "$1: SeGW-1 has the new one" 20 has_ce_child SeGW-1
	check_wait "$1: nominal, and the rekey is through" 60 eval 'entries && nominal'
	check "$1: force-switchover back to SeGW-1" hand_over SeGW-2
	check_wait "$1: CE-1's ping goes on" 20 ping_ce
	check_wait "$1: nominal again on both" 60 nominal
}

plan $((SCENE_POINTS + 41))
skewed +1
scene_up
check_is "one version later: SeGW-1 shows what SeGW-2 speaks" "MIMP 3, MCS 2 to 3" versions SeGW-1
check_is "SeGW-2 shows what SeGW-1 speaks" "MIMP 2, MCS 1 to 2" versions SeGW-2
check "frames that SeGW-1 does not know have come and were skipped" eval '[ "$(counter SeGW-1 frames_unknown)" -gt 0 ] && [ "$(counter SeGW-1 frames_bad)" = 0 ]'
check_is "no MIMP packet was refused" 0 mimp_bad
both_ways "later"

check "one version earlier: SeGW-2's agent is exchanged" swap -1
check_wait "SeGW-1 master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
check_wait "protection status nominal on both" 60 nominal
check_is "SeGW-1 shows what SeGW-2 speaks" "MIMP 1, MCS not said" versions SeGW-1
both_ways "earlier"

check "two versions later: SeGW-2's agent is exchanged" swap +2
check_wait "SeGW-1 master, SeGW-2 standby: MIMP works" 60 roles SeGW-1 master SeGW-2 standby
check_wait "mcs-version-mismatch on SeGW-1" 30 flags_are SeGW-1 mcs-version-mismatch
check_wait "mcs-version-mismatch on SeGW-2" 30 flags_are SeGW-2 mcs-version-mismatch
check_wait "both outOfSync, SeGW-1 notReady" 10 \
	eval 'sync_is SeGW-1 db_sync_state outOfSync && sync_is SeGW-2 db_sync_state outOfSync && mc_is SeGW-1 protection_status notReady'
check_is "SeGW-1 shows what SeGW-2 speaks" "MIMP 4, MCS 3 to 4" versions SeGW-1
check "force-switchover is refused" hand_over_refused SeGW-1
check "CE-1's ping goes on" ping_ce
check "the same version again: SeGW-2's agent is exchanged" swap ""
check_wait "SeGW-1 master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
check_wait "the flags go" 30 eval 'no_flag SeGW-1 && no_flag SeGW-2'
check_wait "protection status nominal on both" 60 nominal
check "the CE has authenticated once" scene_same_ike
scene_end
