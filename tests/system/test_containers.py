#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Targets in other PID and mount namespaces, threadprof in one, and cgroups as the scope.

Every id that threadprof takes and prints is one of the PID namespace that it runs in itself. The
counts are those that the workload knows; what the machine's load could change is not compared.
"""
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from answers import assert_answers, ids_of_threads
from tp import test

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
ID = "0123456789abcdef" * 4


# ---- helpers ---------------------------------------------------------------------------------------

class Inside(tp.Workload):
    """A workload in namespaces of its own; pid is the number it has in ours."""

    def __init__(self, argv):
        self.process = tp.start_process(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._rest = b""
        self.ready = self._read("ready", tp.PATIENCE_S)
        self.pid_inside = self.ready["pid"]
        self.pid = tp.children(self.process.pid)[0]


class Sleepers:
    """Processes that do nothing until they are told to end."""

    def __init__(self):
        self.processes = []

    def start(self, procs=None):
        """A new one, in the cgroup whose cgroup.procs is given."""
        script = 'test -z "$1" || echo $$ >"$1"; exec sleep 1000'
        process = tp.start_process(["sh", "-c", script, "sh", procs or ""])

        def sleeps():
            with open("/proc/%d/comm" % process.pid) as comm:
                return comm.read() == "sleep\n"
        tp.wait_until(sleeps, what="sleep")
        self.processes.append(process)
        return process.pid


class Cgroup:
    """A cgroup of the test's own, in a hierarchy of that kind; it goes with everything below it."""

    def __init__(self, kind):
        mount = self._mount_of(kind)
        if not mount or not os.access(mount, os.W_OK):
            tp.skip("no writable %s file system" % kind)
        try:
            self.path = tempfile.mkdtemp(prefix="threadprof-test-", dir=mount)
        except OSError as error:
            tp.skip("no cgroup can be made in %s: %s" % (mount, error.strerror))
        self.mount = mount

    @staticmethod
    def _mount_of(kind):
        with open("/proc/self/mounts") as mounts:
            for line in mounts:
                _, point, this_kind, options = line.split()[:4]
                # A cpuset takes no process before it is told CPUs; freezer takes any.
                if this_kind == kind and (kind == "cgroup2" or "freezer" in options.split(",")):
                    return point
        return None

    def child(self, name):
        os.mkdir(os.path.join(self.path, name))
        return os.path.join(self.path, name, "cgroup.procs")

    @property
    def procs(self):
        return os.path.join(self.path, "cgroup.procs")

    def remove(self):
        for directory, _, _ in os.walk(self.path, topdown=False):
            def gone(directory=directory):
                with open(os.path.join(directory, "cgroup.procs")) as procs:
                    for pid in procs.read().split():
                        try:
                            os.kill(int(pid), signal.SIGKILL)
                        except ProcessLookupError:
                            pass
                for process in tp._processes:
                    process.poll()
                try:
                    os.rmdir(directory)
                    return True
                except OSError:
                    return False
            tp.wait_until(gone, what="the end of " + directory)


def with_cgroup(kind, run):
    cgroup = Cgroup(kind)
    try:
        run(cgroup)
    finally:
        cgroup.remove()


def pids_of(report):
    return [set(pids) for pids in report.values("target.pids")]


# ---- namespaces ------------------------------------------------------------------------------------

@test("threadprof outside, target inside: its ids are ours, its counts exact")
def outside():
    workload = Inside(UNSHARE + [tp.workload_path("known"), "--script", "plain"])
    profiler = tp.Threadprof("-p", str(workload.pid), "-i", "60")
    ids = ids_of_threads(workload.pid)
    truth = workload.run()
    report = profiler.stop()
    tp.assert_true("the target has other ids inside", workload.pid_inside != workload.pid)
    tp.assert_equal("pids", report.last("target.pids"), [workload.pid])
    tp.assert_true("threads", set(ids) <= set(report.threads()))
    assert_answers(truth, report, ids)
    workload.end()


INNER = r"""
import json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
import tp
workload = tp.Workload("known", "--script", "plain")
profiler = tp.Threadprof("-p", str(workload.pid), "-i", "60")
tids = sorted(int(tid) for tid in os.listdir("/proc/%d/task" % workload.pid))
truth = workload.run()
report = profiler.stop()
workload.end()
print(json.dumps({"pid": workload.pid, "tids": tids, "truth": truth, "records": report.records}))
"""


def run_inside(script):
    argv = UNSHARE + [sys.executable, "-c", script, os.path.join(tp.ROOT, "tests", "lib")]
    process = tp.start_process(argv, stdout=subprocess.PIPE)
    try:
        output, _ = process.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        tp.fail("no end inside the namespace")
    if process.returncode:
        tp.fail("exit code %d inside the namespace" % process.returncode)
    return json.loads(output.decode().splitlines()[-1])


@test("threadprof and target inside: the ids are those of the namespace")
def inside():
    result = run_inside(INNER)
    report = tp.Report(result["records"])
    tp.assert_at_most("the pid is a small one", result["pid"], 1000)
    tp.assert_equal("pids", report.last("target.pids"), [result["pid"]])
    tp.assert_true("threads", set(result["tids"]) <= set(report.threads()))
    assert_answers(result["truth"], report)
    features = {r["name"]: r["state"] for r in report.records if r["type"] == "feature"}
    tp.assert_equal("bursts of the namespace only", features["bursts"], "fallback")


FOLLOW = r"""
import json, os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
import tp
shell = subprocess.Popen(["sh", "-c", "read x; sleep 0.2 & wait; exit 0"], stdin=subprocess.PIPE)
profiler = tp.Threadprof("-f", "-p", str(shell.pid), "-i", "60")
shell.communicate(b"go\n")
report = profiler.wait()
print(json.dumps({"pid": shell.pid, "pids": report.last("target.pids"),
                  "tids": [t["tid"] for t in report.last("threads")], "lost": report.lost()}))
"""


@test("inside, with -f: a child that is born while we look")
def follow_inside():
    result = run_inside(FOLLOW)
    tp.assert_equal("processes", len(result["pids"]), 2)
    tp.assert_true("the shell", result["pid"] in result["pids"])
    tp.assert_equal("threads", sorted(result["tids"]), sorted(result["pids"]))
    tp.assert_at_most("ids of the namespace", max(result["pids"]), 1000)
    tp.assert_equal("losses", [n for n in result["lost"].values() if n], [])


SNOOP = r"""
import json, os, subprocess, sys, time
snoop = subprocess.Popen([os.environ["THREADPROF"], "snoop", "--json"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
while b"attached" not in snoop.stderr.readline():
    pass
pids = []
for i in range(3):
    child = subprocess.Popen(["true"])
    child.wait()
    pids.append(child.pid)
snoop.terminate()
output, _ = snoop.communicate()
seen = [r for r in map(json.loads, output.splitlines()) if r["type"] == "process"]
print(json.dumps({"pids": pids, "self": os.getpid(),
                  "seen": [[r["pid"], r["ppid"], r["comm"]] for r in seen]}))
"""


@test("snoop inside: the processes of the namespace, by its ids, and no others")
def snoop_inside():
    stranger = tp.start_process(["sh", "-c", "while :; do sleep 0.01; done"])
    os.environ["THREADPROF"] = tp.THREADPROF
    result = run_inside(SNOOP)
    tp.stop_process(stranger)
    seen = [entry for entry in result["seen"] if entry[2] == "true"]
    tp.assert_equal("processes", [entry[0] for entry in seen], result["pids"])
    tp.assert_equal("parents", {entry[1] for entry in seen}, {result["self"]})
    tp.assert_equal("others", [e for e in result["seen"] if e[2] == "sleep"], [])


@test("a /proc of another namespace is refused, not misread")
def other_proc():
    run = subprocess.run(["unshare", "--pid", "--fork", "--kill-child", tp.THREADPROF, "-p", "1"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=tp.PATIENCE_S)
    tp.assert_equal("exit code", run.returncode, 1)
    tp.assert_true("the reason", b"/proc" in run.stderr and b"PID namespace" in run.stderr)


@test("a target with another root: its locks have names, from its own files")
def other_root():
    directory = tp.temp_dir()
    binary = os.path.join(directory, "known")
    shutil.copy(tp.workload_path("known"), binary)
    # Only in the target's mount namespace is the program at this path.
    script = 'mount --bind "$1" /mnt && exec /mnt/known --script plain'
    argv = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
            "sh", "-c", script, "sh", directory]
    workload = Inside(argv)
    tp.assert_true("not at that path here", not os.path.exists("/mnt/known"))
    profiler = tp.Threadprof("-p", str(workload.pid), "-i", "60")
    ids = ids_of_threads(workload.pid)
    truth = workload.run()
    report = profiler.stop()
    assert_answers(truth, report, ids)
    workload.end()


# ---- the clock -------------------------------------------------------------------------------------

@test("threadprof in a time namespace: its times are those of the kernel's programs")
def time_namespace():
    shift = ["unshare", "--time", "--monotonic", "100000", "--boottime", "100000", "--fork", "--kill-child"]
    if subprocess.run(shift + ["true"], stderr=subprocess.DEVNULL).returncode:
        tp.skip("no time namespaces here")
    snoop = tp.start_process(shift + [tp.THREADPROF, "snoop", "--json", "-d", "1"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    while b"attached" not in (line := snoop.stderr.readline()):
        if not line:
            tp.fail("snoop has ended")
    subprocess.run(["true"])
    records = [json.loads(line) for line in snoop.communicate()[0].splitlines()]
    ours = subprocess.run(shift + [tp.THREADPROF, "-p", str(os.getpid()), "-d", "0.1", "--json"], timeout=tp.PATIENCE_S,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.splitlines()
    records += [json.loads(line) for line in ours]
    tp.assert_true("processes and intervals", {"process", "interval"} <= {r["type"] for r in records})
    for record in (next(r for r in records if r["type"] == kind) for kind in ("process", "interval", "summary")):
        age_s = time.time() - datetime.datetime.fromisoformat(record["time"][:19] + "+00:00").timestamp()
        tp.assert_at_most("%s: age by its time" % record["type"], abs(age_s), 3600)
        age_s = time.monotonic() - record["mono_ns"] / 1e9
        tp.assert_at_most("%s: age by the clock" % record["type"], abs(age_s), 3600)


# ---- cgroups ---------------------------------------------------------------------------------------

def check_scope(cgroup, arguments):
    """Those in it, one moved into it, one born in it; not the one beside it."""
    sleepers = Sleepers()
    child = cgroup.child("docker-%s.scope" % ID)
    first, beside = sleepers.start(child), sleepers.start()
    profiler = tp.Threadprof(*arguments(cgroup), "-i", "0.2")
    tp.wait_until(lambda: sum('"type":"interval"' in line for line in profiler.lines()) > 1,
                  what="the first intervals")
    moved = sleepers.start()
    with open(child, "w") as procs:
        procs.write(str(moved))
    script = 'echo $$ >"$1"; sleep 1000 & echo $!; wait'
    parent = tp.start_process(["sh", "-c", script, "sh", child], stdout=subprocess.PIPE)
    born = int(parent.stdout.readline())
    wanted = {first, moved, parent.pid, born}

    def all_seen():
        try:
            last = json.loads(profiler.lines()[-1])
        except ValueError:
            return False  # not written to its end yet
        return set(tp.at(last, "target.pids") or []) >= wanted
    tp.wait_until(all_seen, what="all processes of the cgroup")
    report = profiler.stop()
    tp.assert_equal("at first", pids_of(report)[0], {first})
    tp.assert_equal("at last", pids_of(report)[-1], wanted)
    tp.assert_true("threads", wanted <= set(report.threads()))
    tp.assert_true("not the one beside", beside not in report.threads())
    tp.assert_states_add_up(report)
    tp.assert_no_loss(report)
    parent.stdout.close()


@test("--cgroup by its directory: who is in it, who is moved into it, who is born in it")
def cgroup_by_directory():
    with_cgroup("cgroup2", lambda cgroup: check_scope(cgroup, lambda c: ["--cgroup", c.path]))


@test("--cgroup by its path below the mount, as in /proc/PID/cgroup")
def cgroup_by_path():
    def path(cgroup):
        return ["--cgroup", "/" + os.path.relpath(cgroup.path, cgroup.mount)]
    with_cgroup("cgroup2", lambda cgroup: check_scope(cgroup, path))


@test("--cgroup in a hierarchy of version 1")
def cgroup_v1():
    with_cgroup("cgroup", lambda cgroup: check_scope(cgroup, lambda c: ["--cgroup", c.path]))


@test("--container by the begin of its id")
def container():
    with_cgroup("cgroup2", lambda cgroup: check_scope(cgroup, lambda c: ["--container", ID[:12]]))


@test("--cgroup: requests of all its servers are counted")
def cgroup_counts():
    def run(cgroup):
        workload = tp.Workload("known", "--script", "plain")
        with open(cgroup.procs, "w") as procs:
            procs.write(str(workload.pid))
        profiler = tp.Threadprof("--cgroup", cgroup.path, "-i", "60")
        truth = workload.run()
        report = profiler.stop()
        assert_answers(truth, report)
        workload.end()
    with_cgroup("cgroup2", run)


@test("--cgroup ends with its last process; an empty one is an error")
def cgroup_end():
    def run(cgroup):
        sleepers = Sleepers()
        pid = sleepers.start(cgroup.procs)
        profiler = tp.Threadprof("--cgroup", cgroup.path, "-i", "60")
        os.kill(pid, signal.SIGTERM)
        report = profiler.wait()
        tp.assert_equal("pids", report.last("target.pids"), [pid])
        tp.wait_until(lambda: not open(cgroup.procs).read(), what="an empty cgroup")
        empty = subprocess.run([tp.THREADPROF, "--cgroup", cgroup.path], timeout=tp.PATIENCE_S,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        tp.assert_equal("exit code", empty.returncode, 1)
        tp.assert_true("the reason", b"no process is in" in empty.stderr)
    with_cgroup("cgroup2", run)


@test("--container: two that fit are named, one that isn't there is said")
def container_errors():
    def run(cgroup):
        for number in ("1", "2"):
            cgroup.child("docker-7e57%s%s.scope" % (number, ID[5:]))
        for wanted, words in (("7e57", (b"7e571", b"7e572")), ("7e573", (b"no container",))):
            run = subprocess.run([tp.THREADPROF, "--container", wanted], timeout=tp.PATIENCE_S,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            tp.assert_equal("exit code", run.returncode, 1)
            for word in words:
                tp.assert_true("%r in %r" % (word, run.stderr), word in run.stderr)
    with_cgroup("cgroup2", run)


tp.main()
