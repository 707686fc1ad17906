#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# threadprof check: what it says of the host and of a process, in text and JSON, and its exit codes.

load helpers

setup_file() {
	need_root
}

# Runs check with --json; its lines are in $out for the helper "check".
run_check() {
	run_threadprof check --json "$@"
	echo "$output" >"$out"
}

@test "the host: every feature that a report needs is on, exit 0" {
	run_check
	expect 0
	[ -z "$stderr" ]
	check "$out" "all(r['type'] == 'feature' and r['schema'] == 1 and r['mono_ns'] > 0 for r in records)"
	check "$out" "all(features[n]['state'] == 'on' for n in ('tracing', 'thread_states', 'requests',
		'existing_connections', 'stolen_cpu', 'bursts', 'executables'))"
	check "$out" "all(f['reason'] and f['remedy'] for f in features.values() if f['state'] != 'on')"
	check "$out" "'symbols' not in features and 'target' not in features"
	check "$out" "len(features) == len(records)"
}

@test "what it says is what a run says" {
	start_sleeper
	run_check -p "$target"
	cp "$out" "$out.check"
	run_threadprof -p "$target" -n 1 -i 0.1 --json
	echo "$output" >"$out"
	"$PYTHON" - "$out.check" "$out" <<'PYTHON'
import json, sys
def features(path):
    records = (json.loads(line) for line in open(path))
    return {r["name"]: (r["state"], r["reason"], r["remedy"]) for r in records if r["type"] == "feature"}
checked, ran = map(features, sys.argv[1:])
wrong = {name: (checked.get(name), ran[name]) for name in ran if checked.get(name) != ran[name]}
sys.exit("they differ: %r" % wrong if wrong or not ran else 0)
PYTHON
}

@test "text: a line for each feature, in columns, no wider than 80" {
	start_sleeper
	run_threadprof check -p "$target"
	expect 0
	grep -Eq '^thread_states +(on|fallback)' <<<"$output"
	grep -Eq "^target +on +process $target, sleep, of user root" <<<"$output"
	[ "$(wc -L <<<"$output")" -le 80 ] || fail "too wide: $output"
}

@test "a program that the kernel refuses: off with reason and remedy; without requests exit 1" {
	run_check --refuse snapshot_sockets
	expect 0
	check "$out" "features['existing_connections']['state'] == 'off' and features['existing_connections']['remedy']"
	run_check --refuse request_sys_exit
	expect 1
	check "$out" "features['requests']['state'] == 'off' and features['thread_states']['state'] == 'on'"
	run_check --force-fallback task_storage
	expect 0
	check "$out" "features['thread_states']['state'] == 'fallback'"
}

@test "no rights: tracing is off, the remedy is said, exit 1" {
	run --separate-stderr timeout 30 setpriv --bounding-set=-all --inh-caps=-all "$THREADPROF" check --json
	expect 1
	echo "$output" >"$out"
	check "$out" "features['tracing']['state'] == 'off' and 'CAP_BPF' in features['tracing']['reason']"
	check "$out" "list(features) == ['tracing']"
}

@test "root of a user namespace has no rights over the kernel, and is told so" {
	unshare --user --map-root-user true 2>/dev/null || skip "no user namespaces here"
	run --separate-stderr timeout 30 unshare --user --map-root-user "$THREADPROF" check --json
	expect 1
	echo "$output" >"$out"
	check "$out" "'user namespace' in features['tracing']['reason']"
}

@test "a process that there is not, and one that is no target: exit 1" {
	run_check -p 4194303
	expect 1
	check "$out" "features['target']['state'] == 'off' and '4194303' in features['target']['reason']"
	check "$out" "features['thread_states']['state'] == 'on'"
	run_check -p 2
	[[ $(cat /proc/2/comm) != kthreadd ]] || {
		expect 1
		check "$out" "'kernel thread' in features['target']['reason']"
	}
}

@test "a stripped program, and one with symbols" {
	local program=$BATS_TEST_TMPDIR/sleeper
	echo 'int pause(void); int main(void) { return pause(); }' >"$program.c"
	cc -o "$program" "$program.c"
	start_target "$program"
	until_true 30 has_name "$target" sleeper
	run_check -p "$target"
	check "$out" "features['target_symbols']['state'] == 'on'"
	check "$out" "features['target_requests']['state'] == 'on' and features['target_uprobes']['state'] == 'on'"
	cc -s -o "$program-s" "$program.c"
	start_target "$program-s"
	until_true 30 has_name "$target" sleeper-s
	run_check -p "$target"
	check "$out" "features['target_symbols']['state'] == 'fallback' and 'stripped' in features['target_symbols']['reason']"
	expect 0
}

@test "a static program" {
	local program=$BATS_TEST_TMPDIR/sleeper
	echo 'int pause(void); int main(void) { return pause(); }' >"$program.c"
	cc -static -o "$program" "$program.c" 2>/dev/null || skip "no static libc here"
	start_target "$program"
	until_true 30 has_name "$target" sleeper
	run_check -p "$target"
	expect 0
	check "$out" "features['target_uprobes']['state'] == 'fallback' and 'static' in features['target_uprobes']['reason']"
}

@test "a program that Go's linker made" {
	local program=$BATS_TEST_TMPDIR/sleeper
	echo '__attribute__((section(".go.buildinfo"), used)) static int info = 1;
		int pause(void); int main(void) { return pause(); }' >"$program.c"
	cc -o "$program" "$program.c"
	start_target "$program"
	until_true 30 has_name "$target" sleeper
	run_check -p "$target"
	expect 0
	check "$out" "features['target_uprobes']['state'] == 'off' and 'Go' in features['target_uprobes']['reason']"
	check "$out" "features['target_locks']['state'] == 'fallback'"
}

@test "a seccomp filter" {
	# prctl(PR_SET_NO_NEW_PRIVS), then prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER) with one that allows everything
	start_target "$PYTHON" -c '
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter))]
allow = Filter(0x06, 0, 0, 0x7fff0000)
libc.prctl(38, 1, 0, 0, 0)
libc.prctl(22, 2, ctypes.byref(Program(1, ctypes.pointer(allow))))
time.sleep(1000)'
	until_true 30 grep -q '^Seccomp:.*2' "/proc/$target/status"
	run_check -p "$target"
	expect 0
	check "$out" "features['target_uprobes']['state'] == 'off' and 'seccomp' in features['target_uprobes']['reason']"
	check "$out" "'seccomp' in features['target']['reason']"
}

@test "io_uring in use" {
	# syscall 425 is io_uring_setup(entries, params) on every architecture
	start_target "$PYTHON" -c '
import ctypes, sys, time
params = ctypes.create_string_buffer(256)
fd = ctypes.CDLL(None).syscall(425, 4, params)
time.sleep(1000 if fd >= 0 else 0)'
	until_true 30 ring_or_ended || skip "no io_uring here"
	kill -0 "$target" 2>/dev/null || skip "no io_uring here"
	run_check -p "$target"
	expect 0
	check "$out" "features['target_requests']['state'] == 'fallback' and 'io_uring' in features['target_requests']['reason']"
}

ring_or_ended() {
	! kill -0 "$target" 2>/dev/null || [[ $(ls -l "/proc/$target/fd" 2>/dev/null) == *io_uring* ]]
}

@test "wrong usage: 2" {
	run_threadprof check nonsense
	expect_error 2 "nonsense" "check --help"
	run_threadprof check --nonsense
	expect 2 "check --help"
	run_threadprof check -p 1 -p 2
	expect_error 2 "-p"
	run_threadprof check --help
	expect 0
	[[ $output == "Usage: threadprof check"* ]]
}

@test "a full disk is an error" {
	run --separate-stderr bash -c '"$1" check --json >/dev/full' sh "$THREADPROF"
	expect_error 1 "cannot write to standard output"
}
