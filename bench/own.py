#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof takes for itself: start-up and memory beside bpftrace's, and its CPU at the highest rate there is.

    bench/own.py [--rounds N] [--only start|rate] [--doc]
"""
import argparse
import os
import subprocess

import occasions
import peers
import tables
from workloads import ROOT, tp


# ---- start-up and memory ---------------------------------------------------------------------------

TOOLS = {"threadprof": peers.threadprof, "bpftrace script": peers.TOOLS["bpftrace script"]}


class Idle:
    """A target that does nothing."""
    follow = False

    def __init__(self):
        self.process = tp.start_process(["sleep", "1000"])
        self.pid = self.process.pid


def map_bytes(pid):
    report = tp.Threadprof("-p", str(pid)).stop()
    return report.last("overhead.map_bytes")


def start(rounds):
    """{tool: {"ready_s": […], "rss_mib": […], "peak_mib": […]}}, by turns"""
    target = Idle()
    cells = {}
    for _ in range(rounds):
        for name, argv_of in TOOLS.items():
            if not peers.have(argv_of(target)[0]):
                continue
            tool = peers.Tool(argv_of(target))
            if tool.is_there:
                resident, peak = tool.memory_kib()
                cell = cells.setdefault(name, {"ready_s": [], "rss_mib": [], "peak_mib": []})
                cell["ready_s"].append(tool.ready_s)
                cell["rss_mib"].append(resident / 1024)
                cell["peak_mib"].append(peak / 1024)
                tool.stop()
    cells["threadprof"]["maps_mib"] = [map_bytes(target.pid) / 2**20]
    return cells


# ---- the highest rate ------------------------------------------------------------------------------

def rate(rounds):
    """Runs of the do-nothing server: requests sent and counted, lost, share of a CPU; and the reducers' speed."""
    runs = []
    for _ in range(rounds):
        workload = tp.Workload("load", "--seconds", "3", "--busy", "16")
        profiler = tp.Threadprof("-p", str(workload.pid), "-i", "1")
        truth = workload.run()
        report = profiler.stop()
        workload.end()
        runs.append({"sent": truth["requests"], "per_second": truth["requests"] / 3,
                     "counted": report.total("requests.count"), "lost": sum(report.lost().values()),
                     "own": report.total("overhead.user_cpu_ns") / report.duration_ns()})
    consume = subprocess.run([os.path.join(ROOT, "build", "bench", "consume")], capture_output=True, text=True,
                             check=True)
    return {"runs": runs, "consumed_per_second": int(consume.stdout)}


PARTS = {"start": start, "rate": rate}


def main():
    parser = argparse.ArgumentParser(description="What threadprof takes for itself.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(PARTS))
    parser.add_argument("--occasion", metavar="NAME", help="add to bench/results/NAME.json")
    parser.add_argument("--doc", action="store_true", help="write the tables into docs/overhead.md")
    options = parser.parse_args()
    occasion = occasions.Occasion(options.occasion)
    for name, part in PARTS.items():
        if not options.only or options.only == name:
            result = part(options.rounds)
            print(name, result, flush=True)
            occasion.add("own", name, result)
    if options.doc:
        tables.write_own()


if __name__ == "__main__":
    main()
