#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_trackd.sh - the agent (played by mcnl.py) is stopped: its lease runs out,
# and mcipsec-trackd makes routes and VRRP fall, with real keepaliveds on the
# seed's LAN. While the agent lives, trackd touches nothing.

. "$(dirname "$0")/common.sh"
trap 'lab_collect /results; topo_down' EXIT

FILE=/run/mcipsec/vrrp/VRRP10.track
PUBLIC=10.10.20.1
PRIVATE=192.168.1.1

file_is() { [ "$(lab SeGW-1 cat $FILE 2>&1)" = "$1" ]; }
set_file() { lab SeGW-1 sh -c "echo $1 >$FILE"; }
public_is() { lab SeGW-1 ip route show $PUBLIC table main | grep -q "proto $1 "; }
private_is() { lab SeGW-1 ip route show $PRIVATE table 2 | grep -q "proto $1 "; }
set_routes()
{
	lab SeGW-1 ip route replace $PUBLIC/32 dev int-IPsec-Pub-1 proto "$1"
	lab SeGW-1 ip route replace $PRIVATE/32 dev tunnel-1 table 2 proto "$2"
}

# The agent of a forwarding group.
master()
{
	mcnl SeGW-1 lease 1 60000
	mcnl SeGW-1 state 1 master
	set_routes 201 211
	set_file 0
}

# Priorities that SeGW-1 puts into its advertisements, newest last.
adverts()
{
	lab SeGW-2 timeout 3 tcpdump -nn -v -c "$1" -i int-SeGW2-S1 \
		'ip proto 112 and src 172.16.1.252' 2>/dev/null |
		sed -n 's/.*prio \([0-9]*\).*/\1/p' | tail -n 1
}

write_plan()	# lines on stdin
{
	lab SeGW-1 sh -c 'cat >/run/mcipsec/fence.plan.new &&
		mv /run/mcipsec/fence.plan.new /run/mcipsec/fence.plan'
}
whole_plan()
{
	write_plan <<-EOT
	mcipsec-fence-plan 1
	# what falls with tunnel-group 1
	group 1 track $FILE -150
	group 1 route $PUBLIC/32 table 254 metric 0 dev int-IPsec-Pub-1
	group 1 route $PRIVATE/32 table 2 dev tunnel-1
	end
	EOT
}
once() { lab SeGW-1 mcipsec-trackd -1; }
fallen() { file_is -150 && public_is 204 && private_is 214; }
standing() { file_is 0 && public_is 201 && private_is 211; }

plan 30
need_module
check "topology is up" topo_up || tap_end
quiet_arp SeGW-1
quiet_arp SeGW-2
lab SeGW-1 mkdir -p /run/mcipsec/vrrp

# --- one round at a time -----------------------------------------------------
check "no plan: nothing to do" once
mcnl SeGW-1 group-new 1 10.10.20.1 1
master
whole_plan
check "forwarding group, values as the agent wrote them" eval 'once && standing'
mcnl SeGW-1 state 1 standby
check "standby with a lease is the agent's business" eval 'once && standing'
mcnl SeGW-1 state 1 master
mcnl SeGW-1 lease 1 -1
check "lease ran out: everything falls" eval 'once && fallen'
check_is "and keeps its shape" "$PRIVATE dev tunnel-1 proto 214 scope link" \
	eval "lab SeGW-1 ip route show $PRIVATE table 2 | sed 's/ *$//'"
set_file -200
check "a lower value of somebody else stays" eval 'once && file_is -200'
set_file -255
check "a first stage that nobody finished is finished" eval 'once && file_is -150'

master
mcnl SeGW-1 lease 1 -1
lab SeGW-1 ip route del $PRIVATE/32 table 2
check "a route that is gone stays gone" \
	eval 'once && public_is 204 && [ -z "$(lab SeGW-1 ip route show $PRIVATE table 2 2>&1)" ]'
master
lab SeGW-1 ip route add $PRIVATE/32 dev tunnel-1 table 2 proto 211 metric 7
mcnl SeGW-1 lease 1 -1
check "a route outside the plan stays as it is" \
	eval 'once && lab SeGW-1 ip route show $PRIVATE table 2 | grep -q "proto 211 .*metric 7"'
lab SeGW-1 ip route del $PRIVATE/32 table 2 metric 7

# The agent renews its lease while trackd is between question and writing.
master
mcnl SeGW-1 lease 1 -1
lab SeGW-1 strace -qq -o /dev/null -e trace=ftruncate \
	-e inject=ftruncate:signal=STOP:when=1 mcipsec-trackd -1 >/dev/null 2>&1 &
round=$!
check_wait "(trackd is caught in its first stage)" 10 file_is -255
mcnl SeGW-1 lease 1 60000
lab SeGW-1 pkill -CONT -x mcipsec-trackd
wait "$round"
check "an agent that comes back in between gets all back" standing

mcnl SeGW-1 group-del 1
check "group gone from the kernel: everything falls" eval 'once && fallen'
mcnl SeGW-1 group-new 1 10.10.20.1 1

# --- plans that are wrong ----------------------------------------------------
refused() { ! once 2>/run/why && grep -q "fence.plan:$1:" /run/why; }
printf 'mcipsec-fence-plan 1\ngroup 1 track %s -150\n' $FILE | write_plan
check "a plan without end is refused" refused 2
printf 'mcipsec-fence-plan 2\nend\n' | write_plan
check "a plan of another version is refused" refused 1
printf 'mcipsec-fence-plan 1\ngroup 1 route 10.10.20.1/33 table 2\nend\n' | write_plan
check "a bad prefix is refused with its line" refused 2
printf 'mcipsec-fence-plan 1\ngroup 1 track relative -1\nend\n' | write_plan
check "a relative path is refused" refused 2

# --- the daemon --------------------------------------------------------------
master
whole_plan
spawn SeGW-1 trackd mcipsec-trackd -f
keepalived_start SeGW-1
keepalived_start SeGW-2
spawn SeGW-1 agent "$here/mcnl.py" keep 1 900
check_wait "VRRP: SeGW-1 is master" 20 vrrp_is SeGW-1 MASTER
check_is "and advertises 200" 200 adverts 3

spawn SeGW-1 fifo cat /run/mcipsec/vrrp/notify.fifo
printf 'garbage\n' | write_plan
check_wait "a plan that turns bad is refused and logged" 10 \
	grep -q 'fence.plan:1: .*the plan in force stays' "$LAB_DIR/SeGW-1/log/trackd.out"

signal SeGW-1 agent STOP
check_wait "agent stopped: file and routes fall" 10 fallen
diag "after $waited_ms ms, lease 900 ms"
check_wait "and SeGW-2 takes VRRP" 10 vrrp_is SeGW-2 MASTER
diag "after another $waited_ms ms"
check "SeGW-1 has let go" vrrp_is SeGW-1 BACKUP
check_wait "its in-use priority is 50" 10 \
	grep -q '"VRRP10" BACKUP 50$' "$LAB_DIR/SeGW-1/log/fifo.out"

signal SeGW-1 agent CONT
poll 5 exits SeGW-1 0 mcipsec-track 1
check "the agent's return alone raises nothing" fallen
master
check_wait "the agent's own values do: VRRP preempts" 20 vrrp_is SeGW-1 MASTER

# Control: without trackd a stopped agent leaves VRRP and routes behind.
stop SeGW-1 trackd
signal SeGW-1 agent STOP
mcnl SeGW-1 lease 1 -1
check "control: without trackd nothing falls" \
	eval 'exits SeGW-1 1 mcipsec-track 1 && standing && vrrp_is SeGW-1 MASTER'
whole_plan
spawn SeGW-1 trackd mcipsec-trackd -f
check_wait "trackd reconciles when it starts" 10 fallen

# --- how it learns of it -----------------------------------------------------
# The poll of the main loop before the first write: an event, not its 1 s limit.
by_event()
{
	lab SeGW-1 awk '/, 3, 1000\)/ { last = $0 }
		/^ftruncate/ { print "# " last; exit last !~ /\) = 1 / }' /run/trace
}
stop SeGW-1 trackd
master
spawn SeGW-1 strace strace -qq -o /run/trace -e trace=poll,ftruncate mcipsec-trackd -f
wait_for "trackd polls" 20 lab SeGW-1 grep -q '3, 1000' /run/trace
mcnl SeGW-1 lease 1 2500
poll 20 fallen
check "the module's event wakes it" by_event

lab SeGW-1 pkill -x -TERM mcipsec-trackd
poll 10 eval '! running SeGW-1 strace'
master
spawn SeGW-1 trackd mcipsec-trackd -f
poll 10 lab SeGW-1 sh -c 'ls -l /proc/$(cat /run/lab/trackd.pid)/fd | grep -q inotify'
signal SeGW-1 trackd STOP
mcnl SeGW-1 flood 1 1000
mcnl SeGW-1 state 1 master
mcnl SeGW-1 lease 1 -1
signal SeGW-1 trackd CONT
check_wait "events that were lost are noticed and do not matter" 10 \
	eval 'fallen && grep -q "events were lost" "$LAB_DIR/SeGW-1/log/trackd.out"'
tap_end
