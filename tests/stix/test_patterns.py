"""node/stix/patterns.py: patterns are read by the grammar, within limits, once."""

import subprocess
import sys
import threading
import time

import pytest

from node.stix import patterns
from node.stix.patterns import fault, too_much
from tests.stix.by_hand import PATTERNS

IP = "[ipv4-addr:value = '198.51.100.3']"
SOUND = {
    "of two observations",
    "with a qualifier twice",
    "with a comment",
    "with two equal signs",
    "with a part of a hash",
    "with a hash of several",
    "with an index",
    "with an own type",
    "with an own property",
    "of 300 observations",
}


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    monkeypatch.setattr(patterns, "_answers", type(patterns._answers)())


def joined(number, word="OR"):
    return f" {word} ".join([IP] * number)


def down(levels, work):
    return work() if levels == 0 else down(levels - 1, work)


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_patterns_of_2_0_are_sound_or_faulty(name):
    assert (fault(PATTERNS[name], "2.0") is None) == (name in SOUND)


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_patterns_of_2_1_are_sound_or_faulty(name):
    # The grammar of 2.1 knows EXISTS, and one qualifier of a kind.
    sound = SOUND - {"with a qualifier twice"} | {"with EXISTS"}

    assert (fault(PATTERNS[name], "2.1") is None) == (name in sound)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("x" * 65_537, "more than 65,536 characters"),
        (f"[file:size IN ({','.join(['1'] * 2000)})]", "more than 4,000 words and signs"),
        (joined(402), "more than 400 AND, OR, FOLLOWEDBY and qualifiers"),
        (joined(402, "FOLLOWEDBY"), "more than 400"),
        (IP + " WITHIN 5 SECONDS" * 401, "more than 400"),
        (f"[file:size{'.step' * 50} = 1]", "more than 50 steps in one object path"),
        (f"""[file:size{".'step'" * 50} = 1]""", "more than 50 steps in one object path"),
        (f"""[file:size{". /* */ 'step'" * 50} = 1]""", "more than 50 steps in one object path"),
        ("(" * 33 + IP + ")" * 33, "more than 32 parentheses inside one another"),
        ("(" * 20 + IP + ")" * 19, "has 1 '(' that nothing closes"),
        (IP + "]", "has a ']' at character 34 that closes nothing"),
        ("[file:name = 'a]", "has a ' at character 13 that nothing closes"),
        ("[file:size = 1] /* never", "has a /* at character 16 that nothing closes"),
        ("[(file:size = 1])", "has a ']' at character 15 that closes nothing"),
    ],
)
def test_a_pattern_beyond_a_limit_is_told_the_limit_without_being_parsed(monkeypatch, pattern, words):
    monkeypatch.setattr(patterns, "_parser", None)

    assert words in fault(pattern, "2.1")


@pytest.mark.parametrize(
    "pattern",
    [
        joined(401),
        "[file:name = '" + "a" * 65_000 + "']",
        f"[file:size{'.step' * 49} = 1]",
        f"[file:size{'.step' * 49} = 'a' OR file:size{'.step' * 49} IN ('a')]",
        "(" * 32 + IP + ")" * 32,
        "[" + "(" * 31 + "file:size = 1" + ")" * 31 + "]",
        "[file:name IN (" + ",".join(["'a'"] * 1_900) + ")]",
        r"[file:name = 'it\'s ((([[[ AND OR']",
        "[file:size /* it's a byte ((( */ = 1] // and that's all",
    ],
    ids=["joined", "text", "path", "paths", "observations", "comparisons", "set", "quoted", "remarks"],
)
def test_a_pattern_just_within_the_limits_is_read(pattern):
    assert fault(pattern, "2.1") is None


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 32 + joined(401) + ")" * 32,
        "[" + "(" * 31 + "file:size" + ".step" * 49 + " = 1" + " OR file:size = 1" * 400 + ")" * 31 + "]",
        IP + " WITHIN 5 SECONDS" * 400,
        "((" + "(" * 30 + IP + " FOLLOWEDBY " + IP + ")" * 32,
    ],
    ids=["nested", "everything", "qualifiers", "followed"],
)
def test_the_verdict_does_not_depend_on_how_deep_the_callers_stack_is(pattern):
    verdicts = []
    for levels in (0, 250):
        patterns._answers.clear()
        verdicts.append(down(levels, lambda: fault(pattern, "2.1")))

    assert verdicts[0] == verdicts[1]
    assert "Recursion" not in str(verdicts[0])


def test_without_the_limits_the_parser_would_fall(monkeypatch):
    """The control: what the limits keep away does make the parser recurse too deep."""
    monkeypatch.setattr(patterns, "too_much", lambda _: None)

    assert fault(joined(1_200), "2.1") == "cannot be read: RecursionError"


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 65_000,
        "[" * 65_000,
        "'" * 65_000,
        "'\\" * 32_000,
        "a:" * 32_000,
        "a.b" * 20_000,
        "1" * 65_000,
        "a-" * 32_000,
        "/*" * 32_000,
        "/* */" * 13_000,
        "NOT " * 16_000,
        "() " * 20_000,
    ],
    ids=[
        "round",
        "square",
        "quotes",
        "escapes",
        "colons",
        "dots",
        "digits",
        "hyphens",
        "comments",
        "remarks",
        "not",
        "empty",
    ],
)
def test_a_text_made_to_burn_time_is_refused_quickly(pattern):
    fault(IP, "2.1")
    started = time.process_time()

    assert fault(pattern, "2.1") is not None
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "test",
    [
        "LIKE 'd41d%'",
        "MATCHES '^d41d'",
        "NOT LIKE '%27e'",
        f"IN ('{'a' * 32}')",
        f"IN ('{'a' * 32}', '{'b' * 32}')",
        f"= '{'a' * 32}'",
    ],
)
@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_a_hash_may_be_looked_for_by_a_part_of_it_or_among_several(test, version):
    assert fault(f"[file:hashes.MD5 {test}]", version) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "[file:hashes.MD5 = 'd41d']",
        "[file:hashes.MD5 != 'd41d']",
        "[file:hashes.'SHA-256' = 'd41d' OR file:hashes.MD5 LIKE 'd41%']",
        "[file:hashes.MD5 LIKE 'd41%' AND file:hashes.'SHA-256' = 'd41d']",
    ],
)
def test_a_hash_that_is_compared_has_its_length(pattern):
    assert "is not a valid" in fault(pattern, "2.1")


def test_a_fault_names_the_place():
    assert fault("[file:size = 1", "2.1") == "has 1 '[' that nothing closes"
    assert fault("[file:size & 1]", "2.1").startswith("cannot be read: character 11.")


def test_a_verdict_is_remembered(monkeypatch):
    assert fault(IP, "2.1") is None
    monkeypatch.setattr(patterns, "_parser", None)

    assert fault(IP, "2.1") is None


def test_a_refusal_is_remembered_too(monkeypatch):
    first = fault("[file:size = ]", "2.1")
    monkeypatch.setattr(patterns, "_parser", None)

    assert fault("[file:size = ]", "2.1") == first is not None


def test_the_two_grammars_are_remembered_apart():
    assert fault("[EXISTS file:size]", "2.0") is not None
    assert fault("[EXISTS file:size]", "2.1") is None


def test_no_more_is_remembered_than_was_said_and_the_longest_unused_goes_first(monkeypatch):
    monkeypatch.setattr(patterns, "REMEMBERED", 3)
    monkeypatch.setattr(patterns, "_parser", lambda: lambda pattern, version: parsed.append(pattern) or [])
    parsed = []
    for name in ("aaa", "bbb", "ccc", "aaa", "ddd", "aaa", "bbb"):
        fault(f"[file:{name} = 1]", "2.1")

    assert patterns.remembered() == 3
    assert parsed == [f"[file:{name} = 1]" for name in ("aaa", "bbb", "ccc", "ddd", "bbb")]


def test_many_threads_get_the_same_verdicts():
    wanted = [(f"[file:size = {number}]" if number % 2 else f"[file:size = {number}") for number in range(60)]
    found = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(fault(each, "2.1") is None for each in wanted))
        for mine in found
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=60)

    assert found == [[number % 2 == 1 for number in range(60)]] * 4


def test_texts_in_quotes_are_not_looked_into():
    assert too_much("[file:name = '(((((((((((((((((((((((((((((((((((((((((((((((((((( OR']") is None


def test_the_parser_is_not_loaded_before_the_first_pattern():
    program = (
        "import sys\n"
        "from node.stix import validation\n"
        "assert 'antlr4' not in sys.modules and 'stix2patterns' not in sys.modules\n"
        "from node.stix.patterns import fault\n"
        "assert fault(\"[file:size = 1]\", '2.1') is None\n"
        "sys.exit('stix2patterns' not in sys.modules)\n"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
