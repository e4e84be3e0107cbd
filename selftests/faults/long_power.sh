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
OUTPUT_COMMIT=5000
faults_configure() { echo 'audit-interval = 1' >>"$LAB_DIR/$1/etc/mcipsec/conf.d/faults.toml"; }

faults_up
power_in_rekeys
power_in_handovers
power_in_syncs
power_in_setups
faults_end
