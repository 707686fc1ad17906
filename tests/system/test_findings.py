#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Findings: each one comes on top where its trouble is, and nowhere else. The story of the workers that cron
starts is in test_bursts.py. bench/findings.py runs the same matrix five times."""
import ctypes
import os
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import servers  # noqa: E402
import tp  # noqa: E402
from tp import test  # noqa: E402

IDS = ("cpu_stolen", "cpu_throttled", "gil_bound", "lock_bound", "cpu_saturated", "accept_queue_overflow",
       "pool_too_small", "pool_too_large", "slow_client", "waiting_for_peer", "disk_bound", "blind_spot",
       "unexplained", "all_clear")
TRIES = 5
matrix = []  # (scenario, ids found, the one on top first)


# ---- what a run found ----------------------------------------------------------------------------

def is_stranger(finding, thief):
    """Somebody else on this machine took the CPU, or the scenario's own clients, where there are few CPUs:
    true, and nothing that a test can prevent. thief: who should have taken it; None: nobody."""
    if finding["id"] != "cpu_stolen":
        return False
    comm, exe = finding["evidence"].get("comm"), finding["evidence"].get("executable") or ""
    if thief or comm == "client":
        return comm != thief
    ours = ("scenario", "threadprof", os.path.basename(os.path.realpath(sys.executable)), "java", "nginx")
    return os.path.basename(exe) not in ours


def findings_of(report, thief=None):
    """Of the last whole interval, in their order, without what strangers did."""
    found = [f for f in report.intervals[-1]["findings"] if f["now"] and not is_stranger(f, thief)]
    if not found and report.intervals[-1]["findings"]:
        return [{"id": "all_clear", "evidence": {}, "text": "(but for strangers)", "next": None}]
    return found


def judge(name, wanted, look, thief=None):
    """look() gives a report; @wanted is on top and alone. On a disturbed machine it is looked at again."""
    begin = time.monotonic()
    for attempt in range(TRIES):
        watch = tp.Watch()
        report = look()
        found = findings_of(report, thief)
        ids = [f["id"] for f in found]
        taken = watch.taken()
        if ids == [wanted] or tp.is_left_alone(watch, attempt + 1) or time.monotonic() > begin + 60:
            break
        print("# %s: %s while others use %.2f CPUs, looked at again" % (name, ids, taken))
        time.sleep(attempt)
    if ids != [wanted] and taken > 0.2:
        tp.skip("others used %.1f CPUs all the time" % taken)
    matrix.append((name, ids))
    tp.assert_equal("%s: findings" % name, ids, [wanted])
    if ids != [wanted]:
        for finding in report.intervals[-1]["findings"]:
            print("#   %s: %s" % (finding["id"], finding["text"]))
    finding = found[0] if ids == [wanted] else None
    if finding and finding["evidence"]:
        check_shape(finding)
    return finding


def check_shape(finding):
    """A sentence, something to do, and numbers whose names have their unit."""
    tp.assert_true("a sentence", len(finding["text"]) > 20)
    tp.assert_true("what to do next", finding["next"])
    units = re.compile(r"_(ns|ratio|bytes|tid|avg|threads|rings?)$|^(waits|requests|processes|overflows|accepted|limit|"
                       r"max|lost|io_urings|threads|answers|unanswered|throttled|cpus|cpus_used)$")
    for name, value in finding["evidence"].items():
        if isinstance(value, (int, float)):
            tp.assert_true("unit in the name %r" % name, units.search(name))
    # What the sentence says stands in the evidence: without numbers no finding.
    tp.assert_true("numbers", any(isinstance(v, (int, float)) for v in finding["evidence"].values()))


class Load:
    """Requests at a steady pace, from one connection."""

    def __init__(self, ask, pause):
        self.ask, self.pause, self.done, self.stopping = ask, pause, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping:
            self.ask()
            self.done += 1
            time.sleep(self.pause)

    def stop(self):
        self.stopping = True
        self.thread.join()


def profile(pid, *options, interval="1"):
    # Eight threads that compute, and a verifier that has to share the CPUs with them.
    return tp.Threadprof("-p", str(pid), "-i", interval, *options, ready_seconds=20)


# ---- a scripted server for each ------------------------------------------------------------------

class Scenario:
    def __init__(self, mode, *options):
        self.workload = tp.Workload("scenario", mode, *options)
        self.pid = self.workload.pid
        time.sleep(0.3)

    def end(self):
        self.workload.end()


def look_at(mode, threadprof_options=(), directory=None, prepare=None):
    def look():
        scenario = Scenario(mode, *([directory] if directory else []))
        clean_up = prepare(scenario.pid) if prepare else None
        report = profile(scenario.pid, "-n", "2", *threadprof_options, interval="0.8").wait()
        scenario.end()
        if clean_up:
            clean_up()
        return report
    return look


@test("a lightly loaded server: all_clear")
def light():
    finding = judge("light", "all_clear", look_at("light"))
    if finding and finding["evidence"]:
        tp.assert_at_least("requests", finding["evidence"]["requests"], 20)
        tp.assert_equal("lost", finding["evidence"]["lost"], 0)


@test("threads that queue for one mutex: lock_bound, with its name and who holds it")
def lock():
    finding = judge("lock", "lock_bound", look_at("lock"))
    if finding:
        evidence = finding["evidence"]
        tp.assert_equal("lock", evidence["lock"], "the_big_lock")
        tp.assert_equal("holder", evidence["holder"], "scenario")
        tp.assert_equal("what the holder does", evidence["holder_state"], "sleep")
        tp.assert_close("share: five of six wait", evidence["request_share_ratio"], 5 / 6, rel=0.1, abs_ns=0)
        tp.assert_true("the name in the text", "the_big_lock" in finding["text"])
        tp.assert_true("that more threads do not help", "more threads" in finding["next"])


@test("own threads that fill the CPUs: cpu_saturated")
def saturated():
    finding = judge("saturated", "cpu_saturated", look_at("saturated"))
    if finding:
        tp.assert_equal("CPUs", finding["evidence"]["cpus"], len(os.sched_getaffinity(0)))


@test("others on its CPUs: cpu_stolen, with who they are")
def stolen():
    judge("stolen", "cpu_stolen", look_at("stolen"), thief="hog")


@test("two threads for eight clients: pool_too_small")
def small():
    finding = judge("small", "pool_too_small", look_at("small"))
    if finding:
        tp.assert_equal("threads", finding["evidence"]["serving_threads"], 2)
        tp.assert_close("clients that wait", finding["evidence"]["waiting_avg"], 6, rel=0.25, abs_ns=0)


@test("a pool of 64 for two clients: pool_too_large, with the memory of the stacks")
def large():
    finding = judge("large", "pool_too_large", look_at("large"))
    if finding:
        evidence = finding["evidence"]
        tp.assert_at_least("unused threads", evidence["unused_threads"], 60)
        # glibc gives each thread 8 MiB of address space (ulimit -s), of which it touches a few pages.
        tp.assert_at_least("memory per stack", evidence["stack_bytes"] / evidence["unused_threads"], 4096)
        tp.assert_at_most("memory per stack", evidence["stack_bytes"] / evidence["unused_threads"], 65536)
        tp.assert_at_least("address space", evidence["stack_reserved_bytes"], 50 * evidence["stack_bytes"])


@test("a slow backend: waiting_for_peer, with its address")
def peer():
    finding = judge("peer", "waiting_for_peer", look_at("peer"))
    if finding:
        tp.assert_true("address", re.fullmatch(r"127\.0\.0\.1:\d+", finding["evidence"]["peer"]))


def totals(report, key):
    """Of each peer by its address, over all intervals."""
    sums = {}
    for interval in report.intervals:
        for peer in interval["peers"]:
            sums[peer["addr"]] = sums.get(peer["addr"], 0) + peer[key]
    return sums


@test("an event loop with a slow backend, and a long poll of no request's: waiting_for_peer, with its address")
def loop():
    seen = []

    def look():
        scenario = Scenario("loop")
        report = profile(scenario.pid, "-n", "2", interval="0.8").wait()
        scenario.end()
        seen.append((scenario.workload.ready, report))
        return report
    finding = judge("loop", "waiting_for_peer", look)
    ready, report = seen[-1]
    answers = totals(report, "answers")
    backend = "127.0.0.1:%d" % ready["backend"]
    # Each request asks once; the interval does not end in one moment for both.
    tp.assert_close("answers, of requests", answers.get(backend), report.total("requests.count"), rel=0.3, abs_ns=3)
    tp.assert_equal("answers of the long poll", answers.get("127.0.0.1:%d" % ready["feed"], 0), 0)
    if finding:
        tp.assert_equal("peer", finding["evidence"]["peer"], backend)


@test("an event loop whose backend does not answer: waiting_for_peer, with its address")
def stuck():
    seen = []

    def look():
        scenario = Scenario("stuck")
        profiler = profile(scenario.pid, "-n", "3", interval="0.6")
        clients = [pid for pid in tp.children(scenario.pid) if open("/proc/%d/comm" % pid).read().strip() == "client"]
        os.kill(clients[0], signal.SIGCONT)
        report = profiler.wait()
        scenario.end()
        seen.append(scenario.workload.ready)
        return report
    finding = judge("stuck", "waiting_for_peer", look)
    if finding:
        tp.assert_equal("peer", finding["evidence"]["peer"], "127.0.0.1:%d" % seen[-1]["backend"])
        tp.assert_equal("open questions", finding["evidence"]["unanswered"], 3)


SLOW_UPSTREAM = """
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
def serve(conn):
    with conn:
        while conn.recv(4096):
            time.sleep(0.02)
            conn.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nhello\\n")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],)).start()
"""


@test("nginx in front of a slow server: waiting_for_peer, with its address")
def proxy():
    upstream_port = tp.free_port()
    tp.start_process([sys.executable, "-c", SLOW_UPSTREAM, upstream_port])
    tp.wait_for_port(upstream_port)
    seen = []

    def look():
        server = servers.nginx(upstream=upstream_port)
        clients = [servers.HttpClient(server.port) for _ in range(3)]
        profiler = profile(server.pids[0], interval="60")
        for _ in range(20):
            for client in clients:
                client.send([b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"])
            for client in clients:
                client.read_answer()
        report = profiler.stop()
        server.stop()
        seen.append(report)
        return report
    finding = judge("proxy", "waiting_for_peer", look)
    upstream = "127.0.0.1:%d" % upstream_port
    tp.assert_equal("requests", seen[-1].total("requests.count"), 60)
    tp.assert_equal("answers", totals(seen[-1], "answers").get(upstream), 60)
    if finding:
        tp.assert_equal("peer", finding["evidence"]["peer"], upstream)


@test("a write and a sync for each request: disk_bound, with the file")
def disk():
    finding = judge("disk", "disk_bound", look_at("disk", directory=tp.disk_dir()))
    if finding:
        tp.assert_true("file", finding["evidence"]["file"].startswith("scenario-journal"))
    os.unlink(os.path.join(tp.disk_dir(), "scenario-journal"))


@test("a server that accepts too late: accept_queue_overflow")
def overflow():
    judge("overflow", "accept_queue_overflow", look_at("overflow"))


@test("clients that read slowly: slow_client")
def slow_reader():
    finding = judge("slow_reader", "slow_client", look_at("slow_reader"))
    if finding:
        evidence = finding["evidence"]
        tp.assert_at_least("blocked sends", evidence["blocked_send_ns"], 10 * evidence["rest_of_request_ns"] + 1)


@test("clients that send their request in two pieces: slow_client")
def slow_sender():
    finding = judge("slow_sender", "slow_client", look_at("slow_sender"))
    if finding:
        evidence = finding["evidence"]
        tp.assert_at_least("waiting for the rest", evidence["rest_of_request_ns"], 10 * evidence["blocked_send_ns"] + 1)


@test("a server with an io_uring: blind_spot, not all_clear")
def uring():
    probe = ctypes.CDLL(None, use_errno=True)
    params = (ctypes.c_char * 120)()
    fd = probe.syscall(425, 1, params)
    if fd < 0:
        tp.skip("the kernel refuses io_uring_setup: %s" % os.strerror(ctypes.get_errno()))
    os.close(fd)
    finding = judge("uring", "blind_spot", look_at("uring"))
    if finding:
        tp.assert_equal("rings", finding["evidence"]["io_urings"], 1)


@test("a probe that the kernel refuses: blind_spot, not all_clear")
def refused():
    finding = judge("refused", "blind_spot", look_at("light", ["--refuse", "sched_migrate_task"]))
    if finding:
        tp.assert_equal("features", finding["evidence"]["features_off"], "stolen_cpu")


@test("records that are lost: blind_spot, not all_clear")
def lost():
    finding = judge("lost", "blind_spot", look_at("quick", ["--ring-bytes", "4096"]))
    if finding:
        tp.assert_at_least("lost", finding["evidence"]["lost"], 100)


def limit_cpu(pid):
    """A cgroup with three tenths of a CPU; returns what removes it."""
    for root, name, value in (("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "30000"),
                              ("/sys/fs/cgroup", "cpu.max", "30000 100000")):
        path = "%s/threadprof-test-%d" % (root, os.getpid())
        try:
            os.mkdir(path)
        except OSError:
            continue
        try:
            with open("%s/%s" % (path, name), "w") as quota:
                quota.write(value)
            with open(path + "/cgroup.procs", "w") as procs:
                procs.write(str(pid))
            return lambda: os.rmdir(path)
        except OSError:
            os.rmdir(path)
    return tp.skip("no cgroup with a CPU limit can be made here")


@test("a CPU limit of the cgroup: cpu_throttled, not cpu_stolen")
def throttled():
    finding = judge("throttled", "cpu_throttled", look_at("saturated", prepare=limit_cpu))
    if finding:
        tp.assert_at_least("times", finding["evidence"]["throttled"], 2)


# ---- Python's GIL --------------------------------------------------------------------------------

PYTHON_POOL = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
def serve():
    while True:
        conn, _ = listener.accept()
        with conn:
            while conn.recv(64):
                sum(i * i for i in range(200000))
                conn.sendall(b"answer")
for _ in range(int(sys.argv[2])):
    threading.Thread(target=serve).start()
"""


def look_at_python(threads, rates):
    def look():
        port = tp.free_port()
        process = tp.start_process([sys.executable, "-c", PYTHON_POOL, port, threads])
        tp.wait_for_port(port)
        clients = [servers.Client(port) for _ in range(threads)]

        def ask(client):
            client.socket.sendall(b"please")
            client.take(6)
        loads = [Load(lambda client=client: ask(client), 0) for client in clients]
        report = profile(process.pid, "-n", "2").wait()
        for load in loads:
            load.stop()
        rates[threads] = report.last("requests.rate")
        tp.stop_process(process)
        return report
    return look


@test("a threaded Python server that computes: gil_bound with 4 threads and with 16, and no more throughput")
def gil():
    def measure():
        rates = {}
        for threads in (4, 16):
            finding = judge("gil, %d threads" % threads, "gil_bound", look_at_python(threads, rates))
            if finding:
                tp.assert_equal("threads", finding["evidence"]["serving_threads"], threads)
                tp.assert_true("that processes help", "processes will" in finding["next"])
        tp.assert_close("throughput of 16 threads, against 4", rates[16], rates[4], rel=0.3, abs_ns=0)
    tp.measure_again(measure, 5)


# ---- healthy servers -----------------------------------------------------------------------------

def look_at_server(start, request=None):
    def look():
        server = start()
        client = servers.HttpClient(server.port) if not request else servers.Client(server.port)

        def ask():
            if not request:
                return client.ask()
            client.socket.sendall(request)
            return client.take_until(b"\n")
        load = Load(ask, 0.02)
        # A virtual machine has to compile first.
        time.sleep(1.5 if request else 0.2)
        report = profile(server.pids[0], "-n", "2").wait()
        load.stop()
        client.close()
        server.stop()
        return report
    return look


@test("a lightly loaded nginx: all_clear")
def nginx():
    judge("nginx", "all_clear", look_at_server(servers.nginx))


@test("a lightly loaded Python server: all_clear")
def python():
    judge("python", "all_clear", look_at_server(servers.python_server))


@test("a lightly loaded Java server: all_clear")
def healthy_java():
    judge("java", "all_clear", look_at_server(servers.java, b"c"))


# ---- over several intervals ----------------------------------------------------------------------

@test("trouble that comes and goes is one finding")
def comes_and_goes():
    scenario = Scenario("lock")
    client = tp.children(scenario.pid)[0]
    profiler = profile(scenario.pid, interval="0.5")
    for _ in range(3):
        time.sleep(0.8)
        os.kill(client, signal.SIGSTOP)
        time.sleep(0.8)
        os.kill(client, signal.SIGCONT)
    time.sleep(0.6)
    report = profiler.stop()
    scenario.end()
    found = [[f for f in i["findings"] if f["id"] == "lock_bound"] for i in report.intervals]
    tp.assert_equal("in each interval once", [len(f) for f in found], [1] * len(found))
    tp.assert_equal("begins of it", len({f["since_mono_ns"] for one in found for f in one}), 1)
    tp.assert_true("intervals without it", any(not f["now"] for one in found for f in one))
    for finding in (f for one in found for f in one):
        tp.assert_at_most("seen in", finding["seen_intervals"], finding["of_intervals"])


# ---- a good time before --------------------------------------------------------------------------

@test("--baseline: what changed since a good time, and nothing where nothing did")
def baseline():
    good = Scenario("light")
    profiler = profile(good.pid, "-n", "2", interval="0.5")
    profiler.wait()
    path = os.path.join(tp.temp_dir(), "good.jsonl")
    with open(path, "w") as out:
        out.write("\n".join(profiler.lines()) + "\n")
    same = profile(good.pid, "-n", "1", "--baseline", path).wait()
    good.end()
    bad = Scenario("lock")
    worse = profile(bad.pid, "-n", "1", "--baseline", path).wait()
    bad.end()
    names = [c["name"] for c in same.intervals[0]["changes"]]
    tp.assert_true("nothing of locks changed: %r" % names, "requests.breakdown_ns.lock" not in names)
    changes = {c["name"]: c for c in worse.intervals[0]["changes"]}
    lock = changes.get("requests.breakdown_ns.lock") or tp.fail("no change of the lock wait: %r" % changes)
    tp.assert_at_most("lock wait before", lock["before"], 100000)
    # Six threads hold it for 5 ms in turn.
    tp.assert_close("lock wait now", lock["now"], 25000000, rel=0.3)
    tp.assert_true("text: %s" % lock["text"],
                   re.fullmatch(r"lock wait per request \S+ \S+ -> [\d.]+ ms", lock["text"]))


def print_matrix():
    if not matrix:
        return
    print("#\n# %-16s %s" % ("scenario", " ".join("%2d" % i for i in range(len(IDS)))))
    for name, ids in matrix:
        cells = ["T" if ids[:1] == [i] else "x" if i in ids else "." for i in IDS]
        print("# %-16s %s" % (name, " ".join("%2s" % c for c in cells)))
    for number, name in enumerate(IDS):
        print("# %2d %s" % (number, name))


@test("the matrix: each finding is on top in its scenarios and in no other")
def whole_matrix():
    print_matrix()
    if len(matrix) < 15:
        tp.skip("only some of the scenarios were run")
    for name, ids in matrix:
        tp.assert_equal("%s: number of findings" % name, len(ids), 1)


if __name__ == "__main__":
    tp.main()
