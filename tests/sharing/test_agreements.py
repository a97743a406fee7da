"""node/sharing/agreements.py and flows.py: what a signed file says, and which files are refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from node.errors import ConfigError
from node.sharing.agreements import digest_words, in_force, load_agreement, parse_agreement, type_allowed
from node.stix.markings import TLP
from tests.support.agreements import a_flow, a_party, agreement_text, an_agreement
from tests.support.builders import NORTH_ID, SOUTH_ID

EXAMPLE = Path(__file__).parents[2] / "agreement.example.toml"


def refusal(**changes: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        an_agreement(**changes)
    return caught.value


def test_the_example_loads():
    agreement = load_agreement(EXAMPLE)

    assert agreement.id == "AGR-2026-01"
    assert agreement.review_on == date(2027, 6, 1)
    assert [flow.collection for flow in agreement.flows] == [
        "best-practices", "indicators", "legal-reference", "sightings", "techniques",
    ]  # fmt: skip
    assert agreement.parties["north"].speaks_for == (NORTH_ID,)


def test_the_commented_keys_of_the_example_are_the_defaults():
    lines = EXAMPLE.read_text(encoding="utf-8").split("\n")
    written_out = "\n".join(
        line[1:] if line.startswith("#") and line[1:2].isalpha() else line for line in lines
    )

    assert written_out.count("\n#") < "\n".join(lines).count("\n#")
    assert parse_agreement(written_out, "example") == load_agreement(EXAMPLE)


def test_the_example_shows_every_key_of_a_flow():
    text = EXAMPLE.read_text(encoding="utf-8")
    keys = ("collection", "from", "types", "max_tlp", "unmarked", "carry", "every_seconds", "keep_days",
            "audience", "onward", "either_may_edit", "paper_signed", "card_number", "speaks_for")  # fmt: skip

    assert [key for key in keys if f"{key} = " not in text] == []


def test_a_flow_takes_what_it_does_not_say_from_every_flow():
    flow = an_agreement(
        every_flow={"max_tlp": "amber+strict", "keep_days": 9}, flow=[a_flow(keep_days=30)]
    ).flows[0]

    assert (flow.max_tlp, flow.keep_days) == (TLP.AMBER_STRICT, 30)


def test_what_nobody_says_is_the_careful_value():
    flow = an_agreement(every_flow=None).flows[0]

    assert (flow.max_tlp, flow.unmarked, flow.audience, flow.onward) == (TLP.GREEN, None, (), ())
    assert (flow.keep_days, flow.every_seconds, flow.either_may_edit) == (730, 300, False)
    assert flow.carry == {"north": "pull", "south": "pull"}


def test_unmarked_may_name_a_level():
    assert an_agreement(flow=[a_flow(unmarked="clear")]).flows[0].unmarked is TLP.CLEAR


def test_onward_names_third_parties():
    assert an_agreement(flow=[a_flow(onward=["west"])]).flows[0].onward == ("west",)


def test_a_carry_table_in_every_flow_may_name_parties_that_do_not_give_here():
    shared = {"carry": {"north": "push", "south": "pull"}}

    assert an_agreement(every_flow=shared, flow=[a_flow(givers=["south"])]).flows[0].carry == {
        "south": "pull"
    }


def test_three_parties_may_sign():
    parties = {name: a_party(name) for name in ("north", "south", "west")}

    assert list(an_agreement(party=parties).parties) == ["north", "south", "west"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-11-20T21:59:59Z", False), ("2026-11-20T22:00:00Z", True),
     ("2027-11-30T21:59:59Z", True), ("2027-11-30T22:00:00Z", False)],
    ids=["before it starts", "at its start", "last second", "at its end"],
)  # fmt: skip
def test_it_is_in_force_from_its_start_up_to_but_not_at_its_end(text: str, expected: bool):
    now = int(datetime.fromisoformat(text).timestamp()) * 1_000_000

    assert in_force(an_agreement(), now) is expected


def test_the_time_zone_of_a_desk_is_part_of_the_terms_only_where_it_is_written():
    north = {"north": a_party("north", time_zone="Europe/Helsinki"), "south": a_party("south")}
    empty = {"north": a_party("north", time_zone=""), "south": a_party("south")}

    assert an_agreement(party=north).parties["north"].time_zone == "Europe/Helsinki"
    assert an_agreement(party=north).terms_digest != an_agreement().terms_digest
    assert an_agreement(party=empty).terms_digest == an_agreement().terms_digest


def test_digest_words_are_twelve_hex_digits_by_fours():
    assert digest_words(bytes.fromhex("7bc374ceb755ffff")) == "7bc3 74ce b755"


# The digest of the meaning.

SAME_MEANING = {
    "comments and empty lines": lambda text: "# a comment\n\n" + text.replace("\n[", " # more\n\n["),
    "line ends": lambda text: text.replace("\n", "\r\n"),
    "byte order mark": lambda text: "\ufeff" + text,
    "order of keys": lambda text: text.replace(
        'id = "AGR-2026-01"\nrevision = 1', 'revision = 1\nid = "AGR-2026-01"'
    ),
    "order of a list": lambda text: text.replace(
        '"from" = ["north", "south"]', '"from" = ["south", "north"]'
    ),
    "another zone": lambda text: text.replace("2026-11-21T00:00:00+02:00", "2026-11-20T22:00:00Z"),
    "a default written out": lambda text: text + '"onward" = "none"\n"keep_days" = 730\n',
    "every_flow repeated in the flow": lambda text: text + '"max_tlp" = "GREEN"\n',
    "carry for each giver": lambda text: text + '"carry" = { north = "pull", south = "pull" }\n',
}


@pytest.mark.parametrize("change", SAME_MEANING.values(), ids=SAME_MEANING)
def test_the_digest_does_not_count(change):
    text = agreement_text()
    changed = change(text)

    assert changed != text
    assert parse_agreement(changed, "test").terms_digest == parse_agreement(text, "test").terms_digest


def test_one_flow_with_two_givers_and_two_flows_with_one_are_the_same_terms():
    apart = an_agreement(flow=[a_flow(givers=["south"]), a_flow(givers=["north"])])

    assert apart.terms_digest == an_agreement().terms_digest


OTHER_MEANING = {
    "id": {"id": "AGR-2026-02"},
    "revision": {"revision": 2},
    "title": {"title": "Annex 3"},
    "legal_basis": {"legal_basis": "another paper"},
    "starts": {"starts": datetime(2026, 11, 20, tzinfo=UTC)},
    "ends": {"ends": datetime(2028, 11, 20, tzinfo=UTC)},
    "review_on": {"review_on": None},
    "paper_signed": {"paper_signed": True},
    "duty_phone": {"party": {"north": a_party("north", duty_phone="+1"), "south": a_party("south")}},
    "speaks_for": {"party": {"north": a_party("north", speaks_for=[]), "south": a_party("south")}},
    "collection": {"flow": [a_flow("others")]},
    "from": {"flow": [a_flow(givers=["north"])]},
    "types": {"flow": [a_flow(types=["indicator"])]},
    "max_tlp": {"flow": [a_flow(max_tlp="red")]},
    "unmarked": {"flow": [a_flow(unmarked="clear")]},
    "carry": {"flow": [a_flow(carry={"north": "push", "south": "pull"})]},
    "every_seconds": {"flow": [a_flow(every_seconds=60)]},
    "keep_days": {"flow": [a_flow(keep_days=1)]},
    "audience": {"flow": [a_flow(audience=["others"])]},
    "onward": {"flow": [a_flow(onward=["west"])]},
    "either_may_edit": {"flow": [a_flow(either_may_edit=True)]},
}


@pytest.mark.parametrize("changes", OTHER_MEANING.values(), ids=OTHER_MEANING)
def test_the_digest_counts(changes: dict[str, object]):
    assert an_agreement(**changes).terms_digest != an_agreement().terms_digest


# Files that are refused.

FLOW_MISTAKES = {
    "max_tpl": ({"max_tpl": "red"}, "max_tpl", "max_tlp"),
    "tlp_ceiling": ({"tlp_ceiling": "red"}, "tlp_ceiling", "max_tlp"),
    "misspelt key": ({"audiense": []}, "audiense", "audience"),
    "bad level": ({"max_tlp": "orange"}, "max_tlp", "amber"),
    "level as a number": ({"max_tlp": 3}, "max_tlp", "amber"),
    "bad unmarked": ({"unmarked": "accept"}, "unmarked", "withhold"),
    "nobody gives": ({"from": []}, "names no party", "parties that give"),
    "a giver that did not sign": ({"from": ["west"]}, "west is no party", "parties that give"),
    "a word instead of a list": ({"from": "north"}, "from", "list"),
    "unknown type": ({"types": ["indicater"]}, "did you mean indicator", "STIX types"),
    "every type": ({"types": ["*"]}, "'*' is no type", "STIX types"),
    "every vendor": ({"types": ["x-*"]}, "'x-*' is no type", "STIX types"),
    "a star behind a STIX type": ({"types": ["indicator*"]}, "is no type", "STIX types"),
    "no type": ({"types": []}, "names no type", "STIX types"),
    "bad alias": ({"collection": "In Dicators/in"}, "collection", "lower-case"),
    "negative days": ({"keep_days": -1}, "-1", "1 to 36500"),
    "no days": ({"keep_days": 0}, "keep_days", "1 to 36500"),
    "days as text": ({"keep_days": "730"}, "keep_days", "1 to 36500"),
    "days too many to count": ({"keep_days": 10**30}, "keep_days", "1 to 36500"),
    "no seconds": ({"every_seconds": 0}, "every_seconds", "1 to"),
    "both carry": ({"carry": "both"}, "carry", "one carrier"),
    "pull and push": ({"carry": ["pull", "push"]}, "carry", "one carrier"),
    "carry forgets a giver": ({"carry": {"north": "push"}}, "no word for what south gives", "one carrier"),
    "carry names a stranger": ({"carry": {"north": "push", "west": "pull"}}, "west is no party", "carrier"),
    "carry names a receiver": (
        {"from": ["north"], "carry": {"north": "push", "south": "pull"}},
        "south gives nothing",
        "one carrier",
    ),
    "onward to a party": ({"onward": ["south"]}, "south is a party", "third parties"),
    "onward as a word": ({"onward": "west"}, "onward", "third parties"),
    "audience with a space": ({"audience": ["state bodies"]}, "state bodies", "list of names"),
    "either_may_edit as text": ({"either_may_edit": "yes"}, "either_may_edit", "true or false"),
}


@pytest.mark.parametrize(("changes", "problem", "remedy"), FLOW_MISTAKES.values(), ids=FLOW_MISTAKES)
def test_a_mistake_in_a_flow_is_refused_by_name(changes: dict[str, object], problem: str, remedy: str):
    error = refusal(flow=[a_flow(**changes)])

    assert error.problem.startswith("test.toml, [[flow]] ")
    assert problem in error.problem
    assert remedy in error.remedy


TOP_MISTAKES = {
    "unknown key": ({"flows_": 1}, "flows_", "flow"),
    "a time without offset": ({"starts": datetime(2026, 11, 21)}, "starts", "offset"),  # noqa: DTZ001 - the point
    "a date for a time": ({"ends": date(2027, 12, 1)}, "ends", "offset"),
    "a time for a date": ({"review_on": datetime(2027, 6, 1, tzinfo=UTC)}, "review_on", "date alone"),
    "ends before it starts": ({"ends": datetime(2026, 1, 1, tzinfo=UTC)}, "ends", "later than starts"),
    "ends when it starts": ({"ends": datetime(2026, 11, 20, 22, tzinfo=UTC)}, "ends", "later than starts"),
    "valid_from": ({"valid_from": 1}, "valid_from", "starts"),
    "another format": ({"format": 2}, "format", "format = 1"),
    "no format": ({"format": None}, "format", "format = 1"),
    "no title": ({"title": None}, "title", "key"),
    "empty legal basis": ({"legal_basis": " "}, "legal_basis", "example"),
    "control characters": ({"title": "Annex \x1b[2J"}, "title", "example"),
    "revision 0": ({"revision": 0}, "revision", "from 1"),
    "an id with a slash": ({"id": "AGR/1"}, "id", "AGR-2026-01"),
    "no flow": ({"flow": None}, "flow", "[[flow]]"),
    "an empty list of flows": ({"flow": []}, "there is none", "[[flow]]"),
    "one bracket": ({"flow": a_flow()}, "test.toml, flow", "[[flow]]"),
    "no party": ({"party": None, "flow": [a_flow(givers=["north"])]}, "fewer than two parties", ""),
    "one party": (
        {"party": {"north": a_party("north")}, "flow": [a_flow(givers=["north"])]},
        "party",
        "two at least",
    ),
    "a collection for every flow": (
        {"every_flow": {"collection": "a"}},
        "[every_flow] collection",
        "[[flow]]",
    ),
    "every_flow misspelt": ({"every_flow": {"max_tpl": "red"}}, "[every_flow] max_tpl", "max_tlp"),
    "two flows of one giver": ({"flow": [a_flow(), a_flow(givers=["south"])]}, "a second flow", "one flow"),
}


@pytest.mark.parametrize(("changes", "problem", "remedy"), TOP_MISTAKES.values(), ids=TOP_MISTAKES)
def test_a_mistake_in_the_head_is_refused_by_name(changes: dict[str, object], problem: str, remedy: str):
    error = refusal(**changes)

    assert error.problem.startswith("test.toml, ")
    assert problem in error.problem
    assert remedy in error.remedy


PARTY_MISTAKES = {
    "an identity two parties claim": ({"speaks_for": [SOUTH_ID]}, "claims it too"),
    "the same in other letters": ({"speaks_for": [SOUTH_ID.replace("c", "C")]}, "claims it too"),
    "not an identity": ({"speaks_for": ["indicator--2f1b6c7a-54c6-4b0e-9d0a-3f6f4a1f0a01"]}, "not the id"),
    "no duty phone": ({"duty_phone": None}, "duty_phone"),
    "empty unit": ({"unit": ""}, "unit"),
    "a time zone that is none": ({"time_zone": "Helsinki"}, "time_zone"),
    "a short card number": ({"card_number": "00000 00000"}, "card_number"),
    "unknown key": ({"phone": "1"}, "phone"),
}


@pytest.mark.parametrize(("changes", "problem"), PARTY_MISTAKES.values(), ids=PARTY_MISTAKES)
def test_a_mistake_in_a_party_is_refused_by_name(changes: dict[str, object], problem: str):
    error = refusal(party={"south": a_party("south"), "north": a_party("north", **changes)})

    assert error.problem.startswith("test.toml, [party.north]")
    assert problem in error.problem


@pytest.mark.parametrize("name", ["local", "none", "North", "a/b"])
def test_a_party_cannot_be_called(name: str):
    parties = {json_name(name): a_party("west"), "north": a_party("north"), "south": a_party("south")}

    assert "cannot name a party" in refusal(party=parties).problem


def json_name(name: str) -> str:
    return f'"{name}"' if "/" in name else name


@pytest.mark.parametrize(
    "key",
    [
        "min_confidence",
        "no_confidence",
        "expired",
        "personal_data",
        "redact",
        "lifetime_days",
    ],
)
@pytest.mark.parametrize("section", ["flow", "every_flow"])
def test_a_limit_that_is_not_enforced_yet_must_not_be_promised(section: str, key: str):
    error = refusal(**({"flow": [a_flow(**{key: 1})]} if section == "flow" else {"every_flow": {key: 1}}))

    assert key in error.problem
    assert "does not enforce it yet, so it must not be promised; take it out" in error.problem


@pytest.mark.parametrize("chapter", ["cases", "requests", "at_end"])
def test_a_chapter_that_is_not_enforced_yet_must_not_be_promised(chapter: str):
    assert "must not be promised; take it out" in refusal(**{chapter: {"max_tlp": "amber"}}).problem


def test_a_promise_that_is_kept_is_read_and_counts_in_the_digest():
    plain = an_agreement()
    said = an_agreement(promises={"acknowledge_withdrawal_hours": 24})
    other = an_agreement(promises={"acknowledge_withdrawal_hours": 4})

    assert (plain.acknowledge_withdrawal_hours, other.acknowledge_withdrawal_hours) == (24, 4)
    assert plain.terms_digest == said.terms_digest != other.terms_digest


@pytest.mark.parametrize("key", ["report_compromise_hours", "available_percent"])
def test_a_promise_that_is_not_measured_yet_must_not_be_made(key: str):
    assert "must not be promised; take it out" in refusal(promises={key: 1}).problem


def test_all_problems_of_a_file_are_told_at_once():
    parties = {"north": a_party("north", unit=None), "south": a_party("south")}
    error = refusal(revision=0, party=parties, every_flow={"max_tpl": "red"}, flow=[a_flow(keep_days=0)])

    assert len(error.problem.split("\n")) == 4
    assert "4 places" in error.remedy


def test_a_text_that_is_not_toml_is_refused_with_its_line():
    with pytest.raises(ConfigError, match="line 2"):
        parse_agreement("format = 1\nid = \n", "test.toml")


def test_a_text_of_a_thousand_brackets_is_refused():
    with pytest.raises(ConfigError):
        parse_agreement("format = " + "[" * 100_000, "test.toml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_agreement(tmp_path / "none.toml")


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path):
    (tmp_path / "a.toml").write_bytes(b"title = '\xff'")

    with pytest.raises(ConfigError, match="cannot be read"):
        load_agreement(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("types", "object_type", "observable", "expected"),
    [
        (("indicator",), "indicator", False, True),
        (("indicator",), "malware", False, False),
        (("observables",), "ipv4-addr", True, True),
        (("observables",), "indicator", False, False),
        (("ipv4-addr",), "url", True, False),
        (("x-mitre-*",), "x-mitre-tactic", False, True),
        (("x-mitre-*",), "x-mitre", False, False),
        (("x-mitre-*",), "x-other", False, False),
        ((), "indicator", False, False),
    ],
)
def test_types_are_names_observables_or_a_vendors_star(
    types: tuple[str, ...], object_type: str, observable: bool, expected: bool
):
    assert type_allowed(types, object_type, observable) is expected
