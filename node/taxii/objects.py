"""Objects of a collection: list, manifest, one object, its versions, and deletion.

Rule: rights first, then the media type, then the query; so a stranger learns nothing. A SOC account
reads the collection through its clearance and audience; a partner reads its feed as the collection,
judged again at this moment. An object that the reader sees in no version does not exist for it.

Reads   through `node.exchange.egress`
Writes  deletions, through `node.exchange.ingress`; read positions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from flask import Blueprint, Response, request

from node.access import gate
from node.exchange import egress, ingress
from node.exchange.egress import Record, Selection, Versions
from node.metrics import present
from node.sharing.links import Link
from node.store import catalog
from node.store.database import Tx
from node.taxii import compression, cursors, exchange_headers, pages, queries, rights
from node.taxii.cache import Key, Sheet
from node.taxii.cursors import Scope
from node.taxii.face import Visit, answer, carry, negotiate, note, query, sight, visit
from node.taxii.protocol import API_ROOT
from node.taxii.queries import Query
from node.taxii.rights import Right

blueprint = Blueprint("objects", __name__)

COLLECTION = f"{API_ROOT}collections/<name>/"
OBJECT = f"{COLLECTION}objects/<object_id>/"

Printed = Callable[[Sequence[Record], str | None], bytes]


@blueprint.get(f"{COLLECTION}objects/")
def get_objects(name: str) -> Response:
    """A page of objects.

    Source:
        TAXII 2.1 section 5.4.
    """
    return _served(name, None, queries.LIST, Versions(), pages.objects, bodies=True)


@blueprint.get(f"{COLLECTION}manifest/")
def get_manifest(name: str) -> Response:
    """The manifest of the page that the same query to the objects gives.

    Source:
        TAXII 2.1 section 5.3.
    """
    return _served(name, None, queries.LIST, Versions(), pages.manifest, bodies=False)


@blueprint.get(OBJECT)
def get_object(name: str, object_id: str) -> Response:
    """One object, the newest version of it unless others are asked for.

    Source:
        TAXII 2.1 section 5.6.
    """
    return _served(name, object_id, queries.ONE, Versions(), pages.objects, bodies=True)


@blueprint.get(f"{OBJECT}versions/")
def get_versions(name: str, object_id: str) -> Response:
    """The versions of one object.

    Source:
        TAXII 2.1 section 5.8.
    """
    return _served(
        name, object_id, queries.VERSIONS, Versions(last=False, every=True), pages.versions, bodies=False
    )


@blueprint.delete(OBJECT)
def delete_object(name: str, object_id: str) -> Response:
    """Delete an object from this collection: all its versions, unless some are named.

    Source:
        TAXII 2.1 section 5.7; it leaves a tombstone here and goes to no partner.
    """
    with visit() as here:
        right = rights.to_delete(here, name)
        negotiate()
        work = removing(here, right, object_id, query(queries.ONE))
    door = here.face.door
    if not door.database.retrying(work):
        raise rights.no_object()
    ingress.afterwards(door, now=here.face.now())
    return answer(b"")


def removing(here: Visit, right: Right, object_id: str, asked: Query) -> Callable[[Tx], int]:
    """What removes an object as its account sees it, in a transaction; it answers with the rows that went."""
    door, reader, account = here.face.door, here.reader, here.principal.account

    def work(tx: Tx) -> int:
        collection = catalog.lock(tx, right.collection.collection_id)
        if not egress.holds(tx, door, collection, object_id, reader=reader):
            return 0
        return ingress.remove(
            tx,
            door,
            collection,
            object_id,
            versions=asked.versions,
            spec_versions=asked.spec_versions,
            actor=f"account:{account}",
            sees=egress.eyes(tx, reader),
            now=here.face.now(),
        )

    return work


def _served(
    name: str,
    object_id: str | None,
    fields: frozenset[str],
    default: Versions,
    printed: Printed,
    *,
    bodies: bool,
) -> Response:
    with visit() as here:
        right = rights.to_read(here, name)
        _greet(here, right)
        negotiate()
        asked = query(fields)
        scope = _scope(here, right, object_id, asked)
        selection = Selection(
            limit=asked.limit,
            after=_position(here, asked, scope),
            ids=(object_id,) if object_id is not None else asked.ids,
            types=asked.types,
            versions=asked.versions or default,
            spec_versions=asked.spec_versions,
        )
        key = _key(here, right, selection, scope, printed)
        sheets = here.face.sheets
        sheet = sheets.find(key, right.collection.last_added) if key is not None else None
        if sheet is None:
            sheet = _sheet(here, right, object_id, selection, scope, printed, bodies=bodies)
            if key is not None:
                sheets.keep(key, sheet)
        if here.environ["REQUEST_METHOD"] != "HEAD":  # who looks at the headers alone has read nothing
            present.objects_out = sheet.entries
            note(here, right.collection, _served_up_to(right, selection, sheet), end=not sheet.more)
        packed = None
        if key is not None and compression.wanted(here.environ.get("HTTP_ACCEPT_ENCODING")):
            packed = sheets.packed(key, sheet)
        if packed is not None:
            return answer(packed, headers={**sheet.dates, "Content-Encoding": compression.CODING})
        return answer(sheet.body, headers=sheet.dates)


def _sheet(
    here: Visit,
    right: Right,
    object_id: str | None,
    selection: Selection,
    scope: Scope,
    printed: Printed,
    *,
    bodies: bool,
) -> Sheet:
    collection = right.collection
    dates, more, print_with = _read(here, right, selection, printed, bodies=bodies)
    if right.feed is None and selection.ids is not None and not more and len(dates) < len(selection.ids):
        newer = gate.read(here.tx, collection.id, here.principal.account)
        if newer.collection is not None and newer.collection.last_added != collection.last_added:
            # What was replaced since the request came in is gone, and what replaced it was not read yet.
            then, as_it_is = replace(here, gate=newer), replace(right, collection=newer.collection)
            dates, more, print_with = _read(then, as_it_is, selection, printed, bodies=bodies)
    if object_id is not None and not dates and not rights.holds(here, right, object_id):
        raise rights.no_object()
    token = cursors.make_next(dates[-1], scope, here.gate.secret) if more and dates else None
    last = dates[-1] if dates else 0
    return Sheet(print_with(token), pages.dates(dates), more, last, len(dates), collection.last_added)


def _read(
    here: Visit, right: Right, selection: Selection, printed: Printed, *, bodies: bool
) -> tuple[list[int], bool, Callable[[str | None], bytes]]:
    """The dates of a page, whether more follow, and what prints it around a `next`."""
    if right.feed is None and bodies:
        rows, more = egress.read_bodies(here.tx, right.collection, sight(here), selection)
        return [added for added, _ in rows], more, partial(pages.bodies, [body for _, body in rows])
    page = _page(here, right, selection, bodies=bodies)
    return [record.added for record in page.records], page.more, partial(printed, page.records)


def _key(here: Visit, right: Right, selection: Selection, scope: Scope, printed: Printed) -> Key | None:
    """Under what a page is remembered; None for partners, for named ids, and while ranks are stale."""
    if right.partner or selection.ids is not None or here.gate.ranking:
        return None
    collection = right.collection
    return Key(
        printed.__name__,
        here.gate.instance,
        collection.epoch,
        collection.collection_id,
        collection.rewritten,
        collection.superseded,
        selection.after,
        selection.limit,
        scope.filters,
        scope.visibility,
        sight(here).flows,
    )


def _greet(here: Visit, right: Right) -> None:
    """Take in what a partner of our own kind says of itself, and say the same of us."""
    if right.feed is None:
        return
    said = exchange_headers.told(request.headers, right.feed)
    exchange_headers.refuse_other_terms(here, said, (right.feed,))
    exchange_headers.note_epoch(here, right.feed, said)
    exchange_headers.note_have(here, right.feed, right.collection, said)
    carry(exchange_headers.shown(right.collection, right.feed))


def _page(here: Visit, right: Right, selection: Selection, *, bodies: bool) -> egress.Page:
    if right.feed is not None:
        handed = bodies and request.method != "HEAD"
        return egress.read_feed(
            here.face.door, right.feed, selection, now=here.now, bodies=bodies, handed=handed
        )
    return egress.read_collection(here.tx, right.collection, sight(here), selection, bodies=bodies)


def _served_up_to(right: Right, selection: Selection, sheet: Sheet) -> int:
    """The date up to which a listing leaves nothing unread; 0 where it says nothing of that."""
    if selection.ids is not None:
        return 0
    if sheet.more or right.feed is not None:
        return sheet.last
    newest = right.collection.last_added
    return newest if (selection.after or 0) <= newest else 0


def _scope(here: Visit, right: Right, object_id: str | None, asked: Query) -> Scope:
    collection = right.collection
    place = collection.id if right.feed is None else f"feed {right.feed.name}"
    return Scope(
        place=place if object_id is None else f"{place} {object_id}",
        epoch=collection.epoch,
        filters=asked.filters,
        visibility=_link_visibility(right.feed) if right.feed is not None else _visibility(here),
    )


def _visibility(here: Visit) -> str:
    return f"{here.principal.clearance} {','.join(sorted(here.principal.audience))}"


def _link_visibility(link: Link) -> str:
    return f"{link.name} {link.policy_digest.hex()}"


def _position(here: Visit, asked: Query, scope: Scope) -> int | None:
    # With `next`, clients drop `added_after` or send it again; the position alone says where to go on.
    if asked.next is None:
        return asked.added_after
    return cursors.read_next(asked.next, scope, here.gate.secret)
