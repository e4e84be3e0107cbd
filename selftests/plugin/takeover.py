# SPDX-License-Identifier: GPL-2.0-or-later
"""Set-up, sync, takeover, rekey, hand-back. See test_takeover.sh."""
from driver import *

tap = Tap()
a, b = Gateway("A"), Gateway("B")

# closed before the first command, then as told
a.configure("active", commit="yes", **{"commit-limit-ms": 60000})
b.configure("passive")
a.replicate_to(b)
quiet = Capture("B", "udp port 500 or udp port 4500 or esp")

who = sys.argv[1] if len(sys.argv) > 1 else "peer"
tap.check("completed successfully" in initiate(who), "%s sets up the tunnel" % who)
ike = wait_for(lambda: a.live("ike"))
child = wait_for(lambda: a.live("child"))
tap.equal((len(ike), len(child)), (1, 1), "A announced one IKE_SA and one CHILD_SA")
tap.equal(child[0]["parent"], ike[0]["key"], "the CHILD_SA names its IKE_SA")
tap.equal(a.counter("held-expired"), 0, "no packet left without acknowledgement")
if who == "peer":
    tap.check(a.counter("held-total") > 0, "the last response waited for the standby")
tap.check(wait_for(lambda: b.counter("ike") == 1 and b.counter("child") == 1), "B has both", b.status())
tap.check("state=PASSIVE" in b.sas(), "B's IKE_SA is PASSIVE", b.sas())
tap.equal(b.kernel_spis(), a.kernel_spis(), "B's kernel has the states of A")
tap.equal(a.kernel_spis(), peer_spis(), "and so has the peer's")
tap.check(ping(), "ping through A")
first_spis, first_ike = peer_spis(), peer_ike_spis()

# ages and what is left of the lifetimes
def times(gateway):
    with gateway.lock:
        gateway.entries.clear()
    gateway.cmd.call("mcipsec-snapshot", {"group": GROUP})
    wait_for(lambda: gateway.live("child"))
    return [int(r["info"][field] or -1) for r in gateway.live("ike") + gateway.live("child")
            for field in ("established", "installed", "rekey", "lifetime") if field in r["info"]]


of_a, of_b = times(a), times(b)
tap.check(len(of_a) == len(of_b) == 6 and all(abs(x - y) <= 4 for x, y in zip(of_a, of_b)),
          "ages and lifetimes are A's", (of_a, of_b))

# idempotent
again = [b.import_(r)["result"] for r in a.live("ike") + a.live("child")]
tap.equal(again, ["installed"] * 2, "a second import says installed")
old = b.import_(a.live("ike")[0], version=0)
tap.equal(old["result"], "stale", "an older version is stale")
tap.equal(b.kernel_spis(), first_spis, "and the kernel states are still there")
tap.equal(quiet.stop(), [], "B has sent nothing so far")

# takeover
gone = Capture("A", "udp port 500 or udp port 4500 or esp")
lab("A", "ip", "addr", "del", GATEWAY + PREFIX, "dev", "eth0")
a.group(state="passive")
a.sink = None  # only now: what the peer got an answer to must be on B
own = a.live("ike")[0]
tap.equal([a.import_(own, version=v)["result"] for v in (2, 2, 1)], ["installed", "installed", "stale"],
          "versions that A announced itself do not count against B's")
move_address(None, "B")
b.replicate_to(a)
b.group(state="active", commit="yes", **{"commit-limit-ms": 60000})
tap.check("state=PASSIVE" in a.sas(), "A is passive")
tap.check("state=ESTABLISHED" in b.sas(), "B's IKE_SA is established", b.sas())
tap.check(ping(5) >= 4, "ping goes on through B")
tap.equal((peer_spis(), peer_ike_spis()), (first_spis, first_ike), "over the same SPIs")
later = times(b)
tap.check(later[0] >= of_b[0] and later[1] <= of_b[1] and later[2] <= of_b[2] + 1, "with the age it had", (of_b, later))

log = lab("peer", "cat", "/lab/peer/log/charon.log").count("parsed INFORMATIONAL response")
tap.check(wait_for(lambda: lab("peer", "cat", "/lab/peer/log/charon.log").count("parsed INFORMATIONAL response") > log, 40),
          "B answers the peer's dead peer detection")

# what B changed after its client had looked does not make way for a replacement
taken, child = wait_for(lambda: [r for r in b.live("ike") if int(r["seq"])])[0], b.live("child")[0]
over = int(taken["version"]) + 1
before = b.sas()
late = [b.import_(r, version=over, replace="yes", seen=0) for r in (taken, child)]
tap.equal([r["result"] for r in late], ["changed"] * 2, "what changed after the last record seen does not make way")
tap.equal(b.import_(taken, version=over, replace="yes", seen="all").get("errmsg"), "seen: a number is required",
          "and the last record seen is a number")
tap.equal(b.sas().count("ESTABLISHED"), before.count("ESTABLISHED"), "nothing was done")

# what did not change does
with b.lock:
    seen = max(int(r["seq"]) for r in b.records)
made = [b.import_(r, version=over, replace="yes", seen=seen) for r in (taken, child)]
tap.equal([r["result"] for r in made], ["installed"] * 2, "what did not makes way")
tap.equal([b.sas().count("state=ESTABLISHED"), sorted(b.kernel_spis())], [1, sorted(first_spis)],
          "one IKE_SA, the same CHILD_SA")
tap.check(ping(), "ping after it")
tap.equal((peer_spis(), peer_ike_spis()), (first_spis, first_ike), "the peer keeps what it had")

# rekey from B
key = b.cmd.call("mcipsec-snapshot", {"group": GROUP}) and wait_for(lambda: b.live("child"))[0]["key"]
tap.equal(b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": key})["result"], "queued", "B begins a rekey")
tap.check(wait_for(lambda: not set(first_spis) & set(s for s in peer_spis()), 40),
          "the peer has new SPIs only", (first_spis, peer_spis()))
tap.check(ping(), "ping over the new SPIs")
tap.check(wait_for(lambda: [r["key"] for r in b.live("child")] not in ([], [key]) and len(b.live("child")) == 1),
          "B announced the new CHILD_SA and the end of the old one", b.live("child"))
tap.check(wait_for(lambda: set(peer_spis()) <= set(a.kernel_spis())), "A follows",
          (peer_spis(), a.kernel_spis()))
tap.equal(peer_ike_spis(), first_ike, "the IKE_SA is the same")

# the peer's own exchanges
lab("peer", "swanctl", "--rekey", "--child", "net")
spis = peer_spis()
tap.check(wait_for(lambda: peer_spis() != spis and len(peer_spis()) == 2, 40), "the peer rekeys with B", peer_spis())
tap.check(ping(), "ping after it")
lab("peer", "swanctl", "--rekey", "--ike", "tunnel")
tap.check(wait_for(lambda: peer_ike_spis() != first_ike and len(peer_ike_spis()) == 1, 40),
          "the peer rekeys the IKE_SA with B", peer_ike_spis())
tap.check(wait_for(lambda: len(b.live("ike")) == 1 and a.counter("ike") == 1 and a.counter("child") == 1),
          "B announced it, A has one of each", (b.status(), a.status()))
lineages = {r["lineage"] for r in a.records + b.records if r["kind"] == "ike"}
tap.equal(len(lineages), 1, "with the same lineage")

# back to A
tap.equal(gone.stop(), [], "A has sent nothing while passive")
lab("B", "ip", "addr", "del", GATEWAY + PREFIX, "dev", "eth0")
b.group(state="passive")
b.sink = None
move_address(None, "A")
a.group(state="active")
tap.check(ping(5) >= 4, "ping goes on through A")
second_ike = peer_ike_spis()
lab("peer", "swanctl", "--rekey", "--ike", "tunnel")
tap.check(wait_for(lambda: len(peer_ike_spis()) == 1 and peer_ike_spis() != second_ike, 40),
          "the peer rekeys the IKE_SA with A", (second_ike, peer_ike_spis()))
tap.check(ping(), "ping after it")

# purge
quiet = Capture("A", "udp port 500 or udp port 4500")
tap.equal(b.cmd.call("mcipsec-purge", {"group": GROUP})["count"], "1", "B is purged")
tap.equal(a.cmd.call("mcipsec-purge", {"group": GROUP})["count"], "1", "A is purged")
tap.equal((a.kernel_spis(), b.kernel_spis()), ([], []), "nothing is left in the kernels")
tap.equal(quiet.stop(), [], "and no packet was sent for it")
tap.end()
