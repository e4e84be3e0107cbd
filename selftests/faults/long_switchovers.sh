#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_switchovers.sh - 200 switchovers in a row, every other one a power loss: no
# tunnel is lost, memory is flat.
#
# usage: long_switchovers.sh [NUMBER]

number=${1:-200}
. "$(dirname "$0")/faults.sh" '*'
. "$FAULTS_DIR/switchovers.sh"

faults_up
switchovers "$number"
faults_end
