# SPDX-License-Identifier: GPL-2.0-or-later
#
# topology.sh - the seed's figure 239 in one kernel: five nodes, four links.
#
#   CE-1 --- S-1 --- SeGW-1 --- P-1        S-1: a switch (VPLS 3)
#              \       |       /
#               \--- SeGW-2 --/
#
#   IES 1 (public) is each node's main table, VPRN 2 (private) is VRF vprn2,
#   table 2. SDP 100, 200, 300 are GRE tunnels between system addresses, the
#   spoke-SDP's vc-labels are their keys.
#
# Seed addresses throughout; 192.168.202.0/30 and 192.168.203.0/30 number SDP
# 200 and 300 for the VPRN's BGP, which the seed runs as MP-BGP between systems.
#
# Sourced after lib.sh and node.sh.

NODES=(CE-1 S-1 SeGW-1 SeGW-2 P-1)
GATEWAYS=(SeGW-1 SeGW-2)

cables_make()
{
	cable_make wire-12
	cable_make wire-1p
	cable_make wire-2p
}

# net_batch NODE: ip commands for NODE on stdin.
net_batch() { lab "$1" ip -batch -; }

vprn2()
{
	cat <<-EOT
	link add vprn2 type vrf table 2
	link set vprn2 up
	route add table 2 unreachable default metric 4278198272
	EOT
}

net_up_S_1()
{
	net_batch S-1 <<-EOT
	link add vpls3 type bridge stp_state 0 mcast_snooping 0
	link set vpls3 up
	EOT
}

net_up_CE_1()
{
	port_plug S-1 vpls3 CE-1 int-CE1-S1 port-ce1
	net_batch CE-1 <<-EOT
	addr add 172.16.1.100/24 dev int-CE1-S1
	route add default via 172.16.1.254
	link add int-IPsec-Pub-1 arp off type dummy
	addr add 10.10.10.254/24 dev int-IPsec-Pub-1
	addr add 10.10.10.1/32 dev int-IPsec-Pub-1
	link set int-IPsec-Pub-1 up
	$(vprn2)
	link add int-loopback-1 master vprn2 type dummy
	addr add 192.168.1.1/32 dev int-loopback-1
	link set int-loopback-1 up
	link add tunnel-1 mtu 1400 master vprn2 type xfrm dev lo if_id 0x10001
	link set tunnel-1 up
	route add table 2 192.168.2.1/32 dev tunnel-1 src 192.168.1.1
	EOT
}

# gateway_up OWN PEER SDP: own and peer number, SDP towards P-1.
gateway_up()
{
	local n=$1 o=$2 sdp=$3 ikey=2049 okey=2048 link
	[ "$n" = 1 ] || { ikey=2048 okey=2049; }
	port_plug S-1 vpls3 "SeGW-$n" "int-SeGW$n-S1" "port-segw$n"
	cable_plug wire-12 "SeGW-$n" "int-SeGW$n-SeGW$o" "w12-segw$n"
	cable_plug "wire-${n}p" "SeGW-$n" "int-SeGW$n-P1" "w${n}p-segw$n"
	link=$((255 - n))
	net_batch "SeGW-$n" <<-EOT
	addr add 172.16.1.$((251 + n))/24 dev int-SeGW$n-S1
	addr add 192.168.255.$n/30 dev int-SeGW$n-SeGW$o
	addr add 192.168.$link.1/30 dev int-SeGW$n-P1
	link add system arp off type dummy
	addr add 192.0.2.$n/32 dev system
	link set system up
	route add 10.10.10.0/24 via 172.16.1.100
	link add int-IPsec-Pub-1 arp off type dummy
	addr add 10.10.20.1/32 dev int-IPsec-Pub-1
	link set int-IPsec-Pub-1 up
	$(vprn2)
	link add tunnel-1 mtu 1400 master vprn2 type xfrm dev lo if_id 0x10001
	link set tunnel-1 up
	link add int-Redundant-1 master vprn2 type gre local 192.0.2.$n remote 192.0.2.$o ikey $ikey okey $okey ttl 64
	addr add 192.168.20.$n/30 dev int-Redundant-1
	link set int-Redundant-1 up
	link add sdp-$sdp master vprn2 type gre local 192.0.2.$n remote 192.0.2.3 key $sdp ttl 64
	addr add 192.168.20$((n + 1)).1/30 dev sdp-$sdp
	link set sdp-$sdp up
	EOT
}
net_up_SeGW_1() { gateway_up 1 2 200; }
net_up_SeGW_2() { gateway_up 2 1 300; }

net_up_P_1()
{
	cable_plug wire-1p P-1 int-P1-SeGW1 w1p-p1
	cable_plug wire-2p P-1 int-P1-SeGW2 w2p-p1
	net_batch P-1 <<-EOT
	addr add 192.168.254.2/30 dev int-P1-SeGW1
	addr add 192.168.253.2/30 dev int-P1-SeGW2
	link add system arp off type dummy
	addr add 192.0.2.3/32 dev system
	link set system up
	$(vprn2)
	link add int-loopback-1 master vprn2 type dummy
	addr add 192.168.2.1/32 dev int-loopback-1
	link set int-loopback-1 up
	link add sdp-200 master vprn2 type gre local 192.0.2.3 remote 192.0.2.1 key 200 ttl 64
	addr add 192.168.202.2/30 dev sdp-200
	link set sdp-200 up
	link add sdp-300 master vprn2 type gre local 192.0.2.3 remote 192.0.2.2 key 300 ttl 64
	addr add 192.168.203.2/30 dev sdp-300
	link set sdp-300 up
	EOT
}

# node_up NODE: namespaces and network; no daemon yet.
node_up()
{
	node_create "$1" && "net_up_${1//-/_}"
}

# node_cut NODE / node_mend: all its packets vanish on the wire; it keeps its
# carriers and notices nothing. Gateways only.
node_cut()
{
	local n=${1#SeGW-}
	lab S-1 bridge link set dev "port-segw$n" state 0
	cable_cut "w12-segw$n"
	cable_cut "w${n}p-segw$n"
}

node_mend()
{
	local n=${1#SeGW-}
	lab S-1 bridge link set dev "port-segw$n" state 3
	cable_mend "w12-segw$n"
	cable_mend "w${n}p-segw$n"
}

# node_gone NODE: a destroyed gateway's namespace, with all kernel state in it, is
# gone: its cables have no end there any more.
node_gone()
{
	local n=${1#SeGW-}
	! lab S-1 ip link show "port-segw$n" && ! ip link show "w12-segw$n" &&
		! ip link show "w${n}p-segw$n"
}

# node_kill NODE: power loss of a gateway: silence first, then everything in it
# is gone, kernel state included.
node_kill()
{
	node_cut "$1"
	node_destroy "$1"
	wait_for "the kernel state of $1 is gone" 60 node_gone "$1"
}

# topo_up: the whole network, without daemons.
topo_up()
{
	local node pids=()
	ln -sf "$LAB_SRC/lab" /usr/local/bin/lab
	modprobe -a veth bridge dummy vrf xfrm_interface xfrm_user esp4 ip_gre macvlan authenc echainiv seqiv gcm ctr ghash-generic aesni_intel 2>/dev/null
	mkdir -p "$LAB_DIR"
	cables_make
	node_up S-1 || return 1
	for node in "${NODES[@]}"; do
		[ "$node" != S-1 ] || continue
		node_up "$node" &
		pids+=($!)
	done
	wait_all "${pids[@]}"
}

topo_down()
{
	local node
	for node in "${NODES[@]}"; do
		! node_alive "$node" || node_destroy "$node"
	done
}

# lab_collect DIR: logs of every node, for the person who looks afterwards.
lab_collect()
{
	local node
	for node in "${NODES[@]}"; do
		[ -d "$LAB_DIR/$node/log" ] || continue
		mkdir -p "$1/$node"
		cp -r "$LAB_DIR/$node/log/." "$1/$node/" 2>/dev/null
	done
	dmesg >"$1/dmesg" 2>/dev/null
}
