#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof says of its own cost, and the budget that it keeps to."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

DETAILS = ["stacks", "lock_calls", "request_breakdown", "peers_and_files", "cpu_thieves"]


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


def features_of(records, state):
    return [r for r in records if r["type"] == "feature" and r["state"] == state and r["name"] in DETAILS]


def run_over_budget():
    """A load until all that may go is off, then waits for locks; the truth of both."""
    load = tp.Workload("load", "--seconds", "20", "--busy", "8")
    locks = tp.Workload("locks", "--rounds", "4")
    profiler = tp.Threadprof("-p", "%d,%d" % (load.pid, locks.pid), "-i", "1", "--max-overhead", "0.1",
                             "--locks=uprobe")
    truth = load.run(), locks.run()
    report = profiler.stop()
    load.end()
    locks.end()
    return truth + (report,)


@test("over the budget, details go off in order, and the counts stay exact")
def budget():
    truth, waited, report = run_over_budget()
    tp.assert_equal("requests.count", report.total("requests.count"), truth["requests"])
    tp.assert_equal("latencies", sum(i["requests"]["latency_ns"]["count"] for i in report.intervals),
                    truth["requests"])
    tp.assert_no_loss(report)
    tp.assert_states_add_up(report)
    off = features_of(report.records, "off")
    tp.assert_equal("features that went off", [f["name"] for f in off], DETAILS)
    for feature in off:
        tp.assert_true("%s: %r" % (feature["name"], feature["reason"]), "may take 0.1 %" in feature["reason"])
        tp.assert_true("a remedy", "--max-overhead" in feature["remedy"])
    last = report.intervals[-1]
    tp.assert_equal("switched_off", last["overhead"]["switched_off"], DETAILS)
    tp.assert_equal("breakdown", set(last["requests"]["breakdown_ns"].values()), {None})
    for name in ("peers", "files", "stolen_cpu"):
        tp.assert_equal(name, last[name], None)
    tp.assert_equal("probes are in", last["lock_probes"]["active"], False)
    tp.assert_true("the reason", "--max-overhead" in str(last["lock_probes"]["reason"]) or
                   "measuring costs more" in str(last["lock_probes"]["reason"]))
    assert_plain_waits(waited, report)


def assert_plain_waits(truth, report):
    """What the scheduler sees of locks, and neither where it was nor the calls."""
    seen = {int(lock["addr"], 16): lock for i in report.intervals for lock in i["locks"] if lock["waits"]}
    plain = next(t for t in truth["locks"] if t["name"] == "plain_lock")
    lock = seen.get(int(plain["addr"], 16)) or {}
    tp.assert_at_least("waits", lock.get("waits"), 1)
    for name in ("site", "stack", "acquisitions", "contended"):
        tp.assert_equal(name, lock.get(name), None)


def records_of(profiler):
    """Those that are written to their end."""
    return [json.loads(line) for line in profiler.lines() if line.endswith("}")]


def is_back(profiler, detail):
    """For a whole interval, for what was off in a part of one is not told."""
    records = records_of(profiler)
    again = [i for i, r in enumerate(records)
             if r["type"] == "feature" and r["name"] == detail and r["state"] == "on"]
    return again and any(r["type"] == "interval" and detail not in r["overhead"]["switched_off"]
                         for r in records[again[-1]:])


def start_ping_pong():
    """Nothing costs more: threads that do nothing but switch."""
    binary = os.path.join(tp.temp_dir(), "pingpong")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-pthread", "-o", binary,
                    os.path.join(tp.ROOT, "bench", "pingpong.c")], check=True)
    return tp.start_process([binary], stdout=subprocess.DEVNULL)


def start_shell():
    """It does nothing, which the threads of a workload do not before they are told to begin."""
    command = "read line; exec '%s' --rounds 2 --quick 5" % tp.workload_path("locks")
    return tp.start_process(["bash", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


LIMIT_PERCENT = 2


def await_return(profiler, detail):
    """Others' system calls and switches cost something too: where that is too much, nothing is to come back."""
    begin, end = len(records_of(profiler)), time.monotonic() + 60
    while time.monotonic() < end:
        if is_back(profiler, detail):
            return
        time.sleep(0.2)
    # The load has a part in the first one.
    costs = [r["overhead"]["cpu_ratio"] for r in records_of(profiler)[begin:] if r["type"] == "interval"][1:]
    # It comes back when twice the cost would be four fifths of the limit.
    if max(costs) > 0.35 * LIMIT_PERCENT / 100:
        tp.skip("other processes leave no room: measuring costs %.1f %% of a CPU with nothing to measure"
                % (100 * max(costs)))
    tp.fail("%s has not come back, at costs of %r" % (detail, costs))


@test("what went off comes back when there is room: probes on lock functions see every call again")
def comes_back():
    pingpong, shell = start_ping_pong(), start_shell()
    profiler = tp.Threadprof("-p", "%d,%d" % (pingpong.pid, shell.pid), "-i", "2", "--max-overhead",
                             str(LIMIT_PERCENT), "--locks=uprobe")
    tp.wait_until(lambda: "lock_calls is off" in profiler.errors(), what="the end of lock_calls")
    tp.stop_process(pingpong, signal.SIGKILL)
    await_return(profiler, "lock_calls")
    locks = tp.start_in_shell(shell, "locks")
    truth = locks.run()
    report = profiler.stop()
    locks.end()
    off = [f["name"] for f in features_of(report.records, "off")]
    tp.assert_equal("went off", off[:2], DETAILS[:2])
    back = [f["name"] for f in features_of(report.records, "on") if f["name"] in off]
    tp.assert_equal("came back, the last one first", back[:len(off) - 1], off[:0:-1])
    for t in truth["locks"]:
        acquired = [lock["acquisitions"] for i in report.intervals for lock in i["locks"]
                    if int(lock["addr"], 16) == int(t["addr"], 16)]
        tp.assert_equal("%s: acquisitions" % t["name"], sum(a or 0 for a in acquired), t["acquisitions"])
    tp.assert_equal("lost calls", report.lost()["lock_calls"], 0)


@test("within the budget, nothing goes off")
def room():
    _, report = run_load(4, "-i", "1", "--max-overhead", "100")
    for interval in report.intervals:
        tp.assert_equal("switched_off", interval["overhead"]["switched_off"], [])


@test("16 MB are enough, also where call sites are named")
def memory():
    locks = tp.Workload("locks", "--rounds", "4")
    profiler = tp.Threadprof("-p", str(locks.pid), "-i", "60")
    locks.run()
    report = profiler.stop()
    locks.end()
    tp.assert_true("call sites", any(lock["site"] for lock in report.last("locks")))
    tp.assert_at_most("rss_bytes", report.last("overhead.rss_bytes"), 16 << 20)
    tp.assert_at_most("map_bytes", report.last("overhead.map_bytes"), 16 << 20)


if __name__ == "__main__":
    tp.main(3)
