#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# Installs what threadprof lacks on this machine, or only names it. The Makefile calls it:
#
#   deps.sh build MODULE...         install what the build lacks
#   deps.sh static MODULE...        ... and what the static build lacks
#   deps.sh unit MODULE...          ... and what the unit tests lack
#   deps.sh test MODULE...          ... and what the system tests lack
#   deps.sh vm, vm-arm64            what the tests in virtual machines lack
#   deps.sh kernel                  what the build of a kernel lacks, for one without BTF
#   deps.sh bench MODULE...         what the build and the bench lack
#   deps.sh cross-arm64 MODULE...   what the build for arm64 lacks; its modules go to a sysroot
#   deps.sh missing SET MODULE...   name what a set lacks; install nothing
#   deps.sh which clang|bpftool     print where a tool is that may have several names or places
#
# MODULE is a pkg-config module, or libiberty. A need is looked for as what it is (a command that works, a
# module), never as a package, so that it does not matter how it came onto the machine.

set -eu

# nginx, bpftool and others live where an ordinary user's PATH does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

BUILD_NEEDS="cc clang bpftool pkg-config"
STATIC_NEEDS="static-libraries"
VM_NEEDS="qemu busybox-static python3"
VM_ARM64_NEEDS="qemu-arm64 python3"
KERNEL_NEEDS="cc make flex bison bc xz libelf pahole"
UNIT_NEEDS="sanitizers cmocka c++"
SYSTEM_NEEDS="bats setpriv unshare setcap python3 nginx redis-server jdk curl strace"
CROSS_NEEDS="cross-cc clang bpftool pkg-config"
# What a test compares with, and leaves out where the system has no package of it.
SYSTEM_EXTRAS="execsnoop musl-gcc"
BENCH_NEEDS="python3 nginx redis-server redis-benchmark wrk strace perf bpftrace execsnoop offcputime"

# One need per line, then its packages: "," joins several, "|" separates names of which the
# first that the package manager knows is taken. Those of apt-get are installed by every run of the tests on
# Debian; the others are the names in those distributions' package descriptions, and nobody has tried them.
package_table() {
	cat <<'TABLE'
# need        apt-get                      dnf                          zypper                   pacman
cc            gcc,libc6-dev                gcc,glibc-devel              gcc,glibc-devel          gcc
cross-cc      gcc-aarch64-linux-gnu        gcc-aarch64-linux-gnu        cross-aarch64-gcc15|cross-aarch64-gcc14|cross-aarch64-gcc13 aarch64-linux-gnu-gcc
clang         clang                        clang                        clang                    clang
bpftool       bpftool|linux-tools-generic  bpftool                      bpftool                  bpf
pkg-config    pkg-config                   pkgconf-pkg-config           pkg-config               pkgconf
libbpf        libbpf-dev                   libbpf-devel                 libbpf-devel             libbpf
libelf        libelf-dev                   elfutils-libelf-devel        libelf-devel             libelf
libdw         libdw-dev                    elfutils-devel               libdw-devel              libelf
zlib          zlib1g-dev                   zlib-devel                   zlib-devel               zlib
json-c        libjson-c-dev                json-c-devel                 libjson-c-devel          json-c
libcap        libcap-dev                   libcap-devel                 libcap-devel             libcap
libiberty     libiberty-dev                binutils-devel               binutils-devel           binutils
libmicrohttpd libmicrohttpd-dev            libmicrohttpd-devel          libmicrohttpd-devel      libmicrohttpd
sanitizers    gcc,libc6-dev                libasan,libubsan             gcc                      gcc
c++           g++                          gcc-c++                      gcc-c++                  gcc
cmocka        libcmocka-dev                libcmocka-devel              libcmocka-devel          cmocka
bats          bats                         bats                         bats                     bash-bats|bats
setpriv       util-linux                   util-linux                   util-linux               util-linux
unshare       util-linux                   util-linux                   util-linux               util-linux
setcap        libcap2-bin                  libcap                       libcap-progs             libcap
python3       python3                      python3                      python3                  python
nginx         nginx                        nginx                        nginx                    nginx
redis-server  redis-server                 valkey-compat-redis|redis    valkey-compat-redis|redis redis|valkey
wrk           wrk                          wrk                          wrk                      wrk
jdk           default-jdk-headless         java-devel                   java-devel               jdk-openjdk
musl-gcc      musl-tools                   musl-gcc                     musl-devel               musl
curl          curl                         curl                         curl                     curl
strace        strace                       strace                       strace                   strace
redis-benchmark redis-tools                valkey-compat-redis|redis    valkey-compat-redis|redis redis|valkey
perf          linux-perf|linux-tools-generic perf                       perf                     perf
bpftrace      bpftrace                     bpftrace                     bpftrace                 bpftrace
execsnoop     libbpf-tools                 libbpf-tools                 libbpf-tools             libbpf-tools
static-libraries libc6-dev,libbpf-dev,libelf-dev,libdw-dev,zlib1g-dev,libjson-c-dev,libcap-dev,libbz2-dev,liblzma-dev,libzstd-dev glibc-static,libbpf-static,elfutils-devel-static,elfutils-libelf-devel-static,zlib-ng-compat-static|zlib-static,json-c-devel,bzip2-static,xz-static,libzstd-static,libcap-static glibc-devel-static,libbpf-devel-static,libelf-devel,libdw-devel,zlib-devel-static,xz-static-devel,libzstd-devel-static gcc,libelf,zlib,json-c
qemu          qemu-system-x86              qemu-system-x86-core         qemu-x86                 qemu-system-x86
qemu-arm64    qemu-system-arm              qemu-system-aarch64-core     qemu-arm                 qemu-system-aarch64
busybox-static busybox-static              busybox                      busybox-static           busybox
offcputime    libbpf-tools                 libbpf-tools                 libbpf-tools             libbpf-tools
make          make                         make                         make                     make
flex          flex                         flex                         flex                     flex
bison         bison                        bison                        bison                    bison
bc            bc                           bc                           bc                       bc
xz            xz-utils                     xz                           xz                       xz
pahole        pahole|dwarves               dwarves                      dwarves                  pahole
TABLE
}

# Services that their Debian packages start, and start again at every boot.
SERVICES="nginx redis-server"

# The sources are written against the 1.0 interface: an older library compiles to puzzling errors.
minimum_version() {
	case $1 in
	libbpf) echo 1.0 ;;
	*) echo 0 ;;
	esac
}

fail() {
	echo "threadprof: $*" >&2
	exit 1
}

# ---------------------------------------------------------------- what is there

find_clang() {
	local name
	for name in clang clang-{25..12}; do
		command -v "$name" && return 0
	done
	return 1
}

# Ubuntu's /usr/sbin/bpftool is a script that refuses to run on a kernel it was not built for,
# while the program under linux-tools would do: take the first that answers.
find_bpftool() {
	local tool
	for tool in $(command -v bpftool) /usr/lib/linux-tools/*/bpftool /usr/lib/linux-tools-*/bpftool; do
		if "$tool" gen help 2>&1 | grep -q 'gen object'; then
			echo "$tool"
			return 0
		fi
	done
	return 1
}

compiles() {
	printf '#include <stdio.h>\nint main(void) { return 0; }\n' |
		"${CC:-cc}" "$@" -x c - -o /dev/null 2>/dev/null
}

# Not every distribution has its libraries in this form; what they need in turn is pkg-config's to say.
links_statically() {
	local libs
	libs=$(pkg-config --static --libs "$@" 2>/dev/null) || return 1
	# shellcheck disable=SC2086 # a list of words
	printf 'int main(void) { return 0; }\n' | "${CC:-cc}" -static -x c - -o /dev/null $libs 2>/dev/null
}

# It has no module: of this machine it is looked for by the linker, of another one in its sysroot.
have_libiberty() {
	if [ -n "${PKG_CONFIG_SYSROOT_DIR:-}" ]; then
		compgen -G "$PKG_CONFIG_SYSROOT_DIR/usr/lib/*/libiberty.a" >/dev/null
	else
		printf 'char *cplus_demangle(const char *, int);\nint main(void) { return !cplus_demangle("", 0); }\n' |
			"${CC:-cc}" -x c - -o /dev/null -liberty 2>/dev/null
	fi
}

is_static() {
	[ "$(head -c 4 "$1" | tr -d '\177')" = ELF ] && ! readelf -l "$1" 2>/dev/null | grep -q INTERP
}

have_module() {
	local minimum
	minimum=$(minimum_version "$1")
	pkg-config --exists "$1 >= $minimum" 2>/dev/null
}

have() {
	case $1 in
	cc) compiles ;;
	cross-cc) command -v aarch64-linux-gnu-gcc >/dev/null ;;
	c++) command -v g++ >/dev/null ;;
	clang) find_clang >/dev/null ;;
	bpftool) find_bpftool >/dev/null ;;
	static-libraries) links_statically libbpf libelf libdw zlib json-c libcap ;;
	qemu) command -v qemu-system-x86_64 >/dev/null ;;
	qemu-arm64) command -v qemu-system-aarch64 >/dev/null ;;
	busybox-static) command -v busybox >/dev/null && is_static "$(command -v busybox)" ;;
	libiberty) have_libiberty ;;
	sanitizers) compiles -fsanitize=address,undefined ;;
	# Debian's python3-minimal has the command without the library.
	python3) python3 -c 'import http.server, json' 2>/dev/null ;;
	jdk) command -v java >/dev/null && command -v javac >/dev/null ;;
	pkg-config | bats | setpriv | unshare | setcap | nginx | redis-server | redis-benchmark | wrk | musl-gcc | curl | \
		strace | perf | bpftrace | execsnoop | offcputime | make | flex | bison | bc | xz | pahole)
		command -v "$1" >/dev/null ;;
	*) have_module "$1" ;;
	esac
}

# needs SET MODULE...: without root the system tests are skipped, so their servers are not needed.
needs() {
	local set=$1
	shift
	case $set in
	vm)
		echo "$VM_NEEDS"
		return
		;;
	vm-arm64)
		echo "$VM_ARM64_NEEDS"
		return
		;;
	kernel)
		echo "$KERNEL_NEEDS"
		return
		;;
	cross-*) echo "$CROSS_NEEDS" "$@" ;;
	*) echo "$BUILD_NEEDS" "$@" ;;
	esac
	case $set in
	build | cross-arm64) ;;
	static) echo "$STATIC_NEEDS" ;;
	unit) echo "$UNIT_NEEDS" ;;
	test)
		echo "$UNIT_NEEDS"
		if [ "$(id -u)" = 0 ]; then
			echo "$SYSTEM_NEEDS"
		fi
		;;
	bench) echo "$BENCH_NEEDS" ;;
	*) fail "deps.sh: no set '$set': it is build, static, unit, test, vm, vm-arm64, kernel, bench or cross-arm64" ;;
	esac
}

missing() {
	local need list
	list=$(needs "$@")
	for need in $list; do
		have "$need" || echo "$need"
	done
}

# ---------------------------------------------------------------- package names

package_manager() {
	local name
	for name in apt-get dnf zypper pacman; do
		command -v "$name" >/dev/null && echo "$name" && return 0
	done
	return 1
}

# packages_of MANAGER NEED...
packages_of() {
	local manager=$1 need apt dnf zypper pacman wanted
	shift
	for wanted in "$@"; do
		package_table | while read -r need apt dnf zypper pacman; do
			[ "$need" = "$wanted" ] || continue
			case $manager in
			apt-get) echo "$apt" ;;
			dnf) echo "$dnf" ;;
			zypper) echo "$zypper" ;;
			pacman) echo "$pacman" ;;
			esac
		done
	done | tr ',' '\n' | sort -u
}

knows_package() {
	case $1 in
	# A package that exists only as another's "provides" has no candidate.
	apt-get) apt-cache policy "$2" 2>/dev/null | grep -q 'Candidate: [^(]' ;;
	dnf) [ -n "$(dnf -q repoquery --whatprovides "$2" 2>/dev/null)" ] ;;
	zypper) zypper -n search -x --provides "$2" >/dev/null 2>&1 ;;
	pacman) pacman -Si "$2" >/dev/null 2>&1 ;;
	esac
}

# choose MANAGER A|B|C: the first one known, else the last one, for the manager to complain about.
choose() {
	local name
	for name in ${2//|/ }; do
		if [ "$name" = "${2##*|}" ] || knows_package "$1" "$name"; then
			echo "$name"
			return
		fi
	done
}

# ---------------------------------------------------------------- installing

as_root() {
	if [ "$(id -u)" = 0 ]; then
		env "$@"
	else
		sudo env "$@"
	fi
}

# Run a package manager quietly; what it said matters only when it failed.
quietly() {
	local log rc=0
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null || rc=$?
	if [ $rc != 0 ]; then
		tail -n 25 "$log" >&2
	fi
	rm -f "$log"
	return $rc
}

POLICY=/usr/sbin/policy-rc.d
MY_POLICY=

# Debian's packages ask this file before they start a service. "set -C" never replaces one that
# the machine's owner put there.
forbid_services() {
	if as_root sh -c "set -C; printf '#!/bin/sh\nexit 101\n' >$POLICY" 2>/dev/null; then
		MY_POLICY=yes
		trap allow_services EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM
		as_root chmod 755 $POLICY
	fi
}

allow_services() {
	if [ -n "$MY_POLICY" ]; then
		as_root rm -f $POLICY
		MY_POLICY=
	fi
}

# The servers are for tests only: without this they would come up with the next boot.
disable_services() {
	local need service
	for service in $SERVICES; do
		for need in "$@"; do
			[ "$need" = "$service" ] || continue
			as_root deb-systemd-helper disable "$service.service" >/dev/null 2>&1 || true
			as_root update-rc.d "$service" disable >/dev/null 2>&1 || true
		done
	done
}

refresh_lists() {
	case $1 in
	apt-get) quietly as_root apt-get -qq -o DPkg::Lock::Timeout=300 update ;;
	# A refresh without an upgrade may break a rolling system: only where there is no list at all.
	pacman) compgen -G '/var/lib/pacman/sync/*.db' >/dev/null || quietly as_root pacman -Sy ;;
	esac
}

install_packages() {
	local manager=$1
	shift
	case $manager in
	apt-get)
		forbid_services
		quietly as_root DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -qq -y \
			-o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
		;;
	dnf) quietly as_root dnf -y --setopt=install_weak_deps=False install "$@" ;;
	zypper) quietly as_root zypper --non-interactive install --no-recommends "$@" ;;
	pacman) quietly as_root pacman -S --noconfirm --needed "$@" ;;
	esac
}

purpose() {
	case $1 in
	build) echo "to build threadprof" ;;
	cross-*) echo "to build threadprof for ${1#cross-}" ;;
	static) echo "to build threadprof as a static program" ;;
	kernel) echo "to build a kernel for a virtual machine" ;;
	vm*) echo "to run threadprof on other kernels in virtual machines" ;;
	unit) echo "to build threadprof and run its unit tests" ;;
	bench) echo "to build threadprof and measure it beside its peers" ;;
	test)
		echo -n "to build threadprof and run its tests"
		# What a policy of the machine's owner says is not ours to promise.
		[ -e $POLICY ] || echo -n "; no service is started"
		;;
	esac
}

# Every name of a package, as a person would type it: the first alternative stands for all.
one_name_each() {
	local name
	for name in "$@"; do
		printf '%s ' "${name%%|*}"
	done
}

install_needs() {
	local set=$1 manager names name chosen=()
	shift
	manager=$(package_manager) ||
		fail "missing: $*; none of apt-get, dnf, zypper, pacman is here to install it with"
	names=$(packages_of "$manager" "$@")
	# shellcheck disable=SC2086 # a list of words
	names=$(one_name_each $names)
	if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
		fail "missing: $*; there is no sudo: as root, install ${names% } ($manager)"
	fi
	echo "threadprof: installing ${names% } with $manager, $(purpose "$set")"
	refresh_lists "$manager" || fail "$manager could not fetch its package lists (see above)"
	for name in $(packages_of "$manager" "$@"); do
		chosen+=("$(choose "$manager" "$name")")
	done
	install_packages "$manager" "${chosen[@]}" || fail "$manager could not install ${chosen[*]} (see above)"
	if [ "$manager" = apt-get ]; then
		disable_services "$@"
	fi
}

explain_still_missing() {
	local need minimum text=""
	for need in "$@"; do
		minimum=$(minimum_version "$need")
		if [ "$minimum" != 0 ]; then
			need="$need >= $minimum (here: $(pkg-config --modversion "$need" 2>/dev/null || echo none))"
		fi
		text="$text${text:+, }$need"
	done
	fail "still missing after the installation: $text; this system's packages do not bring it"
}

# Nothing is said where that does not work: the test that wants it says so.
install_extras() {
	local manager need name
	[ "$1" = test ] && [ "$(id -u)" = 0 ] && manager=$(package_manager) || return 0
	for need in $SYSTEM_EXTRAS; do
		have "$need" && continue
		name=$(packages_of "$manager" "$need")
		if knows_package "$manager" "$name"; then
			echo "threadprof: installing $name with $manager, $(purpose "$1")"
			install_packages "$manager" "$name" || true
		fi
	done
}

install_set() {
	local lacking
	lacking=$(missing "$@")
	if [ -n "$lacking" ]; then
		# shellcheck disable=SC2086 # a list of words
		install_needs "$1" $lacking
		hash -r
		lacking=$(missing "$@")
		# shellcheck disable=SC2086
		[ -z "$lacking" ] || explain_still_missing $lacking
	fi
	install_extras "$1"
}

# The tools come onto this machine, the libraries of the other one into a folder.
install_cross() {
	local set=$1
	shift
	install_set "$set"
	if [ -n "$(missing "$set" "$@")" ]; then
		[ "$(package_manager)" = apt-get ] ||
			fail "the libraries of ${set#cross-} are unpacked from Debian's packages: this needs apt"
		# shellcheck disable=SC2046 # a list of words
		"$(dirname "$0")/sysroot.sh" "${set#cross-}" "$PKG_CONFIG_SYSROOT_DIR" $(packages_of apt-get "$@" static-libraries busybox-static)
	fi
}

case ${1:-} in
build | static | unit | test | vm | vm-arm64 | kernel | bench)
	install_set "$@"
	;;
cross-arm64)
	install_cross "$@"
	;;
missing)
	shift
	missing "$@"
	;;
which)
	case ${2:-} in
	clang | bpftool) "find_$2" ;;
	*) fail "deps.sh: which clang, or which bpftool?" ;;
	esac
	;;
*)
	fail "usage: deps.sh build|static|unit|test|vm|vm-arm64|kernel|bench|cross-arm64 MODULE... | missing SET MODULE... | which TOOL"
	;;
esac
