"""Read pages of a collection for readers of this node: no JSON is touched, every page walks an index.

Statements are put together from a few parts, once for each shape of question, and kept.

Reads   table object; like `objects` it is for the rooms of the door alone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.elements import TextClause

from node.store.database import Row, Tx
from node.store.objects import WANTED_POSTGRESQL


class Record(NamedTuple):
    """One version as a reader sees it; `body` is empty where it was not asked for.

    `added` is its `date_added` for that reader: a feed has dates of its own.
    """

    added: int
    stix_id: str
    version_text: str
    spec_version: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """What to read.

    Args:
        collection_id: Of which collection.
        after: Microseconds; rows added later.
        limit: Rows at most.
        rank: Highest effective rank that the reader may see.
        flows: Numbers of the flows whose rows the reader may see besides local ones; None for all.
        ids: Only these ids.
        type: Only this type.
        spec_versions: Only these; None for the newest of each id.
        first, last, every, instants: Which versions, joined by "or".
        bodies: Whether the bytes are wanted.
        until: Microseconds; rows added at this moment or before.
    """

    collection_id: int
    after: int
    limit: int
    rank: int
    flows: tuple[int, ...] | None
    ids: tuple[str, ...] | None
    type: str | None
    spec_versions: tuple[str, ...] | None
    first: bool
    last: bool
    every: bool
    instants: tuple[int, ...]
    bodies: bool
    until: int = 2**62


def read(tx: Tx, question: Question) -> list[Record]:
    """The rows that answer a question, in order of `date_added`."""
    return list(map(Record._make, _rows(tx, question, "whole" if question.bodies else "named")))


def read_bodies(tx: Tx, question: Question) -> list[tuple[int, bytes]]:
    """(date_added, bytes) of the rows that answer a question, in order: all that a page of objects prints."""
    found: list[Any] = _rows(tx, question, "bare")
    return found


def _rows(tx: Tx, question: Question, wanted: str) -> list[Row]:
    statement = _statement(
        tx.dialect,
        wanted,
        0 if question.ids is None else min(len(question.ids), 2),
        question.type is not None,
        question.flows is not None,
        question.spec_versions is not None,
        question.first,
        question.last,
        question.every,
        bool(question.instants),
    )
    values: dict[str, Any] = {
        "c": question.collection_id,
        "a": question.after,
        "until": question.until,
        "n": question.limit,
        "rank": question.rank,
    }
    if question.ids is not None:
        values["ids"] = question.ids[0] if len(question.ids) == 1 else tx.listed(sorted(set(question.ids)))
    if question.type is not None:
        values["type"] = question.type
    if question.flows is not None:
        values["flows"] = tx.listed(question.flows)
    if question.spec_versions is not None:
        values["specs"] = tx.listed(question.spec_versions)
    if question.instants and not question.every:
        values["instants"] = tx.listed(question.instants)
    return tx.rows(statement, **values)


def exists(tx: Tx, collection_id: int, stix_id: str, *, rank: int, flows: Sequence[int] | None) -> bool:
    """Whether a reader may see any version of an id in a collection."""
    question = Question(
        collection_id, -(2**62), 1, rank, None if flows is None else tuple(flows), (stix_id,), None, None,
        False, False, True, (), False,
    )  # fmt: skip
    return bool(read(tx, question)) or bool(read(tx, _any_spec(question)))


def _any_spec(question: Question) -> Question:
    return Question(
        question.collection_id, question.after, 1, question.rank, question.flows, question.ids, None,
        ("2.0", "2.1"), False, False, True, (), False,
    )  # fmt: skip


NO_BODY = {"sqlite": "x''", "postgresql": "cast('' as bytea)"}
_NAMED = "o.added, o.stix_id, o.version_text, o.spec_version"
_COLUMNS = {"whole": f"{_NAMED}, o.body", "named": f"{_NAMED}, {{nothing}}", "bare": "o.added, o.body"}


@lru_cache(maxsize=512)
def _statement(
    dialect: str,
    wanted: str,
    ids: int,
    by_type: bool,
    by_flow: bool,
    by_spec: bool,
    first: bool,
    last: bool,
    every: bool,
    instants: bool,
) -> TextClause:
    lite = dialect == "sqlite"
    # One type: PostgreSQL must not see that object_live would do too, and read every type to find one.
    true = " = 1" if lite else (" is not false" if by_type else "")
    columns = _COLUMNS[wanted].format(nothing=NO_BODY[dialect])
    if not ids:
        source = '"object" o where o.collection_id = :c'
    elif ids == 1 and lite:
        source = '"object" o indexed by object_id where o.collection_id = :c and o.stix_id = :ids'
    elif ids == 1:
        # The offset hides the number: an unanalysed collection would be read whole.
        source = (
            '(select cast(:c as int4) as c offset 0) w join "object" o'
            " on o.collection_id = w.c and o.stix_id = :ids where true"
        )
    elif lite:
        source = (
            'json_each(:ids) j cross join "object" o indexed by object_id'
            " where o.collection_id = :c and o.stix_id = j.value"
        )
    else:
        source = (
            f'{WANTED_POSTGRESQL} join "object" o on o.collection_id = j.c and o.stix_id = j.id where true'
        )
    # The end of the walk must not look like a way in: hardly a row lies behind it.
    parts = ["o.added > :a", "o.added + 0 <= :until", "o.effective_rank <= :rank"]
    if by_type:
        parts.append("o.type = :type")
    if by_spec:
        # Not as the bare column: PostgreSQL would take it for a search of object_id, and sort what it finds.
        parts.append(f"o.spec_version || '' {_in('specs', 'text', lite)}")
    elif by_flow:
        parts.append(_none("n.spec_version > o.spec_version", by_flow, lite))
    else:
        parts.append(f"o.is_newest_spec{true}")
    if not every:
        choices: list[str] = []
        if last:
            choices.append(_none(_LATER, by_flow, lite) if by_flow else f"o.is_last{true}")
        if first:
            choices.append(_none(_EARLIER, by_flow, lite))
        if instants:
            choices.append(f"o.version {_in('instants', 'int8', lite)}")
        parts.append("(" + " or ".join(choices or ["1 = 0"]) + ")")
    # SQLite would look at a bare bound limit to plan, and so plan anew at each use.
    conditions = "".join(" and " + part for part in parts) + _flow("o", by_flow, lite)
    return sa.text(
        f"select {columns} from {source}{conditions} order by o.added limit :n{' + 0' if lite else ''}"
    )


# In the order of `flags_of`: a revoked version is the last, whatever came later.
_SAME = "n.spec_version = o.spec_version and "
_LATER = _SAME + "(n.revoked > o.revoked or (n.revoked = o.revoked and n.version > o.version))"
_EARLIER = _SAME + "n.version < o.version"


def _none(other: str, by_flow: bool, lite: bool) -> str:
    """No other version of the id that the same reader may see: the kept flags speak for those who see all."""
    index = " indexed by object_id" if lite else ""
    return (
        f'not exists (select 1 from "object" n{index} where n.collection_id = o.collection_id'
        f" and n.stix_id = o.stix_id and {other} and n.effective_rank <= :rank{_flow('n', by_flow, lite)})"
    )


def _flow(row: str, by_flow: bool, lite: bool) -> str:
    return f" and ({row}.flow_id = 0 or {row}.flow_id {_in('flows', 'int4', lite)})" if by_flow else ""


def _in(name: str, kind: str, lite: bool) -> str:
    if lite:
        return f"in (select value from json_each(:{name}))"
    return f"= any(cast(:{name} as {kind}[]))"
