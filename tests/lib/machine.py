# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Whether others used the machine while something was measured on it.

Three witnesses, because each knows of another kind: /proc/stat of what the hypervisor says it took, the
processes' own CPU time of those that are not ours, and a probe (tests/workload/noise.c) of what nobody
accounts for.
"""
import json
import os
import subprocess
import time

# What run.sh found before the first suite.
NOISY_RUN = "THREADPROF_TEST_NOISY"
PROBE_LIMIT_S = 30

_noise = {}


def _busy_ns():
    """CPU time that the hypervisor took, and that processes outside this test used."""
    group, tick_ns = os.getpgrp(), 1000000000 // os.sysconf("SC_CLK_TCK")
    with open("/proc/stat") as stat:
        stolen = int(stat.readline().split()[8])
    strangers = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        # Kernel threads work for everybody; their parent is kthreadd.
        if int(fields[2]) != group and fields[1] != "2":
            # With the children it has waited for: a compiler's life is short.
            strangers += sum(int(field) for field in fields[11:15])
    return stolen * tick_ns, strangers * tick_ns


def strangers_ns():
    """CPU time until now of processes that are not of this test."""
    return _busy_ns()[1]


class Watch:
    """What else went on on the machine since this was made."""

    def __init__(self):
        self._before, self._begin_ns = _busy_ns(), time.monotonic_ns()

    def passed(self):
        """Nanoseconds: of wall time, that the hypervisor took, that processes outside this test used."""
        stolen_ns, strange_ns = (now - then for now, then in zip(_busy_ns(), self._before))
        return time.monotonic_ns() - self._begin_ns, stolen_ns, strange_ns

    def taken(self):
        """CPUs that the hypervisor or processes outside this test used, as the kernel has it."""
        wall_ns, stolen_ns, strange_ns = self.passed()
        return max(stolen_ns, strange_ns) / wall_ns

    def was_busy(self):
        return self.taken() >= 0.02


def is_quiet(probe):
    """False once it was noisy, for the rest of the run: noise comes and goes. probe: the noise program."""
    if os.environ.get(NOISY_RUN) or not _noise.get("is_quiet", True):
        return False
    try:
        done = subprocess.run([probe], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=PROBE_LIMIT_S)
        _noise.update(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError):
        # What cannot be measured in that time is not quiet.
        _noise["is_quiet"] = False
    print("# machine: " + json.dumps(_noise))
    return _noise["is_quiet"]
