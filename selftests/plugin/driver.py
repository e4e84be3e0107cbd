# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in the agent's place in the tests of the plugin: takes records from one
charon, hands them to another one and acknowledges them.

Runs in the guest's own namespaces; a node's socket is reached by its first
process, commands run in a node with lab(). What is asked often is asked over
the socket: starting a program takes a second on a busy emulated machine.
"""
import os
import queue
import subprocess
import sys
import threading
import time
import traceback

import vici

GATEWAY, PEER, PREFIX = "10.0.0.1", "10.0.0.9", "/24"
PRIVATE, REMOTE = "10.2.0.1", "10.1.0.1"
GROUP = 1
# an emulated machine with other work is this much slower than the limits of
# wait_for() are meant for
SLOW = int(os.environ.get("SLOW", "6"))


# before the names of the tests, where a script runs several drivers
PART = os.environ.get("PART", "")


class Tap:
    def __init__(self):
        self.count = self.failed = 0
        self.start = time.monotonic()
        sys.excepthook = self.broken

    def broken(self, kind, value, trace):
        """An exception is a failed test, too."""
        traceback.print_exception(kind, value, trace)
        self.check(False, "the driver ended early", repr(value))
        self.end()

    def check(self, ok, name, detail=""):
        self.count += 1
        self.failed += not ok
        now = time.monotonic()
        print("%s %d - %s%s (%.1f s)" % ("ok" if ok else "not ok", self.count, PART and PART + ": ", name,
                                         now - self.start))
        self.start = now
        if not ok and detail != "":
            print("# %s" % (detail,))
        sys.stdout.flush()
        return ok

    def equal(self, got, want, name):
        return self.check(got == want, name, "got %r, want %r" % (got, want))

    def end(self):
        print("1..%d" % self.count)
        print("# Totals: pass:%d fail:%d skip:0" % (self.count - self.failed, self.failed))
        sys.stdout.flush()
        os._exit(1 if self.failed or not self.count else 0)


def node_pid(node):
    with open("/lab/%s/pid" % node) as pid:
        return pid.read().strip()


def inside(node, *command):
    return ["nsenter", "-t", node_pid(node), "-n", "-m", "-p", "-u", "--", *command]


def lab(node, *command, check=True, timeout=300):
    result = subprocess.run(inside(node, *command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=timeout, universal_newlines=True)
    if check and result.returncode:
        raise RuntimeError("%s: %s: %s" % (node, " ".join(command), result.stdout))
    return result.stdout


def wait_for(condition, seconds=30):
    """Poll for a true value; returns the last one."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.05)


def vici_path(node):
    return "/proc/%s/root/run/charon.vici" % node_pid(node)


def flatten(message):
    return " ".join("%s {%s}" % (key, flatten(value)) if isinstance(value, dict) else
                    "%s=%s" % (key, value) for key, value in message.items())


def list_sas(node):
    """IKE_SAs of a node's charon, one dictionary each."""
    client = vici.Client(vici_path(node), ["list-sa"])
    client.request("list-sas")
    client.close()
    found = []
    while True:
        name, event = client.events.get(timeout=client.timeout)
        if name is None:
            return found
        found += [dict(sa, name=key) for key, sa in event.items()]


def command(node, name, **message):
    """A command of charon's own; "" or what went wrong."""
    client = vici.Client(vici_path(node))
    reply = client.request(name, message)
    client.close()
    return "" if reply["success"] == "yes" else reply["errmsg"]


class Gateway:
    """A charon with the plugin, seen through its socket."""

    def __init__(self, name):
        self.name = name
        self.records, self.log, self.expired = [], [], []
        self.entries = {}
        self.sink = None
        self.auto_ack = True
        self.lock = threading.RLock()
        self.connect()

    def connect(self):
        self.path = vici_path(self.name)
        self.cmd = vici.Client(self.path)
        self.ack_cmd = vici.Client(self.path)
        self.listen()

    def listen(self):
        self.stream = vici.Client(self.path, ["mcipsec-record", "mcipsec-log", "mcipsec-held-expired"])
        threading.Thread(target=self.pump, args=(self.stream.events,), daemon=True).start()

    def pump(self, events):
        while True:
            name, event = events.get()
            if name is None:
                return
            if name == "mcipsec-log":
                self.log.append(event)
            elif name == "mcipsec-held-expired":
                self.expired.append(event)
            else:
                self.take(event)

    def take(self, record):
        key = (record["kind"], record["key"])
        with self.lock:
            self.records.append(record)
            known = self.entries.get(key)
            if known is None or int(known["version"]) < int(record["version"]):
                self.entries[key] = record
            if self.sink:
                self.sink.apply(record)
        if self.auto_ack and int(record["seq"]):
            self.ack(record["seq"])

    def ack(self, seq, **groups):
        return self.ack_cmd.request("mcipsec-ack", {"epoch": self.epoch, "seq": seq, **groups})

    @property
    def epoch(self):
        return self.cmd.call("mcipsec-version")["epoch"]

    def live(self, kind):
        with self.lock:
            return [r for (k, _), r in sorted(self.entries.items()) if k == kind and r["op"] == "upsert"]

    def import_(self, record, **changes):
        message = {name: record[name] for name in
                   ("kind", "group", "key", "parent", "lineage", "version", "name", "data")}
        message.update(changes)
        return self.cmd.request("mcipsec-import", message)

    def apply(self, record):
        if record["op"] == "delete":
            return self.cmd.request("mcipsec-delete", {name: record[name] for name in ("kind", "group", "key")})
        return self.import_(record)

    def replicate_to(self, other):
        """Everything there is, and from then on everything that changes."""
        with self.lock:
            self.sink = other
            for kind in ("ike", "child"):
                for record in self.live(kind):
                    other.apply(record)

    def group(self, **fields):
        fields.setdefault("group", GROUP)
        return self.cmd.call("mcipsec-group", fields)

    def configure(self, state, **fields):
        return self.group(state=state, addresses=[GATEWAY], connections=["tunnel"], **fields)

    def status(self):
        status = self.cmd.call("mcipsec-status")
        return status, status.get("group-%d" % GROUP, {})

    def counter(self, name):
        return int(self.status()[1][name])

    def sas(self):
        """IKE_SAs as text."""
        return sas(self.name)

    def kernel_spis(self):
        out = lab(self.name, "ip", "xfrm", "state")
        return sorted(line.split("spi ")[1].split()[0] for line in out.splitlines() if "spi " in line)


class Capture:
    """Counts what leaves a node from the gateway address, and keeps the packets."""

    def __init__(self, node, expression):
        self.node = node
        self.file = "/lab/%s/log/capture-%d.pcap" % (node, time.monotonic_ns())
        self.proc = subprocess.Popen(inside(node, "tcpdump", "-n", "-U", "--immediate-mode", "-i", "eth0",
                                            "-Q", "out", "-w", self.file,
                                            "(%s) and src host %s" % (expression, GATEWAY)),
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True)
        for line in self.proc.stderr:
            if "listening on" in line:
                break

    def packets(self):
        out = subprocess.run(["tcpdump", "-n", "-r", self.file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             universal_newlines=True).stdout
        return [line for line in out.splitlines() if line]

    def stop(self):
        self.proc.terminate()
        self.proc.wait()
        return self.packets()


def move_address(old, new):
    """Take the gateway address from one node to another; neighbours learn it."""
    if old:
        lab(old, "ip", "addr", "del", GATEWAY + PREFIX, "dev", "eth0", check=False)
    lab(new, "ip", "addr", "add", GATEWAY + PREFIX, "dev", "eth0", check=False)
    lab("peer", "ip", "neigh", "del", GATEWAY, "dev", "eth0", check=False)


def ping(count=3, wait=2):
    out = lab("peer", "ping", "-c", str(count), "-i", "0.2", "-W", str(wait), "-I", REMOTE, PRIVATE, check=False)
    return int(out.split(" received")[0].split()[-1]) if " received" in out else 0


def peer_spis():
    out = lab("peer", "ip", "xfrm", "state")
    return sorted(line.split("spi ")[1].split()[0] for line in out.splitlines() if "spi " in line)


def sas(node):
    return " ".join("%s {%s}" % (sa["name"], flatten(sa)) for sa in list_sas(node))


def peer_ike_spis():
    return [sa["initiator-spi"] for sa in list_sas("peer")]


def initiate(node="peer", timeout=120):
    return lab(node, "swanctl", "--initiate", "--child", "net", "--timeout", str(timeout), check=False)


def start(node, *command):
    """A command in a node that runs on; wait() for it."""
    return subprocess.Popen(inside(node, *command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def forget(*nodes):
    """End what earlier attempts left behind, without waiting for the peer. By number: a
    responder's half-open IKE_SA has no name yet."""
    for node in nodes:
        for sa in list_sas(node):
            lab(node, "swanctl", "--terminate", "--ike-id", sa["uniqueid"], "--force", "--timeout", "1", check=False)
        wait_for(lambda node=node: not list_sas(node))


def take_over(old, new):
    """What the agents do when `new` follows `old`, which may be dead."""
    lab(old, "ip", "addr", "del", GATEWAY + PREFIX, "dev", "eth0", check=False)
    move_address(None, new.name)
    new.group(state="active")


def deafen(on):
    """The peer's packets to the gateway address get lost, or arrive again."""
    lab("peer", "ip", "neigh", "del", GATEWAY, "dev", "eth0", check=False)
    if on:
        lab("peer", "ip", "neigh", "replace", GATEWAY, "lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", "eth0")


def stay(node, other, commit="yes"):
    """After a takeover: the old one follows the new one, and loses what is gone."""
    other.group(state="passive", commit="no")
    other.sink = None
    for gateway in node, other:
        with gateway.lock:
            gateway.entries.clear()
        count = int(gateway.cmd.call("mcipsec-snapshot", {"group": GROUP})["count"])
        wait_for(lambda: len(gateway.entries) >= count)
    for key, record in list(other.entries.items()):
        if key not in node.entries:
            other.apply(dict(record, op="delete"))
    node.replicate_to(other)
    node.auto_ack = True
    node.group(commit=commit)
