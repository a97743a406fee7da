"""What is known to be wrong with medallion 3.0.0, and the numbers of the list that it breaks.

A fault that the list names has the list's name (W-1 to W-16); the others were found by this suite and are
M-1 and on. Some of them are choices that the standard allows and the list advises against.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Args:
        name: Of the list, or ours.
        text: What it does.
        numbers: What it breaks, as a text; tests of these numbers fail there.
    """

    name: str
    text: str
    numbers: str


FAULTS = (
    Fault("W-1", "a media type without a version is refused", "T-MT-3 T-MT-14 T-MT-18 T-MT-19"),
    Fault(
        "W-2",
        "Accept with a quality, quotes, capitals, a wildcard, 2.0 before 2.1, or none at all is refused",
        "T-MT-4 T-MT-5 T-MT-7 T-MT-8 T-MT-9 T-MT-12 T-MT-15 T-MT-18 T-MT-19 T-POST-19 T-POST-28",
    ),
    Fault(
        "W-3",
        "errors of the framework are pages of HTML: 401, unknown addresses, 405, bodies that are no JSON",
        "T-MT-17 T-MT-20 T-ERR-1 T-ERR-2 T-ERR-3 T-ERR-4 T-ERR-8 T-ERR-9 T-POST-11 T-POST-30 T-NET-7"
        " T-POST-22 T-OID-8",
    ),
    Fault("W-4", "a path without its last slash is redirected, to a page of HTML", "T-NET-2 T-NET-3"),
    Fault("W-5", "`next` without `limit` is a failure of the server", "T-PAGE-11"),
    Fault(
        "W-6",
        "a walk lives in memory, for 30 seconds, and each page of it can be read once",
        "T-PAGE-6 T-PAGE-7 T-PAGE-10 T-PAGE-14 T-PAGE-15",
    ),
    Fault(
        "W-7",
        "`next` with any other parameter is refused, `added_after` and `limit` among them",
        "T-PAGE-12 T-PAGE-13",
    ),
    Fault(
        "W-8",
        "the objects of one POST have one date",
        "T-PAGE-5 T-POST-26 T-TS-11 T-OBJ-8 T-MAN-2 T-MAN-7 T-OID-4 T-VER-3",
    ),
    Fault(
        "W-9",
        "a moment that cannot be read is a failure of the server",
        "T-OBJ-7 T-OBJ-11 T-OBJ-23 T-OBJ-24 T-OBJ-25 T-OBJ-55 T-DEL-9 T-ERR-10",
    ),
    Fault(
        "W-10", "the first of a repeated parameter counts; `all,last` is taken", "T-OBJ-9 T-OBJ-52 T-OBJ-54"
    ),
    Fault(
        "W-11",
        "an object that is there already is a failure",
        "T-POST-5 T-POST-6 T-STAT-6 T-TS-8 T-TS-9 T-DEL-11",
    ),
    Fault(
        "W-12",
        "an object that cannot be read refuses the POST, after those before it were stored",
        "T-POST-10 T-POST-13 T-STAT-6 T-STAT-7 T-STAT-8 T-STAT-10",
    ),
    Fault("W-13", "one moment in two spellings is two versions", "T-TS-4"),
    Fault("W-15", "a body in chunks is refused", "T-POST-17 T-POST-18"),
    Fault(
        "W-16",
        "a deletion without a version takes the newest alone",
        "T-DEL-2 T-DEL-3 T-DEL-5 T-DEL-6 T-DEL-11",
    ),
    Fault(
        "M-1",
        "a right is of the collection and the same for everybody; everybody reads every status",
        "T-COL-4 T-COL-12 T-COL-15 T-OBJ-5 T-OID-6 T-MAN-10 T-VER-9 T-POST-3 T-DEL-1 I-X-3 T-STAT-14"
        " T-ERR-6 T-ERR-7 T-PAGE-8",
    ),
    Fault("M-2", "collections come in the order of their configuration", "T-COL-2 I-X-1"),
    Fault("M-3", "an alias is no address", "T-COL-8"),
    Fault(
        "M-4",
        "one id in both versions of STIX with one version is a duplicate",
        "T-OBJ-60 T-OBJ-61 T-OBJ-62 T-OBJ-63 T-OBJ-64 T-VER-7 T-OID-4 T-VER-3 T-MAN-2 T-MAN-7",
    ),
    Fault(
        "M-5",
        "values are not looked at: empty ones, spaces, `+1`, unknown versions of STIX, a megabyte of ids",
        "T-OBJ-7 T-OBJ-11 T-OBJ-12 T-OBJ-30 T-OBJ-45 T-OBJ-62 T-DEL-9 T-ERR-10 T-STAT-13",
    ),
    Fault("M-6", "versions come newest first, whatever the page", "T-VER-6 T-PAGE-4 T-PAGE-17 T-PAGE-19"),
    Fault(
        "M-7", "first and last are those of what the other filters left", "T-OBJ-50 T-OBJ-59 T-MAN-2 T-MAN-7"
    ),
    Fault(
        "M-8",
        "a moment has six digits at most; with more the collection cannot be read any more",
        "T-TS-3 T-TS-5 T-TS-6 T-OBJ-24 T-OBJ-55 T-OBJ-56 T-MAN-4 T-MAN-9 T-POST-23",
    ),
    Fault("M-9", "a token of one listing is taken, or breaks the server, on another", "T-OID-9 T-PAGE-8"),
    Fault("M-10", "a token that was altered is refused without a way on", "T-PAGE-9"),
    Fault("M-11", "slashes too many are taken out, and an API root may stand anywhere", "T-NET-3"),
    Fault("M-12", "HEAD of a listing is a failure of the server", "T-NET-12 T-ERR-3"),
    Fault("M-13", "answers may be kept on the way", "T-HDR-10"),
    Fault(
        "M-14",
        "objects are not looked at: none of them, bundles, NaN, names twice, depth, impossible moments",
        "T-POST-12 T-POST-14 T-POST-21 T-POST-22 T-TS-2 T-TS-10 S-JSON-8",
    ),
    Fault("M-15", "a body in a content coding is taken for a plain one", "T-POST-20"),
    Fault("M-16", "an unknown address is no JSON for who reads all answers as JSON", "T-NET-14"),
)

NOT_SEEN = {
    "W-14": "of its next version alone, which calls a version with other content a success",
    "W-17": "that it does not speak TAXII 2.0 is no fault of a server of TAXII 2.1",
    "W-18": "of its MongoDB backend alone, which is not run here",
}
"""Faults of the list that this suite cannot show."""


def explained() -> dict[str, list[str]]:
    """The faults behind each number that fails."""
    found: dict[str, list[str]] = {}
    for fault in FAULTS:
        for number in fault.numbers.split():
            found.setdefault(number, []).append(fault.name)
    return found
