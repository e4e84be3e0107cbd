#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# deb.sh - build the Debian packages of the tree into DIR. The tree itself stays
# clean: what is built is a copy of the files that git knows.
#
# usage: deb.sh [DIR]        default: build/deb
# needs: debhelper dh-dkms and what `make deps` installs

set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
out=$(mkdir -p "${1:-$top/build/deb}" && cd "${1:-$top/build/deb}" && pwd)
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$top/packaging/debian/changelog")
src=$out/mcipsec-$version

for tool in dh dh_dkms; do
	command -v "$tool" >/dev/null ||
		{ echo "deb.sh: $tool is missing: apt-get install debhelper dh-dkms" >&2; exit 1; }
done
rm -rf "$src"
mkdir -p "$src"
(cd "$top" && git ls-files -z --cached --others --exclude-standard |
	grep -zv -e '^build/' | xargs -0 cp --parents -t "$src")
cp -r "$src/packaging/debian" "$src/debian"
# The plugin's build fetches strongSwan's headers; those of the tree will do.
if [ -d "$top/build/strongswan" ]; then
	export SWAN_BUILD=$top/build/strongswan
fi
(cd "$src" && dpkg-buildpackage -us -uc -b)
ls "$out"/*.deb
