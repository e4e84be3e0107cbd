# SPDX-License-Identifier: GPL-2.0-or-later
#
# third-gateway.sh - SeGW-3 beside the seed's two: SeGW-1 has two peers then, SeGW-2 for
# tunnel-group 1, SeGW-3 for tunnel-group 2 (two-groups.sh), of which SeGW-3 is the
# designated master. Each peer has an authentication key of its own. SeGW-2 and SeGW-3
# know nothing of each other.
#
# System address 192.0.2.5; SDP 400 to P-1, a shunting link and GRE to SeGW-1. No routing
# daemon and no VRRP: the test says by third_lead which gateway packets come to, whoever is
# master there.
#
# Sourced after scene.sh and two-groups.sh.

NODES+=(SeGW-3)
GATEWAYS+=(SeGW-3)
bird_start() { :; }
keepalived_start() { :; }

# third_peer_of NODE GROUP: address of its multi-chassis peer for that.
third_peer_of() { if [ "$1 $2" = "SeGW-1 2" ]; then echo 192.0.2.5; else peer_address "$1"; fi; }

net_up_SeGW_3()
{
	port_plug S-1 vpls3 SeGW-3 int-SeGW3-S1 port-segw3
	net_batch SeGW-3 <<-EOT
	addr add 172.16.1.251/24 dev int-SeGW3-S1
	link add system arp off type dummy
	addr add 192.0.2.5/32 dev system
	link set system up
	route add 10.10.10.0/24 via 172.16.1.100
	$(vprn2)
	EOT
}

# third_link NODE OWN REMOTE CABLE DEV PORT ADDRESS GRE KEY VRF-ADDRESS: a cable and, between
# the system addresses OWN and REMOTE, a GRE tunnel of VPRN 2.
third_link()
{
	cable_plug "$4" "$1" "$5" "$6"
	net_batch "$1" <<-EOT
	addr add $7/30 dev $5
	link add $8 master vprn2 type gre local $2 remote $3 key $9 ttl 64
	addr add ${10}/30 dev $8
	link set $8 up
	EOT
}

# third_net_SeGW_1: what SeGW-1 has besides, again after a power loss. third_net: the whole.
third_net_SeGW_1()
{
	third_link SeGW-1 192.0.2.1 192.0.2.5 wire-13 int-SeGW1-SeGW3 w13-segw1 192.168.252.1 int-Redundant-2 2050 192.168.21.1 &&
		two_groups_net_gateway SeGW-1 && net_batch SeGW-1 <<-EOT
		route add 192.0.2.2/32 via 192.168.255.2
		route add 192.0.2.3/32 via 192.168.254.2
		route add 192.0.2.5/32 via 192.168.252.2
		route add table 2 192.168.2.0/24 via 192.168.202.2
		EOT
}
third_net()
{
	cable_make wire-13
	cable_make wire-3p
	third_net_SeGW_1 || return 1
	third_link SeGW-3 192.0.2.5 192.0.2.1 wire-13 int-SeGW3-SeGW1 w13-segw3 192.168.252.2 int-Redundant-2 2050 192.168.21.2 || return 1
	third_link SeGW-3 192.0.2.5 192.0.2.3 wire-3p int-SeGW3-P1 w3p-segw3 192.168.251.1 sdp-400 400 192.168.204.1 || return 1
	third_link P-1 192.0.2.3 192.0.2.5 wire-3p int-P1-SeGW3 w3p-p1 192.168.251.2 sdp-400 400 192.168.204.2 || return 1
	two_groups_net SeGW-3 || return 1
	net_batch SeGW-2 <<-EOT || return 1
	route add 192.0.2.1/32 via 192.168.255.1
	route add 192.0.2.3/32 via 192.168.253.2
	route add table 2 192.168.2.0/24 via 192.168.203.2
	EOT
	net_batch SeGW-3 <<-EOT || return 1
	route add 192.0.2.1/32 via 192.168.252.1
	route add 192.0.2.3/32 via 192.168.251.2
	route add table 2 192.168.2.0/24 via 192.168.204.2
	EOT
	net_batch P-1 <<-EOT || return 1
	route add 192.0.2.1/32 via 192.168.254.1
	route add 192.0.2.2/32 via 192.168.253.1
	route add 192.0.2.5/32 via 192.168.251.1
	EOT
	third_lead 1 3
}

# third_lead N N: what CE-1 and P-1 send through tunnel-1 and tunnel-2 goes to SeGW-N, as
# VRRP and routing would have it: to the master, once it is that.
third_lead()
{
	local group=0 n public private
	for n; do
		group=$((group + 1))
		public=172.16.1.$((251 + n)) private=192.168.20$((n + 1)).1
		[ "$n" != 3 ] || public=172.16.1.251
		lab CE-1 ip route replace "10.10.20.$group/32" via "$public" &&
			lab P-1 ip route replace table 2 "192.168.1.$group/32" via "$private" || return 1
	done
}

# third_kill_SeGW_1: node_kill, with the cable that third_net gave it.
third_kill_SeGW_1()
{
	cable_cut w13-segw1
	node_kill SeGW-1 && wait_for "its cable to SeGW-3, too" 20 eval '! ip link show w13-segw1'
}

# third_peer ADDRESS KEY-FILE: three gateways in one guest may keep one from running for
# seconds, and nobody asks here how soon it is missed.
third_peer()
{
	cat <<-EOT
	[redundancy.multi-chassis.peer."$1"]
	authentication-key-file = "/etc/mcipsec/$2"
	[redundancy.multi-chassis.peer."$1".mc-ipsec]
	bfd-enable = true
	bfd = { transmit = 1000, receive = 1000, multiplier = 12 }
	keep-alive-interval = 4
	hold-on-neighbor-failure = 3
	discovery-interval = 20
	EOT
}

# third_files: of all gateways, after topo_up and gateway_keys, before a daemon starts.
third_files()
{
	local node one=$LAB_DIR/SeGW-1/etc/mcipsec three=$LAB_DIR/SeGW-3/etc/mcipsec
	for node in "${GATEWAYS[@]}"; do
		rm -f "$LAB_DIR/$node/etc/keepalived/keepalived.conf"
		[ "$node" = SeGW-3 ] || sed -i -e '/^\[vrrp/,$d' -e 's/^bfd = .*/bfd = { transmit = 1000, receive = 1000, multiplier = 12 }/' \
			-e 's/^keep-alive-interval = .*/keep-alive-interval = 4/' "$LAB_DIR/$node/etc/mcipsec/mcipsec.toml"
	done
	mkdir -p "$one/conf.d" "$three"
	(umask 077 && mcipsec genkey >"$one/peer-3.key") || return 1
	cp -p "$one/peer-3.key" "$three/peer.key"
	{
		printf '[system]\naddress = "192.0.2.5"\n'
		third_peer 192.0.2.1 peer.key
	} >"$three/mcipsec.toml"
	third_peer 192.0.2.5 peer-3.key >"$one/conf.d/peer-3.toml"
	two_groups_toml SeGW-1 192.0.2.5 192.168.252.2 192.168.21.2 100
	two_groups_toml SeGW-3 192.0.2.1 192.168.252.1 192.168.21.1 200
	two_groups_tunnel SeGW-1
	two_groups_tunnel SeGW-3
}
