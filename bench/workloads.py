# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""The targets of the benches: each does its work for a while and says how much of it, and what CPU time that took."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import tp  # noqa: E402

DEVNULL = subprocess.DEVNULL
CPUCLOCK_SCHED = 2  # linux/posix-timers.h: the process's sum of what schedstat has, ended threads included


def cpu_ns(pid):
    """CPU time of a process: /proc/PID/schedstat of all its threads, those that have ended included."""
    return time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)


def cpu_ns_with_children(pid):
    """The same, and that of the children it has waited for."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return cpu_ns(pid) + (int(fields[13]) + int(fields[14])) * (10**9 // os.sysconf("SC_CLK_TCK"))


class Work:
    """What was done in a window: operations, seconds, CPU time of the process that is looked at."""
    def __init__(self, done, seconds, cpu):
        self.rate = done / seconds
        self.cpu_per_op = cpu / done if done else 0

    def average(self, other):
        both = Work(1, 1, 0)
        both.rate, both.cpu_per_op = (self.rate + other.rate) / 2, (self.cpu_per_op + other.cpu_per_op) / 2
        return both


class Target:
    """pid: what the tools watch. With watched=False that is an idle process, and the worker is a stranger to it."""
    follow = False  # are its children watched too

    def __init__(self, process, watched=True):
        self.process = process
        self.idle = None if watched else tp.start_process(["sleep", "1000"])
        self.cpu_pid = process.pid
        self.cpu_ns = cpu_ns

    @property
    def pid(self):
        return self.idle.pid if self.idle else self.cpu_pid

    def measure(self, seconds):
        cpu = self.cpu_ns(self.cpu_pid)
        done, elapsed = self.work(seconds)
        return Work(done, elapsed, self.cpu_ns(self.cpu_pid) - cpu)

    def stop(self):
        tp.stop_process(self.process)
        if self.idle:
            tp.stop_process(self.idle, signal.SIGKILL)


class Ticker(Target):
    """A program that prints every 100 ms how often it did its work."""
    def __init__(self, name, watched=True):
        self.log = tempfile.NamedTemporaryFile(mode="r")
        with open(self.log.name, "w") as out:
            super().__init__(tp.start_process([os.path.join(ROOT, "build", "bench", name)], stdout=out), watched)

    def work(self, seconds):
        self.log.seek(0, os.SEEK_END)
        begin = time.monotonic()
        time.sleep(seconds)
        return sum(int(line) for line in self.log.read().split()), time.monotonic() - begin


class Server(Target):
    def __init__(self, argv, port, load, worker=False, watched=True, **options):
        super().__init__(tp.start_process(argv, stdout=DEVNULL, stderr=DEVNULL, **options), watched)
        tp.wait_for_port(port)
        self.work = load
        if worker:
            tp.wait_until(lambda: tp.children(self.process.pid), what="the server's worker")
            self.cpu_pid = tp.children(self.process.pid)[0]


def exec_storm(watched=True):
    storm = Ticker("spawnstorm", watched)
    storm.cpu_ns = cpu_ns_with_children
    storm.follow = watched
    return storm


def wrk(port, connections, *headers):
    units = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}

    def load(seconds):
        argv = ["wrk", "-t1", "-c%d" % connections, "-d%ds" % max(1, round(seconds))]
        for header in headers:
            argv += ["-H", header]
        text = subprocess.run(argv + ["http://127.0.0.1:%d/" % port], capture_output=True, text=True,
                              check=True).stdout
        done, elapsed, unit = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m)", text).groups()
        return int(done), float(elapsed) * units[unit]
    return load


def nginx(*headers, status=False, watched=True):
    directory = tp.temp_dir()
    port = tp.free_port()
    with open(os.path.join(directory, "nginx.conf"), "w") as conf:
        conf.write("""daemon off; worker_processes 1; pid %(d)s/pid; error_log %(d)s/log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000;
server { listen 127.0.0.1:%(p)d; location / { return 200 "ok"; } %(s)s } }""" % {
            "d": directory, "p": port, "s": "location /status { stub_status; }" if status else ""})
    server = Server(["nginx", "-p", directory, "-c", os.path.join(directory, "nginx.conf")], port,
                    wrk(port, 16, *headers), worker=True, watched=watched)
    server.url = "http://127.0.0.1:%d/" % port
    return server


def python_threads():
    port = tp.free_port()
    directory = tp.temp_dir()
    return Server([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], port,
                  wrk(port, 4), cwd=directory)


def redis_commands(port):
    """The server's own count; it counts this question too."""
    with socket.create_connection(("127.0.0.1", port)) as conn:
        conn.sendall(b"INFO stats\r\n")
        text = b""
        while b"total_commands_processed:" not in text or not text.endswith(b"\r\n"):
            text += conn.recv(65536)
    return int(re.search(rb"total_commands_processed:(\d+)", text).group(1))


def redis():
    port = tp.free_port()

    def load(seconds):
        client = tp.start_process(["redis-benchmark", "-p", str(port), "-t", "get", "-P", "16", "-c", "8",
                                   "-n", "1000000000", "-q"], stdout=DEVNULL)
        begin, before = time.monotonic(), redis_commands(port)
        time.sleep(seconds)
        done, elapsed = redis_commands(port) - before, time.monotonic() - begin
        tp.stop_process(client, signal.SIGKILL)
        return done, elapsed
    return Server(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tp.temp_dir()],
                  port, load)


WORKLOADS = {
    "nginx keep-alive": nginx,
    "nginx closing": lambda: nginx("Connection: close"),
    "python threads": python_threads,
    "redis pipelined": redis,
    "uncontended mutex": lambda: Ticker("mutex"),
    "pipe ping-pong": lambda: Ticker("pingpong"),
    "exec storm": exec_storm,
    "stranger: nginx keep-alive": lambda: nginx(watched=False),
    "stranger: pipe ping-pong": lambda: Ticker("pingpong", watched=False),
    "stranger: exec storm": lambda: exec_storm(watched=False),
}
