#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deps.sh - install on this machine what building and testing needs: compilers,
# libraries, QEMU. Only what is missing is installed. No daemon of the product
# (charon, keepalived, BIRD) is ever installed here; those live in the lab root.
#
# usage: deps.sh [--quiet] [PACKAGE...]      packages: needed by one target only
# Invariant: a second run with everything present touches no package list and
# needs no network.

set -euo pipefail
. "$(dirname "$0")/common.sh"

packages=(
	build-essential cmake ninja-build pkg-config
	libssl-dev libsystemd-dev libmnl-dev
	libnl-3-dev libnl-genl-3-dev libnl-route-3-dev
	libfmt-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev libexpected-dev
	libcmocka-dev libbenchmark-dev librapidcheck-dev
	qemu-system-x86 mmdebstrap squashfs-tools busybox-static cpio kmod xz-utils curl ca-certificates
	sparse flex bison bc libelf-dev python3 python3-yaml
	iproute2 procps
)

quiet=0
if [ "${1:-}" = --quiet ]; then
	quiet=1
	shift
fi
packages+=("$@")

missing=()
for p in "${packages[@]}"; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
		missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
	[ $quiet = 1 ] || note "deps: all ${#packages[@]} packages present"
	exit 0
fi

note "deps: installing ${missing[*]}"
apt_install()
{
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends "${missing[@]}"
}
mkdir -p "$BUILD"
# The lists on a fresh machine are absent, or may be old: then ask and retry once.
compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || progress "apt-get update" as_root apt-get update
progress "apt-get install" apt_install || {
	progress "apt-get update" as_root apt-get update
	progress "apt-get install" apt_install
}
