#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of the comparison (measure.sh) from what its guests left behind.

usage: peers.py [--json FILE] [--svg FILE] DIR...

Prints the table. Each DIR is the results folder of one guest. Everything is taken
from what crossed the wire or arrived, of each switchover between its beginning (t0)
and the moment when nothing was to be done any more (t2):

  outage    of a tunnel: the longest time without a packet at either end, less the
            usual interval; 0 if it was not longer than two of those
  anew      tunnels whose customer was seen in an IKE_SA_INIT or IKE_AUTH
  lost      packets of all flows, both ways
  whole     from the beginning to the end of the last tunnel's outage
  IKE       messages at the switch, both ways, those sent again included

A tunnel from which nothing came at the end has an outage of more than what was
watched: ">". The quiet time before each switchover is evaluated alike and called
"none": what the instrument and the emulation add.
"""

import argparse
import collections
import json
import math
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "lab"))
import capture  # noqa: E402  (its packets() reads the pcap)

GATEWAY = "10.10.20.1"
SIDES = {"cold": "keepalived only", "ha": "strongSwan ha", "mcipsec": "mcipsec"}
EVENTS = {"none": "no switchover", "planned": "planned switchover", "power": "power loss of the master"}
AUTHENTICATION = 34, 35     # IKE_SA_INIT, IKE_AUTH
END = 2.0       # s: an end that got nothing for so long is not whole


class Flows:
    """One end's file: what it sent and what it got, by flow."""

    def __init__(self, path):
        self.sent = collections.defaultdict(dict)
        self.got = collections.defaultdict(list)
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                part = line.split()
                if len(part) == 5 and part[0] == "r":
                    self.got[int(part[1])].append((int(part[2]), int(part[4]) / 1e6))
                elif len(part) >= 4 and part[0] in "se":
                    self.sent[int(part[1])][int(part[2])] = int(part[3]) / 1e6


def direction(sent, got, start, end, interval):
    """Of one flow: (outage in s, its end or None, packets lost)."""
    # What was sent in the last half second may still be under way.
    inside = {seq for seq, when in sent.items() if start <= when <= end - 0.5}
    lost = len(inside - {seq for seq, _ in got})
    times = sorted(when for _, when in got if start <= when <= end)
    if not times or end - times[-1] > END:
        last = times[-1] if times else start
        return end - last, None, lost
    gap, ends = max((b - a, b) for a, b in zip([start] + times, times))
    return (gap - interval, ends, lost) if gap > 2 * interval else (0.0, start, lost)


def window(ce, p1, tunnels, start, end, interval):
    """Of all tunnels: outages, how many are not whole, when the last one was, packets lost."""
    outages, broken, whole, lost = [], 0, 0.0, 0
    longest = [0.0, 0.0]
    for flow in range(1, tunnels + 1):
        both = [direction(ce.sent[flow], p1.got[flow], start, end, interval),
                direction(p1.sent[flow], ce.got[flow], start, end, interval)]
        longest = [max(known, outage) for known, (outage, _, _) in zip(longest, both)]
        outages.append(max(outage for outage, _, _ in both))
        lost += sum(n for _, _, n in both)
        if any(ends is None for _, ends, _ in both):
            broken += 1
            whole = end - start
        else:
            whole = max(whole, *(ends - start for _, ends, _ in both))
    return {"outages_s": [round(o, 4) for o in outages], "from_ce_s": round(longest[0], 4), "to_ce_s": round(longest[1], 4), "not_whole": broken, "whole_s": round(whole, 4),
            "lost": lost, "watched_s": round(end - start, 3)}


def ike(path, start, end):
    exchanges, anew = collections.Counter(), set()
    for _, _, source, target, kind, fields, _ in capture.packets(path, start, end):
        if kind == "ike":
            exchanges[capture.EXCHANGES.get(fields[2], str(fields[2]))] += 1
            if fields[2] in AUTHENTICATION:
                anew.add(target if source == GATEWAY else source)
    return {"ike": sum(exchanges.values()), "exchanges": dict(exchanges), "anew": len(anew)}


def evaluate(folder):
    """Each switchover of a guest, and what was before it."""
    for events in sorted(folder.glob("*.events")):
        side = events.stem
        ce, p1 = (Flows(folder / f"{side}.{end}.flows") for end in ("ce1", "p1"))
        for line in events.read_text().splitlines():
            e = json.loads(line)
            interval = e["interval_ms"] / 1e3
            for event, start, end in ("none", e["t0"] - e["warm"], e["t0"]), (e["event"], e["t0"], e["t2"]):
                yield {"side": side, "tunnels": e["tunnels"], "event": event, "repetition": e["repetition"],
                       "from": e["from"], "interval_ms": e["interval_ms"], "oseq": e["oseq"],
                       "stock_ce": bool(e["stock_ce"]), "relaxed": bool(e.get("relaxed")) and side == "mcipsec",
                       "settled": e["settled"], "asleep": e.get("asleep", 0),
                       **window(ce, p1, e["tunnels"], start, end, interval),
                       **ike(folder / f"{side}.pcap", start, end)}


def rank(values, share):
    """The smallest value that so large a share does not exceed."""
    values = sorted(values)
    return values[max(0, math.ceil(share * len(values)) - 1)]


def rows(events):
    """What belongs together, in the order of the table."""
    groups = collections.defaultdict(list)
    for e in events:
        groups[e["stock_ce"], list(EVENTS).index(e["event"]), e["tunnels"], list(SIDES).index(e["side"]), e["relaxed"]].append(e)
    for key in sorted(groups):
        group = groups[key]
        outages = [o * 1e3 for e in group for o in e["outages_s"]]
        yield {"event": group[0]["event"], "tunnels": group[0]["tunnels"], "side": group[0]["side"],
               "stock_ce": group[0]["stock_ce"], "relaxed": group[0]["relaxed"],
               "repetitions": len(group),
               "outage_ms": {"median": round(rank(outages, 0.5)), "p95": round(rank(outages, 0.95)), "max": round(max(outages))},
               "anew": sum(e["anew"] for e in group), "of": sum(e["tunnels"] for e in group),
               "lost": rank([e["lost"] for e in group], 0.5),
               "whole_s": {"median": rank([e["whole_s"] for e in group], 0.5), "max": max(e["whole_s"] for e in group)},
               "ike": rank([e["ike"] for e in group], 0.5),
               "not_whole": sum(e["not_whole"] for e in group),
               "not_settled": sum(not e["settled"] for e in group),
               "asleep": sum(e["asleep"] > 0 for e in group),
               "interval_ms": group[0]["interval_ms"],
               "from_ce_ms": round(1e3 * max(e["from_ce_s"] for e in group)),
               "to_ce_ms": round(1e3 * max(e["to_ce_s"] for e in group)),
               "oseq": max(e["oseq"] for e in group)}


HEAD = ("switchover", "tunnels", "side", "n", "outage: median", "p95", "max", "anew", "lost", "whole after", "IKE")


def cells(row):
    more = ">" if row["not_whole"] else ""
    outage = row["outage_ms"]
    whole = row["whole_s"]["median"]
    return (row["event"] + (" (CE as shipped)" if row["stock_ce"] else ""), str(row["tunnels"]), row["side"] + ("*" if row["relaxed"] else ""),
            str(row["repetitions"]), f"{outage['median']} ms",
            f"{outage['p95']} ms", f"{more}{outage['max']} ms", f"{row['anew']} of {row['of']}", str(row["lost"]),
            f"{more}{whole:.1f} s", str(row["ike"]))


def table(all_rows):
    lines = [HEAD] + [cells(r) for r in all_rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    left = 0, 2
    out = []
    for number, line in enumerate(lines):
        out.append("  ".join(c.ljust(w) if i in left else c.rjust(w)
                             for i, (c, w) in enumerate(zip(line, widths))).rstrip())
        if number == 0:
            out.append("  ".join("-" * w for w in widths))
    return "\n".join(out)


# ---- the plot ---------------------------------------------------------------------------
COLOURS = {"cold": "#b3541e", "ha": "#7a6a00", "mcipsec": "#1f5fa8"}
LEFT, WIDTH, LINE, LOW, HIGH = 230, 520, 22, 1, 6     # decades: 10 ms to 1000 s


def place(ms):
    """A logarithmic axis; what is below its left end lies on it."""
    return LEFT + (min(max(math.log10(max(ms, 1e-9)), LOW), HIGH) - LOW) / (HIGH - LOW) * WIDTH


def svg(all_rows):
    body, y = [], 30

    def text(x, y, words, more=""):
        body.append(f'<text x="{x:.0f}" y="{y:.0f}" {more}>{words}</text>')

    text(10, 18, "Outage of a tunnel: median (dot), 95 % (bar), longest (end of the line)", 'font-weight="bold"')
    for event, title in EVENTS.items():
        lines = [r for r in all_rows if r["event"] == event and event != "none"]
        if not lines:
            continue
        y += 20
        text(10, y, title, 'font-weight="bold"')
        top = y + 6
        for row in lines:
            y += LINE
            colour, outage = COLOURS[row["side"]], row["outage_ms"]
            name = f"{SIDES[row['side']]}{'*' * row['relaxed']}, {row['tunnels']}" + (", CE as shipped" if row["stock_ce"] else "")
            text(LEFT - 10, y + 4, name, f'text-anchor="end" fill="{colour}"')
            a, b, c = (place(outage[k]) for k in ("median", "p95", "max"))
            body.append(f'<g stroke="{colour}" fill="{colour}" stroke-width="2"><line x1="{a:.1f}" y1="{y}" x2="{c:.1f}" y2="{y}"/>'
                        f'<line x1="{b:.1f}" y1="{y - 5}" x2="{b:.1f}" y2="{y + 5}"/><circle cx="{a:.1f}" cy="{y}" r="4"/></g>')
            label = f"{'&gt;' if row['not_whole'] else ''}{outage['max']} ms"
            text(max(c, b) + 9, y + 4, label, 'font-size="11"')
        y += 12
        for decade in range(LOW, HIGH + 1):
            x = place(10 ** decade)
            body.insert(0, f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{y}" stroke="#ddd"/>')
            text(x, y + 14, f"{10 ** decade} ms" if decade < 3 else f"{10 ** (decade - 3)} s",
                 'text-anchor="middle" font-size="11" fill="#555"')
        y += 26
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 110}" height="{y}" '
            'font-family="sans-serif" font-size="13">\n<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n'
            '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n")


# ---- all of it -------------------------------------------------------------------------------
def notes(folders, events, all_rows):
    """What a reader has to know, each line once."""
    known = {}
    for folder in folders:
        for path in sorted(folder.glob("*.lacks")):
            known[f"{path.stem}: could not run: {path.read_text().strip()}"] = None
        if (folder / "versions").exists():
            known["; ".join((folder / "versions").read_text().split("\n")).rstrip("; ")] = None
        if (folder / "command").exists():
            known["again: " + (folder / "command").read_text().strip()] = None
    for n in sorted({e["tunnels"] for e in events}):
        interval = next(e["interval_ms"] for e in events if e["tunnels"] == n)
        known[f"load with {n} tunnel{'s' * (n > 1)}: a packet each way in each every {interval} ms"] = None
    if any(row["relaxed"] for row in all_rows):
        known["mcipsec*: with the timers of a machine that runs other guests, too: BFD 1 s x 4, keep-alives 1.5 s x 3"] = None
    for row in all_rows:
        if row["side"] == "ha" and row["event"] != "none":
            known[f"ha, {row['event']}, {row['tunnels']}: longest outage from the customers {row['from_ce_ms']} ms, to them {row['to_ce_ms']} ms; "
                  f"up to {row['oseq']} packets had been sent under one SA before"] = None
        if row["asleep"] and row["event"] != "none":
            known[f"{row['side']}, {row['event']}, {row['tunnels']}: in {row['asleep']} of {row['repetitions']} switchovers a gateway found that it "
                  "had not run for a while: there the emulation stood still"] = None
        if row["not_whole"] or row["not_settled"] and row["event"] != "none":
            known[f"{row['side']}, {row['event']}, {row['tunnels']}: {row['not_whole']} of {row['of']} tunnels were not whole at the end, "
                  f"{row['not_settled']} of {row['repetitions']} switchovers had not come to rest"] = None
    return list(known)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--svg", type=pathlib.Path)
    args = parser.parse_args()
    events = [e for folder in args.folders for e in evaluate(folder)]
    if not events:
        sys.exit("peers.py: no switchover was measured")
    all_rows = list(rows(events))
    remarks = notes(args.folders, events, all_rows)
    print(table(all_rows))
    print()
    for line in remarks:
        print(line)
    if args.json:
        args.json.write_text(json.dumps({"notes": remarks, "rows": all_rows,
                                         "switchovers": events}, indent=1) + "\n")
    if args.svg:
        args.svg.write_text(svg(all_rows))


if __name__ == "__main__":
    main()
