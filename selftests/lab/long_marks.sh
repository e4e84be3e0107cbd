#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_marks.sh - how packets are marked and how large they may be, seen on the wire:
#   MIMP, BFD and MCS between the chassis carry DSCP CS6 and have the socket priority, each
#   packet of both chassis, the first of TCP included, and the gateways' IKE has that DSCP,
#   as its connection asks for (dscp);
#   the DSCP of a customer's packet is on its ESP, from both gateways;
#   what is too long for the tunnel is answered with the tunnel's MTU, by the master and
#   by the standby where it enters, and goes through when the sender has learned it;
#   what may be fragmented is, before it enters the tunnel;
#   what may not be is, too, where a rule of nftables clears its DF bit (clear-df-bit);
#   the ESP of a tunnel with copy_df = no may be fragmented, whatever it carries;
#   the gateway address answers the tunnel's peer, the VRRP address answers anybody.

. "$(dirname "$0")/scene.sh"

scene_configure()
{
	sed -i -e 's/mobike = no/&\n\t\tdscp = 110000/' -e 's/start_action = none/&\n\t\t\t\tcopy_df = no/' \
		"$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-1.conf"
	# Packets of this node by their priority in the kernel, before anything runs here.
	lab "$1" nft -f - <<-EOT
	table inet wire {
		counter six { }
		counter others { }
		chain out {
			type filter hook output priority 0
			oifname lo accept
			tcp flags & rst != 0 accept	# of the kernel, where nobody listens
			meta l4proto udp udp dport { 7655, 4784 } goto judge
			meta l4proto tcp tcp dport 7656 goto judge
			meta l4proto tcp tcp sport 7656 goto judge
		}
		chain judge {
			meta priority 0:6 counter name six accept
			counter name others
		}
	}
	EOT
	[ "$1" = SeGW-1 ] || wire_start
}
priority() { lab "$1" nft -j list counter inet wire "$2" | jq '[.nftables[].counter? // empty | .packets] | add'; }
# esp NODE TOS: ESP packets with that octet that NODE has sent to CE-1
esp() { outer 10.10.20.1 "$(gateway_mac "$1")" 50 "ip[1] == $2"; }
ike() { outer 10.10.20.1 "$(gateway_mac "$1")" 17 "$2"; }
ike_seen() { [ "$(ike "$1" True)" -ge "$2" ]; }
ce_mac() { lab CE-1 cat /sys/class/net/int-CE1-S1/address; }
marked() { [ "$(esp "$1" 0xb8)" -ge "$2" ]; }
ping_ef() { lab CE-1 ping -I vprn2 -I 192.168.1.1 -Q 0xb8 -c 3 -i 0.2 -W 2 192.168.2.1; }
# too_long: P-1 sends 1450 octets that must not be fragmented.
too_long() { lab P-1 ping -I vprn2 -I 192.168.2.1 -M do -s 1422 -c 1 -W 2 192.168.1.1 2>&1; }
forget() { lab P-1 ip route flush cache; }
learned() { lab P-1 ip route get vrf vprn2 192.168.1.1 from 192.168.2.1 2>/dev/null | grep -q 'mtu 1400' || too_long | grep -qE 'mtu ?= ?1400|mtu 1400'; }
may_be_fragmented() { lab P-1 ping -I vprn2 -I 192.168.2.1 -M dont -s 1422 -c 1 -W 2 192.168.1.1; }
# clear_df NODE: of what goes to CE-1, as the operator's guide has it; df_stays NODE: no more
clear_df()
{
	lab "$1" nft 'add table ip df; add chain ip df in { type filter hook prerouting priority -150; }
		add rule ip df in ip daddr 192.168.1.1 ip frag-off 0x4000 ip frag-off set 0 ip id set numgen random mod 65536'
}
df_stays() { lab "$1" nft delete table ip df; }
fits() { lab P-1 ping -I vprn2 -I 192.168.2.1 -M do -s 1372 -c 1 -W 2 192.168.1.1; }
ping_gw() { lab CE-1 ping -I 10.10.10.1 -c 1 -W 2 10.10.20.1 >/dev/null; }
ping_gw_other() { lab CE-1 ping -I 172.16.1.100 -c 1 -W 2 10.10.20.1 >/dev/null; }
ping_vrrp() { lab CE-1 ping -I 172.16.1.100 -c 1 -W 2 172.16.1.254 >/dev/null; }

plan $((SCENE_POINTS + 38 + 6 + 1 + 4 + 8 + 3))
scene_up
check_wait "MIMP, BFD and MCS are on the wire" 60 eval 'some "udp port 7655" && some "udp port 4784" && some "tcp port 7656"'
wire_stop
for what in "udp port 7655" "udp port 4784" "tcp port 7656"; do
	check_is "each packet of $what has CS6" 0 between "$what and ip[1] & 0xfc != 0xc0"
	for node in 1 2; do
		check "(SeGW-$node has sent some)" test "$(between "$what and src host 192.0.2.$node")" -ge 5
	done
done
check "among them are the SYN of MCS and its answer" test "$(between 'tcp[13] & 0x12 = 0x02')" -ge 1 -a "$(between 'tcp[13] & 0x12 = 0x12')" -ge 1
for node in SeGW-1 SeGW-2; do
	check "$node: its kernel gave them the priority 6" test "$(priority "$node" six)" -ge 20
	check_is "$node: and none another one" 0 priority "$node" others
done

for node in SeGW-1 SeGW-2; do
	check_is "$node: no ESP with DSCP EF yet" 0 esp "$node" 0xb8
	check_wait "$node: pings with DSCP EF are answered" 20 ping_ef
	check_wait "the answers' ESP has it" 10 marked "$node" 3
	check "control: other ESP has not" test "$(esp "$node" 0)" -ge 10
	forget
	check_wait "$node is master: too long a packet is answered with the tunnel's MTU" 20 learned
	check_wait "one that fits goes through" 20 fits
	check_wait "and one that may be fragmented" 20 may_be_fragmented
	check "clear-df-bit on $node" clear_df "$node"
	check_wait "what is too long and must not be fragmented goes through" 20 eval 'forget; too_long'
	check "clear-df-bit off" df_stays "$node"
	forget
	check_wait "it is answered with the tunnel's MTU again" 20 learned
	check_is "fragments were made before the tunnel: no ESP of its is one" 0 outer 10.10.20.1 "$(gateway_mac "$node")" 50 '(ip[6] & 0x3f) | ip[7]'
	check_is "none of its ESP forbids fragmentation" 0 outer 10.10.20.1 "$(gateway_mac "$node")" 50 'ip[6] & 0x40'
	check_wait "its IKE is on the wire" 30 ike_seen "$node" 2
	check_is "and all of it has CS6" 0 ike "$node" 'ip[1] & 0xfc != 0xc0'
	check "the peer may ping the gateway address" ping_gw
	check_not "nobody else on that link may" ping_gw_other
	check "VRRP's address answers" ping_vrrp
	[ $node = SeGW-2 ] || {
		check "force-switchover to SeGW-2" hand_over SeGW-1
		check_wait "protection status nominal on both" 60 nominal
	}
done
check "control: CE-1's ESP forbids it, and its IKE has no CS6" test \
	"$(outer 10.10.10.1 "$(ce_mac)" 50 'ip[6] & 0x40')" -ge 10 -a "$(outer 10.10.10.1 "$(ce_mac)" 17 'ip[1] == 0')" -ge 2
p1_by 1
forget
shunted=$(counter SeGW-1 shunt_private)
check_wait "P-1 sends by SeGW-1, the standby: the same answer" 20 learned
check_wait "one that fits is shunted" 20 fits
check_wait "(it was)" 10 more SeGW-1 shunt_private "$shunted"
shunted=$(counter SeGW-1 shunt_private)
check "clear-df-bit on SeGW-1" clear_df SeGW-1
check_wait "what is too long and must not be fragmented goes through" 20 eval 'forget; too_long'
check_wait "(shunted)" 10 more SeGW-1 shunt_private "$shunted"
scene_end
