#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""The matrix of tests/system/test_findings.py several times: is each finding on top in its scenario, and in no other?

    bench/findings.py [--runs N] [--seconds S] [--write FILE] [WORD …]      (root; after `make all workload`)

Each look at a scenario is one line in FILE. One during which strangers used the machine's CPUs does not count, and
is repeated. What FILE has already is not done again, so that it may be done in parts of --seconds; with a WORD, only
the tests with that word in their names. At the end: the table, and what was looked at again. Exit: 0 no false
alarm and none missed, 1 some were, 3 not all has been looked at yet.
"""
import argparse
import collections
import json
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tests", "system"), os.path.join(ROOT, "tests", "lib")]
import test_findings  # noqa: E402
import tp  # noqa: E402

STRANGERS_CPUS = 0.05  # what the machine needs for itself stays below


class Bench:
    def __init__(self, path, runs, seconds):
        self.path, self.runs, self.end = path, runs, time.monotonic() + seconds
        self.looks = []
        if os.path.exists(path):
            with open(path) as lines:
                self.looks = [json.loads(line) for line in lines]

    def counted(self, name):
        return [look for look in self.looks if look["scenario"] == name and look["counts"]]

    def note(self, **look):
        self.looks.append(look)
        with open(self.path, "a") as out:
            out.write(json.dumps(look) + "\n")

    def judge(self, name, wanted, look):
        """In the place of the tests' own: each look counts, unless the machine was not ours."""
        while len(self.counted(name)) < self.round and time.monotonic() < self.end:
            watch = tp.Watch()
            report = look()
            taken = watch.taken()
            found = test_findings.findings_of(report)
            ids = [finding["id"] for finding in found]
            self.note(test=self.test, scenario=name, wanted=wanted, ids=ids, strangers_cpus=round(taken, 3),
                      counts=taken < STRANGERS_CPUS, texts=[finding["text"] for finding in found])
            print("%-16s %s, others used %.2f CPUs%s"
                  % (name, ", ".join(ids), taken, "" if taken < STRANGERS_CPUS else ": does not count"), flush=True)
        return None  # what the tests check besides is theirs

    def run(self, tests):
        for self.round in range(1, self.runs + 1):
            for name, function in tests:
                self.test = name
                if time.monotonic() >= self.end:
                    return
                before = len(self.looks)
                _, skipped, lines = tp._outcome(function)
                if skipped:
                    print("%s: %s" % (name, skipped), flush=True)
                elif len(self.looks) == before and not any(look["test"] == name for look in self.looks):
                    sys.exit("%s: %s" % (name, "\n".join(lines)))

    def print_table(self):
        ids = test_findings.IDS
        print("Each cell: in how many of the scenario's looks the finding was made; on top first.\n")
        print("%-16s %5s  %s" % ("scenario", "looks", " ".join("%2d" % i for i in range(len(ids)))))
        for name in collections.OrderedDict((look["scenario"], 0) for look in self.looks):
            looks = self.counted(name)
            cells = [sum(i in look["ids"] for look in looks) for i in ids]
            print("%-16s %5d  %s" % (name, len(looks), " ".join("%2s" % (cell or ".") for cell in cells)))
        print("\n" + ", ".join("%d %s" % pair for pair in enumerate(ids)))

    def verdict(self):
        counted = [look for look in self.looks if look["counts"]]
        missed = [look for look in counted if look["ids"][:1] != [look["wanted"]]]
        false = [look for look in counted if set(look["ids"]) - {look["wanted"]}]
        print("%d looks: %d with a false alarm, %d that missed; %d more did not count, because others used %.2f CPUs "
              "or more" % (len(counted), len(false), len(missed), len(self.looks) - len(counted), STRANGERS_CPUS))
        for look in missed + false:
            print("  %s: %s" % (look["scenario"], " | ".join(look["texts"])))
        return 1 if missed or false else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--write", default="findings.jsonl", metavar="FILE")
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    bench = Bench(args.write, args.runs, args.seconds)
    test_findings.judge = bench.judge
    judged = [(name, function) for name, function in tp._tests
              if "judge" in function.__code__.co_names or function.__name__ == "gil"]
    chosen = [pair for pair in judged if not args.words or any(word in pair[0] for word in args.words)]
    bench.run(chosen)
    if time.monotonic() >= bench.end:
        names = {look["scenario"] for look in bench.looks}
        print("%d looks so far, of %d scenarios; run it again"
              % (sum(look["counts"] for look in bench.looks), len(names)))
        return 3
    bench.print_table()
    return bench.verdict()


if __name__ == "__main__":
    sys.exit(main())
