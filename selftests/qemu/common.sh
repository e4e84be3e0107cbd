# SPDX-License-Identifier: GPL-2.0-or-later
#
# common.sh - what the host-side lab scripts share: places, messages, progress.
#
# Sourced, never run. Everything that is made lands under $BUILD, so that
# removing build/ removes the lab.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${MCIPSEC_BUILD:-$TOP/build}
LAB=$BUILD/lab

note() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# progress WHAT CMD...: run a command quietly; after each 5 s say that it still
# runs; on failure show the end of what it printed. Returns the command's code.
progress()
{
	local what=$1 log rc=0 pid start=$SECONDS next=5
	shift
	log=$(mktemp "${TMPDIR:-/tmp}/mcipsec-progress.XXXXXX")
	"$@" >"$log" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		if [ $((SECONDS - start)) -ge $next ]; then
			note "  ... $what: $((SECONDS - start)) s"
			next=$((next + 5))
		fi
		read -rt 0.2 <> <(:) || :
	done
	wait "$pid" || rc=$?
	if [ $rc -ne 0 ]; then
		note "$what failed ($rc):"
		tail -n 40 "$log" >&2
	else
		note "  $what: done, $((SECONDS - start)) s"
	fi
	rm -f "$log"
	return $rc
}

# with_lock NAME CMD...: one at a time for each NAME, whoever else builds.
with_lock()
{
	local lock=$BUILD/.lock-$1
	shift
	mkdir -p "$BUILD"
	(
		flock 9
		"$@"
	) 9>"$lock"
}
