#!/usr/bin/env python3
# SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
"""Containers as podman makes them: found by their id from outside, and profiled from a second one.

Skipped where there is no podman, or where none of its runtimes may start a container here. Images, storage and
state are in memory, in a mount namespace that ends with the test; the programs in the containers are the host's.
"""
import io
import os
import shutil
import subprocess
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tp
from answers import assert_answers, ids_of_threads
from tp import test

# All that podman and its runtimes write anywhere. The argument, if any, is the one tree of cgroups that it sees.
SETUP = """
mount -t tmpfs tmpfs /dev/shm && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib &&
{ test -z "$1" || mount --bind "$1" /sys/fs/cgroup; } && echo ready && read end
"""
RIGHTS = ["--cap-add", "BPF", "--cap-add", "PERFMON", "--cap-add", "SYS_PTRACE"]
UNFILTERED = ["--security-opt", "seccomp=unconfined"]


def cgroup_mounts():
    with open("/proc/self/mounts") as mounts:
        fields = [line.split() for line in mounts]
    return [(kind, point) for _, point, kind, *_ in fields if kind in ("cgroup", "cgroup2")]


def run_to_end(command, **options):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=tp.PATIENCE_S, **options)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, b"", b"it has no end")


class Podman:
    """One that leaves nothing behind. tree: the cgroups that it is to see as the host's; "": as they are."""

    def __init__(self, runtime, tree):
        self.name = "threadprof-test-%d" % os.getpid()
        self.holder = tp.start_process(["unshare", "--mount", "sh", "-c", SETUP, "sh", tree], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE)
        if not self.holder.stdout.readline():
            tp.skip("no mounts can be made in a namespace of one's own")
        self.command = ["nsenter", "--mount=/proc/%d/ns/mnt" % self.holder.pid, "podman",
                        "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        for option in ("root", "runroot", "tmpdir"):
            self.command += ["--" + option, "/var/lib/" + option]
        self.command += ["--runtime", runtime] if runtime else []
        self.volumes = ["-v", "/usr:/usr:ro"]

    def run(self, *arguments, **options):
        return run_to_end(self.command + list(arguments), **options)

    def make_image(self):
        """Nothing but places for the host's directories."""
        image = io.BytesIO()
        with tarfile.open(fileobj=image, mode="w") as archive:
            for name in ("usr", "proc", "sys", "dev", "tmp", "etc", "run", "bin", "lib", "lib64"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                if os.path.islink("/" + name):
                    entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink("/" + name)
                elif name in ("bin", "lib", "lib64") and os.path.isdir("/" + name):
                    self.volumes += ["-v", "/%s:/%s:ro" % (name, name)]
                archive.addfile(entry)
        return self.run("import", "-", self.name, input=image.getvalue())

    def run_command(self, options, *command):
        """A container's command line. Its limits are below what this process may give it."""
        return self.command + ["run", "--rm", "--network", "none", "--log-driver", "none", "--pids-limit", "-1",
                               "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
                               "--cgroup-parent", "/" + self.name] + self.volumes + options + [self.name, *command]

    def why_not(self):
        """None: containers can be started."""
        for result in (self.make_image(), run_to_end(self.run_command([], "/bin/true"))):
            if result.returncode:
                return (result.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
        return None

    def remove(self):
        self.run("rm", "--all", "--force", "--time", "0")
        # Monitors outlive their containers, to clean up after them.
        tp.wait_until(lambda: len(self._inmates()) <= 1, what="the end of podman's processes")
        for _, mount in cgroup_mounts():
            for directory, _, _ in os.walk(os.path.join(mount, self.name), topdown=False):
                tp.wait_until(lambda d=directory: self._remove_cgroup(d), what="the end of " + directory)
        self.holder.stdin.close()
        self.holder.wait(tp.PATIENCE_S)
        self.holder.stdout.close()

    def _inmates(self):
        """The processes in its mount namespace; one that has ended is in none."""
        own = os.readlink("/proc/%d/ns/mnt" % self.holder.pid)
        inmates = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                inmates += [pid] if os.readlink("/proc/%s/ns/mnt" % pid) == own else []
            except OSError:
                pass
        return inmates

    @staticmethod
    def _remove_cgroup(directory):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError:
            return False
        return True


class Contained(tp.Workload):
    """A server in a container: it is the container's process 1, and self.pid is what it has in our namespace."""

    def __init__(self, podman):
        volume = ["-v", tp.workload_path("known") + ":/known:ro"]
        command = podman.run_command(["-i", "--name", "server"] + volume, "/known", "--script", "plain")
        super().__init__("known", process=tp.start_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        tp.assert_equal("pid inside", self.pid, 1)
        shown = podman.run("inspect", "--format", "{{.Id}} {{.State.Pid}}", "server").stdout.split()
        self.id, self.pid = shown[0].decode(), int(shown[1])


def with_server(run):
    """run(podman, server), with the first way of starting containers that works here."""
    if not shutil.which("podman"):
        tp.skip("podman is not here")
    if os.path.realpath(tp.THREADPROF).startswith(("/run/", "/var/lib/")):
        tp.skip("this tree is where podman keeps its state, which is hidden from it")
    trees = [""] + [mount for kind, mount in cgroup_mounts() if kind == "cgroup2" and mount != "/sys/fs/cgroup"][:1]
    for tree in trees:
        for runtime in ("", "runc"):
            if runtime and not shutil.which(runtime):
                continue
            podman = Podman(runtime, tree)
            try:
                reason = podman.why_not()
                if not reason:
                    run(podman, Contained(podman))
                    return
            finally:
                podman.remove()
    tp.skip("podman can't start a container here: " + reason)


@test("--container by the begin of an id of podman's: the ids are ours, the counts exact")
def by_id():
    def run(podman, server):
        profiler = tp.Threadprof("--container", server.id[:12], "-i", "60")
        ids = ids_of_threads(server.pid)
        truth = server.run()
        report = profiler.stop()
        tp.assert_true("the server is a target", server.pid in report.last("target.pids"))
        assert_answers(truth, report, ids)
        server.end()
    with_server(run)


@test("from a second container that shares the PID namespace: the ids are those inside, the counts exact")
def from_inside():
    def run(podman, server):
        beside = RIGHTS + ["--pid", "container:server", "-v", tp.THREADPROF + ":/threadprof:ro"]
        tracing = run_to_end(podman.run_command(beside, "/threadprof", "check")).stdout.decode()
        tp.assert_true("it works, or podman's own filter is named: %r" % tracing[:200],
                       tracing.split()[1:2] == ["on"] or "seccomp" in tracing)
        profiler = tp.Threadprof("-p", "1", "-i", "60", command=podman.run_command(beside + UNFILTERED, "/threadprof"))
        truth = server.run()
        report = profiler.stop()
        tp.assert_equal("pids", report.last("target.pids"), [1])
        assert_answers(truth, report)
        server.end()
    with_server(run)


tp.main()
