#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# What reports look like, on a terminal and elsewhere.

load helpers

setup_file() {
	need_root
}

# Runs threadprof with the arguments on a terminal of 80 columns; what it wrote there goes to $out.
on_terminal() {
	"$PYTHON" - "$out" "$THREADPROF" "$@" <<'PYTHON'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])
text = b""
while True:
    try:
        data = os.read(fd, 65536)
    except OSError:
        break
    if not data:
        break
    text += data
open(sys.argv[1], "wb").write(text)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PYTHON
}

# Every line of a report in FILE takes at most 80 columns; what is said beside it, on stderr, is no part of it.
expect_narrow() {
	"$PYTHON" - "$1" <<'PYTHON'
import re, sys, unicodedata
text = open(sys.argv[1], encoding="utf-8").read().replace("\r\n", "\n")
wide = 0
for line in re.sub("\x1b\\[[0-9;]*m", "", text).split("\n"):
    columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)
    if columns > 80 and not line.startswith("threadprof: "):
        print(columns, line)
        wide += 1
sys.exit(wide != 0)
PYTHON
}

# A process with threads of long and strange names that wait for long and strange things.
start_strange() {
	start_target "$PYTHON" -c '
import ctypes, os, sys, threading, time
libc = ctypes.CDLL(None)
names = [b"0123456789abcdef", b"\x1b[31mred\x1b[0m", "日本語の名前".encode()[:15], b"a\nb\tc", b"\xff\xfe\x9b31m",
         "\u202eltr".encode()]
def work(name):
    libc.prctl(15, name, 0, 0, 0)
    while True:
        time.sleep(0.01)
for name in names:
    threading.Thread(target=work, args=(name,), daemon=True).start()
libc.prctl(15, b"\x1b]0;owned\x07\x1b[2J", 0, 0, 0)
open(sys.argv[1], "w").close()
time.sleep(1000)' "$BATS_TEST_TMPDIR/ready"
	until_true 30 test -e "$BATS_TEST_TMPDIR/ready"
}

has_no_escapes() {
	! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$1"
}

@test "reports come also when nothing happens, with zeros" {
	start_sleeper
	run_threadprof -p "$target" -n 3 -i 0.1 --json
	expect 0
	echo "$output" >"$out"
	check "$out" "len(intervals) == 3 and all(i['requests']['count'] == 0 for i in intervals)"
	check "$out" "all(i['connections'][k] == 0 for i in intervals for k in ('accepted', 'closed', 'open'))"
	check "$out" "all(i['locks'] == [] and i['peers'] == [] and i['queue']['max'] == 0 for i in intervals)"
	# How long an interval is depends on when its report and the one before could be made.
	check "$out" "all(t['wall_ns'] > 0 and sum(t['state_ns'].values()) > 0.99 * t['wall_ns']
		for i in intervals for t in i['threads'][:1])"
	check "$out" "all(v == 0 for i in intervals for v in i['lost'].values())"
}

@test "the intervals follow each other without a gap" {
	start_sleeper
	run_threadprof -p "$target" -n 5 -i 0.1 --json
	echo "$output" >"$out"
	check "$out" "all(abs(b['mono_ns'] - b['duration_ns'] - a['mono_ns']) < 1e6 for a, b in zip(intervals, intervals[1:]))"
	check "$out" "all(r['schema'] == 1 and r['time'].endswith('Z') for r in records)"
}

@test "text: one report after the other, no escape sequences in a file" {
	start_strange
	run_threadprof -p "$target" -n 2 -i 0.3 --top 20
	expect 0
	echo "$output" >"$out"
	[ "$(grep -c '^request latency' "$out")" = 2 ]
	has_no_escapes "$out"
	expect_narrow "$out"
	[[ $stderr != *$'\e'* ]] || fail "an escape sequence of the target in $stderr"
}

@test "JSON: names with escape sequences are valid JSON and leave no control character" {
	start_strange
	run_threadprof -p "$target" -n 1 -i 0.2 --json
	expect 0
	echo "$output" >"$out"
	has_no_escapes "$out"
	check "$out" "last['target']['comm'].startswith('\x1b]0;owned')"
	check "$out" "any(t['comm'] == '0123456789abcde' for t in last['threads'])"
}

@test "--color: never, always, and by itself only on a terminal" {
	start_sleeper
	run_threadprof -p "$target" -n 1 -i 0.1 --color=always
	[[ $output == *$'\e['* ]]
	on_terminal -p "$target" -n 1 -i 0.1
	grep -q $'\e\[' "$out"
	on_terminal -p "$target" -n 1 -i 0.1 --color=never
	refute grep -q $'\e' "$out"
	run_threadprof -p "$target" -n 1 -i 0.1
	[[ $output != *$'\e'* ]]
}

@test "a terminal of 80 columns is never exceeded" {
	start_strange
	on_terminal -p "$target" -n 2 -i 0.3 --top 20 --color=never
	[ "$(grep -c '^request latency' "$out")" = 2 ]
	expect_narrow "$out"
	refute grep -q $'\e' "$out"
}

@test "--top: so many threads, and how many more" {
	start_strange
	run_threadprof -p "$target" -n 1 -i 0.2 --top 2
	expect 0
	grep -Eq '\b5 more' <<<"$output" || fail "$output"
}
