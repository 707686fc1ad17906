#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# Builds a kernel without BTF for nobtf.sh, from the source that Debian packages and with the configuration
# nobtf.config, and the file of its types that pahole makes of its debug information. What has been built is
# used as it is, until the configuration changes.
#
# usage: tests/vm/nobtf_kernel.sh [SUITE]      by default bookworm
# VM_CACHE: where the kernels are kept (build/vm). NOBTF_JOBS: how many at once (one for each CPU).
# Exit code 1: it cannot be built here, and the last line says why.

set -eu
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/private_apt.sh
. scripts/private_apt.sh

SUITE=${1:-bookworm}
DIR=$PWD/${VM_CACHE:-build/vm}/$SUITE-nobtf
CONFIG=$PWD/tests/vm/nobtf.config
WORK=$DIR/work

fail() {
	echo "$*" >&2
	exit 1
}

need() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || fail "needs $tool"
	done
}

# The newest linux-source-VERSION of the suite: the package of that name only depends on it.
source_package() {
	apt-cache -c "$1" depends --important linux-source 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-source-[^ ]*\)$/\1/p' | head -n 1
}

fetch_source() {
	local conf=$WORK/apt/apt.conf package
	private_apt "$SUITE" amd64 "$WORK/apt" || fail "this machine has no mirror of Debian"
	apt-get -qq -c "$conf" update || fail "the lists of $SUITE cannot be fetched"
	package=$(source_package "$conf")
	[ -n "$package" ] || fail "$SUITE has no linux-source"
	(cd "$WORK" && apt-get -qq -c "$conf" download "$package") || fail "$package cannot be fetched"
	mkdir "$WORK/source"
	dpkg-deb --fsys-tarfile "$WORK/$package"_*.deb |
		tar -xO --wildcards './usr/src/*.tar.xz' | tar -xJ -C "$WORK/source" --strip-components=1 ||
		fail "$package cannot be unpacked"
}

# A symbol that does not come out as the configuration has it would make another kernel than it says.
configure() {
	local line
	make -s -C "$WORK/source" KCONFIG_ALLCONFIG="$CONFIG" allnoconfig >"$WORK/log" 2>&1 || fail "it cannot be configured"
	grep '^CONFIG_' "$CONFIG" | while IFS= read -r line; do
		grep -qx "$line" "$WORK/source/.config" || fail "the kernel's configuration has no $line"
	done
	! grep -q '^CONFIG_DEBUG_INFO_BTF=y' "$WORK/source/.config" || fail "the kernel would have BTF"
}

build() {
	nice make -C "$WORK/source" -j"${NOBTF_JOBS:-$(nproc)}" bzImage >"$WORK/log" 2>&1 || {
		tail -n 15 "$WORK/log" >&2
		fail "the kernel cannot be built"
	}
	pahole --btf_encode_detached "$WORK/vmlinux.btf" "$WORK/source/vmlinux" || fail "pahole makes no file of types"
	make -s -C "$WORK/source" kernelrelease >"$WORK/release"
}

if [ -s "$DIR/vmlinuz" ] && cmp -s "$DIR/config" "$CONFIG"; then
	exit 0
fi
need apt-get dpkg-deb xz make cc flex bison bc pahole
begun=$SECONDS
rm -rf "$DIR"
mkdir -p "$WORK"
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
fetch_source
configure
build
mv "$WORK/vmlinux.btf" "$WORK/release" "$DIR"
cp "$CONFIG" "$DIR/config"
mv "$WORK/source/arch/x86/boot/bzImage" "$DIR/vmlinuz"
echo "# $SUITE-nobtf: $(cat "$DIR/release") was built in $((SECONDS - begun)) s"
