#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_takeover.sh - a tunnel set up on A is synced to B, A goes away, the peer's
# ping goes on over the same SPIs through B, B rekeys, answers DPD, and hands
# everything back to A. Then the same with CBC and HMAC, MODP2048, and the
# gateway as the initiator of the IKE_SA.

. "$(dirname "$0")/common.sh"
DPD=2

plugin_up || exit 1
plugin_part gcm takeover.py
IKE=aes256-sha256-modp2048 ESP=aes256-sha256-modp2048
plugin_part cbc takeover.py A
plugin_end
