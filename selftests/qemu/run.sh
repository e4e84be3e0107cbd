#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh - boot a stock Debian kernel in QEMU with the lab root and run one
# script of this tree in it, as root.
#
# usage: run.sh [--kernel 6.1|6.12|7.3] [--mem MB] [--cpus N] [--timeout S]
#               [--results DIR] [--interactive] [--console FILE] [--append ARGS]
#               [--other SUITE] [--count-instructions] SCRIPT [ARG...]
#
# In the guest: the tree is /mcipsec (read-only), DIR is /results (writable),
# build/stage is laid over the root. SCRIPT is a path inside the tree (or an
# absolute path of the guest). The guest's output comes to stdout. With --other
# the lab root of that suite is /other (read-only), and what goes over it,
# build/stage-SUITE, is /run/other-stage. With --count-instructions one emulated
# processor runs, whose clock goes on by a nanosecond with each instruction.
# Exit: the script's code; 124 timed out; 125 the guest died (its console
# follows on stderr).
#
# Any number of guests can run at once: nothing is shared but read-only images.

set -euo pipefail
. "$(dirname "$0")/common.sh"

kernel=6.1 mem=2048 cpus=2 timeout=900 results='' interactive=0 console='' append='' other='' count=()
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernel=$2; shift 2 ;;
	--mem) mem=$2; shift 2 ;;
	--cpus) cpus=$2; shift 2 ;;
	--timeout) timeout=$2; shift 2 ;;
	--results) results=$2; shift 2 ;;
	--console) console=$2; shift 2 ;;
	--append) append=$2; shift 2 ;;
	--other) other=$2; shift 2 ;;
	--count-instructions) cpus=1 count=(-icount shift=0); shift ;;
	--interactive) interactive=1; shift ;;
	--) shift; break ;;
	-*) die "unknown option $1" ;;
	*) break ;;
	esac
done
[ $# -ge 1 ] || die "usage: run.sh [OPTION...] SCRIPT [ARG...]"
script=$1
shift
case $script in
/*) ;;
*)
	[ -e "$TOP/$script" ] || die "no such script in the tree: $script"
	script=/mcipsec/$script
	;;
esac

"$TOP/selftests/qemu/deps.sh" --quiet
root=$("$TOP/selftests/qemu/root.sh")
drives=()
if [ -n "$other" ]; then
	drives=(
		-drive "if=none,id=other,file=$("$TOP/selftests/qemu/root.sh" "$other"),format=raw,readonly=on"
		-device virtio-blk-pci,drive=other,serial=other
	)
fi
kdir=$("$TOP/selftests/qemu/kernel.sh" "$kernel")

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mcipsec-run.XXXXXX")
qemu=
cleanup()
{
	[ -z "$qemu" ] || kill -9 "$qemu" 2>/dev/null || :
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
if [ -z "$results" ]; then
	results=$scratch/results
fi
mkdir -p "$results"
results=$(cd "$results" && pwd)
console=${console:-$scratch/console}
rm -f "$results/.exit-code" "$results/commands"
# Commands from a pipe: read whole, for the guest's terminal takes 4095 at a time.
if [ "$interactive" = 1 ] && [ ! -t 0 ]; then
	cat >"$results/commands"
	interactive=0
fi
# The guest's terminal is never the user's: whether to colour is known here only.
colour='export NO_COLOR=1'
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	colour=
fi
{
	printf 'job=('
	printf '%q ' "$script" "$@"
	printf ')\n%s\nexport EXPECT_ALL_FEATURES=%d\n' "$colour" "${EXPECT_ALL_FEATURES:-0}"
	printf 'interactive=%d\nlimit=%d\n' "$interactive" $((timeout > 60 ? timeout - 30 : timeout))
	printf 'other=%q\n' "$other"
} >"$results/.job"

accel=$("$TOP/selftests/qemu/accel.sh" "$kdir")
[ ${#count[@]} -eq 0 ] || accel=tcg,thread=single

args=(
	-nodefaults -no-user-config -no-reboot -display none
	-machine pc -accel "$accel" -cpu max -smp "$cpus" -m "$mem" "${count[@]}"
	-kernel "$kdir/vmlinuz" -initrd "$kdir/initrd.img"
	-append "console=ttyS0 quiet loglevel=4 panic=-1 no_timer_check mitigations=off cryptomgr.notests random.trust_cpu=on $append"
	-serial "file:$console"
	-device virtio-rng-pci
	-drive "if=none,id=root,file=$root,format=raw,readonly=on"
	-device virtio-blk-pci,drive=root,serial=root
	-drive "if=none,id=modules,file=$kdir/modules.squashfs,format=raw,readonly=on"
	-device virtio-blk-pci,drive=modules,serial=modules "${drives[@]}"
	-virtfs "local,path=$TOP,mount_tag=mcipsec,security_model=none,readonly=on,multidevs=remap"
	-virtfs "local,path=$results,mount_tag=results,security_model=none,multidevs=remap"
	-device virtio-serial-pci
	-device virtconsole,chardev=out
)

code=125
if [ "$interactive" = 1 ]; then
	qemu-system-x86_64 "${args[@]}" -chardev stdio,id=out,signal=off || :
else
	# QEMU makes its stdout non-blocking: give it a pipe of its own.
	mkfifo "$scratch/out"
	cat "$scratch/out" &
	cat_pid=$!
	qemu-system-x86_64 "${args[@]}" -chardev stdio,id=out,signal=off \
		</dev/null >"$scratch/out" &
	qemu=$!
	start=$SECONDS
	while kill -0 "$qemu" 2>/dev/null; do
		if [ $((SECONDS - start)) -ge "$timeout" ]; then
			note "run.sh: timed out after $timeout s"
			kill -9 "$qemu" 2>/dev/null || :
			code=124
			break
		fi
		read -rt 0.2 <> <(:) || :
	done
	wait "$qemu" 2>/dev/null || :
	qemu=
	wait "$cat_pid" 2>/dev/null || :
fi

if [ -s "$results/.exit-code" ]; then
	code=$(cat "$results/.exit-code")
elif [ -s "$console" ]; then
	note "run.sh: the guest wrote no exit code; its console ends with:"
	tail -n 60 "$console" >&2
fi
rm -f "$results/.job"
exit "$code"
