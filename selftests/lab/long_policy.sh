#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_policy.sh - another ike-policy and another transform, loaded into charon on both
# gateways while a tunnel is up: it stays as it is, on both, until `clear` ends it; then
# it is negotiated as configured now, and synchronised (seed, "Configuration Guidelines").
# So it does while the customer has the old ones, where a gateway that never had them gets
# the tunnel from the other one, rekeys it after a switchover, and the customer its IKE_SA:
# other algorithms, then another key exchange of the same algorithms, which the CHILD_SA of
# an IKE_AUTH does not show.

. "$(dirname "$0")/scene.sh"

# key_bits NODE: of the encryption of the SAs in its kernel, salt included, each length once.
key_bits() { lab "$1" ip xfrm state | awk '$1 == "aead" { print (length($3) - 2) * 4 }' | sort -u | tr '\n' ' '; }
# ike_bits NODE: of the IKE_SA's encryption
ike_bits() { lab "$1" swanctl --list-sas --raw | grep -o 'encr-keysize=[0-9]*' | sort -u | tr '\n' ' '; }
everywhere() { [ "$("$1" CE-1)" = "$2" ] && [ "$("$1" SeGW-1)" = "$2" ] && [ "$("$1" SeGW-2)" = "$2" ]; }
is_128() { everywhere key_bits '160 ' && everywhere ike_bits 'encr-keysize=128 '; }
is_256() { everywhere key_bits '288 ' && everywhere ike_bits 'encr-keysize=256 '; }

policy()	# NODE IKE-PROPOSAL ESP-PROPOSAL
{
	sed -i -e "s/^\(\t*proposals\) = .*/\1 = $2/" -e "s/esp_proposals = .*/esp_proposals = $3/" \
		"$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-1.conf" && lab "$1" swanctl --load-conns >/dev/null
}

two() { spis=$(ce_child_spis) ike=$(ce_ike_spis); [ "$(wc -w <<<"$spis $ike")" = 4 ]; }
# the CHILD_SA of CE-1 was made by this key exchange
child_ke() { [ "$(lab CE-1 swanctl --list-sas --raw | sed 's/.*child-sas//' | grep -oE 'dh-group=[^ }]+' | sort -u)" = "dh-group=$1" ]; }

# refill_and_rekey TEXT IS: 14 points; SeGW-2 gets the tunnel anew, under the policy TEXT of now,
# is made master, and the tunnel stays as IS says.
refill_and_rekey()
{
	local t=$EPOCHREALTIME
	check "SeGW-2 loses power" node_kill SeGW-2
	check "and boots" boots SeGW-2
	check_wait "nominal on both: SeGW-2 has the tunnel under the other policy, $1" 120 nominal
	check "CE-1 has one IKE_SA, one CHILD_SA" two
	check "force-switchover to SeGW-2" hand_over SeGW-1
	check_wait "it rekeys the tunnel" 60 another "$spis" ce_child_spis
	check_wait "nominal on both" 60 nominal
	check "CE-1 rekeys its IKE_SA with SeGW-2" lab CE-1 timeout 60 swanctl --rekey --ike tunnel-1
	check_wait "and has another one" 30 another "$ike" ce_ike_spis
	check_wait "with what it was set up with, $1" 60 eval "$2"
	check_wait "nominal on both" 60 nominal
	check "force-switchover back" hand_over SeGW-2
	check_wait "nominal on both" 60 nominal
	check "CE-1 has not authenticated anew" not_anew "$t"
}
anew() { ping_ce && another "$ike" ce_ike_spis; }

plan $((SCENE_POINTS + 45))
scene_up
check "the tunnel has 128 bits, on all three" is_128
t=$EPOCHREALTIME
for node in SeGW-1 SeGW-2; do
	check "$node has another policy: 256 bits" policy "$node" aes256-sha256-x25519 aes256gcm16
done
check_wait "nominal on both" 60 nominal
check "the tunnel has 128 bits still" is_128
check_is "no packet was lost" 0 scene_lost "$t" "$(awk -v t="$EPOCHREALTIME" 'BEGIN { printf "%.6f", t - 0.3 }')"
refill_and_rekey "128 bits, not 256" is_128

check "CE-1 has the other policy, too, and another key exchange for its CHILD_SA" policy CE-1 aes256-sha256-x25519 aes256gcm16-x25519
for node in SeGW-1 SeGW-2; do
	check "$node has that key exchange, too" policy "$node" aes256-sha256-x25519 aes256gcm16-x25519
done
check "CE-1 has one IKE_SA, one CHILD_SA" two
check "clear" lab SeGW-1 mcipsec clear ipsec tunnel tunnel-1
check_wait "CE-1 sets it up anew" 60 anew
check_wait "with 256 bits, on all three" 60 is_256
check_wait "nominal on both" 60 nominal

for node in SeGW-1 SeGW-2; do
	check "$node has another key exchange and the same algorithms" policy "$node" aes256-sha256-x25519 aes256gcm16-modp2048
done
refill_and_rekey "CURVE_25519, not MODP_2048" 'child_ke CURVE_25519'
check "the tunnel has 256 bits, on all three" is_256
scene_end
