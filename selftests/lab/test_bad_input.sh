#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_bad_input.sh - what a gateway must not fall over: the module is missing,
# charon comes late, the plugin is another one, the configuration is wrong, the
# operator asks for what cannot be, an attacker sends forged and recorded MIMP
# packets and rubbish to MCS. Each is a clear error or a counted drop, the
# running state stays, traffic goes on.
# Control: each question is answered the other way before or after.

. "$(dirname "$0")/lab.sh"
. "$LAB_SRC/attacker.sh"
trap 'lab_results; cp /tmp/before.pcap /tmp/live.pcap /results/' EXIT

plugin=/usr/lib/ipsec/plugins/libstrongswan-mcipsec.so
other_protocol=/mcipsec/build/lab-tools/plugin-protocol-2/libstrongswan-mcipsec.so
config=$LAB_DIR/SeGW-2/etc/mcipsec/mcipsec.toml

said() { grep -qE -- "$2" "$LAB_DIR/$1"; }		# NODE/log/FILE PATTERN
said_more() { [ "$(grep -cE -- "$3" "$LAB_DIR/$1")" -gt "$2" ]; }
times_said() { grep -cE -- "$2" "$LAB_DIR/$1"; }
# no_alarm NODE PATTERN: it answers, and has none like that
no_alarm() { [ "$(ask "$1" "$(find_object db_sync_state) | .alarms | map(select(test(\"$2\"))) | length" show redundancy multi-chassis sync)" = 0 ]; }

# exits CODE PATTERN CMD...: with that code, and says so.
exits()
{
	local want=$1 pattern=$2 rc=0 out
	shift 2
	out=$("$@" 2>&1 </dev/null) || rc=$?
	[ "$rc" = "$want" ] && grep -qE -- "$pattern" <<<"$out" && return
	diag "exit $rc: $out"
	return 1
}

plan 108
check "topology is up" topo_up
check "keys" gateway_keys

# ---- no module -----------------------------------------------------------------
# The kernel would load it when it is asked for: there is none to load.
lab SeGW-1 mkdir -p /run/mcipsec
mv "$(modinfo -n mcipsec)" /tmp/mcipsec.ko && depmod
no_module='kernel module mcipsec.*modprobe mcipsec'
check "without the module the gate says so, exit 1" exits 1 "$no_module" lab SeGW-1 mcipsecd --gate
check "so does the agent" exits 1 "$no_module" lab SeGW-1 timeout 30 mcipsecd -f
check "mcipsec-track says unknown, exit 2" exits 2 . lab SeGW-1 mcipsec-track 1
check "the command line says what it cannot reach, exit 3" exits 3 'module|mcipsec' \
	lab SeGW-1 mcipsec show isa tunnel-group
check "the configuration can be checked without it" exits 0 'valid' lab SeGW-1 mcipsecd -t
mv /tmp/mcipsec.ko "/lib/modules/$(uname -r)/extra/mcipsec.ko" && depmod
check "control: with it the gate closes" exits 0 '1 tunnel-groups' lab SeGW-1 mcipsecd --gate

# ---- no charon ------------------------------------------------------------------
record /tmp/before.pcap
check "the capture runs" capture_start
bird_start P-1
gateway_start SeGW-2 & two=$!
lab SeGW-1 mkdir -p /run/mcipsec/vrrp
keepalived_start SeGW-1
bird_start SeGW-1
trackd_start SeGW-1
check "the agent starts before charon" agent_start SeGW-1
pid=$(agent_pid SeGW-1)
check_wait "it says that charon does not answer" 30 said SeGW-1/log/mcipsecd.out 'charon does not answer'
wait "$two"
check_wait "without charon SeGW-1 is not eligible; SeGW-2 is master" 60 roles SeGW-1 notEligible SeGW-2 master
check_is "its gate is closed" blackhole gate SeGW-1
charon_start CE-1
charon_start SeGW-1
check_wait "charon comes, SeGW-1 stands by" 60 roles SeGW-1 standby SeGW-2 master
check "and says that charon answers" said SeGW-1/log/mcipsecd.out 'charon 5\.9\.8 answers'
check_is "it is the same agent" "$pid" agent_pid SeGW-1
check_wait "the tunnel is up" 60 ping_ce
check_wait "protection status nominal on both" 60 nominal
check "a flow of 100 packets/s runs each way" flow_start
poll 20 flow_recovered

# ---- another plugin ---------------------------------------------------------------
# Only SeGW-1's mount namespace sees it.
charon_with()	# FILE
{
	stop SeGW-1 charon
	lab SeGW-1 umount "$plugin" 2>/dev/null
	[ "$1" = "$plugin" ] || lab SeGW-1 mount --bind "$1" "$plugin"
	: >"$LAB_DIR/SeGW-1/log/charon.log"
	charon_start SeGW-1
}
calm_peer_begin() { calm_from=$EPOCHREALTIME calm_pid=$(agent_pid SeGW-1); }
python3 - "$plugin" /tmp/other-version.so <<-'END'
	import sys
	data = open(sys.argv[1], "rb").read()
	assert b"\x005.9.8\x00" in data
	open(sys.argv[2], "wb").write(data.replace(b"\x005.9.8\x00", b"\x005.9.7\x00"))
END
calm_peer_begin
check "charon starts with a plugin for another strongSwan" charon_with /tmp/other-version.so
check "charon says for which" said SeGW-1/log/charon.log \
	'mcipsec: not loaded, this charon is strongSwan 5\.9\.8, but the plugin is built for strongSwan 5\.9\.7'
check_wait "the agent says that there is no plugin" 30 said SeGW-1/log/mcipsecd.out 'charon has no mcipsec plugin'
check_wait "SeGW-1 is not eligible" 30 mc_is SeGW-1 mastership notEligible
check_wait "SeGW-2 says that it has no standby" 30 mc_is SeGW-2 protection_status notReady

said_before=$(times_said SeGW-1/log/mcipsecd.out 'plugin speaks protocol 2, this agent 1')
check "charon starts with a plugin of another protocol" charon_with "$other_protocol"
check "charon itself works" eval "lab SeGW-1 swanctl --stats >/dev/null"
check_wait "the agent names both protocols" 30 said_more SeGW-1/log/mcipsecd.out "$said_before" \
	'plugin speaks protocol 2, this agent 1'
check "the plugin keeps its sending gate closed" said SeGW-1/log/charon.log 'mcipsec: version .*, sending gate closed'
check_wait "SeGW-1 stays not eligible" 20 mc_is SeGW-1 mastership notEligible
check "control: charon starts with the right plugin" charon_with "$plugin"
check_wait "SeGW-1 stands by again" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal
check_is "it is the same agent" "$calm_pid" agent_pid SeGW-1
check "another plugin on the standby: no packet was lost" nothing_lost

# ---- a wrong configuration --------------------------------------------------------
calm_begin
cp "$config" /tmp/good.toml
line=$(grep -n '^keep-alive-interval' "$config" | cut -d: -f1)
refusals='configuration not applied'
reload_refused()	# PATTERN: SIGHUP, and wait for the refusal
{
	local before
	before=$(times_said SeGW-2/log/mcipsecd.out "$refusals")
	signal SeGW-2 mcipsecd HUP
	wait_for "the refusal" 20 said_more SeGW-2/log/mcipsecd.out "$before" "$refusals" &&
		said SeGW-2/log/mcipsecd.out "$refusals.*$1"
}
sed -i "${line}s/.*/keep-alive-interval = 99.0/" "$config"
where="mcipsec\.toml:$line: .*keep-alive-interval.*50"
check "mcipsecd -t names file, line and what is allowed, exit 1" \
	exits 1 "$where" lab SeGW-2 mcipsecd -t
check "so does config check" exits 1 "$where" lab SeGW-2 mcipsec config check
check "SIGHUP is refused with the same words" reload_refused "$where"
sed "${line}s/.*/keep-alive-intervall = 1.0/" /tmp/good.toml >"$config"
check "an unknown word" reload_refused "mcipsec\.toml:$line: .*keep-alive-intervall"
sed "${line}s/.*/keep-alive-interval = = 1.0/" /tmp/good.toml >"$config"
check "no TOML at all" reload_refused "mcipsec\.toml:$line: "
sed 's/^local-gateway-address = .*/local-gateway-address = ["10.10.20.7"]/' /tmp/good.toml >"$config"
check "what only a shutdown allows" reload_refused 'mcipsec\.toml:[0-9]+: needs tunnel-group 1 shutdown'
chmod 644 "$LAB_DIR/SeGW-2/etc/mcipsec/peer.key"
cp /tmp/good.toml "$config"
check "a key that others can read" reload_refused 'peer\.key'
chmod 600 "$LAB_DIR/SeGW-2/etc/mcipsec/peer.key"
check "the running value is the old one" eval \
	'lab SeGW-2 mcipsec config show | grep -qE "keep-alive-interval *= *1(\.0)?( |$)"'
check_calm "wrong configurations"
signal SeGW-2 mcipsecd HUP
check_wait "control: the right one is applied" 20 said SeGW-2/log/mcipsecd.out 'configuration applied, 0 changes'
check_calm "the right one"

# ---- the operator asks for what cannot be ------------------------------------------
calm_begin
switchover="tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group"
check "switchover of an unknown tunnel-group: exit 4" exits 4 '77' lab SeGW-2 mcipsec $switchover 77 now
check "show of an unknown one: exit 4" exits 4 '77' lab SeGW-2 mcipsec show isa tunnel-group 77
check "an unknown peer: exit 4" exits 4 '192\.0\.2\.9' \
	lab SeGW-2 mcipsec show redundancy multi-chassis mc-ipsec peer 192.0.2.9
check "an unknown tunnel: exit 4" exits 4 'tunnel-9' lab SeGW-2 mcipsec show ipsec tunnel tunnel-9
check "switchover on the standby: exit 5" exits 5 'master' lab SeGW-1 mcipsec $switchover 1 now
check "no such command: exit 2" exits 2 . lab SeGW-2 mcipsec show nonsense
check_not "the module stays while groups exist" rmmod mcipsec
check "it says why" exits 1 'in use' rmmod mcipsec
check_calm "impossible wishes"

# ---- an attacker ---------------------------------------------------------------------
# X-1 is in both networks and chooses every source address; it has recorded what
# the gateways said to each other, also before SeGW-1's agent started anew.
check "X-1 is plugged in" attacker_up

stop SeGW-1 mcipsecd
check "SeGW-1's agent starts anew" agent_start SeGW-1
check_wait "and stands by" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 60 nominal
record /tmp/live.pcap
check_wait "packets of its new epoch are recorded" 30 eval '[ "$(stat -c %s /tmp/live.pcap)" -gt 1500 ]'
calm_begin
for way in public inner; do
	check "$way side: recorded packets are replays" counted $way replayed replayed
	check "$way side: forged ones fail the MAC" counted $way forged bad_mac
	check "$way side: its own words sent back fail the MAC" counted $way reflected bad_mac
	check "$way side: version 0" counted $way version bad_version
	check "$way side: garbage" counted $way garbage bad_length
	check "$way side: another source address" counted $way foreign bad_source
	check "$way side: packets from before the restart open no session" counted $way replayed unknown_epoch /tmp/before.pcap
done
check_calm "forged and replayed MIMP"

# ---- rubbish on the way to MCS ---------------------------------------------------------
calm_begin
silent=()
hold() { "$@" --count 10 >/tmp/silent.out & silent+=($!); poll 30 test -s /tmp/silent.out; }
from_public
lab X-1 "$LAB_SRC/attack.py" tcp garbage --to 192.0.2.2 --count 10 >/dev/null
check "handshakes that never go on are sent" eval '[ "$(attack tcp syn --count 100)" = 100 ]'
check "silent connections, from anywhere" hold lab X-1 "$LAB_SRC/attack.py" tcp silent --to 192.0.2.2
rm -f /tmp/silent.out
check "garbage from the peer's own address" eval \
	'[ "$(lab SeGW-1 "$LAB_SRC/attack.py" tcp garbage --from 192.0.2.1 --to 192.0.2.2 --count 10)" -ge 1 ]'
check "silent connections from there" hold lab SeGW-1 "$LAB_SRC/attack.py" tcp silent --from 192.0.2.1 --to 192.0.2.2
check "MCS is inSync on both" eval 'sync_is SeGW-1 db_sync_state inSync && sync_is SeGW-2 db_sync_state inSync'
check "protection status nominal on both" nominal
check_calm "rubbish to MCS"
check "while they stay: MCS shut down on SeGW-1" lab SeGW-1 mcipsec admin redundancy peer 192.0.2.2 sync shutdown
check_wait "it is not inSync" 20 sync_is SeGW-1 db_sync_state outOfSync
check "and up again" lab SeGW-1 mcipsec admin redundancy peer 192.0.2.2 sync no-shutdown
check_wait "inSync on both" 40 eval 'sync_is SeGW-1 db_sync_state inSync && sync_is SeGW-2 db_sync_state inSync'
check_wait "protection status nominal on both" 40 nominal
check_calm "a new MCS connection among them"
kill "${silent[@]}" 2>/dev/null

# ---- a peer that has the key, and says what nobody can read -----------------------------
calm_begin
bad=$(sync_field SeGW-2 counters.frames_bad)
check_is "an MCS frame under the right key with a wrong checksum ends its connection" ended \
	lab SeGW-1 timeout 60 "$LAB_SRC/attack_tls.py" garbled --from $ALIAS --to $VICTIM /etc/mcipsec/peer.key
check_is "it is counted" $((bad + 1)) sync_field SeGW-2 counters.frames_bad
check "and named" said SeGW-2/log/mcipsecd.out 'garbled frame: .*checksum'
check_wait "inSync on both" 40 eval 'sync_is SeGW-1 db_sync_state inSync && sync_is SeGW-2 db_sync_state inSync'
check_wait "protection status nominal on both" 40 nominal
check_calm "a garbled MCS frame"

# ---- another key -------------------------------------------------------------------------
stop SeGW-1 mcipsecd
lab SeGW-1 cp /etc/mcipsec/peer.key /tmp/right.key
lab SeGW-1 sh -c 'mcipsec genkey >/etc/mcipsec/peer.key'
check "SeGW-1's agent starts with another key" agent_start SeGW-1
check_wait "SeGW-2 has an alarm" 30 alarm SeGW-2 "192.0.2.1 fail authentication: the keys differ"
stop SeGW-1 mcipsecd
lab SeGW-1 cp /tmp/right.key /etc/mcipsec/peer.key
check "and with the right one" agent_start SeGW-1
check_wait "the alarm goes" 60 no_alarm SeGW-2 "keys differ"
check_wait "protection status nominal on both" 60 nominal
check_sequence_numbers 1000
tap_end
