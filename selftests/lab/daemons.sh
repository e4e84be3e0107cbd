# SPDX-License-Identifier: GPL-2.0-or-later
#
# daemons.sh - start and stop what runs on the lab's nodes, in the order in which
# a real gateway's units do. Every daemon runs in the foreground under the node's
# first process, its output in /lab/NODE/log.
#
# Sourced after lib.sh and node.sh.

# spawn NODE NAME CMD...: start CMD on NODE in the background; its pid inside the
# node is kept in /run/lab/NAME.pid there, its end is noted in its log.
spawn()
{
	local node=$1 name=$2
	shift 2
	lab "$node" sh -c 'mkdir -p /run/lab; log=$1; shift
		setsid sh -c "pid=\$1; shift; \"\$@\" & echo \$! >\"\$pid\"; wait \$!; echo \"[ended: \$?]\"" \
			spawned "$@" </dev/null >>"$log" 2>&1 &' \
		spawn "$LAB_DIR/$node/log/$name.out" "/run/lab/$name.pid" "$@"
	poll 10 lab "$node" test -s "/run/lab/$name.pid"
}

# signal NODE NAME SIGNAL: to a spawned daemon.
signal() { lab "$1" sh -c 'kill -"$1" "$(cat /run/lab/"$2".pid)"' signal "$3" "$2"; }

# running NODE NAME
running() { lab "$1" sh -c 'kill -0 "$(cat /run/lab/"$1".pid)"' running "$2" 2>/dev/null; }

# stop NODE NAME [SIGNAL]: and wait until it is gone.
stop()
{
	signal "$1" "$2" "${3:-TERM}" || return 0
	poll 15 eval "! running $1 $2"
}

# wait_up NODE NAME CMD...: until a spawned daemon answers, or is dead.
wait_up()
{
	local node=$1 name=$2
	shift 2
	wait_for "$name of $node answers" 90 up_or_dead "$node" "$name" "$@" && "$@" >/dev/null 2>&1
}
up_or_dead() { "${@:3}" || ! running "$1" "$2"; }

charon_start()
{
	spawn "$1" charon /usr/sbin/charon-systemd
	wait_up "$1" charon lab "$1" swanctl --stats || return 1
	lab "$1" swanctl --load-all --noprompt >>"$LAB_DIR/$1/log/swanctl.out" 2>&1
}

bird_start()
{
	spawn "$1" bird /usr/sbin/bird -f -c /etc/bird/bird.conf -s /run/bird/bird.ctl -P /run/bird/bird.pid
	wait_up "$1" bird lab "$1" birdc show status
}

# bird_exports GATEWAY PREFIX: one more that its customers have, before BIRD starts.
bird_exports() { sed -i "s|^\(define CE1_INTERNAL = \[ .*\) \]|\1, $2 ]|" "$LAB_DIR/$1/etc/bird/bird.conf"; }

# bird_include NODE FILE [LINE...]: at the end of its file an example, below what its head asks for
bird_include()
{
	cp "$LAB_SRC/../../bird-conf/examples/$2" "$LAB_DIR/$1/etc/bird/" &&
		printf '%s\n' "${@:3}" "include \"$2\";" >>"$LAB_DIR/$1/etc/bird/bird.conf"
}

# bird_six PREFIX: IPv6 on the SDPs and in the files of the gateways and P-1, before BIRD
# starts; PREFIX is what CE-1 has.
bird_six()
{
	local n
	for n in 1 2; do
		lab "SeGW-$n" ip -6 addr add "2001:db8:20$((n + 1))::1/64" dev "sdp-$((n + 1))00" nodad &&
			lab P-1 ip -6 addr add "2001:db8:20$((n + 1))::2/64" dev "sdp-$((n + 1))00" nodad &&
			bird_include "SeGW-$n" ipv6.conf "define SIX_LOCAL = 2001:db8:20$((n + 1))::1;" "define SIX_P1 = 2001:db8:20$((n + 1))::2;" \
				"define SIX_WITHOUT_PEER = $((300 - n * 100));" "define CE1_INTERNAL6 = [ $1 ];" || return 1
	done
	bird_include P-1 p1-ipv6.conf "define SIX_SEGW1 = 2001:db8:202::1;" "define SIX_P1_1 = 2001:db8:202::2;" \
		"define SIX_SEGW2 = 2001:db8:203::1;" "define SIX_P1_2 = 2001:db8:203::2;"
}

keepalived_start()
{
	lab "$1" mkdir -p /run/mcipsec/vrrp
	spawn "$1" keepalived /usr/sbin/keepalived -n -l -G -D -f /etc/keepalived/keepalived.conf \
		-p /run/keepalived.pid -r /run/keepalived-vrrp.pid
}

# vrrp_is NODE STATE: STATE as keepalived's address says it: MASTER has it.
vrrp_is()
{
	local has=BACKUP
	if lab "$1" ip -4 -o addr show | grep -q ' 172\.16\.1\.254/'; then
		has=MASTER
	fi
	[ "$has" = "$2" ]
}
