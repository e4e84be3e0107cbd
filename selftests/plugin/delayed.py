# SPDX-License-Identifier: GPL-2.0-or-later
"""A hand-over while charon still keeps a CHILD_SA that was rekeyed. See test_inflight.sh."""
from driver import *

tap = Tap()
a, b = Gateway("A"), Gateway("B")
a.configure("active", commit="no")
b.configure("passive", commit="no")
tap.check("completed successfully" in initiate(), "the peer sets up a tunnel with A")
wait_for(lambda: a.live("child"))
a.replicate_to(b)
tap.check(wait_for(lambda: b.counter("ike") == 1 and b.counter("child") == 1), "B has it", b.status())

spis = peer_spis()
tap.equal(a.cmd.call("mcipsec-rekey", {"group": GROUP, "key": a.live("child")[0]["key"]})["result"], "queued",
          "A begins a rekey")
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60), "it is done",
          (spis, peer_spis()))
tap.check(wait_for(lambda: "state=DELETED" in a.sas()), "A keeps the old one for late packets", a.sas())
take_over("A", b)
a.group(state="passive")
tap.check(wait_for(lambda: a.kernel_spis() == peer_spis()), "A hands over: it keeps the new one only",
          (a.kernel_spis(), peer_spis()))
tap.check("state=DELETED" not in a.sas() and "state=PASSIVE" in a.sas(), "so does its charon", a.sas())
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
tap.end()
