#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_secrets.sh - key material stays where it belongs (I8): the keys of the SAs,
# the authentication key of MIMP and MCS and the PSK of a tunnel are in no log, in
# nothing that a command, the control socket or the module says, in no file below
# /run/mcipsec, not on the wire between the gateways, in no page that may be swapped
# and in no core dump. An unprivileged user reads states and changes nothing.
# Control: the same search finds them where they are by right: in `ip xfrm state`,
# in the key file, in swanctl.conf, in the agent's memory; a process without
# precautions does leave a core dump; root may do what nobody may not.

. "$(dirname "$0")/scene.sh"

NL=/mcipsec/build/lab-tools/mcipsec-nl
PSK=pre-shared-and-never-to-be-seen
dir=/tmp/secrets
mkdir -p $dir/said $dir/places
trap 'lab_results; cp -r $dir/said /results/' EXIT

scene_configure()
{
	sed -i "s/secret = .*/secret = \"$PSK\"/" "$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-1.conf" \
		"$LAB_DIR/CE-1/etc/swanctl/conf.d/tunnel-1.conf"
}

secrets() { "$LAB_SRC/secrets.py" "$@" >$dir/out 2>&1; local rc=$?; sed 's/^/# /' $dir/out; return $rc; }
# lacks PATH...: the search goes through, and finds nothing.
lacks() { secrets search $dir/list "$@" && grep -qE '^[1-9][0-9]* secrets, [1-9][0-9]* files, [1-9]' $dir/out; }
# finds NAME PATH: the control.
finds() { secrets search $dir/list "$2"; grep -q "^$1" $dir/out; }
agent_pid() { lab "$1" cat /run/lab/mcipsecd.pid; }
# guest_pid NODE NAME: of a daemon, as the guest itself sees it.
guest_pid()
{
	local pid
	for pid in $(pgrep -x "$2"); do
		[ "$(readlink "/proc/$pid/ns/net")" != "$(lab "$1" readlink /proc/self/ns/net)" ] || echo "$pid"
	done | head -n 1
}

say() { lab SeGW-1 mcipsec "$@" >"$dir/said/${*//[^a-z0-9-]/_}" 2>&1; }
say_everything()
{
	local form
	lab SeGW-1 timeout 20 mcipsec -j monitor >$dir/said/monitor 2>&1 & monitor=$!
	for form in "" -j; do
		say $form show redundancy multi-chassis mc-ipsec peer 192.0.2.2
		say $form show redundancy multi-chassis mc-ipsec peer 192.0.2.2 tunnel-group 1
		say $form show redundancy multi-chassis sync detail
		say $form show isa tunnel-group 1
		say $form show ipsec tunnel detail
		say $form show ipsec sa
		say $form show router vrrp instance
		say $form show log
		say $form stats
		say $form config show
		say $form config check
	done
	say stats --prometheus
	lab SeGW-1 $NL events 3000 5 >$dir/said/nl-events 2>&1 & events=$!
	lab SeGW-1 $NL group get >$dir/said/nl-group 2>&1
	lab SeGW-1 $NL seq get >$dir/said/nl-seq 2>&1
	lab CE-1 swanctl --rekey --child tunnel-1 >/dev/null 2>&1	# something to tell
	wait $events $monitor
}
said_much() { [ "$(find $dir/said -type f -size +0 | wc -l)" -ge 20 ]; }

# as_nobody NODE CMD...
as_nobody() { local node=$1; shift; lab "$node" setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$@"; }
# refused_to_nobody CMD...: and with a word that says so.
refused_to_nobody() { as_nobody SeGW-1 "$@" >$dir/out 2>&1 && return 1; grep -qiE 'permission denied|not permitted|root is needed|refused|allowed' $dir/out || { diag "$(cat $dir/out)"; return 1; }; }

plan $((SCENE_POINTS + 34))
scene_up
tcpdump -i wire-12 -U -w $dir/wire.pcap </dev/null >/dev/null 2>&1 & wire=$!
for node in "${GATEWAYS[@]}"; do
	lab "$node" true
	"$LAB_SRC/secrets.py" collect "$(node_pid "$node")" "$LAB_DIR/$node/etc/mcipsec/peer.key" $PSK
done | sort -u >$dir/list
check "keys of SAs, the authentication key and the PSK are known" \
	[ "$(grep -c '^sa-' $dir/list)" -ge 2 -a "$(grep -cE '^(authentication-key|psk) ' $dir/list)" = 2 ]

# ---- controls of the search --------------------------------------------------------
lab SeGW-1 ip xfrm state >$dir/places/xfrm
check "control: it finds the SAs' keys in ip xfrm state" finds sa- $dir/places/xfrm
check "control: the authentication key in its file" finds authentication-key "$LAB_DIR/SeGW-1/etc/mcipsec/peer.key"
check "control: the PSK in swanctl.conf" finds psk "$LAB_DIR/SeGW-1/etc/swanctl/conf.d/tunnel-1.conf"

# ---- what is said and written -------------------------------------------------------
say_everything
lab SeGW-1 ip xfrm state >/dev/null
for node in "${GATEWAYS[@]}"; do	# those of after the rekey as well
	"$LAB_SRC/secrets.py" collect "$(node_pid "$node")" "$LAB_DIR/$node/etc/mcipsec/peer.key" $PSK
done | sort -u - $dir/list >$dir/list.new && mv $dir/list.new $dir/list
check "every command was asked" said_much
check "no command, event or netlink message says a secret" lacks $dir/said
for node in "${GATEWAYS[@]}"; do
	check "$node: no log has one" lacks "$LAB_DIR/$node/log"
	cp -r "/proc/$(node_pid "$node")/root/run/mcipsec" "$dir/places/run-$node" 2>/dev/null
	check "$node: nothing below /run/mcipsec has one" lacks "$dir/places/run-$node"
done
kill $wire
check "the wire between the gateways has none" lacks $dir/wire.pcap
check "... though MCS has been on it" eval '[ "$(tcpdump -r $dir/wire.pcap tcp port 7656 2>/dev/null | wc -l)" -gt 10 ]'
check "the kernel's log has none" eval 'dmesg >$dir/places/dmesg && lacks $dir/places/dmesg'

# ---- memory ---------------------------------------------------------------------------
pid=$(guest_pid SeGW-2 mcipsecd)
secrets memory $dir/list "$pid" >/dev/null
cat $dir/out | sed 's/^/# /'
check "control: the search finds a secret in the memory of the standby's agent" grep -qE '^found [1-9]' $dir/out
check "each of its pages that has one is locked" eval '! grep -qE ", [1-9][0-9]* not locked" $dir/out'
check_not "control: charon's, which nobody locks, are not" secrets memory $dir/list "$(guest_pid SeGW-2 charon-systemd)"
check_is "none is swapped" 0 sed -n 's/^VmSwap:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"
check_is "it is not dumpable: its memory belongs to root" "0 0" stat -c '%u %g' "/proc/$pid/mem"
check_not "nobody cannot read it" setpriv --reuid=65534 --regid=65534 --clear-groups cat "/proc/$pid/maps"
echo "$dir/core.%e" >/proc/sys/kernel/core_pattern
(ulimit -c unlimited; exec setsid bash -c 'kill -SEGV $$') 2>/dev/null
check "control: a process that dies leaves a core dump" eval 'compgen -G "$dir/core.bash*" >/dev/null'
prlimit --core=unlimited:unlimited --pid "$pid"
lab SeGW-2 kill -SEGV "$(agent_pid SeGW-2)"
check_wait "the agent dies" 20 eval '! kill -0 $pid 2>/dev/null'
check_not "and leaves none, even if it were allowed to" compgen -G "$dir/core.mcipsecd*"
check "it comes back" agent_start SeGW-2

# ---- nobody ---------------------------------------------------------------------------
check "nobody reads mastership" eval 'as_nobody SeGW-1 mcipsec -j show isa tunnel-group 1 | jq_ok ".tunnel_groups[0].mastership == \"master\""'
for words in 'show ipsec sa' 'admin isa tunnel-group 1 shutdown' 'clear ipsec tunnel tunnel-1' \
	'tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 now'; do
	# shellcheck disable=SC2086
	check "but is refused: $words" refused_to_nobody mcipsec $words
done
for words in "state cookie 1=master" "group del 1" "lease cookie 1 1000" "seq get"; do
	# shellcheck disable=SC2086
	check "netlink refuses nobody: $words" refused_to_nobody $NL $words
done
check "nobody cannot read the authentication key" refused_to_nobody cat /etc/mcipsec/peer.key
check_is "after all this SeGW-1 is master" master mc SeGW-1 mastership
scene_end
