#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_policy.sh - another ike-policy and another transform, loaded into charon on both
# gateways while a tunnel is up: it stays as it is, on both, until `clear` ends it; then
# it is negotiated as configured now, and synchronised (seed, "Configuration Guidelines").
# So it does while the customer has the old ones, where a gateway that never had them gets
# the tunnel from the other one and rekeys it after a switchover.

. "$(dirname "$0")/scene.sh"

# key_bits NODE: of the encryption of the SAs in its kernel, salt included, each length once.
key_bits() { lab "$1" ip xfrm state | awk '$1 == "aead" { print (length($3) - 2) * 4 }' | sort -u | tr '\n' ' '; }
# ike_bits NODE: of the IKE_SA's encryption
ike_bits() { lab "$1" swanctl --list-sas --raw | grep -o 'encr-keysize=[0-9]*' | sort -u | tr '\n' ' '; }
everywhere() { [ "$("$1" CE-1)" = "$2" ] && [ "$("$1" SeGW-1)" = "$2" ] && [ "$("$1" SeGW-2)" = "$2" ]; }
is_128() { everywhere key_bits '160 ' && everywhere ike_bits 'encr-keysize=128 '; }
is_256() { everywhere key_bits '288 ' && everywhere ike_bits 'encr-keysize=256 '; }

other_policy()	# NODE
{
	sed -i -e 's/proposals = aes128-sha256/proposals = aes256-sha256/' -e 's/esp_proposals = aes128gcm16/esp_proposals = aes256gcm16/' \
		"$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-1.conf" && lab "$1" swanctl --load-conns >/dev/null
}

rekeyed() { local now; now=$(ce_child_spis); [ "$(wc -w <<<"$now")" = 2 ] && [ "$now" != "$spis" ]; }

plan $((SCENE_POINTS + 22))
scene_up
check "the tunnel has 128 bits, on all three" is_128
t=$EPOCHREALTIME ike=$(ce_ike_spis)
for node in SeGW-1 SeGW-2; do
	check "$node has another policy: 256 bits" other_policy "$node"
done
check_wait "nominal on both" 60 nominal
check "the tunnel has 128 bits still" is_128
check_is "no packet was lost" 0 scene_lost "$t" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 0.3 }')"
check "SeGW-2 loses power" node_kill SeGW-2
check "and boots" boots SeGW-2
check_wait "nominal on both: SeGW-2 has the tunnel under the other policy" 120 nominal
spis=$(ce_child_spis)
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "it rekeys the tunnel" 60 rekeyed
check_wait "nominal on both" 60 nominal
check "the tunnel has 128 bits still" is_128
check "force-switchover back" hand_over SeGW-2
check_wait "nominal on both" 60 nominal
check "CE-1 has authenticated once" scene_same_ike
check "CE-1 has the other policy, too" other_policy CE-1
check "clear" lab SeGW-1 mcipsec clear ipsec tunnel tunnel-1
check_wait "CE-1 sets it up anew" 60 eval 'ping_ce && [ -n "$(ce_ike_spis)" ] && [ "$(ce_ike_spis)" != "$ike" ]'
check_wait "with 256 bits, on all three" 60 is_256
check_wait "nominal on both" 60 nominal
scene_end
