#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Whom requests waited for: upstreams by their address, and files by their name."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
import truth as known
from tp import test

MS = 1000000


def observe(script, interval="60", mode="single"):
    directory = tp.disk_dir()
    workload = tp.Workload("breakdown", "--mode", mode, "--script", script, "--dir", directory)
    return tp.observe(workload, "-i", interval, "--slow", "1")


def totals(report, table, key):
    """name -> waits and wait_ns, over all intervals."""
    sums = {}
    for interval in report.intervals:
        for entry in interval.get(table) or []:
            total = sums.setdefault(entry[key], {"waits": 0, "wait_ns": 0})
            total["waits"] += entry["waits"]
            total["wait_ns"] += entry["wait_ns"]
    return sums


def assert_peers(truth, report):
    got = totals(report, "peers", "addr")
    for want in truth["peers"]:
        peer = got.pop(want["addr"], None)
        if peer is None:
            tp.note_failure("%s: not listed" % want["addr"])
            continue
        # A poll() and the read after it are one wait: the answer is there when the poll() returns.
        # At a unix socket the kernel wakes the reader also when the other side has taken what we sent
        # (unix_write_space()); it sleeps on in the same call.
        tp.assert_equal("%s: waits" % want["addr"], peer["waits"], want["waits"])
        known.assert_within("%s: wait_ns" % want["addr"], peer["wait_ns"], want["wait_ns"], abs_ns=MS)
    tp.assert_equal("peers that no request waited for", sorted(got), [])
    tp.assert_no_loss(report)


def in_cond(lock, cond):
    begin = int(cond["addr"], 16)
    return begin <= int(lock["addr"], 16) < begin + cond["size"]


def assert_conds(truth, report):
    locks = [lock for i in report.intervals for lock in i["locks"] if lock["kind"] == "condvar"]
    for cond in truth["conds"]:
        ours = [lock for lock in locks if in_cond(lock, cond)]
        tp.assert_equal("condition variable: waits", sum(l["waits"] for l in ours), cond["waits"])
        total = tp.merge_histograms([l["wait_ns"] for l in ours])
        known.assert_within("condition variable: wait_ns", total and total["sum"], cond["wait_ns"], abs_ns=MS)
    strange = [l for l in locks if not any(in_cond(l, cond) for cond in truth["conds"])]
    tp.assert_equal("condition variables that no request waited for", strange, [])


def check_peers(interval):
    def measure():
        truth, report = observe("peers", interval)
        for want in truth["peers"]:
            tp.assert_at_least("script: waits for " + want["addr"], want["waits"], 6)
        assert_peers(truth, report)
    tp.measure_again(measure, 5)


@test("TCP, TCP over IPv6 and unix upstreams, with and without poll(): waits and time")
def peers():
    check_peers("60")


@test("the same in short intervals: a wait counts once, in the interval where it ended")
def short_intervals():
    check_peers("0.05")


@test("in requests that were handed over: peers, and condition variables")
def handed_over():
    def measure():
        truth, report = observe("held", mode="handoff")
        truth["peers"] = [peer for peer in truth["peers"] if peer["waits"]]
        tp.assert_equal("script: peers", len(truth["peers"]), 2)
        tp.assert_at_least("script: waits for the condition", truth["conds"][0]["waits"], 6)
        assert_peers(truth, report)
        assert_conds(truth, report)
    tp.measure_again(measure, 5)


@test("connections that the target opened itself are no connections and no requests")
def no_requests():
    truth, report = observe("peers")
    tp.assert_equal("requests.count", report.total("requests.count"), len(truth["requests"]))
    tp.assert_equal("connections.accepted", report.total("connections.accepted"),
                    truth["connections"])
    tp.assert_equal("connections.closed", report.total("connections.closed"), truth["connections"])
    tp.assert_equal("requests.unanswered", report.total("requests.unanswered"), 0)


@test("without a request in hand nobody waits for a peer")
def idle_is_no_peer():
    # A single thread that sits in accept() and in the read for the next request.
    _, report = tp.observe(tp.Workload("states", "read-idle"), "-i", "60")
    tp.assert_at_least("requests", report.total("requests.count"), 10)
    tp.assert_equal("peers", totals(report, "peers", "addr"), {})


@test("disk waits by the file's name")
def files():
    def measure():
        truth, report = observe("files")
        tp.assert_at_least("script: time that the disk took", truth["disk_ns"][0], 100 * MS)
        got = totals(report, "files", "name")
        # The name is followed by the device: "name (8:1)".
        ours = [ns for name, ns in got.items() if name.split(" (")[0] == truth["file"]]
        tp.assert_equal("entries of %s in %s" % (truth["file"], sorted(got)), len(ours), 1)
        if ours:
            known.assert_within("time for it", ours[0]["wait_ns"], truth["disk_ns"], abs_ns=MS)
            tp.assert_at_least("waits for it", ours[0]["waits"], 4)
        tp.assert_equal("peers", totals(report, "peers", "addr"), {})
    tp.measure_again(measure, 5)


tp.main()
