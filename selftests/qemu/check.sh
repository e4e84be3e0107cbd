#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check.sh - run every test and say so, one line a test with its seconds; the
# last line is "N passed, N failed, N skipped". Exit 0 only if none failed.
#
#   unit     ctest of build/agent, and `check` of the C parts, on this machine
#   lab      each script below selftests/ in a guest of its own: kmod/*.sh,
#            */test_*.sh, lab/plain.sh, demo.sh; all speak TAP
#
# usage: check.sh [PATTERN]       only what matches the (shell) pattern
# Environment: MCIPSEC_KERNELS="6.1 6.12", EXPECT_ALL_FEATURES=1

set -uo pipefail
. "$(dirname "$0")/common.sh"

pattern=${1:-*}
kernels=${MCIPSEC_KERNELS:-6.1}
logs=$BUILD/results/check
passed=0 failed=0 skipped=0
failures=()
started=$SECONDS

ctest_line='^ *[0-9]+/[0-9]+ Test +#[0-9]+: ([^ ]+) [. ]*(\*\*\*)?([A-Za-z ()]+[A-Za-z)]) +([0-9.]+) sec'
tap_seconds='^(.*) \(([0-9.]+) s\)$'

rm -rf "$logs"
mkdir -p "$logs"

one()	# pass|fail|skip, seconds, name
{
	case $1 in
	pass) passed=$((passed + 1)) ;;
	fail) failed=$((failed + 1)); failures+=("$3") ;;
	skip) skipped=$((skipped + 1)) ;;
	esac
	printf '%-4s %8s s  %s\n' "$1" "$2" "$3"
}

# tap SUITE: turn TAP on stdin into result lines. A diagnostic is kept in the
# log, and shown after a failure.
tap()
{
	local suite=$1 line verdict text seconds diagnostics=() after=0
	while IFS= read -r line; do
		line=${line%$'\r'}
		case $line in
		'ok '* | 'not ok '*)
			verdict=pass after=0
			[[ $line == not* ]] && verdict=fail after=1
			[[ $line == *'# SKIP'* ]] && verdict=skip
			text=${line#*ok }
			[[ $text =~ ^[0-9]+(\ -)?\ *(.*) ]] && text=${BASH_REMATCH[2]}
			seconds=-
			if [[ $text =~ $tap_seconds ]]; then
				text=${BASH_REMATCH[1]} seconds=${BASH_REMATCH[2]}
			fi
			one "$verdict" "$seconds" "$suite: $text"
			[ "$verdict" != fail ] || printf '%s\n' "${diagnostics[@]}"
			diagnostics=()
			;;
		'#'*)
			if [ $after = 1 ]; then
				printf '                 %s\n' "$line"
			else
				diagnostics=("${diagnostics[@]: -7}" "                 $line")
			fi
			;;
		esac
	done
}

unit_ctest()
{
	local line name seconds
	[ -e "$BUILD/agent/CTestTestfile.cmake" ] || return 0
	# test_io_module needs the module: kmod/agent_client.sh runs it in a guest.
	nice -n 5 ctest --test-dir "$BUILD/agent" -j "$(nproc)" --timeout 600 -E '^test_io_module$' \
		--output-on-failure >"$logs/ctest.log" 2>&1
	while IFS= read -r line; do
		[[ $line =~ $ctest_line ]] || continue
		name=unit:\ ${BASH_REMATCH[1]} seconds=${BASH_REMATCH[4]}
		case ${BASH_REMATCH[3]} in
		Passed) one pass "$seconds" "$name" ;;
		Skipped) one skip "$seconds" "$name" ;;
		*) one fail "$seconds" "$name (${BASH_REMATCH[3]})" ;;
		esac
	done <"$logs/ctest.log"
	if [ "$failed" -gt 0 ]; then
		grep -vE '^ *(Start|[0-9]+/[0-9]+)|Passed' "$logs/ctest.log" | tail -n 60 |
			sed 's/^/                 /'
	fi
	grep -q 'No tests were found' "$logs/ctest.log" && one fail 0 "unit: no tests were found"
	return 0
}

unit_part()	# folder, build folder
{
	local start=$SECONDS log=$logs/unit-${1//\//-}.log rc
	grep -q '^check:' "$TOP/$1/Makefile" 2>/dev/null || return 0
	make -s -C "$TOP/$1" O="$BUILD/$2" check >"$log" 2>&1
	rc=$?
	if grep -qE '^(not )?ok ' "$log"; then
		tap "unit: $1" < <(cat "$log")
		[ $rc -eq 0 ] || grep -q '^not ok' "$log" || one fail $((SECONDS - start)) "unit: $1: exit $rc"
	elif [ $rc -eq 0 ]; then
		one pass $((SECONDS - start)) "unit: $1"
	else
		one fail $((SECONDS - start)) "unit: $1"
		tail -n 30 "$log" | sed 's/^/                 /'
	fi
}

# guest NAME KERNEL TIMEOUT SCRIPT ARG...: one script in one guest.
guest()
{
	local name=$1 kernel=$2 limit=$3 start=$SECONDS rc dir
	shift 3
	dir=$logs/${name//\//-}-$kernel
	mkdir -p "$dir"
	# A function at the end of a pipe would count in a subshell.
	tap "$name" < <("$TOP/selftests/qemu/run.sh" --kernel "$kernel" --timeout "$limit" \
		--results "$dir" --console "$dir/console" "$@" 2>"$dir/stderr" | tee "$dir/out"
		echo "${PIPESTATUS[0]}" >"$dir/rc")
	rc=$(cat "$dir/rc" 2>/dev/null || echo 125)
	printf '           -- %s on %s: %d s, exit %s\n' "$name" "$kernel" $((SECONDS - start)) "$rc"
	case $rc in
	0) grep -q '^ok ' "$dir/out" || one fail $((SECONDS - start)) "$name: no result" ;;
	4) grep -qE '^(not )?ok ' "$dir/out" || one skip $((SECONDS - start)) "$name" ;;
	*)
		grep -q '^not ok ' "$dir/out" || {
			one fail $((SECONDS - start)) "$name: exit $rc"
			tail -n 15 "$dir/out" "$dir/stderr" | sed 's/^/                 /'
		}
		;;
	esac
}

matches()
{
	# shellcheck disable=SC2053
	[[ $1 == $pattern ]]
}

matches unit && {
	unit_ctest
	unit_part vici-plugin plugin
	unit_part keepalived-track track
	unit_part selftests/lab lab-tools
}

cd "$TOP/selftests" || exit 1
for kernel in $kernels; do
	for script in kmod/*.sh */test_*.sh lab/plain.sh demo.sh; do
		[ -x "$script" ] || continue
		[[ $script != kmod/test_*.sh || ! " ${seen:-} " == *" $script:$kernel "* ]] || continue
		seen="${seen:-} $script:$kernel"
		matches "$script" || continue
		case $script in
		demo.sh) guest "$script" "$kernel" 700 "selftests/$script" --tap ;;
		plugin/*) guest "$script" "$kernel" 600 "selftests/$script" ;;
		*) guest "$script" "$kernel" 420 "selftests/$script" ;;
		esac
	done
done

if [ ${#failures[@]} -gt 0 ]; then
	echo
	echo "failed:"
	printf '  %s\n' "${failures[@]}"
	echo "logs: $logs"
fi
echo "$((SECONDS - started)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
