"""node/stix/markings.py: what a marking means, and what only pretends to be one."""

import json

import pytest

from node.stix.markings import (
    NO_TLP,
    OFFICIAL,
    TLP,
    UNKNOWN,
    altered,
    label_marking,
    meaning,
    parse_tlp,
    rank,
    stricter,
    tlp_name,
)
from tests.support.builders import TLP_2, a_marking_definition, a_tlp_marking, an_id

WHITE_1 = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"
GREEN_1 = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"
AMBER_1 = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"
RED_1 = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
STATEMENT = an_id("marking-definition", "statement")

# Look-alikes by number, since nobody can tell the characters themselves apart.
CYRILLIC_RED = "\u0422L\u0420:RED"
FULL_WIDTH_RED = "\uff34\uff2c\uff30\uff1aRED"
ZERO_WIDTH_RED = "T\u200bLP:RED"
COMBINING_RED = "T\u0301LP:RED"


def a_tlp_1_marking(**changes):
    content = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": RED_1,
        "created": "2017-01-20T00:00:00.000Z",
        "name": "TLP:RED",
        "definition_type": "tlp",
        "definition": {"tlp": "red"},
    }
    return {name: value for name, value in (content | changes).items() if value is not None}


def a_statement(**changes):
    return json.loads(a_marking_definition(**changes))


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("clear", TLP.CLEAR),
        ("white", TLP.CLEAR),
        ("Green", TLP.GREEN),
        ("amber", TLP.AMBER),
        ("AMBER+STRICT", TLP.AMBER_STRICT),
        ("red", TLP.RED),
    ],
)
def test_a_level_is_read_as_operators_write_it(text, level):
    assert parse_tlp(text) is level


@pytest.mark.parametrize("text", ["", "amber strict", "tlp:red", "r\u0435d", "unknown", "4"])
def test_another_word_is_no_level(text):
    with pytest.raises(ValueError, match="is not a TLP level"):
        parse_tlp(text)


def test_every_rank_has_a_name():
    names = [tlp_name(number) for number in range(NO_TLP, UNKNOWN + 1)]

    assert names == ["no TLP", "CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED", "unknown"]


def test_the_stricter_of_two_is_the_one_with_the_narrower_audience():
    assert stricter(TLP.AMBER, NO_TLP) == TLP.AMBER
    assert stricter(TLP.RED, UNKNOWN) == UNKNOWN


@pytest.mark.parametrize(
    ("marking", "level"),
    [
        (WHITE_1, TLP.CLEAR),
        (GREEN_1, TLP.GREEN),
        (AMBER_1, TLP.AMBER),
        (RED_1, TLP.RED),
        (TLP_2["clear"], TLP.CLEAR),
        (TLP_2["green"], TLP.GREEN),
        (TLP_2["amber"], TLP.AMBER),
        (TLP_2["amber+strict"], TLP.AMBER_STRICT),
        (TLP_2["red"], TLP.RED),
    ],
)
def test_the_nine_official_ids_are_known_without_being_held(marking, level):
    """S-TLP-6, S-TLP-9: four of TLP 1 and five of TLP 2, whether the object came or not."""
    assert rank([marking], {}) == level


def test_there_are_nine_official_ids():
    assert len(OFFICIAL) == 9


def test_no_marking_is_no_tlp():
    assert rank([], {}) == NO_TLP


def test_a_held_statement_is_no_tlp():
    assert rank([STATEMENT], {STATEMENT: NO_TLP}) == NO_TLP


def test_a_definition_that_is_not_held_is_unknown():
    assert rank([TLP_2["clear"], STATEMENT], {}) == UNKNOWN


def test_the_strictest_of_several_markings_wins():
    """S-TLP-8"""
    assert rank([TLP_2["red"], GREEN_1, STATEMENT], {STATEMENT: NO_TLP}) == TLP.RED


def test_nobody_can_give_an_official_id_another_meaning():
    assert rank([RED_1], {RED_1: TLP.CLEAR}) == TLP.RED


def test_an_official_id_in_capital_digits_is_another_id():
    assert rank([RED_1.upper().replace("MARKING-DEFINITION", "marking-definition")], {}) == UNKNOWN


@pytest.mark.parametrize(
    ("label", "level"),
    [
        ("tlp:white", TLP.CLEAR),
        ("TLP:CLEAR", TLP.CLEAR),
        ("tlp:green", TLP.GREEN),
        ("Tlp:Amber", TLP.AMBER),
        ("tlp:amber+strict", TLP.AMBER_STRICT),
        ("TLP:RED", TLP.RED),
    ],
)
def test_a_label_of_misp_carries_its_level(label, level):
    assert rank([label_marking(label)], {}) == level


@pytest.mark.parametrize(
    "label",
    [
        CYRILLIC_RED,
        FULL_WIDTH_RED,
        ZERO_WIDTH_RED,
        COMBINING_RED,
        "tlp:ex:chr",
        "tlp:",
        "TLP RED",
        "TLP-RED",
        "tlpred",
        " tlp:red",
        "#tlp:red",
        "tlp\u02d0red",
        "\u202etlp:red",
    ],
)
def test_a_label_that_only_looks_like_tlp_is_unknown(label):
    assert rank([label_marking(label)], {}) == UNKNOWN


@pytest.mark.parametrize(
    "label", ["", "tip:red", "red", "malicious-activity", "tlpx", "тип:red", "\u4e2d\u6587", "http"]
)
def test_other_labels_are_no_markings(label):
    assert label_marking(label) is None


@pytest.mark.parametrize("level", list(TLP_2))
def test_an_official_tlp_2_definition_means_its_level(level):
    """S-TLP-2"""
    definition = json.loads(a_tlp_marking(level))

    assert meaning(definition) == parse_tlp(level)
    assert not altered(definition)


def test_an_official_tlp_1_definition_means_its_level():
    """S-TLP-1"""
    assert meaning(a_tlp_1_marking()) == TLP.RED


def test_the_stix_2_0_form_of_tlp_1_is_right_too():
    definition = a_tlp_1_marking(spec_version=None, name=None)

    assert not altered(definition)
    assert meaning(definition) == TLP.RED


@pytest.mark.parametrize(
    "changes",
    [
        {"definition": {"tlp": "white"}},
        {"name": None},
        {"spec_version": None},
        {"spec_version": "2.0"},
        {"name": "TLP:WHITE"},
        {"modified": "2017-01-20T00:00:00.000Z"},
        {"created": "2017-01-21T00:00:00.000Z"},
        {"created": None},
        {"definition_type": "statement"},
        {"object_marking_refs": [WHITE_1]},
        {"type": "x-marking"},
        {"x_opencti_order": 4},
    ],
)
def test_an_official_id_with_other_content_is_altered(changes):
    """S-TLP-7"""
    definition = a_tlp_1_marking(**changes)

    assert altered(definition)
    assert meaning(definition) == UNKNOWN


@pytest.mark.parametrize("changes", [{"tlp_2_0": "clear"}, {"note": "x"}])
def test_an_altered_tlp_2_extension_is_noticed(changes):
    definition = json.loads(a_tlp_marking("red"))
    next(iter(definition["extensions"].values())).update(changes)

    assert altered(definition)


def test_another_id_is_not_altered_but_unknown():
    """S-TLP-1: nobody else makes TLP; what claims to be it ranks above RED."""
    definition = a_tlp_1_marking(id=an_id("marking-definition", "mine"))

    assert not altered(definition)
    assert meaning(definition) == UNKNOWN


def test_a_tlp_2_extension_under_another_id_is_unknown():
    definition = json.loads(a_tlp_marking("clear"))
    definition["id"] = an_id("marking-definition", "mine")

    assert meaning(definition) == UNKNOWN


def test_a_statement_is_no_tlp():
    assert meaning(a_statement()) == NO_TLP


@pytest.mark.parametrize(
    "text",
    [
        "TLP:RED",
        "This report is TLP:AMBER.",
        "tlp red",
        CYRILLIC_RED,
        FULL_WIDTH_RED,
        ZERO_WIDTH_RED,
        "Traffic Light Protocol: green",
        "AMBER+STRICT",
        " red ",
    ],
)
def test_a_statement_that_speaks_of_tlp_is_unknown(text):
    assert meaning(a_statement(definition={"statement": text})) == UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "TLP:AMBER+STRICT"},
        {"x_opencti_definition": "TLP:RED"},
        {"x_tlp": "1"},
        {"definition_type": "Statement"},
        {"definition_type": "iep"},
        {"definition": {"statement": "Terms", "tlp_level": "4"}},
        {"definition": {"statement": 4}},
        {"definition": {"statement": "Terms", "more": 1}},
        {"definition": ["Terms"]},
        {"definition": None},
        {"extensions": {an_id("extension-definition"): {"extension_type": "property-extension"}}},
    ],
)
def test_whatever_is_not_a_plain_statement_is_unknown(changes):
    assert meaning(a_statement(**changes)) == UNKNOWN


def test_words_that_only_contain_the_letters_are_harmless():
    text = "Copyright of the outlplan centre, to be shared and hundred times credited in green ink."

    assert meaning(a_statement(definition={"statement": text})) == NO_TLP
