# SPDX-License-Identifier: GPL-2.0-or-later
#
# common.sh - three charons on one cable for the tests of the plugin: `peer`
# (stock, no plugin), gateways `A` and `B` with the plugin. The gateway address
# 10.0.0.1 is on A first. Sourced by test_*.sh, which then run a python driver.
#
# IKE=... ESP=... choose the proposals.

: "${IKE:=aes128gcm16-prfsha256-x25519}" "${ESP:=aes128gcm16-x25519}"

plugin_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$plugin_here/../lib.sh"
. "$plugin_here/../lab/node.sh"
. "$plugin_here/../lab/daemons.sh"

# plugin_swanctl NODE LOCAL-TS REMOTE-TS [PEER]: its swanctl configuration.
plugin_swanctl()
{
	local file=$LAB_DIR/$1/etc/swanctl/conf.d/tunnel.conf local=10.0.0.1 remote=10.0.0.9 window=32 dpd=0
	local ike_rekey=${IKE_REKEY:-4h} ike_over=${IKE_OVER:-10m} rekey=${CHILD_REKEY:-1h} life=${CHILD_LIFE:-66m}
	local me=gw other=peer
	if [ "$1" = peer ]; then
		local=10.0.0.9 remote=10.0.0.1 window=0 me=peer other=gw dpd=${DPD:-0}
		ike_rekey=4h ike_over=10m rekey=1h life=66m
	fi
	mkdir -p "$(dirname "$file")"
	cat >"$file" <<-END
		connections {
			tunnel {
				version = 2
				local_addrs = $local
				remote_addrs = $remote
				proposals = $IKE
				mobike = no
				dpd_delay = $dpd
				rekey_time = $ike_rekey
				over_time = $ike_over
				${JITTER-rand_time = 0}
				fragmentation = ${FRAGMENTATION:-yes}
				local {
					auth = psk
					id = $me
				}
				remote {
					auth = psk
					id = $other
				}
				children {
					net {
						local_ts = $2
						remote_ts = $3
						esp_proposals = $ESP
						rekey_time = $rekey
						life_time = $life
						${JITTER-rand_time = 0}
						replay_window = $window
					}
				}
			}
		}
		secrets {
			ike-1 {
				secret = "a test secret of no value"
			}
		}
	END
	chmod 600 "$file"
}

# plugin_node NODE: node, address, charon configuration.
plugin_node()
{
	local node=$1
	node_etc "$node" || return 1
	if [ "$node" = peer ]; then
		plugin_swanctl "$node" 10.1.0.1/32 10.2.0.1/32
	else
		plugin_swanctl "$node" 10.2.0.1/32 10.1.0.1/32
		# node_etc gives it to the lab's gateways only
		cp /etc/strongswan.d/charon/mcipsec.conf \
			"$LAB_DIR/$node/etc/strongswan.d/charon/" || return 1
		printf 'charon {\n\tplugins {\n\t\tinclude strongswan.d/charon/mcipsec.conf\n\t}\n}\n' \
			>>"$LAB_DIR/$node/etc/strongswan.conf"
	fi
	if [ -n "${FRAGMENT_SIZE:-}" ]; then
		sed -i "s/^charon {/charon {\n\tfragment_size = $FRAGMENT_SIZE/" \
			"$LAB_DIR/$node/etc/strongswan.conf"
	fi
	node_create "$node" || return 1
	cable_plug wire "$node" eth0 "port-$node" || return 1
	lab "$node" ip link set lo up
	case $node in
	peer)
		lab peer ip addr add 10.0.0.9/24 dev eth0
		lab peer ip addr add 10.1.0.1/32 dev lo
		lab peer ip route add 10.2.0.0/24 via 10.0.0.1 src 10.1.0.1
		;;
	A | B)
		lab "$node" ip addr add 10.2.0.1/32 dev lo
		lab "$node" ip addr add "10.0.0.$([ "$node" = A ] && echo 2 || echo 3)/24" dev eth0
		lab "$node" ip route add 10.1.0.0/24 via 10.0.0.9
		;;
	esac
}

# plugin_up: everything but the charons of the gateways.
plugin_up()
{
	local node
	cable_make wire
	for node in peer A B; do
		plugin_node "$node" || return 1
	done
	lab A ip addr add 10.0.0.1/24 dev eth0
}

plugin_down()
{
	local node status=$?
	for node in peer A B; do
		[ -d "$LAB_DIR/$node" ] || continue
		mkdir -p "/results/$node"
		cp "$LAB_DIR/$node/log/"* "/results/$node/" 2>/dev/null
		node_destroy "$node" >/dev/null 2>&1
	done
	return "$status"
}
trap plugin_down EXIT

# plugin_test SCRIPT [ARG...]: run the driver; its exit code is the test's.
plugin_test()
{
	PYTHONDONTWRITEBYTECODE=1 python3 "$plugin_here/$1" "${@:2}"
}
