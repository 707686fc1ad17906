#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Where each single request's time went: every part within 2 % or 100 us of what the server measured.

Some parts are compared as one. At a wake-up the kernel's account begins the thread's CPU time before
the switch, far before it on a CPU that slept, because the switch does not read the run queue's clock
again (rq_clock_skip_update()). To threadprof the thread waits for its CPU until the switch. The truth
comes from the kernel's account; so a request that blocks is held to the sum of cpu and runq, and one
that never does to both.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

PARTS = tp.STATES + ("handoff",)
NEVER_BLOCKS = set("cq")
DISK = set("dr")
US = 1000
KNOWN = "requests whose begin and end the server knows"


def observe(mode, script="states", interval="60"):
    directory = tp.disk_dir()
    workload = tp.Workload("breakdown", "--mode", mode, "--script", script, "--dir", directory)
    profiler = tp.Threadprof("-p", str(workload.pid), "-i", interval, "--slow", "1")
    truth = workload.run()
    report = profiler.stop()
    workload.end()
    return truth, report


def slow_requests(report):
    listed = [r for interval in report.intervals for r in tp.at(interval, "requests.slow") or []]
    by_identity = {(r["client"], r["seq"]): r for r in listed}
    tp.assert_equal("requests listed twice", len(listed) - len(by_identity), 0)
    return by_identity


def kinds(steps):
    return {step[0] for step in steps.split(",")}


def assert_parts(where, steps, parts, want, handed_over):
    # A worker that takes over was woken for it.
    strict = not handed_over and kinds(steps) <= NEVER_BLOCKS
    for part in PARTS:
        if strict or part not in ("cpu", "runq"):
            tp.assert_close("%s: %s" % (where, part), parts[part], want[part], abs_ns=100 * US)
    # The error of a wait for the disk, in nanoseconds, is also that of the CPU time around it.
    tp.assert_close(where + ": cpu and runq", parts["cpu"] + parts["runq"],
                    want["cpu"] + want["runq"], abs_ns=max(100 * US, 0.02 * want["disk"]))


def label(want):
    return "%s seq %d %s" % (want["client"], want["seq"], want["steps"])


def assert_request(want, got):
    where = label(want)
    if got is None:
        tp.note_failure("%s: not listed" % where)
        return
    handed_over = want["tid"] != want["write_tid"]
    assert_parts(where, want["steps"], got["breakdown_ns"], want["parts_ns"], handed_over)
    tp.assert_close(where + ": latency", got["latency_ns"], want["latency_ns"], abs_ns=100 * US)
    tp.assert_equal(where + ": tid", got["tid"], want["tid"])
    tp.assert_equal(where + ": write_tid", got["write_tid"], want["write_tid"])
    tp.assert_equal(where + ": has a handoff", got["breakdown_ns"]["handoff"] > 0, handed_over)


def is_certain(want):
    """Whether the server had its CPU until it knew its clocks, at the begin and at the end.

    And whether these agree: a thread cannot have run for less than no time.
    """
    return max(want["read_took_ns"], want["write_took_ns"]) < 80 * US and want["parts_ns"]["cpu"] >= 0


def assert_truth(truth, report, was_busy):
    slow = slow_requests(report)
    certain = [r for r in truth["requests"] if is_certain(r)]
    tp.assert_at_least(KNOWN, len(certain),
                       (0.4 if was_busy else 0.9) * len(truth["requests"]))
    for want in certain:
        assert_request(want, slow.get((want["client"], want["seq"])))
    for got in slow.values():
        tp.assert_equal("%s seq %d: sum of parts" % (got["client"], got["seq"]),
                        sum(got["breakdown_ns"].values()), got["latency_ns"])
    tp.assert_equal("requests listed", len(slow), len(truth["requests"]))
    tp.assert_equal("requests.count", report.total("requests.count"), len(truth["requests"]))
    for part in PARTS:
        tp.assert_equal("requests.breakdown_ns.%s is the sum" % part,
                        report.total("requests.breakdown_ns." + part),
                        sum(r["breakdown_ns"][part] for r in slow.values()))
    tp.assert_states_add_up(report)
    tp.assert_no_loss(report)


def is_excused(failure):
    """Few requests whose begin and end the server knows: others had its CPU, which not every hypervisor
    tells. And a kernel thread that is woken on the CPU while the server submits its I/O there, and the server
    blocks next: the kernel charges the one for what the other ran (rq_clock_skip_update()), up to half
    a millisecond. That is rare; threadprof's own error would be there each time."""
    if failure.startswith(KNOWN):
        return True
    words = failure.split(": ")
    steps = words[0].split(" ")[-1]
    return " seq " in words[0] and kinds(steps) & DISK and words[1] in ("disk", "cpu and runq")


def check(mode, chosen=None, **options):
    def measure():
        watch = tp.Watch()
        truth, report = observe(mode, **options)
        if chosen:
            chosen(truth)
        assert_truth(truth, report, watch.was_busy())
    tp.measure_again(measure, 5, is_excused)


def largest(truth, steps, part):
    """What a script was for must have happened, or the comparison would prove nothing."""
    found = [r["parts_ns"][part] for r in truth["requests"] if r["steps"] == steps]
    return max(found) if found else None


@test("one thread: a request in each state and one in all of them, closing and keep-alive")
def single():
    def chosen(truth):
        for steps, part in (("c20", "cpu"), ("q20", "runq"), ("l20", "lock"), ("w25", "wait"),
                            ("d20", "disk"), ("r20", "disk"), ("n", "net"), ("t20", "net"),
                            ("s20", "sleep"), ("p20", "other")):
            tp.assert_at_least("script %s: %s" % (steps, part), largest(truth, steps, part),
                               19000 * US)
    check("single", chosen)


@test("a pool of workers, three clients at a time")
def pool():
    def chosen(truth):
        tids = {r["tid"] for r in truth["requests"]}
        tp.assert_at_least("workers that served", len(tids), 2)
    check("pool", chosen)


@test("handed over: a reader reads, a worker serves and answers")
def handoff():
    def chosen(truth):
        tp.assert_at_least("kept back by the reader: handoff",
                           largest(truth, "h20,s20", "handoff"), 19000 * US)
    check("handoff", chosen)


@test("handed over to a worker that still has another request")
def handoff_to_busy():
    def chosen(truth):
        late = [r for r in truth["requests"] if r["parts_ns"]["handoff"] > 10000 * US]
        tp.assert_at_least("requests that waited for the worker", len(late), 5)
    check("handoff", chosen, script="crowd")


@test("kept back by the reader while the worker answers another one, and becomes free")
def held_back():
    def chosen(truth):
        late = [r for r in truth["requests"] if r["free_ns"] > 5000 * US]
        tp.assert_at_least("requests for which the worker was free too early", len(late), 3)
    check("handoff", chosen, script="held")


@test("requests longer than the interval: the split is of the whole request")
def short_intervals():
    check("single", interval="0.05")


tp.main()
