#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmod_seq.sh - sequence state of 10,000 SAs: the module's bulk export and
# import against XFRM one by one. Must be 10 times faster; the target is 20.

. "$(dirname "$0")/../kmod/common.sh"
need_ratio=10
setup
ip netns add bench
on bench "$(dirname "$nl_tool")/bench-seq" "${1:-10000}" >/run/json || exit 1
cat /run/json
cp /run/json /results/kmod_seq.json 2>/dev/null
for what in export import; do
	ratio=$(jq ".${what}_ratio" /run/json)
	check "$what: ${ratio} times faster, at least $need_ratio" \
		jq -e ".${what}_ratio >= $need_ratio" /run/json >/dev/null
done
finish
