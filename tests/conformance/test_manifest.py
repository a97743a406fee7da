"""The manifest, which tells of the objects what a page of them would bring (T-MAN); the oracle of filters."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.conformance.endpoints import ONE, TAXII_TIME, a_tour
from tests.conformance.target import FIRST, LAST, named
from tests.support.builders import LATER, a_malware, an_indicator, an_ipv4

TIMES = [f"2026-11-20T08:00:0{second}.{part}Z" for second in range(3) for part in ("000", "500", "500001")]
OLD_TIMES = [f"2026-11-20T08:00:0{second}.250Z" for second in range(3)]
IDS = [
    f"{kind}--{n}1111111-1111-4111-8111-111111111111" for kind in ("indicator", "malware") for n in range(3)
]
UNKNOWN = "indicator--91111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="module")
def tour(target):
    return a_tour(target)


def test_a_record_is_of_one_version_and_has_its_four_properties(target, tour):
    """T-MAN-1, T-MAN-3, T-MAN-5: id, date_added, version, and a media type that the collection lists."""
    found = target.member.get(tour.place.manifest, match_version="all")
    listed = target.member.get(tour.place.path).json.get("media_types", ["application/stix+json"])

    assert (found.status_code, len(found.json["objects"])) == (200, 4)
    for record in found.json["objects"]:
        assert {"id", "date_added", "version"} <= set(record) <= {"id", "date_added", "version", "media_type"}
        assert TAXII_TIME.fullmatch(record["date_added"])
        assert record.get("media_type", listed[0]) in listed


def test_a_manifest_of_nothing_is_an_empty_resource(target, rw):
    """T-MAN-1: {} and no empty list."""
    found = target.member.get(rw.manifest)

    assert (found.status_code, found.json) == (200, {})


def test_the_last_version_is_the_default_here_too(target, tour):
    """T-MAN-2: as for the objects."""
    found = target.member.listed(tour.place.manifest, match_id=ONE)

    assert [one["version"] for one in found] == [LATER]


def test_the_dates_of_a_page_are_those_of_its_records(target, tour):
    """T-MAN-8, T-HDR-3: First and Last."""
    found = target.member.get(tour.place.manifest, limit=2)

    dates = [one["date_added"] for one in found.json["objects"]]
    assert [found.headers[FIRST], found.headers[LAST]] == dates


def test_both_media_types_that_the_standard_prints_are_taken(target, tour):
    """T-MAN-6: the Accept of this endpoint is a list of two."""
    accept = "application/taxii+json;version=2.1,application/stix+json;version=2.1"

    assert target.member.get(tour.place.manifest, headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "text",
    ["2026-11-20T08:00:00.000Z", "2026-11-20T08:00:00.120000Z", "2026-11-20T08:00:00.123456789Z"],
)
def test_a_version_is_written_as_its_sender_wrote_it(target, rw, text):
    """T-MAN-4, T-MAN-9, T-TS-5: not cut, not filled up; and it finds its object."""
    target.seed(rw, [an_indicator(modified=text)])

    (record,) = target.member.listed(rw.manifest)

    assert record["version"] == text
    assert named(target.member.listed(rw.objects, match_version=record["version"])) == [(ONE, text)]


# --- the oracle: any query, against plain reading of section 3.4


@dataclass(frozen=True, slots=True)
class Row:
    """One version as the test knows it; `date` as the manifest of everything has it."""

    id: str
    type: str
    spec: str
    version: str
    date: str

    @property
    def instant(self):
        """The moment of the version, such that later ones are greater."""
        return instant_of(self.version)


@dataclass(frozen=True, slots=True)
class Library:
    """A collection and its rows in the order of arrival."""

    place: object
    rows: list[Row]


def instant_of(text):
    """A moment that compares as such, however many digits were written."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return seconds, fraction.rstrip("0")


def old(stix_id, text):
    """An object of STIX 2.0."""
    kind = stix_id.partition("--")[0]
    more = f'"pattern":"[a:b = 1]","valid_from":"{TIMES[0]}"' if kind == "indicator" else '"name":"n"'
    return (
        f'{{"type":"{kind}","id":"{stix_id}","created":"{TIMES[0]}","modified":"{text}","labels":["x"],{more}}}'
    ).encode()


def new(stix_id, text):
    """An object of STIX 2.1."""
    build = an_indicator if stix_id.startswith("indicator") else a_malware
    return build(id=stix_id, created=TIMES[0], modified=text)


@pytest.fixture(scope="module")
def library(target):
    """Versions in a random order, of few objects, some of them in both versions of STIX."""
    chance = random.Random(11)
    keys = [(one, text, "2.1") for one in IDS for text in TIMES]
    keys += [(one, text, "2.0") for one in IDS for text in OLD_TIMES]
    chosen = chance.sample(keys, 36)
    bodies = [old(one, text) if spec == "2.0" else new(one, text) for one, text, spec in chosen]
    bodies.insert(7, an_ipv4())
    place = target.place("rw")
    for at in range(0, len(bodies), 9):
        target.seed(place, bodies[at : at + 9])
    lines = target.member.walk(place.manifest, match_version="all", match_spec_version="2.0,2.1")
    assert len(lines) == len(bodies)
    rows = [
        Row(
            line["id"],
            line["id"].partition("--")[0],
            line["media_type"].rpartition("=")[2],
            line["version"],
            line["date_added"],
        )
        for line in lines
    ]
    assert [(row.id, row.version, row.spec) for row in rows if row.type != "ipv4-addr"] == chosen
    return Library(place, rows)


def selected(rows, query):
    """The rows that a query asks for, chosen without an index and without haste."""
    found = []
    for row in rows:
        own = [each for each in rows if each.id == row.id]
        if row.spec not in (query.get("match_spec_version") or [max(each.spec for each in own)]):
            continue
        same = [each.instant for each in own if each.spec == row.spec]
        words = {"first": [min(same)], "last": [max(same)], "all": same}
        wanted = [words.get(word) or [instant_of(word)] for word in query.get("match_version") or ["last"]]
        if (
            row.instant in [each for some in wanted for each in some]
            and row.type in (query.get("match_type") or [row.type])
            and row.id in (query.get("match_id") or [row.id])
            and row.date > query.get("added_after", "")
        ):
            found.append(row)
    return found


WORDS = st.lists(
    st.sampled_from(["first", "last", *TIMES, *OLD_TIMES, "2026-11-20T08:00:01.5Z"]), min_size=1, max_size=4
)


def all_different(words):
    """Whether no version is named twice, however it is written."""
    return len({word if word in ("first", "last") else instant_of(word) for word in words}) == len(words)


QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "match_id": st.lists(st.sampled_from([*IDS, UNKNOWN]), min_size=1, max_size=3, unique=True),
        "match_type": st.lists(
            st.sampled_from(["indicator", "malware", "ipv4-addr", "report"]),
            min_size=1,
            max_size=3,
            unique=True,
        ),
        "match_version": st.just(["all"]) | WORDS.filter(all_different),
        "match_spec_version": st.sampled_from([["2.0"], ["2.1"], ["2.0", "2.1"], ["2.2"], ["2.2", "2.0"]]),
        "added_after": st.integers(0, 36),
        "limit": st.integers(1, 9),
    },
)


def asked(query):
    """A query as parameters."""
    return {name: ",".join(one) if isinstance(one, list) else one for name, one in query.items()}


@settings(max_examples=80, phases=(Phase.explicit, Phase.generate))
@given(query=QUERIES)
def test_any_query_finds_in_objects_and_manifest_what_the_standard_says(target, library, query):
    """T-MAN-2, T-MAN-7, T-OBJ-8, T-OBJ-50, T-OBJ-59, T-OBJ-61, T-OBJ-64: page by page, against an oracle."""
    if "added_after" in query:
        query = {**query, "added_after": library.rows[query["added_after"]].date}
    expected = selected(library.rows, query)
    size = query.get("limit", target.page_size)
    expected_pages = [expected[at : at + size] for at in range(0, len(expected), size)] or [[]]

    objects = list(target.member.pages(library.place.objects, **asked(query)))
    records = list(target.member.pages(library.place.manifest, **asked(query)))

    assert [[(one["id"], one["version"]) for one in page.json.get("objects", [])] for page in records] == [
        [(row.id, row.version) for row in page] for page in expected_pages
    ]
    assert [[one["id"] for one in page.json.get("objects", [])] for page in objects] == [
        [row.id for row in page] for page in expected_pages
    ]
    assert [[one.get("modified") for one in page.json.get("objects", [])] for page in objects] == [
        [None if row.type == "ipv4-addr" else row.version for row in page] for page in expected_pages
    ]
    assert [(page.headers.get(FIRST), page.headers.get(LAST)) for page in objects] == [
        (page.headers.get(FIRST), page.headers.get(LAST)) for page in records
    ]


@settings(max_examples=40, phases=(Phase.explicit, Phase.generate))
@given(query=QUERIES, stix_id=st.sampled_from(IDS))
def test_any_query_finds_of_one_object_what_the_standard_says(target, library, query, stix_id):
    """T-OID-4, T-VER-3, T-VER-7: the object and its versions, against the same oracle."""
    query = {name: value for name, value in query.items() if name not in ("match_id", "match_type")}
    if "added_after" in query:
        query = {**query, "added_after": library.rows[query["added_after"]].date}
    own = [row for row in library.rows if row.id == stix_id]
    every = {**query, "match_version": ["all"]}

    objects = target.member.walk(library.place.object(stix_id), **asked(query))
    versions = target.member.walk(library.place.versions(stix_id), **asked(query))

    assert [one["modified"] for one in objects] == [row.version for row in selected(own, query)]
    assert versions == [row.version for row in selected(own, every)]
