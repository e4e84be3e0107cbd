# SPDX-License-Identifier: GPL-2.0-or-later
"""What no record can hold: announced without data and with the reason; output commit
holds the packets of its IKE_SA until the limit, whatever is acknowledged, since no
acknowledgement can mean that the standby has it. See test_gate.sh."""
from driver import *

LIMIT = 2
tap = Tap()
a = Gateway("A")

# one selector more than a record holds, on one side
SELECTORS = ", ".join("10.1.1.%d/32" % (2 * i) for i in range(1, 66))
for node, ts in (("A", "local_ts = 10.2.0.1/32\nremote_ts = "), ("peer", "remote_ts = 10.2.0.1/32\nlocal_ts = ")):
    path = "/lab/%s/etc/swanctl/conf.d/tunnel.conf" % node
    with open(path) as conf:
        text = conf.read()
    with open(path, "w") as conf:
        conf.write(text.replace("children {", "children {\nwide {\n%s%s\nesp_proposals = aes128gcm16-x25519\n}" % (ts, SELECTORS)))
    lab(node, "swanctl", "--load-conns")

a.configure("active", commit="yes", **{"commit-limit-ms": str(LIMIT * 1000)})
initiate("peer")
tap.check(wait_for(lambda: len(a.live("child")) == 1), "control: a tunnel comes up", a.entries.keys())
tap.equal(a.counter("held-expired"), 0, "control: no packet of it waited for the limit")

began = time.monotonic()
lab("peer", "swanctl", "--initiate", "--child", "wide", "--timeout", "60")
took = time.monotonic() - began
wide = [r for r in a.live("child") if r["name"] == "wide"]
tap.check(len(wide) == 1 and not wide[0]["data"], "a CHILD_SA with 65 selectors is announced without data",
          [dict(r, data=len(r["data"])) for r in wide])
tap.equal(wide[0].get("unfit"), "does not fit a record", "and with the reason")
tap.check(all(r["data"] and "unfit" not in r for r in a.live("ike") + a.live("child") if r["name"] != "wide"),
          "the others have data, and none")
tap.check(took >= LIMIT, "acknowledged or not, its packet waited for the limit", took)
tap.check(wait_for(lambda: a.counter("held-expired") >= 1 and a.expired), "which is counted and told", a.status())
tap.check("wide" in lab("peer", "swanctl", "--list-sas"), "then it left")

wait_for(lambda: a.counter("held") == 0, 30)
expired, began = a.counter("held-expired"), time.monotonic()
lab("peer", "swanctl", "--rekey", "--child", "net")
tap.check(wait_for(lambda: a.counter("held-expired") > expired, 30) and time.monotonic() - began >= LIMIT,
          "so does every packet of that IKE_SA", a.status())

lab("peer", "swanctl", "--terminate", "--child", "wide")
tap.check(wait_for(lambda: [r["name"] for r in a.live("child")] == ["net"] and a.counter("held") == 0, 60),
          "it ends, and the records say so", [(r["name"], r["key"]) for r in a.live("child")])
expired, spis = a.counter("held-expired"), peer_spis()
lab("peer", "swanctl", "--rekey", "--child", "net")
tap.check(wait_for(lambda: len(peer_spis()) == len(spis) and not set(peer_spis()) & set(spis), 60), "the peer rekeys the other one",
          (spis, peer_spis()))
tap.equal(a.counter("held-expired"), expired, "and no packet waits for the limit any more")
tap.end()
