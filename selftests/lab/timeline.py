#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who did what when around a switchover, from the logs of several nodes.

usage: timeline.py --from S --to S [--json] NODE LOG-DIR [NODE LOG-DIR ...]

Reads in each folder, where it is: monitor.out (`mcipsec -j monitor`),
ip-monitor.out (`ip -ts -o monitor`) and charon.log. Prints one line an event:
milliseconds after --from, the part (agent, vrrp, route, charon), the node, what.
"""

import argparse
import datetime
import json
import os
import re
import sys

VRRP_ADDRESS = "172.16.1.254/"
CE_PREFIX = re.compile(r"(Deleted )?(192\.168\.1\.1|10\.10\.20\.1) ")
CHARON = re.compile(r"^(\d\d):(\d\d):(\d\d)\.(\d{3}) \d+\[(\w+)\] (.*)")
IP = re.compile(r"^\[([-0-9T:.]+)\]\s*(.*)")


def lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError:
        return


def agent(path):
    for line in lines(path):
        try:
            event = json.loads(line)
            when = float(event["time"])
        except (ValueError, KeyError, TypeError):
            continue
        yield when, "agent", f"{event.get('event', '?')}: {event.get('text', '')}"


def kernel_log(path):
    for line in lines(path):
        match = IP.match(line)
        if not match:
            continue
        when = datetime.datetime.fromisoformat(match[1]).replace(tzinfo=datetime.timezone.utc)
        text = re.sub(r"\s+", " ", match[2].replace("\\", " "))
        if VRRP_ADDRESS in text and "inet" in text:
            verb = "loses" if "Deleted" in text else "takes"
            yield when.timestamp(), "vrrp", f"{verb} 172.16.1.254"
        elif CE_PREFIX.match(text.replace("[ROUTE]", "")):
            yield when.timestamp(), "route", text[:90]


def charon(path, day):
    for line in lines(path):
        match = CHARON.match(line)
        if not match or not re.search(r"mcipsec|rekey|IKE_SA .* state change", match[6]):
            continue
        h, m, s, ms = (int(x) for x in match.groups()[:4])
        yield day + h * 3600 + m * 60 + s + ms / 1000, "charon", match[6][:100]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", dest="start", type=float, required=True)
    parser.add_argument("--to", dest="end", type=float, required=True)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("nodes", nargs="+")
    args = parser.parse_args()

    day = args.start - args.start % 86400
    events = []
    for node, folder in zip(args.nodes[::2], args.nodes[1::2]):
        for when, part, text in (
            *agent(os.path.join(folder, "monitor.out")),
            *kernel_log(os.path.join(folder, "ip-monitor.out")),
            *charon(os.path.join(folder, "charon.log"), day),
        ):
            if args.start <= when <= args.end:
                events.append((when, part, node, text))
    events.sort()
    if args.json:
        print(json.dumps([{"ms": round((e[0] - args.start) * 1000), "part": e[1], "node": e[2],
                           "text": e[3]} for e in events]))
        return
    for when, part, node, text in events:
        print(f"{(when - args.start) * 1000:+7.0f} ms  {part:6}  {node:6}  {text}")


main()
