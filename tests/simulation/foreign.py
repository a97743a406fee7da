"""A server of other software in this process: the simulated partner of the tests, asked without a socket."""

from __future__ import annotations

from urllib.parse import parse_qs

from tests.simulation.acts import Plan
from tests.simulation.wire import Answered, Asked
from tests.support.partner import COLLECTION, MEDIA, SimulatedPartner
from tests.support.partner import Asked as Request

__all__ = ["COLLECTION", "a_foreign_server", "ask"]


def a_foreign_server(plan: Plan) -> SimulatedPartner:
    """A server with the manners of a plan."""
    server = SimulatedPartner()
    for name, value in plan.manners:
        setattr(server, name, value)
    return server


def ask(server: SimulatedPartner, asked: Asked, *, whole: bool = True) -> Answered:
    """Its answer; a body that was cut on the way is none that it takes."""
    if not whole:
        return Answered(400, {"Content-Type": MEDIA}, b'{"title":"cut"}')
    headers = {name.lower(): value for name, value in asked.headers}
    canned = server.answer(Request(asked.method, asked.path, parse_qs(asked.query), headers, asked.body))
    given = dict(canned.headers)
    if canned.content_type is not None:
        given["Content-Type"] = canned.content_type
    return Answered(canned.status, {**given, "Content-Length": str(len(canned.body))}, canned.body)
