#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What the hooks themselves cost: programs that do nothing, beside threadprof, in one run.

    bench/hooks.py [--seconds S] [--window S] [--only WORKLOAD] [--hooks HOOK,HOOK…] [--other PROGRAM] [--doc]

One load runs all the time; in short windows in turn it has nothing attached, then one thing after the other,
then nothing again. A figure is the median over all its windows of the workload's CPU time per operation, over
that of the two windows with nothing attached around it. Nanoseconds are of this machine.
"""
import argparse
import os
import re
import signal
import statistics
import subprocess
import time
import urllib.request

import occasions
import tables
import workloads
from peers import with_tracefs
from workloads import ROOT, cpu_ns, tp

PER_CALL = "tp_accept4 tp_close tp_read tp_recvfrom tp_write tp_writev"
HOOKS = {
    "sys_enter + sys_exit, tp_btf": "btf_sys_enter btf_sys_exit",
    "sys_exit, tp_btf": "btf_sys_exit",
    "sys_exit, raw_tp": "raw_sys_exit",
    "sys_exit, tp_btf, looks if it is a target": "btf_sys_exit_filter",
    "sys_exit, tp_btf, reads the clock": "btf_sys_exit_clock",
    "tp/syscalls: accept4, close, read, recvfrom, write, writev": PER_CALL,
    "sock_recv_length + sock_send_length, tp_btf": "btf_sock_recv btf_sock_send",
    "sys_exit + both sock_…": "btf_sys_exit btf_sock_recv btf_sock_send",
    "sched_switch, tp_btf": "btf_sched_switch",
    "sched_switch + sched_wakeup, tp_btf": "btf_sched_switch btf_sched_wakeup",
}
THREADPROF = {
    "threadprof": [],
    "threadprof without requests": ["--refuse", "request_sys_exit"],
}
OTHER = "threadprof, the other one"


# ---- workloads: a number that grows with the work, and the process whose CPU time it takes ---------

class Nginx:
    def __init__(self):
        self.server = workloads.nginx(status=True)
        self.pid = self.cpu_pid = self.server.pid
        self.load = tp.start_process(["wrk", "-t1", "-c16", "-d3600s", self.server.url], stdout=subprocess.DEVNULL)

    def count(self):
        """The server's own count of requests; it counts this one too."""
        text = urllib.request.urlopen(self.server.url + "status").read().decode()
        return int(re.search(r"\n\s*\d+ \d+ (\d+)", text).group(1))

    def stop(self):
        tp.stop_process(self.load)
        self.server.stop()


class Ticker:
    def __init__(self, name, watched=True):
        self.ticker = workloads.Ticker(name, watched)
        self.pid, self.cpu_pid = self.ticker.pid, self.ticker.cpu_pid
        self.done = 0

    def count(self):
        self.done += sum(int(line) for line in self.ticker.log.read().split())
        return self.done

    def stop(self):
        self.ticker.stop()


WORKLOADS = {
    "nginx keep-alive request": Nginx,
    "read(2)": lambda: Ticker("syscalls"),
    "read(2) of a stranger": lambda: Ticker("syscalls", watched=False),
    "round of the target's pipe ping-pong": lambda: Ticker("pingpong"),
    "round of a stranger's pipe ping-pong": lambda: Ticker("pingpong", watched=False),
}


# ---- what is attached ------------------------------------------------------------------------------

class Hooks:
    def __init__(self):
        self.process = tp.start_process(with_tracefs([os.path.join(ROOT, "build", "bench", "hooks")]),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL)

    def set(self, names):
        self.process.stdin.write(names + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() == "ok\n"


def attached(variant, hooks, pid, other):
    """(did it attach, a function that takes it off again)"""
    if variant in HOOKS:
        return hooks.set(HOOKS[variant]), lambda: hooks.set("")
    arguments = [*THREADPROF.get(variant, []), "-i", "10", "-p", str(pid)]
    profiler = tp.Threadprof(*arguments, command=(other,)) if variant == OTHER else tp.Threadprof(*arguments)
    return True, lambda: tp.stop_process(profiler.process, signal.SIGINT)


def window(workload, seconds):
    """CPU time per operation, in ns."""
    time.sleep(0.1)
    count, cpu = workload.count(), cpu_ns(workload.cpu_pid)
    time.sleep(seconds)
    count_after, cpu_after = workload.count(), cpu_ns(workload.cpu_pid)
    return (cpu_after - cpu) / max(1, count_after - count)


def measure(make_workload, variants, options):
    """{variant: [(ns without, ns with)…]}"""
    workload, hooks = make_workload(), Hooks()
    pairs = {variant: [] for variant in variants}
    end = time.monotonic() + options.seconds
    time.sleep(0.5)
    before = window(workload, options.window)
    while time.monotonic() < end:
        for variant in variants:
            ok, detach = attached(variant, hooks, workload.pid, options.other)
            cost = window(workload, options.window) if ok else None
            detach()
            after = window(workload, options.window)
            if ok:
                pairs[variant].append(((before + after) / 2, cost))
            before = after
    workload.stop()
    return pairs


def figures_of(pairs):
    """(variant, [median of the ratios, their quartiles, ns added])"""
    for variant, values in pairs.items():
        ratios = [after / before for before, after in values]
        added = [after - before for before, after in values]
        if ratios:
            low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
            yield variant, [statistics.median(ratios), low, high, statistics.median(added)]


def main():
    parser = argparse.ArgumentParser(description="What the hooks themselves cost.")
    parser.add_argument("--seconds", type=float, default=60, help="for each workload")
    parser.add_argument("--window", type=float, default=0.5)
    parser.add_argument("--only", metavar="WORKLOAD", choices=list(WORKLOADS))
    parser.add_argument("--hooks", help="only those with one of these in their names, separated by commas")
    parser.add_argument("--other", metavar="PROGRAM", help="another build of threadprof, to compare the two")
    parser.add_argument("--occasion", metavar="NAME", help="add to bench/results/NAME.json")
    parser.add_argument("--doc", action="store_true", help="write the table into docs/overhead.md")
    options = parser.parse_args()
    variants = [v for v in list(HOOKS) + list(THREADPROF) + ([OTHER] if options.other else [])
                if not options.hooks or any(o in v for o in options.hooks.split(","))]
    occasion = occasions.Occasion(options.occasion)
    for name, make_workload in WORKLOADS.items():
        if options.only and name != options.only:
            continue
        result = dict(figures_of(measure(make_workload, variants, options)))
        occasion.add("hooks", name, result)
        for variant, figures in result.items():
            print(name, variant, figures, flush=True)
    if options.doc:
        tables.write_hooks()


if __name__ == "__main__":
    main()
