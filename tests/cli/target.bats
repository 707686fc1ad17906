#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# What may stand after -p, and what is said of the rest.

load helpers

setup_file() {
	need_root
}

is_zombie() {
	grep -q '^State:.*Z' "/proc/$1/status"
}

# Starts a parent that never waits for its child, which has ended; both are in $target and $zombie.
start_zombie() {
	start_target "$PYTHON" -c '
import os, sys, time
pid = os.fork()
if pid == 0:
    os._exit(0)
open(sys.argv[1] + ".new", "w").write(str(pid))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(1000)' "$BATS_TEST_TMPDIR/zombie"
	until_true 30 test -s "$BATS_TEST_TMPDIR/zombie"
	zombie=$(cat "$BATS_TEST_TMPDIR/zombie")
	until_true 30 is_zombie "$zombie"
}

@test "no such process" {
	local gone
	sleep 0 3>&- &
	gone=$!
	wait "$gone"
	run_threadprof -p "$gone"
	expect_error 1 "there is no process $gone" "ps -e"
}

@test "not a number, in several ways" {
	local word
	for word in nginx 12x -5 +5 " 5" 0 0x10 1.5 99999999999999999999; do
		run_threadprof -p "$word"
		expect_error 1 "\"$word\" is not a process id" "separated by commas"
	done
}

@test "an empty list, and lists with holes" {
	local word
	start_sleeper
	for word in "" "," "$target," ",$target" "$target,,$target" "$target, $target"; do
		run_threadprof -p "$word"
		expect_error 1 "is not a process id"
	done
}

@test "one that is not there spoils the whole list" {
	start_sleeper
	run_threadprof -p "$target,4194303"
	expect_error 1 "there is no process 4194303"
}

@test "a zombie" {
	start_zombie
	run_threadprof -p "$zombie"
	expect_error 1 "process $zombie" "is a zombie" "parent $target"
}

@test "a kernel thread" {
	local pid=2
	[ "$(cut -d' ' -f2 /proc/2/stat 2>/dev/null)" = "(kthreadd)" ] || skip "no kernel threads in this PID namespace"
	run_threadprof -p "$pid"
	expect_error 1 "2 (kthreadd) is a kernel thread" "processes only"
}

@test "threadprof itself" {
	# the shell becomes threadprof and keeps its id
	run --separate-stderr timeout 30 bash -c 'exec "$0" -p $$' "$THREADPROF"
	expect_error 1 "is threadprof itself"
}

@test "a thread: says which process it is of, and profiles that" {
	start_target "$PYTHON" -c '
import threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()'
	until_true 30 has_two_threads "$target"
	local tid
	tid=$(find "/proc/$target/task" -mindepth 1 -maxdepth 1 -not -name "$target" -printf '%f\n')
	run_threadprof -p "$tid" -n 1 -i 0.1 --json
	expect 0 "$tid is a thread of process $target" "profiling that process"
	echo "$output" >"$out"
	check "$out" "last['target']['pids'] == [$target] and last['target']['threads'] == 2"
}

has_two_threads() {
	[ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ]
}

@test "a process whose first thread has ended lives on" {
	start_target "$PYTHON" -c '
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
ctypes.CDLL(None).syscall(60 if "x86_64" in __import__("os").uname().machine else 93, 0)'
	until_true 30 is_zombie "$target"
	run_threadprof -p "$target" -n 2 -i 0.1 --json
	expect 0 "attached"
	echo "$output" >"$out"
	check "$out" "len(intervals) == 2 and last['target']['pids'] == [$target] and last['threads']"
}

@test "two processes, and the same one twice" {
	start_sleeper
	local one=$target
	start_sleeper
	run_threadprof -p "$one,$target,$one" -n 1 -i 0.1 --json
	expect 0 "1 more process"
	echo "$output" >"$out"
	check "$out" "last['target']['pids'] == [$one, $target] and last['target']['threads'] == 2"
	run_threadprof -p "$one,$one" -n 1 -i 0.1 --json
	expect 0
	echo "$output" >"$out"
	check "$out" "last['target']['pids'] == [$one] and last['target']['threads'] == 1"
}

@test "child processes that are not profiled are said" {
	start_target bash -c 'sleep 1000 & wait'
	until_true 30 has_child "$target" sleep
	run_threadprof -p "$target" -n 1 -i 0.1 --json
	expect 0 "child process" "not profiled" "-f"
	echo "$output" >"$out"
	check "$out" "last['target']['pids'] == [$target]"
}

has_child() {
	local pid
	# shellcheck disable=SC2013 # words, not lines
	for pid in $(cat "/proc/$1/task/$1/children"); do
		! has_name "$pid" "$2" || return 0
	done
	return 1
}

@test "-f: the children that are there, and those that come" {
	mkfifo "$BATS_TEST_TMPDIR/go"
	start_target bash -c 'sleep 1000 & read -r _ <"$0"; sleep 999 & wait' "$BATS_TEST_TMPDIR/go"
	until_true 30 has_child "$target" sleep
	start_threadprof -f -p "$target" -i 0.2 --json
	until_true 30 has_interval_with 2
	echo >"$BATS_TEST_TMPDIR/go"
	until_true 30 has_interval_with 3
	kill -INT "$profiler"
	await_end "$profiler" 30
	[ "$status" = 0 ]
	refute says "not profiled"
}

# Is there an interval with so many processes?
has_interval_with() {
	grep -Eq '"pids":\[([0-9]+,){'$(($1 - 1))'}[0-9]+\]' "$out"
}
