#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Each lesser variant that --force-fallback takes, beside the best one on the same server.

Both see the same system calls and switches, so that noise is in both or in none.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import snoop
import tp
from tp import test

NAMES = ("task_storage", "tp_btf", "current_task_btf", "task_pt_regs", "prev_state", "group_dead", "mem_alloc",
         "steady_sys_exit")
EQUAL = ("requests.count", "requests.unanswered", "requests.latency_ns.count", "connections.accepted",
         "connections.closed")
OF_ALL_TIME = 0.02


def compare_states(best, lesser, tids):
    threads = best.threads(), lesser.threads()
    wall_ns = sum(threads[0][tid]["wall_ns"] for tid in tids)
    # One was attached before the other, while the workers were idle.
    for state in set(tp.STATES) - {"idle"}:
        sums = [sum(seen[tid]["state_ns"][state] for tid in tids) for seen in threads]
        tp.assert_at_most("%s: apart by" % state, abs(sums[0] - sums[1]), OF_ALL_TIME * wall_ns)


def compare(*names, options=(), says=""):
    server = tp.Workload("known", "--script", "plain")
    pid = str(server.pid)
    best = tp.Threadprof("-p", pid, "-i", "60")
    lesser = tp.Threadprof("-v", "-p", pid, "-i", "60", "--force-fallback", ",".join(names), *options)
    for name in names:
        if name in ("task_storage", "tp_btf"):
            continue  # shows in the feature's state
        line = "%s: its fallback is used, as was asked for" % name
        lacks = "the kernel has no %s" % name
        tp.assert_true("says of %s that it is forced" % name,
                       line in lesser.errors() or lacks in lesser.errors())
    tp.assert_true("says \"%s\"" % says, says in lesser.errors())
    truth = server.run()
    server.end()
    # Both end because the target does.
    best, lesser = best.wait(), lesser.wait()
    for path in EQUAL:
        tp.assert_equal(path, lesser.total(path), best.total(path))
    tp.assert_equal("requests, of the truth", lesser.total("requests.count"), tp.at(truth, "requests.count"))
    latency = [tp.at(report.histogram("requests.latency_ns") or {}, "mean") or 0 for report in (lesser, best)]
    tp.assert_close("request latency", latency[0], latency[1])
    compare_states(best, lesser, [t["tid"] for t in truth["threads"]])
    tp.assert_no_loss(lesser)
    return lesser


def add(name):
    @test("%s: the same numbers without it" % name)
    def one():
        compare(name)


for each in NAMES:
    add(each)


@test("steady_sys_exit: the same numbers without it and its perf event, where no run is skipped")
def preempted():
    compare("steady_sys_exit", options=("--refuse", "request_sys_exit_perf"), says="see lost.skipped_runs")


@test("snoop without group_dead: every process once, also where all threads of one end at once")
def snoop_without_group_dead():
    maker = tp.Workload("spawn", "crowds", "100")
    runs = [snoop.Snoop("--json", *options) for options in ((), ("--force-fallback", "group_dead"))]
    made = [life["pid"] for life in maker.run()["lives"]]
    maker.end()
    for run in runs:
        found = run.stop()
        snoop.assert_no_loss(found)
        # A pid may be used again, by somebody else's process.
        tp.assert_equal("processes", sorted(p["pid"] for p in found.made_by(maker.pid)), sorted(made))
        codes = {p["exit_code"] for p in found.made_by(maker.pid)}
        tp.assert_equal("exit codes", codes, {7})


@test("all of them at once, with BTF tracepoints")
def all_but_raw():
    compare(*(name for name in NAMES if name != "tp_btf"))


@test("all of them at once")
def everything():
    compare(*NAMES)


tp.main()
