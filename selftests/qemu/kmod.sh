#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmod.sh - build the module for a lab kernel under build/kmod/RELEASE/, so that
# kmod/ itself stays clean and every kernel has its own objects.
#
# usage: kmod.sh [6.1|6.12] [MAKE-ARG...]      e.g. kmod.sh 6.1 style

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
with_lock "kmod-$release" build "$@"
