"""node/stix/values.py: what an object names, in one spelling for all that mean the same."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.stix import values
from node.stix.values import Named, forms, named_values, normal, pattern_values, refang
from tests.support.builders import CREATED, a_malware, a_relationship, an_id, an_indicator

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def named(type: str, **properties: object) -> set[tuple[str, str]]:
    """(where, text) of an object of that type."""
    body = {"type": type, "spec_version": "2.1", "id": an_id(type), **properties}
    return {tuple(one) for one in named_values(json.dumps(body).encode())}


# One of each type of observable: its properties, and one value that must be found.
OBSERVABLES = {
    "artifact": ({"url": "https://a.example/x", "hashes": {"MD5": MD5}}, "artifact:hashes.MD5"),
    "autonomous-system": ({"number": 64500, "name": "Example AS"}, "autonomous-system:number"),
    "directory": ({"path": "C:\\Windows"}, "directory:path"),
    "domain-name": ({"value": "evil.example"}, "domain-name:value"),
    "email-addr": ({"value": "a@evil.example"}, "email-addr:value"),
    "email-message": ({"is_multipart": False, "subject": "Invoice"}, "email-message:subject"),
    "file": ({"name": "a.exe", "hashes": {"SHA-256": "A" * 64}}, "file:hashes.SHA-256"),
    "ipv4-addr": ({"value": "203.0.113.9"}, "ipv4-addr:value"),
    "ipv6-addr": ({"value": "2001:db8::1"}, "ipv6-addr:value"),
    "mac-addr": ({"value": "d2:fb:49:24:37:18"}, "mac-addr:value"),
    "mutex": ({"name": "Global\\Lantern"}, "mutex:name"),
    "network-traffic": (
        {
            "protocols": ["tcp"],
            "extensions": {
                "http-request-ext": {"request_value": "/gate.php", "request_header": {"Host": "evil.example"}}
            },
        },
        "network-traffic:extensions.http-request-ext.request_header.Host",
    ),
    "process": ({"command_line": "a.exe -x"}, "process:command_line"),
    "software": ({"name": "Tool", "cpe": "cpe:2.3:a:x:y:1:*:*:*:*:*:*:*"}, "software:cpe"),
    "url": ({"value": "https://evil.example/a"}, "url:value"),
    "user-account": ({"account_login": "root", "user_id": "0"}, "user-account:account_login"),
    "windows-registry-key": (
        {"key": "HKLM\\Run", "values": [{"name": "Upd", "data": "a.exe"}]},
        "windows-registry-key:values.data",
    ),
    "x509-certificate": ({"serial_number": "36:f7", "subject": "CN=evil"}, "x509-certificate:subject"),
    "x-own-thing": ({"value": "something"}, "x-own-thing:value"),
}


@pytest.mark.parametrize("type", list(OBSERVABLES))
def test_every_kind_of_observable_names_its_value(type):
    properties, where = OBSERVABLES[type]

    assert where in {place for place, _ in named(type, **properties)}


def test_hashes_are_found_in_parts_of_a_program_but_not_the_names_that_all_programs_share():
    section = {"name": ".text", "hashes": {"MD5": MD5}}
    found = named("file", extensions={"windows-pebinary-ext": {"imphash": "ab", "sections": [section]}})

    assert {text for _, text in found} == {"ab", MD5}


def test_an_object_names_its_name_aliases_and_the_ids_of_its_references():
    references = [{"source_name": "mitre-attack", "external_id": "T1059"}, {"source_name": "x", "url": "y"}]
    body = a_malware(aliases=["Lamp", "Beacon"], x_mitre_aliases=["S1"], external_references=references)

    assert [one.text for one in named_values(body)] == ["Malware one", "Lamp", "Beacon", "S1", "T1059"]


def test_observed_data_of_2_0_names_what_stands_inside_it():
    found = named(
        "observed-data",
        created=CREATED,
        modified=CREATED,
        objects={"0": {"type": "ipv4-addr", "value": "203.0.113.9"}},
    )

    assert found == {("ipv4-addr:value", "203.0.113.9")}


def test_a_relationship_names_nothing():
    assert named_values(a_relationship(an_id("indicator"), an_id("malware"))) == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[ipv4-addr:value = '203.0.113.9']", [("ipv4-addr:value", "203.0.113.9")]),
        (
            "[file:hashes.'SHA-256' = 'ab' AND file:hashes.MD5 != 'cd']",
            [("file:hashes.SHA-256", "ab"), ("file:hashes.MD5", "cd")],
        ),
        ("[url:value IN ('a', 'b')]", [("url:value", "a"), ("url:value", "b")]),
        (r"[file:name = 'it\'s \\ here']", [("file:name", r"it's \ here")]),
        ("[file:name LIKE 'a%'] REPEATS 5 TIMES WITHIN 300 SECONDS", [("file:name", "a%")]),
        ("[a:b = 'x'] START t'2020-01-01T00:00:00Z' STOP t'2021-01-01T00:00:00Z'", [("a:b", "x")]),
        ("[a:b = 'x'] START '2020-01-01T00:00:00Z' STOP '2021-01-01T00:00:00Z'", [("a:b", "x")]),
        ("[a:created = t'2020-01-01T00:00:00Z' OR a:b = h'ffd8']", [("a:b", "ffd8")]),
        (
            "[autonomous-system:number = 64500 AND process:pid = 7]",
            [("autonomous-system:number", "AS64500"), ("autonomous-system:number", "64500")],
        ),
        ("[file:extensions.'windows-pebinary-ext'.sections[*].name = 'x']", None),
        ("[network-traffic:dst_ref.value ISSUBSET '198.51.100.0/24']", None),
        ("/* [a:b = 'no'] */ [a:b = 'x'] // 'no'", [("a:b", "x")]),
        ("[a:b = 'broken", [("a:b", "broken")]),
        ("", []),
    ],
)
def test_the_constants_of_a_pattern_come_with_their_paths(pattern, found):
    told = list(pattern_values(pattern))

    if found is None:
        assert len(told) == 1
        assert told[0].where
    else:
        assert told == [Named(*one) for one in found]


def test_a_pattern_of_another_language_is_no_stix_pattern():
    body = an_indicator(pattern="alert tcp any any (content:'evil';)", pattern_type="snort")

    assert [one.where for one in named_values(body)] == ["name"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("EVIL.Example", "evil.example"),
        ("evil.example.", "evil.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("203.0.113.9/32", "203.0.113.9"),
        ("198.51.100.77/24", "198.51.100.0/24"),
        ("HTTPS://Evil.Example", "https://evil.example/"),
        ("http://evil.example:80/A", "http://evil.example/A"),
        ("http://[2001:DB8::0:1]:8080/", "http://[2001:db8::1]:8080/"),
        ("A@Evil.Example", "a@evil.example"),
        (MD5.upper(), MD5),
        ("D2-FB-49-24-37-18", "d2:fb:49:24:37:18"),
        ("as64500", "AS64500"),
        ("Cafe\u0301 Noir", "CAFÉ noir"),
        ("STRASSE", "straße"),
    ],
)
def test_one_thing_has_one_normal_form(one, other):
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://evil.example/A", "http://evil.example/a"),
        ("http://evil.example/", "https://evil.example/"),
        ("http://evil.example:8080/", "http://evil.example/"),
        ("evil.example", "www.evil.example"),
        ("198.51.100.0/24", "198.51.100.0/25"),
        ("203.0.113.9", "203.0.113.90"),
    ],
)
def test_two_things_have_two_normal_forms(one, other):
    assert normal(one) != normal(other)


@pytest.mark.parametrize(
    ("harmless", "meant"),
    [
        ("hxxps://evil[.]example/a", "https://evil.example/a"),
        ("hXXp://evil(.)example", "http://evil.example"),
        ("h**p://evil.example", "http://evil.example"),
        ("http[:]//evil.example", "http://evil.example"),
        ("hxxp[://]evil[.]example", "http://evil.example"),
        (r"hxxp:\\evil.example", "http://evil.example"),
        ("meow://evil.example", "http://evil.example"),
        ("fxp://evil.example/a", "ftp://evil.example/a"),
        ("evil[dot]example", "evil.example"),
        ("evil (dot) example", "evil.example"),
        ("evil dot example", "evil.example"),
        ("evil[.example", "evil.example"),
        ("evil.]example", "evil.example"),
        (r"evil\.example", "evil.example"),
        ("a{at}evil[.]example", "a@evil.example"),
        ("a [@] evil.example", "a@evil.example"),
        ("203[.]0[.]113[.]9", "203.0.113.9"),
        ("2001[:]db8[:][:]1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("<https://evil.example/>", "https://evil.example/"),
        ("e\u200bvil\ufeff.exa\u00admple", "evil.example"),
        ("evil\u3002example", "evil.example"),
        ("  evil.example\n", "evil.example"),
    ],
)
def test_what_was_made_harmless_is_understood(harmless, meant):
    assert refang(harmless) == meant
    assert normal(meant) in forms(harmless)


LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
DOMAIN = st.lists(LABEL, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "example"]))
ADDRESS = st.ip_addresses().map(str)
VALUE = st.one_of(
    DOMAIN,
    ADDRESS,
    st.tuples(DOMAIN, LABEL).map(lambda two: f"https://{two[0]}/{two[1]}"),
    st.tuples(LABEL, DOMAIN).map(lambda two: f"{two[0]}@{two[1]}"),
)
DOTS = st.sampled_from(["[.]", "(.)", "{.}", "[dot]", "(DOT)", " [.] ", "."])
SIGNS = st.sampled_from(["[@]", "(at)", "{AT}", "@"])


def made_harmless(draw, value):
    text = value.replace(".", draw(DOTS)).replace("@", draw(SIGNS))
    if text.startswith("https"):
        text = draw(st.sampled_from(["hxxps", "hXXps", "h**ps", "https"])) + text.removeprefix("https")
        text = text.replace("://", draw(st.sampled_from(["://", "[:]//", "[://]"])), 1)
    return draw(st.sampled_from(["", " ", "\u200b", "\ufeff"])) + text


@given(st.data())
def test_whatever_is_made_harmless_means_its_value(data):
    value = data.draw(VALUE)

    assert forms(value) & forms(made_harmless(data.draw, value))


@given(st.text(max_size=60))
def test_a_normal_form_is_its_own_normal_form_and_no_text_fails(text):
    assert forms(text.upper()) is not None
    assert normal(text) in forms(text) | {""}
    assert list(pattern_values(text)) is not None
    if normal(text) != "":
        assert normal(normal(text)) == normal(text)


def test_an_object_gives_at_most_so_many_values():
    body = a_malware(aliases=[f"alias {number}" for number in range(3_000)])

    assert len(named_values(body)) == values.MOST


def test_a_long_value_is_known_by_its_digest():
    long = "A" * 100_000

    assert normal(long) == normal(long.lower())
    assert len(normal(long)) == 71


@pytest.mark.parametrize(
    "properties",
    [
        {"pattern": "/*" * 200_000},
        {"pattern": "'" + "\\'" * 200_000},
        {"pattern": "a" * 400_000},
        {"pattern": "a:b." * 100_000},
        {"pattern": "[a:b = '" + "x' OR a:b = '" * 30_000},
        {"aliases": [" " * 990 + str(number) for number in range(800)]},
        {"aliases": ["[ (" * 330 + str(number) for number in range(800)]},
        {"aliases": ["ü." * 300 + str(number) for number in range(800)]},
    ],
)
def test_no_object_costs_more_than_its_size(properties):
    body = an_indicator(**properties)
    began = time.process_time()

    for one in named_values(body):
        forms(one.text)

    assert time.process_time() - began < 5  # quadratic ways would take minutes


def test_observables_inside_one_another_cost_no_more_than_their_size():
    name = "n" * 10_000
    inside = {name: {str(number): {"hashes": {}} for number in range(10_000)}}

    assert named("file", **inside) == set()
