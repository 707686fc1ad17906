#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# `threadprof snoop` from the outside: usage, exit codes, and who reads its output.

setup() {
	THREADPROF=${THREADPROF:-$BATS_TEST_DIRNAME/../../threadprof}
}

# refused WORD ARGUMENT...: wrong usage: code 2, nothing on stdout, one line on stderr with WORD.
refused() {
	local word=$1 code=0
	shift
	"$THREADPROF" snoop "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || code=$?
	[ "$code" = 2 ]
	[ ! -s "$BATS_TEST_TMPDIR/out" ]
	grep -q -- "$word" "$BATS_TEST_TMPDIR/err"
}

# Starts it in the background with its output in the file out; pid in $snoop.
start() {
	# What the one before said would look like an answer.
	: >"$BATS_TEST_TMPDIR/err"
	# What a shell starts with "&" ignores Ctrl-C.
	env --default-signal=INT "$THREADPROF" snoop "$@" \
		>"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	snoop=$!
	for _ in {1..400}; do
		if grep -q attached "$BATS_TEST_TMPDIR/err"; then
			return
		fi
		sleep 0.05
	done
	false
}

@test "wrong options are refused with code 2 and the reason" {
	refused --max-life --max-life 0
	refused --max-life --max-life 12abc
	refused --max-life --max-life -1
	refused --comm --comm ''
	refused --comm --comm a-name-of-16-bytes
	refused --uid --uid no-such-user-here
	refused --uid --uid 4294967296
	refused --cgroup --cgroup relative/path
	refused --follow --follow 0
	refused --follow --follow x
	refused -d -d 0
	refused -d -d ten
	refused --args-bytes --args-bytes 0
	refused --args-bytes --args-bytes 16385
	refused --burst-min --burst-min 1
	refused --burst-window --burst-window 0
	refused --burst-window --burst-window 61
	refused --ring-bytes --ring-bytes 5000
	refused --color --color blue
	refused argument-too-many argument-too-many
	refused --help --no-such-option
	refused --help -d
}

@test "help goes to stdout, names every option and fits 100 columns" {
	run "$THREADPROF" snoop --help
	[ "$status" = 0 ]
	for option in max-life comm uid cgroup follow failed exec json args-bytes burst-min \
		burst-window duration; do
		[[ $output == *--$option* ]]
	done
	[ "$(awk 'length > 100' <<<"$output")" = '' ]
}

@test "without root it cannot run: code 1 and what is missing" {
	# Without capabilities rather than as another user, who may not reach the program.
	run setpriv --bounding-set=-all --inh-caps=-all "$THREADPROF" snoop
	[ "$status" = 1 ]
	[[ $output == *CAP_BPF* ]]
}

@test "a process to follow that does not exist: code 1" {
	run "$THREADPROF" snoop --follow 2147483647
	[ "$status" = 1 ]
	[[ $output == *"no process 2147483647"* ]]
}

# shellcheck disable=SC2016 # a script for another shell
@test "without cgroup version 2: --cgroup is refused, --json says that it is null" {
	local without='
		awk "\$3 == \"cgroup2\" { print \$2 }" /proc/self/mounts | tac | while read -r point; do
			umount -l "$point"
		done'
	unshare -m sh -c "$without" || skip "needs to unmount cgroups in a mount namespace"
	run timeout 30 unshare -m sh -c "$without"'; exec "$@"' sh "$THREADPROF" snoop --cgroup /
	[ "$status" = 1 ]
	[[ $output == *"no cgroup version 2"* ]]
	run timeout 30 unshare -m sh -c "$without"'; exec "$@"' sh "$THREADPROF" snoop --json -d 0.3
	[ "$status" = 0 ]
	[[ $output == *"cgroup is null"*"no cgroup version 2"* ]]
	[[ $output != *'"cgroup":"'* ]]
}

@test "a reader that goes away ends it quietly, code 0" {
	local code
	code=$(
		{
			"$THREADPROF" snoop 2>"$BATS_TEST_TMPDIR/err"
			echo $? >"$BATS_TEST_TMPDIR/code"
		} | head -n 1 >"$BATS_TEST_TMPDIR/head" &
		pipe=$!
		# A loaded machine may need seconds to attach it.
		for _ in {1..600}; do
			/bin/true
			[ ! -s "$BATS_TEST_TMPDIR/code" ] || break
			sleep 0.05
		done
		wait "$pipe"
		cat "$BATS_TEST_TMPDIR/code"
	)
	[ "$code" = 0 ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/head")" = 1 ]
	[ "$(grep -vc attached "$BATS_TEST_TMPDIR/err")" = 0 ]
}

@test "-d ends it by itself, with the summary" {
	local begun=$SECONDS
	run "$THREADPROF" snoop -d 0.5
	[ "$status" = 0 ]
	[[ $output == *" ended in "* ]]
	[ $((SECONDS - begun)) -le 25 ]
}

# What ended just before the signal is printed, whatever the signal.
@test "SIGTERM, SIGINT and SIGHUP print every process that ended before" {
	for signal in TERM INT HUP; do
		start
		for i in {1..300}; do
			/bin/true "$signal-$i"
		done
		kill -"$signal" "$snoop"
		wait "$snoop"
		echo "$signal: $(grep -c "/bin/true $signal-" "$BATS_TEST_TMPDIR/out") of 300"
		[ "$(grep -c "/bin/true $signal-" "$BATS_TEST_TMPDIR/out")" = 300 ]
		grep -q ' ended in ' "$BATS_TEST_TMPDIR/out"
	done
}

@test "a ring buffer that is too small: what is missing is counted and said" {
	start --json --ring-bytes 4096
	# A reader that does not come: how fast this machine makes processes does not matter.
	kill -STOP "$snoop"
	for _ in {1..100}; do
		/bin/true
	done
	kill -CONT "$snoop"
	kill -TERM "$snoop"
	wait "$snoop"
	python3 - "$BATS_TEST_TMPDIR/out" <<-'EOF'
		import json, sys
		lost = [r for r in map(json.loads, open(sys.argv[1])) if r["type"] == "lost"]
		assert lost[-1]["exec"] + lost[-1]["exit"] + lost[-1]["fork"] > 0, lost[-1]
	EOF
}

@test "lines fit 80 columns on a terminal of 80" {
	command -v script >/dev/null || skip "needs script(1)"
	(
		until [ -e "$BATS_TEST_TMPDIR/over" ]; do
			/bin/true "$(printf 'x%.0s' {1..200})"
			sleep 0.1
		done
	) 3>&- &
	script -qec "stty cols 80; $THREADPROF snoop -d 1" "$BATS_TEST_TMPDIR/typescript" >/dev/null </dev/null
	touch "$BATS_TEST_TMPDIR/over"
	grep -q /bin/true "$BATS_TEST_TMPDIR/typescript"
	[ "$(sed -e '1d;$d' -e 's/\x1b\[[0-9;]*m//g' -e 's/\r//' "$BATS_TEST_TMPDIR/typescript" |
		awk 'length > 80' | wc -l)" = 0 ]
}
