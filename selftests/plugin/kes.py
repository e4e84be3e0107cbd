# SPDX-License-Identifier: GPL-2.0-or-later
"""An IKE_SA that two key exchanges made (RFC 9370): announced without data, with the
reason. See matrix_versions.sh."""
from driver import *

tap = Tap()
a = Gateway("A")
a.configure("active", commit="no")
tap.check("completed successfully" in initiate(), "control: the peer sets up a tunnel with A")
wait_for(lambda: a.live("child"))
tap.check([bool(r["data"]) for r in a.live("ike")] == [True], "control: its IKE_SA is announced with data")
lab("peer", "swanctl", "--terminate", "--ike", "tunnel")
wait_for(lambda: not a.live("ike"))

for node in "peer", "A":
    path = "/lab/%s/etc/swanctl/conf.d/tunnel.conf" % node
    with open(path) as conf:
        text = conf.read()
    with open(path, "w") as conf:
        conf.write(text.replace("-prfsha256-x25519\n", "-prfsha256-x25519-ke1_modp2048\n"))
    lab(node, "swanctl", "--load-conns")
tap.check("completed successfully" in initiate(), "the peer sets one up with two key exchanges")
ike = wait_for(lambda: a.live("ike"))
tap.check("KE1_MODP_2048" in lab("A", "cat", "/lab/A/log/charon.log"), "they were negotiated")
tap.equal([(len(r["data"]), r.get("unfit")) for r in ike],
          [(0, "was made by more than one key exchange (RFC 9370)")], "the IKE_SA is announced without data, with the reason")
tap.check(ping(), "ping through A")
tap.end()
