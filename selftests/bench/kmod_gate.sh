#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kmod_gate.sh - instructions that the gate adds to a packet, and their share of what
# the ESP path takes without it: without the module, with 0, 1 and 100 groups, each with
# 1 and 10,000 tunnels' SAs. "in" is ESP that is decrypted and forwarded, "out" clear
# traffic that is encrypted; both leave by a device that takes everything.
#
# Instructions are counted, not timed: the guest has one processor and its time stamp
# counter goes on by one with each.
#
# guest: --count-instructions

. "$(dirname "$0")/../kmod/common.sh"
tool=$(dirname "$nl_tool")/bench-gate
many=${1:-10000} groups=(0 1 100) bytes=(64 1300)

check "the time stamp counter counts instructions" "$tool" counts || finish
setup
rmmod mcipsec

# ---- ce --pub-- gw --prv-- p; what gw sends on goes to its device "sink" ---------------
for ns in ce gw p; do ns_create $ns; done
for end in "ce pub $CE 192.0.2.1" "p prv 10.3.0.9 10.3.0.1"; do
	read -r ns dev far near <<<"$end"
	ip link add $dev netns gw type veth peer name $dev netns $ns
	ip -n $ns addr add $far/24 dev $dev
	ip -n gw addr add $near/24 dev $dev
	ip -n $ns link set $dev up
	ip -n gw link set $dev up
	ip -n $ns route add default via $near
done
ip -n ce addr add 10.1.0.1/32 dev lo
ip -n p addr add 10.2.0.1/32 dev lo
ip -n gw link add gw type dummy
ip -n gw link set gw up arp off
ip -n gw addr add $GW/32 dev gw
for ns in ce gw; do sa $ns; done
for size in "${bytes[@]}"; do
	check "a packet of $size octets comes from ce as ESP" \
		on ce "$tool" keep pub 10.1.0.1 10.2.0.1 50 "$size" /run/in-"$size"
	check "and from p in clear" on p "$tool" keep prv 10.2.0.1 10.1.0.1 17 "$size" /run/out-"$size"
done
ip -n gw link add sink type dummy
ip -n gw link set sink up arp off
ip -n gw route add 10.2.0.1 dev sink
ip -n gw route add 10.1.0.1 dev sink
ip -n gw route add $CE dev sink

# measured WHAT SAS GROUPS: a line "DIRECTION SIZE SAS GROUPS INSTRUCTIONS OTHERS" each.
# Other stations' packets tell what sending costs until gw's IP sees it.
tx() { ip -n gw -s -j link show sink | jq '.[0].stats64.tx.packets'; }
replayed()	# NS DEV FILE: 3 times 31 * 64 packets, of which 2 reach the sink
{
	local before after
	before=$(tx)
	on "$1" "$tool" replay "$2" "$3" >/run/counted || return 1
	after=$(tx)
	[ $((after - before)) -ge $((2 * 31 * 64)) ] || { diag "the sink had $((after - before))"; return 1; }
}
measured()
{
	local size direction end ok=0
	for size in "${bytes[@]}"; do
		for direction in "in ce pub" "out p prv"; do
			read -r direction end <<<"$direction"
			# shellcheck disable=SC2086
			replayed $end "/run/$direction-$size" || ok=1
			echo "$direction $size $2 $3 $(cat /run/counted)" >>/run/measured
		done
	done
	return $ok
}
with_groups()	# N
{
	local n states=()
	for ((n = 1; n <= $1; n++)); do
		nl gw group add $n addr "$([ $n = 1 ] && echo $GW || echo 203.0.113.$n)" || return 1
		states+=("$n=master")
	done
	[ "$1" = 0 ] || nl gw state "$ME" "${states[@]}"
}

for sas in 1 "$many"; do
	[ "$sas" = 1 ] || check "$many SAs more" on gw "$tool" sas "$many"
	check "without the module, $sas SAs" measured base "$sas" none
	for n in "${groups[@]}"; do
		load_module
		check "$n groups" with_groups "$n"
		check "$n groups, $sas SAs: packets pass" measured gate "$sas" "$n"
		for ((g = 1; g <= n; g++)); do nl gw group del $g; done
		rmmod mcipsec
	done
done

awk '
$4 == "none" { base[$1, $2, $3] = $5; path[$1, $2, $3] = $5 - $6; next }
{
	k = $1 SUBSEP $2 SUBSEP $3
	row[++rows] = sprintf("{\"direction\":\"%s\",\"octets\":%d,\"sas\":%d,\"groups\":%d,\"path\":%d,\"gate\":%d,\"share\":%.4f}",
		$1, $2, $3, $4, path[k], $5 - base[k], ($5 - base[k]) / path[k])
}
END { for (i = 1; i <= rows; i++) print row[i] }' /run/measured | jq -s . >/run/gate.json
cp /run/gate.json /results/kmod_gate.json 2>/dev/null
echo "instructions a packet"
jq -r '["", "octets", "SAs", "groups", "ESP path", "gate", "share %"],
	(.[] | [.direction, .octets, .sas, .groups, .path, .gate, (.share * 10000 | round / 100)]) | @tsv' /run/gate.json |
	awk -F'\t' '{ printf "%-4s%8s%8s%8s%10s%8s%9s\n", $1, $2, $3, $4, $5, $6, $7 }'
finish
