#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Servers that nobody here wrote, under load: each thread's time adds up, and the kernel agrees.

The kernel's account of a thread (schedstat) has one property to know: when an interrupt wakes a thread
on an idle CPU, its CPU time begins with the wake-up, since the switch that follows does not read the run
queue's clock again (rq_clock_skip_update()). To threadprof the thread waits for its CPU until the
switch. So cpu and runq are compared as one where wake-ups come to idle CPUs, and one by one where the
target keeps its CPU busy.
"""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import servers
import tp
from tp import test

MS = 1000000
SQUARES = 200000
HTTP_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Many at a time: the kernel's account stops at the decision to switch, threadprof's at the switch, and of
# thousands of short turns on the CPU that would be a share to see.
HTTP_GETS = 60 * HTTP_GET + HTTP_GET.replace(b" / ", b" /last ")
PINGS = 400 * b"*1\r\n$4\r\nPING\r\n" + b"*2\r\n$4\r\nECHO\r\n$4\r\nlast\r\n"


# ---- load ----------------------------------------------------------------------------------------

class Clients:
    """Connections that stay open until close(), so that the threads behind them live on."""

    def __init__(self, port, number):
        self.sockets = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(number)]
        for one in self.sockets:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answers = []

    def _ask(self, one, request, end_mark, seconds, rounds):
        deadline, done = time.monotonic() + seconds, 0
        while time.monotonic() < deadline and done < rounds:
            one.sendall(request)
            data = b""
            while end_mark not in data:
                piece = one.recv(65536)
                if not piece:
                    return
                data += piece
            self.answers.append(data)
            done += 1

    def ask(self, request, end_mark, seconds=1.5, rounds=1 << 30):
        """All of them at the same time. Returns the answers."""
        self.answers = []
        askers = [threading.Thread(target=self._ask, args=(s, request, end_mark, seconds, rounds))
                  for s in self.sockets]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        return self.answers

    def close(self):
        for one in self.sockets:
            one.close()


# ---- comparing -----------------------------------------------------------------------------------

def schedstat(pid):
    """tid -> nanoseconds on a CPU, and runnable without one."""
    stats = {}
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, tid)) as stat:
                stats[int(tid)] = [int(word) for word in stat.read().split()[:2]]
        except OSError:
            pass
    return stats


def assert_kernel_agrees(report, before, after, strict):
    threads = report.threads()
    for tid, (cpu_end, runq_end) in sorted(after.items()):
        cpu, runq = (cpu_end - before.get(tid, (0, 0))[0], runq_end - before.get(tid, (0, 0))[1])
        got = threads.get(tid)
        if got is None:
            tp.note_failure("thread %d: not listed" % tid)
            continue
        where, states = "thread %d (%s)" % (tid, got["comm"]), got["state_ns"]
        if strict:
            tp.assert_close(where + ": cpu", states["cpu"], cpu, abs_ns=5 * MS)
            tp.assert_close(where + ": runq", states["runq"], runq, abs_ns=5 * MS)
        else:
            tp.assert_close(where + ": cpu and runq", states["cpu"] + states["runq"], cpu + runq,
                            abs_ns=5 * MS)


def profile(pid, interval="0.5"):
    return tp.Threadprof("-p", str(pid), "-i", interval)


def check(pid, load, strict=False, least_cpu_ns=50 * MS):
    """Profiles a process under the load. Returns what the load returned, and the report."""
    profiler = profile(pid)
    before = schedstat(pid)
    result = load()
    time.sleep(0.1)
    after = schedstat(pid)
    report = profiler.stop()
    tp.assert_states_add_up(report)
    tp.assert_no_loss(report)
    tp.assert_at_least("load: CPU time of the target", sum(cpu for cpu, _ in after.values()) -
                       sum(cpu for cpu, _ in before.values()), least_cpu_ns)
    assert_kernel_agrees(report, before, after, strict)
    return result, report


@test("python ThreadingHTTPServer: handlers that compute, all on one CPU")
def python_one_cpu():
    def measure():
        server = servers.python_server(SQUARES)
        # The handlers' threads inherit it.
        os.sched_setaffinity(server.process.pid, {max(os.sched_getaffinity(0))})
        clients = []

        def load():
            clients.append(Clients(server.port, 4))
            return clients[0].ask(HTTP_GET, b"\r\n\r\n")
        answers, report = check(server.pids[0], load, strict=True, least_cpu_ns=500 * MS)
        clients[0].close()
        tp.assert_at_least("load: answers", len(answers), 20)
        tp.assert_close("requests.count", report.total("requests.count"), len(answers), rel=0,
                        abs_ns=0)
    tp.measure_again(measure, 5)


@test("python ThreadingHTTPServer: handlers that compute, on every CPU there is")
def python_all_cpus():
    def measure():
        server = servers.python_server(SQUARES)
        clients = []

        def load():
            clients.append(Clients(server.port, 4))
            return clients[0].ask(HTTP_GET, b"\r\n\r\n")
        _, report = check(server.pids[0], load, least_cpu_ns=500 * MS)
        clients[0].close()
        tp.assert_at_least("lock: the threads contend for the interpreter",
                           report.total("requests.breakdown_ns.lock"), 10 * MS)
    tp.measure_again(measure, 5)


@test("nginx worker")
def nginx_worker():
    def measure():
        server = servers.nginx()
        clients = Clients(server.port, 8)
        check(server.pids[0], lambda: clients.ask(HTTP_GETS, b"last"))
        clients.close()
        server.stop()
    tp.measure_again(measure, 5)


@test("redis-server")
def redis_server():
    def measure():
        server = servers.redis()
        clients = Clients(server.port, 8)
        check(server.pids[0], lambda: clients.ask(PINGS, b"last"))
        clients.close()
    tp.measure_again(measure, 5)


@test("java: workers that compute")
def java_compute():
    def measure():
        server = servers.java()
        clients = Clients(server.port, 4)
        check(server.pids[0], lambda: clients.ask(b"c", b"\n"), least_cpu_ns=500 * MS)
        clients.close()
    tp.measure_again(measure, 5)


@test("java: an idle pool waits for no lock")
def java_idle():
    server = servers.java()
    profiler = profile(server.pids[0])
    time.sleep(1.2)
    report = profiler.stop()
    threads = report.threads()
    tp.assert_at_least("threads", len(threads), 10)
    for tid, thread in sorted(threads.items()):
        tp.assert_equal("thread %d (%s): lock" % (tid, thread["comm"]),
                        thread["state_ns"]["lock"], 0)
        tp.assert_equal("thread %d (%s): wait" % (tid, thread["comm"]),
                        thread["state_ns"]["wait"], 0)
    spares = [t for t in threads.values() if t["comm"] in ("spare", "worker")]
    tp.assert_equal("threads of the two pools", len(spares), 8)
    for thread in spares:
        tp.assert_at_least("idle share of %s" % thread["comm"],
                           thread["state_ns"]["idle"] / thread["wall_ns"], 0.99)
    tp.assert_equal("locks", [lock for i in report.intervals for lock in i["locks"]], [])


@test("java: a contended synchronized block shows as wait or lock inside requests")
def java_contended():
    def measure():
        server = servers.java()
        clients = Clients(server.port, 4)
        clients.ask(b"s", b"\n", rounds=1)
        answers, report = check(server.pids[0], lambda: clients.ask(b"s", b"\n", rounds=12, seconds=9),
                                least_cpu_ns=0)
        clients.close()
        want = sum(int(answer) for answer in answers)
        held = len(answers) * 20 * MS
        tp.assert_at_least("script: waits for the block", want - held, 1000 * MS)
        parts = [report.total("requests.breakdown_ns." + part) for part in ("lock", "wait")]
        # The server's clocks also see the thread wait for a CPU after it was woken, and spin for a
        # moment before it sleeps.
        runq = report.total("requests.breakdown_ns.runq")
        tp.assert_at_least("lock, wait and runq of all requests", sum(parts) + runq, 0.95 * want)
        tp.assert_at_most("lock and wait of all requests", sum(parts), 1.02 * want)
        tp.assert_equal("requests.count", report.total("requests.count"), len(answers))
        spares = [t for t in report.threads().values() if t["comm"] == "spare"]
        tp.assert_equal("idle threads", len(spares), 4)
        for thread in spares:
            tp.assert_equal("an idle thread's lock and wait",
                            thread["state_ns"]["lock"] + thread["state_ns"]["wait"], 0)
    tp.measure_again(measure, 5)


tp.main()
