#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_config_differs.sh - the configuration of both chassis is compared, not
# synchronised: SeGW-2's charon has loaded the connection with another
# esp_proposals; both chassis say so and name item, group and connection. With
# the right one loaded the alarm goes. Then a connection that breaks the rules
# (dpd), one that differs in every kind of setting, then the agent's own settings, each
# named; and one that is not loaded at all. A file like that is refused when SeGW-2's
# configuration is checked, and lifetimes below the guidelines are warned of.
# Control: at the end there is no alarm.

. "$(dirname "$0")/lab.sh"

CONF=$LAB_DIR/SeGW-2/etc/swanctl/conf.d/tunnel-1.conf

no_alarm() { [ "$(sync_field "$1" '.alarms | length')" = 0 ]; }
sync_field() { ask "$1" "$(find_object db_sync_state) | $2" show redundancy multi-chassis sync; }
logged() { lab "$1" timeout 10 mcipsec show log 2>/dev/null | grep -q "$2"; }
load() { sed "$1" "$CONF.right" >"$CONF" && lab SeGW-2 swanctl --load-conns >/dev/null; }
# file SED: the file alone, which charon does not load; refused, warned PATTERN: by its check
file() { sed "$1" "$CONF.right" >"$CONF"; }
refused() { local out; ! out=$(lab SeGW-2 mcipsecd -t 2>&1) && grep -qE "tunnel-1\.conf:[0-9]+: connection tunnel-1 $1" <<<"$out"; }
warned() { local out; out=$(lab SeGW-2 mcipsecd -t 2>&1) && grep -qE "connection tunnel-1 $1" <<<"$out"; }

# names NODE WHERE WORD...: an alarm of NODE says of WHERE that each of these differs
names()
{
	local line word
	line=$(alarms "$1" | grep "configuration differs between the chassis: ") || return 1
	line=${line#*chassis: }
	if [ "$2" = own ]; then line=${line%%connection *}; else line=$(grep -o "connection $2: [^;]*" <<<"$line"); fi
	for word in "${@:3}"; do
		grep -qE "(^|[ ,])$word(,|;| *$)" <<<"$line" || { diag "not named: $word"; return 1; }
	done
}
own=(active-mda-number bfd-enable hold-on-neighbor-failure keep-alive-interval local-gateway-address next-hops static-route tunnels)
kinds=(actions addresses authentication dpd esp-proposals identities ike-version lifetimes local-ts mobike mode proposals remote-ts)

plan 40
check "topology is up" topo_up
check "the module loads" modprobe mcipsec
check "keys" gateway_keys
cp "$CONF" "$CONF.right"
sed -i 's/esp_proposals = .*/esp_proposals = aes256-sha256/' "$CONF"
gateway_start SeGW-1 & one=$!
gateway_start SeGW-2 & two=$!
wait "$one"; wait "$two"
differs="tunnel-group 1: configuration differs between the chassis: connection tunnel-1: esp-proposals$"
check_wait "SeGW-1 has the alarm" 120 alarm SeGW-1 "$differs"
check_wait "SeGW-2 has it, too" 30 alarm SeGW-2 "$differs"
check "the log of SeGW-1 has it" logged SeGW-1 "connection tunnel-1: esp-proposals"
check "and of SeGW-2" logged SeGW-2 "connection tunnel-1: esp-proposals"

check "SeGW-2 loads the right one" load ''
check_wait "the alarm goes on SeGW-1" 60 no_alarm SeGW-1
check_wait "and on SeGW-2" 60 no_alarm SeGW-2
check "the log of SeGW-1 has that, too" logged SeGW-1 "configuration is the same on both chassis again"

check "SeGW-2 loads one with dpd" load 's/dpd_delay = .*/dpd_delay = 30s/'
check_wait "SeGW-2 says that it breaks the rules" 60 alarm SeGW-2 "tunnel-group 1: connection tunnel-1 has dpd_delay = 30 s"
check_wait "SeGW-1 says that they differ" 60 alarm SeGW-1 "connection tunnel-1: dpd$"
check "SeGW-2 loads one that starts by itself, and ends" load 's/start_action = .*/start_action = trap\n\t\t\t\tinactivity = 90s/'
check_wait "SeGW-2 says that it breaks the rules" 60 alarm SeGW-2 "connection tunnel-1 child tunnel-1 has start_action = trap"
check_wait "both" 20 alarm SeGW-2 "connection tunnel-1 child tunnel-1 has inactivity = 90 s"

file 's/start_action = .*/start_action = start/'
check "such a file is refused" refused 'child tunnel-1 has start_action = start, allowed is none'
file 's/start_action = .*/&\n\t\t\t\tinactivity = 2m/'
check "and one with inactivity" refused 'child tunnel-1 has inactivity = 120 s, allowed is 0'
file 's/dpd_delay = .*/dpd_delay = 30s/'
check "and one with dpd" refused 'has dpd_delay = 30 s, allowed is 0'
file ''
check_not "control: the right one has no lifetime to warn of" warned '.*lifetime'
file 's/rekey_time = 172800s/rekey_time = 14000s/; s/rekey_time = 7200s/rekey_time = 5000s/'
check "an IKE_SA that lives too short is warned of" warned 'has an IKE_SA lifetime of 14000 s, recommended is 172800 s or more'
check "a CHILD_SA" warned 'child tunnel-1 has a CHILD_SA lifetime of 5000 s, recommended is 7200 s or more'
check "an IKE_SA with less than three times the CHILD_SA's" warned "child tunnel-1: IKE_SA lifetime 14000 s is less than three times the CHILD_SA's 5000 s"
check "a reload says so, too" eval 'lab SeGW-2 mcipsec reload 2>&1 | grep -q "lifetime of 5000 s.*(warning)"'
check "and the log" logged SeGW-2 "lifetime of 5000 s"

check "SeGW-2 loads one that is another in everything" load 's/^\(\t*version\) = .*/\1 = 0/; s/remote_addrs = .*/remote_addrs = 10.10.10.7/
	s/aes128-sha256-x25519/aes256-sha256-x25519/; s/rekey_time = 172800s/rekey_time = 172000s/; s/dpd_delay = .*/dpd_delay = 9s/; s/mobike = no/mobike = yes/
	s/auth = psk/auth = pubkey/; s/^\(\t\t\tid\) = 10.10.10.1/\1 = 10.10.10.7/; s|_ts = .*/32|_ts = 10.7.7.7/32|; s/aes128gcm16/aes256gcm16/; s/start_action = none/start_action = trap\n\t\t\t\tmode = transport/'
check_wait "SeGW-1 names each kind" 60 names SeGW-1 tunnel-1 "${kinds[@]}"
check_wait "and SeGW-2" 20 names SeGW-2 tunnel-1 "${kinds[@]}"
check_not "control: no setting of the agents among them" names SeGW-1 own "${own[0]}"
check "tunnel-group 1 is shut down on SeGW-2" lab SeGW-2 mcipsec admin isa tunnel-group 1 shutdown
mkdir -p "$LAB_DIR/SeGW-2/etc/mcipsec/conf.d"
cat >"$LAB_DIR/SeGW-2/etc/mcipsec/conf.d/differs.toml" <<'TOML'
[isa.tunnel-group.1]
mda = ["1/2", "2/2"]
active-mda-number = 2
[isa.mda."2/2"]
[ipsec.public."int-IPsec-Public-1"]
local-gateway-address = ["10.10.20.1", "10.10.20.9"]
static-tunnel-redundant-next-hop = []
[ipsec.tunnel."tunnel-1"]
static-route = ["192.168.1.1/32", "192.168.7.0/24"]
[ipsec.tunnel."tunnel-7"]
public = "int-IPsec-Public-1"
private = "int-IPsec-Private-1"
[redundancy.multi-chassis.peer."192.0.2.1".mc-ipsec]
bfd-enable = false
keep-alive-interval = 2.0
hold-on-neighbor-failure = 4
TOML
file ''	# of the file a reload asks more than of what charon has loaded
check "there its agent has other settings" lab SeGW-2 mcipsec reload
check_wait "SeGW-1 names each of them" 60 names SeGW-1 own "${own[@]}"
check_wait "and SeGW-2" 20 names SeGW-2 own "${own[@]}"
rm "$LAB_DIR/SeGW-2/etc/mcipsec/conf.d/differs.toml"
check "the old ones are back" eval 'lab SeGW-2 mcipsec reload && lab SeGW-2 mcipsec admin isa tunnel-group 1 no-shutdown'

check "SeGW-2 unloads it" load '/^connections/,/^}/d'
check_wait "SeGW-2 says that it is missing" 60 alarm SeGW-2 "connection tunnel-1 is not loaded in charon"
check_wait "SeGW-1 says who lacks it" 60 alarm SeGW-1 "connection tunnel-1: only one chassis has it"
check "SeGW-2 loads the right one" load ''
check_wait "control: no alarm is left on either" 60 eval 'no_alarm SeGW-1 && no_alarm SeGW-2'
tap_end
