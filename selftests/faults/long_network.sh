#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_network.sh - loss, delay, reordering, duplication, one-way loss, flapping on
# every path; every set of paths cut and healed.
#
# usage: long_network.sh [PATTERN]	only the cases whose title matches

. "$(dirname "$0")/faults.sh"
. "$FAULTS_DIR/power.sh"
. "$FAULTS_DIR/network.sh"

faults_up
impairments
fault "one way: the standby does not hear" one_way S
fault "one way: the master does not hear" one_way M
fault "MIMP and BFD flap" flapping
fault "MCS flaps" mcs_flapping
partitions
faults_end
