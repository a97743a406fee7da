"""Objects posted to a collection, by SOC clients and by partners that push.

Rule: one POST is one transaction: objects, books, status resource and session stand or fall together,
and the answer says 202 only after the commit. The right to write is asked before a byte of the body is
read. What a partner posts enters through its link, with all that the agreement says.

Reads   the body; rights; sessions
Writes  through `node.exchange.ingress`; the status resource; the partner's session
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flask import Blueprint, Response, request

from node.exchange import activity, history, ingress, links, sessions
from node.exchange.ingress import Source
from node.exchange.sessions import SessionIn
from node.metrics import present
from node.store import catalog
from node.store.database import Tx
from node.taxii import exchange_headers, rights, statuses
from node.taxii.body import cut, read_body
from node.taxii.exchange_headers import Told
from node.taxii.face import Visit, answer, carry, negotiate, visit
from node.taxii.protocol import API_ROOT, MEDIA_TYPE, RequestRefused, takes
from node.taxii.rights import Right

blueprint = Blueprint("posts", __name__)


@blueprint.post(f"{API_ROOT}collections/<name>/objects/")
def post_objects(name: str) -> Response:
    """Add objects; the status resource says what became of each.

    Source:
        TAXII 2.1 section 5.5.
    """
    with visit() as here:
        right = rights.to_write(here, name)
        said = _greet(here, right)
        negotiate()
        if not takes(request.environ.get("CONTENT_TYPE")):
            raise RequestRefused(
                "A body of this Content-Type is not read here.",
                remedy=f"Send Content-Type: {MEDIA_TYPE}",
                status=415,
            )
    body = read_body(request.environ, most=here.face.max_content_length)
    bodies = cut(body, empty_allowed=said.batch is not None)
    door = here.face.door
    ingress.look_ahead(right.collection, bodies)
    status = door.database.retrying(lambda tx: _carry_out(tx, here, right, said, bodies))
    ingress.afterwards(door, now=here.face.now())
    return answer(status, 202)


def _greet(here: Visit, right: Right) -> Told:
    if right.inlet is None:
        return Told()
    said = exchange_headers.told(request.headers, right.inlet)
    exchange_headers.refuse_other_terms(here, said, (right.inlet,))
    carry(exchange_headers.shown(right.collection, right.inlet))
    return said


def _carry_out(tx: Tx, here: Visit, right: Right, said: Told, bodies: Sequence[bytes]) -> bytes:
    collection = catalog.lock(tx, right.collection.collection_id)
    now = here.face.now()
    account, inlet = here.principal.account, right.inlet
    if inlet is not None:
        # The body may have taken minutes to arrive; a link that was stopped meanwhile stays closed.
        rights.refuse_closed(tx, inlet, collection, now=now)
        if said.batch is not None:
            before = sessions.incoming(tx, inlet.name)
            if not exchange_headers.place_in_session(before, said.batch, said.epoch):
                return _repeated(tx, before)
        if said.epoch:
            links.note_partner_epoch(tx, inlet.name, said.epoch)
    source = Source("post" if inlet is None else "push", f"account:{account}", inlet, epoch=said.epoch)
    results, arrival = [], None
    if bodies:
        admitted = ingress.admit(tx, here.face.door, collection, bodies, source, arrival_id=None, now=now)
        results, arrival = admitted.results, admitted.arrival_id
    present.outcomes = outcomes = Counter(each.outcome.value for each in results)
    if inlet is not None:
        new = sum(outcomes[each] for each in ("stored", "restated", "quarantined"))
        activity.note(tx, inlet.name, new, now=now)
    status_id = statuses.new_id()
    status = statuses.write(
        tx,
        status_id=status_id,
        account=account,
        collection_id=collection.collection_id,
        results=results if inlet is None else statuses.for_partner(results),
        now=now,
    )
    if inlet is not None and said.batch is not None:
        started, number = said.batch
        sessions.note_incoming(tx, inlet.name, SessionIn(started, said.epoch, number, status_id))
    if inlet is not None and bodies:
        named = history.first_named((each.outcome.value, each.stix_id) for each in results)
        size = sum(map(len, bodies))
        history.enter(tx, history.visit(inlet, "bring", outcomes, named, arrival=arrival, size=size, now=now))
        history.count(tx, inlet.name, outcomes, now=now)
    return status


def _repeated(tx: Tx, before: SessionIn | None) -> bytes:
    status = None if before is None else statuses.repeat(tx, before.status_id)
    if status is None:
        raise RequestRefused(
            "This batch was applied, but its status is no longer kept.",
            remedy="Begin a new session with batch 1 and send the whole feed again.",
            status=409,
            code="status_expired",
        )
    return status
