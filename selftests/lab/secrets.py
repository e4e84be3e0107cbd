#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Look for key material where it must not be.

usage: secrets.py collect NETNS-PID KEY-FILE PSK      the secrets of a gateway, one a
                                                      line: name and hex
       secrets.py search SECRETS PATH...              in files and folders
       secrets.py memory SECRETS PID                  in a process

SECRETS is a file that collect wrote. search knows a secret as it is, as hexadecimal
(also in groups) and as base64, and half of one as well as a whole one; it prints
name and place, never the secret, and exits 1 if there was any.
memory prints for each secret found how many copies there are and how many of them
are in pages that are not locked, or would be part of a core dump; exits 1 if one is
not locked.
"""

import base64
import os
import re
import subprocess
import sys

AUTH_PREFIX = "mcipsec-key-1:"
SALT = 4        # at the end of an AES-GCM key


def collect(pid, key_file, psk):
    out = subprocess.run(["nsenter", "-t", pid, "-n", "ip", "xfrm", "state"], check=True, capture_output=True, text=True).stdout
    spi = "?"
    for line in out.splitlines():
        if match := re.search(r"\bspi (0x[0-9a-f]+)", line):
            spi = match[1]
        if match := re.search(r"\b(?:aead|enc|auth-trunc|auth) \S+ 0x([0-9a-f]{16,})", line):
            print("sa-" + spi, match[1])
    with open(key_file) as file:
        print("authentication-key", base64.b64decode(file.read().strip()[len(AUTH_PREFIX):]).hex())
    print("psk", psk.encode().hex())


def read_secrets(path):
    with open(path) as file:
        return {name: bytes.fromhex(value) for name, value in (line.split() for line in file)}


def forms(secret):
    """All ways to write it that the search knows."""
    parts = {secret, secret[:len(secret) // 2]} if len(secret) >= 16 else {secret}
    for part in parts:
        yield part
        yield part.hex().encode()
        yield part.hex().upper().encode()
        for gap in " ", ":":
            yield part.hex(gap).encode()
            yield part.hex(gap, 4).encode()
            yield part.hex(gap, 2).encode()
        # wherever it begins in the text that is encoded; what neighbours decide is cut off
        for shift in range(3):
            text = base64.b64encode(bytes(shift) + part)
            yield text[(0, 2, 3)[shift]:-4]


def files(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, _, names in os.walk(path):
                yield from (os.path.join(folder, name) for name in names)
        else:
            yield path


def search(secrets, paths):
    wanted = [(name, form) for name, secret in secrets.items() for form in forms(secret)]
    found = count = size = 0
    for path in files(paths):
        if not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            data = file.read()
        count, size = count + 1, size + len(data)
        for name in sorted({name for name, form in wanted if form in data}):
            print(f"{name} in {path}")
            found += 1
    print(f"{len(secrets)} secrets, {count} files, {size} bytes: found {found}")
    return found == 0


def mappings(pid):
    """(start, end, flags) of what can be read."""
    with open(f"/proc/{pid}/smaps") as file:
        area = None
        for line in file:
            if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line):
                area = int(match[1], 16), int(match[2], 16)
            elif re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                area = None
            elif line.startswith("VmFlags:") and area:
                yield *area, line.split()[1:]


def memory(secrets, pid):
    copies = {}
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        for start, end, flags in mappings(pid):
            try:
                file.seek(start)
                data = file.read(end - start)
            except (OSError, ValueError):
                continue    # vvar, or gone
            for name, secret in secrets.items():
                n = data.count(secret)
                if n:
                    total, unlocked, dumped = copies.get(name, (0, 0, 0))
                    copies[name] = (total + n, unlocked + (0 if "lo" in flags else n), dumped + (0 if "dd" in flags else n))
    for name, (total, unlocked, dumped) in sorted(copies.items()):
        print(f"{name}: {total} copies, {unlocked} not locked, {dumped} in pages that a core dump has")
    print(f"found {len(copies)} of {len(secrets)} secrets")
    return all(unlocked == 0 for _, unlocked, _ in copies.values())


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "collect":
        return collect(*sys.argv[2:])
    if len(sys.argv) >= 4 and sys.argv[1] == "search":
        sys.exit(0 if search(read_secrets(sys.argv[2]), sys.argv[3:]) else 1)
    if len(sys.argv) == 4 and sys.argv[1] == "memory":
        sys.exit(0 if memory(read_secrets(sys.argv[2]), sys.argv[3]) else 1)
    sys.exit(__doc__)


if __name__ == "__main__":
    main()
