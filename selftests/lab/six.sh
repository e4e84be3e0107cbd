# SPDX-License-Identifier: GPL-2.0-or-later
#
# six.sh - IPv6 on the public side, beside the seed's IPv4: the gateway address $GW6 of the
# same tunnel-group, CE-1 as $CE6, both gateways' addresses on S-1 and between them.
#
# Sourced after scene.sh.

GW6=2001:db8:20::1
CE6=2001:db8:10::1

six_on() { lab "$1" sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0; }

six_net_gateway()	# NODE
{
	local n=${1#SeGW-}
	six_on "$1"
	net_batch "$1" <<-EOT
	addr add 2001:db8:16::$n/64 dev int-SeGW$n-S1 nodad
	addr add 2001:db8:255::$n/64 dev int-SeGW$n-SeGW$((3 - n)) nodad
	addr add $GW6/128 dev int-IPsec-Pub-1 nodad
	route add 2001:db8:10::/64 via 2001:db8:16::100
	EOT
}
# six_files_gateway NODE: before its daemons start. Shunted is what is static tunnels'.
six_files_gateway()
{
	local o=$((3 - ${1#SeGW-}))
	sed -i -e 's|^local-gateway-address = .*|local-gateway-address = ["10.10.20.1", "'$GW6'"]|' \
		-e "s|^static-tunnel-redundant-next-hop = \[\"192.168.255.*|static-tunnel-redundant-next-hop = [\"192.168.255.$o\", \"2001:db8:255::$o\"]|" \
		"$LAB_DIR/$1/etc/mcipsec/mcipsec.toml"
}
six_gateway() { six_net_gateway "$1" && six_files_gateway "$1"; }
six_ce()
{
	six_on CE-1
	net_batch CE-1 <<-EOT
	addr add 2001:db8:16::100/64 dev int-CE1-S1 nodad
	addr add $CE6/128 dev int-IPsec-Pub-1 nodad
	EOT
}

# six_by N: CE-1 sends to the gateway address by 2001:db8:16::N.
six_by() { lab CE-1 ip -6 route replace $GW6/128 via "2001:db8:16::$1" "${@:2}"; }
