"""Programs that begin at once: copies of a process that has loaded everything, to be killed again and again.

    with a_mother() as mother:
        child = mother.begin("node", ["work", "--once", "--json", "--config", str(config)])
        child.kill()                       or child.wait()

A program needs most of a second to load; a copy of one that is loaded needs none, and is a process like any
other: it opens its own files and dies by SIGKILL. What must be measured from a real start is started as an
operator would, and not here.

    python -m tests.support.forking      is the mother: lines of JSON in, lines of JSON out
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.cli.main import SECTIONS

ROOT = Path(__file__).parents[2]

# Loaded once, for all the copies, beside the commands: what they load only when they are called.
LOADED = (
    "node.web",
    "pysqlite3",
    "granian",
    "granian.constants",
    "granian.http",
    "granian.log",
    "requests",
    "sqlalchemy.dialects.sqlite.pysqlite",
)


@dataclass
class Child:
    """One program under way.

    Args:
        mother: Whose copy it is; only she can ask how it ended.
        pid: Also the number of its process group.
        files: Where its stdout and its stderr go.
    """

    mother: Mother
    pid: int
    files: tuple[Path, Path]
    returncode: int | None = None
    _watch: int = field(default=-1, init=False)

    def __post_init__(self) -> None:
        self._watch = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self.returncode is None and select.select([self._watch], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def kill(self) -> None:
        """End it, and the processes that it began, with SIGKILL; returns when it is gone."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.wait()

    def wait(self, seconds: float = 100) -> int:
        """Its exit code, when it has ended."""
        if self.returncode is None:
            assert select.select([self._watch], [], [], seconds)[0], f"it does not end: {self.said()}"
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def out(self) -> str:
        """Its stdout so far."""
        return self.files[0].read_text(encoding="utf-8")

    def said(self) -> str:
        """Its stderr so far."""
        return self.files[1].read_text(encoding="utf-8")

    def _ended(self) -> None:
        os.close(self._watch)
        self.returncode = self.mother.ask({"wait": self.pid})["code"]


class Mother:
    """The loaded process that programs are copies of.

    Args:
        process: Of this module.
        folder: For what the programs say.
    """

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.folder, self.begun = process, folder, 0

    def begin(self, module: str, arguments: Sequence[str]) -> Child:
        """`python -m MODULE ARGUMENTS`, just begun."""
        self.begun += 1
        files = self.folder / f"{self.begun}.out", self.folder / f"{self.begun}.err"
        told = self.ask({"module": module, "arguments": list(arguments), "files": list(map(str, files))})
        return Child(self, told["pid"], files)

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """One question, one answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found


@contextlib.contextmanager
def a_mother() -> Iterator[Mother]:
    """A mother, for the length of a block; her children must have ended before her."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        try:
            yield Mother(process, Path(folder))
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait(15)
            process.stdout.close()


def _begin(question: dict[str, Any]) -> int:
    files = [os.open(os.devnull, os.O_RDONLY)]
    files += [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in question["files"]]
    child = os.fork()
    if child:
        for each in files:
            os.close(each)
        with contextlib.suppress(PermissionError):  # it has done so itself
            os.setpgid(child, child)
        return child
    os.setpgid(0, 0)
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        sys.argv = [question["module"], *question["arguments"]]
        runpy.run_module(question["module"], run_name="__main__")
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:  # noqa: BLE001  a copy must end here, whatever happened
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """The mother."""
    commands = {where.split(":")[0] for group in SECTIONS.values() for where, _ in group.values()}
    for name in (*LOADED, *(f"node.cli.{each}" for each in sorted(commands))):
        importlib.import_module(name)
    for line in sys.stdin:
        question = json.loads(line)
        if "wait" in question:
            _, status = os.waitpid(question["wait"], 0)
            answer = {"code": os.waitstatus_to_exitcode(status)}
        else:
            answer = {"pid": _begin(question)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
