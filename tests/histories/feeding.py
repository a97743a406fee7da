"""The feeds of the model: what the real rules let out, what stands to be sent, and what leaves."""

from __future__ import annotations

from collections.abc import Collection

from node.sharing.admission import Flags, flags_of
from node.sharing.decisions import Decision, End, Facts, decide_egress, permitted_by_any
from node.sharing.links import Link
from tests.histories.model import (
    LEVELS,
    OFFERED,
    OUT,
    SENT,
    Key,
    Pair,
    Row,
    Rules,
    State,
    Text,
    key_of,
    link_of,
    rank_of,
)


def flags(node: State, stix_id: str) -> list[tuple[Text, Flags]]:
    """The texts held of an id with their flags, by the real rule."""
    rows = node.rows.get(stix_id, ())
    if not rows:
        return []
    found = flags_of([("2.1", row.text.version, row.text.revoked) for row in rows])
    return [(row.text, its) for row, its in zip(rows, found, strict=True)]


def judge(pair: Pair, node: State, row: Row, *, entering: bool) -> Decision:
    """What the real rules say of a row on the way to the partner."""
    link = link_of(node.name, node.narrow, pair.room)
    outcome, epoch = node.received.get(key_of(row.text), ("", ()))
    brought = outcome not in ("", "quarantined", "refused")
    ends = [_end(node, link, stix_id) for stix_id in ("x", "y")] if row.text.id == "r" else []
    return decide_egress(
        _facts(node, row),
        link,
        now=pair.now,
        brought_by=(node.partner,) if brought else (),
        brought_in_present_epoch=brought and epoch == node.known_in,
        entering=entering,
        ends=[end for end in ends if end.held],
        onward_granted=lambda _: False,
    )


def _end(node: State, link: Link, stix_id: str) -> End:
    rows = node.rows.get(stix_id, ())
    return End(
        stix_id,
        held=bool(rows),
        from_partner=any(row.origin == node.partner for row in rows),
        permitted=any(permitted_by_any(_facts(node, row), link.sibling_terms) for row in rows),
    )


def _facts(node: State, row: Row) -> Facts:
    text, observable = row.text, row.text.id == "sco"
    owned = None if observable else node.owners[text.id].newest
    return Facts(
        id=text.id,
        type={"sco": "ipv4-addr", "r": "relationship"}.get(text.id, "indicator"),
        observable=observable,
        rank=rank_of(text.mark, row.origin, node.definitions),
        owner_rank=None if owned is None else rank_of(owned.text.mark, owned.origin, node.definitions),
        origin=row.origin,
    )


def advance(pair: Pair, rules: Rules, node: State) -> int:
    """Let the feed examine what is due; how many texts entered it."""
    if node.feed_of != node.shown:
        if node.feed_of is not None and node.feed_of[0] != node.epoch:
            offer_again(node)
        node.feed_of = node.shown
        node.due.update(dict.fromkeys([*node.rows, *(key.id for key in node.feed)], True))
    if not node.due:
        return 0
    ids, node.due = sorted(node.due), {}
    entered = 0
    for stix_id in ids:
        rows = {key_of(row.text): row for row in node.rows.get(stix_id, ())}
        for key, (place, state, text) in list(node.feed.items()):
            if (
                key.id == stix_id
                and state != OUT
                and (key not in rows or not judge(pair, node, rows[key], entering=False).allowed)
            ):
                _take_out(node, key, place, state, text)
        for key, row in rows.items():
            standing = node.feed.get(key)
            if standing is not None and standing[1] != OUT:
                continue
            if judge(pair, node, row, entering=True).allowed and rules.may_enter(node, key):
                pair.now += 10
                node.feed[key] = (pair.now, OFFERED, row.text)
                entered += 1
    return entered


def _take_out(node: State, key: Key, place: int, state: int, text: Text) -> None:
    if state == OFFERED:
        del node.feed[key]
    else:
        node.feed[key] = (place, OUT, text)


def offer_again(node: State) -> None:
    """All that stands in the feed is to be sent again."""
    for key, (place, state, text) in node.feed.items():
        if state != OUT:
            node.feed[key] = (place, OFFERED, text)


def forget(node: State) -> None:
    """The partner lost its history."""
    offer_again(node)
    node.known_in = None
    node.feed_of = None if node.feed_of is None else (node.epoch, None)
    node.bookmark = None


def note_epoch(node: State, *, out: bool, epoch: tuple[object, ...]) -> bool:
    """Remember the partner's epoch as one link shows it; whether it replaced another."""
    before = node.known_out if out else node.known_in
    if before == epoch:
        return False
    if out:
        node.known_in, node.known_out = None, epoch
    else:
        node.known_in = epoch
    node.due.update(dict.fromkeys((key.id for key in node.received), True))
    return before is not None


def leaving(pair: Pair, node: State, states: Collection[int], after: int = -1) -> list[tuple[Key, Text]]:
    """Feed rows in order that may leave now; those that may not are taken out."""
    found: list[tuple[Key, Text]] = []
    for key, (place, state, text) in sorted(node.feed.items(), key=lambda item: item[1][0]):
        if state not in states or place <= after:
            continue
        row = next((one for one in node.rows.get(key.id, ()) if one.text == text), None)
        if row is None or not judge(pair, node, row, entering=False).allowed:
            _take_out(node, key, place, state, text)
            node.due[key.id] = True
            continue
        found.append((key, text))
    return found


def note_sent(node: State, key: Key) -> None:
    """A text leaves now; noted before its first byte does."""
    place, state, text = node.feed[key]
    node.feed[key] = (place, max(state, SENT), text)
    node.ever_sent[key] = True


def carried(pair: Pair, node: State, texts: Collection[Text]) -> None:
    """I7, by a memory of its own: nothing above the ceiling crosses, whatever the rules said."""
    ceiling = 1 if node.narrow else 2
    for text in texts:
        newest = text if text.id == "sco" else node.newest_ever.get(text.id, text)
        unknown = text.mark == "statement" and not node.definitions
        if LEVELS[text.mark] > ceiling or LEVELS[newest.mark] > ceiling or unknown:
            pair.faults += (f"{node.name} let {text} out, whose newest version is {newest}",)
