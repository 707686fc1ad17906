#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# Profiles a small server under load for about 10 seconds, and leaves nothing behind.

set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" != 0 ]; then
	if command -v sudo >/dev/null; then
		exec sudo demo/run.sh
	fi
	echo "threadprof: the demo needs root (it loads BPF programs), and there is no sudo: run 'make demo' as root" >&2
	exit 1
fi

# Not /tmp, which is often in memory: the journal should wait for a disk.
work=$(mktemp -d /var/tmp/threadprof-demo.XXXXXX)
server=
clients=

stop() {
	if [ -n "$1" ]; then
		kill "$1" 2>/dev/null || true
		wait "$1" 2>/dev/null || true
	fi
}

# shellcheck disable=SC2317 # the trap calls it
clean_up() {
	stop "$clients"
	stop "$server"
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

wait_for_port() {
	for _ in {1..100}; do
		[ -s "$work/port" ] && return 0
		kill -0 "$server" 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}

build/demo/server "$work" >"$work/port" &
server=$!
if ! wait_for_port; then
	echo "threadprof: the demo server did not start" >&2
	exit 1
fi
build/demo/client "$(cat "$work/port")" >"$work/clients" &
clients=$!

echo "A demo server (pid $server) and its clients run; threadprof watches the server for 10 s:"
echo
rc=0
./threadprof -p "$server" -i 5 -n 2 || rc=$?

stop "$clients"
clients=
echo
cat "$work/clients"
exit $rc
