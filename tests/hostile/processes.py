"""A worker in a process of its own, as tests speak to it; what it does stands in `worker.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.hostile.bombs import MIB

MOST = 250 * MIB
ROOT = Path(__file__).parents[2]


class Worker:
    """The process, a line at a time; `limits`: new objects in a day, entries in quarantine."""

    def __init__(self, database, address, *limits):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.worker", str(database), address, *map(str, limits)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.start = self._read()["memory"]

    def round(self, direction):
        self.process.stdin.write(direction + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self):
        line = self.process.stdout.readline()
        assert line, f"the worker ended with {self.process.wait(10)}"
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()
