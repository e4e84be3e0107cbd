#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who did what when around a switchover, from the logs of several nodes.

usage: timeline.py --from S --to S [--parts] NODE LOG-DIR [NODE LOG-DIR ...]

Reads in each folder, where it is, what observe.sh's observers wrote: monitor.out
(`mcipsec -j monitor`), module.out (`mcipsec-nl events`), ip-monitor.out
(`ip -ts -o monitor`) and charon-log.out. Prints one line an event: milliseconds
after --from, the part (detect, agent, kernel, charon, vrrp, route), the node, what.

--parts prints instead, as JSON, when each part had acted for the new master (ms,
null: never): a gateway noticed, its gate forwards, its charon acts, it took the
VRRP address, P-1 has another route.
"""

import argparse
import datetime
import json
import os
import re
import time

VRRP_ADDRESS = "172.16.1.254/"
CE_PREFIX = re.compile(r"(Deleted )?(192\.168\.1\.1|10\.10\.20\.1) ")
NOTICES = {"mcipsecBfd", "mcipsecPeer", "mcipsecMember"}
CHARON = re.compile(r"^(\d+\.\d+) \S+ \d+\[\w+\] (.*)")
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
        name = event.get("event", "?")
        yield when, "detect" if name in NOTICES else "agent", f"{name}: {event.get('text', '')}"


def module(path):
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    event, before = {}, {}
    for line in (*lines(path), "received"):
        key, _, value = line.strip().partition(" ")
        if key == "received" and {"time", "group", "state", "action"} <= event.keys():
            group, action = event["group"], event["action"]
            if action != before.get(group, action):
                yield (boot + int(event["time"]) / 1e9, "kernel",
                       f"tunnel-group {group}: {event['state']}, {before[group]} => {action}")
            before[group] = action
            event = {}
        event[key] = value


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


def charon(path):
    for line in lines(path):
        match = CHARON.match(line)
        if match and re.search(r"mcipsec|rekey|IKE_SA .* state change", match[2]):
            yield float(match[1]), "charon", match[2][:100]


PARTS = {
    "detection": lambda part, node, text: part == "detect",
    "kernel": lambda part, node, text: part == "kernel" and text.endswith("=> forward"),
    "charon": lambda part, node, text: part == "charon" and text.endswith("=> active"),
    "VRRP": lambda part, node, text: part == "vrrp" and text.startswith("takes"),
    "route": lambda part, node, text: part == "route" and node == "P-1" and "Deleted" not in text,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", dest="start", type=float, required=True)
    parser.add_argument("--to", dest="end", type=float, required=True)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("nodes", nargs="+")
    args = parser.parse_args()

    events = []
    for node, folder in zip(args.nodes[::2], args.nodes[1::2]):
        for when, part, text in (
            *agent(os.path.join(folder, "monitor.out")),
            *kernel_log(os.path.join(folder, "ip-monitor.out")),
            *module(os.path.join(folder, "module.out")),
            *charon(os.path.join(folder, "charon-log.out")),
        ):
            if args.start <= when <= args.end:
                events.append((when, part, node, text))
    events.sort()
    if args.parts:
        print(json.dumps({name: next((round((when - args.start) * 1000) for when, *what in events if acts(*what)),
                                     None) for name, acts in PARTS.items()}))
        return
    for when, part, node, text in events:
        print(f"{(when - args.start) * 1000:+7.0f} ms  {part:6}  {node:6}  {text}")


main()
