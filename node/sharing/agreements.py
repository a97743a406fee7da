"""The agreement: what two or more parties let cross, read from the file that all of them signed.

Rule    The file is identical at all parties and names them by name, so it is read without knowing
        who we are. Its terms digest is the SHA-256 of its meaning: comments, order, line ends,
        defaults spelled out and times written in another zone do not count; every other change does.
        What this version does not enforce is refused, never ignored.

Reads   One TOML file, in `load_agreement`; everything else is pure. Writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from node.errors import ConfigError
from node.sharing.flows import Flow, read_flows, type_allowed
from node.sharing.tables import (
    Problem,
    Section,
    is_identity,
    is_name,
    read_keys,
    read_toml,
    refuse,
    report_missing,
    wrong_value,
)

__all__ = [
    "Agreement",
    "Flow",
    "Party",
    "digest_words",
    "in_force",
    "load_agreement",
    "parse_agreement",
    "type_allowed",
]

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Party:
    """A centre that signed, and whom to call there.

    Args:
        speaks_for: Identities (`created_by_ref`) whose objects it may change, sorted.
        card_number: The number of its node's card on the signed paper; "" where none is written.
        time_zone: IANA name of the zone in which its desk works; "" where none is written.
    """

    name: str
    organisation: str
    unit: str
    speaks_for: tuple[str, ...]
    duty_phone: str
    duty_email: str
    duty_hours: str
    card_number: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The terms of one signed annex.

    Args:
        starts: First moment at which something crosses, in microseconds.
        ends: First moment at which nothing crosses any more, in microseconds.
        parties: name -> party, two or more, sorted by name.
        flows: Sorted by collection and givers.
        terms_digest: SHA-256 of the meaning, 32 bytes; equal at all parties.
        acknowledge_withdrawal_hours: How soon a party confirms what another has withdrawn.
    """

    id: str
    revision: int
    title: str
    legal_basis: str
    starts: int
    ends: int
    review_on: date | None
    paper_signed: bool
    parties: Mapping[str, Party]
    flows: tuple[Flow, ...]
    terms_digest: bytes
    acknowledge_withdrawal_hours: int = 24


def load_agreement(path: Path) -> Agreement:
    """The agreement in a file.

    Raises:
        ConfigError: The file cannot be read or used; every problem found is named with its place.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(
            f"The agreement {path} cannot be read: {cause}.",
            remedy="Copy the signed file there, as UTF-8 text that this user may read.",
        ) from cause
    return parse_agreement(text, path.name)


def parse_agreement(text: str, name: str) -> Agreement:
    """The agreement in a text.

    Args:
        text: TOML; `agreement.example.toml` shows every key.
        name: What error messages call it, usually the file's name.

    Raises:
        ConfigError: As in `load_agreement`.
    """
    tables = read_toml(text, name)
    problems: list[Problem] = []
    if tables.get("format") != FORMAT:
        found = tables.get("format", "missing")
        refuse(
            [
                Problem(
                    f"{name}, format",
                    f"this version reads format {FORMAT}, the file says {found!r}",
                    f"Write format = {FORMAT}, if the file was written for this version.",
                )
            ]
        )
    top = read_keys(tables, _TOP, f"{name},", problems)
    report_missing(tables, _TOP, f"{name},", problems)
    _check_top(top, name, problems)
    parties = _parties(top.get("party", {}), name, problems)
    names = frozenset(top.get("party", {}))
    promises = read_keys(top.get("promises", {}), _PROMISES, f"{name}, [promises]", problems)
    flows: list[Flow] = []
    if "flow" in top or "flow" not in tables:
        flows = read_flows(top.get("every_flow", {}), top.get("flow", []), names, name, problems)
    refuse(problems)
    agreement = Agreement(
        id=top["id"],
        revision=top["revision"],
        title=top["title"],
        legal_basis=top["legal_basis"],
        starts=_microseconds(top["starts"]),
        ends=_microseconds(top["ends"]),
        review_on=top.get("review_on"),
        paper_signed=top.get("paper_signed", False),
        parties={each: parties[each] for each in sorted(parties)},
        flows=tuple(sorted(flows, key=lambda flow: (flow.collection, flow.givers))),
        terms_digest=b"",
        **promises,
    )
    return replace(agreement, terms_digest=_terms_digest(agreement))


def in_force(agreement: Agreement, now: int) -> bool:
    """Whether anything may cross at the moment `now` (microseconds); the end itself is outside."""
    return agreement.starts <= now < agreement.ends


def digest_words(digest: bytes) -> str:
    """The first 12 hex digits in groups of four, to be compared by voice: `7bc3 74ce b755`."""
    text = digest.hex()[:12]
    return " ".join(text[start : start + 4] for start in (0, 4, 8))


class _TopKeys(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    id: str
    revision: Annotated[int, Meta(ge=1, le=1_000_000)]
    title: str
    legal_basis: str
    starts: Annotated[datetime, Meta(tz=True)]
    ends: Annotated[datetime, Meta(tz=True)]
    party: dict[str, Any] = {}
    flow: list[Any] = []
    every_flow: dict[str, Any] = {}
    review_on: date | None = None
    paper_signed: bool = False
    promises: dict[str, Any] = {}


class _PromiseKeys(msgspec.Struct, forbid_unknown_fields=True):
    acknowledge_withdrawal_hours: Annotated[int, Meta(ge=1, le=8760)] = 24


class _PartyKeys(msgspec.Struct, forbid_unknown_fields=True):
    organisation: str
    unit: str
    duty_phone: str
    duty_email: str
    duty_hours: str
    speaks_for: list[str] = []
    card_number: str = ""
    time_zone: str = ""


_MOMENT = "Write a moment with its offset, such as 2026-11-21T00:00:00+02:00."
_TOP = Section(
    _TopKeys,
    help={
        "id": "Write a short name of letters, digits, dots and hyphens, such as AGR-2026-01.",
        "revision": "Write a whole number from 1; each changed file gets the next one.",
        "starts": _MOMENT,
        "ends": f"{_MOMENT[:-1]}, later than starts.",
        "review_on": "Write a date alone, such as 2027-06-01.",
        "party": "Write a table [party.NAME] for each centre that signs; two at least.",
        "flow": "Write a table [[flow]], with two brackets, for each collection that is shared.",
        "every_flow": "Write one table [every_flow].",
    },
    mistakes={
        "valid_from": "Write starts.",
        "valid_until": "Write ends.",
        "flows": "Write [[flow]].",
        "parties": "Write [party.NAME].",
    },
    later=frozenset({"cases", "requests", "at_end"}),
)
_PROMISES = Section(
    _PromiseKeys,
    help={"acknowledge_withdrawal_hours": "Write a whole number of hours from 1 to 8760."},
    later=frozenset({"report_compromise_hours", "available_percent"}),
)
_PARTY = Section(
    _PartyKeys,
    help={
        "speaks_for": "Write ids such as identity--2f1b6c7a-54c6-4b0e-9d0a-3f6f4a1f0a01, each"
        " under one party only.",
        "card_number": "Write the six groups of five digits from the signed paper.",
        "time_zone": "Write an IANA name such as Europe/Helsinki, or leave the key out.",
    },
    mistakes={"identities": "Write speaks_for.", "contact": "Write duty_phone, duty_email and duty_hours."},
)
_PARTY_TEXTS = ("organisation", "unit", "duty_phone", "duty_email", "duty_hours")


def _check_top(top: Mapping[str, Any], name: str, problems: list[Problem]) -> None:
    where = f"{name},"
    if "id" in top and not is_name(str(top["id"]).lower()):
        problems.append(wrong_value(where, "id", top["id"], "not a short name", _TOP))
    _check_texts(top, ("title", "legal_basis"), _TOP, where, problems)
    if "starts" in top and "ends" in top and top["ends"] <= top["starts"]:
        text = f"{top['ends'].isoformat()}: it is not after starts = {top['starts'].isoformat()}"
        problems.append(Problem(f"{where} ends", text, _TOP.help["ends"]))


def _check_texts(
    values: Mapping[str, Any], keys: tuple[str, ...], section: Section, where: str, problems: list[Problem]
) -> None:
    # Control characters would let a partner's file write on an operator's terminal.
    for key in keys:
        if key in values and not (values[key].strip() and values[key].isprintable()):
            problems.append(wrong_value(where, key, values[key], "not a line of printable text", section))


def _parties(tables: Mapping[str, Any], name: str, problems: list[Problem]) -> dict[str, Party]:
    parties: dict[str, Party] = {}
    claims: dict[str, str] = {}
    for party, table in tables.items():
        where = f"{name}, [party.{party}]"
        before = len(problems)
        if not is_name(party):
            problems.append(
                Problem(where, "this cannot name a party", "Write lower-case letters and digits.")
            )
        values = read_keys(table, _PARTY, where, problems)
        report_missing(table, _PARTY, where, problems)
        _check_texts(values, _PARTY_TEXTS, _PARTY, where, problems)
        if not _is_zone(values.get("time_zone", "")):
            problems.append(wrong_value(where, "time_zone", values["time_zone"], "not a time zone", _PARTY))
        number = values.get("card_number", "").split()
        if number and not (len(number) == 6 and all(len(each) == 5 and each.isdecimal() for each in number)):
            problems.append(
                wrong_value(where, "card_number", values["card_number"], "not a card number", _PARTY)
            )
        for identity in dict.fromkeys(values.get("speaks_for", [])):
            # Hex digits may be written in either case, and one identity must have one owner.
            claimant = claims.setdefault(identity.casefold(), party)
            if not is_identity(identity):
                problems.append(
                    wrong_value(where, "speaks_for", identity, "not the id of an identity", _PARTY)
                )
            elif claimant != party:
                problems.append(
                    wrong_value(where, "speaks_for", identity, f"{claimant} claims it too", _PARTY)
                )
        if len(problems) == before:
            values["speaks_for"] = tuple(sorted(set(values.get("speaks_for", []))))
            parties[party] = Party(**{**values, "name": party, "card_number": " ".join(number)})
    if len(tables) < 2:
        problems.append(Problem(f"{name}, [party]", "it names fewer than two parties", _TOP.help["party"]))
    return parties


def _is_zone(name: str) -> bool:
    try:
        return name == "" or ZoneInfo(name).key == name
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _terms_digest(agreement: Agreement) -> bytes:
    # One entry for each giver, so that one flow with two givers and two flows with one each are
    # the same terms. A key that a later version adds must enter only where it differs from its
    # built-in value: two nodes of different versions have to find the same digest.
    meaning: dict[str, object] = {
        "format": FORMAT,
        "id": agreement.id,
        "revision": agreement.revision,
        "title": agreement.title,
        "legal_basis": agreement.legal_basis,
        "starts": agreement.starts,
        "ends": agreement.ends,
        "review_on": agreement.review_on and agreement.review_on.isoformat(),
        "paper_signed": agreement.paper_signed,
        "parties": {name: _party_meaning(one) for name, one in agreement.parties.items()},
        "flows": sorted(
            (flow.collection, giver, *_flow_meaning(flow, giver))
            for flow in agreement.flows
            for giver in flow.givers
        ),
    }
    if agreement.acknowledge_withdrawal_hours != _PromiseKeys().acknowledge_withdrawal_hours:
        meaning["promises"] = {"acknowledge_withdrawal_hours": agreement.acknowledge_withdrawal_hours}
    return hashlib.sha256(b"stixnode terms 1\n" + msgspec.json.encode(meaning, order="sorted")).digest()


def _party_meaning(party: Party) -> dict[str, object]:
    meaning = asdict(party)
    if not party.time_zone:
        del meaning["time_zone"]
    return meaning


def _flow_meaning(flow: Flow, giver: str) -> tuple[object, ...]:
    return (
        flow.types,
        flow.max_tlp,
        None if flow.unmarked is None else int(flow.unmarked),
        flow.audience,
        flow.onward,
        flow.keep_days,
        flow.carry[giver],
        flow.every_seconds,
        flow.either_may_edit,
        *([("urgent_labels", flow.urgent_labels)] if flow.urgent_labels else []),
    )
