"""Requests that schemathesis makes from the description, in process: as a SOC, a partner and a stranger.

Found must be: no 5xx, no status, media type, header or body that is not described, nothing refused that the
description allows, nothing taken that it forbids. `FUZZ=n` makes n of each kind, at random.
"""

from __future__ import annotations

import json
from collections import Counter
from urllib.parse import unquote_to_bytes

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from node.taxii.protocol import API_ROOT
from tests.support.builders import an_indicator
from tests.support.fuzzing import DATABASES, FUZZ, Answer, complaints
from tests.support.served import an_exchange, basic

WHO = ("soc", "partner", "stranger")
ADD = f"POST {API_ROOT}collections/{{collection}}/objects/"


def searched(app, document, headers, *, phases, few):
    """(what is wrong, how many answers had which status) of a whole run."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": 7,
            "analysis": {"constants": {"enabled": bool(FUZZ)}},
            "continue-on-failure": True,
            "workers": 1,
            "headers": {"Accept-Encoding": "identity", **headers},
            "generation": {"max-examples": FUZZ or few, "deterministic": not FUZZ, "database": "none"},
            # That check cannot speak to an application in process; strangers have a run of their own.
            "checks": {"ignored_auth": {"enabled": False}},
            "phases": {
                name: {"enabled": name in phases} for name in ("examples", "coverage", "fuzzing", "stateful")
            },
            "operations": [
                # A wrong object does not make a wrong request: the status says what became of it.
                {"include-name": ADD, "checks": {"negative_data_rejection": {"enabled": False}}},
            ],
        }
    )
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.app = app
    wrong, statuses = [], Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(f"{event}")
        elif isinstance(event, events.ScenarioFinished):
            for name, checks in event.recorder.checks.items():
                for check in checks:
                    if check.failure_info is not None:
                        sample = check.failure_info.code_sample
                        wrong.append(
                            f"{event.label} {name} {check.name}: {check.failure_info.failure} {sample}"
                        )
            for made in event.recorder.interactions.values():
                if made.response is not None:
                    statuses[made.response.status_code] += 1
                    wrong += complaints(answer_of(made))
    return wrong, statuses


def answer_of(made):
    """What schemathesis was answered, for our own eyes."""
    response = made.response
    headers = {name.lower(): values[0] for name, values in response.headers.items()}
    path = unquote_to_bytes(response.request.path_url.partition("?")[0]).decode("utf-8", "replace")
    return Answer(response.request.method, path, response.status_code, headers, response.content)


@pytest.fixture(params=DATABASES)
def node(request, tmp_path):
    return an_exchange(request.getfixturevalue(f"{request.param}_database"), tmp_path)


def headers_of(node, who):
    """How each of them comes; there is something to read for all who may."""
    soc, south = node.soc(), node.partner()
    soc.post("indicators", [an_indicator(each, tlp="green") for each in range(5)])
    south.get("indicators/objects/")
    client = {"soc": soc, "partner": south}.get(who)
    return {} if client is None else {"Authorization": basic(client.name, client.token)}


def described(node, who):
    """The description, as it is for this account, with what is here as examples."""
    document = json.loads(node.app.test_client().get("/openapi.json").data)
    parts = document["components"]["parameters"]
    parts["collection"]["example"] = "indicators"
    parts["object_id"]["example"] = json.loads(an_indicator(0))["id"]
    parts["next"]["schema"] = {"enum": [""]}
    for item in document["paths"].values():
        for operation in item.values():
            if who != "partner":  # from everybody else these are ignored, whatever stands in them
                names = {f"#/components/parameters/{name}" for name in ("epoch", "terms", "batch", "have")}
                operation["parameters"] = [one for one in operation["parameters"] if one["$ref"] not in names]
        if not FUZZ:
            item.pop("head", None)  # is GET without the body, also in the code
    return document


@pytest.mark.timeout(300 + 60 * FUZZ)
@pytest.mark.parametrize("who", WHO)
def test_nothing_is_answered_but_what_is_described(node, who):
    """Errors are error resources, pages are pages: for each header, parameter and body of the description."""
    all_phases = who == "soc" or FUZZ
    phases = ("examples", "coverage", "fuzzing") if all_phases else ("examples", "fuzzing")

    wrong, statuses = searched(node.app, described(node, who), headers_of(node, who), phases=phases, few=4)

    assert wrong == []
    assert sum(statuses.values()) > 50
    if who == "stranger":
        assert statuses[401] > sum(count for status, count in statuses.items() if status != 401) / 2
    else:
        assert min(statuses[200], statuses[202], statuses[404], statuses[400]) > 0


def planted(app, **changes):
    """The application, with one answer of it changed."""

    def changed(environ, start_response):
        def start(status, headers, error=None):
            if environ["PATH_INFO"].endswith("/collections/"):
                status = changes.get("status", status)
                headers = [(name, changes.get(name, value)) for name, value in headers]
            return start_response(status, headers, error)

        return app.wsgi_app(environ, start)

    return changed


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"status": "500 Planted"}, id="a server error"),
        pytest.param({"status": "418 Planted"}, id="a status that is not described"),
        pytest.param({"Content-Type": "text/html"}, id="a media type that is not described"),
        pytest.param({"X-Request-Id": "no plain word"}, id="a header of another form"),
    ],
)
def test_a_planted_answer_is_found(node, changes):
    """The control of the test above."""
    app = planted(node.app, **changes)
    document = described(node, "soc")
    document["paths"] = {
        path: one for path, one in document["paths"].items() if path.endswith("/collections/")
    }

    wrong, _ = searched(app, document, headers_of(node, "soc"), phases=("fuzzing",), few=1)

    assert wrong != []
