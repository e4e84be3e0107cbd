# SPDX-License-Identifier: GPL-2.0-or-later
#
# limits.sh - a gateway that runs out of something: the right time, disk, file
# descriptors, locked memory, room in a netlink socket, a peer that reads, room in
# a VICI message.
#
# Sourced after faults.sh and power.sh (hold).

# ---- clock ---------------------------------------------------------------------------
# The guest has one clock, so all of them jump: nothing that is decided may hang on
# it. A switchover and a rekey while it is wrong.
clock_jump()	# SECONDS
{
	local by=$1 spis
	spis=$(ce_child_spis)
	expect_senders="$M $S"
	point "the clock jumps by $by s" clock_shift "$by"
	point_wait "the customer's packets get through" 30 flow_whole
	point "$M is still master, $S standby" roles "$M" master "$S" standby
	point "CE-1 rekeys" eval 'rekey CE-1 child && wait_for "new SPIs" 40 spis_differ "$spis"'
	point_wait "protection status nominal on both" 60 nominal
	point "a switchover" force
	point_wait "$S is master, nominal" 60 eval 'roles "$M" standby "$S" master && nominal'
	point "the clock jumps back" clock_shift $((-by))
	# By a clock that was behind, what was sent meanwhile lies before the case began.
	[ "$by" -gt 0 ] || { expect_senders=$S t0=$EPOCHREALTIME; }
	point_wait "the customer's packets get through" 30 flow_whole
	point "$S is still master" roles "$M" standby "$S" master
}
clock_shift()
{
	date -s "@$(awk -v t="$EPOCHREALTIME" -v by="$1" 'BEGIN { printf "%.6f", t + by }')" >/dev/null
}

# ---- disk -----------------------------------------------------------------------------
# Not a byte is left for /run and for what survives a power loss, on both.
disk_full()
{
	local node
	expect_senders="$M $S $M"
	for node in "${GATEWAYS[@]}"; do
		lab "$node" mount -t tmpfs -o size=64k tmpfs /var/lib/mcipsec
		lab "$node" sh -c 'mount -o remount,size=$(($(df -k --output=used /run | tail -n 1) + 64))k /run
			cat /dev/zero >/run/full; cat /dev/zero >/var/lib/mcipsec/full' 2>/dev/null
	done
	point "nothing can be written in /run" disk_is_full "$M"
	point "a switchover all the same" force
	point_wait "VRRP and routes follow, nominal" 60 settled
	point_wait "the customer's packets get through" 30 flow_whole
	point "the agent of $S is restarted" eval \
		'daemon_signal "$S" mcipsecd USR2 && poll 20 daemon_gone "$S" mcipsecd; agent_start "$S"'
	point_wait "one master, one standby, nominal" 90 settled
	for node in "${GATEWAYS[@]}"; do
		lab "$node" sh -c 'rm /run/full; mount -o remount,size=50% /run; umount /var/lib/mcipsec'
	done
	pass "$title: there is room again"
	expect_senders=any
}
disk_is_full() { ! lab "$1" sh -c 'echo 1 >/run/one 2>/dev/null'; }

# ---- descriptors -----------------------------------------------------------------------
# The agent of the master has none left: who asks it waits, MCS cannot come back;
# it does not spin, and steps down properly when a member fails.
descriptors_gone()
{
	local pid cpu began
	expect_senders="$M $S"
	pid=$(daemon_pids "$M" mcipsecd)
	lab "$M" prlimit --pid "$pid" --nofile=3:4096
	point "the command line gets no answer" eval '! lab "$M" timeout 3 mcipsec -j show isa tunnel-group | grep -q "\"stale\": *false"'
	hold_mcs "$S"
	point_wait "MCS goes" 40 sync_is "$S" db_sync_state outOfSync
	release "$S"
	began=$(now_ms) cpu=$(agent_cpu "$M")
	poll 60 elapsed "$began" 3000
	point "the agent does not spin while the standby knocks" eval \
		'[ $(($(agent_cpu "$M") - cpu)) -lt $((($(now_ms) - began) / 20)) ]'
	point_wait "the customer's packets get through" 30 flow_whole
	daemon_kill "$M" charon
	point_wait "its charon dies: $S takes over" 40 gate_is "$S" forward
	point "there are descriptors again" lab "$M" prlimit --pid "$pid" --nofile=4096:4096
	point "charon is started" charon_start "$M"
}
# clock ticks (1/100 s) of user and system time
agent_cpu() { lab "$1" sh -c 'cut -d" " -f14,15 /proc/"$(pidof mcipsecd)"/stat | tr " " "\n"' | awk '{ s += $1 } END { print s }'; }
elapsed() { [ $(($(now_ms) - $1)) -ge "$2" ]; }

# ---- netlink -----------------------------------------------------------------------------
# More link and XFRM events than the agent's sockets hold, while it cannot read.
netlink_overrun()
{
	expect_senders=any
	point "a storm of events while the agent of $M pauses" lab "$M" bash -c '
		agent=$(pidof mcipsecd)
		ip link add storm type dummy
		kill -STOP $agent
		for i in {1..50}; do for n in {1..40}; do echo "link set storm mtu $((1000 + n))"; done; done | timeout 0.4 ip -batch - 2>/dev/null
		kill -CONT $agent
		for i in {1..100}; do for n in {1..40}; do echo "link set storm mtu $((1000 + n))"; done; done | ip -batch -
		ip link del storm'
}

# ---- a peer that does not read -----------------------------------------------------------
# MCS segments reach the standby no more, while CE-1 rekeys and rekeys.
mcs_not_read()
{
	local i spis
	point "the standby reads MCS no more" hold_mcs "$S"
	for i in 1 2 3; do
		spis=$(ce_child_spis)
		rekey CE-1 child
		wait_for "new SPIs" 40 spis_differ "$spis" || break
	done
	point "the customer rekeys three times" test "$i" = 3
	point_wait "$M says that it is not protected" 40 mc_is "$M" protection_status notReady
	point_wait "the customer's packets get through" 30 flow_whole
	point "the standby reads again" release "$S"
}
