# SPDX-License-Identifier: GPL-2.0-or-later
#
# customers.sh - a dynamic tunnel: N customers on one connection of the gateways,
# each with an identity, an address and a network of its own; CE-1 plays them all.
# Customer n has 10.10.11.n outside and 192.168.3.n inside.
#
# Sourced after scene.sh. CUSTOMERS is their number, at most 250. With CUSTOMERS_IP=6 they
# have 2001:db8:11::n and 2001:db8:a3::n, in a network that is long_ipv6.sh's.

CUSTOMERS=${CUSTOMERS:-8}
CUSTOMERS_IP=${CUSTOMERS_IP:-4}
case $CUSTOMERS_IP in
4) CUSTOMERS_GW=10.10.20.1 CUSTOMERS_FAR=192.168.2.1 CUSTOMERS_OUT=10.10.11. CUSTOMERS_IN=192.168.3.
	CUSTOMERS_OUT_NET=${CUSTOMERS_OUT}0/24 CUSTOMERS_IN_NET=${CUSTOMERS_IN}0/24 CUSTOMERS_VIA=172.16.1.100 CUSTOMERS_BITS=32 ;;
6) CUSTOMERS_GW=2001:db8:20::1 CUSTOMERS_FAR=2001:db8:a2::1 CUSTOMERS_OUT=2001:db8:11:: CUSTOMERS_IN=2001:db8:a3::
	CUSTOMERS_OUT_NET=$CUSTOMERS_OUT/64 CUSTOMERS_IN_NET=$CUSTOMERS_IN/64 CUSTOMERS_VIA=2001:db8:16::100 CUSTOMERS_BITS=128 ;;
esac

# The gateways shunt what is dynamic tunnels' as they do what is static tunnels'.
dynamic_next_hops()	# NODE
{
	local peer=$((3 - ${1#SeGW-})) etc=$LAB_DIR/$1/etc/mcipsec/conf.d public=192.168.255. private=192.168.20.
	[ "$CUSTOMERS_IP" = 4 ] || public=2001:db8:255:: private=2001:db8:99::
	mkdir -p "$etc"
	cat >"$etc/dynamic-next-hops.toml" <<-EOT
	[ipsec.public."int-IPsec-Public-1"]
	dynamic-tunnel-redundant-next-hop = ["$public$peer"]
	[ipsec.private."int-IPsec-Private-1"]
	dynamic-tunnel-redundant-next-hop = ["$private$peer"]
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
			local_addrs = $CUSTOMERS_GW
			remote_addrs = $CUSTOMERS_OUT_NET
			proposals = aes128-sha256-x25519
			rekey_time = 172800s
			dpd_delay = 0s
			mobike = no
			unique = never
			local {
				auth = psk
				id = $CUSTOMERS_GW
			}
			remote {
				auth = psk
			}
			children {
				customers {
					local_ts = $CUSTOMERS_FAR/$CUSTOMERS_BITS
					remote_ts = $CUSTOMERS_IN_NET
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
	[ "$CUSTOMERS_IP" = 6 ] || bird_exports "$1" "$CUSTOMERS_IN_NET+"
}

customers_net_gateway()	# NODE
{
	net_batch "$1" <<-EOT
	route add $CUSTOMERS_OUT_NET via $CUSTOMERS_VIA
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
		route add $CUSTOMERS_FAR/$CUSTOMERS_BITS dev customers table 3
		EOT
		for n in $(seq "$CUSTOMERS"); do
			echo "addr add $CUSTOMERS_OUT$n/$CUSTOMERS_BITS dev int-IPsec-Pub-1"
			echo "addr add $CUSTOMERS_IN$n/$CUSTOMERS_BITS dev int-loopback-1"
		done
	} | net_batch CE-1 && lab CE-1 ip "-$CUSTOMERS_IP" rule add from "$CUSTOMERS_IN_NET" lookup 3 pref 900 || return 1
	{
		echo "connections {"
		for n in $(seq "$CUSTOMERS"); do
			cat <<-EOT
			customer-$n {
				version = 2
				local_addrs = $CUSTOMERS_OUT$n
				remote_addrs = $CUSTOMERS_GW
				proposals = aes128-sha256-x25519
				mobike = no
				local {
					auth = psk
					id = customer-$n@example.net
				}
				remote {
					auth = psk
					id = $CUSTOMERS_GW
				}
				children {
					customer-$n {
						local_ts = $CUSTOMERS_IN$n/$CUSTOMERS_BITS
						remote_ts = $CUSTOMERS_FAR/$CUSTOMERS_BITS
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

# customers_rekey FROM TO: each its CHILD_SA, all of them asked for within a moment
customers_rekey()
{
	python3 -c '
import sys
sys.path.insert(0, sys.argv[1])
import vici
with open(sys.argv[2]) as pid:
    charon = vici.Client("/proc/%s/root/run/charon.vici" % pid.read().strip())
for n in range(int(sys.argv[3]), int(sys.argv[4]) + 1):
    charon.call("rekey", {"child": "customer-%d" % n})
' "$LAB_SRC/../plugin" "$LAB_DIR/CE-1/pid" "$1" "$2"
}

customer_pings() { lab CE-1 ping -I vprn2 -I "$CUSTOMERS_IN$1" -c 1 -W 1 "$CUSTOMERS_FAR"; }
customers_ping()
{
	local n
	for n in $(seq "$CUSTOMERS"); do
		customer_pings "$n" || return 1
	done
}
customers_ike() { lab CE-1 swanctl --list-sas --raw | grep -oE 'initiator-spi=[0-9a-f]+' | sort -u; }
