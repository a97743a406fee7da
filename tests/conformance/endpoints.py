"""The ten endpoints of TAXII 2.1, and a collection in which every one of them has something to say.

    tour = a_tour(target)
    for name, path in tour.reads.items(): target.member.get(path)
    tour.ask(target.member, "POST objects")

Rule: what is asked again and again of all endpoints is named here once, so that no test forgets one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.test import TestResponse

from tests.conformance.target import MT, Caller, Place, Target
from tests.support.builders import LATER, an_id, an_indicator, an_ipv4
from tests.support.served import an_envelope

ONE, TWO = an_id("indicator"), an_id("indicator", "two")
UNKNOWN_ID = an_id("indicator", "never posted")
UNKNOWN_PLACE = "d021ecc8-ab8e-41ab-815e-911c7e329f88"
TAXII_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")

LISTINGS = ("GET objects", "GET manifest", "GET object", "GET versions")
"""The endpoints that take filters and tell dates."""


@dataclass(frozen=True, slots=True)
class Tour:
    """A collection with content, and the addresses of all endpoints.

    Args:
        place: Holds an indicator in two versions, another one and an address.
        status_id: Of a POST by the member, "" where it may not.
    """

    place: Place
    status_id: str

    @property
    def reads(self) -> dict[str, str]:
        """The path of every endpoint that is read."""
        place = self.place
        return {
            "GET discovery": "/taxii2/",
            "GET root": place.root,
            "GET status": f"{place.root}status/{self.status_id or UNKNOWN_PLACE}/",
            "GET collections": f"{place.root}collections/",
            "GET collection": place.path,
            "GET objects": place.objects,
            "GET manifest": place.manifest,
            "GET object": place.object(ONE),
            "GET versions": place.versions(ONE),
        }

    @property
    def listings(self) -> dict[str, str]:
        """The path of every endpoint that takes filters."""
        return {name: path for name, path in self.reads.items() if name in LISTINGS}

    @property
    def all(self) -> dict[str, str]:
        """The path of every endpoint and method; the deletion is last."""
        return {
            **self.reads,
            "POST objects": self.place.objects,
            "DELETE object": self.place.object(TWO),
        }

    def ask(
        self, caller: Caller, name: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> TestResponse:
        """The answer of an endpoint; what is posted is held already."""
        method = name.partition(" ")[0]
        if method == "POST":
            more = {"data": an_envelope([an_indicator()]), **more}
            headers = {"Content-Type": MT, **(headers or {})}
        return caller.send(method, self.all[name], headers=headers, **more)


def a_tour(target: Target, rights: str = "rw") -> Tour:
    """A new collection of these rights, with content and a status that the member may read."""
    place = target.place(rights)
    target.seed(place, [an_indicator(), an_indicator(modified=LATER), an_indicator("two"), an_ipv4()])
    posted = target.member.post(target.place("rw"), [an_indicator()])
    return Tour(place, posted.json["id"] if posted.status_code == 202 else "")


def told(found: TestResponse) -> tuple[int, str, str]:
    """What every error must say of itself: status, media type, and `http_status`."""
    said = found.get_json(force=True, silent=True)
    return (
        found.status_code,
        found.headers.get("Content-Type", ""),
        said.get("http_status", "") if isinstance(said, dict) else "",
    )


def an_error(status: int) -> tuple[int, str, str]:
    """What `told` gives for a TAXII error resource of this status."""
    return status, MT, str(status)
