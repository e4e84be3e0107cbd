#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn what capture.sh recorded, and the lab's own files, into seeds.

usage: seeds.py CAPTURE FOLDER      CAPTURE: read.strace; writes FOLDER/TARGET/*

Each fuzzer's input has its own frame around the bytes (a parser's number, a length):
the head of tests/fuzz/TARGET.cpp says which. Prints how many seeds each got.
"""

import glob
import hashlib
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "../..")
MIMP_PORT, BFD_PORT, MAC = 7655, 4784, 32
CALL = re.compile(r"^(?:\d+ +)?(\w+)\((\d+)<(.*)$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>")
DUMP = re.compile(r"^ \| [0-9a-f]{5}  ((?:[0-9a-f]{2} {1,2})+)")

# Requests of the control socket, and words of the command line, that the capture lacks.
REQUESTS = [
    b'{"command":["show","redundancy","multi-chassis","mc-ipsec","peer","2001:DB8::2","tunnel-group","1"]}',
    b'{"command":["show","ipsec","tunnel","t"],"args":{"from":1,"limit":2}}',
    b'{"command":["switchover","status","1"]}', b'{"command":["monitor"]}', b'{"command":["reload"]}',
    b'{"command":["admin","redundancy","peer","192.0.2.2","mc-ipsec","tunnel-group","1","shutdown"]}',
    b'{"command":["admin","redundancy","peer","192.0.2.2","sync","no-shutdown"]}',
    b'{"command":["tools","perform","redundancy","multi-chassis","mc-ipsec","force-switchover","tunnel-group","1"],'
    b'"args":{"to":"standby","ignore-protection-status":true}}',
]
WORDS = ["show redundancy multi-chassis mc-ipsec peer 192.0.2.2 tunnel-group 1", "show red mul sync detail", "sh isa tunnel-g 1",
         "tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 now to standby wait 5",
         "admin redundancy peer 192.0.2.2 sync shutdown", "config check /etc/f", "show log -f", "clear ipsec tunnel t"]
STATES = [b'{"version":1,"boot_id":"b","hold_until_ns":9,"groups":[{"group":1,"state":"master","generation":2,"oper_up":true,'
          b'"active_members":1,"rekeys_left":false}],"vrrp":{"V":{"state":"Master","priority":200}}}']


def reads(path):
    """(file descriptor as strace names it, bytes) of every read."""
    pending, current, data = {}, None, b""
    with open(path, errors="replace") as file:
        for line in file:
            dump = DUMP.match(line)
            if dump:
                data += bytes.fromhex(dump[1])
                continue
            if current and data:
                yield current, data
            data, current = b"", None if not line.startswith(" *") else current
            call, resumed = CALL.match(line), RESUMED.match(line)
            if resumed:
                current = pending.pop(resumed[1], None)
            elif call and line.rstrip().endswith("<unfinished ...>"):
                pending[line.split()[0]] = call[2] + "<" + call[3]
            elif call:
                current = call[2] + "<" + call[3]
    if current and data:
        yield current, data


def netlink(data):
    """(message type, payload) of each message in a buffer."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if length < 16 or length > len(data):
            return
        yield kind, data[16:length]
        data = data[(length + 3) & ~3:]


def records(message):
    """Values named `data` of a VICI message."""
    at = message.find(b"\x03\x04data")
    while at >= 0:
        (length,) = struct.unpack_from("!H", message, at + 6)
        yield message[at + 8:at + 8 + length]
        at = message.find(b"\x03\x04data", at + 8)


class Seeds:
    def __init__(self, folder):
        self.folder, self.count = folder, {}

    def add(self, target, data):
        path = os.path.join(self.folder, target, hashlib.sha1(data).hexdigest())
        if os.path.exists(path) or len(data) > 16384:
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        self.count[target] = self.count.get(target, 0) + 1


def from_capture(path, seeds):
    vici, mimp, bfd = {}, [], []
    for fd, data in reads(path):
        if "<UNIX-SEQPACKET" in fd or "<UNIX:" in fd and data[:1] == b"{":
            seeds.add("fuzz_control", b"\0" + data)
            seeds.add("fuzz_control", b"\1" + data)
        elif "<NETLINK:[ROUTE" in fd:
            for kind, payload in netlink(data):
                seeds.add("fuzz_netlink", bytes([4 if kind == 16 else 3]) + payload)
        elif "<NETLINK:[XFRM" in fd:
            for _, payload in netlink(data):
                seeds.add("fuzz_netlink", b"\2" + payload)
        elif "<NETLINK:[GENERIC" in fd:
            for kind, payload in netlink(data):
                if kind >= 32 and len(payload) > 4:
                    for parser in 0, 1:
                        seeds.add("fuzz_netlink", bytes([parser]) + payload[4:])
        elif "UNIX-STREAM" in fd:
            vici[fd.split(">(")[0][:64]] = vici.get(fd.split(">(")[0][:64], b"") + data
        elif f":{MIMP_PORT}" in fd and "UDP" in fd:
            mimp.append(data)
        elif f":{BFD_PORT}" in fd and "UDP" in fd:
            bfd.append(data)
    for stream in vici.values():
        while len(stream) > 4:
            (length,) = struct.unpack_from("!I", stream)
            packet, stream = stream[4:4 + length], stream[4 + length:]
            seeds.add("fuzz_vici", packet)
            for record in records(packet):
                seeds.add("fuzz_plugin_record", record)
    for packet in mimp:
        seeds.add("fuzz_mimp", packet)
    for packet in bfd:
        seeds.add("fuzz_bfd", packet)
    genuine = b"".join(bytes([3, len(p) - MAC]) + p[:-MAC] + b"\x07\x14" for p in mimp[:20] if len(p) - MAC < 256)
    seeds.add("fuzz_mimp_session", b"\0" + genuine)
    seeds.add("fuzz_bfd", b"".join(b"\0" + p + b"\x04\x0a" for p in bfd[:40]))


def from_files(seeds):
    def files(pattern):
        for path in sorted(glob.glob(os.path.join(TOP, pattern), recursive=True)):
            with open(path, "rb") as file:
                yield file.read()

    for parser, pattern in enumerate(
            ("selftests/lab/etc/*/mcipsec/*.toml", "selftests/lab/etc/*/swanctl/conf.d/*.conf", "keepalived-track/examples/*.conf")):
        for text in files(pattern):
            seeds.add("fuzz_config", bytes([parser]) + text)
    seeds.add("fuzz_config", b'\3{"isa.tunnel-group.1.shutdown":true}')
    for request in REQUESTS:
        seeds.add("fuzz_control", b"\0" + request)
        seeds.add("fuzz_control", b"\1" + request)
    for words in WORDS:
        seeds.add("fuzz_control", b"\3" + words.replace(" ", "\n").encode())
    for state in STATES:
        seeds.add("fuzz_control", b"\4" + state)
    seeds.add("fuzz_control", b"\5local=10.10.20.1\nremote=172.16.1.1\nspi-in=c0ffee01\nspi-out=c0ffee02\nesn=yes\nlocal-ts=a,b\n")
    seeds.add("fuzz_control", b"\6mcipsec-key-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    seeds.add("fuzz_control", b"\6XfrmInError             \t0\nXfrmInStateSeqError\t7\n")
    for text in b"192.0.2.1", b"2001:db8::1/64", b"::ffff:192.0.2.1", b"10.0.0.0/8":
        seeds.add("fuzz_control", b"\7" + text)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    seeds = Seeds(sys.argv[2])
    from_capture(sys.argv[1], seeds)
    from_files(seeds)
    for target, count in sorted(seeds.count.items()):
        print(f"{count:6} {target}")


if __name__ == "__main__":
    main()
