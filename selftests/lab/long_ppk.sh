#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_ppk.sh - a tunnel with a postquantum pre-shared key (RFC 8784), which is in the
# keys of the first IKE_SA: the record names it, each charon has it. A standby that lacks
# it says so, on both chassis, and takes the tunnel when it is loaded. Over a switchover
# the tunnel goes on, also after a rekey of its IKE_SA, whose keys come from the old ones.

. "$(dirname "$0")/scene.sh"

# ppk NODE: its key, in a file of its own
ppk() { printf 'secrets {\n\tppk-1 {\n\t\tid = ppk.test\n\t\tsecret = "a key of the lab"\n\t}\n}\n' >"$(tunnels_dir "$1")/ppk.conf"; }
ppk_conn() { sed -i 's/mobike = no/&\n\t\tppk_id = ppk.test\n\t\tppk_required = yes/' "$LAB_DIR/$1/etc/swanctl/conf.d/tunnel-1.conf" && ppk "$1"; }
scene_configure()
{
	ppk_conn "$1"
	[ "$1" = SeGW-1 ] || ppk_conn CE-1
}

creds() { lab "$1" swanctl --load-creds --clear --noprompt >/dev/null; }
with_ppk() { lab "$1" swanctl --list-sas --raw | grep -q 'ppk=yes'; }
detail() { ask "$1" "$(find_object db_sync_state) | .$2" show redundancy multi-chassis sync detail; }
is() { [ "$(detail "$1" "$2")" = "$3" ]; }
above() { [ "$(detail "$1" "$2")" -gt "$3" ]; }
has() { mc "$1" reasons | grep -qE "$2"; }
said() { lab "$1" timeout 20 mcipsec show log 2>/dev/null | grep -q "$2"; }
ce() { lab CE-1 timeout 60 swanctl "$@" >/dev/null; }
anew()
{
	local now
	now=$(ce_ike_spis)
	[ -n "$now" ] && [ "$now" != "$ike" ] || { ce --initiate --child tunnel-1; return 1; }
}
same() { [ -n "$ike" ] && [ "$(ce_ike_spis)" = "$ike" ]; }
missing='postquantum pre-shared key is not loaded'

plan $((SCENE_POINTS + 31))
scene_up
check "the tunnel's IKE_SA has the key, says the customer" with_ppk CE-1
check "and SeGW-1" with_ppk SeGW-1
check "and SeGW-2, which has it from a record" with_ppk SeGW-2
ike=$(ce_ike_spis)
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "CE-1's ping goes on" 20 ping_ce
check "the customer rekeys its CHILD_SA with SeGW-2" ce --rekey --child tunnel-1
check_wait "the new keys, which come from the postquantum one, are the same on both sides" 20 ping_ce
check_wait "nominal on both" 60 nominal
check "it has authenticated once" same
check "force-switchover back" hand_over SeGW-2
check_wait "nominal on both" 60 nominal

check_not "control: nobody misses a key" said SeGW-2 "$missing"
check "SeGW-2's charon loses the key" eval 'rm "$LAB_DIR/SeGW-2/etc/swanctl/conf.d/ppk.conf" && creds SeGW-2'
check "the tunnel that it holds stays" eval 'nominal && is SeGW-2 installed 2'
check "the customer ends it" ce --terminate --ike tunnel-1
check_wait "and sets it up anew" 60 anew
ike=$(ce_ike_spis)
check_wait "SeGW-2 has entries that wait for their configuration" 30 above SeGW-2 await_conf 0
check_wait "SeGW-2's log names what is missing" 20 said SeGW-2 "$missing"
check_wait "SeGW-1 is notReady, and says why" 30 has SeGW-1 'entries await-conf'
check "a force-switchover is refused" eval '! hand_over SeGW-1 2>/dev/null && roles SeGW-1 master SeGW-2 standby'
check "CE-1's ping goes on" ping_ce
check "the key is loaded" eval 'ppk SeGW-2 && creds SeGW-2'
check_wait "SeGW-2 takes the tunnel" 60 eval 'is SeGW-2 await_conf 0 && is SeGW-2 installed 2'
check_wait "nominal on both" 60 nominal

check "the customer rekeys its IKE_SA" ce --rekey --ike tunnel-1
check_wait "nominal on both" 60 nominal
ike=$(ce_ike_spis)
check "force-switchover to SeGW-2" hand_over SeGW-1
check_wait "CE-1's ping goes on" 20 ping_ce
check_wait "the customer rekeys its CHILD_SA with SeGW-2" 30 ce --rekey --child tunnel-1
check_wait "CE-1's ping goes on" 20 ping_ce
check "with the IKE_SA that it had" same
scene_end
