#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_variants.sh - one tunnel of each kind is set up through A, synced, taken
# over by B, rekeyed and handed back: algorithms, the seed's older ones as well, ESN,
# NAT with a rebinding, IPv6 outside and inside, fragments, certificates with a chain
# and CRLs, asymmetric authentication, several CHILD_SAs, interface ids and marks,
# transport mode, IPComp, several peers of one connection with addresses of a pool.

. "$(dirname "$0")/common.sh"
PLUGINS="pem pkcs1 x509 revocation constraints eap-identity eap-md5"

plugin_up || exit 1
plugin_part variants variants.py
plugin_end
