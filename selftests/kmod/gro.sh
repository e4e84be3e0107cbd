#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gro.sh - with esp4_offload and esp6_offload, ESP is decrypted before any hook
# of netfilter. The control shows that this way is open for a master, so that
# the test would see it if it were open for anybody else.

. "$(dirname "$0")/common.sh"
setup
topology
modprobe -a esp4_offload esp6_offload || { skip "everything here" "esp4_offload, esp6_offload"; tap_end; }
on gw1 ethtool -K pub gro on || { skip "everything here" "ethtool"; tap_end; }
# veth takes the way through GRO only for what its other end does not segment.
on sw ethtool -K gw1-pub tso off
for family in ip ip6; do
	on gw1 nft add table $family t
	on gw1 nft add chain $family t c '{ type filter hook prerouting priority -450; }'
done
on gw1 nft add rule ip t c ip protocol esp counter
on gw1 nft add rule ip6 t c meta l4proto esp counter
hooked() { on gw1 nft -j list table "$1" t | jq '.nftables[].rule?.expr[]?.counter?.packets | numbers'; }

# passes_hook FAMILY CMD...: CMD's ESP was seen by netfilter.
passes_hook()
{
	local before
	before=$(hooked "$1")
	"${@:2}"
	[ "$(hooked "$1")" -gt "${before:-0}" ]
}
by_gro() { local before; before=$(hooked "$1"); "${@:2}" && [ "$(hooked "$1")" = "$before" ]; }

round()	# WHEN
{
	local version
	for version in 4 6; do
		local family=ip args=()
		[ $version = 6 ] && family=ip6 args=(v6)
		for ns in ce gw1; do sa $ns esn "${args[@]}"; done
		set_state gw1 master
		check "$1, IPv$version: control: for a master GRO decrypts, no hook sees ESP" \
			by_gro $family ping_p 3
		for state in discovery notEligible standby; do
			set_state gw1 $state
			check "$1, IPv$version: $state: kept from GRO, dropped by the gate, window untouched" \
				counts gw1 drop_gro 2 counts gw1 drop_esp 2 still gw1 fails ping_p 2
		done
		nl gw1 gate off
		check "$1, IPv$version: and by the XFRM handlers, were it not for the gate" \
			counts gw1 drop_xfrm 1 passes_hook $family still gw1 fails ping_p
		nl gw1 gate on
	done
}

nl gw1 group add 1 addr $GW addr $GW6
round "offload first"
nl gw1 group del 1
check_not "while wrapped, esp4_offload stays" rmmod esp4_offload
rmmod mcipsec
for ns in ce gw1; do ip -n $ns xfrm state flush; done
check_wait "afterwards it can go" 5 rmmod esp4_offload esp6_offload
load_module debug=1
nl gw1 group add 1 addr $GW addr $GW6
modprobe -a esp4_offload esp6_offload
round "offload second"
finish
