#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# Unpacks Debian packages of another architecture, with all that they need, into a folder to compile against.
# The packages are of the release that this machine runs; the machine itself is not changed.
#
# usage: scripts/sysroot.sh ARCHITECTURE DIR PACKAGE...

set -eu
# shellcheck source=scripts/private_apt.sh
. "$(dirname "$0")/private_apt.sh"

fail() {
	echo "threadprof: $*" >&2
	exit 1
}

architecture=$1
target=$2
shift 2
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

private_apt "$suite" "$architecture" "$work" ||
	fail "no libraries for $architecture: they are unpacked from Debian's packages, and apt has no Debian mirror here"
echo "threadprof: fetching the $architecture libraries of Debian $suite into a folder, to build against"
if ! {
	apt-get -qq -c "$work/apt.conf" update &&
		apt-get -qq -y -c "$work/apt.conf" install --no-install-recommends --download-only libc6-dev "$@"
} >"$work/log" 2>&1; then
	tail -n 5 "$work/log" >&2
	fail "apt could not fetch the $architecture packages $* (see above)"
fi
rm -rf "$target" "$target.new"
mkdir -p "$target.new"
for package in "$work"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$target.new"
done
mv "$target.new" "$target"
