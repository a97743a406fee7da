"""node/config.py: what config.toml says, where it is looked for, and which files stop the node."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from node import config_keys
from node.config import Settings, find_config, load_settings
from node.errors import ConfigError
from node.sharing.partners import PartnerKeys, StricterKeys
from node.stix.markings import TLP
from tests.support.agreements import a_flow, agreement_text, toml_text
from tests.support.builders import NORTH_ID, SOUTH_ID

EXAMPLE = Path(__file__).parents[1] / "config.example.toml"
URL = "https://exchange.south.example/api/"


def load(folder: Path, environ: dict[str, str] | None = None, **changes: object) -> Settings:
    """Settings of north with these sections; `agreement` is the text of the agreement's file."""
    agreement = changes.pop("agreement", None) or agreement_text()
    (folder / "AGR.toml").write_text(str(agreement), encoding="utf-8")
    document = {
        "format": 1,
        "node": {"name": "north"},
        "partner": {"south": {"agreements": ["AGR.toml"], "api_root": URL}},
        **changes,
    }
    path = folder / "config.toml"
    path.write_text(
        toml_text({key: value for key, value in document.items() if value is not None}), encoding="utf-8"
    )
    return load_settings(path, environ or {})


def refusal(folder: Path, environ: dict[str, str] | None = None, **changes: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, environ, **changes)
    return caught.value


def a_partner(**changes: object) -> dict[str, object]:
    return {"south": {"agreements": ["AGR.toml"], "api_root": URL, **changes}}


def test_a_small_file_is_enough(tmp_path: Path):
    settings = load(tmp_path)

    assert settings.data_dir == tmp_path
    assert (settings.node.name, settings.node.title, settings.node.time_zone) == ("north", "north", "UTC")
    assert settings.node.public_url == "http://127.0.0.1:8000"
    assert settings.database.url == f"sqlite:///{tmp_path}/stixnode.db"
    assert [link.name for link in settings.links] == ["south/indicators/in", "south/indicators/out"]
    assert settings.parties.claimant(NORTH_ID) == "local"
    assert settings.parties.claimant(SOUTH_ID) == "south"
    assert settings.parties.claimant(config_keys.MITRE) == ""


def test_a_node_without_partners_has_no_links(tmp_path: Path):
    assert load(tmp_path, partner=None).links == ()


# The example.


def test_the_commented_keys_of_the_example_are_the_defaults(tmp_path: Path):
    (tmp_path / "agreement.example.toml").write_bytes(
        (EXAMPLE.parent / "agreement.example.toml").read_bytes()
    )
    text = EXAMPLE.read_text(encoding="utf-8")
    written_out = re.sub(r"(?m)^#(?=\w+ = )", "", text)
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    as_it_is = load_settings(path, {})
    path.write_text(written_out, encoding="utf-8")

    assert written_out.count("\n#") < text.count("\n#")
    assert load_settings(path, {}) == as_it_is


@pytest.mark.parametrize(
    "shape",
    [config_keys.NodeKeys, config_keys.ExchangeKeys, config_keys.ServerKeys, config_keys.DatabaseKeys,
     config_keys.Limits, PartnerKeys, StricterKeys],
)  # fmt: skip
def test_the_example_shows_every_key(shape: type[msgspec.Struct]):
    text = EXAMPLE.read_text(encoding="utf-8")
    shown = set(re.findall(r"(?m)^#?(\w+) = ", text)) | set(
        re.findall(r"(?m)^\[partner\.south\.(\w+)\]", text)
    )

    assert {field.encode_name for field in msgspec.structs.fields(shape)} - shown == set()


# Values.


def test_paths_are_relative_to_the_file(tmp_path: Path):
    tls = {"listen": ["0.0.0.0:443"], "tls_certificate": "tls/a.crt", "tls_private_key": "/keys/a.key"}
    settings = load(
        tmp_path,
        node={"name": "north", "public_url": "https://exchange.north.example/", "data_dir": "data"},
        server=tls,
        database={"url": "postgresql://stixnode@db/stixnode", "password_file": "secrets/db"},
        partner=a_partner(username="north", password_file="secrets/south", tls_ca="ca.pem"),
    )

    assert settings.data_dir == tmp_path / "data"
    assert settings.node.public_url == "https://exchange.north.example"
    assert settings.server.tls_certificate == tmp_path / "tls/a.crt"
    assert settings.server.tls_private_key == Path("/keys/a.key")
    assert settings.database.password_file == tmp_path / "secrets/db"
    assert settings.partners[0].password_file == str(tmp_path / "secrets/south")
    assert settings.partners[0].tls_ca == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("url", "expected"),
    [("sqlite:///a.db", "sqlite:///{data}/a.db"), ("sqlite:////b/a.db", "sqlite:////b/a.db")],
)
def test_the_database_file_is_relative_to_data_dir(tmp_path: Path, url: str, expected: str):
    settings = load(tmp_path, node={"name": "north", "data_dir": "data"}, database={"url": url})

    assert settings.database.url == expected.format(data=tmp_path / "data")


def test_several_addresses_may_be_listened_on(tmp_path: Path):
    assert load(tmp_path, server={"listen": ["127.0.0.1:80", "[::1]:81"]}).server.listen == (
        ("127.0.0.1", 80), ("::1", 81),
    )  # fmt: skip


def test_an_api_root_ends_in_a_slash(tmp_path: Path):
    assert load(tmp_path, partner=a_partner(api_root=URL.rstrip("/"))).partners[0].api_root == URL


def test_stricter_is_worked_into_the_links(tmp_path: Path):
    settings = load(
        tmp_path, partner=a_partner(stricter={"max_tlp_out": "clear", "public_objects": "refuse"})
    )

    assert settings.links[1].terms.max_tlp is TLP.CLEAR
    assert settings.links[0].public_objects is False


def test_a_paused_partner_keeps_its_links(tmp_path: Path):
    assert [link.paused for link in load(tmp_path, partner=a_partner(paused=True)).links] == [True, True]


def test_where_they_carry_everything_no_address_is_needed(tmp_path: Path):
    text = agreement_text(flow=[a_flow(carry={"north": "pull", "south": "push"})])

    assert (
        load(tmp_path, agreement=text, partner={"south": {"agreements": ["AGR.toml"]}}).partners[0].api_root
        is None
    )


# Refused.

PUBLIC = {"name": "north", "public_url": "https://n.example"}
MISTAKES = {
    "unknown section": ({"servers": {"workers": 1}}, "config.toml, servers", "server"),
    "unknown key": ({"server": {"worker": 1}}, "[server] worker", "workers"),
    "wrong kind": ({"server": {"workers": "two"}}, "[server] workers: 'two'", "whole number"),
    "another format": ({"format": 3}, "format 1", "format = 1"),
    "no name": ({"node": {"title": "x"}, "partner": None}, "[node] name", "agreements use"),
    "a name with a slash": ({"node": {"name": "a/b"}}, "[node] name", "agreements use"),
    "the name local": ({"node": {"name": "local"}, "partner": None}, "[node] name", "agreements use"),
    "unknown zone": ({"node": {"name": "north", "time_zone": "Mars"}}, "time_zone", "IANA"),
    "a zone that is a path": ({"node": {"name": "north", "time_zone": "../x"}}, "time_zone", "IANA"),
    "our identity is none": ({"node": {"name": "north", "identities": ["x"]}}, "identities", "list of ids"),
    "http to the world": (
        {"node": {"name": "north", "public_url": "http://north.example"}},
        "public_url",
        "https",
    ),
    "a path": ({"node": {"name": "north", "public_url": "https://north.example/a"}}, "public_url", "path"),
    "open without tls": (
        {"server": {"listen": ["0.0.0.0:80"]}, "node": PUBLIC},
        "[server] listen",
        "behind_proxy",
    ),
    "open without public_url": (
        {"server": {"listen": ["0.0.0.0:80"], "behind_proxy": ["10.0.0.5"]}},
        "public_url",
        "https",
    ),
    "a certificate without key": ({"server": {"tls_certificate": "a"}}, "tls_private_key", "tls_private_key"),
    "no port": ({"server": {"listen": ["127.0.0.1"]}}, "listen", "ports"),
    "port 0": ({"server": {"listen": ["127.0.0.1:0"]}}, "listen", "ports"),
    "no host": ({"server": {"listen": [":443"]}}, "listen", "ports"),
    "six without brackets": ({"server": {"listen": ["::1:443"]}}, "listen", "ports"),
    "nowhere": ({"server": {"listen": []}}, "listen", "ports"),
    "a proxy by name": ({"server": {"behind_proxy": ["proxy"]}, "node": PUBLIC}, "behind_proxy", "addresses"),
    "old tls": ({"server": {"tls_minimum": "1.0"}}, "tls_minimum", "example"),
    "a database in memory": ({"database": {"url": "sqlite:///:memory:"}}, "[database] url", "sqlite:///FILE"),
    "another database": ({"database": {"url": "mysql://a@b/c"}}, "[database] url", "postgresql"),
    "password for a file": ({"database": {"password_file": "a"}}, "password_file", "out"),
    "a negative limit": ({"limits": {"requests_per_second": -1}}, "requests_per_second", "example"),
    "objects larger than bodies": (
        {"limits": {"max_object_bytes": 9000, "max_content_length": 8000}},
        "max_object_bytes",
        "smaller",
    ),
    "public is no identity": (
        {"exchange": {"public_identities": ["MITRE"]}},
        "public_identities",
        "list of ids",
    ),
    "public and claimed": ({"exchange": {"public_identities": [SOUTH_ID]}}, "both claim it", "one"),
    "ours and theirs": ({"node": {"name": "north", "identities": [SOUTH_ID]}}, "both claim it", "one"),
    "partner is us": ({"partner": {"north": {}}}, "our own name", "agreement"),
    "partner local": ({"partner": {"local": {}}}, "cannot name a partner", "agreement"),
    "partner misspelt": (
        {"partner": {"sout": {"agreements": ["AGR.toml"]}}},
        "does not name sout",
        "names of the agreement",
    ),
    "no such agreement": ({"partner": a_partner(agreements=["none.toml"])}, "none.toml", "signed file"),
    "no api_root": (
        {"partner": {"south": {"agreements": ["AGR.toml"]}}},
        "[partner.south] api_root",
        "API root",
    ),
    "api_root without tls": ({"partner": a_partner(api_root="http://south.example/a/")}, "api_root", "https"),
    "api_root with a password": (
        {"partner": a_partner(api_root="https://a:b@south.example/")},
        "api_root",
        "https",
    ),
    "password in the file": ({"partner": a_partner(password="x")}, "password", "password_file"),
    "username alone": ({"partner": a_partner(username="north")}, "password_file is missing", "neither"),
    "bad alias": ({"partner": a_partner(store_in={"indicators": "A B"})}, "store_in", "alias"),
    "bad remote id": ({"partner": a_partner(their_ids={"indicators": "../x"})}, "their_ids", "id of their"),
    "no such flow": ({"partner": a_partner(store_in={"indicator": "x"})}, "store_in", "indicators"),
    "kind": ({"partner": a_partner(kind="misp")}, "kind", "taxii"),
    "max_tlp in stricter": ({"partner": a_partner(stricter={"max_tlp": "red"})}, "max_tlp", "max_tlp_out"),
    "bad level in stricter": (
        {"partner": a_partner(stricter={"max_tlp_out": "pink"})},
        "max_tlp_out",
        "amber",
    ),
}


@pytest.mark.parametrize(("changes", "problem", "remedy"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_by_name(tmp_path: Path, changes: dict[str, object], problem: str, remedy: str):
    error = refusal(tmp_path, **changes)

    assert problem in error.problem
    assert remedy in error.remedy


@pytest.mark.parametrize(
    "changes",
    [
        {"backup": {"to": "/b"}},
        {"partner": a_partner(card="south.card")},
        {"partner": a_partner(networks=["198.51.100.0/24"])},
        {"partner": a_partner(stricter={"second_person": "all"})},
        {"partner": a_partner(stricter={"never_send": ["a"]})},
        {"partner": a_partner(stricter={"never_block": ["a"]})},
    ],
    ids=str,
)
def test_a_key_of_a_later_version_is_refused(tmp_path: Path, changes: dict[str, object]):
    assert (
        "does not enforce it yet, so it must not be promised; take it out"
        in refusal(tmp_path, **changes).problem
    )


def test_a_password_in_a_database_url_is_refused_and_not_repeated(tmp_path: Path):
    error = refusal(tmp_path, database={"url": "postgresql://stixnode:hunter2@db/stixnode"})

    assert "password" in error.problem
    assert "hunter2" not in error.problem + error.remedy


def test_problems_of_all_sections_are_told_at_once(tmp_path: Path):
    error = refusal(
        tmp_path,
        node={"name": "A"},
        server={"workers": 0},
        limits={"page_sice": 1},
        partner=a_partner(networks=[]),
        agreement=agreement_text(revision=0),
    )

    assert len(error.problem.split("\n")) == 5
    assert "AGR.toml, revision" in error.problem


def test_a_problem_of_an_agreement_keeps_its_remedy(tmp_path: Path):
    error = refusal(tmp_path, agreement=agreement_text(flow=[a_flow(max_tpl="red")]))

    assert "AGR.toml, [[flow]] indicators max_tpl" in error.problem
    assert error.remedy == "Write max_tlp."


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "none.toml", {})


# The environment.


def test_the_environment_overrides_keys_of_four_sections(tmp_path: Path):
    environ = {
        "STIXNODE_NODE__EXERCISE": "true",
        "STIXNODE_SERVER__LISTEN": "127.0.0.1:9000, [::1]:9000",
        "STIXNODE_DATABASE__URL": "sqlite:///other.db",
        "STIXNODE_LIMITS__PAGE_SIZE": "50",
    }
    settings = load(tmp_path, environ, limits={"page_size": 10})

    assert settings.node.exercise is True
    assert settings.server.listen == (("127.0.0.1", 9000), ("::1", 9000))
    assert settings.database.url.endswith("/other.db")
    assert settings.limits.page_size == 50


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("STIXNODE_PARTNER__SOUTH__PAUSED", "[partner] cannot be set"),
        ("STIXNODE_AGREEMENT__ENDS", "[agreement] cannot be set"),
        ("STIXNODE_EXCHANGE__PUBLIC_IDENTITIES", "[exchange] cannot be set"),
        ("STIXNODE_SERVER__WORKER", "no key worker"),
        ("STIXNODE_SERVER__WORKERS", "STIXNODE_SERVER__WORKERS"),
    ],
)
def test_the_environment_can_set_nothing_else(tmp_path: Path, variable: str, problem: str):
    error = refusal(tmp_path, {variable: "many"})

    assert variable in error.problem
    assert problem in error.problem


def test_other_variables_are_left_alone(tmp_path: Path):
    environ = {
        "STIXNODE_CONFIG": "x",
        "STIXNODE_TOKEN": "y",
        "PATH": "z",
        "MY_STIXNODE_SERVER__WORKERS": "many",
    }

    assert load(tmp_path, environ) == load(tmp_path)


# Where the file is looked for.


def test_the_option_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("config.toml", "given.toml", "named.toml"):
        (tmp_path / name).touch()

    assert find_config("given.toml", {"STIXNODE_CONFIG": "named.toml"}) == tmp_path / "given.toml"
    assert find_config(None, {"STIXNODE_CONFIG": "named.toml"}) == tmp_path / "config.toml"


def test_the_environment_comes_after_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named.toml").touch()

    assert find_config(None, {"STIXNODE_CONFIG": str(tmp_path / "named.toml")}) == tmp_path / "named.toml"


@pytest.mark.parametrize(
    ("option", "environ", "named"),
    [
        ("given.toml", {}, ["given.toml"]),
        (None, {"STIXNODE_CONFIG": "named.toml"}, ["config.toml", "named.toml"]),
    ],
)
def test_a_place_that_was_named_is_not_passed_over(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str | None,
    environ: dict[str, str],
    named: list[str],
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        find_config(option, environ)

    assert all(name in caught.value.problem for name in named)
    assert "/etc" not in caught.value.problem
    assert "stixnode init DIR" in caught.value.remedy
