#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# holder.sh - process 1 of a lab node: private /proc, /run and /etc, then nothing
# but reaping what is orphaned. When it is killed the kernel kills every other
# process of the node and the network namespace goes with its devices, XFRM
# state and the module's groups: that is a power loss.
#
# usage: holder.sh NODE STATE-DIR    (in new net, mount, pid and uts namespaces)

node=$1 dir=$2
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/mcipsec /run/keepalived /run/bird
mount --bind "$dir/etc" /etc
mkdir -p /var/lib/mcipsec
mount --bind "$dir/var" /var/lib/mcipsec
hostname "$node"
ip link set lo up
trap 'exit 0' TERM
touch "$dir/ready"
while :; do
	sleep infinity &
	wait $!
done
