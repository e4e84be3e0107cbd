#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# agent_client.sh - the agent's unit tests that need the module (they would only
# be skipped on the machine that builds): its netlink client against mcipsec.ko.

here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"

binary=${MCIPSEC_AGENT_TESTS:-$here/../../build/agent}/test_io_module

setup
[ -x "$binary" ] || { skip "everything here" "$binary"; tap_end; }

CMOCKA_MESSAGE_OUTPUT=TAP "$binary" >/tmp/tap 2>/tmp/tap.err
rc=$?
sed 's/^/# /' /tmp/tap.err
while read -r line; do
	case $line in
	*'# SKIP'*) fail "${line#*- } (skipped although the module is loaded)" ;;
	'ok '*) pass "${line#*- }" ;;
	'not ok '*) fail "${line#*- }" ;;
	'#'*) echo "$line" ;;
	esac
done </tmp/tap
check "there were tests, and the program says so too (exit $rc)" test "$tap_count" -gt 0 -a "$rc" = 0
finish
