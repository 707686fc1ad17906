#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof costs a program that takes a free lock as fast as it goes, and how fast the guard lets go of it.

    bench/locks.py [ROUNDS]

Each round: half a second without threadprof, half a second with it; then --locks=uprobe for one and a half. Speeds are
pairs of pthread_mutex_lock() and pthread_mutex_unlock() in a second of the thread's CPU time.
"""
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "lib"))
import tp

WINDOW_S = 0.5


def window(seconds):
    begin_ns = time.monotonic_ns()
    time.sleep(seconds)
    return begin_ns, time.monotonic_ns()


def speeds(slices, begin_ns, end_ns):
    return [pairs * 1e9 / cpu_ns for at_ns, cpu_ns, pairs in slices if begin_ns <= at_ns and at_ns + 2e7 < end_ns]


def play_round(pid):
    """Windows without and with threadprof, and the one of --locks=uprobe."""
    without = window(WINDOW_S)
    profiler = tp.Threadprof("-p", str(pid), "-i", "60")
    beside = window(WINDOW_S)
    profiler.stop()
    begin_ns = time.monotonic_ns()
    profiler = tp.Threadprof("-p", str(pid), "--locks=uprobe", "--max-overhead", "5", "-i", "60")
    time.sleep(3 * WINDOW_S)
    end_ns = time.monotonic_ns()
    return without, beside, (begin_ns, end_ns), profiler.stop()


def spread(values, form):
    return " (".join(form % value for value in (statistics.median(values), min(values))) + "…" + form % max(values) + ")"


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    workload = tp.Workload("flood")
    workload.go()
    played = [play_round(workload.pid) for _ in range(rounds)]
    workload.go()
    slices = workload.truth()["slices"]
    workload.end()
    beside, after, slow_ms, base_speeds = [], [], [], []
    for without, with_it, (begin_ns, end_ns), report in played:
        base = statistics.median(speeds(slices, *without))
        slow = [s for s in slices if begin_ns <= s[0] < end_ns and s[2] * 1e9 / s[1] < base / 2]
        back_ns = slow[-1][0] + 2e7 if slow else begin_ns
        base_speeds.append(base / 1e6)
        beside.append(statistics.median(speeds(slices, *with_it)) / base)
        after.append(statistics.median(speeds(slices, back_ns, end_ns)) / base)
        slow_ms.append((back_ns - slow[0][0]) / 1e6 if slow else 0)
        said = report.last("lock_probes.reason")
    print("rounds: %d; median (least…most)" % rounds)
    print("million pairs a second:             " + spread(base_speeds, "%.1f"))
    print("speed beside threadprof:            " + spread(beside, "%.3f"))
    print("slow with --locks=uprobe, ms:       " + spread(slow_ms, "%.0f"))
    print("speed after the guard let go of it: " + spread(after, "%.3f"))
    print("the report says: %s" % said)


main()
