#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_certificates.sh - certificates on static tunnels (their peer and routes configured):
# one customer by certificate, below an intermediate CA, with CRLs, in IKE fragments; one by
# pre-shared key where the gateway has a certificate; one whose certificate is on the list,
# who is refused. Through a power loss, IKE_SA rekeys, a return and a planned switchover: pings
# go on, nobody authenticates anew, the routes stay the static ones, of the state that is.
# long_variants.sh has the same on dynamic tunnels.

. "$(dirname "$0")/scene.sh"
CUSTOMERS=1
. "$(dirname "$0")/customers.sh"
. "$(dirname "$0")/variants.sh"

KINDS=(chain asym revoked)
NOW=(chain asym)

scene_configure()
{
	relaxed_timers "$1"
	static_files "$1"
	if [ "$1" = SeGW-2 ]; then
		static_net && static_files CE-1 && variant_certificates
	fi
}

static_files()	# NODE
{
	local kind n
	variant_charon "$1"
	{
		for kind in "${KINDS[@]}"; do
			n=${VARIANT[$kind]}
			if [ "$1" = CE-1 ]; then
				variant_conn "$kind" "10.10.11.$n" 10.10.20.1 "$(variant_ike "$kind")" "$(variant_auth customer "$kind" "$kind")"
				variant_child "$kind" "192.168.3.$n/32" 192.168.2.1/32 "$(variant_esp "$kind")" 'if_id_in = 0x10003' 'if_id_out = 0x10003'
			else
				variant_conn "$kind" 10.10.20.1 "10.10.11.$n" 'dpd_delay = 0s' "$(variant_ike "$kind")" "$(variant_auth gateway "$kind" "$kind")"
				variant_gateway_child "$kind" "$kind" "192.168.3.$n/32"
			fi
			variant_conn_end
		done
		variant_secrets
	} >"$(tunnels_dir "$1")/certificates.conf"
	[ "$1" != CE-1 ] || return 0
	bird_exports "$1" 192.168.3.0/24+
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	for kind in "${KINDS[@]}"; do
		printf '[ipsec.tunnel."%s"]\npublic = "int-IPsec-Public-1"\nprivate = "int-IPsec-Private-1"\ninterface = "v-%s"\nstatic-route = ["192.168.3.%s/32"]\n' \
			"$kind" "$kind" "${VARIANT[$kind]}"
	done >"$LAB_DIR/$1/etc/mcipsec/conf.d/certificates.toml"
}

static_net_gateway()	# NODE
{
	local kind
	for kind in "${KINDS[@]}"; do
		printf 'link add v-%s mtu 1400 master vprn2 type xfrm dev lo if_id %s\nlink set v-%s up\n' "$kind" "$(variant_if_id "$kind")" "$kind"
	done | net_batch "$1"
}
static_net()	# after topo_up
{
	local node kind
	customers_net || return 1
	for node in "${GATEWAYS[@]}"; do
		static_net_gateway "$node" || return 1
	done
	for kind in "${KINDS[@]}"; do
		printf 'addr add 10.10.11.%s/32 dev int-IPsec-Pub-1\naddr add 192.168.3.%s/32 dev int-loopback-1\n' "${VARIANT[$kind]}" "${VARIANT[$kind]}"
	done | net_batch CE-1
}

# routes NODE PROTOCOL: of each customer, there and that one's
routes()
{
	local who route
	for who in "${NOW[@]}"; do
		route=$(lab "$1" ip route show table 2 "192.168.3.${VARIANT[$who]}")
		[[ $route = *"dev v-$who proto $2"* ]] || { diag "$1: $who: ${route:-no route}"; return 1; }
	done
}
# one record for each IKE_SA and each CHILD_SA of CE-1, which has two beside tunnel-1
synced() { local n; n=$(ce_spis '(initiator-spi|spi-in)' | wc -l); [ "$n" -ge 6 ] && sync_is SeGW-1 num_entries "$n" && sync_is SeGW-2 num_entries "$n"; }
authenticated() { grep -qE "authentication of '$2' with $3.* successful" "$LAB_DIR/$1/log/charon.log"; }

plan $((SCENE_POINTS + 3 * ${#NOW[@]} + 2 * ${#NOW[@]} + 25))
scene_up
check "the customers set up their tunnels" variants_up "${NOW[@]}" || tap_end
check "revoked: SeGW-1 refuses the customer whose certificate is on the list" \
	eval 'variant_refused revoked && variant_checked SeGW-1 revoked.test revoked'
check "chain: CRLs were asked, for the customer's own certificate and for the intermediate one" \
	eval 'variant_checked SeGW-1 peer.test good && variant_checked SeGW-1 sub good'
check "chain: both by certificate" eval 'authenticated SeGW-1 peer.test ECDSA && authenticated CE-1 gw.test ECDSA'
check "chain: in fragments both ways" eval '[ "$(fragments CE-1)" -gt 0 ] && [ "$(fragments SeGW-1)" -gt 0 ]'
check "asym: the customer by pre-shared key" authenticated SeGW-1 asym@example.net 'pre-shared key'
each "the ping is answered through SeGW-1" 30
check_wait "the tunnels are on both chassis" 30 synced
check_wait "protection status nominal on both" 60 nominal
check "their routes are static ones, of the master and of the standby" eval 'routes SeGW-1 211 && routes SeGW-2 213'
auth=$(authentications) ike=$(customers_ike) child=$(ce_spis spi-in)

node_cut SeGW-1
node_destroy SeGW-1
check_wait "SeGW-1 loses power: SeGW-2 is eligible" 30 mc_is SeGW-2 mastership eligible
each "the ping goes on through SeGW-2" 60
check "the routes are a master's without its peer" routes SeGW-2 212
check_wait "every CHILD_SA is rekeyed" 120 all_rekeyed "$child"
check "over the same IKE_SAs" unchanged "$ike" customers_ike
check "revoked: SeGW-2 refuses the customer, too" \
	eval 'variant_refused revoked 1 && variant_checked SeGW-2 revoked.test revoked'
for who in "${NOW[@]}"; do
	old=$(ike_of "$who")
	check "$who: the customer rekeys its IKE_SA" lab CE-1 timeout 60 swanctl --rekey --ike "$who"
	check_wait "$who: SeGW-2 does, the ping goes on" 60 eval 'ike_changed "$who" "$old" && variant_pings "$who"'
done

check_wait "(nothing is left of the old SeGW-1)" 90 node_gone SeGW-1
node_up SeGW-1
lab SeGW-1 cat /sys/class/net/int-SeGW1-S1/address >"$LAB_DIR/SeGW-1/mac"
customers_net_gateway SeGW-1
static_net_gateway SeGW-1
check "SeGW-1 boots again" gateway_start SeGW-1
check_wait "it is filled again" 120 synced
check_wait "protection status nominal on both" 90 nominal
check "with the routes of a standby, SeGW-2 those of a master" eval 'routes SeGW-1 213 && routes SeGW-2 211'
child=$(ce_spis spi-in) ike=$(customers_ike)
check "force-switchover to SeGW-1" hand_over SeGW-2
each "the ping goes on through SeGW-1" 60
check_wait "every CHILD_SA is rekeyed" 120 all_rekeyed "$child"
check "over the same IKE_SAs" unchanged "$ike" customers_ike
check "the routes are the master's" eval 'routes SeGW-1 211 && routes SeGW-2 213'
check_wait "protection status nominal on both" 90 nominal
check_is "nobody has authenticated since" "$auth" authentications
scene_end
