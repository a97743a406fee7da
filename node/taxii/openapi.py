"""The description of the server by OpenAPI 3.1, at `/openapi.json`.

Rule: kept by hand in `openapi.json`, because TAXII is fixed, and held to the routes by tests in both
directions. Anybody may read it: it is the same for every node, but for the address, which is the configured
one and never that of the request, and says nothing of collections, limits or the version that runs.

Reads   the file beside this one, once
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

import msgspec
from flask import Blueprint, Response

from node.taxii.face import face

blueprint = Blueprint("openapi", __name__)

ADDRESS = "/openapi.json"
_JSON = "application/json"


@blueprint.get(ADDRESS)
def get_description() -> Response:
    """The description, as JSON, without credentials."""
    return Response(description(face().public_url), content_type=_JSON)


@lru_cache(maxsize=8)
def description(public_url: str) -> bytes:
    """The description of a node, as JSON.

    Args:
        public_url: How others reach the node, without a last slash; "" when only this machine does.

    Source:
        OpenAPI 3.1.1; RFC 9110 section 9.3.2 for what HEAD answers.
    """
    file = resources.files("node.taxii").joinpath("openapi.json")
    document: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    document["servers"] = [{"url": public_url or "/"}]
    for operations in document["paths"].values():
        if "get" in operations:
            operations["head"] = _head(operations["get"])
    for name, answer in list(document["components"]["responses"].items()):
        document["components"]["responses"][f"{name}Head"] = _bodiless(answer)
    return msgspec.json.encode(document)


def _head(get: dict[str, Any]) -> dict[str, Any]:
    """The operation HEAD of an address: all that GET says, but for the bodies."""
    answers = {
        status: {"$ref": f"{answer['$ref']}Head"} if "$ref" in answer else _bodiless(answer)
        for status, answer in get["responses"].items()
    }
    name = get["operationId"].replace("get", "head", 1)
    return {**get, "operationId": name, "summary": f"{get['summary']}: headers alone", "responses": answers}


def _bodiless(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "content"}
