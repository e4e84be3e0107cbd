#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_takeover.sh - a tunnel set up on A is synced to B, A goes away, the peer's
# ping goes on over the same SPIs through B, B rekeys, answers DPD, and hands
# everything back to A.

. "$(dirname "$0")/common.sh"

DPD=2
plugin_up || exit 1
for node in peer A B; do
	charon_start "$node" || exit 1
done
plugin_test takeover.py
