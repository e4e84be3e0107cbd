# SPDX-License-Identifier: GPL-2.0-or-later
#
# customers.sh - a dynamic tunnel: N customers on one connection of the gateways,
# each with an identity, an address and a network of its own; CE-1 plays them all.
# Customer n has 10.10.11.n outside and 192.168.3.n inside.
#
# Sourced after scene.sh. CUSTOMERS is their number, at most 250.

CUSTOMERS=${CUSTOMERS:-8}

# The gateways shunt what is dynamic tunnels' as they do what is static tunnels'.
dynamic_next_hops()	# NODE
{
	local peer=$((3 - ${1#SeGW-})) etc=$LAB_DIR/$1/etc/mcipsec/conf.d
	mkdir -p "$etc"
	cat >"$etc/dynamic-next-hops.toml" <<-EOT
	[ipsec.public."int-IPsec-Public-1"]
	dynamic-tunnel-redundant-next-hop = ["192.168.255.$peer"]
	[ipsec.private."int-IPsec-Private-1"]
	dynamic-tunnel-redundant-next-hop = ["192.168.20.$peer"]
	EOT
}

customers_files()	# NODE: a gateway, before its daemons start
{
	local etc=$LAB_DIR/$1/etc
	dynamic_next_hops "$1"
	cat >"$etc/mcipsec/conf.d/customers.toml" <<-EOT
	[ipsec.tunnel."customers"]
	type = "dynamic"
	public = "int-IPsec-Public-1"
	private = "int-IPsec-Private-1"
	interface = "customers"
	EOT
	cat >"$(tunnels_dir "$1")/customers.conf" <<-EOT
	connections {
		customers {
			version = 2
			local_addrs = 10.10.20.1
			remote_addrs = 10.10.11.0/24
			proposals = aes128-sha256-x25519
			rekey_time = 172800s
			dpd_delay = 0s
			mobike = no
			unique = never
			local {
				auth = psk
				id = 10.10.20.1
			}
			remote {
				auth = psk
			}
			children {
				customers {
					local_ts = 192.168.2.1/32
					remote_ts = 192.168.3.0/24
					esp_proposals = aes128gcm16
					rekey_time = 7200s
					if_id_in = 0x10003
					if_id_out = 0x10003
					start_action = none
				}
			}
		}
	}
	secrets {
		ike-customers {
			secret = "CUSTOMERS"
		}
	}
	EOT
	bird_exports "$1" 192.168.3.0/24+
}

customers_net_gateway()	# NODE
{
	net_batch "$1" <<-EOT
	route add 10.10.11.0/24 via 172.16.1.100
	link add customers mtu 1400 master vprn2 type xfrm dev lo if_id 0x10003
	link set customers up
	EOT
}

customers_net()	# after topo_up
{
	local node n
	for node in "${GATEWAYS[@]}"; do
		customers_net_gateway "$node" || return 1
	done
	{
		cat <<-EOT
		link add customers mtu 1400 master vprn2 type xfrm dev lo if_id 0x10003
		link set customers up
		rule add from 192.168.3.0/24 lookup 3 pref 900
		route add 192.168.2.1/32 dev customers table 3
		EOT
		for n in $(seq "$CUSTOMERS"); do
			echo "addr add 10.10.11.$n/32 dev int-IPsec-Pub-1"
			echo "addr add 192.168.3.$n/32 dev int-loopback-1"
		done
	} | net_batch CE-1 || return 1
	{
		echo "connections {"
		for n in $(seq "$CUSTOMERS"); do
			cat <<-EOT
			customer-$n {
				version = 2
				local_addrs = 10.10.11.$n
				remote_addrs = 10.10.20.1
				proposals = aes128-sha256-x25519
				mobike = no
				local {
					auth = psk
					id = customer-$n@example.net
				}
				remote {
					auth = psk
					id = 10.10.20.1
				}
				children {
					customer-$n {
						local_ts = 192.168.3.$n/32
						remote_ts = 192.168.2.1/32
						esp_proposals = aes128gcm16
						if_id_in = 0x10003
						if_id_out = 0x10003
					}
				}
			}
			EOT
		done
		echo "}"
		echo "secrets {"
		echo "	ike-customers {"
		for n in $(seq "$CUSTOMERS"); do
			echo "		id-$n = customer-$n@example.net"
		done
		echo "		secret = \"CUSTOMERS\""
		echo "	}"
		echo "}"
	} >"$(tunnels_dir CE-1)/customers.conf"
}

customers_up()
{
	local n
	for n in $(seq "$CUSTOMERS"); do
		lab CE-1 timeout 30 swanctl --initiate --child "customer-$n" >/dev/null || return 1
	done
}

customer_pings() { lab CE-1 ping -I vprn2 -I "192.168.3.$1" -c 1 -W 1 192.168.2.1; }
customers_ping()
{
	local n
	for n in $(seq "$CUSTOMERS"); do
		customer_pings "$n" || return 1
	done
}
customers_ike() { lab CE-1 swanctl --list-sas --raw | grep -oE 'initiator-spi=[0-9a-f]+' | sort -u; }
