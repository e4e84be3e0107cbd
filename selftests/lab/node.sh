# SPDX-License-Identifier: GPL-2.0-or-later
#
# node.sh - the life of a lab node: a set of private namespaces held by one
# process, so that nothing outlives it, and "cables" between nodes.
#
# A cable is a bridge in the guest's own network namespace with one port a node:
# a node that dies takes its port away, but the far end keeps its carrier and
# sees only silence, as over an Ethernet switch. Cutting a cable end is silent
# too.
#
# NODE_ROOT[N]=/other gives a node another root file system than the guest's: that of
# run.sh --other, with what was staged for it.
#
# Sourced. State of node N is in /lab/N: pid (of the holder), etc (its /etc),
# var (its /var/lib/mcipsec, survives a power loss), log.

LAB_DIR=/lab
declare -A NODE_ROOT=()
LAB_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

node_pid() { cat "$LAB_DIR/$1/pid"; }

node_alive()
{
	local pid
	pid=$(node_pid "$1" 2>/dev/null) && kill -0 "$pid" 2>/dev/null
}

# lab NODE CMD...: run a command in a node: the program `lab`, without a shell of
# its own, which would double what a call costs in an emulated machine.
lab()
{
	local pid
	read -r pid 2>/dev/null <"$LAB_DIR/$1/pid" || { echo "lab: no node $1" >&2; return 127; }
	shift
	nsenter -t "$pid" -n -m -p -u -- "$@"
}

# node_etc NODE: a fresh /etc for it: the root's, the product's own examples for
# BIRD and keepalived, and selftests/lab/etc/NODE on top.
node_etc()
{
	local dir=$LAB_DIR/$1 tree=$LAB_SRC/../.. name=${1,,} root=${NODE_ROOT[$1]:-}
	name=${name/-/}
	rm -rf "$dir/etc"
	mkdir -p "$dir/etc" "$dir/var" "$dir/log"
	cp -a "$root/etc/." "$dir/etc/"
	[ -z "$root" ] || cp -a /run/other-stage/etc/. "$dir/etc/"
	rm -rf "$dir/etc"/{swanctl/conf.d,bird,keepalived}
	if [ -e "$tree/bird-conf/examples/$name.conf" ]; then
		mkdir "$dir/etc/bird"
		cp "$tree/bird-conf/mcipsec.conf" "$tree/bird-conf/examples/bfd-timers.conf" "$dir/etc/bird/"
		cp "$tree/bird-conf/examples/$name.conf" "$dir/etc/bird/bird.conf"
	fi
	if [ -e "$tree/keepalived-track/examples/$name.conf" ]; then
		mkdir "$dir/etc/keepalived"
		cp "$tree/keepalived-track/examples/$name.conf" "$dir/etc/keepalived/keepalived.conf"
		# 2.3 does not start without the options it was built with.
		cp "$root/etc/keepalived/keepalived.config-opts" "$dir/etc/keepalived/" 2>/dev/null || :
	fi
	cp -r "$LAB_SRC/etc/common/." "$dir/etc/"
	if [ -d "$LAB_SRC/etc/$1" ]; then
		cp -r "$LAB_SRC/etc/$1/." "$dir/etc/"
	fi
	# The product's plugin is for gateways: anywhere else its gate would stay
	# closed for want of an agent. A customer whose first attempt came to nothing
	# asks again with a packet 30 s later; charon's own 165 s would silence the
	# trap for longer than a test waits.
	case $1 in
	SeGW-*) sed -i '/xfrm_acq_expires/d' "$dir/etc/strongswan.conf" ;;
	*) rm -f "$dir/etc/strongswan.d/charon/mcipsec.conf" ;;
	esac
	sed -i "s#@NODE@#$1#g" "$dir/etc/strongswan.conf"
	[ -e "$dir/etc/strongswan.d/charon/mcipsec.conf" ] ||
		sed -i '/mcipsec\.conf/d' "$dir/etc/strongswan.conf"
	chmod -R go-w "$dir/etc"
}

# node_create NODE: its namespaces, without any cable.
node_create()
{
	local node=$1 dir=$LAB_DIR/$1
	[ -d "$dir/etc" ] || node_etc "$node"
	rm -f "$dir/ready"
	setsid unshare --net --mount --pid --uts --fork \
		"$LAB_SRC/holder.sh" "$node" "$dir" "${NODE_ROOT[$node]:-}" </dev/null >>"$dir/log/holder.log" 2>&1 &
	local outer=$!
	wait_for "$node is there" 60 test -e "$dir/ready" || return 1
	# unshare waits outside; the holder is its only child.
	pgrep -P "$outer" | head -n 1 >"$dir/pid"
	lab "$node" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 \
		net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.all.send_redirects=0 \
		net.ipv4.conf.default.send_redirects=0 net.ipv4.conf.all.accept_redirects=0 \
		net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 \
		net.ipv4.udp_l3mdev_accept=0 net.ipv4.tcp_l3mdev_accept=0
}

# cable_make NAME: a cable without ends.
cable_make()
{
	ip link show "$1" >/dev/null 2>&1 && return
	ip link add "$1" type bridge stp_state 0 mcast_snooping 0
	sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1"
	ip link set "$1" up
}

# cable_plug CABLE NODE DEV PORT: give NODE the device DEV on CABLE; PORT names
# the cable's end.
cable_plug()
{
	ip link add "$4" type veth peer name "$3" netns "$(node_pid "$2")"
	ip link set "$4" master "$1"
	sysctl -qw "net.ipv6.conf.$4.disable_ipv6=1"
	ip link set "$4" up
	lab "$2" ip link set "$3" up
}

# port_plug SWITCH-NODE BRIDGE NODE DEV PORT: the same, where the bridge is in
# another node (S-1).
port_plug()
{
	ip link add "$5" netns "$(node_pid "$1")" type veth peer name "$4" netns "$(node_pid "$3")"
	lab "$1" ip link set "$5" master "$2" up
	lab "$3" ip link set "$4" up
}

# cable_cut PORT / cable_mend PORT: silently drop (pass again) everything.
cable_cut() { bridge link set dev "$1" state 0; }
cable_mend() { bridge link set dev "$1" state 3; }

# node_destroy NODE: kill its first process; everything of it goes. Connections
# that nobody holds any more would keep the namespace for minutes otherwise.
node_destroy()
{
	local pid dir=$LAB_DIR/$1
	pid=$(node_pid "$1") || return 0
	lab "$1" sysctl -qw net.ipv4.tcp_orphan_retries=1
	kill -9 "$pid" 2>/dev/null
	rm -f "$dir/pid" "$dir/ready"
	wait_for "$1 is gone" 60 test ! -e "/proc/$pid"
}
