#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# seq.sh - export and import of sequence state: exact, monotonic, with margin,
# and what the far end then takes or refuses. One gateway and ce with real ESP.

. "$(dirname "$0")/common.sh"
setup
topology
nl gw1 group add 1 addr $GW addr $GW6
set_state gw1 master

out=0x00000200 in=0x00000100
set_seq() { nl gw1 seq set 1 "$@"; }		# [margin N] SPI/DADDR/OSEQ/SEQ...
to_ce() { echo "0x200/$CE/$1/0"; }		# OSEQ
from_ce() { echo "0x100/$GW/0/$1"; }		# SEQ
oseq() { oseq_of gw1 $out; }
seq() { seq_of gw1 $in; }
# What the kernel itself says, not the module.
kernel_oseq()
{
	ip -s -n gw1 xfrm state get src $GW dst $CE proto esp spi 0x200 |
		sed -n 's/.*oseq 0x\([0-9a-f]*\).*/0x\1/p' | head -n 1
}
kernel_oseq_low() { printf '%d' "$(kernel_oseq)"; }

for kind in plain window esn; do
	case $kind in
	plain) args=() ;;	# no replay window
	*) args=($kind) ;;
	esac
	for ns in ce gw1; do sa $ns "${args[@]}"; done
	ping_p 3
	check_is "$kind: oseq is exported" 3 oseq
	check_is "$kind: as the kernel has it" 3 kernel_oseq_low
	[ $kind = plain ] || check_is "$kind: seq is exported" 3 seq
	check_is "$kind: import raises oseq" \
		"updated 1 unchanged 0 missing 0 refused 0 exhausted 0 " set_seq "$(to_ce 1000)"
	check_is "$kind: to what was given" 1000 oseq
	check_is "$kind: the same again changes nothing" \
		"updated 0 unchanged 1 missing 0 refused 0 exhausted 0 " set_seq "$(to_ce 1000)"
	check_is "$kind: a lower one changes nothing" \
		"updated 0 unchanged 1 missing 0 refused 0 exhausted 0 " set_seq "$(to_ce 5)"
	check_is "$kind: oseq stays" 1000 oseq
	set_seq margin 65536 "$(to_ce 1000)" >/dev/null
	check_is "$kind: the margin is added" 66536 oseq
	set_seq margin 65536 "$(to_ce 1000)" >/dev/null
	check_is "$kind: once, however often the same is imported" 66536 oseq
	check "$kind: the far end takes what comes after the jump" ping_p 2
	check_is "$kind: and oseq goes on from there" 66538 oseq
done

# Numbers beyond 32 bits, and the caps of the margin (this SA has ESN).
set_seq margin $((1 << 28)) "$(to_ce 66538)" >/dev/null
check_is "esn: a margin of 2^28" $((66538 + (1 << 28))) oseq
check "esn: the far end takes it" ping_p
for ns in ce gw1; do sa $ns esn; done
ping_p
set_seq "$(to_ce $((1 << 31)))" >/dev/null
check "esn: the far end takes a jump of 2^31" ping_p
set_seq "$(to_ce $(((1 << 32) + 5)))" >/dev/null
check_is "esn: oseq beyond 2^32" $(((1 << 32) + 5)) oseq
check "esn: the far end follows into the next 2^32" ping_p
check_is "esn: oseq counts in 64 bits" $(((1 << 32) + 6)) oseq

# Inbound: what was given counts as received, all of it.
for kind in window esn; do
	for ns in ce gw1; do sa $ns $kind; done
	ping_p 3
	check "$kind: import of seq" set_seq "$(from_ce 5)" >/dev/null
	check_is "$kind: seq is what was given" 5 seq
	check "$kind: packets 4 and 5 count as received" fails ping_p 2
	check "$kind: packet 6 is new" ping_p
	check_is "$kind: seq went on" 6 seq
	set_seq "$(from_ce 2)" >/dev/null
	check_is "$kind: a lower seq changes nothing" 6 seq
	check "$kind: nor the window" ping_p
	nl gw1 state $ME 1=master,strict-replay
	set_seq margin 3 "$(from_ce 7)" >/dev/null
	check_is "$kind: strict replay adds the margin inbound" 10 seq
	set_state gw1 master
	set_seq margin 3 "$(from_ce 10)" >/dev/null
	check_is "$kind: control: without strict replay it does not" 10 seq
done

# The end of the number space.
for ns in ce gw1; do sa $ns window; done
ping_p
check_is "no ESN: a number beyond 2^32 stops at the last one, counted" \
	"updated 1 unchanged 0 missing 0 refused 0 exhausted 1 " set_seq "$(to_ce $(((1 << 32) + 77)))"
check_is "and never wraps" 4294967295 oseq
check "an SA at its end sends nothing" fails ping_p
check_is "and stays there" 4294967295 oseq
for ns in ce gw1; do sa $ns esn; done
ping_p
check_is "receive only (all ones)" "updated 1 unchanged 0 missing 0 refused 0 exhausted 1 " \
	set_seq "$(to_ce 18446744073709551615)"
check "receives" counts gw1 forward_in 1 fails ping_p
check_is "and sends nothing" 18446744073709551615 oseq

# An SA that waits for its number sends nothing, even if it is made anew meanwhile.
for ns in ce gw1; do sa $ns window; done
held="updated 1 unchanged 0 missing 0 refused 0 exhausted 0 "
check_is "an SA is told to wait" "$held" set_seq hold set "$(to_ce 0)"
check_is "once" "updated 0 unchanged 1 missing 0 refused 0 exhausted 0 " set_seq hold set "$(to_ce 0)"
check "it drops, counted" counts gw1 drop_hold 1 fails ping_p
sa gw1 window
check "also when it is made anew" counts gw1 drop_hold 1 fails ping_p
check_is "and uses no number" 0 oseq
set_seq margin 65536 "$(to_ce 100)" >/dev/null
check "an import alone does not end that" counts gw1 drop_hold 1 fails ping_p
check_is "the one that is to end it does" "updated 0 unchanged 1 missing 0 refused 0 exhausted 0 " \
	set_seq margin 65536 hold end "$(to_ce 100)"
check "it sends" ping_p
check_is "from there on" 65637 oseq
set_seq hold set "0x201/$CE/0/0" >/dev/null
check "control: another SA's wait does not touch it" ping_p
set_seq hold set "$(to_ce 0)" >/dev/null
set_state gw1 standby
check "a standby's packets do not come so far" fails counts gw1 drop_hold 1 fails ping_p
set_state gw1 master
check_is "the wait can be ended without an import" "$held" set_seq hold drop "$(to_ce 0)"
check "then it sends" ping_p
set_seq hold set "$(to_ce 0)" >/dev/null
nl gw1 group del 1
nl gw1 group add 1 addr $GW addr $GW6
set_state gw1 master
check "a wait goes with its group" ping_p

# What cannot be imported.
check_is "an SA that is not there is missing" \
	"updated 0 unchanged 0 missing 1 refused 0 exhausted 0 " set_seq "0x201/$CE/5/0"
ip -n gw1 xfrm state add src $GW dst $CE proto esp spi 0x400 reqid 3 mode tunnel mark 7 mask 0xffffffff aead $aead
check_is "an SA with a mark is not found without it" \
	"updated 0 unchanged 0 missing 1 refused 0 exhausted 0 " set_seq "0x400/$CE/5/0"
check_is "with its mark it is" "$held" set_seq "0x400/$CE/5/0/7"
check_is "and raised" 5 oseq_of gw1 0x00000400
ip -n gw1 xfrm state add src 192.0.2.1 dst $CE proto esp spi 0x300 reqid 2 mode tunnel aead $aead
check_is "an SA of no group is refused" \
	"updated 0 unchanged 0 missing 0 refused 1 exhausted 0 " set_seq "0x300/$CE/5/0"
check_not "and not exported" [ -n "$(of_sa gw1 0x00000300 4)" ]
check "control: the group's SAs are" [ -n "$(of_sa gw1 $out 4)" ]

# Many, through more than one message, and two groups mixed.
nl gw1 group add 2 addr 198.51.100.2
{
	for ((i = 0; i < 1500; i++)); do
		printf 'xfrm state add src %s dst 203.0.113.1 proto esp spi 0x%x mode tunnel aead %s\n' \
			198.51.100.$((1 + i % 2)) $((0x10000 + i)) "$aead"
	done
} | ip -n gw1 -batch - || fail "SAs could not be made"
count() { nl gw1 seq get "$@" | grep -c ' 203.0.113.1 '; }
check_is "1,500 SAs are exported, each once" 1500 \
	sh -c "nsenter --net=/run/netns/gw1 $nl_tool seq get | grep 203.0.113.1 | sort -u | wc -l"
check_is "by group" 750 count 2
check_is "with its number" 750 sh -c "nsenter --net=/run/netns/gw1 $nl_tool seq get | grep -c 'group 2\$'"
check "a group that does not exist" sh -c "nsenter --net=/run/netns/gw1 $nl_tool seq get 9 2>&1 | grep -q ^ENOENT"
finish
