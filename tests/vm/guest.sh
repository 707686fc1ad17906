#!/bin/sh
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# Inside the guest: known-answer threads, watched in several ways at once, so that all of them see
# the same switches. Leaves in /out, for each round, the truth of each script, and for each way the
# report (WAY.json), what threadprof said (WAY.err) and its exit code (WAY.rc).

scripts="lock cond-idle cond-serving sem-serving sleep cpu runq net-read net-poll epoll read-idle pipe stop"

# await SECONDS COMMAND...: until the command succeeds; fails when the time is up.
await() {
	tries=$(($1 * 10))
	shift
	until "$@"; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

lines_are() {
	[ "$(wc -l <"$2")" -ge "$1" ]
}

is_gone() {
	! [ -d "/proc/$1" ]
}

is_attached_or_gone() {
	grep -q attached "$2" || is_gone "$1"
}

start_script() {
	mkfifo "$out/in.$1"
	# The sleeper keeps the script's input open for writing.
	sleep 1000 >"$out/in.$1" &
	./states "$1" <"$out/in.$1" >"$out/truth.$1" 2>"$out/err.$1" &
	await 10 lines_are 1 "$out/truth.$1" || echo "$1 is not ready"
	pids="$pids,$(sed -n '1s/.*"pid":\([0-9]*\).*/\1/p' "$out/truth.$1")"
}

options_of() {
	case $1 in
	sched_switch | finish_task_switch) echo "--switch-probe=$1" ;;
	raw) echo "--refuse sched_switch" ;;
	hash) echo "--refuse threads" ;;
	esac
}

watch() {
	(
		# shellcheck disable=SC2046 # a list of words
		./threadprof -p "${pids#,}" -i 1000 --json $(options_of "$1") >"$out/$1.json" 2>"$out/$1.err"
		echo $? >"$out/$1.rc"
	) &
	await 60 is_attached_or_gone $! "$out/$1.err" || echo "$1 is not attached"
}

# round NAME WAY...
round() {
	out=/out/$1
	pids=
	shift
	mkdir -p "$out"
	for script in $scripts; do start_script "$script"; done
	for way; do watch "$way"; done
	for script in $scripts; do
		echo go >"$out/in.$script"
		await 20 lines_are 2 "$out/truth.$script" || echo "$script has no end"
	done
	killall -INT threadprof
	for way; do
		await 20 test -s "$out/$way.rc" || echo "$way has no end"
	done
	killall -KILL states
	rm -f "$out"/in.*
}

round probes sched_switch finish_task_switch
round fallbacks raw hash
