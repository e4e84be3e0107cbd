# SPDX-License-Identifier: GPL-2.0-or-later
"""The sending gate, output commit, refused commands, stop. See test_gate.sh."""
import signal
from driver import *

IKE = "udp port 500 or udp port 4500"
tap = Tap()
a, b = Gateway("A"), Gateway("B")

# closed from the start
tap.equal(a.status()[0]["gate"], "closed", "the gate starts closed")
wire = Capture("A", IKE)
initiate("A", 3)
initiate("peer", 3)
tap.check(wait_for(lambda: int(a.status()[0]["blocked"]) >= 2), "packets of A's own and answers are blocked", a.status())
tap.equal(wire.stop(), [], "swanctl -i before the agent spoke sends nothing")
forget("A", "peer")

# commands that are wrong
wrong = [
    ("mcipsec-group", {}, "group"),
    ("mcipsec-group", {"group": "0"}, "group"),
    ("mcipsec-group", {"group": "-1"}, "group"),
    ("mcipsec-group", {"group": "4294967296"}, "group"),
    ("mcipsec-group", {"group": 1, "state": "standby"}, "state"),
    ("mcipsec-group", {"group": 1, "commit": "maybe"}, "commit"),
    ("mcipsec-group", {"group": 1, "responder-only": "maybe"}, "responder-only"),
    ("mcipsec-group", {"group": 1, "commit-limit-ms": "0"}, "commit-limit-ms"),
    ("mcipsec-group", {"group": 1, "commit-limit-ms": "60001"}, "commit-limit-ms"),
    ("mcipsec-group", {"group": 1, "addresses": ["10.0.0.1", "not an address"]}, "addresses"),
    ("mcipsec-group", {"group": 1, "addresses": ["0.0.0.0"]}, "addresses"),
    ("mcipsec-snapshot", {"group": 7}, "group"),
    ("mcipsec-purge", {"group": 7}, "group"),
    ("mcipsec-rekey", {"group": 7, "key": "0000000003"}, "group"),
    ("mcipsec-ack", {"epoch": "0" * 16, "seq": 1}, "epoch"),
]
for command, message, field in wrong:
    reply = a.cmd.request(command, message)
    tap.check(reply["success"] == "no" and reply["errmsg"].startswith(field),
              "refused: %s %s" % (command, message), reply)
tap.equal(a.status()[0]["gate"], "closed", "and the gate is still closed")

# more groups to come: everything else stays closed
a.cmd.call("mcipsec-group", {"group": 2, "addresses": ["10.0.0.77"], "more": "yes"})
wire = Capture("A", IKE)
initiate("A", 2)
tap.equal(wire.stop(), [], "nothing leaves while more groups are announced")
reply = a.cmd.request("mcipsec-group", {"group": 1, "addresses": ["10.0.0.77"]})
tap.check(reply["success"] == "no", "an address belongs to one group", reply)
a.configure("passive")
wire = Capture("A", IKE)
initiate("A", 2)
initiate("peer", 2)
tap.equal(wire.stop(), [], "nothing leaves from a passive group")
tap.check(a.counter("blocked") >= 2, "and it is counted", a.status())
for command, message, field in [
        ("mcipsec-import", {"group": 1, "kind": "tunnel", "key": "00"}, "kind"),
        ("mcipsec-import", {"group": 1, "kind": "ike", "key": "00"}, "key"),
        ("mcipsec-import", {"group": 1, "kind": "ike", "key": "0g" * 16}, "key"),
        ("mcipsec-import", {"group": 1, "kind": "ike", "key": "00" * 16, "version": "x"}, "version"),
        ("mcipsec-import", {"group": 1, "kind": "child", "key": "00" * 5, "version": "1"}, "parent"),
        ("mcipsec-import", {"group": 1, "kind": "ike", "key": "00" * 16, "version": "1"}, "lineage"),
        ("mcipsec-rekey", {"group": 1, "key": "00"}, "key")]:
    reply = a.cmd.request(command, message)
    tap.check(reply["success"] == "no" and reply["errmsg"].startswith(field),
              "refused: %s %s" % (command, message), reply)
empty = a.cmd.call("mcipsec-import", {"group": 1, "kind": "ike", "key": "00" * 16, "version": "1",
                                      "lineage": "00" * 8, "name": "tunnel"})
tap.equal((empty["result"], empty["reason"]), ("failed", "record is truncated"), "a record without data fails")
tap.equal(a.counter("failed"), 1, "and is counted")
forget("A", "peer")

# a responder begins no IKE_SA; without that it does
a.configure("active", commit="no", **{"responder-only": "yes"})
wire = Capture("A", IKE)
initiate("A", 2)
tap.check(a.counter("not-begun") >= 1, "a gateway that only responds: the request of its own is counted", a.status())
tap.equal(wire.stop(), [], "and does not leave")
forget("A", "peer")
a.configure("active", commit="no", **{"responder-only": "no"})
wire = Capture("A", IKE)
begun = a.counter("not-begun")
tap.check("completed successfully" in initiate("A"), "control: without responder-only A sets up the tunnel")
tap.check(wire.stop() and a.counter("not-begun") == begun, "and its request leaves")
forget("A", "peer")

# output commit: held until acknowledged
a.auto_ack = False
a.configure("active", commit="yes", **{"commit-limit-ms": 60000})
b.configure("passive")
waiting = start("peer", "swanctl", "--initiate", "--child", "net", "--timeout", "300")
tap.check(wait_for(lambda: a.counter("held") >= 1), "the last response is held", a.status())
tap.check("INSTALLED" not in sas("peer"), "so the peer has no tunnel yet", peer_spis())
tap.equal(len(a.live("ike")), 1, "though A announced it")
a.ack(a.records[-1]["seq"])
tap.check(wait_for(lambda: "INSTALLED" in sas("peer")), "acknowledged, it leaves", a.status())
waiting.wait()
tap.equal((a.counter("held"), a.counter("held-expired")), (0, 0), "nothing is held, nothing ran out")

# acknowledged for one group: what waits for another peer's records is not in its way
def acked(group):
    a.ack(0, **{"group-%d" % group: a.records[-1]["seq"]})
    return a.counter("held") == 0 and len(peer_spis()) == 2


start("peer", "swanctl", "--rekey", "--child", "net").wait()
tap.check(wait_for(lambda: a.counter("held") >= 1), "a rekey's response is held", a.status())
reply = a.ack(a.records[-1]["seq"], **{"group-%d" % GROUP: "x"})
tap.check(reply["success"] == "no" and reply["errmsg"].startswith("seq, group-N"), "an acknowledgement that is no number is refused", reply)
tap.check(not wait_for(lambda: acked(2), 0.5), "it waits while more is acknowledged for another group", a.status())
tap.check(wait_for(lambda: acked(GROUP), 40), "for its own group: it leaves", a.status())
tap.equal(a.counter("held-expired"), 0, "and nothing ran out")

# held until the limit
a.group(**{"commit-limit-ms": 3000})
began = time.monotonic()
start("peer", "swanctl", "--rekey", "--child", "net").wait()
tap.check(wait_for(lambda: a.counter("held") >= 1), "a rekey's response is held", a.status())
tap.check(wait_for(lambda: a.counter("held-expired") >= 1, 40), "until the limit", a.status())
tap.check(time.monotonic() - began >= 3, "not before")
tap.check(wait_for(lambda: a.expired), "mcipsec-held-expired is raised", a.expired)
tap.check(wait_for(lambda: a.counter("held") == 0, 40), "then everything leaves", a.status())

# commit off: what is held leaves
a.group(**{"commit-limit-ms": 60000})
start("peer", "swanctl", "--rekey", "--child", "net").wait()
tap.check(wait_for(lambda: a.counter("held") >= 1), "again a response is held", a.status())
expired = a.counter("held-expired")
a.group(commit="no")
tap.equal((a.counter("held"), a.counter("held-expired")), (0, expired), "commit = no releases it")
tap.check(wait_for(lambda: len(peer_spis()) == 2, 40), "and the peer goes on", peer_spis())

# an agent that died does not end output commit (I4): the limit does, counted
a.group(**{"commit": "yes", "commit-limit-ms": 3000})
a.stream.close()
tap.check(wait_for(lambda: a.status()[0]["listeners"] == "no"), "no client listens")
expired, began = a.counter("held-expired"), time.monotonic()
start("peer", "swanctl", "--rekey", "--child", "net").wait()
tap.check(wait_for(lambda: a.counter("held") >= 1), "what nobody can acknowledge is held", a.status())
tap.check(wait_for(lambda: a.counter("held-expired") > expired, 40) and time.monotonic() - began >= 3,
          "until the limit, and is counted", a.status())
tap.check(wait_for(lambda: a.counter("held") == 0 and len(peer_spis()) == 2, 40), "then the peer goes on", a.status())
a.group(**{"commit-limit-ms": 60000})
a.listen()
a.auto_ack = True

# a snapshot is what there is
with a.lock:
    a.entries.clear()
wait_for(lambda: len(peer_spis()) == 2, 40)
before = len(a.records)
reply = a.cmd.call("mcipsec-snapshot", {"group": GROUP})
tap.check(wait_for(lambda: len(a.live("ike")) == 1 and a.live("child")), "a snapshot fills an empty database", a.entries)
# live records may come in between
tap.check(wait_for(lambda: len([r for r in a.records[before:] if r.get("snapshot") == "yes"]) == int(reply["count"]) > 1),
          "and says that it is one", [dict(r, data="") for r in a.records[before:]])
tap.check(wait_for(lambda: len(a.live("child")) == 1, 40), "the old children ended")
for record in a.live("ike") + a.live("child"):
    tap.equal(b.import_(record)["result"], "installed", "B imports the %s" % record["kind"])
tap.check(ping(), "ping")
tap.check({"ike-up", "child-up", "child-rekey"} <= {event["what"] for event in a.log},
          "the session log has it", sorted({event["what"] for event in a.log}))
secret = a.live("child")[0]["data"].hex()
tap.check(all(len(r.get("data", b"")) > 100 for r in a.live("ike")), "records carry data")
shown = str([{k: v for k, v in r.items() if k != "data"} for r in a.records]) + str(a.log)
keys = [line.split("0x")[1].split()[0] for line in lab("A", "ip", "xfrm", "state").splitlines() if "aead" in line]
tap.check(keys and all(k[:32] in secret for k in keys) and not any(k[:16] in shown for k in keys),
          "keys are in data and nowhere else")

# mastership lost with packets held: they are dropped, whatever else is told
a.auto_ack = False
a.group(**{"commit-limit-ms": 60000})
rekey = start("peer", "swanctl", "--rekey", "--child", "net")
tap.check(wait_for(lambda: a.counter("held") >= 1), "a response is held once more", a.status())
wire = Capture("A", IKE)
a.group(state="passive", commit="no")
tap.equal((wire.stop(), a.counter("held")), ([], 0), "passive and commit = no in one command: it is dropped")
a.auto_ack = True
a.ack(a.records[-1]["seq"])
a.group(state="active", commit="yes")
tap.check(wait_for(lambda: a.counter("resent") >= 1, 40), "active again, it is repeated when the peer asks", a.status())
tap.check(wait_for(lambda: len(a.live("child")) == 1 and len(peer_spis()) == 2, 40), "and the rekey is complete")
for record in a.live("ike") + a.live("child"):
    b.apply(record)

# stop: no DELETE, no delete records
count = len(a.records)
wire = Capture("A", IKE)
lab("A", "sh", "-c", "kill -TERM $(cat /run/lab/charon.pid)")
tap.check(wait_for(lambda: "running" not in lab("A", "sh", "-c", "kill -0 $(cat /run/lab/charon.pid) && echo running",
                                                check=False)), "charon of A stops")
tap.equal(wire.stop(), [], "without a packet")
tap.equal([r for r in a.records[count:] if r["op"] == "delete"], [], "without delete records")
take_over("A", b)
tap.check(ping(), "the tunnel lives on through B")
log = lab("A", "cat", "/lab/A/log/charon.log")
tap.check(not any(k[:16] in log for k in keys), "no key in charon's log")
tap.end()
