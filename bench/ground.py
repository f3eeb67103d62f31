"""Where it happens: a mount namespace with cgroup v2 alone, a root file system, bundles, and nothing left of them afterwards."""

import json
import os
import shutil
import subprocess
import sys
import time

import spec

HERE = os.path.dirname(os.path.abspath(__file__))
CGROUP = "/sys/fs/cgroup/bench"
APPLETS = "true sh sleep cat".split()


def enter():
    """Runs this program again in a mount namespace of its own, in which /sys/fs/cgroup is the cgroup v2 tree alone."""
    if os.environ.get("CORTEN_BENCH_INSIDE"):
        return
    if os.geteuid() != 0:
        sys.exit("containers are made by root: run this as root")
    script = """mount --make-rprivate /
        [ ! -d /sys/fs/cgroup/unified ] || mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup
        exec "$@" """
    os.environ["CORTEN_BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "sh", "-ec", script, "sh", sys.executable, *sys.argv])


def target():
    """Where cargo and make put what they build."""
    return os.path.abspath(os.environ.get("CARGO_TARGET_DIR", f"{HERE}/../target"))


def renewed(program, place):
    """A new copy of a program: how the pages of a file lie in memory is worth some of a hundred, and is chance."""
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    return shutil.copy(program, place)


class Runtime:
    """A runtime under measurement; its state is on a tmpfs of its own."""

    def __init__(self, name, program, ground):
        self.name = name
        self.given = self.program = os.path.abspath(program)
        self.root = f"{ground.work}/state/{name}"
        self.ground = ground
        os.makedirs(self.root)

    def __call__(self, *words):
        return [self.program, "--root", self.root, *words]

    def renew(self):
        self.program = renewed(self.given, f"{self.ground.work}/copies/{self.name}")

    def create(self, bundle, container):
        return self("create", "--bundle", bundle, "--pid-file", self.pid_file(container), container)

    def pid_file(self, container):
        return f"{self.ground.work}/state/{self.name}.{container}.pid"

    def pid(self, container):
        with open(self.pid_file(container)) as file:
            return int(file.read())

    def containers(self):
        return [name for name in os.listdir(self.root) if not name.startswith(".")]


class Ground:
    def __init__(self, work):
        self.work = os.path.abspath(work)
        self.rootfs = f"{self.work}/rootfs"
        self.etc = f"{self.work}/etc"
        self.merged = f"{self.work}/overlay/merged"
        os.makedirs(f"{self.work}/state", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "state", f"{self.work}/state"], check=True)
        self._fill_root()
        self._stack_overlay()
        os.makedirs(CGROUP, exist_ok=True)

    def _fill_root(self):
        for name in "bin dev proc sys tmp etc root var run".split():
            os.makedirs(f"{self.rootfs}/{name}", exist_ok=True)
        shutil.copy("/bin/busybox", f"{self.rootfs}/bin/busybox")
        for name in APPLETS:
            if not os.path.lexists(f"{self.rootfs}/bin/{name}"):
                os.symlink("busybox", f"{self.rootfs}/bin/{name}")
        os.makedirs(self.etc, exist_ok=True)
        for name in ("resolv.conf", "hostname", "hosts"):
            open(f"{self.rootfs}/etc/{name}", "a").close()
            with open(f"{self.etc}/{name}", "w") as file:
                file.write("bench\n")

    def _stack_overlay(self):
        layers = f"{self.work}/overlay"
        shutil.rmtree(layers, ignore_errors=True)
        for name in ("upper", "work", "merged"):
            os.makedirs(f"{layers}/{name}")
        options = f"lowerdir={self.rootfs},upperdir={layers}/upper,workdir={layers}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, self.merged], check=True)

    def compiled(self, source, *options):
        """A C program of this directory, made static."""
        path = f"{self.work}/{source.removesuffix('.c')}"
        subprocess.run(["gcc", "-O2", "-Wall", "-static", *options, "-o", path, f"{HERE}/{source}"], check=True)
        return path

    def bundle(self, kind, name, words, change=None):
        """A bundle's path; `change` may alter its configuration."""
        path = f"{self.work}/bundles/{kind}-{name}"
        os.makedirs(path, exist_ok=True)
        cgroup = f"/bench/{name}"
        if kind == "simple":
            made = spec.simple(self.rootfs, words, cgroup)
        else:
            made = spec.docker(self.merged, words, cgroup, self.etc)
        if change:
            change(made)
        with open(f"{path}/config.json", "w") as file:
            json.dump(made, file)
        return path

    def clear(self):
        """Ends every process that is left and removes the cgroups: whatever became of the measurement."""
        with open(f"{CGROUP}/cgroup.kill", "w") as file:
            file.write("1")
        for directory, _, _ in os.walk(CGROUP, topdown=False):
            for _ in range(400):
                try:
                    os.rmdir(directory)
                    break
                except OSError:
                    time.sleep(0.005)
