"""`stixnode backup` and `restore`: the whole node in one file, and a node from one.

Rule    A backup is taken while the node runs and is whole or not there. It holds secrets, and is readable by
        its owner alone. A restore writes only where nothing is, and only what it has read to the end.
Reads   the node; a backup
Writes  a backup, and a leaf that says so; a node's folder and database
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import click

from node import __version__, clock, web
from node.audit import log
from node.cli import restoring
from node.cli.asked import Command
from node.cli.context import Context, os_name, with_context
from node.cli.exits import DONE, INCOMPLETE
from node.cli.printing import amount
from node.config import Settings
from node.errors import UsageError
from node.store import backup as copies
from node.store import backup_file, catalog, highwater, migrate
from node.store.backup_file import ELSEWHERE, FILES, Kept, Manifest
from node.store.database import Database

FOLDER = "backups"
_NAMING = ("tls_certificate", "tls_private_key", "tls_ca", "agreements")  # and whatever ends with _file


@click.command(cls=Command)
@click.argument("place", metavar="[FILE|DIR]", required=False, type=click.Path(path_type=Path))
@with_context
def backup(context: Context, place: Path | None) -> int:
    """Write the whole node into one file while it runs.

    The database as of one moment, the configuration, the agreements and the files with secrets that it
    names. Without a place it goes to the folder backups in the data folder; copy it to another machine.

    \b
    Exit codes:
      0   the backup is whole and on the disk
      3   it is, but a file that the configuration names could not be read
      12  the database cannot be read; no backup was written
    """
    settings, out = context.settings, context.out
    moment = clock.now()
    target = _target(settings, place, moment)
    with out.progress("copying", None), closing(web.open_database(settings)) as database:
        manifest, missing = taken(settings, database, target, now=moment)
    objects, size = sum(each.objects for each in manifest.collections), target.stat().st_size
    if manifest.revision == migrate.REVISIONS[-1]:  # before an upgrade the database is only read
        _note(context, target, manifest, now=moment)
    out.line(f"backup   {target}")
    out.line(f"         {amount(objects, 'object')} as of {context.local(moment)}, {amount(size, 'byte')}")
    out.line("         It holds every object and every secret of this node: keep it as you keep the node.")
    if place is None:
        out.notice("note: it lies beside what it is to save; copy it to another machine")
    for each in missing:
        out.notice(f"note: {each} cannot be read, so it is not in the backup")
    code = INCOMPLETE if missing else DONE
    out.record("backup", file=str(target), objects=objects, bytes=size, taken=manifest.taken, missing=missing)
    out.next(f"stixnode check --read-data {target}")
    return out.summary(code)


@click.command(cls=Command)
@click.argument("file", metavar="BACKUP", type=click.Path(path_type=Path))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--database", default="", metavar="URL", help="postgresql://USER@HOST/NAME, empty; else as it was."
)
@click.option(
    "--password-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file with that database's password.",
)
@click.option(
    "--old",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The data folder of the node that was lost, for its high-water marks; else where it was.",
)
@with_context
def restore(
    context: Context, file: Path, folder: Path, database: str, password_file: Path | None, old: Path | None
) -> int:
    """Make a node again from a backup, in a folder that is empty or not there yet.

    Every collection begins a new history above all dates that were given, and every link is paused: see
    what is missing, then resume. Both sides list again, and duplicates cost nothing.
    """
    out = context.out
    wish = restoring.Wish(file.absolute(), folder.absolute(), database, password_file, old)
    with out.progress("restoring", None):
        made = restoring.restored(wish, environ=os.environ, actor=f"os:{os_name()}", now=clock.now())
    manifest, config = made.manifest, made.config
    objects = sum(each.objects for each in manifest.collections)
    taken = clock.local_time(clock.parse_taxii_time(manifest.taken), "UTC")
    out.line(f"restored {config}")
    out.line(f"         {manifest.node} with {amount(objects, 'object')} as of {taken}")
    out.line(f"         database {made.database}")
    out.line("         a new history of every collection; every link is paused")
    for note in made.notes:
        out.notice(f"note: {note}")
    out.record("restored", config=str(config), objects=objects, taken=manifest.taken, notes=list(made.notes))
    named = f"stixnode --config {config}"
    out.next(f"{named} check --read-data", f"{named} status", f"{named} resume PARTNER, for each partner")
    return out.summary(DONE)


def taken(settings: Settings, database: Database, target: Path, *, now: int) -> tuple[Manifest, list[str]]:
    """Write a backup of a node, whether it runs or not.

    Args:
        settings: Its configuration.
        database: Its database.
        target: The new file, in a folder that is there.
        now: Microseconds.

    Returns:
        What is in it; the files named in the configuration that could not be read.

    Raises:
        StoreError: The database cannot be read, or the disk is full.
    """
    with backup_file.workplace(target.parent) as work:
        folder = work / "content"
        folder.mkdir(mode=0o700)
        missing = _copy_files(settings, folder)
        draft = _copied(settings, database, folder / backup_file.DATABASE, now)
        return backup_file.write(folder, draft, work / "packed", target), missing


def _note(context: Context, target: Path, manifest: Manifest, *, now: int) -> None:
    """The leaf of the act; after the copy, because opening the door may begin a new history."""
    objects = sum(each.objects for each in manifest.collections)
    details: log.Details = {"file": str(target), "objects": objects, "taken": manifest.taken}
    actor, node = context.actor, f"node:{manifest.node}"
    context.database.retrying(
        lambda tx: log.record(tx, now=now, actor=actor, act="backup", subject=node, details=details)
    )


def _target(settings: Settings, place: Path | None, moment: int) -> Path:
    """The new file."""
    stamp = clock.taxii_time(moment)[:19].replace("-", "").replace(":", "")
    name = f"{settings.node.name}-{stamp}Z{backup_file.NAME_END}"
    if place is None:
        place = settings.data_dir / FOLDER
        backup_file.make_folder(place)
    target = (place / name if place.is_dir() else place).absolute()
    if target.exists():
        raise UsageError(f"The file {target} is there already.", remedy="Name a new file, or a folder.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent}.", remedy="Make it, or name another.")
    return target


def _copied(settings: Settings, database: Database, file: Path, moment: int) -> Manifest:
    """Copy the database, and say what is in the copy."""
    known = highwater.marks(settings.data_dir)  # before the copy: a mark follows its commit
    copies.copy_out(database, file)
    with closing(Database(f"sqlite:///{file}")) as copy, copy.reading() as tx:
        revision = migrate.current(copy)
        held = [
            Kept(each.id, each.alias, each.epoch, each.last_added, copies.objects_in(tx, each.collection_id))
            for each in catalog.collections(tx)
        ]
        tables = copies.amounts(tx)
    return Manifest(
        node=settings.node.name,
        taken=clock.taxii_time(moment),
        tool=__version__,
        revision=revision,
        kind=database.dialect,
        config=settings.path.name,
        folder=str(settings.path.parent),
        data_dir=str(settings.data_dir),
        collections=tuple(held),
        marks={each.id: max(each.last_added, known.get(each.id, 0)) for each in held},
        tables=tables,
    )


def _copy_files(settings: Settings, folder: Path) -> list[str]:
    """Copy the configuration and every file that it names; those that cannot be read."""
    home, missing = Path(os.path.normpath(settings.path.parent)), []
    wanted = {settings.path: True}
    for named, needed in _named(tomllib.loads(settings.path.read_text(encoding="utf-8"))):
        wanted[home / named] = needed or wanted.get(home / named, False)
    server, password = settings.server, settings.database.password_file
    wanted.update({each: True for each in (server.tls_certificate, server.tls_private_key, password) if each})
    for path, needed in wanted.items():
        # Not resolved: what is a link in the folder is a file there after a restore.
        plain = Path(os.path.normpath(path))
        try:
            content = plain.read_bytes() if plain.is_file() else None
        except (OSError, ValueError):
            content = None
        if content is None:
            missing.extend([str(plain)] * needed)
            continue
        inside = plain.is_relative_to(home)
        name = f"{FILES}/{plain.relative_to(home)}" if inside else f"{ELSEWHERE}{plain}"
        place = folder / name
        backup_file.make_folder(place.parent)
        place.write_bytes(content)
    return sorted(missing)


def _named(value: object, key: str = "") -> Iterator[tuple[str, bool]]:
    """Every text that may name a file, and whether it must: keys of later versions are seen too."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _named(each, str(name))
    elif isinstance(value, list):
        for each in value:
            yield from _named(each, key)
    elif isinstance(value, str) and value and "\0" not in value:
        yield value, key in _NAMING or key.endswith("_file")
