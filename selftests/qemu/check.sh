#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check.sh - run tests and say so, one line a test with its seconds; the last line is
# "N passed, N failed, N skipped". Exit 0 only if none failed.
#
#   style    the rules of the house that a machine can check (style.sh)
#   unit     ctest of build/agent, and `check` of the C parts, on this machine
#   fuzz     every decoder: kept corpora replayed, and a short live run each; beside
#            the guests, with what processor time they leave
#   lab      scripts below selftests/, each in a guest of its own; all speak TAP.
#            MCIPSEC_SCRIPTS=short: those of the list below; lab: kmod/*.sh, */test_*.sh,
#            lab/plain.sh, demo.sh; all: also */long_*.sh and demo-more.sh. If unset,
#            short, but lab where a PATTERN chooses
#   cell     lab/matrix_cell.sh for each of MCIPSEC_CELLS, "KERNEL:ROOT:ROOT" of SeGW-1
#            and SeGW-2; and the tests of the plugin for each of MCIPSEC_PAIRS,
#            "KERNEL:NODE+NODE" of those with the other root (make cells)
#
# Two guests run at a time where there are two processors; what measures time runs
# alone.
#
# usage: check.sh [PATTERN]       only what matches the (shell) pattern
# Environment: MCIPSEC_KERNELS="6.1 6.12", MCIPSEC_SCRIPTS, EXPECT_ALL_FEATURES=1,
# MCIPSEC_CELLS with MCIPSEC_OTHER, the suite of the root that is not the guest's own

set -uo pipefail
. "$(dirname "$0")/common.sh"

# What shows on every change that each part does its work, and that they do together.
short='
	faults/test_twelve.sh plugin/test_takeover.sh
	kmod/agent_client.sh kmod/gate.sh kmod/netlink.sh kmod/seq.sh
	lab/test_fail_closed.sh
	track/test_bird_state.sh track/test_track.sh track/test_trackd.sh
	demo.sh
'

pattern=${1:-*}
scripts=${MCIPSEC_SCRIPTS:-${1:+lab}}
scripts=${scripts:-short}
case $scripts in
short | lab | all) ;;
*) die "MCIPSEC_SCRIPTS is \"$scripts\", must be short, lab or all" ;;
esac
kernels=${MCIPSEC_KERNELS-6.1}
logs=$BUILD/results/check
passed=0 failed=0 skipped=0
failures=()
started=$SECONDS

ctest_line='^ *[0-9]+/[0-9]+ Test +#[0-9]+: ([^ ]+) [. ]*(\*\*\*)?([A-Za-z ()]+[A-Za-z)]) +([0-9.]+) sec'
ctest_failed='^[[:space:]]+[0-9]+ - ([^ ]+) \((.*)\)$'
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

# tap_line SUITE LINE: one line of TAP becomes a result line. Diagnostics are kept
# in the log, and shown around a failure.
declare -A diagnostics=() after=()
tap_line()
{
	local suite=$1 line=${2%$'\r'} verdict text seconds
	case $line in
	'ok '* | 'not ok '*)
		verdict=pass after[$suite]=0
		[[ $line == not* ]] && verdict=fail after[$suite]=1
		[[ $line == *'# SKIP'* ]] && verdict=skip
		text=${line#*ok }
		[[ $text =~ ^[0-9]+(\ -)?\ *(.*) ]] && text=${BASH_REMATCH[2]}
		seconds=-
		if [[ $text =~ $tap_seconds ]]; then
			text=${BASH_REMATCH[1]} seconds=${BASH_REMATCH[2]}
		fi
		one "$verdict" "$seconds" "$suite: $text"
		[ "$verdict" != fail ] || tail -n 8 <<<"${diagnostics[$suite]:-}"
		diagnostics[$suite]=
		;;
	'#'*)
		if [ "${after[$suite]:-0}" = 1 ]; then
			printf '                 %s\n' "$line"
		else
			diagnostics[$suite]+="                 $line"$'\n'
		fi
		;;
	esac
}

unit_ctest()
{
	local line name seconds rc
	[ -e "$BUILD/agent/CTestTestfile.cmake" ] || return 0
	# test_io_module needs the module: kmod/agent_client.sh runs it in a guest.
	nice -n 5 ctest --test-dir "$BUILD/agent" -j "$(nproc)" --timeout 600 -E '^test_io_module$' \
		--output-on-failure >"$logs/ctest.log" 2>&1
	rc=$?
	while IFS= read -r line; do
		[[ $line =~ $ctest_line ]] || continue
		name=unit:\ ${BASH_REMATCH[1]} seconds=${BASH_REMATCH[4]}
		case ${BASH_REMATCH[3]} in
		Passed) one pass "$seconds" "$name" ;;
		Skipped) one skip "$seconds" "$name" ;;
		esac
	done <"$logs/ctest.log"
	# The lines of those that failed have many forms, the list at the end has one.
	while IFS= read -r line; do
		[[ $line =~ $ctest_failed ]] && one fail - "unit: ${BASH_REMATCH[1]} (${BASH_REMATCH[2]})"
	done < <(sed '1,/^The following tests FAILED:/d' "$logs/ctest.log")
	[ "$rc" -eq 0 ] || [ "$failed" -gt 0 ] || one fail - "unit: ctest: exit $rc"
	# What the exploration of the election covered: "exhausted" or "cut at N".
	sed -n '/ Testing: explore$/,/<end of output>/{/ faults: \|^no violation/s/^/                 /p}' \
		"$BUILD/agent/Testing/Temporary/LastTest.log"
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
		while IFS= read -r line; do
			tap_line "unit: $1" "$line"
		done <"$log"
		[ $rc -eq 0 ] || grep -q '^not ok' "$log" || one fail $((SECONDS - start)) "unit: $1: exit $rc"
	elif [ $rc -eq 0 ]; then
		one pass $((SECONDS - start)) "unit: $1"
	else
		one fail $((SECONDS - start)) "unit: $1"
		tail -n 30 "$log" | sed 's/^/                 /'
	fi
}

# Beside the unit tests, the longest of which takes one processor.
style_begin()
{
	style_start=$SECONDS
	{
		"$TOP/selftests/qemu/style.sh" >"$logs/style.log" 2>&1
		echo "$? $((SECONDS - style_start))" >"$logs/style.rc"
	} &
}

style_end()
{
	local rc seconds
	wait
	read -r rc seconds <"$logs/style.rc"
	if [ "${rc:-1}" -eq 0 ]; then
		one pass "$seconds" "style: $(tail -n 1 "$logs/style.log")"
	else
		one fail "${seconds:-0}" "style"
		tail -n 30 "$logs/style.log" | sed 's/^/                 /'
	fi
}

# ---- guests: several at a time, one stream of results -------------------------
# Each guest writes "ID<tab>line" into one pipe, which the main shell reads, for
# only that one can count.
slots=${MCIPSEC_GUESTS:-$(($(nproc) > 1 ? 2 : 1))}
pipe=$logs/.lines
mkfifo "$pipe"
exec {lines}<>"$pipe"
declare -A guest_name=() guest_kernel=() guest_start=()
running=0 beside=0 ids=0

folder() { echo "$logs/${1//\//-}-$2"; }

# guest NAME KERNEL TIMEOUT SCRIPT ARG...: one script in one guest.
guest()
{
	local name=$1 kernel=$2 limit=$3 dir id
	shift 3
	until [ $((running - beside)) -lt "$slots" ]; do
		next_line
	done
	dir=$(folder "$name" "$kernel")
	mkdir -p "$dir"
	id=$((ids += 1))
	guest_name[$id]=$name guest_kernel[$id]=$kernel guest_start[$id]=$SECONDS
	running=$((running + 1))
	{
		"$TOP/selftests/qemu/run.sh" --kernel "$kernel" --timeout "$limit" --results "$dir" \
			--console "$dir/console" "$@" 2>"$dir/stderr" </dev/null | tee "$dir/out" | sed -u "s/^/$id\t/"
		printf '%s\texit %s\n' "$id" "${PIPESTATUS[0]}"
	} >"$pipe" &
}

# on_host NAME CMD...: something that speaks TAP on this machine, beside the guests.
on_host()
{
	local name=$1 dir id
	shift
	dir=$(folder "$name" host)
	mkdir -p "$dir"
	id=$((ids += 1))
	guest_name[$id]=$name guest_kernel[$id]=host guest_start[$id]=$SECONDS
	running=$((running + 1)) beside=$((beside + 1))
	{
		nice -n 10 "$@" 2>"$dir/stderr" </dev/null | tee "$dir/out" | sed -u "s/^/$id\t/"
		printf '%s\texit %s\n' "$id" "${PIPESTATUS[0]}"
	} >"$pipe" &
}

# alone NAME ...: as guest, but nothing beside it: it measures time.
alone()
{
	finish_guests
	guest "$@"
	finish_guests
}

finish_guests()
{
	until [ "$running" -eq 0 ]; do
		next_line
	done
}

next_line()
{
	local id line
	if ! IFS=$'\t' read -r -t 30 -u "$lines" id line; then
		printf '           .. %s\n' "$(running_guests)"
		return
	fi
	if [[ $line == 'exit '* ]]; then
		guest_done "$id" "${line#exit }"
	else
		tap_line "${guest_name[$id]}" "$line"
	fi
}

running_guests()
{
	local id
	for id in "${!guest_name[@]}"; do
		printf '%s (%d s) ' "${guest_name[$id]}" $((SECONDS - guest_start[$id]))
	done
}

guest_done()	# id, exit code
{
	local name=${guest_name[$1]} kernel=${guest_kernel[$1]} rc=$2 dir seconds=$((SECONDS - guest_start[$1]))
	dir=$(folder "$name" "$kernel")
	unset "guest_name[$1]" "guest_kernel[$1]" "guest_start[$1]"
	running=$((running - 1))
	[ "$kernel" != host ] || beside=$((beside - 1))
	printf '           -- %s on %s: %d s, exit %s\n' "$name" "$kernel" "$seconds" "$rc"
	case $rc in
	0) grep -q '^ok ' "$dir/out" || one fail "$seconds" "$name: no result" ;;
	4) grep -qE '^(not )?ok ' "$dir/out" || one skip "$seconds" "$name" ;;
	*)
		grep -q '^not ok ' "$dir/out" || {
			one fail "$seconds" "$name: exit $rc"
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

chosen()	# SCRIPT: is it one of $scripts?
{
	case $scripts in
	short) [[ " ${short//[[:space:]]/ } " == *" $1 "* ]] ;;
	lab) [[ $1 != */long_* && $1 != demo-more.sh ]] ;;
	all) true ;;
	esac
}

matches style && style_begin
matches unit && {
	unit_ctest
	unit_part vici-plugin plugin
	unit_part keepalived-track track
	unit_part selftests/lab lab-tools
}
matches style && style_end

if matches fuzz && [ "${MCIPSEC_FUZZ:-1}" = 1 ]; then
	on_host fuzz "$TOP/selftests/qemu/fuzz.sh" check
fi

cd "$TOP/selftests" || exit 1
there=(faults/test_*.sh plugin/test_*.sh kmod/*.sh */test_*.sh lab/plain.sh demo.sh demo-more.sh */long_*.sh)
for script in $short; do
	[[ " ${there[*]} " == *" $script "* && -x $script ]] || one fail - "$script: in the list of the short scripts, and not there"
done
for kernel in $kernels; do
	for script in "${there[@]}"; do
		[ -x "$script" ] || continue
		chosen "$script" || continue
		[[ " ${seen:-} " != *" $script:$kernel "* ]] || continue
		seen="${seen:-} $script:$kernel"
		matches "$script" || continue
		case $script in
		demo.sh | demo-more.sh) alone "$script" "$kernel" 1500 "selftests/$script" --tap ;;
		lab/plain.sh) alone "$script" "$kernel" 1800 "selftests/$script" ;;
		*/long_*) guest "$script" "$kernel" 14400 "selftests/$script" ;;
		*) guest "$script" "$kernel" 2700 "selftests/$script" ;;
		esac
	done
done
for cell in ${MCIPSEC_CELLS:-}; do
	IFS=: read -r kernel first second <<<"$cell"
	matches "cell/$first+$second" || continue
	alone "cell/$first+$second" "$kernel" 1500 --other "$MCIPSEC_OTHER" \
		selftests/lab/matrix_cell.sh "$first" "$second"
done
for pair in ${MCIPSEC_PAIRS:-}; do
	IFS=: read -r kernel nodes <<<"$pair"
	for script in plugin/test_*.sh plugin/matrix_*.sh; do
		matches "cell/$script" || continue
		# shellcheck disable=SC2086
		guest "cell/$script $nodes" "$kernel" 1800 --other "$MCIPSEC_OTHER" \
			"selftests/$script" ${nodes//+/ }
	done
done
finish_guests

if [ ${#failures[@]} -gt 0 ]; then
	echo
	echo "failed:"
	printf '  %s\n' "${failures[@]}"
	echo "logs: $logs"
fi
echo "$((SECONDS - started)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
