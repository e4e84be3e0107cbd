#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_dscp.sh - copy_dscp of a child, other than the default too: four CHILD_SAs of one
# tunnel, one for each value at the gateways. CE-1 pings with DSCP EF, the network marks
# its ESP with AF41 on the way, P-1 answers with the DSCP that it got. So
#
#	copy_dscp	P-1 gets	the answer's ESP has
#	out		EF		EF
#	in		AF41		nothing
#	no		EF		nothing
#	yes		AF41		AF41
#
# from the gateway that negotiated the SA, from the other one under the same SPI after a
# switchover, each way (CE-1's IKE stands still meanwhile, so that nothing is rekeyed), and
# under the SPI of the rekey that follows. Seed "QoS Interactions".

. "$(dirname "$0")/scene.sh"

KINDS=(out in no yes)
EF=0xb8 AF41=0x88
declare -A CHILD=([out]=tunnel-1 [in]=copy-in [no]=copy-no [yes]=copy-yes)
declare -A INSIDE=([out]=192.168.1.1 [in]=192.168.1.11 [no]=192.168.1.12 [yes]=192.168.1.13)
declare -A ARRIVES=([out]=$EF [in]=$AF41 [no]=$EF [yes]=$AF41) LEAVES=([out]=$EF [in]=0 [no]=0 [yes]=$AF41)
declare -A SPI=()

# children NODE: those beside the seed's, in its connection
children()
{
	local kind
	for kind in in no yes; do
		printf '%s {\nesp_proposals = aes128gcm16\nif_id_in = 0x10001\nif_id_out = 0x10001\n' "${CHILD[$kind]}"
		case $1 in
		CE-1) printf 'local_ts = %s/32\nremote_ts = 192.168.2.1/32\nrekey_time = 3600s\n}\n' "${INSIDE[$kind]}" ;;
		*) printf 'local_ts = 192.168.2.1/32\nremote_ts = %s/32\nrekey_time = 7200s\ncopy_dscp = %s\n}\n' "${INSIDE[$kind]}" "$kind" ;;
		esac
	done >"$LAB_DIR/$1/children"
	sed -i "/children {/r $LAB_DIR/$1/children" "$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-1.conf"
}
scene_configure()
{
	relaxed_timers "$1"
	children "$1"
	sed -i 's|^static-route = .*|static-route = ["192.168.1.1/32", "192.168.1.11/32", "192.168.1.12/32", "192.168.1.13/32"]|' \
		"$LAB_DIR/$1/etc/mcipsec/mcipsec.toml"
	bird_exports "$1" 192.168.1.8/29+
	[ "$1" = SeGW-2 ] || return 0
	children CE-1
	printf 'addr add %s/32 dev int-loopback-1\n' "${INSIDE[in]}" "${INSIDE[no]}" "${INSIDE[yes]}" | net_batch CE-1
}

set_up() { local kind; for kind in in no yes; do lab CE-1 timeout 60 swanctl --initiate --child "${CHILD[$kind]}" >/dev/null || return 1; done; }

# marked_on_the_way: what CE-1 sends as ESP gets AF41; its IKE passes, or not (held, flows).
marked_on_the_way()
{
	lab CE-1 nft -f - <<-EOT
	table ip way {
		chain out {
			type filter hook postrouting priority 0
			oifname int-CE1-S1 ip protocol esp ip dscp set af41
		}
		chain ike_out { type filter hook output priority 0; }
		chain ike_in { type filter hook input priority 0; }
	}
	EOT
}
held() { lab CE-1 nft 'add rule ip way ike_out udp dport { 500, 4500 } drop; add rule ip way ike_in udp sport { 500, 4500 } drop'; }
flows() { lab CE-1 nft 'flush chain ip way ike_out; flush chain ip way ike_in'; }

p1_start()
{
	spawn P-1 icmp tcpdump -i any -Q in -n -U -s 128 -w "$OBS_DIR/p1.pcap" 'icmp[0] = 8 and src net 192.168.1.0/24'
	wait_for "the capture of ICMP runs" 20 test -s "$OBS_DIR/p1.pcap"
}
# arrived KIND TEST: echo requests that P-1 got, of which that is true
arrived() { tcpdump -n -r "$OBS_DIR/p1.pcap" "src ${INSIDE[$1]} and ip[1] & 0xfc $2" 2>/dev/null | wc -l; }
# left NODE KIND TEST: ESP of NODE under the SPI of that kind
left() { outer 10.10.20.1 "$(gateway_mac "$1")" 50 "ip[20:24].hex() == '${SPI[$2]}' and ip[1] & 0xfc $3"; }
ce_mac() { lab CE-1 cat /sys/class/net/int-CE1-S1/address; }

# spi KIND: under which the gateway sends; spis: of each kind, all there
spi() { lab CE-1 swanctl --list-sas --raw | grep -oE "name=${CHILD[$1]} [^{}]*" | grep 'state=INSTALLED' | grep -oE '\bspi-in=[0-9a-f]+' | cut -d= -f2; }
spis() { local kind; for kind in "${KINDS[@]}"; do SPI[$kind]=$(spi "$kind"); [ "${#SPI[$kind]}" = 8 ] || return 1; done; }
old_spis() { local kind; for kind in "${KINDS[@]}"; do [ "$(spi "$kind")" = "${SPI[$kind]}" ] || return 1; done; }
new_spis() { local kind now; for kind in "${KINDS[@]}"; do now=$(spi "$kind"); [ "${#now}" = 8 ] && [ "$now" != "${SPI[$kind]}" ] || return 1; done; }

# flags NODE: of each SA of its kernel; dscp_flags NODE: how many have which of the two
flags() { lab "$1" ip -s xfrm state | awk '/proto esp spi/ { spi = $4 } sub(/.*[ \t]flag/, "flag") { print spi, $0 }' | sort; }
dscp_flags() { flags "$1" | grep -oE 'decap-dscp|dont-encap-dscp' | sort | uniq -c | awk '{ print $2, $1 }' | paste -sd ' '; }
same_flags() { local f; f=$(flags SeGW-1); [ "$(wc -l <<<"$f")" = 8 ] && [ "$(flags SeGW-2)" = "$f" ]; }

# pinged KIND; judge NODE WHEN: 8 points; the pings are marked as in the table, nothing otherwise
pinged() { lab CE-1 ping -q -I vprn2 -I "${INSIDE[$1]}" -Q $EF -c 3 -i 0.2 -W 2 192.168.2.1 | grep -q ' 3 received'; }
# others NODE KIND: its ESP that is marked otherwise. In tunnel-1 the flow was without a mark, and an
# error of ICMP may have been before.
others() { left "$1" "$2" "not in (${LEAVES[$2]}, $([ "$2" != out ] || echo 0))"; }
judged()	# NODE KIND ARRIVED LEFT OTHERS: what there was of each before
{
	[ "$(arrived "$2" "= ${ARRIVES[$2]}")" -ge $(($3 + 3)) ] && [ "$(left "$1" "$2" "== ${LEAVES[$2]}")" -ge $(($4 + 3)) ] &&
		[ "$(arrived "$2" "!= ${ARRIVES[$2]}")" = 0 ] && [ "$(others "$1" "$2")" = "$5" ]
}
judge()
{
	local kind before
	for kind in "${KINDS[@]}"; do
		before=("$(arrived "$kind" "= ${ARRIVES[$kind]}")" "$(left "$1" "$kind" "== ${LEAVES[$kind]}")" "$(others "$1" "$kind")")
		check_wait "$2, $kind: a ping of EF is answered" 20 pinged "$kind"
		check_wait "$2, $kind: P-1 got $(name "${ARRIVES[$kind]}"), the answer's ESP has $(name "${LEAVES[$kind]}"), and no other one" 10 \
			judged "$1" "$kind" "${before[@]}" ||
			diag "P-1 got $(arrived "$kind" "= $EF") EF, $(arrived "$kind" "= $AF41") AF41; ESP $(left "$1" "$kind" "== $EF") EF, $(left "$1" "$kind" "== $AF41") AF41, $(left "$1" "$kind" '== 0') none"
	done
}
name() { case $1 in "$EF") echo EF ;; "$AF41") echo AF41 ;; *) echo none ;; esac; }

plan $((SCENE_POINTS + 7 + 8 + 2 * (16 + 9) + 1))
scene_up
check "(the flow ends)" eval 'stop CE-1 flow && stop P-1 flow'
check "CE-1 sets up a CHILD_SA for each value" set_up
check_wait "both kernels have the same flags on the same eight SAs" 30 same_flags || diag "$(flags SeGW-1; echo; flags SeGW-2)"
check_is "two copy inward, two do not copy outward" 'decap-dscp 2 dont-encap-dscp 2' dscp_flags SeGW-2
check_wait "protection status nominal on both" 60 nominal
check "the network marks CE-1's ESP with AF41, P-1 writes down what it gets" eval 'marked_on_the_way && p1_start'
check "(the SPIs are known)" spis
judge SeGW-1 "negotiated by SeGW-1"

for node in SeGW-2 SeGW-1; do
	check "CE-1's IKE stands still" held
	check "force-switchover to $node" hand_over "SeGW-$((3 - ${node#SeGW-}))"
	judge "$node" "taken over by $node"
	check "under the SPIs of before" old_spis
	check "CE-1's IKE goes on" flows
	check_wait "$node rekeys each CHILD_SA" 90 new_spis
	check "(the SPIs are known)" spis
	judge "$node" "rekeyed by $node"
	check_wait "both kernels have the same flags on the same eight SAs" 30 same_flags || diag "$(flags SeGW-1; echo; flags SeGW-2)"
	check_is "two copy inward, two do not copy outward" 'decap-dscp 2 dont-encap-dscp 2' dscp_flags "SeGW-$((3 - ${node#SeGW-}))"
	check_wait "protection status nominal on both" 60 nominal
done
check "control: CE-1's ESP had AF41 on the wire" test "$(outer 10.10.10.1 "$(ce_mac)" 50 'ip[1] & 0xfc == 0x88')" -ge 60
scene_end 100
