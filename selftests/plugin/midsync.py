# SPDX-License-Identifier: GPL-2.0-or-later
"""Message ids that are behind at a takeover, RFC 6311. See test_midsync.sh.

The peer is a stock charon: as initiator of the IKE_SA it speaks RFC 6311, as
responder it does not.
"""
import struct
from driver import *

MID_OUT = 19     # the field of a record
speaks = sys.argv[1] == "peer"
tap = Tap()
a, b = Gateway("A"), Gateway("B")
a.configure("active", commit="no")
b.configure("passive", commit="no")


def ids(gateway):
    """The message ids of a gateway's IKE_SA: in, out."""
    with gateway.lock:
        gateway.entries.clear()
    gateway.cmd.call("mcipsec-snapshot", {"group": GROUP})
    info = wait_for(lambda: gateway.live("ike"))[0]["info"]
    return int(info["mid-in"]), int(info["mid-out"])


def field(data, kind, value):
    """A record's data with a number of 32 bits replaced."""
    pos = 8
    while pos < len(data):
        have, length = struct.unpack_from("!HH", data, pos)
        if have == kind:
            return data[:pos + 4] + struct.pack("!I", value) + data[pos + 8:]
        pos += 4 + length
    raise KeyError(kind)


def log(node, text):
    return lab(node, "cat", "/lab/%s/log/charon.log" % node).count(text)


def both(name):
    return int(a.counter(name)), int(b.counter(name))


def rekeys(new):
    """Own and the peer's exchanges work through a gateway."""
    spis = peer_spis()
    with new.lock:
        new.entries.clear()
    new.cmd.call("mcipsec-snapshot", {"group": GROUP})
    key = wait_for(lambda: new.live("child"))[0]["key"]
    tap.equal(new.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued",
              "%s begins a rekey" % new.name)
    tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60), "and that works",
              (spis, peer_spis()))
    spis = peer_spis()
    lab("peer", "swanctl", "--rekey", "--child", "net")
    tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60),
              "and a rekey of the peer", (spis, peer_spis()))
    tap.check(wait_for(lambda: ping(1, 1), 30), "ping through %s" % new.name)


tap.check("completed successfully" in initiate(sys.argv[1]), "%s sets up the tunnel" % sys.argv[1])
wait_for(lambda: a.live("child"))
tap.equal(a.live("ike")[0]["info"]["message-id-sync"], "yes" if speaks else "no",
          "A knows that the peer %s RFC 6311" % ("speaks" if speaks else "does not speak"))
a.replicate_to(b)
tap.check(wait_for(lambda: b.counter("ike") == 1 and b.counter("child") == 1), "B has it", b.status())
ike = peer_ike_spis()

# B misses what happened last: the peer's dead peer detection moves the ids on
a.sink = None
synced = ids(b)
tap.check(wait_for(lambda: ids(a)[0] >= synced[0] + 2, 60), "the peer's ids move on, B does not hear of it", ids(a))
b.group(**{"message-id-sync": "no"})
take_over("A", b)
tap.check(wait_for(lambda: log("B", ", expected %d, ignored" % synced[0]) >= 1, 60),
          "message-id-sync = no: the peer's requests are ignored")
tap.equal((both("synced"), both("followed")), ((0, 0), (0, 0)), "and nothing is done about it")
b.group(**{"message-id-sync": "needed"})
if speaks:
    tap.check(wait_for(lambda: b.counter("synced") == 1, 60), "needed: the peer's next request makes B ask", b.status())
    tap.equal(log("peer", "responder requested MID sync"), 1, "the peer was asked once")
else:
    tap.check(wait_for(lambda: b.counter("followed") == 1, 60), "needed: B follows the peer's next request", b.status())
    tap.equal((b.counter("synced"), b.counter("sync-failed")), (0, 0), "it is not asked")
answered = log("peer", "parsed INFORMATIONAL response")
tap.check(wait_for(lambda: log("peer", "parsed INFORMATIONAL response") >= answered + 2, 60),
          "the peer's dead peer detection is answered")
tap.equal(peer_ike_spis(), ike, "over the same IKE_SA")
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
rekeys(b)
stay(b, a, commit="no")
tap.check(wait_for(lambda: a.counter("ike") == 1 and a.counter("child") == 1), "A follows", a.status())

# A has an own id that is behind: B's requests since then are unknown to it
if speaks:
    b.sink = None
    record = b.live("ike")[0]
    out = ids(b)[1]
    tap.check(out >= 2, "B made requests of its own", out)
    reply = a.import_(record, data=field(record["data"], MID_OUT, out - 2), version=int(record["version"]) + 9)
    tap.equal(reply["result"], "installed", "A does not know of the last two")
    take_over("B", a)
    rekeys(a)
    tap.equal(a.counter("synced"), 1, "because A asked the peer for the ids")
    stay(a, b, commit="no")
    tap.check(wait_for(lambda: b.counter("ike") == 1 and b.counter("child") == 1), "B follows", b.status())

    # an answer gets lost while the ids are in doubt: what the peer made of the request
    # is not left with it
    asked, spis = log("B", "asking the peer for the message IDs"), peer_spis()
    take_over("A", b)
    deafen(True)
    with b.lock:
        b.entries.clear()
    b.cmd.call("mcipsec-snapshot", {"group": GROUP})
    key = wait_for(lambda: b.live("child"))[0]["key"]
    tap.equal(b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued", "B begins a rekey")
    tap.check(wait_for(lambda: len(peer_spis()) > 2, 30), "the peer answered, B does not hear it", peer_spis())
    tap.check(wait_for(lambda: log("B", "asking the peer for the message IDs") > asked, 60), "B asks for the ids")
    deafen(False)
    tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 90),
              "the peer is left with one CHILD_SA", (spis, peer_spis()))
    tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
    stay(b, a, commit="no")
    tap.check(wait_for(lambda: a.counter("ike") == 1 and a.counter("child") == 1), "A follows", a.status())
    old, new = b, a
else:
    old, new = b, a

# asked although nothing is behind
asked = log("peer", "responder requested MID sync")
new.group(**{"message-id-sync": "always"})
take_over(old.name, new)
if speaks:
    tap.check(wait_for(lambda: new.counter("synced") == 2, 60), "always: the peer is asked", new.status())
    tap.equal(log("peer", "responder requested MID sync"), asked + 1, "once")
rekeys(new)
tap.equal(new.counter("synced") + new.counter("sync-failed"), 2 if speaks else 0,
          "nothing else" if speaks else "always: not a peer that does not speak it")
if speaks:
    # the peer was asked often since the other chassis heard of it: what that proposes is behind, too
    stay(new, old, commit="no")
    tap.check(wait_for(lambda: old.counter("ike") == 1 and old.counter("child") == 1), "%s follows" % old.name, old.status())
    new.sink = None
    for _ in range(3):
        asked = new.counter("synced")
        new.group(state="passive")
        new.group(state="active")
        wait_for(lambda: new.counter("synced") == asked + 1, 60)
    refused, asked = log("peer", "than expected"), old.counter("synced")
    old.group(**{"message-id-sync": "always"})
    take_over(new.name, old)
    tap.check(wait_for(lambda: log("peer", "than expected") > refused, 60), "the peer refuses a proposal that is behind")
    tap.check(wait_for(lambda: old.counter("synced") == asked + 1, 60), "it is raised until the peer takes it", old.status())
    tap.equal(old.counter("sync-failed"), 0, "before it is given up")
    rekeys(old)
tap.equal(peer_ike_spis(), ike, "over the same IKE_SA")
tap.end()
