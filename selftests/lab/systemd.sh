# SPDX-License-Identifier: GPL-2.0-or-later
#
# systemd.sh - a lab node whose first process is systemd, with the product's own
# units and Debian's units of charon, keepalived and BIRD.
#
# Sourced after lib.sh, node.sh, topology.sh, daemons.sh and gateway.sh.

# systemd_prepare NODE: enable what an operator enables; nothing of the guest's
# that has no place in a node.
systemd_prepare()
{
	local etc=$LAB_DIR/$1/etc unit
	mkdir -p "$etc/systemd/system"
	for unit in console-getty.service getty.target e2scrub_reap.timer apt-daily.timer \
		apt-daily-upgrade.timer fstrim.timer dpkg-db-backup.timer systemd-networkd.service \
		systemd-tmpfiles-clean.timer systemd-logind.service; do
		ln -sf /dev/null "$etc/systemd/system/$unit"
	done
	: >"$etc/machine-id"
	echo "$1" >"$etc/hostname"
	cp /etc/bird/envvars "$etc/bird/"
	lab "$1" systemctl enable mcipsec-gate mcipsec-trackd mcipsecd strongswan keepalived bird \
		>>"$LAB_DIR/$1/log/systemd.out" 2>&1
}

# systemd_start NODE: boot it.
systemd_start()
{
	kill -USR1 "$(node_pid "$1")"
	wait_for "systemd of $1 answers" 90 active "$1" init.scope
}

# unit NODE PROPERTY UNIT
unit() { lab "$1" systemctl show --value -p "$2" "$3" 2>/dev/null; }
unit_is() { [ "$(unit "$1" "$2" "$3")" = "$4" ]; }
active() { unit_is "$1" ActiveState "$2" active; }

# entered NODE UNIT: when it became active, microseconds of CLOCK_MONOTONIC.
entered() { unit "$1" ActiveEnterTimestampMonotonic "$2"; }

# journal NODE UNIT [ARG...]
journal() { lab "$1" journalctl --no-pager -q -u "${@:2}"; }
journal_says() { journal "$1" "$2" -o cat | grep -qE -- "$3"; }
