"""Who holds a lease: a name that tells others on this machine whether its process still lives.

Rule    A holder is gone only if that is certain: its name says that it ran on this machine since it was
        started, among the processes that we see, and no process of its number and start is there, shown or
        hidden. Of anybody else nothing is known, and its lease ends by itself.

Reads   /proc; where there is none, nobody is ever known to be gone
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from pathlib import Path

_PROCESSES = Path("/proc")
_NAME = re.compile(r".*:([0-9]+)\.([0-9]+)\.([0-9a-f]{12}):[0-9a-f]{8}")


def own_name() -> str:
    """A name that no other holder has, in this process or another."""
    pid = os.getpid()
    started = _started(pid)
    place = f"{pid}.{started}.{_place()}" if started and _place() else f"{pid}"
    return f"{socket.gethostname()}:{place}:{secrets.token_hex(4)}"


def is_gone(name: str) -> bool:
    """Whether the process of a holder has certainly ended.

    Args:
        name: As `own_name` gave it to somebody; any other text says nothing.
    """
    found = _NAME.fullmatch(name)
    if found is None or found[3] != _place():
        return False
    started = _started(int(found[1]))
    return not _lives(int(found[1])) if started is None else started != int(found[2])


def _place() -> str:
    """This start of this machine, and the processes that we see of it; "" where that cannot be told."""
    try:
        boot = (_PROCESSES / "sys/kernel/random/boot_id").read_text(encoding="ascii")
        seen = (_PROCESSES / "self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot.strip()} {seen}".encode()).hexdigest()[:12]


def _lives(pid: int) -> bool:
    """Whether there is a process of a number, also where `/proc` hides those of other users."""
    try:
        os.kill(pid, 0)  # no signal is sent
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; 0 if it has ended, None if none is seen."""
    try:
        # The name of the program stands in brackets and may hold anything.
        fields = (_PROCESSES / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        state, *rest = fields.rsplit(")", 1)[1].split()
        ended = state in "ZX" and len(os.listdir(_PROCESSES / str(pid) / "task")) <= 1
    except (OSError, IndexError):
        return None
    return 0 if ended else int(rest[18])
