#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""The story: an API server under steady load, and 50 workers that something like cron launches through sh
again and again, each of which burns CPU until it has lived 650 ms. The server's own report must name them,
who launched them and how often, and what they cost its requests; threadprof snoop beside must list every one."""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp  # noqa: E402
from snoop import Snoop, assert_no_loss  # noqa: E402
from tp import test  # noqa: E402

MS = 1000000
TIMES, PERIOD_MS = 3, 10000


class Load:
    """Closing requests, one at a time, at a steady pace."""
    def __init__(self, port):
        self.port, self.sent, self.stopping = port, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping:
            with socket.create_connection(("127.0.0.1", self.port), timeout=tp.PATIENCE_S) as conn:
                conn.sendall(b"GET / HTTP/1.0\r\n\r\n")
                while conn.recv(4096):
                    pass
            self.sent += 1
            time.sleep(0.02)

    def stop(self):
        self.stopping = True
        self.thread.join()


def watch_the_story():
    """The server's report, what snoop found below cron, and the workers' executable.

    The report also says what others used: who took the server's CPU depends on who else was there.
    """
    strangers_ns = -tp.strangers_ns()
    port = tp.free_port()
    directory = tp.temp_dir()
    # A listing of so many files takes longer than a time slice: the server has to wait for its turn again.
    for i in range(2000):
        open(os.path.join(directory, "file-%d" % i), "w").close()
    server = tp.start_process([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                              cwd=directory, stdout=-3, stderr=-3)
    tp.wait_for_port(port)
    load = Load(port)
    cron = tp.Workload("spawn", "cron", str(TIMES), str(PERIOD_MS))
    profiler = tp.Threadprof("-p", str(server.pid), "-i", "4")
    # Of these only: what else this machine runs would be in the summary too.
    snoop = Snoop("--follow", str(cron.pid))
    exe = os.readlink("/proc/%d/exe" % cron.pid)
    cron.run()
    time.sleep(3)
    report, found = profiler.stop(), snoop.stop()
    report.strangers_ns = strangers_ns + tp.strangers_ns()
    load.stop()
    cron.end()
    tp.stop_process(server)
    return report, found, exe


def check_report(report, exe):
    bursts = [b for i in report.intervals for b in i["bursts"] if b["exe"] == exe]
    tp.assert_equal("bursts", [b["count"] for b in bursts], [50] * TIMES)
    tp.assert_equal("launchers of the launcher", {tuple(b["ancestry"][-2:]) for b in bursts}, {("likecron", "sh")})
    tp.assert_equal("launcher", {b["launcher"] for b in bursts}, {"sh"})
    tp.assert_close("period_ns of the third", bursts[-1]["period_ns"], PERIOD_MS * MS)
    for burst in bursts:
        tp.assert_at_least("requests inside", burst["requests_inside"], 1)
        tp.assert_at_least("requests outside", burst["requests_outside"], 1)
        # Where strangers keep the CPUs busy all the time, the burst is no longer what makes requests slow.
        if report.strangers_ns < 0.2 * report.duration_ns() * os.cpu_count():
            tp.assert_at_least("latency inside, compared with twice that around it",
                               burst["latency_inside_ns"] or 0, 2 * (burst["latency_outside_ns"] or 0))
        else:
            print("# others used %.1f s of CPU time: latency %s ns inside, %s ns outside"
                  % (report.strangers_ns / 1e9, burst["latency_inside_ns"], burst["latency_outside_ns"]))
    stolen = sum(t["ns"] for i in report.intervals for t in i["stolen_cpu"]
                 if t["exe"] == exe)
    tp.assert_at_least("CPU time that the workers took", stolen, 100 * MS)
    tp.assert_close("the same, burst by burst", sum(b["stolen_ns"] for b in bursts), stolen, rel=0.05)
    check_who_took_most(report, exe, stolen)
    check_findings(report, exe)
    tp.assert_no_loss(report)
    return bursts


def check_findings(report, exe):
    """The first lines of the report say it all."""
    text = ""
    for interval in report.intervals:
        if not any(b["exe"] == exe for b in interval["bursts"]):
            continue
        finding = interval["findings"][0]
        text = finding["text"]
        tp.assert_equal("the finding on top", finding["id"], "cpu_stolen")
        tp.assert_equal("executable", finding["evidence"]["executable"], exe)
        tp.assert_equal("launched by", finding["evidence"]["launched_by"].split(" > ")[-2:], ["likecron", "sh"])
        tp.assert_true("worker and launcher in the text", "spawn" in text and "likecron > sh" in text)
        tp.assert_true("how many", "50 short-lived processes" in text)
        print("# %s" % text)
    tp.assert_true("the period in the text: %s" % text, "every 10.0 s" in text)


def check_who_took_most(report, exe, stolen):
    others = {}
    for thief in (t for i in report.intervals for t in i["stolen_cpu"]):
        others[thief["exe"]] = others.get(thief["exe"], 0) + thief["ns"]
    most = max(others, key=others.get)
    # One that is not of this test may take more, but then it has used more.
    if others[most] > report.strangers_ns or most == exe:
        tp.assert_equal("who took most", most, exe)
    else:
        print("# others used %.1f s of CPU time; %s took %.0f ms from the server, the workers %.0f ms"
              % (report.strangers_ns / 1e9, most, others[most] / 1e6, stolen / 1e6))


def peak_of(workers):
    """Most that lived at once, from the records of each."""
    changes = sorted([(w["start_mono_ns"], 1) for w in workers] +
                     [(w["start_mono_ns"] + w["life_ns"], -1) for w in workers])
    alive = peak = 0
    for _, change in changes:
        alive += change
        peak = max(peak, alive)
    return peak


def check_snoop_burst(burst, workers, exe):
    tp.assert_equal("exe", burst["exe"], exe)
    tp.assert_equal("start", burst["start_mono_ns"], workers[0]["start_mono_ns"])
    tp.assert_equal("end", burst["start_mono_ns"] + burst["duration_ns"],
                    max(w["start_mono_ns"] + w["life_ns"] for w in workers))
    tp.assert_equal("peak", burst["peak"], peak_of(workers))
    tp.assert_equal("lives", burst["life_ns"]["count"], 50)
    tp.assert_at_least("shortest of the long lives", burst["life_ns"]["p50"], 650 * MS)
    tp.assert_equal("CPU time", burst["cpu_ns"], sum(w["cpu_ns"] for w in workers))
    tp.assert_at_least("CPU time", burst["cpu_ns"], 100 * MS)
    tp.assert_at_most("CPU time", burst["cpu_ns"], burst["duration_ns"] * os.cpu_count())


def check_snoop(found, exe):
    workers = [p for p in found.processes if (p["args"] or [])[1:] == ["burn", "650"]]
    workers.sort(key=lambda p: p["start_mono_ns"])
    tp.assert_equal("workers", len(workers), 50 * TIMES)
    tp.assert_equal("their ancestry", {tuple(p["ancestry"][-2:]) for p in workers}, {("likecron", "sh")})
    bursts = [b for b in found.bursts if b["launcher"] == "sh" and b["ancestry"][-2:] == ["likecron", "sh"]]
    tp.assert_equal("bursts", [b["count"] for b in bursts], [50] * TIMES)
    for i, burst in enumerate(bursts):
        check_snoop_burst(burst, workers[50 * i:50 * (i + 1)], exe)
    tp.assert_equal("periods of the first two", [b["period_ns"] for b in bursts[:2]], [None, None])
    tp.assert_close("period_ns of the third", bursts[-1]["period_ns"], PERIOD_MS * MS)
    tp.assert_at_most("jitter_ns", bursts[-1]["jitter_ns"], 0.02 * PERIOD_MS * MS)
    tp.assert_equal("seen", [b["seen"] for b in bursts], list(range(1, TIMES + 1)))
    summary = found.of("summary")[0]
    tp.assert_at_least("bursts in the summary", summary["bursts"], TIMES)
    top = {e["exe"]: e["count"] for e in summary["executables_by_cpu"]}
    tp.assert_equal("workers and their cron in the summary", top.get(exe), 50 * TIMES + 1)
    assert_no_loss(found)
    return bursts


@test("the story: -p and snoop name the workers, their launcher, their period and their price")
def story():
    report, found, exe = watch_the_story()
    seen_by_both = check_report(report, exe), check_snoop(found, exe)
    starts = [[b["start_mono_ns"] for b in bursts] for bursts in seen_by_both]
    tp.assert_equal("starts of the bursts in both", *starts)


@test("a quiet host: no bursts")
def quiet():
    target = tp.start_process(["sleep", "1000"])
    profiler = tp.Threadprof("-p", str(target.pid), "-i", "0.5")
    time.sleep(1.2)
    report = profiler.stop()
    tp.stop_process(target)
    for interval in report.intervals:
        own = [b for b in interval["bursts"] if "likecron" in b["ancestry"]]
        tp.assert_equal("bursts of something like cron", own, [])


if __name__ == "__main__":
    tp.main(3)
