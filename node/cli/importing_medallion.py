"""Import the data file of medallion's memory backend: its collections into ours, with their dates.

Rule    A collection of theirs that goes nowhere stops the whole import before anything is stored.

        `date_added` is kept into a collection that never held anything: in order, ties spread 10
        microseconds apart, never in the future. A row that becomes visible late takes a new date all the
        same. Into any other collection all dates are new, or readers would miss what came before theirs.

        The file is held in memory once; medallion, which spends quadratic time on a page, does the same.

Reads   the file; writes through `exchange.ingress`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from node import clock
from node.cli.context import Context
from node.cli.exits import DONE, INCOMPLETE
from node.cli.importing import STEP_BYTES, STEP_OBJECTS, Imported, admit_step, chunks, print_refusals
from node.cli.importing_data import Entry, Theirs, pair, plain, read_data
from node.cli.printing import Step, amount
from node.errors import InvalidObject, UsageError
from node.exchange import ingress
from node.exchange.ingress import Source
from node.store import catalog
from node.store.catalog import Collection

LONGEST_FILE = 1024 * 1024 * 1024


def import_data(
    context: Context,
    file: BinaryIO,
    *,
    only: Sequence[str],
    mapped: Sequence[str],
    restate: bool,
    size: int | None,
) -> int:
    """Import a data file and print what became of it; the exit code.

    Args:
        context: The run of the command.
        file: The data file, gzip or not.
        only: Ids or aliases of ours; only these are filled. Empty for all.
        mapped: `THEIRS=OURS`, as given.
        restate: Our own versions may be replaced.
        size: Bytes of the file, if they are known.

    Raises:
        UsageError: No data file of medallion, or a collection of it that goes nowhere; nothing is stored.
    """
    out, place = context.out, str(getattr(file, "name", "-"))
    with context.database.reading() as tx:
        ours = catalog.collections(tx)
        wanted = [context.collection(tx, name).alias for name in only]
        given = {theirs: context.collection(tx, name) for theirs, name in _pairs(mapped)}
    with ExitStack() as bars:
        theirs = read_data(_whole(file, bars.enter_context(out.progress("reading", size)), place), place)
    paired, left = pair(theirs, ours, given, wanted)
    source = Source("import", context.actor, place=Path(place).name, restate=restate)
    code, read = DONE, 0
    totals: Counter[str] = Counter()
    for collection, parts in paired:
        keep = collection.last_added == 0
        with out.progress("storing", sum(len(part.entries) for part in parts)) as stored:
            found = _store(context, collection, parts, source, stored, keep=keep)
        undated = sum(entry.date is None for part in parts for entry in part.entries)
        _print(context, collection, parts, found, keep=keep, undated=undated)
        code = INCOMPLETE if found.refusals else code
        read += found.read
        totals.update(found.counts)
    if left:
        out.line(f"left out: {', '.join(one.title or one.id for one in left)}")
    out.next("stixnode collection list", "stixnode plan")
    names = [one.id for one in left]
    return out.summary(code, collections=len(paired), read=read, left_out=names, **totals)


def _store(
    context: Context,
    collection: Collection,
    parts: Sequence[Theirs],
    source: Source,
    stored: Step,
    *,
    keep: bool,
) -> Imported:
    found = Imported(read=sum(len(part.entries) for part in parts))
    now = clock.now()
    for step in _steps([entry for part in parts for entry in part.entries], keep=keep):
        admit_step(
            context.door,
            collection.collection_id,
            [(entry.number, plain(bytes(entry.body))) for entry in step],
            source,
            found,
            now=clock.now,
            dates=[now if entry.date is None else entry.date for entry in step] if keep else None,
        )
        if not keep:
            ingress.afterwards(context.door, now=clock.now())
        stored(len(step))
    # What is ranked again takes a new date, and no earlier one can be given after that: so at the end.
    ingress.afterwards(context.door, now=clock.now())
    found.refusals.sort()
    return found


def _steps(entries: list[Entry], *, keep: bool) -> Iterator[list[Entry]]:
    """The entries in the order of their dates, or that of work, in steps that fit into memory."""
    if keep:
        entries.sort(key=lambda entry: (entry.date is None, entry.date or 0, entry.order, entry.number))
    else:
        entries.sort(key=lambda entry: (entry.order, entry.number))
    step: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(memoryview(entry.body))
        if step and (len(step) == STEP_OBJECTS or size + length > STEP_BYTES):
            yield step
            step, size = [], 0
        step.append(entry)
        size += length
    if step:
        yield step


def _whole(file: BinaryIO, reading: Step, place: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in chunks(file, reading):
            size += len(piece)
            if size > LONGEST_FILE:
                raise UsageError(
                    f"{place} has more than {LONGEST_FILE:,} bytes; all of it would have to be in memory.",
                    remedy="Pull from the running medallion, or import the objects as lines (NDJSON).",
                )
            pieces.append(piece)
    except InvalidObject as cause:
        raise UsageError(f"{place}: {cause.problem}", remedy=cause.remedy) from cause
    return b"".join(pieces)


def _pairs(mapped: Sequence[str]) -> Iterator[tuple[str, str]]:
    for text in mapped:
        theirs, sign, ours = text.rpartition("=")
        if not sign or not theirs or not ours:
            raise UsageError(
                f"--map {text} is not of the form THEIRS=OURS.",
                remedy="Write the id or title of medallion's collection, =, and the id or alias of ours.",
            )
        yield theirs, ours


def _print(
    context: Context,
    collection: Collection,
    parts: Sequence[Theirs],
    found: Imported,
    *,
    keep: bool,
    undated: int,
) -> None:
    out = context.out
    counted = ", ".join(f"{number:,} {name}" for name, number in sorted(found.counts.items()))
    names = ", ".join(one.title or one.id for one in parts)
    out.line(f"{names}: {amount(found.read, 'object')} read into {collection.alias}: {counted or 'nothing'}")
    out.line(f"  dates {'are those of medallion' if keep else 'are new, as it was not empty'}")
    if keep and undated:
        out.line(f"  {amount(undated, 'object')} without a date in the manifest came last")
    print_refusals(out, found.refusals, collection=collection.alias)
    out.record(
        "imported",
        collection=collection.alias,
        theirs=[{"api_root": one.root, "id": one.id, "title": one.title} for one in parts],
        arrival=found.arrival_id,
        dates="kept" if keep else "new",
        undated=undated,
        read=found.read,
        **found.counts,
    )
