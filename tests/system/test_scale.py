#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Many threads, connections and processes: every count stays exact, and what a request costs stays the same."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test


def measure_load(size):
    truth, report = tp.observe(tp.Workload("load", "--seconds", "2", "--busy", "8", *size), "-i", "1")
    tp.demand_accounted(report, truth["requests"])
    tp.assert_equal("connections.open", report.last("connections.open"), truth["conns"])
    tp.assert_equal("target.threads", report.last("target.threads"), truth["threads"])
    tp.assert_no_loss(report)
    tp.assert_states_add_up(report)
    return report


def run_load(*size):
    """The report of a run without loss: where nothing is left of the CPUs, threadprof loses what it must."""
    reports = []
    tp.measure_again(lambda: reports.append(measure_load(size)), 5)
    return reports[-1]


def memory(report):
    return report.largest("overhead.memory_bytes")


@test("2,000 threads")
def threads():
    few, many = run_load("--threads", "8"), run_load("--threads", "2000")
    # Not more than a few KB for each, here and in the kernel.
    tp.assert_at_most("bytes for a thread", (memory(many) - memory(few)) / 2000, 8192)


@test("10,000 connections")
def connections():
    few, many = run_load("--conns", "8"), run_load("--conns", "10000")
    tp.assert_at_most("bytes for a connection", (memory(many) - memory(few)) / 10000, 4096)


def measure_processes():
    workloads = [tp.Workload("load", "--seconds", "1", "--busy", "2", "--conns", "2") for _ in range(64)]
    profiler = tp.Threadprof("-p", ",".join(str(w.pid) for w in workloads), "-i", "1")
    for workload in workloads:
        workload.go()
    requests = sum(workload.truth()["requests"] for workload in workloads)
    report = profiler.stop()
    for workload in workloads:
        workload.end()
    tp.demand_accounted(report, requests)
    tp.assert_equal("target.pids", len(report.last("target.pids")), 64)
    tp.assert_equal("connections.open", report.last("connections.open"), 128)
    tp.assert_no_loss(report)


@test("64 target processes")
def processes():
    tp.measure_again(measure_processes, 5)


if __name__ == "__main__":
    tp.main()
