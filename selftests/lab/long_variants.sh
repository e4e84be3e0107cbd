#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_variants.sh - customers of every kind (variants.sh: authentication, algorithms, the
# seed's old ones too, modes, marks) through a power loss, a
# NAT that forgets its ports, rekeys, a return and a planned switchover: pings go on,
# nobody authenticates anew, nothing that the gateways hand out (addresses of a
# pool, interface ids, marks) is handed out twice by the other one, and who is on a
# CA's list (CRL) is refused by the one as by the other.

. "$(dirname "$0")/scene.sh"
CUSTOMERS=1
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/variants.sh"

# The kernel would load what an SA needs while it holds the lock of XFRM: in an emulated machine
# for seconds, in which an agent that asks XFRM stands still.
modprobe -a crypto-des crypto-des3_ede crypto-md5 crypto-sha1 crypto-sha512 crypto-cbc crypto-authenc 2>/dev/null

scene_configure()
{
	relaxed_timers "$1"
	variant_files "$1"
	if [ "$1" = SeGW-2 ]; then
		customers_net && variant_net && variant_files CE-1 && variant_certificates && variant_nat 1500 14500
	fi
}

# Each with algorithms of its own, as charon names them: the IKE_SA's, and what else each new
# CHILD_SA is made with, once it was rekeyed.
declare -A IKE_HAS=([des3]='3DES_CBC HMAC_SHA1_96 MODP_1024' [des]='DES_CBC HMAC_MD5_96 MODP_768'
	[sha1]='AES_CBC HMAC_SHA1_96 MODP_1536' [ecp384]='AES_CBC HMAC_SHA2_384_192 ECP_384'
	[ecp521]='AES_CBC HMAC_SHA2_512_256 ECP_521')
GROUPED=(des3 des sha1 ecp384 ecp521)
EARLY=(chain asym multi nat esn encap roam-1 roam-2 roam-3 unique-1 unique-2 mark-1 mark-2 mark-3 transport "${GROUPED[@]}")
NOW=("${EARLY[@]}")

# one record for each IKE_SA and each CHILD_SA that the customers have
synced() { local n; n=$(ce_spis '(initiator-spi|spi-in)' | wc -l); [ "$n" -gt 20 ] && sync_is SeGW-1 num_entries "$n" && sync_is SeGW-2 num_entries "$n"; }
vips() { local who; for who in "${NOW[@]}"; do [[ $who != roam-* ]] || variant_vip "$who"; done | sort; }
vips_differ() { local v; v=$(vips); [ "$(wc -l <<<"$v")" = "$1" ] && [ "$(uniq <<<"$v" | wc -l)" = "$1" ]; }
drawn() { local who; for who in "${VARIANT_LOCAL[@]}"; do echo "$who $(variant_ids "$1" "$who" | tr '\n' ' ')"; done; }
log_has() { grep -q "$2" "$LAB_DIR/$1/log/charon.log"; }
port_known() { lab "$1" ip xfrm state list src 10.10.11.114 | grep -q "sport $2"; }
esn_state() { lab "$1" ip xfrm state list src "10.10.11.${VARIANT[esn]}" | grep -q 'flag.* esn'; }
# state_has GATEWAY src|dst WHO TEXT...: of the customer's SA in that direction
state_has()
{
	local state text
	state=$(lab "$1" ip xfrm state list "$2" "10.10.11.${VARIANT[$3]}")
	for text in "${@:4}"; do
		[[ $state = *"$text"* ]] || { diag "$1: $3: no $text: $state"; return 1; }
	done
}
both_have() { state_has SeGW-1 "$@" && state_has SeGW-2 "$@"; }
transport_state() { lab "$1" ip xfrm state list src "10.10.11.${VARIANT[transport]}" | grep -q 'mode transport'; }
# multi_states NODE: SAs there from the customer with three CHILD_SAs
multi_states() { lab "$1" ip xfrm state list src "10.10.11.${VARIANT[multi]}" | grep -c "proto esp"; }

# ike_has NODE...: what IKE_HAS says, of each IKE_SA there. child_groups: a CHILD_SA of each has
# the group of its IKE_SA, which it has had since its rekey.
ike_algorithms() { lab "$1" swanctl --list-sas --ike "$2" --raw | sed 's/child-sas.*//' | grep -oE '(encr-alg|integ-alg|dh-group)=[^ }]+' | cut -d= -f2 | paste -sd ' '; }
ike_has()
{
	local node who got
	for node; do
		for who in "${GROUPED[@]}"; do
			got=$(ike_algorithms "$node" "$who")
			[ "$got" = "${IKE_HAS[$who]}" ] || { diag "$node: $who: ${got:-nothing}"; return 1; }
		done
	done
}
child_groups()
{
	local who got
	for who in "${GROUPED[@]}"; do
		got=$(lab CE-1 swanctl --list-sas --ike "$who" --raw | sed 's/.*child-sas//' | grep -oE 'dh-group=[^ }]+' | sort -u)
		[ "$got" = "dh-group=${IKE_HAS[$who]##* }" ] || { diag "$who: ${got:-nothing}"; return 1; }
	done
}
grouped_ike() { local who; for who in "${GROUPED[@]}"; do ike_of "$who"; done; }
grouped_rekey() { local who; for who in "${GROUPED[@]}"; do lab CE-1 timeout 60 swanctl --rekey --ike "$who" >/dev/null || return 1; done; }
# grouped_rekeyed OLD: as many IKE_SAs, none of OLD.
grouped_rekeyed()
{
	local now
	now=$(grouped_ike)
	[ "$(wc -l <<<"$now")" = ${#GROUPED[@]} ] && ! grep -qxFf <(echo "$1") <<<"$now"
}

plan $((SCENE_POINTS + 40 + 3 * ${#EARLY[@]} + 1 + 13 + 5))
scene_up
check "customers of every kind set up their tunnels" variants_up "${EARLY[@]}" || tap_end
check "revoked: SeGW-1 refuses the customer whose certificate is on the list" \
	eval 'variant_refused revoked && variant_checked SeGW-1 revoked.test revoked'
check_wait "every IKE_SA and CHILD_SA is on both chassis" 60 synced
check_wait "protection status nominal on both" 60 nominal
check "SeGW-1 has drawn ids and marks, each once" eval 'variant_drawn SeGW-1 && [ -z "$(drawn SeGW-1 | cut -d" " -f2- | sort | uniq -d)" ]'
check "SeGW-2 has the same" eval '[ "$(drawn SeGW-1)" = "$(drawn SeGW-2)" ] && variant_drawn SeGW-2'
each "the ping is answered through SeGW-1" 30
check "multi: the customer ends one of its CHILD_SAs" lab CE-1 timeout 60 swanctl --terminate --child multi-33
check_wait "multi: it is gone on SeGW-2, too, and nothing else" 60 eval 'synced && [ "$(multi_states SeGW-2)" = 2 ]'
check "multi: the others carry pings" eval 'customer_pings 13 && customer_pings 53'
check "multi: it comes again" lab CE-1 timeout 60 swanctl --initiate --child multi-33
check_wait "multi: on SeGW-2, too" 60 eval 'synced && [ "$(multi_states SeGW-2)" = 3 ]'
check "chain: the intermediate certificate came along" log_has SeGW-1 'using untrusted intermediate certificate "CN=sub"'
check "chain: CRLs were asked, for the customer's own certificate and for the intermediate one" \
	eval 'variant_checked SeGW-1 peer.test good && variant_checked SeGW-1 sub good'
check "encap: on both, in UDP, AES-256-CBC with SHA-384" \
	both_have src encap 'encap type espinudp sport 4500' 'cbc(aes)' 'hmac(sha384)'
check "mark-3: on both, the mark of the configuration, AES-128-CBC with SHA-512" \
	both_have dst mark-3 "mark $VARIANT_MARK" 'cbc(aes)' 'hmac(sha512)'
check "des3: on both, 3DES with SHA-1" both_have src des3 'cbc(des3_ede)' 'hmac(sha1)'
check "des: on both, DES with MD5" both_have src des 'cbc(des)' 'hmac(md5)'
check "sha1: on both, AES-CBC with SHA-1" both_have src sha1 'cbc(aes)' 'hmac(sha1)'
check "ecp384: on both, AES-CBC with SHA-256" both_have src ecp384 'cbc(aes)' 'hmac(sha256)'
check "3DES, DES, AES with MD5, SHA-1, SHA-2, groups 1, 2, 5, ECP 384, 521: the IKE_SAs on both have them" ike_has SeGW-1 SeGW-2
check "chain: IKE went in fragments both ways" eval '[ "$(fragments CE-1)" -gt 0 ] && [ "$(fragments SeGW-1)" -gt 0 ]'
check "esn: on both" eval 'esn_state SeGW-1 && esn_state SeGW-2'
check "transport: on both" eval 'transport_state SeGW-1 && transport_state SeGW-2'
check "nat: the states of both name the NAT's port" eval 'port_known SeGW-1 14500 && port_known SeGW-2 14500'
check "three addresses of the pool are out" vips_differ 3
auth=$(authentications) tunnel_1=$(ike_of tunnel-1)
ike=$(customers_ike) child=$(ce_spis spi-in)

node_cut SeGW-1
node_destroy SeGW-1
check_wait "SeGW-1 loses power: SeGW-2 is eligible" 30 mc_is SeGW-2 mastership eligible
each "the ping goes on through SeGW-2" 60
check "nat: it forgets its ports" variant_nat 2500 24500
check_wait "nat: the ping goes on from other ports" 60 variant_pings nat
check_wait "nat: SeGW-2's states have the new port" 30 port_known SeGW-2 24500
check_wait "every CHILD_SA is rekeyed" 120 all_rekeyed "$child"
check "over the same IKE_SAs" unchanged "$ike" customers_ike
check_wait "those groups' CHILD_SAs were rekeyed with them" 20 child_groups
check "revoked: SeGW-2 refuses the customer, too" \
	eval 'variant_refused revoked 1 && variant_checked SeGW-2 revoked.test revoked'
check "roam-4 comes, SeGW-2 hands out an address that nobody has" eval 'variant_up roam-4 && NOW+=(roam-4) && vips_differ 4'
vip=$(variant_vip roam-4)
check_is "one of its own half: SeGW-1 could live and hand out the others" 1 eval 'echo $((${vip##*.} % 2))'
check_wait "roam-4: the ping is answered" 30 variant_pings roam-4
before=$(fragments SeGW-2)
old=$(ike_of chain)
check "chain: the customer rekeys its IKE_SA" lab CE-1 timeout 60 swanctl --rekey --ike chain
check_wait "chain: SeGW-2 does, in fragments" 60 eval 'ike_changed chain "$old" && [ "$(fragments SeGW-2)" -gt "$before" ]'
check_wait "chain: the ping goes on" 30 variant_pings chain
old=$(grouped_ike)
check "the customers of those groups rekey their IKE_SAs" grouped_rekey
check_wait "SeGW-2 does" 60 grouped_rekeyed "$old"
check "with the same algorithms" ike_has SeGW-2

check_wait "(nothing is left of the old SeGW-1)" 90 node_gone SeGW-1
node_up SeGW-1
lab SeGW-1 cat /sys/class/net/int-SeGW1-S1/address >"$LAB_DIR/SeGW-1/mac"
customers_net_gateway SeGW-1
variant_net_gateway SeGW-1
check "SeGW-1 boots again" gateway_start SeGW-1
check_wait "it is filled again" 120 synced
check_wait "protection status nominal on both" 90 nominal
check "with the IKE_SAs of those groups" ike_has SeGW-1
check "its charon has the ids and marks that the old one had drawn" eval '[ "$(drawn SeGW-1)" = "$(drawn SeGW-2)" ] && variant_drawn SeGW-1'
child=$(ce_spis spi-in)
check "force-switchover to SeGW-1" hand_over SeGW-2
each "the ping goes on through SeGW-1" 60
check_wait "every CHILD_SA is rekeyed" 120 all_rekeyed "$child"
check_wait "those groups' with them" 20 child_groups
old=$(grouped_ike)
check "the customers of those groups rekey their IKE_SAs" grouped_rekey
check_wait "SeGW-1 does" 60 grouped_rekeyed "$old"
check "roam-5 comes, SeGW-1 hands out an address that nobody has" eval 'variant_up roam-5 && NOW+=(roam-5) && vips_differ 5'
check_wait "roam-5: the ping is answered" 30 variant_pings roam-5
check_wait "protection status nominal on both" 90 nominal
check_is "nobody but roam-4 and roam-5 has authenticated since" $((auth + 2)) authentications
check_is "tunnel-1 has the IKE_SA that it had at first" "$tunnel_1" ike_of tunnel-1
scene_end
