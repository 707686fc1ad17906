#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""What a guest brought back: are the numbers right? usage: judge.py SUITE DIRECTORY COLUMNS [last]

Prints a TAP line for each thing that must hold, without numbers and plan, and appends the kernel's
column of the table to the file COLUMNS. Exit code 1: something is wrong; 2: something may be, and a second
run is to tell.

Wrong times get a second run. So does whatever is wrong while the emulation was disturbed: the host gave
its processor to others, or the guest's own pulse has a gap. Then what the guest's kernel and threadprof
read off the clock a moment apart may be anything apart, and a workload may not come to its end in time.
With "last", what is wrong fails, or is skipped with the reason if the emulation was disturbed again. Of wrong
times only those fail that were wrong in both runs: a fault meets the same state of the same thread again, a
host that takes its processor away unseen does not.

The same goes for runs of a program that the kernel has skipped. Where it preempts itself, as 7.3 does, a thread may
lose its processor in the middle of bpf(2), and until it goes on no program of a perf event runs there. threadprof
does its long calls at a priority that keeps the processor; the short ones hardly ever meet a switch.

Emulation makes a switch cost as much as a small script, and two profilers at once twice that; so a
state may be off by a twentieth of its thread's wall time, and two ways of watching the same switches
may differ by a fiftieth over all threads.

What a call took is its wall time less what the kernel says the thread waited for a CPU in it. Since
6.12 that account may be too high: a task that blocks may be left on its run queue for a while, and one
that the load balancer moves meanwhile counts as waiting until it has run again, its sleep included. So
a call's time is known to lie between its wall time and that less the run delay.
"""
import glob
import json
import os
import re
import sys

WAYS = {"sched_switch": "probes", "finish_task_switch": "probes", "raw": "fallbacks", "fallbacks": "fallbacks"}
FEATURES = ("requests", "existing_connections", "stolen_cpu", "bursts")
USER_STATUS = {"Uid": ["1000"] * 4, "CapPrm": ["000000c000000000"], "CapEff": ["000000c000000000"],
               "CapBnd": ["000000c000000000"]}  # CAP_PERFMON is bit 38, CAP_BPF 39
USER_LACKS = ("own_cost", "executables")
CALL_COUNTS = (("acquisitions", "acquisitions"), ("failed", "failed"), ("waits", "waits"), ("contended", "waits"))
SNOOP_LOSSES = ("fork", "exec", "failed_exec", "exit", "skipped_runs", "missed_ends")
FROM_TRUTH = 0.05
BETWEEN_WAYS = 0.02
STALL_S = 0.6  # between two ticks of 0.1 s, each of which starts two processes
STARVED = 0.03  # of its time the emulation waited for a processor of the host


def read(path):
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def records_of(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def topic(detail):
    """What a detail is about, without its numbers."""
    return re.split(r"\bgot\b|\boff by\b|\bis \d|\d+\.\d", detail)[0]


class Judge:
    """earlier: name -> details of the times that were wrong in the run before; None: there is none."""

    def __init__(self, kernel, disturbance, is_last, earlier=None):
        self.kernel = kernel
        self.disturbance = disturbance
        self.is_last = is_last
        self.earlier = earlier
        self.wrong_times = {}
        self.wrong = 0
        self.doubtful = 0

    def says(self, ok, name, details=()):
        if not ok and self.disturbance:
            return self._doubts(name, details)
        return self.says_always(ok, name, details)

    def says_always(self, ok, name, details=()):
        """Of what no lack of time makes wrong."""
        self.wrong += not ok
        self._print("ok" if ok else "not ok", name, [] if ok else details)
        return ok

    def says_of_times(self, ok, name, details=()):
        """Of what an emulation may get wrong for reasons that nobody sees: a second run decides."""
        if not ok and not self.is_last:
            self.wrong_times[name] = list(details)
            return self._doubts(name, details)
        if not ok and self.earlier is not None:
            known = {topic(detail) for detail in self.earlier.get(name, [])}
            again = [detail for detail in details if topic(detail) in known]
            if not again:
                self._print("ok", name, ["wrong in this run only:"] + list(details))
                return True
            details = again
        return self.says(ok, name, details)

    def _doubts(self, name, details):
        self.doubtful += 1
        if self.is_last:
            self._print("ok", name + " # SKIP " + self.disturbance, details)
        else:
            self._print("not ok", name, details)
        return False

    def _print(self, word, name, details):
        print("%s - %s: %s" % (word, self.kernel, name))
        for line in details:
            print("#   " + str(line))


class Run:
    """One run of threadprof: what it said, and what it reported."""

    def __init__(self, directory, round_name, name):
        path = os.path.join(directory, round_name, name)
        self.name = name
        self.code = read(path + ".rc").strip()
        self.said = read(path + ".err").strip().splitlines()
        self.records = records_of(read(path + ".json"))
        self.features = {r["name"]: r for r in self.records if r["type"] == "feature"}  # as last said
        self.intervals = [r for r in self.records if r["type"] == "interval"]
        self.threads = {t["tid"]: t for i in self.intervals for t in i["threads"]}
        times = [float(word) for word in read(path + ".times").split()]
        self.start_s = times[1] - times[0] if len(times) == 2 else None

    def works(self):
        return self.code == "0" and bool(self.threads)

    def failed(self):
        """It has ended by itself, and not well: that needs no second look."""
        return self.code not in ("", "0")

    def state(self, feature):
        return self.features.get(feature, {}).get("state", "not named")

    def locks_by_addr(self):
        return {int(lock["addr"], 16): lock for i in self.intervals for lock in i["locks"] or []}

    def may_be_skipped(self):
        """The kernel leaves out runs of a program, which is said: what it counts of them is a bound, and no fault."""
        feature = self.features.get("requests", {})
        return feature.get("state") == "fallback" and "lost.skipped_runs" in feature["reason"]

    def skipped(self):
        return sum(i["lost"]["skipped_runs"] or 0 for i in self.intervals)

    def lost(self):
        return ["lost.%s is %d" % (k, v) for i in self.intervals for k, v in i["lost"].items()
                if v and not (k == "skipped_runs" and self.may_be_skipped())]

    def why_not(self):
        return ["exit code %s" % self.code] + self.said[-5:]

    def lacks(self):
        """What the kernel itself does not offer."""
        return [line.split(" has no ")[1].split(":")[0] for line in self.said if "the kernel has no " in line]


# ---- states --------------------------------------------------------------------------------------

def true_threads(directory):
    """(script, truth of one thread), and the scripts that did not come to their end."""
    threads, unfinished = [], []
    for path in sorted(glob.glob(os.path.join(directory, "truth.*"))):
        lines = read(path).splitlines()
        script = path.rsplit(".", 1)[1]
        if len(lines) < 2:
            unfinished.append(script)
        else:
            threads += [(script, thread) for thread in json.loads(lines[1])["threads"]]
    return threads, unfinished


def distance(got, want, unsure):
    """How far @got is from where the truth lies: between @want and what is @unsure above it."""
    return want - got if got < want else max(0, got - want - unsure)


def split_skipped(lost):
    """Runs that the kernel has skipped, and what else is lost."""
    skipped = [line for line in lost if "skipped_runs" in line]
    return skipped, [line for line in lost if line not in skipped]


def compare_thread(want, got):
    """(share of the thread's time, text) for each state."""
    result = []
    if not got:
        return result
    unsure = want["taken_off_ns"]
    for state, ns in want["state_ns"].items():
        # What a blocked state has too little, these have too much.
        less = sum(unsure.values()) if state in ("cpu", "runq") else 0
        off = distance(got["state_ns"][state], max(0, ns - less), less + unsure[state])
        result.append((off / got["wall_ns"], "%s: got %.1f ms, want %.1f to %.1f ms, of %.1f ms" % (
            state, got["state_ns"][state] / 1e6, max(0, ns - less) / 1e6, (ns + unsure[state]) / 1e6,
            got["wall_ns"] / 1e6)))
    return result


def judge_states(judge, run, threads):
    """The largest deviation; None: it did not work."""
    name = "states by %s are right" % run.name
    if not run.works():
        judge.says(False, name, run.why_not())
        return None
    missing = ["%s: thread %s is not listed" % (script, want["name"]) for script, want in threads
               if want["tid"] not in run.threads]
    skipped, lost = split_skipped(run.lost())
    judge.says(not (missing + lost), "every thread is seen by %s, nothing is lost" % run.name, missing + lost)
    judge.says_of_times(not skipped, "no program is skipped by %s" % run.name, skipped)
    wrong, most = [], 0
    for script, want in threads:
        for share, text in compare_thread(want, run.threads.get(want["tid"])):
            most = max(most, share)
            if share > FROM_TRUTH:
                wrong.append("%s: %s: %s" % (script, want["name"], text))
    judge.says_of_times(not wrong, name, wrong)
    return most


def judge_agreement(judge, one, other, threads):
    """The largest difference of a state over all threads that were born after both runs had begun."""
    name = "%s and %s agree" % (one.name, other.name)
    tids = [want["tid"] for _, want in threads if want["tid"] in one.threads and want["tid"] in other.threads]
    if not (one.works() and other.works() and tids):
        judge.says(False, name, ["not both of them work here"])
        return None
    wall_ns = sum(one.threads[tid]["wall_ns"] for tid in tids)
    shares = {}
    for state in one.threads[tids[0]]["state_ns"]:
        sums = [sum(run.threads[tid]["state_ns"][state] for tid in tids) for run in (one, other)]
        shares[state] = abs(sums[0] - sums[1]) / wall_ns
    judge.says(max(shares.values()) <= BETWEEN_WAYS, name,
               ["%s: %.1f %% of all time apart" % (s, 100 * v) for s, v in shares.items() if v > BETWEEN_WAYS])
    return max(shares.values())


def judge_round(judge, directory, column, round_name):
    runs = [Run(directory, round_name, way) for way, its_round in WAYS.items() if its_round == round_name]
    threads, unfinished = true_threads(os.path.join(directory, round_name))
    judge.says(bool(threads) and not unfinished, "%s: the scripts run to their end" % round_name, unfinished)
    for run in runs:
        column[run.name] = cell(judge, run.state("thread_states"), judge_states(judge, run, threads))
    agreement = judge_agreement(judge, *runs, threads)
    column["agree " + round_name] = "-" if agreement is None else percent(agreement)
    return runs


# ---- the other rounds ----------------------------------------------------------------------------

def beyond(got, bounds):
    """How far outside of what a workload knows: the least and the most that it can be."""
    return max(bounds[0] - got, got - bounds[1], 0)


def off_by(got, bounds):
    return beyond(got, bounds) / bounds[1] if bounds[1] else float(got != 0)


def truth_of(directory, round_name, workload):
    """What a workload knows; None: it did not come to its end."""
    lines = read(os.path.join(directory, round_name, "truth." + workload)).splitlines()
    return json.loads(lines[1]) if len(lines) > 1 else None


def total(run, *path):
    values = run.intervals
    for key in path:
        values = [value[key] for value in values]
    return sum(values)


def count_server(run, truth):
    """What is wrong; and is less than all there because the kernel has skipped programs, which is said and counted?"""
    wrong, missing = run.lost(), False
    for path in ("requests", "count"), ("connections", "accepted"), ("connections", "closed"):
        got, want = total(run, *path), truth[path[0]][path[1]]
        if got < want and run.may_be_skipped() and run.skipped():
            missing = True
        elif got != want:
            wrong.append("%s: got %d, want %d; skipped: %d" % (".".join(path), got, want, run.skipped()))
    return wrong, missing


def judge_server(judge, run, truth, who):
    """How far latencies and lock waits are off; None: it did not work."""
    if not run.works() or not truth:
        says = judge.says_always if run.failed() else judge.says
        says(False, who + "requests and locks are right", run.why_not())
        return None
    wrong, missing = count_server(run, truth)
    # A sum over other requests than those of the truth says nothing.
    latency = 0 if missing else off_by(total(run, "requests", "latency_ns", "sum"),
                                       truth["requests"]["latency_ns"]["sum"])
    waited = [sum(t["lock_ns"][end] for t in truth["threads"]) for end in (0, 1)]
    got = sum(run.threads[t["tid"]]["state_ns"]["lock"] for t in truth["threads"] if t["tid"] in run.threads)
    # Of the whole time, since a wait of 20 ms is a few switches long here.
    locks = beyond(got, waited) / sum(t["wall_ns"] for t in run.threads.values())
    judge.says_of_times(not wrong, who + ("no request is missing without a word" if missing else
                                          "every request is counted once"), wrong)
    judge.says_of_times(max(latency, locks) <= FROM_TRUTH, who + "requests and locks are right",
                        ["latency: off by %.1f %%, lock waits: by %.1f %%" % (100 * latency, 100 * locks)])
    lesser = ["%s is %s" % (f, run.state(f)) for f in FEATURES
              if run.state(f) != "on" and not (f == "requests" and run.may_be_skipped())]
    judge.says(not lesser, who + "every feature is on", lesser)
    return latency, locks


def judge_requests(judge, directory, column):
    run = Run(directory, "requests", "requests")
    latency, locks = judge_server(judge, run, truth_of(directory, "requests", "known"), "") or (None, None)
    column["requests"] = cell(judge, run.state("requests"), latency)
    column["futex locks"] = cell(judge, "on", locks)
    column["bursts"] = run.state("bursts")
    column["attach"] = "-" if run.start_s is None else "%.1f s" % run.start_s


def judge_skipped(judge, directory):
    """Nothing is missing without a word: what the kernel has skipped is counted."""
    if not os.path.isdir(os.path.join(directory, "skipped")):
        return
    run = Run(directory, "skipped", "skipped")
    truth = truth_of(directory, "skipped", "known")
    works = run.works() and truth and run.may_be_skipped()
    wrong = count_server(run, truth)[0] if works else run.why_not()
    judge.says_of_times(not wrong, "where the kernel skips programs it is said, and counted", wrong)


def judge_user(judge, directory, column):
    """A plain user's server, watched by that user with CAP_BPF and CAP_PERFMON alone."""
    run = Run(directory, "user", "user")
    off_by_both = judge_server(judge, run, truth_of(directory, "user", "known"), "without root: ")
    column["non-root"] = cell(judge, run.state("requests"), off_by_both and max(off_by_both))
    if off_by_both and run.may_be_skipped() and run.skipped():
        column["non-root"] = "%s, %d runs were skipped" % (run.state("requests"), run.skipped())
    status = dict(line.split(":\t", 1) for line in read(os.path.join(directory, "user", "status")).splitlines()
                  if ":\t" in line)
    wrong = ["%s is %s" % (field, status.get(field)) for field, want in USER_STATUS.items()
             if status.get(field, "").split() != want]
    judge.says_always(not wrong, "without root: it was a plain user with two capabilities", wrong)
    wrong = ["%s is %s" % (name, run.features.get(name)) for name in USER_LACKS
             if run.state(name) == "on" or not run.features.get(name, {}).get("remedy")]
    judge.says_always(not wrong, "without root: what two capabilities do not give says so", wrong)
    column["non-root lacks"] = ", ".join(name for name in USER_LACKS if run.state(name) != "on")
    judge_limit(judge, directory, column)


def judge_limit(judge, directory, column):
    """With the 64 kB of locked memory that a user has: all works, or it says what is too small."""
    said = read(os.path.join(directory, "user", "limit.err"))
    works = read(os.path.join(directory, "user", "limit.rc")).strip() == "0"
    judge.says_always(works or "LimitMEMLOCK" in said, "without root: a limit of locked memory that is too low is named",
               said.splitlines())
    if not works:
        column["non-root lacks"] += ", memory unless `ulimit -l` is raised"


def judge_calls(judge, directory, column):
    run = Run(directory, "calls", "calls")
    truth = (truth_of(directory, "calls", "locks") or {}).get("locks", [])
    state = run.state("locks")
    name = "calls of lock functions are right"
    if not run.works() or not truth or state not in ("on", "fallback"):
        judge.says(False, name, run.why_not() + ["locks is " + state])
        column["uprobe locks"] = "FAIL"
        return
    seen = run.locks_by_addr()
    pairs = [(want, seen.get(int(want["addr"], 16), {})) for want in truth]
    if not any((i["lock_probes"] or {}).get("active") for i in run.intervals):
        judge_no_calls(judge, run, run.features["locks"], pairs)
        column["uprobe locks"] = "fallback (the scheduler's view)"
        return
    wrong = run.lost() + ["%s: %s: got %s, want %d" % (want["name"], key, got.get(key), want[of])
                          for want, got in pairs for key, of in CALL_COUNTS if got.get(key) != want[of]]
    judge.says_of_times(not wrong, "every call of a lock function is counted once", wrong)
    worst = max(off_by(got.get("wait_ns", {}).get("sum", 0), [want["wait_ns"]] * 2) for want, got in pairs)
    judge.says_of_times(worst <= FROM_TRUTH, name, ["a lock's waits: off by %.1f %%" % (100 * worst)])
    column["uprobe locks"] = cell(judge, state, worst)


def judge_no_calls(judge, run, feature, pairs):
    """The kernel lacks what the probes need: that is said, and the scheduler's waits are there."""
    wrong = [] if feature["reason"] and feature["remedy"] else ["locks: %s" % feature]
    wrong += run.lost() + ["%s: waits: got %s" % (want["name"], got.get("waits"))
                           for want, got in pairs
                           if want["kind"] == "mutex" and (got.get("waits") or 0) < want["waits"]]
    wrong += ["%s: acquisitions: got %s" % (want["name"], got["acquisitions"])
              for want, got in pairs if got.get("acquisitions") is not None]
    judge.says_of_times(not wrong, "without probes on lock functions: the reason, and the scheduler's waits", wrong)


def judge_pushed(judge, directory):
    """No thread's call is mixed up with that of another that has pushed it off its CPU, in the middle of a probe."""
    if not os.path.isdir(os.path.join(directory, "pushed")):
        return
    run = Run(directory, "pushed", "pushed")
    truth = (truth_of(directory, "pushed", "pushed") or {}).get("locks", [])
    name = "calls in whose probes threads are preempted are right"
    if not run.works() or not truth:
        judge.says(False, name, run.why_not())
        return
    is_whole = run.state("locks") == "on"  # else the guard has stopped it
    seen = run.locks_by_addr()
    wrong = ["lost.%s is %d" % (k, i["lost"][k]) for i in run.intervals
             for k in ("lock_calls", "detail_map_full", "clock_backwards") if i["lost"][k]]
    for want in truth:
        got = seen.get(int(want["addr"], 16), {})
        calls, length = got.get("acquisitions") or 0, got.get("latency_ns") or {"sum": 0}
        if calls > want["acquisitions"] or (is_whole and calls != want["acquisitions"]):
            wrong.append("acquisitions: got %d, want %d" % (calls, want["acquisitions"]))
        if length["sum"] > want["life_ns"]:
            wrong.append("calls took %d ns in a thread that lived %d ns" % (length["sum"], want["life_ns"]))
    judge.says_always(not wrong, name, wrong)


def judge_snoop(judge, directory, column):
    run = Run(directory, "snoop", "snoop")
    pids, crowds = ({life["pid"] for life in (truth_of(directory, "snoop", name) or {"lives": []})["lives"]}
                    for name in ("spawn", "crowds"))
    seen = [r["pid"] for r in run.records if r["type"] == "process"]
    twice = [pid for pid in crowds if seen.count(pid) != 1]
    # They have one name, and may come so soon after each other that they are one burst.
    bursts = [r for r in run.records if r["type"] == "burst" and r["count"] in (len(pids), len(pids) + len(crowds))]
    missing = pids - set(seen)
    wrong = ["%d of %d processes are missing" % (len(missing), len(pids))] if missing else []
    wrong += ["process %d with many threads is told %d times" % (pid, seen.count(pid)) for pid in twice]
    wrong += [] if bursts else ["no burst of %d" % len(pids)]
    skipped, lost = split_skipped(["lost: %s is %d" % (key, r[key]) for r in run.records if r["type"] == "lost"
                                   for key in SNOOP_LOSSES if r[key]])
    wrong += lost
    judge.says_of_times(not skipped, "no program of snoop is skipped", skipped)
    ok = judge.says(run.code == "0" and pids and crowds and not wrong, "snoop sees every process and their burst",
                    wrong + run.why_not())
    column["snoop"] = "on" if ok else "FAIL"


def judge_file(judge, directory, column):
    """The kernel's own BTF is hidden: a file has it."""
    if not os.path.isdir(os.path.join(directory, "file")):
        return
    run, snoop, without = (Run(directory, "file", name) for name in ("file", "snoop", "none"))
    threads, unfinished = true_threads(os.path.join(directory, "file-states"))
    judge.says(bool(threads) and not unfinished, "--btf: the scripts run to their end", unfinished)
    states = judge_states(judge, Run(directory, "file-states", "file"), threads)
    off_by_both = judge_server(judge, run, truth_of(directory, "file", "known"), "--btf: ")
    made = {life["pid"] for life in (truth_of(directory, "file", "spawn") or {"lives": []})["lives"]}
    missing = made - {r["pid"] for r in snoop.records if r["type"] == "process"}
    judge.says(snoop.code == "0" and made and not missing, "--btf: snoop sees every process",
               ["%d of %d are missing" % (len(missing), len(made))] + snoop.why_not())
    wrong = [] if run.state("thread_states") == "fallback" and run.state("lock_holders") == "on" else run.said
    wrong += [] if without.code == "1" and "--btf FILE" in "".join(without.said) else without.why_not()
    judge.says_always(not wrong, "--btf: it says what is lesser, and without it what is missing", wrong)
    worst = max([states, *off_by_both]) if states is not None and off_by_both else None
    column["file"] = cell(judge, run.state("thread_states"), worst)


def judge_off(judge, directory):
    run = Run(directory, "off", "off")
    threads, _ = true_threads(os.path.join(directory, "off"))
    feature = run.features.get("requests", {})
    wrong = [] if run.works() and threads else run.why_not()
    if feature.get("state") != "off" or not feature.get("reason") or not feature.get("remedy"):
        wrong.append("requests: %s" % feature)
    if any(i["requests"]["count"] is not None for i in run.intervals):
        wrong.append("requests are reported although they were not measured")
    wrong += [script for script, want in threads if want["tid"] not in run.threads]
    judge.says(not wrong, "a refused program: the feature is off, the rest works", wrong)
    wrong = [text for _, want in threads for share, text in compare_thread(want, run.threads.get(want["tid"]))
             if share > FROM_TRUTH]
    judge.says_of_times(not wrong, "a refused program: the states are right", wrong)


def judge_untold(judge, directory):
    """A kernel without BTF, and no file of its types: one sentence, with the remedy."""
    path = os.path.join(directory, "untold")
    if not os.path.isdir(path):
        return
    wrong = []
    for name in ("profile", "snoop"):
        said, code = read(os.path.join(path, name + ".err")).splitlines(), read(os.path.join(path, name + ".rc")).strip()
        if code != "1" or len(said) != 1 or "/sys/kernel/btf/vmlinux" not in said[0] or "--btf" not in said[0]:
            wrong.append("%s: exit code %s: %s" % (name, code, said))
        if read(os.path.join(path, name + ".text")):
            wrong.append("%s: has reported something" % name)
    tracing = [line for line in read(os.path.join(path, "check.text")).splitlines() if line.startswith("tracing")]
    if [line.split()[1] for line in tracing] != ["off"] or read(os.path.join(path, "check.rc")).strip() != "1":
        wrong.append("check: %s" % tracing)
    judge.says_always(not wrong, "without its types in a file: one sentence, and exit code 1", wrong)


# ---- the table -----------------------------------------------------------------------------------

def percent(share):
    return "%.1f %%" % (100 * share)


def cell(judge, state, share):
    if share is None:
        return "FAIL"
    if share > FROM_TRUTH and judge.disturbance:
        return state + ", not judged"
    return "%s, %s" % (state, percent(share))


def longest_gap(directory):
    """While the workloads ran: the load of the programs takes the processor for a second, as it may."""
    gaps = [0.0]
    for round_directory in glob.glob(os.path.join(directory, "*", "")):
        times = [float(word) for path in glob.glob(round_directory + "*.times") for word in read(path).split()]
        ticks = [float(word) for word in read(round_directory + "ticks").split()]
        gaps += [after - before for before, after in zip(ticks, ticks[1:]) if before > max(times, default=0)]
    return max(gaps)


def disturbance(directory):
    """What made the emulation run unevenly; nothing if it did not."""
    gap = longest_gap(directory)
    words = read(os.path.join(directory, "host")).split()
    waited_s, whole_s = (float(words[0]) / 1e9, float(words[1])) if len(words) == 2 else (0, 1)
    print("# the emulation waited %.1f of %.0f s for the host; longest gap in the guest's pulse of 0.1 s: %.1f s"
          % (waited_s, whole_s, gap))
    if waited_s > STARVED * whole_s:
        return "the emulation had to wait %.1f of %.0f s for a processor" % (waited_s, whole_s)
    return "the guest stood still for %.1f s" % gap if gap > STALL_S else ""


def main():
    suite, directory, columns_path = sys.argv[1:4]
    release = read(os.path.join(directory, "release")).strip()
    notes, is_last = columns_path + "." + suite, sys.argv[4:] == ["last"]
    earlier = json.loads(read(notes)) if is_last and os.path.exists(notes) else None
    pulse, disturbed = read(os.path.join(directory, "probes", "ticks")), disturbance(directory)
    if earlier and earlier["pulse"] == pulse:
        disturbed = disturbed or "no time was left for a second run"
    judge = Judge("%s (%s)" % (suite, release), disturbed, is_last, earlier and earlier["wrong_times"])
    column = {"suite": suite, "release": release}
    runs = judge_round(judge, directory, column, "probes") + judge_round(judge, directory, column, "fallbacks")
    judge_requests(judge, directory, column)
    judge_skipped(judge, directory)
    judge_user(judge, directory, column)
    judge_calls(judge, directory, column)
    judge_pushed(judge, directory)
    judge_snoop(judge, directory, column)
    judge_off(judge, directory)
    judge_file(judge, directory, column)
    judge_untold(judge, directory)
    column["lacks"] = ", ".join(runs[0].lacks()) or "nothing"
    if runs[0].state("thread_states") == "fallback" and "task_storage" not in column["lacks"]:
        column["lacks"] = "task_storage, " + column["lacks"]
    with open(columns_path, "a") as file:
        file.write(json.dumps(column) + "\n")
    if not is_last:
        with open(notes, "w") as file:
            json.dump({"pulse": pulse, "wrong_times": judge.wrong_times}, file)
    if judge.wrong:
        sys.exit(1)
    sys.exit(2 if judge.doubtful and not judge.is_last else 0)


if __name__ == "__main__":
    main()
