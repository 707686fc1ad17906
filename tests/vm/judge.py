#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What a guest brought back: are the numbers right? usage: judge.py NAME DIRECTORY ROW

Prints a TAP line for each thing that must hold, without numbers and plan, and appends the kernel's
row of the table to the file ROW.

Emulation makes a switch cost as much as a small script, and two profilers at once twice that; so a
state may be off by a twentieth of its thread's wall time, and two ways of watching the same switches
may differ by a fiftieth over all threads.
"""
import glob
import json
import os
import sys

ROUNDS = {"probes": ("sched_switch", "finish_task_switch"), "fallbacks": ("raw", "hash")}
FEATURES = ("requests", "existing_connections", "stolen_cpu", "bursts")
# What these wait for is told from other waits by whether they have a request in hand.
NEED_REQUESTS = ("cond-serving", "sem-serving", "net-read", "net-poll")
# The helpers that the programs call are all there from this kernel on; an older one must say that it can't.
OLDEST = (5, 15)
FROM_TRUTH = 0.05
BETWEEN_WAYS = 0.02


def result(ok, name, details=(), skip=None):
    print("%s - %s%s" % ("ok" if ok else "not ok", name, " # SKIP " + skip if skip else ""))
    for line in details:
        print("#   " + line)


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class Way:
    """One run of threadprof: what it said about its features, and its threads' states."""

    def __init__(self, directory, name):
        self.name = name
        self.code = read(os.path.join(directory, name + ".rc")).strip()
        self.said = read(os.path.join(directory, name + ".err")).strip()
        records = [json.loads(line) for line in read(os.path.join(directory, name + ".json")).splitlines()]
        self.features = {r["name"]: r["state"] for r in records if r["type"] == "feature"}
        intervals = [r for r in records if r["type"] == "interval"]
        self.lost = {k: v for i in intervals for k, v in i["lost"].items() if v}
        self.threads = {t["tid"]: t for i in intervals for t in i["threads"]}

    def works(self):
        return self.code == "0" and bool(self.threads)

    def refusal(self):
        """Why it did not start, if it said so as it should; otherwise nothing."""
        lines = self.said.splitlines()
        return lines[-1] if self.code == "1" and lines and lines[-1].startswith("threadprof: ") else ""

    def cell(self):
        return self.features.get("thread_states", "?") if self.works() else "no" if self.refusal() else "FAIL"


def true_threads(directory, without):
    """(script, truth of one thread), and the scripts that did not come to their end."""
    threads, unfinished = [], []
    for path in sorted(glob.glob(os.path.join(directory, "truth.*"))):
        script = path.rsplit(".", 1)[1]
        lines = read(path).splitlines()
        if len(lines) < 2:
            unfinished.append(script)
        elif script not in without:
            threads += [(script, thread) for thread in json.loads(lines[1])["threads"]]
    return threads, unfinished


def differences(way, threads):
    wrong = []
    for script, want in threads:
        got = way.threads.get(want["tid"])
        if not got:
            wrong.append("%s: thread %s is not listed" % (script, want["name"]))
            continue
        for state, ns in want["state_ns"].items():
            off = got["state_ns"][state] - ns
            if abs(off) > FROM_TRUTH * got["wall_ns"]:
                wrong.append("%s: %s: %s: got %.1f ms, want %.1f ms, of %.1f ms"
                             % (script, want["name"], state, got["state_ns"][state] / 1e6, ns / 1e6,
                                got["wall_ns"] / 1e6))
    return wrong


def check_truth(kernel, way, threads):
    name = "%s: states by %s are right" % (kernel, way.name)
    if not way.works():
        result(False, name, ["exit code %s" % way.code] + way.said.splitlines()[-5:])
        return
    wrong = differences(way, threads) + ["lost.%s is %s" % item for item in way.lost.items()]
    result(not wrong, name, wrong)


def check_agreement(kernel, one, other, threads):
    name = "%s: %s and %s agree" % (kernel, one.name, other.name)
    if not (one.works() and other.works()):
        result(False, name, ["not both of them work here"])
        return None
    tids = [want["tid"] for _, want in threads if want["tid"] in one.threads and want["tid"] in other.threads]
    wall_ns = sum(one.threads[tid]["wall_ns"] for tid in tids)
    wrong, most = [], 0
    for state in one.threads[tids[0]]["state_ns"]:
        sums = [sum(way.threads[tid]["state_ns"][state] for tid in tids) for way in (one, other)]
        off = abs(sums[0] - sums[1]) / wall_ns
        most = max(most, off)
        if off > BETWEEN_WAYS:
            wrong.append("%s: %.1f ms and %.1f ms" % (state, sums[0] / 1e6, sums[1] / 1e6))
    result(not wrong, name, wrong)
    return most


def check_features(kernel, way):
    name = "%s: every feature is on" % kernel
    missing = ["%s is %s" % (f, way.features.get(f, "not named")) for f in FEATURES if way.features.get(f) != "on"]
    result(not missing, name, missing + ([line for line in way.said.splitlines() if missing][:8]))


def check_refusals(kernel, ways):
    for way in ways.values():
        result(bool(way.refusal()), "%s: %s: too old, and it says so" % (kernel, way.name),
               [way.refusal() or "exit code %s: %s" % (way.code, way.said[-500:])])


def check_numbers(kernel, directory, ways):
    agreement = {}
    for round_name, names in ROUNDS.items():
        where = os.path.join(directory, round_name)
        pair = [ways[name] for name in names]
        has_requests = all(way.features.get("requests") == "on" for way in pair if way.works())
        threads, unfinished = true_threads(where, () if has_requests else NEED_REQUESTS)
        result(bool(threads) and not unfinished, "%s: %s: the scripts run to their end" % (kernel, round_name),
               unfinished)
        for way in pair:
            check_truth(kernel, way, threads)
        agreement[round_name] = check_agreement(kernel, pair[0], pair[1], threads)
    check_features(kernel, ways["sched_switch"])
    return agreement["probes"]


def main():
    kernel, directory, row_path = sys.argv[1:]
    release = read(os.path.join(directory, "release")).strip()
    kernel = "%s (%s)" % (kernel, release)
    ways = {name: Way(os.path.join(directory, round_name), name)
            for round_name, names in ROUNDS.items() for name in names}
    agreement = None
    if tuple(int(number) for number in release.split(".")[:2]) < OLDEST:
        check_refusals(kernel, ways)
    else:
        agreement = check_numbers(kernel, directory, ways)
    cells = [ways[name].cell() for names in ROUNDS.values() for name in names]
    cells += ["-" if agreement is None else "%.1f %%" % (100 * agreement)]
    cells += [ways["sched_switch"].features.get(feature, "no") for feature in FEATURES]
    with open(row_path, "a") as row:
        row.write("\t".join([kernel] + cells) + "\n")


main()
