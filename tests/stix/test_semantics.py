"""node/stix/semantics.py: the musts of the standard that no schema can say."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.stix import semantics
from node.stix.semantics import fault, pattern_of
from node.stix.validation import check, read_patterns
from tests.support import data
from tests.support.builders import CREATED, LATER, TLP_2, an_id, an_indicator
from tests.support.specimens import STATEMENT, specimen, specimens

EARLY = "2026-11-19T08:00:00.000Z"
# The pair of each type, and whether both may be the same instant.
ORDERS = {
    "campaign": ("first_seen", "last_seen", True),
    "indicator": ("valid_from", "valid_until", False),
    "infrastructure": ("first_seen", "last_seen", True),
    "intrusion-set": ("first_seen", "last_seen", True),
    "malware": ("first_seen", "last_seen", True),
    "network-traffic": ("start", "end", True),
    "observed-data": ("first_observed", "last_observed", True),
    "relationship": ("start_time", "stop_time", False),
    "sighting": ("first_seen", "last_seen", True),
    "threat-actor": ("first_seen", "last_seen", True),
}


def changed(type, spec_version="2.1", **changes):
    value = specimen(type, spec_version) | changes
    return {name: value for name, value in value.items() if value is not ...}


def said(type, spec_version="2.1", **changes):
    found = fault(changed(type, spec_version, **changes), type, spec_version)
    return None if found is None else ": ".join(found)


@pytest.mark.parametrize("spec_version", ["2.0", "2.1"])
def test_a_specimen_of_every_type_passes_in_full(spec_version):
    for type, value in specimens(spec_version).items():
        assert check(value, type, spec_version, full=True) is None, type


def test_every_specimen_of_2_1_has_a_fault_that_is_found():
    """A control: null in any of them is refused, so none passes for want of rules."""
    for type, value in specimens("2.1").items():
        assert fault(value | {"x_deep": [None]}, type, "2.1") is not None


class TestOrder:
    @pytest.mark.parametrize("type", sorted(ORDERS))
    def test_the_later_date_is_not_before_the_earlier(self, type):
        """S-VER-2: of the dates besides created and modified, which check T0 compares."""
        earlier, later, _ = ORDERS[type]

        assert said(type, **{earlier: CREATED, later: LATER}) is None
        assert said(type, **{earlier: LATER, later: CREATED}).startswith(f"{later}: '{CREATED}' should be a")

    @pytest.mark.parametrize("type", sorted(ORDERS))
    def test_the_same_instant_is_permitted_where_the_standard_says_so(self, type):
        earlier, later, same = ORDERS[type]

        assert (said(type, **{earlier: CREATED, later: CREATED[:-1] + "000Z"}) is None) == same

    def test_instants_are_compared_and_not_texts(self):
        assert said("malware", first_seen="2026-11-20T08:00:00Z", last_seen="2026-11-20T08:00:00.5Z") is None
        assert said("malware", first_seen="2026-11-20T08:00:00.5Z", last_seen="2026-11-20T08:00:00Z")

    def test_digits_beyond_a_nanosecond_count(self):
        fine = "2026-11-20T08:00:00.000000000001Z"

        assert said("malware", first_seen="2026-11-20T08:00:00Z", last_seen=fine) is None
        assert said("malware", first_seen=fine, last_seen="2026-11-20T08:00:00Z")

    def test_one_of_them_alone_says_nothing(self):
        assert said("malware", first_seen=...) is None
        assert said("malware", last_seen=...) is None

    def test_in_2_0_no_order_is_demanded(self):
        assert said("indicator", "2.0", valid_until=EARLY) is None


class TestDates:
    @pytest.mark.parametrize("type", sorted(semantics._DATES))
    def test_every_timestamp_is_a_possible_instant(self, type):
        for name in semantics._DATES[type]:
            assert said(type, **{name: "2026-02-30T08:00:00Z"}).startswith(
                f"{name}: '2026-02-30T08:00:00Z' is no"
            )

    def test_the_29th_of_february_exists_in_leap_years(self):
        assert said("report", published="2028-02-29T08:00:00Z") is None
        assert said("report", published="2026-02-29T08:00:00Z")

    def test_no_timestamp_of_a_specimen_is_forgotten(self):
        read_before = {"created", "modified", "valid_from", "valid_until"}
        for type, value in specimens("2.1").items():
            dates = {name for name, one in value.items() if one in (CREATED, LATER)} - read_before

            assert dates <= set(semantics._DATES.get(type, ())), type


class TestForm:
    @pytest.mark.parametrize(
        ("inner", "words"),
        [
            (None, "x_deep/inner/0: is null"),
            ([], "x_deep/inner/0: is an empty list"),
            ({}, "x_deep/inner/0: is an empty dictionary"),
            (2**53, "x_deep/inner/0: 9007199254740992 is beyond the integers"),
            (-(2**53), "x_deep/inner/0: -9007199254740992 is beyond the integers"),
        ],
    )
    def test_what_stix_does_not_have_is_found_at_any_depth(self, inner, words):
        """S-JSON-1, S-JSON-3: no null, no empty list or dictionary, integers that a double can hold."""
        for spec_version in ("2.0", "2.1"):
            assert said("indicator", spec_version, x_deep={"inner": [inner]}).startswith(words)

    @pytest.mark.parametrize("inner", [0, False, "", 2**53 - 1, -(2**53) + 1, 1e300])
    def test_nothing_else_is_taken_for_it(self, inner):
        assert said("indicator", x_deep={"inner": [inner]}) is None

    @pytest.mark.parametrize(
        "name", ["ab", "Name", "nameNOT", "name-not", "9name", "_name", "n" * 251, "naï"]
    )
    def test_a_property_has_a_name_of_the_standard(self, name):
        """S-JSON-2: small letters, digits and underscores, a letter first, 3 to 250 of them."""
        assert said("tool", **{name: "A"}).startswith(f"{name}: is no name of a property")

    @pytest.mark.parametrize("name", ["abc", "x_name", "n2_", "n" * 250])
    def test_other_names_pass(self, name):
        """S-JSON-7: custom properties are taken."""
        assert said("tool", **{name: "A"}) is None


class TestProperties:
    @pytest.mark.parametrize("type", sorted(semantics._FOREIGN))
    def test_a_type_has_no_property_that_is_not_for_it(self, type):
        """S-VER-1: the table of common properties."""
        for name in semantics._FOREIGN[type]:
            value = {"extensions": {"a-ext": {"b": "c"}}} if name == "extensions" else {name: "A"}
            assert said(type, **value).startswith(f"{name}: is no property of {type}")

    def test_only_observables_are_defanged(self):
        """S-VER-1"""
        assert said("tool", defanged=True).startswith("defanged: is no property of tool")
        assert said("url", defanged=True) is None

    def test_types_that_nobody_knows_may_have_any(self):
        assert fault({"type": "x-thing", "defanged": True, "created": CREATED}, "x-thing", "2.1") is None

    def test_an_extension_may_bring_any(self):
        """S-JSON-7: `toplevel-property-extension`."""
        own = {an_id("extension-definition"): {"extension_type": "toplevel-property-extension"}}

        assert said("url", extensions=own, labels=["A"]) is None
        own[an_id("extension-definition")]["extension_type"] = "property-extension"
        assert said("url", extensions=own, labels=["A"])

    def test_an_extension_definition_names_its_maker(self):
        """S-VER-1"""
        assert said("extension-definition", created_by_ref=...).startswith("created_by_ref: is missing")


class TestMarkings:
    @pytest.mark.parametrize(
        "selector",
        ["nothing", "name.nothing", "name.[0]", "labels.[1]", "labels.[99999999999999999999]", "labels.one",
         "external_references.[0].nothing", "extensions.[0]", "labels.[0].[0]"],
    )  # fmt: skip
    def test_a_selector_selects_something(self, selector):
        """S-JSON-5"""
        marked = [{"marking_ref": TLP_2["red"], "selectors": ["name", selector]}]

        assert said("indicator", granular_markings=marked).startswith("granular_markings/0/selectors: ")

    @pytest.mark.parametrize(
        "selector",
        ["id", "labels", "labels.[0]", "external_references.[0].url",
         "external_references.[0].hashes.SHA-256",
         "granular_markings", f"extensions.{an_id('extension-definition')}.note"],
    )  # fmt: skip
    def test_selectors_of_every_form_are_followed(self, selector):
        """S-JSON-5"""
        assert said("indicator", granular_markings=[{"lang": "en", "selectors": [selector]}]) is None

    def test_a_granular_marking_has_a_marking_or_a_language(self):
        """S-JSON-5"""
        place = "granular_markings/0: should have marking_ref or lang, and not both"
        both = [{"lang": "en", "marking_ref": STATEMENT, "selectors": ["name"]}]

        assert said("indicator", granular_markings=both) == place
        assert said("indicator", granular_markings=[{"selectors": ["name"]}]) == place

    def test_a_marking_does_not_mark_itself(self):
        """S-JSON-6"""
        own = [{"marking_ref": STATEMENT, "selectors": ["definition"]}]

        assert said("marking-definition", object_marking_refs=[STATEMENT]).startswith("object_marking_refs: ")
        assert said("marking-definition", granular_markings=own).startswith("object_marking_refs: ")
        assert said("marking-definition", object_marking_refs=[TLP_2["green"]]) is None


class TestLanguages:
    @pytest.mark.parametrize(
        "tag", ["en", "de-CH", "pt-BR", "zh-Hant-TW", "sl-rozaj-biske", "x-own", "de-1996", "es-419"]
    )
    def test_tags_of_the_right_form_pass(self, tag):
        assert said("indicator", lang=tag) is None

    @pytest.mark.parametrize("tag", ["i-default", "I-Klingon", "en-GB-oed", "sgn-BE-FR", "zh-min-nan"])
    def test_tags_that_are_older_than_the_form_pass(self, tag):
        assert said("indicator", lang=tag) is None
        assert said("indicator", lang=f"{tag}-") is not None

    def test_the_languages_of_software_are_tags_too(self):
        assert said("software", languages=["en", "pt-BR", "eng"]) is None
        assert said("software", languages=["en", "e"]).startswith("languages/1: 'e' is no language tag")

    @pytest.mark.parametrize(
        "tag", ["", "e", "english language", "en_GB", "en-", "-en", "a-b", "en-GB-", "x" * 9, "x-" * 60]
    )
    def test_other_texts_do_not(self, tag):
        assert said("indicator", lang=tag).startswith("lang: ")
        assert said("indicator", granular_markings=[{"lang": tag, "selectors": ["name"]}]) is not None
        assert said("language-content", contents={tag: {"name": "A"}}) is not None

    def test_contents_are_dictionaries_by_language(self):
        assert said("language-content", contents={"fr": "A"}).startswith(
            "contents/fr: should be a dictionary"
        )


class TestPatterns:
    def test_a_pattern_that_cannot_be_read_is_a_fault(self):
        assert said("indicator", pattern="[file:size = ]").startswith(
            "pattern: it cannot be read: character "
        )

    def test_patterns_of_other_languages_are_not_read(self):
        assert said("indicator", pattern="alert tcp any", pattern_type="snort") is None

    def test_in_2_0_every_pattern_is_one(self):
        """S-SPEC-7"""
        assert said("indicator", "2.0", pattern="alert tcp any", pattern_type="snort").startswith("pattern: ")

    @pytest.mark.parametrize(
        ("changes", "grammar"),
        [({}, "2.1"), ({"pattern_version": "2.0"}, "2.0"), ({"pattern_version": "9"}, "2.1")],
    )
    def test_the_grammar_follows_from_the_versions(self, changes, grammar):
        assert pattern_of(specimen("indicator") | changes)[1] == grammar
        assert pattern_of(specimen("indicator", "2.0") | changes)[1] == "2.0"

    def test_patterns_read_ahead_are_not_read_again(self, monkeypatch):
        body = an_indicator("read ahead")
        read_patterns([b"\xff indicator", b'["indicator"]', body], "full")
        monkeypatch.setattr(semantics.patterns, "_parser", None)

        assert check(body, "indicator", "2.1", full=True) is None

    def test_no_pattern_is_read_ahead_for_less_than_full(self, monkeypatch):
        monkeypatch.setattr(semantics.patterns, "fault", None)

        read_patterns([an_indicator("not ahead")], "schema")


@pytest.mark.parametrize(
    ("type", "value", "sound"),
    [
        ("url", "https://a.example/b?c=d#e", True),
        ("url", "https://a.example/a b", False),
        ("url", "a.example", False),
        ("domain-name", "münchen.example", True),
        ("domain-name", "a..example", False),
        ("domain-name", "a b.example", False),
        ("email-addr", "a.b+c@a.example", True),
        ("email-addr", '"a b"@a.example', True),
        ("email-addr", "a@[192.0.2.1]", True),
        ("email-addr", "A <a@a.example>", False),
        ("email-addr", "a@b@c.example", False),
        ("email-addr", ".a@a.example", False),
        ("email-addr", "a" * 70_000 + "@a.example", False),
    ],
)
def test_formats_are_asked_in_full_alone(type, value, sound):
    held = specimen(type) | {"value": value}

    assert (check(held, type, "2.1", full=True) is None) == sound
    assert check(held, type, "2.1") is None


def test_all_real_objects_pass_in_full_that_pass_the_schemas():
    """S-JSON-9: best practice and vocabularies never refuse, so 24,771 objects as people write them pass."""
    for body in data.attack(40):
        value = json.loads(body)

        assert check(value, value["type"], "2.1", full=True) is None
    refused = [body for body in data.playbooks() if check(body, json.loads(body)["type"], "2.0", full=True)]
    assert len(refused) == 12


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["id", an_id("file")])
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
PLACES = [(type, name) for type, value in specimens("2.1").items() for name in value if name != "type"]
OTHERS = st.sampled_from(["granular_markings", "extensions", "objects", "object_refs", "contents"])


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(PLACES), value=ANYTHING, other=OTHERS, more=ANYTHING)
def test_every_value_gets_a_verdict_and_no_exception(place, value, other, more):
    type, name = place
    found = check(specimen(type) | {name: value, other: more}, type, "2.1", full=True)

    assert found is None or 0 < len(found) <= 300
