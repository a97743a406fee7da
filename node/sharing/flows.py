"""The flows of an agreement: one collection, who gives, and the limits that hold for it.

Rule    [every_flow] is resolved before anything is compared or digested, so a limit counts the same
        whether it stands there, in the flow itself, or is the built-in one. Built-in limits are the
        careful ones: green, unmarked withheld, nobody's audience, nothing passed on.

Reads and writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node.sharing.tables import (
    Problem,
    Section,
    is_name,
    nearest,
    read_keys,
    report_missing,
    wrong_value,
)
from node.stix.markings import TLP, parse_tlp
from node.stix.objects import OBSERVABLES

Carry = Literal["pull", "push"]

DOMAIN_TYPES = frozenset({
    "attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator",
    "infrastructure", "intrusion-set", "location", "malware", "malware-analysis", "note", "observed-data",
    "opinion", "report", "threat-actor", "tool", "vulnerability",
    "relationship", "sighting",
    "extension-definition", "language-content", "marking-definition",
})  # fmt: skip
"""The types of STIX 2.1 that are not observables: sections 4, 5 and 7."""

_VENDOR_TYPE = re.compile(r"x-[a-z0-9][a-z0-9-]{0,246}\*?")


@dataclass(frozen=True, slots=True)
class Flow:
    """What one collection carries from each giver to all other parties.

    Args:
        collection: Alias of the collection, the same word at every party.
        givers: Names of the parties that give, sorted.
        types: STIX type names, `observables`, or `x-...*`; sorted.
        unmarked: The level that an object without TLP counts as; None withholds it.
        audience: Who of the receiving side may read it, sorted; () is nobody.
        onward: Third parties to which a receiver may pass it, sorted; () is none.
        keep_days: After so many days the receiver erases the content.
        carry: giver -> `pull` (each receiver fetches) or `push` (the giver brings).
        either_may_edit: No ownership: both sides continue each other's objects.
        urgent_labels: What bears one of them leaves first, as every revocation does; sorted.
    """

    collection: str
    givers: tuple[str, ...]
    types: tuple[str, ...]
    max_tlp: TLP
    unmarked: TLP | None
    audience: tuple[str, ...]
    onward: tuple[str, ...]
    keep_days: int
    carry: Mapping[str, Carry]
    every_seconds: int
    either_may_edit: bool
    urgent_labels: tuple[str, ...]


def type_allowed(types: Collection[str], object_type: str, observable: bool) -> bool:
    """Whether a flow's `types` name this type of object.

    Args:
        types: As in a flow: names, `observables` for every observable, `x-...*` for a vendor's own.
        object_type: The STIX type, such as `ipv4-addr`.
        observable: Whether the object is a cyber observable (SCO).
    """
    if object_type in types or (observable and "observables" in types):
        return True
    return any(each.endswith("*") and object_type.startswith(each[:-1]) for each in types)


def read_flows(
    every: Mapping[str, Any],
    tables: Sequence[Any],
    parties: frozenset[str],
    name: str,
    problems: list[Problem],
) -> list[Flow]:
    """The flows that have no problem, each with [every_flow] resolved into it.

    Args:
        every: The table [every_flow].
        tables: The tables [[flow]].
        parties: Names of all parties, those with problems of their own included.
        name: What error messages call the file.
        problems: Everything that is wrong is appended here.
    """
    before = len(problems)
    where = f"{name}, [every_flow]"
    if "collection" in every:
        problems.append(Problem(f"{where} collection", "each flow names its own", "Move it to its [[flow]]."))
    shared = _resolve(
        read_keys({key: every[key] for key in every if key != "collection"}, _FLOW, where, problems),
        where, parties, problems,
    )  # fmt: skip
    usable = len(problems) == before
    flows: list[Flow] = []
    if not tables:
        problems.append(Problem(f"{name}, [[flow]]", "there is none, so nothing would cross", _NO_FLOW))
    for number, table in enumerate(tables, 1):
        where = f"{name}, [[flow]] {_label(table, number)}"
        before = len(problems)
        own = _resolve(read_keys(table, _FLOW, where, problems), where, parties, problems)
        report_missing({**every, **table} if isinstance(table, dict) else table, _FLOW, where, problems)
        if usable and len(problems) == before:
            _add_flow(flows, shared, own, where, problems)
    return flows


class _FlowKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    collection: str
    givers: list[str] = msgspec.field(name="from")
    types: list[str]
    max_tlp: str = "green"
    unmarked: str = "withhold"
    carry: Carry | dict[str, Carry] = "pull"
    every_seconds: Annotated[int, Meta(ge=1, le=2_678_400)] = 300
    keep_days: Annotated[int, Meta(ge=1, le=36_500)] = 730
    audience: list[str] = []
    onward: Literal["none"] | list[str] = "none"
    either_may_edit: bool = False
    urgent_labels: list[str] = []


_BUILT_IN: dict[str, Any] = {
    "max_tlp": TLP.GREEN, "unmarked": None, "carry": "pull", "every_seconds": 300, "keep_days": 730,
    "audience": (), "onward": (), "either_may_edit": False, "urgent_labels": (),
}  # fmt: skip
_NO_FLOW = "Write a table [[flow]], with two brackets, for each collection that is shared."
_LEVELS = "clear, green, amber, amber+strict or red"
_FLOW = Section(
    _FlowKeys,
    help={
        "collection": "Write an alias of lower-case letters, digits and hyphens, such as best-practices.",
        "from": 'Write a list with the names of the parties that give, such as ["north", "south"].',
        "types": "Write a list of STIX types; observables stands for all of them, x-NAME-* for a vendor's.",
        "max_tlp": f"Write {_LEVELS}.",
        "unmarked": f"Write withhold, {_LEVELS}.",
        "carry": 'Write "pull" or "push", or one word for each giver: { north = "push", south = "pull" };'
        " what one party gives has one carrier.",
        "every_seconds": "Write a whole number of seconds from 1 to 2678400.",
        "keep_days": "Write a whole number of days from 1 to 36500.",
        "audience": 'Write a list of names such as ["state-bodies"].',
        "onward": 'Write "none", or a list with the names of third parties.',
        "either_may_edit": "Write true or false.",
        "urgent_labels": 'Write a list of labels such as ["urgent"]; revocations are urgent without one.',
    },
    mistakes={
        "max_tpl": "Write max_tlp.",
        "tlp_ceiling": "Write max_tlp.",
        "default_tlp": "Write unmarked.",
        "retention": "Write keep_days.",
        "interval": "Write every_seconds.",
        "joint": "Write either_may_edit.",
        "onward_sharing": "Write onward.",
        "direction": "Write from.",
        "to": "Write from; every party that is not named there receives.",
    },
    later=frozenset(
        {
            "min_confidence",
            "no_confidence",
            "expired",
            "personal_data",
            "redact",
            "lifetime_days",
        }
    ),
)


def _label(table: object, number: int) -> str:
    collection = table.get("collection") if isinstance(table, dict) else None
    return collection if isinstance(collection, str) and is_name(collection) else f"number {number}"


def _resolve(
    values: dict[str, Any], where: str, parties: frozenset[str], problems: list[Problem]
) -> dict[str, Any]:
    """The values in the form of `Flow`; those that cannot be used become problems and are left out."""
    resolved: dict[str, Any] = {}
    for key, value in values.items():
        try:
            resolved[key] = _meaning(key, value, parties)
        except ValueError as cause:
            written = "from" if key == "givers" else key
            problems.append(wrong_value(where, written, value, str(cause), _FLOW))
    return resolved


def _meaning(key: str, value: Any, parties: frozenset[str]) -> Any:
    if key == "max_tlp":
        return parse_tlp(value)
    if key == "unmarked":
        return None if value == "withhold" else parse_tlp(value)
    if key == "collection" and not is_name(value):
        raise ValueError("not an alias of a collection")
    if key == "givers":
        return _names(value, parties, must_be_party=True)
    if key == "onward":
        return () if value == "none" else _names(value, parties, must_be_party=False)
    if key == "audience":
        return _names(value, frozenset(), must_be_party=False)
    if key == "types":
        return _types(value)
    if key == "urgent_labels":
        return _labels(value)
    if key == "carry" and isinstance(value, dict):
        _names(list(value), parties, must_be_party=True)
    return value


def _names(names: list[str], parties: frozenset[str], *, must_be_party: bool) -> tuple[str, ...]:
    if must_be_party and not names:
        raise ValueError("it names no party")
    for name in names:
        if not is_name(name):
            raise ValueError(f"{name!r} is not a name")
        if must_be_party and name not in parties:
            raise ValueError(f"{name} is no party; the parties are {', '.join(sorted(parties))}")
        if not must_be_party and name in parties:
            raise ValueError(f"{name} is a party, so it receives the flow anyway")
    return tuple(sorted(set(names)))


def _labels(names: list[str]) -> tuple[str, ...]:
    if odd := [name for name in names if not (name.strip() == name != "" and name.isprintable())]:
        raise ValueError(f"{odd[0]!r} is no label")
    return tuple(sorted({name.casefold() for name in names}))


def _types(names: list[str]) -> tuple[str, ...]:
    if not names:
        raise ValueError("it names no type")
    known = DOMAIN_TYPES | OBSERVABLES | {"observables"}
    for name in names:
        if name not in known and not _VENDOR_TYPE.fullmatch(name):
            guess = nearest(name, known)
            raise ValueError(f"{name!r} is no type of STIX" + (f"; did you mean {guess}?" if guess else ""))
    return tuple(sorted(set(names)))


def _add_flow(
    flows: list[Flow], shared: dict[str, Any], own: dict[str, Any], where: str, problems: list[Problem]
) -> None:
    values = {**_BUILT_IN, **shared, **own}
    givers = values["givers"]
    written = values["carry"]
    carry = dict.fromkeys(givers, written) if isinstance(written, str) else written
    silent = [giver for giver in givers if giver not in carry]
    # A table in [every_flow] names every giver of the file; only the flow's own can contradict `from`.
    idle = [party for party in carry if party not in givers] if "carry" in own else []
    if silent or idle:
        text = f"no word for what {silent[0]} gives" if silent else f"{idle[0]} gives nothing here"
        problems.append(wrong_value(where, "carry", written, text, _FLOW))
        return
    for other in flows:
        twice = sorted(set(other.givers) & set(givers))
        if other.collection == values["collection"] and twice:
            text = f"a second flow of {other.collection} from {twice[0]}"
            problems.append(Problem(where, text, "Make them one flow; one set of terms holds."))
            return
    flows.append(Flow(**{**values, "carry": {giver: carry[giver] for giver in givers}}))
