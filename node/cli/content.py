"""`stixnode import`, `export` and `collection`: what the node holds, and how files come in and go out."""

from __future__ import annotations

import os
import secrets
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, cast

import click

from node import clock
from node.access import accounts
from node.audit import log
from node.cli.asked import Command, Group
from node.cli.context import Context, with_context
from node.cli.exits import DONE, INCOMPLETE
from node.cli.importing import Imported, import_stream, print_refusals
from node.cli.importing_medallion import import_data
from node.cli.printing import Printer, amount, utc
from node.errors import InvalidObject, UsageError
from node.exchange import arrivals, egress, flagged
from node.exchange.ingress import Source
from node.store import catalog, highwater
from node.store.catalog import Collection, Definition
from node.store.database import Tx


@click.command("import", cls=Command)
@click.argument("given", metavar="COLLECTION FILE", nargs=-1)
@click.option("--restate", is_flag=True, help="Let our own versions be replaced under their date.")
@click.option(
    "--medallion",
    "data",
    type=click.File("rb"),
    metavar="FILE",
    help="The data file of medallion's memory backend, with all its collections.",
)
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="THEIRS=OURS",
    help="With --medallion: which of its collections (id or title) goes into which of ours.",
)
@with_context
def import_(
    context: Context, given: tuple[str, ...], restate: bool, data: BinaryIO | None, mapped: tuple[str, ...]
) -> int:
    """Take a bundle, an envelope or lines of objects (NDJSON) into a collection; - is standard input.

    gzip is noticed by itself. Objects come in as their exact bytes. Exit code 3: some were refused.

    With --medallion FILE, which may be followed by those of our COLLECTIONS that alone shall be filled, a
    collection of medallion goes into ours of the same id, alias or title; into an empty one with its dates.
    """
    if data is not None:
        return import_data(context, data, only=given, mapped=mapped, restate=restate, size=_size(data))
    name, file = _collection_and_file(given, mapped)
    return _import_file(context, name, file, restate=restate)


def _collection_and_file(given: tuple[str, ...], mapped: tuple[str, ...]) -> tuple[str, BinaryIO]:
    remedy = "stixnode import --help"
    if mapped:
        raise UsageError("--map goes with --medallion only.", remedy=remedy)
    if len(given) < 2:
        raise UsageError(f"Missing argument {'FILE' if given else 'COLLECTION'!r}.", remedy=remedy)
    if len(given) > 2:
        raise UsageError(f"Got unexpected extra argument ({given[2]}).", remedy=remedy)
    called = click.get_current_context()
    return given[0], cast("BinaryIO", click.File("rb").convert(given[1], click.Argument(["file"]), called))


def _import_file(context: Context, name: str, file: BinaryIO, *, restate: bool) -> int:
    out, place = context.out, getattr(file, "name", "-")
    with context.database.reading() as tx:
        collection = context.collection(tx, name)
    source = Source("import", context.actor, place=Path(str(place)).name, restate=restate)
    with ExitStack() as bars:
        try:
            found = import_stream(
                context.door,
                collection.collection_id,
                file,
                source,
                folder=context.settings.data_dir,
                now=clock.now,
                reading=bars.enter_context(out.progress("reading", _size(file))),
                storing=lambda number: bars.enter_context(out.progress("storing", number)),
            )
        except InvalidObject as cause:
            raise UsageError(
                f"{place}: {cause.problem}",
                remedy="Nothing was stored. Give a bundle, an envelope or one object a line (NDJSON), whole.",
            ) from cause
    return _print_import(out, collection, found)


@click.command(cls=Command)
@click.argument("name", metavar="COLLECTION")
@click.option("--out", "target", type=click.Path(path_type=Path), help="File to write; else standard output.")
@with_context
def export(context: Context, name: str, target: Path | None) -> int:
    """Write a collection as one STIX bundle: every version, as the bytes that are stored."""
    out = context.out
    if out.as_json and target is None:
        raise UsageError(
            "The bundle and the lines of --json would stand in one stream.",
            remedy="Name a file for the bundle: --out FILE",
        )
    with context.database.reading() as tx:
        collection = context.collection(tx, name)
    bundle = _bundle(egress.export_bodies(context.door, collection))
    if target is None:
        number = sum(_written(sys.stdout.buffer, bundle))
        sys.stdout.buffer.flush()
    else:
        number = _replace(target, bundle)
        out.line(f"{amount(number, 'object')} of {collection.alias} in {target}")
        out.next(f"stixnode import COLLECTION {target}, on another node")
    return out.summary(DONE, collection=collection.alias, objects=number)


@click.group(cls=Group)
def collection() -> None:
    """Add, list and show collections."""


@collection.command("add")
@click.argument("alias")
@click.option("--title", required=True, help="What TAXII clients show; no two collections have the same.")
@click.option("--id", "new_id", default="", help="A UUID of version 4; else a new one.")
@click.option("--description", default="", help="One or two sentences for those who choose a collection.")
@click.option(
    "--validation",
    type=click.Choice(("structure", "schema", "full")),
    default="schema",
    show_default=True,
    help="schema: what fails the schemas of STIX is refused; structure: it is kept and flagged; full: what"
    " fails any other MUST of STIX is refused too, patterns included.",
)
@click.option(
    "--keep-days", type=click.IntRange(0), default=0, help="Erase content after so many days; 0: never."
)
@click.option("--listed", is_flag=True, help="Show it also to accounts that may neither read nor write it.")
@with_context
def add_collection(
    context: Context,
    alias: str,
    title: str,
    new_id: str,
    description: str,
    validation: str,
    keep_days: int,
    listed: bool,
) -> int:
    """Add a collection; ALIAS is the name by which people and links call it."""
    wanted = Definition(alias, title, new_id or str(uuid.uuid4()), description, validation, keep_days, listed)

    def work(tx: Tx) -> Collection:
        added = catalog.add_collection(tx, wanted, epoch=secrets.token_hex(16))
        details: log.Details = {"id": added.id, "validation": validation, "keep_days": keep_days}
        log.record(
            tx, now=clock.now(), actor=context.actor, act="collection.add", subject=alias, details=details
        )
        return added

    added = context.database.retrying(work)
    highwater.note(context.settings.data_dir, added.id, 0)
    context.out.line(f"{added.alias} added, id {added.id}")
    context.out.record("collection", **_fields(added, 0))
    context.out.next(f"stixnode account allow NAME {added.alias} --read")
    return context.out.summary(DONE)


@collection.command("list")
@with_context
def list_collections(context: Context) -> int:
    """List the collections."""
    out = context.out
    with context.database.reading() as tx:
        held = [(one, egress.amount(tx, one)[0]) for one in catalog.collections(tx)]
    rows = [(one.alias, f"{number:,}", one.validation, _kept(one), one.id, one.title) for one, number in held]
    out.table(("ALIAS", "OBJECTS", "VALIDATION", "KEPT", "ID", "TITLE"), rows)
    for one, number in held:
        out.record("collection", **_fields(one, number))
    out.next(
        f"stixnode collection show {held[0][0].alias}" if held else "stixnode collection add ALIAS --title T"
    )
    return out.summary(DONE, collections=len(held))


@collection.command("show")
@click.argument("name", metavar="COLLECTION")
@with_context
def show_collection(context: Context, name: str) -> int:
    """Show one collection: what it is, who may read and write it, which links use it."""
    out = context.out
    with context.database.reading() as tx:
        one = context.collection(tx, name)
        rights = {
            each.name: accounts.grant_of(tx, each.name, one.collection_id)
            for each in accounts.list_accounts(tx)
        }
        number = egress.amount(tx, one)[0]
        failing = flagged.amount(tx, one) if one.validation == "structure" else 0
    links = [link.name for link in context.settings.links if link.collection == one.alias]
    readers = [account for account, grant in rights.items() if grant.can_read]
    writers = [account for account, grant in rights.items() if grant.can_write]
    out.table(
        ("", ""),
        [
            (one.alias, one.title),
            ("description", one.description or "none"),
            ("id", one.id),
            ("address", f"{context.settings.node.public_url}/api/collections/{one.id}/"),
            ("objects", f"{number:,}, newest added {context.local(one.last_added or None)}"),
            ("validation", one.validation + (f", {amount(failing, 'object')} flagged" if failing else "")),
            ("kept", _kept(one)),
            ("listed", "to everybody" if one.listed else "to those who may read or write it"),
            ("read by", ", ".join(readers) or "no account"),
            ("written by", ", ".join(writers) or "no account"),
            ("links", ", ".join(links) or "none"),
        ],
    )
    fields = _fields(one, number) | {"flagged": failing}
    out.record("collection", **fields, readers=readers, writers=writers, links=links)
    out.next(f"stixnode import {one.alias} FILE", f"stixnode export {one.alias} --out FILE")
    return out.summary(DONE)


def _print_import(out: Printer, collection: Collection, found: Imported) -> int:
    counted = ", ".join(f"{number:,} {name}" for name, number in sorted(found.counts.items()))
    out.line(f"{amount(found.read, 'object')} read into {collection.alias}: {counted or 'nothing to do'}")
    print_refusals(out, found.refusals)
    if found.counts["stored"] or found.counts["restated"]:
        out.line(f"this arrival is called {arrivals.name_of(found.arrival_id)}")
    out.next(f"stixnode collection show {collection.alias}", "stixnode plan")
    return out.summary(
        INCOMPLETE if found.refusals else DONE,
        collection=collection.alias,
        arrival=found.arrival_id,
        read=found.read,
        **found.counts,
    )


def _size(file: BinaryIO) -> int | None:
    """Bytes of a file; None of a pipe, whose end nobody knows."""
    try:
        found = os.fstat(file.fileno())
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _bundle(bodies: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """The bundle in pieces, each with the number of objects in it."""
    # STIX 2.1 section 8: a bundle without objects leaves the property out.
    yield f'{{"type":"bundle","id":"bundle--{uuid.uuid4()}"'.encode(), 0
    first = True
    for body in bodies:
        yield (b',"objects":[\n' if first else b",\n") + body, 1
        first = False
    yield b"}\n" if first else b"\n]}\n", 0


def _written(target: IO[bytes], pieces: Iterator[tuple[bytes, int]]) -> Iterator[int]:
    for piece, number in pieces:
        target.write(piece)
        yield number


def _replace(target: Path, pieces: Iterator[tuple[bytes, int]]) -> int:
    """Write a whole file or none, readable by its owner alone; the number of objects in it."""
    with tempfile.NamedTemporaryFile(dir=target.absolute().parent, delete=False) as draft:
        try:
            number = sum(_written(draft.file, pieces))
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(target)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    return number


def _kept(one: Collection) -> str:
    return f"{one.keep_days} days" if one.keep_days else "for ever"


def _fields(one: Collection, number: int) -> dict[str, str | int | bool | None]:
    return {
        "id": one.id,
        "alias": one.alias,
        "title": one.title,
        "description": one.description,
        "validation": one.validation,
        "keep_days": one.keep_days,
        "listed": one.listed,
        "objects": number,
        "last_added": utc(one.last_added or None),
    }
