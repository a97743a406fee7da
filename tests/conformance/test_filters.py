"""The match filters: id, type, version and spec_version (T-OBJ-8, T-OBJ-40 to T-OBJ-64)."""

from __future__ import annotations

import pytest

from tests.conformance.target import entries, ids
from tests.support.builders import (
    CREATED,
    a_malware,
    a_marking_definition,
    a_relationship,
    an_id,
    an_identity,
    an_indicator,
    an_ipv4,
)

ONE, TWO, BAD = an_id("indicator", "f1"), an_id("indicator", "f2"), an_id("malware", "f1")
V1, V2, V3 = ("2026-11-20T08:00:00.000Z", "2026-11-20T09:00:00.100Z", "2026-11-20T10:00:00.250Z")
# One id under both versions of STIX; the two share their instants, as the markings of TLP 1 do.
BOTH, NEW_ONLY, OLD_ONLY = (f"malware--{n * 8}-1111-4111-8111-111111111111" for n in "123")
# fmt: off
TYPES = [
    "attack-pattern", "campaign", "course-of-action", "grouping", "identity", "incident", "indicator",
    "infrastructure", "intrusion-set", "location", "malware", "malware-analysis", "note", "observed-data",
    "opinion", "report", "threat-actor", "tool", "vulnerability", "relationship", "sighting", "artifact",
    "autonomous-system", "directory", "domain-name", "email-addr", "email-message", "file", "ipv4-addr",
    "ipv6-addr", "mac-addr", "mutex", "network-traffic", "process", "software", "url", "user-account",
    "windows-registry-key", "x509-certificate", "language-content", "marking-definition",
    "extension-definition",
]
# fmt: on


def a_version(modified, name="f1"):
    return an_indicator(name, created=V1, modified=modified)


def of_stix_20(stix_id, modified=CREATED):
    return (
        f'{{"type":"malware","id":"{stix_id}","created":"{CREATED}","modified":"{modified}",'
        f'"name":"old form","labels":["worm"]}}'
    ).encode()


def of_stix_21(stix_id, modified=CREATED):
    return a_malware("both", id=stix_id, modified=modified)


def modified(found):
    return [one["modified"] for one in found]


# --- id and type


@pytest.fixture(scope="module")
def two(target):
    """Two indicators and a malware object."""
    place = target.place("rw")
    target.seed(place, [an_indicator("f1"), an_indicator("f2"), a_malware("f1")])
    return place


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([ONE], [ONE]),
        ([BAD, ONE], [ONE, BAD]),
        ([an_id("indicator", "never")], []),
        ([an_id("indicator", "never"), TWO], [TWO]),
        (["nothing"], []),
    ],
    ids=["one", "two", "unknown", "one of two", "no id at all"],
)
def test_match_id_finds_those_ids(member, two, wanted, found):
    """T-OBJ-40: unknown ones are no error."""
    answer = member.get(two.objects, match_id=",".join(wanted))

    assert (answer.status_code, ids(entries(answer))) == (200, found)


@pytest.mark.parametrize(
    ("types", "found"),
    [("indicator", [ONE, TWO]), ("malware", [BAD]), ("malware,indicator", [ONE, TWO, BAD]), ("tool", [])],
)
def test_match_type_finds_those_types(member, two, types, found):
    """T-OBJ-8, T-OBJ-41: any of the values."""
    assert ids(member.listed(two.objects, match_type=types)) == found


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_stix_may_be_asked_for(member, empty, name):
    """T-OBJ-41: although nothing of it is held."""
    found = member.get(empty.objects, match_type=name)

    assert (found.status_code, found.json) == (200, {})


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"match_type": "indicator", "match_id": BAD}, []),
        ({"match_type": "indicator,malware", "match_id": f"{BAD},{ONE}"}, [ONE, BAD]),
        ({"match_type": "malware", "match_id": f"{BAD},{ONE}"}, [BAD]),
        ({"match_type": "indicator", "match_version": "first", "match_spec_version": "2.0"}, []),
    ],
)
def test_parameters_are_joined_by_and_and_values_by_or(member, two, params, found):
    """T-OBJ-8, T-OBJ-42."""
    assert ids(member.listed(two.objects, **params)) == found


def test_filters_and_added_after_are_joined_too(member, two):
    """T-OBJ-8: what was added after the first, and is an indicator."""
    first = member.listed(two.manifest)[0]["date_added"]

    assert ids(member.listed(two.objects, added_after=first, match_type="indicator")) == [TWO]


@pytest.mark.parametrize("text", ["Indicator", "INDICATOR", "indicato", "indicators", "*"])
def test_a_type_is_matched_letter_by_letter(member, two, text):
    """T-OBJ-43."""
    assert member.listed(two.objects, match_type=text) == []


@pytest.mark.parametrize(
    "query",
    [
        f"match[id]={ONE},{BAD}",
        f"match%5Bid%5D={ONE},{BAD}",
        f"match%5bid%5d={ONE}%2C{BAD}",
        f"match[id]={ONE}%2c{BAD}",
        f"%6Datch[id]={ONE},{BAD}",
    ],
)
def test_brackets_and_commas_may_be_encoded(member, two, query):
    """T-OBJ-44."""
    assert ids(member.send("GET", two.objects, query_string=query).json["objects"]) == [ONE, BAD]


@pytest.mark.parametrize(("count", "statuses"), [(150, {200}), (1_000, {200, 414}), (20_000, {400, 414})])
def test_a_long_list_of_ids_is_read_or_refused(member, two, count, statuses):
    """T-OBJ-45: eight kilobytes are read, a megabyte is refused, and nothing breaks."""
    wanted = ",".join([*(an_id("indicator", f"never {n}") for n in range(count)), ONE])
    found = member.get(two.objects, match_id=wanted)

    assert found.status_code in statuses
    assert found.status_code != 200 or ids(found.json["objects"]) == [ONE]


# --- version


@pytest.fixture(scope="module")
def three(target):
    """Three versions of one indicator, of which the middle one came last, and one version of another."""
    place = target.place("rw")
    for body in (a_version(V3), a_version(V1), a_version(V2), a_version(V1, "f2")):
        target.seed(place, [body])
    return place


def test_without_match_version_each_object_comes_once(member, three):
    """T-OBJ-50: in its newest version, as `last` says."""
    found = member.listed(three.objects)

    assert list(zip(ids(found), modified(found), strict=True)) == [(ONE, V3), (TWO, V1)]
    assert member.listed(three.objects, match_version="last") == found


@pytest.mark.parametrize(("which", "version"), [("first", V1), ("last", V3)])
def test_first_and_last_go_by_the_time_of_the_version(member, three, which, version):
    """T-OBJ-51: not by when it came here."""
    assert modified(member.listed(three.objects, match_id=ONE, match_version=which)) == [version]


def test_all_versions_are_all_of_them(member, three):
    """T-OBJ-52: in the order in which they came."""
    assert modified(member.listed(three.objects, match_version="all")) == [V3, V1, V2, V1]


@pytest.mark.parametrize("text", ["all,last", "first,all", f"all,{V1}", "all,all"])
def test_all_goes_with_nothing_else(member, three, text):
    """T-OBJ-52."""
    assert member.get(three.objects, match_version=text).status_code == 400


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        (V2, {V2}),
        (f"{V2},{V3}", {V2, V3}),
        (f"first,{V2}", {V1, V2}),
        (f"first,{V2},last", {V1, V2, V3}),
        ("2001-01-01T00:00:00Z", set()),
        (f"last,{V3}", {V3}),
    ],
)
def test_versions_may_be_named(member, three, text, versions):
    """T-OBJ-53: alone, together, and beside the words."""
    found = modified(member.listed(three.objects, match_id=ONE, match_version=text))

    assert (set(found), len(found)) == (versions, len(versions))


@pytest.mark.parametrize("text", ["last,last", "first,last,first", f"{V1},{V1}", f"{V2},first,{V2}"])
def test_a_version_is_named_once(member, three, text):
    """T-OBJ-54."""
    assert member.get(three.objects, match_version=text).status_code == 400


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "LAST",
        "2026-11-20",
        "2026-11-20T08:00:00",
        "2026-11-20T08:00:00.Z",
        "2026-02-30T00:00:00Z",
        "2026-11-20T08:00:60Z",
        "2026-11-20T08:00:00+00:00",
        "last;first",
        "1763625600",
    ],
)
def test_a_version_that_is_no_moment_is_malformed(member, three, text):
    """T-OBJ-55."""
    assert member.get(three.objects, match_version=text).status_code == 400


@pytest.mark.parametrize(
    "body",
    [V2.replace(".100Z", f".1{'0' * zeros}Z") for zeros in range(9)],
)
def test_a_moment_is_the_same_however_it_is_written(member, three, body):
    """T-OBJ-55, T-OBJ-56: from one digit to nine."""
    assert modified(member.listed(three.objects, match_version=body)) == [V2]


def test_a_version_in_nanoseconds_is_found_by_its_own_text_alone(target, member, rw):
    """T-OBJ-55, T-OBJ-56."""
    target.seed(rw, [a_version("2026-11-20T08:00:00.123456789Z")])

    found = [
        len(member.listed(rw.objects, match_version=f"2026-11-20T08:00:00.{fraction}Z"))
        for fraction in ("123456789", "1234567890", "123456788", "123456")
    ]

    assert found == [1, 1, 0, 0]


def test_the_version_of_a_marking_is_when_it_was_created(target, member, rw):
    """T-OBJ-57: as of every object without `modified`."""
    target.seed(rw, [a_marking_definition("f57")])
    found = [
        len(member.listed(rw.objects, match_version=text)) for text in (CREATED, V2, "first", "last", "all")
    ]

    assert found == [1, 0, 1, 1, 1]


def test_an_object_without_dates_has_the_version_that_the_manifest_shows(target, member, rw):
    """T-OBJ-57: the server's own value finds it again, also later."""
    target.seed(rw, [an_ipv4()])
    (version,) = (one["version"] for one in member.listed(rw.manifest))
    target.later(hours=1)

    assert len(member.listed(rw.objects, match_version=version)) == 1
    assert member.listed(rw.objects, match_version=V1) == []


@pytest.mark.parametrize("text", ["first", "last", "first,last", f"first,{V1},last", f"{V1}"])
def test_an_object_of_one_version_comes_once(member, three, text):
    """T-OBJ-58."""
    assert ids(member.listed(three.objects, match_id=TWO, match_version=text)) == [TWO]


def test_the_newest_version_is_that_of_all_that_are_held(member, three):
    """T-OBJ-59: what was added after the newest is not the newest of the rest (A-2)."""
    newest, *_ = member.listed(three.manifest, match_id=ONE)

    assert newest["version"] == V3
    assert member.listed(three.objects, match_id=ONE, added_after=newest["date_added"]) == []
    rest = member.listed(three.objects, match_id=ONE, added_after=newest["date_added"], match_version="all")
    assert modified(rest) == [V1, V2]


# --- spec_version


@pytest.fixture(scope="module")
def mixed(target):
    """One id in both versions of STIX, one in each alone."""
    return a_mixed_place(target)


def a_mixed_place(target):
    place = target.place("rw")
    for body in (of_stix_21(BOTH), of_stix_20(BOTH), of_stix_20(OLD_ONLY), of_stix_21(NEW_ONLY)):
        target.seed(place, [body])
    return place


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2.1", [(BOTH, "2.1"), (NEW_ONLY, "2.1")]),
        ("2.0", [(BOTH, None), (OLD_ONLY, None)]),
        ("2.0,2.1", [(BOTH, "2.1"), (BOTH, None), (OLD_ONLY, None), (NEW_ONLY, "2.1")]),
    ],
)
def test_match_spec_version_finds_those_versions_of_stix(member, mixed, text, found):
    """T-OBJ-60."""
    listed = member.listed(mixed.objects, match_spec_version=text)

    assert [(one["id"], one.get("spec_version")) for one in listed] == found


def test_without_it_each_object_comes_in_the_highest(member, mixed):
    """T-OBJ-61: what is held in 2.0 alone comes in that."""
    found = [(one["id"], one.get("spec_version")) for one in member.listed(mixed.objects)]

    assert found == [(BOTH, "2.1"), (OLD_ONLY, None), (NEW_ONLY, "2.1")]


@pytest.mark.parametrize(
    ("text", "status"), [("2", 400), ("2.x", 400), ("two", 400), ("2.1.1", 400), ("2.2", 200)]
)
def test_a_spec_version_is_two_numbers(member, mixed, text, status):
    """T-OBJ-62: one that nobody knows finds nothing."""
    found = member.get(mixed.objects, match_spec_version=text)

    assert found.status_code == status
    assert status == 400 or found.json == {}


@pytest.mark.parametrize("listing", ["objects", "manifest", "object", "versions"])
@pytest.mark.parametrize(("text", "count"), [("2.0", 1), ("2.1", 1), ("2.0,2.1", 2), ("2.2", 0)])
def test_every_listing_knows_spec_version(member, mixed, listing, text, count):
    """T-OBJ-63."""
    path = getattr(mixed, listing)
    narrow = {} if callable(path) else {"match_id": BOTH}
    path = path(BOTH) if callable(path) else path

    assert len(member.listed(path, match_spec_version=text, **narrow)) == count


def test_a_deletion_knows_spec_version(target, member):
    """T-OBJ-63: what it does not name stays."""
    place = a_mixed_place(target)
    assert member.delete(place.object(BOTH), match_spec_version="2.0").status_code == 200
    left = member.listed(place.object(BOTH), match_spec_version="2.0,2.1", match_version="all")

    assert [one.get("spec_version") for one in left] == ["2.1"]


def test_the_version_of_stix_is_chosen_before_the_version_of_the_object(target, member, rw):
    """T-OBJ-64: the last of the chosen form, although the other form has a later one."""
    for body in (of_stix_21(BOTH, V1), of_stix_20(BOTH, V3), of_stix_20(BOTH, V2)):
        target.seed(rw, [body])

    def found(**params):
        return [(one.get("spec_version"), one["modified"]) for one in member.listed(rw.objects, **params)]

    assert found() == [("2.1", V1)]
    assert found(match_spec_version="2.0") == [(None, V3)]
    assert found(match_spec_version="2.0", match_version="first") == [(None, V2)]
    assert found(match_spec_version="2.1") == [("2.1", V1)]


def test_what_names_another_object_is_found_as_itself(target, member, rw):
    """T-OBJ-40: match[id] looks at the id of an object, not at its references."""
    author = an_id("identity", "f40")
    bodies = [an_identity("f40"), an_indicator("f1", author=author), a_relationship(ONE, BAD, author=author)]
    target.seed(rw, bodies)

    assert ids(member.listed(rw.objects, match_id=author)) == [author]
