#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pkt.py - the few packets that the module's tests need beyond ping.

  serve ADDRESS READY-FILE   answer on UDP 500 and 4500 of ADDRESS (and let the
                             kernel decapsulate ESP that arrives on 4500)
  ike FROM TO PORT           send an IKE-like message, wait for the answer
  send FROM TO PORT          send only, from that source port too; prints errno
  quote FROM TO CASE         an ICMP error to TO that quotes TO's own
                             esp|ike|ike4500|other packet (v6 by the addresses)
  frag FROM TO esp|udp       a later fragment (v6 by the addresses)
  raw FROM TO N              N ESP packets with a source address of choice
Exit: 0 sent (and answered), 1 not answered, 2 refused by the kernel.
"""
import errno
import os
import select
import socket
import struct
import sys

MARKER = b"\0\0\0\0"
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
IP_TRANSPARENT = 19


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp(address, port):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    return sock


def serve(address, ready):
    socks = [udp(address, 500), udp(address, 4500)]
    socks[1].setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    open(ready, "w").close()
    while True:
        for sock in select.select(socks, [], [])[0]:
            data, peer = sock.recvfrom(2048)
            try:
                sock.sendto(data, peer)
            except OSError:
                pass


def message(port):
    return (MARKER if port == 4500 else b"") + b"\x11" * 28


def ike(source, target, port):
    with udp(source, port) as sock:
        sock.sendto(message(port), (target, port))
        return 0 if select.select([sock], [], [], 1.0)[0] else 1


def send(source, target, port):
    with udp(source, port) as sock:
        sock.sendto(message(port), (target, port))
    return 0


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, target, proto, payload, offset=0, more=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, more << 13 | offset, 64,
                       proto, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, target, proto, payload):
    return struct.pack("!IHBB", 6 << 28, len(payload), proto, 64) + \
        socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target) + payload


def quoted(case):
    """Protocol and first bytes of a packet that the gateway sent."""
    if case == "esp":
        return 50, struct.pack("!II", 0x200, 1)
    port = {"ike": 500, "ike4500": 4500, "other": 53}[case]
    return 17, struct.pack("!HHHH", port, port, 20, 0)


def quote(source, target, case):
    proto, head = quoted(case)
    if family(target) == socket.AF_INET6:
        inner = ipv6(target, source, proto, head)
        body = struct.pack("!BBHI", 2, 0, 0, 1280) + inner
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        sock.bind((source, 0))
        sock.sendto(body, (target, 0))
        return 0
    inner = ipv4(target, source, proto, head)
    body = struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + inner
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.sendto(ipv4(source, target, 1, body), (target, 0))
    return 0


def frag(source, target, kind):
    proto = 50 if kind == "esp" else 17
    if family(target) == socket.AF_INET6:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        header = struct.pack("!BBHI", proto, 0, 100 << 3, 7)
        sock.sendto(ipv6(source, target, 44, header + b"\x22" * 64), (target, 0))
        return 0
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sock.sendto(ipv4(source, target, proto, b"\x22" * 64, offset=100), (target, 0))
    return 0


def raw(source, target, count):
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for number in range(int(count)):
        sock.sendto(ipv4(source, target, 50, struct.pack("!II", 0x999, number) + b"\0" * 32),
                    (target, 0))
    return 0


def main(argv):
    command, args = argv[1], argv[2:]
    if command in ("ike", "send"):
        args[2] = int(args[2])
    try:
        return {"serve": serve, "ike": ike, "send": send, "quote": quote, "frag": frag,
                "raw": raw}[command](*args)
    except OSError as error:
        print(errno.errorcode.get(error.errno, error), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
