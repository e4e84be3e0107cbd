#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_inflight.sh - takeovers in the middle of an exchange: a response that got
# lost, with fragments; own requests that the peer did not or did see; records
# that come before their configuration, or broken. Then timers: of a passive
# gateway they do nothing, not even when the kernel's states expire; after a
# takeover they act at the time they were set to on the other chassis, or at once
# if that is over. And a hand-over before charon has removed what a rekey ended.

. "$(dirname "$0")/common.sh"

plugin_up || exit 1
FRAGMENTATION=force FRAGMENT_SIZE=250
plugin_part inflight inflight.py
FRAGMENTATION='' FRAGMENT_SIZE=''
CHILD_REKEY=20s CHILD_LIFE=900s IKE_REKEY=25s IKE_OVER=900s
plugin_part lifetime lifetime.py
CHILD_REKEY='' CHILD_LIFE='' IKE_REKEY='' IKE_OVER=''
DELETE_DELAY=600
plugin_part delayed delayed.py
plugin_end
