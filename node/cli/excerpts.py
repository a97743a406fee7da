"""A part of a text around a place in it, with line numbers and a caret, as people look at a fault.

Reads and writes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from node.cli.printing import clean

AROUND = 6
"""Lines shown before and after the place."""

MOST = 40
"""Lines of a text that is shown whole, or as far as that without a place."""

WIDTH = 110
_BEFORE = 70  # characters of a long line that are shown before the caret
_NOTE = 160


class Place(NamedTuple):
    """Where a character is, counted from 1."""

    line: int
    column: int


def place(text: str, at: int) -> Place:
    """The line and column of a character."""
    return Place(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def excerpt(text: str, at: int | None, note: str, *, whole: bool = False) -> list[str]:
    """The lines to print.

    Args:
        text: Several lines.
        at: The character to point at; None to point at nothing.
        note: What is said beside the caret.
        whole: Every line, each in its whole length.
    """
    lines = text.split("\n")
    where = None if at is None else place(text, at)
    first, last = 1, len(lines)
    if not whole and len(lines) > MOST:
        first = 1 if where is None else max(where.line - AROUND, 1)
        last = min(len(lines), MOST if where is None else where.line + AROUND)
    wide = len(str(last))
    shown = [] if first == 1 else [f"{'':>{wide + 2}} ... {first - 1:,} lines before"]
    for number in range(first, last + 1):
        line = lines[number - 1]
        here = where is not None and where.line == number
        start = _start(line, where.column - 1 if here and where is not None else 0, whole=whole)
        part = line[start:] if whole else line[start : start + WIDTH]
        before, after = "..." if start else "", "..." if start + len(part) < len(line) else ""
        shown.append(f"{number:>{wide + 2}} | {before}{clean(part)}{after}")
        if here and where is not None:
            caret = len(before) + len(clean(line[start : where.column - 1]))
            shown.append(f"{'':>{wide + 2}} | {' ' * caret}^ {clean(note)[:_NOTE]}".rstrip())
    if last < len(lines):
        shown.append(f"{'':>{wide + 2}} ... {len(lines) - last:,} lines more: --whole shows all")
    return shown


def _start(line: str, column: int, *, whole: bool) -> int:
    """Where the shown part of a line begins."""
    if whole or len(line) <= WIDTH or column <= _BEFORE:
        return 0
    return column - _BEFORE
