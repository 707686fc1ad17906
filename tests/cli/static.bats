#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# ./threadprof-static: one file that needs nothing but /proc and /sys.

load helpers

setup_file() {
	need_root
	export STATIC=$BATS_TEST_DIRNAME/../../threadprof-static
}

# In each test: in setup_file bats 1.8 takes "skip" for a failure.
need_static() {
	[ -x "$STATIC" ] || skip "no static program: this system has not all libraries in static form"
}

# Runs threadprof-static in a root that has nothing else but /proc and /sys, which ends with it.
in_empty_root() {
	mkdir -p "$BATS_TEST_TMPDIR/root/proc" "$BATS_TEST_TMPDIR/root/sys"
	install -m 755 "$STATIC" "$BATS_TEST_TMPDIR/root/threadprof"
	run --separate-stderr timeout 30 unshare -m sh -c 'cd "$1" && shift &&
		mount -t proc proc proc && mount --rbind /sys sys && exec "$(command -v chroot)" . "$@"' \
		sh "$BATS_TEST_TMPDIR/root" /threadprof "$@"
}

@test "one static file below 4 MB, of the same version" {
	need_static
	refute grep -q INTERP < <(readelf -lW "$STATIC")
	refute grep -q NEEDED < <(readelf -dW "$STATIC" 2>/dev/null)
	[ "$(stat -c %s "$STATIC")" -lt $((4 * 1024 * 1024)) ]
	[ "$("$STATIC" --version)" = "$("$THREADPROF" --version)" ]
}

@test "a server's requests from an empty root, with names for its peers" {
	need_static
	start_target python3 -c '
import http.server
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
open("'"$BATS_TEST_TMPDIR"'/port", "w").write("%d\n" % s.server_port)
s.serve_forever()'
	until_true 30 test -s "$BATS_TEST_TMPDIR/port"
	(
		for _ in {1..40}; do
			curl -s -o /dev/null "http://127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")/" || true
			sleep 0.1
		done
	) 3>&- &
	started+=("$!")
	in_empty_root -p "$target" -d 2 -i 60 --json --resolve
	expect 0 "attached"
	echo "$output" >"$out"
	check "$out" "all(f['state'] == 'on' for f in features.values())"
	check "$out" "last['requests']['count'] > 5"
}

@test "it opens no library, whatever nsswitch.conf says" {
	need_static
	start_sleeper
	printf 'hosts: nothing_of_the_kind\npasswd: nothing_of_the_kind\nservices: nothing_of_the_kind\n' \
		>"$BATS_TEST_TMPDIR/nsswitch.conf"
	run --separate-stderr timeout 30 unshare -m sh -c 'mount --bind "$1" /etc/nsswitch.conf && shift && exec "$@"' sh \
		"$BATS_TEST_TMPDIR/nsswitch.conf" strace -f -e trace=openat,open -o "$BATS_TEST_TMPDIR/trace" \
		"$STATIC" snoop --uid nobody -d 0.2
	expect 0 "attached"
	grep -q openat "$BATS_TEST_TMPDIR/trace"
	refute grep -q '\.so' "$BATS_TEST_TMPDIR/trace"
}
