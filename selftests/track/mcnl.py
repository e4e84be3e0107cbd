#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""mcnl - plays the agent towards mcipsec.ko, for tests of what watches it.

usage: mcnl.py group-new GROUP ADDRESS [LEASE-ID]
       mcnl.py group-del GROUP
       mcnl.py state GROUP discovery|notEligible|eligible|standby|master
       mcnl.py lease LEASE-ID MILLISECONDS     from now; 0 or less: run out
       mcnl.py get GROUP                       state, action, lease id
       mcnl.py keep LEASE-ID MILLISECONDS      renew every third of it, until killed
       mcnl.py flood GROUP COUNT               so many changes of state, one event each

The numbers are those of include/uapi/linux/mcipsec.h, read from that file.
"""
import os
import re
import socket
import struct
import sys
import time

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "../../include/uapi/linux/mcipsec.h")
COOKIE = b"mcnl test cookie"
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_EXCL, NLM_F_CREATE = 0x200, 0x400
NLA_F_NESTED = 0x8000
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 0x10, 3
STATES = ["discovery", "notEligible", "eligible", "standby", "master"]
ACTIONS = ["blackhole", "shunt", "forward", "prepared"]


def enums(path):
    """name -> value of every enum constant in the header."""
    text = re.sub(r"/\*.*?\*/", "", open(path).read(), flags=re.S)
    values = {}
    for body in re.findall(r"enum \w+ \{(.*?)\}", text, flags=re.S):
        value = -1
        for item in body.split(","):
            name, _, given = (part.strip() for part in item.partition("="))
            if not name:
                continue
            value = int(given) if given.isdigit() else value + 1
            values[name] = value
    return values


E = enums(HEADER)


def attr(kind, data):
    kind = E["MCIPSEC_A_" + kind] if isinstance(kind, str) else kind
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def nest(kind, *parts):
    return attr(E["MCIPSEC_A_" + kind] | NLA_F_NESTED, b"".join(parts))


def u8(kind, value):
    return attr(kind, struct.pack("=B", value))


def u32(kind, value):
    return attr(kind, struct.pack("=I", value))


def u64(kind, value):
    return attr(kind, struct.pack("=Q", value))


def attrs(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3:]


class Genl:
    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.bind((0, 0))
        self.family = self.resolve()

    def talk(self, kind, command, flags, payload=b""):
        body = struct.pack("=BBH", command, 1, 0) + payload
        head = struct.pack("=IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST, 1, 0)
        self.sock.send(head + body)
        answers = []
        while True:
            data = self.sock.recv(65536)
            while len(data) >= 16:
                length, what, _, _, _ = struct.unpack_from("=IHHII", data)
                if what == 2:
                    error, = struct.unpack_from("=i", data, 16)
                    if error:
                        raise OSError(-error, os.strerror(-error))
                    return answers
                if what == 3:
                    return answers
                answers.append(dict(attrs(data[20:length])))
                data = data[(length + 3) & ~3:]

    def resolve(self):
        for family in self.talk(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_DUMP):
            if family.get(2, b"").rstrip(b"\0") == b"mcipsec":
                return struct.unpack("=H", family[1])[0]
        raise SystemExit("mcnl: mcipsec.ko is not loaded")

    def do(self, command, *parts, flags=0):
        return self.talk(self.family, E["MCIPSEC_CMD_" + command], NLM_F_ACK | flags,
                         b"".join(parts))


def address(text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return struct.pack("=16sHHI", socket.inet_pton(family, text), family, 0, 0)


def lease(genl, lease_id, milliseconds):
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    genl.do("LEASE_SET", attr("COOKIE", COOKIE), u32("LEASE_ID", lease_id),
            u64("LEASE_EXPIRY", max(1, now + milliseconds * 1000000)))


def set_state(genl, group, state):
    genl.do("STATE_SET", attr("COOKIE", COOKIE),
            nest("GROUPS", nest("GROUP", u32("GROUP_ID", group),
                                u8("STATE", STATES.index(state)))))


def main(argv):
    if len(argv) < 2:
        raise SystemExit(__doc__)
    command, number, rest = argv[0], int(argv[1]), argv[2:]
    genl = Genl()
    if command == "group-new":
        extra = [u32("LEASE_ID", int(rest[1]))] if len(rest) > 1 else []
        genl.do("GROUP_NEW", u32("GROUP_ID", number),
                nest("ADDRS", attr("ADDR", address(rest[0]))), *extra,
                flags=NLM_F_CREATE | NLM_F_EXCL)
    elif command == "group-del":
        genl.do("GROUP_DEL", u32("GROUP_ID", number))
    elif command == "state":
        set_state(genl, number, rest[0])
    elif command == "flood":
        for turn in range(int(rest[0])):
            set_state(genl, number, ("standby", "notEligible")[turn % 2])
    elif command == "lease":
        lease(genl, number, int(rest[0]))
    elif command == "keep":
        while True:
            lease(genl, number, int(rest[0]))
            time.sleep(int(rest[0]) / 3000)
    elif command == "get":
        got = genl.do("GROUP_GET", u32("GROUP_ID", number))[0]
        print(STATES[got[E["MCIPSEC_A_STATE"]][0]],
              ACTIONS[got[E["MCIPSEC_A_ACTION"]][0]],
              struct.unpack("=I", got.get(E["MCIPSEC_A_LEASE_ID"], b"\0" * 4))[0])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
