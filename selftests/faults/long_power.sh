#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_power.sh - power loss at each step of a tunnel's set-up, of rekeys from both
# sides, of force-switchover and of the synchronisation.
#
# usage: long_power.sh [PATTERN]	only the cases whose title matches

. "$(dirname "$0")/faults.sh"
. "$FAULTS_DIR/power.sh"

# An audit each second, and time to see a packet held.
faults_configure()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	printf '[redundancy.multi-chassis.peer."%s".sync.ipsec]\naudit-interval = 1\noutput-commit-limit = 5000\n' \
		"$(peer_address "$1")" >"$LAB_DIR/$1/etc/mcipsec/conf.d/power.toml"
}

faults_up
power_in_rekeys
power_in_handovers
power_in_syncs
power_in_setups
faults_end
