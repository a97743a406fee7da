"""Run several of our own commands as one: they start together, and stop together.

When one ends, the others are stopped, so that a service manager sees a node that is down and not half of
one that is up. All are in the process group of this one, so that Ctrl-C reaches them too. When this one was
killed, they stop by themselves: they would hold the port and the leases against the next run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from node.errors import NodeError

LOOK_SECONDS = 0.2
STOP_SECONDS = 15
RUN_BY = "STIXNODE_RUN_BY"


class ProcessEnded(NodeError):
    """One of the processes of a run ended by itself.

    Args:
        problem: Which.
        remedy: Where to look.
        code: Its exit code.
    """

    def __init__(self, problem: str, *, remedy: str, code: int) -> None:
        super().__init__(problem, remedy=remedy)
        self.code = code


def run_together(commands: Sequence[Sequence[str]]) -> None:
    """Run commands of `stixnode` until a signal says to stop.

    Args:
        commands: The arguments of each, such as `["work", "--config", "config.toml"]`.

    Raises:
        ProcessEnded: One ended by itself; the others were stopped.
    """
    stopping = threading.Event()
    before = {
        each: signal.signal(each, lambda *_: stopping.set()) for each in (signal.SIGTERM, signal.SIGINT)
    }
    children: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            environ = os.environ | {RUN_BY: str(os.getpid())}
            children.append(subprocess.Popen([sys.executable, "-m", "node", *command], env=environ))
        ended = _first_to_end(children, stopping)
    finally:
        _stop(children)
        for each, action in before.items():
            signal.signal(each, action)
    if ended is not None:
        name = " ".join(commands[ended][:1])
        raise ProcessEnded(
            f"`stixnode {name}` ended with exit code {children[ended].returncode}; the rest was stopped.",
            remedy="Its own message stands above; correct that, then run again.",
            code=children[ended].returncode,
        )


def stop_with_parent() -> None:
    """Let this process stop when the run that began it was killed; one that was begun otherwise goes on."""
    parent = os.getppid()
    if os.environ.get(RUN_BY) == str(parent):
        threading.Thread(target=_stop_after, args=(parent,), daemon=True).start()


def _stop_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _first_to_end(children: Sequence[subprocess.Popen[bytes]], stopping: threading.Event) -> int | None:
    while not stopping.wait(LOOK_SECONDS):
        for number, child in enumerate(children):
            if child.poll() is not None:
                return number
    return None


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
