"""The server of the TAXII 2.1 Interoperability Test Document v1.0 (CSD01), with the values that it gives.

What differs, and how it is mapped:
  * The document's user `test` with the password `Passw0rd!` is our account `test` with the token that it was
    issued; nobody chooses a token.
  * Its roots `/api1/` (absolute) and `/api2/` (relative) are our one root `/api/`, named as an address where
    the node has a public URL and as a path where it has none; both are run. `/api3/` is nowhere.
  * Its collection without any right reuses the id of Collection 2; here it has an id of its own.
  * Our status is complete when the POST is answered, so a pending one (3.11.2) is shown to our client alone.

The rows of the client (TXC) are asked by `taxii2-client` and by our own sync client, in process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taxii2client.common import _HTTPConnection
from taxii2client.v21 import ApiRoot, Server

from node.store.catalog import Definition
from tests.support.builders import a_malware, an_id, an_identity, an_indicator
from tests.support.served import Client, Served, a_served
from tests.support.two_nodes import Wire

MT = "application/taxii+json;version=2.1"
FIRST, LAST = "X-TAXII-Date-Added-First", "X-TAXII-Date-Added-Last"
WRITE_ONLY = "1105e147-e4c1-4566-8fb1-1046d181fbf8"
READ_ONLY = "253900d3-b9dd-46df-8184-469380fae6d2"
READ_WRITE = "378e5de7-84a4-45e4-8a34-c02a43d0b657"
NEITHER = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
MISSING = "d021ecc8-ab8e-41ab-815e-911c7e329f88"
INDICATOR = "indicator--252c7c11-daf2-42bd-843b-be65edca9f61"
STATUS = "2d086da7-4bdc-4f91-900e-d77486753710"
RIGHTS = {
    WRITE_ONLY: (False, True),
    READ_ONLY: (True, False),
    READ_WRITE: (True, True),
    NEITHER: (False, False),
}
DEFINITIONS = [
    Definition(
        alias=f"collection-{number}",
        title=f"Collection {number}",
        id=collection,
        listed=collection == NEITHER,
    )
    for number, collection in enumerate(RIGHTS, start=1)
]
VERSIONS = [f"2026-11-20T08:0{n}:00.000Z" for n in range(5)]
CHALLENGES = 'Basic realm="taxii", type=1, title="Login to \\"apps\\"", Basic realm="simple"'
CUSTOM = "x_18467e42_04f4_4505_93c8_9f1cf29e1045_test_client"
MALWARE = an_id("malware", "interop")
INDICATORS = [an_indicator("interop", id=INDICATOR, created=VERSIONS[0], modified=each) for each in VERSIONS]
IDENTITY = an_id("identity", "interop")
CONTENT = [an_identity("interop"), INDICATORS[0], a_malware("interop"), *INDICATORS[1:]]


@dataclass
class Document:
    """The server of the document."""

    node: Served
    user: Client
    address: str

    def get(self, path: str, **params: object) -> Any:
        """A GET of the user; the path is relative to the collections or begins with a slash."""
        return self.user.get(path, **params)


def a_document(database: Any, folder: Path) -> Document:
    node = a_served(database, folder, definitions=DEFINITIONS)
    aliases = {one.id: one.alias for one in DEFINITIONS}
    user = node.account(
        "test",
        read=[aliases[each] for each, (read, _) in RIGHTS.items() if read],
        write=[aliases[each] for each, (_, write) in RIGHTS.items() if write],
    )
    node.admit(CONTENT, aliases[READ_ONLY])
    return Document(node, user, "http://north.example")


def client_of(document: Document, user: str | None = None, password: str | None = None) -> Server:
    """taxii2-client at the document's server, in this process."""
    connection = _HTTPConnection(user or document.user.name, password or document.user.token, version="2.1")
    connection.session.mount("http://", Wire(lambda: document.node.app))
    connection.session.mount("https://", Wire(lambda: document.node.app))
    # The client opens a connection of its own for each root that it finds; here it keeps this one.
    server = Server(f"{document.address}/taxii2/", conn=connection)
    server.roots = [ApiRoot(root.url, conn=connection) for root in server.api_roots]
    return server


def collection_of(server: Server, collection: str) -> Any:
    return next(one for one in server.roots[0].collections if one.id == collection)


def ids(answer: Any) -> list[str]:
    found = answer.json if not isinstance(answer, dict) else answer
    return [one["id"] for one in found.get("objects", [])]


def dated(answer: Any) -> bool:
    return FIRST in answer.headers and LAST in answer.headers
