#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Who ran while the target waited for a CPU.

The target spins, so it wants a CPU all the time: what a spinner on the same CPU uses, it takes from the
target, and the kernel's own account of both processes says how much that was.
"""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

MS = 1000000
# A name that nothing else here has.
THIEF = "cpu-thief"
# Both sides before everybody else: what others take from the target is not what is asked here.
NICE = -20


def cpus(number):
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < number:
        tp.skip("needs %d CPUs" % number)
    return allowed[-number:]


def set_group_nice(nice):
    """Where the kernel groups processes by session, nice alone counts only within the session."""
    try:
        with open("/proc/self/autogroup", "w") as group:
            group.write(str(nice))
    except OSError:
        pass


def measure(function):
    set_group_nice(NICE)
    try:
        tp.measure_again(function, 5)
    finally:
        set_group_nice(0)


class Placed:
    """While it lasts, what is started here runs on these CPUs."""

    def __init__(self, *cpu_list):
        self.cpus = set(cpu_list)

    def __enter__(self):
        self.before = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
        os.sched_setaffinity(0, self.cpus)
        os.setpriority(os.PRIO_PROCESS, 0, NICE)

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.before[0])
        os.setpriority(os.PRIO_PROCESS, 0, self.before[1])


class Thief:
    """A shell that loops without a child, under an executable and a name of its own."""

    def __init__(self, cpu):
        self.exe = os.path.join(tp.temp_dir(), THIEF)
        with open(os.path.realpath("/bin/sh"), "rb") as shell, open(self.exe, "wb") as copy:
            copy.write(shell.read())
        os.chmod(self.exe, 0o755)
        self.cpu = cpu
        self.process = None

    def start(self):
        with Placed(self.cpu):
            self.process = tp.start_process([self.exe, "-c", "while :; do :; done"])
        tp.wait_until(lambda: self.cpu_ns() > 20 * MS, 5, "spinner")

    def cpu_ns(self):
        with open("/proc/%d/schedstat" % self.process.pid) as stat:
            return int(stat.read().split()[0])

    def stop(self):
        tp.stop_process(self.process, signal.SIGKILL)


def target(name, *cpu_list):
    with Placed(*cpu_list):
        return tp.Workload("states", name)


def observe(targets, thieves, interval="60"):
    """Returns what each target knows, the report, and what the thieves used meanwhile."""
    watch = tp.Watch()
    profiler = tp.Threadprof("-p", ",".join(str(t.pid) for t in targets), "-i", interval)
    # Only now: with all CPUs taken, it would be long until threadprof is attached.
    for thief in thieves:
        thief.start()
    before = sum(thief.cpu_ns() for thief in thieves)
    for one in targets:
        one.go()
    truths = [one.truth() for one in targets]
    used_ns = sum(thief.cpu_ns() for thief in thieves) - before
    for thief in thieves:
        thief.stop()
    report = profiler.stop()
    for one in targets:
        one.end()
    report.strangers_ns = watch.passed()[2]
    return truths, report, used_ns


def stolen(report, **wanted):
    """Nanoseconds over all intervals, of the entries whose fields are as wanted."""
    entries = [e for i in report.intervals for e in i["stolen_cpu"]]
    return sum(e["ns"] for e in entries if all(e[key] == wanted[key] for key in wanted))


def runq_ns(report):
    return sum(thread["state_ns"]["runq"] for thread in report.threads().values())


def assert_sums(truths, report):
    tp.assert_close("sum of stolen_cpu against runq", stolen(report), runq_ns(report), rel=0.05,
                    abs_ns=MS)
    delay_ns = sum(thread["run_delay_ns"] for truth in truths for thread in truth["threads"])
    tp.assert_at_least("script: the kernel's run delay", delay_ns, 150 * MS)
    tp.assert_close("sum of stolen_cpu against the kernel's run delay", stolen(report), delay_ns,
                    rel=0.05, abs_ns=MS)
    tp.assert_states_add_up(report)
    tp.assert_no_loss(report)


def stolen_by_ours(report):
    """What others on this machine used, by the kernel's account, they may have taken from the target."""
    return max(1, stolen(report) - min(report.strangers_ns, stolen(report) // 2))


def assert_named(report, thieves, used_ns):
    ours = sum(stolen(report, comm=THIEF, own=False, exe=thief.exe) for thief in thieves)
    known_ns = stolen_by_ours(report)
    tp.assert_at_least("named: share of %d ms" % (known_ns // MS), ours / known_ns, 0.95)
    tp.assert_close("named: against what the thief used", ours, used_ns, rel=0.05, abs_ns=5 * MS)


@test("a spinner on the target's CPU is named, with at least 95 % of the stolen time")
def named():
    def once():
        cpu = cpus(1)[0]
        thieves = [Thief(cpu)]
        truths, report, used_ns = observe([target("cpu", cpu)], thieves, "0.2")
        assert_sums(truths, report)
        assert_named(report, thieves, used_ns)
    measure(once)


@test("the target's own threads are labelled")
def own():
    def once():
        truths, report, _ = observe([target("runq", cpus(1)[0])], [])
        assert_sums(truths, report)
        share = stolen(report, own=True, comm="states") / stolen_by_ours(report)
        tp.assert_at_least("share of the target's own threads", share, 0.95)
    measure(once)


@test("the target's own threads and a spinner side by side: each with what it took")
def own_and_spinner():
    def once():
        cpu = cpus(1)[0]
        thief = Thief(cpu)
        truths, report, used_ns = observe([target("runq", cpu)], [thief])
        assert_sums(truths, report)
        # Two threads wait while the spinner runs, and one while the other does.
        tp.assert_close("taken by the spinner", stolen(report, exe=thief.exe, own=False),
                        2 * used_ns, rel=0.05, abs_ns=10 * MS)
        cpu_ns = sum(t["cpu_clock_ns"] for t in truths[0]["threads"])
        tp.assert_close("taken by the target's own threads", stolen(report, own=True), cpu_ns,
                        rel=0.05, abs_ns=10 * MS)
    measure(once)


@test("a target on two CPUs, each with its spinner")
def two_cpus():
    def once():
        pair = cpus(2)
        thieves = [Thief(cpu) for cpu in pair]
        truths, report, used_ns = observe([target("cpu", cpu) for cpu in pair], thieves)
        assert_sums(truths, report)
        # The target's two processes need not end at once; a spinner alone on its CPU steals from nobody.
        assert_named(report, thieves, min(used_ns, stolen(report)))
        for thief in thieves:
            tp.assert_at_least("taken by the spinner %s" % thief.exe,
                               stolen(report, exe=thief.exe), 0.3 * stolen(report))
    measure(once)


@test("a target that may move between two CPUs with a spinner on each")
def moving():
    def once():
        pair = cpus(2)
        thieves = [Thief(cpu) for cpu in pair]
        # Three waiting threads on two CPUs: the load balancer moves them about.
        targets = [target("cpu", *pair) for _ in range(3)]
        truths, report, _ = observe(targets, thieves)
        assert_sums(truths, report)
        ours = sum(stolen(report, exe=thief.exe) for thief in thieves)
        named_ns = ours + stolen(report, own=True)
        tp.assert_at_least("share of the spinners and of the target's own",
                           named_ns / stolen_by_ours(report), 0.95)
        tp.assert_at_least("share of the spinners", ours / max(1, stolen(report)), 0.2)
    measure(once)


@test("nobody steals from a target that waits for nothing but time")
def sleeper():
    _, report = tp.observe(tp.Workload("states", "sleep"), "-i", "60")
    tp.assert_at_most("sum of stolen_cpu against runq", stolen(report), runq_ns(report) + MS)


tp.main()
