#!/usr/bin/env python3
"""Interleaved OCI runtime benchmark (run as root).

  bench.py --work /some/dir --runtime NAME=/path/to/runtime [--runtime ...] \
           [--floor "NAME=/path/to/floor [args]"] [--busybox /bin/busybox] \
           [--seccomp-json src/seccomp/docker.json] \
           [--tests version,run,cycle,exec,state,kill,scale,strace] [--bundles simple,docker] \
           [--iters 100] [--scale 100] [--baseline NAME] [--out results.json] [--keep-order]

NAME=/path may carry extra global arguments: "NAME=/path/runc --debug"
On a busy machine run it as `chrt -f 1 bench.py ...` (all children inherit it): ratios then hold even with other load.
The first call re-executes itself in a private mount namespace in which /sys/fs/cgroup is the cgroup v2
hierarchy (if the host is hybrid, /sys/fs/cgroup/unified is bound over it there; nothing outside changes).
spawner.c (next to this file) is compiled with gcc -O2 -static into --work on first use: it is the process that
vforks/execs the runtimes, so ru_maxrss and wall times hold no Python.
Order is rotated each iteration (A B C, B C A, ...). Reported: median [p10..p90], and ratio of medians to --baseline.
Tests
  version  RUNTIME --version
  run      RUNTIME run of /bin/true: wall, cpu (user+sys of the runtime process and the children it waited for), peak RSS
  cycle    create, start, wait for exit (as a subreaper, like containerd-shim), delete; wall per phase
  exec     exec of /bin/true in a running sleep container (foreground)
  state    state of a running container
  kill     kill -0-like: signal WINCH to a running container (sleep ignores it)
  scale    state / kill / list with --scale containers running
  strace   syscalls of one `run` (strace -f -c), top counts
"""
import argparse, json, os, re, shlex, shutil, signal, statistics, struct, subprocess, sys, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import spec as S

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--work", required=True)
ap.add_argument("--runtime", action="append", default=[])
ap.add_argument("--floor", action="append", default=[])
ap.add_argument("--busybox", default="/bin/busybox")
ap.add_argument("--seccomp-json", default=os.path.join(HERE, "../src/seccomp/docker.json"))
ap.add_argument("--tests", default="version,run,cycle,exec,state,kill")
ap.add_argument("--bundles", default="simple,docker")
ap.add_argument("--iters", type=int, default=100)
ap.add_argument("--warmup", type=int, default=3)
ap.add_argument("--scale", type=int, default=100)
ap.add_argument("--baseline")
ap.add_argument("--out")
ap.add_argument("--keep-order", action="store_true")
ap.add_argument("--no-seccomp", action="store_true", help="docker bundle without linux.seccomp")
ap.add_argument("--pause", type=float, default=0.0, help="seconds of sleep before each timed command (lets async netns teardown drain)")
A = ap.parse_args()
W = os.path.abspath(A.work)

if os.environ.get("BENCH_NS") != "1":
    os.makedirs(W, exist_ok=True)
    env = dict(os.environ, BENCH_NS="1")
    pre = "mount --make-rprivate / && "
    if os.path.isdir("/sys/fs/cgroup/unified"):
        pre += "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup && "
    os.execvpe("unshare", ["unshare", "-m", "sh", "-c", pre + 'exec "$@"', "sh", sys.executable] + sys.argv, env)

RT = []
for r in A.runtime:
    n, p = r.split("=", 1)
    p = shlex.split(p)
    root = os.path.join("/run", "bench-" + n)
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root, exist_ok=True)
    RT.append((n, [os.path.abspath(p[0])] + p[1:] + ["--root", root]))
FL = []
for r in A.floor:
    n, p = r.split("=", 1)
    p = shlex.split(p)
    FL.append((n, [os.path.abspath(p[0])] + p[1:]))

# ---- set-up -------------------------------------------------------------------------------------
sp = os.path.join(W, "spawner")
if not os.path.exists(sp) or os.path.getmtime(sp) < os.path.getmtime(HERE + "/spawner.c"):
    subprocess.check_call(["gcc", "-O2", "-static", "-w", "-o", sp, HERE + "/spawner.c"])
rootfs = os.path.join(W, "rootfs")
if not os.path.exists(rootfs + "/bin/true"):
    for d in ("bin", "dev", "proc", "sys", "tmp", "etc", "root", "var", "run"):
        os.makedirs(os.path.join(rootfs, d), exist_ok=True)
    shutil.copy(A.busybox, rootfs + "/bin/busybox")
    for l in ("true", "sh", "sleep", "cat", "ls", "mount", "grep"):
        os.path.lexists(rootfs + "/bin/" + l) or os.symlink("busybox", rootfs + "/bin/" + l)
    for f in ("resolv.conf", "hostname", "hosts"):
        open(rootfs + "/etc/" + f, "w").close()
etc = os.path.join(W, "etc")
os.makedirs(etc, exist_ok=True)
for f in ("resolv.conf", "hostname", "hosts"):
    open(os.path.join(etc, f), "w").write("bench\n")
ovl = os.path.join(W, "ovl")
for d in ("upper", "work", "merged"):
    os.makedirs(os.path.join(ovl, d), exist_ok=True)
if not os.path.ismount(ovl + "/merged"):
    subprocess.check_call(["mount", "-t", "overlay", "overlay", "-o",
                           f"lowerdir={rootfs},upperdir={ovl}/upper,workdir={ovl}/work", ovl + "/merged"])
profile = None if A.no_seccomp else A.seccomp_json


def bundle(kind, name, args):
    b = os.path.join(W, "b", f"{kind}-{name}")
    os.makedirs(b, exist_ok=True)
    s = S.spec(kind, rootfs if kind == "simple" else ovl + "/merged", args, f"/bench/{name}", etc, profile)
    json.dump(s, open(b + "/config.json", "w"), indent=1)
    return b


class Spawner:
    def __init__(self):
        self.err = os.path.join(W, "stderr.log")
        open(self.err, "w").close()
        self.p = subprocess.Popen([sp, self.err], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=W)

    def _io(self, payload):
        self.p.stdin.write(struct.pack("<I", len(payload)) + payload)
        self.p.stdin.flush()
        return self.p.stdout.readline().decode().split()

    @staticmethod
    def _l(argv):
        return b"".join(os.fsencode(a) + b"\0" for a in argv) + b"\0"

    def tail(self):
        with open(self.err) as f:
            t = f.read()[-400:]
        os.truncate(self.err, 0)
        return t

    def run(self, argv, check=True):
        if A.pause:
            time.sleep(A.pause)
        r = self._io(b"R" + self._l(argv))
        d = {"wall": int(r[1]) / 1e3, "cpu": int(r[2]) + int(r[3]), "user": int(r[2]), "sys": int(r[3]), "rss": int(r[4]), "csw": int(r[6])}
        if check and int(r[5]) != 0:
            raise RuntimeError(f"{argv}: status {r[5]}\n" + self.tail())
        d["rc"] = int(r[5])
        return d

    def cycle(self, pidfile, c, s, d):
        if A.pause:
            time.sleep(A.pause)
        r = self._io(b"C" + os.fsencode(pidfile) + b"\0" + self._l(c) + self._l(s) + self._l(d))
        if r[7:] != ["0", "0", "0"]:
            raise RuntimeError(f"cycle {c}: {r}\n" + self.tail())
        x = [int(v) / 1e3 for v in r[1:5]]
        return {"create": x[0], "start": x[1], "wait": x[2], "delete": x[3], "total": sum(x), "cpu": int(r[5]), "rss": int(r[6])}


SPN = Spawner()
RES, EXTRA = {}, {}
base = A.baseline or (RT[0][0] if RT else FL[0][0])


def q(v, p):
    v = sorted(v)
    return v[min(len(v) - 1, int(p * len(v)))]


def report(title, data, keys):
    RES[title] = {n: {k: [d[k] for d in v] for k in keys} for n, v in data.items()}
    print(f"\n== {title}  (n={max(len(v) for v in data.values())}; us / KiB; median [p10..p90] xbaseline={base})")
    for n, v in data.items():
        if not v:
            print(f"{n:14s} FAILED")
            continue
        o = []
        for k in keys:
            m = statistics.median(d[k] for d in v)
            r = ""
            if data.get(base):
                bm = statistics.median(d[k] for d in data[base])
                r = f" x{m / bm:.2f}" if bm else ""
            o.append(f"{k} {m:.0f} [{q([d[k] for d in v], .1):.0f}..{q([d[k] for d in v], .9):.0f}]{r}")
        print(f"{n:14s} " + "  ".join(o))
    sys.stdout.flush()


def interleave(entries, fn, iters=None):
    data = {n: [] for n, _ in entries}
    dead, fails = set(), {}
    n = iters or A.iters
    for i in range(-A.warmup, n):
        k = 0 if A.keep_order else i % len(entries)
        for e in entries[k:] + entries[:k]:
            if e[0] in dead:
                continue
            try:
                d = fn(*e)
            except RuntimeError as x:
                print(f"!! {e[0]}: {str(x)[:1200]}", file=sys.stderr)
                fails[e[0]] = fails.get(e[0], 0) + 1
                cleanup(*e)
                if fails[e[0]] > (2 if not data[e[0]] else 8):
                    dead.add(e[0])
                continue
            if i >= 0:
                data[e[0]].append(d)
    if fails:
        print("failures (of %d): %s" % (n, fails))
    return data


def cleanup(n, p):
    if "--root" in p:
        for cid in os.listdir(p[-1]):
            if re.match(r"^[rcs]\d+$", cid):
                SPN.run(p + ["delete", "--force", cid], check=False)


def start_sleep(n, pre, kind, cid):
    b = bundle(kind, f"{n}-{cid}", ["/bin/sleep", "10000"])
    SPN.run(pre + ["create", "--bundle", b, "--pid-file", f"{W}/pid-{n}-{cid}", cid])
    SPN.run(pre + ["start", cid])


def stop(n, pre, cid):
    SPN.run(pre + ["kill", cid, "KILL"], check=False)
    for _ in range(100):
        try:
            pid = int(open(f"{W}/pid-{n}-{cid}").read())
            st = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
            if st in "ZX":
                break
        except (OSError, ValueError):
            break
        time.sleep(0.005)
    SPN.run(pre + ["delete", "-f", cid] if not os.path.basename(pre[0]).startswith("youki") else pre + ["delete", "--force", cid], check=False)


T = A.tests.split(",")
K = A.bundles.split(",")
os.makedirs("/sys/fs/cgroup/bench", exist_ok=True)
try:
    if "version" in T:
        report("version", interleave(RT, lambda n, p: SPN.run([p[0], "--version"])), ["wall", "cpu", "rss"])
    for kind in K:
        if "run" in T:
            bs = {n: bundle(kind, n, ["/bin/true"]) for n, _ in RT}
            f = lambda n, p: SPN.run(p + ["run", "--bundle", bs[n], "r1"]) if n in bs else SPN.run(p + [ovl + "/merged", etc, "/sys/fs/cgroup/bench/floor"])
            report(f"run/{kind}", interleave(RT + (FL if kind == "docker" else []), f), ["wall", "cpu", "user", "sys", "rss", "csw"])
        if "cycle" in T:
            bs = {n: bundle(kind, n, ["/bin/true"]) for n, _ in RT}
            f = lambda n, p: SPN.cycle(f"{W}/pid-{n}", p + ["create", "--bundle", bs[n], "--pid-file", f"{W}/pid-{n}", "c1"],
                                       p + ["start", "c1"], p + ["delete", "c1"])
            report(f"cycle/{kind}", interleave(RT, f), ["create", "start", "wait", "delete", "total", "cpu", "rss"])
        if {"exec", "state", "kill"} & set(T):
            ok = []
            for n, p in RT:
                try:
                    start_sleep(n, p, kind, "s1")
                    ok.append((n, p))
                except RuntimeError as x:
                    print("!!", n, str(x)[:800], file=sys.stderr)
            if "exec" in T:
                report(f"exec/{kind}", interleave(ok, lambda n, p: SPN.run(p + ["exec", "s1", "/bin/true"])), ["wall", "cpu", "user", "sys", "rss"])
            if "state" in T:
                report(f"state/{kind}", interleave(ok, lambda n, p: SPN.run(p + ["state", "s1"])), ["wall", "cpu", "rss"])
            if "kill" in T:
                report(f"kill/{kind}", interleave(ok, lambda n, p: SPN.run(p + ["kill", "s1", "WINCH"])), ["wall", "cpu", "rss"])
            for n, p in ok:
                stop(n, p, "s1")
        if "scale" in T:
            ok = []
            for n, p in RT:
                try:
                    t = time.time()
                    for i in range(A.scale):
                        start_sleep(n, p, kind, f"s{i}")
                    EXTRA[f"scale-start/{kind}/{n}"] = time.time() - t
                    ok.append((n, p))
                except RuntimeError as x:
                    print("!!", n, str(x)[:800], file=sys.stderr)
            it = min(A.iters, 40)
            report(f"list@1root+{A.scale}/{kind}", interleave(ok, lambda n, p: SPN.run(p + ["list"]), it), ["wall", "cpu", "rss"])
            report(f"state@{A.scale}/{kind}", interleave(ok, lambda n, p: SPN.run(p + ["state", "s7"]), it), ["wall", "cpu"])
            report(f"kill@{A.scale}/{kind}", interleave(ok, lambda n, p: SPN.run(p + ["kill", "s7", "WINCH"]), it), ["wall", "cpu"])
            bs = {n: bundle(kind, n, ["/bin/true"]) for n, _ in RT}
            report(f"run@{A.scale}/{kind}", interleave(ok, lambda n, p: SPN.run(p + ["run", "--bundle", bs[n], "r1"]), it), ["wall", "cpu"])
            for n, p in ok:
                for i in range(A.scale):
                    stop(n, p, f"s{i}")
        if "strace" in T:
            for n, p in RT:
                b = bundle(kind, n, ["/bin/true"])
                o = f"{W}/strace-{kind}-{n}"
                subprocess.run(["strace", "-f", "-c", "-S", "calls", "-o", o] + p + ["run", "--bundle", b, "r1"], stdin=subprocess.DEVNULL)
                L = open(o).read().splitlines()
                tot = [l for l in L if l.endswith("total")]
                top = [f"{l.split()[-1]}:{l.split()[3]}" for l in L[2:16] if len(l.split()) > 4]
                print(f"\n== strace/{kind} {n}: total {tot[0].split()[-2] if not tot else tot[0].split()[2:4]}  {' '.join(top)}")
finally:
    for n, p in RT:
        r = p[-1]
        try:
            for cid in os.listdir(r):
                if re.match(r"^[rcs]\d+$", cid):
                    stop(n, p, cid)
        except OSError:
            pass
    for d, _, _ in sorted(os.walk("/sys/fs/cgroup/bench"), key=lambda x: -len(x[0])):
        try:
            os.rmdir(d)
        except OSError:
            pass
if A.out:
    json.dump({"argv": sys.argv, "results": RES, "extra": EXTRA}, open(A.out, "w"))
