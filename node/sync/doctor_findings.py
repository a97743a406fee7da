"""What the doctor finds: one line for each thing looked at, with its fix.

    ok     it is as it should be
    FAIL   it is not, and something does not work because of it
    warn   it works, and will not for long, or is weaker than it could be
    skip   it was not looked at, and why
    wait   nothing is wrong: somebody closed it, or a moment has not come

Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "FAIL", "warn", "skip", "wait"]
Kind = Literal["person", "credential", "network"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Args:
        mark: How it stands.
        what: What was looked at: `DNS`, or a flow and direction.
        text: What was found.
        fix: What to do: a command, or a sentence that says whom to ask for what; "" where nothing is needed.
        kind: What a failure takes: a person, another credential, or a network that works.
        left: Id of an object that was left with the partner, for the audit log.
    """

    mark: Mark
    what: str
    text: str
    fix: str = ""
    kind: Kind = "person"
    left: str = ""


def ok(what: str, text: str) -> Finding:
    """A line that is as it should be."""
    return Finding("ok", what, text)


def failed(what: str, text: str, fix: str, kind: Kind = "person") -> Finding:
    """A failure."""
    return Finding("FAIL", what, text, fix, kind)


def warned(what: str, text: str, fix: str) -> Finding:
    """Something that works, and could be better."""
    return Finding("warn", what, text, fix)


def skipped(what: str, why: str) -> Finding:
    """Something that was not looked at."""
    return Finding("skip", what, why)


def waits(what: str, why: str, fix: str = "") -> Finding:
    """Something that is closed on purpose, or whose time has not come."""
    return Finding("wait", what, why, fix)


def broken(found: Iterable[Finding]) -> bool:
    """Whether anything failed."""
    return any(each.mark == "FAIL" for each in found)
