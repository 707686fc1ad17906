#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof and its peers cost: by turns, with and without the tool, in one run.

    bench/run.py [--only WORKLOAD]… [--tool NAME]… [--rounds N] [--seconds S] [--occasion NAME] [--doc]

Each figure is with the tool over without it (the mean of the windows before and after): the median over the
rounds, with the lowest and highest. "kept" is the share of the throughput that is left; "CPU" is the target's
CPU time per operation by the scheduler's account, which is steadier on a noisy machine. Absolute numbers are
not printed: they would not mean anything on another machine.

What was measured is kept in bench/results/, one file for each occasion; the next run adds to the newest one
unless that is older than half an hour. --doc writes the table of all of them into docs/overhead.md.
"""
import argparse
import signal
import sys
import tempfile
import time

import occasions
import peers
import tables
from workloads import DEVNULL, WORKLOADS, tp


def measure_with(target, argv, seconds, settling=0):
    """(what the target did, what the tool took) or None if the tool did not run. settling: seconds before."""
    tool = peers.Tool(argv)
    if not tool.is_there:
        return None
    if settling:
        target.measure(settling)
    begin, own_before = time.monotonic(), tool.own_cpu_ns()
    work = target.measure(seconds)
    own = (tool.own_cpu_ns() - own_before) / 1e9 / (time.monotonic() - begin)
    peak = tool.memory_kib()[1] / 1024
    tool.stop()
    return work, own, peak


def tools_for(workload, options):
    tools = dict(peers.TOOLS, **peers.MORE.get(workload, {}))
    return {name: argv for name, argv in tools.items() if not options.tool or name in options.tool}


def bench(workload, options):
    """{tool: {"kept": [ratio…], "cpu": [ratio…], "own": [share of a CPU…], "peak_mib": [MiB…]}}"""
    target = WORKLOADS[workload]()
    cells = {}
    time.sleep(0.5)
    before = target.measure(options.seconds)
    for _ in range(options.rounds):
        for name, argv_of in tools_for(workload, options).items():
            argv = argv_of(target)
            measured = peers.have(argv[0]) and measure_with(target, argv, options.seconds,
                                                                peers.SETTLING.get(name, 0))
            after = target.measure(options.seconds)
            if measured:
                work, own, peak = measured
                without = before.average(after)
                cell = cells.setdefault(name, {"kept": [], "cpu": [], "own": [], "peak_mib": []})
                cell["kept"].append(work.rate / without.rate)
                if work.cpu_per_op:
                    cell["cpu"].append(work.cpu_per_op / without.cpu_per_op)
                cell["own"].append(own)
                cell["peak_mib"].append(peak)
            before = after
    target.stop()
    return cells


# ---- every process seen ----------------------------------------------------------------------------

def count_processes(argv, is_spawned, count):
    """How many of @count processes, spawned as fast as it goes, a tool lists until SIGINT ends it."""
    with tempfile.NamedTemporaryFile(mode="r") as log:
        with open(log.name, "w") as out:
            tool = tp.start_process(peers.with_tracefs(argv), stdout=out, stderr=DEVNULL)
        time.sleep(3)
        workload = tp.Workload("spawn", "many", str(count))
        workload.run()
        workload.end()
        time.sleep(1)
        # unshare(1) and the shell have become the tool itself.
        tp.stop_process(tool, signal.SIGINT)
        return sum(1 for line in log if is_spawned(line))


def count_storm(count=10000):
    seen = {"spawned": count, "threadprof snoop": count_processes(
        [tp.THREADPROF, "snoop", "--json"], lambda line: '"type":"process"' in line and '"nothing"' in line, count)}
    if peers.have("execsnoop"):
        seen["execsnoop"] = count_processes(["execsnoop"], lambda line: line.rstrip().endswith(" nothing"), count)
    return seen


STORM = "processes listed"


def main():
    names = list(WORKLOADS) + [STORM]
    parser = argparse.ArgumentParser(description="What threadprof and its peers cost.",
                                     epilog="Workloads: %s." % ", ".join(names))
    parser.add_argument("--only", action="append", choices=names, metavar="WORKLOAD")
    parser.add_argument("--tool", action="append", metavar="NAME", help="only this one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each window")
    parser.add_argument("--occasion", metavar="NAME", help="add to bench/results/NAME.json")
    parser.add_argument("--doc", action="store_true", help="write the tables into docs/overhead.md")
    parser.add_argument("--doc-only", action="store_true", help="the same, and measure nothing")
    options = parser.parse_args()
    if not options.doc_only:
        occasion = occasions.Occasion(options.occasion)
        for name in options.only or names:
            result = count_storm() if name == STORM else bench(name, options)
            occasion.add("storm" if name == STORM else "workloads", name, result)
            print("\n".join(tables.lines_of(name, result)), flush=True)
    if options.doc or options.doc_only:
        tables.write_doc(list(WORKLOADS), list(peers.TOOLS))


if __name__ == "__main__":
    sys.exit(main())
