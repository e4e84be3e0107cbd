# SPDX-License-Identifier: GPL-2.0-or-later
#
# common.sh - what the module's tests share. Sourced in the guest.
#
#   ce 192.0.2.10 --+-- pub --+-- 192.0.2.1 gw1 10.3.0.1 --+-- prv --+-- 10.3.0.9 p
#   10.1.0.1        |         +-- 192.0.2.2 gw2 10.3.0.2 --+         10.2.0.1
#                             gw1 10.99.0.1 ---- red ---- 10.99.0.2 gw2
#
# Both gateways own 198.51.100.1 (and 2001:db8:ff::1) and hold the same static
# SAs with ce: SPI 0x100 from ce, 0x200 to it. ce and p choose a gateway by
# their routes (via gw1|gw2), so each packet's way is known.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"

GW=198.51.100.1 GW6=2001:db8:ff::1
CE=192.0.2.10 CE6=2001:db8:2::10
ME=cookie-1

nl_tool=${MCIPSEC_TOOLS:-$here/../../build/lab-tools}/mcipsec-nl
module=$here/../../build/kmod/$(uname -r)/kmod/mcipsec.ko

load_module()
{
	if modinfo -n mcipsec >/dev/null 2>&1; then
		modprobe mcipsec "$@"
	else
		insmod "$module" "$@"
	fi
}

# setup: or skip the whole script.
setup()
{
	rmmod mcipsec 2>/dev/null
	[ -x "$nl_tool" ] || { skip "everything here" "$nl_tool"; tap_end; }
	load_module debug=1 selftest=1 || { skip "everything here" "kernel module mcipsec"; tap_end; }
	modprobe -a esp4 esp6 xfrm_user xfrm_interface veth bridge dummy 2>/dev/null
}

on() { nsenter --net="/run/netns/$1" "${@:2}"; }	# NS CMD...
nl() { on "$1" "$nl_tool" "${@:2}"; }			# NS COMMAND...

field() { nl "$1" group get "${3:-1}" | sed -n "s/^$2 //p"; }		# NS NAME [GROUP]
stat() { nl "$1" group get "${3:-1}" | sed -n "s/^stat $2 //p"; }	# NS NAME [GROUP]
set_state() { nl "$1" state "$ME" "1=$2"; }				# NS STATE[,FLAG]

# of_sa NS SPI COLUMN: oseq (4), seq (5) or packets (6) as the module exports it.
of_sa() { nl "$1" seq get | awk -v spi="$2" -v col="$3" '$1 == spi { print $col }'; }
oseq_of() { of_sa "$1" "$2" 4; }
seq_of() { of_sa "$1" "$2" 5; }

# counts NS STAT MIN CMD...: CMD raises the counter by at least MIN.
counts()
{
	local before after rc
	before=$(stat "$1" "$2")
	"${@:4}"
	rc=$?
	after=$(stat "$1" "$2")
	[ $((after - before)) -ge "$3" ] || { diag "$2 went from $before to $after"; return 1; }
	[ $rc -eq 0 ] || { diag "$2 went from $before to $after, but: ${*:4}: exit $rc"; return 1; }
}

link()	# NS DEV BRIDGE ADDRESS...
{
	local ns=$1 dev=$2 bridge=$3 a
	ip link add "$dev" netns "$ns" type veth peer name "$ns-$dev" netns sw
	ip -n sw link set "$ns-$dev" up master "$bridge"
	for a in "${@:4}"; do ip -n "$ns" addr add "$a" dev "$dev"; done
	ip -n "$ns" link set "$dev" up
}

ns_create()
{
	ip netns add "$1"
	on "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0
	ip -n "$1" link set lo up
}

gateway_create()	# NAME NUMBER
{
	ns_create "$1"
	link "$1" pub pub "192.0.2.$2/24" "2001:db8:2::$2/64"
	link "$1" prv prv "10.3.0.$2/24"
	ip -n "$1" link add gw type dummy
	ip -n "$1" link set gw up arp off
	ip -n "$1" addr add $GW/32 dev gw
	ip -n "$1" addr add $GW6/128 dev gw
	ip -n "$1" route add 10.2.0.1 via 10.3.0.9
	ip -n "$1" route add 10.1.0.1 via $CE
}

topology()
{
	local b
	ns_create sw
	for b in pub prv; do
		ip -n sw link add $b type bridge
		ip -n sw link set $b up
	done
	ns_create ce
	link ce pub pub $CE/24 $CE6/64
	ip -n ce addr add 10.1.0.1/32 dev lo
	ns_create p
	link p prv prv 10.3.0.9/24
	ip -n p addr add 10.2.0.1/32 dev lo
	gateway_create gw1 1
	gateway_create gw2 2
	ip link add red netns gw1 type veth peer name red netns gw2
	ip -n gw1 addr add 10.99.0.1/30 dev red
	ip -n gw2 addr add 10.99.0.2/30 dev red
	ip -n gw1 link set red up
	ip -n gw2 link set red up
	via gw1
}

# via GATEWAY: ce and p send by it.
via()
{
	local n=${1#gw}
	ip -n ce route replace $GW via "192.0.2.$n"
	ip -n ce route replace 10.2.0.1 via "192.0.2.$n" src 10.1.0.1
	ip -n ce route replace $GW6 via "2001:db8:2::$n"
	ip -n p route replace 10.1.0.1 via "10.3.0.$n" src 10.2.0.1
}

aead='rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128'

# sa NS [esn] [udp] [v6] [if_id N]: the tunnel's SAs and policies, fresh.
sa()
{
	local ns=$1 a=$CE b=$GW opt=() dir policy=() templ
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		esn) opt+=(flag esn replay-window 128) ;;
		window) opt+=(replay-window 32) ;;
		udp) opt+=(encap espinudp 4500 4500 0.0.0.0) ;;
		v6) a=$CE6 b=$GW6; opt+=(flag af-unspec) ;;
		if_id) opt+=(if_id "$2"); policy=(if_id "$2"); shift ;;
		esac
		shift
	done
	ip -n "$ns" xfrm state flush
	ip -n "$ns" xfrm policy flush
	# shellcheck disable=SC2086
	{
		ip -n "$ns" xfrm state add src $a dst $b proto esp spi 0x100 reqid 1 mode tunnel \
			aead $aead "${opt[@]}"
		ip -n "$ns" xfrm state add src $b dst $a proto esp spi 0x200 reqid 1 mode tunnel \
			aead $aead "${opt[@]}"
	}
	if [ "$ns" = ce ]; then dir=(out in); else dir=(in out); fi
	ip -n "$ns" xfrm policy add src 10.1.0.1/32 dst 10.2.0.1/32 dir "${dir[0]}" "${policy[@]}" \
		tmpl src $a dst $b proto esp reqid 1 mode tunnel
	ip -n "$ns" xfrm policy add src 10.2.0.1/32 dst 10.1.0.1/32 dir "${dir[1]}" "${policy[@]}" \
		tmpl src $b dst $a proto esp reqid 1 mode tunnel
	if [ "$ns" = ce ]; then
		templ="src 10.2.0.1/32 dst 10.1.0.1/32 dir fwd tmpl src $b dst $a"
	else
		templ="src 10.1.0.1/32 dst 10.2.0.1/32 dir fwd tmpl src $a dst $b"
	fi
	# shellcheck disable=SC2086
	ip -n "$ns" xfrm policy add ${templ/ tmpl/ ${policy[*]} tmpl} proto esp reqid 1 mode tunnel
}

patience=2
ping_p() { on ce ping -q -c "${1:-1}" -i 0.05 -W $patience -I 10.1.0.1 10.2.0.1 >/dev/null; }
ping_ce() { on p ping -q -c "${1:-1}" -i 0.05 -W $patience -I 10.2.0.1 10.1.0.1 >/dev/null; }

# fails CMD...: for packets whose fate a counter tells, so there is no need to
# wait long for the answer that must not come.
fails() { local patience=0.3; ! "$@"; }

# still NS CMD...: no SA of NS moves by a number.
still()
{
	local before after rc
	before=$(nl "$1" seq get)
	"${@:2}"
	rc=$?
	after=$(nl "$1" seq get)
	[ -n "$before" ] && [ "$before" = "$after" ] || { diag "SAs moved: $before -> $after"; return 1; }
	[ $rc -eq 0 ] || { diag "no SA moved, but: ${*:2}: exit $rc"; return 1; }
}
# moves NS CMD...: CMD works, and one does.
moves()
{
	local before after
	before=$(nl "$1" seq get)
	"${@:2}" || return 1
	after=$(nl "$1" seq get)
	[ -n "$before" ] && [ -n "$after" ] && [ "$before" != "$after" ]
}
pkt() { on "$1" python3 -IS "$here/pkt.py" "${@:2}"; }	# NS COMMAND...

refused() { pkt "$1" send $GW $CE "$2" 2>&1 | grep -q EPERM; }	# NS PORT

# background NS CMD...: until the script ends.
jobs_started=()
background()
{
	nsenter --net="/run/netns/$1" "${@:2}" &
	jobs_started+=($!)
}

# tripwire: what the kernel must not have said during the test.
kernel_is_quiet()
{
	! dmesg | grep -E 'BUG:|WARNING:|Oops|general protection|refcount_t|unregister_netdevice|suspicious RCU|rcu.*stall'
}

finish()
{
	local pid
	for pid in "${jobs_started[@]}"; do kill "$pid" 2>/dev/null; done
	check "the kernel reported no error" kernel_is_quiet
	tap_end
}
