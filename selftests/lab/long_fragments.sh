#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_fragments.sh - ESP in fragments, real ones: the path between CE-1 and the gateways
# takes $PATH4 octets (IPv4) and $PATH6 (IPv6), and both ends encrypt first, so an ESP packet of
# a large ping is two fragments on the wire. Tunnel-1 is the seed's, tunnel-6 carries IPv4
# over IPv6. The master takes fragments, first and later ones, and sends its own; the standby
# shunts each as it came and sends none of its own; a gateway that is not eligible drops each.
# Seed "IP Fragmentation and Reassembly for IP Tunnels".
# In UDP (RFC 3948), which CE-1 then asks for, it is the same: the later fragments have no ports.
# Reassembly is switched off for one tunnel, then for the other, by a rule of nftables at the
# master, as the operator's guide has it.
# Control: before, no ESP is in fragments; the captures, not the counters alone, say what came.

. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/six.sh"

PATH4=1000 PATH6=1280
CE=10.10.10.1 GW=10.10.20.1
IN6=192.168.6.1 P6=192.168.2.6	# inside tunnel-6: CE-1's, P-1's

tunnel_6()	# NODE
{
	tunnel_static "$1" 6 $CE6 $GW6 $IN6/32 $P6/32 six
	sed -i 's|dpd_delay = .*|dpd_delay = 0s|' "$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-6.conf"
}
net_6() { printf 'link add tunnel-6 mtu 1400 master vprn2 type xfrm dev lo if_id 0x10006\nlink set tunnel-6 up\n'; }
scene_configure()
{
	relaxed_timers "$1"
	six_gateway "$1"
	tunnel_6 "$1"
	net_6 | net_batch "$1"
	bird_exports "$1" $IN6/32
	cat >>"$LAB_DIR/$1/etc/mcipsec/mcipsec.toml" <<-EOT
	[ipsec.tunnel."tunnel-6"]
	public = "int-IPsec-Public-1"
	private = "int-IPsec-Private-1"
	interface = "tunnel-6"
	static-route = ["$IN6/32"]
	EOT
	[ "$1" = SeGW-2 ] || return 0
	six_ce
	six_by 1
	tunnel_6 CE-1
	# The size of the tunnel is fixed: CE-1 does not learn the path's, to fragment inside.
	net_batch CE-1 <<-EOT
	$(net_6)
	addr add $IN6/32 dev int-loopback-1
	route add table 2 $P6/32 dev tunnel-6 src $IN6 mtu lock 1400
	route replace table 2 192.168.2.1/32 dev tunnel-1 src 192.168.1.1 mtu lock 1400
	EOT
	lab P-1 ip addr add $P6/32 dev int-loopback-1
}
narrow()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		printf 'route replace 10.10.10.0/24 via 172.16.1.100 mtu %s\nroute replace 2001:db8:10::/64 via 2001:db8:16::100 mtu %s\n' $PATH4 $PATH6 |
			net_batch "$node" || return 1
	done
	to SeGW-1
}
# to NODE: CE-1 sends what is for the gateway addresses to NODE, on a path of that size.
to()
{
	local n=${1#SeGW-}
	lab CE-1 ip route replace $GW/32 via "172.16.1.$((251 + n))" mtu $PATH4 && six_by "$n" mtu $PATH6
}
# six_start: IPv6 fragments that CE-1 and the gateways send into S-1, and SeGW-2 to SeGW-1
six_start()
{
	spawn S-1 six tcpdump -i any -Q in -n -U -s 128 -w "$OBS_DIR/six.pcap" 'ip6 proto 44'
	tcpdump -i w12-segw2 -Q in -n -U -s 128 -w "$OBS_DIR/six-inner.pcap" 'ip6 proto 44' </dev/null >"$OBS_DIR/six-inner.out" 2>&1 &
	wait_for "the captures of IPv6 run" 20 test -s "$OBS_DIR/six.pcap" -a -s "$OBS_DIR/six-inner.pcap"
}

# big, big6: five pings whose ESP is larger than the path; pairs of fragments, then
big() { lab CE-1 ping -q -I vprn2 -I 192.168.1.1 -M dont -s 1300 -c 5 -i 0.3 -W 3 192.168.2.1 | grep -q ' 5 received'; }
big6() { lab CE-1 ping -q -I vprn2 -I $IN6 -M dont -s 1240 -c 5 -i 0.3 -W 3 $P6 | grep -q ' 5 received'; }
small() { lab CE-1 ping -q -I vprn2 -I "${1:-192.168.1.1}" -c 1 -W 2 "${2:-192.168.2.1}" >/dev/null; }

INNER=$OBS_DIR/inner.pcap
# first, later: fragments of ESP that an address has sent: from its MAC, or anybody; in that file
FIRST='(ip[6] & 0x3f) == 0x20 and ip[7] == 0' LATER='(ip[6] & 0x1f) | ip[7]'
first() { outer "$1" "$2" 50 "$FIRST" "${@:3}"; }
later() { outer "$1" "$2" 50 "$LATER" "${@:3}"; }
first6() { tcpdump -n -r "$OBS_DIR/$2" "src $1 and ip6[40] = 50 and ip6[42:2] & 0xfff8 = 0" 2>/dev/null | wc -l; }
later6() { tcpdump -n -r "$OBS_DIR/$2" "src $1 and ip6[40] = 50 and ip6[42:2] & 0xfff8 != 0" 2>/dev/null | wc -l; }
# both N FIRST LATER: so many of either; at_least N FIRST LATER
both() { [ "$2 $3" = "$1 $1" ]; }
at_least() { [ "$2" -ge "$1" ] && [ "$3" -ge "$1" ]; }
fragments() { echo "$(first "$@") $(later "$@")"; }
fragments6() { echo "$(first6 "$@") $(later6 "$@")"; }

UDP=$OBS_DIR/udp.pcap UDP_INNER=$OBS_DIR/udp-inner.pcap
# udp_start: fragments of UDP, which the scene's captures know by their ports alone
udp_start()
{
	local what='udp and ip[6:2] & 0x3fff != 0'
	spawn S-1 udp "${CAPTURE_OF[@]}" -w "$UDP" "$what"
	"${CAPTURE_OF[@]}" -w "$UDP_INNER" "$what" </dev/null >"$UDP_INNER.out" 2>&1 &
	wait_for "the captures of UDP run" 20 test -s "$UDP" -a -s "$UDP_INNER"
}
fragments_udp() { echo "$(outer "$1" "$2" 17 "$FIRST" "${3:-$UDP}") $(outer "$1" "$2" 17 "$LATER" "${3:-$UDP}")"; }
# ce_in_udp: CE-1 sets its tunnel up anew, in UDP though there is no NAT
ce_in_udp()
{
	sed -i 's/mobike = no/&\n\t\tencap = yes/' "$LAB_DIR/CE-1/etc/swanctl/conf.d/tunnel-1.conf" &&
		lab CE-1 swanctl --load-conns >/dev/null && lab CE-1 swanctl --terminate --ike tunnel-1 >/dev/null
}
sas() { lab "$1" ip xfrm state list src $CE dst $GW; }
in_udp() { sas "$1" | grep -q 'encap type espinudp '; }

ce_mac() { lab CE-1 cat /sys/class/net/int-CE1-S1/address; }
# rose NODE COUNTER BEFORE BY: at least
rose() { [ "$(counter "$1" "$2")" -ge $(($3 + $4)) ]; }
sent_by() { capture from "$GW" "$OBS_DIR/public.pcap" --mac "$(gateway_mac "$1")" --from "$2" | jq .esp; }
admin() { lab "$1" mcipsec admin isa tunnel-group 1 "$2" >/dev/null; }
# reassembly_off NODE RULE: fragments of what the rule names are dropped before they are put together
reassembly_off()
{
	lab "$1" nft "add table inet reassembly; add chain inet reassembly in { type filter hook prerouting priority -450; }
		add rule inet reassembly in $2 counter drop"
}
reassembly_on() { lab "$1" nft delete table inet reassembly; }
thrown_away() { [ "$(lab "$1" nft -j list table inet reassembly | jq '[.. | .counter? // empty | .packets] | add')" -ge "$2" ]; }

plan $((SCENE_POINTS + 8 + 7 + 10 + 7 + 7 + 9 + 21))
scene_up
check "(the flow ends)" eval 'stop CE-1 flow && stop P-1 flow'
check_wait "CE-1's ping brings tunnel-6 up, IPv4 in IPv6" 60 small $IN6 $P6
check_wait "protection status nominal on both" 60 nominal
check "captures of IPv6 fragments run" six_start
check "the paths between CE-1 and the gateways take $PATH4 and $PATH6 octets" narrow
check_wait "control: small packets pass" 20 eval 'small && small $IN6 $P6'
check_is "control: no ESP of theirs is in fragments" "0 0 0 0" eval 'echo "$(fragments $CE "") $(fragments $GW "")"'
check_is "control: nor over IPv6" "0 0 0 0" eval 'echo "$(fragments6 $CE6 six.pcap) $(fragments6 $GW6 six.pcap)"'

forward=$(counter SeGW-1 forward_in)
check "SeGW-1 is master: five large pings are answered" big
check_wait "CE-1's ESP was in fragments, five first and five later ones" 10 eval 'both 5 $(fragments $CE "$(ce_mac)")'
check_wait "and SeGW-1's" 10 eval 'both 5 $(fragments $GW "$(gateway_mac SeGW-1)")'
check_wait "its gate has let in each of them" 10 rose SeGW-1 forward_in "$forward" 10
forward=$(counter SeGW-1 forward_in)
check "over IPv6: five large pings are answered" big6
check_wait "over IPv6: in fragments, first and later ones, of both" 10 eval 'at_least 5 $(fragments6 $CE6 six.pcap) && at_least 5 $(fragments6 $GW6 six.pcap)'
check_wait "over IPv6: its gate has let in each of them" 10 rose SeGW-1 forward_in "$forward" 10

check_is "control: none has passed between the gateways" "0 0 0 0" eval 'echo "$(fragments $CE "" "$INNER") $(fragments6 $CE6 six-inner.pcap)"'
shunted=$(counter SeGW-2 shunt_public) t=$EPOCHREALTIME
check_wait "CE-1 sends to SeGW-2, the standby: five large pings are answered" 20 eval 'to SeGW-2 && big'
check_wait "between the gateways are five first and five later ones" 10 eval 'both 5 $(fragments $CE "" "$INNER")'
check_wait "SeGW-2 has shunted each of them" 10 rose SeGW-2 shunt_public "$shunted" 10
shunted=$(counter SeGW-2 shunt_public)
check "over IPv6: five large pings are answered" big6
check_wait "over IPv6: first and later ones are between the gateways" 10 eval 'at_least 5 $(fragments6 $CE6 six-inner.pcap)'
check_wait "over IPv6: SeGW-2 has shunted each of them" 10 rose SeGW-2 shunt_public "$shunted" 10
check_is "SeGW-2 has sent no ESP of its own" 0 sent_by SeGW-2 "$t"
check "the way to the master takes 600 octets: the standby makes smaller ones, all are answered" \
	eval 'lab SeGW-2 ip route add 192.168.255.1/32 dev int-SeGW2-SeGW1 mtu 600 && big'
check_wait "between the gateways three came of each such packet" 10 eval '[ "$(fragments $CE "" "$INNER")" = "10 15" ]'
lab SeGW-2 ip route del 192.168.255.1/32

before="$(fragments $CE "" "$INNER") $(fragments6 $CE6 six-inner.pcap)"
check "SeGW-2's tunnel-group is shut down" admin SeGW-2 shutdown
check_wait "(it blackholes)" 20 gate_is SeGW-2 blackhole
dropped=$(counter SeGW-2 drop_esp)
check_not "no large ping is answered, over IPv4 or IPv6" eval 'big || big6'
check_wait "SeGW-2 has dropped each fragment" 10 rose SeGW-2 drop_esp "$dropped" 20
check_is "none has come between the gateways" "$before" eval 'echo "$(fragments $CE "" "$INNER") $(fragments6 $CE6 six-inner.pcap)"'
check "no shutdown" admin SeGW-2 no-shutdown
check_wait "protection status nominal on both" 90 nominal

check_is "control: SeGW-2 has sent no fragment yet" "0 0" fragments $GW "$(gateway_mac SeGW-2)"
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "SeGW-2 is master: five large pings are answered" 20 big
check_wait "SeGW-2's ESP was in fragments" 10 eval 'at_least 5 $(fragments $GW "$(gateway_mac SeGW-2)")'
check_wait "over IPv6: they are answered, too" 20 big6
shunted=$(counter SeGW-1 shunt_public)
check_wait "CE-1 sends to SeGW-1, now the standby: they are answered" 20 eval 'to SeGW-1 && big && big6'
check_wait "SeGW-1 has shunted each fragment" 10 rose SeGW-1 shunt_public "$shunted" 20

check "reassembly is off for tunnel-1 at SeGW-2" reassembly_off SeGW-2 "ip saddr $CE ip daddr $GW ip frag-off & 0x3fff != 0"
check_not "its large pings are not answered" big
check "the rule has dropped each fragment" thrown_away SeGW-2 10
check "its small ones are" small
check "tunnel-6's large ones are" big6
check "and for tunnel-6" reassembly_off SeGW-2 "ip6 saddr $CE6 ip6 daddr $GW6 exthdr frag exists"
check_not "its large pings are not answered" big6
check "the rule has dropped each fragment" thrown_away SeGW-2 20
check_wait "on again: all are answered" 20 eval 'reassembly_on SeGW-2; big && big6'

check "captures of UDP fragments run" udp_start
check "control: tunnel-1 has SAs, none in UDP yet" eval '[ -n "$(sas SeGW-2)" ] && ! in_udp SeGW-2'
check "CE-1 ends tunnel-1 and will have its ESP in UDP" ce_in_udp
check_wait "its ping brings the tunnel up, through the standby" 60 small
check_wait "in UDP, on both" 20 eval 'in_udp SeGW-1 && in_udp SeGW-2'
check_wait "CE-1 sends to SeGW-2, the master" 20 eval 'to SeGW-2 && small'
check_is "control: no UDP of theirs is in fragments" "0 0 0 0" eval 'echo "$(fragments_udp $CE "") $(fragments_udp $GW "")"'
forward=$(counter SeGW-2 forward_in)
check "in UDP: five large pings are answered" big
check_wait "CE-1's were in fragments, five first and five later ones" 10 eval 'both 5 $(fragments_udp $CE "$(ce_mac)")'
check_wait "and SeGW-2's" 10 eval 'both 5 $(fragments_udp $GW "$(gateway_mac SeGW-2)")'
check_wait "its gate has let in each of them" 10 rose SeGW-2 forward_in "$forward" 10

check_is "control: none has passed between the gateways" "0 0" fragments_udp $CE "" "$UDP_INNER"
check_wait "CE-1 sends to SeGW-1, the standby" 20 eval 'to SeGW-1 && small'
shunted=$(counter SeGW-1 shunt_public) t=$EPOCHREALTIME
check "in UDP: five large pings are answered" big
check_wait "between the gateways are five first and five later ones" 10 eval 'both 5 $(fragments_udp $CE "" "$UDP_INNER")'
check_wait "SeGW-1 has shunted each of them" 10 rose SeGW-1 shunt_public "$shunted" 10
check "the answers' ESP is SeGW-2's alone" eval '[ "$(sent_by SeGW-2 "$t")" -ge 5 ] && [ "$(sent_by SeGW-1 "$t")" = 0 ]'
check "SeGW-1's tunnel-group is shut down" admin SeGW-1 shutdown
check_wait "(it blackholes)" 20 gate_is SeGW-1 blackhole
first=$(counter SeGW-1 drop_esp) later=$(counter SeGW-1 drop_ike)
check_not "in UDP: no large ping is answered" big
check_wait "SeGW-1 has dropped each first fragment and each later one" 10 eval 'rose SeGW-1 drop_esp "$first" 5 && rose SeGW-1 drop_ike "$later" 5'
scene_end 50
