#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Nothing is lost at the highest rate there is; and where it must be, what is lost is counted exactly."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test


def run_load(*options):
    return tp.observe(tp.Workload("load", "--seconds", "3", "--busy", "16"), "-i", "1", *options)


@test("a server that does nothing but answer, as fast as it goes: every request, none lost")
def fast():
    def measure():
        truth, report = run_load()
        tp.demand_accounted(report, truth["requests"])
        tp.assert_no_loss(report)
        tp.assert_states_add_up(report)
    tp.measure_again(measure, 5)


@test("a ring buffer that is much too small: delivered + lost = sent")
def small_ring():
    truth, report = run_load("--ring-bytes", "4096")
    delivered, lost = report.total("requests.count"), report.lost()["ring_buffer"]
    tp.assert_equal("requests delivered and lost", delivered + lost, truth["requests"])
    tp.assert_at_least("requests lost", lost, 1)
    tp.assert_at_least("requests delivered", delivered, 1)
    tp.assert_states_add_up(report)


@test("more connections than there is room for: known + lost = all, for those that were there and those that come")
def few_connections():
    workload = tp.Workload("load", "--seconds", "1", "--busy", "8", "--conns", "40")
    # This process is a server too, of ten connections that come later.
    profiler = tp.Threadprof("-p", "%d,%d" % (workload.pid, os.getpid()), "-i", "1", "--max-connections", "30")
    truth = workload.run()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends = []
        for _ in range(10):
            ends += [socket.create_connection(listener.getsockname()), listener.accept()[0]]
        report = profiler.stop()
        for end in ends:
            end.close()
    workload.end()
    tp.assert_equal("connections.open", report.last("connections.open"), 30)
    tp.assert_equal("connections that were lost", report.lost()["conn_map_full"], truth["conns"] - 30 + 10)
    tp.assert_at_most("requests.count", report.total("requests.count"), truth["requests"])


if __name__ == "__main__":
    tp.main()
