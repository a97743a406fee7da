"""node/stix/objects.py: from bytes to facts, and what T0 turns away."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clock import parse_stix_time
from node.errors import InvalidObject
from node.stix.digest import digest_of
from node.stix.markings import NO_TLP, TLP, UNKNOWN, rank
from node.stix.objects import OBSERVABLES, marking_refs, named, read, references, sort_order
from tests.support.builders import (
    CREATED,
    LATER,
    NORTH_ID,
    SOUTH_ID,
    TLP_2,
    a_malware,
    a_marking_definition,
    a_relationship,
    a_sighting,
    a_tlp_marking,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)

UNIT = "x-centre-unit"


def a_unit(**changes):
    """An object of a type that no standard knows, without dates."""
    return json.dumps({"type": UNIT, "id": an_id(UNIT), **changes}).encode()


def without(body, *names):
    return json.dumps({name: value for name, value in json.loads(body).items() if name not in names}).encode()


def test_the_facts_of_an_indicator_are_read():
    body = an_indicator(
        tlp="amber",
        author=NORTH_ID,
        modified=LATER,
        valid_until="2027-01-01T00:00:00Z",
        confidence=70,
        revoked=True,
    )

    found = read(body)

    assert (found.id, found.type, found.spec_version) == (an_id("indicator"), "indicator", "2.1")
    assert (found.version, found.version_text) == (parse_stix_time(LATER), LATER)
    assert (found.created_by, found.revoked, found.confidence) == (NORTH_ID, True, 70)
    assert found.valid_until == parse_stix_time("2027-01-01T00:00:00Z")
    assert found.marking_refs == (TLP_2["amber"],)
    assert (found.meaning, found.organisation, found.observable) == (None, False, False)
    assert found.digest == digest_of(json.loads(body))
    assert found.body is body


def test_what_is_absent_is_none():
    found = read(an_indicator())

    assert (found.created_by, found.revoked, found.confidence, found.valid_until) == (None, False, None, None)
    assert found.marking_refs == ()


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_end_in_another_error(junk):
    with pytest.raises(InvalidObject):
        read(junk)


checked_names = st.sampled_from(
    [
        "type",
        "id",
        "spec_version",
        "created",
        "modified",
        "valid_from",
        "valid_until",
        "revoked",
        "confidence",
        "created_by_ref",
        "object_marking_refs",
        "granular_markings",
        "labels",
        "definition",
        "extensions",
    ]
)
odd_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.text() | st.integers())
    | st.lists(st.dictionaries(st.sampled_from(["marking_ref", "lang"]), st.none() | st.text()))
)


@given(
    st.dictionaries(checked_names, odd_values),
    st.sampled_from([an_indicator, a_marking_definition, an_ipv4, lambda: a_tlp_marking("red")]),
)
def test_no_value_of_any_property_ends_in_another_error(changes, build):
    body = json.dumps(json.loads(build()) | changes).encode()

    try:
        ranked = rank(read(body).marking_refs, {})
    except InvalidObject:
        ranked = UNKNOWN
    assert ranked in range(NO_TLP, UNKNOWN + 1)


@pytest.mark.parametrize(
    ("body", "spec_version"),
    [
        (an_indicator(), "2.1"),
        (an_indicator(spec_version="2.0"), "2.0"),
        (an_indicator(spec_version=None), "2.0"),
        (an_ipv4(spec_version=None), "2.1"),
        (an_ipv4(spec_version=None, created=CREATED), "2.1"),
        (a_marking_definition(spec_version=None), "2.0"),
        (without(an_indicator(), "spec_version", "created", "modified"), "2.0"),
        (a_unit(), "2.1"),
        (a_unit(created=CREATED), "2.0"),
        (a_unit(modified=CREATED), "2.0"),
        (a_unit(modified=CREATED, spec_version="2.1"), "2.1"),
    ],
)
def test_the_spec_version_follows_from_the_object_alone(body, spec_version):
    """S-SPEC-1, S-SPEC-2, S-SPEC-3, S-SPEC-4: by its own properties, and never by its type alone."""
    assert read(body).spec_version == spec_version


@pytest.mark.parametrize(
    ("body", "observable"),
    [
        (an_ipv4(), True),
        (a_unit(), True),
        (a_unit(spec_version="2.1"), True),
        (a_unit(created=CREATED), False),
        (a_malware(), False),
        (without(a_malware(), "created", "modified"), False),
    ],
)
def test_an_observable_is_known_by_its_type_or_its_lack_of_dates(body, observable):
    assert read(body).observable is observable


def test_there_are_eighteen_observable_types():
    assert len(OBSERVABLES) == 18


def test_an_object_without_dates_has_no_version():
    found = read(an_ipv4())

    assert (found.version, found.version_text) == (None, None)


def test_a_marking_definition_has_the_version_of_its_creation():
    """S-TLP-5: markings have no `modified`."""
    assert read(a_marking_definition()).version_text == CREATED


@pytest.mark.parametrize("text", [".1Z", ".100Z", ".100000Z", ".100000000000Z"])
def test_texts_of_one_instant_are_one_version(text):
    found = read(an_indicator(modified="2026-11-20T09:00:00" + text))

    assert found.version == parse_stix_time("2026-11-20T09:00:00.1Z")
    assert found.version_text == "2026-11-20T09:00:00" + text


def test_nanoseconds_are_told_apart():
    one = read(an_indicator(modified="2026-11-20T09:00:00.000000001Z"))
    other = read(an_indicator(modified="2026-11-20T09:00:00.000000002Z"))

    assert one.version is not None
    assert other.version == one.version + 1


def test_modified_is_compared_with_created_as_an_instant():
    """S-VER-2, S-VER-3: earlier than created is refused, later is not asked about."""
    assert read(
        an_indicator(created="2026-11-20T09:00:00.500Z", modified="2026-11-20T09:00:00.5000001Z")
    ).version

    with pytest.raises(
        InvalidObject, match="Its modified is '2026-11-20T09:00:00Z', and should be at or after"
    ):
        read(an_indicator(created="2026-11-20T09:00:00.500Z", modified="2026-11-20T09:00:00Z"))


@pytest.mark.parametrize(
    ("text", "bound"), [("9999-12-31T23:59:59Z", 2**63 - 1), ("0001-01-01T00:00:00Z", -(2**63))]
)
def test_an_instant_beyond_64_bits_is_kept_at_the_bound_with_its_text(text, bound):
    found = read(an_indicator(created=text, modified=text, valid_until=text))

    assert (found.version, found.version_text, found.valid_until) == (bound, text, bound)


@pytest.mark.parametrize("name", ["created", "modified", "valid_from", "valid_until"])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "2026-11-20",
        "2026-11-20T09:00:00",
        "2026-11-20T09:00:00+00:00",
        "2026-11-20t09:00:00z",
        "2026-11-20T09:00:60Z",
        "2026-02-30T09:00:00Z",
        "2026-11-20T09:00:00.Z",
        "2026-11-20T09:00:00Z\n",
        5,
        False,
        ["2026-11-20T09:00:00Z"],
    ],
)
def test_a_bad_timestamp_is_refused_by_name(name, value):
    with pytest.raises(InvalidObject, match=f"Its {name} is .*, and should be a timestamp"):
        read(an_indicator(**{name: value}))


@pytest.mark.parametrize(
    "name", ["created", "modified", "valid_until", "created_by_ref", "revoked", "confidence", "labels"]
)
def test_null_is_not_taken_for_absence(name):
    """S-JSON-1"""
    body = without(an_indicator(), "created", "modified")

    with pytest.raises(InvalidObject, match=f"Its {name} is None"):
        read(body[:-1] + f',"{name}":null}}'.encode())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"type": "bundle", "id": an_id("bundle")}, "It is a bundle"),
        ({"type": None}, "Its type is missing"),
        ({"type": "Indicator", "id": "Indicator--" + an_id("indicator")[11:]}, "Its type is 'Indicator'"),
        ({"type": "in", "id": "in--" + an_id("indicator")[11:]}, "Its type is 'in'"),
        ({"type": "a" * 251}, "Its type is 'aaa"),
        ({"type": 1}, "Its type is 1"),
        ({"id": None}, "Its id is missing"),
        ({"id": an_id("malware")}, "should be an identifier of its own type indicator"),
        ({"id": "indicator--1"}, "Its id is 'indicator--1'"),
        ({"id": an_id("indicator") + "\n"}, "Its id is"),
        ({"id": an_id("indicator").replace("--", "-")}, "Its id is"),
        ({"id": {}}, "Its id is {}"),
        ({"spec_version": "2.2"}, "Its spec_version is '2.2', and should be 2.0 or 2.1"),
        ({"spec_version": 2.1}, "Its spec_version is 2.1"),
        ({"revoked": "true"}, "Its revoked is 'true'"),
        ({"revoked": 1}, "Its revoked is 1"),
        ({"confidence": 101}, "Its confidence is 101"),
        ({"confidence": -1}, "Its confidence is -1"),
        ({"confidence": "5"}, "Its confidence is '5'"),
        ({"confidence": True}, "Its confidence is True"),
        ({"confidence": 50.5}, "Its confidence is 50.5"),
        ({"created_by_ref": "north"}, "Its created_by_ref is 'north'"),
        ({"created_by_ref": [NORTH_ID]}, "Its created_by_ref is"),
        ({"object_marking_refs": TLP_2["red"]}, "Its object_marking_refs is"),
        ({"object_marking_refs": [NORTH_ID]}, "Its object_marking_refs holds 'identity--"),
        ({"object_marking_refs": [[TLP_2["red"]]]}, "Its object_marking_refs holds"),
        ({"object_marking_refs": ["marking-definition--red"]}, "Its object_marking_refs holds"),
        ({"granular_markings": {}}, "Its granular_markings is {}"),
        ({"granular_markings": [TLP_2["red"]]}, "Its granular_markings is"),
        (
            {"granular_markings": [{"selectors": ["name"], "marking_ref": "x"}]},
            "Its granular_markings holds 'x'",
        ),
        ({"labels": "tlp:red"}, "Its labels is 'tlp:red'"),
        ({"labels": [["tlp:red"]]}, "Its labels is"),
    ],
)
def test_a_wrong_property_is_refused_by_name(changes, problem):
    """S-ID-1, S-SPEC-6, S-JSON-4, S-JSON-6, S-JSON-8: each with its value."""
    with pytest.raises(InvalidObject) as refusal:
        read(an_indicator(**changes))
    assert problem in refusal.value.problem


def test_a_long_value_is_cut_in_the_problem():
    with pytest.raises(InvalidObject) as refusal:
        read(an_indicator(confidence="9" * 10_000))
    assert len(refusal.value.problem) < 300


def test_capital_hexadecimal_digits_are_kept_as_they_are():
    """S-ID-3: ids are never normalised."""
    capital = "indicator--" + an_id("indicator")[11:].upper()

    assert read(an_indicator(id=capital)).id == capital


@pytest.mark.parametrize(
    "uuid", ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-7fff-ffff-ffffffffffff"]
)
def test_no_version_of_uuid_is_asked_for(uuid):
    """S-ID-2"""
    assert read(an_indicator(id=f"indicator--{uuid}")).id.endswith(uuid)


def test_markings_of_the_object_of_its_parts_and_of_its_labels_all_count():
    found = read(
        an_indicator(
            tlp="green",
            granular_markings=[
                {"selectors": ["name"], "marking_ref": TLP_2["red"]},
                {"selectors": ["description"], "lang": "uk"},
            ],
            labels=["phishing", "TLP:Amber", "tlp:amber"],
        )
    )

    assert found.marking_refs == tuple(sorted([TLP_2["green"], TLP_2["red"], "tlp:amber"]))
    assert rank(found.marking_refs, {}) == TLP.RED


def test_the_markings_of_a_body_are_those_of_its_object():
    body = an_indicator(tlp="green", labels=["TLP:Amber"])

    assert marking_refs(body) == read(body).marking_refs == tuple(sorted([TLP_2["green"], "tlp:amber"]))


def test_a_look_alike_label_makes_the_object_unknown():
    found = read(an_indicator(tlp="clear", labels=["\u0422LP:RED"]))

    assert rank(found.marking_refs, {}) == UNKNOWN


def test_a_statement_carries_its_meaning():
    assert read(a_marking_definition()).meaning == NO_TLP


@pytest.mark.parametrize("level", list(TLP_2))
def test_an_official_marking_carries_its_meaning(level):
    assert read(a_tlp_marking(level)).meaning == rank([TLP_2[level]], {})


def test_an_altered_official_marking_is_refused():
    """S-TLP-7"""
    body = a_tlp_marking("red").replace(b'"tlp_2_0":"red"', b'"tlp_2_0":"clear"')

    with pytest.raises(
        InvalidObject, match="id of the official TLP marking RED, but not exactly its content"
    ):
        read(body)


@pytest.mark.parametrize(
    ("word", "organisation"), [("organization", True), ("organisation", False), ("individual", False)]
)
def test_an_organisation_is_known_by_the_word_of_the_standard(word, organisation):
    assert read(an_identity(identity_class=word)).organisation is organisation


def test_references_are_the_ends_of_a_relationship():
    one, other = an_id("indicator"), an_id("malware")
    body = a_relationship(one, other, author=NORTH_ID, tlp="red")

    assert references(body) == tuple(sorted([one, other]))


def test_references_are_found_at_any_depth_once():
    body = an_indicator(
        object_refs=[an_id("malware"), an_id("malware")],
        extensions={
            an_id("extension-definition"): {"host_ref": an_id("tool"), "more": [[{"seen_refs": [SOUTH_ID]}]]}
        },
    )

    assert references(body) == tuple(sorted([an_id("malware"), an_id("tool"), SOUTH_ID]))


def test_authorship_markings_and_places_inside_an_object_are_no_references():
    body = an_indicator(
        author=NORTH_ID,
        tlp="red",
        x_mitre_modified_by_ref=SOUTH_ID,
        granular_markings=[{"selectors": ["name"], "marking_ref": TLP_2["red"]}],
        objects={"0": {"type": "file", "parent_directory_ref": "1"}},
        href=NORTH_ID,
    )

    assert references(body) == ()


def test_a_sighting_references_what_was_seen_and_where():
    seen = an_id("indicator")

    assert references(a_sighting(seen, where_sighted_refs=[NORTH_ID])) == tuple(sorted([seen, NORTH_ID]))


def test_markings_and_the_author_accompany_an_object():
    body = an_indicator(
        author=NORTH_ID,
        tlp="amber",
        labels=["tlp:red"],
        granular_markings=[{"selectors": ["name"], "marking_ref": TLP_2["red"]}],
    )

    assert named(body) == tuple(sorted([NORTH_ID, TLP_2["amber"], TLP_2["red"]]))


def test_what_others_rest_on_is_worked_in_first():
    types = [
        "sighting",
        "indicator",
        "relationship",
        "identity",
        "x-unit",
        "marking-definition",
        "extension-definition",
    ]

    assert [sort_order(type) for type in types] == [3, 2, 3, 1, 2, 0, 1]
