#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_ospf.sh - the gateway address in a routed public side: the example's filter for
# OSPF, as it stands there, announces the /32 from both gateways with a metric by state.
# P-1 follows the master, with its peer and without (seed, "Routing in Public Service").

. "$(dirname "$0")/scene.sh"

scene_configure()
{
	sed -i '/^protocol ospf/,/^}/s/export none;/export filter ipsec_to_ospf;/' "$LAB_DIR/$1/etc/bird/bird.conf"
}

# public_route: "interface metric" of the route to the gateway address that P-1 prefers.
# To the filter's metric comes the cost of the link, 10.
public_route()
{
	lab P-1 birdc show route primary for 10.10.20.1/32 all | awk '
		$1 == "via" { dev = $4 }
		/OSPF.metric1:/ { metric = $2 }
		END { print dev, metric }'
}
public_is() { public=$(public_route); [ "$public" = "$1" ] || { echo "$public"; return 1; }; }
announcers() { lab P-1 birdc show ospf lsadb type 5 | awk '$2 == "10.10.20.1" { print $3 }' | sort | tr '\n' ' '; }

plan $((SCENE_POINTS + 7))
scene_up
check_wait "both gateways announce the gateway address" 30 eval '[ "$(announcers)" = "192.0.2.1 192.0.2.2 " ]'
check_wait "P-1 prefers SeGW-1, the master with its peer: metric 10" 20 public_is "int-P1-SeGW1 20"
check "force-switchover" hand_over SeGW-1
check_wait "P-1 prefers SeGW-2, the master with its peer: metric 10" 20 public_is "int-P1-SeGW2 20"
check_wait "nominal on both" 60 nominal
node_kill SeGW-1
check_wait "SeGW-1 has lost power: SeGW-2 is eligible" 30 mc_is SeGW-2 mastership eligible
check_wait "P-1 prefers it still, without its peer: metric 20" 20 public_is "int-P1-SeGW2 30"
scene_end
