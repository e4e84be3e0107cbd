#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_fuzz.sh - random requests to the module's netlink family from several processes at
# once, with SAs and traffic beside them. The kernel's log must stay without a
# report, and the module must work and unload afterwards. With a debug kernel
# also while allocations fail, and with kmemleak's verdict.
# Control: hundreds of requests were taken, and hundreds refused.
#
# Environment: FUZZ_SECONDS (8), FUZZ_SEED (drawn, printed)

. "$(dirname "$0")/common.sh"
setup
topology
for ns in ce gw1; do sa $ns window; done
fuzzer=${nl_tool%/*}/fuzz-netlink
seconds=${FUZZ_SECONDS:-8}
seed=${FUZZ_SEED:-$RANDOM$RANDOM}
diag "FUZZ_SEED=$seed"

# fuzzed MIN: both sums are above.
fuzzed()
{
	local out
	out=$(on gw1 "$fuzzer" "$seconds" "$seed" 3) || { diag "$out"; return 1; }
	diag "$out"
	awk -v min="$1" '{ exit !($4 > min && $6 > min) }' <<<"$out"
}
clean() { ! dmesg | grep -E 'BUG:|WARNING:|KASAN|UBSAN|lockdep|INFO: |Call Trace|unreferenced object' | head -n 20 | sed 's/^/# /' | grep .; }
works() { nl gw1 group put 1 addr $GW lease 0 && nl gw1 state $ME 1=standby && [ "$(nl gw1 group get 1 | sed -n 's/^state //p')" = standby ]; }

check "random requests for $seconds s, hundreds taken and hundreds refused" fuzzed 100
check "the kernel has nothing to report" clean

faults=/sys/kernel/debug/failslab
if [ -d $faults ]; then
	echo Y >$faults/task-filter
	echo 3 >$faults/probability
	echo -1 >$faults/times
	echo 0 >$faults/verbose
	echo N >$faults/ignore-gfp-wait
	check "the same while allocations fail" fuzzed 100
	echo 0 >$faults/probability
	check "the kernel has nothing to report" clean
else
	diag "this kernel has no fault injection"
fi

for id in 1 2 3 4 5; do nl gw1 group del $id 2>/dev/null; done
for id in 64 65 256 1024; do nl gw1 group del $id 2>/dev/null; done
check "a group can be made and set" works
leak=/sys/kernel/debug/kmemleak
if [ -w $leak ]; then
	echo scan >$leak
	echo scan >$leak
	check "kmemleak finds nothing of the module's" eval '! grep -A 15 "^unreferenced" '$leak' | grep -q mcipsec'
fi
for ns in ce gw1 gw2 p sw; do ip netns del $ns 2>/dev/null; done
check_wait "the module unloads once its namespaces are gone" 30 rmmod mcipsec
check "the kernel has nothing to report" clean
tap_end
