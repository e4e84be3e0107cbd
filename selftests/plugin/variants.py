# SPDX-License-Identifier: GPL-2.0-or-later
"""One tunnel of each kind through one takeover. See test_variants.sh.

Every variant is a connection of its own, with an address of its own at the peer;
all are set up through A, synced, taken over by B at once, rekeyed, and handed
back.
"""
from driver import *
import x509

V4, V6 = "10.0.0.1", "fd00::1"


class Variant:
    """conn, local, remote, child: further lines of the gateway's configuration
    and of the peer's, by section."""

    def __init__(self, name, ike="aes128gcm16-prfsha256-x25519", esp="aes128gcm16-x25519", outer=4, inner=(4,),
                 children=None, gateway=None, peer=None, seen=None, addr=None):
        self.name, self.ike, self.esp, self.outer = name, ike, esp, outer
        self.seen, self.addr = seen, addr
        self.inner = inner
        self.children = children
        self.gateway, self.peer = gateway or {}, peer or {}

    def number(self, number):
        self.index = number
        self.addr = self.addr or ("10.0.0.%d" % (20 + number) if self.outer == 4 else "fd00::%d" % (20 + number))
        self.seen = self.seen or self.addr
        self.pairs = [(("10.2.%d.%d/32", "10.1.%d.%d/32") if family == 4 else ("fd02:%d::%d/128", "fd01:%d::%d/128"))
                      for family in self.inner]
        self.pairs = [(a % (number, i + 1), b % (number, i + 1)) for i, (a, b) in enumerate(self.pairs)]
        if self.children == "host":
            self.pairs = [(V4 + "/32", self.addr + "/32")]

    def text(self, node):
        mine = node == "peer"
        extra = self.peer if mine else self.gateway
        gate, far = (V4 if self.outer == 4 else V6), (self.addr if mine else self.seen)
        lines = ["%s {" % self.name, "version = 2", "mobike = no", "proposals = " + self.ike,
                 "local_addrs = " + (far if mine else gate),
                 "remote_addrs = " + (gate if mine else extra.get("remote_addrs", far)),
                 "rekey_time = 4h", "rand_time = 0"] + extra.get("conn", [])
        for side in ("local", "remote"):
            lines += [side + " {"] + extra.get(side, ["auth = psk", "id = " + ("peer" if mine == (side == "local")
                                                                              else "gw")]) + ["}"]
        lines.append("children {")
        for i, (inside, outside) in enumerate(self.pairs):
            ts = extra.get("ts") or (["local_ts = " + (outside if mine else inside),
                                      "remote_ts = " + (inside if mine else outside)])
            lines += ["%s-%d {" % (self.name, i + 1), "esp_proposals = " + self.esp, "rekey_time = 1h",
                      "rand_time = 0"] + ts + extra.get("child", []) + ["}"]
        return "\n".join(lines + ["}", "}"])

    @property
    def targets(self):
        """What the peer pings, and from where."""
        return [(inside.split("/")[0], outside.split("/")[0]) for inside, outside in self.pairs]


CERT_GW = ["auth = pubkey", "id = gw.test", "certs = gw"]
CERT_PEER = ["auth = pubkey", "id = peer.test", "certs = peer"]
PPK = ["ppk_id = ppk.test", "ppk_required = yes"]
VIP = {"conn": ["vips = 0.0.0.0"], "ts": ["remote_ts = 10.2.99.1/32"]}
POOL = {"conn": ["pools = vips"], "ts": ["local_ts = 10.2.99.1/32"]}

VARIANTS = [
    Variant("gcm256-ecp256-esn", "aes256gcm16-prfsha384-ecp256", "aes256gcm16-ecp256-esn"),
    Variant("sha384-modp2048", "aes256-sha384-modp2048", "aes256-sha384-modp2048"),
    Variant("sha512-x25519-esn", "aes128-sha512-x25519", "aes128-sha512-x25519-esn", inner=(4, 4)),
    Variant("nat", seen="10.0.0.124", gateway={"remote": ["auth = psk", "id = peer"]}),
    Variant("encap", peer={"conn": ["encap = yes"]}),
    Variant("ipv6-outer", outer=6, inner=(4, 6)),
    Variant("ipv6-inner-fragments", inner=(6,), gateway={"conn": ["fragmentation = force"]},
            peer={"conn": ["fragmentation = force"]}),
    Variant("chain-crl", gateway={"local": CERT_GW, "remote": ["auth = pubkey", "id = peer.test", "cacerts = root.der",
                                                               "revocation = strict"]},
            peer={"local": CERT_PEER, "remote": ["auth = pubkey", "id = gw.test", "revocation = strict"]}),
    Variant("cert-psk", gateway={"local": CERT_GW, "remote": ["auth = psk", "id = peer"]},
            peer={"local": ["auth = psk", "id = peer"], "remote": ["auth = pubkey", "id = gw.test"]}),
    Variant("cert-eap", gateway={"local": CERT_GW, "remote": ["auth = eap-md5", "id = %any", "eap_id = %any"]},
            peer={"local": ["auth = eap-md5", "id = outer", "eap_id = inner"],
                  "remote": ["auth = pubkey", "id = gw.test"]}),
    Variant("ppk", gateway={"conn": PPK}, peer={"conn": PPK}),
    Variant("if-id", gateway={"child": ["if_id_in = 257", "if_id_out = 257"]}),
    Variant("if-id-unique", gateway={"child": ["if_id_in = %unique", "if_id_out = %unique"]}),
    Variant("if-id-second", gateway={"child": ["if_id_in = %unique", "if_id_out = %unique"]}),
    Variant("mark", gateway={"child": ["mark_in = 0x11/0xff", "mark_out = 0x11/0xff"]}),
    Variant("mark-unique", gateway={"child": ["mark_in = %unique", "mark_out = %unique"]}),
    Variant("mark-second", gateway={"child": ["mark_in = %unique", "mark_out = %unique"]}),
    Variant("transport", children="host", gateway={"child": ["mode = transport"]},
            peer={"child": ["mode = transport"]}),
    Variant("ipcomp", gateway={"child": ["ipcomp = yes"]}, peer={"child": ["ipcomp = yes"]}),
    # the seed's older algorithms, each in an IKE_SA and in a CHILD_SA
    Variant("des-md5-modp768", "des-md5-modp768", "des-md5-modp768"),
    Variant("3des-sha1-modp1024", "3des-sha1-modp1024", "3des-sha1-modp1024"),
    Variant("aes192-sha1-modp1536", "aes192-sha1-modp1536", "aes192-sha1-modp1536"),
    Variant("aes128-sha256-modp3072", "aes128-sha256-modp3072", "aes128-sha256-modp3072"),
    Variant("roam-1", peer=dict(VIP, local=["auth = psk", "id = roam-1"], remote=["auth = psk", "id = gw"])),
    Variant("roam-2", peer=dict(VIP, local=["auth = psk", "id = roam-2"], remote=["auth = psk", "id = gw"])),
    Variant("roam-3", peer=dict(VIP, local=["auth = psk", "id = roam-3"], remote=["auth = psk", "id = gw"])),
]
ROAMING = Variant("roam", gateway=dict(POOL, remote_addrs="%any", local=["auth = psk", "id = gw"],
                                       remote=["auth = psk"]))
OLDER = ("cbc(des)", "cbc(des3_ede)", "hmac(md5)", "hmac(sha1)")     # as the kernel names them
LATE = ("roam-3", "if-id-second", "mark-second")     # come when B is active


def write(node, path, data):
    path = "/lab/%s/etc/swanctl/%s" % (node, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data if isinstance(data, bytes) else data.encode())
    os.chmod(path, 0o600)


def configuration():
    root = x509.Entity("root", None, True)
    sub = x509.Entity("sub", root, True)
    gw, peer = x509.Entity("gw.test", root), x509.Entity("peer.test", sub)
    for number, variant in enumerate(VARIANTS + [ROAMING]):
        variant.number(number + 1)
    for node in ("A", "B", "peer"):
        mine, own = node == "peer", peer if node == "peer" else gw
        # one connection of the gateways for all that roam
        shown = VARIANTS if mine else [v for v in VARIANTS if not v.name.startswith("roam-")] + [ROAMING]
        write(node, "conf.d/tunnel.conf", "connections {\n%s\n}\n" % "\n".join(v.text(node) for v in shown) +
              "secrets {\nike-1 {\nsecret = \"a test secret of no value\"\n}\n"
              "eap-1 {\nid = inner\nsecret = \"another one\"\n}\n"
              "ppk-1 {\nid = ppk.test\nsecret = \"a third one\"\n}\n}\n" +
              ("" if mine else "pools {\nvips {\naddrs = 10.1.99.0/24\n}\n}\n"))
        write(node, "x509ca/root.der", root.certificate)
        write(node, "x509/%s" % ("peer" if mine else "gw"), own.certificate)
        write(node, "ecdsa/key.der", own.key.private())
        write(node, "x509crl/root.der", root.crl())
        write(node, "x509crl/sub.der", sub.crl())
        if mine:
            write(node, "x509ca/sub.der", sub.certificate)
        out = lab(node, "swanctl", "--load-all", "--noprompt", check=False)
        tap.check("loaded connection" in out and "failed" not in out, "%s loads the configuration" % node, out)


def ip(node, lines):
    """ip commands in one go."""
    result = subprocess.run(inside(node, "ip", "-batch", "-"), input="\n".join(lines) + "\n", universal_newlines=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if result.returncode:
        raise RuntimeError("%s: %s: %s" % (node, result.stdout, lines))


def addresses():
    mine = ["addr add 10.0.0.124/24 dev eth0", "route add 10.2.99.1 dev eth0"]
    theirs = ["addr add 10.2.99.1/32 dev lo", "route add 10.1.99.0/24 dev eth0"]
    for variant in VARIANTS:
        mine.append("addr add %s%s dev eth0%s" % ((variant.addr,) + (("/24", "") if variant.outer == 4
                                                                     else ("/64", " nodad"))))
        if variant.children == "host" or variant.name.startswith("roam"):
            continue
        for inside_, outside in variant.targets:
            once = " nodad" if ":" in inside_ else ""
            mine += ["addr add %s dev lo%s" % (outside, once), "route add %s dev eth0 src %s" % (inside_, outside)]
            theirs += ["addr add %s dev lo%s" % (inside_, once), "route add %s dev eth0" % outside]
    ip("peer", mine)
    ip("A", theirs + ["addr add %s/64 dev eth0 nodad" % V6])
    ip("B", theirs)


def nat(*ports):
    """The NAT between the peer's 10.0.0.24 and the gateway; new ports: it forgot."""
    addr = by_name["nat"].addr
    lab("peer", "nft", "flush ruleset; add table ip nat; "
        "add chain ip nat out { type nat hook postrouting priority 100; }; "
        "add rule ip nat out ip saddr %s udp sport 500 snat to 10.0.0.124:%d; "
        "add rule ip nat out ip saddr %s udp sport 4500 snat to 10.0.0.124:%d" % (addr, ports[0], addr, ports[1]))
    lab("peer", "conntrack", "-F", check=False)


def ike_of(variant):
    """The peer's IKE_SA of a variant."""
    found = [sa for sa in list_sas("peer") if sa["name"] == variant.name and sa["state"] == "ESTABLISHED"]
    return found[0] if len(found) == 1 else None


def ike_spis():
    return {sa["name"]: sa["initiator-spi"] for sa in list_sas("peer")}


def esp_spis():
    """Inbound SPIs of the peer by IKE_SA, installed ones only."""
    return {sa["name"]: sorted(child["spi-in"] for child in sa.get("child-sas", {}).values()
                               if child["state"] == "INSTALLED") for sa in list_sas("peer")}


def records(gateway):
    """IKE_SA records by the peer's identity or connection, with their children."""
    with gateway.lock:
        gateway.entries.clear()
    count = int(gateway.cmd.call("mcipsec-snapshot", {"group": GROUP})["count"])
    wait_for(lambda: len(gateway.entries) >= count)
    return gateway.live("ike"), gateway.live("child")


def pings(variants, what):
    """Every variant's tunnel carries pings. After a takeover the first ones are
    dropped as repeated: nobody sets the sequence numbers here."""
    left = {(v.name,) + target for v in variants for target in targets(v)}

    def some():
        procs = []
        for key in sorted(left):
            call = inside("peer", "ping", "-s", "400", "-c", "4", "-i", "0.3", "-W", "2", "-I", key[2], key[1])
            procs.append((key, subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                                universal_newlines=True)))
        for key, proc in procs:
            if " 0 received" not in proc.communicate()[0] and proc.returncode == 0:
                left.discard(key)
        return not left

    wait_for(some, 15)
    for variant in variants:
        missing = [key[1] for key in left if key[0] == variant.name]
        tap.check(not missing, "%s: %s" % (variant.name, what), missing)


def targets(variant):
    if variant.name.startswith("roam"):
        return [("10.2.99.1", vips[variant.name])] if variant.name in vips else []
    return variant.targets


def take(old, new):
    """The addresses go from one gateway to the other."""
    for address, prefix, six in ((V4, "/24", []), (V6, "/64", ["nodad"])):
        lab(old.name, "ip", "addr", "del", address + prefix, "dev", "eth0", check=False)
        lab(new.name, "ip", "addr", "add", address + prefix, "dev", "eth0", *six, check=False)
        lab("peer", "ip", "neigh", "del", address, "dev", "eth0", check=False)
    old.group(state="passive")
    old.sink = None
    new.group(state="active")
    new.replicate_to(old)


def initiate_all(variants):
    for variant in variants:
        for i in range(len(variant.pairs)):
            child = "%s-%d" % (variant.name, i + 1)
            tap.equal(command("peer", "initiate", child=child, timeout=120000), "", "%s: set up" % child)


def settled(gateway, other):
    """Both gateways have the same, and nothing is under way."""
    def same():
        (status, mine), (_, far) = gateway.status(), other.status()
        return (mine["ike"], mine["child"]) == (far["ike"], far["child"]) == (str(len(list_sas("peer"))), str(
            sum(len(spis) for spis in esp_spis().values())))
    return wait_for(same, 40)


def interfaces():
    """What carries the traffic of interface ids and marks on the gateways."""
    links, rules = [], ["add table ip m", "add chain ip m in { type filter hook prerouting priority -150; }",
                        "add chain ip m out { type route hook output priority -150; }"]
    for record in children:
        variant, info = by_name.get(record["name"].rsplit("-", 1)[0]), record["info"]
        if info["if-id-in"] != "0":
            dev, far = "xfrm%d" % variant.index, variant.targets[0][1]
            links += ["link add %s type xfrm dev eth0 if_id %s" % (dev, info["if-id-in"]), "link set %s up" % dev,
                      "route replace %s dev %s" % (far, dev)]
        mark = int(info["mark-in"].split("/")[0])
        if mark:
            far = variant.targets[0][1]
            rules += ["add rule ip m in ip saddr { %s, %s } meta mark set %d" % (variant.addr, far, mark),
                      "add rule ip m out ip daddr %s meta mark set %d" % (far, mark)]
    for node in ("A", "B"):
        ip(node, links)
        lab(node, "nft", "; ".join(rules))


tap = Tap()
by_name = {v.name: v for v in VARIANTS}
configuration()
addresses()
nat(1500, 14500)
a, b = Gateway("A"), Gateway("B")
vips = {}
for gateway, state in ((a, "active"), (b, "passive")):
    gateway.group(state=state, commit="yes", addresses=[V4, V6], connections=[], **{"commit-limit-ms": 60000})
a.replicate_to(b)

early = [v for v in VARIANTS if v.name not in LATE]
initiate_all(early)
ikes, children = records(a)
up = [v for v in early if ike_of(v)]
tap.equal([v.name for v in early if v not in up], [], "all are established")
tap.check(settled(a, b), "B has them all", (a.status(), b.status()))
tap.equal(b.counter("failed"), 0, "none failed")
tap.equal(b.kernel_spis(), a.kernel_spis(), "B's kernel has A's states")
tap.check(any(r["info"]["encap"] == "yes" for r in children), "some are in UDP", [r["info"]["encap"] for r in children])
in_kernel = lab("B", "ip", "xfrm", "state")
tap.equal([a for a in OLDER if a not in in_kernel], [], "the seed's older algorithms are in B's kernel")


def assigned():
    """Virtual addresses by IKE_SA, new ones are put on an interface of the peer."""
    found = {sa["name"]: sa["local-vips"][0] for sa in list_sas("peer") if sa.get("local-vips")}
    ip("peer", ["addr add %s dev lo" % address for address in set(found.values()) - set(vips.values())])
    return found


vips = assigned()
tap.check(len(set(vips.values())) == 2, "two peers of one connection have addresses of the pool", vips)
interfaces()
pings(up, "ping through A")

before = ike_spis(), esp_spis()
take(a, b)
pings(up, "ping goes on through B")
tap.equal((ike_spis(), esp_spis()), before, "over the same IKE_SAs and CHILD_SAs")

# the NAT forgets, the peer comes from other ports
nat(2500, 24500)
pings([by_name["nat"]], "ping after a rebinding")
tap.check(wait_for(lambda: any("10.0.0.124[24500]" in r["info"]["remote"] for r in records(b)[0])),
          "B announces the new port", [r["info"]["remote"] for r in b.live("ike")])
tap.check(wait_for(lambda: "dport 24500" in lab("A", "ip", "xfrm", "state")), "A's kernel has it",
          lab("A", "ip", "xfrm", "state"))

# rekeys: CHILD_SAs from B, IKE_SAs from the peer
for record in records(b)[1]:
    result = b.cmd.call("mcipsec-rekey", {"group": GROUP, "key": record["key"]})["result"]
    if result != "queued":
        tap.check(False, "%s: B begins a rekey" % record["name"], result)
for variant in up:
    tap.check(wait_for(lambda: len(esp_spis()[variant.name]) == len(before[1][variant.name]) and
                       not set(esp_spis()[variant.name]) & set(before[1][variant.name]), 60),
              "%s: rekeyed by B" % variant.name, (before[1][variant.name], esp_spis()[variant.name]))
for variant in up:
    command("peer", "rekey", ike=variant.name)
for variant in up:
    tap.check(wait_for(lambda: ike_of(variant) and ike_of(variant)["initiator-spi"] != before[0][variant.name], 60),
              "%s: IKE_SA rekeyed by the peer" % variant.name, ike_spis())
pings(up, "ping over the new SAs")

# an address of the pool is not handed out twice, an interface id or a mark neither
late = [by_name["roam-3"]]
initiate_all([by_name[name] for name in LATE])
vips = assigned()
tap.check(len(vips) == 3 and len(set(vips.values())) == 3, "B hands out an address that nobody has", vips)
pings(late, "ping")
ikes, children = records(b)
for what in ("if-id-in", "mark-in"):
    values = [r["info"][what] for r in children if int(r["info"][what].split("/")[0])]
    tap.check(len(values) == len(set(values)) == 3, "every %s is there once" % what, values)

# and back
tap.check(settled(b, a), "A has what B has", (b.status(), a.status()))
tap.equal(a.counter("failed"), 0, "none failed")
back = up + late
before = ike_spis(), esp_spis()
take(b, a)
pings(back, "ping through A again")
tap.equal((ike_spis(), esp_spis()), before, "over the same IKE_SAs and CHILD_SAs")
tap.end()
