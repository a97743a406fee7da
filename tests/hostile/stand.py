"""A node of ours before a hostile partner: real rounds of the worker, and what must hold after each.

stand = Stand(north, west)
report = stand.round()          one round of what comes in, as the worker does it
stand.converges()               the partner behaves again: everything it has is here, and it is quiet
"""

from __future__ import annotations

import json

import sqlalchemy as sa

from node.exchange import egress, links
from node.store import catalog
from node.sync import bookmarks, worker
from node.sync.connection import Patience
from node.sync.standing import standing_of
from tests.support.builders import an_indicator
from tests.support.partner import SECOND, Canned

HOUR = 3_600 * SECOND
GOOD = [an_indicator(f"good {n}") for n in range(6)]
IMPATIENT = Patience(connect=5, read=10, whole=10)


class Stand:
    """North, its simulated partner, and both directions of their flow."""

    LAST = sa.text("select stix_id, body from object where is_last")

    def __init__(self, north, west):
        self.north, self.west = north, west

    def round(self, direction="in", *, limits=None, patience=IMPATIENT):
        """One round of one link, whose counters add up."""
        (report,) = worker.sync_once(
            self.north.door,
            [self.north.link(direction)],
            lambda _name: self.north.client(patience),
            holder="test",
            now=self.north.clock,
            pause=self.north.pause,
            limits=limits,
        )
        report.check()
        return report

    def answered(self, *answers, **how):
        """A round in which the partner begins with these answers; the rest of them are taken back."""
        self.west.answer_next(*answers)
        report = self.round(**how)
        self.west.canned.clear()
        return report

    def bookmark(self):
        """Up to where the partner was read; None before the first."""
        with self.north.database.reading() as tx:
            found = bookmarks.read(tx, self.north.link("in").name)
        return None if found is None else found.added_after

    def state(self, direction="in"):
        """What is noted of a link."""
        with self.north.database.reading() as tx:
            return links.state(tx, self.north.link(direction).name)

    def standing(self, direction="in"):
        """How `status` tells a link."""
        with self.north.database.reading() as tx:
            (one,) = standing_of(tx, [self.north.link(direction)], now=self.north.clock())
        return one

    def held(self):
        """The bytes here, by date added."""
        with self.north.database.reading() as tx:
            collection = catalog.find_collection(tx, "indicators")
        return list(egress.export_bodies(self.north.door, collection))

    def aside(self):
        """Why what waits for a person waits: reason by id."""
        with self.north.database.reading() as tx:
            rows = tx.rows(sa.text("select stix_id, reason from quarantine where state = 'waiting'"))
        return dict(rows)

    def outcomes(self):
        """What the ledger says of each id: the set of its outcomes."""
        found = {}
        with self.north.database.reading() as tx:
            for stix_id, outcome in tx.rows(sa.text("select stix_id, outcome from received")):
                found.setdefault(stix_id, set()).add(outcome)
        return found

    def converges(self, *, besides=()):
        """The partner behaves: what it has is here, byte for byte, and the next round moves nothing.

        Args:
            besides: Bodies that it has and that are rightly not here.
        """
        west = self.west
        west.canned.clear()
        west.next_style, west.date_headers, west.page_most = "offset", True, 4
        if not west.held:
            west.hold(*GOOD)
        self.north.clock.now += HOUR
        report = self.round()
        again = self.round()

        assert (report.error, report.stopped) == (None, None)
        assert {one.body for one in west.held} - set(besides) <= set(self.held())
        assert (again.error, again.moved) == (None, 0)
        assert self.state().failures == 0
        assert self.standing().health.state.value in ("ok", "idle")


def page(*bodies, more=False, **words):
    """An envelope of bodies as they are, of whatever sense."""
    head = json.dumps({**({"more": True} if more else {}), **words})[1:-1].encode()
    comma = b"," if head else b""
    return Canned(body=b"{" + head + comma + b'"objects":[' + b",".join(bodies) + b"]}")
