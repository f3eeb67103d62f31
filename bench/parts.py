"""The pure parts by themselves (benches/parts): their time, and their instructions as callgrind counts them."""

import json
import re
import shutil
import subprocess
import sys

import ground


def build():
    """The path of the program, optimised like the release, with its symbols."""
    command = ["cargo", "bench", "--locked", "--no-run", "--bench", "parts", "--message-format", "json-render-diagnostics"]
    said = subprocess.run(command, cwd=f"{ground.HERE}/..", stdout=subprocess.PIPE, text=True, check=True).stdout
    artifacts = [json.loads(line) for line in said.splitlines()]
    return [a["executable"] for a in artifacts if a.get("executable") and a["target"]["name"] == "parts"][0]


def measure(bench):
    """Adds {part: {unit: [number]}} to the results."""
    program = build()
    bundle = bench.ground.bundle("docker", "parts", ["/bin/true"])
    result = {}
    said = subprocess.run([program, bundle], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in said.splitlines():
        part, number, unit = line.split("\t")
        result.setdefault(part, {})[unit] = [float(number)]
    if shutil.which("valgrind"):
        for part, function in (("read and check", "read"), ("plan, with the filter", "plan"), ("filter", "filter")):
            result.setdefault(part, {})["instructions"] = [instructions(bench, [program, bundle, "once"], function)]
    else:
        print("not measured: instructions; valgrind is not installed", file=sys.stderr)
    bench.results["parts"] = result


def instructions(bench, command, function):
    tool = ["valgrind", "--tool=callgrind", f"--toggle-collect=*part_{function}*", f"--callgrind-out-file={bench.ground.work}/callgrind"]
    said = subprocess.run([*tool, *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=True).stderr
    return int(re.search(r"Collected : (\d+)", said)[1])
