"""A node without a server: a database, its collections and links, and the door, with a clock of its own.

    north = a_node(database)                              north, whose one partner is south
    north.bring(an_indicator(tlp="green"))                as an import by our own people
    north.bring(an_indicator(), by="south/indicators/in") as south brings it
    north.advance()                                       the feed to south examines what is due
    north.offered()                                       what stands in it

Every act takes place a second after the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from node.exchange import feed_rows, feeds, ingress, ledger, links
from node.exchange.door import Door
from node.exchange.egress import Item, Page, Reader, next_batch, read_collection, read_feed
from node.exchange.feed_rows import FeedRow
from node.exchange.feeds import Advanced
from node.exchange.ingress import AdmitReport, Result, Source
from node.exchange.ledger import Key, WithheldLine
from node.exchange.selection import Selection, Versions
from node.sharing.links import Link, PartnerBinding, Stricter, derive_links, parties_of
from node.stix import objects as stix
from node.store import catalog, objects, owners
from node.store.catalog import Collection, Definition
from node.store.database import Database
from node.store.objects import Held
from node.store.owners import Owner
from tests.support.agreements import MITRE, an_agreement
from tests.support.builders import NOON

SECOND = 1_000_000
IN, OUT = "south/indicators/in", "south/indicators/out"
EVERYTHING = Selection(1_000, versions=Versions(every=True), spec_versions=("2.0", "2.1"))
ALL_EYES = Reader(4, ("state-bodies",))
_COLLECTION_ID = "5c1f3a9e-0b7d-4e5a-9c3f-{:012d}"


class Clock:
    """The moment of the last act, of one node or of several that share it."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def tick(self) -> int:
        """The moment of the next act."""
        self.now += SECOND
        return self.now


class Node:
    """One node of a test."""

    def __init__(self, us: str, database: Database, door: Door, clock: Clock) -> None:
        self.us, self.database, self.door, self.clock = us, database, door, clock

    @property
    def now(self) -> int:
        """The moment of the last act."""
        return self.clock.now

    def moment(self) -> int:
        """The moment of the next act."""
        return self.clock.tick()

    def link(self, name: str) -> Link:
        """One of its links."""
        found = self.door.link(name)
        assert found is not None
        return found

    def agree(
        self, *, partners: Sequence[str] = ("south",), stricter: Stricter | None = None, **terms: Any
    ) -> None:
        """Go by another agreement with each partner from now on; links that are new are open."""
        self.door = _door(self.us, self.database, partners, stricter, terms)
        _open(self.database, self.door)

    def collection(self, alias: str = "indicators") -> Collection:
        """The collection's row as it stands."""
        with self.database.reading() as tx:
            found = catalog.find_collection(tx, alias)
        assert found is not None
        return found

    def admit(
        self,
        *bodies: bytes,
        by: str = "",
        into: str = "",
        restate: bool = False,
        epoch: str = "epoch-1",
        now: int | None = None,
    ) -> AdmitReport:
        """Let a batch in through the real door; without `by` our own people import it."""
        link = self.link(by) if by else None
        alias = into or ("indicators" if link is None else link.collection)
        moment = self.moment() if now is None else now
        source = (
            Source("import", "os:tester", restate=restate)
            if link is None
            else Source("pull", "worker", link, epoch=epoch)
        )
        with self.database.writing() as tx:
            if link is not None:
                links.note_partner_epoch(tx, link.name, epoch)
            collection = catalog.lock(tx, self.collection(alias).collection_id)
            report = ingress.admit(tx, self.door, collection, bodies, source, arrival_id=None, now=moment)
        ingress.afterwards(self.door, now=moment)
        return report

    def bring(self, *bodies: bytes, **how: Any) -> list[str]:
        """The outcomes of a batch: see `admit`."""
        return [result.outcome.value for result in self.admit(*bodies, **how).results]

    def bring_one(self, body: bytes, **how: Any) -> Result:
        """The result of a batch of one object: see `admit`."""
        (result,) = self.admit(body, **how).results
        return result

    def remove(self, stix_id: str, versions: Versions | None = None, *, alias: str = "indicators") -> int:
        """Delete an object, as our own people do."""
        moment = self.moment()
        with self.database.writing() as tx:
            collection = catalog.lock(tx, self.collection(alias).collection_id)
            gone = ingress.remove(
                tx,
                self.door,
                collection,
                stix_id,
                versions=versions,
                spec_versions=None,
                actor="os:tester",
                now=moment,
            )
        ingress.afterwards(self.door, now=moment)
        return gone

    def held(self, stix_id: str, alias: str = "indicators") -> list[Held]:
        """The rows of an id in one collection, in order of `date_added`."""
        number = self.collection(alias).collection_id
        with self.database.reading() as tx:
            rows = objects.held_by_ids(tx, [stix_id]).get(stix_id, [])
        return sorted((row for row in rows if row.collection_id == number), key=lambda row: row.added)

    def digests(self, stix_id: str) -> set[bytes]:
        """The digests held of an id."""
        return {row.digest for row in self.held(stix_id)}

    def owner(self, stix_id: str) -> Owner | None:
        """The owner row of an id."""
        with self.database.reading() as tx:
            return owners.owners(tx, [stix_id]).get(stix_id)

    def last(self, stix_id: str) -> Held:
        """The row of an id that is its last version."""
        (found,) = [row for row in self.held(stix_id) if row.is_last]
        return found

    def history(self, stix_id: str) -> list[tuple[bytes, str]]:
        """(digest, reason) of an id's replaced bytes."""
        with self.database.reading() as tx:
            return [(digest, reason) for _, _, digest, _, reason in objects.history(tx, stix_id)]

    def advance(self, link: str = OUT, *, at_most: int = 10_000) -> Advanced:
        """Let a feed examine what is due."""
        return feeds.advance(self.door, self.link(link), now=self.moment(), at_most=at_most)

    def feed(self, link: str = OUT) -> list[FeedRow]:
        """The rows that stand in a feed, in the order offered; it is not advanced."""
        with self.database.reading() as tx:
            return feed_rows.after(tx, link, -1, 10_000)

    def offered(self, link: str = OUT) -> set[tuple[str, bytes]]:
        """(id, digest) of what stands in a feed after an advance."""
        self.advance(link)
        return {(row.stix_id, row.digest) for row in self.feed(link)}

    def offered_ids(self, link: str = OUT) -> set[str]:
        """The ids of what stands in a feed after an advance."""
        return {stix_id for stix_id, _ in self.offered(link)}

    def withheld(self, stix_id: str, link: str = OUT) -> list[WithheldLine]:
        """Why versions of an id do not go by a link, as the ledger has it."""
        with self.database.reading() as tx:
            return ledger.withheld(tx, link, [stix_id])

    def reasons(self, stix_id: str, link: str = OUT) -> list[str]:
        """The reasons of `withheld`."""
        return [line.reason for line in self.withheld(stix_id, link)]

    def page(
        self, reader: Reader = ALL_EYES, selection: Selection = EVERYTHING, *, alias: str = "indicators"
    ) -> Page:
        """A page as a SOC account sees it."""
        with self.database.reading() as tx:
            return read_collection(tx, self.collection(alias), reader, selection, bodies=True)

    def seen(self, reader: Reader) -> set[str]:
        """The ids that a SOC account sees."""
        return {record.stix_id for record in self.page(reader).records}

    def served(self, link: str = OUT, selection: Selection = EVERYTHING, *, bodies: bool = True) -> Page:
        """A page as the partner of a link sees it."""
        return read_feed(self.door, self.link(link), selection, now=self.moment(), bodies=bodies)

    def batch(self, link: str = OUT, *, at_most: int = 1_000) -> list[Item]:
        """What a push by a link would bring next."""
        self.advance(link)
        return next_batch(self.door, self.link(link), now=self.moment(), at_most=at_most, max_bytes=10**8)


def a_node(
    database: Database,
    us: str = "north",
    *,
    partners: Sequence[str] = ("south",),
    collections: Sequence[str] = ("indicators",),
    validation: str = "schema",
    keep_days: int = 0,
    stricter: Stricter | None = None,
    clock: Clock | None = None,
    **terms: Any,
) -> Node:
    """A node with its collections, whose links are open.

    Args:
        database: Migrated, with the node's row, and empty beside that.
        us: Its name in the agreement.
        partners: It has this agreement with each of them.
        collections: Aliases, each with an id that is the same on every node.
        validation, keep_days: Of the collections.
        stricter: Our own brakes.
        clock: Where it shares one with another node.
        terms: Changes to `agreement_text`.
    """
    node = Node(us, database, _door(us, database, partners, stricter, terms), clock or Clock())
    with database.writing() as tx:
        for number, alias in enumerate(collections, 1):
            definition = Definition(
                alias,
                alias.title(),
                _COLLECTION_ID.format(number),
                validation=validation,
                keep_days=keep_days,
            )
            catalog.add_collection(tx, definition, epoch=f"{us}-1-{alias}")
    _open(database, node.door)
    return node


def key_of(body: bytes) -> Key:
    """The place of an object in the books."""
    one = stix.read(body)
    return Key(one.id, one.spec_version, one.version or 0, one.digest)


def digest_of(body: bytes) -> bytes:
    """The digest of an object."""
    return stix.read(body).digest


def _door(
    us: str, database: Database, partners: Sequence[str], stricter: Stricter | None, terms: dict[str, Any]
) -> Door:
    bindings = [
        PartnerBinding(name, agreements=(an_agreement(**terms),), stricter=stricter or Stricter())
        for name in partners
    ]
    parties = parties_of(us, bindings, (), (MITRE,))
    return Door(database, parties, derive_links(us, bindings, parties))


def _open(database: Database, door: Door) -> None:
    with database.writing() as tx:
        links.ensure(tx, door.links)
        links.set_paused(tx, None, paused=False, reason="")
