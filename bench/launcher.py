"""The process that starts what is measured (launcher.c), seen from Python."""

import os
import struct
import subprocess
from dataclasses import dataclass


class Failed(Exception):
    """A measured command failed; the text ends with what it said on stderr."""


@dataclass
class Sample:
    """What one command cost."""

    wall: float  # microseconds
    cpu: int  # microseconds
    rss: int  # KiB
    switches: int
    status: int


class Launcher:
    def __init__(self, program, errors):
        self.errors = errors
        open(errors, "w").close()
        self.process = subprocess.Popen([program, errors], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def sequence(self, *commands, may_fail=False):
        """One after the other; a sample for each."""
        return self._ask("sequence", commands, may_fail)

    def run(self, command, may_fail=False):
        return self.sequence(command, may_fail=may_fail)[0]

    def at_once(self, commands, may_fail=False):
        """All together; one sample, until the last has ended."""
        return self._ask("at once", commands, may_fail)[0]

    def _ask(self, how, commands, may_fail):
        words = [how] + [word for command in commands for word in [*command, ""]]
        payload = b"".join(os.fsencode(word) + b"\0" for word in words)
        self.process.stdin.write(struct.pack("<I", len(payload)) + payload)
        self.process.stdin.flush()
        numbers = [int(word) for word in self.process.stdout.readline().split()]
        samples = [Sample(numbers[i] / 1000, *numbers[i + 1 : i + 5]) for i in range(0, len(numbers), 5)]
        said = self._said()
        if not may_fail and any(sample.status for sample in samples):
            raise Failed(f"{' '.join(commands[0])}: {[sample.status for sample in samples]}\n{said}")
        return samples

    def _said(self):
        with open(self.errors) as file:
            text = file.read()
        os.truncate(self.errors, 0)
        return text[-600:]
