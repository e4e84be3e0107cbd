#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_ipv6.sh - IPv6 outside and inside, beside the seed's IPv4 tunnel and in the same
# tunnel-group: gateway address 2001:db8:20::1, tunnel-6 carries 2001:db8:a1::1 to
# 2001:db8:a2::1. CE-1 finds the gateway by VRRPv3 for IPv6 (VRRP 16); P-1 always sends by
# SeGW-1, and CE-1 does for a while, so that both sides are shunted. tunnel-5 carries IPv6 over
# IPv4, 2001:db8:a1::5 to 2001:db8:a2::5. Planned switchover and power loss. The /128 and the
# /32 of the gateway addresses carry the mastership.
#
# The chassis know each other by IPv6 alone: MIMP, BFD and MCS go from system address to
# system address, 2001:db8::1 and 2001:db8::2, by a static route over the link between them.
#
# Customers of a dynamic tunnel come over IPv6, too: reverse routes by state on both, and
# shunting by next-hops of their own. Control: before these are there, nothing is shunted.

CUSTOMERS=2 CUSTOMERS_IP=6
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/six.sh"

A1=2001:db8:a1::1 A2=2001:db8:a2::1	# inside tunnel-6: CE-1's, P-1's
B1=2001:db8:a1::5 B2=2001:db8:a2::5	# inside tunnel-5
CE5=10.10.10.5				# its CE, outside

peer_address() { echo "2001:db8::$((3 - ${1#SeGW-}))"; }

six_vprn2()
{
	cat <<-EOT
	route add table 2 unreachable ::/0 metric 4278198272
	EOT
}

six_tunnels()	# NODE
{
	tunnel_static "$1" 6 $CE6 $GW6 $A1/128 $A2/128 six
	tunnel_static "$1" 5 $CE5 10.10.20.1 $B1/128 $B2/128 five
	sed -i 's|dpd_delay = .*|dpd_delay = 0s|' "$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-"[56].conf
}
six_interfaces()
{
	local n
	for n in 5 6; do
		printf 'link add tunnel-%d mtu 1380 master vprn2 type xfrm dev lo if_id 0x1000%d\nlink set tunnel-%d up\n' $n $n $n
	done
}

scene_configure()
{
	local node=$1 n=${1#SeGW-} o sdp policy='' init=0 etc=$LAB_DIR/$1/etc
	o=$((3 - n)) sdp=$((100 + 100 * n))
	[ "$n" = 2 ] || { policy=$'policy = 1\n'; init=-150; }
	[ "$n" = 2 ] || ends_configure
	six_gateway "$node"
	relaxed_timers "$node"
	[ "$n" = 1 ] || wire_start
	net_batch "$node" <<-EOT
	addr add 2001:db8::$n/128 dev system nodad
	route add 2001:db8::$o/128 via 2001:db8:255::$o
	$(six_vprn2)
	addr add 2001:db8:99::$n/64 dev int-Redundant-1 nodad
	addr add 2001:db8:20$((n + 1))::1/64 dev sdp-$sdp nodad
	route add table 2 $A2/128 via 2001:db8:20$((n + 1))::2 dev sdp-$sdp
	route add table 2 $B2/128 via 2001:db8:20$((n + 1))::2 dev sdp-$sdp
	$(six_interfaces)
	EOT
	sed -i -e "s|^static-tunnel-redundant-next-hop = \[\"192.168.20\..*|static-tunnel-redundant-next-hop = [\"192.168.20.$o\", \"2001:db8:99::$o\"]|" \
		-e "s|^address = .*|address = \"2001:db8::$n\"|; s|peer\.\"192\.0\.2\.$o\"|peer.\"2001:db8::$o\"|" \
		"$etc/mcipsec/mcipsec.toml"
	cat >>"$etc/mcipsec/mcipsec.toml" <<-EOT

	[ipsec.tunnel."tunnel-6"]
	connection = "tunnel-6"
	public = "int-IPsec-Public-1"
	private = "int-IPsec-Private-1"
	interface = "tunnel-6"
	static-route = ["$A1/128"]
	[ipsec.tunnel."tunnel-5"]
	public = "int-IPsec-Public-1"
	private = "int-IPsec-Private-1"
	interface = "tunnel-5"
	static-route = ["$B1/128"]
	[vrrp.instance.VRRP16]
	${policy}base-priority = $((300 - 100 * n))
	EOT
	six_tunnels "$node"
	customers_files "$node"
	rm "$etc/mcipsec/conf.d/dynamic-next-hops.toml"
	[ "$n" = 1 ] || customers_net
	cat >>"$etc/keepalived/keepalived.conf" <<-EOT
	track_file mcipsec_VRRP16 {
		file /run/mcipsec/vrrp/VRRP16.track
		weight 1
		init_file $init
	}
	vrrp_instance VRRP16 {
		state BACKUP
		interface int-SeGW$n-S1
		virtual_router_id 16
		priority $((300 - 100 * n))
		advert_int 0.1
		accept
		use_vmac vrrp.16
		vmac_xmit_base
		virtual_ipaddress {
			fe80::254/64
			2001:db8:16::254/64
		}
		track_file {
			mcipsec_VRRP16
		}
	}
	EOT
}

ends_configure()
{
	six_ce
	six_by 254
	six_on P-1
	net_batch CE-1 <<-EOT
	addr add $CE5/32 dev int-IPsec-Pub-1
	$(six_vprn2)
	addr add $A1/128 dev int-loopback-1 nodad
	addr add $B1/128 dev int-loopback-1 nodad
	$(six_interfaces)
	route add table 2 $A2/128 dev tunnel-6 src $A1
	route add table 2 $B2/128 dev tunnel-5 src $B1
	EOT
	six_tunnels CE-1
	net_batch P-1 <<-EOT
	$(six_vprn2)
	addr add $A2/128 dev int-loopback-1 nodad
	addr add $B2/128 dev int-loopback-1 nodad
	addr add 2001:db8:202::2/64 dev sdp-200 nodad
	addr add 2001:db8:203::2/64 dev sdp-300 nodad
	route add table 2 $A1/128 via 2001:db8:202::1 dev sdp-200
	route add table 2 $B1/128 via 2001:db8:202::1 dev sdp-200
	route add table 2 $CUSTOMERS_IN_NET via 2001:db8:202::1 dev sdp-200
	EOT
}

ping_six() { lab CE-1 ping -I vprn2 -I $A1 -c 1 -W 1 $A2 >/dev/null; }
ping_five() { lab CE-1 ping -I vprn2 -I $B1 -c 1 -W 1 $B2 >/dev/null; }
p1_by()
{
	local net
	for net in $A1/128 $B1/128 "$CUSTOMERS_IN_NET"; do
		lab P-1 ip -6 route replace table 2 "$net" via "2001:db8:20$(($1 + 1))::1" dev "sdp-$((100 + 100 * $1))" || return 1
	done
}
# p1_told N: SeGW-N, by which P-1 sends, names the MTU of the tunnel
p1_told()
{
	lab P-1 ip -6 route flush cache
	lab P-1 ping -6 -I vprn2 -I $A2 -M do -s 1400 -c 1 -W 5 $A1 | grep -q "^From 2001:db8:20$(($1 + 1))::1 .*Packet too big: mtu=1380"
}
vrrp6_is() { lab "$1" ip -6 -o addr show | grep -q ' 2001:db8:16::254/'; }
vrrp16() { ask "$1" '[.. | objects | select(.instance == "VRRP16")][0] | "\(.state) \(.in_use_pri)"' show router vrrp instance; }
vrrp16_is() { [ "$(vrrp16 "$1")" = "$2" ]; }
spis() { lab CE-1 swanctl --list-sas --raw --ike "$1" | grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u | tr '\n' ' '; }
same_spis() { [ -n "$2" ] && [ "$(spis "$1")" = "$2" ]; }
counter() { ask "$1" "$(find_object gate) | .gate_counters.$2" show isa tunnel-group 1; }
above() { [ "$(counter "$1" "$2")" -gt "$3" ]; }
# route_is NODE PREFIX TABLE PROTOCOL
route_is()
{
	local family=-4
	[[ $2 != *:* ]] || family=-6
	lab "$1" ip -N $family route show table "$3" proto "$4" "$2" | grep -q .
}
routes_say() { route_is "$1" $GW6 254 "20$2" && route_is "$1" 10.10.20.1 254 "20$2" && route_is "$1" $A1 2 "21$2"; }
routes_shown() { { lab "$1" ip -N -6 route show table all; lab "$1" ip -N -4 route show table 254; } | sed 's/^/# /'; }
# sees NODE: what it shows of its peer is IPv6 and up
sees()
{
	[ "$(ask "$1" "$(find_object source_addr) | \"\(.peer_addr) \(.source_addr) \(.bfd_state)\"" \
		show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")")" = "$(peer_address "$1") 2001:db8::${1#SeGW-} Up" ] &&
		sync_is "$1" db_sync_state inSync && sync_is "$1" peer_ip_address "$(peer_address "$1")"
}
entries() { sync_is SeGW-1 num_entries "$1" && sync_is SeGW-2 num_entries "$1"; }
# reverse_are NODE PROTOCOL: each customer has its route there, with that protocol and no other
reverse_are()
{
	[ "$(lab "$1" ip -N -6 route show table 2 dev customers | grep -c "^$CUSTOMERS_IN")" = "$CUSTOMERS" ] &&
		[ "$(lab "$1" ip -N -6 route show table 2 dev customers proto "$2" | grep -c "^$CUSTOMERS_IN")" = "$CUSTOMERS" ]
}
customers_next_hops() { dynamic_next_hops "$1" && lab "$1" mcipsec reload >/dev/null; }
# customers_inner SINCE: ESP of customer 1 between the gateways
customers_inner() { capture from "${CUSTOMERS_OUT}1" "$OBS_DIR/inner.pcap" --from "$1" | jq .esp; }
customers_same() { [ -n "$ike" ] && [ "$(customers_ike)" = "$ike" ]; }

plan $((SCENE_POINTS + 59))
scene_up
check_wait "SeGW-1 has its peer at 2001:db8::2: BFD up, MCS in sync" 20 sees SeGW-1
check_wait "SeGW-2 has its own at 2001:db8::1: BFD up, MCS in sync" 20 sees SeGW-2
check_wait "CE-1's ping brings tunnel-6 up, IPv6 in IPv6" 90 ping_six
check_wait "and another tunnel-5, IPv6 in IPv4" 60 ping_five
six=$(spis tunnel-6)
five=$(spis tunnel-5)
one=$(spis tunnel-1)
check_wait "six entries on both" 30 entries 6
check "the customers of the dynamic tunnel set up theirs, over IPv6" customers_up
check_wait "each has its entries on both" 40 entries $((6 + 2 * CUSTOMERS))
check_wait "SeGW-1 has a reverse route for each, ipsec-master-with-peer" 10 reverse_are SeGW-1 201
check_wait "SeGW-2 has them as ipsec-non-master" 10 reverse_are SeGW-2 203
check_wait "every customer's ping is answered" 40 customers_ping
ike=$(customers_ike)
check_wait "protection status nominal on both" 60 nominal
check_wait "VRRPv3 for IPv6: master on SeGW-1 with in-use 200" 20 eval 'vrrp6_is SeGW-1 && vrrp16_is SeGW-1 "Master 200"'
check_wait "backup on SeGW-2" 20 vrrp16_is SeGW-2 "Backup 100"
check "SeGW-1's /128, /32 and private route say master with peer" routes_say SeGW-1 1 || routes_shown SeGW-1
check "SeGW-2's say non-master" routes_say SeGW-2 3 || routes_shown SeGW-2

spawn CE-1 six ping -q -I vprn2 -I $A1 -i 0.1 $A2
private=$(counter SeGW-1 shunt_private)
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "CE-1's ping over IPv6 goes on" 20 ping_six
check_wait "that of IPv6 over IPv4" 20 ping_five
check_wait "CE-1's ping over IPv4, too" 20 ping_ce
check_wait "VRRPv3 for IPv6 follows" 20 eval 'vrrp6_is SeGW-2 && ! vrrp6_is SeGW-1 && vrrp16_is SeGW-1 "Backup 50"'
check_wait "SeGW-2's routes say master with peer" 20 routes_say SeGW-2 1
check_wait "SeGW-1's say non-master" 20 routes_say SeGW-1 3
check "what P-1 sends by SeGW-1 is shunted to SeGW-2" above SeGW-1 shunt_private "$private"
check "a packet too big is told by SeGW-1, the standby" p1_told 1
p1_by 2
check "and by SeGW-2, the master" p1_told 2
p1_by 1
check_wait "SeGW-2's reverse routes say master with peer" 20 reverse_are SeGW-2 201
check_wait "SeGW-1's say non-master" 20 reverse_are SeGW-1 203
check_not "control: P-1 sends to the customers by SeGW-1, which has no next-hop for dynamic tunnels" customer_pings 1
check "it gets some, and SeGW-2" eval 'customers_next_hops SeGW-1 && customers_next_hops SeGW-2'
check_wait "every customer's ping is answered: SeGW-1 shunts" 20 customers_ping
now=$EPOCHREALTIME
check_is "none of their ESP has gone from gateway to gateway" 0 customers_inner 0
public=$(counter SeGW-1 shunt_public)
six_by 1
check_wait "the customers send by SeGW-1: their pings are answered" 20 customers_ping
check_wait "their ESP is shunted over IPv6" 20 eval '[ "$(customers_inner "$now")" -gt 0 ]'
check_wait "CE-1 sends by SeGW-1: the tunnel goes on" 20 ping_six
check_wait "its ESP is shunted over IPv6" 20 above SeGW-1 shunt_public "$public"
six_by 254
check_wait "protection status nominal on both" 60 nominal
stop CE-1 six INT
diag "over the switchover: $(grep received "$LAB_DIR/CE-1/log/six.out")"
check "at most 5 pings were lost" \
	awk '/received/ { found = 1; exit !($1 - $4 <= 5 && $4 > 20) } END { if (!found) exit 1 }' "$LAB_DIR/CE-1/log/six.out"
check "CE-1 has authenticated tunnel-6 once" same_spis tunnel-6 "$six"
check "and tunnel-5" same_spis tunnel-5 "$five"
check "and so have the customers" customers_same

check "force-switchover back to SeGW-1" hand_over SeGW-2
check_wait "protection status nominal on both" 60 nominal
wire_stop
check_is "up to here nothing of MIMP, BFD and MCS went over IPv4" 0 between ip
for what in "udp port 7655" "udp port 4784" "tcp port 7656"; do
	check "of $what there is IPv6 from both, and each packet has CS6" \
		eval 'some "$what and src host 2001:db8::1" && some "$what and src host 2001:db8::2" && [ "$(between "$what and ip6[0:2] & 0xff0 != 0xc00")" = 0 ]'
done
check_is "BFD has a hop limit of 255" 0 between "udp port 4784 and ip6[7] != 255"
p1_by 2
check_wait "P-1 sends by SeGW-2: the tunnel goes on" 20 ping_six
check "SeGW-1 loses power" node_kill SeGW-1
check_wait "SeGW-2 serves" 30 gate_is SeGW-2 forward
check_wait "CE-1's ping over IPv6 goes on" 30 ping_six
check_wait "that of IPv6 over IPv4" 30 ping_five
check_wait "every customer's ping is answered" 30 customers_ping
check_wait "SeGW-2's routes say master without peer" 20 routes_say SeGW-2 2
check_wait "its reverse routes, too" 20 reverse_are SeGW-2 202
check "CE-1 has authenticated tunnel-6 once" same_spis tunnel-6 "$six"
check "and tunnel-1 once" same_spis tunnel-1 "$one"
check "and tunnel-5" same_spis tunnel-5 "$five"
check "and each customer" customers_same
scene_end
