# SPDX-License-Identifier: GPL-2.0-or-later
#
# two-groups.sh - a second tunnel-group beside the seed's first, with the opposite
# master (the seed's table 12): tunnel-group 2, gateway address 10.10.20.2, SeGW-2
# has priority 200. CE-1 reaches it by VRRP 20 (172.16.1.250); tunnel-2 carries
# 192.168.1.2 to 192.168.2.2.
#
# Sourced after scene.sh.

# two_groups_toml NODE PEER PUBLIC-HOP PRIVATE-HOP PRIORITY: the group and its tunnel, with
# PEER, whose the hops are.
two_groups_toml()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	cat >"$LAB_DIR/$1/etc/mcipsec/conf.d/group2.toml" <<-EOT
	[isa.tunnel-group.2]
	multi-active = true
	mda = ["2/2"]
	ipsec-responder-only = true
	[isa.mda."2/2"]
	[ipsec.public."int-IPsec-Public-2"]
	tunnel-group = 2
	interface = "int-IPsec-Pub-2"
	local-gateway-address = ["10.10.20.2"]
	static-tunnel-redundant-next-hop = ["$3"]
	[ipsec.private."int-IPsec-Private-2"]
	tunnel-group = 2
	vrf = "vprn2"
	static-tunnel-redundant-next-hop = ["$4"]
	[ipsec.tunnel."tunnel-2"]
	public = "int-IPsec-Public-2"
	private = "int-IPsec-Private-2"
	interface = "tunnel-2"
	static-route = ["192.168.1.2/32"]
	[redundancy.multi-chassis.peer."$2".sync.ipsec]
	tunnel-group.2.sync-tag = "tag-2"
	[redundancy.multi-chassis.peer."$2".mc-ipsec.tunnel-group.2]
	priority = $5
	EOT
}

two_groups_files()	# NODE: before its daemons start
{
	local node=$1 n=${1#SeGW-} etc=$LAB_DIR/$1/etc base2 policy=''
	base2=$((n * 100))
	[ "$n" = 1 ] || policy=$'policy = 2\n'
	two_groups_toml "$node" "$(peer_address "$node")" "192.168.255.$((3 - n))" "192.168.20.$((3 - n))" "$base2"
	cat >>"$etc/mcipsec/conf.d/group2.toml" <<-EOT
	[vrrp.policy.2]
	priority-event = [ { mc-ipsec-non-forwarding = 2, priority = 50 } ]
	[vrrp.instance.VRRP20]
	${policy}base-priority = $base2
	EOT
	two_groups_tunnel "$node"
	bird_exports "$node" 192.168.1.2/32
	cat >>"$etc/keepalived/keepalived.conf" <<-EOT
	track_file mcipsec_VRRP20 {
		file /run/mcipsec/vrrp/VRRP20.track
		weight 1
		init_file $([ "$n" = 2 ] && echo -150 || echo 0)
	}
	vrrp_instance VRRP20 {
		state BACKUP
		interface int-SeGW$n-S1
		virtual_router_id 20
		priority $base2
		advert_int 0.1
		accept
		use_vmac vrrp.20
		vmac_xmit_base
		virtual_ipaddress {
			172.16.1.250/24
		}
		$([ "$n" = 1 ] || echo 'track_file { mcipsec_VRRP20 }')
	}
	EOT
}

two_groups_tunnel()	# NODE
{
	tunnel_static "$1" 2 10.10.10.2 10.10.20.2 192.168.1.2/32 192.168.2.2/32 ALU2
}

two_groups_net_gateway()	# NODE
{
	net_batch "$1" <<-EOT
	route add 10.10.10.2/32 via 172.16.1.100
	link add int-IPsec-Pub-2 arp off type dummy
	addr add 10.10.20.2/32 dev int-IPsec-Pub-2
	link set int-IPsec-Pub-2 up
	link add tunnel-2 mtu 1400 master vprn2 type xfrm dev lo if_id 0x10002
	link set tunnel-2 up
	EOT
}

two_groups_net()	# [NODE...]: after topo_up; the gateways that have the group
{
	local node
	[ $# -gt 0 ] || set -- "${GATEWAYS[@]}"
	for node; do
		two_groups_net_gateway "$node" || return 1
	done
	net_batch CE-1 <<-EOT || return 1
	addr add 10.10.10.2/32 dev int-IPsec-Pub-1
	route add 10.10.20.2/32 via 172.16.1.250
	link add int-loopback-2 master vprn2 type dummy
	addr add 192.168.1.2/32 dev int-loopback-2
	link set int-loopback-2 up
	link add tunnel-2 mtu 1400 master vprn2 type xfrm dev lo if_id 0x10002
	link set tunnel-2 up
	route add table 2 192.168.2.2/32 dev tunnel-2 src 192.168.1.2
	EOT
	lab P-1 ip addr add 192.168.2.2/32 dev int-loopback-1
	two_groups_tunnel CE-1
}

ping_ce_2() { lab CE-1 ping -I vprn2 -I 192.168.1.2 -c 1 -W 1 192.168.2.2; }

# mc_group NODE GROUP FIELD
mc_group()
{
	ask "$1" "[.. | objects | select(has(\"mastership\") and .id == $2)] | first | .$3" \
		show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")" tunnel-group "$2"
}
mc_group_is() { [ "$(mc_group "$1" "$2" "$3")" = "$4" ]; }
masters()	# NODE-OF-1 NODE-OF-2: who is master of which; the other stands by
{
	mc_group_is "$1" 1 mastership master && mc_group_is "$2" 2 mastership master &&
		mc_group_is "$(other "$1")" 1 mastership standby && mc_group_is "$(other "$2")" 2 mastership standby
}
other() { echo "SeGW-$((3 - ${1#SeGW-}))"; }
all_nominal()
{
	local node group
	for node in "${GATEWAYS[@]}"; do
		for group in 1 2; do
			mc_group_is "$node" "$group" protection_status nominal || return 1
		done
	done
}
