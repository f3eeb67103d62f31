"""What is measured. Each measure asks every runtime in turn, round after round, so that all see the same machine.

A result is {runtime: {quantity: [numbers]}}; times are microseconds, memory KiB.
"""

import copy
import os
import re
import shutil
import subprocess
import sys
import time

from ground import CGROUP, HERE, renewed
from launcher import Failed
from spec import PROFILE

WARM_UP = 3
RENEWAL = 10  # rounds, after which programs are copied anew
AT_ONCE = 16
FAILURES = 3  # after which a runtime is left out of a measure
TRUE = ["/bin/true"]
SLEEP = ["/bin/sleep", "100000"]


class Bench:
    def __init__(self, ground, launcher, runtimes, floor, rounds):
        self.ground = ground
        self.launcher = launcher
        self.runtimes = runtimes
        self.floor = floor
        self.rounds = rounds
        self.results = {}

    def interleave(self, title, once, subjects=None, rounds=None):
        """`once(subject)` is one observation, a dict of numbers; the order turns by one each round, and every few rounds each program is
        copied anew."""
        subjects = self.runtimes if subjects is None else subjects
        result = {subject.name: {} for subject in subjects}
        failures = dict.fromkeys(result, 0)
        for turn in range(-WARM_UP, rounds or self.rounds):
            if turn % RENEWAL == 0:
                for subject in subjects:
                    subject.renew()
            first = turn % max(len(subjects), 1)
            for subject in subjects[first:] + subjects[:first]:
                if failures[subject.name] >= FAILURES:
                    continue
                try:
                    seen = once(subject)
                except Failed as failed:
                    failures[subject.name] += 1
                    print(f"{title}, {subject.name}: {failed}", file=sys.stderr)
                    self.forget(subject)
                    continue
                if turn >= 0:
                    for quantity, number in seen.items():
                        result[subject.name].setdefault(quantity, []).append(number)
        self.results[title] = result
        print(f"measured: {title}", file=sys.stderr)

    def forget(self, subject):
        """Removes what a failed observation may have left."""
        if subject is self.floor:
            return
        self.launcher.run(subject("delete", "--force", "brief"), may_fail=True)

    def start(self, runtime, bundle, container):
        self.launcher.sequence(runtime.create(bundle, container), runtime("start", container))

    def stop(self, runtime, containers):
        for container in containers:
            self.launcher.run(runtime("kill", container, "KILL"), may_fail=True)
        for batch in batches(containers):
            for _ in range(20):
                commands = [runtime("delete", "--force", container) for container in batch]
                if self.launcher.at_once(commands, may_fail=True).status == 0:
                    break
                time.sleep(0.05)


class Floor:
    """The floor program, asked like a runtime."""

    name = "floor"

    def __init__(self, program, ground):
        self.ground, self.given = ground, program
        self.command = [program, ground.merged, ground.etc, f"{CGROUP}/floor"]

    def renew(self):
        self.command[0] = renewed(self.given, f"{self.ground.work}/copies/{self.name}")

    def exec(self, pid, cgroup):
        """What it is for exec in the container of a process."""
        return [self.command[0], str(pid), cgroup]

    @classmethod
    def build(cls, ground):
        os.makedirs(f"{ground.work}/include", exist_ok=True)
        generator = [sys.executable, f"{HERE}/floor_filter.py", PROFILE]
        with open(f"{ground.work}/include/filter.h", "w") as header:
            subprocess.run(generator, stdout=header, check=True)
        return cls(ground.compiled("floor.c", "-I", f"{ground.work}/include"), ground)


def batches(items):
    return [items[i : i + AT_ONCE] for i in range(0, len(items), AT_ONCE)]


def version(bench):
    bench.interleave("version", lambda runtime: {"wall": bench.launcher.run([runtime.program, "--version"]).wall})


def run(bench, kind):
    bundles = {runtime.name: bench.ground.bundle(kind, runtime.name, TRUE) for runtime in bench.runtimes}

    def once(subject):
        if subject is bench.floor:
            sample = bench.launcher.run(subject.command)
        else:
            sample = bench.launcher.run(subject("run", "--bundle", bundles[subject.name], "brief"))
        return {"wall": sample.wall, "cpu": sample.cpu, "rss": sample.rss, "switches": sample.switches}

    floor = [bench.floor] if kind == "docker" else []
    bench.interleave(f"run {kind}", once, bench.runtimes + floor)


def cycle(bench, kind):
    """create, start, wait for the end as containerd's shim does, delete."""
    bundles = {runtime.name: bench.ground.bundle(kind, runtime.name, TRUE) for runtime in bench.runtimes}

    def once(runtime):
        commands = [runtime.create(bundles[runtime.name], "brief"), runtime("start", "brief")]
        commands += [["@wait", runtime.pid_file("brief")], runtime("delete", "brief")]
        walls = [sample.wall for sample in bench.launcher.sequence(*commands)]
        return dict(zip(("create", "start", "wait", "delete", "all"), [*walls, sum(walls)]))

    bench.interleave(f"cycle {kind}", once)


def alive(bench, kind):
    """exec, state and kill of a container that runs."""
    ready = []
    for runtime in bench.runtimes:
        try:
            bench.start(runtime, bench.ground.bundle(kind, f"{runtime.name}-alive", SLEEP), "alive")
            ready.append(runtime)
        except Failed as failed:
            print(failed, file=sys.stderr)

    def once(subject):
        command = exec_floor if subject is bench.floor else subject(*words)
        return {"wall": bench.launcher.run(command).wall}

    if not ready:
        return
    first = ready[0]
    exec_floor = bench.floor.exec(first.pid("alive"), f"{CGROUP}/{first.name}-alive")
    for title, words in (("exec", ["exec", "alive", *TRUE]), ("state", ["state", "alive"]), ("kill", ["kill", "alive", "WINCH"])):
        floor = [bench.floor] if (title, kind) == ("exec", "docker") else []
        bench.interleave(f"{title} {kind}", once, ready + floor)
    for runtime in ready:
        bench.stop(runtime, ["alive"])


def first_exec(bench, kind):
    """exec in a container in which there was none before."""
    bundles = {runtime.name: bench.ground.bundle(kind, f"{runtime.name}-fresh", SLEEP) for runtime in bench.runtimes}

    def once(runtime):
        bench.start(runtime, bundles[runtime.name], "fresh")
        try:
            return {"wall": bench.launcher.run(runtime("exec", "fresh", *TRUE)).wall}
        finally:
            bench.stop(runtime, ["fresh"])

    bench.interleave(f"first exec {kind}", once, rounds=max(bench.rounds // 3, 3))


def together(bench, kind):
    """Sixteen times `run` at the same moment, until the last has ended."""
    names = [f"brief{i}" for i in range(AT_ONCE)]
    bundles = {r.name: [bench.ground.bundle(kind, f"{r.name}-{name}", TRUE) for name in names] for r in bench.runtimes}

    def once(runtime):
        commands = [runtime("run", "--bundle", bundle, name) for bundle, name in zip(bundles[runtime.name], names)]
        try:
            return {"wall": bench.launcher.at_once(commands).wall}
        except Failed:
            bench.stop(runtime, names)
            raise

    bench.interleave(f"together {kind}", once, rounds=max(bench.rounds // 4, 3))


def without_network(configuration):
    """A thousand network namespaces would measure the kernel."""
    namespaces = configuration["linux"]["namespaces"]
    configuration["linux"]["namespaces"] = [namespace for namespace in namespaces if namespace["type"] != "network"]


def lists(bench, most):
    """`list` while 1, 100 and `most` containers of each runtime are alive."""
    ready = {runtime: [] for runtime in bench.runtimes}
    for count in sorted({1, min(100, most), most}):
        for runtime, names in list(ready.items()):
            new = [f"many{i}" for i in range(len(names), count)]
            try:
                for batch in batches(new):
                    bundles = [bench.ground.bundle("simple", f"{runtime.name}-{name}", SLEEP, without_network) for name in batch]
                    bench.launcher.at_once([runtime("run", "--detach", "--bundle", b, n) for b, n in zip(bundles, batch)])
                    names += batch
            except Failed as failed:
                print(failed, file=sys.stderr)
                bench.stop(runtime, names + new)
                del ready[runtime]
        once = lambda runtime: {"wall": bench.launcher.run(runtime("list")).wall}
        bench.interleave(f"list {count}", once, list(ready), min(bench.rounds, 20))
    for runtime, names in ready.items():
        bench.stop(runtime, names)


def system_calls(bench, kind):
    """All calls of one `run`: those of the runtime, of init and of the program."""
    if not shutil.which("strace"):
        print("not measured: system calls; strace is not installed", file=sys.stderr)
        return
    bundles = {runtime.name: bench.ground.bundle(kind, runtime.name, TRUE) for runtime in bench.runtimes}
    path = f"{bench.ground.work}/strace"

    def once(subject):
        command = subject.command if subject is bench.floor else subject("run", "--bundle", bundles[subject.name], "brief")
        traced = subprocess.run(["strace", "-f", "-c", "-o", path, *command], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        if traced.returncode != 0:
            raise Failed(traced.stderr.decode())
        return {"calls": total_calls(path)}

    floor = [bench.floor] if kind == "docker" else []
    bench.interleave(f"system calls {kind}", once, bench.runtimes + floor, rounds=3)


def total_calls(path):
    """The number of calls in the last line of what strace counted; the number of errors may stand after it."""
    with open(path) as file:
        last = file.read().splitlines()[-1].split()
    return int(last[3])


def filters(bench):
    """What a system call costs in a container of the docker-like bundle, and in one without a filter."""
    program = bench.ground.compiled("calls.c")
    shutil.copy(program, f"{bench.ground.merged}/bin/calls")

    def no_filter(configuration):
        del configuration["linux"]["seccomp"]

    def call_costs(command):
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        if not re.fullmatch(r"[\d.]+ [\d.]+ [\d.]+\n", said.stdout):
            raise Failed(f"{command}: {said.stdout}{said.stderr}")
        return dict(zip(("allowed", "denied", "checked"), map(float, said.stdout.split())))

    def once(runtime):
        change = no_filter if runtime is unfiltered else None
        bundle = bench.ground.bundle("docker", f"{runtime.name}-calls", ["/bin/calls"], change)
        return call_costs(runtime("run", "--bundle", bundle, "brief"))

    unfiltered = copy.copy(bench.runtimes[0])
    unfiltered.name = "no filter"
    bench.interleave("filter", once, [*bench.runtimes, unfiltered], rounds=10)
    os.remove(f"{bench.ground.merged}/bin/calls")


