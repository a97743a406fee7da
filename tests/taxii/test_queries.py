"""node/taxii/queries.py: what a query string asks for, and what it may not be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.exchange.egress import Versions
from node.taxii import queries
from node.taxii.protocol import RequestRefused
from node.taxii.queries import read_query

NANO = 1_000_000_000


def read(raw, *, fields=queries.LIST, page_size=100, most=1000):
    return read_query(raw, fields=fields, page_size=page_size, most=most)


def status_of(raw, **more):
    with pytest.raises(RequestRefused) as refusal:
        read(raw, **more)
    return refusal.value.status


def test_an_empty_query_asks_for_a_page_of_everything():
    found = read("")

    assert (found.limit, found.added_after, found.next) == (100, None, None)
    assert (found.ids, found.types, found.versions, found.spec_versions) == (None, None, None, None)


@pytest.mark.parametrize("text", ["0", "-1", "abc", "1.5", "1e3", "", "+5", "00", "%EF%BC%95", "1_0"])
def test_a_limit_that_is_no_positive_number_is_refused_T_OBJ_30(text):
    assert status_of(f"limit={text}") == 400


@pytest.mark.parametrize(
    ("text", "limit"), [("7", 7), ("007", 7), ("1000", 1000), ("15000", 1000), ("9" * 5000, 1000)]
)
def test_a_limit_above_the_largest_page_is_cut_T_OBJ_32(text, limit):
    assert read(f"limit={text}").limit == limit


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01T00:00:00.1Z", 100_000),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T00:00:00.123456789Z", 123_456),
        ("1970-01-01T00:00:00.1234567891Z", 123_456),
        ("1969-12-31T23:59:59Z", -1_000_000),
    ],
)
def test_added_after_is_read_with_any_number_of_digits_T_OBJ_23(text, microseconds):
    assert read(f"added_after={text}").added_after == microseconds


@pytest.mark.parametrize(
    "text",
    ["garbage", "", "2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00",
     "2026-01-01T00:00:60Z", "2026-01-01t00:00:00z", "10000-01-01T00:00:00Z", "2026-01-01T00:00:00.Z"],
)  # fmt: skip
def test_a_malformed_added_after_is_refused_T_OBJ_23_25(text):
    assert status_of(f"added_after={text}") == 400


@pytest.mark.parametrize("name", ["limit=1", "added_after=2026-01-01T00:00:00Z", "match[type]=a", "next=x"])
def test_a_parameter_given_twice_is_refused_T_OBJ_9(name):
    assert status_of(f"{name}&{name}") == 400


def test_a_parameter_given_twice_under_two_encodings_is_refused():
    assert status_of("match[id]=a&match%5Bid%5D=b") == 400


def test_parameters_that_the_standard_does_not_know_are_ignored_T_OBJ_10():
    assert read("match[foo]=a&match[foo]=b&vendor=1&vendor=2&&=") == read("")


@pytest.mark.parametrize("raw", ["match%5Btype%5D=a%2Cb", "match[type]=a,b", "match%5btype]=a%2cb"])
def test_brackets_and_commas_may_be_encoded_T_OBJ_44(raw):
    assert read(raw).types == ("a", "b")


@pytest.mark.parametrize(
    "raw", ["match[type]=", "match[id]=a,", "match[type]=a,%20b", "match[type]=a+b", "match[id]=,"]
)
def test_empty_values_and_spaces_are_refused_T_OBJ_11_12(raw):
    assert status_of(raw) == 400


def test_a_bare_next_is_the_same_as_none_T_OBJ_11():
    assert read("next=").next is None


@pytest.mark.parametrize("raw", ["match[id]=%00", "match[id]=%zz", "limit=%", "match[id]=%ff%fe"])
def test_broken_encodings_are_refused_T_ERR_10(raw):
    assert status_of(raw) == 400


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("last", Versions(last=True)),
        ("first", Versions(first=True, last=False)),
        ("all", Versions(last=False, every=True)),
        ("first,last", Versions(first=True, last=True)),
        ("1970-01-01T00:00:01.100Z", Versions(last=False, instants=(NANO + NANO // 10,))),
        ("first,1970-01-01T00:00:01Z,last", Versions(first=True, last=True, instants=(NANO,))),
        ("1970-01-01T00:00:00.123456789Z", Versions(last=False, instants=(123_456_789,))),
    ],
)
def test_match_version_is_read_T_OBJ_50_to_53(text, versions):
    assert read(f"match[version]={text}").versions == versions


@pytest.mark.parametrize(
    "text",
    ["all,last", "last,last", "garbage", "LAST", "1970-01-01T00:00:01Z,1970-01-01T00:00:01.0Z", "all,all",
     "all,1970-01-01T00:00:01Z", "2026-13-01T00:00:00Z"],
)  # fmt: skip
def test_a_malformed_match_version_is_refused_T_OBJ_52_54_55(text):
    assert status_of(f"match[version]={text}") == 400


def test_a_version_beyond_what_can_be_stored_matches_nothing():
    assert read("match[version]=9999-12-31T23:59:59Z").versions == Versions(last=False, instants=(-(2**63),))


@pytest.mark.parametrize(
    ("text", "read_as"), [("2.1", ("2.1",)), ("2.0,2.1", ("2.0", "2.1")), ("2.2", ("2.2",))]
)
def test_match_spec_version_is_read_T_OBJ_60_62(text, read_as):
    assert read(f"match[spec_version]={text}").spec_versions == read_as


@pytest.mark.parametrize("text", ["2", "2.1.0", "v2.1", "two"])
def test_a_malformed_match_spec_version_is_refused_T_OBJ_62(text):
    assert status_of(f"match[spec_version]={text}") == 400


def test_fields_that_an_endpoint_does_not_have_are_ignored_T_OID_5():
    found = read("match[id]=a,,b&match[type]=", fields=queries.ONE)

    assert (found.ids, found.types) == (None, None)


def test_eight_kilobytes_of_ids_are_read_T_OBJ_45():
    ids = [f"indicator--{number:032x}" for number in range(200)]

    assert read(f"match[id]={','.join(ids)}").ids == tuple(ids)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (f"match[id]={'a' * 70_000}", 414),
        (f"match[id]={'a,' * 5000}a", 400),
        (f"match[type]={'a,' * 500}a", 400),
    ],
    ids=["a long query", "too many ids", "too many types"],
)
def test_lists_have_an_end_T_OBJ_45(raw, status):
    assert status_of(raw) == status


def test_the_digest_of_filters_is_of_their_meaning():
    assert read("match[type]=a,b&match[id]=x").filters == read("match[id]=x&match[type]=b,a&limit=3").filters
    assert read("match[type]=a").filters != read("match[id]=a").filters
    assert read("match[type]=a").filters != read("").filters


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_no_query_string_breaks_the_reader(raw):
    statuses = set()
    for text in (
        raw,
        f"match[version]={raw}",
        f"added_after={raw}",
        f"limit={raw}",
        f"match[spec_version]={raw}",
    ):
        try:
            read(text)
        except RequestRefused as refusal:
            statuses.add(refusal.status)
    assert statuses <= {400}
