"""What a site must not forget or undo, kept outside its database and compared after each act.

Rule    The memory is made from what was seen, never from the rules that it checks.

    I1, I9  what was acknowledged is there: held, replaced, or buried
    I2      no row appears at or before a date that a reader was served
    I11     a partner changes nothing of what another owns
            what was deleted here does not come back by a link
            of an id the newest version is the last, or the newest revoked one
"""

from __future__ import annotations

import copy
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from node.store.database import Database
from tests.simulation.content import facts_of

Known = tuple[str, bytes]  # id and digest

_ROWS = sa.text(
    "select added, stix_id, spec_version, version, versionless, rank, effective_rank, revoked, is_first,"
    ' is_last, origin, digest, body from "object" order by added'
)
_HISTORY = sa.text("select stix_id, digest from object_history")
_STONES = sa.text("select stix_id, digest from tombstone")
UNOWNED = ("address",)


class Row(NamedTuple):
    """One stored version."""

    added: int
    stix_id: str
    spec_version: str
    version: int
    versionless: bool
    rank: int
    effective_rank: int
    revoked: bool
    is_first: bool
    is_last: bool
    origin: str
    digest: bytes
    body: bytes

    @property
    def known(self) -> Known:
        """Its id and digest."""
        return self.stix_id, self.digest


def rows_of(database: Database) -> list[Row]:
    """Everything that lies there, by date."""
    with database.reading() as tx:
        return [Row._make((*row[:11], bytes(row[11]), bytes(row[12]))) for row in tx.rows(_ROWS)]


def elsewhere(database: Database) -> set[Known]:
    """What was replaced or buried."""
    with database.reading() as tx:
        return {(row[0], bytes(row[1])) for which in (_HISTORY, _STONES) for row in tx.rows(which)}


@dataclass
class Memory:
    """Of one site; goes back with its database.

    Attributes:
        acknowledged: What people were told is stored.
        buried: What was deleted here.
        owners: id -> who was its first owner; "" for nobody.
        newest: id -> (instant of the newest version ever held, its level).
        rows: What lay there after the last act.
        served: The latest date that a reader was told.
    """

    acknowledged: set[Known] = field(default_factory=set)
    buried: set[Known] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)
    newest: dict[str, tuple[int, int]] = field(default_factory=dict)
    rows: dict[Known, Row] = field(default_factory=dict)
    served: int = 0
    exempt: set[str] = field(default_factory=set)

    def copied(self) -> Memory:
        """The same, for a copy of the database."""
        return copy.deepcopy(self)

    def look(self, database: Database, claims: dict[str, str], *, room: bool) -> list[str]:
        """What is wrong since the last look.

        Args:
            database: Of the site.
            claims: identity -> who speaks for it: a partner, `local`, or "" for a public one.
            room: Whether either may edit.
        """
        found = rows_of(database)
        wrong: list[str] = []
        present = {row.known for row in found}
        gone = self.acknowledged - present
        if gone and gone - elsewhere(database):
            wrong.append(f"I1: acknowledged and not there: {sorted(gone - elsewhere(database))}")
        fresh = [
            row for row in found if row.known not in self.rows or self.rows[row.known].added != row.added
        ]
        for row in fresh:
            if row.added <= self.served:
                wrong.append(f"I2: {row.stix_id} appeared at {row.added}, readers were at {self.served}")
        for row in fresh:
            if row.known not in self.rows:
                wrong += self._arrived(row, claims, room=room)
        wrong += _wrong_flags(found)
        self.rows = {row.known: row for row in found}
        self.note_newest(found)
        return wrong

    def _arrived(self, row: Row, claims: dict[str, str], *, room: bool) -> list[str]:
        wrong: list[str] = []
        if row.known in self.buried:
            if row.origin != "local":
                wrong.append(f"deleted here, and {row.origin} brought it back: {row.body!r}")
            self.buried.discard(row.known)
        if row.versionless or room:
            return wrong
        author = facts_of(row.body).author
        if row.stix_id not in self.owners:  # what nobody here held may be passed on by anybody, once
            self.owners[row.stix_id] = claims.get(author or "", row.origin)
            return wrong
        owner = self.owners[row.stix_id]
        if row.origin != "local" and owner not in ("", row.origin) and row.stix_id not in self.exempt:
            wrong.append(f"I11: {row.origin} changed what is {owner}'s: {row.body!r}")
        return wrong

    def note_newest(self, found: list[Row]) -> None:
        """Remember the newest version of each id, and its level."""
        levels: dict[tuple[str, int], int] = defaultdict(lambda: -1)
        for row in found:
            if not row.versionless:
                place = (row.stix_id, row.version)
                levels[place] = max(levels[place], facts_of(row.body).level or 0)
        for (stix_id, version), level in levels.items():
            if version >= self.newest.get(stix_id, (-1, 0))[0]:
                self.newest[stix_id] = version, level


def _wrong_flags(found: list[Row]) -> list[str]:
    last: dict[tuple[str, str], tuple[bool, int]] = {}
    for row in found:
        place = (row.stix_id, row.spec_version)
        last[place] = max((bool(row.revoked), row.version), last.get(place, (False, -1)))
    return [
        f"the last version of {row.stix_id} is marked wrong"
        for row in found
        if bool(row.is_last) != ((bool(row.revoked), row.version) == last[row.stix_id, row.spec_version])
    ]


def state_of(database: Database) -> list[tuple[Any, ...]]:
    """What lies there, for the record of a history."""
    return [
        (row.stix_id, row.version, row.digest.hex()[:12], row.origin, row.effective_rank)
        for row in rows_of(database)
    ]
