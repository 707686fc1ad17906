#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# How it ends: by itself, by the target, by signals, by whoever reads it. And what is left then: nothing.

load helpers

setup_file() {
	need_root
}

# --- by itself ---

@test "-n: so many reports, exit 0" {
	start_sleeper
	run_threadprof -p "$target" -n 3 -i 0.1 --json
	expect 0
	echo "$output" >"$out"
	check "$out" "len(intervals) == 3 and not any(i['partial'] for i in intervals)"
}

@test "-d: the last, partial interval, exit 0" {
	start_sleeper
	run_threadprof -p "$target" -d 2 -i 1.2 --json
	expect 0
	echo "$output" >"$out"
	check "$out" "len(intervals) == 2 and last['partial'] and not first['partial']"
	check "$out" "1.9e9 < sum(i['duration_ns'] for i in intervals) < 25e9"
}

@test "-d shorter than the interval" {
	start_sleeper
	run_threadprof -p "$target" -d 0.3 --json
	expect 0
	echo "$output" >"$out"
	check "$out" "len(intervals) == 1 and last['partial'] and 0.2e9 < last['duration_ns'] < 25e9"
}

@test "the target ends: the last, partial interval, soon, exit 0" {
	start_sleeper
	start_threadprof -p "$target" -i 60 --json
	sleep 0.3
	kill "$target"
	await_end "$profiler" 30
	[ "$status" = 0 ]
	check "$out" "len(intervals) == 1 and last['partial'] and last['target']['comm'] == 'sleep'"
	check "$out" "[t['exited'] for t in last['threads']] == [True] and last['target']['threads'] == 0"
}

# It has a process of its own that switches statistics on and off.
@test "that process is stopped by somebody: reports go on, and the end comes" {
	start_sleeper
	start_threadprof -p "$target" -n 3 -i 0.5 --json
	switch=$(cat "/proc/$profiler/task/$profiler/children")
	kill -STOP "${switch% }"
	await_end "$profiler" 30
	[ "$status" = 0 ]
	check "$out" "len(intervals) == 3"
}

# Between the moment its last thread ends and the one its parent is told, a process closes its files. Who
# hears of the first must not wait for the second in vain.
@test "the target ends and has many files to close: seen all the same" {
	start_target "$PYTHON" -c '
import resource, socket, sys, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
sockets = [socket.socket(socket.AF_UNIX) for _ in range(min(hard - 100, 100000))]
open(sys.argv[1], "w").close()
time.sleep(1000)' "$BATS_TEST_TMPDIR/ready"
	until_true 30 test -e "$BATS_TEST_TMPDIR/ready"
	start_threadprof -p "$target" -i 60 --json
	kill -KILL "$target"
	await_end "$profiler" 30
	[ "$status" = 0 ]
	check "$out" "len(intervals) == 1 and last['partial']"
}

@test "one of two targets ends: the other goes on" {
	start_sleeper
	local one=$target
	start_sleeper
	start_threadprof -p "$one,$target" -i 0.1 --json
	kill "$one"
	until_true 30 grep -q "\"pids\":\[$target\]" "$out"
	kill -0 "$profiler"
	kill "$target"
	await_end "$profiler" 30
	[ "$status" = 0 ]
}

@test "the target becomes another program: it is watched on" {
	mkfifo "$BATS_TEST_TMPDIR/go"
	start_target bash -c 'read -r _ <"$0"; exec sleep 1000' "$BATS_TEST_TMPDIR/go"
	until_true 30 has_name "$target" bash
	start_threadprof -p "$target" -i 0.1 --json
	echo >"$BATS_TEST_TMPDIR/go"
	until_true 30 grep -q '"comm":"sleep"' "$out"
	kill -INT "$profiler"
	await_end "$profiler" 30
	[ "$status" = 0 ]
	check "$out" "last['target']['comm'] == 'sleep' and last['target']['pids'] == [$target]"
}

# --- by a signal ---

# The report of what was seen so far, within a second (and the slowness of a loaded machine), exit 0.
expect_partial_after() {
	start_sleeper
	start_threadprof -p "$target" -i 60 --json
	sleep 0.3
	kill "-$1" "$profiler"
	await_end "$profiler" 30
	[ "$status" = 0 ] || fail "exit code $status"
	check "$out" "len(intervals) == 1 and last['partial'] and 0.1e9 < last['duration_ns'] < 25e9"
}

@test "Ctrl-C: the partial interval, exit 0" {
	expect_partial_after INT
}

@test "SIGTERM: the partial interval, exit 0" {
	expect_partial_after TERM
}

@test "SIGHUP: the partial interval, exit 0" {
	expect_partial_after HUP
}

@test "Ctrl-C while it attaches is not lost" {
	start_sleeper
	env --default-signal=INT "$THREADPROF" -p "$target" -i 60 --json </dev/null >"$out" 2>"$err" 3>&- &
	profiler=$!
	started+=("$profiler")
	until_true 30 blocks_interrupts "$profiler"
	kill -INT "$profiler"
	await_end "$profiler" 30
	[ "$status" = 0 ]
	check "$out" "len(intervals) == 1"
}

# Whether SIGINT is blocked: taken as an event; not blocked: it kills.
blocks_interrupts() {
	local key value mask=0
	while read -r key value; do
		[ "$key" != SigBlk: ] || mask=$value
	done <"/proc/$1/status"
	((16#$mask & 2))
}

# Starts threadprof with a standard output that nobody reads, and that is full: descriptor 8 would read it.
start_undrained() {
	: >"$err"
	rm -f "$BATS_TEST_TMPDIR/threads" "$BATS_TEST_TMPDIR/pipe"
	start_target "$PYTHON" -c '
import threading, time
threading.stack_size(65536)
for _ in range(600):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
open("'"$BATS_TEST_TMPDIR"'/threads", "w").close()
time.sleep(1000)'
	until_true 30 test -e "$BATS_TEST_TMPDIR/threads"
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	exec 8<>"$BATS_TEST_TMPDIR/pipe"
	env --default-signal=INT,QUIT "$THREADPROF" -p "$target" --json "$@" </dev/null \
		>"$BATS_TEST_TMPDIR/pipe" 2>"$err" 3>&- 8>&- &
	profiler=$!
	started+=("$profiler")
	await_attached
}

# After the first it waits half a second for a reader: on a loaded machine we may be later than that.
@test "a second Ctrl-C kills while nobody reads the output" {
	for _ in {1..5}; do
		start_undrained -i 0.1
		sleep 1
		kill -INT "$profiler"
		while blocks_interrupts "$profiler" 2>/dev/null; do :; done
		kill -INT "$profiler" 2>/dev/null || true
		await_end "$profiler" 8
		[ "$status" != 130 ] || return 0
		[ "$status" = 0 ] || fail "exit code $status"
		says "nobody reads the output"
	done
	fail "five times it was over before the second one"
}

@test "nobody reads the output: SIGTERM ends it all the same, and it says so" {
	start_undrained -i 0.1
	sleep 1
	kill "$profiler"
	await_end "$profiler" 8
	[ "$status" = 0 ] || fail "exit code $status"
	says "nobody reads the output"
}

# --- by its reader ---

@test "who reads too late finds whole reports, and once how many were lost" {
	start_undrained -i 0.05
	# When it is read, a report tells of the loss, and the ones after it of no more. A loaded machine may need
	# longer to make so many reports that some are lost.
	"$PYTHON" -c '
import json, os, time
data, lost, told = b"", 0, False
for pause in (2.5, 5, 10):
    time.sleep(pause)
    end = time.monotonic() + 3
    while not told and (lost or time.monotonic() < end):
        data += os.read(8, 1 << 20)
        lines = data.split(b"\n")
        data = lines.pop()
        for record in map(json.loads, lines):
            if record["type"] == "interval":
                told = told or (lost > 0 and record["lost"]["reports"] == 0)
                lost += record["lost"]["reports"]
print(lost)' >"$BATS_TEST_TMPDIR/lost" 3>&- &
	local reader=$!
	started+=("$reader")
	await_end "$reader" 30
	[ "$status" = 0 ]
	[ "$(cat "$BATS_TEST_TMPDIR/lost")" -gt 0 ]
	kill -0 "$profiler"
}

@test "| head -n 1: a quiet end" {
	start_sleeper
	run --separate-stderr timeout 30 bash -c '"$0" -p "$1" -i 0.1 --json | head -n 1; echo "${PIPESTATUS[0]}"' \
		"$THREADPROF" "$target"
	[ "$status" = 0 ]
	[ "${#lines[@]}" = 2 ]
	[ "${lines[1]}" = 0 ] || fail "exit code ${lines[1]}"
	[[ ${lines[0]} == '{"type":'* ]]
	[[ $stderr != *rror* && $stderr != *roken* && $stderr != *warning* ]] || fail "$stderr"
	[ "$(wc -l <<<"$stderr")" = 1 ]
}

@test "standard output is closed: says so, exit 1" {
	start_sleeper
	run --separate-stderr timeout 30 bash -c 'exec "$0" -p "$1" -i 0.1 -n 2 >&-' "$THREADPROF" "$target"
	[ "$status" = 1 ] || fail "exit code $status: $stderr"
	[[ $stderr == *"standard output"* ]] || fail "$stderr"
}

@test "a disk that is full: says so, exit 1" {
	start_sleeper
	run --separate-stderr timeout 30 bash -c 'exec "$0" -p "$1" -i 0.1 -n 20 >/dev/full' "$THREADPROF" "$target"
	[ "$status" = 1 ] || fail "exit code $status: $stderr"
	[[ $stderr == *"No space left"* ]] || fail "$stderr"
}

@test "standard error and standard input are closed: it works" {
	start_sleeper
	run timeout 30 bash -c 'exec "$0" -p "$1" -i 0.1 -n 2 --json 2>&- <&-' "$THREADPROF" "$target"
	[ "$status" = 0 ]
	echo "$output" >"$out"
	check "$out" "len(intervals) == 2"
}

# --- what is left ---

# The ids of the BPF programs that a process holds.
programs_of() {
	cat /proc/"$1"/fdinfo/* 2>/dev/null | awk '$1 == "prog_id:" { print $2 }' | sort -u
}

none_exists() {
	local id
	for id in "$@"; do
		! bpftool prog show id "$id" >/dev/null 2>&1 || return 1
	done
}

# Looks at the programs by id: another threadprof on the machine has its own.
expect_nothing_left_after() {
	local ids
	command -v bpftool >/dev/null || PATH=$PATH:/usr/sbin
	start_sleeper
	start_threadprof -p "$target" -i 0.2 --json
	ids=$(programs_of "$profiler")
	[ "$(wc -l <<<"$ids")" -ge 8 ] || fail "programs: $ids"
	bpftool prog show id "${ids%%$'\n'*}" >/dev/null
	kill "-$1" "$profiler"
	timeout 30 tail --pid="$profiler" -s 0.02 -f /dev/null
	# the kernel frees them a moment later
	# shellcheck disable=SC2086 # one word each
	until_true 30 none_exists $ids
}

@test "no program is left in the kernel after SIGTERM" {
	expect_nothing_left_after TERM
}

@test "no program is left in the kernel after SIGKILL" {
	expect_nothing_left_after KILL
}
