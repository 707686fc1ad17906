# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""threadprof and what a user would take instead: how each is started, when it is ready, what it takes itself."""
import os
import shutil
import signal
import tempfile
import time

from workloads import DEVNULL, HERE, ROOT, cpu_ns, tp

# All that is on by default stays on: what goes off would be paid for by nobody.
THREADPROF = [tp.THREADPROF, "-i", "10", "--max-overhead", "100", "--json"]
GRACE_SECONDS = 1.5  # for what does not say when it is ready
PATIENCE_SECONDS = 15
EPOLL_WAITS = ("232", "281", "22")  # epoll_wait, epoll_pwait of x86-64; epoll_pwait of arm64


def threadprof(target, *options):
    return THREADPROF + list(options) + (["-f"] if target.follow else []) + ["-p", str(target.pid)]


def libc_of(pid):
    with open("/proc/%d/maps" % pid) as maps:
        return next(line.split()[5] for line in maps if "libc.so" in line)


def bpftrace_locks(target):
    """What the story's tool did: both ends of each call."""
    lock = libc_of(target.pid) + ":pthread_mutex_lock"
    return ["bpftrace", "-p", str(target.pid), "-e",
            "uprobe:%s { @start[tid] = nsecs; } uretprobe:%s /@start[tid]/ { @wait_ns = hist(nsecs - @start[tid]); "
            "delete(@start[tid]); }" % (lock, lock)]


TOOLS = {
    "threadprof": threadprof,
    "strace -f -c": lambda target: ["strace", "-f", "-c", "-p", str(target.pid)],
    "perf trace -s": lambda target: ["perf", "trace", "-s", "-p", str(target.pid)],
    "bpftrace script": lambda target: ["bpftrace", os.path.join(HERE, "six_metrics.bt"), str(target.pid)],
    "offcputime": lambda target: ["offcputime", "-p", str(target.pid), "1000"],
}


def no_details(target):
    """Without the breakdown of requests, peers and files, and who takes the CPU: all are over such a limit."""
    return threadprof(target, "--max-overhead", "0.1")


def empty_program(target):
    """The least that any program at the end of system calls costs, whatever it does."""
    return [os.path.join(ROOT, "build", "bench", "hooks"), "btf_sys_exit"]


# Seconds under load until a tool does what it is measured for.
SETTLING = {"threadprof, no details": 12}
# Where there is more to compare.
MORE = {
    "nginx keep-alive": {"threadprof, no requests": lambda target: threadprof(target, "--refuse", "request_sys_exit"),
                         "threadprof, no details": no_details,
                         "an empty program on sys_exit": empty_program},
    "redis pipelined": {"threadprof, no details": no_details,
                        "an empty program on sys_exit": empty_program},
    # With the limit that it has unless told otherwise.
    "uncontended mutex": {"threadprof --locks=uprobe": lambda target: threadprof(target, "--locks=uprobe",
                                                                                 "--max-overhead", "5"),
                          "bpftrace, uprobes on the lock": bpftrace_locks},
    "stranger: exec storm": {"threadprof snoop": lambda target: [tp.THREADPROF, "snoop", "--json"],
                             "execsnoop": lambda target: ["execsnoop"]},
}


def have(*programs):
    return all(shutil.which(p) for p in programs)


def with_tracefs(argv):
    """In a mount namespace of its own: some of the peers need tracefs, which may not be mounted."""
    return ["unshare", "-m", "sh", "-c",
            "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; "
            "mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug; exec \"$@\"", "sh"] + argv


def status_kib(pid, field):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field + ":"))


class Tool:
    """A running tool; is_there is False if it did not come to run."""
    def __init__(self, argv):
        self.errors = tempfile.NamedTemporaryFile(mode="r")
        self.program = os.path.basename(argv[0])
        begin = time.monotonic()
        with open(self.errors.name, "w") as err:
            self.process = tp.start_process(with_tracefs(argv), stdout=DEVNULL, stderr=err)
        self.is_there = self._await_ready()
        self.ready_s = time.monotonic() - begin
        self.cpu_ns = cpu_ns(self.process.pid) if self.is_there else 0

    def _is_waiting(self):
        """Has it come to wait for events?"""
        with open("/proc/%d/comm" % self.process.pid) as comm, open("/proc/%d/syscall" % self.process.pid) as call:
            return comm.read() == self.program + "\n" and call.read().split()[0] in EPOLL_WAITS

    def _is_ready(self):
        if self.program == "threadprof":
            with open(self.errors.name) as errors:
                return "attached" in errors.read()
        return self._is_waiting()

    def _await_ready(self):
        if self.program in ("threadprof", "bpftrace"):
            end = time.monotonic() + PATIENCE_SECONDS
            while self.process.poll() is None and time.monotonic() < end and not self._is_ready():
                time.sleep(0.005)
        else:
            time.sleep(GRACE_SECONDS)
        return self.process.poll() is None

    def own_cpu_ns(self):
        """Its CPU time since it was ready."""
        return cpu_ns(self.process.pid) - self.cpu_ns

    def memory_kib(self):
        """(resident, at most)"""
        return status_kib(self.process.pid, "VmRSS"), status_kib(self.process.pid, "VmHWM")

    def stop(self):
        tp.stop_process(self.process, signal.SIGINT)
