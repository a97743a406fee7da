"""node/stix/reference_types.py: what references of the standard may name, compared with the stix2 library."""

import pytest
import stix2
from stix2.properties import EmbeddedObjectProperty, ListProperty, ReferenceProperty

from node.stix.objects import _OTHER_TYPES, OBSERVABLES
from node.stix.reference_types import (
    DOMAIN_OBJECTS,
    META,
    NAMED,
    NO_OBSERVABLE,
    OBSERVED,
    RELATIONSHIPS,
    Kinds,
    author,
    observed,
    references,
)
from tests.support.builders import NORTH_ID, an_id
from tests.support.specimens import specimen, specimens

# Where stix2 3.0.2 and the text of the standard differ, the text holds.
KNOWN_BETTER = {
    ("malware-analysis", ("sample_ref",)),  # "file, network-traffic or artifact", as in the schema
    ("sighting", ("sighting_of_ref",)),  # custom objects may be sighted too
}
TYPES = sorted(OBSERVABLES | NO_OBSERVABLE | {"bundle"})


def told_by_stix2():
    """(type, path, types that may be named) of every reference with a list of types in stix2's classes."""
    for classes in (stix2.registry.STIX2_OBJ_MAPS["2.1"][kind] for kind in ("objects", "observables")):
        for type, one in classes.items():
            yield from of_class(type, one, ())
    for name in ("archive-ext", "http-request-ext", "windows-service-ext"):
        owner = {"a": "file", "h": "network-traffic", "w": "process"}[name[0]]
        extension = stix2.registry.STIX2_OBJ_MAPS["2.1"]["extensions"][name]
        yield from of_class(owner, extension, ("extensions", name))


def of_class(type, one, path):
    for name, declared in one._properties.items():
        inner = declared.contained if isinstance(declared, ListProperty) else declared
        if isinstance(inner, EmbeddedObjectProperty):
            yield from of_class(type, inner.type, (*path, name))
        listed = isinstance(inner, ReferenceProperty) and inner.auth_type == ReferenceProperty._WHITELIST
        if listed and inner.specifics and name not in ("created_by_ref", "object_marking_refs"):
            yield type, (*path, name), inner.specifics


def faults(rule, type, **changes):
    return [place for place, _ in rule(specimen(type) | changes, type)]


def test_the_kinds_of_objects_are_all_the_types_of_the_standard():
    assert DOMAIN_OBJECTS | RELATIONSHIPS | META == _OTHER_TYPES
    assert set(specimens("2.1")) == OBSERVABLES | _OTHER_TYPES


def test_the_table_names_the_types_that_stix2_names():
    told = [each for each in told_by_stix2() if each[:2] not in KNOWN_BETTER]

    assert len(told) > 30
    for type, path, allowed in told:
        kinds = NAMED["2.1"][type][path]
        assert {each for each in TYPES if kinds.allow(each)} == set(allowed), (type, path)


def test_every_reference_of_the_schemas_has_a_row_or_may_name_anything():
    anything = {(type, "object_refs") for type in ("grouping", "note", "opinion", "report")}
    common = {"created_by_ref", "object_marking_refs"}
    for type, one in specimens("2.1").items():
        for name in one:
            if name.endswith(("_ref", "_refs")) and name not in common and (type, name) not in anything:
                assert (name,) in NAMED["2.1"][type], (type, name)


@pytest.mark.parametrize("type", sorted(NAMED["2.1"]))
def test_each_row_refuses_what_it_does_not_allow_and_names_the_place(type):
    rule = references("2.1")
    for path, kinds in NAMED["2.1"][type].items():
        wrong = next(each for each in TYPES if not kinds.allow(each))
        right = next(iter(sorted(kinds.only or set(TYPES) - kinds.never)))
        for named, expected in ((wrong, True), (right, False)):
            value = {"type": type, **nested(path, an_id(named))}
            places = [place for place, _ in rule(value, type)]
            assert [place.removesuffix("/0").endswith(path[-1]) for place in places] == [True] * expected


def nested(path, reference):
    value = [reference] if path[-1].endswith("_refs") else reference
    for name in reversed(path):
        value = [{name: value}] if name == "body_raw_ref" else {name: value}
    return value


def test_types_that_nobody_knows_pass_where_the_standard_names_a_kind_only():
    kinds = NAMED["2.1"]
    assert kinds["sighting"][("sighting_of_ref",)].allow("x-thing")
    assert kinds["relationship"][("source_ref",)].allow("x-thing")
    assert kinds["file"][("contains_refs",)].allow("x-thing")
    assert not kinds["domain-name"][("resolves_to_refs",)].allow("x-thing")


def test_an_author_is_an_identity():
    assert list(author({"created_by_ref": NORTH_ID}, "tool")) == []
    assert list(author({}, "tool")) == []
    ((place, text),) = author({"created_by_ref": an_id("tool")}, "tool")

    assert place == "created_by_ref"
    assert "should name identity" in text


def test_relationships_of_2_0_join_domain_objects_alone():
    rule = references("2.0")
    good = {"source_ref": an_id("indicator"), "target_ref": an_id("malware")}

    assert list(rule(good, "relationship")) == []
    assert [place for place, _ in rule(good | {"target_ref": an_id("ipv4-addr")}, "relationship")] == [
        "target_ref"
    ]


class TestObservedData:
    def test_an_observable_at_least_is_named(self):
        assert faults(observed, "observed-data", object_refs=[an_id("relationship")]) == ["object_refs"]
        assert faults(observed, "observed-data", object_refs=[an_id("x-thing")]) == []
        assert faults(observed, "observed-data") == []

    def test_in_the_old_form_references_lead_to_objects_of_the_container(self):
        held = {"0": {"type": "email-addr", "value": "a@a.example", "belongs_to_ref": "1"}}
        place = "objects/0/belongs_to_ref"

        assert faults(observed, "observed-data", objects=held) == [place]
        assert faults(observed, "observed-data", objects=held | {"1": {"type": "mutex", "name": "A"}}) == [
            place
        ]
        assert faults(observed, "observed-data", objects=held | {"1": {"type": "user-account"}}) == []

    def test_a_name_of_2_0_is_known(self):
        held = {"0": {"type": "process", "binary_ref": "1"}, "1": {"type": "mutex"}}

        assert faults(observed, "observed-data", objects=held) == ["objects/0/binary_ref"]

    @pytest.mark.parametrize("odd", [1, [], "a", {"type": 1}, {"type": "process", "binary_ref": [["1"]]}, {}])
    def test_odd_contents_make_nothing_fall(self, odd):
        list(observed({"objects": {"0": odd, "1": odd}}, "observed-data"))

    def test_all_types_with_references_are_observables(self):
        assert set(OBSERVED) <= OBSERVABLES


def test_kinds_without_a_list_allow_all_but_what_they_exclude():
    kinds = Kinds("anything but a tool", never=frozenset(("tool",)))

    assert kinds.allow("malware")
    assert not kinds.allow("tool")
