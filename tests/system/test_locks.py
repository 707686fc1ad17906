#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Locks of every kind: how long each was waited for, by its name, who held it, and where the waiting was.

The workload measures its own waits and takes off what the kernel says it waited for a CPU; between the wake-up and
the end of the call is some CPU time of its own, small beside holds of 8 ms.
"""
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import owners
import servers
import tp
from tp import test

MS = 1000000
SOURCE = os.path.join(tp.ROOT, "tests", "workload", "lockwait.c")
MUTEXES = ("plain", "recursive", "errorcheck", "pi", "robust")


def compiled(compiler, *flags, source=SOURCE):
    """The path of a program made from the source, in a directory that goes with the test."""
    if not shutil.which(compiler):
        tp.skip("%s is not installed" % compiler)
    path = os.path.join(tp.temp_dir(), "program")
    subprocess.run([compiler, "-pthread", *flags, "-o", path, source], check=True, timeout=60)
    return path


def play(program, *scenes, arguments=()):
    """Plays the scenes under threadprof. Returns their truths by name, and the one interval."""
    truth, report = tp.observe(tp.Workload(program, *scenes), "-i", "600", *arguments)
    tp.assert_no_loss(report)
    return {scene["scene"]: scene for scene in truth["scenes"]}, report.intervals[0]


def lock_named(interval, name):
    found = [lock for lock in interval["locks"] if lock["name"] == name]
    tp.assert_equal("locks of the name %s" % name, len(found), 1)
    return found[0] if found else tp.fail("no lock %s among %s" % (
        name, [lock["name"] or lock["addr"] for lock in interval["locks"]]))


def assert_time(where, got, scene):
    """Within 3 %; how much of the time the waiters waited for a CPU, the kernel and we may see differently."""
    tp.assert_at_least(where + ": wait_ns", got, 0.97 * scene["wait_ns"])
    tp.assert_at_most(where + ": wait_ns", got, 1.03 * (scene["wait_ns"] + scene["run_delay_ns"]))


def assert_waits(scene, lock, kind):
    where = scene["scene"]
    tp.assert_equal(where + ": kind", lock["kind"], kind)
    assert_time(where, lock["wait_ns"]["sum"], scene)
    # Where the threads get a CPU late, one finds the lock with another waiter, and waits twice.
    waits = scene["waits"] + scene["timeouts"] + scene["interruptions"]
    tp.assert_at_least(where + ": waits", lock["waits"], 0.9 * waits)
    tp.assert_at_most(where + ": waits", lock["waits"], 1.25 * waits)
    tp.assert_close(where + ": timeouts", lock["timeouts"], scene["timeouts"], rel=0.1, abs_ns=2)
    tp.assert_close(where + ": interrupted", lock["interrupted"], scene["interruptions"], rel=0.1, abs_ns=2)
    wait = lock["wait_ns"]
    tp.assert_equal(where + ": buckets", sum(count for _, count in wait["buckets"]), lock["waits"])
    tp.assert_at_most(where + ": p50", wait["p50"], wait["p99"])
    tp.assert_at_most(where + ": p99", wait["p99"], wait["max"])


def assert_holder(scene, lock, state):
    where = scene["scene"]
    tp.assert_at_least(where + ": holders", len(lock["holders"]), 1)
    if not lock["holders"]:
        return
    holder = lock["holders"][0]
    tp.assert_equal(where + ": holder", holder["tid"], scene["holder"])
    tp.assert_at_least(where + ": share of the waiting that the holder is known for",
                       holder["ns"] / lock["wait_ns"]["sum"], 0.9)
    if state and holder["state_ns"]:
        tp.assert_at_least(where + ": share of it in " + state,
                           (holder["state_ns"][state] + holder["state_ns"]["runq"]) / holder["ns"], 0.75)


def assert_site(scene, lock, function):
    site = lock["site"] or ""
    tp.assert_equal(scene["scene"] + ": site", site.split(" (")[0], function)
    tp.assert_equal(scene["scene"] + ": site is in the stack", site in (lock["stack"] or []), True)


def assert_mutexes(*arguments):
    def measure():
        truth, interval = play("lockwait", *MUTEXES, arguments=arguments)
        for name in MUTEXES:
            lock = lock_named(interval, name + "_lock")
            assert_waits(truth[name], lock, "mutex")
            assert_holder(truth[name], lock, "cpu" if name == "recursive" else "sleep")
            assert_site(truth[name], lock, "wait_for_mutex")
            tp.assert_equal(name + ": a source line", ".c:" in (lock["site"] or ""), True)
    tp.measure_again(measure, 5)


@test("mutexes of every type: time, name, holder and what it did, site")
def mutexes():
    assert_mutexes()


@test("the same where threads are in a map, and with raw tracepoints on a kernel without BTF")
def mutexes_by_id():
    assert_mutexes("--force-fallback", "task_storage")
    assert_mutexes("--force-fallback", "kernel_btf")


@test("a mutex with a time limit, one on the heap, readers and writers")
def other_locks():
    def measure():
        truth, interval = play("lockwait", "limited", "heap", "reader", "writer")
        for scene, kind, site in (("limited", "mutex", "wait_with_limits"), ("reader", "rwlock", "wait_to_read"),
                                  ("writer", "rwlock", "wait_to_write")):
            lock = lock_named(interval, truth[scene]["lock"])
            assert_waits(truth[scene], lock, kind)
            assert_holder(truth[scene], lock, "sleep")
            assert_site(truth[scene], lock, site)
        heap = max((l for l in interval["locks"] if not l["name"]), key=lambda l: l["wait_ns"]["sum"])
        assert_waits(truth["heap"], heap, "mutex")
        assert_holder(truth["heap"], heap, "sleep")
        assert_site(truth["heap"], heap, "wait_for_mutex")
    tp.measure_again(measure, 5)


@test("semaphores, signals and a condition variable inside requests")
def served():
    def measure():
        truth, interval = play("lockwait", "semaphore", "signalled", "condvar")
        for scene, name in (("semaphore", "permit"), ("signalled", "permits")):
            lock = lock_named(interval, name)
            assert_waits(truth[scene], lock, "semaphore")
            assert_site(truth[scene], lock, "wait_for_permit")
        news = lock_named(interval, "news")
        tp.assert_equal("condvar: kind", news["kind"], "condvar")
        # Who is woken gets the mutex in turn: a part of the waiting is for that.
        mutex_ns = sum(l["wait_ns"]["sum"] for l in interval["locks"] if l["name"] == "news_lock")
        assert_time("condvar", news["wait_ns"]["sum"] + mutex_ns, truth["condvar"])
        assert_site(truth["condvar"], news, "wait_for_news")
    tp.measure_again(measure, 5)


@test("a program without frame pointers, linked statically")
def no_frame_pointers():
    def measure():
        program = compiled("cc", "-O2", "-fomit-frame-pointer", "-static", "-D_GNU_SOURCE")
        truth, interval = play(program, "plain", "writer")
        for scene, kind, site in (("plain", "mutex", "wait_for_mutex"), ("writer", "rwlock", "wait_to_write")):
            lock = lock_named(interval, truth[scene]["lock"])
            assert_waits(truth[scene], lock, kind)
            assert_holder(truth[scene], lock, "sleep")
            assert_site(truth[scene], lock, site)
    tp.measure_again(measure, 5)


@test("musl: locks of every kind by name")
def musl():
    def measure():
        program = compiled("musl-gcc", "-O2", "-D_GNU_SOURCE")
        truth, interval = play(program, *MUTEXES, "limited", "reader", "writer", "semaphore", "signalled")
        kinds = {"reader": "rwlock", "writer": "rwlock", "semaphore": "semaphore", "signalled": "semaphore"}
        for scene in truth.values():
            lock = lock_named(interval, scene["lock"])
            assert_waits(scene, lock, kinds.get(scene["scene"], "mutex"))
            # The word of the simple type has no owner in it, that of the others has.
            if scene["scene"] in ("recursive", "errorcheck", "pi", "robust"):
                assert_holder(scene, lock, "cpu" if scene["scene"] == "recursive" else "sleep")
        # Waiting for a thread's end, as the program does, is no lock.
        others = [l for l in interval["locks"] if l["kind"] != "futex" and not l["name"]]
        tp.assert_at_most("waits for what is no lock", sum(l["wait_ns"]["sum"] for l in others), 20 * MS)
    tp.measure_again(measure, 5)


OWNED = ("recursive", "errorcheck", "pi", "robust")


def observe_owners(program):
    truth, report = tp.observe(tp.Workload(program), "-i", "600")
    tp.assert_no_loss(report)
    return truth, report.last("locks")


def assert_owners(program, kinds):
    truth, locks = observe_owners(program)
    result, wrong = owners.judge(truth, locks, kinds)
    for kind in kinds:
        waits, certain, right = result.get(kind, (0, 0, 0))
        tp.assert_at_least("%s: waits that the log knows the one owner of" % kind, certain, 20)
        tp.assert_at_least("%s: right owners of %d waits" % (kind, waits), right, 0.99 * waits - 1)
    waits, _, right = map(sum, zip(*result.values()))
    tp.assert_at_least("right owners of %d waits" % waits, right, 0.99 * waits)
    if right < 0.99 * waits:
        for line in wrong:
            tp.note_failure(line)
    least, most = owners.sleep_of_holders(truth, kinds)
    # The naps of the log have in them what the sleeper waited for a CPU afterwards.
    holders = [holder["state_ns"] for lock in locks for holder in lock["holders"]]
    # null: what a holder did in its waits, few and short ones, was not seen; that time is missing here.
    asleep, on_runq = (sum(states[name] or 0 for states in holders) for name in ("sleep", "runq"))
    tp.assert_at_least("holders asleep or without a CPU", asleep + on_runq, 0.97 * least)
    tp.assert_at_most("holders asleep", asleep, 1.03 * most)
    return truth, locks


@test("who held the lock: right in 99 % of the waits, by the program's own log, and what the holder did")
def owner_of_each_wait():
    tp.measure_again(lambda: assert_owners("owners", OWNED + ("plain", "timed", "writer")), 3)


@test("musl: the same for the mutexes that have an owner; the others' owner is not known")
def owner_of_each_wait_musl():
    program = compiled("musl-gcc", "-O2", "-D_GNU_SOURCE",
                       source=os.path.join(tp.ROOT, "tests", "workload", "owners.c"))

    def measure():
        truth, locks = assert_owners(program, OWNED)
        others = [owners.find(locks, lock) for lock in truth["locks"] if lock["kind"] not in OWNED]
        tp.assert_at_least("waits for others", sum(lock["waits"] for lock in others if lock), 100)
        tp.assert_equal("their holders", [lock["holders"] for lock in others if lock and lock["holders"]], [])
    tp.measure_again(measure, 3)


CXX = r"""
#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

namespace shop {
struct Cart {
    std::mutex mutex;
    __attribute__((noinline)) void add(int item)
    {
        std::lock_guard<std::mutex> guard(mutex);
        std::this_thread::sleep_for(std::chrono::milliseconds(item));
    }
};
}

int main()
{
    shop::Cart *cart = new shop::Cart;
    std::vector<std::thread> threads;
    std::puts("{\"type\": \"ready\", \"pid\": 0}");
    std::fflush(stdout);
    std::getchar();
    for (int i = 0; i < 4; i++)
        threads.emplace_back([cart] { for (int j = 0; j < 20; j++) cart->add(4); });
    for (auto &thread : threads)
        thread.join();
    std::puts("{\"type\": \"truth\"}");
    std::fflush(stdout);
    while (std::getchar() != EOF)
        ;
}
"""


@test("C++: a mutex on the heap has its site, demangled")
def cxx():
    source = os.path.join(tp.temp_dir(), "cart.cc")
    with open(source, "w") as out:
        out.write(CXX)
    workload = tp.Workload(compiled("g++", "-O2", source=source))
    profiler = tp.Threadprof("-p", str(workload.process.pid), "-i", "600")
    workload.run()
    interval = profiler.stop().intervals[0]
    workload.end()
    lock = interval["locks"][0]
    tp.assert_equal("name", lock["name"], None)
    tp.assert_equal("site", (lock["site"] or "").split(" (")[0], "shop::Cart::add(int)")


@test("--folded: waits by state and stack, and as much as there was")
def folded():
    def measure():
        path = os.path.join(tp.temp_dir(), "waits.folded")
        truth, interval = play("lockwait", "plain", "writer", arguments=("--folded", path))
        sums = {}
        with open(path) as lines:
            for line in lines:
                stack, us = line.rstrip("\n").rsplit(" ", 1)
                frames = stack.split(";")
                key = (frames[0], next((f for f in frames if f.startswith(("wait_", "holder"))), None))
                sums[key] = sums.get(key, 0) + int(us) * 1000
        # What a thread has waited since its last stack when it ends is in none, and a busy second has too many.
        for scene, site in (("plain", "wait_for_mutex"), ("writer", "wait_to_write")):
            got = sums.get(("lock", site), 0)
            tp.assert_at_least("%s: of its time" % site, got / truth[scene]["wait_ns"], 0.6)
            tp.assert_at_most("%s: of its time" % site, got / truth[scene]["wait_ns"], 1.05)
        tp.assert_at_least("sleep", sums.get(("sleep", "holder"), 0), 150 * MS)
        tp.assert_equal("files left behind", os.listdir(os.path.dirname(path)), [os.path.basename(path)])
    tp.measure_again(measure, 5)


# ---- servers -------------------------------------------------------------------------------------

def ask_all(clients, ask):
    askers = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()


@test("CPython: the interpreter lock comes first, by its name")
def gil():
    server = servers.python_server(200000)
    clients = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(6)]

    def ask(client):
        for _ in range(10):
            client.request("GET", "/")
            client.getresponse().read()
    profiler = tp.Threadprof("-p", str(server.pids[0]), "-i", "600")
    ask_all(clients, ask)
    interval = profiler.stop().intervals[0]
    first = interval["locks"][0]
    tp.assert_equal("kind of the first lock", first["kind"], "gil")
    tp.assert_equal("its name", (first["name"] or "").startswith("GIL (_PyRuntime"), True)
    tp.assert_at_least("waited for it", first["wait_ns"]["sum"], 100 * MS)
    tp.assert_equal("it has a site", bool(first["site"]), True)
    tp.assert_equal("and that is not how it is taken", "take_gil" in first["site"], False)


@test("Java: a contended synchronized block is a wait inside requests, with an address and a site")
def java():
    def measure():
        server = servers.java("-XX:+PreserveFramePointer")
        clients = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(4)]
        answers = []

        def ask(client, rounds=15):
            for _ in range(rounds):
                client.sendall(b"s")
                answers.append(int(client.makefile("rb").readline()))
        ask_all(clients, lambda client: ask(client, 1))
        answers.clear()
        profiler = tp.Threadprof("-p", str(server.pids[0]), "-i", "600")
        ask_all(clients, ask)
        interval = profiler.stop().intervals[0]
        for client in clients:
            client.close()
        server.stop()
        waited = sum(l["wait_ns"]["sum"] for l in interval["locks"])
        # The answers have what the threads waited for a CPU in them.
        tp.assert_at_most("all waits", waited, 1.03 * sum(answers))
        tp.assert_at_least("all waits", waited, 0.8 * sum(answers))
        tp.assert_at_least("requests: wait", interval["requests"]["breakdown_ns"]["wait"], 0.8 * sum(answers))
        for lock in interval["locks"][:4]:
            tp.assert_equal("kind", lock["kind"], "condvar")
            tp.assert_equal("a site", bool(lock["site"]), True)
    tp.measure_again(measure, 5)


tp.main()
