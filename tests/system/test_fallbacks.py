#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Each lesser variant that --force-fallback takes, beside the best one on the same server.

Both see the same system calls and switches, so that noise is in both or in none.
"""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import snoop
import tp
from tp import test

NAMES = ("task_storage", "tp_btf", "current_task_btf", "task_pt_regs", "prev_state", "group_dead", "mem_alloc",
         "rdonly_cast", "steady_sys_exit", "steady_processes", "kernel_btf")
EQUAL = ("requests.count", "requests.unanswered", "requests.latency_ns.count", "connections.accepted",
         "connections.closed")
OF_ALL_TIME = 0.02


def compare_states(best, lesser, tids):
    threads = best.threads(), lesser.threads()
    wall_ns = sum(threads[0][tid]["wall_ns"] for tid in tids)
    # One was attached before the other, while the workers were idle.
    for state in set(tp.STATES) - {"idle"}:
        sums = [sum(seen[tid]["state_ns"][state] for tid in tids) for seen in threads]
        tp.assert_at_most("%s: apart by" % state, abs(sums[0] - sums[1]), OF_ALL_TIME * wall_ns)


def compare(*names, options=(), says=""):
    server = tp.Workload("known", "--script", "plain")
    pid = str(server.pid)
    best = tp.Threadprof("-p", pid, "-i", "60")
    lesser = tp.Threadprof("-v", "-p", pid, "-i", "60", "--force-fallback", ",".join(names), *options)
    for name in names:
        if name in ("task_storage", "tp_btf", "kernel_btf"):
            continue  # shows in the feature's state
        line = "%s: its fallback is used, as was asked for" % name
        lacks = "the kernel has no %s" % name
        tp.assert_true("says of %s that it is forced" % name,
                       line in lesser.errors() or lacks in lesser.errors())
    tp.assert_true("says \"%s\"" % says, says in lesser.errors())
    truth = server.run()
    server.end()
    # Both end because the target does.
    best, lesser = best.wait(), lesser.wait()
    for path in EQUAL:
        tp.assert_equal(path, lesser.total(path), best.total(path))
    tp.assert_equal("requests, of the truth", lesser.total("requests.count"), tp.at(truth, "requests.count"))
    latency = [tp.at(report.histogram("requests.latency_ns") or {}, "mean") or 0 for report in (lesser, best)]
    tp.assert_close("request latency", latency[0], latency[1])
    compare_states(best, lesser, [t["tid"] for t in truth["threads"]])
    tp.assert_no_loss(lesser)
    return lesser


def add(name):
    @test("%s: the same numbers without it" % name)
    def one():
        compare(name)


for each in NAMES:
    add(each)


@test("steady_sys_exit: the same numbers without it and its perf event, where no run is skipped")
def preempted():
    compare("steady_sys_exit", options=("--refuse", "request_sys_exit_perf"), says="see lost.skipped_runs")


@test("snoop without group_dead, steady_processes or BTF: every process once, also where all threads of one end at once")
def snoop_without():
    maker = tp.Workload("spawn", "crowds", "100")
    runs = [snoop.Snoop("--json", *(option and ("--force-fallback", option)))
            for option in ("", "group_dead", "steady_processes", "kernel_btf", "group_dead,kernel_btf",
                           "steady_processes,kernel_btf")]
    made = [life["pid"] for life in maker.run()["lives"]]
    maker.end()
    for run in runs:
        found = run.stop()
        snoop.assert_no_loss(found)
        # A pid may be used again, by somebody else's process.
        tp.assert_equal("processes", sorted(p["pid"] for p in found.made_by(maker.pid)), sorted(made))
        codes = {p["exit_code"] for p in found.made_by(maker.pid)}
        tp.assert_equal("exit codes", codes, {7})


# Types of programs, of include/uapi/linux/bpf.h: those for which the kernel looks at its own BTF, and those for which not.
TRACING = 26
WITHOUT_BTF = {"kprobe": 2, "tracepoint": 5, "perf_event": 7, "raw_tracepoint": 17}


def program_types(pid):
    """Of the programs that a process has loaded."""
    types = []
    for fd in os.listdir("/proc/%d/fdinfo" % pid):
        try:
            with open("/proc/%d/fdinfo/%s" % (pid, fd)) as info:
                words = [line.split() for line in info if line.startswith("prog_type:")]
        except OSError:
            continue
        types += [int(word[1]) for word in words]
    return types


def check_program_types(*arguments):
    runs = [tp.Threadprof(*arguments, *options) for options in ((), ("--force-fallback", "kernel_btf"))]
    own, without = ([t for t in program_types(run.process.pid)] for run in runs)
    for run in runs:
        tp.stop_process(run.process)
    tp.assert_true("programs of type tracing are seen where BTF is used", TRACING in own)
    tp.assert_true("programs are loaded without it", len(without) >= 5)
    others = sorted(set(without) - set(WITHOUT_BTF.values()))
    tp.assert_equal("types of programs that the kernel may need its BTF for", others, [])


@test("kernel_btf: without it no program is loaded that makes the kernel look at its own BTF")
def types_of_programs():
    server = tp.Workload("known", "--script", "plain")
    check_program_types("-p", str(server.pid), "-f", "-i", "60")
    check_program_types("snoop", "--failed")
    server.run()
    server.end()


# More connections than the kernel side tells at a time, and more descriptors than it looks at.
NR_OPEN = 100
NR_SLEEPERS = 5
OLD_SERVER = """
import os, selectors, socket, sys, threading, time
for _ in range(%d):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256)
loop = selectors.DefaultSelector()
loop.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in loop.select():
        if key.fileobj is listener:
            loop.register(listener.accept()[0], selectors.EVENT_READ)
            continue
        data = key.fileobj.recv(100)
        if not data:
            os._exit(0)
        key.fileobj.sendall(data)
""" % NR_SLEEPERS


@test("kernel_btf: without it threads that sleep and connections that are open from before are the same")
def from_before():
    port = tp.free_port()
    server = tp.start_process([sys.executable, "-c", OLD_SERVER, port])
    tp.wait_for_port(port)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(NR_OPEN)]
    tp.wait_until(lambda: tp.sockets_of(server.pid) == NR_OPEN + 1, what="all connections are accepted")
    tp.wait_until(lambda: tp.is_asleep(server.pid), what="the server waits")
    runs = [tp.Threadprof("-p", str(server.pid), "-i", "60", "--top", "100", *options)
            for options in ((), ("--force-fallback", "kernel_btf"))]
    for client in clients:
        client.sendall(b"x")
        tp.assert_equal("answer", client.recv(1), b"x")
    reports = [run.stop() for run in runs]
    for client in clients:
        client.close()
    for report in reports:
        tp.assert_no_loss(report)
        tp.assert_equal("requests", report.total("requests.count"), NR_OPEN)
        tp.assert_equal("connections that are open", report.last("connections.open"), NR_OPEN)
        tp.assert_equal("connections accepted", report.total("connections.accepted"), 0)
        tp.assert_equal("accept queue", report.last("queue.accept_queue.now"), 0)
        sleepers = [t for t in report.threads().values() if t["state_ns"]["sleep"] + t["state_ns"]["idle"] == t["wall_ns"]]
        tp.assert_equal("threads that sleep all the time", len(sleepers), NR_SLEEPERS)


@test("all of them at once, with BTF tracepoints")
def all_but_raw():
    compare(*(name for name in NAMES if name not in ("tp_btf", "kernel_btf")))


@test("all of them at once")
def everything():
    compare(*NAMES)


tp.main()
