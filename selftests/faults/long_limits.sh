#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_limits.sh - clock jumps, a full disk, no descriptors, netlink overrun, a peer
# that does not read.
#
# usage: long_limits.sh [PATTERN]	only the cases whose title matches

. "$(dirname "$0")/faults.sh"
. "$FAULTS_DIR/power.sh"
. "$FAULTS_DIR/network.sh"
. "$FAULTS_DIR/limits.sh"

faults_up
fault "the clock jumps an hour ahead" clock_jump 3600
fault "the clock jumps an hour back" clock_jump -3600
fault "no file descriptors" descriptors_gone
fault "the disk is full" disk_full
fault "netlink overrun" netlink_overrun
fault "MCS is not read" mcs_not_read
faults_end
