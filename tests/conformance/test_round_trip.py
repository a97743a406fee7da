"""What comes back is what was sent: spellings, all observables, ATT&CK and playbooks (section 16.5)."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

import pytest

from tests.support.builders import TLP_2, a_malware, a_tlp_marking, an_indicator
from tests.support.data import attack, playbooks

ODD = [
    an_indicator(1, modified="2026-11-20T08:00:00.100000Z", revoked=False),
    an_indicator(2, modified="2026-11-20T08:00:00.123456789Z", confidence=0, labels=["b", "a", "a"]),
    an_indicator(3, x_text='quo"te \\ slash / \u2028 caf\u00e9 \U0001f600', description=" blanks  "),
    an_indicator(4)[:-1]
    + b',"x_number":1.0,"x_big":9007199254740991,"x_small":-9007199254740991,"x_exp":1E2}',
    an_indicator(5)[:-1]
    + b',"x_escaped":"\\u00e9\\/\\ud83d\\ude00\\n","x_zero":-0.0,"x_fine":0.1000000000000000055}',
    b" \n" + an_indicator(6).replace(b'":"', b'" : "') + b"\t",
    a_malware(7, aliases=["x"], x_acme={"deep": {"er": [["a"], {"b": [{"c": True}]}]}}),
    a_tlp_marking("clear"),
    a_tlp_marking("amber+strict"),
    b'{"type":"marking-definition","spec_version":"2.1","id":"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",'
    b'"created":"2017-01-20T00:00:00.000Z","definition_type":"tlp","name":"TLP:WHITE","definition":{"tlp":"white"}}',
    an_indicator(8, tlp="clear", granular_markings=[{"marking_ref": TLP_2["green"], "selectors": ["name"]}]),
]
OBSERVABLES = {
    "artifact": {"payload_bin": "YQ=="},
    "autonomous-system": {"number": 15139},
    "directory": {"path": "C:\\x"},
    "domain-name": {"value": "m\u00fcnchen.example"},
    "email-addr": {"value": "a@example.com"},
    "email-message": {"is_multipart": False, "subject": "s"},
    "file": {"name": "x.exe", "hashes": {"MD5": "b" * 32}, "size": 3},
    "ipv4-addr": {"value": "198.51.100.3"},
    "ipv6-addr": {"value": "2001:db8::1"},
    "mac-addr": {"value": "d2:fb:49:24:37:18"},
    "mutex": {"name": "__CLEANSWEEP__"},
    "network-traffic": {"protocols": ["tcp"], "src_ref": f"ipv4-addr--{uuid.UUID(int=1)}"},
    "process": {"pid": 3, "command_line": "x"},
    "software": {"name": "Word"},
    "url": {"value": "https://example.com/a?b=c"},
    "user-account": {"account_login": "root"},
    "windows-registry-key": {"key": "HKEY_LOCAL_MACHINE\\x"},
    "x509-certificate": {"serial_number": "36:f7", "subject": "CN=x"},
}


def observable(kind):
    """An object of this type with a short id and no date."""
    one = {"type": kind, "spec_version": "2.1", "id": f"{kind}--{uuid.uuid5(uuid.NAMESPACE_URL, kind)}"}
    return json.dumps({**one, **OBSERVABLES[kind]}, ensure_ascii=False).encode()


def exact(text):
    """JSON with numbers of any size as they are."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


CORPORA = {
    "T-POST-23 spellings": lambda: ODD,
    "T-POST-23 all observables": lambda: [observable(kind) for kind in OBSERVABLES],
    "T-POST-23, T-POST-24 ATT&CK": lambda: attack(every=307),
    "T-POST-23, T-POST-24 playbooks of STIX 2.0": lambda: playbooks()[::101],
}


@pytest.mark.parametrize("corpus", CORPORA)
def test_what_comes_back_is_what_was_sent(target, rw, corpus):
    """T-POST-23: with every property, every number, every text as it was, and nothing else."""
    bodies = CORPORA[corpus]()
    assert len({json.loads(body)["type"] for body in bodies}) >= 3
    posted = target.member.post(rw, bodies).json
    assert posted["success_count"] == len(bodies), posted.get("failures")

    every = {"match_version": "all", "match_spec_version": "2.0,2.1", "limit": target.page_size}
    pages = target.member.pages(rw.objects, **every)
    found = [one for page in pages for one in exact(page.data)["objects"]]

    assert len(found) == len(bodies)
    assert {one["id"]: one for one in found} == {one["id"]: one for one in map(exact, bodies)}
