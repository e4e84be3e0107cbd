#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# hello.sh - the smallest guest script: what kernel, what came along, can it
# write results, can it load what the lab needs. `selftests/qemu/run.sh
# selftests/qemu/hello.sh` shows whether the runner works at all.

set -eu
uname -a
echo "up for $(cut -d' ' -f1 /proc/uptime) s; args: $*"
df -h / /mcipsec /results | sed 's/^/# /'
free -m | sed 's/^/# /'
for m in esp4 esp4_offload xfrm_interface vrf ip_gre veth bridge dummy xfrm_user af_key; do
	modprobe "$m" && echo "ok - modprobe $m"
done
dpkg-query -W charon-systemd keepalived bird2
echo hello >/results/hello
