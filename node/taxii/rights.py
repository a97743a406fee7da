"""Which collections an account may see, read and write.

Rule: a collection that an account may neither read nor write does not exist for it, unless it is
listed; the answer is the one for a name that nobody ever gave. A SOC account has its grants, a
partner's account has exactly the links of that partner: it reads through an out-link that it is to
fetch, and writes through an in-link that it is to push. What closes a link (paused, not in force,
clock in doubt) is asked at each request and answered with its reason.

Reads   grants, collections and link states; writes nothing
"""

from __future__ import annotations

from dataclasses import dataclass

from node.access import accounts, gate
from node.exchange import egress
from node.sharing.links import Link
from node.store import catalog
from node.store.catalog import Collection
from node.store.database import Tx
from node.taxii.face import Visit, sight
from node.taxii.protocol import RequestRefused


@dataclass(frozen=True, slots=True)
class Right:
    """What one account may do with one collection.

    Args:
        can_read, can_write: As TAXII shows them, for this account.
        partner: The account is a partner's.
        feed: The out-link that a partner reads as the collection.
        inlet: The in-link by which a partner's objects enter.
        links: All links of a partner on this collection, whoever carries them.
    """

    collection: Collection
    can_read: bool
    can_write: bool
    partner: bool = False
    feed: Link | None = None
    inlet: Link | None = None
    links: tuple[Link, ...] = ()


def visible(visit: Visit) -> list[Right]:
    """What the account may do with each collection it can see, by the collection's id.

    Source:
        TAXII 2.1 sections 5.1 and 5.2.1.
    """
    grants = {} if visit.principal.partner else accounts.grants(visit.tx, visit.principal.account)
    found: list[Right] = []
    for collection in sorted(catalog.collections(visit.tx), key=lambda one: one.id):
        held = grants.get(collection.collection_id)
        right = _right(visit, collection, held)
        if right is not None:
            found.append(right)
    return found


def find(visit: Visit, name: str) -> Right:
    """What the account may do with the collection of this id or alias.

    Raises:
        RequestRefused: 404: there is none, or it is hidden from this account.
    """
    here = visit.gate if name == visit.name else gate.read(visit.tx, name, visit.principal.account)
    if here.collection is not None:
        right = _right(visit, here.collection, here.grant)
        if right is not None:
            return right
    raise no_collection()


def to_read(visit: Visit, name: str) -> Right:
    """The right to read a collection.

    Raises:
        RequestRefused: 404 (none, or hidden), 403 (may not read, or the link is closed).
    """
    right = find(visit, name)
    if not right.can_read:
        raise _forbidden("read", right)
    if right.feed is not None:
        refuse_closed(visit.tx, right.feed, right.collection, now=visit.now)
    return right


def to_write(visit: Visit, name: str) -> Right:
    """The right to post to a collection.

    Raises:
        RequestRefused: 404 (none, or hidden), 403 (may not write, or the link is closed).
    """
    right = find(visit, name)
    if not right.can_write:
        raise _forbidden("write", right)
    if right.inlet is not None:
        refuse_closed(visit.tx, right.inlet, right.collection, now=visit.now)
    return right


def to_delete(visit: Visit, name: str) -> Right:
    """The right to delete from a collection: reading and writing both, and never a partner's.

    Raises:
        RequestRefused: 404 (neither right), 403 (one of the two, or a partner).

    Source:
        TAXII 2.1 section 5.7.
    """
    right = find(visit, name)
    if right.partner:
        raise RequestRefused(
            "A partner deletes nothing here.",
            remedy="Send a new version with revoked set to true; the collection's owner decides on the rest.",
            status=403,
        )
    if not right.can_read and not right.can_write:
        raise no_collection()
    if not (right.can_read and right.can_write):
        raise RequestRefused(
            "Deleting needs the right to read and to write this collection.",
            remedy="Ask the operator of this server for both.",
            status=403,
        )
    return right


def refuse_closed(tx: Tx, link: Link, collection: Collection, *, now: int) -> None:
    """Refuse what would cross a link that is not open at this moment.

    Raises:
        RequestRefused: 403, with the reason.
    """
    reason = egress.closed_reason(tx, link, collection, now=now)
    if reason is not None:
        raise RequestRefused(
            reason,
            remedy="Nothing crosses until then. Ask the duty desk of the other centre.",
            status=403,
            code="link_closed",
        )


def holds(visit: Visit, right: Right, object_id: str) -> bool:
    """Whether the account may see any version of an id here."""
    reader, link = (None, right.feed) if right.feed is not None else (sight(visit), None)
    return egress.holds(visit.tx, visit.face.door, right.collection, object_id, reader=reader, link=link)


def no_collection() -> RequestRefused:
    """The one answer for every collection that an account does not see."""
    return RequestRefused(
        "There is no such collection for this account.",
        remedy="List the collections of this API root, or ask its operator for access.",
        status=404,
    )


def no_object() -> RequestRefused:
    """404: no version of it that this account sees."""
    return RequestRefused(
        "There is no such object in this collection for this account.",
        remedy="Look for it with match[id] in the manifest, or in another collection.",
        status=404,
    )


def _right(visit: Visit, collection: Collection, grant: accounts.Grant | None) -> Right | None:
    partner = visit.principal.partner
    if partner:
        held = [one for one in visit.face.door.partner_links(partner) if one.collection == collection.alias]
        if not held:
            return None
        feed = next((one for one in held if one.direction == "out" and one.carrier == "them"), None)
        inlet = next((one for one in held if one.direction == "in" and one.carrier == "them"), None)
        return Right(collection, feed is not None, inlet is not None, True, feed, inlet, tuple(held))
    can_read, can_write = (False, False) if grant is None else (grant.can_read, grant.can_write)
    if not (can_read or can_write or collection.listed):
        return None
    return Right(collection, can_read, can_write)


def _forbidden(act: str, right: Right) -> RequestRefused:
    whom = "the agreement gives no such flow" if right.partner else "its operator has not allowed it"
    return RequestRefused(
        f"This account may not {act} this collection: {whom}.",
        remedy="Ask the operator of this server, naming the account and the collection.",
        status=403,
    )
