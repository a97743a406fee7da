"""Two nodes of a history: the real door, feeds, pull and push over two SQLite databases.

A history is a list of acts; each is small, so that a failing one can be shortened by leaving acts out.
"""

from __future__ import annotations

import random
import shutil
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from node.clock import parse_stix_time, taxii_time
from node.config_keys import MITRE
from node.exchange import feed_rows, feeds, ledger
from node.exchange.feeds import key_of
from node.exchange.judging import Candidate, judge
from node.exchange.ledger import Key
from node.sharing.decisions import Reason
from node.sharing.links import Link, Stricter
from node.stix import markings
from node.stix.markings import TLP
from node.stix.objects import marking_refs
from node.stix.objects import read as read_object
from node.store import catalog, objects, owners
from node.store.database import Database
from node.sync.pull import pull
from node.sync.push import push
from node.sync.reports import PullReport, PushReport
from tests.histories.carrier import Fault, InProcess
from tests.support.agreements import a_flow
from tests.support.builders import CREATED, NORTH_ID, SOUTH_ID, a_relationship, an_id, an_indicator, an_ipv4
from tests.support.nodes import Clock, Node, a_node

NAMES = ("nobody's", "north's", "south's", "public", "address", "tie")
AUTHORS = {"north's": NORTH_ID, "south's": SOUTH_ID, "public": MITRE}
CARRIERS: dict[str, Any] = {
    "pull": "pull",
    "push": "push",
    "mixed": {"north": "push", "south": "pull"},
}
EXPLAINED = ("variant", "quarantined", "suppressed", "refused")


class Act(NamedTuple):
    """One act of a history at one node; `what` says which, `how` the rest."""

    what: str
    at: str
    how: tuple[Any, ...] = ()


@dataclass(slots=True)
class World:
    """North and south, their shared clock, and the last backup of each."""

    north: Node
    south: Node
    folder: Path
    clock: Clock
    room: bool
    carry: Any
    narrow: dict[str, bool] = field(default_factory=lambda: {"north": False, "south": False})
    backups: dict[str, Path] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)

    def node(self, name: str) -> Node:
        """The node of that name."""
        return self.north if name == "north" else self.south

    def other(self, name: str) -> Node:
        """The other node."""
        return self.south if name == "north" else self.north


def a_world(template: Path, folder: Path, *, carry: str, room: bool) -> World:
    """Two empty nodes.

    Args:
        template: A migrated SQLite file with the node's row.
        folder: Where this world's databases go.
        carry: One of `CARRIERS`.
        room: Whether either may edit.
    """
    folder.mkdir()
    clock = Clock()
    made: dict[str, Node] = {}
    for us, them in (("north", "south"), ("south", "north")):
        path = folder / f"{us}.db"
        shutil.copyfile(template, path)
        made[us] = a_node(
            Database(f"sqlite:///{path}"), us, partners=(them,), clock=clock, **_terms(CARRIERS[carry], room)
        )
    world = World(made["north"], made["south"], folder, clock, room, CARRIERS[carry])
    for node in made.values():
        _back_up(world, node)
    return world


def close(world: World) -> None:
    """Let the databases go and remove their files."""
    world.north.database.close()
    world.south.database.close()
    shutil.rmtree(world.folder)


def body_of(name: str, step: int, variant: int, tlp: str, revoked: bool) -> bytes:
    """One text of one version of one object of the histories."""
    if name == "address":
        return an_ipv4(tlp=tlp, defanged=True if variant else None)
    modified = taxii_time(
        parse_stix_time(CREATED) // 1000 + int(timedelta(minutes=step) / timedelta(microseconds=1))
    )
    changes: dict[str, object] = {
        "modified": modified,
        "tlp": tlp,
        "author": AUTHORS.get(name),
        "description": f"text {variant}",
        "revoked": True if revoked else None,
    }
    if name == "tie":
        return a_relationship(an_id("indicator", "nobody's"), an_id("indicator", "north's"), "tie", **changes)
    return an_indicator(name, **changes)


def id_of(name: str) -> str:
    """The id of one object of the histories."""
    return read_object(body_of(name, 0, 0, "green", False)).id


def random_act(chance: random.Random) -> Act:
    """One act; writing and carrying are as frequent as all others together."""
    at = chance.choice(("north", "south"))
    what = chance.choices(
        ("write", "carry", "delete", "backup", "restore", "narrow", "widen"), (10, 10, 2, 1, 2, 1, 1)
    )[0]
    if what == "write":
        return Act(
            what,
            at,
            (
                chance.choice(NAMES),
                chance.choice((0, 0, 0, 1, 2)),
                chance.choice((0, 0, 0, 1)),
                chance.choice(("green", "green", "green", "amber", "red")),
                chance.random() < 0.1,
                chance.random() < 0.5,
            ),
        )
    if what == "carry":
        return Act(
            what, at, (chance.choice((Fault.NONE, Fault.NONE, Fault.LOST_REQUEST, Fault.LOST_ANSWER)),)
        )
    if what == "delete":
        return Act(what, at, (chance.choice(NAMES),))
    return Act(what, at)


def do(world: World, act: Act) -> None:
    """Carry out one act; what a node refuses its own people is no fault."""
    node = world.node(act.at)
    if act.what == "write":
        *which, restate = act.how
        node.admit(body_of(*which), restate=restate)
    elif act.what == "carry":
        carry(world, act.at, fault=act.how[0])
    elif act.what == "delete":
        node.remove(id_of(act.how[0]))
    elif act.what == "backup":
        _back_up(world, node)
    elif act.what == "restore":
        _restore(world, node)
    else:
        world.narrow[act.at] = act.what == "narrow"
        ceiling = TLP.GREEN if world.narrow[act.at] else TLP.RED
        node.agree(
            partners=(world.other(act.at).us,), stricter=Stricter(ceiling), **_terms(world.carry, world.room)
        )


def carry(world: World, giver: str, *, fault: Fault = Fault.NONE) -> PullReport | PushReport:
    """One round of what `giver` gives, by whoever carries it."""
    giving, taking = world.node(giver), world.other(giver)
    out = giving.link(f"{taking.us}/indicators/out")

    def tap(sender: Node, link: Link, body: bytes) -> None:
        _watch(world, sender, link, body)

    if out.carrier == "us":
        client: Any = InProcess(taking, giving, now=world.clock.tick, fault=fault, tap=tap)
        return push(giving.door, out, client, now=world.clock.tick, pause=lambda _: True)
    client = InProcess(giving, taking, now=world.clock.tick, fault=fault, tap=tap)
    return pull(taking.door, taking.link(f"{giver}/indicators/in"), client, now=world.clock.tick)


def settle(world: World) -> None:
    """Faults off: rounds until two in succession moved nothing.

    Raises:
        AssertionError: It does not become quiet, or a round fails.
    """
    quiet = 0
    for _ in range(12):
        moved = 0
        for giver in ("north", "south"):
            report = carry(world, giver)
            assert report.error is None, f"{report.link}: {report.error}"
            assert report.stopped is None, f"{report.link}: {report.detail}"
            moved += report.moved + (report.received if isinstance(report, PullReport) else report.unchanged)
        quiet = 0 if moved else quiet + 1
        if quiet == 2:
            return
    raise AssertionError("the two nodes do not become quiet")


def faults_of(world: World) -> list[str]:
    """Everything that keeps the two nodes from having converged, as design section 4 defines it."""
    return [
        *world.leaks,
        *_unequal(world.north, world.south),
        *_unequal(world.south, world.north),
    ]


def _unequal(giving: Node, taking: Node) -> list[str]:
    link = giving.link(f"{taking.us}/indicators/out")
    inlet = f"{giving.us}/indicators/in"
    found: list[str] = []
    collection = giving.collection()
    with giving.database.reading() as tx:
        if feeds.is_behind(tx, link, collection):
            found.append(f"{giving.us}: the feed has not examined all that is due")
        rows = objects.all_after(tx, collection.collection_id, -1, 10_000)
        moment = max(giving.now, collection.last_added)
        decisions = judge(tx, giving.door, link, [Candidate(one) for one in rows], now=moment, entering=True)
        standing = {row.key: row.state for row in feed_rows.after(tx, link.name, -1, 10_000)}
    for one, decision in zip(rows, decisions, strict=True):
        key = key_of(one.held)
        what = f"{giving.us} -> {taking.us}: {one.body.decode()}"
        if decision.allowed and key not in standing:
            found.append(f"{what}: permitted and not in the feed")
        state = standing.get(key)
        if link.carrier == "us" and state in (feed_rows.OFFERED, feed_rows.SENT):
            found.append(f"{what}: still to be sent")
        known = decision.allowed or decision.reason is Reason.BROUGHT_BY_PARTNER
        if known and not _arrived(taking, giving, inlet, key, allowed=decision.allowed):
            reason = "" if decision.allowed else " (withheld as brought by the partner)"
            found.append(f"{what}: not there, and nothing explains it{reason}")
    return found


def _arrived(taking: Node, giving: Node, inlet: str, key: Key, *, allowed: bool) -> bool:
    rows = taking.held(key.stix_id)
    if any(key_of(row) == key for row in rows):
        return True
    with taking.database.reading() as tx:
        lines = [
            line
            for line in ledger.received(tx, [key.stix_id]).get(key.stix_id, ())
            if Key(*line[:4]) == key and line.link == inlet
        ]
        stones = [stone for stone in owners.tombstones_of(tx, key.stix_id) if stone.digest == key.digest]
        released = {row.key for row in feed_rows.of_id(tx, key.stix_id) if row.state != feed_rows.OFFERED}
    outcome = lines[0].outcome if lines else ""
    if stones or outcome in EXPLAINED or (outcome == "echo" and key in released):
        return True
    replaced = key.digest in {digest for digest, _ in taking.history(key.stix_id)}
    same = [row for row in rows if row.spec_version == key.spec_version and row.version == key.version]
    # Replaced by something else than what this very sender gave last: its own restatement, or a tie.
    return replaced and all(row.origin != giving.us or not allowed for row in same)


def _watch(world: World, sender: Node, link: Link, body: bytes) -> None:
    one = read_object(body)
    rank = markings.rank(marking_refs(body), {})
    newest = max(sender.held(one.id), key=lambda row: row.version, default=None)
    owner = sender.owner(one.id)
    for what, level in (
        ("its own marking", rank),
        ("the newest version", rank if newest is None or one.observable else newest.rank),
        ("the owner row", rank if owner is None else owner.rank),
    ):
        if not TLP.CLEAR <= level <= link.terms.max_tlp:
            world.leaks.append(f"{link.name} carried what {what} forbids: {body.decode()}")


def _back_up(world: World, node: Node) -> None:
    node.database.close()  # brings the write-ahead log into the file
    copy = world.folder / f"{node.us}.backup"
    shutil.copyfile(world.folder / f"{node.us}.db", copy)
    world.backups[node.us] = copy


def _restore(world: World, node: Node) -> None:
    copy = world.backups.get(node.us)
    if copy is None:
        return
    mark = node.collection().last_added
    node.database.close()
    shutil.copyfile(copy, world.folder / f"{node.us}.db")
    with node.database.writing() as tx:
        catalog.renew_node(tx, instance=uuid.uuid4().hex, secret=b"0" * 32, server_identity="")
        for collection in catalog.collections(tx):
            catalog.renew_epoch(
                tx, collection.collection_id, epoch=uuid.uuid4().hex, at_least=max(mark, world.clock.now)
            )


def _terms(carry: Any, room: bool) -> dict[str, Any]:
    flow = a_flow(
        types=["indicator", "relationship", "observables"], max_tlp="amber", carry=carry, either_may_edit=room
    )
    return {"flow": [flow]}
