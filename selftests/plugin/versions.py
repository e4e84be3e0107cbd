# SPDX-License-Identifier: GPL-2.0-or-later
"""What another version of strongSwan may put into a record and this one does not know.
See matrix_versions.sh."""
from driver import *

KE, EXTENSIONS, CONDITIONS = 17, 30, 31
# key exchange methods that the other version has: ML_KEM_768, NTRU_128
UNKNOWN = {"5": 36, "6": 1031}
tap = Tap()
a, b = Gateway("A"), Gateway("B")


def version(node):
    return lab(node, "swanctl", "--version", "--daemon").split()[1]


def field(data, number):
    """Where the value of a field of a record begins and ends."""
    pos = 8
    while int.from_bytes(data[pos:pos + 2], "big") != number:
        pos += 4 + int.from_bytes(data[pos + 2:pos + 4], "big")
    return pos + 4, pos + 4 + int.from_bytes(data[pos + 2:pos + 4], "big")


def changed(data, number, value):
    begin, end = field(data, number)
    return data[:begin] + value.to_bytes(end - begin, "big") + data[end:]


def number(data, what):
    begin, end = field(data, what)
    return int.from_bytes(data[begin:end], "big")


print("# A is strongSwan %s, B %s, the peer %s" % (version("A"), version("B"), version("peer")))
a.configure("active", commit="no")
b.configure("passive", commit="no")
tap.check("completed successfully" in initiate(), "the peer sets up a tunnel with A")
wait_for(lambda: a.live("child"))
ike, child = a.live("ike")[0], a.live("child")[0]

method = UNKNOWN[version("B")[0]]
reply = b.import_(ike, data=changed(ike["data"], KE, method))
tap.equal((reply["result"], reply["reason"]),
          ("failed", "its key exchange method is not known to strongSwan " + version("B")),
          "an IKE_SA with key exchange method %d fails, and why is said" % method)
tap.equal((b.counter("ike"), sas("B")), (0, ""), "nothing of it is left")

beyond = 1 << 17 | 1 << 40
flags = number(ike["data"], EXTENSIONS)
reply = b.import_(ike, data=changed(ike["data"], EXTENSIONS, flags | beyond))
tap.equal(reply["result"], "installed", "control: with its own method it is installed, flags or not")
tap.equal(b.import_(child)["result"], "installed", "and its CHILD_SA")
b.cmd.call("mcipsec-snapshot", {"group": GROUP})
back = wait_for(lambda: b.live("ike"))[0]["data"]
known = flags | (1 << 17 if version("B")[0] == "6" else 0)
tap.equal(number(back, EXTENSIONS), known, "of flags only those are taken that B knows")
tap.equal([number(back, n) for n in (KE, CONDITIONS)], [number(ike["data"], n) for n in (KE, CONDITIONS)],
          "the rest of it is what A said")
take_over("A", b)
a.group(state="passive")
tap.check(wait_for(lambda: ping(1, 1), 30), "ping through B")
spis = peer_spis()
tap.equal(b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": child["key"]})["result"], "queued", "B rekeys")
tap.check(wait_for(lambda: len(peer_spis()) == 2 and not set(spis) & set(peer_spis()), 60), "and that works",
          (spis, peer_spis()))
tap.end()
