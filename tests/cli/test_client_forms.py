"""node/cli/client_forms.py and `account --client`: the filled form of each client, and what it cannot do."""

from __future__ import annotations

import json

import pytest

from node.cli.client_forms import CLIENTS, KINDS, Facts, Granted, filled, notes
from tests.cli.desk import INDICATORS, Desk

FACTS = Facts(
    url="https://exchange.north.example",
    node="Exchange desk North",
    name="soc-alpha",
    password="the token in soc-alpha.token",
    page_size=1000,
    collections=(
        Granted("indicators", INDICATORS, "Indicators of cybercrime", can_read=True, can_write=False),
        Granted(
            "sightings", "1b5e2d7f-1c64-4c1a-9e5f-7b2a4d8e6f02", "Sightings", can_read=True, can_write=True
        ),
    ),
)


def values(kind: str, facts: Facts = FACTS) -> list[dict[str, str]]:
    return [{each.label: each.value for each in form.fields} for form in filled(kind, facts)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_of_a_form_is_filled(kind):
    """W-70 W-72 W-73 W-74 W-77: fields that name the wrong thing are what goes wrong with these clients."""
    texts = [part for form in filled(kind, FACTS) for each in form.fields for part in (each.value, each.hint)]

    assert texts
    assert [text for text in [*texts, *notes(kind, FACTS)] if "{" in text or "}" in text] == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "opencti",
            {"TAXII server URL": "https://exchange.north.example/api/", "TAXII Collection": INDICATORS},
        ),
        ("sentinel", {"API root URL": "https://exchange.north.example/api/", "Collection ID": INDICATORS}),
        ("splunk", {"URL": "https://exchange.north.example/api/", "Collection": INDICATORS}),
        (
            "xsoar",
            {
                "Discovery Service URL": "https://exchange.north.example/taxii2/",
                "Collection Name To Fetch Indicators From": "Indicators of cybercrime",
                "Default API Root to use": "api",
            },
        ),
        ("curl", {"API root URL": "https://exchange.north.example/api/", "username": "soc-alpha"}),
    ],
)
def test_a_reading_client_is_told_its_address_and_the_collection_as_it_names_it(kind, expected):
    """W-70 W-72 W-73: the API root or discovery, the id or the title, as each client wants it."""
    assert expected.items() <= values(kind)[0].items()


def test_a_form_for_each_collection_that_the_client_uses():
    assert [form.collection for form in filled("opencti", FACTS)] == ["indicators", "sightings"]
    assert [form.collection for form in filled("misp", FACTS)] == ["sightings"]
    assert [form.collection for form in filled("curl", FACTS)] == [""]


def test_misp_gets_its_parts_and_a_ready_made_key():
    """W-74: MISP joins base URL and API root, and sends its key as it stands after the word basic."""
    form = values("misp")[0]

    assert (form["Base URL"], form["API root"]) == ("https://exchange.north.example", "api")
    assert form["API key"] == "base64 of soc-alpha:TOKEN"


def test_what_stands_in_the_way_here_is_said_first():
    lonely = Facts("http://127.0.0.1:8000", "north", "soc", "TOKEN", 1000, ())

    assert "stixnode account allow soc COLLECTION --read" in notes("opencti", lonely)[0]
    assert "stixnode account allow soc COLLECTION --write" in notes("misp", lonely)[0]
    assert "set public_url and TLS" in notes("opencti", lonely)[1]
    assert not any("public_url" in text or "may read no" in text for text in notes("opencti", FACTS))


@pytest.mark.parametrize("kind", KINDS)
def test_an_account_is_added_with_the_form_of_its_client(desk: Desk, kind):
    place = desk.folder / "soc.token"
    answer = desk.run(
        "account", "add", "soc", "--read", "indicators", "--write", "sightings", "--clearance", "green",
        "--token-file", str(place), "--client", kind,
    )  # fmt: skip

    assert answer.code == 0
    assert CLIENTS[kind].product in answer.out
    assert all(each.label in answer.out for each in CLIENTS[kind].fields)
    assert f"docs/clients/{kind}.md" in answer.out
    assert place.read_text(encoding="ascii").strip() not in answer.out


def test_a_token_that_is_shown_is_shown_once(desk: Desk):
    answer = desk.run("account", "add", "soc", "--read", "indicators", "--client", "sentinel", "--json")
    made = json.loads(answer.out)
    form = made["client"]["forms"][0]

    assert answer.out.count(made["token"]) == 1
    assert {"label": "Password", "value": "the token above", "hint": ""} in form["fields"]
    assert made["client"]["notes"]
    again = desk.run("account", "show", "soc", "--client", "sentinel")
    assert made["token"] not in again.out
    assert "stixnode token rotate --account soc" in again.out


def test_the_form_is_one_line_of_json(desk: Desk):
    desk.run("account", "add", "soc", "--read", "indicators")
    (line,) = desk.run("account", "show", "soc", "--client", "opencti", "--json").of("client")

    assert (line["client"], line["page"]) == ("opencti", "docs/clients/opencti.md")
    assert line["forms"][0]["collection"] == "indicators"


def test_the_account_of_a_partner_has_no_form(desk: Desk):
    desk.with_partner()
    refused = desk.run("account", "add", "south", "--partner", "south", "--client", "opencti")

    assert refused.code == 2
    assert "Leave --client out" in refused.err
    assert desk.run("account", "list", "--json").summary["accounts"] == 0
    desk.run("account", "add", "south", "--partner", "south")
    assert desk.run("account", "show", "south", "--client", "opencti").code == 2


def test_a_client_without_a_form_is_refused(desk: Desk):
    assert desk.run("account", "add", "soc", "--client", "abacus").code == 2
