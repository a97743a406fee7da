"""The configuration of a node that is restored: the same text, but for where its data lie now.

Rule    Everything of the node lies in its new folder: what was named elsewhere is named anew, and told.
Reads   the configuration out of a backup, files with passwords. Writes nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from node.errors import ConfigError, UsageError
from node.sharing.tables import read_toml
from node.store.backup_file import ELSEWHERE

SQLITE = "sqlite:///"
DEFAULT = f"{SQLITE}stixnode.db"
URL, PASSWORD_FILE = "STIXNODE_DATABASE__URL", "STIXNODE_DATABASE__PASSWORD_FILE"


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the parts of a restored node go.

    Args:
        text: The configuration as it must be.
        url: The database, as the configuration names it.
        data_dir: In the node's folder.
        file: SQLite's file in the node's folder; None for a server.
        password: Of the server.
        notes: What is not as it was.
    """

    text: str
    url: str
    data_dir: Path
    file: Path | None
    password: str | None
    notes: tuple[str, ...]


def planned(
    config: Path,
    *,
    was: Path,
    folder: Path,
    database: str,
    password_file: Path | None,
    environ: Mapping[str, str],
) -> Plan:
    """Where the parts go, and the configuration that says so.

    Args:
        config: The configuration, beside the files that it names.
        was: The folder in which it stood when the backup was taken.
        folder: The folder in which it will stand.
        database: The URL that was asked for; "" to leave it.
        password_file: The file that was asked for; None to leave it.
        environ: May name both, where they were not asked for.

    Raises:
        ConfigError: The configuration cannot be read.
        UsageError: What was asked for is no database that a configuration may name.
    """
    text = config.read_text(encoding="utf-8")
    tables = read_toml(text, config.name)
    notes: list[str] = []
    written = _of(tables, "node", "data_dir", ".")
    data_dir = _inside(written)
    if data_dir is None:
        data_dir = Path()
        text = with_key(text, "node", "data_dir", ".")
        notes.append(f"data_dir was {written}; now it is {folder}")
    before = _of(tables, "database", "url", DEFAULT)
    url = database or environ.get(URL, "") or before
    _check_url(url)
    file = None
    if url.startswith(SQLITE):
        file = _inside(Path(data_dir, url.removeprefix(SQLITE)))
        if file is None and database:
            raise UsageError(
                f"{database} does not lie in {folder}.", remedy=f"Leave --database out, or write {DEFAULT}."
            )
        if file is None:
            notes.append(f"the database was {url}; now it is in {folder}")
            url, file = DEFAULT, data_dir / DEFAULT.removeprefix(SQLITE)
    if url != before:
        text = with_key(text, "database", "url", url)
    named = _of(tables, "database", "password_file", "")
    asked = str(password_file.absolute()) if password_file is not None else environ.get(PASSWORD_FILE, "")
    wanted = "" if file is not None else asked or named
    if wanted != named:
        text = with_key(text, "database", "password_file", wanted)
    password = _password(wanted, config.parent, was) if wanted else None
    return Plan(text, url, data_dir, file, password, tuple(notes))


def with_key(text: str, section: str, key: str, value: str) -> str:
    """The text of a TOML file in which one key of one section has this value, and nothing else changed.

    Raises:
        ConfigError: It is written in a form that only a person can change.
    """
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    head = re.search(rf"(?m)^[ \t]*\[[ \t]*{section}[ \t]*\][ \t]*(#.*)?$", text)
    if head is None:
        changed = f"{text.rstrip()}\n\n[{section}]\n{line}\n"
    else:
        following = re.search(r"(?m)^[ \t]*\[", text[head.end() :])
        end = len(text) if following is None else head.end() + following.start()
        own = text[head.end() : end]
        before = re.search(rf"(?m)^[ \t]*{key}[ \t]*=.*$", own)
        own = f"\n{line}{own}" if before is None else own[: before.start()] + line + own[before.end() :]
        changed = text[: head.end()] + own + text[end:]
    wanted = read_toml(text, "config.toml")
    wanted.setdefault(section, {})[key] = value
    try:
        found = read_toml(changed, "config.toml")
    except ConfigError:
        found = {}
    if found != wanted:
        raise ConfigError(
            f"The configuration in the backup writes [{section}] in a form that cannot be changed here.",
            remedy=f"Write [{section}] there on a line of its own, with {line} below it; back up again.",
        )
    return changed


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if not (url.startswith(SQLITE) and url != SQLITE) and parts.scheme != "postgresql":
        raise UsageError(
            "That is neither a SQLite file nor a PostgreSQL database.",
            remedy=f"Write {DEFAULT} or postgresql://USER@HOST/NAME.",
        )
    if parts.password is not None or "password=" in parts.query.lower():
        raise UsageError(
            "The database's URL holds a password, and a secret never stands in the configuration.",
            remedy="Put the password alone into a file, and name that with --password-file.",
        )


def _of(tables: Mapping[str, Any], section: str, key: str, default: str) -> str:
    table = tables.get(section, {})
    value = table.get(key, default) if isinstance(table, Mapping) else default
    return value if isinstance(value, str) else default


def _inside(written: str | Path) -> Path | None:
    """A place in the folder, or None for one outside."""
    plain = Path(os.path.normpath(written))
    return None if plain.is_absolute() or ".." in plain.parts else plain


def _password(written: str, home: Path, was: Path) -> str:
    apart = home.parent / f"{ELSEWHERE}{os.path.normpath(was / written)}"
    for place in (home / written, apart):
        if place.is_file():
            return place.read_text(encoding="utf-8").strip()
    raise ConfigError(
        f"The file with the database's password, {written}, is neither here nor in the backup.",
        remedy="Name one with --password-file.",
    )
