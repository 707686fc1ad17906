#!/bin/sh
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# Inside the guest: known-answer workloads under threadprof. Leaves in /out a directory for each round:
# the truth of each workload, and for each run of threadprof its output (NAME.json), what it said
# (NAME.err), its exit code (NAME.rc) and the moments when it was started and attached (NAME.times).
#
#   probes, fallbacks  each state, watched in two ways at once, so that both see the same switches
#   requests           a server that knows its requests, its queue and its locks
#   skipped            the same, where the kernel skips programs
#   user               the same, of a plain user, watched by that user with two capabilities
#   calls              threads that know how often they take their locks, and how long they wait for them
#   pushed             threads that are pushed off their CPU in the probes of their locks
#   snoop              processes that live for a moment, and some whose threads all end at once
#   off                a kernel that refuses a program
#   file-states, file  states, requests and processes, where the kernel's BTF is hidden and a file has it
#   untold             a kernel without BTF, and no file that has its types; the other rounds have that file

scripts="lock cond-idle cond-serving sem-serving sleep cpu runq net-read net-poll epoll read-idle pipe stop"
plain_user=1000
types=
[ ! -e vmlinux.btf ] || types="--btf $PWD/vmlinux.btf"
every_fallback=task_storage,current_task_btf,task_pt_regs,prev_state,group_dead,mem_alloc
ticker=
who=
btf_file=/tmp/btf

# await SECONDS COMMAND...: until the command succeeds; fails when the time is up.
await() {
	tries=$(($1 * 20))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.05
	done
}

lines_are() {
	[ "$(wc -l <"$2")" -ge "$1" ]
}

is_gone() {
	! [ -d "/proc/$1" ]
}

is_attached_or_gone() {
	grep -q "$3" "$2" || is_gone "$1"
}

# The guest's own pulse: a gap says that the emulation stood still, or that the guest was starved.
tick() {
	while sleep 0.1; do
		cut -d' ' -f1 /proc/uptime
	done >"$out/ticks"
}

begin_round() {
	out=/out/$1
	pids=
	mkdir -p "$out"
	tick &
	ticker=$!
}

end_round() {
	kill "$ticker"
	rm -f "$out"/in.*
}

# start NAME COMMAND...: a workload that says that it is ready.
start() {
	name=$1
	shift
	mkfifo "$out/in.$name"
	# The sleeper keeps the workload's input open for writing.
	sleep 1000 >"$out/in.$name" &
	"$@" <"$out/in.$name" >"$out/truth.$name" 2>"$out/err.$name" &
	await 10 lines_are 1 "$out/truth.$name" || echo "$name is not ready"
	pid=$(sed -n '1s/.*"pid":\([0-9]*\).*/\1/p' "$out/truth.$name")
	pids="$pids,$pid"
}

run_to_end() {
	echo go >"$out/in.$1"
	await 20 lines_are 2 "$out/truth.$1" || echo "$1 has no end"
}

# watch NAME SIGN OPTION...: starts threadprof, as $who if that is set, and waits until it has said SIGN.
watch() {
	name=$1 sign=$2
	shift 2
	cut -d' ' -f1 /proc/uptime >"$out/$name.times"
	(
		# shellcheck disable=SC2086 # a list of words
		$who ./threadprof "$@" $types --json >"$out/$name.json" 2>"$out/$name.err"
		echo $? >"$out/$name.rc"
	) &
	await 60 is_attached_or_gone $! "$out/$name.err" "$sign" || echo "$name is not attached"
	cut -d' ' -f1 /proc/uptime >>"$out/$name.times"
}

end_watch() {
	killall -INT threadprof 2>/dev/null
	for name; do
		await 20 test -s "$out/$name.rc" || echo "$name has no end"
	done
}

options_of() {
	case $1 in
	sched_switch | finish_task_switch) echo "--switch-probe=$1" ;;
	raw) echo "--force-fallback tp_btf" ;;
	fallbacks) echo "--force-fallback $every_fallback" ;;
	file) echo "--btf $btf_file" ;;
	esac
}

# states ROUND WAY...
states() {
	begin_round "$1"
	shift
	for script in $scripts; do start "$script" ./states "$script"; done
	for way; do
		# shellcheck disable=SC2046 # a list of words
		watch "$way" attached -v -p "${pids#,}" -i 1000 $(options_of "$way")
	done
	for script in $scripts; do run_to_end "$script"; done
	end_watch "$@"
	killall -KILL states
	end_round
}

requests() {
	begin_round requests
	start known ./known --script plain
	watch requests attached -p "$pid" -i 1000
	run_to_end known
	end_watch requests
	kill "$pid"
	end_round
}

# What happens on a kernel that skips programs at the end of system calls, where its tracefs can't be read.
skipped() {
	grep -q "has no steady_sys_exit" /out/probes/sched_switch.err || return 0
	begin_round skipped
	start known ./known --script plain
	watch skipped attached -p "$pid" -i 1000 --refuse request_sys_exit_perf
	run_to_end known
	end_watch skipped
	kill "$pid"
	end_round
}

# As a service's LimitMEMLOCK=infinity does: before 5.11 what BPF maps take counts as locked memory.
user() {
	begin_round user
	start known ./as_user $plain_user none ./known --script plain
	who="./as_user $plain_user bpf,perfmon"
	# shellcheck disable=SC2086,SC3045 # a list of words; busybox has it
	(ulimit -l 64 && $who ./threadprof -p "$pid" $types -d 0.1) >"$out/limit.text" 2>"$out/limit.err"
	echo $? >"$out/limit.rc"
	# shellcheck disable=SC3045
	ulimit -l unlimited
	watch user attached -p "$pid" -i 1000
	who=
	cat "/proc/$(pidof threadprof)/status" >"$out/status"
	run_to_end known
	end_watch user
	kill "$pid"
	end_round
}

# Waits of 50 ms, beside which the emulation's delays are short.
calls() {
	begin_round calls
	start locks ./locks --rounds 4 --hold-ms 50 --limit-ms 50 --quick 10
	watch calls attached -p "$pid" -i 1000 --locks=uprobe --max-overhead 100
	run_to_end locks
	end_watch calls
	killall -KILL locks
	end_round
}

# Where such probes have their stack in memory of their CPU: elsewhere there is nothing that could go wrong.
pushed() {
	grep -q priv_stack_ptr /sys/kernel/btf/vmlinux || return 0
	begin_round pushed
	start pushed ./pushed --calls 15000
	watch pushed attached -p "$pid" -i 1000 --locks=uprobe --max-overhead 100
	run_to_end pushed
	end_watch pushed
	killall -KILL pushed
	end_round
}

snoop() {
	begin_round snoop
	start spawn ./spawn many 40
	start crowds ./spawn crowds 20
	watch snoop attached snoop --burst-min 10 --burst-window 30
	sleep 0.5
	run_to_end spawn
	run_to_end crowds
	sleep 1
	end_watch snoop
	end_round
}

off() {
	begin_round off
	start sleep ./states sleep
	watch off attached -p "$pid" -i 1000 --refuse request_sys_exit
	run_to_end sleep
	end_watch off
	end_round
}

without_btf() {
	[ -e /sys/kernel/btf/vmlinux ] || return 0
	cp /sys/kernel/btf/vmlinux $btf_file
	mount -t tmpfs tmpfs /sys/kernel/btf
	scripts="cond-serving sleep net-read epoll read-idle"
	states file-states file
	begin_round file
	start spawn ./spawn many 40
	start known ./known --script plain
	watch none nothing -p "$pid"
	watch file attached -v -p "$pid" -i 1000 --btf $btf_file
	watch snoop attached snoop --btf $btf_file
	run_to_end spawn
	run_to_end known
	sleep 1
	end_watch file snoop
	kill "$pid"
	end_round
	umount /sys/kernel/btf
}

# tell NAME ARGUMENT...: what is said of it, and the exit code.
tell() {
	name=$1
	shift
	./threadprof "$@" >"$out/$name.text" 2>"$out/$name.err"
	echo $? >"$out/$name.rc"
}

untold() {
	[ -n "$types" ] || return 0
	begin_round untold
	start sleep ./states sleep
	tell profile -p "$pid" -d 0.1
	tell snoop snoop -d 0.1
	tell check check -p "$pid"
	killall -KILL states
	end_round
}

states probes sched_switch finish_task_switch
states fallbacks raw fallbacks
requests
skipped
user
calls
untold
pushed
snoop
off
without_btf
