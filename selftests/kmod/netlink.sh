#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# netlink.sh - requests good and bad, leases, owners, events, and the module's
# coming and going.

. "$(dirname "$0")/common.sh"
setup
topology
for ns in ce gw1; do sa $ns window; done

# says NS WHAT COMMAND...: refused with exactly that message.
says() { [ "$(nl "$1" "${@:3}" 2>&1)" = "$2" ] || { diag "$(nl "$1" "${@:3}" 2>&1)"; return 1; }; }

# Bad input, first without any group, then beside one: it must not change.
check "a lease before any group" says gw1 "ENOENT: there is no group in this namespace yet" lease $ME 1 100
check "no such group" says gw1 "ENOENT: GROUP_ID names no group of this namespace" group get 1
check "number 0" says gw1 "EINVAL: GROUP_ID must be 1..1024" group add 0 addr $GW
check "number 1025" says gw1 "EINVAL: GROUP_ID must be 1..1024" group add 1025 addr $GW
check "no address" says gw1 "EINVAL: ADDRS is required, 1..256" group add 1
check "change of what is not there" says gw1 "ENOENT: GROUP_ID names no group of this namespace" \
	group set 1 addr $GW
check "a good group" nl gw1 group add 1 addr $GW addr $GW6 public 10.99.0.2 lease 1
check "once only" says gw1 "EEXIST: the group exists" group add 1 addr $GW
check "an address has one group" says gw1 "EADDRINUSE: ADDR belongs to another group of this namespace" \
	group add 2 addr 198.51.100.2 addr $GW
check "lease 65" says gw1 "EINVAL: LEASE_ID must be 0..64" group set 1 lease 65
check "the other namespace has its own" nl gw2 group add 1 addr $GW
shape() { nl gw1 group get 1 | grep -v stat; }
before=$(shape)
while read -r case message; do
	check "bad $case: $message" says gw1 "$message" bad "$case"
done <<-END
	no-id EINVAL: GROUP_ID is required
	short-addr ERANGE: binary attribute size out of range
	padding EINVAL: address must be AF_INET or AF_INET6, not zero, padding and unknown flags zero
	family EINVAL: address must be AF_INET or AF_INET6, not zero, padding and unknown flags zero
	addr-flags EINVAL: address must be AF_INET or AF_INET6, not zero, padding and unknown flags zero
	zero-addr EINVAL: address must be AF_INET or AF_INET6, not zero, padding and unknown flags zero
	twice EADDRINUSE: ADDR is given twice
	many-addrs EINVAL: ADDRS holds more than 256
	unknown-attr EINVAL: Unknown attribute type
	wrong-size-id EINVAL: invalid attribute length
	state EINVAL: STATE must be 0..4 (discovery, notEligible, eligible, standby, master)
	flags EINVAL: FLAGS has unknown bits
	no-state EINVAL: GROUP needs GROUP_ID and STATE
	prepared-master EINVAL: PREPARED goes with STATE standby only
	second-group ENOENT: GROUP_ID names no group of this namespace
	no-groups EINVAL: GROUPS must hold 1..1024
	short-cookie ERANGE: binary attribute size out of range
	seq-size EINVAL: SEQ must be an array of struct mcipsec_seq, 64 bytes each
	seq-margin EINVAL: SEQ_MARGIN must be 0..2^28
	seq-hold ERANGE: integer out of range
	peers-no-group ENOENT: GROUP_ID names no group of this namespace
	peers-size EINVAL: STATIC_PEERS must be an array of struct mcipsec_static_peer, 36 bytes each
	peers-reserved EINVAL: addresses must be AF_INET or AF_INET6, not zero, padding zero
	peers-zero EINVAL: addresses must be AF_INET or AF_INET6, not zero, padding zero
	lease-far EINVAL: LEASE_EXPIRY is more than 3600 s of CLOCK_BOOTTIME ahead
	lease-id EINVAL: LEASE_ID must be 1..64
END
check_is "all that changed nothing" "$before" shape
check_is "and made no group" "ENOENT: GROUP_ID names no group of this namespace" nl gw1 group get 77
unprivileged() { on gw1 setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all "$@"; }
check "anybody may read" unprivileged "$nl_tool" group get 1 >/dev/null
check_not "but not set" unprivileged "$nl_tool" state $ME 1=master

# Replacement: absent stays, empty clears, an address that stays never opens.
nl gw1 group set 1 addr $GW addr 198.51.100.9
lines() { nl gw1 group get 1 | grep -cE "^($1)"; }
check_is "addresses replaced" "198.51.100.9 198.51.100.1" \
	sh -c "nsenter --net=/run/netns/gw1 $nl_tool group get 1 | sed -n 's/^addr //p' | sort -r | xargs"
check_is "the next-hop stays" 1 lines public
nl gw1 group set 1 nopublic
check_is "until it is cleared" 0 lines public
nl gw1 group set 1 addr $GW addr $GW6 public 10.99.0.2
on ce ping -q -f -w 4 -W 1 -I 10.1.0.1 10.2.0.1 >/run/flood.out &
flood=$!
poll 5 counts gw1 drop_esp 1 true
for _ in 1 2 3 4 5 6; do
	nl gw1 group set 1 addr $GW addr $GW6 addr 198.51.100.9
	nl gw1 group set 1 addr $GW addr $GW6
done
wait $flood
check "no packet slipped through while addresses were replaced" \
	sh -c "grep -q ' 0 received' /run/flood.out"
check "control: packets were dropped meanwhile" [ "$(stat gw1 drop_esp)" -gt 20 ]

# Static tunnels: a list counts once it is whole.
static() { nl gw1 group static 1 "$@"; }
peers() { field gw1 static_peers; }
many() { awk -v gw=$GW -v n="$1" 'BEGIN { for (i = 0; i < 1024; i++) printf "%s,10.%d.%d.%d ", gw, n, i / 256, i % 256 }'; }
# shellcheck disable=SC2046
fill() { for n in $(seq 64); do static more $(many "$n") || return 1; done; }
check_is "no static peers at first" 0 peers
static $GW,192.0.2.10 $GW6,2001:db8:2::10
check_is "two of them" 2 peers
static $GW,192.0.2.11
check_is "a new list takes their place" 1 peers
static more $GW,192.0.2.12 $GW,192.0.2.13
check_is "one that goes on does not count yet" 1 peers
static $GW,192.0.2.14
check_is "until its last message" 3 peers
static more $GW,192.0.2.15
static begin $GW,192.0.2.16
check_is "what was begun and not ended is forgotten by the next that begins" 1 peers
static more $GW,192.0.2.17 $GW,192.0.2.18
nl gw1 bad peers-zero 2>/dev/null
static $GW,192.0.2.19 $GW,192.0.2.20
check_is "and by a message that is refused" 2 peers
check "65536 of them, over 64 messages" fill
check "one more is refused" says gw1 "ENOSPC: more than 65536 static peers of the group" group static 1 $GW,192.0.2.17
check_is "and with it the whole list" 2 peers
check "65536 again, and an empty end" eval 'fill && static'
check_is "they count" 65536 peers
static
check_is "an empty list clears" 0 peers

# Lease: per packet, without anybody's help.
set_state gw1 master
check_is "a lease that was never set does not run" blackhole field gw1 action
nl gw1 lease $ME 1 60000
check_is "it runs" forward field gw1 action
check "and packets pass" ping_p
nl gw1 lease $ME 1 300
check_wait "until it ends" 10 sh -c "! nsenter --net=/run/netns/ce ping -q -c 1 -W 0.2 -I 10.1.0.1 10.2.0.1"
check_is "the group's state is the same" master field gw1 state
check_is "its action is not" blackhole field gw1 action
check "dropped packets say why" counts gw1 drop_lease 1 fails ping_p
expiry=$(field gw1 expiry)

# Events of expiry and renewal.
rm -f /run/ready
nl gw1 events 20000 4 /run/ready >/run/events &
listener=$!
poll 10 test -e /run/ready
nl gw1 lease $ME 1 700
check_wait "event of the expiry" 5 grep -q lease-expired /run/events
nl gw1 lease $ME 1 5000
check_wait "event of the renewal" 5 sh -c "grep -c lease-renewed /run/events | grep -qx 2"
nl gw1 state $ME 1=standby@7
wait $listener
check "event of a change of state, with its generation" \
	sh -c "grep -A9 'event state' /run/events | grep -qx 'generation 7'"
late=$(awk '/^received/ { got = $2 } /event lease-expired/ { hit = 1 } hit && /^time/ { print int((got - $2) / 1000000); exit }' /run/events)
diag "the event was read $late ms after it was sent"
check "control: expiry was in the past by then" [ "$expiry" -lt "$(field gw1 expiry)" ]

# Sticky: a renewal alone opens nothing.
nl gw1 lease $ME 1 60000
set_state gw1 master,sticky-lease
check_is "sticky: forwards" forward field gw1 action
nl gw1 lease $ME 1 revoke
nl gw1 lease $ME 1 60000
check_is "sticky: renewed, but closed" blackhole field gw1 action
set_state gw1 master,sticky-lease
check_is "sticky: opened by a new STATE_SET" forward field gw1 action

# Owners.
check "another cookie cannot set the state" \
	says gw1 "EBUSY: the group belongs to another COOKIE whose lease runs" state other 1=standby
check "nor the lease" says gw1 "EBUSY: the lease runs for another COOKIE" lease other 1 100
check_is "the state stays" master field gw1 state
check "the owner can" nl gw1 lease $ME 1 revoke
check "a lease that ended can change hands" nl gw1 lease other 1 60000
check_is "and what the former owner left is closed" discovery field gw1 state
check "now the first is the stranger" \
	says gw1 "EBUSY: the group belongs to another COOKIE whose lease runs" state $ME 1=master
nl gw1 lease other 1 revoke

# All or nothing.
nl gw1 group add 2 addr 198.51.100.2
nl gw1 lease $ME 1 60000
check "two groups at once" nl gw1 state $ME 1=master,nominal@8 2=master@8
check_is "both" "master master" echo "$(field gw1 state 1)" "$(field gw1 state 2)"
check_not "one of two is bad" nl gw1 state $ME 2=standby 9=standby
check_is "neither changed" master field gw1 state 2

# Switchover requests.
check "no agent that listens" says gw1 "ESRCH: no agent: nobody listens to events" switchover 1 5
rm -f /run/ready
nl gw1 events 20000 1 /run/ready >/run/events &
listener=$!
poll 10 test -e /run/ready
check "no such group" says gw1 "ENOENT: GROUP_ID names no group of this namespace" switchover 9 5
check "notReady" says gw1 "EAGAIN: refused: protection status is notReady" switchover 2 5
check "already there" says gw1 "EALREADY: this node is the master of the group already" switchover 1 5 2
check "both ends" says gw1 "EINVAL: SWITCHOVER_FLAGS has unknown bits, or both ends" switchover 1 5 6
check "asked" nl gw1 switchover 1 4711
wait $listener
check "and the agent hears it" grep -qx 'switchover 4711' /run/events
nl gw1 state $ME 1=standby
check "not the master" says gw1 "EPERM: refused: this node is not the master of the group" switchover 1 5

# Coming and going.
check_not "the module stays while groups exist" rmmod mcipsec
nl gw1 group del 1
nl gw1 group del 2
check_not "in any namespace" rmmod mcipsec
ip netns del gw2
check_wait "a namespace that goes takes its groups along" 10 rmmod mcipsec
check "without debug=1 the gate's hook cannot be turned off" sh -c "
	$(declare -f load_module); module=$module; load_module
	! nsenter --net=/run/netns/gw1 $nl_tool gate off"
rmmod mcipsec
modprobe -a esp4_offload esp6_offload
on ce ping -q -f -w 25 -I 10.1.0.1 10.2.0.1 >/run/flood.out &
flood=$!
rounds=0
for _ in $(seq 20); do
	load_module debug=1 && nl gw1 group add 1 addr $GW && set_state gw1 master &&
		nl gw1 state $ME 1=standby && nl gw1 group del 1 && rmmod mcipsec &&
		rounds=$((rounds + 1))
done
check "loaded and unloaded 20 times under traffic" [ $rounds = 20 ]
kill -INT $flood 2>/dev/null
wait $flood
check "the tunnel works afterwards" ping_p
check "esp4_offload is free again" rmmod esp4_offload
load_module
nl gw1 group add 1 addr $GW
ip netns del gw1
check_wait "a namespace dies with a group in it" 10 rmmod mcipsec
finish
