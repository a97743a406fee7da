"""What two nodes of our own kind tell each other beside TAXII: epoch, terms, numbered batches.

Rule: the headers count only from accounts of partners of kind stixnode; from anybody else they are
ignored, so that nobody can make us forget what a partner has. Every answer to such a partner carries
our epoch and the terms digest of the link it is about.

    X-Exchange-Epoch   the history of the collection and the policy of the link, both directions
    X-Exchange-Terms   digest of the agreement's meaning; another one is answered with 409
    X-Exchange-Batch   `<session started, microseconds>;<n>`, with a POST
    X-Exchange-Have    `<date>;<epoch>`: what the sender has stored of our feed, with a GET

Reads   the states of links, through `node.exchange`
Writes  the partner's epoch, the forgetting that follows from a new one, and what it has confirmed, through
        `node.exchange`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from werkzeug.datastructures import Headers

from node.clock import parse_taxii_time
from node.exchange import egress, feed_rows, feeds, links
from node.exchange.sessions import SessionIn
from node.sharing.links import Link
from node.store.catalog import Collection
from node.store.database import Tx
from node.taxii.face import Visit
from node.taxii.protocol import RequestRefused

EPOCH = "X-Exchange-Epoch"
TERMS = "X-Exchange-Terms"
BATCH = "X-Exchange-Batch"
HAVE = "X-Exchange-Have"

_DIGEST = 64  # letters of a digest
_EPOCH_TEXT = re.compile(r"[!-~]{1,200}")
_BATCH_TEXT = re.compile(r"([0-9]{1,18});([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Told:
    """What a partner of our own kind said of itself in one request.

    Args:
        epoch: Its epoch; "" when it said none.
        terms: The terms digest it goes by, in hexadecimal; "" when it said none.
        batch: (session started, number), or None.
        have: (date up to which it has stored our feed, our epoch then), or None.
    """

    epoch: str = ""
    terms: str = ""
    batch: tuple[int, int] | None = None
    have: tuple[int, str] | None = None


def told(headers: Headers, link: Link | None) -> Told:
    """What the request says of its sender; nothing unless the link is with our own kind.

    Args:
        headers: Of the request.
        link: The link it is about, or None for a SOC account.

    Raises:
        RequestRefused: 400: a header that is not of its form.
    """
    if link is None or link.partner_kind != "stixnode":
        return Told()
    epoch, terms, batch = (headers.get(name, "").strip() for name in (EPOCH, TERMS, BATCH))
    if epoch and _EPOCH_TEXT.fullmatch(epoch) is None:
        raise _malformed(EPOCH, "Send the epoch as it was given.")
    if not batch:
        return Told(epoch, terms.lower(), have=_have(headers.get(HAVE, "")))
    match = _BATCH_TEXT.fullmatch(batch)
    if match is None or int(match[2]) < 1:
        raise _malformed(
            BATCH, "Send the start of the session and the number of the batch, such as 1700000000000000;1."
        )
    return Told(epoch, terms.lower(), (int(match[1]), int(match[2])))


def refuse_other_terms(visit: Visit, said: Told, among: Sequence[Link]) -> Link:
    """The link whose terms the partner goes by; that it goes by others is noted, so that `status` says so.

    Args:
        visit: The request.
        said: From `told`.
        among: The links that the request may be about, the likeliest first; never empty.

    Raises:
        RequestRefused: 409: the partner goes by an agreement of another meaning.
    """
    if not said.terms:
        return among[0]
    for link in among:
        if link.terms_digest.hex() == said.terms:
            return link
    _note_terms(visit, among, said.terms[:_DIGEST])
    digest = among[0].terms_digest.hex()
    raise RequestRefused(
        f"The two centres go by different terms of the agreement {among[0].terms.agreement}.",
        remedy="Nothing crosses until both use the same file. Compare the terms digests by telephone.",
        status=409,
        code="terms_differ",
        details={"terms": digest},
        headers={TERMS: digest},
    )


def shown(collection: Collection, link: Link) -> dict[str, str]:
    """The headers of an answer that is about a link; none for partners of another kind."""
    if link.partner_kind != "stixnode":
        return {}
    return {EPOCH: egress.epoch_shown(collection, link), TERMS: link.terms_digest.hex()}


def note_epoch(visit: Visit, link: Link, said: Told) -> None:
    """Remember the epoch that a partner tells of its side of a link; a new one means a lost history.

    A feed then offers everything again, because nothing is known any more of what the partner has.

    Args:
        visit: The request.
        link: The out-link that is read, or the in-link that the partner pushes by.
        said: From `told`.
    """
    state = links.state(visit.tx, link.name)
    if said.terms and state is not None and state.other_terms:
        _note_terms(visit, (link,), "")
    if not said.epoch or state is None or state.partner_epoch == said.epoch:
        return

    def work(tx: Tx) -> None:
        if links.note_partner_epoch(tx, link.name, said.epoch) and link.direction == "out":
            feeds.forget(tx, link)

    visit.face.door.database.retrying(work)


def _note_terms(visit: Visit, among: Sequence[Link], terms: str) -> None:
    """Note by which terms a partner came; writes only what is new."""
    known = {link.name: links.state(visit.tx, link.name) for link in among}
    told = [name for name, state in known.items() if state is not None and state.other_terms != terms]

    def work(tx: Tx) -> None:
        for name in told:
            links.note_other_terms(tx, name, terms)

    if told:
        visit.face.door.database.retrying(work)


def note_have(visit: Visit, link: Link, collection: Collection, said: Told) -> None:
    """Note as confirmed what a partner says it has stored of our feed; another history says nothing."""
    if said.have is None or said.have[1] != egress.epoch_shown(collection, link):
        return
    until = said.have[0]
    if feed_rows.is_unconfirmed(visit.tx, link.name, until):
        visit.face.door.database.retrying(lambda tx: feed_rows.confirm(tx, link.name, until))


def _have(text: str) -> tuple[int, str] | None:
    date, _, epoch = text.strip().partition(";")
    try:
        return parse_taxii_time(date), epoch
    except ValueError:
        return None


def place_in_session(before: SessionIn | None, batch: tuple[int, int], epoch: str) -> bool:
    """Whether a numbered batch is to be applied (True), or was applied already (False).

    Args:
        before: How far the partner's session has been applied, read in the transaction of the POST.
        batch: The session's start, and the number of the batch in it.
        epoch: The epoch that the partner tells of itself.

    Raises:
        RequestRefused: 409: an older session, or a batch that does not follow; `details` say where we are.
    """
    started, number = batch
    if before is not None and started < before.started:
        raise _out_of_step("The session is older than the one that is under way.", "session_old", before)
    if before is None or started > before.started:
        if number == 1:
            return True
        raise _out_of_step("The session is not known here, so it cannot go on.", "session_unknown", before)
    if epoch != before.epoch:
        raise _out_of_step("The session was begun in another epoch.", "session_old", before)
    if number == before.have + 1:
        return True
    if number == before.have:
        return False
    raise _out_of_step(
        f"Batch {number} does not follow on batch {before.have}.", "batch_out_of_order", before
    )


def _out_of_step(problem: str, code: str, before: SessionIn | None) -> RequestRefused:
    details = (
        {"have": 0, "started": 0} if before is None else {"have": before.have, "started": before.started}
    )
    return RequestRefused(
        problem,
        remedy="Nothing was stored. Begin a new session with batch 1 and send the whole feed again.",
        status=409,
        code=code,
        details=details,
    )


def _malformed(name: str, remedy: str) -> RequestRefused:
    return RequestRefused(f"The header {name} is malformed.", remedy=remedy, status=400)
