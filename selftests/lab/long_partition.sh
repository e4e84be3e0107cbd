#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_partition.sh - what happens to tunnels while both chassis are acting and cannot see
# each other, at the one that has the traffic: an IKE_SA is rekeyed, a CHILD_SA is, a
# customer comes, another one goes. When they meet again both hold exactly what the
# customers hold, whoever wins the election, and nobody authenticates anew.
#   1. The traffic is at SeGW-1, which wins.
#   2. Both begin exchanges with customers of whom one has an IKE_SA with an AEAD, which
#      must not be asked for its message ids (RFC 6311): its tunnel goes on without that.
#   3. SeGW-1, the master, is cut off alive: the traffic goes to SeGW-2, SeGW-1 wins all
#      the same. Then once more with SeGW-1 standby when it is cut off: it begins to rekey
#      what it takes over, and gets its answers when VRRP turns the traffic to it, before the
#      two have met: then both have completed exchanges, and one has CHILD_SAs with a customer
#      that the other does not know.
# Control: while they are apart the other one holds what was before; the customers with
# another IKE_SA are asked.

CUSTOMERS=4
AEAD=4		# that customer
. "$(dirname "$0")/scene.sh"
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/dual-master.sh"
. "$LAB_SRC/../faults/judge.sh"		# sas, same_sas

# As in test_dual_master.sh: which chassis the packets go to is what this is about.
scene_configure()
{
	relaxed_timers "$1"
	sed -i 's/advert_int 0\.1$/advert_int 0.5/' "$LAB_DIR/$1/etc/keepalived/keepalived.conf"
	customers_files "$1"
	sed -i 's/^proposals = aes128-sha256-x25519$/&,aes128gcm16-prfsha256-x25519/' "$(tunnels_dir "$1")/customers.conf"
	[ "$1" = SeGW-2 ] || return 0
	customers_net
	sed -i "/^customer-$AEAD {/,/^local {/s/^proposals = .*/proposals = aes128gcm16-prfsha256-x25519/" "$(tunnels_dir CE-1)/customers.conf"
}

comes() { lab CE-1 timeout 30 swanctl --initiate --child "customer-$1" >/dev/null; }
goes() { lab CE-1 timeout 30 swanctl --terminate --ike "customer-$1" >/dev/null; }
rekeys() { lab CE-1 timeout 30 swanctl --rekey "--$1" "$2" >/dev/null; }	# ike|child NAME

# spis_of NAME: of that IKE_SA of CE-1's, and of its CHILD_SAs
ike_of() { lab CE-1 swanctl --list-sas --raw --ike "$1" 2>/dev/null | grep -oE '(initiator|responder)-spi=[0-9a-f]+' | sort -u | tr '\n' ' '; }
child_of() { lab CE-1 swanctl --list-sas --raw --ike "$1" 2>/dev/null | grep -oE 'spi-(in|out)=[0-9a-f]+' | sort -u | tr '\n' ' '; }

kernel_spis() { lab "$1" ip xfrm state list proto esp | grep -oE 'spi 0x[0-9a-f]+' | grep -v 0x00000000 | sort | tr '\n' ' '; }
# everywhere TUNNELS: so many, the same in charon and kernel of CE-1 and both gateways, and
# in both databases; each with one CHILD_SA.
everywhere()
{
	local ce
	same_sas && [ "$(sas CE-1 | wc -w)" = $((4 * $1)) ] || { echo "not $1 tunnels"; return 1; }
	ce=$(kernel_spis CE-1)
	[ "$(wc -w <<<"$ce")" = $((4 * $1)) ] && [ "$(kernel_spis SeGW-1)" = "$ce" ] && [ "$(kernel_spis SeGW-2)" = "$ce" ] ||
		{ echo "kernels: CE-1: $ce, SeGW-1: $(kernel_spis SeGW-1), SeGW-2: $(kernel_spis SeGW-2)"; return 1; }
	sync_is SeGW-1 num_entries $((2 * $1)) && sync_is SeGW-2 num_entries $((2 * $1)) ||
		{ echo "entries: $(sync_field SeGW-1 num_entries), $(sync_field SeGW-2 num_entries)"; return 1; }
}
at() { local ce; ce=$(sas CE-1); [ -n "$ce" ] && [ "$(sas "$1")" = "$ce" ]; }	# NODE
# knows, lacks NODE NAME=SPI
knows() { [ -n "$2" ] && [[ " $(sas "$1")" = *" ${2#*=} "* ]]; }
lacks() { local has; has=$(sas "$1"); [ -n "$has" ] && [ -n "$2" ] && [[ " $has" != *" ${2#*=} "* ]]; }

# pings CUSTOMER...: CE-1's own and theirs
pings()
{
	local n
	ping_ce || return 1
	for n; do
		customer_pings "$n" || { echo "customer $n"; return 1; }
	done
}
# rekeyed_all NODE TUNNELS: of its last takeover
rekeyed_all() { [ "$(pacer "$1" rekeys_total)" = "$2" ] && [ "$(pacer "$1" rekeys_done)" = "$2" ] && [ "$(pacer "$1" rekeys_in_flight)" = 0 ]; }

# what_there_is: for whoever looks for one too many
what_there_is()
{
	local node
	for node in CE-1 SeGW-1 SeGW-2; do
		diag "$node: $(lab "$node" swanctl --list-sas --raw | grep -oE '(initiator-spi|remote-host|name|state|spi-in)=[^ ]+' | sed 's/^\(remote-host\|name\|state\|spi-in\)=//' | tr '\n' ' ')"
	done
	diag "entries: $(sync_field SeGW-1 num_entries), $(sync_field SeGW-2 num_entries); reasons: $(mc SeGW-1 reasons)"
}

# lives COMES GOES REKEYS AT OTHER: 11 points. While they are apart, at the gateway that has
# the traffic. Sets ike, to what CE-1 has then.
lives()
{
	local old child gone now
	old=$(ike_of tunnel-1) gone=$(ike_of "customer-$2") gone=${gone%% *}
	check "CE-1 rekeys the IKE_SA of tunnel-1 at $4" rekeys ike tunnel-1
	check_wait "it has another one" 30 another "$old" ike_of tunnel-1
	check "customer $1 comes" comes "$1"
	check "customer $2 goes" goes "$2"
	check "it has gone" test -z "$(ike_of "customer-$2")"
	child=$(child_of "customer-$3")
	check "customer $3 rekeys its CHILD_SA" rekeys child "customer-$3"
	check_wait "it has another one" 30 another "$child" child_of "customer-$3"
	check_wait "$4 holds what CE-1 holds" 40 at "$4"
	check_wait "every ping is answered" 20 pings "$1" "$3"
	check "control: $5 knows of nothing of that, it has customer $2" knows "$5" "$gone"
	ike=$(ce_ike_spis)
	now=$(ike_of tunnel-1)
	check "and does not have tunnel-1's IKE_SA" lacks "$5" "${now%% *}"
}
# met CUSTOMER...: 10 points. They meet again: SeGW-1 is master. Those customers are up.
met()
{
	check_wait "SeGW-1 is master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
	check_wait "protection status nominal on both" 60 nominal || { what_there_is; tap_end; }
	check_wait "both hold what the customers hold, no more" 60 everywhere $(($# + 1)) || { what_there_is; tap_end; }
	check "no customer has authenticated anew" unchanged "$ike" ce_ike_spis
	check_wait "every ping is answered" 30 pings "$@"
	check "force-switchover to SeGW-2" hand_over SeGW-1
	check_wait "every ping is answered" 30 pings "$@"
	check_wait "each CHILD_SA is rekeyed" 60 rekeyed_all SeGW-2 $(($# + 1))
	check_wait "both hold what the customers hold, no more" 60 everywhere $(($# + 1)) || what_there_is
	check "no customer has authenticated anew" unchanged "$ike" ce_ike_spis
}

# asked CUSTOMER: how often SeGW-1 has asked it for message ids: requests with id 0 that are
# INFORMATIONAL. SeGW-2 may, which hears no answers.
asked() { outer 10.10.20.1 "$(gateway_mac SeGW-1)" 17 "ip[46] == 37 and not ip[47] & 32 and ip[48:52] == bytes(4) and ip[16:20] == bytes([10, 10, 11, $1])"; }
others() { grep -c 'ignoring the answer to request .* of the other chassis' "$LAB_DIR/SeGW-1/log/charon.log" || :; }
# gateway_child NODE CUSTOMER: the number of its newest CHILD_SA in that charon
gateway_child()
{
	lab "$1" swanctl --list-sas --raw --ike customers | tr '\n' ' ' | sed 's/list-sa event/\n&/g' | grep "remote-host=10\.10\.11\.$2 " |
		grep -oE 'name=customers uniqueid=[0-9]+' | grep -oE '[0-9]+$' | sort -n | tail -n 1
}

plan $((SCENE_POINTS + 3 + 3 + 11 + 2 + 10 + 32 + 2 + 2 * (3 + 11 + 10)))
scene_up
check "customers 1, 2 and $AEAD set up their tunnels" eval "comes 1 && comes 2 && comes $AEAD"
check "the IKE_SA of customer $AEAD has an AEAD" eval "lab CE-1 swanctl --list-sas --raw --ike customer-$AEAD | grep -q encr-alg=AES_GCM_16"
check_wait "both hold what the customers hold" 60 everywhere 4

t=$EPOCHREALTIME
check "1: MIMP, BFD and MCS are filtered between the gateways" filter_on
check_wait "both are eligible" 40 roles SeGW-1 eligible SeGW-2 eligible
check_wait "VRRP stays SeGW-1's" 5 vrrp_is SeGW-1 MASTER
lives 3 1 $AEAD SeGW-1 SeGW-2
check_is "SeGW-2 has sent no IKE" 0 sent_from SeGW-2 "$t" ike
check "the filter goes" filter_off
met 2 3 $AEAD

check "force-switchover back" hand_over SeGW-2
check_wait "protection status nominal on both" 60 nominal
check_wait "(each CHILD_SA is rekeyed)" 60 rekeyed_all SeGW-1 4
check_wait "(nothing is under way)" 60 everywhere 4
ids=$(asked 2) ids_aead=$(asked $AEAD) before=$(others)
child=$(child_of customer-2) child_aead=$(child_of customer-$AEAD)
check "2: the filter again" filter_on
check_wait "both are eligible" 40 roles SeGW-1 eligible SeGW-2 eligible
check "customers 2 and $AEAD rekey their CHILD_SAs at SeGW-1" eval "rekeys child customer-2 && rekeys child customer-$AEAD"
check_wait "customer 2 has another one" 20 another "$child" child_of customer-2
check_wait "customer $AEAD has another one" 20 another "$child_aead" child_of customer-$AEAD
lab SeGW-2 timeout 20 swanctl --rekey --child customers >/dev/null
check_wait "SeGW-2 rekeys, too: the customers answer, and SeGW-1 gets that" 30 eval '[ "$(others)" -ge $((before + 3)) ]'
check_wait "every ping is answered" 30 pings 2 3 $AEAD
check_is "SeGW-1 has asked for no message ids so far" "$ids $ids_aead" eval "echo \"\$(asked 2) \$(asked $AEAD)\""
check "the filter goes" filter_off
check_wait "SeGW-1 is master, SeGW-2 standby" 40 roles SeGW-1 master SeGW-2 standby
check_wait "customer 2 is asked for the message ids" 60 eval "[ \"\$(asked 2)\" -gt $ids ]"
check_wait "protection status nominal on both" 60 nominal
check_wait "each merged tunnel's customer is asked for life, and answers" 90 \
	eval '[ "$(pacer SeGW-1 liveness_answered)" -ge 3 ] && [ "$(pacer SeGW-1 liveness_answered)" = "$(pacer SeGW-1 liveness_total)" ] && [ "$(pacer SeGW-1 liveness_pending)" = 0 ]'
check_is "customer $AEAD is not asked for message ids" "$ids_aead" asked $AEAD
check_wait "every ping is answered" 30 pings 2 3 $AEAD
check_wait "what SeGW-2 has proposed leaves them: both hold what the customers hold, no more" 60 everywhere 4
child_aead=$(child_of customer-$AEAD)
check "SeGW-1 rekeys the CHILD_SA of customer $AEAD" eval "lab SeGW-1 timeout 30 swanctl --rekey --child-id $(gateway_child SeGW-1 $AEAD)"
check_wait "customer $AEAD has another one, and no more" 60 another "$child_aead" child_of customer-$AEAD
child_aead=$(child_of customer-$AEAD)
check "and customer $AEAD does" rekeys child customer-$AEAD
check_wait "it has another one, and no more" 60 another "$child_aead" child_of customer-$AEAD
check_wait "both hold what the customers hold, no more" 60 everywhere 4
check "no customer has authenticated anew" unchanged "$ike" ce_ike_spis
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "every ping is answered" 30 pings 2 3 $AEAD
check_wait "protection status nominal on both" 60 nominal
check_wait "each CHILD_SA is rekeyed" 60 rekeyed_all SeGW-2 4
check_wait "both hold what the customers hold, no more" 60 everywhere 4
check "no customer has authenticated anew" unchanged "$ike" ce_ike_spis

away()	# COMES GOES REKEYS
{
	node_cut SeGW-1
	check_wait "3: SeGW-1 is cut off alive: both are eligible" 40 roles SeGW-1 eligible SeGW-2 eligible
	check_wait "CE-1's ping goes on over SeGW-2" 30 ping_ce
	check_wait "(it has rekeyed what it took over)" 60 rekeyed_all SeGW-2 4
	lives "$1" "$2" "$3" SeGW-2 SeGW-1
	node_mend SeGW-1
}
# what_was_left: for who reads: how often a life that lost had CHILD_SAs of its own
what_was_left()
{
	local n
	for n in SeGW-1 SeGW-2; do
		diag "$n: $(grep -c 'that only the other chassis had' "$LAB_DIR/$n/log/charon.log") CHILD_SAs deleted that only the other chassis had," \
			"$(grep -c 'going on with message ID .* of the other chassis' "$LAB_DIR/$n/log/charon.log") IKE_SAs went on with its message id"
	done
}
check "force-switchover back" hand_over SeGW-2
check_wait "protection status nominal on both" 60 nominal
away 1 2 3
met 1 3 $AEAD
away 2 3 $AEAD
met 1 2 $AEAD
what_was_left
scene_end
