#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# threadprof -- COMMAND

load helpers

setup_file() {
	need_root
}

@test "a command is profiled from its first instruction, and its end is ours" {
	# A server that is its own client, and is done long before one could have attached to it.
	run_threadprof --json -i 60 -- "$PYTHON" -c '
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def ask():
    for _ in range(25):
        with socket.create_connection(listener.getsockname()) as s:
            s.sendall(b"x")
            s.recv(1)
client = threading.Thread(target=ask)
client.start()
for _ in range(25):
    connection, _ = listener.accept()
    connection.recv(1)
    connection.sendall(b"y")
    connection.close()
client.join()'
	expect 0 "attached"
	echo "$output" >"$out"
	check "$out" "len(intervals) == 1 and last['partial'] and last['duration_ns'] < 30e9"
	check "$out" "last['requests']['count'] == 25 and last['connections']['accepted'] == 25"
	check "$out" "last['connections']['closed'] == 25 and all(v == 0 for v in last['lost'].values())"
	check "$out" "last['target']['comm'].startswith('python') and last['target']['threads_exited'] == 2"
}

@test "the command has our standard streams and its own arguments" {
	# shellcheck disable=SC2016 # for the other shell
	run --separate-stderr timeout 30 "$THREADPROF" -d 3 -i 60 -- sh -c 'echo "$1 $2 $(cat)"; echo bad >&2' sh -n --json \
		<<<"input"
	[ "$status" = 0 ]
	[[ $output == *"-n --json input"* ]]
	[[ $stderr == *"bad"* ]]
}

@test "no such command: exit 1, and which it was" {
	run_threadprof -- /nonexistent/command
	expect 1 "/nonexistent/command" "No such file"
	[ -z "$output" ]
	run_threadprof -- "$BATS_TEST_DIRNAME"
	expect 1 "cannot start $BATS_TEST_DIRNAME" "ermission denied"
}

@test "the command's own exit code is not ours" {
	run_threadprof -i 60 -- false
	expect 0
}

@test "Ctrl-C ends the report and leaves the command running" {
	start_threadprof --json -i 60 -- sleep 1000
	local pid
	pid=$(cat "/proc/$profiler/task/$profiler/children")
	pid=${pid%% *}
	started+=("$pid")
	until_true 30 has_name "$pid" sleep
	kill -INT "$profiler"
	await_end "$profiler" 30
	[ "$status" = 0 ]
	has_name "$pid" sleep
	check "$out" "len(intervals) == 1 and last['target']['pids'] == [$pid]"
}

@test "a command that cannot be watched is not started" {
	run --separate-stderr timeout 30 setpriv --bounding-set=-all --inh-caps=-all "$THREADPROF" -- \
		touch "$BATS_TEST_TMPDIR/touched"
	expect_error 1 "CAP_BPF"
	sleep 0.2
	[ ! -e "$BATS_TEST_TMPDIR/touched" ]
}

@test "signals that we block are not blocked in the command" {
	run_threadprof --json -i 60 -- sh -c 'grep SigBlk /proc/self/status; grep SigIgn /proc/self/status'
	expect 0
	[ "$(awk '/^SigBlk/ { print $2 }' <<<"$output")" = 0000000000000000 ]
	# SIGPIPE is number 13
	local ignored
	ignored=$(awk '/^SigIgn/ { print $2 }' <<<"$output")
	[ $((16#$ignored & 0x1000)) = 0 ]
}
