#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guest.sh - process 1 of a lab guest: completes the file systems, lays the
# staged installation over the root, runs the one job of this guest and writes
# its exit code to /results/.exit-code. No service manager runs.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 TERM=${TERM:-dumb}
cd /

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
ln -sfn /proc/self/fd /dev/fd
ln -sfn /proc/self/fd/0 /dev/stdin
ln -sfn /proc/self/fd/1 /dev/stdout
ln -sfn /proc/self/fd/2 /dev/stderr
hostname lab
ip link set lo up
echo 4 >/proc/sys/kernel/printk

. /results/.job	# sets job=(SCRIPT ARG...), interactive=0|1, limit=SECONDS, other=SUITE|''

# Only data: the stage must not change owners or modes of shared folders.
lay_over()
{
	(cd "$1" && tar -cf - --owner=0 --group=0 .) |
		tar -xf - -C "$2" --no-overwrite-dir --keep-directory-symlink
}

if [ -n "$other" ]; then
	mkdir /run/other-stage
	lay_over "/mcipsec/build/stage-$other" /run/other-stage
fi
if [ -d /mcipsec/build/stage ]; then
	lay_over /mcipsec/build/stage /
	[ -z "$(ls "/lib/modules/$(uname -r)/extra" 2>/dev/null)" ] || depmod
fi

# Hooks that stay. The kernel rewrites its own code (a static key) when the first hook of a
# kind comes or the last one goes; under emulation with two processors that once left both
# of them on a breakpoint for good, where a test took its filter away.
nft -f - <<EOT
table inet lab_stays {
	chain prerouting { type filter hook prerouting priority 300; }
	chain input { type filter hook input priority 300; }
	chain forward { type filter hook forward priority 300; }
	chain output { type filter hook output priority 300; }
	chain postrouting { type filter hook postrouting priority 300; }
}
EOT

code=126
if [ "$interactive" = 1 ]; then
	setsid -c "${job[@]}" <>/dev/hvc0 >&0 2>&1
	code=$?
else
	stty -F /dev/hvc0 -opost 2>/dev/null
	# A job that is late can still save its logs on TERM; run.sh itself cannot.
	timeout -k 10 "$limit" "${job[@]}" </dev/null >/dev/hvc0 2>&1
	code=$?
fi
echo "$code" >/results/.exit-code
sync
echo 1 >/proc/sys/kernel/sysrq
echo o >/proc/sysrq-trigger
sleep 60
