#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_responder.sh - ipsec-responder-only, as the wire shows it: neither master nor
# standby begins an IKE exchange, but the rekey of each CHILD_SA after a takeover
# (with the delete of the old one). Not when a customer is quiet (no DPD of the
# gateway's own), not when traffic comes for a tunnel that is down, not when two
# masters have met again. A static tunnel has one customer: another address is not
# served. Seed "Responder Only", "Automatic CHILD_SA Rekey".
# charon is kept from more even if it is told to: to set up a tunnel, to probe.
# Control: a rekey that a gateway is told to begin is seen by the same capture.

. "$(dirname "$0")/scene.sh"

# none_begun SINCE: by neither of them, and none where the gateways and P-1 meet
none_begun()
{
	local all
	all=$(begun SeGW-1 "$1") && all+=$(begun SeGW-2 "$1") &&
		all+=$(capture requests 10.10.20.1 "$OBS_DIR/inner.pcap" --from "$1") || return 1
	[ "$all" = '{}{}{}' ] || { diag "begun: $all"; return 1; }
}
# the rekey after a takeover and nothing else: one CREATE_CHILD_SA, the delete of the
# old CHILD_SA
rekey_only()
{
	local got
	got=$(begun "$1" "$2")
	[ "$got" = '{"CREATE_CHILD_SA":1,"INFORMATIONAL":1}' ] || { diag "$1 began $got"; return 1; }
}
# requests of a new IKE_SA that the plugin did not let out
not_begun() { charon_says "$1" not-begun; }
# extra NODE LOCAL-TS REMOTE-TS: one more child of tunnel-1, only loaded
extra()
{
	sed -i "0,/children {/s||&\nextra {\nlocal_ts = $2/32\nremote_ts = $3/32\nesp_proposals = aes128gcm16\nstart_action = none\n}|" \
		"$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-1.conf" && lab "$1" swanctl --load-conns >/dev/null
}
# not the time that ran out: whoever asked is told
says_no()
{
	local rc
	lab SeGW-1 timeout 20 swanctl --initiate --child extra >/dev/null
	rc=$?
	[ "$rc" != 0 ] && [ "$rc" != 124 ]
}
kept_back() { [ "$(not_begun "$1")" -gt 0 ]; }
ce_has_none() { ! lab CE-1 swanctl --list-sas --raw | grep -q initiator-spi; }
ce_initiates() { lab CE-1 timeout 30 swanctl --initiate --child "$1"; }
p1_pings() { lab P-1 ping -I vprn2 -I 192.168.2.1 -c "$1" -i 0.3 -W 1 192.168.1.1; }

plan $((SCENE_POINTS + 47))
scene_up
check "(the flow ends: the customer will probe)" eval 'stop CE-1 flow && stop P-1 flow'

t=$EPOCHREALTIME
check_wait "quiet: the customer probes three times and is answered" 180 probed 3 "$t"
check "neither gateway has begun an exchange" none_begun "$t"

check "the tunnel is cleared" lab SeGW-1 mcipsec clear ipsec tunnel tunnel-1
check_wait "it is gone" 30 ce_has_none
t=$EPOCHREALTIME
check_not "traffic from P-1 finds no tunnel" p1_pings 10
check "neither gateway has begun an exchange" none_begun "$t"
check_not "SeGW-1's charon is told to begin" lab SeGW-1 timeout 20 swanctl --initiate --child tunnel-1 --timeout 6
check "its request is kept back and counted" kept_back SeGW-1
check "neither gateway has begun an exchange" none_begun "$t"
lab SeGW-1 timeout 20 swanctl --terminate --ike tunnel-1 --force --timeout 2 >/dev/null
check "control: the customer sets it up" ce_initiates tunnel-1
check_wait "P-1's traffic goes through" 30 p1_pings 1
check_wait "protection status nominal on both" 60 nominal
check "another child is loaded on all three" eval 'extra CE-1 192.168.1.9 192.168.2.1 && extra SeGW-1 192.168.2.1 192.168.1.9 && extra SeGW-2 192.168.2.1 192.168.1.9'
t=$EPOCHREALTIME kept=$(not_begun SeGW-1)
check "SeGW-1's charon is told to begin it on the IKE_SA that is up, and says no" says_no
check "that is counted" test "$(not_begun SeGW-1)" -gt "$kept"
check_is "on that IKE_SA" 1 eval 'lab SeGW-1 swanctl --list-sas --raw | grep -c initiator-spi'
check "neither gateway has begun an exchange" none_begun "$t"
check "control: the customer may" ce_initiates extra
check "and ends it" lab CE-1 timeout 30 swanctl --terminate --child extra

spis=$(ce_child_spis) t=$EPOCHREALTIME
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "the CHILD_SA is rekeyed" 60 another "$spis" ce_child_spis
check_wait "the customer probes twice and is answered" 180 probed 2 "$EPOCHREALTIME"
check "SeGW-2 has begun that rekey, and nothing else" rekey_only SeGW-2 "$t"
check_is "SeGW-1, which was master, nothing" '{}' begun SeGW-1 "$t"
check_wait "protection status nominal on both" 60 nominal

spis=$(ce_child_spis) t=$EPOCHREALTIME
node_cut SeGW-2
check_wait "SeGW-2 is cut off alive: both are eligible" 30 roles SeGW-1 eligible SeGW-2 eligible
check_wait "CE-1's ping goes on over SeGW-1" 60 ping_ce
check_wait "the CHILD_SA is rekeyed" 120 eval 'ping_ce; another "$spis" ce_child_spis'
check "SeGW-1 has begun that rekey, and nothing else" rekey_only SeGW-1 "$t"
check_is "SeGW-2, alone, nothing" '{}' begun SeGW-2 "$t"
t=$EPOCHREALTIME
node_mend SeGW-2
check_wait "they meet again: SeGW-1 is master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
check_wait "protection status nominal on both" 60 nominal
check_wait "the customer probes twice and is answered" 180 probed 2 "$t"
check "neither gateway has begun an exchange" none_begun "$t"
check "the customer's IKE_SA is still there" ping_ce

# The same identity and secret, from another address.
sed -e 's/tunnel-1/stranger/g' -e 's/local_addrs = .*/local_addrs = 10.10.10.254/' -e 's/start_action = trap/start_action = none/' \
	-e '/^secrets/,$d' "$LAB_DIR/CE-1/etc/swanctl/conf.d/tunnel-1.conf" >"$LAB_DIR/CE-1/etc/swanctl/conf.d/stranger.conf"
t=$EPOCHREALTIME
check "a stranger has the customer's identity and secret" lab CE-1 swanctl --load-conns
check_not "the static tunnel is not for the stranger's address" ce_initiates stranger
check "it was refused at the first message" eval '[ "$(capture requests 10.10.10.254 "$OBS_DIR/public.pcap" --from "$t")" = "{\"IKE_SA_INIT\": 1}" ]'
check "the customer's ping goes on" ping_ce

lab CE-1 swanctl --terminate --ike tunnel-1 >/dev/null
check_wait "SeGW-1's charon is told to probe, against the rules" 30 eval 'ce_has_none && sed -i "s/dpd_delay = .*/dpd_delay = 3s/" "$LAB_DIR/SeGW-1/etc/swanctl/conf.d/tunnel-1.conf" && lab SeGW-1 swanctl --load-conns'
t=$EPOCHREALTIME
check "the customer sets up the tunnel" ce_initiates tunnel-1
check_wait "SeGW-1 has an alarm" 60 alarm SeGW-1 "connection tunnel-1 has dpd_delay = 3 s"
check_wait "quiet: the customer probes twice and is answered" 180 probed 2 "$t"
check "SeGW-1 has not probed" none_begun "$t"
check "control: SeGW-1 is told to rekey the IKE_SA" lab SeGW-1 timeout 30 swanctl --rekey --ike tunnel-1
check_wait "the capture has it" 30 eval '[ "$(begun SeGW-1 "$t" | jq ".CREATE_CHILD_SA // 0")" -gt 0 ]'
scene_end 200
