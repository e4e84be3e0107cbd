# SPDX-License-Identifier: GPL-2.0-or-later
#
# apt.sh - fetch Debian packages for the lab from wherever this machine fetches
# its own: mirror, suites, keyrings and transport settings are read from apt at
# run time and nowhere written down. A private apt state under build/lab/ keeps
# the machine's own package lists and cache as they were.
#
# Sourced after common.sh.

# keyring_of FILE: the first keyring that an apt source file names, if any.
keyring_of()
{
	sed -nE 's/^Signed-By:[[:space:]]*(\/[^[:space:],]+).*/\1/Ip;
		s/.*signed-by=(\/[^],[:space:]]+).*/\1/Ip' "$1" | head -n 1
}

# debian_sources SUITE: one-line apt sources for SUITE, its updates and its
# security suite. A suite that this machine does not use itself (another release
# or backports) is looked for where the machine's own release is. Where the
# machine names no keyring, apt's trusted keys are asked, as the machine does.
debian_sources()
{
	local want=$1 own uri release component entry keyring option
	own=$(. /etc/os-release && echo "$VERSION_CODENAME")
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SOURCESENTRY)' \
		'Created-By: Packages' 'Origin: Debian' | sort -u |
	while read -r uri release component entry; do
		[ "$component" = main ] || continue
		case $release in
		"$own-backports"*) continue ;;
		"$own") ;;
		"$own"-*) [[ $want != *-backports ]] || continue ;;
		*) continue ;;
		esac
		keyring=$(keyring_of "${entry%:*}")
		option=${keyring:+[signed-by=$keyring] }
		echo "deb $option$uri $want${release#"$own"} main"
	done
}

# transport_settings: the machine's own proxy, certificate and date checks.
transport_settings()
{
	apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Max-FutureTime|.*[Pp]roxy|https?::.*) "[^"]' || :
}

# lab_apt_init SUITE: prepare (once) a private apt state for SUITE.
lab_apt_init()
{
	LAB_APT=$LAB/apt-$1
	[ -e "$LAB_APT/.stamp" ] || with_lock "apt-$1" lab_apt_create "$1"
}

lab_apt_create()
{
	local suite=$1 dir=$LAB_APT
	if [ -e "$dir/.stamp" ]; then
		return
	fi
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/etc"
	: >"$dir/status"
	# On a machine whose lists were never fetched apt knows no targets.
	[ -n "$(debian_sources "$suite")" ] || progress "apt-get update" as_root apt-get update
	debian_sources "$suite" >"$dir/sources.list"
	[ -s "$dir/sources.list" ] || die "this machine's apt sources name no Debian mirror"
	transport_settings >"$dir/transport.conf"
	{
		cat "$dir/transport.conf"
		printf '%s "%s";\n' \
			Dir::State "$dir" Dir::State::lists lists/ Dir::State::status "$dir/status" \
			Dir::Cache "$dir/cache" Dir::Etc::sourcelist "$dir/sources.list" \
			Dir::Etc::sourceparts /dev/null Dir::Etc::preferencesparts /dev/null \
			APT::Sandbox::User "$(id -un)" Debug::NoLocking 1
	} >"$dir/apt.conf"
	progress "package lists of $suite" env APT_CONFIG="$dir/apt.conf" apt-get update
	touch "$dir/.stamp"
}

# lab_apt_unpack TARGET PACKAGE...: download and unpack (not install) packages.
lab_apt_unpack()
{
	local target=$1 tmp p
	shift
	tmp=$(mktemp -d "$LAB/.unpack.XXXXXX")
	(cd "$tmp" && progress "download $*" env APT_CONFIG="$LAB_APT/apt.conf" \
		apt-get download "$@")
	mkdir -p "$target"
	for p in "$tmp"/*.deb; do
		progress "unpack $(basename "$p")" dpkg-deb -x "$p" "$target"
	done
	rm -rf "$tmp"
}
