#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fetch and configure the strongSwan source that the plugin is compiled
# against: only its headers and config.h are used, and two small files of its
# vici plugin (message codec) are compiled in. Nothing of it is kept in this
# tree: everything lands under BUILD (default ../build/strongswan).
#
# The machine's own apt configuration is left alone: its `deb` entries are
# rewritten to `deb-src` in a private list, with private state, so no registry
# is named here and the user's /etc/apt is only read.
#
# A version that this machine's own release does not have is looked for where
# the release is: the other one's name takes the place of its own in that list.
#
# usage: fetch.sh [BUILD-DIR]       prints the source directory
# Environment: STRONGSWAN_VERSION=5.9.8 (bookworm) or 6.0.1 (trixie)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../build/strongswan}
want=${STRONGSWAN_VERSION:-5.9.8}
own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
case $want in
5.9.8) suite=bookworm ;;
6.0.1) suite=trixie ;;
*) suite=$own ;;
esac

mkdir -p "$build"
build=$(cd "$build" && pwd)
exec 9>"$build/.lock"
flock 9

src=$build/strongswan-$want
if [ -f "$src/.mcipsec-configured" ]; then
	echo "$src"
	exit 0
fi

say() { echo "fetch.sh: $*" >&2; }

apt=$build/apt-$suite
rm -rf "$apt/sources"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources"

# one-line style
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
	[ -f "$f" ] || continue
	sed -n 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$f" \
		>"$apt/sources/$(basename "$f" .list).list"
done
# deb822 style
for f in /etc/apt/sources.list.d/*.sources; do
	[ -f "$f" ] || continue
	sed 's/^Types:.*/Types: deb-src/' "$f" \
		>"$apt/sources/$(basename "$f")"
done
if [ "$suite" != "$own" ]; then
	for f in "$apt"/sources/*; do
		sed -E -i ":again
			s/([[:space:]])$own(-[a-z-]+)?([[:space:]]|\$)/\\1$suite\\2\\3/
			t again" "$f"
		# somebody else's archive has nothing to do with it
		grep -qw "$suite" "$f" || rm "$f"
	done
fi

apt_() {
	tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist=/dev/null \
		-o Dir::Etc::sourceparts="$apt/sources" \
		-o Dir::State::lists="$apt/lists" \
		-o Dir::Cache="$apt/cache" \
		-o APT::Sandbox::User=root "$@"
}

if [ ! -f "$src/configure" ]; then
	say "reading the source index"
	apt_ apt-get update >"$build/apt.log" 2>&1 || {
		cat "$build/apt.log" >&2
		say "apt-get update of the private source list failed"
		exit 1
	}
	# The newest revision's Debian files may be gone from the mirror; only the
	# upstream tarball is needed, and it is the same in every revision.
	# apt-get verifies it against the signed index.
	revs=$(apt_ apt-cache showsrc strongswan |
		sed -n "s/^Version: \(${want}-.*\)/\1/p" | sort -Vru)
	if [ -z "$revs" ]; then
		say "no source of strongswan $want in the apt sources of this machine"
		exit 1
	fi
	got=
	for rev in $revs; do
		say "downloading strongswan $rev"
		rm -f "$build/strongswan_$want".orig.tar.*
		(cd "$build" && apt_ apt-get source --download-only --tar-only \
			"strongswan=$rev") >>"$build/apt.log" 2>&1 && got=$rev && break
	done
	if [ -z "$got" ]; then
		tail -n 20 "$build/apt.log" >&2
		say "no revision of strongswan $want could be downloaded"
		exit 1
	fi
	rm -rf "$src"
	for tarball in "$build/strongswan_$want".orig.tar.*; do
		case $tarball in *.asc) continue ;; esac
		tar -C "$build" -xf "$tarball"
	done
fi

say "configuring (headers and config.h only)"
# --enable-mediation must match Debian's build: it changes struct layouts.
(cd "$src" && nice ./configure --disable-defaults --enable-charon \
	--enable-ikev1 --enable-ikev2 --enable-mediation \
	--enable-kernel-netlink --enable-socket-default \
	--prefix=/usr --sysconfdir=/etc --libdir=/usr/lib \
	--libexecdir=/usr/lib) >"$build/configure.log" 2>&1 || {
	tail -n 20 "$build/configure.log" >&2
	exit 1
}
touch "$src/.mcipsec-configured"
echo "$src"
