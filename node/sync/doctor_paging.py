"""Whether a partner pages honestly: what we would read page by page is what is there, once each.

Rule    A large page is compared with the same rows read as two small ones, by `next` and by `added_after`,
        and with the dates of the manifest. What would lose an object is a failure, what would only bring it
        twice a warning. A collection moves while it is read, so a fault counts when it is seen twice.

Of our own kind only the manifest is read: bodies would count there as given to us, and we throw them away.

Reads and writes nothing here; asks the partner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from node.clock import parse_stix_time
from node.errors import PartnerError, PartnerRefused
from node.sharing.links import Link
from node.sync.answers import read_manifest, read_page, read_resource
from node.sync.doctor_findings import Finding, failed, ok, skipped, warned
from node.sync.doctor_talk import Talk, trouble

WHOLE = 10
_ALL: Mapping[str, Any] = {"match[version]": "all", "match[spec_version]": "2.0,2.1"}
_FIRST, _LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page, as far as its honesty is judged.

    Args:
        keys: A name for each entry, in the order of the page: id and version.
        more, next: As the partner says.
        first, last: The dates in its headers; None without.
        dates: The date of each entry, where the page is a manifest.
    """

    keys: tuple[str, ...]
    more: bool
    next: str | None
    first: str | None
    last: str | None
    dates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pages:
    """What was read of one collection.

    Args:
        half: The limit of the small pages; the whole one was asked for with `WHOLE`.
        whole, first, second: The large page, and the small ones.
        after: What `added_after` with the last date of the first page gives; None if it was not asked.
        dates: The dates of the entries of `whole`; () when no manifest tells them.
    """

    half: int
    whole: Sheet
    first: Sheet
    second: Sheet | None
    after: Sheet | None
    dates: tuple[str, ...] = ()


def look_at_paging(talk: Talk, link: Link) -> Iterator[Finding]:
    """What is found of the paging of a collection that we read."""
    what = f"paging {link.flow}/{link.direction}"
    try:
        found = _looked(talk, link, what)
        if any(each.mark in ("FAIL", "warn") for each in found):
            again = _looked(talk, link, what)
            found = [each for each in again if each.mark not in ("FAIL", "warn") or each in found] or [
                skipped(what, "the collection moved while it was read; run it again")
            ]
    except PartnerError as cause:
        found = [trouble(talk, what, cause)]
    yield from found


def judge(pages: Pages, what: str, them: str) -> list[Finding]:
    """What the pages show; one line that all is well if nothing is wrong."""
    half, whole = pages.half, pages.whole
    first, expected = whole.keys[:half], whole.keys[half : 2 * half]
    if len(whole.keys) > WHOLE or len(pages.first.keys) > half:
        size = max(len(whole.keys) if len(whole.keys) > WHOLE else 0, len(pages.first.keys))
        fix = f"Tell {them}: the standard lets no page be longer than limit. We take what comes."
        found = [warned(what, f"`limit` is not obeyed: asked for {half}, got {size}", fix)]
        return [*found, *_headers(pages, what, them)]
    if pages.first.keys != first:
        text = f"the first {half} entries are not those of a page of {WHOLE}: the order changes"
        return [failed(what, text, _repair(them, "to sort pages by date added"))]
    if not pages.first.more and expected:
        text = f"it says that nothing follows after {half} entries, and there are at least {len(whole.keys)}"
        return [failed(what, text, _repair(them, "to set `more`; until then we miss what follows"))]
    found = [*_second(pages, expected, what, them), *_headers(pages, what, them)]
    if pages.after is not None:
        found += _after(pages, expected, what, them)
    if found:
        return found
    ways = "by next and by added_after" if pages.after is not None else "by next"
    return [ok(what, f"{2 * half} entries, {ways}: none missing, none twice{_tie(pages)}")]


def _looked(talk: Talk, link: Link, what: str) -> list[Finding]:
    whole = _page(talk, link, limit=WHOLE)
    if len(whole.keys) < 2:
        held = "one entry" if whole.keys else "nothing"
        return [skipped(what, f"{held} came; it takes two to see whether pages are honest")]
    half = min(WHOLE, len(whole.keys)) // 2
    first = _page(talk, link, limit=half)
    second = after = None
    if first.next is not None:
        second = _page(talk, link, limit=half, next=first.next)
    if first.last is not None:
        after = _page(talk, link, limit=half, added_after=first.last)
    dates = whole.dates or _dates(talk, link, whole)
    return judge(Pages(half, whole, first, second, after, dates), what, talk.name)


def _page(talk: Talk, link: Link, *, limit: int, **asked: str) -> Sheet:
    if talk.own_kind:
        return _manifest(talk, link, limit=limit, **asked)
    params = {**_ALL, "limit": limit, **asked}
    page = read_page(talk.name, talk.ask("GET", f"{talk.place(link)}objects/", params=params))
    return Sheet(tuple(map(_key, page.bodies)), page.more, page.next, page.first, page.last)


def _manifest(talk: Talk, link: Link, *, limit: int, **asked: str) -> Sheet:
    params = {**_ALL, "limit": limit, **asked}
    answer = talk.ask("GET", f"{talk.place(link)}manifest/", link=link, params=params)
    resource = read_resource(talk.name, answer)
    page, entries = read_manifest(talk.name, resource), resource.get("objects")
    versions = [str(one.get("version")) for one in entries or [] if isinstance(one, dict)]
    keys = tuple(f"{one.stix_id} {version}" for one, version in zip(page.records, versions, strict=True))
    dates = tuple(one.date_added for one in page.records)
    return Sheet(keys, page.more, page.next, answer.headers.get(_FIRST), answer.headers.get(_LAST), dates)


def _dates(talk: Talk, link: Link, whole: Sheet) -> tuple[str, ...]:
    """The dates of the whole page as the manifest has them; () when it tells of something else."""
    try:
        manifest = _manifest(talk, link, limit=WHOLE)
    except PartnerRefused:
        return ()  # some servers have none, and we do not need it to read
    same = [key.partition(" ")[0] for key in manifest.keys] == [key.partition(" ")[0] for key in whole.keys]
    return manifest.dates if same else ()


def _second(pages: Pages, expected: Sequence[str], what: str, them: str) -> list[Finding]:
    if pages.second is None:
        if not pages.first.more:
            return []
        if pages.first.last is None:
            text = "it says that there is more, but neither where (`next`) nor up to which date it came"
            return [failed(what, text, _repair(them, "to send `next`; until then we read one page only"))]
        fix = f"Tell {them}. We go on by added_after, with a little overlap."
        return [warned(what, "it says that there is more, and gives no `next`", fix)]
    twice = set(pages.second.keys) & set(pages.first.keys)
    missing = [key for key in expected if key not in pages.second.keys]
    if missing and not twice:
        text = f"its `next` leaves out {len(missing)} of {len(expected)} entries, the first {missing[0]}"
        return [failed(what, text, _repair(them, "its paging: by it we lose objects"))]
    if missing:
        text = f"its `next` gives {len(twice)} again and leaves out {len(missing)}, the first {missing[0]}"
        return [failed(what, text, _repair(them, "its paging: by it we lose objects"))]
    if twice or pages.second.keys[: len(expected)] != tuple(expected):
        text = "its `next` gives entries again, or in another order"
        return [warned(what, text, f"Tell {them}; what comes twice is a duplicate here, and does no harm.")]
    return []


def _headers(pages: Pages, what: str, them: str) -> list[Finding]:
    """What is wrong with the dates of the first page, by which a bookmark is kept."""
    if pages.first.last is None or pages.first.first is None:
        text = "its pages say no date (X-TAXII-Date-Added-First and -Last)"
        fix = f"Ask {them} to send them: without them every round lists the whole collection again."
        return [warned(what, text, fix)]
    number = len(pages.first.keys)
    if len(pages.dates) < number:
        return []
    found: list[Finding] = []
    shown = (pages.first.first, pages.first.last)
    if any(
        not _same(one, date)
        for one, date in zip(shown, (pages.dates[0], pages.dates[number - 1]), strict=True)
    ):
        text = (
            f"the first page says {shown[0]} to {shown[1]}, the manifest of the same entries"
            f" {pages.dates[0]} to {pages.dates[number - 1]}"
        )
        fix = _repair(them, "the dates of its pages: from a date that is too late we would miss objects")
        found.append(failed(what, text, fix))
    return found


def _after(pages: Pages, expected: Sequence[str], what: str, them: str) -> list[Finding]:
    """What is wrong with `added_after`, by which the next round goes on."""
    assert pages.after is not None  # asked by the caller
    begun = pages.first.last or ""
    dates = dict(zip(pages.whole.keys, pages.dates, strict=False))
    # What has the very date of the border is left out by right, and is why we ask for a little before it.
    later = [key for key in expected if _is_later(dates.get(key, ""), begun)]
    missing = [key for key in later if key not in pages.after.keys]
    earlier = [key for key in pages.after.keys if key in dates and _is_later(begun, dates[key])]
    if earlier:
        text = f"added_after={begun} gives entries of before it, the first {earlier[0]}"
        fix = _repair(them, "added_after; until then every round lists the whole collection again")
        return [warned(what, text, fix)]
    inclusive = [key for key in pages.after.keys if key in pages.first.keys]
    if missing and not inclusive:
        text = (
            f"added_after={begun} leaves out {len(missing)} of {len(later)} entries, the first {missing[0]}"
        )
        return [failed(what, text, _repair(them, "added_after: by it we lose objects"))]
    if inclusive:
        text = "added_after gives the entries of that very date again"
        fix = f"Tell {them}; what comes twice is a duplicate here, and does no harm."
        return [warned(what, text, fix)]
    return []


def _tie(pages: Pages) -> str:
    """Words on entries of one date at the border of two pages."""
    half = pages.half
    if len(pages.dates) > half and _same(pages.dates[half - 1], pages.dates[half]):
        return "; several have one date, so we ask for a little before it"
    return ""


def _key(body: bytes) -> str:
    try:
        one = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        words = {
            each: msgspec.json.decode(one[each]) for each in ("id", "modified", "created") if each in one
        }
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return hashlib.sha256(body).hexdigest()[:16]
    return f"{words.get('id')} {words.get('modified') or words.get('created') or ''}"


def _same(one: str, other: str) -> bool:
    try:
        return parse_stix_time(one) == parse_stix_time(other)
    except ValueError:
        return one == other


def _is_later(one: str, than: str) -> bool:
    try:
        return parse_stix_time(one) > parse_stix_time(than)
    except ValueError:
        return False


def _repair(them: str, what: str) -> str:
    return f"Ask {them} to repair {what}." if not what.startswith("to ") else f"Ask {them} {what}."
