"""Which entries of the quarantine a command is about: by name, or all of a link or with a reason.

An act on more than what was named one by one asks first: the number of entries is typed, or --yes given.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from node.cli.context import Context
from node.cli.printing import amount
from node.errors import UsageError
from node.exchange import quarantine

_F = TypeVar("_F", bound=Callable[..., Any])

_ALL = 1_000_000


def choosing(command: _F) -> _F:
    """The ways of naming entries, as options of a command."""
    for add in (
        click.option("--all", "every", is_flag=True, help="All that wait."),
        click.option(
            "--reason-code",
            default="",
            metavar="CODE",
            help="All that wait for this reason, such as invalid.",
        ),
        click.option("--link", metavar="LINK", help="All of this link, or of this partner."),
        click.argument("entries", metavar="[ENTRY]...", nargs=-1),
    ):
        command = add(command)
    return command


def choice_of(
    context: Context, entries: tuple[str, ...], link: str | None, code: str, every: bool
) -> dict[str, str]:
    """The waiting entries that are meant: entry -> the link it came by, oldest first.

    Raises:
        UsageError: Nothing was named, or too much; an entry does not exist or does not wait.
    """
    wide = bool(link or code or every)
    if bool(entries) == wide:
        raise UsageError(
            "Name entries, or say which by --link, --reason-code or --all; not both."
            if wide
            else "No entry was named.",
            remedy="See what waits: stixnode quarantine list",
        )
    with context.database.reading() as tx:
        if entries:
            named = [quarantine.find(tx, each) for each in dict.fromkeys(entries)]
            for each in named:
                quarantine.refuse_decided(each)
            return {each.entry: each.link for each in named}
        links = None if link is None else {each.name for each in context.links(link, "in")}
        found = quarantine.entries(tx, links=links, reason=code, limit=_ALL, bodies=False)
    return {each.entry: each.link for each in found}


def confirmed(context: Context, act: str, chosen: Mapping[str, str], *, named: bool, yes: bool) -> None:
    """Nothing, once the person has said that all these are meant.

    Raises:
        UsageError: Another number was typed, or nobody is there to ask.
    """
    if named or yes or not chosen:
        return
    number = len(chosen)
    remedy = f"Nothing was changed. To {act} all of them without being asked, add --yes."
    if context.asked.as_json or not sys.stdin.isatty():
        raise UsageError(f"{act} would decide {amount(number, 'entry', 'entries')} at once.", remedy=remedy)
    by_link = ", ".join(f"{count:,} from {link}" for link, count in Counter(chosen.values()).most_common())
    click.echo(f"To {act}: {by_link}.", err=True)
    typed = click.prompt(f"Type {number} to {act} all of them", default="", show_default=False, err=True)
    if typed.replace(",", "").strip() != str(number):
        raise UsageError("That is not the number.", remedy=remedy)
