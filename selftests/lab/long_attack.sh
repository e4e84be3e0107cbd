#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# long_attack.sh - an attacker on the way between the gateways, who has recorded all
# they say and takes any source address: BFD packets that end a session, old ones
# after an agent's restart, TLS with a wrong key and an old version, hundreds of
# half-open handshakes, and as much junk a second as this machine can make, up to
# 10,000. Mastership, BFD and sync stay as they are, the agent's memory is bounded,
# traffic goes on. (MIMP packet by packet: test_bad_input.sh.)
# Control: each kind is counted where it was dropped; the right key is let in.

. "$(dirname "$0")/scene.sh"
. "$LAB_SRC/attacker.sh"
trap 'lab_results; cp /tmp/old.pcap /tmp/live.pcap /results/' EXIT

HALF_OPEN=200
RSS_MAX_GROWTH=8192	# KiB, over everything that is done here

rss() { lab SeGW-2 sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(agent_pid SeGW-2)/status"; }
in_sync() { sync_is SeGW-1 db_sync_state inSync && sync_is SeGW-2 db_sync_state inSync; }
bfd_ends() { echo "$(counter downs bfd) $(counter ups bfd)"; }
tls() { lab SeGW-1 "$LAB_SRC/attack_tls.py" "$1" --from $ALIAS --to $VICTIM /etc/mcipsec/peer.key; }
refused() { tls "$1" >/tmp/tls.out 2>&1; grep -q '^refused' /tmp/tls.out || { diag "$1: $(cat /tmp/tls.out)"; return 1; }; }
recorded() { [ "$(stat -c %s "$1" 2>/dev/null || echo 0)" -gt "$2" ]; }

plan $((SCENE_POINTS + 29))
scene_up
record /tmp/old.pcap "udp port 7655 or udp port 4784"; old=$!
check "X-1 is plugged in" attacker_up
from_inner
memory=$(rss)

# ---- across a restart of the agent -----------------------------------------------
check_wait "what they say is recorded" 30 recorded /tmp/old.pcap 4000
kill $old
stop SeGW-1 mcipsecd USR2
record /tmp/live.pcap "udp port 7655 or udp port 4784 or tcp port 7656"
check "SeGW-1's agent restarts as planned" agent_start SeGW-1
check_wait "SeGW-1 is master again, SeGW-2 stands by" 60 roles SeGW-1 master SeGW-2 standby
check_wait "protection status nominal on both" 60 nominal
check_wait "its new words are recorded" 30 recorded /tmp/live.pcap 12000
calm_begin
ends=$(bfd_ends)
check "BFD of before the restart: another session" counted_bfd replayed bad_discriminator /tmp/old.pcap
check "MIMP of before the restart opens no session" counted inner replayed unknown_epoch /tmp/old.pcap

# ---- BFD ---------------------------------------------------------------------------
check "BFD recorded just now is not newer" counted_bfd replayed bad_auth /tmp/live.pcap
check "Down and AdminDown from whoever knows the addresses" counted_bfd blind bad_discriminator /tmp/live.pcap
check "... from whoever has seen the discriminators" counted_bfd down bad_auth /tmp/live.pcap
check "... with a signature that nobody made" counted_bfd signed bad_auth /tmp/live.pcap
check "SeGW-2's own words sent back" counted_bfd reflected bad_discriminator /tmp/live.pcap
check_is "BFD has seen no end and no beginning" "$ends" bfd_ends
check_calm "recorded and forged words"

# ---- TLS ---------------------------------------------------------------------------
calm_begin
for kind in wrong-key identity tls12 no-key; do
	check "TLS, $kind: refused" refused $kind
done
from_public
for way in "lab X-1" "lab SeGW-1"; do	# by anybody, and from the peer's own address
	$way "$LAB_SRC/attack.py" tcp hello --from $([ "$way" = "lab X-1" ] && echo 172.16.1.66 || echo $ALIAS) \
		--to $VICTIM --count $HALF_OPEN --capture /tmp/live.pcap >>/tmp/held.out 2>&1 & held+=($!)
done
held_all() { [ "$(grep -xc "[0-9]*" /tmp/held.out)" = 2 ] && [ "$(sort -n /tmp/held.out | tail -n 1)" -ge 100 ]; }
check_wait "hundreds of half-open handshakes" 90 held_all
diag "connected, by anybody and from the peer's address: $(tr "\n" " " </tmp/held.out)"
check "MCS is inSync" in_sync

# ---- junk --------------------------------------------------------------------------
from_inner
flooded=$(lab X-1 nice "$LAB_SRC/attack.py" flood --from $ALIAS --to $VICTIM --rate 10000 --seconds 10 /tmp/live.pcap)
diag "flood: ${flooded% *} packets, ${flooded#* } a second"
check "junk was sent by the thousand" [ "${flooded% *}" -gt 3000 ]
check "MCS is inSync, protection status nominal on both" eval 'in_sync && nominal'
check_is "BFD has seen no end and no beginning" "$ends" bfd_ends
check_calm "half-open handshakes and junk"
kill "${held[@]}" 2>/dev/null
diag "resident memory of SeGW-2's agent: $memory KiB before, $(rss) KiB after"
check "its memory is bounded" [ $(($(rss) - memory)) -lt $RSS_MAX_GROWTH ]

# Last, because it ends the real connection.
check "control: the right key is let in" eval 'tls right-key | grep -q "^up TLSv1.3"'
scene_end
