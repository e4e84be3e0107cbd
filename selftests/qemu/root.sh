#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# root.sh - make the root file system of the lab guests: a minimal Debian with
# stock strongSwan, keepalived and BIRD, as one read-only squashfs image that any
# number of guests share. Made once for each suite and package list.
#
# usage: root.sh [SUITE]      prints the image's path

set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/apt.sh"

suite=${1:-bookworm}
image=$LAB/root-$suite.squashfs

# What the product is linked with and this release does not have is laid over the
# root with the product (make stage-other).
case $suite in
bookworm) libssl=libssl3 ;;
*) libssl=libssl3t64 ;;
esac
packages=(
	iproute2 kmod procps psmisc util-linux less strace
	iputils-ping tcpdump nftables conntrack ethtool socat
	strongswan-swanctl charon-systemd
	libcharon-extra-plugins libstrongswan-extra-plugins libstrongswan-standard-plugins
	keepalived bird2
	python3 jq systemd
	libsystemd0 libmnl0 libnl-3-200 libnl-genl-3-200 libnl-route-3-200 "$libssl" libcmocka0
)
case $suite in
bookworm) packages+=(libfmt9) ;;
esac

# systemd is there for the nodes of one test; it is never the guest's first
# process. The documentation and translations would only make the image slower
# to write.
build_root()
{
	local include tmp=$image.tmp
	include=$(IFS=,; echo "${packages[*]}")
	as_root mmdebstrap --variant=minbase --include="$include" --format=tar \
		--aptopt="$LAB_APT/transport.conf" \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		"$suite" - "$LAB_APT/sources.list" |
		mksquashfs - "$tmp" -tar -noappend -quiet -no-progress -noI -noD -noF -noX
	mv "$tmp" "$image"
}

make_root()
{
	local stamp
	stamp=$(printf '%s\n' "$suite" "${packages[@]}" | sha256sum)
	if [ -s "$image" ] && [ "$(cat "$image.stamp" 2>/dev/null)" = "$stamp" ]; then
		return
	fi
	mkdir -p "$LAB"
	lab_apt_init "$suite"
	progress "lab root ($suite)" build_root
	echo "$stamp" >"$image.stamp"
}

with_lock "root-$suite" make_root
echo "$image"
