"""What the demonstration prints: what went, what did not and why, what was expected, the verdict.

Rule    The verdict is the last line on stdout and has one form for a script to compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from node.cli.context import Context
from node.cli.demo.comparison import Crossing, by_reason
from node.cli.demo.reading import Reading
from node.cli.demo.rounds import Rounds
from node.cli.printing import Printer, Value, amount
from node.exchange import quarantine

EXAMPLES = 2


@dataclass(frozen=True, slots=True)
class Expectation:
    """One number that was worked out beforehand, beside the real one."""

    what: str
    expected: int
    real: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """An object that waits at the receiver for a person."""

    node: str
    entry: str
    link: str
    stix_id: str
    detail: str


@dataclass(slots=True)
class Findings:
    """Everything that the demonstration found out."""

    crossings: list[Crossing] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    readings: dict[str, dict[str, Reading]] = field(default_factory=dict)
    expectations: list[Expectation] = field(default_factory=list)
    rounds: Rounds = field(default_factory=Rounds)
    names: Mapping[str, str] = field(default_factory=dict)

    def faults(self) -> list[str]:
        """Why this is not converged, in a few words each; none when it is."""
        faults = [f"{one.missing[0]} is missing at {one.receiver}" for one in self.crossings if one.missing]
        faults += [f"{one.leaked[0]} reached {one.receiver}" for one in self.crossings if one.leaked]
        for one in self.crossings:
            if one.behind:
                faults.append(f"{one.giver} has not examined all of {one.collection}")
            elif not one.adds_up:
                faults.append(f"the numbers of {one.collection} from {one.giver} do not add up")
        faults += self.rounds.wrong_sums + self.rounds.troubles
        if self.rounds.second is None:
            faults.append(f"{len(self.rounds.moved)} rounds were not enough")
        elif self.rounds.second:
            faults.append(f"second round moved {amount(self.rounds.second, 'object')}")
        for each in self.expectations:
            if each.expected != each.real:
                faults.append(f"{each.what}: expected {each.expected:,}, found {each.real:,}")
        return faults


def set_aside(context: Context, name: str) -> list[SetAside]:
    """What waits in the quarantine of a node."""
    with context.database.reading() as tx:
        entries = quarantine.entries(tx)
    return [SetAside(name, one.entry, one.link, one.stix_id, one.detail) for one in entries]


def print_findings(out: Printer, found: Findings) -> None:
    """Everything but the verdict."""
    _print_crossings(out, found)
    _print_withheld(out, found)
    _print_set_aside(out, found)
    _print_readings(out, found)
    _print_expectations(out, found)


def print_verdict(out: Printer, found: Findings) -> bool:
    """The last line; whether all is well."""
    faults = found.faults()
    if faults:
        for fault in faults[1:]:
            out.line(f"also: {fault}")
        print_failure(out, faults[0])
        return False
    out.line("converged: yes; second round moved 0 objects")
    return True


def print_failure(out: Printer, why: str) -> None:
    """The last line when something went wrong."""
    out.line(f"converged: no; {why}")


def _print_crossings(out: Printer, found: Findings) -> None:
    out.line()
    out.line("WHAT WENT, compared object by object at both sides")
    names = list(_numbers(found.crossings[0]))
    rows = [
        (one.giver, one.receiver, one.collection, one.carried, *_shown(_numbers(one)), _words(one))
        for one in found.crossings
    ]
    totals = {name: sum(_numbers(one)[name] for one in found.crossings) for name in names}
    heads = ("FROM", "TO", "COLLECTION", "CARRIED", *(name.upper() for name in names), "")
    out.table(heads, [*rows, ("", "", "all", "", *_shown(totals), "")], indent=2)
    for one in found.crossings:
        words: dict[str, Value] = {"explanations": dict(one.explained)}
        out.record("crossing", **_flow(one), **_numbers(one), **words, adds_up=one.adds_up)
    sums = "add up" if all(one.adds_up for one in found.crossings) else "DO NOT ADD UP"
    out.line(
        f"  held = theirs + withheld + permitted, permitted = arrived + explained + missing: the sums {sums}"
    )
    out.line("  theirs: the other side brought it; arrived: the other side holds the very bytes")
    out.line("  explained: its books say why it does not")


def _shown(numbers: Mapping[str, int]) -> list[str]:
    return [f"{number:,}" for number in numbers.values()]


def _words(one: Crossing) -> str:
    return ", ".join(f"{number:,} {word}" for word, number in one.explained.items())


def _flow(one: Crossing) -> dict[str, Value]:
    return {"from": one.giver, "to": one.receiver, "collection": one.collection}


def _numbers(one: Crossing) -> dict[str, int]:
    return {
        "held": one.held,
        "theirs": one.theirs,
        "withheld": len(one.withheld),
        "permitted": one.permitted,
        "arrived": one.arrived,
        "explained": one.explained.total(),
        "missing": len(one.missing),
    }


def _print_withheld(out: Printer, found: Findings) -> None:
    out.line()
    out.line("WHAT DID NOT GO, and why")
    for one in found.crossings:
        for reason, lines in by_reason(one.withheld).items():
            out.line(f"  {one.collection}, {one.giver} to {one.receiver}: {len(lines):,} {reason}")
            for line in lines[:EXAMPLES]:
                out.line(f"      {line.stix_id}  {found.names.get(line.stix_id, '')}".rstrip())
            out.line(f"      {lines[0].detail}")
            out.line(f"      Try: {lines[0].remedy}")
            place = _flow(one)
            out.record(
                "withheld",
                **place,
                reason=reason,
                number=len(lines),
                detail=lines[0].detail,
                remedy=lines[0].remedy,
            )
    if not any(one.withheld for one in found.crossings):
        out.line("  nothing")


def _print_set_aside(out: Printer, found: Findings) -> None:
    if not found.set_aside:
        return
    out.line()
    out.line("WHAT WAS SET ASIDE for a person")
    for one in found.set_aside:
        out.line(f"  {one.link} at {one.node}: {one.entry}")
        out.line(f"      {one.stix_id}  {found.names.get(one.stix_id, '')}".rstrip())
        out.line(f"      {one.detail}")
        out.line(f"      Try: stixnode quarantine show {one.entry}, then accept or discard it")
        out.record(
            "set_aside", node=one.node, link=one.link, entry=one.entry, id=one.stix_id, detail=one.detail
        )


def _print_readings(out: Printer, found: Findings) -> None:
    if not found.readings:
        return
    out.line()
    out.line("WHAT A SOC READS, with a plain TAXII client and clearance AMBER")
    rows = []
    for node, collections in found.readings.items():
        for alias, reading in collections.items():
            held = next(one.held for one in found.crossings if (one.giver, one.collection) == (node, alias))
            shown = f"{len(reading.bodies):,} of {held:,}"
            rows.append((node, alias, shown, f"in {amount(reading.pages, 'page')}"))
            out.record(
                "reading", node=node, collection=alias, objects=len(reading.bodies), pages=reading.pages
            )
    out.table(("AT", "COLLECTION", "OBJECTS", ""), rows, indent=2)


def _print_expectations(out: Printer, found: Findings) -> None:
    if not found.expectations:
        return
    out.line()
    out.line("WHAT WAS EXPECTED, worked out from the content alone")
    rows = [
        (each.what, f"{each.expected:,}", f"{each.real:,}", "ok" if each.expected == each.real else "DIFFERS")
        for each in found.expectations
    ]
    out.table(("", "EXPECTED", "REAL", ""), rows, indent=2)
    for each in found.expectations:
        out.record("expectation", what=each.what, expected=each.expected, real=each.real)


def rounds_line(rounds: Rounds) -> str:
    """`113, 2, 0 and then 0 objects`: what the rounds moved."""
    return ", ".join(f"{number:,}" for number in rounds.moved)


def names_in(values: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """id -> name of objects, for people."""
    return {str(value["id"]): str(value["name"]) for value in values if "name" in value}
