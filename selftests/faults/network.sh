# SPDX-License-Identifier: GPL-2.0-or-later
#
# network.sh - networks as they are: packets get lost, late, out of order, doubled,
# one way only; paths go and come back, alone and together.
#
# A path is impaired where a switch hands its packets over, behind the captures:
#	mimp	MIMP and BFD between the gateways	nft at the receiver, or netem
#	mcs	MCS between the gateways		"
#	public	S-1 to the gateways and to CE-1		netem
#	private	the gateways and P-1			netem
# How long: until so many packets have been dropped or passed, which tc counts; no
# fault is over before it began.
#
# Sourced after faults.sh.

# ---- netem ------------------------------------------------------------------------
# netem_add NODE DEV PORT|all NETEM...: NODE "-" is the guest itself, where the
# cables lie. PORT: only UDP or TCP from or to it.
in_node() { if [ "$1" = - ]; then "${@:2}"; else lab "$@"; fi; }
netem_add()
{
	local node=$1 dev=$2 what=$3
	shift 3
	if [ "$what" = all ]; then
		in_node "$node" tc qdisc add dev "$dev" root handle 40: netem "$@"
		return
	fi
	in_node "$node" tc qdisc add dev "$dev" root handle 1: prio bands 4 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 &&
		in_node "$node" tc qdisc add dev "$dev" parent 1:4 handle 40: netem "$@" || return 1
	local port
	for port in ${what//,/ }; do
		in_node "$node" tc filter add dev "$dev" parent 1: protocol ip u32 match ip dport "$port" 0xffff flowid 1:4 &&
			in_node "$node" tc filter add dev "$dev" parent 1: protocol ip u32 match ip sport "$port" 0xffff flowid 1:4 || return 1
	done
}
netem_del() { in_node "$1" tc qdisc del dev "$2" root; }

# netem_passed NODE DEV: packets that netem has let through, or dropped.
netem_count()	# NODE DEV sent|dropped
{
	in_node "$1" tc -s qdisc show dev "$2" | awk -v what="$3" '
	/^qdisc netem/ { here = 1 }
	here && /Sent/ { print what == "sent" ? $4 : substr($7, 1, length($7) - 1); exit }'
}
netem_has() { [ "$(netem_count "$1" "$2" "$3")" -ge "$4" ]; }

# ends_of PATH: NODE:DEV of the switch ports of a path, both directions.
ends_of()
{
	case $1 in
	mimp | mcs) echo -:w12-segw1 -:w12-segw2 ;;
	public) echo S-1:port-segw1 S-1:port-segw2 S-1:port-ce1 ;;
	private) echo -:w1p-segw1 -:w1p-p1 -:w2p-segw2 -:w2p-p1 ;;
	esac
}
ports_of()
{
	case $1 in
	mimp) echo 7655,4784 ;;
	mcs) echo 7656 ;;
	*) echo all ;;
	esac
}
path_impair()	# PATH NETEM...
{
	local end path=$1
	shift
	for end in $(ends_of "$path"); do
		netem_add "${end%%:*}" "${end#*:}" "$(ports_of "$path")" "$@" || return 1
	done
}
path_repair()
{
	local end
	for end in $(ends_of "$1"); do
		netem_del "${end%%:*}" "${end#*:}"
	done
}
# path_has PATH sent|dropped COUNT: at one of its ends.
path_has()
{
	local end
	for end in $(ends_of "$1"); do
		if netem_has "${end%%:*}" "${end#*:}" "$2" "$3"; then
			return
		fi
	done
	return 1
}

# ---- impaired ---------------------------------------------------------------------------
# impaired PATH UNTIL COUNT NETEM...: meanwhile CE-1 rekeys its CHILD_SA.
impaired()
{
	local path=$1 until=$2 count=$3 spis
	shift 3
	expect_senders=any expect_within=120
	spis=$(ce_child_spis)
	point "the path is impaired: $*" path_impair "$path" "$@"
	rekey CE-1 child
	point_wait "$count packets $until" 120 path_has "$path" "$until" "$count"
	point_wait "the rekey gets through all the same" 120 spis_differ "$spis"
	point "the path is repaired" path_repair "$path"
}

impairments()
{
	local path
	for path in mimp mcs public private; do
		fault "$path, 1 % lost" impaired $path dropped 1 loss 1%
		fault "$path, 10 % lost" impaired $path dropped 5 loss 10%
		fault "$path, 30 % lost" impaired $path dropped 15 loss 30%
		fault "$path, 200 ms late" impaired $path sent 40 delay 200ms
		fault "$path, late and out of order" impaired $path sent 40 delay 100ms 80ms
		fault "$path, packets overtake" impaired $path sent 40 delay 20ms reorder 50%
		fault "$path, 30 % doubled" impaired $path sent 40 duplicate 30%
	done
}

# ---- one way, flapping -------------------------------------------------------------------
# What arrives at NODE of MIMP and BFD is dropped, whichever way it takes.
mimp_deaf() { hold "$1" input 'udp dport { 7655, 4784 }'; }
# Either way: each would otherwise be heard on the answers to the other.
apart() { mimp_deaf SeGW-1 && mimp_deaf SeGW-2; }
together() { release SeGW-1; release SeGW-2; }

# Neither has fresh echoes, so both notice. When they meet, the election decides.
one_way()
{
	local deaf=${!1}
	expect_senders=any
	point "$deaf does not hear MIMP and BFD" mimp_deaf "$deaf"
	point_wait "both notice" 30 roles "$M" eligible "$S" eligible
	point_wait "the customer's packets get through" 30 flow_whole
	point "it hears again" release "$deaf"
}
flapping()
{
	local i
	expect_senders=any
	for i in 1 2 3 4 5; do
		apart
		wait_for "both alone" 30 roles "$M" eligible "$S" eligible || break
		together
		wait_for "a master" 60 eval '[ -n "$(who master)" ]' || break
	done
	point "MIMP and BFD went and came five times" test "$i" = 5
}
# Shorter than anybody needs to notice: nothing moves.
mcs_flapping()
{
	local i
	for i in 1 2 3; do
		hold_mcs "$S"
		wait_for "it is noticed" 40 sync_is "$M" db_sync_state outOfSync || break
		release "$S"
		wait_for "inSync" 60 sync_is "$M" db_sync_state inSync || break
	done
	expect_lost=0
	point "MCS went and came three times" test "$i" = 3
}

# ---- partition and heal ---------------------------------------------------------------------
# Any set of: mimp, mcs, public and private of the master (M) or the standby (S).
part()
{
	local n
	case $1 in
	mimp) mimp_parts=1 ;;
	mcs) mcs_parts=1 ;;
	public-M | public-S) lab S-1 bridge link set dev "$(public_port "$1")" state 0 ;;
	private-M | private-S) cable_cut "$(private_port "$1")" ;;
	esac
}
node_of() { if [ "${1#*-}" = M ]; then echo "$M"; else echo "$S"; fi; }
public_port() { local n; n=$(node_of "$1"); echo "port-segw${n#SeGW-}"; }
private_port() { local n; n=$(node_of "$1"); echo "w${n#SeGW-}p-segw${n#SeGW-}"; }
heal()
{
	case $1 in
	public-M | public-S) lab S-1 bridge link set dev "$(public_port "$1")" state 3 ;;
	private-M | private-S) cable_mend "$(private_port "$1")" ;;
	esac
}

# partition PATH...: until all of it shows, then all of it heals at once.
partition()
{
	local path mimp_parts=0 mcs_parts=0 ports=''
	expect_senders=any expect_within=150 expect_ike=same
	for path in "$@"; do
		part "$path"
	done
	[ $mimp_parts = 0 ] || ports+='udp dport { 7655, 4784 } drop; '
	[ $mcs_parts = 0 ] || ports+='tcp dport 7656 drop; tcp sport 7656 drop; '
	[ -z "$ports" ] || lab "$S" nft "table inet hold { chain input { type filter hook input priority 0; $ports }; chain output { type filter hook output priority 0; $ports }; }"
	[ $mimp_parts = 0 ] || point_wait "both are alone" 30 roles "$M" eligible "$S" eligible
	[ $mcs_parts = 0 ] || point_wait "outOfSync" 40 sync_is "$M" db_sync_state outOfSync
	case " $* " in
	*' private-M '*) point_wait "P-1 leaves $M" 30 p1_prefers "$(sdp_of "$S")" ;;
	esac
	case " $* " in
	*' public-M '*) point_wait "VRRP is $S's, too" 30 vrrp_is "$S" MASTER ;;
	esac
	[ -z "$ports" ] || release "$S"
	for path in "$@"; do
		heal "$path"
	done
	pass "$title: healed"
}

PARTS=(mimp mcs public-M private-M)
partitions()
{
	local set bit paths
	for ((set = 1; set < 1 << ${#PARTS[@]}; set++)); do
		paths=()
		for ((bit = 0; bit < ${#PARTS[@]}; bit++)); do
			((set >> bit & 1)) && paths+=("${PARTS[bit]}")
		done
		fault "apart: ${paths[*]}" partition "${paths[@]}"
	done
	# Of the standby only what differs: nobody but shunts and VRRP needs its links.
	fault "apart: public-S" partition public-S
	fault "apart: private-S" partition private-S
	fault "apart: public-S private-S" partition public-S private-S
	fault "apart: mimp mcs public-S private-S" partition mimp mcs public-S private-S
}
