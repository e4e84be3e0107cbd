# SPDX-License-Identifier: GPL-2.0-or-later
#
# variants.sh - customers of every kind on dynamic tunnels of the gateways' one
# tunnel-group, each kind a connection with an xfrm interface of its own:
#
#   chain        certificates both ways, the customer's below an intermediate CA;
#                IKE fragments both ways
#   revoked      as chain, but the customer's certificate is on that CA's list (CRL)
#   asym         the gateway by certificate, the customer by pre-shared key
#   multi        three CHILD_SAs on one IKE_SA
#   nat          behind a NAT (10.10.11.114), which can forget its ports
#   esn          extended sequence numbers, AES-256-GCM
#   encap        in UDP though there is no NAT, AES-256-CBC with SHA-384
#   roam-1..5    addresses out of a pool, one connection for all
#   unique-1, 2  interface ids that the gateway draws (if_id = %unique)
#   mark-1, 2    marks that it draws (mark = %unique)
#   mark-3       a mark that its configuration has, AES-128-CBC with SHA-512
#   transport    transport mode, to the gateway address itself
#
#   des3, des    3DES with SHA-1, group 2; DES with MD5, group 1: of IKE, ESP and its rekeys
#   sha1         the seed's example: IKE AES-128 with SHA-1, group 5; ESP AES-256 with SHA-1
#   ecp384, ecp521	AES-192 with SHA-2, AES-256; those groups, in rekeys, too
#
# Customer n has 10.10.11.n outside. Inside, unique, mark and transport end on the gateways:
# 10.2.n.1 is on both, 10.1.n.1 is the customer's. The others have 192.168.3.n in CE-1's VRF
# and reach P-1.
#
# Sourced after scene.sh and customers.sh, whose network it uses (customers_net).

declare -A VARIANT=([chain]=11 [asym]=12 [multi]=13 [nat]=14 [esn]=15 [roam-1]=16 [roam-2]=17 [roam-3]=18 [roam-4]=19 [roam-5]=20
	[unique-1]=21 [unique-2]=22 [mark-1]=24 [mark-2]=25 [transport]=26 [encap]=27 [mark-3]=28 [revoked]=29
	[des3]=30 [des]=31 [sha1]=32 [ecp384]=34 [ecp521]=35)
VARIANT_MULTI=(13 33 53)	# the inner addresses of multi
VARIANT_IF=(chain asym multi nat esn roam encap revoked des3 des sha1 ecp384 ecp521)
VARIANT_LOCAL=(unique-1 unique-2 mark-1 mark-2 mark-3)	# end on the gateways
VARIANT_POOL=192.168.3.128/28
VARIANT_MARK=0x77

# variant_if_id KIND: of its interface on the gateways
variant_if_id()
{
	local i
	for i in "${!VARIANT_IF[@]}"; do
		[ "${VARIANT_IF[i]}" != "$1" ] || printf '0x%x\n' $((0x10010 + i))
	done
}

# variant_charon NODE: plugins for certificates, small IKE fragments
variant_charon()
{
	sed -i -e 's/^\(\s*\)nonce { load = yes }/&\n\1pem { load = yes }\n\1pkcs1 { load = yes }\n\1x509 { load = yes }\n\1revocation { load = yes }\n\1constraints { load = yes }/' \
		-e 's/^\(\s*\)load_modular = yes/&\n\1fragment_size = 400/' "$LAB_DIR/$1/etc/strongswan.conf"
}

# variant_conn CONNECTION LOCAL REMOTE [LINE...]: opens a connection
variant_conn()
{
	printf 'connections {\n%s {\nversion = 2\nmobike = no\nrekey_time = 172800s\nlocal_addrs = %s\nremote_addrs = %s\n' "$1" "$2" "$3"
	shift 3
	printf '%s\n' "$@" 'children {'
}
# variant_child NAME LOCAL-TS REMOTE-TS [LINE...]
variant_child()
{
	printf '%s {\nlocal_ts = %s\nremote_ts = %s\nrekey_time = 7200s\n' "$1" "$2" "$3"
	shift 3
	printf '%s\n' "$@" '}'
}
variant_conn_end() { printf '}\n}\n}\n'; }

# variant_ike KIND: of both ends
variant_ike()
{
	case $1 in
	chain | revoked) echo 'proposals = aes256-sha384-modp2048'; echo 'fragmentation = force' ;;
	des3) echo 'proposals = 3des-sha1-modp1024' ;;
	des) echo 'proposals = des-md5-modp768' ;;
	sha1) echo 'proposals = aes128-sha1-modp1536' ;;
	ecp384) echo 'proposals = aes192-sha384-ecp384' ;;
	ecp521) echo 'proposals = aes256-sha512-ecp521' ;;
	*) echo 'proposals = aes128-sha256-x25519' ;;
	esac
}
variant_esp()
{
	case $1 in
	esn) echo 'esp_proposals = aes256gcm16-esn' ;;
	encap) echo 'esp_proposals = aes256-sha384' ;;
	mark-3) echo 'esp_proposals = aes128-sha512' ;;
	des3) echo 'esp_proposals = 3des-sha1-modp1024' ;;
	des) echo 'esp_proposals = des-md5-modp768' ;;
	sha1) echo 'esp_proposals = aes256-sha1-modp1536' ;;
	ecp384) echo 'esp_proposals = aes192-sha256-ecp384' ;;
	ecp521) echo 'esp_proposals = aes256gcm16-ecp521' ;;
	*) echo 'esp_proposals = aes128gcm16' ;;
	esac
}

# variant_auth ROLE KIND [WHO]: local and remote section at the gateway, or at the customer
variant_auth()
{
	local gateway='auth = psk\nid = 10.10.20.1' customer='auth = psk\nid = '$3'@example.net'
	case $2 in
	chain) gateway='auth = pubkey\nid = gw.test\ncerts = gw' customer='auth = pubkey\nid = peer.test\ncerts = peer' ;;
	revoked) gateway='auth = pubkey\nid = gw.test\ncerts = gw' customer='auth = pubkey\nid = revoked.test\ncerts = revoked' ;;
	asym) gateway='auth = pubkey\nid = gw.test\ncerts = gw' ;;
	esac
	[ "$2" != roam ] || [ "$1" != gateway ] || customer='auth = psk'
	# The far end's certificate is not configured, a CA vouches for it.
	if [ "$1" = gateway ]; then
		customer=${customer/certs = */cacerts = root.der\\nrevocation = strict}
		printf "local {\n$gateway\n}\nremote {\n$customer\n}\n"
	else
		gateway=${gateway/certs = gw/cacerts = root.der\\nrevocation = strict}
		printf "local {\n$customer\n}\nremote {\n$gateway\n}\n"
	fi
}

# variant_gateway_conf: every connection of the gateways
variant_gateway_conf()
{
	local kind who n far i value
	for kind in "${VARIANT_IF[@]}"; do
		who=$kind far=
		[ "$kind" != roam ] || far=10.10.11.16-10.10.11.20
		[ "$kind" != nat ] || far=10.10.11.114
		n=${VARIANT[$kind]:-}
		variant_conn "$kind" 10.10.20.1 "${far:-10.10.11.$n}" 'dpd_delay = 0s' \
			"$([ "$kind" != roam ] || echo 'pools = roam')" "$(variant_ike "$kind")" "$(variant_auth gateway "$kind" "$who")"
		case $kind in
		multi) for i in "${VARIANT_MULTI[@]}"; do variant_gateway_child "multi-$i" multi "192.168.3.$i/32"; done ;;
		roam) variant_gateway_child roam roam dynamic ;;
		*) variant_gateway_child "$kind" "$kind" "192.168.3.$n/32" ;;
		esac
		variant_conn_end
	done
	for who in "${VARIANT_LOCAL[@]}"; do
		n=${VARIANT[$who]} i='if_id' value=%unique
		[[ $who = unique-* ]] || i='mark'
		[ "$who" != mark-3 ] || value=$VARIANT_MARK
		variant_conn "$who" 10.10.20.1 "10.10.11.$n" 'dpd_delay = 0s' "$(variant_ike local)" "$(variant_auth gateway local "$who")"
		variant_child "$who" "10.2.$n.1/32" "10.1.$n.1/32" "$(variant_esp "$who")" "${i}_in = $value" "${i}_out = $value"
		variant_conn_end
	done
	n=${VARIANT[transport]}
	variant_conn transport 10.10.20.1 "10.10.11.$n" 'dpd_delay = 0s' "$(variant_ike local)" "$(variant_auth gateway local transport)"
	variant_child transport 10.10.20.1/32 "10.10.11.$n/32" "$(variant_esp local)" 'mode = transport'
	variant_conn_end
	printf 'pools {\nroam {\naddrs = %s\n}\n}\n' "$VARIANT_POOL"
}
variant_gateway_child()	# NAME KIND REMOTE-TS
{
	local id
	id=$(variant_if_id "$2")
	variant_child "$1" 192.168.2.1/32 "$3" "$(variant_esp "$2")" "if_id_in = $id" "if_id_out = $id"
}

variant_ce_lines()	# KIND: of a customer's connection alone
{
	case $1 in
	roam) echo 'vips = 0.0.0.0' ;;
	encap) echo 'encap = yes' ;;
	esac
}

# variant_ce_conf: every connection of the customers
variant_ce_conf()
{
	local who kind n i
	local inside=('if_id_in = 0x10003' 'if_id_out = 0x10003')
	for who in "${!VARIANT[@]}"; do
		n=${VARIANT[$who]} kind=${who%-[0-9]}
		variant_conn "$who" "10.10.11.$n" 10.10.20.1 "$(variant_ce_lines "$kind")" \
			"$(variant_ike "$kind")" "$(variant_auth customer "$kind" "$who")"
		case $kind in
		multi) for i in "${VARIANT_MULTI[@]}"; do variant_child "multi-$i" "192.168.3.$i/32" 192.168.2.1/32 "$(variant_esp multi)" "${inside[@]}"; done ;;
		roam) variant_child "$who" dynamic 192.168.2.1/32 "$(variant_esp roam)" "${inside[@]}" ;;
		unique | mark) variant_child "$who" "10.1.$n.1/32" "10.2.$n.1/32" "$(variant_esp "$who")" ;;
		transport) variant_child transport "10.10.11.$n/32" 10.10.20.1/32 "$(variant_esp local)" 'mode = transport' ;;
		*) variant_child "$who" "192.168.3.$n/32" 192.168.2.1/32 "$(variant_esp "$kind")" "${inside[@]}" ;;
		esac
		variant_conn_end
	done
}

variant_secrets()
{
	local who
	printf 'secrets {\nike-variants {\nid-gw = 10.10.20.1\nid-cert = gw.test\n'
	for who in "${!VARIANT[@]}"; do
		printf 'id-%s = %s@example.net\n' "$who" "$who"
	done
	printf 'secret = "VARIANTS"\n}\n}\n'
}

# variant_files NODE: a gateway, or CE-1, before its daemons start
variant_files()
{
	local node=$1 etc=$LAB_DIR/$1/etc kind who
	variant_charon "$node"
	mkdir -p "$etc/swanctl/conf.d" "$etc/mcipsec/conf.d"
	grep -qs 'include conf.d' "$etc/swanctl/swanctl.conf" || echo 'include conf.d/*.conf' >>"$etc/swanctl/swanctl.conf"
	{
		if [ "$node" = CE-1 ]; then variant_ce_conf; else variant_gateway_conf; fi
		variant_secrets
	} >"$etc/swanctl/conf.d/variants.conf"
	[ "$node" != CE-1 ] || return 0
	bird_exports "$node" 192.168.3.0/24+
	dynamic_next_hops "$node"
	{
		for kind in "${VARIANT_IF[@]}"; do
			printf '[ipsec.tunnel."%s"]\ntype = "dynamic"\npublic = "int-IPsec-Public-1"\nprivate = "int-IPsec-Private-1"\ninterface = "v-%s"\n' "$kind" "$kind"
		done
		for who in "${VARIANT_LOCAL[@]}" transport; do
			printf '[ipsec.tunnel."%s"]\npublic = "int-IPsec-Public-1"\nprivate = "int-IPsec-Private-1"\n' "$who"
		done
	} >"$etc/mcipsec/conf.d/variants.toml"
}

# variant_certificates: one CA for all, made here and now
variant_certificates()
{
	PYTHONPATH=$LAB_SRC/../plugin python3 - "$LAB_DIR" CE-1 "${GATEWAYS[@]}" <<-'EOT'
	import os, sys
	import x509
	root = x509.Entity("root", None, True)
	sub = x509.Entity("sub", root, True)
	gateway, peer = x509.Entity("gw.test", root), x509.Entity("peer.test", sub)
	revoked = x509.Entity("revoked.test", sub)
	for node in sys.argv[2:]:
	    ce = node == "CE-1"
	    own = peer if ce else gateway
	    files = {"x509ca/root.der": root.certificate, "x509/" + ("peer" if ce else "gw"): own.certificate,
	             "ecdsa/key.der": own.key.private(), "x509crl/root.der": root.crl(), "x509crl/sub.der": sub.crl([revoked])}
	    if ce:
	        files.update({"x509ca/sub.der": sub.certificate, "x509/revoked": revoked.certificate,
	                      "ecdsa/revoked.der": revoked.key.private()})
	    for path, data in files.items():
	        path = os.path.join(sys.argv[1], node, "etc/swanctl", path)
	        os.makedirs(os.path.dirname(path), exist_ok=True)
	        with open(path, "wb") as out:
	            out.write(data)
	        os.chmod(path, 0o600)
	EOT
}

variant_net_gateway()	# NODE
{
	local kind n who
	{
		for kind in "${VARIANT_IF[@]}"; do
			printf 'link add v-%s mtu 1400 master vprn2 type xfrm dev lo if_id %s\nlink set v-%s up\n' "$kind" "$(variant_if_id "$kind")" "$kind"
		done
		for who in "${VARIANT_LOCAL[@]}"; do
			printf 'addr add 10.2.%s.1/32 dev lo\n' "${VARIANT[$who]}"
		done
		for who in mark-1 mark-2 mark-3; do
			printf 'route add 10.1.%s.1/32 via 172.16.1.100\n' "${VARIANT[$who]}"
		done
	} | net_batch "$1"
}

variant_net()	# after topo_up and customers_net
{
	local who n node
	for node in "${GATEWAYS[@]}"; do
		variant_net_gateway "$node" || return 1
	done
	{
		echo "addr add 10.10.11.114/32 dev int-IPsec-Pub-1"
		for who in "${!VARIANT[@]}"; do
			n=${VARIANT[$who]}
			echo "addr add 10.10.11.$n/32 dev int-IPsec-Pub-1"
			case $who in
			unique* | mark*) echo "addr add 10.1.$n.1/32 dev int-IPsec-Pub-1" ;;
			multi) for n in "${VARIANT_MULTI[@]}"; do echo "addr add 192.168.3.$n/32 dev int-loopback-1"; done ;;
			roam* | transport) ;;
			*) echo "addr add 192.168.3.$n/32 dev int-loopback-1" ;;
			esac
		done
	} | net_batch CE-1
}

# variant_nat PORT PORT: what the NAT makes of 500 and 4500; new ones: it forgot.
variant_nat()
{
	lab CE-1 nft -f - <<-EOT || return 1
	add table ip nat
	delete table ip nat
	table ip nat {
		chain out {
			type nat hook postrouting priority 100
			ip saddr 10.10.11.14 udp sport 500 snat to 10.10.11.114:$1
			ip saddr 10.10.11.14 udp sport 4500 snat to 10.10.11.114:$2
		}
	}
	EOT
	lab CE-1 conntrack -D -s 10.10.11.14 >/dev/null 2>&1 || :
}

# variant_up WHO: sets the customer's tunnel up; an address of the pool goes where it
# belongs
variant_up()
{
	local child children=("$1") vip
	[ "$1" != multi ] || children=("${VARIANT_MULTI[@]/#/multi-}")
	for child in "${children[@]}"; do
		lab CE-1 timeout 60 swanctl --initiate --child "$child" >/dev/null || return 1
	done
	[[ $1 = roam-* ]] || return 0
	vip=$(variant_vip "$1") && [ -n "$vip" ] && lab CE-1 ip addr replace "$vip/32" dev int-loopback-1
}
variants_up() { local who; for who; do variant_up "$who" || { diag "$who"; return 1; }; done; }
variant_vip() { lab CE-1 swanctl --list-sas --ike "$1" --raw | sed -n 's/.*local-vips=\[\([0-9.]*\).*/\1/p' | head -n 1; }

# variant_ids GATEWAY WHO: the interface id, or mark, of its CHILD_SA there, as the
# outbound state has it (charon marks inbound ones on request only)
variant_ids() { lab "$1" ip xfrm state list dst "10.10.11.${VARIANT[$2]}" | grep -oE '(if_id|mark) 0x[0-9a-f]+' | sort -u; }
# variant_drawn GATEWAY: what ids and marks need that the gateway has drawn: interfaces
# for the ones, filter rules for the others
variant_drawn()
{
	local who n id rules=
	for who in unique-1 unique-2; do
		id=$(variant_ids "$1" "$who") n=${VARIANT[$who]}
		[[ $id = 'if_id 0x'* ]] && [ "$(wc -l <<<"$id")" = 1 ] || { diag "$1: $who: $id"; return 1; }
		lab "$1" ip link del "v-$who" 2>/dev/null
		printf 'link add v-%s type xfrm dev lo if_id %s\nlink set v-%s up\nroute add 10.1.%s.1/32 dev v-%s\n' "$who" "${id#* }" "$who" "$n" "$who" |
			net_batch "$1" || return 1
	done
	for who in mark-1 mark-2 mark-3; do
		id=$(variant_ids "$1" "$who") n=${VARIANT[$who]}
		[[ $id = 'mark 0x'* ]] && [ "$(wc -l <<<"$id")" = 1 ] || { diag "$1: $who: $id"; return 1; }
		rules+="add rule ip m in ip saddr { 10.10.11.$n, 10.1.$n.1 } meta mark set ${id#* }; add rule ip m out ip daddr 10.1.$n.1 meta mark set ${id#* };"
	done
	lab "$1" nft "add table ip m; delete table ip m; add table ip m; add chain ip m in { type filter hook prerouting priority -300; };
		add chain ip m out { type route hook output priority -150; }; $rules"
}

# variant_pings WHO: each of its CHILD_SAs carries a ping
variant_pings()
{
	local n=${VARIANT[$1]} i
	case $1 in
	multi) for i in "${VARIANT_MULTI[@]}"; do customer_pings "$i" || return 1; done ;;
	roam-*) lab CE-1 ping -I vprn2 -I "$(variant_vip "$1")" -c 1 -W 1 192.168.2.1 ;;
	unique-* | mark-*) lab CE-1 ping -I "10.1.$n.1" -c 1 -W 1 "10.2.$n.1" ;;
	transport) lab CE-1 ping -I "10.10.11.$n" -c 1 -W 1 10.10.20.1 ;;
	*) customer_pings "$n" ;;
	esac
}

# variant_refused WHO [BEFORE]: the gateway does not believe the customer; BEFORE: how often so far
variant_refused() { ! variant_up "$1" 2>/dev/null && [ "$(grep -c 'received AUTHENTICATION_FAILED' "$LAB_DIR/CE-1/log/charon.log")" -gt "${2:-0}" ]; }

# variant_checked GATEWAY CN RESULT: of the last certificate of that name whose status its charon
# looked up, says what came of it: good, or revoked
variant_checked()
{
	[ "$(awk -v cn="\"CN=$2\"" '
		/checking certificate status of/ { this = index($0, cn) }
		this && /certificate was revoked/ { last = "revoked" }
		this && /certificate status is good/ { last = "good" }
		END { print last }' "$LAB_DIR/$1/log/charon.log")" = "$3" ]
}

# ce_spis KIND: all the SPIs that CE-1 has of one kind: initiator-spi, spi-in
ce_spis() { lab CE-1 swanctl --list-sas --raw | grep -oE "\b$1=[0-9a-f]+" | sort -u; }
ike_of() { lab CE-1 swanctl --list-sas --ike "$1" --raw | grep -oE 'initiator-spi=[0-9a-f]+' | sort -u; }
ike_changed() { local now; now=$(ike_of "$1"); [ -n "$now" ] && [ "$(wc -l <<<"$now")" = 1 ] && [ "$now" != "$2" ]; }
# all_rekeyed OLD: as many CHILD_SAs as then, none of them is left
all_rekeyed()
{
	local now
	now=$(ce_spis spi-in)
	[ -n "$now" ] && [ "$(wc -l <<<"$now")" = "$(wc -l <<<"$1")" ] && [ -z "$(comm -12 <(echo "$1") <(echo "$now"))" ]
}
# authentications that CE-1 has seen succeed
authentications() { grep -c 'IKE_SA .* established between' "$LAB_DIR/CE-1/log/charon.log"; }
fragments() { grep -c 'splitting IKE message' "$LAB_DIR/$1/log/charon.log"; }
# each TEXT SECONDS: a point for each customer of NOW
each() { local who; for who in "${NOW[@]}"; do check_wait "$who: $1" "$2" variant_pings "$who"; done; }
