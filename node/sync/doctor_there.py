"""What only the other side can tell: whether it reaches us, and what would become of an object of ours.

Rule    Of our own kind both are asked by name, and leave nothing behind: it makes one request to the address
        that its own configuration has for us, and judges one made-up object in a transaction that it undoes.
        Other software can only be given a real object; that must be asked for, and it is taken away again as
        far as the server lets us.

Reads and writes nothing here; asks the partner.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from node.clock import taxii_time
from node.errors import PartnerError, PartnerRefused
from node.sharing.flows import type_allowed
from node.sharing.links import Link
from node.sync.answers import read_resource, read_status
from node.sync.doctor_findings import Finding, failed, ok, skipped, waits, warned
from node.sync.doctor_talk import Talk, trouble
from node.sync.refusals import AskedToWait, printable

REACH, TRIAL = "/exchange/reach/", "/exchange/trial/"
POLLS, POLL_SECONDS = 5, 1.0
_CLEAR = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"  # TLP:WHITE, which every server knows
_SPACE = uuid.UUID("4c7a1e7e-5e0f-4f0b-9a53-0c1c3f6f2b61")

# What an object of each type needs beside the common properties; the most harmless types come first.
_FORMS: Mapping[str, Mapping[str, object]] = {
    "identity": {"identity_class": "system"},
    "course-of-action": {},
    "tool": {},
    "attack-pattern": {},
    "campaign": {},
    "vulnerability": {},
    "infrastructure": {},
    "intrusion-set": {},
    "threat-actor": {},
    "malware": {"is_family": False},
    "indicator": {"pattern": "[ipv4-addr:value = '192.0.2.1']", "pattern_type": "stix"},
}


@dataclass(frozen=True, slots=True)
class Canary:
    """An object that means nothing.

    Args:
        id: Its id.
        body: Its bytes.
    """

    id: str
    body: bytes


def make_canary(link: Link, *, author: str, us: str, now: int, unique: str = "") -> Canary | None:
    """A made-up object that the terms of a link let cross; None if they name no type that we can make up.

    It is revoked, so that nobody's tools act on it.

    Args:
        link: The outgoing link.
        author: The identity that speaks for us.
        us: Our name.
        now: Microseconds.
        unique: Makes its id another one each time; "" for one that is the same for a link.
    """
    kind = next((one for one in _FORMS if type_allowed(link.terms.types, one, observable=False)), None)
    if kind is None:
        return None
    moment = f"{taxii_time(now)[:23]}Z"
    one: dict[str, object] = {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid.uuid5(_SPACE, f'{us} {link.name} {unique}')}",
        "created_by_ref": author,
        "created": moment,
        "modified": moment,
        "revoked": True,
        "name": f"A test by stixnode doctor of {us}; it means nothing",
        **_FORMS[kind],
        "object_marking_refs": [_CLEAR],
    }
    if kind == "indicator":
        one["valid_from"] = moment
    return Canary(str(one["id"]), msgspec.json.encode(one))


def ask_whether_they_reach_us(talk: Talk, *, our_url: str) -> Iterator[Finding]:
    """Let a partner of our own kind try the address that it has for us.

    Args:
        talk: With the partner.
        our_url: How others reach us, without a slash at the end.
    """
    what = "they reach us"
    if not talk.own_kind:
        yield skipped(what, "only a stixnode can be asked to try; see when they last came, above")
        return
    try:
        said = read_resource(talk.name, talk.ask("POST", f"{talk.origin}{REACH}", body=b"{}"))
    except AskedToWait as cause:
        wait = cause.retry_after_seconds or 10
        yield waits(what, f"{talk.name} tries it only now and then", f"Run it again in {wait:.0f} s.")
        return
    except PartnerRefused as cause:
        if cause.http_status == 404:
            yield skipped(
                what, f"{talk.name} cannot be asked to try: an older stixnode, or no partner's account"
            )
        else:
            yield trouble(talk, what, cause)
        return
    except PartnerError as cause:
        yield trouble(talk, what, cause)
        return
    yield from _reached(talk, what, said, our_url)


def try_canary(talk: Talk, link: Link, canary: Canary | None) -> Iterator[Finding]:
    """Ask a partner of our own kind what would become of an object that we push by a link."""
    what = f"canary {link.flow}/{link.direction}"
    if canary is None:
        yield skipped(what, f"we cannot make up an object of the types {', '.join(link.terms.types)}")
        return
    try:
        answer = talk.ask(
            "POST", f"{talk.origin}{TRIAL}{talk.remotes[link.name]}/", link=link, body=_envelope(canary)
        )
        status = read_status(read_resource(talk.name, answer), answer.headers)
    except PartnerRefused as cause:
        if cause.http_status == 404:
            yield skipped(
                what, f"{talk.name} judges nothing for us: an older stixnode, or no partner's account"
            )
        else:
            yield trouble(talk, what, cause)
        return
    except PartnerError as cause:
        yield trouble(talk, what, cause)
        return
    if any(word.stix_id == canary.id for word in status.successes):
        yield ok(what, "a made-up object would have been stored; it was judged and undone")
        return
    said = next((word.message for word in status.failures if word.stix_id == canary.id), "")
    fix = f"Ask {talk.name} why; our objects would meet the same (there: stixnode quarantine list)."
    yield failed(what, f"a made-up object would not have been stored: {said or 'without a reason'}", fix)


def leave_canary(
    talk: Talk, link: Link, canary: Canary | None, *, pause: Callable[[float], object]
) -> Iterator[Finding]:
    """Post an object to other software, read it back by its id and in the manifest, and delete it.

    Args:
        talk: With the partner.
        link: By which we push to it.
        canary: With an id of its own.
        pause: Waits some seconds.
    """
    what = f"canary {link.flow}/{link.direction}"
    if canary is None:
        yield skipped(what, f"we cannot make up an object of the types {', '.join(link.terms.types)}")
        return
    try:
        said = _posted(talk, link, canary, pause)
    except PartnerError as cause:
        # Without an answer nobody knows whether it is there.
        yield replace(trouble(talk, what, cause), left=canary.id)
        return
    fault = _not_taken(said, canary)
    if fault:
        fix = f"Ask {talk.name} what its server does not like about it."
        yield failed(what, f"{canary.id} was not taken: {fault}", fix)
        return
    place = f"{talk.place(link)}objects/{canary.id}/"
    yield replace(_kept(talk, link, canary, what, place), left=canary.id)
    yield _deleted(talk, place, canary, what)


def _kept(talk: Talk, link: Link, canary: Canary, what: str, place: str) -> Finding:
    """Whether what the partner says is stored shows there."""
    by_id, by_manifest = _is_there(talk, place), _is_listed(talk, link, canary)
    fix = f"Ask {talk.name}: what it says is stored does not show. We look into the manifest to confirm."
    if by_id is False and by_manifest is not True:
        return failed(what, f"it says that {canary.id} is stored, and does not give it back", fix)
    if by_id is None and by_manifest is None:
        return warned(what, f"it took {canary.id}; whether it is there we may not see", fix)
    ways = [name for name, seen in (("by its id", by_id), ("in the manifest", by_manifest)) if seen]
    return ok(what, f"{canary.id} was taken, and is there {' and '.join(ways)}")


def _reached(talk: Talk, what: str, said: Mapping[str, Any], our_url: str) -> Iterator[Finding]:
    theirs = printable(str(said.get("api_root") or ""), 200)
    if not theirs:
        yield skipped(what, f"{talk.name} has no address of ours: it carries nothing with us")
        return
    ours = f"{our_url}/api/"
    if said.get("reached") is not True:
        problem = printable(str(said.get("problem") or "no reason was told"), 400)
        fix = f"Is that our address ({ours}), and open to them? Here: stixnode doctor. Then call {talk.name}."
        if said.get("status") in (401, 403):
            fix = f"Here: stixnode token rotate --account NAME, and hand it to {talk.name}."
        yield failed(what, f"{talk.name} does not reach us at {theirs}: {problem}", fix)
        return
    seconds = said.get("seconds")
    took = f" in {seconds:.1f} s" if isinstance(seconds, (int, float)) else ""
    if theirs.rstrip("/") != ours.rstrip("/"):
        text = f"at {theirs}{took}, which is not our public_url ({our_url})"
        yield warned(what, text, "Set public_url in [node] to what others use, or tell them our address.")
        return
    number = said.get("collections")
    if number == 0:
        text = f"at {theirs}{took}, but its account sees no collection here"
        fix = f"Here: stixnode account list. Its account must be one of --partner {talk.name}."
        yield failed(what, text, fix)
        return
    yield ok(what, f"at {theirs}{took}; its account is let in and sees {number} of our collections")


def _posted(talk: Talk, link: Link, canary: Canary, pause: Callable[[float], object]) -> Mapping[str, Any]:
    said = read_resource(talk.name, talk.ask("POST", f"{talk.place(link)}objects/", body=_envelope(canary)))
    for _ in range(POLLS):
        name = said.get("id")
        if said.get("status") != "pending" or not isinstance(name, str) or "/" in name:
            break
        pause(POLL_SECONDS)
        said = talk.resource(f"{talk.api_root}status/{name}/")
    return said


def _not_taken(said: Mapping[str, Any], canary: Canary) -> str:
    status = read_status(said, {})
    for word in status.failures:
        if word.stix_id == canary.id:
            return word.message or "no reason was told"
    if not status.successes and status.failure_count:
        return "no reason was told"
    return ""


def _is_there(talk: Talk, place: str) -> bool | None:
    """Whether an object is given back; None if we may not ask."""
    try:
        return bool(talk.resource(place).get("objects"))
    except PartnerRefused as cause:
        return False if cause.http_status == 404 else None
    except PartnerError:
        return None


def _is_listed(talk: Talk, link: Link, canary: Canary) -> bool | None:
    try:
        params = {"match[id]": canary.id}
        answer = talk.ask("GET", f"{talk.place(link)}manifest/", params=params)
        return canary.id.encode() in answer.body
    except PartnerError:
        return None


def _deleted(talk: Talk, place: str, canary: Canary, what: str) -> Finding:
    try:
        talk.ask("DELETE", place)
    except PartnerError:
        gone: bool | None = False
    else:
        gone = _is_there(talk, place) is not True
    if gone:
        return ok(what, "it is deleted there again")
    fix = f"Tell {talk.name} that {canary.id} is a test; it is revoked, and may be deleted."
    return warned(what, f"{canary.id} stays there: it lets us delete nothing", fix)


def _envelope(canary: Canary) -> bytes:
    return b'{"objects":[' + canary.body + b"]}"
