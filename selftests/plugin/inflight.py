# SPDX-License-Identifier: GPL-2.0-or-later
"""Takeovers in the middle of an exchange. See test_inflight.sh."""
from driver import *

tap = Tap()
a, b = Gateway("A"), Gateway("B")


def repeats(gateway):
    """How often a gateway has repeated a request of the other one."""
    return lab(gateway, "cat", "/lab/%s/log/charon.log" % gateway).count("repeating request with ID")


a.configure("active", commit="yes", **{"commit-limit-ms": 60000})
b.configure("passive", **{"commit-limit-ms": 60000})

# await-conf, then the configuration comes
lab("B", "mv", "/etc/swanctl/conf.d/tunnel.conf", "/etc/tunnel.conf")
lab("B", "swanctl", "--load-all", "--noprompt")
tap.check("completed successfully" in initiate(), "the peer sets up a tunnel with A")
wait_for(lambda: a.live("child"))
ike, child = a.live("ike")[0], a.live("child")[0]
reply = b.import_(ike)
tap.equal((reply["result"], reply["reason"]), ("await-conf", "connection is not loaded"), "no connection: await-conf")
reply = b.import_(child)
tap.equal((reply["result"], reply["reason"]), ("await-conf", "IKE_SA is not here"), "no IKE_SA: await-conf")
tap.equal(b.counter("await-conf"), 2, "both are counted as waiting")
lab("B", "sh", "-c", "sed 's/net {/other {/' /etc/tunnel.conf >/etc/swanctl/conf.d/tunnel.conf; "
    "chmod 600 /etc/swanctl/conf.d/tunnel.conf; swanctl --load-all --noprompt")
tap.equal(b.import_(ike)["result"], "installed", "with the connection the IKE_SA is installed")
reply = b.import_(child)
tap.equal((reply["result"], reply["reason"]), ("await-conf", "child is not configured"), "no child: await-conf")
# what a charon that was killed left in the kernel is in the way of neither direction
for src, dst, spi in (PEER, GATEWAY, child["info"]["spi-in"]), (GATEWAY, PEER, child["info"]["spi-out"]):
    lab("B", "ip", "xfrm", "state", "add", "src", src, "dst", dst, "proto", "esp", "spi", "0x" + spi, "mode", "tunnel",
        "aead", "rfc4106(gcm(aes))", "0x" + "17" * 20, "128")
lab("B", "sh", "-c", "cp -p /etc/tunnel.conf /etc/swanctl/conf.d/; swanctl --load-all --noprompt")
reply = b.import_(child)
if reply["result"] == "await-conf":
    # the IKE_SA still has the connection it was imported with
    b.cmd.call("mcipsec-delete", {"group": GROUP, "kind": "ike", "key": ike["key"]})
    tap.equal(b.import_(ike)["result"], "installed", "the IKE_SA is imported anew")
    reply = b.import_(child)
tap.equal(reply["result"], "installed", "then the CHILD_SA is installed")
tap.equal(b.counter("await-conf"), 0, "nothing waits any more")

# broken records leave nothing behind
before = b.kernel_spis()
other = "00000001" + child["key"][8:]
for what, record, changes in [
        ("truncated", child, {"data": child["data"][:-9], "version": 99}),
        ("of another key", child, {"key": other, "version": 99}),
        ("garbled", child, {"data": b"\0" * 64, "version": 99}),
        ("IKE_SA of another key", ike, {"key": "00" * 16, "version": 99}),
        ("a CHILD_SA as an IKE_SA", ike, {"data": child["data"], "version": 99})]:
    tap.equal(b.import_(record, **changes)["result"], "failed", "failed: %s" % what)
tap.equal((b.kernel_spis(), b.counter("ike"), b.counter("child")), (before, 1, 1), "B has what it had")
spi_field = bytes([0, 8, 0, 4]) + bytes.fromhex(child["key"][:8])
key_field = child["data"].index(bytes([0, 18, 0]))
short = bytearray(child["data"].replace(spi_field, bytes([0, 8, 0, 4]) + bytes.fromhex(other[:8])))
length = short[key_field + 3]
short[key_field + 3] = length - 3
del short[key_field + 4:key_field + 7]
reply = b.import_(child, key=other, data=bytes(short), version=99)
tap.equal((reply["result"], reply["reason"]), ("failed", "kernel refused the CHILD_SA"), "a key of a wrong length fails")
tap.equal((b.kernel_spis(), b.counter("child")), (before, 1), "and the half that worked is gone")

# a response that got lost, in fragments
a.replicate_to(b)
a.auto_ack = False
spis = peer_spis()
rekey = start("peer", "swanctl", "--rekey", "--child", "net")
tap.check(wait_for(lambda: a.counter("held") >= 1), "A holds its answer to a rekey", a.status())
tap.check(wait_for(lambda: b.counter("child") == 2), "B has the new CHILD_SA", b.status())
tap.check(set(spis) <= set(peer_spis()) and "REKEYING" in sas("peer"), "the peer waits")
lab("A", "ip", "addr", "del", GATEWAY + PREFIX, "dev", "eth0")
deafen(True)
lab("B", "ip", "addr", "add", GATEWAY + PREFIX, "dev", "eth0")
b.group(state="active")
new = [r["key"] for r in a.live("child") if "0x" + r["key"][:8] not in spis]
tap.equal([b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"] for key in new], ["busy"],
          "B leaves the new CHILD_SA to the peer until that has the answer")
deafen(False)
a.sink = None
tap.check(wait_for(lambda: b.counter("resent") >= 1, 60), "the peer repeats, B answers with A's bytes", b.status())
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60),
          "and the rekey is complete", (spis, peer_spis()))
tap.check(ping(), "ping through B")
rekey.wait()
stay(b, a)
tap.check(wait_for(lambda: a.counter("ike") == 1 and a.counter("child") == 1), "A follows", a.status())

# an own request that the peer never saw
b.auto_ack = False
spis = peer_spis()
key = wait_for(lambda: b.live("child"))[0]["key"]
tap.equal(b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued", "B begins a rekey")
tap.check(wait_for(lambda: b.counter("held") >= 1), "its request is held", b.status())
tap.equal(peer_spis(), spis, "the peer does not know of it")
before = repeats("A")
take_over("B", a)
b.sink = None
tap.check(wait_for(lambda: repeats("A") > before, 60), "A repeats the request")
tap.check(wait_for(lambda: "deleting CHILD_SA" in lab("A", "cat", "/lab/A/log/charon.log"), 60),
          "the CHILD_SA that nobody has the keys of is deleted")
tap.check(wait_for(lambda: len(peer_spis()) == 2, 60), "the peer has one CHILD_SA", peer_spis())
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through A")
stay(a, b)
key = wait_for(lambda: a.live("child"))[0]["key"]
tap.equal(a.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued", "A rekeys afterwards")
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60),
          "and that works", (spis, peer_spis()))
tap.check(wait_for(lambda: len(a.live("child")) == 1 and b.counter("child") == 1, 40), "B follows", b.status())

# an own request whose answer got lost
spis = peer_spis()
deafen(True)
key = a.live("child")[0]["key"]
tap.equal(a.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued", "A begins a rekey")
tap.check(wait_for(lambda: len(peer_spis()) > 2, 30), "the peer answered, A does not hear it", peer_spis())
take_over("A", b)
a.sink = None
tap.check(wait_for(lambda: "deleting CHILD_SA" in lab("B", "cat", "/lab/B/log/charon.log"), 60),
          "B hears the answer, and deletes what it cannot use")
tap.check(wait_for(lambda: len(peer_spis()) == 2, 60), "the peer has one CHILD_SA", peer_spis())
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
stay(b, a)

# both act, apart from each other, and the answer to a request of one comes to the other
ignored = lambda: lab("A", "cat", "/lab/A/log/charon.log").count("ignoring the answer to request")


def begun_apart():
    """B, the master, begins a rekey, of which A, which acts, too, gets the answer."""
    before = ignored()
    b.sink = None
    a.group(state="active")
    lab("A", "ip", "addr", "add", GATEWAY + PREFIX, "dev", "eth0", check=False)
    mac = lab("A", "cat", "/sys/class/net/eth0/address").strip()
    lab("peer", "ip", "neigh", "replace", GATEWAY, "lladdr", mac, "nud", "permanent", "dev", "eth0")
    key = wait_for(lambda: b.live("child"))[0]["key"]
    tap.equal(b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued", "B begins a rekey")
    tap.check(wait_for(lambda: ignored() > before, 60), "the answer comes to A, which acts, too")
    tap.equal((a.counter("ike"), a.counter("child"), len(a.kernel_spis())), (1, 1, 2), "A keeps the tunnel")


spis = peer_spis()
begun_apart()
lab("A", "ip", "addr", "del", GATEWAY + PREFIX, "dev", "eth0", check=False)
lab("peer", "ip", "neigh", "del", GATEWAY, "dev", "eth0", check=False)
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60),
          "B gets it when it is repeated", (spis, peer_spis()))
stay(b, a)

# ... and the life of the other one goes on
spis = peer_spis()
begun_apart()
tap.check(wait_for(lambda: len(peer_spis()) > 2, 30), "the peer has a CHILD_SA that is nobody's", peer_spis())
proposed = b.live("ike")[0]["info"].get("proposed", "none")
tap.check("0x" + proposed[4:] in set(peer_spis()) - set(spis), "B's record names what it has proposed", (proposed, peer_spis()))
b.group(state="passive", commit="no")
lab("B", "ip", "addr", "del", GATEWAY + PREFIX, "dev", "eth0", check=False)
ike = {"group": GROUP, "key": a.live("ike")[0]["key"]}
tap.equal(a.cmd.request("mcipsec-doubt", dict(ike, proposed="esp-12"))["success"], "no", "half an SPI is refused")
tap.equal(a.cmd.call("mcipsec-doubt", dict(ike, proposed=proposed))["result"], "queued", "A is told")
tap.check(wait_for(lambda: a.cmd.call("mcipsec-liveness", ike)["result"] == "queued", 30), "and asks the peer for life")
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60),
          "the peer has deleted it, and what it took for rekeyed is", (spis, peer_spis()))
tap.check(wait_for(lambda: (a.counter("child"), len(a.kernel_spis())) == (1, 2), 30) and "0x" + proposed[4:] not in peer_spis(),
          "A has one CHILD_SA", (a.status(), a.kernel_spis()))
rekeys = lambda gateway: [gateway.cmd.call("mcipsec-rekey", {"group": GROUP, "key": child["key"]})["result"]
                          for child in gateway.live("child")]
stay(a, b)
take_over("A", b)
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
stay(b, a)

# ... where the other one has completed exchanges that this one does not know of
spis, ike_spis = peer_spis(), peer_ike_spis()
b.sink = None
a.group(state="active")
key = wait_for(lambda: b.live("child"))[0]["key"]
tap.equal(b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued", "B rekeys while A acts, too")
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()) and b.counter("child") == 1, 60),
          "and that works", (spis, peer_spis()))
spis += peer_spis()
b.group(state="passive", commit="no")
with b.lock:
    b.entries.clear()
b.cmd.call("mcipsec-snapshot", {"group": GROUP})
wait_for(lambda: b.live("ike") and b.live("child"))
stray, out = b.live("child")[0]["key"], b.live("ike")[0]["info"]["mid-out"]
move_address("B", "A")
tap.equal(a.cmd.request("mcipsec-doubt", dict(ike, strays=[stray, "12"]))["success"], "no", "half a key is refused")
tap.equal(a.cmd.request("mcipsec-doubt", dict(ike, **{"mid-out": "x"}))["success"], "no", "and so is no number")
tap.equal(a.cmd.call("mcipsec-doubt", dict(ike, strays=[stray], **{"mid-out": out}))["result"], "queued", "A is told")
tap.check(wait_for(lambda: a.cmd.call("mcipsec-liveness", ike)["result"] == "queued", 30), "and asks the peer for life")
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60),
          "the peer has deleted B's, and has one with A", (spis, peer_spis()))
tap.check(wait_for(lambda: (a.counter("child"), len(a.kernel_spis())) == (1, 2), 30), "A has one CHILD_SA",
          (a.status(), a.kernel_spis()))
tap.equal(peer_ike_spis(), ike_spis, "the peer has the IKE_SA that it had")
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through A")
stay(a, b)
take_over("A", b)
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
stay(b, a)

# an own rekey of the IKE_SA that the peer never saw: only B could have used the answer
b.auto_ack = False
spis, old = peer_spis(), peer_ike_spis()
lab("B", "timeout", "2", "swanctl", "--rekey", "--ike", "tunnel", check=False)
tap.check(wait_for(lambda: b.counter("held") >= 1), "B's request for a rekey of the IKE_SA is held", b.status())
take_over("B", a)
b.sink = None
tap.check(wait_for(lambda: "giving up the rekey of the IKE_SA" in lab("A", "cat", "/lab/A/log/charon.log"), 60),
          "A asks for life in its place")
tap.check(wait_for(lambda: "queued" in rekeys(a), 30), "which the peer answers: A may rekey the CHILD_SA", a.sas())
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60),
          "and that works", (spis, peer_spis()))
tap.equal(peer_ike_spis(), old, "the peer has the IKE_SA that it had")
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through A")
stay(a, b)

# an own DELETE of an IKE_SA that a rekey replaced: the answer got lost with A
lab("peer", "nft", "table inet hold { chain out { type filter hook output priority 0; "
    "udp dport 500 @th,208,8 37 @th,216,8 & 0x20 == 0x20 counter drop; }; }")
lab("A", "timeout", "2", "swanctl", "--rekey", "--ike", "tunnel", check=False)
tap.check(wait_for(lambda: not set(old) & set(peer_ike_spis()), 30), "A rekeys the IKE_SA, the peer deletes the old one")
tap.check(wait_for(lambda: b.counter("ike") == 2), "B has both", b.status())
before = repeats("B")
take_over("A", b)
lab("peer", "nft", "delete table inet hold")
tap.check(wait_for(lambda: repeats("B") >= before + 4, 60), "B repeats the DELETE, whatever the peer thinks of its message ids")
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
stay(b, a)

# a peer that could not encrypt the answer is not asked for message ids, and nothing waits for it
asked = lambda: lab("B", "cat", "/lab/B/log/charon.log").count("asking the peer for the message IDs")
before = asked()
for sa in b.live("ike"):
    b.cmd.call("mcipsec-doubt", {"group": GROUP, "key": sa["key"]})
tap.check(wait_for(lambda: "queued" in rekeys(b), 30), "in doubt about its message ids B may rekey", b.sas())
tap.equal(asked(), before, "as it does not ask for them with AES-GCM")

# the peer's own deletion reaches the standby
lab("peer", "swanctl", "--terminate", "--ike", "tunnel")
tap.check(wait_for(lambda: b.counter("ike") == 0 and a.counter("ike") == 0 and a.counter("child") == 0, 30),
          "a DELETE of the peer empties both", (a.status(), b.status()))
tap.equal((a.kernel_spis(), b.kernel_spis()), ([], []), "and their kernels")
tap.end()
