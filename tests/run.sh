#!/usr/bin/env bash
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#
# Runs the test suites one after the other and adds them up:
#
#   tests/unit/NAME.c           the program UNIT_DIR/NAME (cmocka), no root needed
#   tests/cli/NAME.bats         bats
#   tests/system/test_NAME.py   an executable that prints TAP on its standard output
#   tests/vm/run.sh             the same, in virtual machines
#
# usage: tests/run.sh [FILE or DIRECTORY...]      everything, or only these
# UNIT_DIR: where the unit programs are. SUITE_TIMEOUT: seconds until a suite has failed; twice that for the
# one in virtual machines, which ends by itself before. THREADPROF_TEST_NOISY: others use this machine, whatever
# the kernel says of it; it is set here if the probe at the beginning finds it noisy.
#
# A suite fails as a whole, over and above its failed tests, if it hangs, dies, or runs other
# than the number of tests it announced: a test that never ran must not look like one that passed.

set -eu
cd "$(dirname "$0")/.."

UNIT_DIR=${UNIT_DIR:-build/san/unit}
SUITE_TIMEOUT=${SUITE_TIMEOUT:-600}
# Servers such as nginx live where an ordinary user's PATH does not look.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# A suite that is killed must not take its last lines with it.
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
export CMOCKA_MESSAGE_OUTPUT=TAP UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

passed=0
failed=0
skipped=0
ran=0
failures=()
skips=()
running=
work=$(mktemp -d)
# All that the suites write goes here, and what is still there afterwards shows who does not tidy up. Servers
# that drop root must reach it.
mkdir "$work/tmp"
chmod 755 "$work" "$work/tmp"
export TMPDIR=$work/tmp

# shellcheck disable=SC2317 # the trap calls it
clean_up() {
	if [ -n "$running" ]; then
		kill "$running" 2>/dev/null || true
		wait "$running" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---------------------------------------------------------------- results

add_failure() {
	failed=$((failed + 1))
	failures+=("$1")
}

add_skip() {
	skipped=$((skipped + 1))
	skips+=("$1")
}

# A failure that no test reported: of the suite as a whole.
fail_suite() {
	echo "not ok - $1: $2"
	add_failure "$1: $2"
}

skip_suite() {
	echo "ok - $1 # SKIP $2"
	add_skip "$1: $2"
}

# read_results SUITE LOG: counts the TAP lines; leaves tests seen, tests announced ("" = no plan),
# tests failed and whether it was left out as a whole in seen, planned, bad and left_out.
read_results() {
	local suite=$1 line detail=
	seen=0 planned='' bad=0 left_out=0
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line%$'\r'}
		if [[ $line =~ ^(not\ )?ok($|[[:space:]].*[^\\]#|[[:space:]]+#)[[:space:]]*[Ss][Kk][Ii][Pp](.*)$ ]]; then
			# cmocka says "not ok N # SKIP name" of a test that called skip().
			seen=$((seen + 1)) detail=
			add_skip "$suite: ${line#not }"
		elif [[ $line =~ ^not\ ok($|[[:space:]]) ]]; then
			seen=$((seen + 1)) bad=$((bad + 1)) detail=yes
			add_failure "$suite: $line"
		elif [[ $line =~ ^ok($|[[:space:]]) ]]; then
			seen=$((seen + 1)) ran=$((ran + 1)) detail=
			passed=$((passed + 1))
		elif [[ $line =~ ^1\.\.0+[[:space:]]*#[[:space:]]*[Ss][Kk][Ii][Pp](.*)$ ]]; then
			planned=$((${planned:-0})) left_out=1 detail=
			add_skip "$suite:${BASH_REMATCH[1]}"
		elif [[ $line =~ ^1\.\.([0-9]+) ]]; then
			# A cmocka program with several groups prints a plan for each.
			planned=$((${planned:-0} + 10#${BASH_REMATCH[1]})) detail=
		elif [[ $line == "Bail out!"* ]]; then
			bad=$((bad + 1)) detail=
			add_failure "$suite: $line"
		elif [[ -n $detail && $line == "#"* ]]; then
			failures[${#failures[@]} - 1]+=$'\n'"    $line"
		else
			detail=
		fi
	done <"$2"
	ran=$((ran + bad))
}

limit_of() {
	case $1 in
	tests/vm/*) echo $((2 * SUITE_TIMEOUT)) ;;
	*) echo "$SUITE_TIMEOUT" ;;
	esac
}

# judge SUITE EXIT_CODE SECONDS: what the suite as a whole did wrong.
judge() {
	local count="$seen of ${planned:-?} tests"
	if [ "$3" -ge "$(limit_of "$1")" ] && { [ "$2" = 124 ] || [ "$2" = 137 ]; }; then
		fail_suite "$1" "no end after $(limit_of "$1") s ($count)"
	elif [ "$2" -gt 128 ]; then
		fail_suite "$1" "died of signal $(($2 - 128)) ($count)"
	elif [ "$2" != 0 ] && [ "$bad" = 0 ]; then
		fail_suite "$1" "exit code $2 although no test failed ($count)"
	elif [ -z "$planned" ]; then
		fail_suite "$1" "printed no plan"
	elif [ "$planned" != "$seen" ]; then
		fail_suite "$1" "announced $planned tests and ran $seen"
	elif [ "$seen" = 0 ] && [ "$left_out" = 0 ]; then
		fail_suite "$1" "has no test"
	fi
}

# run_suite SUITE COMMAND...: the output goes through a file and not a pipe, because a process
# that the suite left behind would hold a pipe open for ever. What a shell starts with "&" ignores
# Ctrl-C, and so would all that the suite starts: env gives the signals back.
run_suite() {
	local suite=$1 log=$work/log rc=0 begun=$SECONDS limit follower
	limit=$(limit_of "$suite")
	shift
	echo "# $suite"
	: >"$log"
	timeout -k 10 "$limit" env --default-signal=INT,QUIT "$@" >"$log" </dev/null &
	running=$!
	# Nothing in the foreground: a signal to this script alone would wait for its end.
	tail -n +1 -s 0.1 -f --pid="$running" "$log" &
	follower=$!
	wait "$running" || rc=$?
	running=
	wait "$follower" || true
	# The next line of ours starts a line, whatever a dying suite printed last.
	[ -z "$(tail -c 1 "$log")" ] || echo
	read_results "$suite" "$log"
	judge "$suite" "$rc" $((SECONDS - begun))
}

# ---------------------------------------------------------------- suites

why_no_system_tests() {
	if [ "$(id -u)" != 0 ]; then
		echo "needs root"
	elif [ ! -r /sys/kernel/btf/vmlinux ]; then
		echo "needs a kernel with BTF (/sys/kernel/btf/vmlinux)"
	fi
}

run_file() {
	local reason
	case $1 in
	tests/unit/*.c)
		run_suite "$1" "$UNIT_DIR/$(basename "$1" .c)"
		return
		;;
	tests/vm/*)
		run_suite "$1" "./$1"
		return
		;;
	esac
	reason=$(why_no_system_tests)
	if [ -n "$reason" ]; then
		skip_suite "$1" "$reason"
		return
	fi
	case $1 in
	*.bats) run_suite "$1" bats --tap "$1" ;;
	*) run_suite "$1" "./$1" ;;
	esac
}

# One directory can hold helpers too: only what has the name of a suite is one.
suites_in() {
	case $1 in
	tests/unit) compgen -G "$1/*.c" ;;
	tests/cli) compgen -G "$1/*.bats" ;;
	tests/vm) echo "$1/run.sh" ;;
	*) compgen -G "$1/test_*.py" ;;
	esac | sort
}

list_suites() {
	local path
	for path in "$@"; do
		path=${path%/}
		path=${path#./}
		if [ "$path" = tests ]; then
			list_suites tests/unit tests/cli tests/system tests/vm
		elif [ -d "$path" ]; then
			suites_in "$path"
		else
			echo "$path"
		fi
	done
}

# ---------------------------------------------------------------- what was left behind

# Only programs of this tree: another threadprof on the machine is none of our business.
our_processes() {
	local exe target
	for exe in /proc/[0-9]*/exe; do
		target=$(readlink "$exe" 2>/dev/null) || continue
		target=${target% (deleted)}
		case $target in
		"$PWD"/threadprof | "$PWD"/threadprof.new | "$PWD"/threadprof-static | "$PWD"/build/*)
			exe=${exe%/exe}
			echo "process ${exe#/proc/} ${target#"$PWD"/}"
			;;
		esac
	done
}

our_traces() {
	our_processes
	awk -v tmp="$TMPDIR/" '$3 == "tracefs" || $3 == "bpf" || index($2, tmp) { print "mount " $3 " " $2 }' \
		/proc/self/mounts
	find "$TMPDIR" -mindepth 1 -maxdepth 1 -printf 'file %f\n'
}

# What a test stopped may need a moment to be gone.
check_left_behind() {
	local left
	for _ in {1..30}; do
		our_traces | sort >"$work/after"
		left=$(comm -13 "$work/before" "$work/after")
		[ -n "$left" ] || break
		sleep 0.1
	done
	echo "# left behind"
	if [ -z "$left" ]; then
		echo "ok - no process, no mount and no file is left behind"
		passed=$((passed + 1))
	else
		echo "not ok - left behind: ${left//$'\n'/, }"
		add_failure "left behind: ${left//$'\n'/, }"
	fi
}

# ---------------------------------------------------------------- main

print_list() {
	local title=$1 entry
	shift
	[ $# -gt 0 ] || return 0
	echo
	echo "$title:"
	for entry in "$@"; do
		echo "  $entry"
	done
}

# What kind of machine it is, for who reads the log. A noisy one is taken for noisy to the end, so that what
# fails on it is tried again (tests/lib/machine.py).
probe_machine() {
	local noise
	[ -x build/workload/noise ] && noise=$(build/workload/noise) || return 0
	echo "# machine: $noise"
	[[ $noise == *'"is_quiet": true'* ]] || export THREADPROF_TEST_NOISY=1
}

[ $# -gt 0 ] || set -- tests
probe_machine
our_traces | sort >"$work/before"
list_suites "$@" >"$work/suites"
while IFS= read -r suite <&3; do
	if [ -e "$suite" ]; then
		run_file "$suite"
	else
		fail_suite "$suite" "no such file"
	fi
done 3<"$work/suites"
check_left_behind

print_list Failed ${failures[@]+"${failures[@]}"}
print_list Skipped ${skips[@]+"${skips[@]}"}
echo
if [ "$ran" = 0 ]; then
	echo "threadprof: no test ran" >&2
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$ran" -gt 0 ]
