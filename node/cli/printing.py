"""What people and scripts read: lines and tables on stdout, notices and progress on stderr.

Rule    Text from elsewhere (names, ids, sentences of partners) cannot move the cursor, change colours or
        turn the direction of writing: what is not printable is shown as its escape. No meaning stands in
        a colour, so nothing is coloured. Progress bars appear on a terminal only.

With `--json` every answer is lines of JSON, versioned: the first says what format it is, the last is the
summary with the exit code; times are UTC. Unknown types and fields are for the reader to pass over.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click

from node import __version__
from node.clock import ago as ago
from node.clock import duration as duration
from node.clock import taxii_time

Value = str | int | bool | None | Sequence[Any] | Mapping[str, Any]

_WIDE = 10_000  # columns, where no terminal says how wide it is
# Commands that work on one node, as they stand in our texts.
_COMMAND = re.compile(
    r"\bstixnode (?=(account|agreement|backup|check|collection|explain|export|import|person|plan|pull|push"
    r"|doctor|find|history|quarantine|reconcile|resume|run|serve|status|stop|sync|token|undelete|withdraw|work)\b)"
)


class Step(Protocol):
    """Moves a progress bar on by that many units."""

    def __call__(self, units: int, /) -> None: ...  # noqa: D102


def clean(text: str) -> str:
    """The text with everything that a terminal would obey, not show, written as an escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def clean_lines(text: str) -> str:
    """As `clean`, but line ends stay line ends."""
    return "\n".join(clean(line.expandtabs(2)) for line in text.split("\n"))


def amount(number: int, noun: str, many: str = "") -> str:
    """`1 object`, `8,023 objects`."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def with_config(text: str, config: str | None) -> str:
    """The text, where every command of a node in it names the configuration that was named to us."""
    if config is None:
        return text
    named = f"--config {shlex.quote(config)} "
    return _COMMAND.sub(lambda found: found[0] + named, text)


def utc(moment: int | None) -> str | None:
    """A moment for JSON, or None."""
    return None if moment is None else taxii_time(moment)


class Printer:
    """Where a command puts its answer.

    Args:
        command: Its name without `stixnode`, such as `quarantine list`.
        as_json: Lines of JSON instead of text.
        config: The file given with --config, which the commands that we offer then need too.
    """

    def __init__(self, command: str, *, as_json: bool, config: str | None = None) -> None:
        self.command = command
        self.as_json = as_json
        self._config = config
        self._begun = False

    def line(self, text: str = "") -> None:
        """A line for people; nothing with --json."""
        if not self.as_json:
            click.echo(clean(text))

    def block(self, text: str) -> None:
        """Several lines for people; nothing with --json."""
        if not self.as_json:
            click.echo(clean_lines(text))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[object]], *, indent: int = 0) -> None:
        """Aligned columns for people; nothing with --json, and nothing without rows."""
        cells = [[clean(str(cell)) for cell in row] for row in rows]
        if not self.as_json and cells:
            for line in _columns(heads, cells):
                click.echo(f"{' ' * indent}{line}".rstrip())

    def next(self, *commands: str) -> None:
        """What to type next, as the last line for people."""
        if not self.as_json:
            for number, command in enumerate(commands):
                typed = clean(with_config(command, self._config))
                click.echo(f"{'next' if number == 0 else '    '}     {typed}")

    def remedy(self, text: str, *, indent: int) -> None:
        """What to do about a problem that was just told, for people."""
        self.line(f"{' ' * indent}Try: {with_config(text, self._config)}")

    def record(self, kind: str, **fields: Value) -> None:
        """A result as a line of JSON; nothing without --json."""
        if self.as_json:
            self._begin()
            click.echo(_json({"type": kind, **fields}))

    def summary(self, code: int, **fields: Value) -> int:
        """The last line of JSON; the exit code itself, for the command to return."""
        self.record("summary", **fields, exit=code)
        return code

    def only(self, **fields: Value) -> None:
        """With --json the whole answer as one object, without version and summary."""
        if self.as_json:
            click.echo(_json(fields))

    def notice(self, text: str) -> None:
        """Something to know that is no result: on stderr, with and without --json."""
        if self.as_json:
            click.echo(_json({"type": "notice", "text": text}), err=True)
        else:
            click.echo(clean(text), err=True)

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Step]:
        """A bar on stderr while the block runs, if stderr is a terminal; gives a function to move it on.

        Args:
            what: What is being done, such as `reading`.
            total: Units until the end; None when nobody knows.
        """
        if self.as_json or not sys.stderr.isatty():
            yield _nowhere
            return
        # Loaded only where somebody watches; every other start does without it.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import Progress  # noqa: PLC0415

        with Progress(console=Console(stderr=True, highlight=False), transient=True) as bar:
            task = bar.add_task(clean(what), total=total)
            yield lambda units: bar.update(task, advance=units)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            name = self.command.replace(" ", ".")
            kind = {"type": "version", "format": f"stixnode.{name}"}
            click.echo(_json({**kind, "major": 1, "minor": 0, "tool": __version__}))


def print_error(problem: str, remedy: str, code: int, *, as_json: bool, config: str | None = None) -> None:
    """An error as two lines on stderr, problem and remedy; with --json as one line of JSON."""
    if as_json:
        line = _json({"type": "error", "problem": problem, "remedy": remedy, "exit": code})
        click.echo(line, err=True)
        return
    click.echo(clean_lines(problem), err=True)
    click.echo(f"Try: {clean(with_config(remedy, config))}", err=True)


def _columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    # Commands that print no table do without the library.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, show_header=any(heads), header_style="none", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(Text(head), overflow="fold", justify="left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    width = None if sys.stdout.isatty() else _WIDE
    console = Console(width=width, color_system=None, highlight=False, emoji=False, markup=False)
    with console.capture() as caught:
        console.print(table)
    return caught.get().rstrip("\n").split("\n")


def _escaped(character: str) -> str:
    # NO-BREAK SPACE and its kin are no danger and stand in ordinary French and Cyrillic texts.
    if character.isspace() and character not in "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "
    return character.encode("unicode_escape").decode("ascii")


def _json(fields: Mapping[str, Value]) -> str:
    # ASCII only: nothing in it can act on a terminal, whatever the coding of the output is.
    return json.dumps(fields, separators=(",", ":"), default=str)


def _nowhere(units: int, /) -> None:
    del units
