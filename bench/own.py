#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof takes for itself: start-up and memory beside bpftrace's, and its CPU at the highest rate there is.

    bench/own.py [--rounds N] [--only start|memory|rate] [--doc]

memory: of targets whose threads wait for locks, so that call sites are named.
"""
import argparse
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import occasions
import peers
import tables
from workloads import DEVNULL, ROOT, tp


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


# ---- memory while call sites are named ---------------------------------------------------------------

SECONDS = 6
BUSY_PYTHON = """
import threading, time
def work():
    while True:
        sum(range(100000))
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(1000)
"""
# Functions that nobody calls, for the sake of their debug information.
NR_FUNCTIONS = 20000
FUNCTION = """struct s%d { int a; struct s%d *b; char c[%d]; };
int f%d(struct s%d *p);
int f%d(struct s%d *p) { int x = p->a; for (int i = 0; i < x; i++) x += p->c[i]; return x; }
"""


def c_locks():
    workload = tp.Workload("locks", "--rounds", "1000")
    workload.go()
    return workload.pid


def c_locks_with_debug():
    """The same program, with more debug information than most have."""
    directory = tp.temp_dir()
    more, binary = os.path.join(directory, "more.c"), os.path.join(directory, "locks")
    with open(more, "w") as source:
        source.write("".join(FUNCTION % ((i + 1,) * 7) for i in range(NR_FUNCTIONS)))
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-g", "-pthread", "-o", binary, more,
                    os.path.join(ROOT, "tests", "workload", "locks.c")], check=True)
    workload = tp.Workload("locks", "--rounds", "1000", command=[binary])
    workload.go()
    return workload.pid


def python_gil():
    return tp.start_process([sys.executable, "-c", BUSY_PYTHON]).pid


def ask_for_ever(port):
    with socket.create_connection(("127.0.0.1", port)) as conn:
        try:
            while True:
                conn.sendall(b"s")
                conn.recv(100)
        except OSError:
            pass


def java_monitor():
    directory, port = tp.temp_dir(), tp.free_port()
    subprocess.run(["javac", "-d", directory, os.path.join(ROOT, "tests", "workload", "Server.java")], check=True)
    server = tp.start_process(["java", "-Xmx64m", "-cp", directory, "Server", str(port)], stdin=DEVNULL,
                              stdout=DEVNULL)
    tp.wait_for_port(port)
    for _ in range(4):
        threading.Thread(target=ask_for_ever, args=(port,), daemon=True).start()
    return server.pid


CONTENDED = {"nothing": lambda: Idle().pid, "mutexes, C": c_locks, "the GIL, Python": python_gil,
             "a monitor, Java": java_monitor,
             "mutexes, C, with debug information for 20,000 functions": c_locks_with_debug}


def memory(rounds):
    """{target: {"rss_mib": […], "peak_mib": […], "all_mib": […], "sites": N}}; all: the peaks of its processes"""
    cells = {}
    for _ in range(min(rounds, 2)):
        for name, start_target in CONTENDED.items():
            if "Java" in name and not shutil.which("javac"):
                continue
            profiler = tp.Threadprof("-p", str(start_target()), "-i", "1")
            time.sleep(SECONDS)
            pid = profiler.process.pid
            cell = cells.setdefault(name, {"rss_mib": [], "peak_mib": [], "all_mib": []})
            cell["rss_mib"].append(peers.status_kib(pid, "VmRSS") / 1024)
            cell["peak_mib"].append(peers.status_kib(pid, "VmHWM") / 1024)
            cell["all_mib"].append(sum(peers.status_kib(p, "VmHWM") for p in [pid] + tp.children(pid)) / 1024)
            report = profiler.stop()
            cell["sites"] = len({lock["site"] for i in report.intervals for lock in i["locks"] or [] if lock["site"]})
            tp.stop_all()
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


PARTS = {"start": start, "memory": memory, "rate": rate}


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
