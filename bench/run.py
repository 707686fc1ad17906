#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What threadprof and its peers cost: alternating pairs, with and without the tool, in one run.

    bench/run.py [--rounds N] [--seconds S] [--workload NAME] [--tool NAME] [--write FILE]

Each figure is the median over the rounds of (with the tool ÷ without, measured right before), with the
lowest and highest. "kept" is the share of the throughput that is left; "CPU" is the target's CPU time per
operation by /proc/PID/schedstat, which is steadier on a noisy machine. Absolute numbers are not printed:
they would not mean anything on another machine.
"""
import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import tp  # noqa: E402

DEVNULL = subprocess.DEVNULL


# ---- targets ---------------------------------------------------------------------------------------

class Ticker:
    """A program that prints every 100 ms how often it did its work."""
    def __init__(self, name, watched=True):
        self.log = tempfile.NamedTemporaryFile(mode="r")
        self.process = tp.start_process([os.path.join(ROOT, "build", "bench", name)],
                                        stdout=open(self.log.name, "w"))
        # What others pay: the tool watches an idle process, this one is a stranger to it.
        self.idle = None if watched else tp.start_process(["sleep", "1000"])
        self.pid = self.process.pid if watched else self.idle.pid
        self.cpu_pid = self.process.pid

    def measure(self, seconds):
        self.log.seek(0, os.SEEK_END)
        cpu = cpu_ns(self.cpu_pid)
        time.sleep(seconds)
        done = sum(int(line) for line in self.log.read().split())
        return done, cpu_ns(self.cpu_pid) - cpu

    def stop(self):
        tp.stop_process(self.process, signal.SIGKILL)
        if self.idle:
            tp.stop_process(self.idle, signal.SIGKILL)


class Server:
    def __init__(self, argv, port, load, worker=False, **options):
        self.process = tp.start_process(argv, stdout=DEVNULL, stderr=DEVNULL, **options)
        tp.wait_for_port(port)
        self.load = load
        if worker:
            tp.wait_until(lambda: tp.children(self.process.pid), what="the server's worker")
        self.pid = tp.children(self.process.pid)[0] if worker else self.process.pid

    def measure(self, seconds):
        cpu = cpu_ns(self.pid)
        done = self.load(seconds)
        return done, cpu_ns(self.pid) - cpu

    def stop(self):
        tp.stop_process(self.process)


def cpu_ns(pid):
    """CPU time of all threads that live; of a thread-per-request server the process's own account."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    ended_and_living = (int(fields[11]) + int(fields[12])) * (10**9 // os.sysconf("SC_CLK_TCK"))
    living = 0
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, tid)) as schedstat:
                living += int(schedstat.read().split()[0])
        except FileNotFoundError:
            continue
    return max(living, ended_and_living) if len(os.listdir("/proc/%d/task" % pid)) > 1 else living


def wrk(port, connections, *headers):
    def load(seconds):
        argv = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % max(1, round(seconds))]
        for header in headers:
            argv += ["-H", header]
        text = subprocess.run(argv + ["http://127.0.0.1:%d/" % port], capture_output=True, text=True,
                              check=True).stdout
        return int(re.search(r"(\d+) requests in", text).group(1))
    return load


def nginx(*headers, status=False):
    directory = tp.temp_dir()
    port = tp.free_port()
    with open(os.path.join(directory, "nginx.conf"), "w") as conf:
        conf.write("""daemon off; worker_processes 1; pid %(d)s/pid; error_log %(d)s/log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000;
server { listen 127.0.0.1:%(p)d; location / { return 200 "ok"; } %(s)s } }""" % {
            "d": directory, "p": port, "s": "location /status { stub_status; }" if status else ""})
    server = Server(["nginx", "-p", directory, "-c", os.path.join(directory, "nginx.conf")], port,
                    wrk(port, 16, *headers), worker=True)
    server.url = "http://127.0.0.1:%d/" % port
    return server


def python_threads():
    port = tp.free_port()
    directory = tp.temp_dir()
    return Server([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], port,
                  wrk(port, 4), cwd=directory)


def redis():
    port = tp.free_port()

    def load(seconds):
        count = 200000 * max(1, round(seconds))
        begin = time.monotonic()
        subprocess.run(["redis-benchmark", "-p", str(port), "-t", "get", "-P", "16", "-c", "8", "-n", str(count), "-q"],
                       stdout=DEVNULL, check=True)
        return count / (time.monotonic() - begin)
    return Server(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tp.temp_dir()],
                  port, load)


WORKLOADS = {
    "nginx keep-alive": nginx,
    "nginx closing": lambda: nginx("Connection: close"),
    "python threads": python_threads,
    "redis pipelined": redis,
    "uncontended mutex": lambda: Ticker("mutex"),
    "pipe ping-pong": lambda: Ticker("pingpong"),
    "stranger: pipe ping-pong": lambda: Ticker("pingpong", watched=False),
    "stranger: exec storm": lambda: Ticker("spawnstorm", watched=False),
}


# ---- tools -----------------------------------------------------------------------------------------

def have(*programs):
    return all(shutil.which(p) for p in programs)


# All that is on by default stays on: what goes off would be paid for by nobody.
THREADPROF = [tp.THREADPROF, "-i", "10", "--max-overhead", "100", "--json", "-p"]
TOOLS = {
    "threadprof": lambda pid: THREADPROF + [str(pid)],
    "… without requests": lambda pid: [tp.THREADPROF, "--refuse", "request_sys_exit"] + THREADPROF[1:] + [str(pid)],
    "strace -c": lambda pid: have("strace") and ["strace", "-f", "-c", "-p", str(pid)],
    "perf trace -s": lambda pid: have("perf") and ["perf", "trace", "-s", "-p", str(pid)],
    "bpftrace script": lambda pid: have("bpftrace") and
        ["bpftrace", os.path.join(HERE, "six_metrics.bt"), str(pid)],
    "offcputime": lambda pid: have("offcputime") and ["offcputime", "-p", str(pid), "1000"],
}
READY_SECONDS = 3.0


def with_tracefs(argv):
    """In a mount namespace of its own: some of the peers need tracefs, which may not be mounted."""
    return ["unshare", "-m", "sh", "-c",
            "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; "
            "mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug; exec \"$@\"", "sh"] + argv


def measure_pair(target, argv, seconds):
    """(throughput with ÷ without, CPU per operation with ÷ without); None if the tool did not run."""
    done, cpu = target.measure(seconds)
    tool = tp.start_process(with_tracefs(argv), stdout=DEVNULL, stderr=DEVNULL)
    time.sleep(READY_SECONDS)
    if tool.poll() is not None:
        return None
    done_with, cpu_with = target.measure(seconds)
    tp.stop_process(tool, signal.SIGINT)
    if not done or not done_with:
        return None
    per_op = cpu / done if cpu else 0
    return done_with / done, (cpu_with / done_with) / per_op if per_op else None


def bench(workload, tools, options):
    target = WORKLOADS[workload]()
    pairs = {tool: [] for tool in tools}
    time.sleep(0.5)
    for _ in range(options.rounds):
        for tool in tools:
            argv = TOOLS[tool](target.pid)
            pair = argv and measure_pair(target, argv, options.seconds)
            if pair:
                pairs[tool].append(pair)
    target.stop()
    return pairs


# ---- every process seen ----------------------------------------------------------------------------

def count_processes(argv, is_spawned, count):
    """How many of @count processes, spawned as fast as it goes, a tool lists until SIGINT ends it."""
    with tempfile.NamedTemporaryFile(mode="r") as log:
        tool = tp.start_process(with_tracefs(argv), stdout=open(log.name, "w"), stderr=DEVNULL)
        time.sleep(READY_SECONDS)
        workload = tp.Workload("spawn", "many", str(count))
        workload.run()
        workload.end()
        time.sleep(1)
        # unshare(1) and the shell have become the tool itself.
        tp.stop_process(tool, signal.SIGINT)
        return sum(1 for line in log if is_spawned(line))


def exec_storm(count):
    rows = ["", "| %s processes spawned as fast as it goes | listed |" % format(count, ","), "|---|---|"]
    seen = count_processes([tp.THREADPROF, "snoop", "--json"],
                           lambda line: '"type":"process"' in line and '"nothing"' in line, count)
    rows.append("| threadprof snoop | %s |" % format(seen, ","))
    if have("execsnoop"):
        seen = count_processes(["execsnoop"], lambda line: line.rstrip().endswith(" nothing"), count)
        rows.append("| execsnoop (libbpf-tools) | %s |" % format(seen, ","))
    print("\n".join(rows), flush=True)
    return rows


def spread(values):
    values = [v for v in values if v is not None]
    if not values:
        return "-"
    return "%.2f (%.2f–%.2f)" % (statistics.median(values), min(values), max(values))


def table(options):
    tools = [t for t in TOOLS if not options.tool or options.tool in t]
    rows = ["| workload | tool | throughput kept | target's CPU per operation |", "|---|---|---|---|"]
    for workload in WORKLOADS:
        if options.workload and options.workload not in workload:
            continue
        for tool, pairs in bench(workload, tools, options).items():
            rows.append("| %s | %s | %s | %s |" % (workload, tool, spread([p[0] for p in pairs]),
                                                spread([p[1] for p in pairs])))
            print(rows[-1], flush=True)
    return rows


def write_into(path, mark, rows):
    """Replaces what stands between the two marks of this name."""
    with open(path) as page:
        text = page.read()
    begin, end = "<!-- %s -->\n" % mark, "<!-- /%s -->" % mark
    head, rest = text.split(begin, 1)
    tail = rest.split(end, 1)[1]
    with open(path, "w") as page:
        page.write(head + begin + "\n".join(rows) + "\n" + end + tail)


def keep_others(path, rows, options):
    """The rows of the page whose workload was not measured now: the table is made in pieces."""
    with open(path) as page:
        old = page.read().split("<!-- bench -->\n", 1)[1].split("<!-- /bench -->", 1)[0].splitlines()
    measured = {row.split("|")[1].strip() for row in rows[2:]}
    kept = [row for row in old[2:] if row.startswith("|") and row.split("|")[1].strip() not in measured]
    return rows[:2] + kept + rows[2:]


def main():
    parser = argparse.ArgumentParser(description="What threadprof and its peers cost.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--workload", help="only those whose name has this in it")
    parser.add_argument("--tool", help="only those whose name has this in it")
    parser.add_argument("--storm", action="store_true", help="only count the processes of an exec storm")
    parser.add_argument("--write", metavar="FILE", help="put the table between the marks of this page")
    options = parser.parse_args()
    if options.storm:
        exec_storm(10000)
        return
    rows = table(options)
    if not options.workload and not options.tool:
        rows += exec_storm(10000)
    if options.write:
        path = os.path.join(ROOT, options.write)
        write_into(path, "bench", keep_others(path, rows, options) if options.workload else rows)


if __name__ == "__main__":
    main()
