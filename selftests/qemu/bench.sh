#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# bench.sh - speed and memory. Numbers of an emulated machine are for comparing
# within one run only: what must hold is said as a ratio, and checked by the
# script that measures it.
#
#   build/agent/bench_*        the cores, on this machine (Google Benchmark)
#   selftests/bench/*.sh       module and charon, in a guest each
#
# usage: bench.sh [PATTERN]

set -uo pipefail
. "$(dirname "$0")/common.sh"

pattern=${1:-*}
failed=0
results=$BUILD/results/bench
mkdir -p "$results"

targets=$(ninja -C "$BUILD/agent" -t targets all 2>/dev/null | sed -n 's/^\(bench_[a-z_0-9]*\): EXEC.*/\1/p; s/^\(bench_[a-z_0-9]*\): CXX_EXEC.*/\1/p')
if [ -n "$targets" ]; then
	# shellcheck disable=SC2086
	progress "build benchmarks" nice -n 5 ninja -C "$BUILD/agent" $targets || exit 1
fi
for bench in $targets; do
	# shellcheck disable=SC2053
	[[ $bench == $pattern ]] || continue
	echo "== $bench"
	"$BUILD/agent/$bench" --benchmark_min_time=0.2 || failed=$((failed + 1))
done
for script in "$TOP"/selftests/bench/*.sh; do
	[ -x "$script" ] || continue
	name=$(basename "$script" .sh)
	# shellcheck disable=SC2053
	[[ $name == $pattern ]] || continue
	echo "== $name (guest)"
	# A line "guest: OPTION..." of its head goes to run.sh.
	options=$(sed -n 's/^# guest: //p' "$script")
	# shellcheck disable=SC2086
	"$TOP/selftests/qemu/run.sh" --timeout 900 $options --results "$results/$name" "selftests/bench/$name.sh" ||
		failed=$((failed + 1))
done
[ "$failed" -eq 0 ] || { echo "$failed benchmarks failed"; exit 1; }
