#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# shunt.sh - two gateways with real ESP: the standby hands the master what is
# not its own, over a link between them, through tunnels, and with one arm;
# never in circles; and a prepared standby takes over without losing a packet.

. "$(dirname "$0")/common.sh"
setup
topology
for ns in ce gw1 gw2; do sa $ns esn; done

# group NS PEER: with next-hops over the link between the gateways.
group() { nl "$1" group put 1 addr $GW addr $GW6 public "10.99.0.$2" private "10.99.0.$2"; }
state_of() { nl "$1" state $ME "1=$2"; }
states() { state_of gw1 "$1"; state_of gw2 "$2"; }

# Import what the one knows into the other, as MCS would. What the other may
# send while the one still can must lie beyond it: that is what margin is for.
sync_seq()	# FROM TO [MARGIN]
{
	# shellcheck disable=SC2046
	nl "$2" seq set 1 margin "${3:-0}" $(nl "$1" seq get 1 | awk '{ print $1 "/" $2 "/" $4 "/" $5 }')
}

# untouched NS CMD...: CMD works, and NS neither decrypts nor encrypts for it.
untouched() { still "$1" "${@:2}"; }

group gw1 2
group gw2 1
states master standby
check_is "a standby with a next-hop shunts" shunt field gw2 action
check "control: straight to the master" ping_p

via gw2
check "ESP to the standby reaches the master, and the answer back" \
	counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "clear traffic to the standby is shunted, too" counts gw2 shunt_private 2 untouched gw2 ping_ce 2
check "an ICMP error that quotes ESP follows" counts gw1 forward_in 1 pkt ce quote $CE $GW esp
check "a ping of the peer follows, and the master answers" counts gw2 shunt_public 1 \
	on ce ping -q -c 1 -W 2 $GW >/dev/null
ip -n p route replace $GW via 10.3.0.2
check "a stranger's ping is not even shunted" counts gw2 drop_ping 1 fails on p ping -q -c 1 -W 0.3 $GW >/dev/null
ip -n p route del $GW
check "a later fragment follows" counts gw2 shunt_public 1 pkt ce frag $CE $GW esp
check "one of UDP, too" counts gw2 shunt_public 1 pkt ce frag $CE $GW udp
state_of gw2 notEligible
check "control: notEligible does not shunt" counts gw2 drop_esp 1 untouched gw2 fails ping_p
state_of gw2 discovery
check "control: discovery does not shunt" counts gw2 drop_esp 1 untouched gw2 fails ping_p
state_of gw2 standby

# Reachable or not.
ip -n gw2 link set red down
check "a next-hop that cannot be reached: dropped" counts gw2 drop_noroute 1 fails ping_p
ip -n gw2 link set red up
ip -n gw1 link set red down
check "a next-hop behind a link without carrier: dropped" counts gw2 drop_noroute 1 fails ping_p
ip -n gw1 link set red up
check_wait "and shunted again when the link is back" 5 ping_p

# Loops.
states standby standby
check "two standbys: the second does not send back what the first shunted" \
	counts gw1 drop_loop 1 fails ping_p
check "nor clear traffic" counts gw1 drop_loop 1 fails ping_ce
states master standby
check "control: and with a master it flows" ping_p

# One arm: the next-hop is on the network's own device.
nl gw2 group set 1 public 192.0.2.1 private 10.3.0.1
nl gw1 group set 1 public 192.0.2.2 private 10.3.0.2
check "one arm: ESP and clear traffic reach the master" counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "one arm: from the private side" counts gw2 shunt_private 2 untouched gw2 ping_ce 2
states standby standby
check "one arm: told from the peer's by the source address, not sent back" \
	counts gw1 drop_loop 1 fails ping_p
check "one arm: nor clear traffic" counts gw1 drop_loop 1 fails ping_ce
states master standby

# Next-hops for static and for dynamic tunnels. The one for static tunnels cannot be
# reached, so each packet shows which it went by.
nl gw2 group set 1 public 10.99.0.1/static public 192.0.2.1/dynamic \
	private 10.99.0.1/static private 10.3.0.1/dynamic
check_is "the kind of a next-hop is reported" "10.99.0.1/static 192.0.2.1/dynamic" \
	eval 'echo $(field gw2 public)'
ip -n gw2 link set red down
check "by kind: ESP of a dynamic tunnel" counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "by kind: clear traffic of a dynamic tunnel" counts gw2 shunt_private 2 untouched gw2 ping_ce 2
check "by kind: an ICMP error that quotes what went to a dynamic tunnel's far end" \
	counts gw2 shunt_public 1 pkt ce quote $CE $GW esp
nl gw2 group static 1 $GW,203.0.113.5 $GW,$CE
check "by kind: ESP of a static tunnel not by the next-hop for dynamic ones" counts gw2 drop_noroute 1 fails ping_p
check "by kind: nor clear traffic" counts gw2 drop_noroute 1 fails ping_ce
check "by kind: nor such an ICMP error" counts gw2 drop_noroute 1 pkt ce quote $CE $GW esp
ip -n gw2 link set red up
check_wait "by kind: by its own" 5 ping_p
check "by kind: both ways" counts gw2 shunt_private 2 untouched gw2 ping_ce 2
nl gw2 group set 1 public 10.99.0.1/dynamic
check "by kind: without a next-hop for its kind it is dropped" counts gw2 drop_esp 1 fails ping_p

# The peer may tell a tunnel's kind otherwise: what it sends by the next-hop for the
# other kind comes from it all the same.
nl gw2 group set 1 public 10.99.0.1/static public 192.0.2.1/dynamic
nl gw1 group set 1 public 10.99.0.2/static public 192.0.2.2/dynamic
states standby standby
check "by kind: two standbys do not send back, though one calls the tunnel static" \
	counts gw1 drop_loop 1 fails ping_p
states master standby
check "control: with a master it flows" ping_p
nl gw1 group set 1 public 192.0.2.2 private 10.3.0.2
nl gw2 group static 1

# Prepared: only what the peer shunted.
nl gw1 group set 1 public 10.99.0.2 private 10.99.0.2
nl gw2 group set 1 public 10.99.0.1 private 10.99.0.1
sync_seq gw1 gw2 65536 >/dev/null
states standby standby,prepared
check_is "prepared" prepared field gw2 action
via gw1
check "prepared: forwards what came through the peer's shunt, both ways" \
	counts gw2 forward_private 2 untouched gw1 ping_p 2
via gw2
check "prepared: nothing else" counts gw2 shunt_public 1 still gw2 fails ping_p
check "prepared: sends no IKE of its own" counts gw2 drop_out 1 refused gw2 500
state_of gw2 standby
via gw1
check "control: an unprepared standby forwards nothing" still gw2 fails ping_p

# A hand-over, back and forth, under a flow.
handover()	# FROM TO
{
	sync_seq "$1" "$2" 65536 >/dev/null &&
		state_of "$2" standby,prepared &&
		state_of "$1" standby &&
		sync_seq "$1" "$2" >/dev/null &&
		state_of "$2" master
}
# flow_start SECONDS COUNT: a ping now and then, COUNT of them.
flow_start()
{
	on ce ping -q -i "$1" -c "$2" -W 2 -I 10.1.0.1 10.2.0.1 >/run/flow.out &
	flow=$!
}
flow_runs() { kill -0 $flow 2>/dev/null; }
flow_lost()	# nothing, of more than MIN
{
	local sent received
	wait $flow
	read -r sent received < <(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' /run/flow.out)
	diag "sent ${sent:-?}, received ${received:-?}"
	[ "${sent:-0}" -ge "$1" ] && [ "$sent" = "$received" ]
}
sync_seq gw2 gw1 65536 >/dev/null
states master standby
via gw1
replays() { on ce awk '/XfrmInStateSeqError/ { print $2 }' /proc/net/xfrm_stat; }
replays=$(replays)
flow_start 0.01 400
poll 5 ping_p
check "hand-over to gw2" handover gw1 gw2
via gw2
check "hand-over back to gw1" handover gw2 gw1
via gw1
check "no packet of the flow was lost" flow_lost 400

# Packets that are between the gate and the last line when the gate shuts end their
# way: at this rate there is one at most flips.
dropped() { for ns in gw1 gw2; do nl $ns group get 1; done | awk '/^stat drop_(xfrm|out|esp|private) / { n += $3 } END { print n }'; }
dropped=$(dropped) flips=0 bad=0 lost=0
while [ $flips -lt 10 ] && [ $bad$lost = 00 ]; do
	flow_start 0.001 8000
	while flow_runs; do
		handover gw1 gw2 || bad=1
		via gw2
		handover gw2 gw1 || bad=1
		via gw1
		flips=$((flips + 2))
	done
	flow_lost 8000 || lost=1
done
diag "$flips hand-overs"
check "many hand-overs under load" [ $bad = 0 -a $flips -ge 10 ]
check "no packet was lost at any of them" [ $lost = 0 ]
check_is "and none met a gate that had shut behind it" "$dropped" dropped
check_is "and no number came twice" "$replays" replays

# The last line of defence: the gate's hook off. By way of a hand-over and a fall: what
# the group let end its way then has ended.
states standby standby
for state in standby,prepared standby,prepared,nominal master notEligible standby; do
	state_of gw2 "$state"
done
via gw2
nl gw2 gate off
check "gate off: the XFRM handlers drop ESP before its window moves" \
	counts gw2 drop_xfrm 1 still gw2 fails ping_p
for ns in ce gw2; do sa $ns v6 esn; done
check "gate off: and over IPv6" counts gw2 drop_xfrm 1 still gw2 fails ping_p
state_of gw2 master
check "control: as master it passes them" ping_p
nl gw2 gate on
for ns in ce gw1 gw2; do sa $ns esn; done

# IPv6 outside.
for ns in ce gw1 gw2; do sa $ns v6 esn; done
ip -n gw1 addr add 2001:db8:99::1/64 dev red
ip -n gw2 addr add 2001:db8:99::2/64 dev red
nl gw2 group set 1 public 10.99.0.1 public 2001:db8:99::1 private 10.99.0.1
states master standby
via gw2
check "ESP over IPv6 is shunted" counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "a later fragment over IPv6 follows" counts gw2 shunt_public 1 pkt ce frag $CE6 $GW6 esp
check "over IPv6, one of UDP, too" counts gw2 shunt_public 1 pkt ce frag $CE6 $GW6 udp
ping_big() { on ce ping -q -c 1 -M do -s "$1" -W $patience -I 10.1.0.1 10.2.0.1 >/dev/null 2>&1; }
size_known() { ip -n ce -6 route get $GW6 | grep -q 'mtu 1280'; }
check "control: a big packet over IPv6 is, too, and nobody names a size" eval 'ping_big 1300 && ! size_known'
ip -n gw2 link set red mtu 1280
check "one too big for the way to the master is not" fails ping_big 1300
check_wait "the standby has told the peer: packet too big, 1280" 5 size_known
check "what fits passes" untouched gw2 ping_big 1000
ip -n gw2 link set red mtu 1500
ip -n ce -6 route flush cache
nl gw2 group set 1 public 10.99.0.1 public 2001:db8:99::1/static
nl gw2 group static 1 $GW6,$CE6
check "over IPv6, too, by the next-hop for static tunnels" counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "over IPv6: an ICMP error" counts gw2 shunt_public 1 pkt ce quote $CE6 $GW6 esp
nl gw2 group static 1 $GW,$CE
check "over IPv6: of no static tunnel" counts gw2 drop_esp 1 fails ping_p
check "over IPv6: nor the ICMP error" counts gw2 drop_icmp 1 pkt ce quote $CE6 $GW6 esp
nl gw2 group static 1
nl gw2 group set 1 public 10.99.0.1
check "control: without a next-hop of its family it is dropped" counts gw2 drop_esp 1 fails ping_p

# ESP-in-UDP.
for ns in gw1 gw2 ce; do
	[ $ns = ce ] && addr=$CE || addr=$GW
	background $ns python3 -IS "$here/pkt.py" serve $addr /run/serve-$ns.ready
	wait_for "server in $ns" 20 test -e /run/serve-$ns.ready
done
for ns in ce gw1 gw2; do sa $ns esn udp; done
check "ESP-in-UDP is shunted" counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "IKE is shunted, and the master's answer arrives" \
	counts gw2 shunt_public 1 pkt ce ike $CE $GW 4500
nl gw2 gate off
check "gate off: the XFRM handlers drop ESP-in-UDP" counts gw2 drop_xfrm 1 still gw2 fails ping_p
nl gw2 gate on

# As on a real gateway: xfrm interfaces in a VRF, the private shunt through GRE.
ip -n gw2 link add pubv0 type vrf table 9
for n in 1 2; do
	ns=gw$n peer=$((3 - n))
	ip -n $ns link add vprn type vrf table 2
	ip -n $ns link set vprn up
	ip -n $ns route add table 2 unreachable default metric 4278198272
	ip -n $ns link set prv vrf vprn
	ip -n $ns link add tun1 type xfrm dev lo if_id 7
	ip -n $ns link set tun1 up vrf vprn
	ip -n $ns link add spoke type gre local 10.99.0.$n remote 10.99.0.$peer key 9
	ip -n $ns link set spoke up vrf vprn
	ip -n $ns addr add 10.98.0.$n/30 dev spoke
	ip -n $ns route add table 2 10.2.0.1 via 10.3.0.9
	ip -n $ns route add table 2 10.1.0.1 dev tun1
	ip -n $ns route del 10.1.0.1 via $CE
	sa $ns esn if_id 7
	nl $ns group set 1 private 10.98.0.$peer%vprn
done
sa ce esn
states master standby
via gw1
check "VRF: control, straight to the master" ping_p
via gw2
check "VRF: ESP to the standby, the answer through the private next-hop of the VRF" \
	counts gw2 shunt_private 2 untouched gw2 ping_p 2
check "VRF: from the private side" counts gw2 shunt_private 2 untouched gw2 ping_ce 2
nl gw2 group set 1 private 10.98.0.1%vprn/static private 10.3.0.1%pubv0/dynamic
check "VRF: never by that of another VRF, though of its kind" counts gw2 drop_private 1 fails ping_ce
nl gw2 group set 1 private 10.98.0.1%vprn
states standby standby
check "VRF: two standbys do not send clear traffic back" counts gw1 drop_loop 1 fails ping_ce
states standby standby,prepared
via gw1
check "VRF: prepared forwards what came through GRE" counts gw2 forward_private 2 ping_ce 2
via gw2
check "VRF: prepared, and nothing else" counts gw2 shunt_private 1 fails ping_ce

# The public service in a VRF of its own, with one arm.
for n in 1 2; do
	ns=gw$n peer=$((3 - n))
	ip -n $ns link add pubv type vrf table 3
	ip -n $ns link set pubv up
	ip -n $ns link set pub vrf pubv
	ip -n $ns link set gw vrf pubv
	ip -n $ns link del tun1
	ip -n $ns link add tun1 type xfrm dev pubv if_id 7
	ip -n $ns link set tun1 up vrf vprn
	ip -n $ns route add table 2 10.1.0.1 dev tun1
	nl $ns group set 1 addr $GW%pubv public 192.0.2.$peer%pubv
done
states master standby
via gw1
check "public VRF: control, straight to the master" ping_p 2
via gw2
check "public VRF: ESP to the standby is shunted by the next-hop of the VRF" \
	counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "public VRF: IKE, too" counts gw2 shunt_public 1 pkt ce send $CE $GW 500
check "public VRF: from the private side" counts gw2 shunt_private 2 untouched gw2 ping_ce 2
nl gw2 group set 1 public 192.0.2.1
check "control: that next-hop is not to be found outside the VRF" counts gw2 drop_noroute 1 fails ping_p
nl gw2 group set 1 public 192.0.2.1%pubv
states standby standby
check "public VRF: two standbys do not send back" counts gw1 drop_loop 1 fails ping_p
state_of gw2 discovery
check "public VRF: discovery does not shunt" counts gw2 drop_esp 1 still gw2 fails ping_p

# An interface that came into a VRF has lost its IPv6 addresses.
for n in 1 2; do
	ns=gw$n peer=$((3 - n))
	ip -n $ns addr replace 2001:db8:2::$n/64 dev pub nodad
	ip -n $ns addr replace $GW6/128 dev gw nodad
	sa $ns v6 esn if_id 7
	nl $ns group set 1 addr $GW6%pubv public 2001:db8:2::$peer%pubv
done
sa ce v6 esn
states master standby
via gw1
check_wait "public VRF: control, straight to the master over IPv6" 10 ping_p
via gw2
check "public VRF: ESP over IPv6 to the standby is shunted by the next-hop of the VRF" \
	counts gw2 shunt_public 2 untouched gw2 ping_p 2
check "public VRF: IKE over IPv6, too" counts gw2 shunt_public 1 pkt ce send $CE6 $GW6 500
states standby standby
# gw2 asks for gw1's address by its link-local one, so gw1 knows its next-hop only
# when it has sent a packet back.
check "public VRF: over IPv6, two standbys do not send back" counts gw1 drop_loop 1 fails ping_p 10
state_of gw2 discovery
check "public VRF: over IPv6, discovery does not shunt" counts gw2 drop_esp 1 still gw2 fails ping_p

# Routes that a shunt cached hold devices of the namespace.
for pid in "${jobs_started[@]}"; do kill "$pid"; done
for pid in "${jobs_started[@]}"; do wait "$pid" 2>/dev/null; done
ip netns del gw1
ip netns del gw2
check_wait "namespaces that shunted can go, and the module after them" 20 rmmod mcipsec
finish
