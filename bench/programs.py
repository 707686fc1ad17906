#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What each of threadprof's programs takes for a run, beside an empty one on the same hook in the same window.

    bench/programs.py [--rounds N] [--case NAME | --pieces] [--other PROGRAM]
    bench/programs.py --verifier [--doc]          how many instructions the kernel's verifier went through for each

By the kernel's own statistics (BPF_ENABLE_STATS), less what an empty program shows by them: the hook and its
dispatch are not in it, a machine that is busy hardly is. Median of the rounds, and lowest to highest. With --pieces
what single things cost that programs do; with --other those of another build as well, in turns.
"""
import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import tables  # noqa: E402
import tp  # noqa: E402
from hooks import Hooks  # noqa: E402

STATISTICS = "/proc/sys/kernel/bpf_stats_enabled"
EMPTY = ["btf_sys_exit", "btf_sched_switch", "btf_sched_wakeup"]
# What nobody made an empty program for is compared with that on sched_wakeup, which runs as often.
PROGRAMS = {"request_sys_exit": "btf_sys_exit", "sched_switch": "btf_sched_switch",
            "sched_wakeup": "btf_sched_wakeup", "sched_waking": "btf_sched_wakeup"}
PIECES = {"the current task": "piece_task", "… and the clock": "piece_clock", "… and its storage": "piece_storage",
          "… and an entry of a hash map": "piece_hash", "… and 8 bytes by bpf_probe_read_kernel()": "piece_probe_read",
          "… and 8 bytes by bpf_rdonly_cast()": "piece_cast", "… and its registers by bpf_task_pt_regs()": "piece_regs"}
MIN_RUNS = 10000


@contextlib.contextmanager
def statistics_on():
    with open(STATISTICS) as switch:
        was = switch.read()
    try:
        with open(STATISTICS, "w") as switch:
            switch.write("1")
        yield
    finally:
        with open(STATISTICS, "w") as switch:
            switch.write(was)


def programs_of(pid):
    """(name, fields) of the programs that the process holds"""
    listed = subprocess.run(["bpftool", "prog", "show"], capture_output=True, text=True, check=True).stdout
    names = {}
    for line in listed.splitlines():
        words = line.split()
        if words and words[0][:-1].isdigit() and "name" in words:
            names[words[0][:-1]] = words[words.index("name") + 1]
    for fd in os.listdir("/proc/%d/fdinfo" % pid):
        with open("/proc/%d/fdinfo/%s" % (pid, fd)) as info:
            fields = dict(line.split(":\t", 1) for line in info.read().splitlines() if ":\t" in line)
        if "prog_id" in fields and "run_cnt" in fields:
            yield names.get(fields["prog_id"], "?"), fields


def runs_of(pid):
    """{name: (ns, runs)}"""
    return {name: (int(fields["run_time_ns"]), int(fields["run_cnt"])) for name, fields in programs_of(pid)}


def ns_per_run(before, after, least=1):
    """{name: ns for a run} between two looks of runs_of(), of what ran so often meanwhile"""
    result = {}
    for name, (ns, runs) in after.items():
        ns_before, runs_before = before.get(name, (0, 0))
        if runs - runs_before >= least:
            result[name] = (ns - ns_before) / (runs - runs_before)
    return result


def verified():
    """Lines of a table; those on the lock functions too. Linux tells it from 5.16 on."""
    idle = tp.start_process(["sleep", "1000"])
    profiler = tp.Threadprof("-p", str(idle.pid), "--locks=uprobe")
    found = {name: int(fields["verified_insns"]) for name, fields in programs_of(profiler.process.pid)
             if "verified_insns" in fields}
    profiler.stop()
    tp.stop_process(idle)
    most_first = sorted(found.items(), key=lambda one: -one[1])
    return ["| program | instructions that the verifier goes through |", "|---|---|"] + [
        "| %s | %s |" % (name, format(number, ",")) for name, number in most_first + [("all", sum(found.values()))]]


class Work:
    """Runs as long as it is there; @size: of the do-nothing server, otherwise a program of bench/."""
    def __init__(self, program, *size):
        if program == "load":
            self.load = tp.Workload("load", "--seconds", "3", *size)
            self.pid = self.load.pid
        else:
            self.load = None
            self.process = tp.start_process([os.path.join(ROOT, "build", "bench", program)],
                                            stdout=subprocess.DEVNULL)
            self.pid = self.process.pid

    def begin(self):
        if self.load:
            self.load.go()

    def end(self):
        if self.load:
            self.load.truth()
            self.load.end()
        else:
            tp.stop_process(self.process)


CASES = {
    "switches of a stranger": (("pingpong",), False),
    "switches of the target": (("pingpong",), True),
    "read(2) of a stranger": (("syscalls",), False),
    "read(2) of the target, no connection's": (("syscalls",), True),
    "requests, 10 connections": (("load", "--busy", "8", "--conns", "10"), True),
    "requests, 1,000 connections": (("load", "--busy", "8", "--conns", "1000"), True),
}


def start_hooks(names):
    hooks = Hooks()
    assert hooks.set(" ".join(names)), "%s: do not load" % names
    return hooks.process


def measure_pieces():
    """{what: ns for a run above an empty program's}, of every system call while one process makes them"""
    work = Work("syscalls")
    hooks = start_hooks(["btf_sys_exit", *PIECES.values()])
    before = runs_of(hooks.pid)
    time.sleep(1.5)
    after = runs_of(hooks.pid)
    work.end()
    tp.stop_process(hooks)
    ns = ns_per_run(before, after)
    return {name: ns[program] - ns["btf_sys_exit"] for name, program in PIECES.items()}


def measure(case, program):
    """{program: ns for a run above the empty one's}"""
    how, is_target = CASES[case]
    work, idle = Work(*how), tp.start_process(["sleep", "1000"])
    empty = start_hooks(EMPTY)
    profiler = tp.Threadprof("-p", str(work.pid if is_target else idle.pid), "-i", "60", "--max-overhead", "100",
                             command=(program,))
    work.begin()
    time.sleep(0.3)
    pids = (profiler.process.pid, empty.pid)
    before = [runs_of(pid) for pid in pids]
    time.sleep(1.5)
    after = [runs_of(pid) for pid in pids]
    profiler.stop()
    work.end()
    tp.stop_process(idle)
    tp.stop_process(empty)
    ns = {**ns_per_run(before[0], after[0], MIN_RUNS), **ns_per_run(before[1], after[1], MIN_RUNS)}
    return {name: ns[name] - ns[base] for name, base in PROGRAMS.items() if name in ns and base in ns}


def row(words, values):
    print("| %s | %.0f (%.0f–%.0f) |" % (" | ".join(words), statistics.median(values), min(values), max(values)),
          flush=True)


def tell_pieces(options):
    rounds = [measure_pieces() for _ in range(options.rounds)]
    print("| | ns |\n|---|---|")
    for name in PIECES:
        row([name], [r[name] for r in rounds])


def tell_programs(options):
    builds = [tp.THREADPROF] + ([options.other] if options.other else [])
    print("| work | program | ns for a run, above an empty program |\n|---|---|---|")
    for case in CASES:
        if options.case and options.case not in case:
            continue
        rounds = [[measure(case, build) for build in builds] for _ in range(options.rounds)]
        for program in PROGRAMS:
            for i, build in enumerate(builds):
                values = [r[i][program] for r in rounds if program in r[i]]
                if values:
                    row([case, program + (" of " + build if i else "")], values)


def main():
    parser = argparse.ArgumentParser(description="What each of threadprof's programs takes for a run.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", help="only those whose name has this in it")
    parser.add_argument("--verifier", action="store_true", help="only how much there is to verify")
    parser.add_argument("--doc", action="store_true", help="… and write it into docs/overhead.md")
    parser.add_argument("--pieces", action="store_true", help="what single things cost that programs do")
    parser.add_argument("--other", metavar="PROGRAM", help="another build of threadprof, to compare the two")
    options = parser.parse_args()
    if options.verifier:
        rows = verified()
        print("\n".join(rows))
        if options.doc:
            tables.write_into("verifier", rows)
        return
    with statistics_on():
        if options.pieces:
            tell_pieces(options)
        else:
            tell_programs(options)


if __name__ == "__main__":
    main()
