"""One word for one thing: the words that the project does not use are not in its names.

Looked at are the names that we give ourselves: modules, classes, functions, parameters, variables.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

import pytest

from tests.architecture.reading import NODE, place, sources, tree

# avoided word -> the word to use
AVOIDED = {
    "payload": "body",
    "serialized": "body",
    "ioc": "object or indicator",
    "iocs": "objects or indicators",
    "peer": "partner",
    "peers": "partners",
    "tenant": "partner",
    "upstream": "partner",
    "pipeline": "link",
    "subscription": "link",
    "watermark": "bookmark",
    "ruleset": "agreement",
    "forwarding": "onward",
    "relay": "onward",
    "reexport": "onward",
    "sender": "origin or giver",
    "inbound": "ingress, or in",
    "outbound": "egress, or out",
    "ingest": "admit",
    "blacklist": "refuse",
    "whitelist": "allow",
    "dupe": "duplicate",
    "collision": "conflict",
    "sanitise": "redact",
    "sanitize": "redact",
    "anonymise": "redact",
    "anonymize": "redact",
    "masking": "redaction",
    "dlq": "dead",
    "crawl": "pull",
    "acl": "grant",
    "user": "account or person",
    "users": "accounts or persons",
    "admins": "persons",
    "helper": "what it does",
    "helpers": "what it does",
    "util": "what it does",
    "utils": "what it does",
    "misc": "what it is",
    "stuff": "what it is",
    "manager": "what it does",
    "handler": "what it does",
    "processor": "what it does",
}
MODULES = {
    "utils",
    "helpers",
    "common",
    "base",
    "core",
    "manager",
    "handler",
    "service",
    "processor",
    "engine",
    "data",
    "info",
}


def _given(module: ast.Module) -> Iterator[str]:
    for part in ast.walk(module):
        if isinstance(part, ast.ClassDef | ast.FunctionDef):
            yield part.name
        elif isinstance(part, ast.arg):
            yield part.arg
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id


def _words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return {word for word in spaced.lower().split("_") if word}


@pytest.mark.parametrize("path", sources(), ids=place)
def test_no_avoided_word_is_in_a_name(path):
    names = {path.stem, *_given(tree(path))}

    assert {name: AVOIDED[word] for name in names for word in _words(name) & AVOIDED.keys()} == {}


def test_no_module_has_a_name_that_says_nothing():
    assert [place(path) for path in NODE.rglob("*") if path.stem in MODULES] == []


def test_no_module_is_named_like_one_of_the_standard_library():
    own = {path.stem for path in sources() if not path.stem.startswith("__")}

    assert own & sys.stdlib_module_names == set()


def test_an_avoided_word_in_a_planted_name_is_found():
    planted = ast.parse("def f(rawPayload): pass\nfor peer_name in (): pass")

    assert {word for name in _given(planted) for word in _words(name) & AVOIDED.keys()} == {"payload", "peer"}
