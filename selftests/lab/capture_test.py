#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""capture.py finds what was put into captures made here, and nothing else.

Each test point writes captures packet by packet, runs capture.py on them as the
lab does, and compares exit code and counts. Prints TAP.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CE, GATEWAY = "10.10.10.1", "10.10.20.1"
CE6, GATEWAY6 = "2001:db8:10::1", "2001:db8:20::1"
BRIDGE = 9  # interface that a frame is flooded to
MAC1, MAC2 = "02:00:00:00:00:01", "02:00:00:00:00:02"
points = []


def ip(source, target, proto, body, fragment=0):
    address = [bytes(map(int, a.split("."))) for a in (source, target)]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 64, proto, 0) + address[0] + address[1] + body


def ip6(source, target, proto, body, fragment=None):
    """fragment: the offset, in octets."""
    if fragment is not None:
        proto, body = 44, struct.pack("!BBHI", proto, 0, fragment | 1, 1) + body
    address = b"".join(socket.inet_pton(socket.AF_INET6, a) for a in (source, target))
    return struct.pack("!IHBB", 0x60000000, len(body), proto, 64) + address + body


def esp6(spi, seq, content=b"one", source=GATEWAY6, target=CE6, fragment=None):
    return ip6(source, target, 50, struct.pack("!II", spi, seq) + content, fragment)


def esp(spi, seq, content=b"one", source=GATEWAY, target=CE, ttl=None):
    packet = ip(source, target, 50, struct.pack("!II", spi, seq) + content)
    return packet if ttl is None else packet[:8] + bytes([ttl]) + packet[9:]


def esp_in_udp(spi, seq, content=b"one"):
    body = struct.pack("!II", spi, seq) + content
    return ip(GATEWAY, CE, 17, struct.pack("!HHHH", 4500, 4500, 8 + len(body), 0) + body)


def ike(exchange, port=500, spi=b"i" * 8, source=CE, target=GATEWAY, flags=8, mid=7):
    body = spi + b"r" * 8 + struct.pack("!BBBBII", 0, 0x20, exchange, flags, mid, 28)
    if port == 4500:
        body = b"\0\0\0\0" + body
    return ip(source, target, 17, struct.pack("!HHHH", port, port, 8 + len(body), 0) + body)


def pcap(path, packets, cooked=True, nano=False):
    """packets: IP packets, or (MAC, IP packet)."""
    with open(path, "wb") as file:
        magic = 0xA1B23C4D if nano else 0xA1B2C3D4
        file.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 128, 276 if cooked else 1))
        for number, packet in enumerate(packets):
            mac, packet, *port = packet if isinstance(packet, tuple) else (MAC1, packet)
            port = port[0] if port else 3
            number -= port == BRIDGE    # at the moment of the one before
            mac = bytes.fromhex(mac.replace(":", ""))
            kind = struct.pack("!H", 0x800 if packet[0] >> 4 == 4 else 0x86DD)
            head = kind + struct.pack("!HIHBB", 0, port, 1, 3, 6) + mac + b"\0\0" if cooked else b"\xff" * 6 + mac + kind
            frame = (head + packet)[:128]
            file.write(struct.pack("<IIII", 100 + number, 0, len(frame), len(head + packet)) + frame)
    return path


def run(*args):
    done = subprocess.run([sys.executable, os.path.join(HERE, "capture.py"), *args],
                          capture_output=True, text=True, check=False)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, {"stderr": done.stderr.strip()}


def point(text, got, want):
    points.append(got == want)
    print(f"{'ok' if got == want else 'not ok'} {len(points)} - {text}")
    if got != want:
        print(f"# expected {want}, got {got}")


def counts(*files):
    code, report = run("repeats", *files)
    return (code, *(report.get(k) for k in ("packets", "reused", "repeated", "shunted")))


def repeats(a, b):
    many = [esp(0xC0FFEE01, n, b"%d" % n) for n in range(1, 50)]
    point("numbers that only rise are no repetition", counts(pcap(a, many)), (0, 49, 0, 0, 0))
    point("the other SPI and the other direction count for themselves",
          counts(pcap(a, [esp(1, 5), esp(2, 5), esp(1, 5, source=CE, target=GATEWAY)])), (0, 3, 0, 0, 0))
    point("one doctored duplicate among many is found", counts(pcap(a, many + [many[7]])), (1, 50, 0, 1, 0))
    point("the number used for two packets is found",
          counts(pcap(a, many + [esp(0xC0FFEE01, 8, b"other")])), (1, 50, 1, 0, 0))
    point("also if the second one is in another file, from the other gateway",
          counts(pcap(a, many), pcap(b, [(MAC2, esp(0xC0FFEE01, 8, b"other"))])), (1, 50, 1, 0, 0))
    point("and in UDP", counts(pcap(a, [esp_in_udp(9, 1)]), pcap(b, [esp_in_udp(9, 1, b"two")])), (1, 2, 1, 0, 0))
    point("a packet that passes both parts of the network is shunted, not repeated",
          counts(pcap(a, many), pcap(b, [esp(0xC0FFEE01, 8, b"8", ttl=63)])), (0, 50, 0, 0, 1))
    point("one that circles there is repeated",
          counts(pcap(a, many), pcap(b, [esp(0xC0FFEE01, 8, b"8", ttl=t) for t in (63, 62)])), (1, 51, 0, 1, 1))
    code, report = run("repeats", pcap(a, many + [(MAC2, many[7])]))
    point("it says which, first and again", (code, report["examples"][0]["seq"], report["examples"][0]["first"][1],
                                             report["examples"][0]["again"][1]), (1, 8, MAC1, MAC2))
    point("and the range of numbers", report["spis"], {f"{CE} c0ffee01": [1, 49]})
    point("a frame that a bridge floods to itself is one frame",
          counts(pcap(a, many + [esp(0xC0FFEE01, 90), (MAC1, esp(0xC0FFEE01, 90), BRIDGE)])), (0, 50, 0, 0, 0))
    point("sent again a moment later it is repeated",
          counts(pcap(a, many + [esp(0xC0FFEE01, 90), esp(0xC0FFEE01, 90)])), (1, 51, 0, 1, 0))
    point("no ESP at all proves nothing", counts(pcap(a, [ike(34)])), (1, 0, 0, 0, 0))
    point("nor does an empty file", counts(pcap(a, [])), (1, 0, 0, 0, 0))
    point("a later fragment is no packet of its own",
          counts(pcap(a, many + [ip(GATEWAY, CE, 50, b"\0" * 16, fragment=100)] * 2)), (0, 49, 0, 0, 0))
    point("the same in a capture of Ethernet frames",
          counts(pcap(a, many + [many[7]], cooked=False)), (1, 50, 0, 1, 0))
    six = [esp6(0xC0FFEE01, n, b"%d" % n) for n in range(1, 50)]
    point("over IPv6: numbers that only rise are no repetition, the same ones of IPv4 are others",
          counts(pcap(a, six + many)), (0, 98, 0, 0, 0))
    point("a duplicate among them is found", counts(pcap(a, six + [six[7]])), (1, 50, 0, 1, 0))
    point("and the number used for two packets, from the other gateway in another file",
          counts(pcap(a, six), pcap(b, [(MAC2, esp6(0xC0FFEE01, 8, b"other"))])), (1, 50, 1, 0, 0))
    point("a first fragment is, a later one is no packet of its own",
          counts(pcap(a, six + [six[0], esp6(1, 1, b"x", fragment=64), esp6(2, 2, b"x", fragment=0)], cooked=False)), (1, 51, 0, 1, 0))
    point("its addresses as they are written", run("repeats", pcap(a, six))[1]["spis"], {f"{CE6} c0ffee01": [1, 49]})
    with open(pcap(a, many), "rb+") as file:
        file.truncate(os.path.getsize(a) - 5)
    point("a packet that is being written is left out", counts(a), (0, 48, 0, 0, 0))
    point("a capture with another link type is refused", run("repeats", other_link(a))[0], 1)


def other_link(path):
    pcap(path, [esp(1, 1)])
    with open(path, "rb+") as file:
        file.seek(20)
        file.write(struct.pack("<I", 113))
    return path


def questions(a):
    pcap(a, [ike(34), ike(35, 4500), (MAC2, esp(7, 10)), (MAC2, esp(7, 11)), esp(8, 1), ike(36)], nano=True)
    point("IKE by exchange, also in UDP 4500", run("ike", a)[1]["exchanges"],
          {"IKE_SA_INIT": 1, "IKE_AUTH": 1, "CREATE_CHILD_SA": 1})
    point("from a time on", run("ike", a, "--from", "104")[1]["exchanges"], {"CREATE_CHILD_SA": 1})
    point("one pair of SPIs", [run("ike", a)[1][k] for k in ("spi_i", "spi_r")], [["69" * 8], ["72" * 8]])
    pcap(a, [ip6(CE6, GATEWAY6, 17, ike(34)[20:]), ip6(CE6, GATEWAY6, 17, ike(35, 4500)[20:]), esp6(7, 1, source=CE6, target=GATEWAY6), esp6(8, 1)])
    point("the same over IPv6", run("from", CE6, a)[1], {"esp": 1, "ike": 2, "macs": {MAC1: 3}})
    pcap(a, [ike(37), ike(37, spi=b"j" * 8)])
    point("two IKE_SAs are two", len(run("ike", a)[1]["spi_i"]), 2)
    pcap(a, [(MAC2, esp(7, 10)), (MAC2, esp(7, 11)), esp(8, 1), esp(9, 1, source=CE, target=GATEWAY)])
    point("SPIs in the order of their first use",
          [(s["spi"], s["packets"], s["seq_last"]) for s in run("spis", GATEWAY, a)[1]],
          [("00000007", 2, 11), ("00000008", 1, 1)])
    ours = {"source": GATEWAY, "target": CE}
    pcap(a, [ike(36, flags=0, **ours), ike(36, flags=0, **ours), ike(37, 4500, flags=0, mid=8, **ours),
             ike(37, flags=0x20, mid=0, **ours), ike(37, mid=1), (MAC2, ike(37, flags=0, mid=9, **ours))])
    point("requests that one began: no answer, no far end's, each once", run("requests", GATEWAY, a)[1],
          {"CREATE_CHILD_SA": 1, "INFORMATIONAL": 2})
    point("from one MAC", run("requests", GATEWAY, a, "--mac", MAC2)[1], {"INFORMATIONAL": 1})
    answer = {"flags": 0x20}
    pcap(a, [ike(36, flags=0, **ours), ike(36, flags=0, mid=8, **ours), ike(36, flags=0, **ours), ike(36, mid=7, **answer),
             (MAC2, ike(36, flags=0, mid=1, **ours)), ike(37, flags=0, mid=9, **ours), ike(36, flags=0, mid=3),
             ike(36, flags=0x20, mid=3, **ours), ike(36, flags=0, spi=b"j" * 8, **ours), ike(36, spi=b"j" * 8, **answer)])
    point("rekeys that one began: how many, how long, under way, sent again, open",
          run("rekeys", GATEWAY, a, "--mac", MAC1, "--from", "99")[1],
          {"begun": 3, "seconds": 8.0, "first": 1.0, "second": 1, "open": 2, "again": 1, "left": 1})
    point("up to a time", run("rekeys", GATEWAY, a, "--to", "102.5")[1],
          {"begun": 2, "seconds": 1.0, "first": 0, "second": 1, "open": 2, "again": 1, "left": 2})
    pcap(a, [(MAC2, esp(7, 10)), (MAC2, esp(7, 11)), esp(8, 1), esp(9, 1, source=CE, target=GATEWAY)])
    point("what one MAC sent", run("from", GATEWAY, a, "--mac", MAC1)[1], {"esp": 1, "ike": 0, "macs": {MAC1: 1}})


def main():
    print("TAP version 13")
    with tempfile.TemporaryDirectory() as folder:
        repeats(os.path.join(folder, "a.pcap"), os.path.join(folder, "b.pcap"))
        questions(os.path.join(folder, "a.pcap"))
    print(f"1..{len(points)}")
    return 0 if all(points) else 1


sys.exit(main())
