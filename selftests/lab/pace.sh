# SPDX-License-Identifier: GPL-2.0-or-later
#
# pace.sh - how a new master rekeys the CHILD_SAs that it took over: its pace as the
# configuration has it, and what of it the wire and the operator see.
#
# Sourced after scene.sh and customers.sh.

# pace_is NODE RATE JITTER IN-FLIGHT: in its files; counts from its next start or reload.
pace_is()
{
	mkdir -p "$LAB_DIR/$1/etc/mcipsec/conf.d"
	printf '[isa.tunnel-group.1.rekey]\nrate = %s\njitter = %s\nin-flight = %s\n' "$2" "$3" "$4" \
		>"$LAB_DIR/$1/etc/mcipsec/conf.d/rekey.toml"
}

# rekeys NODE SINCE [UNTIL]: those that NODE began, as the switch saw them; see capture.py
rekeys() { capture rekeys 10.10.20.1 "$OBS_DIR/public.pcap" --mac "$(gateway_mac "$1")" --from "$2" ${3:+--to "$3"}; }

counter() { ask "$1" "$(find_object gate) | .counters.$2" show isa tunnel-group 1; }
counter_is() { [ "$(counter "$1" "$2")" = "$3" ]; }
all_done() { counter_is "$1" rekeys_total "$2" && counter_is "$1" rekeys_done "$2" && counter_is "$1" rekeys_failed 0; }
# some_done NODE ALL: between the first and the last one. Sets progress.
some_done() { progress=$(tunnel "$1" rekey) && [[ $progress =~ ^([0-9]+)\ of\ $2\ done$ ]] && [ "${BASH_REMATCH[1]}" -gt 0 ] && [ "${BASH_REMATCH[1]}" -lt "$2" ]; }

settled() { sync_is SeGW-1 num_entries "$entries" && sync_is SeGW-2 num_entries "$entries" && nominal; }
child_spis() { lab CE-1 swanctl --list-sas --raw | grep -oE 'spi-in=[0-9a-f]+' | sort -u; }
# all_rekeyed: none of the SPIs of before is left. ike_same: all authenticated once.
all_rekeyed() { [ "$(child_spis | wc -l)" -ge "$CUSTOMERS" ] && [ -z "$(comm -12 <(echo "$spis") <(child_spis))" ]; }
ike_same() { unchanged "$ike" customers_ike; }
force()	# FROM TO: two points. Sets t, to when it was asked for.
{
	t=$(now_ms)
	check "force-switchover" hand_over "$1"
	check_wait "$2 is master" 30 roles "$1" standby "$2" master
}

