#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gate.sh - one gateway: what each state lets through and what it does not. The
# control of every closed case is the same packet in state master.

. "$(dirname "$0")/common.sh"
setup
topology
for ns in ce gw1; do sa $ns window; done
background gw1 python3 -IS "$here/pkt.py" serve $GW /run/serve.ready
background gw1 python3 -IS "$here/pkt.py" serve $GW6 /run/serve6.ready
wait_for "servers" 20 test -e /run/serve.ready -a -e /run/serve6.ready

check "control: without a group the tunnel works" ping_p 2
nl gw1 group add 1 addr $GW addr $GW6
check_is "a new group is in discovery" discovery field gw1 state
check_is "and blackholes" blackhole field gw1 action


for state in discovery notEligible standby; do
	set_state gw1 $state
	check_is "$state without a next-hop blackholes" blackhole field gw1 action
	check "$state: ESP is dropped" counts gw1 drop_esp 2 still gw1 fails ping_p 2
	check "$state: clear traffic is dropped before it takes a number" \
		counts gw1 drop_private 2 still gw1 fails ping_ce 2
done

for state in master eligible; do
	set_state gw1 $state
	check_is "$state forwards" forward field gw1 action
	check "$state: ESP passes" counts gw1 forward_in 2 ping_p 2
	check "$state: clear traffic passes and is encrypted" counts gw1 forward_private 2 ping_ce 2
	check "$state: its ESP leaves" counts gw1 forward_out 2 ping_ce 2
	check "control: the SAs move" moves gw1 ping_ce
done

for port in 500 4500; do
	set_state gw1 master
	check "master: IKE on $port is answered" pkt ce ike $CE $GW $port
	check "master: IKE on $port leaves" pkt gw1 send $GW $CE $port
	check "master: IKE on $port over IPv6 is answered" pkt ce ike $CE6 $GW6 $port
	set_state gw1 discovery
	check "discovery: IKE on $port is dropped" counts gw1 drop_ike 1 fails pkt ce ike $CE $GW $port
	check "discovery: IKE on $port from the gateway is refused with EPERM" refused gw1 $port
	check "discovery: IKE on $port over IPv6 is dropped" \
		counts gw1 drop_ike 1 fails pkt ce ike $CE6 $GW6 $port
done
check "discovery: other addresses of the node may speak IKE" pkt gw1 send 192.0.2.1 $CE 500

# The gateway address answers pings of the tunnel's peer, where the group forwards.
ping_gw() { on "$1" ping -q -c 1 -W $patience "$2" >/dev/null; }
ip -n p route replace $GW via 10.3.0.1
set_state gw1 master
check "master: a ping of the tunnel's peer is answered" counts gw1 forward_in 1 ping_gw ce $GW
check "master: a stranger's is not" counts gw1 drop_ping 1 fails ping_gw p $GW
check "master: nor that of a peer over IPv6 whose SAs are IPv4's" counts gw1 drop_ping 1 fails ping_gw ce $GW6
check "control: other addresses answer them, with neighbour discovery" \
	eval 'ping_gw p 10.3.0.1 && ping_gw ce 192.0.2.1 && ping_gw ce 2001:db8:2::1'
check "the node itself may ping it" ping_gw gw1 $GW
ip -n gw1 xfrm state flush
check "master: without its SAs the peer is a stranger" counts gw1 drop_ping 1 fails ping_gw ce $GW
nl gw1 group static 1 $GW,203.0.113.5 $GW,$CE
check "master: unless it is the far end of a static tunnel" counts gw1 forward_in 1 ping_gw ce $GW
check "master: of one over IPv4, that is" counts gw1 drop_ping 1 fails ping_gw ce $GW6
nl gw1 group static 1 $GW,203.0.113.5 $GW6,$CE6 198.51.100.9,$CE
check "master: and over IPv6" counts gw1 forward_in 1 ping_gw ce $GW6
check "master: not of another gateway address'" counts gw1 drop_ping 1 fails ping_gw ce $GW
nl gw1 group static 1
sa gw1 window
check "control: with them it is answered again" ping_gw ce $GW
set_state gw1 discovery
check "discovery: the peer's ping is dropped" counts gw1 drop_ping 1 fails ping_gw ce $GW

for quote in esp ike ike4500; do
	set_state gw1 discovery
	check "discovery: an ICMP error that quotes $quote is dropped" \
		counts gw1 drop_icmp 1 pkt ce quote $CE $GW $quote
	set_state gw1 master
	check "master: it passes" counts gw1 forward_in 1 pkt ce quote $CE $GW $quote
done
set_state gw1 discovery
check_not "an ICMP error that quotes something else is not gated" \
	counts gw1 drop_icmp 1 pkt ce quote $CE $GW other
check "discovery: an ICMPv6 packet-too-big that quotes ESP is dropped" \
	counts gw1 drop_icmp 1 pkt ce quote $CE6 $GW6 esp
check "discovery: a later fragment of ESP is dropped" counts gw1 drop_esp 1 pkt ce frag $CE $GW esp
check "discovery: a later fragment of UDP is dropped" counts gw1 drop_ike 1 pkt ce frag $CE $GW udp
check "discovery: a later fragment of ESP over IPv6 is dropped" counts gw1 drop_esp 1 pkt ce frag $CE6 $GW6 esp
check "discovery: a later fragment of UDP over IPv6 is dropped" counts gw1 drop_ike 1 pkt ce frag $CE6 $GW6 udp
set_state gw1 master
check "master: fragments pass" counts gw1 forward_in 1 pkt ce frag $CE $GW udp

# ESP-in-UDP, both ends through their port 4500.
background ce python3 -IS "$here/pkt.py" serve $CE /run/serve-ce.ready
wait_for "server of ce" 20 test -e /run/serve-ce.ready
for ns in ce gw1; do sa $ns window udp; done
check "master: ESP-in-UDP passes" counts gw1 forward_in 2 ping_p 2
set_state gw1 discovery
check "discovery: ESP-in-UDP is dropped as ESP" counts gw1 drop_esp 2 still gw1 fails ping_p 2
check "discovery: clear traffic for ESP-in-UDP is dropped" \
	counts gw1 drop_private 2 still gw1 fails ping_ce 2

# IPv6 outside, IPv4 inside.
for ns in ce gw1; do sa $ns window v6; done
set_state gw1 master
check "master: ESP over IPv6 passes" counts gw1 forward_in 2 ping_p 2
check "master: a ping of the peer over IPv6 is answered" counts gw1 forward_in 1 ping_gw ce $GW6
set_state gw1 discovery
check "discovery: ESP over IPv6 is dropped" counts gw1 drop_esp 2 still gw1 fails ping_p 2
check "discovery: clear traffic for it is dropped" counts gw1 drop_private 2 still gw1 fails ping_ce 2

# A packet in transit with the gateway's source address is another chassis' own.
on ce nft add table ip t
on ce nft add chain ip t c '{ type filter hook prerouting priority -450; }'
on ce nft add rule ip t c ip saddr $GW ip protocol esp counter
transit() { on ce nft -j list table ip t | jq '.nftables[].rule?.expr[]?.counter?.packets' | grep -qx "$1"; }
# (It arrives with a source address of this node: that takes accept_local.)
on gw1 sysctl -qw net.ipv4.conf.all.accept_local=1
ip -n p route replace $CE via 10.3.0.1
pkt p raw $GW $CE 3
check_wait "discovery: ESP in transit with the gateway's source passes" 3 transit 3
pkt gw1 raw $GW $CE 3 2>/dev/null
check "control: ESP of this node with that source does not" transit 3

nl gw1 group del 1
for ns in ce gw1; do sa $ns window; done
check "control: with the group gone the tunnel works again" ping_p 2
check "and the address answers strangers" ping_gw p $GW

# The public service in a VRF: so is the gateway address.
ip -n gw1 link add pubv type vrf table 3
ip -n gw1 link set pubv up
ip -n gw1 link set pub vrf pubv
ip -n gw1 link set gw vrf pubv
ip -n gw1 link add tun1 type xfrm dev pubv if_id 7
ip -n gw1 link set tun1 up
ip -n gw1 route add 10.1.0.1 dev tun1
sa ce window
sa gw1 window if_id 7
check "public VRF: control, without a group the tunnel works" ping_p 2
nl gw1 group add 1 addr $GW%pubv
for state in discovery standby; do
	set_state gw1 $state
	check "public VRF, $state: ESP is dropped" counts gw1 drop_esp 2 still gw1 fails ping_p 2
	check "public VRF, $state: IKE is dropped" counts gw1 drop_ike 1 pkt ce send $CE $GW 500
	check "public VRF, $state: clear traffic is dropped before it takes a number" \
		counts gw1 drop_private 2 still gw1 fails ping_ce 2
	check "public VRF, $state: the peer's ping is dropped" counts gw1 drop_ping 1 fails ping_gw ce $GW
done
set_state gw1 master
check "public VRF, master: ESP passes" counts gw1 forward_in 2 ping_p 2
check "public VRF, master: its ESP leaves" counts gw1 forward_out 2 ping_ce 2
out=$(stat gw1 forward_out)
check_is "public VRF, master: counted once" 2 eval 'ping_ce 2 >/dev/null; echo $(($(stat gw1 forward_out) - out))'
check "public VRF, master: the node itself may ping it" on gw1 ping -q -I pubv -c 1 -W 1 $GW
check "public VRF, master: IKE passes" counts gw1 forward_in 1 pkt ce send $CE $GW 500
check "public VRF, master: a ping of the tunnel's peer is answered" counts gw1 forward_in 1 ping_gw ce $GW
set_state gw1 discovery
nl gw1 group set 1 addr $GW
check "control: an address of the same digits outside the VRF is another one" \
	eval '! counts gw1 drop_esp 1 fails ping_p >/dev/null'
finish
