"""Which objects `stixnode withdraw` is about: ids, a value, what an arrival brought, or a file."""

from __future__ import annotations

import io
import shlex
from typing import BinaryIO

from node.cli.context import Context
from node.cli.importing import LONGEST_BYTES, chunks
from node.errors import InvalidObject, UsageError
from node.exchange import arrivals, taking_back, value_index
from node.stix.decoding import ID, readable_header
from node.stix.envelope import split_stream

_PEEKED = 64


def chosen_ids(
    context: Context, ids: tuple[str, ...], value: str | None, batch: str | None, file: BinaryIO | None
) -> list[str]:
    """The ids that are meant, each once.

    Raises:
        UsageError: Nothing or two things were named; a text is no id; nothing names the value; there is no
            such arrival, or nothing of it lies here.
    """
    ways = sum([bool(ids), value is not None, batch is not None, file is not None])
    if ways != 1:
        raise UsageError(
            "Name what to withdraw: ids, or one of --value, --batch and --file.",
            remedy="stixnode withdraw --help",
        )
    if value is not None:
        return _naming(context, value)
    if batch is not None:
        return _brought_by(context, batch)
    found = list(ids) if file is None else _in_file(file)
    for each in found:
        if ID.fullmatch(each) is None:
            raise UsageError(
                f"{each[:100]!r} is not the id of an object.",
                remedy="Give whole ids, such as indicator--edfd6339-5f9b-44df-a26a-1e9f7d52d619; for what"
                " names a value: --value VALUE",
            )
    if not found:
        raise UsageError("The file names no object.", remedy="Write one id a line, or give a bundle.")
    return list(dict.fromkeys(found))


def _naming(context: Context, value: str) -> list[str]:
    """Objects whose newest version names it: one that was put right since is not withdrawn for ever."""
    if ID.fullmatch(value.strip()):
        return [value.strip()]
    found = value_index.ids_naming(context.door, value)
    if not found:
        raise UsageError(
            f"The newest version of nothing here names {value!r}.",
            remedy=f"See what older versions and the quarantine have: stixnode find {shlex.quote(value)}",
        )
    return found


def _brought_by(context: Context, batch: str) -> list[str]:
    with context.database.reading() as tx:
        arrival = arrivals.named(tx, batch)
        if arrival is None:
            raise UsageError(
                f"There is no arrival {batch!r}.",
                remedy="`stixnode import` and `stixnode explain ID` name it, such as a-0017.",
            )
        found = taking_back.ids_of_arrival(tx, arrival)
    if not found:
        raise UsageError(f"Nothing that {batch} brought lies here still.", remedy="See: stixnode explain ID")
    return found


def _in_file(file: BinaryIO) -> list[str]:
    stream = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    data = b"".join(chunks(stream, lambda _: None))
    if data[:_PEEKED].lstrip()[:1] != b"{":
        try:
            lines = data.decode("utf-8").split("\n")
        except UnicodeDecodeError as cause:
            raise UsageError("The file is no text.", remedy="Write one id a line, in UTF-8.") from cause
        return [line.split()[0] for line in lines if line.strip() and not line.lstrip().startswith("#")]
    try:
        bodies = split_stream([data], max_object_bytes=LONGEST_BYTES)
        return [readable_header(body).id or "" for body in bodies]
    except InvalidObject as cause:
        raise UsageError(cause.problem, remedy="Nothing was withdrawn. Give a whole file.") from cause
