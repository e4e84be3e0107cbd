#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# step.sh - run one build step quietly, with a sign of life every 5 s and the end
# of its output when it fails. V=1 shows everything.
#
# usage: step.sh WHAT CMD...

. "$(dirname "$0")/common.sh"
what=$1
shift
unset MAKELEVEL
if [ "${V:-0}" = 1 ]; then
	exec "$@"
fi
progress "$what" "$@"
