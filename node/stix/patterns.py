"""Whether an indicator's STIX pattern can be read, by the grammar of the standard.

The grammar is that of the package stix2-patterns. It costs about 0.4 ms for a plain pattern and
grows with the number of its words, it recurses, and some texts make it fall. So a pattern is
measured before it is parsed, and the answer is remembered.

Rule    No text costs more than what MAX_WORDS, MAX_JOINED, MAX_PATH and MAX_NESTING let through, and
        the answer does not depend on how deep the caller's own stack is.
Memory  at most REMEMBERED answers of about 300 bytes each, under the digest of the pattern: 20 MB.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Final

from node.stix.decoding import shown

MAX_CHARACTERS: Final = 65_536
"""The longest pattern parsed, in characters."""

MAX_WORDS: Final = 4_000
"""The most words and signs in one pattern, texts in quotes counted as one."""

MAX_JOINED: Final = 400
"""The most AND, OR, FOLLOWEDBY and qualifiers in one pattern: the parser goes down one frame for each."""

MAX_PATH: Final = 50
"""The most steps in one object path."""

MAX_NESTING: Final = 32
"""The most parentheses inside one another: the parser goes down up to eight frames for each."""

REMEMBERED: Final = 65_536
"""The most answers kept: more than a POST has objects, or what was read ahead is forgotten under the lock."""

_WORD: Final = re.compile(
    r"""
      (?P<text>   '(?:[^'\\]|\\.)*+' )            # also what stands after t, h and b
    | (?P<remark> /\*.*?\*/ | //[^\r\n]*+ )
    | (?P<cut>    ' | /\* )                       # at once: every later one would be looked for to the end
    | (?P<joined> (?:AND|OR|FOLLOWEDBY|WITHIN|REPEATS|START)\b )
    | (?P<name>   [A-Za-z_][A-Za-z0-9_-]*+ )
    | (?P<number> [0-9]++(?:\.[0-9]++)? )
    | (?P<open>   [(\[] )
    | (?P<close>  [)\]] )
    | (?P<step>   \. )
    | (?P<other>  [^\s] )
    """,
    re.VERBOSE | re.DOTALL,
)
_TYPE: Final = re.compile(r"[a-z][a-z0-9-]{2,249}")
_PROPERTY: Final = re.compile(r"[a-z0-9_]{3,250}|id")
_PARTNER: Final = {")": "(", "]": "["}
_WRONG_HASH: Final = re.compile(r"FAIL: '(.*)' is not a valid \S+ hash", re.DOTALL)
_POSITION: Final = re.compile(r"line \d+:(\d+)")

# The parser shares tables between its instances and changes them while it parses.
_one_at_a_time = threading.Lock()
_answers: OrderedDict[tuple[bytes, str], str | None] = OrderedDict()


def fault(pattern: str, version: str) -> str | None:
    """What is wrong with a pattern, or None.

    Args:
        pattern: As it stands in the indicator.
        version: `2.0` or `2.1`, whose grammar holds.

    Source:
        STIX 2.1 section 9; STIX 2.0 part 5.
    """
    key = (hashlib.sha256(pattern.encode("utf-8", "surrogatepass")).digest(), version)
    with _one_at_a_time:
        if key in _answers:
            _answers.move_to_end(key)
            return _answers[key]
        answer = too_much(pattern) or _parsed(pattern, version) or _misnamed(pattern)
        _answers[key] = answer
        if len(_answers) > REMEMBERED:
            _answers.popitem(last=False)
        return answer


def remembered() -> int:
    """How many answers are kept at present."""
    return len(_answers)


def too_much(pattern: str) -> str | None:
    """Why a pattern is not handed to the parser at all, or None; costs one look at each character."""
    if not pattern.strip():
        return "is empty"
    if len(pattern) > MAX_CHARACTERS:
        return _more("characters", MAX_CHARACTERS)
    opened: list[str] = []
    joined = steps = round_ones = 0
    before: str | None = None
    for number, match in enumerate(_WORD.finditer(pattern), 1):
        kind, word = match.lastgroup, match[0]
        if kind == "cut":
            return f"has a {word} at character {match.start()} that nothing closes"
        if number > MAX_WORDS:
            return _more("words and signs", MAX_WORDS)
        if kind == "open":
            opened.append(word)
            round_ones += word == "("
            steps = 0 if word == "(" else steps + 1
        elif kind == "close":
            if not opened or opened.pop() != _PARTNER[word]:
                return f"has a {word!r} at character {match.start()} that closes nothing"
            round_ones -= word == ")"
        elif kind == "step":
            steps += 1
        elif kind == "joined":
            joined += 1
        # A path goes on over its names, in quotes or not, its numbers and brackets, and ends with all else.
        ends = word not in (":", "*") if kind == "other" else kind == "text" and before != "step"
        if ends or kind == "joined":
            steps = 0
        if kind != "remark":
            before = kind
        if joined > MAX_JOINED:
            return _more("AND, OR, FOLLOWEDBY and qualifiers", MAX_JOINED)
        if steps > MAX_PATH:
            return _more("steps in one object path", MAX_PATH)
        if round_ones > MAX_NESTING:
            return _more("parentheses inside one another", MAX_NESTING)
    if opened:
        return f"has {len(opened)} {opened[-1]!r} that nothing closes"
    return None


def _parsed(pattern: str, version: str) -> str | None:
    try:
        faults = _parser()(pattern, version)
    except Exception as cause:  # noqa: BLE001 - whatever a text makes the foreign parser throw
        return f"cannot be read: {type(cause).__name__}"
    found = next(_real(faults, pattern), None) if faults else None
    if found is None:
        return None
    said = found.removeprefix("FAIL: ").removeprefix("Error found at ")
    return "cannot be read: " + _POSITION.sub(r"character \1", said)


def _real(faults: list[str], pattern: str) -> Iterator[str]:
    """The faults without those where the package holds a part of a hash, or a list of them, for a whole one.

    It measures what stands behind LIKE, MATCHES and IN too, which the standard permits (section 9.6).
    """
    pairs = pairwise(_words(pattern))
    compared = {after[1].replace("'", "") for sign, after in pairs if sign == ("other", "=")}
    for said in faults:
        found = _WRONG_HASH.fullmatch(said)
        if found is None or found[1] in compared:
            yield said


def _words(pattern: str) -> list[tuple[str | None, str]]:
    found = ((match.lastgroup, match[0]) for match in _WORD.finditer(pattern))
    return [(kind, word) for kind, word in found if kind != "remark"]


def _misnamed(pattern: str) -> str | None:
    """A type or property that no object can have, in a pattern that was parsed (STIX 2.1 section 3.1)."""
    words = _words(pattern)
    for before, sign, after in zip(words, words[1:], words[2:], strict=False):
        if sign == ("other", ":"):
            name = after[1].strip("'")
            if _TYPE.fullmatch(before[1]) is None:
                return f"asks for objects of the type {shown(before[1])}, which is no name of a type"
            if _PROPERTY.fullmatch(name) is None:
                return f"asks for the property {shown(name)}, which is no name of a property"
    return None


@cache
def _parser() -> Callable[[str, str], list[str]]:
    # Loaded with the first pattern: its grammars take memory that most nodes never need.
    found: Callable[[str, str], list[str]] = import_module("stix2patterns.validator").run_validator
    return found


def _more(what: str, most: int) -> str:
    return f"has more than {most:,} {what}: divide it into several indicators"
