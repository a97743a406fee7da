"""Seeds that are kept: those that once found something, and the first that finds each planted fault."""

from __future__ import annotations

ONCE_FAILED = {
    824: "a worker ran in circles about a link that had failed before it was closed",
    10921: "what a partner had brought of a deleted version, and was not kept, came in when listed again",
    10045: "a revoked text of a public object was restated as not revoked, and came back when listed again",
    5020: "what other software had refused as too much went out in halves that were not judged again",
}

PLANTED = {
    "a duplicate takes a new date": 0,
    "back to its origin": 0,
    "an unknown marking is none": 3,
    "what leaves is noted afterwards or never": 3,
    "a version is known by its key": 4,
    "anybody may change anything": 4,
    "passed on without a grant": 6,
    "an echo is known by its key": 8,
    "a revoked version is one like others": 11,
    "every object of a status counts as taken": 16,
    "a pause is ignored": 18,
    "tombstones are ignored": 18,
    "dates come from the clock": 19,
    "an old version goes by its own marking": 30,
    "settled before the answer": 30,
    "a partner that lost all is not offered it again": 39,
    "a restored node goes on in its old history": 39,
    "the epoch of a partner is ignored": 39,
    "references are not looked at": 72,
    "a lost answer counts as a good one": 75,
    "what is seen again keeps its date": 115,
    "bookmark of our own clock": 125,
    "the owner is that of the rows held": 150,
    "a late definition changes nothing": 254,
    "terms are not compared": 300,
    "a resend is not judged": 304,
}
