#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_midsync.sh - takeovers with message ids that are behind: the peer is asked
# for the right ones (RFC 6311), or followed where it does not speak that, and
# neither is harmed; nor is a peer whose own request crosses the question. CBC, as
# a stock peer can answer once only with GCM.

. "$(dirname "$0")/common.sh"
DPD=2 IKE=aes256-sha256-x25519

plugin_up || exit 1
plugin_part speaks midsync.py peer
plugin_part "does not speak" midsync.py A
DPD=0
plugin_part crossing crossing.py
plugin_end
