#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_shunt.sh - the customer's packets arrive at the standby, which shunts them to the
# master, with everything around it: an ESP packet that is too big for the way to the
# master makes the standby tell the customer the size that fits, and the customer goes by
# it; with one arm, the next-hop on the network's own link, packets go out where they came
# in, and none goes round in a loop. Seed "Other Details About Shunting".
# Control: before the link is narrow the big packet passes; the standby sends no ESP of
# its own and no answer of IKE.

. "$(dirname "$0")/scene.sh"

MTU=1200
# to NODE: CE-1 sends what is for the gateway address to NODE.
to() { lab CE-1 ip route replace 10.10.20.1/32 via "172.16.1.$((251 + ${1#SeGW-}))"; }
# big: three pings that must not be fragmented, too big for MTU once they are ESP
big() { lab CE-1 ping -I vprn2 -I 192.168.1.1 -M do -s 1300 -c 3 -i 0.4 -W 3 192.168.2.1; }
small() { lab CE-1 ping -I vprn2 -I 192.168.1.1 -M do -s 1000 -c 3 -i 0.4 -W 3 192.168.2.1; }
counter() { ask "$1" "$(find_object gate) | .gate_counters[\"$2\"] // 0" show isa tunnel-group 1; }
# more NODE COUNTER THAN: the gate has counted further
more() { [ "$(counter "$1" "$2")" -gt "${3:-0}" ]; }
loops() { echo "$(counter SeGW-1 drop_loop) $(counter SeGW-2 drop_loop)"; }
# needed: the ICMP errors "fragmentation needed" that CE-1 got on the public side, by the
# size that they name, from SeGW-2's address
needed() { tcpdump -nn -r "$OBS_DIR/icmp.pcap" 'src 172.16.1.253 and icmp[0] = 3 and icmp[1] = 4' 2>/dev/null | grep -c "mtu $MTU"; }
icmp_start()
{
	spawn CE-1 icmp tcpdump -i int-CE1-S1 -U -s 200 -w "$OBS_DIR/icmp.pcap" icmp
	wait_for "the capture of ICMP runs" 20 test -s "$OBS_DIR/icmp.pcap"
}
# next_hop NODE ADDRESS: its public redundant next-hop from now on
next_hop()
{
	local n=${1#SeGW-}
	mkdir -p "$LAB_DIR/SeGW-$n/etc/mcipsec/conf.d"
	printf '[ipsec.public."int-IPsec-Public-1"]\nstatic-tunnel-redundant-next-hop = ["%s"]\n' "$2" >"$LAB_DIR/SeGW-$n/etc/mcipsec/conf.d/next-hop.toml"
	lab "SeGW-$n" mcipsec reload
}
one_arm() { next_hop SeGW-1 172.16.1.253 && next_hop SeGW-2 172.16.1.252; }
# inner_esp SINCE: ESP of the customer between the gateways
inner_esp() { capture from 10.10.10.1 "$OBS_DIR/inner.pcap" --from "$1" | jq .esp; }

# own_copies_only: what came by twice is the customer's, and SeGW-2 has put it there again.
own_copies_only()
{
	sequence_numbers
	diag "ESP: $(jq -c 'del(.spis)' <<<"$i3")"
	jq -e --arg mac "$(gateway_mac SeGW-2)" '.reused == 0 and .repeated > 0 and (.examples | length) == ([.repeated, 10] | min) and
		all(.examples[]; .destination == "10.10.20.1" and .again[1] == $mac)' <<<"$i3" >/dev/null
}

plan $((SCENE_POINTS + 23))
scene_up
check "(the flow ends)" eval 'stop CE-1 flow && stop P-1 flow'
check "a capture of ICMP runs at the customer" icmp_start
before=$(loops) shunted=$(counter SeGW-2 shunt_public)

check "the customer sends to SeGW-2, the standby" to SeGW-2
check "control: a big packet passes" big
check_wait "SeGW-2 has shunted it" 60 more SeGW-2 shunt_public "$shunted"
check_is "control: nobody has named a size" 0 needed

check "the link between the gateways takes $MTU octets" lab SeGW-2 ip link set int-SeGW2-SeGW1 mtu "$MTU"
check_not "a big packet does not pass" big
check_wait "SeGW-2 has told the customer: fragmentation needed, $MTU" 20 eval '[ "$(needed)" -gt 0 ]'
check "at most once for each packet" eval '[ "$(needed)" -le 3 ]'
check "the customer goes by it: its own kernel names a size" eval 'big 2>&1 | grep -qiE "message too long|frag needed"'
check "what fits passes" small
check_is "nothing went round in a loop" "$before" loops
check "protection status is nominal all the time" nominal
check "the link is wide again" lab SeGW-2 ip link set int-SeGW2-SeGW1 mtu 1500

shunted=$(counter SeGW-2 shunt_public)
check "one arm: the next-hop is the peer's address on the public link" one_arm
check_wait "SeGW-2 has it" 20 eval 'ask SeGW-2 "$(find_object gate) | .next_hops[]" show isa tunnel-group 1 | grep -q "172.16.1.252 (public)"'
t=$EPOCHREALTIME
check_wait "the customer's pings pass" 60 small
check_wait "SeGW-2 has shunted them" 60 more SeGW-2 shunt_public "$shunted"
check_is "not by the link between the gateways" 0 inner_esp "$t"
check_is "nothing went round in a loop" "$before" loops
check_is "the standby has sent nothing from the gateway address" 0 eval 'capture from 10.10.20.1 "$OBS_DIR/public.pcap" --from "$t" --mac "$(gateway_mac SeGW-2)" | jq ".esp + .ike"'
check "the customer has authenticated once" scene_same_ike
check "the captures missed no packet" capture_complete
check "no sequence number was used twice: with one arm the standby's copy of the customer's packet is seen, too" own_copies_only
check "and at least 100 ESP packets were seen" esp_seen 100
tap_end
