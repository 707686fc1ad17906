# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What the system tests share: TAP output, processes with bounded waits, threadprof's reports.

A test file is a list of functions marked @test("name") and a last line tp.main(). Assertions note
a failure and go on, so that one run shows every wrong number; fail() and any exception end the
test. THREADPROF names the binary under test, and arguments choose the tests whose name contains
one of them.
"""
import atexit
import json
import math
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import machine
from machine import Watch, strangers_ns  # noqa: F401 (for the tests)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
THREADPROF = os.environ.get("THREADPROF", os.path.join(ROOT, "threadprof"))
# Only for what hangs: on a loaded machine everything takes some times as long.
TEST_LIMIT_S = 180
PATIENCE_S = 60
STATES = ("cpu", "runq", "lock", "wait", "disk", "net", "idle", "sleep", "other")

_tests = []
_failures = []
# What measure_again() tried in vain is not tried again with the whole test.
_given_up = []
_processes = []
_temp_dirs = []


# ---- TAP -----------------------------------------------------------------------------------------

class Skip(Exception):
    """Ends a test as skipped."""


class Fail(Exception):
    """Ends a test as failed: nothing after this point would mean anything."""


def test(name):
    def add(function):
        _tests.append((name, function))
        return function
    return add


def skip(reason):
    raise Skip(reason)


def fail(reason):
    raise Fail(reason)


def note_failure(text):
    _failures.append(text)


def _on_alarm(_signum, _frame):
    raise Fail("no end after %d s" % TEST_LIMIT_S)


def _outcome(function):
    """Runs one test. Returns (ok, skip reason or None, lines that say what was wrong)."""
    _failures.clear()
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.alarm(TEST_LIMIT_S)
    try:
        function()
    except Skip as reason:
        return True, str(reason), []
    except Fail as reason:
        _failures.append(str(reason))
    except Exception:
        _failures.extend(traceback.format_exc().splitlines())
    finally:
        signal.alarm(0)
        _clean_up()
    return not _failures, None, list(_failures)


def _print_result(number, name, outcome):
    ok, skipped, lines = outcome
    directive = " # SKIP " + skipped if skipped else ""
    print("%s %d - %s%s" % ("ok" if ok else "not ok", number, name, directive))
    for line in lines:
        for part in str(line).splitlines():
            print("#   " + part)
    sys.stdout.flush()


# What nobody saw may still have come between: a measurement may fail on a machine that looks idle.
TRIES_WHEN_IDLE = 3


def _outcome_of_tries(function, tries, forget):
    """A test that fails while others use the machine is tried again; left alone, three times."""
    _given_up.clear()
    for attempt in range(1, tries + 1):
        watch = Watch()
        outcome = _outcome(function)
        if outcome[0] or attempt == tries or _given_up or is_left_alone(watch, attempt):
            return outcome
        _print_try("tried again", watch, outcome[2])
        if forget:
            forget()


def main(tries=1, forget=None):
    """tries: how often a test may be run, if it fails on a machine that others use. forget: called
    before it is run again, to drop what tests share."""
    words = sys.argv[1:]
    chosen = [t for t in _tests if not words or any(w in t[0] for w in words)]
    bad = 0
    for number, (name, function) in enumerate(chosen, 1):
        outcome = (True, "needs root", []) if os.geteuid() else _outcome_of_tries(function, tries, forget)
        bad += not outcome[0]
        _print_result(number, name, outcome)
    print("1..%d" % len(chosen))
    sys.exit(1 if bad or not chosen else 0)


# ---- assertions ----------------------------------------------------------------------------------

def assert_true(name, value):
    if not value:
        note_failure("%s: not true (%r)" % (name, value))


def assert_equal(name, got, want):
    if got != want:
        note_failure("%s: got %r, want %r" % (name, got, want))


def assert_at_most(name, got, limit):
    if got is None or got > limit:
        note_failure("%s: got %r, at most %r allowed" % (name, got, limit))


def assert_at_least(name, got, limit):
    if got is None or got < limit:
        note_failure("%s: got %r, at least %r wanted" % (name, got, limit))


def assert_close(name, got, want, rel=0.02, abs_ns=50000):
    """Passes when the difference is within rel of want, or within abs_ns."""
    if got is None:
        note_failure("%s: got nothing, want %s" % (name, _number(want)))
        return
    difference = abs(got - want)
    if difference > abs_ns and difference > rel * abs(want):
        percent = 100.0 * difference / want if want else float("inf")
        note_failure("%s: got %s, want %s: off by %s (%.2f %%)"
                     % (name, _number(got), _number(want), _number(difference), percent))


def assert_no_loss(report):
    lost = report.lost()
    if not lost:
        note_failure("lost: no interval says what was lost")
    for cause, number in sorted(lost.items()):
        if number:  # None: this kernel does not tell
            note_failure("lost.%s: got %r, want 0" % (cause, number))


def demand_accounted(report, sent):
    """What was delivered and what was lost is what was sent, on the busiest machine: if not, no other try."""
    delivered, lost = report.total("requests.count"), report.lost().get("ring_buffer")
    if lost is None or delivered + lost != sent:
        fail("requests: %r delivered and %r lost are not the %r that were sent" % (delivered, lost, sent))


# ---- a machine that others use too ----------------------------------------------------------------

def is_left_alone(watch, attempt):
    """Whether a failure counts, though there are tries left: others did not use the machine meanwhile."""
    return attempt >= TRIES_WHEN_IDLE and not watch.was_busy() and machine.is_quiet(workload_path("noise"))


def _print_try(title, watch, wrong):
    wall_ns, stolen_ns, strange_ns = watch.passed()
    print("# %s: in %.1f s the hypervisor took %.0f ms, other processes %.0f ms"
          % (title, wall_ns / 1e9, stolen_ns / 1e6, strange_ns / 1e6))
    for line in wrong:
        print("#   before: " + line)


def measure_again(measure, tries, is_excused=None):
    """For what a busy machine can spoil: another try, if one failed on such a machine.

    A measurement that fails so often on a machine which was left alone has failed, unless all that was wrong
    is_excused(): a caller knows what the truth it compares with cannot be trusted in.
    """
    earlier = len(_failures)
    for attempt in range(1, tries + 1):
        watch = Watch()
        # Each try may take as long as a test.
        signal.alarm(TEST_LIMIT_S)
        measure()
        wrong = _failures[earlier:]
        if not wrong:
            return
        is_excusable = is_excused and all(is_excused(line) for line in wrong)
        if attempt == tries or (not is_excusable and is_left_alone(watch, attempt)):
            _given_up.append(measure)
            return
        _print_try("measured again", watch, wrong)
        del _failures[earlier:]


def _number(value):
    return "%.6g" % value if isinstance(value, float) and value < 1000 else "{:,.0f}".format(value)


# ---- waiting, ports, temporary directories -------------------------------------------------------

def wait_until(condition, seconds=PATIENCE_S, what="condition"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.01)
    return fail("%s: not within %g s" % (what, seconds))


def free_port():
    """One below those that the kernel gives to clients: no connection takes it before the server does."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as limits:
        first = int(limits.read().split()[0])
    for _ in range(1000):
        port = random.randrange(10000, first) if first > 20000 else 0
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    return fail("no free port")


def _is_listening(port):
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table) as sockets:
            fields = [line.split() for line in sockets][1:]
        if any(f[3] == "0A" and int(f[1].rsplit(":", 1)[1], 16) == port for f in fields):
            return True
    return False


def wait_for_port(port, seconds=PATIENCE_S):
    """Without a connection of our own, which the server could still be busy with when we count."""
    wait_until(lambda: _is_listening(port), seconds, "somebody who listens on port %d" % port)


def temp_dir():
    path = tempfile.mkdtemp(prefix="threadprof-test-")
    # Servers that drop root must still reach what is in it.
    os.chmod(path, 0o755)
    _temp_dirs.append(path)
    return path


def is_on_disk(directory):
    """Direct I/O works on some kernels' tmpfs too, but there is nothing to wait for."""
    best, kind = "", ""
    with open("/proc/self/mounts") as mounts:
        for line in mounts:
            _, point, this_kind = line.split()[:3]
            path = os.path.realpath(directory)
            if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                best, kind = point, this_kind
    return kind not in ("tmpfs", "ramfs")


def disk_dir():
    candidates = (os.environ.get("TMPDIR"), "/var/tmp", ROOT)
    directory = next((d for d in candidates if d and is_on_disk(d)), None)
    return directory or skip("no directory here takes direct I/O (all of them are in memory)")


# ---- processes -----------------------------------------------------------------------------------

def start_process(argv, **options):
    process = subprocess.Popen([str(a) for a in argv], **options)
    _processes.append(process)
    return process


def stop_process(process, sig=signal.SIGTERM, seconds=10):
    """Ends a process that was started here, by force if it must be, and returns its exit code."""
    if process.poll() is None:
        process.send_signal(sig)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def stop_all():
    """Ends what was started here, and removes the directories that were made here."""
    _clean_up()


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as listing:
        return [int(word) for word in listing.read().split()]


def is_asleep(pid):
    """All its threads wait for something: what they had begun is done, the system calls too."""
    for tid in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/stat" % (pid, tid)) as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] != "S":
                    return False
        except OSError:
            pass
    return True


def sockets_of(pid):
    """How many sockets a process has: the one sign outside that it is done with a connection."""
    number = 0
    for entry in os.listdir("/proc/%d/fd" % pid):
        try:
            number += os.readlink("/proc/%d/fd/%s" % (pid, entry)).startswith("socket:")
        except OSError:
            pass
    return number


def _clean_up():
    """After every test: what a failed one left running would disturb the next.

    A killed nginx master leaves its workers behind, so everybody is asked first.
    """
    for process in _processes:
        if process.poll() is None:
            process.terminate()
    for process in _processes:
        stop_process(process, seconds=3)
    _processes.clear()
    while _temp_dirs:
        shutil.rmtree(_temp_dirs.pop(), ignore_errors=True)


def _on_term(_signum, _frame):
    sys.exit(1)


atexit.register(_clean_up)
signal.signal(signal.SIGTERM, _on_term)


# ---- workloads -----------------------------------------------------------------------------------

_built = {}
# Outlives the tests' own directories.
_build_dir = tempfile.TemporaryDirectory(prefix="threadprof-test-")


def _compile(source, binary):
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-pthread", "-fno-omit-frame-pointer"]
    command = [os.environ.get("CC", "cc")] + flags + ["-o", binary, source]
    subprocess.run(command, check=True, timeout=60)


def _last_change(dependencies):
    """Of the sources that the build noted."""
    with open(dependencies) as noted:
        words = noted.read().replace(":", " ").split()
    paths = [os.path.join(ROOT, word) for word in words if word.endswith((".c", ".h"))]
    return max((os.path.getmtime(path) if os.path.exists(path) else math.inf) for path in paths)


def workload_path(name):
    """The workload that the build made, or one compiled here: a test file runs on its own too."""
    if os.path.isabs(name):
        return name
    source = os.path.join(ROOT, "tests", "workload", name + ".c")
    ready = os.path.join(ROOT, "build", "workload", name)
    if os.access(ready, os.X_OK) and os.path.getmtime(ready) >= _last_change(ready + ".d"):
        return ready
    if name not in _built:
        _built[name] = os.path.join(_build_dir.name, name)
        _compile(source, _built[name])
    return _built[name]


class Workload:
    """A known-answer program: is ready, starts on a line, tells the truth, ends with its input."""

    def __init__(self, name, *arguments, command=None, process=None):
        """command: how it is started, where not by its path; process: one that becomes it."""
        self.process = process or start_process((command or [workload_path(name)]) + list(arguments),
                                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._rest = b""
        self.ready = self._read("ready", PATIENCE_S)
        self.pid = self.ready["pid"]

    def _read(self, kind, seconds):
        end = time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                fail("workload: no %s line within %g s" % (kind, seconds))
            data = os.read(fd, 65536)
            if not data:
                fail("workload: ended before its %s line" % kind)
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        record = json.loads(line)
        if record["type"] != kind:
            fail("workload: %r instead of a %s line" % (record["type"], kind))
        return record

    def go(self):
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def truth(self, seconds=100):
        return self._read("truth", seconds)

    def run(self, seconds=100):
        self.go()
        return self.truth(seconds)

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        if code:
            fail("workload: exit code %d: its server and its client disagree" % code)


def start_in_shell(shell, name):
    """The workload that a shell, which reads a line first, becomes or runs; found in /proc some 50 ms after its exec."""
    shell.stdin.write(b"go\n")
    shell.stdin.flush()
    workload = Workload(name, process=shell)
    time.sleep(1)
    return workload


def observe(workload, *options, command=(THREADPROF,)):
    """Profiles a workload from before its start to its end. Returns its truth, and the report."""
    profiler = Threadprof("-p", str(workload.pid), *options, command=command)
    truth = workload.run()
    report = profiler.stop()
    workload.end()
    return truth, report


# ---- threadprof and its reports ------------------------------------------------------------------

class Threadprof:
    """One run of threadprof --json. Its output goes to files: a full pipe would change the run."""

    def __init__(self, *arguments, ready_seconds=PATIENCE_S, command=(THREADPROF,)):
        if not os.access(THREADPROF, os.X_OK):
            fail("%s is not built" % os.path.basename(THREADPROF))
        directory = temp_dir()
        self._out = os.path.join(directory, "stdout")
        self._err = os.path.join(directory, "stderr")
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            # Details stay on, however slow the machine is.
            budget = [] if arguments[:1] == ("snoop",) else ["--max-overhead", "100"]
            self.process = start_process(list(command) + budget + list(arguments) + ["--json"],
                                         stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self._await_attached(ready_seconds)

    def errors(self):
        with open(self._err, errors="replace") as err:
            return err.read()

    def _fail_ended(self, when):
        fail("threadprof ended %s, code %d: %s" % (when, self.process.returncode, self.errors()))

    def _await_attached(self, seconds):
        end = time.monotonic() + seconds
        while "attached" not in self.errors():
            if self.process.poll() is not None:
                self._fail_ended("before it was attached")
            if time.monotonic() > end:
                stop_process(self.process, signal.SIGKILL)
                fail("threadprof not attached within %g s: %s" % (seconds, self.errors()))
            time.sleep(0.01)

    def lines(self):
        with open(self._out, errors="replace") as out:
            return out.read().splitlines()

    def _report(self, code):
        assert_equal("exit code of threadprof", code, 0)
        records = []
        for line in self.lines():
            try:
                records.append(json.loads(line))
            except ValueError:
                note_failure("not a line of JSON: %r" % line[:200])
        return Report(records)

    def stop(self, sig=signal.SIGINT, seconds=PATIENCE_S):
        if self.process.poll() is not None:
            self._fail_ended("by itself")
        return self._report(stop_process(self.process, sig, seconds))

    def wait(self, seconds=PATIENCE_S):
        """For runs that end by themselves."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            stop_process(self.process, signal.SIGKILL)
            fail("threadprof had not ended after %g s: %s" % (seconds, self.errors()))
        return self._report(code)


def at(record, path):
    """record["a"]["b"] for "a.b", and None where a step is missing or null."""
    for step in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record.get(step)
    return record


def merge_histograms(parts):
    """One histogram of several intervals' ones. None when none of them was measured."""
    parts = [p for p in parts if p is not None]
    if not parts:
        return None
    count = sum(p["count"] for p in parts)
    total = sum(p["count"] * (p["mean"] or 0) for p in parts)
    buckets = {}
    for part in parts:
        for upper, number in part.get("buckets") or []:
            buckets[upper] = buckets.get(upper, 0) + number
    merged = {"count": count, "sum": total, "mean": total / count if count else 0,
              "max": max(p["max"] or 0 for p in parts), "buckets": sorted(buckets.items())}
    if len(parts) == 1:
        merged.update({key: parts[0].get(key) for key in ("p50", "p90", "p99")})
    return merged


class Report:
    """The records of one run; sums over all its intervals, the last partial one included."""

    def __init__(self, records):
        self.records = records
        self.intervals = [r for r in records if r.get("type") == "interval"]
        if not self.intervals:
            fail("threadprof reported no interval")

    def values(self, path):
        return [at(interval, path) for interval in self.intervals]

    def last(self, path):
        return at(self.intervals[-1], path)

    def total(self, path):
        """The sum, or None if one interval has no such number: "not measured" is not 0."""
        values = self.values(path)
        return None if any(v is None for v in values) else sum(values)

    def largest(self, path):
        values = [v for v in self.values(path) if v is not None]
        return max(values) if values else None

    def histogram(self, path):
        return merge_histograms(self.values(path))

    def duration_ns(self):
        return self.total("duration_ns")

    def queue_integral_ns(self):
        """Mean depth times duration: what all the connections together spent in the queue."""
        parts = [(at(i, "queue.avg"), at(i, "duration_ns")) for i in self.intervals]
        return None if any(None in p for p in parts) else sum(a * d for a, d in parts)

    def lost(self):
        lost = {}
        for interval in self.intervals:
            for cause, number in (interval.get("lost") or {}).items():
                lost[cause] = lost.get(cause, 0) + number if number is not None else number
        return lost

    def threads(self):
        """tid -> wall_ns, requests and state_ns, summed over the intervals."""
        threads = {}
        for interval in self.intervals:
            for entry in interval.get("threads") or []:
                empty = {"wall_ns": 0, "requests": 0, "comm": None, "state_ns": {}}
                thread = threads.setdefault(entry["tid"], empty)
                thread["wall_ns"] += entry["wall_ns"]
                thread["requests"] += entry.get("requests") or 0
                thread["comm"] = entry.get("comm")
                for state, ns in entry["state_ns"].items():
                    thread["state_ns"][state] = thread["state_ns"].get(state, 0) + ns
        return threads

    def lock(self, addr):
        """One lock's figures over all intervals, or None when no interval has it."""
        entries = [lock for i in self.intervals for lock in i.get("locks") or []
                   if int(lock["addr"], 16) == int(addr, 16)]
        if not entries:
            return None
        return {"waits": sum(e["waits"] for e in entries),
                "wait_ns": merge_histograms([e["wait_ns"] for e in entries]),
                "owners": {e.get("owner_tid") for e in entries},
                "names": {e.get("name") for e in entries},
                "kinds": {e.get("kind") for e in entries}}


def assert_states_add_up(report, rel=0.005):
    """Per interval and thread: in a sum one interval's error could hide another's."""
    for number, interval in enumerate(report.intervals):
        for thread in interval.get("threads") or []:
            where = "interval %d, thread %s (%s)" % (number, thread["tid"], thread.get("comm"))
            unknown = set(thread["state_ns"]) - set(STATES)
            if unknown:
                note_failure("%s: unknown states %s" % (where, sorted(unknown)))
            assert_close(where + ": sum of state_ns", sum(thread["state_ns"].values()),
                         thread["wall_ns"], rel=rel, abs_ns=0)
