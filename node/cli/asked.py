"""What may be given with every command: --config and --json, and a person's token with most.

`stixnode --config F status` and `stixnode status --config F` mean the same; the later one holds.
Where a command writes a new token to a file, its own --token-file names that file, and the token of the
person who acts is given before the command or in $STIXNODE_TOKEN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click


@dataclass(slots=True)
class Asked:
    """The answers; filled while click reads the command line."""

    config: str | None = None
    as_json: bool = False
    token_file: str | None = None


class Command(click.Command):
    """A command that takes what every command takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        taken = {name for each in self.params for name in each.opts}
        self.params.extend(each for each in given_anywhere() if not set(each.opts) & taken)

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence of the help, whole: half a sentence helps nobody."""
        return super().get_short_help_str(max(limit, 200))


class Group(click.Group):
    """A noun with its verbs; called alone it shows them."""

    command_class = Command


def given_anywhere() -> list[click.Option]:
    """The options that stand at the end of every command's help."""
    return [
        click.Option(
            ["--config"],
            metavar="FILE",
            help="The node's config.toml; else ./config.toml, then $STIXNODE_CONFIG.",
            expose_value=False,
            callback=_keeping("config"),
        ),
        click.Option(
            ["--token-file"],
            metavar="FILE",
            help="The file with your token, to act as a person; else $STIXNODE_TOKEN.",
            expose_value=False,
            callback=_keeping("token_file"),
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            default=False,
            help="Print lines of JSON.",
            expose_value=False,
            callback=_keeping("as_json"),
        ),
    ]


def _keeping(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.find_root().ensure_object(Asked), field, value)

    return keep


def words(texts: Iterable[str]) -> list[str]:
    """The words of an option that may be given several times and with commas in it."""
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]
