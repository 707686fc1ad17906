#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""The table of kernels and features, as Markdown. usage: table.py COLUMNS

COLUMNS: what judge.py has left, a JSON object for each kernel. Each cell is of a run in that kernel.
"""
import json
import sys

ROWS = (
    ("request tracking", "requests"),
    ("states by `sched_switch`", "sched_switch"),
    ("states by `finish_task_switch`", "finish_task_switch"),
    ("these two differ by", "agree probes"),
    ("states by the raw tracepoint, forced", "raw"),
    ("states with every fallback of the tracepoint, forced", "fallbacks"),
    ("these two differ by", "agree fallbacks"),
    ("lock waits (futex)", "futex locks"),
    ("lock calls (uprobes)", "uprobe locks"),
    ("snoop", "snoop"),
    ("bursts in a server's report", "bursts"),
    ("without root: request tracking and lock waits", "non-root"),
    ("without root: what `CAP_BPF` and `CAP_PERFMON` alone do not give", "non-root lacks"),
    ("states, requests, snoop by `--btf FILE`, the kernel's own BTF hidden", "file"),
    ("what the kernel lacks", "lacks"),
    ("from start to attached, emulated", "attach"),
)


def main():
    with open(sys.argv[1]) as file:
        columns = [json.loads(line) for line in file]
    print("| | " + " | ".join("%s<br>`%s`" % (c["suite"], c["release"]) for c in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for title, key in ROWS:
        print("| %s | %s |" % (title, " | ".join(c.get(key, "not in this build") for c in columns)))


main()
