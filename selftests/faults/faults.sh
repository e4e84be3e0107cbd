# SPDX-License-Identifier: GPL-2.0-or-later
#
# faults.sh - many faults in one scene. A case is one call
#
#	fault TITLE FUNCTION ARG...
#
# FUNCTION brings the fault about, waits until it shows, and puts right what does
# not come right by itself. M is then the master and S the standby. What it wants
# judged otherwise than usual it says in:
#
#	expect_senders	who sends from the gateway address, in order ("$M $S": M, then S).
#			Default: $M alone. "any": whoever was acting master when it began to
#	expect_lost	packets of the flow that may be lost. Default: not judged
#	expect_within	seconds until everything is nominal. Default: 90
#	expect_ike	"rekeyed": the CE's IKE_SA has become another one without
#			IKE_SA_INIT. "anew": another one. "any": not judged.
#			Default: it has the same SPIs
#
# After it, every case is judged alike: one master, one standby,
# protection status nominal, VRRP and routes at the master; the customer's packets
# get through; no tunnel was authenticated anew; CE-1 and both gateways hold the
# same SAs and no exchange is open; no sequence number was used twice (I3); nobody
# sent but who was to (I5). So every case ends where the next one begins, but for
# who is master.
#
# The cases lie in the files beside this one. Sourced by long_*.sh.

FAULTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$FAULTS_DIR/../lab/scene.sh"
. "$FAULTS_DIR/judge.sh"

FLOW_INTERVAL=50

# only: the cases to run, as a pattern; all by default. For whoever looks into one.
only=${1:-*}

# A customer that retransmits often gets through soon, and one that goes on for a
# minute does not give up before a gateway is back. Beside other guests an agent may
# not run for a second or two, and a record may take as long: neither is the fault.
scene_configure()
{
	sed -i 's/^charon {/charon {\n\tretransmit_timeout = 1.0\n\tretransmit_base = 1.3\n\tretransmit_tries = 11/' \
		"$LAB_DIR/CE-1/etc/strongswan.conf"
	relaxed_timers "$1"
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	printf '[redundancy.multi-chassis.peer."%s".sync.ipsec]\noutput-commit-limit = %s\n' \
		"$(peer_address "$1")" "$OUTPUT_COMMIT" >"$LAB_DIR/$1/etc/mcipsec/conf.d/faults.toml"
	faults_configure "$1"
}
OUTPUT_COMMIT=2000	# ms
faults_configure() { :; }	# NODE: as scene_configure, for a script of faults

# faults_up: the scene and the books.
faults_up()
{
	echo "TAP version 13"
	scene_up
	ledger_start
	poll 30 flow_whole
}

# who STATE: the node in that state.
who()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		if mc_is "$node" mastership "$1"; then
			echo "$node"
			return
		fi
	done
}
peer_of() { [ "$1" = SeGW-1 ] && echo SeGW-2 || echo SeGW-1; }

# point TEXT CMD...: a test point of the case. point_wait TEXT SECONDS CMD...
point() { check "$title: $1" "${@:2}"; }
point_wait() { check_wait "$title: $1" "$2" "${@:3}"; }

fault()
{
	title=$1 failed_before=$tap_failed
	shift
	# shellcheck disable=SC2053
	[[ $title == $only ]] || return 0
	M=$(who master)
	if [ -z "$M" ]; then	# an agent slept since the case before was judged
		poll 120 settled || { fail "$title: there is a master"; faults_give_up; }
		M=$(who master)
	fi
	S=$(peer_of "$M")
	t0=$EPOCHREALTIME
	ledger case "$t0" >/dev/null
	ike_before=$(ce_ike_spis) sleeps_before=$(sleeps)
	expect_senders='' expect_lost='' expect_within=90 expect_ike=same
	"$@"
	fault_judge
}

# ---- daemons -----------------------------------------------------------------------
# daemon_pids NODE DAEMON: all of its processes (keepalived has two).
daemon_pids()
{
	case $2 in
	charon) lab "$1" pidof charon-systemd ;;
	*) lab "$1" pidof "$2" ;;
	esac
}
daemon_signal()	# NODE DAEMON SIGNAL
{
	# shellcheck disable=SC2046
	lab "$1" kill "-$3" $(daemon_pids "$1" "$2")
}
daemon_gone() { ! daemon_pids "$1" "$2"; }
daemon_start()	# NODE DAEMON
{
	case $2 in
	mcipsecd) agent_start "$1" ;;
	*) "$2_start" "$1" ;;
	esac
}
daemon_kill() { daemon_signal "$1" "$2" KILL && poll 15 daemon_gone "$1" "$2"; }
daemon_stop() { daemon_signal "$1" "$2" TERM && poll 60 daemon_gone "$1" "$2"; }

# ---- power --------------------------------------------------------------------------
power_off() { node_kill "$1"; }
power_on()
{
	node_up "$1" && scene_mac "$1" && gateway_start "$1"
}

force()	# hand over from M to S
{
	hand_over "$M"
}
