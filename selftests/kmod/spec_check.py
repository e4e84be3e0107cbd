#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the netlink specification what the header says? Both ways: each name of the
specification is compiled against the header with its value, and each name of the
header must be in the specification.

usage: spec_check.py MCIPSEC.YAML HEADER      (environment: CC)
Prints what differs; exit 1 if something does.
"""

import os
import re
import subprocess
import sys

import yaml

FAMILY = "mcipsec-"
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
# What another place of the specification says.
ELSEWHERE = {"MCIPSEC_GENL_NAME": lambda spec: spec["name"],
             "MCIPSEC_GENL_VERSION": lambda spec: spec["version"],
             "MCIPSEC_MCGRP_EVENTS": lambda spec: spec["mcast-groups"]["list"][0]["name"]}


def upper(name):
    return name.upper().replace("-", "_")


def names_of(spec):
    """(name in C, value) of everything in the specification that has one."""
    for name, value in ELSEWHERE.items():
        yield name, value(spec)
    for d in spec["definitions"]:
        prefix = d.get("name-prefix", f"{FAMILY}{d['name']}-")
        if d["type"] == "const" and upper(FAMILY + d["name"]) not in ELSEWHERE:
            yield upper(FAMILY + d["name"]), d["value"]
        elif d["type"] in ("enum", "flags"):
            for i, entry in enumerate(d["entries"], d.get("value-start", 0)):
                yield upper(prefix + entry["name"]), 1 << i if d["type"] == "flags" else i
    for attributes in spec["attribute-sets"]:
        if "subset-of" not in attributes:
            for i, attribute in enumerate(attributes["attributes"], 1):
                yield upper(attributes["name-prefix"] + attribute["name"]), i
    for i, operation in enumerate(spec["operations"]["list"], 1):
        yield upper(spec["operations"]["name-prefix"] + operation["name"]), i


def in_header(text):
    """Names with a value in the header, without those that only delimit."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    names = set(re.findall(r"#define\s+(MCIPSEC_\w+)", text))
    for body in re.findall(r"enum\s+mcipsec_\w+\s*{(.*?)}", text, flags=re.S):
        names |= {re.split(r"[\s=]", entry.strip())[0] for entry in body.split(",") if entry.strip()}
    return {n for n in names if not n.startswith("__") and not n.endswith("_UNSPEC")} - {
        "MCIPSEC_A_MAX", "MCIPSEC_CMD_MAX", "MCIPSEC_STAT_MAX"}


def program(spec, header):
    """A C program that does not compile where they differ."""
    yield f'#include "{header}"\n#include <stddef.h>\n#include <string.h>'
    checks = []
    for name, value in names_of(spec):
        if isinstance(value, str):
            checks.append((f'__builtin_strcmp({name}, "{value}") == 0', f"{name} is not {value}"))
        else:
            checks.append((f"{name} == {value}ULL", f"{name} is not {value}"))
    for d in spec["definitions"]:
        if d["type"] != "struct":
            continue
        offset, struct = 0, f"struct mcipsec_{upper(d['name']).lower()}"
        for member in d["members"]:
            field = f"{struct}, {upper(member['name']).lower()}"
            size = member["len"] if member["type"] == "binary" else SIZES[member["type"]]
            checks.append((f"offsetof({field}) == {offset}", f"{field} is not at {offset}"))
            offset += size
        checks.append((f"sizeof({struct}) == {offset}", f"{struct} has not {offset} bytes"))
    yield from (f'_Static_assert({test}, "{text}");' for test, text in checks)


def main():
    path, header = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        spec = yaml.safe_load(file)
    with open(header, encoding="utf-8") as file:
        missing = in_header(file.read()) - {name for name, _ in names_of(spec)}
    for name in sorted(missing):
        print(f"{path}: {name} of the header is missing")
    source = "\n".join(program(spec, os.path.abspath(header)))
    include = os.path.dirname(os.path.dirname(os.path.abspath(header)))
    compiled = subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-fsyntax-only", "-I", include, "-x", "c", "-"],
                              input=source, text=True, capture_output=True, check=False)
    if compiled.returncode:
        errors = [line for line in compiled.stderr.splitlines() if "error:" in line]
        print("\n".join(f"{path}: {line.split('error: ')[1]}" for line in errors) or compiled.stderr)
    return 1 if missing or compiled.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
