"""Agreements and links for tests: north and south, one flow of indicators both ways unless told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from node.config_keys import MITRE
from node.sharing.agreements import Agreement, parse_agreement
from node.sharing.decisions import Facts
from node.sharing.links import Link, PartnerBinding, Terms, derive_links, parties_of
from node.stix.markings import TLP
from tests.support.builders import NORTH_ID, SOUTH_ID, an_id

WEST_ID = "identity--5d9b1c3e-7a42-4f6d-8e21-0b6c3a9d0c03"

_IDENTITIES = {"north": NORTH_ID, "south": SOUTH_ID, "west": WEST_ID}


def a_party(name: str, **changes: object) -> dict[str, object]:
    """The table of one party; a change to None takes the key out."""
    table: dict[str, object] = {
        "organisation": f"Cyber Centre {name.title()}",
        "unit": "Department for computer crime",
        "speaks_for": [_IDENTITIES[name]],
        "duty_phone": "+000 11 111 11 11",
        "duty_email": f"duty@{name}.example",
        "duty_hours": "24/7",
    }
    return _changed(table, changes)


def a_flow(
    collection: str = "indicators", givers: Sequence[str] = ("north", "south"), **changes: object
) -> dict[str, object]:
    """The table of one flow; a change to None takes the key out."""
    table: dict[str, object] = {
        "collection": collection,
        "from": list(givers),
        "types": ["indicator", "malware", "observables", "relationship"],
    }
    return _changed(table, changes)


def agreement_text(**changes: object) -> str:
    """The TOML text of an agreement between north and south, in force at noon of 21 November 2026.

    Args:
        changes: Top-level keys with new values; None takes the key out. `party` is a table of
            tables, `flow` a list of tables: see `a_party` and `a_flow`.
    """
    document: dict[str, object] = {
        "format": 1,
        "id": "AGR-2026-01",
        "revision": 1,
        "title": "Annex 2",
        "legal_basis": "Memorandum of 23 May 2025",
        "starts": datetime.fromisoformat("2026-11-21T00:00:00+02:00"),
        "ends": datetime.fromisoformat("2027-12-01T00:00:00+02:00"),
        "review_on": date(2027, 6, 1),
        "party": {"north": a_party("north"), "south": a_party("south")},
        "every_flow": {"max_tlp": "green", "audience": ["state-bodies"]},
        "flow": [a_flow()],
    }
    return toml_text(_changed(document, changes))


def an_agreement(**changes: object) -> Agreement:
    """The agreement of `agreement_text`."""
    return parse_agreement(agreement_text(**changes), "test.toml")


def links_of(us: str, *bindings: PartnerBinding) -> tuple[Link, ...]:
    """All links of the node `us` with these partners; MITRE is public."""
    return derive_links(us, bindings, parties_of(us, bindings, (), (MITRE,)))


def links_of_north(**changes: object) -> tuple[Link, ...]:
    """North's links with south under `an_agreement(**changes)`."""
    return links_of("north", PartnerBinding("south", agreements=(an_agreement(**changes),)))


def links_of_south(**changes: object) -> tuple[Link, ...]:
    """South's links with north under `an_agreement(**changes)`."""
    return links_of("south", PartnerBinding("north", agreements=(an_agreement(**changes),)))


def some_terms(**changes: Any) -> Terms:
    """Terms of a flow of indicators up to GREEN that withholds what is unmarked."""
    return replace(links_of_north()[1].terms, **changes)


def a_link(direction: str = "out", *, terms: Mapping[str, Any] | None = None, **changes: Any) -> Link:
    """North's link with south for indicators.

    Args:
        direction: `in` or `out`.
        terms: Fields of its terms with new values; the sibling terms follow.
        changes: Fields of the link with new values.
    """
    link = next(each for each in links_of_north() if each.direction == direction)
    if terms:
        changed = replace(link.terms, **terms)
        link = replace(link, terms=changed, sibling_terms=(changed,) if direction == "out" else ())
    return replace(link, **changes)


def some_facts(**changes: Any) -> Facts:
    """Facts of an indicator of ours, GREEN."""
    values: dict[str, Any] = {
        "id": an_id("indicator"),
        "type": "indicator",
        "observable": False,
        "rank": TLP.GREEN,
        "owner_rank": TLP.GREEN,
        "origin": "local",
    }
    return Facts(**{**values, **changes})


UNLIMITED = {"max_new_in_per_day": 0, "max_new_bytes_in_per_day": 0, "max_quarantine_objects": 0}
"""`stricter` of a partner that may bring as much as it likes in a day."""


def toml_text(document: Mapping[str, object]) -> str:
    """A TOML text of tables, lists of tables, and plain values."""
    lines = [f"{key} = {_value(value)}" for key, value in document.items() if not _is_section(value)]
    for key, value in document.items():
        if isinstance(value, Mapping):
            tables = value if key in ("party", "partner") else {"": value}
            for name, table in tables.items():
                lines += [f"[{key}.{name}]" if name else f"[{key}]", *_lines(table)]
        elif _is_section(value) and isinstance(value, list):
            for table in value:
                lines += [f"[[{key}]]", *_lines(table)]
    return "\n".join(lines) + "\n"


def _changed(table: dict[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in {**table, **changes}.items() if value is not None}


def _is_section(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
    )


def _lines(table: Mapping[str, object]) -> list[str]:
    return [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items()]


def _value(value: object) -> str:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_lines(value)) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return json.dumps(value)
