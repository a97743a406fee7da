"""Ask a person who is about to do something that is not to be undone."""

from __future__ import annotations

import sys

import click

from node.cli.context import Context
from node.errors import UsageError


def ask_number(context: Context, question: str, number: int, *, yes: bool) -> None:
    """Nothing, once the person has typed the number of what is concerned.

    Args:
        context: Of the command.
        question: What is about to happen, as a sentence.
        number: What must be typed.
        yes: `--yes` was given, so nobody is asked.

    Raises:
        UsageError: Another number was typed, or nobody is there to ask.
    """
    if yes:
        return
    remedy = "Nothing was changed. To do it without being asked, add --yes."
    if context.asked.as_json or not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is there to be asked.", remedy=remedy)
    click.echo(question, err=True)
    typed = click.prompt(f"Type {number} to go on", default="", show_default=False, err=True)
    if typed.replace(",", "").strip() != str(number):
        raise UsageError("That is not the number.", remedy=remedy)
