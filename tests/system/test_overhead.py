#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof says of its own cost, and the budget that it keeps to."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

DETAILS = ["request_breakdown", "peers_and_files", "cpu_thieves"]


def run_load(seconds, *options):
    return tp.observe(tp.Workload("load", "--seconds", str(seconds), "--busy", "8"), *options)


@test("the cost is in every report")
def cost():
    truth, report = run_load(3, "-i", "1")
    tp.assert_equal("requests.count", report.total("requests.count"), truth["requests"])
    # Not the one in which the load began, and none after its end, where we were late to stop.
    most = max(report.values("requests.count"))
    wholes = [i for i in report.intervals if not i["partial"] and i["requests"]["count"] > most / 2]
    tp.assert_at_least("whole intervals", len(wholes), 1)
    for whole in wholes:
        overhead = whole["overhead"]
        # A program that runs at each system call of this load takes some time, and not all there is.
        tp.assert_at_least("bpf_ns", overhead["bpf_ns"], 1000000)
        tp.assert_at_most("bpf_ns", overhead["bpf_ns"], 0.7 * os.cpu_count() * whole["duration_ns"])
        tp.assert_at_least("bpf_request_ns", overhead["bpf_request_ns"], 10)
        tp.assert_at_least("user_cpu_ns", overhead["user_cpu_ns"], 1)
        tp.assert_at_least("cpu_ratio", overhead["cpu_ratio"], 0.001)
        tp.assert_equal("memory_bytes", overhead["memory_bytes"], overhead["rss_bytes"] + overhead["map_bytes"])
        tp.assert_equal("switched_off", overhead["switched_off"], [])


@test("over the budget, details go off in order, and the counts stay exact")
def budget():
    truth, report = run_load(12, "-i", "1", "--max-overhead", "0.1")
    tp.assert_equal("requests.count", report.total("requests.count"), truth["requests"])
    tp.assert_equal("latencies", sum(i["requests"]["latency_ns"]["count"] for i in report.intervals),
                    truth["requests"])
    tp.assert_no_loss(report)
    tp.assert_states_add_up(report)
    features = [r for r in report.records if r["type"] == "feature"]
    off = [f["name"] for f in features if f["state"] == "off" and f["name"] in DETAILS]
    tp.assert_equal("features that went off", off, DETAILS)
    for feature in features:
        if feature["name"] in off and feature["state"] == "off":
            tp.assert_true("%s: %r" % (feature["name"], feature["reason"]), "may take 0.1 %" in feature["reason"])
            tp.assert_true("a remedy", "--max-overhead" in feature["remedy"])
    last = report.intervals[-1]
    tp.assert_equal("switched_off", last["overhead"]["switched_off"], DETAILS)
    tp.assert_equal("breakdown", set(last["requests"]["breakdown_ns"].values()), {None})
    for name in ("peers", "files", "stolen_cpu"):
        tp.assert_equal(name, last[name], None)


@test("within the budget, nothing goes off")
def room():
    _, report = run_load(4, "-i", "1", "--max-overhead", "100")
    for interval in report.intervals:
        tp.assert_equal("switched_off", interval["overhead"]["switched_off"], [])


if __name__ == "__main__":
    tp.main(3)
