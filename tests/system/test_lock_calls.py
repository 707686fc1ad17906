#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Calls of lock functions (--locks=uprobe), and that looking at them harms nobody."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

ALL = ("--locks=uprobe", "--max-overhead", "100", "-i", "60")
TRIES = 3
C_FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-pthread"]

_built = {}


def build(name, *flags, compiler="cc"):
    """The workload `name`, built in another way."""
    key = (name, compiler) + flags
    if key not in _built:
        _built[key] = os.path.join(tp._build_dir.name, "%s-%d" % (name, len(_built)))
        source = os.path.join(tp.ROOT, "tests", "workload", name + ".c")
        subprocess.run([compiler] + C_FLAGS + list(flags) + ["-o", _built[key], source], check=True, timeout=60)
    return _built[key]


def locks_by_addr(report):
    return {int(lock["addr"], 16): lock for lock in report.last("locks") or []}


def observe(start, *options):
    truth, report = tp.observe(start(), *options)
    return truth["locks"], report


def assert_lock(t, lock, names):
    for key in ("kind", "acquisitions", "failed", "waits") + (("name",) if names else ()):
        tp.assert_equal("%s: %s" % (t["name"], key), lock[key], t[key])
    tp.assert_equal("%s: contended" % t["name"], lock["contended"], t["waits"])
    # A thread may lose its CPU between its look at the clock and its call, and the kernel says how long at most.
    wait_ns = lock["wait_ns"]["sum"]
    tp.assert_at_least("%s: time waited" % t["name"], wait_ns, 0.99 * (t["wait_ns"] - t["run_delay_ns"]))
    tp.assert_at_most("%s: time waited" % t["name"], wait_ns, 1.01 * t["wait_ns"])
    assert_lengths(t, lock)


def assert_lengths(t, lock):
    """Every call is in the histogram; those that slept are the longest ones."""
    calls = t["acquisitions"] + t["failed"]
    lengths = lock["latency_ns"]
    tp.assert_equal("%s: calls" % t["name"], lengths["count"], calls)
    tp.assert_equal("%s: calls in buckets" % t["name"], sum(count for _, count in lengths["buckets"]), calls)
    longest, rest = 0, t["waits"]
    for upper, count in reversed(lengths["buckets"]):
        longest += upper * min(count, rest)
        rest -= min(count, rest)
    tp.assert_close("%s: the longest calls" % t["name"], longest, lock["wait_ns"]["sum"], rel=0.017, abs_ns=0)
    tp.assert_at_most("%s: p50" % t["name"], lengths["p50"], lengths["p99"])
    tp.assert_at_most("%s: p99" % t["name"], lengths["p99"], lengths["max"])


def assert_exact(truth, report, names):
    seen = locks_by_addr(report)
    for t in truth:
        lock = seen.get(int(t["addr"], 16))
        if lock:
            assert_lock(t, lock, names)
        else:
            tp.note_failure("%s: not there" % t["name"])
    tp.assert_equal("lost calls", report.lost()["lock_calls"], 0)


def check_exact(start, *options, names=True):
    reports = []

    def measure():
        truth, report = observe(start, *(ALL + options))
        reports.append(report)
        assert_exact(truth, report, names)
    tp.measure_again(measure, TRIES, is_excused=lambda line: ": time waited" in line)
    return reports[-1]


def locks_feature(report):
    """What was said last."""
    return [r for r in report.records if r.get("type") == "feature" and r["name"] == "locks"][-1]


# ---- exact, wherever the functions are -----------------------------------------------------------

@test("every lock: acquisitions and waits exact, the time waited within 1 %")
def exact():
    report = check_exact(lambda: tp.Workload("locks"))
    tp.assert_equal("state", locks_feature(report)["state"], "on")
    tp.assert_at_least("what the calls cost", report.last("lock_probes.cost_ns"), 1)


@test("a static program")
def static_program():
    check_exact(lambda: tp.Workload("locks", command=[build("locks", "-static")]))


@test("musl, dynamic and static")
def musl():
    check_exact(lambda: tp.Workload("locks", command=[build("locks", compiler="musl-gcc")]))
    check_exact(lambda: tp.Workload("locks", command=[build("locks", "-static", compiler="musl-gcc")]))


def in_own_root():
    """With a C library of its own, at a path where the host has another one."""
    binary, root = build("locks"), tp.temp_dir()
    libraries = [word for word in subprocess.check_output(["ldd", binary], text=True).split() if word[0] == "/"]
    script = "set -e; mount -t tmpfs none '%s'; cd '%s'; mkdir proc; mount -t proc none proc; cp '%s' program\n" % (
        root, root, binary)
    for path in libraries:
        script += "mkdir -p .%s; cp -L %s .%s\n" % (os.path.dirname(path), path, path)
    return tp.Workload("locks", command=["unshare", "-m", "sh", "-c", script + "exec chroot . /program"])


@test("in another mount namespace with another root")
def another_root():
    check_exact(in_own_root)


@test("probes one by one, as on kernels that have no many of them in one link")
def one_by_one():
    report = check_exact(lambda: tp.Workload("locks"), "--refuse", "uprobe_multi")
    tp.assert_equal("state", locks_feature(report)["state"], "fallback")


@test("a process that is started later, and one that becomes another program")
def started_later():
    for command in ("read x; exec %s", "read x; %s <&0 & wait"):
        shell = tp.start_process(["bash", "-c", command % tp.workload_path("locks")], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        profiler = tp.Threadprof("-f", "-p", str(shell.pid), *ALL)
        workload = tp.start_in_shell(shell, "locks")
        truth = workload.run()
        report = profiler.stop()
        workload.end()
        seen = locks_by_addr(report)
        for t in truth["locks"]:
            lock = seen.get(int(t["addr"], 16)) or {}
            for key in ("acquisitions", "failed", "waits"):
                tp.assert_equal("%s: %s" % (t["name"], key), lock.get(key), t[key])


# ---- nobody is harmed ----------------------------------------------------------------------------

def rates(slices, begin_ns, end_ns):
    """Pairs a second of CPU time, of the slices inside."""
    return [pairs * 1e9 / cpu_ns for at_ns, cpu_ns, pairs in slices if begin_ns <= at_ns and at_ns + 2e7 < end_ns]


def speed(slices, windows):
    """
    What others do to the machine slows some slices down, and none is faster than the lock. What costs something at
    each pair is in every slice.
    """
    of_slices = sorted(rate for window in windows for rate in rates(slices, *window))
    return of_slices[len(of_slices) * 9 // 10] if of_slices else 0


def run_flood(nr_windows=6, window_s=0.25):
    """
    Slices; windows without and with threadprof by turns; the report of --locks=uprobe, its begin and end; the window
    after it.
    """
    workload = tp.Workload("flood")
    windows = {False: [], True: []}
    workload.go()
    for _ in range(nr_windows):
        for attached in windows:
            profiler = tp.Threadprof("-p", str(workload.pid), "-i", "60") if attached else None
            begin_ns = time.monotonic_ns()
            time.sleep(window_s)
            windows[attached].append((begin_ns, time.monotonic_ns()))
            if profiler:
                profiler.stop()
    begin_ns = time.monotonic_ns()
    profiler = tp.Threadprof("-p", str(workload.pid), "--locks=uprobe", "--max-overhead", "5", "-i", "60")
    time.sleep(1)
    end_ns = time.monotonic_ns()
    report = profiler.stop()
    left_ns = time.monotonic_ns()
    time.sleep(2 * window_s)
    rest = left_ns, time.monotonic_ns()
    workload.go()
    slices = workload.truth()["slices"]
    workload.end()
    return slices, windows, report, begin_ns, end_ns, rest


def assert_speeds(slices, windows, begin_ns, end_ns, rest):
    base = speed(slices, windows[False])
    tp.assert_at_least("speed beside threadprof", speed(slices, windows[True]) / base, 0.99)
    slow = [s for s in slices if s[0] >= begin_ns and s[2] * 1e9 / s[1] < base / 2]
    after_ns = slow[-1][0] + 20e6 if slow else begin_ns
    # Against the speed of just then: what else runs on the machine comes and goes.
    tp.assert_at_least("speed after the probes have gone", speed(slices, [(after_ns, end_ns)]),
                       0.99 * min(base, speed(slices, [rest])))
    slow_ns = sum(s[1] for s in slow)
    tp.assert_at_least("time with probes", slow_ns, 1)
    tp.assert_at_most("time with probes", slow_ns, 500e6)


@test("50 million pairs a second: as fast as ever, and --locks=uprobe lets go at once")
def flood():
    reports = []

    def measure():
        slices, windows, report, begin_ns, end_ns, rest = run_flood()
        reports.append(report)
        assert_speeds(slices, windows, begin_ns, end_ns, rest)
    tp.measure_again(measure, TRIES + 2, is_excused=lambda line: line.startswith(("speed", "time with")))
    feature = locks_feature(reports[-1])
    tp.assert_equal("state", feature["state"], "fallback")
    tp.assert_true("the reason", "cost more than 5.0 % of a CPU" in feature["reason"])
    tp.assert_equal("probes are in", reports[-1].last("lock_probes.active"), False)
    tp.assert_equal("reason in the report", reports[-1].last("lock_probes.reason"), feature["reason"])


@test("the text says that the probes were taken away")
def text_says_so():
    workload = tp.Workload("flood")
    workload.go()
    text = subprocess.run([tp.THREADPROF, "-p", str(workload.pid), "--locks=uprobe", "-d", "1"], timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    workload.go()
    workload.truth()
    workload.end()
    tp.assert_true("in the report", "!! the probes on lock functions were taken away:" in text)


@test("attached and detached 20 times under load: the target goes on and computes right")
def twenty_times():
    workload = tp.Workload("locks", "--rounds", "150", "--hold-ms", "4", "--quick", "2000")
    workload.go()
    for i in range(20):
        # Also one that the guard ends, and one that ends at once.
        options = ("--max-overhead", "0.1" if i % 4 == 3 else "100", "-d", "0.01" if i % 4 == 1 else "0.15")
        code = subprocess.run([tp.THREADPROF, "-p", str(workload.pid), "--locks=uprobe"] + list(options),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20).returncode
        tp.assert_equal("exit code of threadprof", code, 0)
        tp.assert_equal("the target", workload.process.poll(), None)
    # Its exit code tells whether what its locks protect is right.
    workload.truth()
    workload.end()


@test("a jump out of a lock function is counted as lost, and what comes after it is not")
def jumps():
    truth, report = tp.observe(tp.Workload("lock_jump"), *ALL)
    lock = locks_by_addr(report).get(int(truth["addr"], 16)) or {}
    tp.assert_equal("acquisitions", lock.get("acquisitions"), truth["acquisitions"])
    tp.assert_equal("lost calls", report.lost()["lock_calls"], truth["jumps"])


# ---- refused -------------------------------------------------------------------------------------

def expect_refused(start, *words):
    """With the reason, and the waits that the scheduler sees."""
    truth, report = observe(start, *ALL)
    feature = locks_feature(report)
    tp.assert_equal("state", feature["state"], "fallback")
    for word in words:
        tp.assert_true("the reason has %r: %s" % (word, feature["reason"]), word in feature["reason"])
    tp.assert_true("a remedy", feature["remedy"])
    tp.assert_equal("calls", report.last("lock_probes.calls"), 0)
    tp.assert_equal("probes are in", report.last("lock_probes.active"), False)
    plain = locks_by_addr(report).get(int(truth[0]["addr"], 16)) or {}
    tp.assert_at_least("waits that the scheduler saw", plain.get("waits"), 1)
    tp.assert_equal("acquisitions", plain.get("acquisitions"), None)


def change(binary, *command):
    """A copy that binutils have changed."""
    changed = os.path.join(tp.temp_dir(), "changed")
    subprocess.run(list(command) + [binary, changed], check=True)
    return changed


@test("a Go program is refused")
def go_program():
    note = os.path.join(tp.temp_dir(), "note")
    with open(note, "w") as out:
        out.write("Go build id")
    binary = change(build("locks"), "objcopy", "--add-section", ".note.go.buildid=" + note)
    expect_refused(lambda: tp.Workload("locks", command=[binary]), "Go program")


@test("a stripped static program is refused")
def stripped():
    binary = change(build("locks", "-static"), "objcopy", "--strip-all")
    expect_refused(lambda: tp.Workload("locks", command=[binary]), "no lock function is found")


@test("a program with coroutines is refused")
def coroutines():
    binary = build("locks", "-Wl,--undefined=swapcontext", "-Wl,--no-as-needed")
    expect_refused(lambda: tp.Workload("locks", command=[binary]), "coroutines")


@test("a program under a seccomp filter is refused")
def seccomp():
    # Allows everything, which nobody can know.
    under_filter = ("import ctypes, os, struct, sys; c = ctypes.CDLL(None); "
                    "f = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000)); "
                    "p = struct.pack('HxxxxxxQ', 1, ctypes.addressof(f)); "
                    "c.prctl(38, 1, 0, 0, 0) or c.prctl(22, 2, p) or os.execv(sys.argv[1], sys.argv[1:])")
    expect_refused(lambda: tp.Workload("locks", command=[sys.executable, "-c", under_filter, build("locks")]), "seccomp")


@test("--locks=off: no locks, and the states all the same")
def off():
    truth, report = observe(lambda: tp.Workload("locks"), "--locks=off", "-i", "60")
    tp.assert_equal("locks", report.last("locks"), None)
    tp.assert_equal("feature", locks_feature(report)["reason"], "asked for with --locks=off")
    states = [thread["state_ns"]["lock"] for thread in report.threads().values()]
    tp.assert_at_least("time in the state lock", sum(states), sum(t["wait_ns"] for t in truth) * 0.5)


tp.main()
