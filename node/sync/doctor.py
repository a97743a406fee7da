"""The doctor: looks at everything between us and a partner, and says of each thing how to mend it.

Rule    In order of need: what a failure makes meaningless is not looked at, and that is said. Nothing is
        changed on either side; no object leaves but a made-up one, which other software gets only when it
        was asked for. It ends by itself, in three minutes at most, whatever the partner does.

Order   way (name, connection, TLS), HTTP, credential, clock, API root; collections, terms, paging; whether
        they reach us, canary; and at all times what our own books say of their visits.

Reads   what `doctor_line.py` and `doctor_talk.py` read; asks the partner. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from requests.adapters import BaseAdapter

from node.sharing.links import Link, PartnerBinding
from node.sync.doctor_findings import Finding, broken, failed, ok, skipped, waits, warned
from node.sync.doctor_line import Place, look_at_line
from node.sync.doctor_paging import look_at_paging
from node.sync.doctor_talk import Talk
from node.sync.doctor_taxii import look_at_collection, look_at_discovery, look_at_root, look_at_terms
from node.sync.doctor_there import ask_whether_they_reach_us, leave_canary, make_canary, try_canary
from node.sync.health import State
from node.sync.standing import LinkStanding

_LATE = "this took so long that nothing more is asked"


@dataclass(frozen=True, slots=True)
class Case:
    """One partner, with all that the look needs to know of us.

    Args:
        partner: Where it is.
        standings: Its links, as our books have them.
        remotes: Name of a link -> the partner's id of its collection.
        us: Our name.
        author: An identity that speaks for us; "" without one.
        our_url: How others reach us, without a slash at the end.
        largest: Bytes of the largest object that we could send.
        now: Microseconds.
        unique: Makes the canary of other software another one each time.
        pause: Waits some seconds.
        transport: Stands in for the network in tests; then there is no way to look at.
    """

    partner: PartnerBinding
    standings: Sequence[LinkStanding]
    remotes: Mapping[str, str]
    us: str
    author: str
    our_url: str
    largest: int
    now: Callable[[], int]
    unique: str = ""
    pause: Callable[[float], object] = field(default=lambda _: None)
    transport: BaseAdapter | None = None

    @property
    def links(self) -> list[Link]:
        """Its links."""
        return [one.link for one in self.standings]


def examine(case: Case, *, canary: bool = False) -> Iterator[Finding]:
    """What is found between us and a partner, one thing after the other.

    Args:
        case: The partner.
        canary: Also leave an object with other software, where we push to it.
    """
    yield from _agreed(case)
    yield from look_at_books(case.standings, "What fails below says what to do; it is tried again by itself.")
    if case.partner.api_root is None:
        yield skipped(
            "the way there", f"[partner.{case.partner.name}] has no api_root: they carry everything"
        )
        return
    way = []
    for found in _way(case):
        way.append(found)
        yield found
    if broken(way):
        yield skipped(
            "the rest", "credential, clock, rights, terms, paging, canary: the way there comes first"
        )
        return
    talk = Talk(case.partner, case.now, case.remotes, case.transport)
    try:
        yield from _asked(case, talk, canary=canary)
    finally:
        talk.close()


def look_at_books(standings: Sequence[LinkStanding], lasting: str = "") -> Iterator[Finding]:
    """What our own books say of each link: when it was last carried, and when they last came.

    Args:
        standings: Of the links.
        lasting: The fix of a failure that further attempts may mend; else the doctor for that partner.
    """
    for each in standings:
        link, health = each.link, each.health
        what = f"books {link.flow}/{link.direction}"
        whose = "carried by us" if link.carrier == "us" else "carried by them"
        text = f"{whose}; {health.text}{f': {health.detail}' if health.detail else ''}"
        if health.state in (State.OK, State.IDLE):
            yield ok(what, text)
        elif health.state is State.PAUSED:
            yield waits(
                what, text, health.command or f"stixnode resume {link.partner}, when it should be open"
            )
        elif health.state is State.SILENT:
            yield warned(what, text, health.command)
        else:
            yield failed(what, text, health.command or lasting or f"stixnode doctor {link.partner}", "person")


def _agreed(case: Case) -> Iterator[Finding]:
    if not case.partner.agreements:
        yield waits("agreement", f"none with {case.partner.name} yet: nothing crosses")


def _way(case: Case) -> Iterator[Finding]:
    one = case.partner
    if case.transport is not None:
        return
    shown = None
    if one.tls_certificate is not None and one.tls_private_key is not None:
        shown = (one.tls_certificate, one.tls_private_key)
    table = f"[partner.{one.name}]"
    yield from look_at_line(
        Place(one.api_root or "", one.name, table, tls_ca=one.tls_ca, shown=shown), now=case.now()
    )


def _asked(case: Case, talk: Talk, *, canary: bool) -> Iterator[Finding]:
    root = []
    for found in look_at_root(talk, largest=case.largest):
        root.append(found)
        yield found
    # A clock that is wrong hinders no request.
    needed = next((each.what for each in root if each.mark in ("FAIL", "wait") and each.what != "clock"), "")
    if needed:
        yield skipped(
            "the rest", f"rights, terms, paging, reaching us, canary: they need this first: {needed}"
        )
        return
    yield from look_at_discovery(talk)
    usable: set[str] = set()
    ours = [link for link in case.links if link.carrier == "us"]
    for link in ours:
        if talk.late():
            yield skipped(f"rights {link.flow}/{link.direction}", _LATE)
            continue
        yield from look_at_collection(talk, link, usable)
    differ: set[str] = set()
    for found in look_at_terms(talk, case.links):
        if found.mark == "FAIL":
            differ.add(found.what)
        yield found
    for link in sorted(ours, key=lambda one: one.direction):
        if f"terms {link.terms.agreement}" in differ:
            yield skipped(
                f"{_act(link)} {link.flow}/{link.direction}", "it needs the same terms at both nodes"
            )
        else:
            yield from _carried(case, talk, link, usable, canary=canary)
    yield from ask_whether_they_reach_us(talk, our_url=case.our_url)


def _carried(case: Case, talk: Talk, link: Link, usable: set[str], *, canary: bool) -> Iterator[Finding]:
    """Paging of what we fetch, the canary of what we bring."""
    what = f"{_act(link)} {link.flow}/{link.direction}"
    if link.name not in usable:
        yield skipped(what, "the collection cannot be used")
    elif talk.late():
        yield skipped(what, _LATE)
    elif link.direction == "in":
        yield from look_at_paging(talk, link)
    elif not case.author:
        yield skipped(what, "no identity speaks for us; see speaks_for in the agreement")
    elif talk.own_kind:
        yield from try_canary(talk, link, make_canary(link, author=case.author, us=case.us, now=case.now()))
    elif not canary:
        text = "other software cannot judge without storing; --canary leaves an object there, then deletes it"
        yield skipped(what, text)
    elif _closed(case, link):
        yield skipped(what, "the link is not open here, so nothing is sent by it")
    else:
        made = make_canary(link, author=case.author, us=case.us, now=case.now(), unique=case.unique)
        yield from leave_canary(talk, link, made, pause=case.pause)


def _act(link: Link) -> str:
    return "paging" if link.direction == "in" else "canary"


def _closed(case: Case, link: Link) -> bool:
    state = next(one.health.state for one in case.standings if one.link is link)
    return state in (State.PAUSED, State.ENDED)
