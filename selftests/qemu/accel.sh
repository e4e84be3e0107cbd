#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# accel.sh - print the QEMU accelerator to use: kvm only where the processor
# says that it can virtualise, /dev/kvm opens, and the lab kernel reaches its
# init within 10 s under it; else tcg. A /dev/kvm that exists may still hang a
# guest for ever. The answer is kept in build/lab/accel.
#
# usage: accel.sh KERNEL-DIR

set -euo pipefail
. "$(dirname "$0")/common.sh"

tcg=tcg,thread=multi
kdir=$1

probe()
{
	grep -qwE 'vmx|svm' /proc/cpuinfo || return 1
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
	# Without disks init stops by itself and says so: that is far enough.
	timeout -s KILL 10 qemu-system-x86_64 -nodefaults -no-user-config -no-reboot -display none \
		-machine pc -accel kvm -cpu max -m 512 -kernel "$kdir/vmlinuz" \
		-initrd "$kdir/initrd.img" -append "console=ttyS0 panic=-1" -serial stdio \
		</dev/null 2>/dev/null | grep -q 'init: '
}

if [ ! -s "$LAB/accel" ]; then
	if probe; then
		echo kvm >"$LAB/accel"
	else
		echo "$tcg" >"$LAB/accel"
	fi
fi
cat "$LAB/accel"
