"""Run several of our own commands as one: they start together, and stop together.

When one ends, the others are stopped, so that a service manager sees a node that is down and not half of
one that is up. All are in the process group of this one, so that Ctrl-C reaches them too.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

from node.errors import NodeError

LOOK_SECONDS = 0.2
STOP_SECONDS = 15


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
            children.append(subprocess.Popen([sys.executable, "-m", "node", *command]))
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
