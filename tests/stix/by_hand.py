"""What only some types can do wrong: the faults of single types, as changes of their specimens.

BY_HAND["2.1 opinion"]["opinion of its own"]   the properties to set; None leaves one out
"""

from __future__ import annotations

from typing import Any

from tests.support.builders import CREATED, LATER, NORTH_ID, an_id
from tests.support.specimens import SHA_256, STATEMENT, Specimen


def _marked(**granular: Any) -> Specimen:
    return {"granular_markings": [granular]}


def _refer(**reference: Any) -> Specimen:
    return {"external_references": [reference]}


_EARLY = "2026-11-19T08:00:00.000Z"
_SWAPPED = {
    "campaign": "last_seen",
    "infrastructure": "last_seen",
    "intrusion-set": "last_seen",
    "malware": "last_seen",
    "network-traffic": "end",
    "observed-data": "last_observed",
    "relationship": "stop_time",
    "sighting": "last_seen",
    "threat-actor": "last_seen",
}
_IP = "[ipv4-addr:value = '198.51.100.3']"
PATTERNS = {
    "empty": "",
    "without brackets": "ipv4-addr:value = '198.51.100.3'",
    "not closed": _IP[:-1],
    "of two observations": f"{_IP} AND [url:value IN ('a', 'b')] WITHIN 5 SECONDS",
    "with a qualifier cut off": f"({_IP} OR {_IP}) REPEATS 2 TIMES START t'2026-01-01T00:00:00Z' STOP",
    "with a qualifier twice": f"{_IP} WITHIN 5 SECONDS WITHIN 6 SECONDS",
    "with a short hash": "[file:hashes.MD5 = 'ab']",
    "with a part of a hash": "[file:hashes.MD5 LIKE 'ab%']",
    "with a hash of several": f"[file:hashes.MD5 IN ('{'a' * 32}', '{'b' * 32}')]",
    "with a comment": "[file:size = 1 /* byte */]",
    "with two equal signs": "[file:size == 1]",
    "with EXISTS": "[EXISTS file:size]",
    "with an index": "[network-traffic:protocols[*] = 'tcp']",
    "with an own type": "[x-thing:rank.'deep key'.b = 'a']",
    "with an own property": "[file:rank = 'a']",
    "that is a sentence": "block this host",
    "of 300 observations": " OR ".join([_IP] * 300),
    "of 402 observations": " OR ".join([_IP] * 402),
    "of 33 parentheses": "(" * 33 + _IP + ")" * 33,
    "of a type in capitals": "[Domain:value = 'x']",
    "of a type of two letters": "[ab:value = 'x']",
    "of a property of one letter": "[file:a = 'x']",
    "of a property with a hyphen": "[file:'a-b-c' = 'x']",
}
_ID_5 = "--6f0d6a0e-7a63-5f0b-9c1f-1d2f3b4a5c6d"

BY_HAND: dict[str, dict[str, Specimen]] = {
    "2.1 indicator": {
        **{f"pattern {what}": {"pattern": text} for what, text in PATTERNS.items()},
        "pattern of another language": {"pattern": "alert tcp any", "pattern_type": "snort"},
        "pattern of 2.0": {"pattern": "[EXISTS file:size]", "pattern_version": "2.0"},
        "valid_until before": {"valid_until": _EARLY},
        "valid_until at once": {"valid_until": CREATED},
        "valid_until a digit later": {"valid_until": CREATED[:-1] + "000000001Z"},
        "modified before": {"modified": _EARLY},
        "modified at once": {"modified": CREATED},
        "modified with more digits": {"modified": CREATED[:-1] + "123Z"},
        "created of two digits": {"created": "2026-11-20T08:00:00.00Z"},
        "confidence of 101": {"confidence": 101},
        "confidence of 50.5": {"confidence": 50.5},
        "label of tlp": {"labels": ["tlp:red"]},
        "lang German in Switzerland": {"lang": "de-CH"},
        "lang of no registry": {"lang": "zz"},
        "lang not well-formed": {"lang": "english language"},
        "selector of nothing": _marked(marking_ref=STATEMENT, selectors=["nothing"]),
        "selector past the end": _marked(marking_ref=STATEMENT, selectors=["labels.[1]"]),
        "selector into a text": _marked(marking_ref=STATEMENT, selectors=["name.[0]"]),
        "selector of two steps": _marked(marking_ref=STATEMENT, selectors=["external_references.[0].url"]),
        "granular lang": _marked(lang="en", selectors=["name"]),
        "granular lang not well-formed": _marked(lang="english language", selectors=["name"]),
        "granular lang and marking": _marked(lang="en", marking_ref=STATEMENT, selectors=["name"]),
        "granular neither": _marked(selectors=["name"]),
        "granular without selectors": _marked(marking_ref=STATEMENT),
        "reference without a name": _refer(description="A"),
        "reference with a name alone": _refer(source_name="A"),
        "reference to a bad address": _refer(source_name="A", url="not an address"),
        "reference with a letter beyond ASCII": _refer(source_name="A", url="https://a.example/\u00e4"),
        "reference of cve": _refer(source_name="cve", external_id="CVE-2026-0001"),
        "reference of cve badly": _refer(source_name="cve", external_id="2026-0001"),
        "reference with a short hash": _refer(
            source_name="A", url="https://a.example/", hashes={"MD5": "ab"}
        ),
        "reference with an own hash": _refer(source_name="A", url="https://a.example/", hashes={"own": "ab"}),
        "extension without a type": {"extensions": {an_id("extension-definition"): {"note": "A"}}},
        "extension of no type": {"extensions": {an_id("extension-definition"): {"extension_type": "A"}}},
        "extension without an id": {"extensions": {"note": {"extension_type": "property-extension"}}},
        "extension of its own name": {"extensions": {"note-ext": {"note": "A"}}},
        "extension with nothing": {"extensions": {an_id("extension-definition"): {}}},
        "extension on top": {
            "extensions": {an_id("extension-definition"): {"extension_type": "toplevel-property-extension"}},
            "rank": 1,
        },
        "defanged": {"defanged": True},
        "severity": {"severity": "high"},
        "phase without a name": {"kill_chain_phases": [{"kill_chain_name": "A"}]},
    },
    "2.0 indicator": {
        **{f"pattern {what}": {"pattern": text} for what, text in PATTERNS.items()},
        "modified before": {"modified": _EARLY},
        "modified of six digits": {"modified": LATER[:-1] + "000Z"},
        "valid_until before": {"valid_until": _EARLY},
        "selector of nothing": _marked(marking_ref=STATEMENT, selectors=["nothing"]),
        "creator of another type": {"created_by_ref": "malware--3d2f7c0e-5b1a-4c4d-9f7e-0a1b2c3d4e5f"},
    },
    "2.0 observed-data": {
        "reference to nothing": {
            "objects": {"0": {"type": "network-traffic", "src_ref": "1", "protocols": ["tcp"]}}
        },
        "reference to another type": {
            "objects": {
                "0": {"type": "network-traffic", "src_ref": "1", "protocols": ["tcp"]},
                "1": {"type": "mutex", "name": "A"},
            }
        },
        "without objects": {"objects": None},
    },
    "2.0 sighting": {"dates swapped": {"first_seen": LATER, "last_seen": CREATED}},
    "2.1 observed-data": {
        "of no observable": {"object_refs": [an_id("relationship")]},
        "of none counted": {"number_observed": 0},
        "of too many counted": {"number_observed": 1_000_000_000},
        "of both forms": {"objects": {"0": {"type": "mutex", "id": an_id("mutex"), "name": "A"}}},
        "of the old form": {
            "object_refs": None,
            "objects": {"0": {"type": "mutex", "id": an_id("mutex"), "name": "A"}},
        },
        "of the old form leading nowhere": {
            "object_refs": None,
            "objects": {
                "0": {
                    "type": "email-addr",
                    "id": an_id("email-addr"),
                    "value": "a@a.example",
                    "belongs_to_ref": "1",
                }
            },
        },
    },
    "2.1 opinion": {"opinion of its own": {"opinion": "maybe"}},
    "2.1 identity": {"class of its own": {"identity_class": "guild"}},
    "2.1 location": {
        "latitude alone": {"longitude": None, "precision": None},
        "precision alone": {"longitude": None, "latitude": None},
        "beyond the pole": {"latitude": 90.5},
        "nowhere": {"region": None, "country": None, "latitude": None, "longitude": None, "precision": None},
    },
    "2.1 malware": {"family without a name": {"name": None}},
    "2.1 malware-analysis": {
        "without a result": {"result": None, "analysis_sco_refs": None},
        "dates swapped": {"analysis_ended": _EARLY},
    },
    "2.1 relationship": {
        "stop at once": {"stop_time": CREATED},
        "type in capitals": {"relationship_type": "Indicates"},
        "extension-definition as source_ref": {"source_ref": an_id("extension-definition")},
    },
    "2.1 sighting": {
        "extension-definition as sighting_of_ref": {"sighting_of_ref": an_id("extension-definition")}
    },
    "2.1 report": {
        "bundle among others in object_refs": {"object_refs": [an_id("malware"), an_id("bundle")]}
    },
    "2.1 language-content": {
        "contents of no language": {"contents": {"english language": {"name": "A"}}},
        "contents of no registry": {"contents": {"zz": {"name": "A"}}},
        "contents of a text": {"contents": {"fr": "A"}},
        "of language-content": {"object_ref": an_id("language-content")},
    },
    "2.1 extension-definition": {
        "without its maker": {"created_by_ref": None},
        "with confidence": {"confidence": 5},
        "with lang": {"lang": "en"},
    },
    "2.1 marking-definition": {
        "with modified": {"modified": LATER},
        "with revoked": {"revoked": False},
        "with labels": {"labels": ["A"]},
        "marking itself": {"object_marking_refs": [STATEMENT]},
        "marking a part itself": _marked(marking_ref=STATEMENT, selectors=["definition_type"]),
        "of an own type": {"definition_type": "own", "definition": {"a": "b"}},
        "of tlp": {"definition_type": "tlp", "definition": {"tlp": "red"}},
        "of tlp with a name": {"definition_type": "tlp", "definition": {"tlp": "red"}, "name": "TLP:RED"},
        "of nothing": {"definition_type": None, "definition": None},
    },
    "2.1 artifact": {
        "both ways": {"url": "https://a.example/"},
        "no way": {"payload_bin": None},
        "address without a hash": {"payload_bin": None, "hashes": None, "url": "https://a.example/"},
        "of no media type": {"mime_type": "image/not-registered"},
        "of an own media type": {"mime_type": "own/thing"},
        "short hash": {"hashes": {"MD5": "ab"}},
        "own hash": {"hashes": {"own": "ab"}},
        "TLSH with its version": {"hashes": {"TLSH": "T1" + "0A" * 35}},
        "of UUID 5 with nothing": {"id": f"artifact{_ID_5}", "payload_bin": None, "hashes": None},
    },
    "2.1 directory": {"charset of no registry": {"path_enc": "not-a-charset"}},
    "2.1 domain-name": {
        "with an underscore": {"value": "_dmarc.a.example"},
        "with hyphens in third place": {"value": "r3---sn-a.example"},
        "with the root": {"value": "a.example."},
        "defanged": {"value": "a[.]example", "defanged": True},
        "beyond ASCII": {"value": "m\u00fcnchen.example"},
        "with a blank": {"value": "a b"},
        "of one label": {"value": "localhost"},
    },
    "2.1 email-addr": {
        "with a display name": {"value": "A <a@a.example>"},
        "of one label": {"value": "a@localhost"},
        "with quotes": {"value": '"a b"@a.example'},
        "without a host": {"value": "a"},
        "with a plus": {"value": "a+b@a.example"},
    },
    "2.1 email-message": {
        "header field of one text": {"additional_header_fields": {"X-Mailer": ["A"]}},
        "not in parts": {"is_multipart": False},
        "with a body": {"body": "A"},
        "part naming another type": {"body_multipart": [{"body_raw_ref": an_id("url")}]},
        "of UUID 5 with nothing": {"id": f"email-message{_ID_5}", "from_ref": None},
    },
    "2.1 file": {
        "without a name and a hash": {"name": None, "hashes": None},
        "short hash": {"hashes": {"SHA-256": "ab"}},
        "selector in capitals": _marked(marking_ref=STATEMENT, selectors=["hashes.SHA-256"]),
        "hash in capitals": {"hashes": {"SHA-256": SHA_256.upper()}},
        "odd hex": {"magic_number_hex": "4d5"},
        "archive of a url": {"extensions": {"archive-ext": {"contains_refs": [an_id("url")]}}},
        "archive of a directory": {"extensions": {"archive-ext": {"contains_refs": [an_id("directory")]}}},
        "archive of nothing": {"extensions": {"archive-ext": {"contains_refs": []}}},
        "size of 2**60": {"size": 2**60},
        "with created": {"created": CREATED},
        "with labels": {"labels": ["A"]},
        "with created_by_ref": {"created_by_ref": NORTH_ID},
        "with confidence": {"confidence": 5},
    },
    "2.1 ipv4-addr": {
        "beyond a byte": {"value": "999.1.1.1"},
        "of a net": {"value": "198.51.100.0/24"},
        "of another id than its own": {"id": f"ipv4-addr{_ID_5}"},
    },
    "2.1 ipv6-addr": {
        "of IPv4": {"value": "::ffff:192.0.2.1"},
        "of IPv4 beyond a byte": {"value": "::ffff:192.0.2.256"},
        "of a net": {"value": "2001:db8::/32"},
        "not one": {"value": "2001:db8"},
    },
    "2.1 mac-addr": {
        "in capitals": {"value": "02:00:5E:00:00:01"},
        "with hyphens": {"value": "02-00-5e-00-00-01"},
    },
    "2.1 network-traffic": {
        "from nowhere": {"src_ref": None, "dst_ref": None},
        "still active": {"is_active": True},
        "activity unsaid": {"is_active": None},
        "port too high": {"src_port": 65536},
        "body of another type": {
            "extensions": {
                "http-request-ext": {
                    "request_method": "get",
                    "request_value": "/",
                    "message_body_data_ref": an_id("url"),
                }
            }
        },
    },
    "2.1 process": {
        "of UUID 5": {"id": f"process{_ID_5}"},
        "of its time alone": {"pid": None, "image_ref": None, "child_refs": None},
        "of nothing": {"pid": None, "image_ref": None, "child_refs": None, "created_time": None},
        "service of another type": {
            "extensions": {"windows-service-ext": {"service_name": "A", "service_dll_refs": [an_id("url")]}}
        },
    },
    "2.1 software": {
        "cpe not one": {"cpe": "A"},
        "language of two letters": {"languages": ["en"]},
        "language of no registry": {"languages": ["zzz"]},
    },
    "2.1 url": {
        "with a blank": {"value": "https://a.example/a b"},
        "beyond ASCII": {"value": "https://\u00e4.example"},
    },
    "2.1 user-account": {"of UUID 5 with nothing": {"user_id": None, "account_type": None}},
    "2.1 windows-registry-key": {
        "short hive": {"key": "HKLM\\Software"},
        "letters of a hive inside": {"key": "HKEY_LOCAL_MACHINE\\Software\\thkun"},
        "of its time alone": {"key": None, "values": None, "creator_user_ref": None},
        "of nothing": {"key": None, "values": None, "creator_user_ref": None, "modified_time": None},
    },
    "2.1 x509-certificate": {"of UUID 5 with nothing": {"serial_number": None}},
}
for _type, _later in _SWAPPED.items():
    BY_HAND.setdefault(f"2.1 {_type}", {})["dates swapped"] = {_later: _EARLY}
