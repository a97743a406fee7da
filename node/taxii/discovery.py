"""Discovery, the API root, its collections, and one collection.

Rule: addresses come from the configuration, never from the request. `can_read` and `can_write` are
those of the account that asks.

Reads   the catalog and rights; writes nothing
"""

from __future__ import annotations

import msgspec
from flask import Blueprint, Response, request

from node.taxii import exchange_headers, rights
from node.taxii.face import answer, carry, face, negotiate, visit
from node.taxii.protocol import API_ROOT, DISCOVERY, MEDIA_TYPE
from node.taxii.rights import Right

blueprint = Blueprint("discovery", __name__)

MEDIA_TYPES = ["application/stix+json;version=2.1", "application/stix+json;version=2.0"]


@blueprint.get(DISCOVERY)
def get_discovery() -> Response:
    """The discovery resource: which API root there is.

    Source:
        TAXII 2.1 section 4.1.
    """
    with visit():
        negotiate()
        ours = face()
        root = f"{ours.public_url}{API_ROOT}" if ours.public_url.startswith("https://") else API_ROOT
        return _json({"title": ours.title, "default": root, "api_roots": [root]})


@blueprint.get(API_ROOT)
def get_api_root() -> Response:
    """The API root resource.

    Source:
        TAXII 2.1 section 4.2.
    """
    with visit():
        negotiate()
        ours = face()
        return _json(
            {"title": ours.title, "versions": [MEDIA_TYPE], "max_content_length": ours.max_content_length}
        )


@blueprint.get(f"{API_ROOT}collections/")
def get_collections() -> Response:
    """Every collection that the account sees, by id; `{}` when it sees none.

    Source:
        TAXII 2.1 section 5.1.
    """
    with visit() as here:
        found = rights.visible(here)
        negotiate()
        return _json({"collections": [resource_of(right) for right in found]} if found else {})


@blueprint.get(f"{API_ROOT}collections/<name>/")
def get_collection(name: str) -> Response:
    """One collection, by id or alias. A partner of our own kind learns our epoch here.

    Source:
        TAXII 2.1 section 5.2.
    """
    with visit() as here:
        right = rights.find(here, name)
        about = [link for link in (right.inlet, right.feed, *right.links) if link is not None]
        if about:
            said = exchange_headers.told(request.headers, about[0])
            link = exchange_headers.refuse_other_terms(here, said, about)
            if link is right.inlet:
                exchange_headers.note_epoch(here, link, said)
            carry(exchange_headers.shown(right.collection, link))
        negotiate()
        return _json(resource_of(right))


def resource_of(right: Right) -> dict[str, object]:
    """A collection as one account sees it; its properties as TAXII 2.1 section 5.2 names them."""
    """A collection as one account sees it (TAXII 2.1 section 5.2)."""
    collection = right.collection
    resource: dict[str, object] = {"id": collection.id, "title": collection.title}
    if collection.description:
        resource["description"] = collection.description
    resource["alias"] = collection.alias
    resource["can_read"] = right.can_read
    resource["can_write"] = right.can_write
    resource["media_types"] = MEDIA_TYPES
    return resource


def _json(resource: object) -> Response:
    return answer(msgspec.json.encode(resource))
