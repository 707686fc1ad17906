#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""The known-answer server: what threadprof reports against what the server measured itself.

The server's times are ranges: what they are at least and at most by the clocks read before and after.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
import truth as known
from tp import test

ONE_INTERVAL = "60"

_runs = {}


def run(script, interval):
    server = tp.Workload("known", "--script", script)
    profiler = tp.Threadprof("-p", str(server.pid), "-i", interval)
    truth = server.run()
    report = profiler.stop()
    server.end()
    return truth, report


def observe(script, interval):
    """One run of the server under threadprof, kept: many tests look at the same one."""
    key = (script, interval)
    if key not in _runs:
        # A run that failed is not tried again by each of them.
        _runs[key] = None
        _runs[key] = run(script, interval)
    return _runs[key] or tp.fail("the run of script %s failed in an earlier test" % script)


def assert_distribution(name, got, want, percentiles=("p50", "p90", "p99")):
    """A histogram has the truth's number of values, and its figures within 2 % or 50 us of its bounds."""
    if got is None:
        tp.note_failure("%s: not measured" % name)
        return
    tp.assert_equal(name + ".count", got["count"], want["count"])
    known.assert_within(name + ".mean", got["mean"], [ns / want["count"] for ns in want["sum"]])
    known.assert_within(name + ".max", got["max"], want["max"])
    for percentile in percentiles:
        known.assert_within("%s.%s" % (name, percentile), got.get(percentile), want[percentile])


def assert_histogram(path, truth, report, **options):
    """The truth uses the report's own names."""
    assert_distribution(path, report.histogram(path), tp.at(truth, path), **options)


def sum_of_bounds(truth, name):
    """Of one time of all workers: the least and the most that it can be."""
    return [sum(ends) for ends in zip(*(worker[name] for worker in truth["threads"]))]


def sum_over_workers(truth, report, state):
    threads = report.threads()
    workers = [t["tid"] for t in truth["threads"]]
    missing = [tid for tid in workers if tid not in threads]
    tp.assert_equal("workers that threadprof does not list", missing, [])
    return sum(threads[tid]["state_ns"].get(state, 0) for tid in workers if tid in threads)


def assert_worker_states(truth, report):
    for state in ("lock", "sleep"):
        known.assert_within("state_ns." + state, sum_over_workers(truth, report, state),
                            sum_of_bounds(truth, state + "_ns"))


def assert_queue(truth, report):
    tp.assert_equal("queue.max", report.largest("queue.max"), truth["queue"]["max"])
    known.assert_within("queue.avg x duration", report.queue_integral_ns(), truth["queue"]["integral_ns"])


def assert_counts(truth, report):
    for path in ("requests.count", "connections.accepted", "connections.closed"):
        tp.assert_equal(path, report.total(path), tp.at(truth, path))
    tp.assert_equal("connections.open", report.last("connections.open"),
                    truth["connections"]["open"])
    tp.assert_no_loss(report)


@test("every request and connection is counted once, nothing is lost")
def counts():
    truth, report = observe("plain", ONE_INTERVAL)
    tp.assert_equal("intervals", len(report.intervals), 1)
    assert_counts(truth, report)


@test("request latency")
def request_latency():
    truth, report = observe("plain", ONE_INTERVAL)
    assert_histogram("requests.latency_ns", truth, report)


@test("queue wait")
def queue_wait():
    truth, report = observe("plain", ONE_INTERVAL)
    assert_histogram("requests.queue_wait_ns", truth, report)


@test("connection latency")
def connection_latency():
    truth, report = observe("plain", ONE_INTERVAL)
    assert_histogram("connections.latency_ns", truth, report)


@test("queue depth: maximum, time-weighted mean, and empty at the end")
def queue_depth():
    truth, report = observe("plain", ONE_INTERVAL)
    tp.assert_equal("depth the script makes", truth["queue"]["max"], 8)
    tp.assert_equal("queue.now", report.last("queue.now"), 0)
    assert_queue(truth, report)


@test("lock wait: address, number, time, owner")
def lock_wait():
    truth, report = observe("plain", ONE_INTERVAL)
    workers = {t["tid"] for t in truth["threads"]}
    for lock in truth["locks"]:
        got = report.lock(lock["addr"])
        if got is None:
            tp.note_failure("%s at %s: not reported" % (lock["name"], lock["addr"]))
            continue
        assert_lock(lock["name"], got, lock["wait_ns"], workers)


def assert_lock(name, got, wait_ns, workers):
    tp.assert_equal(name + ".waits", got["waits"], wait_ns["count"])
    assert_distribution(name + ".wait_ns", got["wait_ns"], wait_ns, percentiles=())
    tp.assert_equal(name + ".kind", got["kinds"], {"mutex"})
    tp.assert_true("%s: owner %s is a worker" % (name, got["owners"]), got["owners"] <= workers)
    for symbol in got["names"] - {None}:
        tp.assert_true("%s: %r is its symbol" % (name, symbol), symbol.startswith(name))


@test("time in lock and sleep, over the workers")
def lock_and_sleep_states():
    truth, report = observe("plain", ONE_INTERVAL)
    assert_worker_states(truth, report)


@test("sleep of each worker")
def sleep_per_worker():
    truth, report = observe("plain", ONE_INTERVAL)
    threads = report.threads()
    for worker in truth["threads"]:
        got = tp.at(threads.get(worker["tid"]), "state_ns.sleep")
        known.assert_within("thread %d: sleep" % worker["tid"], got, worker["sleep_ns"])


@test("requests of each worker")
def requests_per_worker():
    truth, report = observe("plain", ONE_INTERVAL)
    threads = report.threads()
    for worker in truth["threads"]:
        got = tp.at(threads.get(worker["tid"]), "requests")
        tp.assert_equal("thread %d: requests" % worker["tid"], got, worker["requests"])


@test("utilization: threads that served, threads there are, busy share")
def utilization():
    truth, report = observe("plain", ONE_INTERVAL)
    want = truth["utilization"]
    tp.assert_equal("utilization.active", report.last("utilization.active"), want["active"])
    tp.assert_equal("utilization.threads", report.last("utilization.threads"), want["threads"])
    tp.assert_close("utilization.ratio", report.last("utilization.ratio"),
                    want["active"] / want["threads"], abs_ns=0)
    wall_ns = sum(t["wall_ns"] for t in report.threads().values())
    busy_ratio = report.last("utilization.busy_ratio")
    known.assert_within("busy_ratio x wall", None if busy_ratio is None else busy_ratio * wall_ns,
                        sum_of_bounds(truth, "busy_ns"))


@test("states add up to wall time, and wall time to the interval")
def states_add_up():
    truth, report = observe("plain", ONE_INTERVAL)
    tp.assert_states_add_up(report)
    threads = report.threads()
    tp.assert_equal("threads listed", len(threads), truth["utilization"]["threads"])
    for tid, thread in sorted(threads.items()):
        tp.assert_close("thread %d: wall_ns" % tid, thread["wall_ns"], report.duration_ns(),
                        rel=0.005, abs_ns=0)


@test("short intervals: the sums are the same, the pieces fit together")
def short_intervals():
    truth, report = observe("plain", "0.1")
    tp.assert_at_least("intervals", len(report.intervals), 5)
    assert_counts(truth, report)
    tp.assert_states_add_up(report)
    assert_worker_states(truth, report)
    assert_queue(truth, report)
    # The percentiles of one interval are not those of the run; the rest is.
    assert_histogram("requests.latency_ns", truth, report, percentiles=())


@test("short intervals: they come by the clock and follow each other without a hole")
def cadence():
    _, report = observe("plain", "0.1")
    for before, after in zip(report.intervals, report.intervals[1:]):
        tp.assert_close("duration_ns against the steps of mono_ns", after["duration_ns"],
                        after["mono_ns"] - before["mono_ns"], rel=0, abs_ns=1000000)
    # Timers may be late on a busy machine, never early and never by much on average.
    full = [i["duration_ns"] for i in report.intervals[:-1]]
    tp.assert_close("mean duration_ns", sum(full) / max(1, len(full)), 100000000, rel=0.1)


@test("busy time across interval ends")
def busy_over_intervals():
    truth, report = observe("plain", "0.1")
    busy_ns = 0
    for interval in report.intervals:
        wall_ns = sum(t["wall_ns"] for t in interval["threads"])
        busy_ns += interval["utilization"]["busy_ratio"] * wall_ns
    known.assert_within("sum of busy_ratio x wall", busy_ns, sum_of_bounds(truth, "busy_ns"))


@test("queue seen while it stands: now, mean and maximum of one interval")
def standing_queue():
    truth, report = observe("hold", "0.1")
    tp.assert_equal("depth the script makes", truth["queue"]["max"], 5)
    depths = report.values("queue.now")
    standing = [i for i in range(1, len(depths)) if depths[i - 1] == 5 and depths[i] == 5]
    tp.assert_at_least("intervals that begin and end with 5 in the queue, of %s" % depths,
                       len(standing), 2)
    for i in standing:
        tp.assert_close("queue.avg", tp.at(report.intervals[i], "queue.avg"), 5, abs_ns=0)
        tp.assert_equal("queue.max", tp.at(report.intervals[i], "queue.max"), 5)
    assert_queue(truth, report)


@test("a request longer than the interval is counted once, where it ended")
def long_requests():
    truth, report = observe("hold", "0.1")
    assert_counts(truth, report)
    assert_histogram("requests.latency_ns", truth, report, percentiles=())


@test("accept queue: what the kernel holds while the acceptor does not accept")
def accept_queue():
    truth, report = observe("backlog", "0.1")
    depths = report.values("queue.accept_queue.now")
    tp.assert_true("6 in the accept queue at the end of an interval, of %s" % depths, 6 in depths)
    # 7 clients: the acceptor takes the first one before the others come, or after.
    tp.assert_true("accept_queue.max is 6 or 7", report.largest("queue.accept_queue.max") in (6, 7))
    tp.assert_equal("accept_queue.limit", report.last("queue.accept_queue.limit"),
                    truth["queue"]["backlog"])
    tp.assert_equal("accept_queue.overflows", report.total("queue.accept_queue.overflows"), 0)
    tp.assert_equal("accept_queue.now at the end", report.last("queue.accept_queue.now"), 0)
    assert_counts(truth, report)


@test("odd clients: silent, unanswered, in pieces, pipelined, half closed, answered in two writes")
def odd_clients():
    truth, report = observe("odd", ONE_INTERVAL)
    assert_counts(truth, report)
    tp.assert_equal("requests.unanswered", report.total("requests.unanswered"),
                    truth["requests"]["unanswered"])
    assert_histogram("requests.latency_ns", truth, report, percentiles=())
    assert_histogram("connections.latency_ns", truth, report, percentiles=())
    tp.assert_states_add_up(report)


@test("every read call meets every write call")
def every_call():
    truth, report = observe("calls", ONE_INTERVAL)
    assert_counts(truth, report)
    assert_histogram("requests.latency_ns", truth, report, percentiles=())


@test("two processes at once are one report")
def two_processes():
    servers = [tp.Workload("known", "--script", "plain"), tp.Workload("known", "--script", "odd")]
    pids = [server.pid for server in servers]
    profiler = tp.Threadprof("-p", ",".join(map(str, pids)), "-i", ONE_INTERVAL)
    for server in servers:
        server.go()
    truths = [server.truth() for server in servers]
    report = profiler.stop()
    for server in servers:
        server.end()
    tp.assert_equal("target.pids", sorted(report.last("target.pids") or []), sorted(pids))
    for path in ("requests.count", "connections.accepted", "connections.closed"):
        tp.assert_equal(path, report.total(path), sum(tp.at(t, path) for t in truths))
    tp.assert_no_loss(report)


tp.main(5, _runs.clear)
