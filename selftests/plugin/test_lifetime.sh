#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_lifetime.sh - timers of a passive gateway do nothing, not even when the
# kernel's states expire; after a takeover they act at the time they were set
# to on the other chassis, or at once if that is over.

. "$(dirname "$0")/common.sh"
CHILD_REKEY=60s CHILD_LIFE=900s IKE_REKEY=70s IKE_OVER=900s

plugin_up || exit 1
for node in peer A B; do
	charon_start "$node" || exit 1
done
plugin_test lifetime.py
