# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Runs of threadprof snoop, and what they found."""
import json

import tp


class Found:
    """The records of one run."""

    def __init__(self, records):
        self.records = records
        self.processes = self.of("process")
        self.bursts = self.of("burst")

    def of(self, kind):
        return [r for r in self.records if r["type"] == kind]

    def made_by(self, pid):
        return [p for p in self.processes if p["ppid"] == pid]

    def below(self, pid):
        """Those of which the process is an ancestor, by the pids in their own records."""
        known, found = {pid}, []
        for process in sorted(self.processes, key=lambda p: p["start_mono_ns"]):
            if process["ppid"] in known:
                known.add(process["pid"])
                found.append(process)
        return found

    def one(self, pid):
        found = [p for p in self.processes if p["pid"] == pid]
        if len(found) != 1:
            tp.fail("%d process records of pid %d: %r" % (len(found), pid, found))
        return found[0]


class Snoop(tp.Threadprof):
    def __init__(self, *arguments):
        super().__init__("snoop", *arguments)

    def _report(self, code):
        tp.assert_equal("exit code of threadprof", code, 0)
        return Found([json.loads(line) for line in self.lines()])


def assert_no_loss(found):
    lost = found.of("lost")
    tp.assert_equal("records of what was lost", len(lost), 1)
    for record in lost:
        for cause in ("fork", "exec", "failed_exec", "exit", "missed_ends", "output"):
            tp.assert_equal("lost." + cause, record[cause], 0)
        tp.assert_equal("lost.skipped_runs", record["skipped_runs"] or 0, 0)  # None: this kernel does not tell
