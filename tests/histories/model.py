"""Two nodes as plain dictionaries, which run the very rules of the product.

What decides (`decide_arrival`, `owner_of_new`, `flags_of`, `decide_egress`, `meanings_for`, `rank`,
`place_in_session`) is the real code; what only remembers (rows, feed, ledger, sessions, bookmark) is a
model of the tables, small enough to be copied for every act of a search. `Rules` holds the places where
the tests plant a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import NamedTuple

from node.config_keys import MITRE
from node.exchange.sessions import SessionIn
from node.sharing.admission import (
    LOCAL,
    Action,
    Arriving,
    Bringer,
    Situation,
    Verdict,
    Version,
    decide_arrival,
    owner_of_new,
    same_key,
)
from node.sharing.agreements import Agreement
from node.sharing.links import Link, PartnerBinding, Stricter
from node.stix.markings import TLP, rank
from node.store.owners import Definition, meanings_for
from tests.support.agreements import a_flow, an_agreement, links_of
from tests.support.builders import NOON, TLP_2

OFFERED, SENT, SETTLED, OUT = 0, 1, 2, 9
STATEMENT = "marking-definition--aaaaaaaa-0000-4000-8000-000000000001"
MARKS = {
    "green": (TLP_2["green"],),
    "amber": (TLP_2["amber"],),
    "red": (TLP_2["red"],),
    "statement": (STATEMENT, TLP_2["green"]),
}
LEVELS = {"green": 1, "amber": 2, "red": 4, "statement": 1}
PUBLIC = frozenset((MITRE,))


class Text(NamedTuple):
    """One text of one version of one object.

    Args:
        id: `x`, `y` indicators; `public` nobody's; `r` a relationship from x to y; `sco` an observable.
        version: Which version; 0 for the observable, which has none.
        variant: Which text of it.
        mark: A key of `MARKS`.
    """

    id: str
    version: int
    variant: int = 0
    mark: str = "green"
    revoked: bool = False

    @property
    def digest(self) -> bytes:
        """Differs for every other text."""
        return repr(tuple(self)).encode()


class Key(NamedTuple):
    """A version and its digest, as feeds and ledger know it."""

    id: str
    version: int
    digest: bytes


class Row(NamedTuple):
    """A stored text and who brought it."""

    text: Text
    origin: str


class Owned(NamedTuple):
    """The owner row: the owner, and the newest text ever stored with its origin."""

    owner: str
    newest: Row


class Session(NamedTuple):
    """An outgoing session: the epoch it was begun in, the batches settled, the outstanding one."""

    started: int
    epoch: tuple[object, ...]
    sent: int
    batch: tuple[Text, ...] | None


@dataclass(slots=True)
class State:
    """One node. Every value is immutable, so a copy of the dictionaries is a copy of the node."""

    name: str
    partner: str
    epoch: int = 1
    narrow: bool = False
    rows: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    owners: dict[str, Owned] = field(default_factory=dict)
    stones: dict[Key, str] = field(default_factory=dict)
    replaced: dict[Key, bool] = field(default_factory=dict)
    received: dict[Key, tuple[str, tuple[object, ...]]] = field(default_factory=dict)
    definitions: tuple[Definition, ...] = ()
    feed: dict[Key, tuple[int, int, Text]] = field(default_factory=dict)
    due: dict[str, bool] = field(default_factory=dict)
    feed_of: tuple[object, ...] | None = None
    session: Session | None = None
    applied: SessionIn | None = None
    answers: dict[str, tuple[tuple[Text, str], ...]] = field(default_factory=dict)
    bookmark: tuple[int, tuple[object, ...]] | None = None
    known_in: tuple[object, ...] | None = None
    known_out: tuple[object, ...] | None = None
    ever_sent: dict[Key, bool] = field(default_factory=dict)
    newest_ever: dict[str, Text] = field(default_factory=dict)
    first_owner: dict[str, str] = field(default_factory=dict)

    def copy(self) -> State:
        """A copy that shares nothing that changes."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return State(
            **{name: dict(value) if isinstance(value, dict) else value for name, value in values.items()}
        )

    @property
    def shown(self) -> tuple[object, ...]:
        """The epoch as the partner sees it on the way out: history and policy."""
        return (self.epoch, self.narrow)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the tests may replace by a faulty one.

    Args:
        arrival: The table of arrivals.
        owner: What the owner row says of an id.
        may_enter: Whether a permitted text that does not stand in the feed enters it.
        settled: Of a batch: stored texts, those carried now, (text, outcome) answered -> what counts as done.
    """

    arrival: Callable[..., Verdict] = decide_arrival
    owner: Callable[[State, str], str | None] = lambda node, stix_id: (
        node.owners[stix_id].owner if stix_id in node.owners else None
    )
    may_enter: Callable[[State, Key], bool] = lambda _node, _key: True
    settled: Callable[
        [Collection[Text], Collection[Text], Collection[tuple[Text, str]]], Collection[Text]
    ] = lambda stored, _carried, answered: [
        text for text in stored if any(one == text for one, _ in answered)
    ]


@dataclass(slots=True)
class Pair:
    """North and south, the moment, and what went wrong so far."""

    north: State
    south: State
    push: tuple[bool, bool]
    room: bool
    now: int = NOON
    epochs: int = 1
    backups: dict[str, State] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def copy(self) -> Pair:
        """A copy to go on from."""
        return Pair(
            self.north.copy(),
            self.south.copy(),
            self.push,
            self.room,
            self.now,
            self.epochs,
            dict(self.backups),
            self.faults,
        )

    def node(self, name: str) -> State:
        """The node of that name."""
        return self.north if name == "north" else self.south


def a_pair(*, push: tuple[bool, bool] = (True, True), room: bool = False) -> Pair:
    """Two empty nodes; `push` says of north and of south whether it brings what it gives."""
    pair = Pair(State("north", "south"), State("south", "north"), push, room)
    pair.backups = {"north": pair.north.copy(), "south": pair.south.copy()}
    return pair


@lru_cache
def link_of(name: str, narrow: bool, room: bool) -> Link:
    """The outgoing link of a node."""
    other = "south" if name == "north" else "north"
    ceiling = TLP.GREEN if narrow else TLP.RED
    binding = PartnerBinding(other, agreements=(_agreement(room),), stricter=Stricter(ceiling))
    return next(one for one in links_of(name, binding) if one.direction == "out")


@lru_cache
def _agreement(room: bool) -> Agreement:
    flow = a_flow(types=["indicator", "relationship", "observables"], max_tlp="amber", either_may_edit=room)
    return an_agreement(flow=[flow])


@lru_cache(maxsize=100_000)
def version_of(text: Text) -> Version:
    """A text's version as the rules compare it."""
    return Version("2.1", None if text.id == "sco" else text.version + 1, text.digest, text.revoked)


def key_of(text: Text) -> Key:
    """A text's place in the books."""
    return Key(text.id, text.version, text.digest)


@lru_cache(maxsize=100_000)
def rank_of(mark: str, origin: str, definitions: tuple[Definition, ...]) -> int:
    """A text's rank by the definitions that count for its origin."""
    return rank(MARKS[mark], meanings_for(definitions, origin, public=PUBLIC))


def _claimant(node: State, text: Text) -> str | None:
    return "" if text.id == "public" else None


def write(pair: Pair, rules: Rules, name: str, text: Text, *, restate: bool = False) -> str:
    """Our own people bring a text; the outcome."""
    node = pair.node(name)
    verdict = _arrive(pair, rules, node, text, Bringer(restate=restate), LOCAL)
    return verdict.outcome.value


def delete(pair: Pair, name: str, stix_id: str) -> None:
    """Our own people delete all versions of an object."""
    node = pair.node(name)
    gone = node.rows.pop(stix_id, ())
    for row in gone:
        node.stones[key_of(row.text)] = "deleted_here"
    if gone:
        _mark_due(node, stix_id)


def define(pair: Pair, name: str) -> None:
    """The statement that some texts name is stored here, so their marking is known."""
    node = pair.node(name)
    node.definitions = (Definition(STATEMENT, LOCAL, "", -1),)
    node.feed_of = None


def _arrive(pair: Pair, rules: Rules, node: State, text: Text, bringer: Bringer, origin: str) -> Verdict:
    key, version, held = key_of(text), version_of(text), node.rows.get(text.id, ())
    owner = rules.owner(node, text.id)
    arriving = Arriving(text.id, version, _claimant(node, text))
    situation = Situation(
        held=[version_of(row.text) for row in held],
        owner=owner,
        tombstone=node.stones.get(key),
        stood_here=any(stone.id == text.id for stone in node.stones),
        released={
            one.digest
            for one, (_, state, _) in node.feed.items()
            if (one.id, one.version) == (key.id, key.version) and state != OFFERED
        },
    )
    verdict = rules.arrival(arriving, situation, bringer, now=pair.now)
    if verdict.action is Action.NOTE_LOSER:
        node.replaced[key] = True
    if verdict.action not in (Action.STORE, Action.REPLACE):
        return verdict
    _guard_ownership(pair, node, text, bringer)
    kept = []
    for row in held:
        if same_key(version_of(row.text), version):
            node.replaced[key_of(row.text)] = True
        else:
            kept.append(row)
    new = Row(text, origin)
    node.rows[text.id] = (*kept, new)
    node.stones.pop(key, None)
    if text.id != "sco":
        before = node.owners.get(text.id)
        who = before.owner if before else owner_of_new(arriving.claimant, bringer, observable=False)
        if before is None or text.version >= before.newest.text.version:
            node.owners[text.id] = Owned(who, new)
        newest = node.newest_ever.get(text.id)
        if newest is None or text.version >= newest.version:
            node.newest_ever[text.id] = text
    _mark_due(node, text.id)
    return verdict


def _guard_ownership(pair: Pair, node: State, text: Text, bringer: Bringer) -> None:
    """I11, by a memory of its own: nobody but the first owner changes an id over a link."""
    if text.id == "sco":
        return
    first = node.first_owner.setdefault(text.id, "" if text.id == "public" else bringer.name)
    if bringer.partner is not None and not bringer.either_may_edit and first not in ("", bringer.partner):
        pair.faults += (f"{node.name}: {bringer.partner} changed {text}, which is {first}'s",)


def _mark_due(node: State, stix_id: str) -> None:
    node.due[stix_id] = True
    if stix_id in ("x", "y"):
        node.due["r"] = True


def take(
    pair: Pair, rules: Rules, node: State, texts: Collection[Text], epoch: tuple[object, ...]
) -> dict[Text, str]:
    """What the partner's texts become at a node; in the order of work."""
    outcomes: dict[Text, str] = {}
    bringer = Bringer(partner=node.partner, either_may_edit=pair.room)
    for text in sorted(texts, key=lambda one: one.id == "r"):
        outcome = _arrive(pair, rules, node, text, bringer, node.partner).outcome.value
        before = node.received.get(key_of(text), ("", ()))[0]
        kept = before if before in ("stored", "restated") and outcome == "duplicate" else outcome
        node.received[key_of(text)] = (kept, epoch)
        outcomes[text] = outcome
    return outcomes


def answers_of(outcomes: Mapping[Text, str]) -> tuple[tuple[Text, str], ...]:
    """The status of a batch."""
    return tuple(outcomes.items())
