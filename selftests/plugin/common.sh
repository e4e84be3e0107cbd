# SPDX-License-Identifier: GPL-2.0-or-later
#
# common.sh - three charons on one cable for the tests of the plugin: `peer`
# (stock, no plugin), gateways `A` and `B` with the plugin. The gateway address
# 10.0.0.1 is on A first. Sourced by test_*.sh, which run one python driver after
# the other, each with fresh charons: a guest and its nodes take longer to be
# there than most drivers run.
#
# Nodes named as arguments of the script run from the other root (run.sh --other).
#
# IKE=... ESP=... choose the proposals, PLUGINS=... adds plugins of charon;
# DELETE_DELAY=... how long a gateway keeps a CHILD_SA that was rekeyed.

plugin_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$plugin_here/../lib.sh"
. "$plugin_here/../lab/node.sh"
. "$plugin_here/../lab/daemons.sh"
for node in "$@"; do
	NODE_ROOT[$node]=/other
done

# plugin_swanctl NODE LOCAL-TS REMOTE-TS [PEER]: its swanctl configuration.
plugin_swanctl()
{
	local ike=${IKE:-aes128gcm16-prfsha256-x25519} esp=${ESP:-aes128gcm16-x25519}
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
				proposals = $ike
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
						esp_proposals = $esp
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

# plugin_conf NODE: the configuration of its charon. The delays are shorter than
# charon's own, which only make the tests wait.
plugin_conf()
{
	local etc=$LAB_DIR/$1/etc plugin
	if [ "$1" = peer ]; then
		plugin_swanctl "$1" 10.1.0.1/32 10.2.0.1/32
	else
		plugin_swanctl "$1" 10.2.0.1/32 10.1.0.1/32
	fi
	[ -e "$etc/strongswan.lab" ] || cp "$etc/strongswan.conf" "$etc/strongswan.lab"
	{
		cat "$etc/strongswan.lab"
		echo "charon {"
		if [ "$1" = peer ]; then
			echo "	delete_rekeyed_delay = 1"
		else
			echo "	delete_rekeyed_delay = ${DELETE_DELAY:-1}"
		fi
		echo "	retransmit_timeout = 2"
		[ -z "${FRAGMENT_SIZE:-}" ] || echo "	fragment_size = $FRAGMENT_SIZE"
		echo "	plugins {"
		for plugin in ${PLUGINS:-}; do
			echo "		$plugin { load = yes }"
		done
		[ "$1" = peer ] || echo "		include strongswan.d/charon/mcipsec.conf"
		echo "	}"
		echo "}"
	} >"$etc/strongswan.conf"
}

# plugin_node NODE: node, addresses.
plugin_node()
{
	local node=$1
	node_etc "$node" || return 1
	if [ "$node" != peer ]; then
		# node_etc gives it to the lab's gateways only
		cp /etc/strongswan.d/charon/mcipsec.conf \
			"$LAB_DIR/$node/etc/strongswan.d/charon/" || return 1
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

# plugin_up: everything but charons.
plugin_up()
{
	local node
	plugin_status=0
	cable_make wire
	for node in peer A B; do
		plugin_node "$node" || return 1
	done
}

plugin_down()
{
	local node status=$?
	for node in peer A B; do
		[ -d "$LAB_DIR/$node" ] || continue
		plugin_logs "$node" last
		node_destroy "$node" >/dev/null 2>&1
	done
	return "$status"
}
trap plugin_down EXIT

# plugin_logs NODE NAME: keep what its charon wrote.
plugin_logs()
{
	mkdir -p "/results/$2/$1"
	cp "$LAB_DIR/$1/log/"* "/results/$2/$1/" 2>/dev/null
	return 0
}

# plugin_fresh [NODE...]: charons (of all nodes) that know nothing, with the
# configuration that the variables say; the gateway address on A.
plugin_fresh()
{
	local node nodes=("$@") pids=()
	[ ${#nodes[@]} -gt 0 ] || nodes=(peer A B)
	for node in "${nodes[@]}"; do
		if running "$node" charon; then
			signal "$node" charon CONT
			signal "$node" charon KILL
			poll 30 eval "! running $node charon" || return 1
		fi
		lab "$node" ip xfrm state flush
		lab "$node" ip xfrm policy flush
		lab "$node" ip neigh flush dev eth0
		rm -f "$LAB_DIR/$node/log/"*
		plugin_conf "$node"
	done
	lab B ip addr del 10.0.0.1/24 dev eth0 2>/dev/null
	lab A ip addr add 10.0.0.1/24 dev eth0 2>/dev/null
	for node in "${nodes[@]}"; do
		charon_start "$node" &
		pids+=($!)
	done
	for node in "${pids[@]}"; do
		wait "$node" || return 1
	done
}

# plugin_part NAME SCRIPT [ARG...]: a driver with fresh charons, NAME before the
# name of each of its tests. A failed one does not keep the next from running.
plugin_part()
{
	local rc
	if plugin_fresh; then
		PART=$1 PYTHONDONTWRITEBYTECODE=1 python3 "$plugin_here/$2" "${@:3}"
		rc=$?
	else
		echo "not ok 1 - $1: the charons start"
		rc=1
	fi
	plugin_logs peer "$1"
	plugin_logs A "$1"
	plugin_logs B "$1"
	[ "$rc" -eq 0 ] && return
	[ "$rc" -eq 1 ] || echo "not ok 1 - $1: driver ended with $rc"
	plugin_status=1
}

# plugin_end: the script's exit code.
plugin_end() { exit "$plugin_status"; }
