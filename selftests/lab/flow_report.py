#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Outage and loss between the two ends of a flow, within a time window.

usage: flow_report.py --a NAME FILE --b NAME FILE [--from SECONDS] [--to SECONDS]
       [--json]

Times are Unix seconds. A packet counts in the window if it was sent in it.
The gap is the longest time between two arrivals at one end in the window,
less the usual interval; an end that stopped getting packets counts up to the
window's end. Prints one line a direction: "A > B: sent N lost N gap N ms"; --json
tells more, as when the first lost ones were sent (lost_ms, after --from).
"""

import argparse
import json
import sys

INTERVAL_US = 10_000


def load(path):
    sent, got = {}, []
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            part = line.split()
            try:
                if part[0] in ("s", "e"):
                    sent[int(part[1])] = int(part[2])
                elif part[0] == "r" and len(part) == 4:
                    got.append((int(part[1]), int(part[2]), int(part[3])))
            except (IndexError, ValueError):
                continue    # the line being written right now
    return sent, got


def direction(sent, got, start, end):
    inside = {seq for seq, t in sent.items() if start <= t <= end}
    arrived, times, double = set(), [], 0
    for seq, t_sent, t_got in got:
        if seq in inside:
            double += seq in arrived
            arrived.add(seq)
        if start <= t_got <= end:
            times.append(t_got)
    times.sort()
    marks = [start] + times + [end] if times else [start, end]
    gap, gap_at = 0, start
    for before, after in zip(marks, marks[1:]):
        if after - before > gap:
            gap, gap_at = after - before, before
    # Seen from outside, the first interval without a packet is no outage.
    outage = max(0, gap - INTERVAL_US) if gap > 2 * INTERVAL_US else 0
    return {
        "sent": len(inside),
        "lost": len(inside - arrived),
        "lost_ms": [round((sent[seq] - start) / 1000) for seq in sorted(inside - arrived)[:20]],
        "duplicates": double,
        "gap_ms": round(outage / 1000),
        "gap_from": gap_at / 1e6,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--a", nargs=2, required=True)
    parser.add_argument("--b", nargs=2, required=True)
    parser.add_argument("--from", dest="start", type=float, default=0)
    parser.add_argument("--to", dest="end", type=float, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    sent_a, got_a = load(args.a[1])
    sent_b, got_b = load(args.b[1])
    if not sent_a or not sent_b:
        sys.exit("flow_report: an end has sent nothing")
    start = int(args.start * 1e6) or min(min(sent_a.values()), min(sent_b.values()))
    end = int(args.end * 1e6) or max(max(sent_a.values()), max(sent_b.values()))
    result = {
        f"{args.a[0]} > {args.b[0]}": direction(sent_a, got_b, start, end),
        f"{args.b[0]} > {args.a[0]}": direction(sent_b, got_a, start, end),
    }
    if args.json:
        print(json.dumps(result))
        return
    for name, r in result.items():
        print(f"{name}: sent {r['sent']} lost {r['lost']} outage {r['gap_ms']} ms"
              + (f" duplicates {r['duplicates']}" if r["duplicates"] else ""))


main()
