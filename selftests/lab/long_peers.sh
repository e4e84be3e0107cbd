#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_peers.sh - three peers on one source-address (one socket for MIMP, one for BFD,
# one listener for MCS): SeGW-1 with SeGW-2 for tunnel-group 1, with SeGW-3 for group 2,
# with P-1 for group 3, which is a BIRD that speaks BFD and no MIMP. Each is alone:
# what happens to one does not move the others.
#
#   BFD of both implementations: up, timers agreed, taken down by intent, failures
#   found on both sides. BFD down with keep-alives present: eligible on both.
#   A clock that is wrong, strict rp_filter where the peer shunts to: alarmed, cleared.
#
# No traffic, no tunnel: the three chassis and BIRD are on one wire.

. "$(dirname "$0")/lab.sh"

NODES=(SeGW-1 SeGW-2 SeGW-3 P-1)
CHASSIS=(SeGW-1 SeGW-2 SeGW-3)
SHIFT=$LAB_DIR/SeGW-3/clock-shift

# Of two chassis the one with the higher address listens: SeGW-1, to all of them.
address() { case $1 in SeGW-1) echo 192.0.2.9 ;; P-1) echo 192.0.2.4 ;; *) echo "192.0.2.${1#SeGW-}" ;; esac }

net()
{
	local node pids=()
	ln -sf "$LAB_SRC/lab" /usr/local/bin/lab
	modprobe -a veth bridge dummy xfrm_user esp4
	mkdir -p "$LAB_DIR"
	cable_make wire
	for node in "${NODES[@]}"; do
		node_create "$node" &
		pids+=($!)
	done
	wait_all "${pids[@]}" || return 1
	for node in "${NODES[@]}"; do
		cable_plug wire "$node" e0 "port-$node"
		lab "$node" ip addr add "$(address "$node")/24" dev e0
	done
}

# group N [LINE]: of a chassis's file; peer ADDR BFD GROUP PRIORITY DISCOVERY
group()
{
	cat <<-EOT
	[isa.tunnel-group.$1]
	multi-active = true
	mda = ["$1/1"]
	ipsec-responder-only = true
	[isa.mda."$1/1"]
	[ipsec.public."public-$1"]
	tunnel-group = $1
	local-gateway-address = ["10.10.20.$1"]
	$2
	EOT
}
peer()
{
	cat <<-EOT
	[redundancy.multi-chassis.peer."$1"]
	authentication-key-file = "/etc/mcipsec/peer.key"
	[redundancy.multi-chassis.peer."$1".sync.ipsec]
	tunnel-group.$3.sync-tag = "tag-$3"
	[redundancy.multi-chassis.peer."$1".mc-ipsec]
	bfd-enable = true
	bfd = { $2 }
	keep-alive-interval = 2
	hold-on-neighbor-failure = 4
	discovery-interval = $5
	[redundancy.multi-chassis.peer."$1".mc-ipsec.tunnel-group.$3]
	priority = $4
	EOT
}

files()
{
	local node toml
	(umask 077 && mcipsec genkey >"$LAB_DIR/key") || return 1
	for node in "${CHASSIS[@]}"; do
		toml=$LAB_DIR/$node/etc/mcipsec/mcipsec.toml
		mkdir -p "${toml%/*}"
		cp -p "$LAB_DIR/key" "${toml%/*}/peer.key"
		rm -f "$LAB_DIR/$node/etc/keepalived/keepalived.conf" "$LAB_DIR/$node/etc/swanctl/swanctl.conf"
		printf '[system]\naddress = "%s"\n' "$(address "$node")" >"$toml"
	done
	{
		group 1 'static-tunnel-redundant-next-hop = ["192.0.2.2"]'; group 2; group 3
		peer 192.0.2.2 'transmit = 1000, receive = 1000, multiplier = 6' 1 200 90
		peer 192.0.2.3 'transmit = 1000, receive = 1000, multiplier = 6' 2 50 90
		peer 192.0.2.4 'transmit = 1000, receive = 800, multiplier = 6, authentication = false' 3 100 10
	} >>"$LAB_DIR/SeGW-1/etc/mcipsec/mcipsec.toml"
	{ group 1; peer "$(address SeGW-1)" 'transmit = 1000, receive = 1000, multiplier = 6' 1 150 90; } >>"$LAB_DIR/SeGW-2/etc/mcipsec/mcipsec.toml"
	{ group 2; peer "$(address SeGW-1)" 'transmit = 1000, receive = 1000, multiplier = 6' 2 150 90; } >>"$LAB_DIR/SeGW-3/etc/mcipsec/mcipsec.toml"
	mkdir -p "$LAB_DIR/P-1/etc/bird"
	cat >"$LAB_DIR/P-1/etc/bird/bird.conf" <<-EOT
	log stderr all;
	router id 192.0.2.4;
	protocol device { }
	protocol bfd peers {
		multihop {
			interval 600 ms;
			multiplier 8;
		};
		neighbor $(address SeGW-1) local 192.0.2.4 multihop on;
	}
	EOT
	# The clock of SeGW-3's agent alone can be wrong.
	cat >"$LAB_DIR/SeGW-3/agent" <<-EOT
	#!/bin/sh
	CLOCK_SHIFT_FILE=$SHIFT LD_PRELOAD=/mcipsec/build/lab-tools/clock_shift.so exec /usr/sbin/mcipsecd "\$@"
	EOT
	chmod +x "$LAB_DIR/SeGW-3/agent"
	AGENT[SeGW-3]=$LAB_DIR/SeGW-3/agent
}

start()
{
	local node pids=()
	bird_start P-1 || return 1
	for node in "${CHASSIS[@]}"; do
		{
			lab "$node" mkdir -p /run/mcipsec/vrrp
			gate_start "$node" && charon_start "$node" && agent_start "$node"
		} &
		pids+=($!)
	done
	wait_all "${pids[@]}"
}

# of NODE PEER FIELD / state NODE PEER GROUP FIELD, of show ... mc-ipsec peer
of() { ask "$1" "$(find_object bfd_timers) | .$3" show redundancy multi-chassis mc-ipsec peer "$(address "$2")"; }
of_is() { [ "$(of "$1" "$2" "$3")" = "$4" ]; }
state() { ask "$1" "[.. | objects | select(has(\"mastership\") and .id == $3)] | first | .$4" show redundancy multi-chassis mc-ipsec peer "$(address "$2")" tunnel-group "$3"; }
state_is() { [ "$(state "$1" "$2" "$3" mastership)" = "$4" ]; }
pair() { state_is SeGW-1 "$1" "$2" "$3" && state_is "$1" SeGW-1 "$2" "$4"; }
nominal_pair() { [ "$(state SeGW-1 "$1" "$2" protection_status)" = nominal ] && [ "$(state "$1" SeGW-1 "$2" protection_status)" = nominal ]; }
generation_2() { state SeGW-1 SeGW-3 2 generation; }
sync_of() { ask "$1" "[.. | objects | select(has(\"db_sync_state\") and .peer_ip_address == \"$(address "$2")\")] | first | .$3" show redundancy multi-chassis sync peer "$(address "$2")" detail; }
alarmed() { sync_of "$1" "$2" 'alarms[]' | grep -q "$3"; }
unalarmed() { [ "$(sync_of "$1" "$2" "alarms | map(select(test(\"$3\"))) | length")" = 0 ]; }
skew_is() { sync_of "$1" "$2" clock_skew | awk -v low="$3" -v high="$4" '{ n++; ok = $1 >= low && $1 <= high } END { exit !(n && ok) }'; }
skew_log() { ask "$1" '[.. | objects | .event? // empty] | join(" ")' show log | grep -q "$2"; }
bird_session() { lab P-1 birdc show bfd sessions | awk -v a="$(address SeGW-1)" '$1 == a'; }
bird_says() { bird_session | awk '{ print $3 }' | grep -qx "$1"; }
bird_timers() { bird_session | awk '{ print $(NF - 1), $NF }'; }
listeners() { lab "$1" ss -Hltn "sport = :7656" | wc -l; }
# connected: the chassis that are connected to SeGW-1's listener
connected() { lab SeGW-1 ss -Htn state established "sport = :7656" | awk '{ sub(/:[0-9]*$/, "", $NF); print $NF }' | sort | tr '\n' ' '; }
udp_sockets() { lab SeGW-1 ss -Hlun "sport = :$1" | wc -l; }
mimp_rx() { of SeGW-1 SeGW-2 mimp_counters.rx; }
rx_above() { [ "$(mimp_rx)" -gt "$1" ]; }

# bfd_filter NODE PEER: no BFD between them, each way; all else passes.
bfd_filter()
{
	lab "$1" nft -f - <<-EOT
	table inet nobfd {
		chain in { type filter hook input priority 0; ip saddr $(address "$2") udp dport 4784 drop; }
		chain out { type filter hook output priority 0; ip daddr $(address "$2") udp dport 4784 drop; }
	}
	EOT
}
bfd_pass() { lab "$1" nft delete table inet nobfd; }
bfd_enable() { printf '[redundancy.multi-chassis.peer."192.0.2.4".mc-ipsec]\nbfd-enable = %s\n' "$1" >"$LAB_DIR/SeGW-1/etc/mcipsec/conf.d/bfd.toml" && lab SeGW-1 mcipsec reload; }
rp_filter() { lab SeGW-1 sysctl -qw "net.ipv4.conf.e0.rp_filter=$1"; }
# silent_check: the configuration is right, and rp_filter is not mentioned
silent_check() { local out; out=$(lab SeGW-1 mcipsec config check 2>&1) && [[ $out = *': ok'* && $out != *rp_filter* ]]; }

plan 51
check "three chassis and a BIRD on one wire; the module loads" eval 'net && modprobe mcipsec && files && mkdir -p "$LAB_DIR/SeGW-1/etc/mcipsec/conf.d"' || tap_end
check "charon and mcipsecd run on each" start || tap_end
check_wait "group 1: SeGW-1 master, SeGW-2 standby" 180 pair SeGW-2 1 master standby
check_wait "group 2: SeGW-3 master, SeGW-1 standby" 180 pair SeGW-3 2 standby master
check_wait "group 3, without a MIMP peer: eligible" 180 state_is SeGW-1 P-1 3 eligible
check_is "MIMP has one socket on SeGW-1" 1 udp_sockets 7655
check_is "BFD, too" 1 udp_sockets 4784
check_wait "group 1 is nominal on both" 180 nominal_pair SeGW-2 1
check_wait "group 2 is nominal on both" 180 nominal_pair SeGW-3 2
generation=$(generation_2)
check_is "MCS has one listener" 1 listeners SeGW-1
check_is "to which both are connected" "192.0.2.2 192.0.2.3 " connected
check_is "control: SeGW-2 does not listen" 0 listeners SeGW-2
check_is "nor does SeGW-3" 0 listeners SeGW-3

check_wait "BFD with BIRD is up, as we see it" 120 of_is SeGW-1 P-1 bfd_state Up
check_wait "as BIRD sees it" 120 bird_says Up
check_wait "our timers: the slower of ours and BIRD's" 120 of_is SeGW-1 P-1 bfd_timers "transmit 1000 ms, detection 6400 ms"
check_wait "BIRD's timers" 120 eval '[ "$(bird_timers)" = "0.800 6.000" ]'
check "bfd-enable off for BIRD" bfd_enable false
check_wait "AdminDown here" 120 of_is SeGW-1 P-1 bfd_state AdminDown
check_wait "BIRD says Down" 120 bird_says Down
check "bfd-enable on again" bfd_enable true
check_wait "up again, here" 120 of_is SeGW-1 P-1 bfd_state Up
check_wait "and there" 120 bird_says Up
downs=$(of SeGW-1 P-1 bfd_counters.downs)
check "BIRD is stopped" signal P-1 bird STOP
check_wait "found: BFD is down" 120 of_is SeGW-1 P-1 bfd_state Down
check_is "counted as a failure" $((downs + 1)) of SeGW-1 P-1 bfd_counters.downs
check "BIRD goes on" signal P-1 bird CONT
check_wait "up again, here" 120 of_is SeGW-1 P-1 bfd_state Up
check "what we send BIRD is filtered" bfd_filter SeGW-1 P-1
check_wait "BIRD finds it" 120 bird_says Down
check "the filter goes" bfd_pass SeGW-1
check_wait "up again" 120 eval 'of_is SeGW-1 P-1 bfd_state Up && bird_says Up'
check_is "BFD with the others never went down" "0 0" eval 'echo $(of SeGW-1 SeGW-2 bfd_counters.downs) $(of SeGW-1 SeGW-3 bfd_counters.downs)'

check "BFD alone is filtered between SeGW-1 and SeGW-2" bfd_filter SeGW-1 SeGW-2
check_wait "eligible on both" 120 pair SeGW-2 1 eligible eligible
rx=$(mimp_rx)
check_wait "with keep-alives present" 120 rx_above "$rx"
check_is "control: group 2 has not noticed" "$generation" generation_2
check "the filter goes" bfd_pass SeGW-1
check_wait "SeGW-1 master, SeGW-2 standby" 180 pair SeGW-2 1 master standby
check_wait "group 1 is nominal on both" 180 nominal_pair SeGW-2 1
check "force-switchover of group 2" hand_over SeGW-3 2
check_wait "SeGW-1 is master of both" 120 eval 'pair SeGW-3 2 master standby && pair SeGW-2 1 master standby'

echo 30 >"$SHIFT"
check_wait "SeGW-3's clock goes ahead by 30 s: SeGW-1 measures it" 120 skew_is SeGW-1 SeGW-3 29 31
check_wait "and has the alarm, SeGW-3, too" 120 eval 'alarmed SeGW-1 SeGW-3 "clock of peer" && alarmed SeGW-3 SeGW-1 "clock of peer"'
check_wait "which is in the log" 120 skew_log SeGW-1 tmnxMcSyncClockSkewRaised
check "control: SeGW-2's clock is right" eval 'skew_is SeGW-1 SeGW-2 -1 1 && unalarmed SeGW-1 SeGW-2 "clock of peer"'
rm "$SHIFT"
check_wait "set right, the alarm is cleared" 120 eval 'unalarmed SeGW-1 SeGW-3 "clock of peer" && skew_log SeGW-1 tmnxMcSyncClockSkewCleared'

check "control: no word of rp_filter" eval 'unalarmed SeGW-1 SeGW-2 rp_filter && silent_check'
rp_filter 1
check_wait "rp_filter strict where SeGW-2 shunts to: alarmed" 120 alarmed SeGW-1 SeGW-2 "conf.e0.rp_filter is strict"
check "and named by config check, with the line" eval 'lab SeGW-1 mcipsec config check 2>&1 | grep -q "mcipsec.toml:[0-9]*: .*conf.e0.rp_filter is strict"'
rp_filter 2
check_wait "loose: the alarm is cleared" 120 unalarmed SeGW-1 SeGW-2 rp_filter
tap_end
