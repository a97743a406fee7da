"""The exact values that an object names: what people look for when they hold an address, a hash or a name.

Taken are the values of observables, the constants that a STIX pattern compares with, names, aliases and
the ids of external references. Each has a normal form, made alike from what an object says and from what a
person types, so that `hxxps://EVIL[.]example` finds `https://evil.example/`.

Rule    Nothing here judges an object: a text that cannot be read as an address is just a text. Upper and
        lower case are told apart in paths of URLs alone, so a search may find one too many, never one
        too few. All work is in proportion to the object's size.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from node.stix.decoding import decode_kept
from node.stix.objects import OBSERVABLES

MOST: Final = 2_000
"""The most values taken of one object."""

LONGEST: Final = 1_000
"""Bytes of a value that are read for what they mean; a longer one is known by its digest alone."""

_SHOWN: Final = 300  # characters of a path, which its sender may have made as long as the object
_TAKEN: Final = frozenset(
    (
        "account_login", "command_line", "cpe", "cwd", "data", "display_name", "imphash", "issuer", "key",
        "message_id", "name", "path", "request_value", "serial_number", "service_name", "ssdeep", "subject",
        "swid", "url", "user_id", "value", "Host", "User-Agent",
    )
)  # fmt: skip
_SDO_TAKEN: Final = ("name", "value")
_NOT_NAMED: Final = "sections"  # of a program: every one of them is called .text

_TOKEN: Final = re.compile(
    r"""
      /\*(?:.*?\*/|.*) | //[^\r\n]*+                                           # remarks
    | (?P<prefix> [thb]? ) '(?P<text> (?:[^'\\]|\\.)*+ )(?:'|\Z)
    | (?P<path> [A-Za-z][A-Za-z0-9-]*+ :
        (?: [\w-]++ | '(?:[^'\\]|\\.)*+' ) (?: \.(?:[\w-]++|'(?:[^'\\]|\\.)*+') | \[(?:[0-9]++|\*)\] )*+ )
    | (?P<word> [A-Za-z_][\w-]*+ )
    | (?P<number> [0-9]++ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_TIMES: Final = ("START", "STOP")
_AS_NUMBER: Final = "autonomous-system:number"

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*+)://([^/?#\\]*+)(.*)", re.IGNORECASE | re.DOTALL)
_MAC: Final = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}")
_ADDRESS: Final = re.compile(r"[0-9a-f:./]*[.:][0-9a-f:./]*")
_HOST: Final = re.compile(r"[^\s/@:\\?#]+\.[^\s/@:\\?#]*")
_PORTS: Final = {"http": "80", "https": "443", "ftp": "21"}

_UNSEEN: Final = dict.fromkeys(
    (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
)
_DOTS: Final = {0x3002: ".", 0xFF0E: ".", 0xFF61: ".", 0x2024: "."}
_OPEN, _CLOSE = r"\s*[\[({<]\s*", r"\s*[\])}>]\s*"
_SIGNS: Final = (
    (re.compile(rf"{_OPEN}(?:\.|dot|d0t|punkt|point){_CLOSE}|\s+(?:dot|punkt)\s+", re.IGNORECASE), "."),
    (re.compile(rf"{_OPEN}(?:@|at|ät){_CLOSE}|\s+at\s+", re.IGNORECASE), "@"),
    (re.compile(rf"{_OPEN}://{_CLOSE}"), "://"),
    (re.compile(rf"{_OPEN}:{_CLOSE}"), ":"),
    (re.compile(rf"{_OPEN}/{_CLOSE}"), "/"),
    (re.compile(r"\\\.|(?<=[^\s\[({])[\[({]\.|\.[\])}](?=[^\s\])}])"), "."),  # one half left out
)
_SCHEME: Final = re.compile(r"(h[tx*]{2}p|fxp|meow)(s?)\s*(?::|\s)\s*(?://|\\\\)", re.IGNORECASE)
_PAIRS: Final = ("<>", "''", '""', "``", "[]", "()")
# Without one of these nothing can be defanged; most values are passed over here.
_SUSPECT: Final = re.compile(
    r"[\[\](){}<>'\"`\\]|^\s*(?:hx|h\*|htx|hxt|fxp|meow)|\b(?:dot|punkt|at)\b", re.IGNORECASE
)


class Named(NamedTuple):
    """One value that an object names.

    Args:
        where: Object path or property, such as `domain-name:value` or `aliases`.
        text: As the object has it.
    """

    where: str
    text: str


def named_values(body: bytes) -> list[Named]:
    """The values that an object names, at most `MOST`, in the order in which it names them.

    Args:
        body: An object that `objects.read` has let through, or one set aside.

    Raises:
        InvalidObject: It is no JSON object.
    """
    found: dict[Named, None] = {}
    for one in _named(decode_kept(body)):
        if one.text and one not in found:
            found[one] = None
            if len(found) == MOST:
                break
    return list(found)


def forms(text: str) -> frozenset[str]:
    """The normal forms of a value: as it stands, and as it is meant where it is defanged."""
    own = normal(text)
    if len(text) > LONGEST or (text.isascii() and _SUSPECT.search(text) is None):
        return frozenset((own,)) - {""}
    return frozenset((own, normal(refang(text)))) - {""}


def normal(text: str) -> str:
    """One spelling for all that mean the same address, hash or name.

    Domain names in small ASCII letters without the last dot, addresses in their shortest form, URLs with
    scheme and host in small letters, everything else in NFC with upper and lower case folded.
    """
    if len(text) > LONGEST or len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        return "sha256:" + hashlib.sha256(_folded(text).encode("utf-8", "surrogatepass")).hexdigest()
    plain = _folded(text).strip()
    if _MAC.fullmatch(plain):
        return plain.replace("-", ":")
    if _ADDRESS.fullmatch(plain) and (address := _address(plain)) is not None:
        return address
    if found := _URL.fullmatch(unicodedata.normalize("NFC", text).strip()):
        return _url(found[1].lower(), found[2], found[3])
    account, at, domain = plain.rpartition("@")
    if at and account and _HOST.fullmatch(domain):
        return f"{account}@{_host(domain)}"
    return _host(plain) if _HOST.fullmatch(plain) else plain


def refang(text: str) -> str:
    """A text as it was before somebody made it harmless: `hxxp`, `[.]`, `(dot)`, `{at}`, what is unseen."""
    text = " ".join(text.translate(_UNSEEN).translate(_DOTS).split())
    for pair in _PAIRS:
        if len(text) > 2 and text[0] == pair[0] and text[-1] == pair[1]:
            text = text[1:-1].strip()
    for pattern, sign in _SIGNS:
        text = pattern.sub(sign, text)
    if found := _SCHEME.match(text):
        scheme = "ftp" if found[1][0] in "fF" else "http"
        text = f"{scheme}{found[2].lower()}://{text[found.end() :]}"
    return text


def pattern_values(pattern: str) -> Iterator[Named]:
    """The constants that a STIX pattern (2.0 or 2.1) compares with, each with its object path.

    What LIKE and MATCHES compare with is taken as it is written. A pattern that breaks off in the middle
    gives what stands before.
    """
    path = before = ""
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "path":
            path = token["path"].replace("'", "")[:_SHOWN]
        elif kind == "text" and token["prefix"] != "t" and before not in _TIMES:
            yield Named(path, _ESCAPE.sub(r"\1", token["text"]))
        elif kind == "number" and path == _AS_NUMBER:
            yield from _as_number(path, token["number"])
        before = token["word"] or ""


def _named(value: Mapping[str, object]) -> Iterator[Named]:
    kind = value.get("type")
    dated = "created" in value or "modified" in value
    if kind in OBSERVABLES or not dated:
        yield from _observable(str(kind), value)
        return
    for name in _SDO_TAKEN:
        yield from _texts(name, value.get(name))
    for name, item in value.items():
        if name == "aliases" or name.endswith("_aliases"):
            yield from _texts(name, item)
    references = value.get("external_references")
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict):
            yield from _texts("external_references", reference.get("external_id"))
    pattern = value.get("pattern")
    if kind == "indicator" and isinstance(pattern, str) and value.get("pattern_type", "stix") == "stix":
        yield from pattern_values(pattern)
    observed = value.get("objects")
    if kind == "observed-data" and isinstance(observed, dict):
        for inner in observed.values():
            if isinstance(inner, dict):
                yield from _observable(str(inner.get("type")), inner)


def _observable(kind: str, value: Mapping[str, object]) -> Iterator[Named]:
    number = value.get("number")
    if kind == "autonomous-system" and isinstance(number, int):
        yield from _as_number(_AS_NUMBER, str(number))
    waiting: deque[tuple[str, object]] = deque([("", value)])
    while waiting:
        place, item = waiting.popleft()
        if isinstance(item, list):
            waiting.extend((place, inner) for inner in item if isinstance(inner, (dict, list)))
        elif isinstance(item, dict):
            hashes = place.endswith("hashes.")
            for name, inner in item.items():
                if hashes or (name in _TAKEN and not (name == "name" and place.endswith(f"{_NOT_NAMED}."))):
                    yield from _texts(f"{kind}:{place}{name}"[:_SHOWN], inner)
                if isinstance(inner, (dict, list)):
                    waiting.append((f"{place}{name}."[-_SHOWN:], inner))


def _as_number(path: str, digits: str) -> Iterator[Named]:
    yield Named(path, f"AS{digits}")
    yield Named(path, digits)


def _texts(where: str, value: object) -> Iterator[Named]:
    for text in value if isinstance(value, list) else (value,):
        if isinstance(text, str):
            yield Named(where, text)


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _address(text: str) -> str | None:
    """An IP address or network in its shortest form, or None."""
    try:
        if "/" not in text:
            return ipaddress.ip_address(text).compressed
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    whole = network.prefixlen == network.max_prefixlen
    return network.network_address.compressed if whole else network.compressed


def _host(text: str) -> str:
    """A domain name in ASCII; what cannot be one stays as it is."""
    text = text.removesuffix(".")
    if text.isascii() or len(text) > 253:
        return text
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        return text


def _url(scheme: str, authority: str, rest: str) -> str:
    login, at, place = authority.rpartition("@")
    if place.startswith("["):
        inside, _, port = place[1:].partition("]")
        host, port = f"[{_address(inside.lower()) or inside.lower()}]", port.removeprefix(":")
    else:
        host, colon, port = place.rpartition(":")
        if not colon:
            host, port = place, ""
        host = _folded(host)
        host = _address(host) or _host(host)
    shown = f":{port}" if port and port != _PORTS.get(scheme) else ""
    return f"{scheme}://{login}{at}{host}{shown}{rest if rest.startswith('/') else '/' + rest}"
