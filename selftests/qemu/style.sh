#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# style.sh - the rules of the house that a machine can check: licence line and
# length of each file, no trailing blanks, shell scripts that parse, the netlink
# specification against the header, and checkpatch, sparse and W=1 for the module.
#
# usage: style.sh

set -uo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/apt.sh"

cd "$TOP" || exit 1
bad=0
complain() { echo "$*"; bad=$((bad + 1)); }

mapfile -t files < <(git ls-files --cached --others --exclude-standard)
for f in "${files[@]}"; do
	[ -f "$f" ] || continue
	case $f in
	LICENSE | *.md | */corpus/* | *.json | */expected/*) continue ;;
	esac
	head -n 3 "$f" | grep -q 'SPDX-License-Identifier' ||
		case $f in
		.gitignore | .editorconfig | .clang-* | *.toml | *.conf | *.txt | debian/* | packaging/*) ;;
		*) complain "$f: no SPDX-License-Identifier in the first three lines" ;;
		esac
	case $f in
	*.c | *.h | *.cpp | *.hpp | *.sh | *.py)
		lines=$(wc -l <"$f")
		[ "$lines" -lt 800 ] || complain "$f: $lines lines, 800 are two files"
		;;
	esac
	grep -nE '[[:blank:]]+$' "$f" /dev/null | head -n 3 | grep . && bad=$((bad + 1))
	case $(head -c 32 "$f" | head -n 1) in
	'#!/bin/bash'*) bash -n "$f" || bad=$((bad + 1)) ;;
	'#!/bin/sh'*) sh -n "$f" || bad=$((bad + 1)) ;;
	esac
done

selftests/kmod/spec_check.py Documentation/netlink/specs/mcipsec.yaml include/uapi/linux/mcipsec.h ||
	bad=$((bad + 1))

# checkpatch comes with the kernel's source only.
checkpatch=$LAB/checkpatch/checkpatch.pl
if [ ! -s "$checkpatch" ]; then
	lab_apt_init bookworm
	lab_apt_unpack "$LAB/checkpatch" linux-source-6.1
	for f in checkpatch.pl spelling.txt const_structs.checkpatch; do
		tar -xJf "$LAB"/checkpatch/usr/src/linux-source-6.1.tar.xz -C "$LAB/checkpatch" \
			--strip-components=2 --no-anchored "scripts/$f"
	done
	rm -rf "$LAB/checkpatch/usr"
fi
"$TOP/selftests/qemu/kmod.sh" 6.1 style CHECKPATCH="$checkpatch" || bad=$((bad + 1))

echo "style: $bad complaints"
[ "$bad" -eq 0 ]
