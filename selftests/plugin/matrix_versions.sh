#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# matrix_versions.sh - what one version of strongSwan knows and another one does not:
# numbers in a record, and from 6.0 on IKE_SAs of several key exchanges.
#
# usage: matrix_versions.sh NODE...     those that run from the other root, and the peer
#                                       with A: run.sh --other trixie

[[ " $* " != *' A '* ]] || set -- "$@" peer
. "$(dirname "$0")/common.sh"

plugin_up || exit 1
plugin_part versions versions.py
case " $* " in
*' A '*) plugin_part kes kes.py ;;
esac
plugin_end
