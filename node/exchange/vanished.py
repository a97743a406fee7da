"""What a foreign partner gave us once, and its complete listing does not name any more.

Rule    Marked, never deleted: other software deletes, expires and forgets as it likes, and nobody there was
        asked. A mark goes when the partner lists the version again, and stays where it was when it does not.

Writes  table vanished
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from node.exchange.ledger import Key
from node.store.database import Tx

_NOTE = sa.text(
    "insert into vanished (link, stix_id, spec_version, version, digest, since)"
    " values (:link, :stix_id, :spec_version, :version, :digest, :now)"
    " on conflict (link, stix_id, spec_version, version, digest) do nothing"
)
_FORGET = sa.text(
    "delete from vanished where link = :link and stix_id = :stix_id and spec_version = :spec_version"
    " and version = :version and digest = :digest"
)
_OF_LINK = sa.text(
    "select link, stix_id, spec_version, version, digest, since from vanished where link = :link"
    " order by stix_id, spec_version, version, digest"
)
_OF_ID = sa.text(
    "select link, stix_id, spec_version, version, digest, since from vanished where stix_id = :id"
    " order by link, version"
)


class Vanished(NamedTuple):
    """One version that a link's partner no longer lists; `since` is when that was first seen."""

    link: str
    key: Key
    since: int


def note(tx: Tx, link: str, keys: Iterable[Key], *, now: int) -> int:
    """The versions of a link that are not listed now, and no others; how many are marked anew."""
    wanted, known = set(keys), {one.key for one in of_link(tx, link)}
    tx.many(_FORGET, [{"link": link, **key._asdict()} for key in sorted(known - wanted)])
    fresh = sorted(wanted - known)
    tx.many(_NOTE, [{"link": link, "now": now, **key._asdict()} for key in fresh])
    return len(fresh)


def of_link(tx: Tx, link: str) -> list[Vanished]:
    """What is marked on one link."""
    return [_vanished(row) for row in tx.rows(_OF_LINK, link=link)]


def of_id(tx: Tx, stix_id: str) -> list[Vanished]:
    """What is marked of one id, on all links."""
    return [_vanished(row) for row in tx.rows(_OF_ID, id=stix_id)]


def _vanished(row: Sequence[str | int | bytes]) -> Vanished:
    link, stix_id, spec, version, digest, since = row
    return Vanished(str(link), Key(str(stix_id), str(spec), int(version), bytes(digest)), int(since))  # type: ignore[arg-type]
