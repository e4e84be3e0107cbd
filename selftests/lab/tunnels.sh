# SPDX-License-Identifier: GPL-2.0-or-later
#
# tunnels.sh - charon's configuration of tunnels beside the seed's.
#
# Sourced by lab.sh. What a caller gives is written before the node's charon starts,
# or loads it again.

# tunnels_dir NODE: where a node's charon finds connections; prints it.
tunnels_dir()
{
	local conf=$LAB_DIR/$1/etc/swanctl
	mkdir -p "$conf/conf.d"
	grep -qs 'include conf.d' "$conf/swanctl.conf" || echo 'include conf.d/*.conf' >>"$conf/swanctl.conf"
	echo "$conf/conf.d"
}

# tunnel_static NODE NUMBER CE GATEWAY CE-TS GATEWAY-TS SECRET: tunnel-NUMBER, a static
# tunnel like the seed's tunnel-1 but for its addresses, selectors and interface id.
tunnel_static()
{
	local like=$LAB_SRC/etc/$1/swanctl/conf.d/tunnel-1.conf
	[ -e "$like" ] || like=$LAB_SRC/etc/SeGW-1/swanctl/conf.d/tunnel-1.conf
	sed -e "s|tunnel-1|tunnel-$2|; s|0x10001|0x1000$2|; s|\"ALU\"|\"$7\"|" \
		-e "s|10\.10\.10\.1|$3|; s|10\.10\.20\.1|$4|" \
		-e "s|192\.168\.1\.1/32|$5|; s|192\.168\.2\.1/32|$6|" \
		"$like" >"$(tunnels_dir "$1")/tunnel-$2.conf"
}
