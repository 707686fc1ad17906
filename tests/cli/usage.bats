#!/usr/bin/env bats
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # scripts for other shells, what bats and the helpers set
# The command line: what is wrong usage (2), what is help (0), what it says.

load helpers

setup_file() {
	need_root
}

expect_usage_error() {
	[ "$status" = 2 ] || fail "exit code $status instead of 2: $stderr"
	[ -z "$output" ] || fail "on stdout: $output"
	local word
	for word in "$@"; do
		[[ $stderr == *"$word"* ]] || fail "stderr does not say '$word': $stderr"
	done
}

@test "--help: on stdout, exit 0" {
	run_threadprof --help
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[[ $output == "Usage: threadprof"* ]]
	[[ $output == *"--pid"* && $output == *"COMMAND"* && $output == *"Exit status"* ]]
	run_threadprof -h
	[ "$status" = 0 ]
}

@test "--version: name and number on stdout, exit 0" {
	run_threadprof --version
	[ "$status" = 0 ]
	[ -z "$stderr" ]
	[[ $output =~ ^threadprof\ [0-9]+\.[0-9] ]]
	[ "$(wc -l <<<"$output")" = 1 ]
	run_threadprof -V
	[ "$status" = 0 ]
}

@test "no process is named" {
	run_threadprof
	expect_usage_error "which process?" "-p PID" "--help"
	run_threadprof --json
	expect_usage_error "which process?"
	run_threadprof --
	expect_usage_error "which process?"
}

@test "both -p and a command" {
	run_threadprof -p 1 -- true
	expect_usage_error "not both" '"true"'
	run_threadprof -p 1 2
	expect_usage_error "not both" '"2"'
}

@test "an option that there is not, and one without its argument" {
	run_threadprof --nonsense -p 1
	expect_usage_error "--nonsense" "--help"
	run_threadprof -x
	expect_usage_error "'x'" "--help"
	run_threadprof -p
	expect_usage_error "'p'" "--help"
	run_threadprof -p 1 --interval
	expect_usage_error "--interval" "--help"
}

@test "values that are not right name the option and what it takes" {
	run_threadprof -p 1 -i 0
	expect_usage_error '"0"' "-i" "seconds"
	run_threadprof -p 1 -n x
	expect_usage_error '"x"' "-n" "whole number"
	run_threadprof -p 1 -d -3
	expect_usage_error '"-3"' "-d" "seconds"
	run_threadprof -p 1 --color=red
	expect_usage_error '"red"' "--color" "auto, always or never"
	run_threadprof -p 1 --ring-bytes 5000
	expect_usage_error '"5000"' "--ring-bytes" "power of two"
}
