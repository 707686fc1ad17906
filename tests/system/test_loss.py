#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Nothing is lost at the highest rate there is; and where it must be, what is lost is counted exactly."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test


def run_load(*options):
    workload = tp.Workload("load", "--seconds", "3", "--busy", "16")
    profiler = tp.Threadprof("-p", str(workload.pid), "-i", "1", *options)
    truth = workload.run()
    report = profiler.stop()
    workload.end()
    return truth, report


@test("a server that does nothing but answer, as fast as it goes: every request, none lost")
def fast():
    truth, report = run_load()
    tp.assert_equal("requests.count", report.total("requests.count"), truth["requests"])
    tp.assert_no_loss(report)
    tp.assert_states_add_up(report)


@test("a ring buffer that is much too small: delivered + lost = sent")
def small_ring():
    truth, report = run_load("--ring-bytes", "4096")
    delivered, lost = report.total("requests.count"), report.lost()["ring_buffer"]
    tp.assert_equal("requests delivered and lost", delivered + lost, truth["requests"])
    tp.assert_at_least("requests lost", lost, 1)
    tp.assert_at_least("requests delivered", delivered, 1)
    tp.assert_states_add_up(report)


if __name__ == "__main__":
    tp.main()
