#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# toolchain.sh - a Debian of another release with a compiler and the headers of
# one of its kernels, as a folder to chroot into: their tools need its libc, and
# a module wants the compiler of its kernel. Made once for each kernel.
#
# usage: toolchain.sh SUITE KERNEL-RELEASE      prints the folder's path

set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/apt.sh"

suite=$1 release=$2
dir=$LAB/toolchain-$release
# apt reads no list with a plus in its name.
list=$LAB/toolchain-$suite.list

build_toolchain()
{
	as_root mmdebstrap --variant=minbase --include="make,binutils,linux-headers-$release" \
		--aptopt="$LAB_APT/transport.conf" \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		"$suite" "$dir.tmp" "$list"
}

make_toolchain()
{
	[ ! -e "$dir/usr/src/linux-headers-$release/Makefile" ] || return 0
	lab_apt_init "$suite-backports"
	cat "$LAB_APT/sources.list" >"$list"
	lab_apt_init "$suite"
	cat "$LAB_APT/sources.list" >>"$list"
	as_root rm -rf "$dir.tmp" "$dir"
	progress "toolchain for $release" build_toolchain
	mv "$dir.tmp" "$dir"
	rm "$list"
}

with_lock "toolchain-$release" make_toolchain
echo "$dir"
