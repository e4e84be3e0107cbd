#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the books of a long test: what crossed the wire, read once, asked often.

usage: ledger.py GATEWAY-ADDRESS CE-ADDRESS PUBLIC.pcap INNER.pcap A.flow B.flow

A line on stdin is a question, the answer is one line of JSON:

  node NAME MAC      packets from MAC are NAME's from now on
  wire FROM          since the last such question: packets, reused, repeated (I3,
                     as capture.py counts them, against all there ever was);
                     since FROM: who sent from the gateway address, in order
                     ("turns"), and the exchanges of CE-ADDRESS
  unasked FROM OFFSET NAME=LOG...
                     turns since FROM, but for the first, whose sender's agent did
                     not say (in LOG, OFFSET seconds behind) that it was acting master
  case FROM          forget the flow and the exchanges before FROM
  flow FROM TO       packets sent in between and lost, longest silence at each end

Files are read on from where the last question ended. Times are Unix seconds.
A turn is a run of packets of one sender: without a switchover there is one. A turn
that nobody asked for was sent by a node that was not master (I5).
"""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
import capture  # noqa: E402  (found by the line above)


class Flow:
    """One end's file: what it sent, and when what came."""

    def __init__(self, path):
        self.path, self.offset = path, 0
        self.sent, self.got = {}, {}

    def read(self):
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.offset += len(line)
                part = line.split()
                if part[0] == b"r":
                    self.got[int(part[1])] = int(part[3])
                else:
                    self.sent[int(part[1])] = int(part[2])


CHANGE = re.compile(r"^\[ *([0-9.]+)\].*(?:MasterStateChg .* to (\w+):|(mcipsecd runs))")
LATE = 2    # seconds: how much later than a packet an agent may say what it became


def terms(path, offset):
    """From when to when an agent says that it was acting master. The end of one that was
    killed is not known: its term counts for what began with it."""
    out, since = [], None
    with open(path, encoding="utf-8", errors="replace") as file:
        for match in filter(None, map(CHANGE.match, file)):
            when, acting = float(match[1]) + offset, match[2] in ("master", "eligible")
            if acting and since is None:
                since = when
            elif not acting and since is not None:
                out.append((since, since if match[3] else when))
                since = None
    return out + ([(since, float("inf"))] if since is not None else [])


def direction(sender, receiver, start, end):
    inside = [seq for seq, when in sender.sent.items() if start <= when <= end]
    times = [start] + sorted(when for when in receiver.got.values() if start <= when <= end) + [end]
    return {"sent": len(inside), "lost": sum(seq not in receiver.got for seq in inside),
            "silent_ms": round(max(b - a for a, b in zip(times, times[1:])) / 1000)}


class Ledger:
    def __init__(self, gateway, customer, public, inner, a, b):
        self.gateway, self.customer = gateway, customer
        self.files = [capture.Capture(public), capture.Capture(inner)]
        self.flows = [Flow(a), Flow(b)]
        self.numbers = capture.Numbers()
        self.names, self.turns, self.exchanges = {}, [], []

    def node(self, name, mac):
        self.names[mac] = name
        return {"node": name}

    def read(self):
        for number, file in enumerate(self.files):
            for when, mac, source, target, kind, fields, body in file.packets():
                if kind == "esp":
                    self.numbers.take(number, when, mac, target, fields, body)
                if number:
                    continue
                if source == self.gateway:
                    self.sent(when, self.names.get(mac, mac))
                if kind == "ike" and self.customer in (source, target):
                    self.exchanges.append((when, capture.EXCHANGES.get(fields[2], str(fields[2]))))

    def sent(self, when, name):
        if self.turns and self.turns[-1][0] == name:
            self.turns[-1][2] = when
            self.turns[-1][3] += 1
        else:
            self.turns.append([name, when, when, 1])

    def wire(self, start):
        self.read()
        exchanges = {}
        for when, name in self.exchanges:
            if when >= float(start):
                exchanges[name] = exchanges.get(name, 0) + 1
        numbers = {**self.numbers.count, "examples": self.numbers.examples[:3]}
        self.numbers.count = dict.fromkeys(self.numbers.count, 0)
        self.numbers.examples = []
        return {**numbers, "exchanges": exchanges,
                "turns": [turn for turn in self.turns if turn[2] >= float(start)]}

    def unasked(self, start, offset, *logs):
        said = {name: terms(path, float(offset)) for name, path in (log.split("=", 1) for log in logs)}
        ended, out = {}, []
        for number, turn in enumerate(turn for turn in self.turns if turn[2] >= float(start)):
            name, first, last, _ = turn
            if number and not any(ended.get(name, 0) < rose <= first + LATE or rose <= first + LATE and last <= fell + LATE
                                  for rose, fell in said.get(name, [])):
                out.append(turn)
            ended[name] = last
        return {"unasked": out}

    def flow(self, start, end):
        for flow in self.flows:
            flow.read()
        a, b = self.flows
        window = int(float(start) * 1e6), int(float(end) * 1e6)
        return {"out": direction(a, b, *window), "in": direction(b, a, *window)}

    def case(self, start):
        """A case begins: what was before is not asked for any more."""
        for flow in self.flows:
            flow.read()
            flow.sent = {seq: when for seq, when in flow.sent.items() if when >= float(start) * 1e6}
            flow.got = {seq: when for seq, when in flow.got.items() if when >= float(start) * 1e6}
        self.turns = self.turns[-1:]
        self.exchanges = []
        return {}


def main():
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    ledger = Ledger(*sys.argv[1:])
    for line in sys.stdin:
        word, *args = line.split()
        print(json.dumps(getattr(ledger, word)(*args)), flush=True)


if __name__ == "__main__":
    main()
