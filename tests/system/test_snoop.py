#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""threadprof snoop: every process once, with the life, end and launcher that its maker saw."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

MS = 1000000
ESCAPES = "\x1b[31m\a\n\ufffdx"


class Found:
    """The records of one run."""

    def __init__(self, records):
        self.records = records
        self.processes = self.of("process")
        self.bursts = self.of("burst")

    def of(self, kind):
        return [r for r in self.records if r["type"] == kind]

    def made_by(self, pid):
        return [p for p in self.processes if p["ppid"] == pid]

    def below(self, pid):
        """Those of which the process is an ancestor, by the pids in their own records."""
        known, found = {pid}, []
        for process in sorted(self.processes, key=lambda p: p["start_mono_ns"]):
            if process["ppid"] in known:
                known.add(process["pid"])
                found.append(process)
        return found

    def one(self, pid):
        found = [p for p in self.processes if p["pid"] == pid]
        if len(found) != 1:
            tp.fail("%d process records of pid %d: %r" % (len(found), pid, found))
        return found[0]


class Snoop(tp.Threadprof):
    def __init__(self, *arguments):
        super().__init__("snoop", *arguments)

    def _report(self, code):
        tp.assert_equal("exit code of threadprof", code, 0)
        return Found([json.loads(line) for line in self.lines()])


def assert_no_loss(found):
    lost = found.of("lost")
    tp.assert_equal("records of what was lost", len(lost), 1)
    for record in lost:
        for cause in ("fork", "exec", "failed_exec", "exit", "missed_ends", "output"):
            tp.assert_equal("lost." + cause, record[cause], 0)


def run_workload(*arguments, options=(), seconds=40, follow=False):
    workload = tp.Workload("spawn", *arguments)
    snoop = Snoop(*options, *(("--follow", str(workload.pid)) if follow else ()))
    truth = workload.run(seconds)
    found = snoop.stop()
    workload.end()
    assert_no_loss(found)
    return truth, found


# ---- as fast as the machine goes -----------------------------------------------------------------

def check_many(count):
    truth, found = run_workload("many", str(count))
    made = {p["pid"]: p for p in found.made_by(truth["pid"])}
    tp.assert_equal("process records", len(found.made_by(truth["pid"])), count)
    off = 0
    for life in truth["lives"]:
        process = made.get(life["pid"])
        if not process:
            tp.note_failure("pid %d has no record" % life["pid"])
            continue
        # A life is between the two looks at the clock, so it is never the longer one.
        tp.assert_at_most("life of %d" % life["pid"], process["life_ns"], life["life_ns"])
        off += life["life_ns"] - process["life_ns"] > MS
        tp.assert_at_least("start of %d" % life["pid"], process["start_mono_ns"], life["begin_ns"])
        tp.assert_at_most("CPU time of %d" % life["pid"], process["cpu_ns"],
                          process["life_ns"] + 20000)
        tp.assert_at_least("CPU time of %d" % life["pid"], process["cpu_ns"], 50000)
    # The machine itself may be interrupted between the end of a process and the look at the clock.
    tp.assert_at_most("lives more than 1 ms shorter than measured", off, count // 500)
    same = [b for b in found.bursts if b["exe"] == tp.workload_path("spawn")]
    tp.assert_at_most("processes in bursts", sum(b["count"] for b in same), count)


@test("3,000 posix_spawns as fast as it goes: each has one record, with its life")
def many():
    check_many(3000)


@test("3,000 posix_spawns while all CPUs are busy")
def many_busy():
    for _ in range(2 * os.cpu_count()):
        tp.start_process(["sh", "-c", "while :; do :; done"])
    check_many(3000)


# ---- special processes ---------------------------------------------------------------------------

def check_special(kind, options=()):
    truth, found = run_workload(kind, options=options)
    life = truth["lives"][0]
    process = found.one(life["pid"])
    tp.assert_equal("ppid", process["ppid"], truth["pid"])
    tp.assert_equal("last of the ancestry", process["ancestry"][-1], "spawn")
    tp.assert_close("life_ns", process["life_ns"], life["life_ns"], rel=0, abs_ns=5 * MS)
    code, signal = os.waitstatus_to_exitcode(life["status"]), None
    if code < 0:
        code, signal = None, -code
    tp.assert_equal("exit_code", process["exit_code"], code)
    tp.assert_equal("signal", process["signal"], signal)
    return process, found


@test("a fork that never executes anything")
def fork():
    process, _ = check_special("fork")
    tp.assert_equal("execs", process["execs"], 0)
    tp.assert_equal("exit_code", process["exit_code"], 7)
    tp.assert_equal("exe", process["exe"], tp.workload_path("spawn"))


@test("an exec from a thread that is not the leader")
def exec_from_thread():
    process, _ = check_special("exec-from-thread")
    tp.assert_equal("execs", process["execs"], 1)
    tp.assert_equal("args", process["args"], [tp.workload_path("spawn"), "nap", "30"])
    tp.assert_equal("exit_code", process["exit_code"], 3)


@test("a process whose leader ends first lives until its last thread ends")
def leader_first():
    process, _ = check_special("leader-first")
    tp.assert_at_least("life_ns", process["life_ns"], 120 * MS)
    tp.assert_equal("exit_code", process["exit_code"], 0)


@test("a process that a signal kills")
def killed():
    process, _ = check_special("killed")
    tp.assert_equal("signal", process["signal"], 9)


@test("a child of vfork")
def vfork():
    process, _ = check_special("vfork")
    tp.assert_equal("args", process["args"], [tp.workload_path("spawn"), "nap", "10"])


@test("an exec that fails")
def exec_fails():
    process, found = check_special("exec-fails", options=("--failed",))
    tp.assert_equal("exit_code", process["exit_code"], 127)
    tp.assert_equal("execs", process["execs"], 0)
    failed = [r for r in found.of("exec") if r["pid"] == process["pid"]]
    tp.assert_equal("failed execs", [(r["exe"], r["error"]) for r in failed],
                    [("/nonexistent/program", "ENOENT")])


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
        snoop.stderr.readline()
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
    tp.time.sleep(0.2)
    found = snoop.stop()
    workload.end()
    assert_no_loss(found)
    orphans = found.made_by(maker)
    tp.assert_equal("exit codes", [p["exit_code"] for p in orphans], [9])
    tp.assert_equal("ancestry", [p["ancestry"][-2:] for p in orphans], [["spawn", "spawn"]])


# ---- filters -------------------------------------------------------------------------------------

@test("filters by name, life, user and descent")
def filters():
    def pids(*options):
        snoop = Snoop(*options)
        subprocess.run(["sh", "-c", "sleep 0.3; true; /bin/true"], check=True)
        subprocess.run(["setpriv", "--reuid", "65534", "/bin/true"], check=True)
        return snoop.stop()

    found = pids("--comm", "sleep", "--follow", str(os.getpid()))
    tp.assert_equal("names", {p["comm"] for p in found.processes}, {"sleep"})
    found = pids("--max-life", "100", "--follow", str(os.getpid()))
    tp.assert_equal("names", {p["comm"] for p in found.processes}, {"true"})
    found = pids("--uid", "65534", "--follow", str(os.getpid()))
    tp.assert_equal("users", [p["uid"] for p in found.processes], [65534])
    found = pids("--cgroup", "/no/such/group")
    tp.assert_equal("processes in no group", found.processes, [])
    found = pids("--exec", "--follow", str(os.getpid()))
    execs = [r["args"] for r in found.of("exec")]
    tp.assert_true("an exec record of sleep", ["sleep", "0.3"] in execs)
    tp.assert_equal("execs per process", sum(p["execs"] for p in found.processes), len(execs))


# ---- bursts --------------------------------------------------------------------------------------

@test("the story: 50 workers, launched through sh by something like cron, every 4 s")
def story():
    times, period_ms = 4, 4000
    # Of these only: what else this machine runs would be in the summary too.
    _, found = run_workload("cron", str(times), str(period_ms), follow=True)
    workers = [p for p in found.processes if (p["args"] or [])[1:] == ["burn", "650"]]
    tp.assert_equal("workers", len(workers), 50 * times)
    tp.assert_equal("their ancestry", {tuple(p["ancestry"][-2:]) for p in workers},
                    {("likecron", "sh")})
    bursts = [b for b in found.bursts if b["launcher"] == "sh"
              and b["ancestry"][-2:] == ["likecron", "sh"]]
    tp.assert_equal("bursts", [b["count"] for b in bursts], [50] * times)
    for burst in bursts:
        tp.assert_equal("exe", burst["exe"], tp.workload_path("spawn"))
        tp.assert_at_least("peak", burst["peak"], 25)
        tp.assert_at_most("peak", burst["peak"], 50)
        tp.assert_at_least("shortest of the long lives", burst["life_ns"]["p50"], 650 * MS)
        tp.assert_equal("lives", burst["life_ns"]["count"], 50)
        busy_ns = burst["duration_ns"] * os.cpu_count()
        tp.assert_at_most("CPU time", burst["cpu_ns"], busy_ns)
        tp.assert_at_least("CPU time", burst["cpu_ns"], 0.25 * 650 * MS * os.cpu_count())
    tp.assert_equal("periods of the first two", [b["period_ns"] for b in bursts[:2]], [None, None])
    for burst in bursts[2:]:
        tp.assert_close("period_ns", burst["period_ns"], period_ms * MS, rel=0.02)
        tp.assert_at_most("jitter_ns", burst["jitter_ns"], 200 * MS)
    tp.assert_equal("seen", [b["seen"] for b in bursts], list(range(1, times + 1)))
    summary = found.of("summary")[0]
    tp.assert_at_least("bursts in the summary", summary["bursts"], times)
    top = {e["exe"]: e["count"] for e in summary["executables_by_cpu"]}
    tp.assert_equal("workers in the summary", top.get(tp.workload_path("spawn")), 50 * times + 1)


@test("--burst-min and --burst-window")
def burst_options():
    def bursts(*options):
        snoop = Snoop("--follow", str(os.getpid()), *options)
        script = "for i in 1 2 3 4 5; do /bin/true; sleep 0.1; done"
        subprocess.run(["sh", "-c", script], check=True)
        found = snoop.stop()
        return [b["count"] for b in found.bursts if b["exe"].endswith("/true")]

    tp.assert_equal("by default", bursts(), [])
    tp.assert_equal("at least 5", bursts("--burst-min", "5"), [5])
    tp.assert_equal("at least 6", bursts("--burst-min", "6"), [])
    tp.assert_equal("5 within 0.2 s", bursts("--burst-min", "5", "--burst-window", "0.2"), [])


# ---- real use, against strace --------------------------------------------------------------------

def count_by_strace(command, directory):
    """How many processes, not threads, strace sees: an "exited" or "killed" line for each."""
    log = os.path.join(directory, "strace")
    subprocess.run(["strace", "-f", "-q", "-e", "trace=none", "-o", log] + command, check=True,
                   cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=40)
    with open(log) as lines:
        return sum("+++ exited" in line or "+++ killed" in line for line in lines)


def count_by_snoop(command, directory):
    snoop = Snoop()
    process = tp.start_process(command, cwd=directory, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    tp.assert_equal("exit code", process.wait(40), 0)
    found = snoop.stop()
    assert_no_loss(found)
    made = found.below(process.pid)
    return 1 + len(made), made


def need(*programs):
    for program in programs:
        if not tp.shutil.which(program):
            tp.skip("needs " + program)


@test("make -j8 of a small C project: as many processes as strace counts")
def make_project():
    need("strace", "make", "cc")
    directory = tp.temp_dir()
    for i in range(24):
        with open(os.path.join(directory, "f%d.c" % i), "w") as source:
            source.write("int f%d(int x) { return x * %d; }\n" % (i, i))
    with open(os.path.join(directory, "Makefile"), "w") as makefile:
        makefile.write("OBJ := $(patsubst %.c,%.o,$(wildcard *.c))\n"
                       "libf.a: $(OBJ)\n\tar rcs $@ $^\n"
                       "%.o: %.c\n\tcc -c $< -o $@ && test -s $@\n"
                       "clean:\n\trm -f *.o libf.a\n")
    clean = ["make", "-C", directory, "clean"]
    want = count_by_strace(["make", "-j8"], directory)
    subprocess.run(clean, check=True, stdout=subprocess.DEVNULL)
    got, made = count_by_snoop(["make", "-j8"], directory)
    tp.assert_at_least("processes", want, 75)
    tp.assert_equal("processes", got, want)
    assemblers = [p for p in made if p["comm"] == "as"]
    tp.assert_equal("assemblers", len(assemblers), 24)
    for process in assemblers[:3]:
        tp.assert_equal("who made an assembler", [process["ancestry"][-3], process["ancestry"][-1]],
                        ["make", "cc"])


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
