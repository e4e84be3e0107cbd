#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kernel.sh - unpack a stock Debian kernel, its modules and its headers under
# build/lab/kernel-SERIES/. Nothing of it is installed on this machine.
#
#   vmlinuz           the image
#   release           its version string (uname -r)
#   modules.squashfs  the part of its modules that the lab can use
#   initrd.img        busybox, the modules that find the root, ./init
#   build             headers to build modules against (KDIR); not for a kernel of
#                     another release, whose tools do not run here (toolchain.sh)
#
# usage: kernel.sh [6.1|6.12|7.3]      prints the directory's path

set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/apt.sh"

series=${1:-6.1}
case $series in
6.1) suite=bookworm ;;
6.12) suite=bookworm-backports ;;
7.3) suite=trixie-backports ;;
*) die "no such kernel series: $series (6.1, 6.12 or 7.3)" ;;
esac
dir=$LAB/kernel-$series
own=$(. /etc/os-release && echo "$VERSION_CODENAME")

boot_modules=(virtio_pci virtio_blk virtio_console virtio_rng squashfs overlay 9p 9pnet_virtio)

# What a router in a guest may load. The rest of Debian's 4,000 modules would
# only make depmod slow.
module_folders=(
	arch crypto lib net security
	drivers/block/virtio_blk.ko drivers/char/hw_random drivers/char/virtio_console.ko
	drivers/crypto/virtio drivers/net/*.ko drivers/net/bonding drivers/net/ipvlan
	drivers/net/netdevsim drivers/net/vxlan drivers/net/wireguard drivers/net/team
	drivers/ptp drivers/virtio
	fs/9p fs/fscache fs/netfs fs/overlayfs fs/squashfs
)

# Newer kernels come in parts that linux-image depends on.
image_packages()
{
	echo "linux-image-$1"
	APT_CONFIG=$LAB_APT/apt.conf apt-cache depends --no-recommends --no-suggests "linux-image-$1" |
		sed -n "s/^  Depends: \(linux-\(base\|binary\|modules\)-$1\)$/\1/p"
}

fetch_kernel()
{
	local release packages
	lab_apt_init "$suite"
	release=$(APT_CONFIG=$LAB_APT/apt.conf apt-cache depends --no-recommends --no-suggests \
		linux-image-amd64 | sed -n 's/^  Depends: linux-image-\(.*\)/\1/p' | sort -V | tail -n 1)
	[ -n "$release" ] || die "no linux-image-amd64 in $suite"
	rm -rf "$dir.tmp"
	mapfile -t packages < <(image_packages "$release")
	lab_apt_unpack "$dir.tmp/image" "${packages[@]}"
	echo "$release" >"$dir.tmp/release"
	# In boot, or beside the modules.
	find "$dir.tmp/image" -type f -name 'vmlinuz*' -exec mv {} "$dir.tmp/vmlinuz" \;
	[ -s "$dir.tmp/vmlinuz" ] || die "no image in ${packages[*]}"
	rm -rf "$dir"
	mv "$dir.tmp" "$dir"
}

# Headers come as three packages that name each other by absolute path.
fetch_headers()
{
	local release headers makefile
	release=$(cat "$dir/release")
	lab_apt_init "$suite"
	local common=linux-headers-${release%-amd64}-common kbuild
	kbuild=$(APT_CONFIG=$LAB_APT/apt.conf apt-cache depends "linux-headers-$release" |
		sed -n 's/^  Depends: \(linux-kbuild-.*\)/\1/p' | head -n 1)
	lab_apt_unpack "$dir/headers.tmp" "linux-headers-$release" "$common" "$kbuild"
	rm -rf "$dir/headers"
	mv "$dir/headers.tmp" "$dir/headers"
	headers=$dir/headers/usr/src/linux-headers-$release
	grep -rlI --include='Makefile' --include='.kernelvariables' '/usr/src/' "$headers" \
		"$dir/headers/usr/src/$common/Makefile" 2>/dev/null | while read -r makefile; do
		sed -i "s#\([^A-Za-z0-9._-]\|^\)/usr/src/linux-headers-#\1$dir/headers/usr/src/linux-headers-#g" "$makefile"
	done || :
	ln -sfn "headers/usr/src/linux-headers-$release" "$dir/build"
}

make_modules()
{
	local release src dst m
	release=$(cat "$dir/release")
	src=$dir/image
	[ -d "$src/usr/lib/modules" ] && src=$src/usr
	src=$src/lib/modules/$release
	dst=$dir/modules/usr/lib/modules/$release
	rm -rf "$dir/modules"
	mkdir -p "$dst/kernel"
	(
		cd "$src/kernel"
		for m in "${module_folders[@]}"; do
			# Folders are matched loosely: the series differ.
			for m in $m*; do
				[ -e "$m" ] && cp -a --parents "$m" "$dst/kernel/"
			done
		done
	)
	find "$dst" -name '*.ko.xz' -exec xz -d {} +
	cp "$src"/modules.builtin* "$src"/modules.order "$dst/"
	ln -s usr/lib "$dir/modules/lib"
	depmod -b "$dir/modules" "$release" 2>/dev/null
	rm "$dir/modules/lib"
	rm -f "$dir/modules.squashfs"
	mksquashfs "$dir/modules" "$dir/modules.squashfs" -all-root -quiet -no-progress \
		-noI -noD -noF -noX
}

make_initrd()
{
	local release tmp m
	release=$(cat "$dir/release")
	tmp=$dir/initrd
	rm -rf "$tmp"
	mkdir -p "$tmp"/{bin,dev,proc,sys,modules,root,lower,upper,image}
	cp "$(command -v busybox)" "$tmp/bin/busybox"
	ln -s usr/lib "$dir/modules/lib"
	for m in "${boot_modules[@]}"; do
		modprobe -d "$dir/modules" -S "$release" --show-depends "$m"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r m; do
		cp "$m" "$tmp/modules/"
		echo "/modules/${m##*/}"
	done >"$tmp/modules.list"
	rm "$dir/modules/lib"
	cp "$TOP/selftests/qemu/init" "$tmp/init"
	chmod 755 "$tmp/init"
	(cd "$tmp" && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >"$dir/initrd.img.tmp"
	mv "$dir/initrd.img.tmp" "$dir/initrd.img"
	rm -rf "$tmp"
}

make_kernel()
{
	mkdir -p "$LAB"
	[ -s "$dir/vmlinuz" ] || fetch_kernel
	[ -e "$dir/build/Makefile" ] || [ "${suite%-backports}" != "$own" ] || fetch_headers
	if [ ! -s "$dir/modules.squashfs" ] || [ "$0" -nt "$dir/modules.squashfs" ]; then
		progress "modules of $(cat "$dir/release")" make_modules
	fi
	if [ ! -s "$dir/initrd.img" ] || [ "$TOP/selftests/qemu/init" -nt "$dir/initrd.img" ] ||
	   [ "$dir/modules.squashfs" -nt "$dir/initrd.img" ]; then
		progress "initrd for $(cat "$dir/release")" make_initrd
	fi
}

with_lock "kernel-$series" make_kernel
echo "$dir"
