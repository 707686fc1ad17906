# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Judges holders of locks by the log of tests/workload/owners.c, wait by wait.

A wait's owner is who held the lock when the waiter went to sleep. The log says when calls began and ended and how
many sleeps were in each, but not when exactly each sleep began: where the lock may have changed hands meanwhile, the
log names several threads, and any of these is right. Between an owner's release and the next one's clock it was
the one or the other.
"""
import bisect

LONG_NS = 50000
LOCK_BYTES = 40  # the smallest one, in both libraries
# Between a call's begin and its sleep are some microseconds, if the thread keeps its CPU.
SLEEPS_WITHIN_NS = 300000


class Wait:
    def __init__(self, lock, begin_ns, end_ns, owners, is_whole_call):
        self.lock, self.begin_ns, self.end_ns = lock, begin_ns, end_ns
        self.owners = owners  # those that it may have been
        self.is_whole_call = is_whole_call


def _owners_between(holds, begin_ns, end_ns):
    """Of a lock's holds, [tid, got, released] in their order: who may have held it at a moment in between."""
    owners = set()
    for i, (tid, _, _) in enumerate(holds):
        since = holds[i - 1][2] if i else 0
        until = holds[i + 1][1] if i + 1 < len(holds) else holds[i][2]
        if since <= end_ns and begin_ns <= until:
            owners.add(tid)
    return owners


def waits(truth, kinds):
    """Every wait of more than 50 us for a lock of one of these kinds."""
    holds, found = {}, []
    for lock, tid, _, got_ns, released_ns, _, _ in truth["calls"]:
        holds.setdefault(lock, []).append((tid, got_ns, released_ns))
    for list_of_one in holds.values():
        list_of_one.sort(key=lambda hold: hold[1])
    for lock, tid, begin_ns, got_ns, _, sleeps, preemptions in truth["calls"]:
        if got_ns - begin_ns < LONG_NS or truth["locks"][lock]["kind"] not in kinds:
            continue
        for sleep in range(sleeps):
            is_first = not sleep and not preemptions
            end_ns = min(got_ns, begin_ns + SLEEPS_WITHIN_NS) if is_first else got_ns
            owners = _owners_between(holds[lock], begin_ns, end_ns) - {tid}
            found.append(Wait(lock, begin_ns, got_ns, owners, sleeps == 1))
    return found


def _match(candidates, supply):
    """The largest number of waits that can be given one of their own owners out of what was reported."""
    slots = [tid for tid, number in supply.items() for _ in range(number)]
    taken = {}

    def place(wait, tried):
        for slot, tid in enumerate(slots):
            if tid in candidates[wait] and slot not in tried:
                tried.add(slot)
                if slot not in taken or place(taken[slot], tried):
                    taken[slot] = wait
                    return True
        return False
    return sum(place(wait, set()) for wait in range(len(candidates)))


def find(reported, lock):
    """What was reported of a lock of the truth, under the address of the word that is waited on."""
    addr = int(lock["addr"], 16)
    return next((seen for seen in reported if addr <= int(seen["addr"], 16) < addr + LOCK_BYTES), None)


def judge(truth, reported, kinds):
    """By kind: [waits, of these with one possible owner, right ones]; and a line for each lock with a wrong one."""
    result, lines, of_lock = {}, [], {}
    for wait in waits(truth, kinds):
        of_lock.setdefault(wait.lock, []).append(wait)
    for number, its_waits in sorted(of_lock.items()):
        lock = truth["locks"][number]
        seen = find(reported, lock) or {"holders": [], "waits": 0}
        supply = {holder["tid"]: holder["waits"] for holder in seen["holders"]}
        right = _match([wait.owners for wait in its_waits], supply)
        sums = result.setdefault(lock["kind"], [0, 0, 0])
        sums[0] += len(its_waits)
        sums[1] += sum(len(wait.owners) == 1 for wait in its_waits)
        sums[2] += right
        if right < len(its_waits):
            lines.append("%s lock %d: the log has %s, threadprof %s of %d waits" % (
                lock["kind"], number, [sorted(wait.owners) for wait in its_waits], supply, seen["waits"]))
    return result, lines


def _asleep_ns(naps, begin_ns, end_ns):
    """Of one thread's naps, in order: how much lies in between."""
    first = max(0, bisect.bisect_left(naps, (begin_ns,)) - 1)
    total = 0
    for nap_begin, nap_end in naps[first:]:
        if nap_begin >= end_ns:
            break
        total += max(0, min(nap_end, end_ns) - max(nap_begin, begin_ns))
    return total


def sleep_of_holders(truth, kinds):
    """How long at least and at most owners slept while others waited for them."""
    naps, least, most = {}, 0, 0
    for tid, begin_ns, end_ns in truth["naps"]:
        naps.setdefault(tid, []).append((begin_ns, end_ns))
    for wait in waits(truth, kinds):
        if not wait.is_whole_call:
            most += wait.end_ns - wait.begin_ns
            continue
        asleep = [_asleep_ns(naps[tid], wait.begin_ns, wait.end_ns) for tid in wait.owners]
        least += min(asleep)
        most += max(asleep)
    return least, most
