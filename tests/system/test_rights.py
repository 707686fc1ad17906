#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Capabilities: what is given up after the attach, and what works with few of them.

These tests are the source of the table in docs/privileges.md.
"""
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from tp import test

CAPABILITIES = {"dac_read_search": 2, "sys_ptrace": 19, "perfmon": 38, "bpf": 39,
                "checkpoint_restore": 40}
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
PLAIN = ("--script", "plain")


# ---- helpers ---------------------------------------------------------------------------------------

def bits(*names):
    return sum(1 << CAPABILITIES[name] for name in names)


def status(pid, tid=None):
    fields = {}
    with open("/proc/%d/task/%d/status" % (pid, tid or pid)) as lines:
        for line in lines:
            name, value = line.rstrip("\n").split(":", 1)
            fields[name] = value.strip()
    return fields


def as_nobody(*capabilities):
    """How to start a program as nobody, with these capabilities only."""
    caps = ",".join(["-all"] + ["+" + c for c in capabilities])
    return NOBODY + ["--inh-caps=" + caps, "--ambient-caps=" + caps]


def public(path):
    """A copy that everybody may execute, wherever the tree lies."""
    return shutil.copy(path, os.path.join(tp.temp_dir(), os.path.basename(path)))


def known(user=()):
    return tp.Workload("known", *PLAIN, command=[*user, public(tp.workload_path("known"))])


def observe(workload, command):
    truth, report = tp.observe(workload, "-i", "60", command=command)
    for path in ("requests.count", "connections.accepted", "connections.closed"):
        tp.assert_equal(path, report.total(path), tp.at(truth, path))
    tp.assert_no_loss(report)
    tp.assert_states_add_up(report)
    return truth, report


def features(records):
    return {r["name"]: r for r in records if r["type"] == "feature"}


def assert_states(got, want):
    for name, state in want.items():
        found = got.get(name, {}).get("state")
        allowed = state if isinstance(state, tuple) else (state,)
        tp.assert_true("%s is %s, not %s" % (name, found, state), found in allowed)
        if found in ("off", "fallback"):
            tp.assert_true(name + " says why, and what to do",
                           got[name]["reason"] and got[name]["remedy"])


def assert_lock_names(truth, report, wanted):
    for lock in (lock for lock in truth["locks"] if lock["wait_ns"]["count"]):
        got = report.lock(lock["addr"])
        named = got and any((name or "").startswith(lock["name"]) for name in got["names"])
        tp.assert_true("%s is reported" % lock["name"], got)
        tp.assert_equal("%s has its name" % lock["name"], bool(named), wanted)


MAIN_JOB = {name: "on" for name in ("thread_states", "requests", "existing_connections", "stolen_cpu",
                                    "bursts")}


# ---- what is given up ------------------------------------------------------------------------------

def assert_reduced(pid):
    for tid in map(int, os.listdir("/proc/%d/task" % pid)):
        got = status(pid, tid)
        for field in ("CapEff", "CapPrm"):
            tp.assert_equal("%s of thread %d" % (field, tid), hex(int(got[field], 16)),
                            hex(bits(*CAPABILITIES)))
        for field in ("CapInh", "CapAmb", "CapBnd"):
            tp.assert_equal("%s of thread %d" % (field, tid), int(got[field], 16), 0)
        tp.assert_equal("NoNewPrivs of thread %d" % tid, got["NoNewPrivs"], "1")


@test("as root: after the attach only what is needed is left, in every thread")
def dropped():
    target = tp.start_process(["sleep", "1000"])
    profiler = tp.Threadprof("-p", str(target.pid), "-i", "0.1", "--resolve")
    tp.assert_at_least("threads", len(os.listdir("/proc/%d/task" % profiler.process.pid)), 2)
    assert_reduced(profiler.process.pid)
    profiler.stop()


@test("snoop as root: the same")
def dropped_by_snoop():
    snoop = tp.Threadprof("snoop")
    assert_reduced(snoop.process.pid)
    tp.stop_process(snoop.process)


@test("the command that is started keeps the rights of who started it")
def command_keeps_rights():
    path = os.path.join(tp.temp_dir(), "status")
    run = subprocess.run([tp.THREADPROF, "-i", "60", "--", "sh", "-c", "cat /proc/$$/status >" + path],
                         timeout=tp.PATIENCE_S, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    tp.assert_equal("exit code", run.returncode, 0)
    with open(path) as lines:
        got = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    own = status(os.getpid())
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"):
        tp.assert_equal(field, got[field].strip(), own[field])


@test("what is left is enough: a program whose file was deleted still has symbols")
def deleted_file():
    path = public(tp.workload_path("known"))
    workload = tp.Workload("known", *PLAIN, command=[path])
    os.unlink(path)
    truth, report = observe(workload, [tp.THREADPROF])
    assert_lock_names(truth, report, True)


# ---- few capabilities ------------------------------------------------------------------------------

@test("CAP_BPF and CAP_PERFMON alone, target of the same user: everything but others' executables")
def two_same_user():
    command = as_nobody("bpf", "perfmon") + [public(tp.THREADPROF)]
    truth, report = observe(known(NOBODY), command)
    assert_states(features(report.records), {**MAIN_JOB, "symbols": "on", "executables": "fallback"})
    assert_lock_names(truth, report, True)


@test("CAP_BPF and CAP_PERFMON alone, target of root: the main job, and why not the rest")
def two_other_user():
    command = as_nobody("bpf", "perfmon") + [public(tp.THREADPROF)]
    _, report = observe(known(), command)
    # Some kernels show its memory map to CAP_PERFMON, none its root directory.
    assert_states(features(report.records),
                  {**MAIN_JOB, "symbols": ("off", "fallback"), "executables": "fallback"})


@test("and CAP_SYS_PTRACE: a target of root has its names")
def three_other_user():
    command = as_nobody("bpf", "perfmon", "sys_ptrace") + [public(tp.THREADPROF)]
    truth, report = observe(known(), command)
    assert_states(features(report.records), {**MAIN_JOB, "symbols": "on", "executables": "on"})
    assert_lock_names(truth, report, True)


def check_names(capabilities, named, spoil):
    """Are locks named, where spoil() has done something to the program's file?"""
    path = public(tp.workload_path("known"))
    before, after = spoil
    before(path)
    workload = tp.Workload("known", *PLAIN, command=NOBODY + [path])
    after(path)
    truth, report = observe(workload, as_nobody(*capabilities) + [public(tp.THREADPROF)])
    assert_lock_names(truth, report, named)


def nothing(_path):
    pass


@test("a deleted file has symbols with CAP_CHECKPOINT_RESTORE only")
def deleted_needs():
    check_names(("bpf", "perfmon"), False, (nothing, os.unlink))
    check_names(("bpf", "perfmon", "checkpoint_restore"), True, (nothing, os.unlink))


@test("a file that only its owner may read has symbols with CAP_DAC_READ_SEARCH only")
def unreadable_needs():
    # The kernel closes such a process to others: CAP_SYS_PTRACE opens it again.
    def close(path):
        os.chmod(path, 0o711)
    check_names(("bpf", "perfmon", "sys_ptrace"), False, (close, nothing))
    check_names(("bpf", "perfmon", "sys_ptrace", "dac_read_search"), True, (close, nothing))


# By capability what 'threadprof check -p' says of a target of root, to nobody.
TABLE = (
    (("bpf", "perfmon"), 0,
     {**MAIN_JOB, "tracing": "on", "cgroup_names": "off", "executables": "fallback",
      "symbols": ("off", "fallback"), "target_uprobes": "off"}),
    (("bpf", "perfmon", "sys_ptrace"), 0,
     {**MAIN_JOB, "tracing": "on", "cgroup_names": "off", "executables": "on", "symbols": "on",
      "target_uprobes": "on"}),
    (("bpf", "perfmon", "dac_read_search"), 0,
     {**MAIN_JOB, "tracing": "on", "cgroup_names": "on", "executables": "fallback",
      "symbols": ("off", "fallback")}),
    (("bpf", "perfmon", "sys_admin"), 0,
     {**MAIN_JOB, "tracing": "on", "uprobes": "on"}),
    (("sys_admin",), 0, {**MAIN_JOB, "tracing": "on", "uprobes": "on"}),
    (("bpf",), 1, {"tracing": "off"}),
    (("perfmon",), 1, {"tracing": "off"}),
    ((), 1, {"tracing": "off"}),
)


@test("the table: which feature needs which capability")
def table():
    binary = public(tp.THREADPROF)
    target = tp.start_process(["sleep", "1000"])
    root = subprocess.run([binary, "check", "--json"], stdout=subprocess.PIPE, timeout=tp.PATIENCE_S)
    here = features([json.loads(line) for line in root.stdout.splitlines()])
    has_cgroup2 = any(line.split()[2] == "cgroup2" for line in open("/proc/self/mounts"))
    for capabilities, code, want in TABLE:
        run = subprocess.run(as_nobody(*capabilities) + [binary, "check", "-p", str(target.pid), "--json"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=tp.PATIENCE_S)
        where = "with " + (" ".join(capabilities) or "none")
        tp.assert_equal("%s: exit code" % where, run.returncode, code)
        got = features([json.loads(line) for line in run.stdout.splitlines()])
        # What the kernel does not have no capability brings.
        if not has_cgroup2:
            want = {**want, "cgroup_names": "off"}
        if "uprobes" in want:
            want = {**want, "uprobes": here["uprobes"]["state"]}
        before = len(tp._failures)
        assert_states(got, want)
        tp._failures[before:] = ["%s: %s" % (where, text) for text in tp._failures[before:]]


# ---- file capabilities -----------------------------------------------------------------------------

def wanted_by_install():
    dry = subprocess.run(["make", "-n", "install", "SETCAP=1", "GROUP=adm", "DESTDIR=/nowhere"],
                         cwd=tp.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=tp.PATIENCE_S)
    lines = dry.stdout.decode().splitlines()
    found = [line for line in lines if "setcap" in line and "/nowhere" in line]
    tp.assert_equal("lines with setcap", len(found), 1)
    order = [line.split()[0] for line in lines if line.startswith(("chgrp", "chmod"))]
    tp.assert_equal("before it", order, ["chgrp", "chmod"])
    return re.search(r"setcap (\S+)=ep", found[0]).group(1)


@test("file capabilities, as make install SETCAP=1 sets them: for a user without any")
def file_capabilities():
    capabilities = wanted_by_install()
    tp.assert_equal("those that are kept", sorted(capabilities.split(",")),
                    sorted("cap_" + name for name in CAPABILITIES))
    binary = public(tp.THREADPROF)
    if os.statvfs(binary).f_flag & os.ST_NOSUID or \
            subprocess.run(["setcap", capabilities + "=ep", binary], stderr=subprocess.DEVNULL).returncode:
        tp.skip("the file system of %s takes no capabilities" % os.path.dirname(binary))
    command = NOBODY + ["--inh-caps=-all", binary]
    truth, report = observe(known(), command)
    assert_states(features(report.records), {**MAIN_JOB, "symbols": "on", "executables": "on"})
    assert_lock_names(truth, report, True)
    # What it starts is the user's own, without them.
    run = subprocess.run(command + ["--", "grep", "CapEff", "/proc/self/status"], timeout=tp.PATIENCE_S,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    tp.assert_true("CapEff of the command", b"CapEff:\t0000000000000000" in run.stdout)


tp.main()
