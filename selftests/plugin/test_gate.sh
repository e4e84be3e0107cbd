#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_gate.sh - nothing leaves before the agent spoke, nothing from a passive
# group, and with output commit nothing before the standby has it; wrong
# commands change nothing; a stopping charon leaves without a DELETE.

. "$(dirname "$0")/common.sh"

plugin_up || exit 1
for node in peer A B; do
	charon_start "$node" || exit 1
done
plugin_test gate.py
