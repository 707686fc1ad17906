#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Threads and fds that come, go and change hands: every count is exact, nothing stays behind."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

INTERVAL = "0.5"


def observe(mode, *options):
    workload = tp.Workload("churn", mode)
    profiler = tp.Threadprof("-p", str(workload.pid), "-i", INTERVAL, *options)
    truth = workload.run()
    return truth, profiler, workload


def finish(profiler, workload):
    report = profiler.stop()
    workload.end()
    return report


def assert_counts(truth, report):
    tp.assert_equal("connections.accepted", report.total("connections.accepted"), truth["accepted"])
    tp.assert_equal("connections.closed", report.total("connections.closed"), truth["closed"])
    tp.assert_equal("connections.open", report.last("connections.open"), truth["open"])
    tp.assert_equal("requests.count", report.total("requests.count"), truth["requests"])
    tp.assert_no_loss(report)
    tp.assert_states_add_up(report)


def check(mode, *options):
    truth, profiler, workload = observe(mode, *options)
    report = finish(profiler, workload)
    assert_counts(truth, report)
    return truth, report


@test("twenty thousand threads that come and go")
def threads():
    truth, profiler, workload = observe("threads")
    # A whole interval in which only the main thread is left.
    ended = len(profiler.lines())
    tp.wait_until(lambda: len(profiler.lines()) >= ended + 3, what="three more intervals")
    report = finish(profiler, workload)
    assert_counts(truth, report)
    tp.assert_equal("target.threads at the end", report.last("target.threads"), 1)
    listed = [t["tid"] for t in report.last("threads")]
    tp.assert_equal("threads listed at the end", listed, [workload.pid])
    tp.assert_equal("queue.now at the end", report.last("queue.now"), 0)


@test("fd numbers that several threads accept and close at once")
def race():
    check("race")


@test("fd numbers closed in one thread while another accepts")
def handover():
    check("handover")


@test("dup, dup2, dup3, F_DUPFD: the connection lives until its last fd is closed")
def dup():
    check("dup")


@test("dup2 onto a live connection ends that one")
def dup2_over():
    check("dup2-over")


@test("close_range ends a connection")
def close_range():
    check("close-range")


@test("close without shutdown")
def close_only():
    check("close-only")


@test("shutdown without close: closed, and not a second time when the process ends")
def shutdown_only():
    truth, profiler, workload = observe("shutdown-only")
    workload.end()
    assert_counts(truth, profiler.wait())


@test("shutdown for reading is not the end")
def shutdown_read():
    check("shutdown-read")


@test("connections with no byte read")
def silent():
    truth, report = check("silent")
    tp.assert_equal("queue.now at the end", report.last("queue.now"), 0)


@test("connections left open")
def still_open():
    truth, report = check("open")
    tp.assert_equal("left open by the workload", truth["open"], 50)


@test("the end of the process closes what was open, and threadprof ends with 0")
def process_end():
    truth, profiler, workload = observe("open")
    workload.end()
    report = profiler.wait()
    tp.assert_equal("connections.closed", report.total("connections.closed"), truth["accepted"])
    tp.assert_equal("connections.open", report.last("connections.open"), 0)
    tp.assert_equal("requests.count", report.total("requests.count"), truth["requests"])
    tp.assert_no_loss(report)


@test("a forked child serves the connection, -f: one connection, closed when the child is done")
def fork_followed():
    check("fork", "-f")


@test("a forked child serves the connection, without -f: the child's requests are not the target's")
def fork_not_followed():
    truth, profiler, workload = observe("fork")
    report = finish(profiler, workload)
    tp.assert_equal("connections.accepted", report.total("connections.accepted"), truth["accepted"])
    tp.assert_equal("connections.closed", report.total("connections.closed"), truth["accepted"])
    tp.assert_equal("connections.open", report.last("connections.open"), 0)
    tp.assert_equal("requests.count", report.total("requests.count"), 0)
    tp.assert_no_loss(report)


@test("fd 0 is a number like any other")
def fd_zero():
    check("fd-zero")


@test("fd numbers above 4096")
def high_fd():
    truth, _ = check("high-fd")
    tp.assert_at_least("largest fd of the workload", truth["max_fd"], 12000)


@test("exec in the middle: close-on-exec connections end, the others go on")
def exec_leader():
    check("exec")


@test("exec from another thread than the first")
def exec_thread():
    check("exec-thread")


@test("steady_processes, with its perf events and without: forks that are followed, execs and ends are seen")
def steady_processes():
    for options in ((), ("--refuse", "request_sys_exit_perf")):
        for mode in ("fork", "exec", "exec-thread"):
            check(mode, "-f", "--force-fallback", "steady_processes", *options)


tp.main()
