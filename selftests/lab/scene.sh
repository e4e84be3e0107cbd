# SPDX-License-Identifier: GPL-2.0-or-later
#
# scene.sh - where most tests of the whole begin: both gateways run, SeGW-1 is
# master, CE-1's tunnel is up on both, protection status is nominal.
#
# Sources everything else of the lab. A test calls `scene_up` after its plan, which
# counts SCENE_POINTS more, and ends the test if the scene does not come about. Its
# last words are `scene_end`: whatever it did, no sequence number was used twice (I3).

. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"

SCENE_POINTS=9

# scene_configure NODE: a test's own changes to a gateway's files, before it starts.
scene_configure() { :; }

# scene_before_tunnel: a test's own, with SeGW-1 master and no tunnel yet.
scene_before_tunnel() { :; }

scene_up()
{
	local node
	check "the topology is up, the module loads, the gateways have a key" \
		eval 'topo_up && modprobe mcipsec && gateway_keys' || tap_end
	for node in "${GATEWAYS[@]}"; do
		scene_configure "$node"
		lab "$node" cat "/sys/class/net/int-SeGW${node#SeGW-}-S1/address" >"$LAB_DIR/$node/mac"
	done
	check "a capture runs" capture_start
	gateways_start
	check_wait "SeGW-1 master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby || tap_end
	scene_before_tunnel
	check_wait "CE-1's ping brings the tunnel up" 60 ping_ce || tap_end
	check_wait "protection status nominal on both" 60 nominal || tap_end
	check "a flow of $((1000 / FLOW_INTERVAL)) packets/s runs each way" flow_start
	scene_ike=$(ce_ike_spis)
}

gateway_mac() { cat "$LAB_DIR/$1/mac"; }

# begun NODE SINCE: the IKE exchanges that NODE began, on the public side
begun() { capture requests 10.10.20.1 "$OBS_DIR/public.pcap" --mac "$(gateway_mac "$1")" --from "$2" | jq -c -S .; }

# probed N SINCE: the customer has probed N times since then, and was answered
probed()
{
	local ce gateway
	ce=$(capture requests 10.10.10.1 "$OBS_DIR/public.pcap" --from "$2" | jq '.INFORMATIONAL // 0')
	gateway=$(capture from 10.10.20.1 "$OBS_DIR/public.pcap" --from "$2" | jq .ike)
	[ "$ce" -ge "$1" ] && [ "$gateway" -ge "$1" ]
}

# scene_same_ike: the CE has authenticated once.
scene_same_ike() { unchanged "$scene_ike" ce_ike_spis; }

# scene_lost FROM TO: packets of the flow that got lost, both ways.
scene_lost() { flow_window "$1" "$2" --json | jq '[.[].lost] | add'; }

# lost_since FROM: of them, until now; once the flow is whole again.
lost_since() { poll 20 flow_recovered && scene_lost "$1" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 0.3 }')"; }

# scene_end [PACKETS]: at least so many packets of ESP were seen.
scene_end()
{
	check_sequence_numbers "${1:-1000}"
	tap_end
}
