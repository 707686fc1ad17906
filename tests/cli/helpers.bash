# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# What the command-line tests share. Every process that a test starts is in $started and ends with the test.
# shellcheck shell=bash disable=SC2034,SC2154 # what the tests use, what bats sets

bats_require_minimum_version 1.5.0

THREADPROF=${THREADPROF:-$BATS_TEST_DIRNAME/../../threadprof}

# bats has no hook for a whole directory: each file calls this from its setup_file.
need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root"
	[ -r /sys/kernel/btf/vmlinux ] || skip "needs a kernel with BTF"
	[ -x "$THREADPROF" ] || {
		echo "threadprof is not built: run make first"
		return 1
	}
	# python3 may be a wrapper that starts other processes before it becomes the interpreter.
	PYTHON=$(python3 -c 'import sys; print(sys.executable)')
	export PYTHON THREADPROF
}

setup() {
	started=()
	out=$BATS_TEST_TMPDIR/out
	err=$BATS_TEST_TMPDIR/err
}

# A process and those that it has started and not waited for.
with_descendants() {
	local pid
	echo "$1"
	# shellcheck disable=SC2013 # words, not lines
	for pid in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
		with_descendants "$pid"
	done
}

# SIGKILL: a test that went wrong may have left one that ignores the rest.
teardown() {
	local pid all=()
	for pid in "${started[@]}"; do
		[ ! -e "/proc/$pid" ] || mapfile -t -O ${#all[@]} all < <(with_descendants "$pid")
	done
	for pid in "${all[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}

fail() {
	printf '%s\n' "$@"
	if [ -s "$err" ]; then
		echo "--- stderr of threadprof:"
		head -n 20 "$err"
	fi
	return 1
}

# "! COMMAND" does not end a bats test.
refute() {
	if "$@"; then
		fail "not expected: $*"
	fi
}

# until_true SECONDS COMMAND...: waits until the command succeeds.
until_true() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	while ! "$@"; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || fail "not in time: $*" || return 1
		sleep 0.02
	done
}

# Starts a process to look at; its id is in $target. A background process of a script ignores
# Ctrl-C unless somebody gives it the signal back.
start_target() {
	env --default-signal=INT,QUIT "$@" </dev/null >/dev/null 2>&1 3>&- &
	target=$!
	started+=("$target")
}

start_sleeper() {
	start_target sleep 1000
	until_true 30 has_name "$target" sleep
}

has_name() {
	[ "$(tr -d '\n' 2>/dev/null <"/proc/$1/comm")" = "$2" ]
}

# Starts threadprof in the background; its id is in $profiler, what it says in files.
start_threadprof() {
	# What one before it said would look like an answer.
	: >"$err"
	env --default-signal=INT,QUIT "$THREADPROF" "$@" </dev/null >"$out" 2>"$err" 3>&- &
	profiler=$!
	started+=("$profiler")
	await_attached
}

says() {
	grep -qs -- "$1" "$err"
}

await_attached() {
	until_true 30 attached_or_ended
	says attached || fail "threadprof ended before it was attached"
}

attached_or_ended() {
	says attached || ! kill -0 "$profiler" 2>/dev/null
}

# await_end PID SECONDS: waits for the end of a process that this shell started; its status is in $status.
await_end() {
	timeout "$2" tail --pid="$1" -s 0.02 -f /dev/null || fail "process $1 has not ended within $2 s" || return 1
	status=0
	wait "$1" || status=$?
}

# Runs threadprof until it ends by itself: $output, $stderr and $status as bats sets them. None of these
# runs may hang; 124 would show that it did.
run_threadprof() {
	run --separate-stderr timeout 30 "$THREADPROF" "$@" </dev/null
}

# expect STATUS WORD...: how the last run ended, and what it said on stderr, in one sentence each.
expect() {
	[ "$status" = "$1" ] || fail "exit code $status instead of $1: $stderr"
	shift
	local word
	for word in "$@"; do
		[[ $stderr == *"$word"* ]] || fail "stderr does not say '$word': $stderr"
	done
}

# An error is said once, by name, and nothing goes to standard output.
expect_error() {
	expect "$@"
	[ -z "$output" ] || fail "on stdout: $output"
	[[ $stderr == "threadprof: "* ]] || fail "stderr does not begin with the name: $stderr"
	[ "$(wc -l <<<"$stderr")" = 1 ] || fail "more than one line: $stderr"
}

# check FILE EXPRESSION: a Python expression over all records, the intervals, the features by name, and
# the first and the last interval. is_null(): nothing in it has a value.
check() {
	"$PYTHON" - "$1" "$2" <<'PYTHON'
import json, sys
records = [json.loads(line) for line in open(sys.argv[1])]
intervals = [r for r in records if r["type"] == "interval"]
features = {r["name"]: r for r in records if r["type"] == "feature"}
first, last = (intervals[0], intervals[-1]) if intervals else (None, None)
def is_null(value):
    return all(map(is_null, value.values())) if isinstance(value, dict) else value is None
if not eval(sys.argv[2]):
    print("not true: " + sys.argv[2])
    for record in records[-3:]:
        print(json.dumps(record)[:2000])
    sys.exit(1)
PYTHON
}

has_lines() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}
