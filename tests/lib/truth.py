# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Comparing with a truth that carries its own uncertainty, and gathering evidence over tries.

A workload reads its clocks before and after each moment, so a figure of its truth is a range: the least
and the most that it can be. Who takes the CPU between two clocks, told by the hypervisor or not, makes
the range wider and nothing wrong.
"""
import time

import tp


def tolerance(value, rel, abs_ns):
    return max(abs_ns, rel * abs(value))


def outside(name, got, bounds, rel=0.02, abs_ns=50000):
    """None, or what is wrong: got is not within the bounds, nor within rel or abs_ns of them."""
    low, high = bounds
    if got is None:
        return "%s: got nothing, want %s" % (name, text(bounds))
    if got < low - tolerance(low, rel, abs_ns):
        off = low - got
    elif got > high + tolerance(high, rel, abs_ns):
        off = got - high
    else:
        return None
    return "%s: got %s, want %s: off by %s" % (name, "{:,.0f}".format(got), text(bounds), "{:,.0f}".format(off))


def text(bounds):
    return "{:,.0f}..{:,.0f}".format(*bounds)


def assert_within(name, got, bounds, rel=0.02, abs_ns=50000):
    wrong = outside(name, got, bounds, rel, abs_ns)
    if wrong:
        tp.note_failure(wrong)


def is_tight(bounds, rel=0.02, abs_ns=50000):
    """Whether the truth knows it as well as it is asked for."""
    return bounds[1] - bounds[0] <= tolerance(bounds[1], rel, abs_ns)


class Tally:
    """Measurements of one thing."""

    def __init__(self):
        self.right = self.tight = self.wrong = 0
        self.lines = []  # what was wrong last

    def add(self, failures, tight):
        if failures:
            self.wrong += 1
            self.lines = failures
        else:
            self.right += 1
            self.tight += tight


class Evidence:
    """For things that are measured many times: how often each was right, and wrong.

    An error of threadprof is there each time. What an interrupt or the hypervisor did to one measurement
    is not there in the next.
    """

    def __init__(self):
        self._tallies = {}

    def add(self, key, failures, tight):
        """failures: what was wrong in one measurement. tight: whether its truth was known as well as asked."""
        self._tallies.setdefault(key, Tally()).add(failures, tight)

    def is_settled(self):
        return all(tally.right > tally.wrong for tally in self._tallies.values())

    def loose(self):
        """Of what no measurement was right whose truth was known as well as asked."""
        return sorted(key for key, tally in self._tallies.items() if not tally.tight)

    def conclude(self):
        """Notes as failures what was wrong most times, and says of what was not."""
        for _, tally in sorted(self._tallies.items()):
            for line in tally.lines:
                line = "%s (%d times wrong, %d times right)" % (line, tally.wrong, tally.right)
                if tally.wrong > 2 * tally.right:
                    tp.note_failure(line)
                else:
                    print("#   once: " + line)

    def summary(self):
        tallies = self._tallies.values()
        return "%d right, %d of them known as well as asked, %d wrong" % (
            sum(t.right for t in tallies), sum(t.tight for t in tallies), sum(t.wrong for t in tallies))


# A suite has five minutes, however slow the machine is.
ENOUGH_S = 30


def gather(measure, tries=5, tries_for_tight=2):
    """Calls measure(evidence) until everything has been right more often than wrong, and once where the
    truth was known as well as it is asked for. Something that was wrong most times has failed. What measure()
    notes as a failure itself, counts and names, has failed at once; False from it asks for another try."""
    evidence, begin = Evidence(), time.monotonic()
    for attempt in range(1, tries + 1):
        enough = measure(evidence) is not False and evidence.is_settled()
        if enough and (attempt >= tries_for_tight or not evidence.loose()):
            break
        if attempt > 2 and time.monotonic() - begin > ENOUGH_S:
            break
    evidence.conclude()
    print("# measured %d times: %s" % (attempt, evidence.summary()))
    if evidence.loose():
        print("#   compared, but not known as well as asked: %s" % ", ".join(map(str, evidence.loose())))
