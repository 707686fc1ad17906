#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""threadprof snoop: every process once, with the life, end and launcher that its maker saw."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from snoop import Snoop, assert_no_loss
from tp import test

MS = 1000000
ESCAPES = "\x1b[31m\a\n\ufffdx"


def run_workload(*arguments, options=()):
    workload = tp.Workload("spawn", *arguments)
    snoop = Snoop(*options)
    truth = workload.run()
    found = snoop.stop()
    workload.end()
    assert_no_loss(found)
    return truth, found


def need(*programs):
    for program in programs:
        if not tp.shutil.which(program):
            tp.skip("needs " + program)


# ---- as fast as the machine goes -----------------------------------------------------------------

def check_life(life, process):
    """Begin and end lie between the looks of the maker and of the process itself, and close to one of each.

    Close to one: whoever interrupts (another process, the hypervisor) comes between the event and the one
    look, or between it and the other. Returns how far off that is, and how far the maker's own measure.
    """
    pid, start_ns = life["pid"], process["start_mono_ns"]
    end_ns = start_ns + process["life_ns"]
    order = [life["begin_ns"], start_ns, life["first_ns"], life["last_ns"], end_ns, life["end_ns"]]
    tp.assert_equal("order of what happened to %d" % pid, order, sorted(order))
    off_ns = min(start_ns - life["begin_ns"], life["first_ns"] - start_ns) + \
        min(end_ns - life["last_ns"], life["end_ns"] - end_ns)
    if process["cpu_ns"] is not None:
        tp.assert_at_most("CPU time of %d" % pid, process["cpu_ns"], process["life_ns"])
        tp.assert_at_least("CPU time of %d" % pid, process["cpu_ns"], 50000)
    return off_ns, life["end_ns"] - life["begin_ns"] - process["life_ns"]


def check_many(truth, found, count):
    children = found.made_by(truth["pid"])
    made = {p["pid"]: p for p in children}
    tp.assert_equal("process records", len(children), count)
    tp.assert_equal("processes", {life["pid"] for life in truth["lives"]}, set(made))
    off = [check_life(life, made[life["pid"]]) for life in truth["lives"] if life["pid"] in made]
    # Of so many a few meet somebody on both sides of an event. The order above holds for each.
    tp.assert_at_most("lives that are off by more than 1 ms", sum(ns > MS for ns, _ in off), count // 100)
    # Not wrong: that late was the maker's look, the process itself was done long before.
    late = sum(ns > MS for _, ns in off)
    if late:
        print("# the maker saw %d of %d ends more than 1 ms after they happened" % (late, count))
    # Some kernels run no BPF program while a thread of pid 1 is current, which may be anybody in a container.
    unknown = sum(p["cpu_ns"] is None for p in children)
    if unknown:
        print("# of %d processes of %d the CPU time is not known" % (unknown, count))
    tp.assert_at_most("processes of unknown CPU time", unknown, count // 100)
    same = [b for b in found.bursts if b["exe"] == tp.workload_path("spawn")]
    tp.assert_at_most("processes in bursts", sum(b["count"] for b in same), count)


@test("3,000 posix_spawns as fast as it goes: each has one record, with its life")
def many():
    check_many(*run_workload("many", "3000"), 3000)


@test("3,000 posix_spawns while all CPUs are busy")
def many_busy():
    for _ in range(2 * os.cpu_count()):
        tp.start_process(["sh", "-c", "while :; do :; done"])
    check_many(*run_workload("many", "3000"), 3000)


class Execsnoop:
    """libbpf-tools' own, in a mount namespace where tracefs is mounted, which it needs."""

    def __init__(self):
        self.path = os.path.join(tp.temp_dir(), "execsnoop")
        script = "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; " \
            "exec stdbuf -oL execsnoop"
        with open(self.path, "wb") as out:
            self.process = tp.start_process(["unshare", "-m", "sh", "-c", script], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=subprocess.STDOUT)
        tp.wait_until(self.sees, 20, "execsnoop sees a process")

    def lines(self):
        with open(self.path, errors="replace") as out:
            return out.read().splitlines()

    def sees(self):
        if self.process.poll() is not None:
            tp.skip("execsnoop does not run here: " + " / ".join(self.lines())[:200])
        subprocess.run(["/bin/true", "execsnoop-is-ready"], check=True)
        return any("execsnoop-is-ready" in line for line in self.lines())

    def pids(self, word, count):
        """Of the processes that it listed with this last argument; it prints them some time later."""
        listed = []
        for _ in range(10):
            tp.time.sleep(0.2)
            before, listed = listed, [line.split() for line in self.lines() if line.rstrip().endswith(" " + word)]
            if len(listed) in (count, len(before)):
                break
        tp.stop_process(self.process, tp.signal.SIGINT)
        return [int(fields[1]) for fields in listed]


@test("3,000 posix_spawns with libbpf-tools' execsnoop beside: what it lists is all in the records")
def execsnoop():
    need("execsnoop", "unshare", "stdbuf")
    other = Execsnoop()
    truth, found = run_workload("many", "3000")
    listed = other.pids("nothing", 3000)
    check_many(truth, found, 3000)
    print("# execsnoop listed %d of 3000 processes, threadprof %d" % (len(listed), len(found.made_by(truth["pid"]))))
    tp.assert_at_least("processes that execsnoop lists", len(listed), 1)
    tp.assert_equal("listed by execsnoop only", set(listed) - {p["pid"] for p in found.made_by(truth["pid"])}, set())


# ---- special processes ---------------------------------------------------------------------------

def check_special(kind, at_least_ms=0, options=()):
    truth, found = run_workload(kind, options=options)
    life = truth["lives"][0]
    process = found.one(life["pid"])
    tp.assert_equal("ppid", process["ppid"], truth["pid"])
    tp.assert_equal("last of the ancestry", process["ancestry"][-1], "spawn")
    # How close to its own end is measured above; here its maker may come late.
    tp.assert_at_least("start", process["start_mono_ns"], life["begin_ns"])
    tp.assert_at_most("life", process["life_ns"], life["life_ns"])
    tp.assert_at_least("life", process["life_ns"], at_least_ms * MS)
    code, signal = os.waitstatus_to_exitcode(life["status"]), None
    if code < 0:
        code, signal = None, -code
    tp.assert_equal("exit_code", process["exit_code"], code)
    tp.assert_equal("signal", process["signal"], signal)
    return process, found


@test("a fork that never executes anything")
def fork():
    process, _ = check_special("fork", 20)
    tp.assert_equal("execs", process["execs"], 0)
    tp.assert_equal("exit_code", process["exit_code"], 7)
    tp.assert_equal("exe", process["exe"], tp.workload_path("spawn"))


@test("an exec from a thread that is not the leader")
def exec_from_thread():
    process, _ = check_special("exec-from-thread", 30)
    tp.assert_equal("execs", process["execs"], 1)
    tp.assert_equal("args", process["args"], [tp.workload_path("spawn"), "nap", "30"])
    tp.assert_equal("exit_code", process["exit_code"], 3)


@test("a process whose leader ends first lives until its last thread ends")
def leader_first():
    process, _ = check_special("leader-first", 120)
    tp.assert_equal("exit_code", process["exit_code"], 0)


@test("a process that a signal kills")
def killed():
    process, _ = check_special("killed", 20)
    tp.assert_equal("signal", process["signal"], 9)


@test("a child of vfork")
def vfork():
    process, _ = check_special("vfork", 10)
    tp.assert_equal("args", process["args"], [tp.workload_path("spawn"), "nap", "10"])


def check_failed(*options):
    process, found = check_special("exec-fails", options=("--failed",) + options)
    tp.assert_equal("exit_code", process["exit_code"], 127)
    tp.assert_equal("execs", process["execs"], 0)
    failed = [r for r in found.of("exec") if r["pid"] == process["pid"]]
    tp.assert_equal("failed execs", [(r["exe"], r["error"]) for r in failed],
                    [("/nonexistent/program", "ENOENT")])


@test("an exec that fails")
def exec_fails():
    check_failed()


@test("steady_processes and steady_sys_exit: all of these without them, by the perf events")
def by_events():
    forced = "--force-fallback", "steady_processes,steady_sys_exit"
    for kind in "fork", "exec-from-thread", "leader-first", "killed", "vfork":
        _, found = check_special(kind, options=forced)
        assert_no_loss(found)
    check_failed(*forced)


@test("an exec of a 32-bit program that fails")
def exec_fails_32():
    process, found = check_special("exec-fails-32", options=("--failed",))
    if (process["exit_code"], process["signal"]) != (127, None):
        tp.skip("this kernel does not take 32-bit system calls")
    failed = [(r["exe"], r["error"]) for r in found.of("exec") if r["pid"] == process["pid"]]
    tp.assert_equal("failed execs", failed, [("/nonexistent/32-bit", "ENOENT")])


@test("128 KiB of arguments are cut, and that is said")
def long_args():
    for options, size in (((), 256), (("--args-bytes", "16384"), 16384)):
        process, _ = check_special("long-args", options=options)
        tp.assert_equal("args_cut", process["args_cut"], True)
        # All but the last are followed by a NUL.
        got = "\0".join(process["args"])
        want = "\0".join([tp.workload_path("spawn"), "nothing"] + ["a" * 127] * 1024)
        tp.assert_at_least("bytes of arguments", len(got), size - 1)
        tp.assert_equal("arguments", got, want[:len(got)])


@test("short arguments are whole, and so is their record")
def short_args():
    process, _ = check_special("vfork", options=("--args-bytes", "1"))
    tp.assert_equal("args", process["args"], ["/"])
    tp.assert_equal("args_cut", process["args_cut"], True)
    process, _ = check_special("vfork")
    tp.assert_equal("args_cut", process["args_cut"], False)


@test("names and arguments that are escape sequences")
def escapes():
    process, _ = check_special("renamed")
    tp.assert_equal("comm", process["comm"], ESCAPES)
    process, _ = check_special("escapes")
    tp.assert_equal("args", process["args"][2], ESCAPES)
    output = text_of("escapes")
    tp.assert_true("escaped in the text", "nothing \\x1b[31m\\x07\\x0a\\xffx" in output)
    tp.assert_equal("control characters in the text", re.findall(r"[^\n -~]", output), [])


def text_of(kind):
    """The output of a run without --json."""
    workload = tp.Workload("spawn", kind)
    path = os.path.join(tp.temp_dir(), "text")
    with open(path, "wb") as out:
        snoop = tp.start_process([tp.THREADPROF, "snoop"], stdout=out, stderr=subprocess.PIPE)
        # A warning may come first.
        while b"attached" not in snoop.stderr.readline():
            if snoop.poll() is not None:
                tp.fail("threadprof ended before it was attached")
        workload.run()
        workload.end()
        tp.stop_process(snoop)
        snoop.stderr.close()
    with open(path, errors="surrogateescape") as text:
        return text.read()


@test("an orphan stays its maker's child")
def orphan():
    workload = tp.Workload("spawn", "orphan")
    snoop = Snoop()
    truth = workload.run()
    maker = truth["lives"][0]["pid"]
    tp.wait_until(lambda: any('"exit_code":9' in line for line in snoop.lines()), what="the orphan's end")
    found = snoop.stop()
    workload.end()
    assert_no_loss(found)
    orphans = found.made_by(maker)
    tp.assert_equal("exit codes", [p["exit_code"] for p in orphans], [9])
    tp.assert_equal("ancestry", [p["ancestry"][-2:] for p in orphans], [["spawn", "spawn"]])


@test("ends that are lost: the processes are not taken for living any longer")
def lost_ends():
    sleepers = [tp.start_process(["sleep", "1000"]) for _ in range(3)]
    snoop = Snoop("--ring-bytes", "4096")
    snoop.process.send_signal(tp.signal.SIGSTOP)
    for _ in range(100):
        subprocess.run(["/bin/true"], check=True)
    for sleeper in sleepers:
        tp.stop_process(sleeper)
    snoop.process.send_signal(tp.signal.SIGCONT)
    tp.wait_until(lambda: any('"missed_ends":' in line and '"missed_ends":0' not in line for line in snoop.lines()),
                  what="the ends are missed")
    found = snoop.stop()
    lost = found.of("lost")[-1]
    tp.assert_at_least("ends lost", lost["exit"], 3)
    tp.assert_at_least("ends missed", lost["missed_ends"], 3)
    tp.assert_at_most("ends missed", lost["missed_ends"], lost["exit"])
    pids = {sleeper.pid for sleeper in sleepers}
    tp.assert_equal("records of them", [p for p in found.processes if p["pid"] in pids], [])


# ---- filters -------------------------------------------------------------------------------------

@test("filters by name, life, user and descent")
def filters():
    def pids(*options):
        snoop = Snoop(*options)
        subprocess.run(["sh", "-c", "sleep 0.6; true; /bin/true"], check=True)
        subprocess.run(["setpriv", "--reuid", "65534", "/bin/true"], check=True)
        return snoop.stop()

    found = pids("--comm", "sleep", "--follow", str(os.getpid()))
    tp.assert_equal("names", {p["comm"] for p in found.processes}, {"sleep"})
    found = pids("--max-life", "500", "--follow", str(os.getpid()))
    tp.assert_equal("names", {p["comm"] for p in found.processes}, {"true"})
    found = pids("--uid", "65534", "--follow", str(os.getpid()))
    tp.assert_equal("users", [p["uid"] for p in found.processes], [65534])
    found = pids("--cgroup", "/no/such/group")
    tp.assert_equal("processes in no group", found.processes, [])
    found = pids("--exec", "--follow", str(os.getpid()))
    execs = [r["args"] for r in found.of("exec")]
    tp.assert_true("an exec record of sleep", ["sleep", "0.6"] in execs)
    tp.assert_equal("execs per process", sum(p["execs"] for p in found.processes), len(execs))


# ---- bursts --------------------------------------------------------------------------------------

@test("--burst-min and --burst-window")
def burst_options():
    def bursts(*options):
        snoop = Snoop("--follow", str(os.getpid()), *options)
        script = "for i in 1 2 3 4 5; do /bin/true; sleep 0.05; done"
        subprocess.run(["sh", "-c", script], check=True)
        found = snoop.stop()
        return [b["count"] for b in found.bursts if b["exe"].endswith("/true")]

    tp.assert_equal("by default", bursts(), [])
    tp.assert_equal("at least 5", bursts("--burst-min", "5"), [5])
    tp.assert_equal("at least 6", bursts("--burst-min", "6"), [])
    tp.assert_equal("5 within 0.1 s", bursts("--burst-min", "5", "--burst-window", "0.1"), [])


# ---- real use, against strace --------------------------------------------------------------------

def count_by_strace(command, directory):
    """How many processes, not threads, strace sees: an "exited" or "killed" line for each."""
    log = os.path.join(directory, "strace")
    subprocess.run(["strace", "-f", "-q", "-e", "trace=none", "-o", log] + command, check=True,
                   cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    with open(log) as lines:
        return sum("+++ exited" in line or "+++ killed" in line for line in lines)


def count_by_snoop(command, directory):
    snoop = Snoop()
    process = tp.start_process(command, cwd=directory, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    tp.assert_equal("exit code", process.wait(60), 0)
    found = snoop.stop()
    assert_no_loss(found)
    made = found.below(process.pid)
    return 1 + len(made), made


@test("make -j8 of a small C project, this one's workloads: as many processes as strace counts")
def make_project():
    need("strace", "make", "cc")
    directory = tp.temp_dir()
    for part in ("Makefile", "VERSION", "scripts", "tests/workload", "demo"):
        source, target = os.path.join(tp.ROOT, part), os.path.join(directory, part)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)
    build = ["make", "-j8", "workload", "demo-programs"]
    want = count_by_strace(build, directory)
    shutil.rmtree(os.path.join(directory, "build"))
    got, made = count_by_snoop(build, directory)
    sources = glob.glob(directory + "/tests/workload/*.c") + glob.glob(directory + "/demo/*.c")
    tp.assert_at_least("processes", want, 75)
    tp.assert_equal("processes", got, want)
    # Each source by "cc … -o program": one assembler; more come from what looks for tools.
    assemblers = [p for p in made if p["comm"] == "as" and p["ancestry"][-3:] == ["make", "sh", "cc"] or
                  p["comm"] == "as" and p["ancestry"][-2:] == ["make", "cc"]]
    tp.assert_equal("assemblers that make started", len(assemblers), len(sources))


@test("a shell script of hundreds of commands: as many processes as strace counts")
def shell_script():
    need("strace")
    directory = tp.temp_dir()
    script = os.path.join(directory, "script")
    with open(script, "w") as text:
        text.write("i=0\nwhile [ $i -lt 100 ]; do\n"
                   "  /bin/true; echo $i | cat | wc -l; ( exit 3 ); i=$(expr $i + 1)\ndone\n")
    want = count_by_strace(["sh", script], directory)
    got, _ = count_by_snoop(["sh", script], directory)
    tp.assert_at_least("processes", want, 500)
    tp.assert_equal("processes", got, want)


tp.main()
