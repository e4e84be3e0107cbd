#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_twelve.sh - the twelve faults that tell most, in one guest.
#
# usage: test_twelve.sh [PATTERN]	only the cases whose title matches

. "$(dirname "$0")/faults.sh"
. "$FAULTS_DIR/daemons.sh"
. "$FAULTS_DIR/power.sh"
. "$FAULTS_DIR/network.sh"
. "$FAULTS_DIR/limits.sh"

faults_up
fault "agent killed on the master" agent_killed_master
fault "agent killed on the master and started at once" agent_crashed_master
fault "charon killed on the master" charon_killed_master
fault "charon killed on the standby, records before its connections" await_conf
fault "keepalived killed on the master" keepalived_killed_master
fault "BIRD killed on the master" bird_killed_master
fault "power loss in a rekey of the child by CE-1, CREATE_CHILD_SA answer lost" \
	power_in_rekey CE-1 child input "$CREATE_CHILD_SA" answer
fault "power loss of the master, hand-over flipped" power_in_handover M S $FLIPPED $COMMIT
fault "MIMP and BFD, 30 % lost" impaired mimp dropped 5 loss 30%
fault "apart: mimp mcs" partition mimp mcs
fault "the clock jumps an hour ahead" clock_jump 3600
fault "MCS is not read" mcs_not_read
faults_end
