#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""How threadprof's cost grows with what it watches, against the smallest size of the same kind.

    bench/scale.py [--only KIND] [--rounds N] [--doc]

threads, connections, processes: a server that answers eight connections as fast as it goes (tests/workload/load.c)
has ever more threads, connections or processes beside it that do nothing. Its CPU time per request is measured by
turns without and with threadprof, on the same processes; what a program takes for an event, once. storm: processes of others come and go beside it.
snoop: what `threadprof snoop` sees of processes that come and go.
"""
import argparse
import json
import os
import resource
import signal
import subprocess
import time

import occasions
import programs
import tables
from peers import status_kib
from workloads import ROOT, cpu_ns, tp

BUSY = ["--busy", "8"]
SPARE_FILES = 1000
ENOUGH_FILES = 60000
EVENTS = ("request_sys_exit", "sched_switch")


def most_files():
    """How many descriptors a process may have."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ENOUGH_FILES, ENOUGH_FILES))
    except (ValueError, OSError):
        pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def server(*size):
    return tp.Workload("load", "--seconds", "1", *BUSY, *size)


def with_threads(count):
    return [server("--threads", str(count - 1))]


def with_conns(count):
    """In as many processes as it takes, if one may not have so many files. The first is the busy one."""
    most = most_files() - SPARE_FILES
    processes = -(-count // most)
    shares = [count // processes + (i < count % processes) for i in range(processes)]
    return [server("--conns", str(share), "--tcp") for share in shares]


def with_processes(count):
    return [server("--conns", "8") for _ in range(count)]


def with_storm(per_minute):
    if per_minute:
        tp.start_process([os.path.join(ROOT, "build", "bench", "spawnstorm"), "1000000", str(per_minute // 60)],
                         stdout=subprocess.DEVNULL)
    return [server()]


KINDS = {
    "threads": ("%s threads", with_threads, (10, 1000, 10000)),
    "connections": ("%s connections", with_conns, (10, 1000, 50000)),
    "too many": ("%s connections, room for 131,072", with_conns, (140000,)),
    "processes": ("%s processes", with_processes, (1, 64)),
    "storm": ("%s processes of others a minute", with_storm, (0, 20000)),
}


# ---- a server with a crowd beside it ---------------------------------------------------------------

def profile_once(servers):
    """The busy server's load under threadprof."""
    begin = time.monotonic()
    profiler = tp.Threadprof("-p", ",".join(str(s.pid) for s in servers), "-i", "1", ready_seconds=60)
    attach_s = time.monotonic() - begin
    time.sleep(1.1)  # an interval in which the server has nothing to do
    truth = servers[0].run()
    begin = time.monotonic()
    report = profiler.stop(seconds=60)
    idle = [i["overhead"]["user_cpu_ns"] for i in report.intervals if not i["partial"] and not i["requests"]["count"]]
    return truth, {
        "attach_s": attach_s, "end_s": time.monotonic() - begin,
        "sent": truth["requests"], "counted": report.total("requests.count"),
        "lost": {cause: n for cause, n in report.lost().items() if n},
        "report_cpu_ns": idle[0] if idle else None,
        "memory_bytes": report.largest("overhead.memory_bytes"),
    }


def ns_per_event(servers):
    """{program: ns for a run} by the kernel's statistics, which are in these; they cost the server more than the rest."""
    profiler = tp.Threadprof("-p", ",".join(str(s.pid) for s in servers), ready_seconds=60)
    with programs.statistics_on():
        before = programs.runs_of(profiler.process.pid)
        servers[0].run()
        after = programs.runs_of(profiler.process.pid)
    profiler.stop(seconds=60)
    ns = programs.ns_per_run(before, after)
    return {name: ns[name] for name in EVENTS}


def ns_per_request(truth):
    return truth["cpu_ns"] / truth["requests"]


def measure(servers, rounds):
    servers[0].run()  # warm
    before = ns_per_request(servers[0].run())
    runs, ratios = [], []
    for _ in range(rounds):
        truth, run = profile_once(servers)
        after = ns_per_request(servers[0].run())
        ratios.append(2 * ns_per_request(truth) / (before + after))
        runs.append(run)
        before = after
    result = {key: [run[key] for run in runs if run[key] is not None]
              for key in ("attach_s", "end_s", "report_cpu_ns", "memory_bytes", "sent", "counted")}
    return dict(result, ratio=ratios, lost=runs[-1]["lost"], pids=len(servers), event_ns=ns_per_event(servers))


def label(name, size):
    few = {0: "no processes", 1: "1 process"}
    return name.replace("%s processes", few[size]) if size in few else name % format(size, ",")


def scale(kind, rounds):
    name, make, sizes = KINDS[kind]
    for size in sizes:
        servers = make(size)
        yield label(name, size), dict(measure(servers, rounds), kind=kind, size=size)
        for one in servers:
            one.end()
        tp.stop_all()


# ---- snoop -----------------------------------------------------------------------------------------

SNOOP_COUNT = 2000
SNOOP_RATES = (600, 20000, 0)


def snoop(per_minute):
    """What snoop lists of processes that come at a pace; 0: as fast as they can."""
    per_second = per_minute // 60 or 1000000
    count = min(SNOOP_COUNT, per_second * 6)
    profiler = tp.Threadprof("snoop")
    before_ns = cpu_ns(profiler.process.pid)
    storm = tp.start_process([os.path.join(ROOT, "build", "bench", "spawnstorm"), str(count), str(per_second)],
                             stdout=subprocess.DEVNULL)
    storm.wait(120)
    time.sleep(0.3)
    spent_ns = cpu_ns(profiler.process.pid) - before_ns
    memory = status_kib(profiler.process.pid, "VmRSS") * 1024
    tp.stop_process(profiler.process, signal.SIGINT)
    listed = sum(1 for r in map(json.loads, profiler.lines()) if r["type"] == "process" and r["ppid"] == storm.pid)
    return {"spawned": count, "listed": listed, "cpu_ns": spent_ns / count, "memory_bytes": memory}


def main():
    parser = argparse.ArgumentParser(description="How the cost grows with what is watched.")
    parser.add_argument("--only", action="append", choices=list(KINDS) + ["snoop"], metavar="KIND")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--occasion", metavar="NAME", help="add to bench/results/NAME.json")
    parser.add_argument("--doc", action="store_true", help="write the tables into docs/overhead.md")
    options = parser.parse_args()
    occasion = occasions.Occasion(options.occasion)
    for kind in options.only or list(KINDS) + ["snoop"]:
        rows = snoop_rows() if kind == "snoop" else scale(kind, options.rounds)
        for name, result in rows:
            print(name, json.dumps(result), flush=True)
            occasion.add("snoop" if kind == "snoop" else "scale", name, result)
    if options.doc:
        tables.write_scale()


def snoop_rows():
    for per_minute in SNOOP_RATES:
        yield "%s a minute" % format(per_minute, ",") if per_minute else "as fast as it goes", snoop(per_minute)


if __name__ == "__main__":
    main()
