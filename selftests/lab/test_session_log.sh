#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_session_log.sh - what `show log`, `show log -f` and `monitor` say: a
# tunnel's set-up with peer, service and algorithms, its end by `clear`, a peer
# that cannot be authenticated, ESP that cannot, and that cannot be encrypted, a switchover
# with states and reason.
# Control: before each, the log does not have it.

. "$(dirname "$0")/lab.sh"

# entries NODE FILTER: of the log, those that a jq filter selects
entries() { ask "$1" ".entries[] | select($2) | .text" show log; }
logged() { [ -n "$(entries "$1" "$2")" ]; }
# not_logged NODE FILTER: the log answers, and has none
not_logged() { [ "$(ask "$1" "[.entries[] | select($2)] | length" show log)" = 0 ]; }
exits() { local want=$1 rc=0; shift; lab "$@" >/dev/null 2>&1 || rc=$?; [ "$rc" = "$want" ]; }
followed() { grep -q "$1" "$LAB_DIR/SeGW-1/log/follow.out"; }

up='.fields.reason == "child-up" and .tunnel == "tunnel-1" and (.fields.algorithms | startswith("ESP:AES_GCM_16_128"))
	and .fields.remote == "10.10.10.1" and .fields.private_service == "2" and .fields.public_service == "1"'
ike='.fields.reason == "ike-up" and .fields.remote_id == "10.10.10.1" and (.fields.algorithms | startswith("IKE:AES_CBC_128"))'
failed='.fields.reason == "auth-failed" and .fields.level == "warning" and .fields.remote_id == "10.10.10.1"'
CE=$LAB_DIR/CE-1/etc/swanctl/conf.d/tunnel-1.conf

# garbled: what CE-1 sends as ESP is not what it encrypted
garbled()
{
	lab CE-1 nft -f - <<-EOT
	table ip garble {
		chain out { type filter hook postrouting priority 0; ip protocol esp @th,192,32 set 0xdeadbeef; }
	}
	EOT
}

# sa_spi in|out: of the tunnel's SA on SeGW-1, the newest one
sa_spi() { ask SeGW-1 ".sas[] | select(.direction == \"$1\") | .spi" show ipsec sa | tail -n 1; }
# crypto_error COUNTER SPI: one of tunnel-1, of this SA
crypto_error()
{
	logged SeGW-1 ".fields.reason == \"crypto-error\" and .fields.level == \"warning\" and .tunnel == \"tunnel-1\" and
		.fields.spi == \"$2\" and (.fields.$1 // \"0\" | tonumber) >= 1"
}

# used_up: what SeGW-1 encrypts with has no sequence number left, while there is something
# to encrypt. Sets used_spi.
used_up()
{
	local sa
	used_spi=$(sa_spi out)
	lab CE-1 ping -q -I vprn2 -I 192.168.1.1 -i 0.02 -c 250 192.168.2.1 >/dev/null 2>&1 &
	sa=$(ask SeGW-1 ".sas[] | select(.direction == \"out\" and .spi == \"$used_spi\") | \"0x\(.spi)/\(.destination)/4294967295/0\"" show ipsec sa) &&
		lab SeGW-1 /mcipsec/build/lab-tools/mcipsec-nl seq set 1 "$sa" | grep -q 'exhausted 1'
}

plan 40
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
check "the capture runs" capture_start
relaxed_timers SeGW-1
relaxed_timers SeGW-2
gateways_start
check_wait "SeGW-1 master, SeGW-2 standby" 90 roles SeGW-1 master SeGW-2 standby
spawn SeGW-1 follow mcipsec show log -f
check "control: no set-up in the log" not_logged SeGW-1 '.fields.reason == "child-up"'
check_wait "the tunnel is up" 60 ping_ce
check_wait "the log has the CHILD_SA with tunnel, services, peer and algorithms" 20 logged SeGW-1 "$up"
check "and the IKE_SA" logged SeGW-1 "$ike"
check_wait "show log -f said it, too" 20 followed "tunnel tunnel-1: CHILD_SA tunnel-1{.* up: .*, service 2"

check "control: no end of a CHILD_SA in the log" not_logged SeGW-1 '.fields.reason == "child-down"'
check "CE-1 ends its CHILD_SA" lab CE-1 timeout 30 swanctl --terminate --child tunnel-1
check_wait "the log has its end, with the tunnel" 20 logged SeGW-1 '.fields.reason == "child-down" and .tunnel == "tunnel-1" and .fields.remote == "10.10.10.1"'
# The kernel asks for the trap once in a while only: not by ping.
check "CE-1 makes another one" lab CE-1 timeout 30 swanctl --initiate --child tunnel-1

check "clear is refused on the standby" exits 5 SeGW-2 mcipsec clear ipsec tunnel tunnel-1
check "clear of an unknown tunnel" exits 4 SeGW-1 mcipsec clear ipsec tunnel nobody
check "clear on the master" lab SeGW-1 mcipsec clear ipsec tunnel tunnel-1
check_wait "the log has who ended it" 20 logged SeGW-1 '.fields.reason == "clear" and .tunnel == "tunnel-1"'
check_wait "and that it ended" 20 logged SeGW-1 '.fields.reason == "ike-down"'

check "control: no failed authentication in the log" not_logged SeGW-1 '.fields.reason == "auth-failed"'
sed -i 's/"ALU"/"wrong"/' "$CE"
lab CE-1 swanctl --load-creds --clear >/dev/null
ping_ce >/dev/null 2>&1
check_wait "a wrong secret is logged with the peer" 30 logged SeGW-1 "$failed"
sed -i 's/"wrong"/"ALU"/' "$CE"
lab CE-1 swanctl --load-creds --clear >/dev/null
check "with the right one the tunnel is set up" lab CE-1 timeout 30 swanctl --initiate --child tunnel-1
check_wait "and carries pings" 30 ping_ce

check "control: no error of decryption in the log" not_logged SeGW-1 '.fields.reason == "crypto-error"'
check "CE-1's ESP is garbled on its way" garbled
check_not "its ping is not answered" ping_ce
check_wait "the log has the error of decryption, with tunnel and SPI" 120 crypto_error xfrminstateprotoerror "$(sa_spi in)"
diag "$(entries SeGW-1 '.fields.reason == "crypto-error"')"
lab CE-1 nft delete table ip garble

check_not "control: no error of encryption in the log" logged SeGW-1 '.fields.xfrmoutstateseqerror'
check_wait "CE-1's ping goes on" 30 ping_ce
check "SeGW-1's SA has no sequence number left" used_up
check_wait "the log has the error of encryption, with tunnel and SPI" 60 crypto_error xfrmoutstateseqerror "$used_spi"
diag "$(entries SeGW-1 '.fields.xfrmoutstateseqerror')"
check "CE-1 rekeys it" lab CE-1 timeout 30 swanctl --rekey --child tunnel-1
check_wait "and its ping goes on" 60 ping_ce

check_wait "protection status nominal on both" 60 nominal
check "switchover" lab SeGW-1 mcipsec tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 now
check_wait "both logs have it with states and reason" 30 eval '
	logged SeGW-1 '"'"'.event == "tMcPeerIPsecTnlGrpMasterStateChg" and .fields.old_state == "master" and .fields.new_state == "standby" and .fields.reason != ""'"'"' &&
	logged SeGW-2 '"'"'.event == "tMcPeerIPsecTnlGrpMasterStateChg" and .fields.old_state == "standby" and .fields.new_state == "master" and .fields.reason != ""'"'"
check_wait "CE-1's ping goes on" 30 ping_ce
check_sequence_numbers 4
tap_end
