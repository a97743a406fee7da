"""Exit codes: what a script may conclude, and which error ends with which.

The table is only ever extended; an unknown code means failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from node.cli.processes import ProcessEnded
from node.errors import (
    ConfigError,
    LockHeld,
    NodeError,
    PartnerRefused,
    PartnerUnreachable,
    Refused,
    StoreBusy,
    StoreError,
    UsageError,
)

DONE, ERROR, WRONG_CALL, INCOMPLETE, NO_ACCESS, LATER, RULE, ATTENTION = 0, 1, 2, 3, 4, 5, 6, 7
PENDING, LOCKED, BROKEN, INTERRUPTED = 10, 11, 12, 130

MEANINGS = {
    DONE: "done, or nothing to do",
    ERROR: "an error that is not in this list",
    WRONG_CALL: "wrong call or configuration: correct it",
    INCOMPLETE: "finished, but some objects were refused, set aside or failed",
    NO_ACCESS: "no valid credential, or no right: give another",
    LATER: "not now: network, busy database; nothing is lost, run it again",
    RULE: "an agreement, a limit or a pause says no: ask a person",
    ATTENTION: "something needs a person (status, doctor, withdraw list)",
    PENDING: "changes are pending (plan --detailed-exitcode, reconcile): look at them",
    LOCKED: "another run does the same work: skip this turn",
    BROKEN: "the database went back or is damaged: stop and look",
    INTERRUPTED: "interrupted; everything is consistent",
}

_SERIOUS = (INTERRUPTED, BROKEN, RULE, NO_ACCESS, WRONG_CALL, ERROR, LOCKED, LATER, INCOMPLETE, PENDING, DONE)


class AccessRefused(Refused):
    """The one who asks is not known, or has no right to this; another credential would help."""


# The first class that an error belongs to decides.
CODES: tuple[tuple[type[NodeError], int], ...] = (
    (UsageError, WRONG_CALL),
    (ConfigError, WRONG_CALL),
    (AccessRefused, NO_ACCESS),
    (Refused, RULE),
    (PartnerUnreachable, LATER),
    (StoreBusy, LATER),
    (LockHeld, LOCKED),
)

# What SQLite says of a file whose pages are wrong, and we of a backup that is not what was written.
_DAMAGED = re.compile(r"malformed|file is not a database|is no whole backup")

# What PostgreSQL's client says while it connects; it gives no code there, only words.
_CONNECTING: tuple[tuple[re.Pattern[str], int, str], ...] = (
    (
        re.compile(
            r"connect.*(authentication failed|no password supplied|pg_hba|role .* does not exist)", re.S
        ),
        NO_ACCESS,
        "Correct the password in the file of password_file in [database], or the user in url.",
    ),
    (
        re.compile(r"connect.*database .* does not exist", re.S),
        WRONG_CALL,
        "Create the database on that server, or correct url in [database].",
    ),
    (
        re.compile(
            r"connection failed|connection is bad|failed to resolve|terminating connection"
            r"|server closed the connection|connection is lost|timeout expired"
        ),
        LATER,
        "Nothing is lost. Start the database server, or correct url in [database].",
    ),
)


def exit_code(error: NodeError) -> int:
    """The code with which a command ends that was ended by this error."""
    if isinstance(error, StoreError) and (fault := _fault(error)) is not None:
        return fault[0]
    if isinstance(error, StoreError) and _DAMAGED.search(error.problem):
        return BROKEN
    if isinstance(error, ProcessEnded):
        return error.code if error.code in MEANINGS and error.code != DONE else ERROR
    if isinstance(error, PartnerRefused):
        if error.by_rule:
            return RULE
        return NO_ACCESS if error.http_status in (401, 403) else ERROR
    return next((code for kind, code in CODES if isinstance(error, kind)), ERROR)


def remedy_of(error: NodeError) -> str:
    """What to do about an error; of a database that is not to be had, the key to look at."""
    fault = _fault(error) if isinstance(error, StoreError) else None
    return error.remedy if fault is None else fault[1]


def most_serious(codes: Iterable[int]) -> int:
    """The code of a run with several outcomes."""
    return min(codes, key=_SERIOUS.index, default=DONE)


def _fault(error: StoreError) -> tuple[int, str] | None:
    """(exit code, remedy) of a database that could not be connected to; None of any other error."""
    return next((found[1:] for found in _CONNECTING if found[0].search(error.problem)), None)
