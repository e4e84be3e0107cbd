#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_keepalive.sh - without BFD the peer's failure is found by keep-alives alone: the
# standby waits for keep-alive-interval x hold-on-neighbor-failure, not less (one
# interval may have passed since the last keep-alive), not much more; then it has the
# tunnel. Seed "keep-alive-interval", "hold-on-neighbor-failure".
# Control: with other values, by reload, it is another time, which the first may not be.

. "$(dirname "$0")/scene.sh"

# keepalives NODE MS HOLD
keepalives()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	printf '[redundancy.multi-chassis.peer."%s".mc-ipsec]\nbfd-enable = false\nkeep-alive-interval = %s\nhold-on-neighbor-failure = %s\n' \
		"$(peer_address "$1")" "$(($2 / 1000)).$(($2 % 1000 / 100))" "$3" >"$LAB_DIR/$1/etc/mcipsec/conf.d/keepalive.toml"
}
INTERVAL=2000 HOLD=5
scene_configure() { keepalives "$1" "$INTERVAL" "$HOLD"; }

# shows NODE MS HOLD
shows()
{
	ask "$1" "$(find_object keep_alive_intvl) | .bfd == \"Disable\" and .keep_alive_intvl * 1000 == $2 and .hold_on_nbr_fail == $3" \
		show redundancy multi-chassis mc-ipsec peer "$(peer_address "$1")" | grep -q true
}
both_show() { shows SeGW-1 "$INTERVAL" "$HOLD" && shows SeGW-2 "$INTERVAL" "$HOLD"; }
reloaded()
{
	local node
	for node in "${GATEWAYS[@]}"; do
		keepalives "$node" "$INTERVAL" "$HOLD"
		lab "$node" mcipsec reload || return 1
	done
}

# power_loss NODE: sets cut_from and cut_to, ms of CLOCK_BOOTTIME, as the agents' logs have it.
power_loss()
{
	cut_from=$(now_ms)
	node_cut "$1"
	cut_to=$(now_ms)
	node_destroy "$1"
}
# at NODE PATTERN: ms at which NODE's agent logged it, the last time
at() { awk -v p="$2" '$0 ~ p { gsub(/[][]/, " "); t = $1 * 1000 } END { printf "%d\n", t }' "$LAB_DIR/$1/log/mcipsecd.out"; }
# gaps_start: notes how long this machine lets nobody run, as "until for" in ms.
gaps_start()
{
	{
		local now last
		last=$(now_ms)
		while pause 20; do
			read -r now _ </proc/uptime
			now=$((10#${now/./} * 10))
			[ $((now - last)) -lt 60 ] || echo "$now $((now - last))"
			last=$now
		done
	} >"$LAB_DIR/gaps" &
	gaps_pid=$!
}
longest_gap() { awk -v from="$1" -v to="$2" '$1 >= from && $1 <= to && $2 > m { m = $2 } END { print m + 0 }' "$LAB_DIR/gaps"; }
# in_time NODE: it took over when it had heard nothing for so long. An agent that has not run
# for a quarter of an interval gives its peer the whole time again: so it may be if this
# machine let nobody run for half of that.
in_time()
{
	local detection=$((INTERVAL * HOLD)) limit t gap
	t=$(at "$1" 'standby to eligible') limit=$detection
	gap=$(longest_gap $((cut_from - detection)) "$t")
	[ "$gap" -lt $((INTERVAL / 8)) ] || limit=$((2 * detection))
	diag "keep-alives each $INTERVAL ms, $HOLD missing: eligible $((t - cut_from)) ms after the cut began," \
		"$((t - cut_to)) after it was done; this machine's longest gap: $gap ms"
	[ $((t - cut_from)) -ge $((detection - INTERVAL)) ] && [ $((t - cut_to)) -le $((limit + 1000)) ]
}
lost_by_keepalive() { [ "$(at "$1" 'lost: no keep-alive')" -ge "$cut_from" ]; }

plan $((SCENE_POINTS + 20))
scene_up
gaps_start
check "no BFD, keep-alives each 2 s, 5 of them" both_show

check "SeGW-1 loses power" power_loss SeGW-1
check_wait "SeGW-2 is eligible" 30 mc_is SeGW-2 mastership eligible
check "as it heard no keep-alive" lost_by_keepalive SeGW-2
check "when 5 x 2 s were over: not before, not much later" in_time SeGW-2
check_wait "CE-1's ping goes on" 30 ping_ce
check "nobody has authenticated anew" scene_same_ike
check "SeGW-1 boots again" boots SeGW-1
check_wait "SeGW-1 stands by, SeGW-2 is master" 60 roles SeGW-1 standby SeGW-2 master
check_wait "protection status nominal on both" 90 nominal

INTERVAL=500 HOLD=6
check "keep-alives each 0.5 s, 6 of them, by reload" reloaded
check "shown on both" both_show
check_wait "nothing moves" 20 eval 'roles SeGW-1 standby SeGW-2 master && nominal'
check "SeGW-2 loses power" power_loss SeGW-2
check_wait "SeGW-1 is eligible" 30 mc_is SeGW-1 mastership eligible
check "as it heard no keep-alive" lost_by_keepalive SeGW-1
check "when 6 x 0.5 s were over" in_time SeGW-1
check_wait "CE-1's ping goes on" 30 ping_ce
check "nobody has authenticated anew" scene_same_ike
check "control: that was before 5 x 2 s less one could be" \
	eval '[ $(($(at SeGW-1 "standby to eligible") - cut_from)) -lt 8000 ]'
kill "$gaps_pid"
scene_end
