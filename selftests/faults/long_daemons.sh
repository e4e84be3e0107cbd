#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_daemons.sh - each daemon killed, stopped and restarted, on each chassis, on
# the master and on the standby; upgrades; charon without its connections.
#
# usage: long_daemons.sh [PATTERN]	only the cases whose title matches

. "$(dirname "$0")/faults.sh"
. "$FAULTS_DIR/daemons.sh"

faults_up
daemons_matrix "first round"
fault "rolling upgrade" rolling_upgrade
daemons_matrix "second round"
fault "rolling upgrade, back" rolling_upgrade
fault "records before their connections" await_conf
faults_end
