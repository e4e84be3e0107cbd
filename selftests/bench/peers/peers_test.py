#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""peers.py says of flows and captures made here what was put into them. Prints TAP."""

import json
import pathlib
import struct
import sys
import tempfile

sys.dont_write_bytecode = True
import peers  # noqa: E402

points = []
T0 = 1000.0     # s; the flows begin ten seconds before it
STEP = 0.02


def point(text, got, want):
    points.append(got == want)
    print(f"{'ok' if got == want else 'not ok'} {len(points)} - {text}")
    if got != want:
        print(f"# expected {want}, got {got}")


def flows(folder, name, sent_to, lose=(), until=20.0, tunnels=1, delay=0.001, late=None):
    """What this end sends until then, in steps of 20 ms, and the other end gets, but for
    what is sent in the time to lose, of tunnel 1; late: (from, to): arrives at once at to."""
    mine, theirs = [], []
    for n in range(int((10 + until) / STEP)):
        for flow in range(1, tunnels + 1):
            when = T0 - 10 + n * STEP + flow * 0.0001
            mine.append(f"s {flow} {n} {when * 1e6:.0f}")
            if lose and flow == 1 and lose[0] <= when - T0 < lose[1]:
                continue
            there = T0 + late[1] if late and late[0] <= when - T0 < late[1] else when + delay
            theirs.append(f"r {flow} {n} {when * 1e6:.0f} {there * 1e6:.0f}")
    for path, lines in (folder / f"side.{name}.flows", mine), (folder / f"side.{sent_to}.flows", theirs):
        with open(path, "a", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")


def ike(source, target, exchange):
    body = b"i" * 8 + b"r" * 8 + struct.pack("!BBBBII", 0, 0x20, exchange, 8, 0, 28)
    address = [bytes(map(int, a.split("."))) for a in (source, target)]
    udp = struct.pack("!HHHH", 500, 500, 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + address[0] + address[1]
    return struct.pack("!HHIHBB", 0x800, 0, 3, 1, 3, 6) + b"\2\0\0\0\0\1\0\0" + head + udp


def pcap(folder, packets):
    with open(folder / "side.pcap", "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 128, 276))
        for when, frame in packets:
            file.write(struct.pack("<IIII", int(T0 + when), 0, len(frame), len(frame)) + frame)


def measured(ce=None, p1=None, tunnels=1, packets=(), end=20.0):
    """The quiet time and the switchover of one guest."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        flows(folder, "ce1", "p1", tunnels=tunnels, **(ce or {}))
        flows(folder, "p1", "ce1", tunnels=tunnels, **(p1 or {}))
        pcap(folder, packets)
        (folder / "side.events").write_text(json.dumps({
            "side": "side", "event": "power", "from": "SeGW-1", "tunnels": tunnels, "repetition": 1, "interval_ms": 20,
            "t0": T0, "t1": T0 + end, "t2": T0 + end, "warm": 8, "watch": 100, "settled": True, "oseq": 1, "stock_ce": 0}) + "\n")
        return list(peers.evaluate(folder))


def ms(event):
    return [round(o * 1000) for o in event["outages_s"]]


def main():
    print("TAP version 13")
    quiet, event = measured()
    point("without an outage there is none", (ms(event), event["lost"], event["not_whole"]), ([0], 0, 0))
    quiet, event = measured(ce={"lose": (2, 5)})
    point("three seconds without a packet one way are an outage as long", ms(event), [3000])
    point("150 packets got lost", event["lost"], 150)
    point("the tunnel was whole after five seconds", round(event["whole_s"], 1), 5.0)
    point("and before the switchover nothing was", (quiet["event"], ms(quiet), quiet["lost"]), ("none", [0], 0))
    quiet, event = measured(ce={"lose": (2, 3)}, p1={"lose": (2, 6)})
    point("of two directions the worse one counts, of packets both", (ms(event), event["lost"]), ([4000], 250))
    quiet, event = measured(ce={"late": (2, 4)})
    point("packets that are late are an outage without loss", (ms(event), event["lost"]), ([1999], 0))
    quiet, event = measured(ce={"lose": (2, 3)}, p1={"lose": (2, 6)})
    point("each direction has its own", [round(event[k], 2) for k in ("from_ce_s", "to_ce_s")], [1.0, 4.0])
    quiet, event = measured(p1={"lose": (1, 99)}, tunnels=3)
    point("of three tunnels one is not whole at the end", (event["not_whole"], [o > 18 for o in event["outages_s"]]),
          (1, [True, False, False]))
    quiet, event = measured(ce={"lose": (-5, -4)})
    point("what was lost before is not the switchover's", (ms(quiet), quiet["lost"], ms(event), event["lost"]), ([1000], 50, [0], 0))
    gateway, one, two = peers.GATEWAY, "10.10.11.1", "10.10.11.2"
    _, event = measured(tunnels=2, packets=[(-3, ike(one, gateway, 34)), (1, ike(one, gateway, 34)), (1, ike(gateway, one, 34)),
                                            (2, ike(one, gateway, 35)), (3, ike(two, gateway, 36)), (30, ike(two, gateway, 34))])
    point("of two customers one has authenticated anew, with four messages in the switchover's time",
          (event["anew"], event["ike"]), (1, 4))
    point("the 95th percentile is one of the values", (peers.rank(range(1, 101), 0.95), peers.rank([7], 0.95), peers.rank([1, 9], 0.5)),
          (95, 7, 1))
    rows = list(peers.rows([{**event, "side": "cold"}, {**event, "side": "mcipsec"}]))
    point("a row a side, cold first, and every one in the plot", ([r["side"] for r in rows], peers.svg(rows).count("<circle")),
          (["cold", "mcipsec"], 2))
    print(f"1..{len(points)}")
    return 0 if all(points) else 1


sys.exit(main())
