"""What the door needs to judge: the database, who speaks for whom, and the links that agreements make."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from node.exchange.references import References
from node.sharing.links import Link, Parties
from node.store.database import Database


@dataclass(frozen=True, slots=True)
class Door:
    """The node as its one door sees it; made once in each process.

    Args:
        database: Where objects rest.
        parties: Who speaks for which identity.
        links: All links that follow from the agreements named in the configuration.
        max_object_bytes: Size above which an object is refused.
        highwater: Folder of the high-water marks; None where nothing is to be noted (tests).
        references: What the objects judged last refer to.
    """

    database: Database
    parties: Parties
    links: tuple[Link, ...]
    max_object_bytes: int = 1_048_576
    highwater: Path | None = None
    references: References = field(default_factory=References, compare=False)

    def link(self, name: str) -> Link | None:
        """The link of that name, such as `south/indicators/in`."""
        return next((link for link in self.links if link.name == name), None)

    def partner_links(self, partner: str, direction: str | None = None) -> list[Link]:
        """The links with one partner, of one direction if given."""
        return [one for one in self.links if one.partner == partner and direction in (None, one.direction)]

    def link_of(self, partner: str, collection: str, direction: str) -> Link | None:
        """The link with a partner on one of our collections (by alias) in one direction."""
        return next(
            (one for one in self.partner_links(partner, direction) if one.collection == collection), None
        )

    def out_links(self, collection: str) -> list[Link]:
        """All outgoing links of one of our collections (by alias)."""
        return [one for one in self.links if one.direction == "out" and one.collection == collection]
