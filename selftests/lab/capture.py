#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Read captures of the public side: ESP sequence numbers and IKE exchanges.

usage: capture.py repeats FILE...            any (destination, SPI, sequence
                                             number) seen twice in all files
                                             together (invariant I3)
       capture.py ike FILE [--from S] [--to S]
                                             IKE exchanges by type, and the SPIs
       capture.py spis ADDRESS FILE [--from S] [--to S] [--mac MAC]
                                             ESP that ADDRESS sent, by SPI in the
                                             order of first use
       capture.py from ADDRESS FILE [--from S] [--to S] [--mac MAC]
                                             packets that ADDRESS sent

Capture where each packet passes once (a bridge device in promiscuous mode).
Reads classic pcap, Ethernet, IPv4; ESP in UDP 4500 too. Prints JSON. Exit 1 if
`repeats` found one, or if a file holds no ESP at all (nothing would be proven).
"""

import argparse
import json
import struct
import sys

EXCHANGES = {34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL"}
ESP, UDP = 50, 17


def frames(path):
    """(time, ethernet frame) of every packet; a cut last one is left out."""
    with open(path, "rb") as file:
        head = file.read(24)
        if len(head) < 24:
            return
        for order in "<", ">":
            magic = struct.unpack(order + "I", head[:4])[0]
            if magic in (0xA1B2C3D4, 0xA1B23C4D):
                break
        else:
            sys.exit(f"{path}: not a pcap file")
        scale = 1e9 if magic == 0xA1B23C4D else 1e6
        while True:
            head = file.read(16)
            if len(head) < 16:
                return
            sec, frac, length, _ = struct.unpack(order + "IIII", head)
            data = file.read(length)
            if len(data) < length:
                return
            yield sec + frac / scale, data


def packets(path, start=0, end=0):
    """(time, source mac, source, destination, kind, fields) of ESP and IKE."""
    for when, data in frames(path):
        if (start and when < start) or (end and when > end):
            continue
        if len(data) < 34 or data[12:14] != b"\x08\x00":
            continue
        ip = data[14:]
        header = (ip[0] & 15) * 4
        if struct.unpack("!H", ip[6:8])[0] & 0x1FFF:
            continue    # not a first fragment
        source = ".".join(map(str, ip[12:16]))
        target = ".".join(map(str, ip[16:20]))
        mac = data[6:12].hex(":")
        body = ip[header:]
        if ip[9] == UDP and len(body) >= 12:
            ports = struct.unpack("!HH", body[:4])
            body = body[8:]
            if 4500 in ports:
                if body[:4] != b"\0\0\0\0":
                    if len(body) >= 8:
                        yield when, mac, source, target, "esp", struct.unpack("!II", body[:8])
                    continue
                body = body[4:]
            elif 500 not in ports:
                continue
            if len(body) >= 28:
                exchange, flags, mid = struct.unpack("!BBI", body[18:24])
                yield when, mac, source, target, "ike", (
                    body[:8].hex(), body[8:16].hex(), exchange, flags, mid)
        elif ip[9] == ESP and len(body) >= 8:
            yield when, mac, source, target, "esp", struct.unpack("!II", body[:8])


def repeats(args):
    seen, found, count = {}, [], 0
    for path in args.files:
        for when, mac, _, target, kind, fields in packets(path):
            if kind != "esp":
                continue
            count += 1
            key = (target, *fields)
            if key in seen:
                first = seen[key]
                found.append({"destination": target, "spi": f"{fields[0]:08x}", "seq": fields[1],
                              "first": first, "again": [when, mac]})
            else:
                seen[key] = [when, mac]
    spis = {}
    for target, spi, seq in seen:
        low, high = spis.get((target, spi), (seq, seq))
        spis[target, spi] = min(low, seq), max(high, seq)
    print(json.dumps({
        "packets": count, "repeated": len(found), "examples": found[:10],
        "spis": {f"{t} {s:08x}": list(v) for (t, s), v in spis.items()},
    }))
    return 0 if count and not found else 1


def ike(args):
    exchanges, initiator, responder = {}, set(), set()
    for _, _, _, _, kind, fields in packets(args.files[0], args.start, args.end):
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
    for _, mac, source, _, kind, _ in packets(args.files[1], args.start, args.end):
        if source != args.files[0] or (args.mac and mac != args.mac):
            continue
        counts[kind] += 1
        macs[mac] = macs.get(mac, 0) + 1
    print(json.dumps({**counts, "macs": macs}))
    return 0


def spis(args):
    order = {}
    for when, mac, source, _, kind, fields in packets(args.files[1], args.start, args.end):
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
    parser.add_argument("what", choices=["repeats", "ike", "spis", "from"])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--from", dest="start", type=float, default=0)
    parser.add_argument("--to", dest="end", type=float, default=0)
    parser.add_argument("--mac", default="")
    args = parser.parse_args()
    return {"repeats": repeats, "ike": ike, "spis": spis, "from": sent_from}[args.what](args)


sys.exit(main())
