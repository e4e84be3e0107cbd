#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmod.sh - build the module for a lab kernel under build/kmod/RELEASE/, so that
# kmod/ itself stays clean and every kernel has its own objects.
#
# usage: kmod.sh [6.1|6.12|7.3] [MAKE-ARG...]      e.g. kmod.sh 6.1 style

set -euo pipefail
. "$(dirname "$0")/common.sh"

series=${1:-6.1}
shift || :
kdir=$("$TOP/selftests/qemu/kernel.sh" "$series")
release=$(cat "$kdir/release")
# What only checks has its own objects: those of the staged module stay.
out=$BUILD/kmod${1:+-checked}/$release

build()
{
	progress "mcipsec.ko for $release $*" nice -n 5 make -j "$(nproc)" -C "$TOP/kmod" \
		KDIR="$kdir/build" KVER="$release" O="$out" "$@"
}
# Headers of another release than this machine's are used inside that release.
build_there()
{
	local root src=src/mcipsec${1:+-checked}
	root=$("$TOP/selftests/qemu/toolchain.sh" trixie "$release")
	as_root mkdir -p "$root/$src"
	as_root cp -ru "$TOP/kmod" "$TOP/include" "$root/$src/"
	# The kernel's tools look into /proc; it goes with its namespace.
	# shellcheck disable=SC2016
	progress "mcipsec.ko for $release $*" as_root unshare --mount \
		sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' "$root" \
		nice -n 5 make -j "$(nproc)" -C "/$src/kmod" KVER="$release" \
		KDIR="/usr/src/linux-headers-$release" "$@"
	mkdir -p "$out/kmod"
	if [ -e "$root/$src/kmod/mcipsec.ko" ]; then
		install -m 644 "$root/$src/kmod/mcipsec.ko" "$out/kmod/mcipsec.ko"
	fi
}

if [ -e "$kdir/build/Makefile" ]; then
	with_lock "kmod-$release" build "$@"
else
	with_lock "kmod-$release" build_there "$@"
fi
