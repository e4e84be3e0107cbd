#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# holder.sh - process 1 of a lab node: private /proc, /run and /etc, then nothing
# but reaping what is orphaned. When it is killed the kernel kills every other
# process of the node and the network namespace goes with its devices, XFRM
# state and the module's groups: that is a power loss.
#
# On USR1 it becomes systemd, as in a container: with a cgroup tree and a /tmp of
# its own. /etc, network and cables are then as the test has made them.
#
# usage: holder.sh NODE STATE-DIR [ROOT]   (in new net, mount, pid and uts namespaces)
# With ROOT (run.sh --other) the node's root is a writable layer of its own over that,
# with what was staged for it.

node=$1 dir=$2 root=${3:-}

enter_root()
{
	local m
	mkdir -p "$dir/root"
	mount -t tmpfs tmpfs "$dir/root" || exit 1
	mkdir "$dir"/root/{data,work,all}
	mount -t overlay -o "lowerdir=/run/other-stage:$root,upperdir=$dir/root/data,workdir=$dir/root/work" \
		overlay "$dir/root/all" || exit 1
	cd "$dir/root/all" && mkdir -p old || exit 1
	mount --rbind /dev dev
	for m in tmp mcipsec results lab; do
		mkdir -p "$m"
		mount --bind "/$m" "$m" || exit 1
	done
	pivot_root . old || exit 1
	exec /mcipsec/selftests/lab/holder.sh "$node" "$dir" inside
}

mount --make-rprivate /
case $root in
'') ;;
inside) umount -l /old ;;
*) enter_root ;;
esac
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

become_systemd()
{
	kill "$!" 2>/dev/null
	mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
		mkdir -p "/sys/fs/cgroup/$node" &&
		echo 0 >"/sys/fs/cgroup/$node/cgroup.procs" &&
		umount /sys/fs/cgroup &&
		mount -t tmpfs -o mode=1777 tmpfs /tmp || exit 1
	# shellcheck disable=SC2093
	exec unshare --cgroup sh -c 'mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
		exec env -i container=lab PATH="$PATH" LANG=C.UTF-8 /lib/systemd/systemd --system --log-target=journal'
}
trap become_systemd USR1
touch "$dir/ready"
while :; do
	sleep infinity &
	wait $!
done
