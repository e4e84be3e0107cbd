#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuzz.sh - every tests/fuzz/fuzz_*.{cpp,c} under libFuzzer with address and
# undefined behaviour sanitizers. The corpora that are kept lie in
# tests/fuzz/corpus/ (inputs that found a mistake once are in them, named after it);
# what a run finds grows in build/fuzz/corpus/. A finding is left in build/fuzz/ and
# fails the run.
#
# usage: fuzz.sh [run] [PATTERN]     SECONDS_EACH (60) each
#        fuzz.sh check [PATTERN]     TAP: replays the corpora, then SECONDS_EACH (10),
#                                    always from the same seed
#        fuzz.sh long [PATTERN]      10^7 executions or 15 minutes each, and where
#                                    the coverage came to rest
#        fuzz.sh corpus              make tests/fuzz/corpus anew: a capture in the lab
#                                    and our own encoders, minimised

set -uo pipefail
. "$(dirname "$0")/common.sh"

mode=run
case ${1:-} in
run | check | long | corpus) mode=$1; shift ;;
esac
pattern=${1:-*}
out=$BUILD/fuzz
kept=$TOP/tests/fuzz/corpus
failed=0 count=0
common=(-timeout=10 -rss_limit_mb=2048 -close_fd_mask=1)

build()
{
	"$TOP/selftests/qemu/deps.sh" --quiet clang || exit 1
	progress "configure fuzzers" cmake -S "$TOP" -B "$out" -G Ninja -DMCIPSEC_FUZZ=ON \
		-DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang || exit 1
	targets=$(cd "$TOP/tests/fuzz" && for f in fuzz_*.c fuzz_*.cpp; do echo "${f%.*}"; done)
	# shellcheck disable=SC2086
	progress "build fuzzers" nice -n 5 ninja -C "$out" $targets "$@" || exit 1
}

# fuzz NAME ARG...: on the kept corpus and the grown one.
fuzz()
{
	local name=$1
	shift
	mkdir -p "$out/corpus/$name"
	"$out/$name" "${common[@]}" -artifact_prefix="$out/$name-" "$@" "$out/corpus/$name" "$kept/$name" 2>&1
}

verdict()	# RC NAME TEXT
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $3"
	else
		failed=$((failed + 1))
		echo "not ok $count - $3"
		tail -n 25 "$out/$2.log" | sed 's/^/# /'
	fi
}

each_target()	# FUNCTION
{
	local name
	for name in $targets; do
		# shellcheck disable=SC2053
		[[ $name == $pattern ]] && "$1" "$name"
	done
}

run_one()
{
	logged() { fuzz "$@" >"$out/$1.log"; }
	progress "$1, ${SECONDS_EACH:-60} s" logged "$1" -max_total_time="${SECONDS_EACH:-60}" -print_final_stats=1
	verdict $? "$1" "$1: $(executions "$1") executions"
}

# A corpus that is empty would prove nothing.
check_one()
{
	local inputs start=$EPOCHREALTIME
	inputs=$(find "$kept/$1" -type f | wc -l)
	[ "$inputs" -gt 0 ] && "$out/$1" "${common[@]}" -runs=0 "$kept/$1" >"$out/$1.log" 2>&1
	verdict $? "$1" "$1: $inputs inputs replayed ($(seconds_since "$start") s)"
	start=$EPOCHREALTIME
	fuzz "$1" -seed=1 -max_total_time="${SECONDS_EACH:-10}" -print_final_stats=1 >"$out/$1.log"
	verdict $? "$1" "$1: $(executions "$1") live executions ($(seconds_since "$start") s)"
}
executions() { sed -n 's/^stat::number_of_executed_units: //p' "$out/$1.log"; }
seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# Coverage has come to rest where no new edge was seen for the rest of the run.
long_one()
{
	local start=$SECONDS line rc edges=0 edges_at=0 edges_run=0 last=0
	note "$1 ..."
	while IFS= read -r line; do
		echo "$line" >&3
		[[ $line =~ ^\#([0-9]+)[[:space:]].*\ cov:\ ([0-9]+) ]] || continue
		last=${BASH_REMATCH[1]}
		[ "${BASH_REMATCH[2]}" -gt "$edges" ] || continue
		edges=${BASH_REMATCH[2]} edges_run=${BASH_REMATCH[1]} edges_at=$((SECONDS - start))
	done < <(fuzz "$1" -runs=10000000 -max_total_time="${SECONDS_EACH:-900}" -print_final_stats=1; echo "exit $?") 3>"$out/$1.log"
	rc=$(sed -n 's/^exit //p' "$out/$1.log")
	verdict "${rc:-1}" "$1" "$1: $(executions "$1") executions in $((SECONDS - start)) s; $edges edges, the last new one at execution $edges_run, second $edges_at"
	[ "$last" -gt 0 ]
}

# merge NAME FOLDER...: a small set of inputs that reaches every edge that all reach. What
# once found a mistake is kept by its name.
merge()
{
	local name=$1 tmp=$out/merged/$1
	shift
	rm -rf "$tmp"
	mkdir -p "$tmp" "$kept/$name"
	"$out/$name" "${common[@]}" -set_cover_merge=1 -use_counters=0 -max_len=4096 "$tmp" "$@" >"$out/$name.log" 2>&1 || return 1
	find "$kept/$name" -type f ! -name '*-*' -delete
	cp -n "$tmp"/* "$kept/$name/"
}

corpus()
{
	local seeds=$out/seeds name
	build fuzz_seeds
	"$TOP/selftests/qemu/run.sh" --timeout 900 --results "$BUILD/results/seeds" tests/fuzz/capture.sh || exit 1
	rm -rf "$seeds"
	"$out/fuzz_seeds" "$seeds" && "$TOP/tests/fuzz/seeds.py" "$BUILD/results/seeds/read.strace" "$seeds" || exit 1
	for name in $targets; do
		mkdir -p "$seeds/$name" "$out/corpus/$name" "$kept/$name"
		progress "$name: find more, 60 s" "$out/$name" "${common[@]}" -max_total_time=60 -max_len=4096 \
			-artifact_prefix="$out/$name-" "$out/corpus/$name" "$seeds/$name" "$kept/$name"
		verdict $? "$name" "$name: live"
		progress "$name: minimise" merge "$name" "$seeds/$name" "$out/corpus/$name" "$kept/$name"
		verdict $? "$name" "$name: $(find "$kept/$name" -type f | wc -l) inputs"
	done
	du -sh --apparent-size "$kept"
}

case $mode in
run) build; each_target run_one ;;
check) build; each_target check_one ;;
long) build; each_target long_one ;;
corpus) corpus ;;
esac
echo "1..$count"
note "$count results, $failed failed"
[ "$failed" -eq 0 ] && [ "$count" -gt 0 ]
