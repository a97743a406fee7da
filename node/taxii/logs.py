"""The lines that the server writes: one JSON object each, on stderr.

Rule: a line holds what is ours: ids, rules of addresses, names of accounts, numbers. No body, no query, no
header, no path as it was asked for, no text of an error; so whatever a client sends, none of it can stand in
a log, nor break a line in two. Times are UTC.

Writes  stderr
"""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from node.clock import MICROSECONDS, taxii_time

FIELDS = "fields"
_ROOT = Path(__file__).parents[1]


class Lines(logging.Formatter):
    """Each record as one JSON object; `extra={"fields": {...}}` gives its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: dict[str, Any] | None = getattr(record, FIELDS, None)
        if fields is None:
            fields = {"what": record.name, "message": record.getMessage()}
        moment = taxii_time(int(record.created * MICROSECONDS))
        return msgspec.json.encode({"at": moment, "level": record.levelname.lower(), **fields}).decode()


def to_stderr(*, requests: bool) -> None:
    """Write the lines of this process to stderr.

    Args:
        requests: A line for each request; else only for those that the server could not carry out.
    """
    # What no line shows need not be found out for each; the library's own way to say so.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(Lines())
    ours = logging.getLogger("node")
    ours.addHandler(lines)
    ours.setLevel(logging.INFO if requests else logging.WARNING)
    ours.propagate = False


def places(trace: TracebackType | None) -> list[str]:
    """Where an error came through, innermost last, without what it says: that may hold what was bound."""
    return [f"{_place(frame.filename)}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def _place(file: str) -> str:
    path = Path(file)
    if path.is_relative_to(_ROOT):
        return f"node/{path.relative_to(_ROOT).as_posix()}"
    return path.name  # of a library; where it is installed is nobody's business
