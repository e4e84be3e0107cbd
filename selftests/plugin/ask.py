# SPDX-License-Identifier: GPL-2.0-or-later
"""ask.py NODE COMMAND: send a command without arguments; exit 0 if it succeeds."""
import sys

import vici

with open("/lab/%s/pid" % sys.argv[1]) as pid:
    path = "/proc/%s/root/run/charon.vici" % pid.read().strip()
try:
    print(vici.Client(path).call(sys.argv[2]))
except RuntimeError as error:
    print(error)
    sys.exit(1)
