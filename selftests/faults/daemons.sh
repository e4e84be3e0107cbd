# SPDX-License-Identifier: GPL-2.0-or-later
#
# daemons.sh - each daemon of a gateway killed (SIGKILL), stopped (SIGSTOP, longer
# than anybody waits for it, then SIGCONT) or restarted, on the master, on the
# standby, on one that is alone (eligible) or out of order (notEligible).
#
# Sourced after faults.sh. `daemons_matrix ROUND` runs DAEMON_CASES; there is an odd
# number of switchovers in them, so a second round begins with the other master.

DAEMON_CASES=(
	agent_killed_master agent_killed_standby agent_stopped_master agent_stopped_standby
	agent_restarted_master agent_restarted_standby agent_paused_master agent_crashed_master
	charon_killed_master charon_killed_standby charon_stopped_master charon_stopped_standby
	charon_restarted_master charon_restarted_standby
	keepalived_killed_master keepalived_killed_standby keepalived_stopped_master
	keepalived_stopped_standby keepalived_restarted_master keepalived_restarted_standby
	bird_killed_master bird_killed_standby bird_stopped_master bird_stopped_standby
	bird_restarted_master bird_restarted_standby
)

not_ready() { mc_is "$1" protection_status notReady; }
fenced() { ! lab "$1" mcipsec-track 1; }

# ---- the agent -----------------------------------------------------------------------
# Unheard longer than detection: its lease ends first, then the peer takes over.
agent_killed_master()
{
	expect_senders="$M $S"
	point "$M fences itself" eval 'daemon_kill "$M" mcipsecd && wait_for "fenced" 20 fenced "$M"'
	point_wait "$S takes over" 20 gate_is "$S" forward
	point "the agent is started" agent_start "$M"
}
agent_killed_standby()
{
	expect_lost=0
	point "the agent is killed" daemon_kill "$S" mcipsecd
	point_wait "$M serves alone" 20 mc_is "$M" mastership eligible
	point "the agent is started" agent_start "$S"
}
agent_stopped_master()
{
	expect_senders="$M $S"
	point "$M fences itself" eval 'daemon_signal "$M" mcipsecd STOP && wait_for "fenced" 20 fenced "$M"'
	point_wait "$S takes over" 20 gate_is "$S" forward
	point "the agent goes on" daemon_signal "$M" mcipsecd CONT
}
agent_stopped_standby()
{
	expect_lost=0
	point "the agent is stopped" daemon_signal "$S" mcipsecd STOP
	point_wait "$M serves alone" 20 mc_is "$M" mastership eligible
	point "the agent goes on" daemon_signal "$S" mcipsecd CONT
}
# A planned restart moves nothing, on either side.
agent_restarted_master() { agent_restarted "$M"; }
agent_restarted_standby() { agent_restarted "$S"; }
agent_restarted()
{
	local node=$1 generation
	generation=$(mc "$M" generation)
	expect_lost=0
	point "the agent of $node is restarted as planned" eval \
		'daemon_signal "$node" mcipsecd USR2 && poll 10 daemon_gone "$node" mcipsecd && agent_start "$node"'
	point_wait "$M is master, $S standby" 30 roles "$M" master "$S" standby
	point "in the same generation" mc_is "$node" generation "$generation"
}
# A pause that is shorter than the lease is none. (The sleep is the fault.)
agent_paused_master()
{
	local generation
	generation=$(mc "$M" generation)
	expect_lost=0
	point "the agent pauses for 300 ms" lab "$M" sh -c \
		'p=$(pidof mcipsecd) && kill -STOP $p && sleep 0.3 && kill -CONT $p'
	point "$M is master, in the same generation" eval 'roles "$M" master "$S" standby && mc_is "$M" generation "$generation"'
}
# Killed and started again at once, as systemd does it: the old lease runs, nobody
# has missed the agent yet. Who is master afterwards is not said.
agent_crashed_master()
{
	expect_senders=any
	point "the agent is killed and started at once" eval 'daemon_signal "$M" mcipsecd KILL; agent_start "$M"'
}

# ---- charon -----------------------------------------------------------------------------
charon_killed_master()
{
	expect_senders="$M $S"
	point "charon is killed" daemon_kill "$M" charon
	point_wait "$S takes over" 30 roles "$M" notEligible "$S" master
	point "charon is started" charon_start "$M"
}
charon_killed_standby()
{
	expect_lost=0
	point "charon is killed" daemon_kill "$S" charon
	point_wait "$M says that it is not protected" 30 not_ready "$M"
	point "charon is started" charon_start "$S"
}
charon_stopped_master()
{
	expect_senders="$M $S"
	point "charon is stopped" daemon_signal "$M" charon STOP
	point_wait "$S takes over" 60 roles "$M" notEligible "$S" master
	point_wait "the customer's packets get through meanwhile" 30 flow_whole
	point "charon goes on" daemon_signal "$M" charon CONT
}
charon_stopped_standby()
{
	expect_lost=0
	point "charon is stopped" daemon_signal "$S" charon STOP
	point_wait "$M says that it is not protected" 60 not_ready "$M"
	point "charon goes on" daemon_signal "$S" charon CONT
}
charon_restarted_master()
{
	expect_senders="$M $S"
	point "charon is stopped and started" eval 'daemon_stop "$M" charon && charon_start "$M"'
}
charon_restarted_standby()
{
	expect_lost=0
	point "charon is stopped and started" eval 'daemon_stop "$S" charon && charon_start "$S"'
}

# ---- keepalived ---------------------------------------------------------------------------
# Mastership does not follow VRRP: who is standby and gets the packets shunts them.
keepalived_killed_master()
{
	point "keepalived is killed" daemon_kill "$M" keepalived
	point_wait "the address moves to $S" 20 vrrp_is "$S" MASTER
	point_wait "what arrives there is shunted" 20 flow_whole
	point_wait "$M has an alarm" 20 alarm "$M" "keepalived is gone"
	point "keepalived is started" keepalived_start "$M"
	point_wait "the alarm goes" 20 eval '! alarm "$M" "keepalived is gone"'
}
keepalived_killed_standby()
{
	expect_lost=0
	point "keepalived is killed" daemon_kill "$S" keepalived
	point "keepalived is started" keepalived_start "$S"
}
keepalived_stopped_master()
{
	point "keepalived is stopped" daemon_signal "$M" keepalived STOP
	point_wait "the address moves to $S" 20 vrrp_is "$S" MASTER
	point_wait "what arrives there is shunted" 20 flow_whole
	point "keepalived goes on" daemon_signal "$M" keepalived CONT
}
keepalived_stopped_standby()
{
	expect_lost=0
	point "keepalived is stopped" daemon_signal "$S" keepalived STOP
	point "keepalived goes on" daemon_signal "$S" keepalived CONT
}
keepalived_restarted_master()
{
	point "keepalived is stopped and started" eval 'daemon_stop "$M" keepalived && keepalived_start "$M"'
}
keepalived_restarted_standby()
{
	expect_lost=0
	point "keepalived is stopped and started" eval 'daemon_stop "$S" keepalived && keepalived_start "$S"'
}

# ---- BIRD -------------------------------------------------------------------------------------
# In the lab the gateways hear each other by BIRD's routes, too: when it begins anew they
# may lose each other until OSPF is there again, and both act (the seed's case).
bird_killed_master()
{
	expect_senders=any
	point "BIRD is killed" daemon_kill "$M" bird
	point_wait "P-1 goes to $S, which shunts" 30 eval 'p1_prefers "$(sdp_of "$S")" && flow_whole'
	point "BIRD is started" bird_start "$M"
}
bird_killed_standby()
{
	expect_lost=0
	point "BIRD is killed" daemon_kill "$S" bird
	point "BIRD is started" bird_start "$S"
}
bird_stopped_master()
{
	expect_senders=any
	point "BIRD is stopped" daemon_signal "$M" bird STOP
	point_wait "P-1 goes to $S, which shunts" 30 eval 'p1_prefers "$(sdp_of "$S")" && flow_whole'
	point "BIRD goes on" daemon_signal "$M" bird CONT
}
bird_stopped_standby()
{
	expect_lost=0
	point "BIRD is stopped" daemon_signal "$S" bird STOP
	point_wait "P-1 hears of $S's routes no more" 30 p1_hears_only "$M"
	point "BIRD goes on" daemon_signal "$S" bird CONT
}
p1_hears_only()
{
	local name=${1,,}
	[ -n "$(p1_routes 192.168.1.1/32)" ] && ! p1_routes 192.168.1.1/32 | grep -qv "^${name/-/} "
}
bird_restarted_master()
{
	expect_senders=any
	point "BIRD is stopped and started" eval 'daemon_stop "$M" bird && bird_start "$M"'
}
bird_restarted_standby()
{
	expect_lost=0
	point "BIRD is stopped and started" eval 'daemon_stop "$S" bird && bird_start "$S"'
}

daemons_matrix()
{
	local name
	for name in "${DAEMON_CASES[@]}"; do
		fault "${name//_/ }, $1" "$name"
	done
}

# ---- both -----------------------------------------------------------------------------------------
# What an upgrade does: every daemon of a gateway is stopped and started, the
# standby's first, then those of the master.
gateway_daemons_stop()
{
	local daemon
	for daemon in charon mcipsecd bird keepalived mcipsec-trackd; do
		daemon_stop "$1" "$daemon" || return 1
	done
}
rolling_upgrade()
{
	expect_senders="$M $S"
	point "the daemons of $S stop" gateway_daemons_stop "$S"
	point "and start" gateway_start "$S"
	point_wait "protection status nominal on both" 60 nominal
	point "the daemons of $M stop" gateway_daemons_stop "$M"
	point_wait "$S serves alone" 20 gate_is "$S" forward
	point_wait "the customer's packets get through" 30 flow_whole
	point "they start" gateway_start "$M"
}

# The records come before the connections are loaded: they wait.
entries_await() { [ "$(mc "$1" reasons)" != "${2:-}" ] && mc "$1" reasons | grep -q 'await-conf'; }
await_conf()
{
	expect_lost=0
	point "charon of $S starts without connections" eval \
		'daemon_kill "$S" charon && spawn "$S" charon /usr/sbin/charon-systemd && wait_up "$S" charon lab "$S" swanctl --stats'
	point_wait "$M says that entries await their connection" 30 entries_await "$M"
	point "the connections are loaded" lab "$S" swanctl --load-all --noprompt
}
