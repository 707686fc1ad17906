# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What the workload `known` knows, compared with a report, also where threads have other ids for threadprof."""
import os

import tp


def ids_of_threads(pid):
    """tid in our namespace -> tid in its own, of all threads of a process."""
    ids = {}
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, tid)) as status:
            line = next(line for line in status if line.startswith("NSpid:"))
        ids[int(tid)] = int(line.split()[-1])
    return ids


def assert_answers(truth, report, ids=None):
    """ids: tid as threadprof sees it -> as the workload does; None: they are the same."""
    for path in ("requests.count", "connections.accepted", "connections.closed"):
        tp.assert_equal(path, report.total(path), tp.at(truth, path))
    threads = report.threads()
    outer = {inner: tid for tid, inner in ids.items()} if ids else {}
    for worker in truth["threads"]:
        tid = outer.get(worker["tid"]) if ids else worker["tid"]
        got = threads.get(tid, {}).get("requests")
        tp.assert_equal("requests of thread %s" % tid, got, worker["requests"])
    tp.assert_no_loss(report)
    tp.assert_states_add_up(report)
    assert_locks(truth, report)


def assert_locks(truth, report):
    """Named by symbol, and held by a thread as we see it: the lock's memory has the inner id."""
    for lock in (lock for lock in truth["locks"] if lock["wait_ns"]["count"]):
        got = report.lock(lock["addr"])
        if not got:
            tp.note_failure("%s is not reported" % lock["name"])
            continue
        tp.assert_true("%s: name %r" % (lock["name"], got["names"]),
                       any((name or "").startswith(lock["name"]) for name in got["names"]))
        tp.assert_true("%s: owner %r" % (lock["name"], got["owners"]),
                       got["owners"] and got["owners"] <= set(report.threads()))
