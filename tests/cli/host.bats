#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# What a host may lack: rights, BTF, tracefs, a program that its kernel refuses.

load helpers

setup_file() {
	need_root
	# One that everybody may execute, wherever the tree lies.
	public_dir=$(mktemp -d)
	chmod 755 "$public_dir"
	install -m 755 "$THREADPROF" "$public_dir/threadprof"
	export public_dir
}

teardown_file() {
	rm -rf "${public_dir:-}"
}

# Runs COMMAND... with a changed view of the file system that ends with it: SETUP is a shell script.
in_private_mounts() {
	local setup=$1
	shift
	run --separate-stderr timeout 30 unshare -m sh -c "$setup"' && exec "$@"' sh "$@"
}

@test "nobody, without capabilities: exit 1 and the remedy" {
	start_sleeper
	run --separate-stderr timeout 30 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
		"$public_dir/threadprof" -p "$target"
	expect_error 1 "CAP_BPF" "CAP_PERFMON" "sudo"
}

@test "a seccomp filter that keeps bpf(2) from root, as a container's may: exit 1, and what to start it with" {
	start_sleeper
	# Returns EPERM for that system call, and allows all others.
	run --separate-stderr timeout 30 "$PYTHON" -c '
import ctypes, os, platform, struct, sys
libc, number = ctypes.CDLL(None), 321 if platform.machine() == "x86_64" else 280
filters = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000))
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *f) for f in filters))
program = struct.pack("HxxxxxxQ", len(filters), ctypes.addressof(text))
libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program) or os.execv(sys.argv[1], sys.argv[1:])' \
		"$THREADPROF" -p "$target"
	expect_error 1 "seccomp" "--security-opt seccomp=unconfined"
}

@test "the user id alone is nothing: root without capabilities" {
	start_sleeper
	run --separate-stderr timeout 30 setpriv --bounding-set=-all --inh-caps=-all "$THREADPROF" -p "$target"
	expect_error 1 "CAP_BPF" "CAP_PERFMON" "sudo"
}

@test "CAP_BPF without CAP_PERFMON is not enough" {
	start_sleeper
	run --separate-stderr timeout 30 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all,+bpf \
		--ambient-caps=-all,+bpf "$public_dir/threadprof" -p "$target"
	expect_error 1 "CAP_PERFMON"
}

@test "CAP_BPF and CAP_PERFMON are enough for nobody" {
	local caps=-all,+bpf,+perfmon
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=$caps --ambient-caps=$caps true ||
		skip "setpriv does not know these capabilities"
	start_target setpriv --reuid=65534 --regid=65534 --clear-groups sleep 1000
	until_true 30 has_name "$target" sleep
	run --separate-stderr timeout 30 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=$caps \
		--ambient-caps=$caps "$public_dir/threadprof" -p "$target" -n 2 -i 0.1 --json
	expect 0 "attached"
	echo "$output" >"$out"
	# the paths of other users' executables take one more, and so does the time of our own programs
	check "$out" "len(intervals) == 2 and {n for n, f in features.items() if f['state'] != 'on'} == {'executables', 'own_cost'}"
	check "$out" "features['own_cost']['state'] == 'off' and 'CAP_SYS_ADMIN' in features['own_cost']['remedy']"
	check "$out" "last['overhead']['bpf_ns'] is None"
	check "$out" "features['executables']['state'] == 'fallback' and 'CAP_SYS_PTRACE' in features['executables']['remedy']"
	check "$out" "last['threads'][0]['state_ns']['sleep'] > 0"
}

@test "a kernel without BTF" {
	start_sleeper
	mkdir "$BATS_TEST_TMPDIR/empty"
	in_private_mounts "mount --bind '$BATS_TEST_TMPDIR/empty' /sys/kernel/btf" "$THREADPROF" -p "$target"
	expect_error 1 "/sys/kernel/btf/vmlinux" "--btf FILE" "CONFIG_DEBUG_INFO_BTF"
}

# without_btf COMMAND...: where the kernel's BTF can't be seen, and $btf has it.
without_btf() {
	btf=$BATS_TEST_TMPDIR/btf
	mkdir -p "$BATS_TEST_TMPDIR/empty"
	[ -e "$btf" ] || cp /sys/kernel/btf/vmlinux "$btf"
	in_private_mounts "mount --bind '$BATS_TEST_TMPDIR/empty' /sys/kernel/btf" "$@"
}

@test "a kernel without BTF, and a file that has it" {
	start_sleeper
	btf=$BATS_TEST_TMPDIR/btf
	without_btf "$THREADPROF" -p "$target" -n 2 -i 0.1 --json --btf "$btf"
	expect 0 "thread_states is fallback" "from a file" "attached"
	echo "$output" >"$out"
	check "$out" "{n for n, f in features.items() if f['state'] != 'on'} == {'thread_states'}"
	check "$out" "len(intervals) == 2 and last['threads'][0]['state_ns']['sleep'] > 0"
	without_btf "$THREADPROF" check -p "$target" --json --btf "$btf"
	expect 0
	echo "$output" >"$out"
	check "$out" "features['tracing']['state'] == 'fallback' and features['tracing']['remedy']"
	check "$out" "features['requests']['state'] == features['bursts']['state'] == 'on'"
	without_btf "$THREADPROF" snoop -d 0.5 --json --btf "$btf"
	expect 0 "attached"
	without_btf "$THREADPROF" check -p "$target"
	[ "$status" = 1 ]
	[[ $output == *"--btf FILE"* ]]
}

@test "--btf on a kernel that has BTF: the file is used, and it is said" {
	start_sleeper
	cp /sys/kernel/btf/vmlinux "$BATS_TEST_TMPDIR/btf"
	run_threadprof -p "$target" -n 1 -i 0.1 --btf "$BATS_TEST_TMPDIR/btf"
	expect 0 "describes its types itself" "thread_states is fallback"
}

# Another kernel's: a member of struct task_struct is in another place.
@test "--btf: a file that is none, cut short, or another kernel's: exit 1, what is wrong, the remedy" {
	start_sleeper
	local bad file=$BATS_TEST_TMPDIR/btf
	for bad in "$BATS_TEST_TMPDIR/nothing" /dev/null /etc/passwd "$THREADPROF" "$BATS_TEST_TMPDIR" ""; do
		run_threadprof -p "$target" -n 1 --btf "$bad"
		if [ "$bad" ]; then
			expect_error 1 "$bad" "pahole --btf_encode_detached"
		else
			expect_error 2 "--btf"
		fi
	done
	head -c 100000 /sys/kernel/btf/vmlinux >"$file"
	run_threadprof snoop -d 1 --btf "$file"
	expect_error 1 "$file has no description of types" "pahole --btf_encode_detached"
	python3 "$BATS_TEST_DIRNAME/../lib/btf_shift.py" </sys/kernel/btf/vmlinux >"$file"
	run_threadprof -p "$target" -n 1 --btf "$file"
	expect 1 "$file does not describe the kernel that runs here" "pahole --btf_encode_detached"
	run_threadprof snoop -d 1 --btf "$file"
	expect 1 "$file does not describe the kernel that runs here"
	run_threadprof check -p "$target" --json --btf "$file"
	expect 1
	[[ $output == *"does not describe the kernel that runs here"* ]]
}

@test "lockdown=confidentiality, and lockdown=integrity, which is no hindrance" {
	[ -d /sys/kernel/security ] || skip "no /sys/kernel/security to mount on"
	start_sleeper
	in_private_mounts 'mount -t tmpfs none /sys/kernel/security &&
		echo "none integrity [confidentiality]" >/sys/kernel/security/lockdown' "$THREADPROF" -p "$target"
	expect_error 1 "lockdown=confidentiality" "lockdown=integrity"
	in_private_mounts 'mount -t tmpfs none /sys/kernel/security &&
		echo "none [integrity] confidentiality" >/sys/kernel/security/lockdown' \
		"$THREADPROF" -p "$target" -n 1 -i 0.1 --json
	expect 0 "attached"
}

# Of the only kind that threadprof mounts; others may mount theirs meanwhile.
tracefs_mounts() {
	grep tracefs /proc/self/mounts || true
}

@test "without tracefs, and no mount is left behind" {
	start_sleeper
	local before
	before=$(tracefs_mounts)
	in_private_mounts 'umount -q -R /sys/kernel/tracing /sys/kernel/debug; ! grep -q tracefs /proc/self/mounts' \
		"$THREADPROF" -p "$target" -n 1 -i 0.1 --json
	expect 0 "attached"
	echo "$output" >"$out"
	check "$out" "len(features) >= 4 and all(f['state'] == 'on' for f in features.values())"
	start_threadprof -p "$target" -i 0.1 --json
	until_true 30 has_lines "$out" 6
	# while it runs as well: nobody else is to see a mount of ours
	[ "$(tracefs_mounts)" = "$before" ]
	kill "$profiler"
	await_end "$profiler" 30
	[ "$(tracefs_mounts)" = "$before" ]
}

# --- a program that the kernel refuses ---

# expect_off FEATURE: said on stderr with a remedy, and in JSON; the others are on.
expect_off() {
	expect 0 "warning: $1 is off" "remedy:" "attached"
	echo "$output" >"$out"
	check "$out" "features['$1']['state'] == 'off' and features['$1']['reason'] and features['$1']['remedy']"
	check "$out" "all(f['state'] == 'on' and f['reason'] is None for n, f in features.items() if n != '$1')"
	check "$out" "len(intervals) == 2"
}

@test "sys_exit refused: requests are null, not 0, and the threads are there" {
	start_sleeper
	run_threadprof --refuse request_sys_exit -p "$target" -n 2 -i 0.1 --json
	expect_off requests
	check "$out" "all(is_null(i['requests']) and is_null(i['queue']) for i in intervals)"
	check "$out" "is_null(last['connections']) and last['utilization']['busy_ratio'] is None"
	check "$out" "last['threads'][0]['state_ns']['sleep'] > 0"
}

@test "sys_exit refused: the text says so, with - for what is not known" {
	start_sleeper
	run_threadprof --refuse request_sys_exit -p "$target" -n 1 -i 0.1
	expect 0 "requests is off"
	[[ $output == *"requests: not measured"* ]]
	grep -Eq '^request latency +- ' <<<"$output"
	grep -Eq '^connections +- ' <<<"$output"
}

@test "the socket iterator refused: accept queues are null, requests are counted" {
	start_sleeper
	run_threadprof --refuse snapshot_sockets -p "$target" -n 2 -i 0.1 --json
	expect_off existing_connections
	check "$out" "is_null(last['queue']['accept_queue']) and last['queue']['now'] == 0"
	check "$out" "last['requests']['count'] == 0"
}

@test "sched_migrate_task refused: stolen CPU is null, the states are there" {
	start_sleeper
	run_threadprof --refuse sched_migrate_task -p "$target" -n 2 -i 0.1 --json
	expect_off stolen_cpu
	check "$out" "last['stolen_cpu'] is None"
	check "$out" "last['threads'][0]['state_ns']['sleep'] > 0 and last['requests']['count'] == 0"
}

@test "no holders of locks: the reason is the one that it is" {
	start_sleeper
	run_threadprof --refuse lock_holders -p "$target" -n 2 -i 0.1 --json
	expect_off lock_holders
	check "$out" "'refuses' in features['lock_holders']['reason']"
	run_threadprof --force-fallback task_storage -p "$target" -n 1 -i 0.1 --json
	expect 0
	echo "$output" >"$out"
	check "$out" "features['lock_holders']['state'] == 'on'"
}

@test "a program that cannot be done without, and one that there is not" {
	start_sleeper
	run_threadprof --refuse process_exit -p "$target" -n 1 -i 0.1
	expect_error 1 'no optional program "process_exit"'
	run_threadprof --refuse nonsense -p "$target" -n 1 -i 0.1
	expect_error 1 'no optional program "nonsense"'
}

# --- a fallback that is forced ---

@test "what has no fallback: wrong usage, and the names" {
	start_sleeper
	run_threadprof --force-fallback tp_btf,nonsense -p "$target" -n 1
	expect_error 2 '"nonsense"' "kernel_btf, task_storage, tp_btf, current_task_btf, task_pt_regs, prev_state, group_dead, mem_alloc, rdonly_cast, steady_sys_exit, steady_processes"
	run_threadprof snoop --force-fallback nonsense
	expect_error 2 '"nonsense"' "group_dead"
}

@test "a fallback that matters shows in the feature, one that does not in --verbose" {
	start_sleeper
	run_threadprof --force-fallback task_storage -p "$target" -n 1 -i 0.1 --json
	expect 0 "thread_states is fallback" "16384"
	run_threadprof -v --force-fallback task_pt_regs --force-fallback prev_state -p "$target" -n 1 -i 0.1 --json
	expect 0 "task_pt_regs: its fallback is used" "prev_state: its fallback is used"
}
