"""What the node does while its power may fail: every way in, every way out, deletions, retention, restarts.

North is the node on the disk of `disk`, the real application and the real worker; south is its partner on an
ordinary disk, with its power on. Each act is named with what it must leave before it begins, and
acknowledged when its answer is there; both go to `note`, between the calls of the disk.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from node.access import accounts, tokens
from node.exchange import retention
from node.store import catalog
from node.store.database import Database
from node.sync.pull import Limits
from tests.support.agreements import a_flow
from tests.support.builders import CREATED, NORTH_ID, SOUTH_ID, an_id, an_indicator
from tests.support.served import Client
from tests.support.two_nodes import TwoNodes, two_nodes
from tests.torture.power.promises import Acknowledged, Begun, Content, Place

PAGE = 7
KEEP_DAYS = 1
DAY_AND_A_HALF = 1.5 * 86_400
SOC = "soc"
FLOWS = [
    a_flow(max_tlp="green", carry="pull", keep_days=KEEP_DAYS, types=["indicator", "relationship"]),
    a_flow("techniques", ["south"], max_tlp="green", carry="push", keep_days=KEEP_DAYS, types=["indicator"]),
]


def the_pair(north: Database, south: Database, folder: Path) -> tuple[TwoNodes, str]:
    """North and south before the first act, and the token of a SOC account at north."""
    pair = two_nodes([north, south], folder, flow=FLOWS)
    with north.writing() as tx:
        accounts.add_account(
            tx, SOC, actor="os:test", now=pair.clock.now, clearance=4, audience=(), partner="", expires=None
        )
        for each in catalog.collections(tx):
            accounts.allow(
                tx, SOC, each.collection_id, read=True, write=True, actor="os:test", now=pair.clock.now
            )
        token, _ = tokens.issue_token(tx, account=SOC, actor="os:test", now=pair.clock.now)
    return pair, token


@dataclass
class Work:
    """The acts of one life, drawn from a seed.

    Args:
        pair: North and south.
        token: Of the SOC account at north.
        reopen: Closes north's database and gives it opened again.
        note: Is told of each act.
        ours, theirs: What lies at north now, by who brought it.
    """

    pair: TwoNodes
    token: str
    reopen: Callable[[], Database]
    note: Callable[[object], None]
    chance: random.Random
    ours: dict[Place, bytes] = field(default_factory=dict)
    theirs: dict[Place, bytes] = field(default_factory=dict)
    made: int = 0

    def acts(self, count: int) -> None:
        """That many acts: most at random, some in their turn, and a POST at the end."""
        often = [self.post, self.post, self.bring, self.revise, self.restate, self.delete]
        often += [self.pull, self.push]
        for number in range(count - 1):
            self.pair.tick()
            if number % 30 == 29:
                self.erase()
            elif number % 41 == 40:
                self.open_again()
            elif number % 10 == 9:
                self.serve_partner()
            else:
                self.chance.choice(often)()
        self.post()

    def power_came_back(self, found: Content) -> None:
        """What is not there was not acknowledged, and is not counted upon."""
        for held in (self.ours, self.theirs):
            for place in [place for place in held if place not in found]:
                del held[place]

    def post(self) -> None:
        """A SOC posts, with an object among them that is refused."""
        bodies = self._new(self.chance.randint(1, 9))
        with_refused = [*bodies.values(), an_indicator("refused", pattern=None)]
        self._begin("post", bodies)
        given = self._soc().post("indicators", with_refused)
        assert given.status_code == 202, given.text
        assert given.json["success_count"] == len(bodies)
        self._done(self.ours, bodies)

    def bring(self) -> None:
        """Our own people import, all they have."""
        bodies = self._new(self.chance.randint(1, 40))
        self._begin("import", bodies)
        self.pair.north.bring(*bodies.values())
        self._done(self.ours, bodies)

    def revise(self) -> None:
        """A SOC posts further versions of what is there."""
        if not self.ours:
            self.post()
            return
        hours, seconds = divmod(self.made, 3_600)
        moment = f"2026-11-20T{9 + hours:02d}:{seconds // 60:02d}:{seconds % 60:02d}.000Z"
        self.made += 1
        chosen = sorted({stix_id for stix_id, _ in self._some(self.ours)})
        named = {an_id("indicator", name): name for name in range(self.made)}
        bodies = {
            (each, moment): self._body(named[each], modified=moment, description=f"since {moment}")
            for each in chosen
        }
        self._begin("revise", bodies)
        assert self._soc().post("indicators", list(bodies.values())).status_code == 202
        self._done(self.ours, bodies)

    def restate(self) -> None:
        """Our own people put other bytes under the versions that are there."""
        bodies = {
            place: json.dumps({**json.loads(self.ours[place]), "lang": f"x-{self.made}"}).encode()
            for place in self._some(self.ours)
        }
        self.made += 1
        self._begin("restate", bodies)
        self.pair.north.bring(*bodies.values(), restate=True)
        self._done(self.ours, bodies)

    def delete(self) -> None:
        """A SOC deletes an object with all its versions."""
        chosen = {stix_id for stix_id, _ in self._some(self.ours)[:1]}
        after: Content = {place: None for place in self.ours if place[0] in chosen}
        self._begin("delete", after)
        for each in chosen:
            assert self._soc().delete(f"indicators/objects/{each}/").status_code == 200
        self._done(self.ours, after)

    def pull(self) -> None:
        """North pulls what south brought in, in pages of a few."""
        bodies = self._of_south("indicators")
        self._begin("pull", bodies)
        reports = self.pair.north.sync("in", limits=Limits(page_objects=PAGE))
        assert [report.error for report in reports] == [None] * len(reports)
        self._done(self.theirs, bodies)

    def push(self) -> None:
        """South pushes to us, in a numbered batch."""
        bodies = self._of_south("techniques")
        self._begin("push", bodies)
        reports = self.pair.south.sync("out")
        assert [report.error for report in reports] == [None] * len(reports)
        self._done(self.theirs, bodies)

    def serve_partner(self) -> None:
        """South pulls from us, for which our feed to it advances."""
        self._begin("serve", {})
        reports = self.pair.south.sync("in", limits=Limits(page_objects=PAGE * 10))
        assert [report.error for report in reports] == [None] * len(reports)
        self._done(self.ours, {})

    def erase(self) -> None:
        """A day and a half later, what the partner brought has been kept as long as was agreed."""
        self.pair.tick(DAY_AND_A_HALF)
        after: Content = dict.fromkeys(self.theirs)
        self._begin("retention", after)
        assert retention.erase_due(self.pair.north.door, now=self.pair.clock()) >= len(after)
        self._done(self.theirs, after)

    def open_again(self) -> None:
        """The server and the worker end and begin: SQLite puts the log away when its last user goes."""
        self._begin("restart", {})
        self.pair.north.database = self.reopen()
        self.pair.north.restart()
        self._done(self.ours, {})

    def _begin(self, name: str, after: Content) -> None:
        self.note(Begun(name, after, self.pair.clock()))

    def _done(self, held: dict[Place, bytes], after: Content) -> None:
        with self.pair.north.database.reading() as tx:
            self.note(Acknowledged({each.alias: each.last_added for each in catalog.collections(tx)}))
        for place, body in after.items():
            if body is None:
                del held[place]
            else:
                held[place] = body

    def _soc(self) -> Client:
        return Client(self.pair.north.app, SOC, self.token)

    def _some(self, held: dict[Place, bytes]) -> list[Place]:
        places = sorted(held)
        return self.chance.sample(places, min(len(places), self.chance.randint(1, 5)))

    def _new(self, count: int) -> dict[Place, bytes]:
        names = range(self.made, self.made + count)
        self.made += count
        return {(an_id("indicator", name), CREATED): self._body(name) for name in names}

    def _body(self, name: int, **changes: object) -> bytes:
        return an_indicator(name, author=NORTH_ID, tlp="green", **changes)

    def _of_south(self, alias: str) -> dict[Place, bytes]:
        names = [f"{alias} {self.made + number}" for number in range(self.chance.randint(1, 3 * PAGE))]
        self.made += len(names)
        bodies = [an_indicator(name, author=SOUTH_ID, tlp="green") for name in names]
        self.pair.south.bring(*bodies, alias=alias)
        return {(an_id("indicator", name), CREATED): body for name, body in zip(names, bodies, strict=True)}
