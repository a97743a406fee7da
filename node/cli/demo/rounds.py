"""Rounds of the demonstration: until one moves nothing, and then one more.

Rule    A round is the command `sync` of the node that carries; what it says of itself has to add up.
        The number of rounds is bounded: rounds that never end are what the demonstration must show, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from node.cli.demo.stage import DemoNode, Line, run
from node.cli.exits import DONE, INCOMPLETE
from node.exchange.ingress import Outcome

MOST_ROUNDS = 40

_SUMS = {
    "pull": ("received", tuple(Outcome)),
    "push": ("considered", ("sent", "unchanged", "withheld", "held", "failed", "unconfirmed")),
}


@dataclass(slots=True)
class Rounds:
    """What the rounds moved, each in its turn; `second` is the one after the quiet one."""

    moved: list[int] = field(default_factory=list)
    second: int | None = None
    wrong_sums: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        """Whether two rounds in succession moved nothing, and all said what adds up."""
        return self.second == 0 and not self.wrong_sums and not self.troubles


def carry(
    node: DemoNode, *, say: Callable[[str], None], between: Callable[[], None], behind: Callable[[], bool]
) -> Rounds:
    """Carry until nothing moves and nothing is left to decide.

    Args:
        node: The node that carries.
        say: Takes one sentence about each round.
        between: Called once, when the first pull is done and nothing has been pushed yet.
        behind: Whether a feed has something left to examine; a server does so in bounded steps.
    """
    found = Rounds()
    pulled = _round(node, "pull", found)
    between()
    found.moved.append(pulled + _round(node, "push", found))
    say(f"round 1: {found.moved[0]:,} objects moved")
    while len(found.moved) < MOST_ROUNDS:
        found.moved.append(_round(node, "sync", found))
        undecided = behind()
        rest = ", a feed is still being examined" if undecided else ""
        say(f"round {len(found.moved)}: {found.moved[-1]:,} objects moved{rest}")
        if found.moved[-1] == 0 and not undecided:
            found.second = _round(node, "sync", found)
            say(f"once more: {found.second:,} objects moved")
            break
    return found


def _round(node: DemoNode, command: str, found: Rounds) -> int:
    lines = run(node, command, codes=(DONE, INCOMPLETE))
    found.wrong_sums += wrong_sums(lines)
    found.troubles += [f"{line['link']}: {line['problem']}" for line in lines if line.get("problem")]
    return int(lines[-1]["moved"])


def wrong_sums(lines: Sequence[Line]) -> list[str]:
    """The links whose report does not add up, with both numbers."""
    wrong = []
    for line in lines:
        if line["type"] not in _SUMS:
            continue
        whole, parts = _SUMS[line["type"]]
        total = sum(int(line.get(part, 0)) for part in parts)
        if int(line[whole]) != total:
            wrong.append(f"{line['link']}: {whole} {line[whole]}, accounted for {total}")
    return wrong
