# SPDX-License-Identifier: GPL-2.0-or-later
"""A request of the peer and the question for its message ids cross (RFC 6311).
See test_midsync.sh.

The peer forgets its request when the question comes. Its charon, which goes on
with the same id, ends the IKE_SA if an answer to the forgotten one follows.
"""
from driver import *

tap = Tap()
a, b = Gateway("A"), Gateway("B")
a.configure("active", commit="no")
b.configure("passive", commit="no", **{"message-id-sync": "always"})


def late(node, seconds):
    """IKE of a node reaches the peer late, in order; 0 ends that and drops what is under way."""
    def tc(*words):
        lab(node, "tc", *" ".join(words).split())
    if not seconds:
        tc("qdisc del dev eth0 root")
        return
    tc("qdisc add dev eth0 root handle 1: prio bands 4 priomap", "0 " * 16)
    tc("qdisc add dev eth0 parent 1:4 handle 40: netem delay %ds" % seconds)
    tc("filter add dev eth0 parent 1: protocol ip u32 match ip sport 500 0xffff flowid 1:4")


def log(node, text):
    return lab(node, "cat", "/lab/%s/log/charon.log" % node).count(text)


tap.check("completed successfully" in initiate(), "the peer sets up a tunnel with A")
wait_for(lambda: a.live("child"))
a.replicate_to(b)
tap.check(wait_for(lambda: b.counter("ike") == 1 and b.counter("child") == 1), "B has it", b.status())
ike, spis = peer_ike_spis(), peer_spis()
late("B", 8)
take_over("A", b)
tap.check(wait_for(lambda: log("B", "asking the peer for the message IDs")), "B asks the peer for its ids")
tap.equal(command("peer", "rekey", child="net"), "", "and the peer begins a rekey")
# What B sent between the question and its repetition has come when that has.
tap.check(wait_for(lambda: log("peer", "responder requested MID sync") >= 2 or not peer_ike_spis(), 60),
          "the question comes, and comes again")
late("B", 0)
tap.equal((log("peer", "response, but expected"), peer_ike_spis()), (0, ike), "the peer keeps its IKE_SA")
tap.equal(b.counter("synced"), 1, "B knows its ids")
tap.equal(peer_spis(), spis, "the rekey is not done")
tap.equal(command("peer", "rekey", child="net"), "", "the peer begins it anew")
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60), "and that works",
          (spis, peer_spis()))
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
tap.equal(peer_ike_spis(), ike, "over the same IKE_SA")
tap.end()
