"""What a partner's server says of itself and of us: HTTP, credential, clock, API root, collections, terms.

Rule    A status is told apart by what it takes to mend it: 401 another credential, 403 a right, 404 an
        address, 5xx and 429 time. What works without a thing is a warning, not a failure.

Reads and writes nothing here; asks the partner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from node.errors import ConfigError, PartnerError, PartnerRefused, PartnerUnreachable
from node.sharing.agreements import digest_words
from node.sharing.links import Link
from node.sync.answers import read_collection, read_resource
from node.sync.doctor_findings import Finding, failed, ok, skipped, waits, warned
from node.sync.doctor_talk import Talk, differing, refused_credential, seconds_ahead, trouble
from node.sync.own_kind import EPOCH, TERMS
from node.sync.refusals import AskedToWait, printable

SMALL_SECONDS, LARGE_SECONDS = 30, 600
_TAXII = "application/taxii+json;version=2.1"
_MOST_NAMED = 8


def look_at_root(talk: Talk, *, largest: int) -> Iterator[Finding]:
    """HTTP, credential, clock and API root; a failure among them ends the look.

    Args:
        talk: With the partner.
        largest: Bytes of the largest object that we could send.
    """
    try:
        answer = talk.ask("GET", talk.api_root)
    except ConfigError as cause:
        yield failed("credential", cause.problem, cause.remedy, "credential")
        return
    except PartnerError as cause:
        yield from _no_root(talk, cause)
        return
    written = printable(answer.headers.get("Content-Type", ""), 60)
    if "json" not in written.lower():
        kind = "an HTML page" if "html" in written.lower() else f"the type {written!r}"
        yield failed(
            "HTTP",
            f"{answer.status} with {kind}: a login page, a proxy, or no API root",
            f"Ask {talk.name} for the address of its TAXII 2.1 API root, and what stands in front of it.",
        )
        return
    yield ok("HTTP", f"{answer.status} from {talk.api_root}{_between(answer.headers)}")
    yield ok("credential", _who(talk))
    yield _clock(talk, answer.headers)
    try:
        yield from _root(talk, read_resource(talk.name, answer), written, largest)
    except PartnerError as cause:
        yield trouble(talk, "API root", cause)


def look_at_discovery(talk: Talk) -> Iterator[Finding]:
    """Whether the discovery resource names the API root that we use."""
    roots = _discovered(talk)
    if roots is None:
        yield skipped("discovery", f"{talk.origin}/taxii2/ says nothing; we do not need it")
    elif talk.api_root.rstrip("/") not in (each.rstrip("/") for each in roots):
        text = f"it names {', '.join(roots[:_MOST_NAMED]) or 'no API root'}, not the one that we use"
        yield warned("discovery", text, f"Ask {talk.name} which API root is ours.")
    else:
        yield ok("discovery", f"{talk.origin}/taxii2/ names our API root")


def look_at_collection(talk: Talk, link: Link, readable: set[str]) -> Iterator[Finding]:
    """Whether a link's collection is there, with the right that the link needs.

    Args:
        talk: With the partner.
        link: One that we carry.
        readable: Gets the link's name when its collection can be read, or written, as it needs.
    """
    what = f"rights {link.flow}/{link.direction}"
    try:
        answer = talk.ask("GET", talk.place(link))  # its rights do not depend on the terms
        resource = read_resource(talk.name, answer)
    except PartnerError as cause:
        yield _no_collection(talk, link, what, cause)
        return
    flags = read_collection(resource, answer.headers)
    act, right = ("read", flags.can_read) if link.direction == "in" else ("write", flags.can_write)
    if not right:
        text = f"the collection is there, and we may not {act} it (can_{act} is false)"
        fix = f"Ask {talk.name} for the right to {act} {talk.remotes[link.name]}"
        yield failed(what, text, f"{fix}, or compare carry in both copies of {link.terms.agreement}.")
        return
    if talk.own_kind and not flags.epoch:
        text = f"it answers without {EPOCH}, so it does not speak as a stixnode to this account"
        fix = f'Write kind = "taxii" in [partner.{talk.name}], or ask {talk.name} whether our account is a'
        yield failed(what, text, f"{fix} partner's (there: stixnode account list).")
        return
    readable.add(link.name)
    types = resource.get("media_types")
    stix = [str(one) for one in types if "2.1" in str(one)] if isinstance(types, list) else None
    if types and not stix:
        text = f"we may {act} it, and its media types have no STIX 2.1: {printable(str(types), 120)}"
        yield warned(what, text, f"Ask {talk.name} whether it takes STIX 2.1.")
    else:
        yield ok(what, f"we may {act} {flags.title or talk.remotes[link.name]!r}")


def look_at_terms(talk: Talk, links: Sequence[Link]) -> Iterator[Finding]:
    """Whether both nodes go by the same terms: one line, called `terms ID`, for each agreement."""
    if not talk.own_kind:
        yield skipped("terms", "other software knows no terms digest: compare the signed papers")
        return
    seen: set[str] = set()
    for link in links:
        if link.terms.agreement in seen:
            continue
        seen.add(link.terms.agreement)
        what = f"terms {link.terms.agreement}"
        try:
            theirs = talk.ask("GET", talk.place(link), link=link).headers.get(TERMS, "")
        except PartnerRefused as cause:
            if cause.http_status == 404:
                text = f"{talk.name} shows us no collection {link.flow}, so it may not have this agreement"
                yield failed(what, text, f"Ask {talk.name} whether the agreement is in its config.toml.")
                continue
            yield trouble(talk, what, cause)
        except PartnerError as cause:
            yield trouble(talk, what, cause)
        else:
            if theirs == link.terms_digest.hex():
                yield ok(what, f"the same at both nodes ({digest_words(link.terms_digest)})")
            elif theirs:
                yield differing(talk, what, theirs)
            else:
                fix = f"Ask {talk.name} whether it is a stixnode, and our account there a partner's."
                yield failed(what, f"{talk.name} tells no terms", fix)


def _no_root(talk: Talk, cause: PartnerError) -> Iterator[Finding]:
    heard = talk.line.heard
    if heard is None or (isinstance(cause, PartnerUnreachable) and heard[0] < 300):
        fix = f"If it lasts, ask {talk.name} what its server or proxy says at this moment."
        if "certificate" in cause.problem.lower():
            fix = f"It asks for a certificate of ours: set tls_certificate in [partner.{talk.name}]."
        yield failed("HTTP", cause.problem, fix, "network")
        return
    status, headers = heard
    if isinstance(cause, AskedToWait):
        wait = cause.retry_after_seconds or 60
        yield waits("HTTP", f"{status}: {talk.name} asks us to wait", f"Run it again in {wait:.0f} s.")
    elif status in (401, 403):
        yield ok("HTTP", f"{status} from {talk.api_root}{_between(headers)}")
        yield _clock(talk, headers)
        yield refused_credential(talk, "credential", status)
    elif status == 404:
        yield ok("HTTP", f"{status}{_between(headers)}")
        found = _discovered(talk)
        fix = f"Ask {talk.name} for the address of its API root."
        if found:
            fix = f"Its discovery names {', '.join(found[:_MOST_NAMED])}: write ours into api_root."
        yield failed("API root", f"there is nothing at {talk.api_root} (404)", fix)
    elif status >= 500:
        fix = f"Its server or what stands in front of it is broken: call {talk.name}."
        yield failed("HTTP", cause.problem, fix, "network")
    else:
        yield failed("HTTP", cause.problem, cause.remedy)


def _root(talk: Talk, resource: Mapping[str, Any], written: str, largest: int) -> Iterator[Finding]:
    versions = resource.get("versions")
    told = [str(one) for one in versions] if isinstance(versions, list) else []
    # A media type that stands in the standard with a space, and without, is the same.
    if not any(one.replace(" ", "").lower() == _TAXII for one in told):
        said = printable(", ".join(told), 120) or "nothing"
        text = f"its versions name {said}, not {_TAXII}"
        yield warned("API root", text, f"Ask {talk.name} whether this is its TAXII 2.1 API root.")
    if written.replace(" ", "").lower() != _TAXII:
        text = f"it calls its answers {written!r}, not {_TAXII!r}"
        yield warned("media type", text, f"Tell {talk.name}: strict clients refuse such answers; we do not.")
    else:
        yield ok("media type", written)
    length = resource.get("max_content_length")
    if not isinstance(length, int) or isinstance(length, bool) or length <= 0:
        text = "it says no max_content_length; our batches stay small"
        yield warned("size", text, f"Tell {talk.name}: the standard requires it in the API root.")
    elif length < largest:
        text = f"it takes {length:,} bytes in one POST, and an object of ours may have {largest:,}"
        fix = f"Ask {talk.name} to take more, or lower max_object_bytes in [limits]."
        yield warned("size", text, f"{fix} A larger object would be refused there, by name.")
    else:
        yield ok("size", f"it takes {length:,} bytes in one POST; our batches keep below")


def _no_collection(talk: Talk, link: Link, what: str, cause: PartnerError) -> Finding:
    status = cause.http_status if isinstance(cause, PartnerRefused) else None
    wanted = talk.remotes[link.name]
    if status != 404:
        return trouble(talk, what, cause)
    if talk.own_kind:
        text = f"there is no collection {wanted} for us"
        fix = f"See the terms below: {talk.name} shows us what its agreement file names, read at its start."
        return failed(what, text, f"{fix} If the terms are the same, ask it for the collection {link.flow}.")
    shown = _shown(talk)
    if not shown:
        text = f"there is no collection {wanted} for us, nor any other"
        fix = f"Ask {talk.name} for rights, and for the id of its collection"
    else:
        text = f"there is no collection {wanted} for us; it shows us {', '.join(shown[:_MOST_NAMED])}"
        fix = f"Ask {talk.name} which of them it is"
    return failed(what, text, f"{fix}; then write {link.flow} = ID into [partner.{talk.name}.their_ids].")


def _shown(talk: Talk) -> list[str]:
    """The collections that the partner lists for us, as far as it does."""
    try:
        found = talk.resource(f"{talk.api_root}collections/").get("collections")
    except PartnerError:
        return []
    entries = found if isinstance(found, list) else []
    return [
        printable(f"{one.get('id')} ({one.get('title')})", 120) for one in entries if isinstance(one, dict)
    ]


def _discovered(talk: Talk) -> list[str] | None:
    """The API roots that discovery names, as whole addresses; None where it says nothing usable."""
    try:
        found = talk.resource(f"{talk.origin}/taxii2/").get("api_roots")
    except PartnerError:
        return None
    roots = [printable(str(each), 120) for each in found] if isinstance(found, list) else []
    return [each if "://" in each else f"{talk.origin}/{each.strip('/')}/" for each in roots]


def _clock(talk: Talk, headers: Mapping[str, str]) -> Finding:
    ahead = seconds_ahead(headers, now=talk.now())
    if ahead is None:
        return skipped("clock", f"{talk.name} says no time (no Date in its answer)")
    # Date has whole seconds, and the answer took its time.
    text = f"clocks differ by {abs(ahead):.0f} s" if abs(ahead) >= 2 else "clocks agree to a second or two"
    if abs(ahead) < SMALL_SECONDS:
        return ok("clock", text)
    way = "ahead of" if ahead > 0 else "behind"
    text = f"the clock there is {abs(ahead):,.0f} s {way} ours"
    fix = f"Compare both with a third clock (here: timedatectl); one of the two is wrong. Tell {talk.name}."
    if abs(ahead) < LARGE_SECONDS:
        return warned("clock", text, fix)
    return failed("clock", text, f"{fix} Agreements begin and end by these clocks.")


def _who(talk: Talk) -> str:
    if talk.binding.username is None:
        return "none is asked for"
    # Some servers show their API root to anybody; the rights below say more.
    return f"{'let in as' if talk.own_kind else 'no objection to'} {talk.binding.username}"


def _between(headers: Mapping[str, str]) -> str:
    """Words on who answered, where the headers tell."""
    server, via = (printable(headers.get(each, ""), 40) for each in ("Server", "Via"))
    return "".join([f", {server}" if server else "", f", through {via}" if via else ""])
