"""What a marking means: TLP as one number, and everything that only pretends to be TLP.

Rule    Only the nine official ids with exactly their official content, and the five labels that
        MISP writes, carry a level. Whatever else looks like TLP, or is not held on this node,
        is UNKNOWN, which ranks above RED: an error of a sender never widens an audience.

Source  FIRST TLP 2.0; STIX 2.1 section 7.2; the OASIS common objects for TLP 2.0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from node.clock import parse_stix_time
from node.stix.confusables import skeleton


class TLP(IntEnum):
    """The levels of the Traffic Light Protocol, from the widest audience to the narrowest."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4


NO_TLP: Final = -1
"""No marking at all, or statement markings only."""

UNKNOWN: Final = 5
"""A marking that this node cannot judge: not held, look-alike, altered or contradictory."""

_WORDS: Final = {
    "clear": TLP.CLEAR,
    "white": TLP.CLEAR,
    "green": TLP.GREEN,
    "amber": TLP.AMBER,
    "amber+strict": TLP.AMBER_STRICT,
    "red": TLP.RED,
}

_LABELS: Final = {f"tlp:{word}": level for word, level in _WORDS.items()}

_VERSION_1: Final = {
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "white",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
}

_VERSION_2: Final = {
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}

_TLP_2_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"

OFFICIAL: Final[Mapping[str, TLP]] = MappingProxyType(
    {marking: _WORDS[word] for marking, word in (_VERSION_1 | _VERSION_2).items()}
)
"""The official marking-definition ids; a node knows them without holding them."""


def parse_tlp(text: str) -> TLP:
    """The level an operator wrote, as in `clear`, `white`, `green`, `amber`, `amber+strict`, `red`.

    Raises:
        ValueError: Not one of these words, in whatever case.
    """
    level = _WORDS.get(unicodedata.normalize("NFKC", text).casefold())
    if level is None:
        raise ValueError(f"{text[:80]!r} is not a TLP level: write clear, green, amber, amber+strict or red")
    return level


def tlp_name(rank: int) -> str:
    """A rank for people: `CLEAR` to `RED`, `AMBER+STRICT`, `no TLP` or `unknown`."""
    if rank == NO_TLP:
        return "no TLP"
    if rank == UNKNOWN:
        return "unknown"
    return TLP(rank).name.replace("_", "+")


def stricter(one: int, other: int) -> int:
    """The narrower of two ranks: NO_TLP < CLEAR < ... < RED < UNKNOWN."""
    return max(one, other)


def rank(marking_refs: Iterable[str], meanings: Mapping[str, int]) -> int:
    """The strictest meaning among an object's markings.

    Args:
        marking_refs: As in `StixObject.marking_refs`: marking-definition ids and TLP labels.
        meanings: What the definitions held on this node mean, by id, as from `meaning`; only
            those that count for this object. The official ids need not be in it, and an entry
            for one of them is not looked at.

    Returns:
        A TLP level, NO_TLP, or UNKNOWN as soon as one marking is not known here.

    Source:
        STIX 2.1 section 7.2 gives no order among several markings; the strictest is ours.
    """
    strictest = NO_TLP
    for ref in marking_refs:
        found: int | None = OFFICIAL.get(ref)
        if found is None:
            found = meanings.get(ref, UNKNOWN) if ref.startswith("marking-definition--") else _label_rank(ref)
        if found > strictest:
            strictest = found
    return strictest


def label_marking(label: str) -> str | None:
    """The marking that a label is: what `StixObject.marking_refs` holds for it.

    Returns:
        `tlp:red` and the like for a label that is one, in any case; the label itself for one
        that only looks so (which ranks UNKNOWN); None for a label that has nothing to do with TLP.
    """
    if label.isascii():
        lower = label.lower()
        if "tlp" not in lower:
            return None
        if lower in _LABELS:
            return lower
    return label if _LABEL_START.match(skeleton(label)) else None


def meaning(definition: Mapping[str, object]) -> int:
    """What one marking-definition means for whoever is marked with it.

    Returns:
        A TLP level for an official id with its official content; NO_TLP for a statement;
        UNKNOWN for all else: other definition types, TLP content under another id, a statement
        whose text, name or any other string speaks of TLP, an extension.

    Source:
        STIX 2.1 section 7.2.1.
    """
    marking = definition.get("id")
    if isinstance(marking, str) and marking in OFFICIAL:
        return UNKNOWN if altered(definition) else OFFICIAL[marking]
    if definition.get("definition_type") != "statement" or "extensions" in definition:
        return UNKNOWN
    content = definition.get("definition")
    if not isinstance(content, Mapping) or content.keys() != {"statement"}:
        return UNKNOWN
    if not isinstance(content["statement"], str):
        return UNKNOWN
    return UNKNOWN if any(_speaks_of_tlp(text) for text in _texts(definition)) else NO_TLP


def altered(definition: Mapping[str, object]) -> bool:
    """Whether a definition has an official id but not exactly the official content.

    TLP 1 has two right forms, that of STIX 2.1 and that of 2.0 (no `spec_version`, no `name`).
    A form in between is an alteration, so that one id and date never stand for two contents
    within one `spec_version`. `created` is compared as an instant.

    Source:
        STIX 2.1 section 7.2.1.4; the schema of the TLP 2.0 extension.
    """
    marking = definition.get("id")
    if not isinstance(marking, str) or marking not in OFFICIAL:
        return False
    if definition.get("type") != "marking-definition":
        return True
    rest = {name: value for name, value in definition.items() if name not in ("id", "type", "created")}
    if marking in _VERSION_2:
        word, created = _VERSION_2[marking], _CREATED_2
        extension = {"extension_type": "property-extension", "tlp_2_0": word}
        forms = [_as_2_1(word, {"extensions": {_TLP_2_EXTENSION: extension}})]
    else:
        word, created = _VERSION_1[marking], _CREATED_1
        old: dict[str, object] = {"definition_type": "tlp", "definition": {"tlp": word}}
        forms = [_as_2_1(word, old), old]
    return rest not in forms or not _is_instant(definition.get("created"), created)


def _as_2_1(word: str, content: dict[str, object]) -> dict[str, object]:
    return {"spec_version": "2.1", "name": f"TLP:{word.upper()}", **content}


_CREATED_1: Final = parse_stix_time("2017-01-20T00:00:00.000Z")
_CREATED_2: Final = parse_stix_time("2022-10-01T00:00:00.000Z")

# In a skeleton: the word "tlp" on its own, or glued to a level.
_TLP_WORD: Final = r"tlp(?:(?![a-z0-9])|white|clear|green|amber|red)"
_LABEL_START: Final = re.compile(rf"[^a-z0-9]*{_TLP_WORD}")
_TLP_ANYWHERE: Final = re.compile(
    rf"(?<![a-z0-9]){_TLP_WORD}|tlp[^a-z0-9]*(?:white|clear|green|amber|red)"
    r"|traffic[^a-z0-9]*light[^a-z0-9]*protocol"
)
_ONLY_A_LEVEL: Final = re.compile(r"[^a-z0-9]*(?:white|clear|green|amber(?:[^a-z0-9]*strict)?|red)[^a-z0-9]*")


def _label_rank(ref: str) -> int:
    return _LABELS.get(ref, UNKNOWN)


def _speaks_of_tlp(text: str) -> bool:
    plain = skeleton(text)
    return _TLP_ANYWHERE.search(plain) is not None or _ONLY_A_LEVEL.fullmatch(plain) is not None


def _is_instant(text: object, instant: int) -> bool:
    try:
        return isinstance(text, str) and parse_stix_time(text) == instant
    except ValueError:
        return False


def _texts(value: object) -> Iterator[str]:
    """Every string in a JSON value, property names included."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            yield from item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
