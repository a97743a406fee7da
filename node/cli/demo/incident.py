"""`stixnode demo --incident`: a wrong batch is found by value, stopped, withdrawn and acknowledged.

Rule    Each step is a command of this program, and what is shown is what it prints. In the end both stores
        are read over TAXII as a SOC reads them: what a command said of itself proves nothing.

Writes  a folder for each node
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node import clock
from node.cli.demo import stage
from node.cli.demo.pair import Pair, two_served
from node.cli.demo.reading import read_collections
from node.cli.demo.stage import READER, DemoNode, Line
from node.cli.demo.terms import IDENTITIES
from node.cli.exits import ATTENTION, DONE, INCOMPLETE, RULE
from node.cli.printing import Printer, Value, amount
from node.clock import taxii_time
from node.stix.markings import OFFICIAL, TLP

COLLECTION = "indicators"
WRONG = "198.51.100.7"
HEARD = "198[.]51[.]100[.]7"  # as somebody writes it in a mail
REASON = "198.51.100.7 is a hospital's mail relay, not an attacker"
_NUMBER = 4
_GREEN = next(stix_id for stix_id, level in OFFICIAL.items() if level is TLP.GREEN)


@dataclass(slots=True)
class Drill:
    """What the drill found out; `wrong` is empty when it went as it should."""

    found: int = 0
    withdrawn: int = 0
    acknowledged: int = 0
    holders: list[str] = field(default_factory=list)
    standing: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether it went as it should."""
        return not self.wrong

    @property
    def verdict(self) -> str:
        """The last line, in one form for a script to compare."""
        if self.wrong:
            return f"drill: not passed; {self.wrong[0]}"
        return (
            f"drill: passed; {amount(self.found, 'object')} found by value, {self.withdrawn} withdrawn,"
            f" {self.acknowledged} acknowledged by south; {self.standing or 'none'} of them left standing"
        )

    @property
    def numbers(self) -> dict[str, Value]:
        """For the summary."""
        return {
            "passed": self.well,
            "found": self.found,
            "withdrawn": self.withdrawn,
            "acknowledged": self.acknowledged,
            "standing": self.standing,
            "held_by": list[Value](self.holders),
        }

    def expect(self, what: str, wanted: object, real: object) -> None:
        """Note a difference."""
        if wanted != real:
            self.wrong.append(f"{what}: expected {wanted}, found {real}")


def drill(out: Printer, place: Path) -> Drill:
    """Two nodes exchange, one of them something wrong, and it is taken back.

    Args:
        out: Where each command and its answer are shown.
        place: An empty folder.
    """
    done = Drill()
    with two_served(out, place) as pair:
        for node in pair.nodes:
            for alias, file in stage.starter_bundles(node.name).items():
                stage.load(node, alias, file)
        pair.open()
        _carried(pair.north)
        ids = _goes_wrong(out, pair, place)
        arrival = _found(out, pair, ids, done)
        _taken_back(out, pair, arrival, ids, done)
        _looked_after(out, pair, ids, done)
    return done


def _goes_wrong(out: Printer, pair: Pair, place: Path) -> list[str]:
    """A wrong batch is imported, crosses, and is read by a SOC at both nodes."""
    bodies = wrong_batch(taxii_time(clock.now())[:23] + "Z")
    file = place / "monday.json"
    file.write_text(json.dumps({"type": "bundle", "id": f"bundle--{_uuid(0)}", "objects": bodies}))
    _say(out, f"10:02  North imports a batch of {amount(_NUMBER, 'indicator')}, and it crosses.")
    _show(out, pair.north, "import", COLLECTION, str(file), codes=(DONE, INCOMPLETE), shown=file.name)
    _carried(pair.north)
    for node in pair.nodes:
        _read(node, pair)
    return [str(body["id"]) for body in bodies]


def _found(out: Printer, pair: Pair, ids: Sequence[str], done: Drill) -> str:
    """Find it by value; the arrival that brought it."""
    _say(out, f'10:40  A SOC calls: "{HEARD} is our hospital\'s mail relay!" What is it, and who has it?')
    _show(out, pair.north, "find", HEARD)
    lines = stage.run(pair.north, "find", HEARD)
    found = {str(line["id"]) for line in lines if line["type"] == "object"}
    done.found = len(found)
    done.expect("found by value", sorted(ids), sorted(found))
    _say(out, "       And at South, who has read past the first of them?", blank=False)
    _show(out, pair.south, "find", ids[0])
    done.holders = _holders(pair.north, lines) + _holders(pair.south, stage.run(pair.south, "find", ids[0]))
    readers = [f"account {READER} at {node.name}" for node in pair.nodes]
    done.expect("who holds it", [readers[0], "partner south", readers[1]], done.holders)
    _say(out, f"       It is held by: {'; '.join(done.holders)}.", blank=False)
    return _arrival(lines)


def _taken_back(out: Printer, pair: Pair, arrival: str, ids: Sequence[str], done: Drill) -> None:
    north = pair.north
    _say(out, "10:41  Nothing more goes out until this is clear.")
    _show(out, north, "stop", "south", "--reason", "a wrong batch is out")
    done.expect("moved while stopped", 0, _moved(north))
    _say(out, f"10:45  The whole batch is withdrawn: {arrival}, which `find` named.")
    words = ("withdraw", "--batch", arrival, "--reason", REASON, "--yes")
    _show(out, north, *words, person=True)
    _say(out, "10:46  South is opened again, and the withdrawal goes out first.")
    _show(out, north, "resume", "south")
    _show(out, north, "sync", "south", codes=(DONE, INCOMPLETE))
    _carried(north)
    _say(out, "10:47  Has South acknowledged it?")
    _show(out, north, "withdraw", "list", codes=(DONE, ATTENTION))
    lines = [line for line in stage.run(north, "withdraw", "list") if line["type"] == "withdrawal"]
    done.withdrawn = len({str(line["id"]) for line in lines} & set(ids))
    done.acknowledged = sum(
        bool(line["told"]) and not any(each["open"] for each in line["told"])
        for line in lines
        if line["id"] in ids
    )
    done.expect("withdrawn", len(ids), done.withdrawn)
    done.expect("acknowledged", len(ids), done.acknowledged)


def _looked_after(out: Printer, pair: Pair, ids: Sequence[str], done: Drill) -> None:
    """Read both nodes as a SOC does: the newest version of each must be revoked at both."""
    _say(out, "10:50  What a SOC is shown now, at North and at South:")
    for node in pair.nodes:
        newest = _read(node, pair)
        revoked = sum(bool(newest[each].get("revoked")) for each in ids if each in newest)
        done.standing += len(ids) - revoked
        _say(out, f"       {node.name}: {revoked} of {len(ids)} revoked", blank=False)
        done.expect(f"revoked at {node.name}", len(ids), revoked)
    _say(out, "       Somebody imports the same file again:", blank=False)
    file = pair.north.folder.parent / "monday.json"
    _show(out, pair.north, "import", COLLECTION, str(file), codes=(DONE, INCOMPLETE), shown=file.name)
    done.expect("moved by the same file", 0, _moved(pair.north))


def wrong_batch(moment: str) -> list[dict[str, object]]:
    """Indicators by North about one address that is no attacker's.

    Args:
        moment: When they are written, as STIX writes it.
    """
    patterns = (
        f"[ipv4-addr:value = '{WRONG}']",
        f"[network-traffic:dst_ref.value = '{WRONG}' AND network-traffic:dst_port = 25]",
        f"[email-message:received_lines[*] MATCHES 'from' AND ipv4-addr:value = '{WRONG}']",
        f"[url:value = 'http://{WRONG}/login' OR ipv4-addr:value = '{WRONG}']",
    )
    return [
        {
            "type": "indicator",
            "spec_version": "2.1",
            "id": f"indicator--{_uuid(number)}",
            "created_by_ref": IDENTITIES["north"],
            "created": moment,
            "modified": moment,
            "name": f"Phishing relay, finding {number} of Monday",
            "indicator_types": ["malicious-activity"],
            "pattern": pattern,
            "pattern_type": "stix",
            "valid_from": moment,
            "object_marking_refs": [_GREEN],
        }
        for number, pattern in enumerate(patterns, 1)
    ]


def _uuid(number: int) -> str:
    return f"5d0c3f10-7a52-4c57-9d1e-0000000000{number:02d}"


def _carried(node: DemoNode) -> None:
    """Rounds until one moves nothing."""
    for _ in range(10):
        if _moved(node) == 0:
            return


def _moved(node: DemoNode) -> int:
    lines = stage.run(node, "sync", codes=(DONE, INCOMPLETE, RULE))
    return int(lines[-1].get("moved", 0))


def _read(node: DemoNode, pair: Pair) -> dict[str, Mapping[str, object]]:
    """id -> newest version, as the node's SOC is shown it."""
    read = read_collections(
        f"{node.url}/api/",
        [COLLECTION],
        account=READER,
        token=node.reader_token,
        authority=pair.certificates.authority,
    )
    newest: dict[str, Mapping[str, object]] = {}
    for body in read[COLLECTION].bodies:
        value = json.loads(body)
        before = newest.get(value["id"])
        if before is None or str(before.get("modified", "")) < str(value.get("modified", "")):
            newest[value["id"]] = value
    return newest


def _holders(node: DemoNode, lines: Sequence[Line]) -> list[str]:
    """Who has it by what a node's `find` says: accounts that have read past it, and partners it was given."""
    objects = [line for line in lines if line["type"] == "object"]
    partners = {f"partner {each['partner']}" for line in objects for each in line["given"]}
    readings = [each for line in objects for each in line["read_past_by"]]
    return [
        *sorted({f"account {each['account']} at {node.name}" for each in readings}),
        *sorted(partners),
    ]


def _arrival(lines: Sequence[Line]) -> str:
    """The arrival that brought them, by what `find` says; one for all of them."""
    names = {
        each["arrival"]["name"] for line in lines if line["type"] == "object" for each in line["versions"]
    }
    return ", ".join(sorted(names))


def _say(out: Printer, text: str, *, blank: bool = True) -> None:
    if blank:
        out.line()
    out.line(text)


def _show(
    out: Printer,
    node: DemoNode,
    *words: str,
    codes: Sequence[int] = (DONE,),
    person: bool = False,
    shown: str = "",
) -> None:
    """Carry a command out, and show it with what it prints."""
    typed = shlex.join(shown if shown and word.endswith(shown) else word for word in words)
    out.line(f"{node.name}$ stixnode {typed}")
    given = (*words, "--token-file", str(node.folder / "secrets" / "operator")) if person else words
    for line in stage.printed(node, *given, codes=codes):
        # Which node it is says the prompt; without it the lines are those of the node's own folder.
        out.line(f"    {line.replace(f' --config {node.config}', '')}".rstrip())
    out.record("step", node=node.name, command=typed)
