#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# test_gate.sh - the plugin loads into the charon it was built for, and refuses
# any other with a message that says why; charon itself goes on. Nothing leaves
# before the agent spoke, nothing from a passive group, and with output commit
# nothing before the standby has it, nor before the limit what no record can hold;
# wrong commands change nothing; a stopping charon leaves without a DELETE.

. "$(dirname "$0")/common.sh"

log() { cat "$LAB_DIR/$1/log/charon.log"; }

plugin_up || exit 1
check "charon starts with the plugin" plugin_fresh A
check "it says that its gate is closed" eval 'log A | grep -q "mcipsec: version .*, sending gate closed"'
check "its commands are there" python3 "$plugin_here/ask.py" A mcipsec-version

# the same plugin, as if it had been built for another version
plugin=/proc/$(node_pid B)/root/usr/lib/ipsec/plugins/libstrongswan-mcipsec.so
version=$(python3 -c 'import re, sys
print(re.search(rb"\0(\d+\.\d+\.\d+)\0", open(sys.argv[1], "rb").read())[1].decode())' "$plugin")
another=${version%?}7
cp "$plugin" /tmp/plugin.so
python3 - "$plugin" "$version" "$another" <<-'END'
	import os, sys
	data = open(sys.argv[1], "rb").read()
	own, another = (b"\0" + arg.encode() + b"\0" for arg in sys.argv[2:])
	assert own in data
	os.unlink(sys.argv[1])
	open(sys.argv[1], "wb").write(data.replace(own, another))
END
check "charon starts with a plugin of another version" plugin_fresh B
check "the plugin is not loaded, and says why" eval \
	'log B | grep -q "mcipsec: not loaded, this charon is strongSwan $version, but the plugin is built for strongSwan $another"'
check_not "its commands are not there" python3 "$plugin_here/ask.py" B mcipsec-version
cp /tmp/plugin.so "$plugin"
[ "$tap_failed" -eq 0 ] || plugin_status=1

plugin_part gate gate.py
plugin_part unfit unfit.py
plugin_end
