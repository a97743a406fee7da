"""Partners under the eyes of the doctor, and what it says of them in short.

seen = looked(a_case(north))
seen["credential"].mark, seen["credential"].fix
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from node import clock
from node.sync.doctor import Case, examine
from node.sync.doctor_findings import Finding
from node.sync.standing import standing_of
from tests.support.builders import NORTH_ID
from tests.support.partner import COLLECTION, Asked, Canned, Receiver, SimulatedPartner
from tests.support.two_nodes import Centre


def a_case(node: Receiver, **changes: Any) -> Case:
    """West, as a node of ours has it; it asks over the real network of this machine."""
    links = list(node.door.links)
    with node.database.reading() as tx:
        standings = standing_of(tx, links, now=node.clock(), count=False)
    case = Case(
        partner=node.binding,
        standings=standings,
        remotes={one.name: COLLECTION for one in links},
        us="north",
        author=NORTH_ID,
        our_url="https://north.example",
        largest=1_000_000,
        now=clock.now,
        unique="once",
    )
    return replace(case, **changes)


def a_case_of(centre: Centre, **changes: Any) -> Case:
    """The other node of a pair, asked through its wire."""
    (binding,) = centre.settings.partners
    links = list(centre.door.links)
    with centre.database.reading() as tx:
        standings = standing_of(tx, links, now=centre.clock(), count=False)
    case = Case(
        partner=binding,
        standings=standings,
        remotes={one.name: one.collection for one in links},
        us=centre.name,
        author=next(iter(sorted(centre.door.parties.ours))),
        our_url=f"https://{centre.name}.example",
        largest=1_000_000,
        now=centre.clock,
        transport=centre.wire,
    )
    return replace(case, **changes)


def looked(case: Case, *, canary: bool = False) -> dict[str, Finding]:
    """What is found, by what was looked at; of several the worst."""
    worst = ("ok", "skip", "wait", "warn", "FAIL")
    found: dict[str, Finding] = {}
    for each in examine(case, canary=canary):
        before = found.get(each.what)
        if before is None or worst.index(each.mark) > worst.index(before.mark):
            found[each.what] = each
    return found


def failures(found: dict[str, Finding]) -> list[str]:
    """What failed."""
    return [name for name, each in found.items() if each.mark == "FAIL"]


def answering(partner: SimulatedPartner, when: Callable[[Asked], Canned | None]) -> None:
    """Let a partner answer otherwise whenever `when` gives an answer."""
    usual = partner.answer

    def answer(asked: Asked) -> Canned:
        return when(asked) or usual(asked)

    partner.answer = answer  # type: ignore[method-assign]
