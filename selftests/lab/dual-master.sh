# SPDX-License-Identifier: GPL-2.0-or-later
#
# dual-master.sh - both chassis live and cannot see each other, and meet again: the
# part in which the traffic stays where it was.
#
# Sourced after scene.sh.

filter_on()
{
	lab SeGW-1 nft -f - <<-EOT
	table inet apart {
		chain in {
			type filter hook input priority 0
			ip saddr 192.0.2.2 udp dport { 7655, 4784 } drop
			ip saddr 192.0.2.2 tcp dport 7656 drop
			ip saddr 192.0.2.2 tcp sport 7656 drop
		}
		chain out {
			type filter hook output priority 0
			ip daddr 192.0.2.2 udp dport { 7655, 4784 } drop
			ip daddr 192.0.2.2 tcp dport 7656 drop
			ip daddr 192.0.2.2 tcp sport 7656 drop
		}
	}
	EOT
}
filter_off() { lab SeGW-1 nft delete table inet apart; }
pacer() { ask "$1" "$(find_object gate) | .counters.$2" show isa tunnel-group 1; }
ce_rekeys_child() { lab CE-1 timeout 20 swanctl --rekey --child tunnel-1; }
children_differ() { [ "$(ce_child_spis)" != "$1" ]; }
# sent_from NODE SINCE esp|ike: packets that NODE has sent from the gateway address
sent_from() { capture from 10.10.20.1 "$OBS_DIR/public.pcap" --from "$2" --mac "$(gateway_mac "$1")" | jq ".$3"; }

# dual_master_seen: what a caller shows while both are eligible.
dual_master_seen() { :; }

# dual_master_stays CHILDREN: MIMP, BFD and MCS are filtered between them; the traffic
# of tunnel-group 1, with that many CHILD_SAs, stays on SeGW-1; the CE rekeys; they meet
# again. DUAL_MASTER_POINTS points.
DUAL_MASTER_POINTS=12
dual_master_stays()
{
	local t0=$EPOCHREALTIME spis
	check "MIMP, BFD and MCS are filtered between the gateways" filter_on
	check_wait "both are eligible" 20 roles SeGW-1 eligible SeGW-2 eligible
	dual_master_seen
	check_wait "VRRP stays SeGW-1's" 5 vrrp_is SeGW-1 MASTER
	check_wait "CE-1's ping goes on" 10 ping_ce
	check_is "SeGW-2 waits with its rekey for traffic that does not come" "$1" pacer SeGW-2 rekeys_pending
	spis=$(ce_child_spis)
	check "the CE rekeys its CHILD_SA" ce_rekeys_child
	check_wait "SeGW-1 answers" 20 children_differ "$spis"
	check_is "SeGW-2 has sent no IKE" 0 sent_from SeGW-2 "$t0" ike
	check "the filter goes" filter_off
	check_wait "SeGW-1 is master, SeGW-2 standby" 30 roles SeGW-1 master SeGW-2 standby
	check_wait "protection status nominal on both" 60 nominal
	check "the CE's IKE_SA is the same" scene_same_ike
}
