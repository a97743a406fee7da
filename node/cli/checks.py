"""Look whether a node is sound: its configuration, its agreements, its database. Nothing is changed.

Opening a node puts right what it can (a new history after a rollback); this looks before anything does.

Reads   the configuration and what it names, the database, the high-water marks; when asked every row of the
        database, or a backup. Writes nothing but the database out of a backup, in a folder of the moment.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

from node import web
from node.cli.exits import BROKEN, RULE, WRONG_CALL, exit_code, remedy_of
from node.cli.file_checks import Finding, look_at_files
from node.cli.printing import Step, amount
from node.cli.standing import WENT_BACK
from node.clock import local_time
from node.config import Settings, find_config, load_settings
from node.config_keys import ExchangeKeys
from node.errors import NodeError
from node.exchange import egress, links
from node.sharing.agreements import digest_words, in_force
from node.sharing.tables import read_toml
from node.store import backup, backup_file, catalog, damage, highwater, migrate
from node.store.database import Database, Tx

MOST_PLACES = 20

Progress = Callable[[str, int | None], AbstractContextManager[Step]]


def look(config: str | None, *, now: int, reading: Progress | None = None) -> Iterator[Finding]:
    """What is found, one thing after the other; the rest is left out when nothing more can be looked at.

    Args:
        config: What was given with --config.
        now: Microseconds.
        reading: Makes the bar with which every row is read; None to read no rows.
    """
    try:
        settings = load_settings(find_config(config, os.environ), os.environ)
    except NodeError as cause:
        yield _fault("configuration", cause)
        return
    with_whom = f"{amount(len(settings.partners), 'partner')}, {amount(len(settings.links), 'link')}"
    yield Finding("configuration", f"{settings.path}: {settings.node.name}, {with_whom}")
    yield from _agreements(settings, now)
    yield from look_at_files(settings, now=now)
    try:
        database = web.open_database(settings)
    except NodeError as cause:
        yield _fault("database", cause)
        return
    try:
        yield from _database(settings, database)
        if reading is not None:
            names = [link.name for link in settings.links]
            yield from _every_row(database, settings.parties.public, names, reading)
    finally:
        database.close()


def look_at_backup(file: Path, *, reading: Progress | None = None) -> Iterator[Finding]:
    """What is found of a backup.

    Args:
        file: The backup.
        reading: As in `look`.
    """
    try:
        manifest = backup_file.verify(file)
    except NodeError as cause:
        yield _fault("backup", cause)
        return
    held = amount(sum(each.objects for each in manifest.collections), "object")
    made = f"{manifest.node}, {held}, taken {manifest.taken} by stixnode {manifest.tool}"
    yield Finding("backup", f"{file}: {made}; whole, every file in it is what was written")
    if reading is None:
        return
    config = f"{backup_file.FILES}/{manifest.config}"
    with tempfile.TemporaryDirectory(prefix="stixnode-") as place:
        folder = Path(place)
        try:
            backup_file.take_out(file, folder, only=(backup_file.DATABASE, config))
            exchange = read_toml((folder / config).read_text(encoding="utf-8"), config).get("exchange", {})
            public = frozenset(exchange.get("public_identities", ExchangeKeys().public_identities))
            with closing(Database(f"sqlite:///{folder / backup_file.DATABASE}")) as database:
                migrate.migrate(database)
                yield from _every_row(database, public, (), reading)
        except NodeError as cause:
            yield _fault("backup", cause)


def _every_row(
    database: Database, public: frozenset[str], links: Collection[str], reading: Progress
) -> Iterator[Finding]:
    places = 0
    try:
        with backup.still(database) as tx:
            counted = backup.amounts(tx)
            total = sum(counted[name] for name in ("object", "object_history", "quarantine"))
            with reading("reading every row", total) as step:
                for found in damage.examine(tx, public=public, links=links, step=step):
                    places += 1
                    if places <= MOST_PLACES:
                        text = f"{found.place}: {found.text}"
                        yield Finding("data", text, BROKEN, _LOSS if places == 1 else "")
    except NodeError as cause:
        yield _fault("data", cause)
        return
    if places > MOST_PLACES:
        yield Finding("data", f"and {amount(places - MOST_PLACES, 'place')} more", BROKEN)
    elif not places:
        yield Finding("data", f"{amount(total, 'body', 'bodies')} and all that stands beside them: sound")


def _agreements(settings: Settings, now: int) -> Iterator[Finding]:
    seen: set[str] = set()
    for partner in settings.partners:
        if not partner.agreements:
            yield Finding("agreement", f"{partner.name} has none: nothing crosses")
        for one in partner.agreements:
            if one.id in seen:
                continue
            seen.add(one.id)
            state = "in force" if in_force(one, now) else "not in force yet" if now < one.starts else "ended"
            ends = local_time(one.ends, settings.node.time_zone)
            text = f"{one.id} revision {one.revision}, {state}, ends {ends}"
            text += f", terms {digest_words(one.terms_digest)}"
            if state == "ended":
                remedy = f"Install its next revision, or take it out of [partner.{partner.name}]."
                yield Finding("agreement", text, RULE, remedy)
            else:
                yield Finding("agreement", text)


def _database(settings: Settings, database: Database) -> Iterator[Finding]:
    try:
        migrate.check_current(database)
        yield Finding("database", f"{database.url}, revision {migrate.REVISIONS[-1]}")
        marks = highwater.marks(settings.data_dir)  # read before the collections, see there
        with database.reading() as tx:
            yield Finding("durability", _durability(tx))
            node = catalog.node_row(tx)
            collections = catalog.collections(tx)
            paused = [
                one for one in links.states(tx).values() if one.paused and WENT_BACK in one.pause_reason
            ]
            held_by = {one.alias: egress.amount(tx, one)[0] for one in collections}
        for one in collections:
            held = held_by[one.alias]
            last = f", dates to {local_time(one.last_added, settings.node.time_zone)}" if held else ""
            text = f"{one.alias}: {amount(held, 'object')}{last}, epoch {one.epoch[:8]}"
            yield Finding("collection", text)
        known = {one.alias for one in collections}
        for alias in sorted({link.collection for link in settings.links} - known):
            text = f"there is no collection {alias}, and a link uses it"
            command = f"stixnode collection add {alias} --title TITLE"
            yield Finding("collection", text, WRONG_CALL, command)
        identity = database.server_identity()
    except NodeError as cause:
        yield _fault("database", cause)
        return
    lost = [one.alias for one in highwater.behind(marks, collections)]
    moved = bool(node.server_identity) and node.server_identity != identity
    remedy = "Stop and look. The next start begins a new history and pauses every link until stixnode resume."
    if lost:
        yield Finding("history", f"the database went back in time: {', '.join(lost)}", BROKEN, remedy)
    elif moved:
        yield Finding("history", "this is another PostgreSQL server or timeline than before", BROKEN, remedy)
    else:
        yield Finding("history", f"no collection is below its high-water mark ({len(marks)} marks)")
    configured = {each.name for each in settings.partners}
    for partner in sorted({one.partner for one in paused} & configured):
        text = f"the links with {partner} are paused, because the database {WENT_BACK}"
        yield Finding("history", text, BROKEN, f"See what is missing, then run: stixnode resume {partner}")


def _durability(tx: Tx) -> str:
    """What the database says of its own settings; every connection was refused already if they lose data."""
    run = tx.connection.exec_driver_sql
    if tx.dialect == "sqlite":
        journal, level = run("pragma journal_mode").scalar(), run("pragma synchronous").scalar()
        version = run("select sqlite_version()").scalar()
        return f"SQLite {version}, journal_mode={journal}, synchronous={'FULL' if level == 2 else level}"
    settings = {
        name: run(f"show {name}").scalar() for name in ("server_version", "fsync", "synchronous_commit")
    }
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _fault(name: str, cause: NodeError) -> Finding:
    code = exit_code(cause)
    return Finding(name, cause.problem, WRONG_CALL if code == 1 else code, remedy_of(cause))


_LOSS = "Stop the node, keep this database, and restore the newest backup in which this is sound."
