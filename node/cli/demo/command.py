"""`stixnode demo`: two nodes on this machine, north and south, that exchange and are compared.

Rule    Everything that the demonstration starts it stops, and everything that it makes it removes, also
        when it fails or is interrupted; with --keep the folders of the nodes stay. The last line on stdout
        says whether the two sides converged, and the exit code says the same.

Writes  a folder of its own
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from node.cli.asked import Asked, Command
from node.cli.context import Context, with_context
from node.cli.demo import expectations, medallion, report, stage
from node.cli.demo.certificates import Certificates
from node.cli.demo.comparison import compare
from node.cli.demo.expectations import FileContent, Forecast
from node.cli.demo.incident import drill
from node.cli.demo.pair import two_served
from node.cli.demo.reading import read_collections
from node.cli.demo.report import Expectation, Findings, set_aside
from node.cli.demo.rounds import carry
from node.cli.demo.stage import READER, DemoNode
from node.cli.demo.terms import AGREEMENT
from node.cli.exits import DONE, ERROR
from node.cli.printing import Printer
from node.errors import NodeError, UsageError
from node.exchange import feeds, ledger
from node.sharing.agreements import digest_words, parse_agreement
from node.sharing.decisions import Reason
from node.stix.markings import TLP

DATA_GOES_TO = "techniques"
PARTNER_DATA_GOES_TO = "indicators"

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Given:
    """A file of one's own: where it goes, and what it holds."""

    node: str
    collection: str
    file: Path
    content: FileContent
    ceiling: TLP


@click.command(cls=Command)
@click.option("--data", type=_FILE, help=f"A file for north's {DATA_GOES_TO}.")
@click.option("--partner-data", type=_FILE, help=f"A file for south's {PARTNER_DATA_GOES_TO}.")
@click.option(
    "--partner",
    type=click.Choice(("stixnode", "medallion")),
    default="stixnode",
    show_default=True,
    help="What south is: a node like north, or the reference server of OASIS.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="An empty or new folder in which the nodes stay.",
)
@click.option(
    "--incident",
    is_flag=True,
    help="A drill: a wrong batch went out; it is found by value, stopped, withdrawn and acknowledged.",
)
@with_context
def demo(
    context: Context,
    data: Path | None,
    partner_data: Path | None,
    partner: str,
    keep: Path | None,
    incident: bool,
) -> int:
    """Run two nodes on this machine that exchange, and compare what both hold afterwards.

    Each has its own database, keys and people; both have the same agreement. All content is made up,
    unless files of your own are given. Everything is removed at the end.
    """
    out = context.out
    if partner == "medallion" and (data or partner_data):
        raise UsageError(
            "medallion keeps all in memory and is shown with the starter content alone.",
            remedy="Leave out --data and --partner-data, or leave out --partner medallion.",
        )
    if incident and (data or partner_data or partner == "medallion"):
        raise UsageError(
            "The drill has content of its own, and two stixnodes.",
            remedy="Leave out --data, --partner-data and --partner, or leave out --incident.",
        )
    if incident:
        return _drilled(out, keep)
    found = Findings()
    try:
        with ended_in_order(), stage.own_environment(), _folder(keep) as place:
            show = medallion.show if partner == "medallion" else _show
            show(out, place, found, *_given(data, partner_data))
            report.print_findings(out, found)
            if keep:
                _print_kept(out, place, partner)
        out.line()
        well = report.print_verdict(out, found)
    except BaseException as cause:
        report.print_failure(out, _why(cause))
        raise
    return out.summary(DONE if well else ERROR, converged=well, second_round=found.rounds.second)


def _drilled(out: Printer, keep: Path | None) -> int:
    """The drill, in a folder of its own."""
    try:
        with ended_in_order(), stage.own_environment(), _folder(keep) as place:
            outcome = drill(out, place)
            if keep:
                _print_kept(out, place, "stixnode")
        out.line()
        out.line(outcome.verdict)
    except BaseException as cause:
        report.print_failure(out, _why(cause))
        raise
    return out.summary(DONE if outcome.well else ERROR, **outcome.numbers)


def _show(out: Printer, place: Path, found: Findings, *given: Given) -> None:
    """Two stixnodes."""
    with two_served(out, place) as pair:
        north, south = pair.nodes
        _load(out, pair.nodes, given, found)
        pair.open()
        out.line(f"Two nodes on this machine: north at {north.url}, south at {south.url}, over TLS.")
        digest = digest_words(parse_agreement(pair.terms, AGREEMENT).terms_digest)
        out.line(f"Both have {AGREEMENT} revision 1, terms {digest}.")
        out.line("North carries both ways: it pulls what South gives and pushes what it gives. South serves.")
        waiting: list[Counter[str]] = []
        found.rounds = carry(
            north,
            say=out.notice,
            between=lambda: waiting.append(_reasons(south)),
            behind=lambda: any(_behind(node) for node in pair.nodes),
        )
        out.line(f"Objects that moved, round by round: {report.rounds_line(found.rounds)}.")
        out.notice("comparing both sides object by object, and reading them as a SOC does")
        _compare(pair.nodes, found)
        _read(pair.nodes, pair.certificates, found)
    for each in given:
        others = {key: value for one in given for key, value in one.content.definitions.items()}
        first = expectations.forecast(each.content, each.content.definitions, each.ceiling)
        last = expectations.forecast(each.content, others, each.ceiling)
        _expect(each, first, last, found, waiting[0])


def _load(out: Printer, nodes: tuple[DemoNode, ...], given: tuple[Given, ...], found: Findings) -> None:
    for node in nodes:
        objects = 0
        for alias, file in stage.starter_bundles(node.name).items():
            stage.load(node, alias, file)
            values = json.loads(file.read_bytes())["objects"]
            found.names = {**found.names, **report.names_in(values)}
            objects += len(values)
        out.notice(f"{node.name}: {objects} objects of the starter content imported into five collections")
        for each in given:
            if each.node != node.name:
                continue
            lines = stage.load(node, each.collection, each.file)
            counts, name = lines[-1], each.content.name
            refused = [line for line in lines if line["type"] == "refused"]
            out.notice(f"{node.name}: {counts['read']:,} objects of {name} imported into {each.collection}")
            for line in refused:
                out.line(f"refused by {node.name}: {line['id']}: {line['message']}")
            same = {line["id"] for line in refused} == set(each.content.unsound)
            stored = int(counts.get("stored", 0)) + int(counts.get("duplicate", 0))
            found.expectations += [
                Expectation(f"{name}: objects in the file", each.content.read, int(counts["read"])),
                Expectation(f"{name}: stored by {node.name}", len(each.content.sound), stored),
                Expectation(
                    f"{name}: refused by name",
                    len(each.content.unsound),
                    len(refused) if same else -1,
                ),
            ]


def _expect(given: Given, first: Forecast, last: Forecast, found: Findings, waiting: Counter[str]) -> None:
    """What should have become of a file, beside what did."""
    name, giver = given.content.name, given.node
    receiver = "south" if giver == "north" else "north"
    crossing = next(
        one for one in found.crossings if (one.giver, one.collection) == (giver, given.collection)
    )
    ids = {one.stix_id for one in given.content.sound}
    kept = [line for line in crossing.withheld if line.stix_id in ids]
    shown = expectations.digests(found.readings[receiver][given.collection].bodies)
    if giver == "south":
        what = f"{name}: waited at first for a marking-definition"
        real = waiting[Reason.UNKNOWN_MARKING]
        found.expectations.append(Expectation(what, len(first.unknown_marking), real))
        what = f"{name}: waited at first for one of those objects"
        real = waiting[Reason.WAITS_FOR_REFERENCE]
        found.expectations.append(Expectation(what, len(first.waits_for_reference), real))
    sent = [one for one in given.content.sound if one.bytes_digest not in last.staying]
    found.expectations += [
        Expectation(
            f"{name}: withheld at the end, with a reason", len(given.content.sound) - len(sent), len(kept)
        ),
        Expectation(
            f"{name}: read at {receiver} over TAXII, byte for byte",
            len(sent),
            len(given.content.digests & shown),
        ),
    ]


def _reasons(node: DemoNode) -> Counter[str]:
    """How many versions a node withholds, by reason."""
    found: Counter[str] = Counter()
    with _opened(node) as context, context.database.reading() as tx:
        for _, reason, number in ledger.reasons(tx):
            found[reason] += number
    return found


def _behind(node: DemoNode) -> bool:
    with _opened(node) as context, context.database.reading() as tx:
        links = context.links(node.partner, "out")
        return any(feeds.is_behind(tx, link, context.collection(tx, link.collection)) for link in links)


def _compare(nodes: tuple[DemoNode, ...], found: Findings) -> None:
    with contextlib.ExitStack() as stack:
        contexts = {node.name: stack.enter_context(_opened(node)) for node in nodes}
        for node in nodes:
            giver, receiver = contexts[node.name], contexts[node.partner]
            for link in giver.links(node.partner, "out"):
                incoming = receiver.door.link_of(node.name, link.flow, "in")
                assert incoming is not None  # one agreement makes both
                names = (node.name, node.partner)
                found.crossings.append(compare(giver.door, link, receiver.door, incoming, names))
        for node in nodes:
            found.set_aside += set_aside(contexts[node.name], node.name)


def _read(nodes: tuple[DemoNode, ...], certificates: Certificates, found: Findings) -> None:
    for node in nodes:
        found.readings[node.name] = read_collections(
            f"{node.url}/api/",
            list(stage.starter_bundles(node.name)),
            account=READER,
            token=node.reader_token,
            authority=certificates.authority,
        )


@contextlib.contextmanager
def _opened(node: DemoNode) -> Iterator[Context]:
    with Context(Asked(config=str(node.config)), "demo") as context:
        yield context


def _given(data: Path | None, partner_data: Path | None) -> list[Given]:
    given = []
    if data:
        content = expectations.content_of(data)
        given.append(Given("north", DATA_GOES_TO, data.absolute(), content, TLP.GREEN))
    if partner_data:
        content = expectations.content_of(partner_data)
        given.append(Given("south", PARTNER_DATA_GOES_TO, partner_data.absolute(), content, TLP.AMBER))
    return given


def _why(cause: BaseException) -> str:
    if isinstance(cause, NodeError):
        return cause.problem
    return "interrupted" if isinstance(cause, KeyboardInterrupt) else f"{type(cause).__name__}: {cause}"


def _print_kept(out: Printer, place: Path, partner: str) -> None:
    north, south = place / "north" / "config.toml", place / "south" / "config.toml"
    out.line()
    out.line(f"Both nodes stay in {place}; nothing runs any more. To go on:")
    if partner == "stixnode":
        out.line(f"  stixnode --config {south} serve       and, in another terminal,")
    out.line(f"  stixnode --config {north} status")
    if partner == "stixnode":
        out.line(f"  stixnode --config {north} sync")


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder for all of it; removed at the end, unless it is to be kept."""
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise UsageError(
                f"The folder {keep} is not empty.", remedy="Name a new or an empty folder: --keep DIR"
            )
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield keep.absolute()
        return
    place = Path(tempfile.mkdtemp(prefix="stixnode-demo-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM end us as Ctrl-C does, so that nothing that we started outlives us."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: Callable[..., object] | int | None = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
