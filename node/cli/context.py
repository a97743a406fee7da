"""What a command works with: the settings, the database and the door, each opened when first asked for.

The door is opened as the server opens it (`node.web.prepare`), so that a command run after a restore
finds the rollback before it writes anything that would hide it.

Who acts is the person whose token is in $STIXNODE_TOKEN or the file of --token-file; without one the act
is recorded under the name of the operating system's account, and some acts are not to be had.
"""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec

import click

from node import clock, web
from node.access.people import Person, find_by_token
from node.cli.asked import Asked
from node.cli.exits import AccessRefused
from node.cli.printing import Printer
from node.config import Settings, find_config, load_settings
from node.errors import UsageError
from node.exchange.door import Door
from node.sharing.links import Link, find_links
from node.sharing.tables import nearest
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Database, Tx

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts: the name for the audit log, and the person when a token showed one."""

    name: str
    person: Person | None


class Context:
    """One run of one command; closed at its end.

    Args:
        asked: What was given with every command.
        command: Name of the command without `stixnode`.
    """

    def __init__(self, asked: Asked, command: str) -> None:
        self.asked = asked
        self.out = Printer(command, as_json=asked.as_json, config=asked.config)
        self._settings: Settings | None = None
        self._database: Database | None = None
        self._door: Door | None = None
        self._acting: Acting | None = None

    def __enter__(self) -> Context:
        """The context itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database, if it was opened."""
        self.close()

    def close(self) -> None:
        """Close the database, if it was opened; who asks for it once more has it opened as at a start."""
        if self._database is not None:
            self._database.close()
        self._database = self._door = None

    @property
    def settings(self) -> Settings:
        """The configuration."""
        if self._settings is None:
            self._settings = load_settings(find_config(self.asked.config, os.environ), os.environ)
        return self._settings

    @property
    def door(self) -> Door:
        """The door over the open database; a node that went back in time has been dealt with."""
        if self._door is None:
            self._database = web.open_database(self.settings)
            self._door = web.prepare(self.settings, self._database)
        return self._door

    @property
    def database(self) -> Database:
        """The open database."""
        return self.door.database

    @property
    def acting(self) -> Acting:
        """Who acts.

        Raises:
            AccessRefused: A token was given, and it is nobody's.
        """
        if self._acting is None:
            text = self._token()
            if text is None:
                self._acting = Acting(f"os:{os_name()}", None)
            else:
                with self.database.reading() as tx:
                    person = find_by_token(tx, text, now=clock.now())
                if person is None:
                    raise AccessRefused(
                        "The token given is nobody's here, or has expired.",
                        remedy="Use a person's token of this node; or: stixnode token rotate --person NAME",
                    )
                self._acting = Acting(f"person:{person.name}", person)
        return self._acting

    @property
    def actor(self) -> str:
        """`person:NAME` or `os:NAME`, for the audit log."""
        return self.acting.name

    def person(self, act: str, roles: Iterable[str]) -> str:
        """The actor, who must be a person with one of the roles.

        Args:
            act: What is to be done, as `accept from quarantine`.
            roles: Any of these is enough.

        Raises:
            AccessRefused: No token was given, or the person has none of the roles.
        """
        acting, wanted = self.acting, tuple(roles)
        if acting.person is None:
            raise AccessRefused(
                f"{acting.name} may not {act}: that takes a person, known by a token.",
                remedy="Put your token in $STIXNODE_TOKEN, or name its file: --token-file FILE",
            )
        if not set(wanted) & set(acting.person.roles):
            raise AccessRefused(
                f"{acting.person.name} may not {act}; that takes the role {' or '.join(wanted)}.",
                remedy=f"Ask somebody who has it. {acting.person.name} is {', '.join(acting.person.roles)}.",
            )
        return acting.name

    def collection(self, tx: Tx, name: str) -> Collection:
        """The collection with this alias or id.

        Raises:
            UsageError: There is none.
        """
        found = catalog.find_collection(tx, name)
        if found is None:
            known = [one.alias for one in catalog.collections(tx)]
            guess = nearest(name, known)
            raise UsageError(
                f"There is no collection {name!r}.",
                remedy=f"Did you mean {guess}?" if guess else f"There are: {', '.join(known) or 'none yet'}.",
            )
        return found

    def links(self, text: str | None, direction: str | None = None) -> list[Link]:
        """The links that an operator means, all of them without a text, of one direction if given.

        Raises:
            UsageError: No link is called that, or there is none at all.
        """
        found = find_links(self.settings.links, text) if text else list(self.settings.links)
        chosen = [link for link in found if direction in (None, link.direction)]
        if not chosen:
            way = "" if direction is None else f" {direction}"
            if found and text is not None:
                verb = "push" if direction == "in" else "pull"
                raise UsageError(
                    f"{text} names no link that brings us something."
                    if direction == "in"
                    else f"{text} names no link by which we give something.",
                    remedy=f"stixnode {verb} {text}",
                )
            names = [link.name for link in self.settings.links if direction in (None, link.direction)]
            raise UsageError(
                f"There is no link{way}{'' if text is None else f' of {text}'}.",
                remedy=f"The links{way} here are {', '.join(names)}."
                if names
                else "Name an agreement under [partner.NAME] in config.toml; links follow from it.",
            )
        return chosen

    def partner_links(self, partner: str) -> list[Link]:
        """All links with one partner.

        Raises:
            UsageError: The configuration has no such partner.
        """
        known = [binding.name for binding in self.settings.partners]
        if partner not in known:
            guess = nearest(partner, known)
            raise UsageError(
                f"There is no partner {partner!r}.",
                remedy=f"Did you mean {guess}?" if guess else f"There are: {', '.join(known) or 'none yet'}.",
            )
        return self.door.partner_links(partner)

    def local(self, moment: int | None) -> str:
        """A moment for people, in the node's own zone; `never` for None."""
        return "never" if moment is None else clock.local_time(moment, self.settings.node.time_zone)

    def _token(self) -> str | None:
        if self.asked.token_file is not None:
            try:
                return Path(self.asked.token_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as cause:
                raise UsageError(
                    f"The token file {self.asked.token_file} cannot be read.",
                    remedy="Give the file in which your token stands.",
                ) from cause
        return os.environ.get("STIXNODE_TOKEN", "").strip() or None


def with_context(work: Callable[Concatenate[Context, P], int]) -> Callable[P, int]:
    """A command's function, given the `Context` of its run; what it returns is the exit code."""

    @functools.wraps(work)
    def run(*args: P.args, **values: P.kwargs) -> int:
        click_context = click.get_current_context()
        asked: Asked = click_context.find_root().ensure_object(Asked)
        with Context(asked, command_name(click_context)) as context:
            return work(context, *args, **values)

    return run


def command_name(click_context: click.Context) -> str:
    """The command as people type it, without `stixnode`."""
    names: list[str] = []
    at: click.Context | None = click_context
    while at is not None and at.parent is not None:
        names.append(at.info_name or "")
        at = at.parent
    return " ".join(name for name in reversed(names) if name)


def os_name() -> str:
    """The name of the operating system's account that runs this, or its number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
