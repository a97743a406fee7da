"""Run a command of stixnode again and again, and kill it each time at another act on the file system.

    python -m tests.support.killed FOLDER 0,7,19 backup FOLDER/{n}.tar.gz

forks once for each number: the process is killed (as by kill -9) before its Nth act in the folder, whose
own `{n}` in the arguments is that number. With 0 it runs to its end. It prints, for each, N, how it ended
(-9, or its exit code) and how many acts it had made.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys

from node.cli.main import stixnode

# Loaded once, for all the runs.
LOADED = (
    "node.cli.backups",
    "pysqlite3",
    "psycopg",
    "alembic.command",
    "sqlalchemy.dialects.postgresql.psycopg",
)

ACTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree", "fcntl.flock"}


def run(folder: str, at: int, arguments: list[str], told: int) -> None:
    """The command, until it is killed."""
    seen = 0

    def hook(event: str, values: tuple[object, ...]) -> None:
        nonlocal seen
        if event not in ACTS or (event != "fcntl.flock" and folder not in str(values[0])):
            return
        seen += 1
        os.pwrite(told, b"%06d" % seen, 0)
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    stixnode.main(arguments)


def main() -> None:
    """All the runs."""
    folder, numbers, *arguments = sys.argv[1:]
    for name in LOADED:
        importlib.import_module(name)
    told = os.memfd_create("told")
    for number in map(int, numbers.split(",")):
        os.pwrite(told, b"000000", 0)
        child = os.fork()
        if not child:
            run(folder, number, [each.replace("{n}", str(number)) for each in arguments], told)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stderr.write(f"{number} {os.waitstatus_to_exitcode(status)} {int(os.pread(told, 6, 0))}\n")


if __name__ == "__main__":
    main()
