# SPDX-License-Identifier: GPL-2.0-or-later
#
# switchovers.sh - N switchovers in a row, planned ones and power losses in turn:
# nothing is lost but packets, and nothing grows.
#
# Memory is compared between the end of a warm-up and the end: the agents' and
# charons' resident set where a process lived through both, and what the kernel
# holds (slab that cannot be reclaimed, the guest's used memory).
#
# Sourced after faults.sh.

planned()
{
	expect_senders="$M $S"
	point "force-switchover" force
}
power_lost()
{
	expect_senders="$M $S"
	power_off "$M"
	point_wait "$M has lost power, $S serves alone" 30 gate_is "$S" forward
	point_wait "the customer's packets get through" 30 flow_whole
	point "$M has power" power_on "$M"
}

# switchovers N
switchovers()
{
	local n
	for ((n = 1; n <= $1; n++)); do
		if ((n % 2)); then
			fault "switchover $n, planned" planned
		else
			fault "switchover $n, power loss" power_lost
		fi
		((n != 4)) || memory before
	done
	memory after
	memory_report "$1"
}

# memory NAME: KiB, kept as NAME_WHAT.
declare -A memory_kib=()
memory()
{
	local node daemon
	sync
	echo 3 >/proc/sys/vm/drop_caches
	memory_kib[$1 kernel slab]=$(awk '/^SUnreclaim/ { print $2 }' /proc/meminfo)
	memory_kib[$1 CE-1 charon]=$(rss CE-1 charon)
	for node in "${GATEWAYS[@]}"; do
		for daemon in mcipsecd charon keepalived bird mcipsec-trackd; do
			memory_kib[$1 $node $daemon]=$(rss "$node" "$daemon")
		done
	done
}
rss()	# NODE DAEMON: of all its processes
{
	local pid sum=0 kib
	for pid in $(daemon_pids "$1" "$2"); do
		kib=$(lab "$1" awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
		sum=$((sum + kib))
	done
	echo "$sum"
}

# Flat: a new process may differ from the old one by a little; what grows with each
# switchover would be far beyond after a hundred.
MEMORY_SLACK=2048	# KiB, a process
SLAB_SLACK=8192		# KiB
memory_report()
{
	local key what was is limit bad=0
	for key in "${!memory_kib[@]}"; do
		[[ $key == before* ]] || continue
		what=${key#before } was=${memory_kib[$key]} is=${memory_kib["after $what"]}
		limit=$MEMORY_SLACK
		[[ $what != kernel* ]] || limit=$SLAB_SLACK
		diag "memory of $what: $was KiB after 4 switchovers, $is KiB after $1"
		((is - was <= limit)) || { diag "$what grew by more than $limit KiB"; bad=1; }
	done
	check "memory is flat" test "$bad" = 0
}
