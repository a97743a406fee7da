"""Carry between the two nodes of the model: pull and push as `node/sync` does them, with lost lines."""

from __future__ import annotations

from node.exchange.sessions import SessionIn
from node.taxii.exchange_headers import place_in_session
from node.taxii.protocol import RequestRefused
from tests.histories.feeding import advance, carried, forget, leaving, note_epoch, note_sent
from tests.histories.model import (
    OFFERED,
    OUT,
    SENT,
    SETTLED,
    Pair,
    Rules,
    Session,
    State,
    Text,
    answers_of,
    key_of,
    take,
)

FINE, LOST_REQUEST, LOST_ANSWER = "fine", "lost request", "lost answer"


def carry(pair: Pair, rules: Rules, giver: str, line: str = FINE) -> int:
    """One round of what a node gives; how many texts crossed or were answered for."""
    pair.now += 1_000
    giving = pair.node(giver)
    taking = pair.node(giving.partner)
    pushed = pair.push[0] if giver == "north" else pair.push[1]
    return _push(pair, rules, giving, taking, line) if pushed else _pull(pair, rules, giving, taking, line)


def _pull(pair: Pair, rules: Rules, giving: State, taking: State, line: str) -> int:
    if line == LOST_REQUEST:
        return 0
    if note_epoch(giving, out=True, epoch=(taking.epoch,)):
        bookmark = giving.bookmark
        forget(giving)
        giving.bookmark = bookmark  # the reader's history is new, not that of what we read from it
    advance(pair, rules, giving)
    epoch = giving.shown
    again = taking.bookmark is not None and taking.bookmark[1] != epoch
    after = -1 if taking.bookmark is None or again else taking.bookmark[0]
    found = leaving(pair, giving, (OFFERED, SENT, SETTLED), after)
    for key, _ in found:
        note_sent(giving, key)
    carried(pair, giving, [text for _, text in found])
    if line == LOST_ANSWER:
        return len(found)
    note_epoch(taking, out=False, epoch=epoch)
    take(pair, rules, taking, [text for _, text in found], epoch)
    if found:
        taking.bookmark = (giving.feed[found[-1][0]][0], epoch)
    elif again:
        taking.bookmark = None
    return len(found)


def _push(pair: Pair, rules: Rules, giving: State, taking: State, line: str) -> int:
    if note_epoch(giving, out=True, epoch=(taking.epoch,)):
        _begin_anew(pair, giving, pair.now)
    advance(pair, rules, giving)
    moved = 0
    for _ in range(20):
        session = giving.session
        current = session is not None and session.epoch == giving.shown
        if current and session is not None and session.batch is not None:
            stored = session.batch
            may = {text for _, text in leaving(pair, giving, (SENT,))}
            items = tuple(text for text in stored if text in may)
        else:
            items = stored = tuple(text for _, text in leaving(pair, giving, (OFFERED, SENT)))
            if not items:
                return moved
            if not current or session is None:
                session = _fresh(session, giving, pair.now)
            session = giving.session = session._replace(batch=stored)
            for text in items:
                note_sent(giving, key_of(text))
        if line == LOST_REQUEST:
            return moved
        carried(pair, giving, items)
        try:
            answer = _receive(pair, rules, taking, session, items, giving.shown)
        except RequestRefused as refusal:
            theirs = (refusal.details or {}).get("started", 0)
            _begin_anew(pair, giving, max(pair.now, int(str(theirs)) + 1))
            advance(pair, rules, giving)
            continue
        if line == LOST_ANSWER:
            return moved + len(items)
        done = rules.settled(stored, items, answer)
        for text in done:
            place, state, _ = giving.feed.get(key_of(text), (0, OUT, text))
            if state != OUT:
                giving.feed[key_of(text)] = (place, SETTLED, text)
        moved += len(done)
        if items and not any(text in items for text in done):
            pair.faults += (
                f"{giving.name}: {taking.name} has no word about the batch, which is sent for ever",
            )
            return moved
        giving.session = session._replace(sent=session.sent + 1, batch=None)
    pair.faults += (f"{giving.name}: pushing does not end",)
    return moved


def _fresh(before: Session | None, node: State, now: int) -> Session:
    return Session(now if before is None else max(now, before.started + 1), node.shown, 0, None)


def _begin_anew(pair: Pair, node: State, now: int) -> None:
    forget(node)
    if node.session is not None:
        node.session = _fresh(node.session, node, now)


def _receive(
    pair: Pair,
    rules: Rules,
    node: State,
    session: Session,
    items: tuple[Text, ...],
    epoch: tuple[object, ...],
) -> tuple[tuple[Text, str], ...]:
    number, shown = session.sent + 1, repr(epoch)
    if not place_in_session(node.applied, (session.started, number), shown):
        assert node.applied is not None  # a session that is repeated was applied
        return node.answers[node.applied.status_id]
    note_epoch(node, out=False, epoch=epoch)
    answer = answers_of(take(pair, rules, node, items, epoch))
    status = f"{session.started};{number}"
    node.answers = {status: answer}
    node.applied = SessionIn(session.started, shown, number, status)
    return answer
