#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# The very binary that was built, on other kernels: Debian's, fetched through this machine's own apt
# configuration, each booted under QEMU without KVM. Prints TAP, and a table of kernels and features.
#
# usage: tests/vm/run.sh [SUITE[-arm64|-nobtf]...]      Debian's names; by default VM_GUESTS
# VM_GUESTS: the suites (bullseye bookworm trixie trixie-backports); the last one has the newest kernel
# VM_DOC: a document whose table is replaced by this run's.
# VM_CACHE: where the kernels are kept (build/vm). VM_KEEP=1: keep what the guests brought back.
# VM_SECONDS: the time for all of them (480); a kernel that is left over is skipped. VM_SECONDS_FOR_ONE: for each (150).
#
# Facts about QEMU 7.2, which is Debian 12's: multi-threaded emulation may run a stale copy of code
# that another CPU is patching, as every probe does that is switched on (fixed in 8.1); and its
# cmpxchg16b spoils the flags, on which the allocator of kernels before 6.19 stumbles.

set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/private_apt.sh
. scripts/private_apt.sh

CACHE=$PWD/${VM_CACHE:-build/vm}
SECONDS_FOR_ALL=${VM_SECONDS:-480}
SECONDS_FOR_ONE=${VM_SECONDS_FOR_ONE:-150}
WORKLOADS="states known spawn locks pushed as_user"
number=0
work=
guest=

clean_up() {
	if [ -n "$guest" ]; then
		kill "$guest" 2>/dev/null || true
		wait "$guest" 2>/dev/null || true
	fi
	[ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---------------------------------------------------------------- TAP

# report LINE: an "ok - ..." or "not ok - ..." without its number.
report() {
	number=$((number + 1))
	case $1 in
	"not ok - "*) echo "not ok $number - ${1#not ok - }" ;;
	*) echo "ok $number - ${1#ok - }" ;;
	esac
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# ---------------------------------------------------------------- kernels

# architecture_of GUEST: a guest is a suite of Debian, that suite on another architecture, or its kernel
# without BTF, which nobtf_kernel.sh has built.
architecture_of() {
	case $1 in
	*-arm64) echo arm64 ;;
	*) echo amd64 ;;
	esac
}

# depends_on CONF PACKAGE PREFIX: the package of that name that PACKAGE needs.
depends_on() {
	apt-cache -c "$1" depends --important "$2" 2>/dev/null |
		sed -n "s/^ *Depends: \\($3[^ ]*\\)\$/\\1/p" | head -n 1
}

# unpack_kernel CONF PACKAGE DIR: fetches a package; fails if there is no kernel in it.
unpack_kernel() {
	(cd "$3" && apt-get -qq -c "$1" download "$2") || return 1
	dpkg-deb --fsys-tarfile "$3/$2"_*.deb | tar -x -C "$3" --wildcards --no-anchored 'vmlinuz*' 2>/dev/null || true
	find "$3" -type f -name 'vmlinuz*' | grep -q .
}

# fetch GUEST: what is in the cache is used as it is.
fetch() {
	local dir=$CACHE/$1 conf=$CACHE/$1/apt/apt.conf architecture image
	architecture=$(architecture_of "$1")
	[ ! -s "$dir/vmlinuz" ] || return 0
	case $1 in
	*-nobtf)
		echo "tests/vm/nobtf_kernel.sh builds it"
		return 1
		;;
	esac
	mkdir -p "$dir"
	private_apt "${1%-arm64}" "$architecture" "$dir/apt" || return 1
	apt-get -qq -c "$conf" update || return 1
	image=$(depends_on "$conf" "linux-image-cloud-$architecture" linux-image-)
	[ -n "$image" ] || return 1
	rm -rf "$dir/unpacked"
	mkdir "$dir/unpacked"
	# From 6.19 on linux-image-… is empty, and needs linux-binary-….
	unpack_kernel "$conf" "$image" "$dir/unpacked" ||
		unpack_kernel "$conf" "$(depends_on "$conf" "$image" linux-binary-)" "$dir/unpacked" || return 1
	echo "${image#linux-image-}" >"$dir/release"
	mv "$(find "$dir/unpacked" -type f -name 'vmlinuz*' | head -n 1)" "$dir/vmlinuz"
	rm -rf "$dir/unpacked" "$dir/apt"
}

# ---------------------------------------------------------------- what runs in the guest

# pack_program FILE TARGET: with the shared libraries it needs, at their own places.
pack_program() {
	local library
	install -D -m 755 "$1" "$root$2"
	# A static program has none, and ldd says so by failing.
	for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
		[ -e "$root$library" ] || install -D -m 755 "$library" "$root$library"
	done
}

# make_initramfs ARCHITECTURE: once for all its guests; boot adds what one guest alone gets.
make_initramfs() {
	local root=$work/root.$1 busybox=busybox program=threadprof-static workloads=build/workload applet library workload
	[ ! -e "$work/initramfs.$1" ] || return 0
	if [ "$1" = arm64 ]; then
		busybox=build/arm64/sysroot/bin/busybox
		program=threadprof-static-arm64
		workloads=build/arm64/workload
	fi
	mkdir -p "$root"/{proc,sys,dev,tmp,bin}
	pack_program "$(command -v "$busybox")" /bin/busybox
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done
	ln -s bin "$root/sbin"
	pack_program $program /threadprof/threadprof
	for workload in $WORKLOADS; do
		pack_program "$workloads/$workload" "/threadprof/$workload"
	done
	# The C library opens this one by itself when a thread ends.
	for library in /lib/*-linux-gnu/libgcc_s.so.1; do
		[ ! -e "$library" ] || install -D -m 755 "$library" "$root$library"
	done
	install -m 755 tests/vm/init "$root/init"
	install -m 755 tests/vm/guest.sh "$root/threadprof/guest.sh"
	[ -e "$work/nonce" ] || echo "$RANDOM$RANDOM$RANDOM" >"$work/nonce"
	cp "$work/nonce" "$root/threadprof/nonce"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$work/initramfs.$1"
}

# The initramfs of a guest: an archive may follow another one. Where a kernel's types are in a file, it is there too.
make_image() {
	local types=$CACHE/$1/vmlinux.btf root=$work/root.types
	cp "$work/initramfs.$(architecture_of "$1")" "$work/image"
	[ -e "$types" ] || return 0
	install -D -m 644 "$types" "$root/threadprof/vmlinux.btf"
	(cd "$root" && echo threadprof/vmlinux.btf | busybox cpio -o -H newc 2>/dev/null) >>"$work/image"
}

# is_before A B: a version, by its first two numbers.
is_before() {
	[ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ] && [ "$1" != "$2" ]
}

# host_delay PID: how long its threads have waited for a processor, in nanoseconds.
host_delay() {
	cat /proc/"$1"/task/*/schedstat | awk '{ sum += $2 } END { if (NR) printf "%.0f ", sum }'
}

# Sets the array qemu, and which of the guest's serial ports is its console and which brings back the results.
describe_machine() {
	local version release cpu=max threads=multi
	version=$(qemu-system-x86_64 --version | sed -n '1s/.*version \([0-9]*\.[0-9]*\).*/\1/p')
	release=$(cut -d. -f1,2 "$CACHE/$1/release")
	if is_before "$version" 8.1; then
		threads=single
		! is_before "$release" 6.19 || cpu=max,-cx16
	fi
	case $(architecture_of "$1") in
	amd64)
		console=ttyS0 results=ttyS1
		qemu=(qemu-system-x86_64 -cpu "$cpu" -serial "file:$work/console" -serial "file:$work/out.tar")
		;;
	arm64) # to emulate pointer authentication takes most of the time
		console=ttyAMA0 results=ttyS0
		# shellcheck disable=SC2054 # the commas are QEMU's
		qemu=(qemu-system-aarch64 -machine virt -cpu max,pauth=off -serial "file:$work/console"
			-chardev "file,id=results,path=$work/out.tar" -device pci-serial,chardev=results)
		;;
	esac
	qemu+=(-accel "tcg,thread=$threads" -smp 2 -m 512 -nodefaults -no-user-config -display none -no-reboot)
}

# boot GUEST: leaves what the guest sent in the archive out.tar.
boot() {
	local qemu=() console results begun
	describe_machine "$1"
	make_image "$1"
	rm -f "$work/out.tar" "$work/host"
	"${qemu[@]}" -kernel "$CACHE/$1/vmlinuz" -initrd "$work/image" -append \
		"console=$console results=$results quiet panic=-1 oops=panic mitigations=off no_timer_check tsc=reliable" \
		</dev/null >"$work/qemu" 2>&1 &
	guest=$!
	begun=$SECONDS
	while kill -0 "$guest" 2>/dev/null; do
		host_delay "$guest" >"$work/delay" 2>/dev/null || true
		[ ! -s "$work/delay" ] || mv "$work/delay" "$work/host"
		[ $((SECONDS - begun)) -lt "$SECONDS_FOR_ONE" ] || kill -KILL "$guest"
		sleep 0.5
	done
	wait "$guest" 2>/dev/null || true
	guest=
	echo $((SECONDS - begun)) >>"$work/host"
}

# ---------------------------------------------------------------- one kernel

# What a broken guest left on its console, as a test's explanation.
explain() {
	tail -n 15 "$work/qemu" "$work/console" 2>/dev/null | tr -cd '\n\t -~' | sed 's/^/#   /'
}

came_back_whole() {
	mkdir -p "$1"
	tar -x -C "$1" -f "$work/out.tar" 2>/dev/null && cmp -s "$1/complete" "$work/nonce"
}

# A guest that the host gave no processor to does not come to its end in time, and that says nothing.
judge_unfinished() {
	local waited
	waited=$(awk 'NF == 2 && $1 > 0.03e9 * $2 { printf "%d of %d s", $1 / 1e9, $2 }' "$work/host")
	if [ -n "$waited" ] && [ "$2" = last ]; then
		echo "ok - $1: the guest runs to its end # SKIP the emulation had to wait $waited for a processor"
		return 0
	fi
	echo "not ok - $1: the guest runs to its end"
	explain
	[ -z "$waited" ] || return 2
	return 1
}

# judge SUITE [last]: leaves the results in "lines". 0: all is right; 2: times are not; 1: not.
judge() {
	local suite=$1 out=$work/out/$1 rc=0
	rm -rf "$out"
	cp "$work/columns" "$work/columns.before" 2>/dev/null || : >"$work/columns.before"
	if ! came_back_whole "$out"; then
		judge_unfinished "$suite" "${2:-}" >"$work/lines"
		return $?
	fi
	cp "$work/host" "$out/host"
	# shellcheck disable=SC2086 # no word at all, or one
	python3 tests/vm/judge.py "$suite" "$out" "$work/columns" ${2:-} >"$work/lines" 2>&1 || rc=$?
	if [ $rc != 0 ] && ! grep -q '^not ok' "$work/lines"; then
		echo "not ok - $suite: its results can be read" >>"$work/lines"
	fi
	return $rc
}

has_time_left() {
	[ $SECONDS -le $((SECONDS_FOR_ALL - SECONDS_FOR_ONE / 2)) ]
}

try_kernel() {
	local suite=$1 line rc=0
	if ! has_time_left; then
		report "ok - $suite # SKIP no time was left for it"
		return
	fi
	if ! fetch "$suite" >"$work/fetch" 2>&1; then
		rm -rf "${CACHE:?}/$suite"
		report "ok - $suite # SKIP its kernel cannot be fetched: $(tail -n 1 "$work/fetch")"
		return
	fi
	make_initramfs "$(architecture_of "$suite")"
	boot "$suite"
	judge "$suite" || rc=$?
	if [ $rc = 2 ]; then
		grep -v '^ok' "$work/lines" | sed 's/^\(not ok\)/# \1/'
		cp "$work/columns.before" "$work/columns"
		if has_time_left; then
			echo "# $suite: times are wrong: this kernel runs once more, and that run decides"
			boot "$suite"
		fi
		judge "$suite" last || true
	fi
	while IFS= read -r line; do
		case $line in
		"ok - "* | "not ok - "*) report "$line" ;;
		*) echo "$line" ;;
		esac
	done <"$work/lines"
}

print_table() {
	[ -s "$work/columns" ] || return 0
	python3 tests/vm/table.py "$work/columns" >"$work/table"
	sed 's/^/# /' "$work/table"
	if [ -n "${VM_DOC:-}" ]; then
		sed -i -e "/^<!-- table/,/^<!-- end/{/^<!-- table/r $work/table" -e '/^<!--/!d}' "$VM_DOC"
	fi
}

# ---------------------------------------------------------------- main

# why_not GUEST...: what is not there for them.
why_not() {
	local tool tools="busybox python3 apt-get dpkg-deb" file files
	case "$*" in
	*-arm64*)
		tools="$tools qemu-system-aarch64"
		files="threadprof-static-arm64 build/arm64/workload/states"
		;;
	*)
		tools="$tools qemu-system-x86_64"
		files="threadprof-static build/workload/states"
		;;
	esac
	for tool in $tools; do
		command -v "$tool" >/dev/null || {
			echo "needs $tool"
			return
		}
	done
	if [ "$(uname -m)" != x86_64 ]; then
		echo "this machine must be an x86-64 one"
	fi
	for file in $files; do
		[ -x "$file" ] || echo "$file is not built"
	done | head -n 1
}

# shellcheck disable=SC2086 # a list of words
[ $# -gt 0 ] || set -- ${VM_GUESTS:-bullseye bookworm trixie trixie-backports}
reason=$(why_not "$@")
[ -z "$reason" ] || skip_all "$reason"
work=$(mktemp -d)
for suite in "$@"; do try_kernel "$suite"; done
print_table
echo "1..$number"
if [ "${VM_KEEP:-}" = 1 ]; then
	rm -rf "$CACHE/results"
	mkdir -p "$work/out"
	cp -r "$work/out" "$CACHE/results"
fi
