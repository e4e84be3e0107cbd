#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmod_flip.sh - a flip touches no SA: netlink request to first packet treated
# by the new state, with 1 and with 10,000 SAs. Ratio below 1.5.

. "$(dirname "$0")/../kmod/common.sh"
setup
ip netns add bench
ip -n bench link set lo up
ip -n bench link add out type dummy
ip -n bench link set out up
ip -n bench addr add $GW/32 dev out
ip -n bench route add 10.0.0.0/8 dev out
on bench "$(dirname "$nl_tool")/bench-flip" "${1:-10000}" >/run/json || exit 1
cat /run/json
cp /run/json /results/kmod_flip.json 2>/dev/null
check "a flip takes as long with 10,000 SAs as with 1 (ratio $(jq .ratio /run/json), below 1.5)" \
	jq -e '.ratio < 1.5' /run/json >/dev/null
finish
