"""Our verdicts beside those of stix2-validator 3.2.0, over some 1,600 objects with one fault or none.

Rule    Every disagreement is explained by a row of DIFFERENCES, which `docs/validation.md` tells people;
        a disagreement without a row fails, and so does a row that no disagreement uses.

S-ID-1, S-ID-2, S-ID-3, S-VER-3, S-JSON-1, S-JSON-2, S-JSON-4, S-JSON-5 and S-JSON-6 are held to here from
both sides: what each of the two says of the mutation that breaks them.
"""

import functools
import json
import re
from importlib import import_module
from typing import NamedTuple

import pytest

from node.errors import InvalidObject
from node.stix.validation import read_checked
from tests.architecture.reading import ROOT
from tests.stix.mutations import mutations


class Difference(NamedTuple):
    """One explained kind of disagreement; `names` is matched against the whole name of the mutation."""

    key: str
    refused_by: str  # "us" or "the validator"
    names: str


DIFFERENCES = (
    Difference("D1", "us", r"2\.[01] \S+ .* in object_marking_refs"),
    Difference("D2", "us", r"2\.[01] \S+ (.* as created_by_ref|creator of another type)"),
    Difference("D3", "us", r"2\.1 \S+ (texts? \S+_refs?|\S+ (as|in) \S+_refs?)"),
    Difference("D3", "us", r"2\.1 (network-traffic body|email-message part|process service) .*another type"),
    Difference("D3", "us", r"2\.1 file archive of a url"),
    Difference("D4", "us", r"2\.1 observed-data of no observable"),
    Difference("D5", "us", r"2\.[01] \S+ (null|empty list|empty dictionary) inside"),
    Difference("D6", "us", r"2\.[01] (\S+ large inside|file size of 2\*\*60)"),
    Difference("D7", "us", r"2\.1 \S+ name (nameNOT|name-not|n{10})"),
    Difference("D8", "us", r"2\.1 (file|extension-definition|marking-definition) with .*"),
    Difference("D8", "us", r"2\.1 (indicator defanged|extension-definition without its maker)"),
    Difference("D9", "us", r"2\.1 indicator (granular lang and marking|selector into a text)"),
    Difference("D10", "us", r"2\.[01] indicator date of twelve digits .*"),
    Difference("D11", "us", r"2\.[01] indicator pattern of (402 observations|33 parentheses)"),
    Difference("D12", "the validator", r"2\.1 \S+ date of twelve digits \S+"),
    Difference("D12", "the validator", r"2\.1 indicator modified with more digits"),
    Difference("D13", "the validator", r"2\.1 \S+ id of version 7"),
    Difference("D14", "the validator", r"2\.1 \S+ of UUID 5( with nothing)?"),
    Difference("D14", "the validator", r"2\.1 (email-message drop from_ref|x509-\S+ drop serial_number)"),
    Difference("D15", "the validator", r"2\.1 indicator granular lang"),
    Difference("D16", "the validator", r"2\.1 ipv6-addr of IPv4"),
    Difference("D17", "the validator", r"2\.1 windows-registry-key letters of a hive inside"),
    Difference("D17", "the validator", r"2\.1 (windows-registry-key|process) of its time alone"),
    Difference("D18", "the validator", r"2\.1 (indicator|language-content|software) \S+ of no registry"),
    Difference("D18", "the validator", r"2\.1 (artifact of no media type|directory charset of no registry)"),
    Difference("D19", "the validator", r"2\.1 email-addr (of one label|with quotes)"),
    Difference("D20", "the validator", r"2\.0 indicator pattern with an own (type|property)"),
    Difference("D21", "the validator", r"2\.1 (artifact of an own media|software language of two) \w+"),
    Difference("D21", "the validator", r"2\.1 (artifact TLSH|email-message header|file selector) .*"),
    Difference("D23", "the validator", r"2\.1 domain-name (with an underscore|with hyphens .*|defanged)"),
    Difference("D22", "the validator", r"2\.[01] indicator pattern with a (part of a hash|hash of several)"),
)  # fmt: skip


@pytest.fixture(scope="module")
def verdicts():
    """By name of the mutation: refused at `schema`, at `full`, and by the validator."""
    # Loaded here alone: it takes more than a second. Its schema files are read, and searched for what they
    # refer to, once and not for each object.
    engine, options = import_module("stix2validator.validator"), import_module("stix2validator.util")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("find_schema", "retrieve_from_filesystem"):
            patch.setattr(engine, name, functools.cache(getattr(engine, name)))
        patch.setattr(engine, "Registry", _remembering(engine.Registry))
        return {
            name: (
                _refused(value, "schema"),
                _refused(value, "full"),
                _refused_there(engine, value, options.ValidationOptions(version=name[:3])),
            )
            for name, value in mutations()
        }


def _remembering(make):
    """What gives the validator its registry of schemas, with all that was ever asked of that folder."""
    known = {}

    def registry(retrieve):
        folder = retrieve.keywords["schema_dir"]

        def retrieved(uri):
            found = retrieve(uri)
            known[folder] = known[folder].with_resource(uri, found).crawl()
            return found

        return known.setdefault(folder, make(retrieve=retrieved))

    return registry


def _refused(value, level):
    try:
        return read_checked(json.dumps(value).encode(), level)[1] is not None
    except InvalidObject:
        return True


def _refused_there(engine, value, options):
    try:
        return not engine.validate_instance(value, options).is_valid
    except Exception:  # noqa: BLE001 - it falls over shapes that its schemas have refused before
        return True


def _disagreements(verdicts):
    """(name, who refuses) where our full check and the validator do not agree."""
    return [
        (name, "us" if full else "the validator")
        for name, (_, full, theirs) in verdicts.items()
        if full != theirs
    ]


def _explained(name, refused_by):
    return [each for each in DIFFERENCES if each.refused_by == refused_by and re.fullmatch(each.names, name)]


def test_the_corpus_has_some_hundreds_of_faults_and_some_hundreds_of_sound_objects(verdicts):
    full = [full for _, full, _ in verdicts.values()]

    assert len(full) > 1_500
    assert sum(full) > 1_000
    assert len(full) - sum(full) > 300


def test_every_disagreement_with_the_validator_is_explained(verdicts):
    unexplained = [pair for pair in _disagreements(verdicts) if not _explained(*pair)]

    assert unexplained == []


def test_every_explanation_is_used(verdicts):
    used = {each for pair in _disagreements(verdicts) for each in _explained(*pair)}

    assert [each for each in DIFFERENCES if each not in used] == []


def test_an_object_is_never_refused_by_the_schemas_and_passed_in_full(verdicts):
    assert [name for name, (schema, full, _) in verdicts.items() if schema and not full] == []


def test_what_the_schemas_pass_and_the_validator_refuses_is_refused_in_full_or_explained(verdicts):
    left = [
        name
        for name, (schema, full, theirs) in verdicts.items()
        if theirs and not schema and not full and not _explained(name, "the validator")
    ]

    assert left == []


def test_what_full_adds_to_the_schemas_is_what_the_validator_adds_too(verdicts):
    """A control: were `full` no more than the schemas, more than a hundred verdicts would differ again."""
    regained = [name for name, (schema, full, theirs) in verdicts.items() if full and theirs and not schema]

    assert len(regained) > 100


def test_the_paper_tells_exactly_these_differences():
    paper = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (D\d+) \| (us|the validator) \|", paper, re.MULTILINE)

    assert sorted(rows) == sorted({(each.key, each.refused_by) for each in DIFFERENCES})
