#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuzz.sh - every tests/fuzz/fuzz_*.cpp under libFuzzer with address and undefined
# behaviour sanitizers, for SECONDS_EACH (60) each. Corpora grow in
# build/fuzz/corpus/; a finding is left in build/fuzz/ and fails the run.
#
# usage: fuzz.sh [PATTERN]

set -uo pipefail
. "$(dirname "$0")/common.sh"

pattern=${1:-*}
each=${SECONDS_EACH:-60}
out=$BUILD/fuzz
failed=0 count=0

"$TOP/selftests/qemu/deps.sh" --quiet clang || exit 1
progress "configure fuzzers" cmake -S "$TOP" -B "$out" -G Ninja -DMCIPSEC_FUZZ=ON \
	-DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang || exit 1
targets=$(cd "$TOP/tests/fuzz" && for f in fuzz_*.cpp; do echo "${f%.cpp}"; done)
# shellcheck disable=SC2086
progress "build fuzzers" nice -n 5 ninja -C "$out" $targets || exit 1
for name in $targets; do
	# shellcheck disable=SC2053
	[[ $name == $pattern ]] || continue
	count=$((count + 1))
	mkdir -p "$out/corpus/$name"
	seeds=()
	[ ! -d "$TOP/tests/fuzz/corpus/$name" ] || seeds=("$TOP/tests/fuzz/corpus/$name")
	if progress "$name, $each s" "$out/$name" -max_total_time="$each" -timeout=5 -rss_limit_mb=2048 \
		-artifact_prefix="$out/$name-" "$out/corpus/$name" "${seeds[@]}"; then
		echo "pass $name"
	else
		echo "FAIL $name (see $out/$name-*)"
		failed=$((failed + 1))
	fi
done
echo "$count fuzzers, $failed failed"
[ "$failed" -eq 0 ] && [ "$count" -gt 0 ]
