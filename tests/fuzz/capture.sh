#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# capture.sh - in a lab guest: whatever SeGW-1's agent reads while the tunnel comes
# up, a child is rekeyed, mastership moves there and back and somebody asks it
# everything, as bytes: MIMP, BFD, netlink, VICI, the control socket. seeds.py makes
# seeds of the fuzzers' corpora of it.
#
# usage: run.sh --results DIR tests/fuzz/capture.sh      writes DIR/read.strace

. /mcipsec/selftests/lab/scene.sh

STRACE=(strace -f -qq -yy -e trace=read,recvfrom,recvmsg,recvmmsg -e read=all -e signal=none)

# The agent as the lab starts it, watched.
agent_start()
{
	if [ "$1" = SeGW-1 ]; then
		spawn SeGW-1 mcipsecd "${STRACE[@]}" -o /results/read.strace /usr/sbin/mcipsecd -f
	else
		spawn "$1" mcipsecd /usr/sbin/mcipsecd -f
	fi
	wait_up "$1" mcipsecd lab "$1" test -S /run/mcipsec/control.sock
}

switchover()
{
	lab "$1" mcipsec tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 now wait 60
}

# Watched so closely the agent is slow.
scene_configure()
{
	sed -i -e 's/^keep-alive-interval = .*/keep-alive-interval = 5.0/' -e 's/^hold-on-neighbor-failure = .*/hold-on-neighbor-failure = 6/' \
		-e 's/^bfd = .*/bfd = { transmit = 3000, receive = 3000, multiplier = 10 }/' "$LAB_DIR/$1/etc/mcipsec/mcipsec.toml"
}

plan $((SCENE_POINTS + 6))
scene_up
for command in 'show redundancy multi-chassis mc-ipsec peer 192.0.2.2 tunnel-group 1' 'show isa tunnel-group' \
	'show redundancy multi-chassis sync detail' 'show ipsec tunnel detail' 'show ipsec sa' 'show router vrrp instance' \
	'show log' 'stats' 'config show' 'admin isa tunnel-group 1 mda 1/2 no-shutdown' 'clear ipsec tunnel none'; do
	# shellcheck disable=SC2086
	lab SeGW-1 mcipsec -j $command >/dev/null 2>&1
done
check "CE-1 rekeys its child" lab CE-1 swanctl --rekey --child tunnel-1
check "a switchover" switchover SeGW-1
check_wait "SeGW-2 is master" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal
check "and back" switchover SeGW-2
check_wait "SeGW-1 is master" 60 roles SeGW-1 master SeGW-2 standby
tap_end
