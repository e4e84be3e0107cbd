#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read captures of the lab: ESP sequence numbers and IKE exchanges.

usage: capture.py repeats FILE...            invariant I3 over all files together
       capture.py ike FILE [--from S] [--to S]
                                             IKE exchanges by type, and the SPIs
       capture.py spis ADDRESS FILE [--from S] [--to S] [--mac MAC]
                                             ESP that ADDRESS sent, by SPI in the
                                             order of first use
       capture.py from ADDRESS FILE [--from S] [--to S] [--mac MAC]
                                             packets that ADDRESS sent
       capture.py requests ADDRESS FILE [--from S] [--to S] [--mac MAC]
                                             IKE requests that ADDRESS began, by
                                             exchange; one that is sent again
                                             counts once
       capture.py rekeys ADDRESS FILE [--from S] [--to S] [--mac MAC]
                                             the CREATE_CHILD_SA exchanges that
                                             ADDRESS began: how many, over how many
                                             seconds, how long after --from the
                                             first, the most in one second, the
                                             most without an answer at one time,
                                             requests sent again, without an answer
                                             at the end

A FILE is one part of the network in which each packet is caught once (where it
enters a switch). `repeats` knows a packet by destination, SPI and sequence
number, and counts
  reused    two different packets with one number: the key stream was used twice
  repeated  one packet twice in one file: it was sent again, or went in a circle
  shunted   one packet in several files: it was passed on; no fault
Exit 1 if one was reused or repeated, or if there is no ESP at all: nothing
would be proven.

Reads classic pcap, Ethernet or Linux cooked v2, IPv4 and IPv6; ESP in UDP 4500 too.
Prints JSON.
"""

import argparse
import json
import socket
import struct
import sys

EXCHANGES = {34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL"}
RESPONSE = 0x20     # flag of the IKE header, RFC 7296 section 3.1
ESP, UDP = 50, 17
ETHERNET, COOKED_2 = 1, 276
FRAGMENT = 44       # IPv6's extension header; of the others the lab has none
IPV4, IPV6 = 0x0800, 0x86DD


def payload(ip):
    """(source, destination, protocol, body) of an IP packet; None of a later fragment."""
    if ip[0] >> 4 == 4:
        if struct.unpack("!H", ip[6:8])[0] & 0x1FFF:
            return None
        return (*(socket.inet_ntop(socket.AF_INET, ip[at:at + 4]) for at in (12, 16)), ip[9], ip[(ip[0] & 15) * 4:])
    protocol, body = ip[6], ip[40:]
    if protocol == FRAGMENT:
        if len(body) < 8 or struct.unpack("!H", body[2:4])[0] & 0xFFF8:
            return None
        protocol, body = body[0], body[8:]
    return (*(socket.inet_ntop(socket.AF_INET6, ip[at:at + 16]) for at in (8, 24)), protocol, body)


class Capture:
    """A capture file, read as far as it goes; what is written later comes with the next call."""

    def __init__(self, path):
        self.path, self.offset, self.format = path, 0, None
        self.last = None    # (time, Ethernet source, IP packet), interface

    def _header(self, file):
        head = file.read(24)
        if len(head) < 24:
            return False
        for order in "<", ">":
            magic = struct.unpack(order + "I", head[:4])[0]
            if magic in (0xA1B2C3D4, 0xA1B23C4D):
                break
        else:
            sys.exit(f"{self.path}: not a pcap file")
        scale = 1e9 if magic == 0xA1B23C4D else 1e6
        link = struct.unpack(order + "I", head[20:24])[0]
        if link not in (ETHERNET, COOKED_2):
            sys.exit(f"{self.path}: link type {link} is neither Ethernet nor Linux cooked v2")
        # link type: where the source address and the protocol are, where IP begins
        self.format = order, scale, *{ETHERNET: (6, 12, 14), COOKED_2: (12, 0, 20)}[link]
        self.offset = 24
        return True

    def frames(self, *kinds):
        """(time, source mac, IP packet) of every new packet of these kinds (IPV4); a cut last
        one is left for later.

        A bridge that has not learned a destination floods the frame to itself, too: of
        one moment, by port and bridge, that is one frame."""
        with open(self.path, "rb") as file:
            if not self.format and not self._header(file):
                return
            order, scale, mac, proto, ip = self.format
            file.seek(self.offset)
            while True:
                head = file.read(16)
                if len(head) < 16:
                    return
                sec, frac, length, _ = struct.unpack(order + "IIII", head)
                data = file.read(length)
                if len(data) < length:
                    return
                self.offset += 16 + length
                kind = struct.unpack("!H", data[proto:proto + 2])[0] if len(data) >= ip else None
                if kind in (kinds or (IPV4,)) and len(data) >= ip + (20 if kind == IPV4 else 40):
                    frame, interface = (sec + frac / scale, data[mac:mac + 6].hex(":"), data[ip:]), data[4:8] if ip == 20 else b""
                    flooded = self.last and self.last[0] == frame and self.last[1] != interface
                    self.last = frame, interface
                    if not flooded:
                        yield frame

    def packets(self):
        """(time, source mac, source, destination, kind, fields, body) of new ESP and IKE."""
        for when, mac, ip in self.frames(IPV4, IPV6):
            found = payload(ip)
            if not found:
                continue
            source, target, protocol, body = found
            if protocol == UDP and len(body) >= 12:
                ports = struct.unpack("!HH", body[:4])
                body = body[8:]
                if 4500 in ports:
                    if body[:4] != b"\0\0\0\0":
                        if len(body) >= 8:
                            yield when, mac, source, target, "esp", struct.unpack("!II", body[:8]), body
                        continue
                    body = body[4:]
                elif 500 not in ports:
                    continue
                if len(body) >= 28:
                    exchange, flags, mid = struct.unpack("!BBI", body[18:24])
                    yield when, mac, source, target, "ike", (
                        body[:8].hex(), body[8:16].hex(), exchange, flags, mid), body
            elif protocol == ESP and len(body) >= 8:
                yield when, mac, source, target, "esp", struct.unpack("!II", body[:8]), body


def packets(path, start=0, end=0):
    """Of the whole file, what lies between start and end."""
    for packet in Capture(path).packets():
        if not (start and packet[0] < start) and not (end and packet[0] > end):
            yield packet


class Numbers:
    """Which ESP sequence numbers were seen; judges each packet (I3)."""

    def __init__(self):
        self.seen, self.examples = {}, []
        self.count = {"packets": 0, "reused": 0, "repeated": 0, "shunted": 0}

    def take(self, number, when, mac, target, fields, body):
        """A packet in the file of this number."""
        self.count["packets"] += 1
        key = (target, *fields)
        known = self.seen.setdefault(key, {})
        content = hash(body)
        if any(content != other for other, _, _ in known.values()):
            what = "reused"
        elif number in known:
            what = "repeated"
        else:
            if known:
                self.count["shunted"] += 1
            known[number] = content, when, mac
            return
        self.count[what] += 1
        self.examples.append({"what": what, "destination": target, "spi": f"{fields[0]:08x}", "seq": fields[1],
                              "first": min(known.values(), key=lambda k: k[1])[1:], "again": [when, mac]})


def repeats(args):
    numbers = Numbers()
    for number, path in enumerate(args.files):
        for when, mac, _, target, kind, fields, body in packets(path):
            if kind == "esp":
                numbers.take(number, when, mac, target, fields, body)
    spis = {}
    for target, spi, seq in numbers.seen:
        low, high = spis.get((target, spi), (seq, seq))
        spis[target, spi] = min(low, seq), max(high, seq)
    print(json.dumps({
        **numbers.count, "examples": numbers.examples[:10],
        "spis": {f"{t} {s:08x}": list(v) for (t, s), v in spis.items()},
    }))
    return 0 if numbers.count["packets"] and not numbers.examples else 1


def ike(args):
    exchanges, initiator, responder = {}, set(), set()
    for _, _, _, _, kind, fields, _ in packets(args.files[0], args.start, args.end):
        if kind != "ike":
            continue
        name = EXCHANGES.get(fields[2], str(fields[2]))
        exchanges[name] = exchanges.get(name, 0) + 1
        initiator.add(fields[0])
        responder.add(fields[1])
    print(json.dumps({"exchanges": exchanges, "spi_i": sorted(initiator), "spi_r": sorted(responder)}))
    return 0


def sent_from(args):
    counts = {"esp": 0, "ike": 0}
    macs = {}
    for _, mac, source, _, kind, _, _ in packets(args.files[1], args.start, args.end):
        if source != args.files[0] or (args.mac and mac != args.mac):
            continue
        counts[kind] += 1
        macs[mac] = macs.get(mac, 0) + 1
    print(json.dumps({**counts, "macs": macs}))
    return 0


def requests(args):
    exchanges, known = {}, set()
    for _, mac, source, _, kind, fields, _ in packets(args.files[1], args.start, args.end):
        if kind != "ike" or source != args.files[0] or (args.mac and mac != args.mac) or fields[3] & RESPONSE:
            continue
        # The initiator's SPI and the message id name it; the responder's SPI is
        # still 0 in the first.
        name = EXCHANGES.get(fields[2], str(fields[2]))
        if (fields[0], name, fields[4]) not in known:
            known.add((fields[0], name, fields[4]))
            exchanges[name] = exchanges.get(name, 0) + 1
    print(json.dumps(exchanges))
    return 0


def rekeys(args):
    times, open_, most, again = {}, set(), 0, 0
    for when, mac, source, _, kind, fields, _ in packets(args.files[1], args.start, args.end):
        if kind != "ike" or EXCHANGES.get(fields[2]) != "CREATE_CHILD_SA":
            continue
        key = fields[0], fields[4]
        ours = source == args.files[0] and (not args.mac or mac == args.mac)
        if ours and not fields[3] & RESPONSE:
            again += key in times
            if key not in times:
                times[key] = when
                open_.add(key)
                most = max(most, len(open_))
        elif source != args.files[0] and fields[3] & RESPONSE:
            open_.discard(key)
    begun = sorted(times.values())
    print(json.dumps({
        "begun": len(begun), "seconds": round(begun[-1] - begun[0], 2) if begun else 0,
        "first": round(begun[0] - args.start, 2) if begun and args.start else 0,
        "second": max((sum(1 for u in begun if t <= u < t + 1) for t in begun), default=0),
        "open": most, "again": again, "left": len(open_)}))
    return 0


def spis(args):
    order = {}
    for when, mac, source, _, kind, fields, _ in packets(args.files[1], args.start, args.end):
        if kind != "esp" or source != args.files[0] or (args.mac and mac != args.mac):
            continue
        entry = order.setdefault(fields[0], {
            "spi": f"{fields[0]:08x}", "first": when, "packets": 0, "seq_first": fields[1]})
        entry["packets"] += 1
        entry["last"] = when
        entry["seq_last"] = fields[1]
    print(json.dumps(list(order.values())))
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["repeats", "ike", "spis", "from", "requests", "rekeys"])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--from", dest="start", type=float, default=0)
    parser.add_argument("--to", dest="end", type=float, default=0)
    parser.add_argument("--mac", default="")
    args = parser.parse_args()
    return {"repeats": repeats, "ike": ike, "spis": spis, "from": sent_from, "requests": requests,
            "rekeys": rekeys}[args.what](args)


if __name__ == "__main__":
    sys.exit(main())
