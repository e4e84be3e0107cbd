#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_shunt.sh - the customer's packets arrive at the standby, which shunts them to the
# master, with everything around it: an ESP packet that is too big for the way to the
# master makes the standby tell the customer the size that fits, and the customer goes by
# it; with one arm, the next-hop on the network's own link, packets go out where they came
# in, and none goes round in a loop; then one arm on the private side as well, a VLAN on the
# same interface, where P-1 sends to the standby, too. Seed "Other Details About Shunting".
# Control: before the link is narrow the big packet passes; the standby sends no ESP of
# its own and no answer of IKE.

. "$(dirname "$0")/scene.sh"

MTU=1200
# to NODE: CE-1 sends what is for the gateway address to NODE.
to() { lab CE-1 ip route replace 10.10.20.1/32 via "172.16.1.$((251 + ${1#SeGW-}))"; }
# big: three pings that must not be fragmented, too big for MTU once they are ESP
big() { lab CE-1 ping -I vprn2 -I 192.168.1.1 -M do -s 1300 -c 3 -i 0.4 -W 3 192.168.2.1; }
small() { lab CE-1 ping -I vprn2 -I 192.168.1.1 -M do -s 1000 -c 3 -i 0.4 -W 3 192.168.2.1; }
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
# arm_up: VPRN 2 reaches P-1 and the peer by VLAN 4 of each gateway's one interface to S-1.
arm_up()
{
	local n
	modprobe 8021q && port_plug S-1 vpls3 P-1 int-P1-S1 port-p1 || return 1
	for n in 1 2; do
		net_batch "SeGW-$n" <<-EOT || return 1
		link add arm.4 link int-SeGW$n-S1 master vprn2 type vlan id 4
		addr add 192.168.40.$n/24 dev arm.4
		link set arm.4 up
		route add table 2 192.168.2.1/32 via 192.168.40.3 dev arm.4 metric 1
		EOT
		spawn S-1 "arm$n" tcpdump -l -nn -Q in -i "port-segw$n" 'vlan 4 and icmp'
	done
	net_batch P-1 <<-EOT
	link add arm.4 link int-P1-S1 master vprn2 type vlan id 4
	addr add 192.168.40.3/24 dev arm.4
	link set arm.4 up
	route add table 2 192.168.1.1/32 via 192.168.40.2 dev arm.4 metric 1
	EOT
	wait_for "the captures in the VLAN run" 20 eval 'in_arm 1 "listening on" && in_arm 2 "listening on"'
}
# in_arm N WHAT: such packets that SeGW-N has sent in the VLAN; those of a ping of 200 octets
REQUEST='192.168.2.1 > 192.168.1.1: ICMP echo request, .* length 208' ANSWER='192.168.1.1 > 192.168.2.1: ICMP echo reply, .* length 208'
in_arm() { grep -c "$2" "$LAB_DIR/S-1/log/arm$1.out"; }
in_arm_is() { [ "$(in_arm "$1" "$2")" = "$3" ]; }
private_next_hop()
{
	local n
	for n in 1 2; do
		printf '[ipsec.private."int-IPsec-Private-1"]\nstatic-tunnel-redundant-next-hop = ["192.168.40.%d"]\n' $((3 - n)) >"$LAB_DIR/SeGW-$n/etc/mcipsec/conf.d/private.toml"
		lab "SeGW-$n" mcipsec reload || return 1
	done
}
# p1_pings SIZE COUNT: that must not be fragmented; p1_forgets: what sizes P-1 has learned
p1_pings() { lab P-1 ping -I vprn2 -I 192.168.2.1 -M do -s "$1" -c "$2" -i 0.4 -W 3 192.168.1.1 2>&1; }
p1_answered() { [ "$(p1_pings "$1" "$2" | grep -c 'bytes from 192.168.1.1')" = "$2" ]; }
p1_forgets() { lab P-1 ip route flush cache; }
# p1_told SIZE MTU: so large a ping is answered by SeGW-2, in the VLAN: only MTU octets fit
p1_told() { p1_forgets && p1_pings "$1" 1 | grep -qE "From 192.168.40.2 .*mtu = $2\)"; }
# inner_esp SINCE: ESP of the customer between the gateways
inner_esp() { capture from 10.10.10.1 "$OBS_DIR/inner.pcap" --from "$1" | jq .esp; }

# own_copies_only: what came by twice is the customer's, and SeGW-2 has put it there again.
own_copies_only()
{
	sequence_numbers
	diag "ESP: $(jq -c 'del(.spis)' <<<"$i3")"
	jq_ok --arg mac "$(gateway_mac SeGW-2)" '.reused == 0 and .repeated > 0 and (.examples | length) == ([.repeated, 10] | min) and
		all(.examples[]; .destination == "10.10.20.1" and .again[1] == $mac)' <<<"$i3"
}

plan $((SCENE_POINTS + 37))
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
check_wait "protection status nominal on both" 60 nominal
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

check "one arm for both sides: VPRN 2 is on the same interface" arm_up
check "the private next-hop is the peer's address there" private_next_hop
check_wait "SeGW-2 has it" 20 eval 'ask SeGW-2 "$(find_object gate) | .next_hops[]" show isa tunnel-group 1 | grep -q "192.168.40.1 (private)"'
check_wait "P-1's ping passes, by SeGW-2" 30 p1_answered 100 1
shunted=$(counter SeGW-2 shunt_private) public=$(counter SeGW-2 shunt_public)
check "P-1 pings five times" p1_answered 200 5
check "SeGW-2 has shunted five clear packets" eval '[ "$(counter SeGW-2 shunt_private)" = $((shunted + 5)) ]'
check "and the customer's ESP, in the same interface" more SeGW-2 shunt_public "$public"
check_wait "each is seen once more in the VLAN, from SeGW-2" 10 in_arm_is 2 "$REQUEST" 5
check_wait "SeGW-1 sends the answers" 10 in_arm_is 1 "$ANSWER" 5
check_is "and no request back" 0 in_arm 1 "$REQUEST"
check_wait "too long a packet: SeGW-2 tells P-1 the tunnel's MTU" 20 p1_told 1422 1400
check "the VLAN takes $MTU octets on SeGW-2" lab SeGW-2 ip link set arm.4 mtu "$MTU"
check_wait "SeGW-2 tells P-1 that" 20 p1_told 1300 "$MTU"
check "what fits passes, and nothing went round in a loop" eval 'p1_answered 1000 3 && [ "$(loops)" = "$before" ]'
check "the customer has authenticated once" scene_same_ike
check "the captures missed no packet" capture_complete
check "no sequence number was used twice: with one arm the standby's copy of the customer's packet is seen, too" own_copies_only
check "and at least 100 ESP packets were seen" esp_seen 100
tap_end
