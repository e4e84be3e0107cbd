#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# shell.sh - the running topology and a shell in it (make lab-shell). The guest's
# own prompt is outside all nodes; `lab NODE CMD...` goes into one.

. "$(dirname "$0")/lab.sh"

echo "bringing up CE-1, S-1, SeGW-1, SeGW-2, P-1 ..."
topo_up && modprobe mcipsec && gateway_keys || exit 1
gateways_start
wait_for "SeGW-1 is master, SeGW-2 standby" 60 roles SeGW-1 master SeGW-2 standby
poll 30 ping_ce || echo "CE-1's tunnel is not up yet"
cat <<'EOT'

  lab                                     the nodes
  lab CE-1 ping -I vprn2 -I 192.168.1.1 192.168.2.1
  lab SeGW-1 mcipsec show redundancy multi-chassis mc-ipsec peer 192.0.2.2
  lab SeGW-1 mcipsec tools perform redundancy multi-chassis mc-ipsec force-switchover tunnel-group 1 now
  node_kill SeGW-1; node_up SeGW-1; gateway_start SeGW-1      power loss and boot
  exit                                    stops the guest

EOT
cat >/tmp/bashrc <<EOT
. "$LAB_SRC/lab.sh"
PS1='lab# '
EOT
if [ -e /results/commands ]; then	# from a pipe
	cat /tmp/bashrc /results/commands >/tmp/commands
	bash /tmp/commands </dev/null
else
	bash --rcfile /tmp/bashrc -i
fi
