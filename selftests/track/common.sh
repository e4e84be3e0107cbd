# SPDX-License-Identifier: GPL-2.0-or-later
#
# common.sh - what the tests of keepalived-track and bird-conf share. Sourced in
# the guest. The lab gives its nodes the product's own example files.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib.sh"
. "$here/../lab/node.sh"
. "$here/../lab/topology.sh"
. "$here/../lab/daemons.sh"

# The interface beside the VRRP MAC address keeps quiet, as the example says.
quiet_arp()	# NODE
{
	lab "$1" sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
}

mcnl() { lab "$1" "$here/mcnl.py" "${@:2}"; }	# NODE COMMAND...

# exits NODE CODE CMD...: CMD ends with exactly that exit code.
exits()
{
	local code
	lab "$1" "${@:3}" >/dev/null 2>&1
	code=$?
	[ "$code" -eq "$2" ] || { diag "${*:3}: exit $code, expected $2"; return 1; }
}

# need_module: or skip the whole script.
need_module()
{
	modprobe mcipsec 2>/dev/null && return
	skip "everything here" "kernel module mcipsec"
	tap_end
}
