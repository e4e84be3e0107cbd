#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_vrf.sh - the public service in a VRF, too, as a VPRN in the seed ([ipsec.public] vrf):
# the link to S-1 with VRRP's MAC interface, the one that holds the gateway address and a link
# between the gateways are in VRF pubv, table 3; nothing of it is in the main table, where the
# system addresses are. charon is as everywhere, one for all VRFs, with what the operator's
# guide says it needs.
# Control: without each of these charon does not hear the customer, or cannot answer; a
# redundant next-hop that is in the main table alone is none.

. "$(dirname "$0")/scene.sh"

CE=10.10.10.1 GW=10.10.20.1
TABLE=3

# public_next_hop NODE ADDRESS
public_next_hop()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	printf '[ipsec.public."int-IPsec-Public-1"]\nvrf = "pubv"\nstatic-tunnel-redundant-next-hop = ["%s"]\n' "$2" >"$LAB_DIR/$1/etc/mcipsec/conf.d/vrf.toml"
}
scene_configure()
{
	local n=${1#SeGW-}
	relaxed_timers "$1"
	cable_make wire-12v
	cable_plug wire-12v "$1" int-Redundant-2 "w12v-segw$n"
	net_batch "$1" <<-EOT
	link add pubv type vrf table $TABLE
	link set pubv up
	route add table $TABLE unreachable default metric 4278198272
	link set int-SeGW$n-S1 master pubv
	link set int-IPsec-Pub-1 master pubv
	link set int-Redundant-2 master pubv
	addr add 192.168.30.$n/30 dev int-Redundant-2
	route add table $TABLE 10.10.10.0/24 via 172.16.1.100 dev int-SeGW$n-S1
	link del tunnel-1
	link add tunnel-1 mtu 1400 master vprn2 type xfrm dev pubv if_id 0x10001
	link set tunnel-1 up
	EOT
	public_next_hop "$1" "192.168.30.$((3 - n))"
	cat >>"$LAB_DIR/$1/etc/bird/bird.conf" <<-EOT
	ipv4 table pubv;
	protocol kernel pubv_kernel {
		vrf "pubv";
		kernel table $TABLE;
		learn;
		scan time 60;
		netlink rx buffer 33554432;
		ipv4 {
			table pubv;
			preference 250;
			import where ipsec_route();
			export none;
		};
	}
	EOT
}

# What charon needs, on both; its sockets are of no VRF.
both() { local node; for node in "${GATEWAYS[@]}"; do lab "$node" "$@" || return 1; done; }
hears_vrfs() { both sysctl -qw net.ipv4.udp_l3mdev_accept=1; }
answers_there() { both ip rule add pref 900 from $GW lookup $TABLE; }

initiates() { lab CE-1 timeout 30 swanctl --initiate --child tunnel-1 --timeout 5 >/dev/null 2>&1; }
gives_up() { lab CE-1 timeout 30 swanctl --terminate --ike tunnel-1 --force >/dev/null; }
said() { grep -c "$2" "$LAB_DIR/$1/log/charon.log"; }
scene_before_tunnel()
{
	check_wait "(what CE-1 sends comes in at SeGW-1)" 20 reaches
	check_not "control: charon's sockets take nothing out of a VRF: CE-1's tunnel does not come up" initiates
	check_is "SeGW-1's charon has heard nothing" 0 said SeGW-1 'parsed IKE_SA_INIT request'
	check "net.ipv4.udp_l3mdev_accept = 1" eval 'gives_up; hears_vrfs'
	check_not "control: what charon sends has no way out of the main table: not yet" initiates
	check "SeGW-1's charon has heard CE-1, and could not send" \
		eval '[ "$(said SeGW-1 "parsed IKE_SA_INIT request")" -gt 0 ] && [ "$(said SeGW-1 "error writing to socket")" -gt 0 ]'
	check "a rule sends what comes from the gateway address by the VRF's table" eval 'gives_up; answers_there'
}
# reaches: SeGW-1's gate lets in what CE-1 sends
reaches()
{
	local before
	before=$(counter SeGW-1 forward_in)
	lab CE-1 ping -I $CE -c 1 -W 2 $GW >/dev/null
	more SeGW-1 forward_in "$before"
}

in_pubv() { lab "$1" ip -o link show master pubv | awk -F '[ @:]+' '{ print $2 }' | sort | paste -sd' '; }
# route_is NODE PROTOCOL: the /32 of the gateway address, in the VRF's table alone, and the kernel's own local one
route_is()
{
	lab "$1" ip route show table $TABLE type unicast $GW/32 | grep -q "dev int-IPsec-Pub-1 proto $2 " &&
		lab "$1" ip route show table $TABLE type local $GW | grep -q . && ! lab "$1" ip route show table main | grep -q "^$GW"
}
# bird_is NODE FUNCTION: what BIRD's filters see of it
bird_is() { lab "$1" birdc show route table pubv where "protocol_ipsec() && $2()" | grep -q "^$GW/32"; }
main_ways() { lab "$1" ip route show table main | grep -cE '^(10\.10\.|172\.16\.)'; }
ping_gw() { lab CE-1 ping -I "$1" -c 1 -W 2 $GW >/dev/null; }

# to NODE: CE-1 sends what is for the gateway address to NODE. by_vrrp: to whom VRRP says
to() { lab CE-1 ip route replace $GW/32 via "172.16.1.$((251 + ${1#SeGW-}))"; }
by_vrrp() { lab CE-1 ip route del $GW/32; }
pings() { lab CE-1 ping -q -I vprn2 -I 192.168.1.1 -c 5 -i 0.3 -W 3 192.168.2.1 | grep -q ' 5 received'; }
p1_pings() { lab P-1 ping -q -I vprn2 -I 192.168.2.1 -c 5 -i 0.3 -W 3 192.168.1.1 | grep -q ' 5 received'; }
# inner SINCE WHAT: of the customer, between the gateways: esp, or ike
inner() { capture from $CE "$OBS_DIR/inner.pcap" --from "$1" | jq ".$2"; }
inner_more() { [ "$(inner "$1" "$2")" -ge "$3" ]; }
sent_by() { capture from $GW "$OBS_DIR/public.pcap" --mac "$(gateway_mac "$1")" --from "$2" | jq '.esp + .ike'; }
rose() { [ "$(counter "$1" "$2")" -ge $(($3 + $4)) ]; }
reload() { lab "$1" mcipsec reload >/dev/null; }

plan $((SCENE_POINTS + 7 + 9 + 13 + 3 + 9 + 6))
scene_up
check_is "of SeGW-1's interfaces these are in the VRF, VRRP's among them" \
	"int-IPsec-Pub-1 int-Redundant-2 int-SeGW1-S1 vrrp.10" in_pubv SeGW-1
check_is "of SeGW-2's" "int-IPsec-Pub-1 int-Redundant-2 int-SeGW2-S1 vrrp.10" in_pubv SeGW-2
check_is "nothing of the public side is in the main table" "0 0" eval 'echo "$(main_ways SeGW-1) $(main_ways SeGW-2)"'
check_wait "the /32 is in the VRF's table, beside the kernel's own: SeGW-1's says master with peer" 20 route_is SeGW-1 201
check_wait "SeGW-2's says non-master" 20 route_is SeGW-2 203
check_wait "SeGW-1's BIRD sees it" 20 bird_is SeGW-1 ipsec_master_with_peer
check_wait "SeGW-2's, too" 20 bird_is SeGW-2 ipsec_non_master
check "the gateway address answers its peer's ping" ping_gw $CE
check_not "and nobody else's on that link" ping_gw 172.16.1.100

t=$EPOCHREALTIME
check "control: by VRRP, CE-1's pings are answered" pings
check_is "control: nothing of it has passed between the gateways" "0 0" eval 'echo "$(inner "$t" esp) $(inner "$t" ike)"'
shunted=$(counter SeGW-2 shunt_public) forward=$(counter SeGW-1 forward_in) t=$EPOCHREALTIME
check_wait "CE-1 sends to SeGW-2, the standby: its pings are answered" 20 eval 'to SeGW-2 && pings'
check_wait "its ESP is between the gateways" 10 inner_more "$t" esp 5
check "SeGW-2 has shunted it" rose SeGW-2 shunt_public "$shunted" 5
check "SeGW-1's gate has let it in" rose SeGW-1 forward_in "$forward" 5
spis=$(ce_child_spis)
check "CE-1 rekeys its CHILD_SA on that way" eval 'lab CE-1 timeout 30 swanctl --rekey --child tunnel-1 >/dev/null'
check_wait "the CHILD_SA is new" 30 another "$spis" ce_child_spis
check_wait "its IKE is between the gateways" 10 inner_more "$t" ike 1
check_is "SeGW-2 has sent neither ESP nor IKE" 0 sent_by SeGW-2 "$t"
shunted=$(counter SeGW-2 shunt_private)
check_wait "P-1 sends by SeGW-2: its pings are answered" 20 eval 'p1_by 2; p1_pings'
check "SeGW-2 has shunted them, in the other VRF" rose SeGW-2 shunt_private "$shunted" 5
check "(P-1 sends as it learns)" p1_free

noroute=$(counter SeGW-2 drop_noroute)
check "SeGW-2 gets a next-hop that is in the main table" eval 'public_next_hop SeGW-2 192.168.255.1 && reload SeGW-2'
check_wait "control: it is none: SeGW-2 drops what CE-1 sends" 20 eval '! pings && rose SeGW-2 drop_noroute "$noroute" 5'
check_wait "the one of the VRF again: they are answered" 30 eval 'public_next_hop SeGW-2 192.168.30.1 && reload SeGW-2 && pings'

check "(CE-1 sends by VRRP)" by_vrrp
check_wait "protection status nominal on both" 60 nominal
t=$EPOCHREALTIME
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "the /32 says so: SeGW-2 master with peer, SeGW-1 non-master" 20 eval 'route_is SeGW-2 201 && route_is SeGW-1 203'
check_wait "VRRP's address is on SeGW-2" 20 vrrp_is SeGW-2 MASTER
check_wait "SeGW-2's charon rekeys the CHILD_SA and deletes the old one, out of the VRF" 60 eval '[ "$(begun SeGW-2 "$t")" = "{\"CREATE_CHILD_SA\":1,\"INFORMATIONAL\":1}" ]'
check_wait "protection status nominal on both" 60 nominal
check_is "no packet was lost" 0 lost_since "$t"
check "CE-1 has authenticated once" scene_same_ike

check "SeGW-2 loses power" node_kill SeGW-2
check_wait "SeGW-1's /32 says master without peer" 30 route_is SeGW-1 202
check_wait "CE-1's ping goes on" 30 ping_ce
check "CE-1 has authenticated once" scene_same_ike
check "SeGW-1's agent is killed" signal SeGW-1 mcipsecd KILL
check_wait "mcipsec-trackd marks the /32 ipsec-fenced there" 20 route_is SeGW-1 204
scene_end
