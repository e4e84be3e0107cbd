#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_inflight.sh - takeovers in the middle of an exchange: a response that got
# lost, with fragments; own requests that the peer did not or did see; records
# that come before their configuration, or broken.

. "$(dirname "$0")/common.sh"
FRAGMENTATION=force FRAGMENT_SIZE=250

plugin_up || exit 1
for node in peer A B; do
	charon_start "$node" || exit 1
done
plugin_test inflight.py
