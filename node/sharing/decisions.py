"""Decisions: may this object go out by that link, and may that one come in.

Rule    The first failure in the order of the design is the reason; whatever is not plainly allowed
        is withheld, and so is whatever makes the rules themselves fail. A decision carries the
        sentence and the remedy that an operator reads, so that no second place has to explain it.

The rules see facts, never bodies. They read no clock: `now` is the later of the clock and the
highest `date_added`, as the caller found it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from node.clock import taxii_time
from node.sharing.agreements import type_allowed
from node.sharing.links import Link, Terms
from node.stix.markings import NO_TLP, OFFICIAL, UNKNOWN, stricter, tlp_name


class Reason(StrEnum):
    """Why an object does not cross, in the order in which the rules are asked."""

    NOT_IN_FORCE = "not_in_force"
    NOT_IN_FLOW = "not_in_flow"
    WITHDRAWN = "withdrawn"
    TYPE_NOT_AGREED = "type_not_agreed"
    UNKNOWN_MARKING = "unknown_marking"
    UNMARKED = "unmarked"
    ABOVE_CEILING = "above_ceiling"
    BACK_TO_ORIGIN = "back_to_origin"
    BROUGHT_BY_PARTNER = "brought_by_partner"
    EDITED_HERE = "edited_here"
    ONWARD_NOT_GRANTED = "onward_not_granted"
    WAITS_FOR_REFERENCE = "waits_for_reference"
    ERROR = "error"


class Facts(msgspec.Struct, frozen=True):
    """What the rules know of one stored version.

    Args:
        observable: Whether it is a cyber observable (SCO).
        rank: The row's own marking: a TLP level, NO_TLP or UNKNOWN.
        owner_rank: The same of the newest version of the id ever stored; None for an SCO.
        origin: `local`, or the partner whose link brought it.
        companion: It goes because an object that may go names it: a marking-definition, or the
            identity of an organisation.
        collection: Alias of the collection it stands in; "" when the caller walks the link's own.
        withdrawn: We have withdrawn the object, and this version is not revoked.
        edited: A person here corrected the text that its origin brought; nobody there wrote this one.
    """

    id: str
    type: str
    observable: bool
    rank: int
    owner_rank: int | None
    origin: str
    companion: bool = False
    collection: str = ""
    withdrawn: bool = False
    edited: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """An object that this one refers to.

    Args:
        held: Some version of it is held here, in any collection.
        from_partner: The link's partner brought it, so the partner has it.
        permitted: Its own facts let it go by some flow to that partner (`permitted_by_any`).
    """

    id: str
    held: bool
    from_partner: bool
    permitted: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of the rules.

    Args:
        reason: None when allowed.
        detail: One sentence: what kept it back; "" when allowed.
        remedy: One sentence: the key, the command or the person that changes it; "" when allowed.
        waits_for: The id of the reference that it waits for, with `Reason.WAITS_FOR_REFERENCE`.
    """

    allowed: bool
    reason: Reason | None
    detail: str
    remedy: str
    waits_for: str | None = None


ALLOWED = Decision(True, None, "", "")


def decide_content(facts: Facts, terms: Terms) -> Decision:
    """Whether an object's own facts let it go by a flow: type, marking, ceiling.

    The answer holds as long as the facts and the terms do, so it may be remembered; nothing else
    of a decision may.
    """
    return _type(facts, terms) or _marking(facts, terms) or ALLOWED


def permitted_by_any(facts: Facts, flows: Iterable[Terms]) -> bool:
    """Whether an object's own facts let it go by at least one of the flows to a partner."""
    return any(decide_content(facts, terms).allowed for terms in flows)


def decide_egress(
    facts: Facts,
    link: Link,
    *,
    now: int,
    brought_by: Collection[str],
    brought_in_present_epoch: bool,
    entering: bool,
    ends: Sequence[End],
    onward_granted: Callable[[str], bool],
) -> Decision:
    """Whether an object may go out by a link.

    Args:
        now: The later of the clock and the highest `date_added`, in microseconds.
        brought_by: Partners that ever brought this key and digest.
        brought_in_present_epoch: The link's own partner is one of them, in its present epoch.
        entering: The object enters the feed now; False when a row of the feed is judged again.
        ends: The objects that it refers to.
        onward_granted: partner -> whether its terms let us pass this object to the link's partner.

    Returns:
        The decision; never an exception.
    """
    try:
        return (
            _in_force(link.terms, now)
            or _in_flow(facts, link, "out")
            or _withdrawn(facts)
            or _type(facts, link.terms)
            or _marking(facts, link.terms)
            or _origin(facts, link, entering and brought_in_present_epoch)
            or _edited(facts)
            or _onward(facts, link, brought_by, onward_granted)
            or _references(link, ends)
            or ALLOWED
        )
    except Exception as cause:  # noqa: BLE001 - a fault in a rule must keep the object here, not let it go
        detail = f"The rules failed with {type(cause).__name__}: {str(cause)[:200]}."
        return _no(
            Reason.ERROR,
            detail,
            "Report this as a fault of stixnode; the object stays here until it is mended.",
        )


def decide_ingress(facts: Facts, link: Link, *, now: int) -> Decision:
    """Whether an arriving object may be stored; what is not allowed goes to the quarantine.

    What has no TLP or an unknown marking comes in: the sender judged it, and the clearance of our
    own readers guards it.

    Args:
        facts: `companion` says that it is the identity of an organisation; marking-definitions need
            no word. Their types need not be agreed.
        now: Microseconds.
    """
    return (
        _in_force(link.terms, now)
        or _in_flow(facts, link, "in")
        or (None if facts.type == "marking-definition" else _type(facts, link.terms))
        or _arriving_ceiling(facts, link)
        or ALLOWED
    )


def _no(reason: Reason, detail: str, remedy: str, waits_for: str | None = None) -> Decision:
    return Decision(False, reason, detail, remedy, waits_for)


def _in_force(terms: Terms, now: int) -> Decision | None:
    if now < terms.starts:
        return _no(
            Reason.NOT_IN_FORCE,
            f"{terms.agreement} starts at {taxii_time(terms.starts)}.",
            f"Wait until {terms.agreement} starts; nothing has to be done.",
        )
    if now >= terms.ends:
        return _no(
            Reason.NOT_IN_FORCE,
            f"{terms.agreement} ended at {taxii_time(terms.ends)}.",
            f"Agree on a revision of {terms.agreement} that ends later; both centres install the same file.",
        )
    return None


def _in_flow(facts: Facts, link: Link, direction: str) -> Decision | None:
    if link.direction != direction:
        detail = f"{link.name} does not lead {direction}."
        return _no(
            Reason.NOT_IN_FLOW, detail, f"Name a link that leads {direction}; `stixnode status` lists them."
        )
    if facts.collection not in ("", link.collection):
        return _no(
            Reason.NOT_IN_FLOW,
            f"It is in {facts.collection}, and {link.name} carries {link.collection}.",
            f"Import it into {link.collection}, or agree on a flow for {facts.collection}.",
        )
    return None


def _withdrawn(facts: Facts) -> Decision | None:
    if not facts.withdrawn:
        return None
    return _no(
        Reason.WITHDRAWN,
        "The object was withdrawn, and this version does not say so.",
        "Nothing has to be done: the version that is revoked goes in its place.",
    )


def _type(facts: Facts, terms: Terms) -> Decision | None:
    if facts.companion or type_allowed(terms.types, facts.type, facts.observable):
        return None
    if facts.type == "marking-definition":
        return _no(
            Reason.TYPE_NOT_AGREED,
            f"A marking-definition goes along with what names it, and by itself not by {_flow(terms)}.",
            "Nothing has to be done: it goes with the next object that names it, unless the partner has it.",
        )
    return _no(
        Reason.TYPE_NOT_AGREED,
        f"The type {facts.type} is not among the types of {_flow(terms)}.",
        f"Agree on it and add {facts.type} to types of {_flow(terms)}.",
    )


def _marking(facts: Facts, terms: Terms) -> Decision | None:
    own = [facts.rank] if facts.owner_rank is None else [facts.rank, facts.owner_rank]
    # Anything that is not on the ladder is as bad as UNKNOWN, which this version defines as 5.
    if any(not NO_TLP <= rank < UNKNOWN for rank in own):
        return _no(
            Reason.UNKNOWN_MARKING,
            "It carries a marking that this node cannot judge: not held, altered, or made to look like TLP.",
            "Import the marking-definition, or let its author mark it with TLP in a new version.",
        )
    level = NO_TLP
    for rank in own:
        if rank == NO_TLP and facts.companion:
            continue
        if rank == NO_TLP and terms.unmarked is None:
            return _no(
                Reason.UNMARKED,
                f"It carries no TLP, and {_flow(terms)} withholds what is unmarked.",
                f"Mark it with TLP in a new version, or agree on a level for unmarked in {_flow(terms)}.",
            )
        counted = terms.unmarked if rank == NO_TLP and terms.unmarked is not None else rank
        level = stricter(level, counted)
    return _ceiling(level, terms, out=True) if level > terms.max_tlp else None


def _ceiling(level: int, terms: Terms, *, out: bool) -> Decision:
    detail = f"It is {tlp_name(level)}, and {_flow(terms)} goes up to {tlp_name(terms.max_tlp)}."
    if not out:
        remedy = (
            f"Ask the partner why it came; `stixnode quarantine show` lists it, {_flow(terms)} may be raised."
        )
    else:
        remedy = (
            f"Raise max_tlp of {_flow(terms)} (and stricter.max_tlp_out here, if it is lower), "
            "or lower the marking with a new version."
        )
    return _no(Reason.ABOVE_CEILING, detail, remedy)


def _origin(facts: Facts, link: Link, just_brought: bool) -> Decision | None:
    partner = link.partner
    if facts.origin == partner:
        detail = f"It came from {partner}."
        return _no(Reason.BACK_TO_ORIGIN, detail, f"Nothing has to be done; {partner} has it.")
    if just_brought:
        detail = f"{partner} itself brought this version."
        return _no(Reason.BROUGHT_BY_PARTNER, detail, f"Nothing has to be done; {partner} has it.")
    return None


def _edited(facts: Facts) -> Decision | None:
    if not facts.edited:
        return None
    return _no(
        Reason.EDITED_HERE,
        f"A person here corrected what {facts.origin} sent; only {facts.origin}'s own text may go on.",
        f"Ask {facts.origin} to send a corrected version.",
    )


def _onward(
    facts: Facts, link: Link, brought_by: Collection[str], granted: Callable[[str], bool]
) -> Decision | None:
    if facts.id in OFFICIAL:
        # The nine TLP definitions are the standard's own text, whoever brought a copy.
        return None
    for bringer in sorted({facts.origin, *brought_by} - {"local", link.partner}):
        # `is not True`: an answer that is merely truthy is not a grant.
        if granted(bringer) is not True:
            return _no(
                Reason.ONWARD_NOT_GRANTED,
                f"{bringer} brought it, and its terms do not let us pass it on to {link.partner}.",
                f"Ask {bringer} to agree on {link.partner} in onward of the flow that brought it.",
            )
    return None


def _references(link: Link, ends: Sequence[End]) -> Decision | None:
    for end in ends:
        if end.held and not end.from_partner and not end.permitted:
            return _no(
                Reason.WAITS_FOR_REFERENCE,
                f"It refers to {end.id}, which no flow to {link.partner} may carry.",
                f"Run `stixnode explain {end.id} {link.name}` and clear what keeps that object back.",
                waits_for=end.id,
            )
    return None


def _arriving_ceiling(facts: Facts, link: Link) -> Decision | None:
    above = link.terms.max_tlp < facts.rank < UNKNOWN
    return _ceiling(facts.rank, link.terms, out=False) if above else None


def _flow(terms: Terms) -> str:
    return f"flow {terms.flow} in {terms.agreement}"
