# SPDX-License-Identifier: GPL-2.0-or-later
#
# lib.sh - what every self test needs: TAP output, steps a person can read, and
# waiting for a state instead of sleeping. Sourced by scripts in the guest.
#
# Invariants: a test that never got its answer fails (no default passes);
# skips name what is missing, and EXPECT_ALL_FEATURES=1 turns them into failures.

KSFT_SKIP=4

tap_count=0 tap_passed=0 tap_failed=0 tap_skipped=0 tap_start=

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	c_ok=$'\e[32m' c_bad=$'\e[31m' c_head=$'\e[1m' c_off=$'\e[0m'
else
	c_ok='' c_bad='' c_head='' c_off=''
fi

# now_ms: milliseconds of CLOCK_BOOTTIME (10 ms steps), without a fork.
now_ms()
{
	local up
	read -r up _ </proc/uptime
	printf '%s' "$((10#${up/./} * 10))"
}

plan() { echo "TAP version 13"; echo "1..$1"; }
diag() { printf '# %s\n' "$*"; }

seconds_since()
{
	local d=$(($(now_ms) - $1))
	printf '%d.%d' $((d / 1000)) $((d % 1000 / 100))
}

tap_start=$(now_ms)
tap_result()	# ok|not ok, text
{
	tap_count=$((tap_count + 1))
	printf '%s %d - %s (%s s)\n' "$1" "$tap_count" "$2" "$(seconds_since "$tap_start")"
	tap_start=$(now_ms)
}
pass() { tap_passed=$((tap_passed + 1)); tap_result ok "$1"; }
fail() { tap_failed=$((tap_failed + 1)); tap_result "not ok" "$1"; return 1; }
skip()	# text, what is missing
{
	if [ "${EXPECT_ALL_FEATURES:-0}" = 1 ]; then
		fail "$1 (missing: $2)"
		return
	fi
	tap_skipped=$((tap_skipped + 1))
	tap_result ok "$1 # SKIP missing: $2"
}

# check TEXT CMD...: one test point.
check()
{
	local text=$1
	shift
	if "$@"; then pass "$text"; else fail "$text"; fi
}

# check_not TEXT CMD...: passes if CMD fails.
check_not()
{
	local text=$1
	shift
	if "$@"; then fail "$text"; else pass "$text"; fi
}

# unchanged OLD COMMAND...: it prints what it printed before, which was something.
unchanged() { [ -n "$1" ] && [ "$("${@:2}")" = "$1" ]; }

# jq_ok [OPTION...] FILTER: of one document on stdin, which there is: to jq 1.6 -e no document
# at all is none that is false.
jq_ok() { jq -es "${@:1:$#-1}" "length == 1 and (.[0] | (${!#}))" >/dev/null; }

# check_is TEXT EXPECTED CMD...: compares what CMD prints.
check_is()
{
	local text=$1 want=$2 got
	shift 2
	got=$("$@" 2>&1)
	if [ "$got" = "$want" ]; then
		pass "$text"
	else
		fail "$text"
		diag "expected: $want"
		diag "got:      ${got:-(nothing)}"
		return 1
	fi
}

# pause MS: without a process of its own, which is dear in an emulated machine.
exec {PAUSE_FD}<> <(:)
pause()
{
	local seconds
	printf -v seconds '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
	read -rt "$seconds" -u "$PAUSE_FD" || :
}

# poll TIMEOUT-S CMD...: repeat until CMD succeeds; 1 when time is over. CMD's
# output is dropped. Between two tries it leaves the machine to what it waits for, as
# long as the try took.
poll()
{
	local end began took
	began=$(now_ms)
	end=$((began + ${1%.*} * 1000))
	shift
	while ! "$@" >/dev/null 2>&1; do
		took=$(($(now_ms) - began))
		[ $((began + took)) -lt "$end" ] || return 1
		pause $((took < 50 ? 50 : took > 500 ? 500 : took))
		began=$(now_ms)
	done
}

# wait_for TEXT TIMEOUT-S CMD...: poll; on failure say what did not come and
# what CMD says. Sets waited_ms.
wait_for()
{
	local text=$1 limit=$2 start
	shift 2
	start=$(now_ms)
	if ! poll "$limit" "$@"; then
		diag "not within $limit s: $text"
		diag "last try: $* -> $("$@" 2>&1 | tail -n 5 | tr '\n' '|')"
		return 1
	fi
	waited_ms=$(($(now_ms) - start))
}

# check_wait TEXT TIMEOUT-S CMD...: a test point that may take its time.
check_wait()
{
	local text=$1 limit=$2
	shift 2
	if wait_for "$text" "$limit" "$@"; then pass "$text"; else fail "$text"; fi
}

# wait_all PID...: background jobs; fails if one of them did.
wait_all()
{
	local pid failed=0
	for pid in "$@"; do
		wait "$pid" || failed=1
	done
	return $failed
}

# tap_end: summary; the script's exit code by kselftest rules.
tap_end()
{
	echo "# Totals: pass:$tap_passed fail:$tap_failed skip:$tap_skipped"
	[ "$tap_failed" -eq 0 ] || exit 1
	[ "$tap_passed" -gt 0 ] || exit $KSFT_SKIP
	exit 0
}
