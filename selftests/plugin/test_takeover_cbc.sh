#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_takeover_cbc.sh - test_takeover.sh with CBC and HMAC, MODP2048, and the
# gateway as the initiator of the IKE_SA.

. "$(dirname "$0")/common.sh"
IKE=aes256-sha256-modp2048 ESP=aes256-sha256-modp2048

DPD=2
plugin_up || exit 1
for node in peer A B; do
	charon_start "$node" || exit 1
done
plugin_test takeover.py A
