"""South as medallion 3.0, the reference server of OASIS, unchanged: pulled from and pushed to.

medallion keeps everything in memory, speaks plain HTTP (so it is for this machine only) and writes JSON
anew, so what it holds is compared by id and version, and what it gave by meaning.

Writes  medallion's configuration and content, in the folder of the demonstration
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node import clock
from node.cli.asked import Asked
from node.cli.context import Context
from node.cli.demo import report, stage
from node.cli.demo.certificates import Certificates, make_certificates
from node.cli.demo.comparison import compare_with_bodies, compare_with_manifest
from node.cli.demo.reading import read_collections
from node.cli.demo.report import Findings, set_aside
from node.cli.demo.rounds import carry
from node.cli.demo.stage import READER, DemoNode, no_limits
from node.cli.demo.terms import AGREEMENT, agreement_text
from node.cli.partner_rounds import opener
from node.cli.printing import Printer
from node.clock import MICROSECONDS, taxii_time
from node.errors import UsageError
from node.stix.envelope import split
from node.store.definitions import load_definitions
from node.sync.client import Partner

ACCOUNT = "north"
PAGE = 100


def show(out: Printer, place: Path, found: Findings, *_given: object) -> None:
    """North, a stixnode, with medallion as its partner."""
    if importlib.util.find_spec("medallion") is None:
        raise UsageError(
            "medallion is not installed here.", remedy="Install it: pip install 'stixnode[medallion]'"
        )
    now = clock.now()
    certificates = make_certificates(place, now=now)
    ports = stage.free_ports(2)
    north = DemoNode("north", "south", place / "north", ports[0])
    api_root = f"http://127.0.0.1:{ports[1]}/api/"
    south = place / "south"
    password = secrets.token_urlsafe(32)
    config = _write_medallion(south, password, now=now)
    out.notice("north: founding a node; south: medallion with the starter content of south")
    text = agreement_text(["north", "south"], now=now, paper_signed=True)
    stage.create(north, text, certificates, _partner(api_root))
    _write_secret(north.folder / "secrets" / "south", password)
    commands = [
        stage.serve_command(north),
        ["medallion.scripts.run", str(config), "--host", "127.0.0.1", "--port", str(ports[1])],
    ]
    logs = [north.folder / "serve.log", south / "serve.log"]
    with stage.running(commands, logs) as servers:
        _load(out, north, found)
        stage.wait_until_served(f"{north.url}/healthz", servers[0], logs[0], certificates.authority)
        stage.wait_until_served(f"http://127.0.0.1:{ports[1]}/taxii2/", servers[1], logs[1], None)
        stage.add_reader(north)
        stage.run(north, "resume", "south")
        out.line(f"One node, north, at {north.url}, and medallion 3.0 as south, at {api_root}.")
        out.line("North carries both ways: it pulls what medallion holds and pushes what it gives.")
        found.rounds = carry(north, say=out.notice, between=lambda: None, behind=lambda: False)
        out.line(f"Objects that moved, round by round: {report.rounds_line(found.rounds)}.")
        out.notice("comparing with medallion's manifest, and reading north as a SOC does")
        _compare(north, found)
        _read(north, certificates, found)


def _load(out: Printer, north: DemoNode, found: Findings) -> None:
    objects = 0
    for alias, file in stage.starter_bundles("north").items():
        stage.load(north, alias, file)
        objects += len(_values(file))
    out.notice(f"north: {objects} objects of the starter content imported into five collections")
    files = [file for name in ("north", "south") for file in stage.starter_bundles(name).values()]
    found.names = report.names_in([value for file in files for value in _values(file)])


def _compare(north: DemoNode, found: Findings) -> None:
    bundles = stage.starter_bundles("south")
    with Context(Asked(config=str(north.config)), "demo") as context:
        client = opener(context.settings)("south")
        try:
            for link in context.links("south", "out"):
                with context.database.reading() as tx:
                    remote = link.remote or context.collection(tx, link.collection).id
                listed = _manifest(client, remote)
                found.crossings.append(compare_with_manifest(context.door, link, listed, ("north", "south")))
        finally:
            client.close()
        for link in context.links("south", "in"):
            bodies = split(bundles[link.flow].read_bytes())
            found.crossings.append(compare_with_bodies(bodies, context.door, link, ("south", "north")))
        found.set_aside = set_aside(context, "north")


def _manifest(client: Partner, remote: str) -> set[tuple[str, int]]:
    """(id, version) of everything that medallion says it has."""
    listed: set[tuple[str, int]] = set()
    position: str | None = None
    while True:
        page = client.manifest_page(remote, ids=[], next=position, limit=PAGE)
        listed |= {(one.stix_id, one.version or 0) for one in page.records}
        position = page.next
        if not page.more or position is None:
            return listed


def _read(north: DemoNode, certificates: Certificates, found: Findings) -> None:
    found.readings["north"] = read_collections(
        f"{north.url}/api/",
        list(stage.starter_bundles("north")),
        account=READER,
        token=north.reader_token,
        authority=certificates.authority,
    )


def _write_medallion(folder: Path, password: str, *, now: int) -> Path:
    """medallion's content and configuration; the path of the latter."""
    folder.mkdir(mode=0o700)
    content = folder / "content.json"
    content.write_text(json.dumps(_content(now)), encoding="utf-8")
    config = folder / "medallion.json"
    _write_secret(
        config,
        json.dumps(
            {
                "backend": {
                    "module": "medallion.backends.memory_backend",
                    "module_class": "MemoryBackend",
                    "filename": str(content),
                },
                "users": {ACCOUNT: password},
                "taxii": {"max_page_size": PAGE},
            }
        ),
    )
    return config


def _content(now: int) -> dict[str, Any]:
    collections = []
    bundles = stage.starter_bundles("south")
    for definition in load_definitions():
        values = _values(bundles[definition.alias])
        dates = [taxii_time(now - (len(values) - place) * MICROSECONDS) for place in range(len(values))]
        for value, date in zip(values, dates, strict=True):
            if "modified" not in value and "created" not in value:
                value["_date_added"] = date  # medallion's own way to date what has no version
        collections.append(
            {
                "id": definition.id,
                "title": definition.title,
                "description": definition.description,
                "can_read": True,
                "can_write": True,
                "media_types": ["application/stix+json;version=2.1"],
                "objects": values,
                "manifest": [_record(value, date) for value, date in zip(values, dates, strict=True)],
            }
        )
    information = {
        "title": "South",
        "versions": ["application/taxii+json;version=2.1"],
        "max_content_length": 10_485_760,
    }
    root = {"information": information, "status": [], "collections": collections}
    return {"/discovery": {"title": "South", "default": "/api/", "api_roots": ["/api/"]}, "api": root}


def _record(value: Mapping[str, Any], date: str) -> dict[str, str]:
    version = value.get("modified", value.get("created", date))
    return {
        "id": value["id"],
        "date_added": date,
        "version": version,
        "media_type": "application/stix+json;version=2.1",
    }


def _values(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_bytes())["objects"]
    return found


def _partner(api_root: str) -> str:
    return "\n".join(
        [
            "",
            "[partner.south]",
            'kind = "taxii"',
            f'api_root = "{api_root}"',
            f'username = "{ACCOUNT}"',
            'password_file = "secrets/south"',
            f'agreements = ["agreements/{AGREEMENT}.toml"]',
            no_limits("south"),
            "",
        ]
    )


def _write_secret(place: Path, text: str) -> None:
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
