# SPDX-License-Identifier: GPL-2.0-or-later
#
# lab.sh - everything that a script in the lab needs, in the right order; logs and
# captures go to /results when it ends.
#
# Sourced.

LAB_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$LAB_SRC/../lib.sh"
. "$LAB_SRC/node.sh"
. "$LAB_SRC/topology.sh"
. "$LAB_SRC/daemons.sh"
. "$LAB_SRC/gateway.sh"
. "$LAB_SRC/tunnels.sh"
. "$LAB_SRC/observe.sh"

lab_results()
{
	lab_collect /results
	cp "$OBS_DIR"/* /results/ 2>/dev/null
}
trap lab_results EXIT
