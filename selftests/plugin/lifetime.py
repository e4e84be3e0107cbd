# SPDX-License-Identifier: GPL-2.0-or-later
"""Timers before and after a takeover. See test_inflight.sh."""
from driver import *

tap = Tap()
a, b = Gateway("A"), Gateway("B")
a.configure("active", commit="yes")
b.configure("passive")
a.replicate_to(b)
tap.check("completed successfully" in initiate(), "the peer sets up a tunnel with A")
tap.check(wait_for(lambda: b.counter("ike") == 1 and b.counter("child") == 1), "B has it", b.status())
# A hangs; B's timers run out
lab("A", "sh", "-c", "kill -STOP $(cat /run/lab/charon.pid)")
wire = Capture("B", "udp port 500 or udp port 4500")
spis, ike = peer_spis(), peer_ike_spis()


def left():
    """Seconds until the last of B's rekey times."""
    with b.lock:
        b.entries.clear()
    b.cmd.call("mcipsec-snapshot", {"group": GROUP})
    wait_for(lambda: b.live("child"))
    return max(int(r["info"]["rekey"]) for r in b.live("ike") + b.live("child"))


tap.check(left() > 0, "B's timers are the ones of A", b.entries)
tap.check(wait_for(lambda: left() == 0, 40), "rekey times of IKE_SA and CHILD_SA pass", b.entries)
# charon would act in the same second; give it some, there is nothing to poll for
over = time.monotonic()
wait_for(lambda: time.monotonic() - over > 3)
tap.equal(wire.stop(), [], "B sends nothing")
tap.equal((b.counter("ike"), b.counter("child"), b.counter("records")), (1, 1, 0), "and has what it had")
tap.check("state=PASSIVE" in b.sas() and "REKEYING" not in b.sas(), "still passive", b.sas())

take_over("A", b)
tap.check(wait_for(lambda: not set(spis) & set(peer_spis()) and len(peer_spis()) == 2, 60),
          "active, B rekeys the overdue CHILD_SA", (spis, peer_spis()))
tap.check(wait_for(lambda: peer_ike_spis() != ike and len(peer_ike_spis()) == 1, 60),
          "and the overdue IKE_SA", (ike, peer_ike_spis()))
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
tap.check(wait_for(lambda: len(b.live("ike")) == 1 and len(b.live("child")) == 1, 40), "B announced both",
          (b.live("ike"), b.live("child")))
lab("A", "sh", "-c", "kill -CONT $(cat /run/lab/charon.pid)")
tap.end()
