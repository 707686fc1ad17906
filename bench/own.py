#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof takes for itself: start-up, memory, CPU at the highest rate, and how that grows with the target.

    bench/own.py [--rounds N] [--part start|rate|scale] [--write FILE]
"""
import argparse
import os
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
sys.path.insert(0, HERE)
import run  # noqa: E402
import tp  # noqa: E402


def status_kib(pid, field):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1])


# ---- start-up and memory ---------------------------------------------------------------------------

def start_threadprof(pid):
    begin = time.monotonic()
    profiler = tp.Threadprof("-p", str(pid))
    seconds = time.monotonic() - begin
    peak = status_kib(profiler.process.pid, "VmHWM")
    resident = status_kib(profiler.process.pid, "VmRSS")
    report = profiler.stop()
    return seconds, resident, peak, report.last("overhead.map_bytes")


def is_waiting(pid):
    """Has the program come to wait for events (epoll_wait, epoll_pwait)?"""
    with open("/proc/%d/comm" % pid) as comm, open("/proc/%d/syscall" % pid) as syscall:
        return comm.read() == "bpftrace\n" and syscall.read().split()[0] in ("232", "281", "22")


def start_bpftrace(pid):
    begin = time.monotonic()
    tool = tp.start_process(run.with_tracefs(["bpftrace", os.path.join(HERE, "six_metrics.bt"), str(pid)]),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while tool.poll() is None and not is_waiting(tool.pid):
        time.sleep(0.005)
    seconds = time.monotonic() - begin
    if tool.poll() is not None:
        return None
    resident, peak = status_kib(tool.pid, "VmRSS"), status_kib(tool.pid, "VmHWM")
    tp.stop_process(tool, signal.SIGINT)
    return seconds, resident, peak, None


def start(options):
    target = tp.start_process(["sleep", "1000"])
    yield from ("| | attached after | RSS | peak RSS | kernel maps |", "|---|---|---|---|---|")
    runs = {"threadprof": [], "bpftrace script": []}
    for _ in range(options.rounds):
        runs["threadprof"].append(start_threadprof(target.pid))
        if run.have("bpftrace"):
            runs["bpftrace script"].append(start_bpftrace(target.pid))
    for name, rows in runs.items():
        rows = [r for r in rows if r]
        if rows:
            times, resident, peak, maps = zip(*rows)
            yield "| %s | %.2f s (%.2f–%.2f) | %.1f MiB | %.1f MiB | %s |" % (
                name, statistics.median(times), min(times), max(times), max(resident) / 1024, max(peak) / 1024,
                "%.1f MiB" % (maps[0] / 2**20) if maps[0] else "-")
    tp.stop_process(target)


# ---- load: what it costs, and what is lost ---------------------------------------------------------

def load(size, seconds=3):
    """One run of the do-nothing server, without threadprof and with it."""
    alone = tp.Workload("load", "--seconds", str(seconds), *size)
    without = alone.run()
    alone.end()
    workload = tp.Workload("load", "--seconds", str(seconds), *size)
    profiler = tp.Threadprof("-p", str(workload.pid), "-i", "1")
    truth = workload.run()
    begin = time.monotonic()
    report = profiler.stop()
    workload.end()
    return without, truth, report, time.monotonic() - begin


def lost(report):
    return sum(report.lost().values())


def ns_per_request(truth):
    return truth["cpu_ns"] / truth["requests"]


def rate(options):
    yield from ("| requests/s | requests that the report has of those sent | lost | threadprof's own CPU |", "|---|---|---|---|")
    for _ in range(options.rounds):
        _, truth, report, _ = load(("--busy", "16"))
        yield "| %s | %s of %s | %d | %.1f %% of a CPU |" % (
            format(int(truth["requests"] / 3), ","), format(report.total("requests.count"), ","),
            format(truth["requests"], ","), lost(report),
            100 * report.total("overhead.user_cpu_ns") / report.duration_ns())
    taken = subprocess.run([os.path.join(ROOT, "build", "bench", "consume")], capture_output=True, text=True, check=True)
    yield from ("", "The reducers take %.1f million request records per second of one CPU." % (int(taken.stdout) / 1e6))


SIZES = [("10 threads", ("--threads", "9")), ("1,000 threads", ("--threads", "999")),
         ("10,000 threads", ("--threads", "9999")), ("10 connections", ("--conns", "10")),
         ("1,000 connections", ("--conns", "1000")), ("50,000 connections", ("--conns", "50000"))]


def scale(options):
    yield from ("| target | CPU per request, × without threadprof | exact | lost | last report and end after | "
                "memory, own and maps |", "|---|---|---|---|---|---|")
    for name, size in SIZES:
        ratios = []
        for _ in range(options.rounds):
            without, truth, report, seconds = load(("--busy", "8") + size, 2)
            ratios.append(ns_per_request(truth) / ns_per_request(without))
        yield "| %s | %s | %s | %d | %.2f s | %.1f MiB, %.1f MiB |" % (
            name, run.spread(ratios), "yes" if report.total("requests.count") == truth["requests"] else "NO",
            lost(report), seconds, report.largest("overhead.rss_bytes") / 2**20,
            report.largest("overhead.map_bytes") / 2**20)


PARTS = {"start": start, "rate": rate, "scale": scale}


def main():
    parser = argparse.ArgumentParser(description="What threadprof takes for itself.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=list(PARTS))
    parser.add_argument("--write", metavar="FILE", help="put the tables between the marks of this page")
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.part and name != options.part:
            continue
        rows = []
        for row in part(options):
            rows.append(row)
            print(row, flush=True)
        if options.write:
            run.write_into(os.path.join(ROOT, options.write), name, rows)


if __name__ == "__main__":
    main()
